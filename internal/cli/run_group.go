package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/run"
	"github.com/tcpvet/tcpvet/vet"
)

// group gives new sockets of what runs already what o says.
func (r *running) group(o run.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g, err := r.find(ctx)
	if err != nil {
		return err
	}
	if len(g.Others) > 0 && !slices.Contains(r.accept, wholeCgroup) {
		return fmt.Errorf("%s is in cgroup %s with %s: their new sockets would get the same: accept it with --accept-risk %s%s", g.Of, g.Path, membersText(g.Others), wholeCgroup, r.instead())
	}
	if r.detach {
		return r.begin(ctx, g, o)
	}
	a, err := g.Attach(o)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.stdio.Err, "tcpvet run: new sockets of %s get %s; Ctrl-C ends\n", g.Of, o.String())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !a.Gone() {
		select {
		case <-ctx.Done():
		case <-tick.C:
			continue
		}
		break
	}
	s, err := a.Summary()
	if err == nil {
		r.summary(&s)
	}
	return errors.Join(err, a.Close())
}

// find gives the group that the flags name.
func (r *running) find(ctx context.Context) (*run.Group, error) {
	switch {
	case r.given("pid"):
		return run.OfProcess(r.pid)
	case r.given("container"):
		return run.OfContainer(ctx, r.container)
	}
	return run.OfPath(r.cgroup)
}

// instead names what does something alike for the processes alone, where fix can name
// them.
func (r *running) instead() string {
	switch {
	case r.given("pid"):
		return fmt.Sprintf(", or take tcpvet fix keepalive --pid %d --apply --watch", r.pid)
	case r.given("container"):
		return ", or take tcpvet fix keepalive --container " + vet.Quote(r.container) + " --apply --watch"
	}
	return ""
}

// begin begins a run that goes on by itself.
func (r *running) begin(ctx context.Context, g *run.Group, o run.Options) error {
	p, actor, err := run.Runs{}.PlanDetach(g, o)
	if err != nil {
		return err
	}
	return r.change(ctx, &remedy.Plan{Plan: p, By: runs{actor}}, report.PlanNext{Label: "stop it", Command: "tcpvet run --stop " + p.Changes[0].Target.Run})
}

// stopRun ends a run, and says what it came to.
func (r *running) stopRun(ctx context.Context) error {
	p, actor, err := run.Runs{}.PlanStop(r.stop)
	if err != nil {
		return err
	}
	var came *run.Summary
	if all, err := (run.Runs{}).List(); err == nil {
		for i := range all {
			if all[i].ID == p.Changes[0].Target.Run && all[i].Err == nil {
				came = &all[i].Summary
			}
		}
	}
	err = r.change(ctx, &remedy.Plan{Plan: p, By: runs{actor}})
	if err == nil && came != nil {
		r.summary(came)
	}
	return err
}

// change applies a plan of one change, written down as others are.
func (r *running) change(ctx context.Context, p *remedy.Plan, next ...report.PlanNext) error {
	err := p.Apply(ctx, &remedy.Journal{Dir: r.journal})
	c := &p.Changes[0]
	about := aboutPlan(&p.Plan)
	var printErr error
	if r.out.format == "json" {
		printErr = document(r.stdio.Out, jsonv1.InCensus(about).PlanOf(&p.Plan))
	} else if err == nil || c.Outcome != tcpvet.OutcomePlanned {
		if c.Outcome != tcpvet.OutcomeApplied {
			next = nil
		}
		printErr = report.Plan(r.stdio.Out, &p.Plan, about, report.PlanOptions{
			Style: report.Style{Color: r.out.colored(r.stdio.Out), Width: width(r.stdio.Out, 100)}, Applied: true, Next: next,
		})
	}
	if err == nil && c.Outcome != tcpvet.OutcomeApplied && c.Outcome != tcpvet.OutcomeUnchanged && c.Outcome != tcpvet.OutcomeGone {
		err = fmt.Errorf("%s: %s", c.Outcome, c.Reason)
	}
	if printErr != nil && c.Outcome == tcpvet.OutcomeApplied {
		printErr = fmt.Errorf("applied as %s, which could not be printed: %w; tcpvet run --list tells what goes on", p.ID, printErr)
	}
	return errors.Join(err, printErr)
}

// membersText names processes, the first of them.
func membersText(all []run.Member) string {
	const most = 5
	named, rest := vet.Cut(all, most)
	var names []string
	for _, m := range named {
		names = append(names, vet.Plain(m.String()))
	}
	if len(rest) > 0 {
		names = append(names, vet.Count(len(rest))+" more")
	}
	return strings.Join(names, ", ")
}
