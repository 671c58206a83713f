package remedy

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// Apply makes the changes of the plan that have no outcome, when nobody else applies
// one by the same journal. What is there now is read and written down first; a change
// whose target is no longer as the plan says is refused. Each gets its outcome.
//
// The error is a *JournalError where nothing could be written down, and nothing was
// changed; it wraps an *OutcomeError where outcomes could not be. With any other
// error the changes without an outcome were not tried. A plan of which nothing could
// be applied is no error.
func (p *Plan) Apply(ctx context.Context, j *Journal) error {
	if p.ID != "" {
		return fmt.Errorf("apply plan: it was applied as %s: plan it anew", p.ID)
	}
	// Sockets change their timers as their programs like: what is there is noted,
	// and put back by undo. All else is not touched when it has changed.
	strict := p.Kind != tcpvet.KeepalivePlan || p.Undoes != ""
	if p.Undoes != "" {
		j = j.holding()
	}
	if len(pending(p.Changes)) > 0 {
		done, err := j.turn(ctx)
		if err != nil {
			return &JournalError{Err: err}
		}
		defer done()
	}
	if err := p.refresh(ctx, p.Changes, strict); err != nil {
		return err
	}
	places := pending(p.Changes)
	if len(places) == 0 {
		return nil
	}
	s, err := j.begin(ctx, &p.Plan, places)
	if err != nil {
		return &JournalError{Err: err}
	}
	p.set, p.ID = s, s.id
	return p.act(ctx, p.Changes, places, s.end)
}

// Extend makes further changes of the same kind, as a part of what Apply has
// applied: they get their outcomes, and are undone with the rest. They are not added
// to p.Changes, so that a plan that goes on for days does not grow.
func (p *Plan) Extend(ctx context.Context, j *Journal, changes []tcpvet.Change) error {
	done, err := j.turn(ctx)
	if err != nil {
		return &JournalError{Err: err, ID: p.ID}
	}
	defer done()
	if err := p.refresh(ctx, changes, false); err != nil {
		return err
	}
	places := pending(changes)
	if len(places) == 0 {
		return nil
	}
	if p.set == nil {
		s, err := j.begin(ctx, &tcpvet.Plan{Kind: p.Kind, Risk: p.Risk, Changes: changes}, places)
		if err != nil {
			return &JournalError{Err: err}
		}
		p.set, p.ID = s, s.id
	} else if err := p.set.record(ctx, nil, changes, places); err != nil {
		return &JournalError{Err: err, ID: p.ID}
	}
	return p.act(ctx, changes, places, p.set.end)
}

// refresh reads what is there now. Where strict is set a change is refused if that
// is not what the plan was made from.
func (p *Plan) refresh(ctx context.Context, changes []tcpvet.Change, strict bool) error {
	if p.By == nil {
		return fmt.Errorf("apply plan: nobody can make changes of the kind %s", p.Kind)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	before := make([]tcpvet.Value, len(changes))
	for i := range changes {
		before[i] = changes[i].Before
	}
	if err := p.By.Present(ctx, changes); err != nil {
		return err
	}
	for i := range changes {
		switch c := &changes[i]; {
		case c.Outcome != tcpvet.OutcomePlanned:
		case c.Before == c.After:
			c.Outcome, c.Reason = tcpvet.OutcomeUnchanged, "it is so already"
		case strict && c.Before != before[i]:
			c.Outcome = tcpvet.OutcomeRefused
			c.Reason = fmt.Sprintf("it was %s when the plan was made and is %s now: plan it anew", words(before[i]), words(c.Before))
		}
	}
	return nil
}

// pending gives the places of the changes that have no outcome.
func pending(changes []tcpvet.Change) []int {
	var places []int
	for i := range changes {
		if changes[i].Outcome == tcpvet.OutcomePlanned {
			places = append(places, i)
		}
	}
	return places
}

// act makes the changes at places, which are written down.
func (p *Plan) act(ctx context.Context, changes []tcpvet.Change, places []int, end func(error) error) error {
	first := p.set.recorded - len(places)
	number := make(map[int]int, len(places))
	planned := make([]tcpvet.Value, len(places))
	for n, i := range places {
		number[i], planned[n] = first+n, changes[i].After
	}
	err := p.By.Apply(ctx, changes, func(i int, o tcpvet.Outcome, reason string) {
		n, ok := number[i]
		if !ok || o == tcpvet.OutcomePlanned || changes[i].Outcome != tcpvet.OutcomePlanned {
			return // not its to tell, or told before
		}
		if p.Undoes != "" && o == tcpvet.OutcomeApplied {
			o = tcpvet.OutcomeUndone
		}
		c := &changes[i]
		c.Outcome, c.Reason = o, reason
		told := outcomeOfOne{N: n, Outcome: string(o), Reason: printable(reason, maxReason)}
		if c.After != planned[n-first] {
			v := valueRecordOf(c.After)
			told.After = &v
		}
		p.set.tell(told)
	})
	return errors.Join(err, end(err))
}

// words quotes what has no letters.
func words(v tcpvet.Value) string {
	if s := v.String(); s != "" {
		return s
	}
	return "empty"
}
