package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// mostEntries is how many entries are listed at the most.
const mostEntries = 100_000

// fixLog holds the flags of fix log.
type fixLog struct {
	fixing
	limit int
	utc   bool
}

func fixLogCommand(stdio IO) *cobra.Command {
	f := &fixLog{fixing: fixing{look: look{stdio: stdio}}}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "list what was changed: when, by whom, and what became of it",
		Long: `log lists the sets of changes that were applied, the newest last. What was
interrupted may or may not have been changed: its process ended, or the disk was
full, before the outcome was written down. fix undo looks at what is there.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("fix log takes no words: %s", strings.Join(args, " "))
			}
			return nil
		},
		Example: `  tcpvet fix log
  tcpvet fix log --limit 1 -o json`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return f.run() },
	}
	g := cmd.Flags()
	g.IntVar(&f.limit, "limit", 20, "list so many, the newest")
	g.BoolVar(&f.utc, "utc", false, "print times in UTC instead of local time")
	f.journaling(cmd)
	f.out.flags(cmd, "table", "json")
	return cmd
}

func (f *fixLog) run() error {
	if f.limit < 1 || f.limit > mostEntries {
		return usage("--limit %d: expected 1 to %d", f.limit, mostEntries)
	}
	log, err := (&remedy.Journal{Dir: f.journal}).Log(f.limit)
	if err != nil {
		return &exit{statusBlind, err}
	}
	if f.out.format == "json" {
		return document(f.stdio.Out, journalOf(log))
	}
	if text := log.Damage.String(); text != "" {
		defer fmt.Fprintln(f.stdio.Err, "not seen:", text)
	}
	if log.Older > 0 {
		defer fmt.Fprintf(f.stdio.Err, "%s left out: --limit lists more\n", vet.Counted(log.Older, "older set"))
	}
	if len(log.Entries) == 0 {
		dir := f.journal
		if dir == "" {
			dir = defaultJournal
		}
		_, err := fmt.Fprintln(f.stdio.Out, "no change is written down in "+vet.Plain(dir))
		return err
	}
	zone := time.Local
	if f.utc {
		zone = time.UTC
	}
	return logTable(f.stdio.Out, log.Entries, zone)
}

func logTable(out io.Writer, entries []remedy.Entry, zone *time.Location) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTime\tWho\tWhat\tOutcome")
	for i := range entries {
		e := &entries[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.At.In(zone).Format("2006-01-02 15:04:05"), whoText(&e.Who), vet.Plain(entryText(e)), vet.Plain(outcomeText(e)))
	}
	return w.Flush()
}

// whoText names who it was: "root", "alice (pts/3 from 10.0.0.5)".
func whoText(w *remedy.Who) string {
	who := vet.Plain(w.User)
	if who == "" {
		who = fmt.Sprintf("user %d", w.UID)
	}
	var at []string
	if w.TTY != "" {
		at = append(at, vet.Plain(w.TTY))
	}
	if w.From != "" {
		at = append(at, "from "+vet.Plain(w.From))
	}
	if len(at) > 0 {
		who += " (" + strings.Join(at, " ") + ")"
	}
	return who
}

// entryText says what it was.
func entryText(e *remedy.Entry) string {
	if e.Undoes != "" {
		return "undo " + e.Undoes
	}
	return e.Kind.String() + ": " + e.Summary
}

// outcomeText says what became of it.
func outcomeText(e *remedy.Entry) string {
	if !e.Recorded {
		return "nothing was changed: it was not written down in full"
	}
	var parts []string
	for _, o := range [...]tcpvet.Outcome{tcpvet.OutcomeApplied, tcpvet.OutcomeUndone, tcpvet.OutcomeUnchanged, tcpvet.OutcomeGone, tcpvet.OutcomeRefused, tcpvet.OutcomeFailed} {
		if n := e.Tally[o]; n > 0 {
			parts = append(parts, vet.Count(n)+" "+string(o))
		}
	}
	switch n := e.Unknown(); {
	case e.Running:
		parts = append(parts, "still running")
	case n > 0:
		parts = append(parts, vet.Count(n)+" interrupted: may or may not have been applied")
	}
	if e.Err != "" {
		parts = append(parts, "ended early: "+e.Err)
	}
	if len(e.Undone) > 0 {
		parts = append(parts, "undone by "+strings.Join(e.Undone, ", "))
	}
	if len(parts) == 0 {
		return "nothing was applied"
	}
	return strings.Join(parts, ", ")
}

// journalOf gives the document.
func journalOf(log *remedy.Log) jsonv1.Journal {
	out := jsonv1.Journal{Schema: jsonv1.JournalSchema, Entries: []jsonv1.JournalEntry{}, Older: log.Older, Damage: optional(log.Damage.String())}
	for i := range log.Entries {
		e := &log.Entries[i]
		entry := jsonv1.JournalEntry{
			ID: e.ID, At: jsonv1.Time(e.At),
			Who:  jsonv1.JournalWho{UID: e.Who.UID, User: optional(e.Who.User), TTY: optional(e.Who.TTY), From: optional(e.Who.From), PID: e.Who.Process.PID},
			Kind: e.Kind.String(), Risk: e.Risk.String(), Summary: e.Summary, Undoes: optional(e.Undoes), UndoneBy: words(e.Undone),
			Recorded: e.Recorded, Running: e.Running, Changes: e.Total, Outcomes: map[string]int{}, Unknown: e.Unknown(), Error: optional(e.Err),
		}
		for o, n := range e.Tally {
			entry.Outcomes[string(o)] = n
		}
		out.Entries = append(out.Entries, entry)
	}
	return out
}

// optional gives nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
