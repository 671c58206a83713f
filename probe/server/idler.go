package server

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// idler is a connection that is left idle. What is in kept, plan and closed is
// guarded by the measurement's lock; the connection is used by one goroutine.
type idler struct {
	*line
	kept probe.Kept
	done time.Time // when the last answer was read
	plan plan

	waiting bool // a read waits, until the deadline of the plan
	closed  bool
}

// plan is what is to be done with an idle connection.
type plan struct {
	ask   time.Duration // ask again after so long an idle time, 0 for never
	near  time.Duration // ask so long before the limit, once that is known, 0 for not
	until time.Time     // no longer than this, zero for as long as ask says
}

// The distances from a limit at which requests show that it was not there yet. The
// nearest shows most, the others are for a loaded machine and for servers that tick.
var nearest = [...]time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond}

// longAgo is a deadline that ends a read at once.
var longAgo = time.Unix(1, 0)

// plans says what each connection beside the first is for, and how much later than that
// one was answered each begins: so that when it ends, the limit is still ahead of others.
func plans(o *Options) (all []plan, later []time.Duration) {
	add := func(p plan, after time.Duration) {
		all, later = append(all, p), append(later, after)
	}
	n := o.Connections - 1
	if n > 3 {
		add(plan{ask: o.Most}, 500*time.Millisecond) // a second witness
		n--
	}
	near := min(len(nearest), (n+1)/2)
	for _, d := range nearest[len(nearest)-near:] {
		add(plan{ask: o.Most, near: d}, 2*d)
	}
	for _, age := range steps(n-near, o.Most, o.ClientIdle) {
		add(plan{ask: age}, 0)
	}
	return all, later
}

// steps gives ages at which connections are asked on the way: each longer than the one
// before by the same factor, and one at the client's limit.
func steps(n int, most, client time.Duration) []time.Duration {
	var all []time.Duration
	first := min(time.Second, most/4)
	for i := range n {
		// first * (most/first)^(i/n)
		all = append(all, time.Duration(float64(first)*math.Pow(float64(most)/float64(first), float64(i)/float64(n))))
	}
	if client > 0 && client < most && n > 0 {
		nearest := 0
		for i := range all {
			if (all[i] - client).Abs() < (all[nearest] - client).Abs() {
				nearest = i
			}
		}
		all[nearest] = client
		slices.Sort(all)
	}
	return all
}

// deadline gives the end of the wait that the plan asks for.
func (i *idler) deadline() time.Time {
	at := i.plan.until
	if i.plan.ask > 0 && len(i.kept.Exchanges) == 1 {
		if ask := i.done.Add(i.plan.ask); at.IsZero() || ask.Before(at) {
			at = ask
		}
	}
	return at
}

// due tells that it is time to ask.
func (i *idler) due(now time.Time) bool {
	return i.plan.ask > 0 && len(i.kept.Exchanges) == 1 && !now.Before(i.done.Add(i.plan.ask))
}

// watch waits for the end of an idle connection, and asks it when its plan says so.
func (m *Measurement) watch(ctx context.Context, i *idler) {
	defer i.close(m)
	stop := context.AfterFunc(ctx, func() { m.change(i, plan{until: longAgo}) })
	defer stop()
	for {
		end, err := m.wait(i)
		now := time.Now()
		switch {
		case end != nil:
			if !end.at.IsZero() {
				now = end.at
			}
			m.ended(i, end, now)
			return
		case !isTimeout(err):
			return // of no use
		}
		m.mu.Lock()
		due, over := i.due(now), !i.plan.until.IsZero() && !now.Before(i.plan.until)
		m.mu.Unlock()
		switch {
		case ctx.Err() != nil || over && !due:
			return
		case due && !m.again(ctx, i):
			return
		}
	}
}

// wait waits until the deadline of the plan, which may change meanwhile.
func (m *Measurement) wait(i *idler) (*ended, error) {
	// A peer's PING is answered meanwhile.
	_ = i.raw.SetWriteDeadline(time.Now().Add(m.o.Most + m.o.Timeout))
	m.mu.Lock()
	i.waiting = true
	err := i.raw.SetReadDeadline(i.deadline())
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		i.waiting = false
		m.mu.Unlock()
	}()
	if err != nil {
		return nil, err
	}
	return i.speaker.wait()
}

// change gives a connection another plan.
func (m *Measurement) change(i *idler, p plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changeLocked(i, p)
}

func (m *Measurement) changeLocked(i *idler, p plan) {
	i.plan = p
	if i.waiting {
		_ = i.raw.SetReadDeadline(i.deadline()) // one that is closed waits no more
	}
}

// again asks once more. It tells whether the connection is still to be watched.
func (m *Measurement) again(ctx context.Context, i *idler) bool {
	sent := time.Now()
	stop := context.AfterFunc(ctx, func() { _ = i.raw.SetDeadline(longAgo) })
	a, err := i.ask(m.o.Timeout)
	if !stop() || ctx.Err() != nil {
		return false // whatever came of it, it was broken off
	}
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		i.kept.Exchanges = append(i.kept.Exchanges, m.exchange(&a))
		i.done = a.done
		near := i.plan.near > 0
		i.plan.ask = 0
		if i.plan.until.IsZero() {
			i.plan.until = m.begun.Add(m.idle[0].kept.Exchanges[0].Done + m.o.Most)
		}
		return !near && !a.Close
	}
	m.mu.Lock()
	i.kept.Exchanges = append(i.kept.Exchanges, probe.Exchange{Sent: m.since(sent)})
	m.mu.Unlock()
	var e *ended
	switch {
	case errors.As(err, &e):
		m.ended(i, e, time.Now())
	case isTimeout(err):
		m.ended(i, &ended{how: probe.BySilence}, time.Now())
	default:
		m.ended(i, &ended{how: probe.ByBytes}, time.Now())
	}
	return false
}

// ended notes the end of a connection. With the first one it is known how long the
// others have: those that are near are asked shortly before, the others are watched a
// little longer.
func (m *Measurement) ended(i *idler, e *ended, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &i.kept
	k.Ended, k.How, k.Status, k.LastID, k.Code = m.since(at), e.how, e.status, e.lastID, e.code
	if _, _, gaveUp := k.Closed(); !gaveUp || !m.closing.IsZero() || m.found.Answer.Close {
		return
	}
	m.closing, m.limit = at, at.Sub(m.begun)-k.Exchanges[0].Done
	if m.seen = len(k.Exchanges) == 1; !m.seen {
		// It is not known when it was given up: the others are asked now.
		m.limit = k.Exchanges[1].Sent - k.Exchanges[0].Done
	}
	for _, o := range m.idle {
		m.replan(o)
	}
}

// replan changes the plan of a connection once another one was given up. The caller
// holds the lock.
func (m *Measurement) replan(i *idler) {
	if m.closing.IsZero() {
		return
	}
	p := i.plan
	switch {
	case p.near > 0 && len(i.kept.Exchanges) == 1:
		p.ask = max(m.limit-p.near, 1)
		p.until = m.closing.Add(m.o.Timeout + m.limit)
	case len(i.kept.Exchanges) == 1:
		// Witnesses, and what has not been asked yet: see whether they end alike. One
		// that does not is asked, unless that would take another timeout.
		until := m.closing.Add(time.Second + m.limit/10)
		p = plan{until: until}
		if m.seen {
			p = plan{ask: max(until.Sub(i.done), 1)}
		}
	default:
		p = plan{until: m.closing.Add(300*time.Millisecond + m.limit/20)}
	}
	m.changeLocked(i, p)
}

// close closes the connection.
func (i *idler) close(m *Measurement) {
	m.mu.Lock()
	if i.closed = true; i.kept.Ended == 0 {
		i.kept.Left = m.since(time.Now())
	}
	m.mu.Unlock()
	i.line.close()
}
