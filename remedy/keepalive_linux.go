package remedy

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// The ways to the timers of sockets.
const (
	byAny    = ""
	byBPF    = "bpf"
	byBorrow = "borrow"
)

// keepalive is the actor of KeepalivePlan: it sets the keepalive and the user timeout
// of sockets that are known by their cookies. What an iterator of BPF does not lead
// to, a descriptor does that is borrowed from the process which holds the socket.
type keepalive struct {
	by      string
	leave   bool // the user timeout stays as it is
	fromNow bool // as of a timersJob
	each    bool // that none of the sockets may be reached is told of each, and no error
	bpf     timersBPF
}

// keepaliveActor gives the actor of KeepalivePlan.
func keepaliveActor() Actor { return new(keepalive) }

// Present reads the timers that are in effect.
func (k *keepalive) Present(ctx context.Context, changes []tcpvet.Change) error {
	jobs, places := jobsFor(changes)
	if err := k.do(ctx, jobs); err != nil {
		return fmt.Errorf("read the keepalive of sockets: %w", err)
	}
	for n, j := range jobs {
		c := &changes[places[n]]
		if j.answer != answered {
			c.Outcome, c.Reason = j.outcome()
			continue
		}
		c.Before.Timers = j.now
		if k.leave {
			c.After.Timers.UserTimeout = j.now.UserTimeout
		}
	}
	return nil
}

// Apply sets those of the timers that are to be others.
func (k *keepalive) Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error {
	jobs, places := jobsFor(changes)
	for n, i := range places {
		c, j := &changes[i], jobs[n]
		j.to = settable(c.After.Timers)
		j.set, j.fromNow = differing(c.Before.Timers, j.to), k.fromNow
	}
	err := k.do(ctx, jobs)
	for n, j := range jobs {
		if err != nil && j.answer == unanswered {
			continue
		}
		i := places[n]
		c := &changes[i]
		o, why := j.outcome()
		if o == tcpvet.OutcomeApplied && c.After.Timers != j.to {
			c.After.Timers, why = j.to, "it comes as near as the kernel lets a program set it"
		}
		tell(i, o, why)
	}
	if err != nil {
		return fmt.Errorf("set the keepalive of sockets: %w", err)
	}
	return nil
}

// jobsFor gives a job for each change that has no outcome, which only asks, and their
// places.
func jobsFor(changes []tcpvet.Change) (jobs []*timersJob, places []int) {
	places = pending(changes)
	all := make([]timersJob, len(places))
	jobs = make([]*timersJob, len(places))
	for n, i := range places {
		all[n].target = &changes[i].Target
		jobs[n] = &all[n]
	}
	return jobs, places
}

// do answers jobs, those of one socket one after the other. The error says that some
// could not be tried, or that none of them may be reached.
func (k *keepalive) do(ctx context.Context, jobs []*timersJob) error {
	var noBPF error
	for left := jobs; len(left) > 0; {
		var now []*timersJob
		now, left = onePerSocket(left)
		why, err := k.doOnce(ctx, now)
		if err != nil {
			return err
		}
		if noBPF == nil {
			noBPF = why
		}
	}
	if len(jobs) == 0 || k.each {
		return nil
	}
	return allDenied(jobs, noBPF)
}

// onePerSocket parts the first job of each socket from the rest. A watch may have set a
// socket's timers twice, which undo takes back twice.
func onePerSocket(jobs []*timersJob) (first, rest []*timersJob) {
	seen := make(map[uint64]bool, len(jobs))
	for _, j := range jobs {
		if seen[j.target.Cookie] {
			rest = append(rest, j)
			continue
		}
		seen[j.target.Cookie] = true
		first = append(first, j)
	}
	return first, rest
}

// doOnce answers jobs of different sockets. noBPF is why that way was not open to all
// of them.
func (k *keepalive) doOnce(ctx context.Context, jobs []*timersJob) (noBPF, err error) {
	if k.by != byBorrow {
		noBPF = k.bpf.do(ctx, jobs)
	}
	left := leftOf(jobs)
	if len(left) == 0 {
		return noBPF, nil // a signal comes too late
	}
	if err := ctx.Err(); err != nil {
		return noBPF, err
	}
	if k.by != byBPF {
		if err := doBorrowed(ctx, left); err != nil {
			return noBPF, err
		}
	}
	left = leftOf(jobs)
	if len(left) > 0 && noBPF != nil {
		return nil, noBPF
	}
	for _, j := range left {
		if j.err != nil {
			j.answer = refused
		}
	}
	return noBPF, nil
}

// allDenied is the error where no job was allowed to reach its socket.
func allDenied(jobs []*timersJob, noBPF error) error {
	for _, j := range jobs {
		if !errors.Is(j.err, errNoBorrow) {
			return nil
		}
	}
	denied := jobs[0].err
	if noBPF != nil {
		return fmt.Errorf("%w; %w", denied, noBPF)
	}
	return denied
}

// leftOf gives the jobs that are unanswered.
func leftOf(jobs []*timersJob) (left []*timersJob) {
	for _, j := range jobs {
		if j.answer == unanswered {
			left = append(left, j)
		}
	}
	return left
}
