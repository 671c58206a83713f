package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// Measurement is one under way. Its zero value is not ready: use New.
type Measurement struct {
	o     Options
	begun time.Time

	mu       sync.Mutex
	found    probe.HTTP
	idle     []*idler
	closing  time.Time     // when the first connection was given up, zero before
	limit    time.Duration // its idle time
	seen     bool          // its end was seen without a request
	answered int           // requests that were answered while they were counted
}

// New prepares a measurement.
func New(o Options) *Measurement { return &Measurement{o: o} }

// Progress is how far a measurement has come.
type Progress struct {
	Open     int           // idle connections that are open
	Ended    int           // those that the server ended
	Survived time.Duration // the longest idle time after which one was answered
	Requests int           // answered while requests are counted
}

// Progress tells how far it has come. Any goroutine may ask.
func (m *Measurement) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Progress{Requests: m.answered}
	for _, i := range m.idle {
		switch {
		case i.kept.Ended > 0:
			p.Ended++
		case !i.closed:
			p.Open++
		}
		if s, ok := i.kept.Survived(); ok {
			p.Survived = max(p.Survived, s)
		}
	}
	return p
}

// Run measures. It ends by itself; where ctx ends it before, what was found by then is
// given, and said to be not all. An error says that nothing could be measured.
func (m *Measurement) Run(ctx context.Context) (*probe.HTTP, error) {
	m.mu.Lock()
	m.begun = time.Now()
	m.found = probe.HTTP{Target: m.o.URL.String(), Method: m.o.Method, Taken: m.begun, Most: m.o.Most, ClientIdle: m.o.ClientIdle}
	m.mu.Unlock()

	first, err := m.first(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if m.found.Answer.Close {
		m.last(ctx, first)
	} else {
		m.all(ctx, first)
	}
	return m.finish(ctx), nil
}

// finish gives what was found.
func (m *Measurement) finish(ctx context.Context) *probe.HTTP {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &m.found
	h.Took = time.Since(m.begun)
	h.Stopped = ctx.Err() != nil
	for _, i := range m.idle {
		if len(i.kept.Exchanges) > 0 {
			h.Kept = append(h.Kept, i.kept)
		}
	}
	return h
}

// first makes the first request: what it is answered decides what is measured.
func (m *Measurement) first(ctx context.Context) (*idler, error) {
	l, err := connect(ctx, &m.o, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	i := &idler{line: l, plan: plan{ask: m.o.Most}}
	m.add(i)
	stop := context.AfterFunc(ctx, func() { _ = l.raw.SetDeadline(longAgo) })
	defer stop()
	a, err := l.ask(m.o.Timeout)
	if err != nil {
		i.close(m)
		return nil, atFirst(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.Remote, m.found.Trip, m.found.Answer = l.at, l.trip, a.Reply
	i.kept.Exchanges = []probe.Exchange{m.exchange(&a)}
	i.done = a.done
	return i, nil
}

// atFirst says what it means that not even the first request was answered.
func atFirst(err error) error {
	var e *ended
	switch {
	case errors.As(err, &e):
		return fmt.Errorf("%w, before the first answer was whole: nothing can be said of keep-alive", err)
	case isTimeout(err):
		return fmt.Errorf("%w; --timeout gives it longer", err)
	}
	return err
}

// exchange gives the times of an answer since the measurement began.
func (m *Measurement) exchange(a *answer) probe.Exchange {
	return probe.Exchange{Sent: m.since(a.sent), Done: m.since(a.done), Close: a.Close}
}

// since gives a time since the measurement began, above 0: 0 is never.
func (m *Measurement) since(t time.Time) time.Duration { return max(t.Sub(m.begun), 1) }

func (m *Measurement) add(i *idler) {
	m.mu.Lock()
	m.idle = append(m.idle, i)
	m.mu.Unlock()
}

// last watches the end of a connection that was to end with its first answer.
func (m *Measurement) last(ctx context.Context, i *idler) {
	i.plan = plan{until: i.done.Add(min(m.o.Timeout, 5*time.Second))}
	m.watch(ctx, i)
}

// all leaves connections idle, and counts requests on another.
func (m *Measurement) all(ctx context.Context, first *idler) {
	var running sync.WaitGroup
	begun := first.done // it may be asked again while others are opened
	running.Go(func() { m.watch(ctx, first) })
	running.Go(func() { m.open(ctx, first, begun) })
	if m.o.Requests > 0 {
		running.Go(func() { m.count(ctx) })
	}
	running.Wait()
}
