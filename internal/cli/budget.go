package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/vet"
)

// budgeting holds the flags of budget.
type budgeting struct {
	top  int
	plan string
	hold time.Duration

	topGiven bool
	rate     float64 // of plan; 0 for none
}

// topTuples is how many lines a table has unless it is told otherwise: the fullest
// tuples are what one looks for, and they still fit a screen.
const topTuples = 20

func budgetCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	o := new(output)
	b := new(budgeting)
	cmd := &cobra.Command{
		Use:   "budget [HOST:PORT]",
		Short: "count local ports per destination: taken, by whom, left, and for how long",
		Long: `budget counts the local ports of each tuple: network namespace, local address
and remote endpoint. That is how the kernel hands them out, so a port that one
tuple has is free for every other. The fullest tuples come first.

  taken   ports of connections in any state, without TIME-WAITs whose port the
          kernel would give to a new connection now (column Reusable)
  left    range - reserved - kept by bind() - taken
  lasts   in how long no port is left if all goes on as in the last 10 s

HOST is an address; HOST alone, or :PORT alone, means each tuple with it. The
ports are always counted from all sockets: --pid, --comm and --container choose
the tuples in which such a process has a connection.

--plan RATE says what would carry so many new connections a second that this
side closes first, with the sums: 28,232 ports / 60 s = 470/s by default. The
235/s that one reads are for a TIME-WAIT of 120 s, which no Linux has.

Exit status: 0, 1 where a tuple has under 20 % left, 2 wrong usage, 3 nothing
could be looked at.`,
		Example: `  tcpvet budget
  tcpvet budget 10.0.3.7:8080
  tcpvet budget :443 -o wide
  tcpvet budget --plan 500/s --hold 50ms
  tcpvet budget 10.0.3.7:8080 --plan 1200/s
  ss -tanp | tcpvet budget --from - --port-range 32768-60999`,
		Args:              func(_ *cobra.Command, args []string) error { return atMostOne(args) },
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.topGiven = cmd.Flags().Changed("top")
			return budget(cmd.Context(), l, o, b, args)
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.top, "top", topTuples, "show so many tuples, 0 for all; json and csv show all unless this is given")
	f.StringVar(&b.plan, "plan", "", "say what would carry `RATE` new connections a second: 500 or 500/s")
	f.DurationVar(&b.hold, "hold", 0, "with --plan: how long a connection is in use, on average")
	l.flags(cmd)
	// Ports are taken in any state: a part of them would say nothing.
	_ = f.MarkHidden("state")
	for flag, whose := range map[string]string{"pid": "these processes have", "comm": "processes of these names have", "container": "these containers (name, ID or its beginning, or pod) have"} {
		f.Lookup(flag).Usage = "only tuples in which " + whose + " a connection"
	}
	o.flags(cmd, "table", "wide", "json", "csv")
	return cmd
}

func atMostOne(args []string) error {
	if len(args) > 1 {
		return usage("budget takes one HOST:PORT, and %d words were given", len(args))
	}
	return nil
}

func (b *budgeting) check(l *look) error {
	switch {
	case len(l.states) > 0:
		return usage("--state: ports are taken in every state, so budget counts them in all")
	case b.top < 0:
		return usage("--top %d: expected 0 or more", b.top)
	case b.hold < 0 || b.hold > 0 && b.hold < time.Microsecond || b.hold > vet.Day:
		return usage("--hold %s: expected 1us to 24h", b.hold)
	case b.hold > 0 && b.plan == "":
		return usage("--hold goes with --plan")
	case b.plan == "":
		return nil
	}
	var err error
	b.rate, err = parseRate(b.plan)
	return err
}

// mostRate is more than any host opens.
const mostRate = 1e7

// parseRate reads connections a second: "500", "500/s", "0.5/s".
func parseRate(s string) (float64, error) {
	r, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "/s")), 64)
	if err != nil || math.IsNaN(r) || r < 0.001 || r > mostRate {
		return 0, usage("--plan %q: expected connections a second from 0.001 to %.0f, as 500 or 500/s", s, mostRate)
	}
	return r, nil
}

func budget(ctx context.Context, l *look, o *output, b *budgeting, args []string) error {
	if err := b.check(l); err != nil {
		return err
	}
	to, err := target(args)
	if err != nil {
		return err
	}
	sel, srcs, err := l.start(ctx, nil, 1)
	if err != nil {
		return err
	}
	src := srcs[0]
	q := source.Query{Want: budgeted | sel.query().Want, Netns: l.namespaces()}
	if err := answerable(src, source.Query{Want: sel.query().Want}); err != nil {
		return err
	}
	if !src.Facts(q.Want).Has(tcpvet.FactPortRange) {
		return &exit{statusBlind, rangeless(l, src)}
	}
	// Who holds the ports of a tuple is told of every holder, so none is left out.
	c, lookErr := l.take(ctx, src, q, &selection{filter: new(filter.Filter)})
	c.Gaps = append(c.Gaps, sel.blindSpots(src, takesPorts)...)
	if lookErr != nil && c.Sockets == 0 {
		return l.after(lookErr, nil)
	}
	uses := chosenTuples(&c, sel, to)
	p, err := b.planned(&c, uses, args)
	if err != nil {
		return err
	}
	scarce := slices.ContainsFunc(uses, func(u vet.TupleUse) bool { return u.LeftRatio() < vet.Scarce })
	shown := report.Budget{Census: &c, Uses: uses, Plan: p}
	if n := b.lines(o); n > 0 && n < len(uses) {
		shown.Uses, shown.More = uses[:n], len(uses)-n
	}
	if err := printBudget(l.stdio.Out, o, &shown); err != nil {
		return err
	}
	if o.format != "json" {
		warnGaps(l.stdio.Err, c.Gaps)
	}
	if scarce {
		return &exit{status: statusFindings}
	}
	return l.after(lookErr, c.Gaps)
}

// budgeted holds what the ports of a tuple, their holders and rates rest on.
const budgeted = tcpvet.FactInfo | tcpvet.FactHolders | tcpvet.FactListeners | tcpvet.FactBound | tcpvet.FactPortRange | tcpvet.FactSysctls

// takesPorts are the states that a count of ports would lack if the source could
// not tell them.
var takesPorts = tcpvet.SetOf(tcpvet.TimeWait, tcpvet.Listen, tcpvet.BoundInactive)

func rangeless(l *look, src source.Source) error {
	if len(l.from) > 0 {
		return errors.New("the input does not tell the local port range: give --port-range LO-HI of the machine that it came from")
	}
	return fmt.Errorf("%s cannot tell the local port range", src.Name())
}

// target reads HOST:PORT as a filter does: what it says of an address is known.
func target(args []string) (*filter.Filter, error) {
	if len(args) == 0 {
		return nil, nil
	}
	f, err := filter.Parse([]string{"dst", args[0]})
	if err != nil {
		return nil, usage("read HOST:PORT, an address or port as 10.0.3.7:8080, 10.0.3.7 or :8080: %w", err)
	}
	return f, nil
}

// chosenTuples gives the tuples that were asked for, the fullest first. The one that
// stands for a whole namespace is always among them: it is about each.
func chosenTuples(c *tcpvet.Census, sel *selection, to *filter.Filter) []vet.TupleUse {
	tuples := vet.AllTuples(c)
	if to != nil { // of a link, which no tuple tells, every one is meant
		tuples = slices.DeleteFunc(tuples, func(t tcpvet.Tuple) bool {
			return t.Remote.IsValid() && to.Judge(&tcpvet.Socket{State: tcpvet.Established, Remote: t.Remote}) == filter.False
		})
	}
	info := func(p tcpvet.Process) tcpvet.ProcessInfo { return c.Processes[p] }
	uses := vet.TupleUses(c, tuples...)
	if !sel.holderless() {
		uses = slices.DeleteFunc(uses, func(u vet.TupleUse) bool {
			return !slices.ContainsFunc(u.Holders, func(s vet.Share) bool { return sel.matchHolder(s.Process, info) })
		})
	}
	vet.FullestFirst(uses)
	return uses
}

// planned gives the plan that was asked for, nil for none. It starts from the
// fullest of the tuples where a HOST:PORT was named, else from one without any
// connection.
func (b *budgeting) planned(c *tcpvet.Census, uses []vet.TupleUse, args []string) (*vet.Plan, error) {
	if b.rate == 0 {
		return nil, nil
	}
	var from *vet.TupleUse
	if len(args) > 0 && len(uses) > 0 {
		from = &uses[0]
	} else {
		id, err := onlyNetns(c)
		if err != nil {
			return nil, err
		}
		empty := vet.TupleUses(c, tcpvet.Tuple{Netns: id})
		if len(empty) == 0 {
			return nil, &exit{statusBlind, errors.New("--plan needs the local port range, which could not be read")}
		}
		from = &empty[0]
	}
	p := vet.PlanFor(c, *from, b.rate, b.hold)
	return &p, nil
}

// onlyNetns gives the namespace that a plan without a tuple is for: one's own, or
// the only one that was looked at.
func onlyNetns(c *tcpvet.Census) (tcpvet.NetnsID, error) {
	if _, seen := c.Netns[c.Self]; seen && c.Self != 0 {
		return c.Self, nil
	}
	if len(c.Netns) != 1 {
		return 0, usage("--plan: %d network namespaces were looked at; name one with --netns", len(c.Netns))
	}
	for id := range c.Netns {
		return id, nil
	}
	return 0, nil
}

// lines is how many tuples are shown, 0 for all.
func (b *budgeting) lines(o *output) int {
	if table := o.format == "table" || o.format == "wide"; !table && !b.topGiven {
		return 0
	}
	return b.top
}

func printBudget(w io.Writer, o *output, b *report.Budget) error {
	switch o.format {
	case "json":
		return document(w, jsonv1.BudgetOf(b.Census, b.Uses, b.More, b.Plan))
	case "csv":
		return b.CSV(w)
	}
	return b.Table(w, o.format == "wide", width(w, 100))
}
