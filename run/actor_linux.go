package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Start is a detached run to come.
type Start struct {
	Group   *Group
	Options Options
}

// Actor begins and stops detached runs as changes of a plan: a change whose After is
// absent stops the run, another begins it.
type Actor struct {
	Runs  Runs
	Start *Start // what a change begins, nil where all stop
}

// PlanDetach plans a run that goes on by itself.
func (r Runs) PlanDetach(g *Group, o Options) (tcpvet.Plan, Actor, error) {
	if err := o.Check(); err != nil {
		return tcpvet.Plan{}, Actor{}, err
	}
	return tcpvet.Plan{
		Kind: tcpvet.RunPlan,
		Risk: tcpvet.ChangesProcess,
		Changes: []tcpvet.Change{{
			Target: tcpvet.Target{Run: NewID()},
			Before: tcpvet.Value{Absent: true},
			After:  o.value(g.Path),
		}},
		Notes: o.notes(g),
	}, Actor{r, &Start{g, o}}, nil
}

// PlanStop plans the end of a run, by its ID or the beginning of it.
func (r Runs) PlanStop(id string) (tcpvet.Plan, Actor, error) {
	d, err := r.find(id)
	if err != nil {
		return tcpvet.Plan{}, Actor{}, fmt.Errorf("stop a run: %w", err)
	}
	return tcpvet.Plan{
		Kind:    tcpvet.RunPlan,
		Risk:    tcpvet.RiskNone,
		Changes: []tcpvet.Change{{Target: tcpvet.Target{Run: d.ID}, Before: d.Options.value(d.Path), After: tcpvet.Value{Absent: true}}},
		Notes:   []string{"Sockets keep what they have; new ones get nothing any more."},
	}, Actor{Runs: r}, nil
}

// notes say what a run does not do, and its harm.
func (o *Options) notes(g *Group) []string {
	notes := []string{"Only new sockets get this. A listener that was made in another cgroup is not touched, nor is what it accepts."}
	if t := o.Timers; t.Keepalive {
		notes = append(notes, fmt.Sprintf("A program that sets its own values after it connected or accepted keeps those, as Go's net package does (15s + 9 x 15s) unless its KeepAlive is negative. A connection whose peer is gone ends after %v; so does a healthy one in an outage of that length.", t.Idle+t.Interval*time.Duration(t.Count)))
	}
	if t := o.Timers.UserTimeout; t != 0 {
		notes = append(notes, fmt.Sprintf("Data that is not acknowledged for %v ends a connection, and so does a connect that is not answered.", t))
	}
	if len(g.Others) > 0 {
		notes = append(notes, fmt.Sprintf("%d other processes in %s get the same.", len(g.Others), g.Path))
	}
	return notes
}

// value is what a run is in a plan: the timers, and in words the rest.
func (o *Options) value(path string) tcpvet.Value {
	text := "cgroup " + path
	if len(o.Pool) > 0 {
		text += ", " + (&Options{Pool: o.Pool}).String()
	}
	return tcpvet.Value{Timers: o.Timers, Text: text}
}

// Present sets Before of each change to what the run is now.
func (a Actor) Present(_ context.Context, changes []tcpvet.Change) error {
	all, err := a.Runs.List()
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		if c.Outcome != tcpvet.OutcomePlanned {
			continue
		}
		if c.Target.Run == "" {
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, "it is no run"
			continue
		}
		c.Before = tcpvet.Value{Absent: true}
		for j := range all {
			if all[j].ID == c.Target.Run {
				c.Before = all[j].Options.value(all[j].Path)
			}
		}
		switch {
		case c.After.Absent && c.Before.Absent:
			c.Outcome, c.Reason = tcpvet.OutcomeGone, "it was stopped already, or ended with a reboot"
		case !c.After.Absent && a.Start == nil:
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, "what was stopped is not begun again by undo: begin it anew (tcpvet run --detach)"
		}
	}
	return nil
}

// Apply begins and stops runs.
func (a Actor) Apply(ctx context.Context, changes []tcpvet.Change, tell func(i int, outcome tcpvet.Outcome, reason string)) error {
	for i := range changes {
		c := &changes[i]
		if c.Outcome != tcpvet.OutcomePlanned {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if c.After.Absent {
			_, err = a.Runs.Stop(c.Target.Run)
		} else {
			err = a.Runs.Detach(a.Start.Group, a.Start.Options, c.Target.Run)
		}
		switch {
		case err == nil:
			tell(i, tcpvet.OutcomeApplied, "")
		case errors.Is(err, ErrNoRun):
			tell(i, tcpvet.OutcomeGone, "it was stopped meanwhile")
		default:
			tell(i, tcpvet.OutcomeFailed, err.Error())
		}
	}
	return nil
}
