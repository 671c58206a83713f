package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// UndoOptions says how to undo.
type UndoOptions struct {
	Run Actor // of runs, which who runs programs gives; nil where there is none
}

// Why something is not undone.
var (
	ErrUndone      = errors.New("it was undone already")
	ErrNotUndoable = errors.New("it cannot be undone")
)

// PlanUndo plans to put back what was there before a set of changes. id may be the
// beginning of its ID, or "" for the newest that can be undone; runs that were stopped
// cannot. What the journal does not know to have been applied is put back if it is found
// to have been.
//
// A change is undone where its target still has what was set. The plan holds the
// others with their reason.
func PlanUndo(ctx context.Context, j *Journal, id string, opt UndoOptions) (*Plan, error) {
	found, damage, err := j.find(id)
	if err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	var first *Plan
	for _, e := range found {
		p, err := planUndo(ctx, j, e, damage, opt)
		if err != nil || p.Pending() || e.Kind != tcpvet.RunPlan {
			return p, err
		}
		if first == nil {
			first = p // of a run that was stopped, or of its stopping
		}
	}
	return first, nil
}

// planUndo plans to put back what was there before an entry.
func planUndo(ctx context.Context, j *Journal, e *Entry, damage *Damage, opt UndoOptions) (*Plan, error) {
	fail := func(why error, more string) (*Plan, error) {
		return nil, fmt.Errorf("undo %s: %w%s", e.ID, why, more)
	}
	p := &Plan{Plan: tcpvet.Plan{Undoes: e.ID, Kind: e.Kind, Risk: e.Risk}}
	switch {
	case e.Undoes != "":
		return fail(ErrNotUndoable, ": it is itself what undid "+e.Undoes+"; plan that anew to have it again")
	case e.Kind == tcpvet.ClosePlan:
		return fail(ErrNotUndoable, ": a socket that was closed is not opened again")
	case !e.Recorded:
		return fail(ErrNotUndoable, ": it was not written down in full, so nothing was changed")
	case e.Running:
		return fail(ErrNotUndoable, fmt.Sprintf(" yet: process %d is still applying it; end that first", e.Who.Process.PID))
	case e.Kind == tcpvet.KeepalivePlan:
		p.By = keepaliveActor()
	case e.Kind == tcpvet.SysctlPlan:
		p.By = sysctl{}
	case e.Kind == tcpvet.RunPlan:
		p.By = opt.Run
	}
	if p.By == nil {
		return fail(ErrNotUndoable, ": nobody here can change what belongs to the kind "+e.Kind.String())
	}
	changes, missing, err := j.changes(e.ID)
	if err != nil {
		return fail(err, "")
	}
	if text := damage.String(); text != "" || missing > 0 {
		if missing > 0 {
			text = fmt.Sprintf("%d changes of %s cannot be read; %s", missing, e.ID, text)
		}
		p.Gaps = append(p.Gaps, tcpvet.Gap{What: "journal", Where: j.dir(), Err: strings.TrimSuffix(text, "; "), Count: missing})
	}
	var set []tcpvet.Value // what each target was given
	var sure []bool        // that it was
	// The last first: a later change may rest on an earlier one.
	for _, c := range slices.Backward(changes) {
		switch c.Outcome {
		case tcpvet.OutcomeApplied, tcpvet.OutcomePlanned, tcpvet.OutcomeFailed:
			back := tcpvet.Change{Target: c.Target, Before: c.After, After: c.Before}
			if !e.SameBoot && c.Target.File == "" {
				back.Outcome, back.Reason = tcpvet.OutcomeGone, "the machine was started anew since"
			}
			p.Changes, set, sure = append(p.Changes, back), append(set, c.After), append(sure, c.Outcome == tcpvet.OutcomeApplied)
		}
	}
	if len(p.Changes) == 0 && missing > 0 {
		return fail(ErrNotUndoable, fmt.Sprintf(": none of its %d changes can be read: see journal %s", missing, j.dir()))
	}
	if len(p.Changes) == 0 {
		return fail(ErrNotUndoable, ": nothing of it was applied")
	}
	if err := p.By.Present(ctx, p.Changes); err != nil {
		return fail(err, "")
	}
	for i := range p.Changes {
		// An undo that was interrupted may have keepalive off for the timer to begin anew.
		compare(&p.Changes[i], set[i], sure[i] && len(e.Undone) == 0)
	}
	if e.Kind == tcpvet.KeepalivePlan {
		p.Risk, p.Notes = undoRisk(p.Changes)
	}
	if tally := p.Tally(); !p.Pending() && len(e.Undone) > 0 && tally[tcpvet.OutcomeUnchanged]+tally[tcpvet.OutcomeGone] > 0 {
		return fail(ErrUndone, ", by "+strings.Join(e.Undone, " and "))
	}
	return p, nil
}

// compare decides about a change that is to be undone, of which Before is what is
// there now, and set what was set; sure tells that it was.
func compare(c *tcpvet.Change, set tcpvet.Value, sure bool) {
	now := c.Before
	switch {
	case c.Outcome != tcpvet.OutcomePlanned, now == set && now != c.After:
	case now == c.After:
		c.Outcome, c.Reason = tcpvet.OutcomeUnchanged, "it is as it was before"
	case c.Target.Cookie != 0 && between(now.Timers, c.After.Timers, set.Timers, sure):
		// Its process ended between two options.
	default:
		c.Outcome = tcpvet.OutcomeRefused
		c.Reason = fmt.Sprintf("it was set to %s and is %s now: somebody has changed it since", words(set), words(now))
	}
}

// between tells whether each of the timers is as in one of two. Where it is not sure
// that all was set, keepalive may be off in between for the timer to begin anew.
func between(t, a, b tcpvet.Timers, sure bool) bool {
	return (t.Keepalive == a.Keepalive || t.Keepalive == b.Keepalive || !sure && !t.Keepalive) &&
		(t.Idle == a.Idle || t.Idle == b.Idle) &&
		(t.Interval == a.Interval || t.Interval == b.Interval) &&
		(t.Count == a.Count || t.Count == b.Count) &&
		(t.UserTimeout == a.UserTimeout || t.UserTimeout == b.UserTimeout)
}

// find gives the entry that id begins, or those that can be undone, the newest first.
func (j *Journal) find(id string) ([]*Entry, *Damage, error) {
	log, err := j.log(maxEntries, func(b *beginRecord) bool {
		return id == "" || strings.HasPrefix(b.ID, id) || strings.HasPrefix(b.Undoes, id)
	})
	if err != nil {
		return nil, nil, err
	}
	if id != "" {
		e, err := pick(log, id)
		return []*Entry{e}, &log.Damage, err
	}
	var found []*Entry
	for i := range slices.Backward(log.Entries) {
		if e := &log.Entries[i]; e.Undoable() {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("%w that can be undone: see tcpvet fix log%s", ErrNothing, log.Damage.after())
	}
	return found, &log.Damage, nil
}
