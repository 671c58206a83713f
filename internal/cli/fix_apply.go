package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

const defaultJournal = remedy.DefaultDir

// settle shows the plan, or applies it and shows what became of it. The exit status
// says which. line gives the command line that applies it, with more words.
func (f *fixing) settle(ctx context.Context, p *remedy.Plan, line func(more ...string) string) error {
	if !f.apply {
		if err := f.show(p, line); err != nil {
			return err
		}
		if f.unseen != nil {
			return &exit{statusBlind, f.unseen}
		}
		return shown(&p.Plan)
	}
	if p.Pending() && !f.accepts(p.Risk) {
		return usage("nothing was applied: its risk is %s, which has to be accepted: --accept-risk %s; without --apply the plan is shown", p.Risk, p.Risk)
	}
	applyErr := uncanceled(p.Apply(ctx, &remedy.Journal{Dir: f.journal}))
	if err := f.show(p, line); err != nil {
		return unprinted(&p.Plan, errors.Join(applyErr, err))
	}
	if f.unseen != nil && len(p.Changes) == 0 {
		applyErr = f.unseen
	}
	return applied(&p.Plan, applyErr)
}

// uncanceled says of an error that comes of a signal that it does: what was applied by
// then gives the exit status.
func uncanceled(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	interrupted := errors.New("interrupted")
	if unwritten, ok := errors.AsType[*remedy.OutcomeError](err); ok {
		return errors.Join(interrupted, unwritten)
	}
	return interrupted
}

// unprinted gives the exit status of a plan that was to be applied, and of which it could
// not be printed what became of it.
func unprinted(p *tcpvet.Plan, err error) error {
	tally := p.Tally()
	if tally[tcpvet.OutcomeApplied]+tally[tcpvet.OutcomeUndone] == 0 {
		return &exit{statusBlind, err}
	}
	return &exit{statusFindings, fmt.Errorf("applied as %s, which could not be printed: %w; tcpvet fix log tells what became of it", p.ID, err)}
}

// accepts tells whether a risk may be taken.
func (f *fixing) accepts(r tcpvet.Risk) bool {
	if !risky(r) {
		return true
	}
	for _, word := range f.accept {
		if word == r.String() {
			return true
		}
	}
	return false
}

// shown gives the exit status of a plan that was shown.
func shown(p *tcpvet.Plan) error {
	tally := p.Tally()
	if !p.Pending() && tally[tcpvet.OutcomeRefused]+tally[tcpvet.OutcomeFailed] > 0 {
		return &exit{statusBlind, errors.New("nothing of it can be applied")}
	}
	return nil
}

// applied gives the exit status of a plan that was to be applied, and says what is
// wrong.
func applied(p *tcpvet.Plan, err error) error {
	tally := p.Tally()
	done := tally[tcpvet.OutcomeApplied] + tally[tcpvet.OutcomeUndone]
	undone := tally[tcpvet.OutcomeRefused] + tally[tcpvet.OutcomeFailed] + tally[tcpvet.OutcomePlanned]
	switch {
	case done == 0 && err != nil:
		return &exit{statusBlind, fmt.Errorf("nothing was applied: %w", err)}
	case done == 0 && undone > 0, len(p.Changes) == 0:
		return &exit{statusBlind, errors.New("nothing was applied")}
	case err != nil && undone == 0:
		return &exit{statusFindings, fmt.Errorf("applied: %w", err)}
	case err != nil:
		return &exit{statusFindings, fmt.Errorf("applied in part: %w", err)}
	case undone > 0:
		return &exit{status: statusFindings}
	}
	return nil
}

// show prints the plan.
func (f *fixing) show(p *remedy.Plan, line func(more ...string) string) error {
	about := aboutPlan(&p.Plan)
	if f.out.format == "json" {
		return document(f.stdio.Out, jsonv1.InCensus(about).PlanOf(&p.Plan))
	}
	o := report.PlanOptions{
		Style:   report.Style{Color: f.out.colored(f.stdio.Out), Width: width(f.stdio.Out, 100)},
		Wide:    f.out.format == "wide",
		Applied: f.apply,
	}
	tally := p.Tally()
	switch {
	case p.ID == "" && p.Pending() && !f.apply:
		o.Next = append(o.Next, report.PlanNext{
			Label: "apply it", Command: line(append([]string{"--apply"}, acceptFlag(p.Risk)...)...), Text: "(risk: " + p.Risk.String() + ")",
		})
	case p.ID != "" && p.Undoes == "" && p.Kind != tcpvet.ClosePlan && tally[tcpvet.OutcomeApplied]+tally[tcpvet.OutcomeFailed]+tally[tcpvet.OutcomePlanned] > 0:
		o.Next = append(o.Next, report.PlanNext{Label: "undo it", Command: f.undoLine(p.ID)})
	}
	return report.Plan(f.stdio.Out, &p.Plan, about, o)
}

// undoLine is the command that shows how to undo.
func (f *fixing) undoLine(id string) string {
	line := "tcpvet fix undo " + id
	if f.journal != "" {
		line += " --journal " + vet.Quote(f.journal)
	}
	return line
}

// aboutPlan names the processes and the namespaces of a plan.
func aboutPlan(p *tcpvet.Plan) *tcpvet.Census {
	c := &tcpvet.Census{
		Facts:     tcpvet.FactHolders | tcpvet.FactInode,
		Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
		Netns:     make(map[tcpvet.NetnsID]tcpvet.Netns),
	}
	c.Self, _ = netns.Self() // 0 names every namespace
	named := true
	for i := range p.Changes {
		t := &p.Changes[i].Target
		if t.Holder.Known() {
			c.Processes[t.Holder] = tcpvet.ProcessInfo{Comm: t.Comm}
		}
		named = named && (t.Netns == 0 || t.Netns == c.Self)
	}
	if named {
		return c
	}
	found, _, _ := netns.Find(netns.Options{}) // they have their numbers else
	for _, n := range found {
		c.Netns[n.ID] = tcpvet.Netns{ID: n.ID, Names: n.Names}
	}
	return c
}

// lineOf gives again for the words of a command.
func lineOf(cmd *cobra.Command, args []string) func(more ...string) string {
	return func(more ...string) string { return again(cmd, args, more...) }
}
