package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/vet"
)

// fixKeepalive holds the flags of fix keepalive.
type fixKeepalive struct {
	fixing
	timers    tcpvet.Timers
	listeners bool
	watch     time.Duration
}

func fixKeepaliveCommand(stdio IO) *cobra.Command {
	f := &fixKeepalive{fixing: fixing{look: look{stdio: stdio}}, timers: tcpvet.DefaultTimers()}
	cmd := &cobra.Command{
		Use:   "keepalive [FILTER]",
		Short: "give keepalive to sockets of running programs",
		Long: `keepalive switches SO_KEEPALIVE on for the sockets that are selected, with
values of their own (tcp(7)), whatever their program is written in. The kernel
then ends a connection whose peer is gone, idle + count x interval after it was
last heard of, and what is between the two ends sees a probe in that time. More
than 500 sockets get idle times that lie apart, from a half of --idle to all of
it, so that their probes do not come all at once.

It ends no connection whose peer answers: a CLOSE-WAIT whose peer is alive and
only half closed stays. It closes no descriptor. The plan says when a port will
be free, how many probes it costs, and which outages end connections then.

Values are set by BPF, else through a borrowed descriptor (pidfd_getfd). A
program may set its own again later. With --watch new sockets get them too,
until Ctrl-C: for where tcpvet run cannot be used. Undo puts back what was
there.`,
		Example: `  tcpvet fix keepalive --pid 4121
  tcpvet fix keepalive --comm java dst 10.0.3.7 --idle 1m --interval 10s --apply
  tcpvet fix keepalive --pid 4121 --apply --watch`,
		ValidArgsFunction: completeFilter,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	g := cmd.Flags()
	g.DurationVar(&f.timers.Idle, "idle", f.timers.Idle, "silence before the first probe (TCP_KEEPIDLE), 1s to 32767s")
	g.DurationVar(&f.timers.Interval, "interval", f.timers.Interval, "between probes (TCP_KEEPINTVL), 1s to 32767s")
	g.IntVar(&f.timers.Count, "count", f.timers.Count, "probes without an answer that end it (TCP_KEEPCNT), 1 to 127")
	g.DurationVar(&f.timers.UserTimeout, "user-timeout", 0, "end also what is not acknowledged, or not read by the peer, for this long (TCP_USER_TIMEOUT); 0 leaves what each has")
	g.BoolVar(&f.listeners, "listeners", false, "listeners too: what they accept from then on begins with it")
	g.DurationVar(&f.watch, "watch", 0, "with --apply: go on, and give it to new sockets, looking every so often (2s if not said)")
	g.Lookup("watch").NoOptDefVal = "2s"
	f.selecting(cmd)
	f.changing(cmd)
	f.out.flags(cmd, "table", "wide", "json")
	return cmd
}

// leastWatch is how often sockets may be looked at: each look reads them all.
const leastWatch = 100 * time.Millisecond

func (f *fixKeepalive) run(cmd *cobra.Command, args []string) error {
	watching := cmd.Flags().Changed("watch")
	switch {
	case watching && f.watch < leastWatch:
		return usage("--watch %s: expected %s or more", f.watch, leastWatch)
	case watching && len(args) > 0 && isDuration(args[0]):
		return usage("--watch is followed by %q as a word of the filter: write --watch=%s", args[0], args[0])
	case watching && !f.apply:
		return usage("--watch goes with --apply: without it nothing is changed")
	case watching && f.out.format == "json":
		return usage("-o json prints one plan, and --watch goes on: give one of them")
	}
	if e, ok := errors.AsType[*tcpvet.TimerError](f.timers.Check()); ok {
		return usage("--%s %s: expected %s", strings.ReplaceAll(e.Timer, " ", "-"), e.Value, e.Want)
	}
	if err := f.checkAccepted(riskWords...); err != nil {
		return err
	}
	sel, by, err := f.choose(cmd.Context(), args)
	if err != nil {
		return err
	}
	opt := remedy.KeepaliveOptions{Selection: by, Timers: f.timers, Listeners: f.listeners, Watch: watching}
	p, err := remedy.PlanKeepalive(cmd.Context(), opt)
	if err != nil {
		return f.refused(err)
	}
	f.finishLook(p, sel, by)
	settled := f.settle(cmd.Context(), p, lineOf(cmd, args))
	if !watching || settled != nil && len(p.Changes) > 0 && p.ID == "" {
		return settled
	}
	return f.follow(cmd.Context(), p, sel, opt)
}

func isDuration(word string) bool {
	_, err := time.ParseDuration(word)
	return err == nil
}

// follow gives keepalive to new sockets until ctx ends, or the processes that were
// named have.
func (f *fixKeepalive) follow(ctx context.Context, p *remedy.Plan, sel *selection, opt remedy.KeepaliveOptions) error {
	opt.Source = opt.Source.(watched).Source // its looks are short, and many
	fmt.Fprintln(f.stdio.Err, "watching for new sockets; Ctrl-C ends")
	done := 0
	held, stop := sel.whileHeld(ctx)
	defer stop()
	err := remedy.WatchKeepalive(held, p, &remedy.Journal{Dir: f.journal}, opt, f.watch, func(changes []tcpvet.Change, gaps []tcpvet.Gap) {
		found := tcpvet.Plan{ID: p.ID, Kind: p.Kind, Risk: p.Risk, Changes: changes, Gaps: gaps}
		done += found.Tally()[tcpvet.OutcomeApplied]
		o := report.PlanOptions{
			Style: report.Style{Color: f.out.colored(f.stdio.Out), Width: width(f.stdio.Out, 100)},
			Wide:  f.out.format == "wide", Applied: true,
		}
		_ = report.Plan(f.stdio.Out, &found, aboutPlan(&found), o) // what is printed is in the journal too
	})
	if err == nil && ctx.Err() == nil {
		fmt.Fprintln(f.stdio.Err, "the processes that were named have ended")
	}
	fmt.Fprintf(f.stdio.Err, "%s while watching\n", vet.Counted(done, "new socket"))
	if p.ID != "" {
		fmt.Fprintln(f.stdio.Err, "undo it: "+f.undoLine(p.ID))
	}
	if err != nil {
		return &exit{statusFindings, err}
	}
	return nil
}
