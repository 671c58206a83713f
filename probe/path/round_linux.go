package path

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// confirming is how many that are idle for as long are asked when one was lost: a
// balancer may send one of them, or two, to a server that is ill.
const confirming = 3

// round looks at everything once, and asks what is due.
func (m *measurement) round(ctx context.Context) (done bool, err error) {
	now := time.Now()
	for len(m.waiting) > 0 && now.Sub(m.begin) >= m.waiting[0] {
		m.waiting = m.waiting[1:]
		m.open(ctx, &lodger{spare: true})
	}
	for _, l := range m.lodgers {
		if err := l.attend(m.o.Timeout); err != nil {
			return false, err
		}
		if l.step > 0 && l.asked.IsZero() && !l.decided && !now.Before(l.due) {
			if err := m.ask(l); err != nil {
				return false, err
			}
		}
	}
	for _, l := range m.lodgers {
		if l.step > 0 && !l.fresh && !l.told && l.suspect(m.late) {
			l.told = true
			if err := m.narrow(ctx, l); err != nil {
				return false, err
			}
		}
	}
	return m.done(), nil
}

// ask asks. That the connection has ended in this very moment shows at the next look.
func (m *measurement) ask(l *lodger) error {
	if err := l.question(); err != nil {
		if e := l.look(); e != nil || l.ended.by.IsZero() {
			return err
		}
	}
	return nil
}

// narrow is called when something is wrong with a connection: it asks at once those
// that are idle for a little less, and some that are idle for as long, and sees
// whether the peer can be reached at all.
func (m *measurement) narrow(ctx context.Context, l *lodger) error {
	closed := l.decided && l.outcome == probe.Closed
	m.waiting = nil
	confirm := confirming
	// Those that were to be idle for longest are left, should it have been the probe
	// that was lost.
	for _, o := range slices.SortedStableFunc(slices.Values(m.lodgers), func(a, b *lodger) int { return cmp.Compare(a.step, b.step) }) {
		if o.decided || o.pending() || o.fresh {
			continue
		}
		switch {
		case o.spare:
			if time.Since(o.crossed.last.by) < Least {
				continue
			}
		case closed:
			// It may be closed a moment later. What stays open is asked then.
			if due := time.Now().Add(m.o.Timeout); due.Before(o.due) {
				o.due = due
			}
			continue
		case confirm > 0:
			confirm--
		default:
			continue
		}
		if err := m.ask(o); err != nil {
			return err
		}
	}
	if !closed && !slices.ContainsFunc(m.lodgers, func(o *lodger) bool { return o.fresh && !o.decided }) {
		m.fresh, m.refused = &lodger{fresh: true, step: Least}, false
		m.open(ctx, m.fresh)
	}
	return nil
}

// done tells whether all is known that will be.
func (m *measurement) done() bool {
	lost, left, contradicted := 0, 0, false
	for _, l := range m.lodgers {
		switch {
		case l.pending() || l.fresh && !l.decided:
			return false
		case l.decided && !l.fresh && l.suspect(0) && l.outcome != probe.Closed:
			lost++
			contradicted = contradicted || slices.ContainsFunc(m.lodgers, func(o *lodger) bool {
				return o.decided && !o.fresh && o.outcome == probe.Answered && o.silence.Low >= l.silence.High
			})
		case !l.decided && l.step > 0:
			left++
		}
	}
	if m.opening > 0 && len(m.waiting) == 0 && (lost > 0 || left == 0) {
		return false // one of them may be the fresh one
	}
	return left == 0 && m.opening == 0 || lost > 1 && !contradicted
}

func (m *measurement) progress() Progress {
	p := Progress{Elapsed: time.Since(m.begin), Most: m.o.Steps[len(m.o.Steps)-1]}
	for _, l := range m.lodgers {
		if l.decided {
			p.Asked++
		} else {
			p.Open++
		}
	}
	return p
}

// tell puts what is known into out.
func (m *measurement) tell(out *probe.Idle) {
	out.Failed, out.Why = m.failed, m.why
	lost := false
	for _, l := range m.lodgers {
		out.Heard = max(out.Heard, l.heard)
		if !l.fresh && l.decided {
			out.Trials = append(out.Trials, l.trial(out.Taken))
			lost = lost || l.outcome != probe.Answered && l.outcome != probe.Closed && l.outcome != probe.Undecided
		}
	}
	if lost && m.fresh != nil && (m.refused || m.fresh.decided) {
		answered := !m.refused && m.fresh.outcome == probe.Answered
		out.Fresh = &answered
	}
	slices.SortFunc(out.Trials, func(a, b probe.Trial) int { return int(a.Silence.Low - b.Silence.Low) })
}

// leave closes what is open.
func (m *measurement) leave(out *probe.Idle) {
	for _, l := range m.lodgers {
		l.close(out.Forgets())
	}
	for ; m.opening > 0; m.opening-- {
		if o := <-m.opened; o.connection != nil {
			o.abandon()
		}
	}
}
