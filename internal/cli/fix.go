package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// fixing holds the flags of every fix that plans and applies.
type fixing struct {
	look
	out output

	apply   bool
	accept  []string
	journal string
	all     bool // sockets of everybody are meant

	unseen error // why a plan is empty that may not be
}

func fixCommand(stdio IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fix",
		Short: "change what is wrong: give sockets keepalive, close them, set settings; and undo it",
		Long: `fix changes sockets of running programs, and settings of the kernel, from
outside.

It plans and shows: what has what now, what it would get, what that does not do,
what it costs and what it can break. Nothing is changed without --apply. Each
plan names its risk:

  changes-process    a program finds its sockets changed; none in use is dropped
  drops-connections  connections that are in use may end: --accept-risk names it
  changes-kernel     for all programs of the namespace: --accept-risk names it

What was there is written down before anything is changed, in a journal that is
root's alone, and what became of it after: fix log lists it, fix undo puts it
back. A socket is known by its cookie, which no other socket ever gets, so that
a connection which took the place of another is never touched. Listeners are not
closed, and nothing is done to tcpvet's own sockets.

tcpvet run gives new sockets of a program what fix keepalive gives to those that
are open.

Exit status: 0 the plan was shown, or all of it was applied; 1 a part of it was,
or what became of it could not be written down or printed; 2 wrong usage, and a
risk that was not accepted; 3 nothing could be applied, or what a process that
was named holds could not be seen.`,
		Example: `  tcpvet fix keepalive --pid 4121 dst 10.0.3.7
  tcpvet fix close --pid 4121 --state close-wait --older-than 5m
  tcpvet fix sysctl                       what the findings propose
  tcpvet fix log
  tcpvet fix undo`,
		Args: noSuchFix,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(fixKeepaliveCommand(stdio), fixCloseCommand(stdio), fixSysctlCommand(stdio), fixUndoCommand(stdio), fixLogCommand(stdio))
	return cmd
}

func noSuchFix(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("fix %q: expected one of %s; see tcpvet fix --help", args[0], strings.Join(verbs(cmd), ", "))
}

// changing adds the flags that let a plan be applied.
func (f *fixing) changing(cmd *cobra.Command) {
	g := cmd.Flags()
	g.BoolVar(&f.apply, "apply", false, "change it; without, the plan is only shown")
	f.accepting(cmd, riskWords...)
	f.journaling(cmd)
	byHand(cmd, "apply")
}

// riskWords are the risks that can be accepted.
var riskWords = []string{tcpvet.ChangesProcess.String(), tcpvet.DropsConnections.String(), tcpvet.ChangesKernel.String()}

func (f *fixing) accepting(cmd *cobra.Command, risks ...string) {
	cmd.Flags().StringSliceVar(&f.accept, "accept-risk", nil, "accept what this `RISK` can break: "+strings.Join(risks, ", "))
	completeList(cmd, "accept-risk", func() []string { return risks })
	byHand(cmd, "accept-risk")
}

func (f *fixing) journaling(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.journal, "journal", "", "the `FOLDER` of the journal (default "+defaultJournal+")")
	_ = cmd.MarkFlagDirname("journal")
}

// selecting adds the flags that say which sockets are meant.
func (f *fixing) selecting(cmd *cobra.Command) {
	f.sockets(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "mean every socket: nothing says whose, or between which addresses")
	byHand(cmd, "all")
}

// checkAccepted refuses risks that there are not.
func (f *fixing) checkAccepted(risks ...string) error {
	for _, word := range f.accept {
		if !slices.Contains(risks, word) {
			return usage("--accept-risk %q: expected %s", word, strings.Join(risks, ", "))
		}
	}
	return nil
}

// risky tells that a risk has to be accepted by name.
func risky(r tcpvet.Risk) bool { return r >= tcpvet.DropsConnections }

// again gives the line that was typed, with its flags as they were understood and more
// at the end.
func again(cmd *cobra.Command, args []string, more ...string) string {
	words := strings.Fields(cmd.CommandPath())
	flags := cmd.Flags()
	flags.SortFlags = false // as they were typed
	flags.Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "output", "color", "verbose", "apply", "accept-risk":
			return // how it is printed, and what more says
		}
		switch v := flag.Value.(type) {
		case pflag.SliceValue:
			words = append(words, "--"+flag.Name, vet.Quote(strings.Join(v.GetSlice(), ",")))
		default:
			switch {
			case flag.Value.Type() == "bool" && flag.Value.String() == "true":
				words = append(words, "--"+flag.Name)
			case flag.NoOptDefVal != "":
				words = append(words, "--"+flag.Name+"="+vet.Quote(typed(flag.Value)))
			default:
				words = append(words, "--"+flag.Name, vet.Quote(typed(flag.Value)))
			}
		}
	})
	for _, arg := range args {
		words = append(words, vet.Quote(arg))
	}
	return strings.Join(append(words, more...), " ")
}

// typed gives a value as one would type it.
func typed(v pflag.Value) string {
	if d, err := time.ParseDuration(v.String()); err == nil && v.Type() == "duration" {
		return vet.ShellDuration(d)
	}
	return v.String()
}

// acceptFlag gives the words that accept a risk, none for one that need not be.
func acceptFlag(r tcpvet.Risk) []string {
	if !risky(r) {
		return nil
	}
	return []string{"--accept-risk", r.String()}
}
