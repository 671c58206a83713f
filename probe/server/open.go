package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// open opens the connections that are left idle beside the first, makes a request on
// each, and watches them. Each is opened when it is asked: some servers count from the
// opening what they wait for the first request. All begin some time after begun, when
// the first was answered.
func (m *Measurement) open(ctx context.Context, first *idler, begun time.Time) {
	all, later := plans(&m.o)
	var running sync.WaitGroup
	for n := range all {
		running.Go(func() {
			if !pause(ctx, time.Until(begun.Add(later[n]))) {
				return
			}
			l, err := connect(ctx, &m.o, first.at)
			if err != nil {
				m.failed(ctx, err)
				return
			}
			i := &idler{line: l, plan: all[n]}
			if !m.begin(ctx, i) {
				l.close()
				return
			}
			m.watch(ctx, i)
		})
	}
	running.Wait()
}

// begin makes the first request of a connection that is to be left idle.
func (m *Measurement) begin(ctx context.Context, i *idler) bool {
	stop := context.AfterFunc(ctx, func() { _ = i.raw.SetDeadline(longAgo) })
	a, err := i.ask(m.o.Timeout)
	if !stop() || ctx.Err() != nil {
		return false
	}
	switch {
	case err != nil:
		m.failed(ctx, err)
		return false
	case a.Close:
		m.failed(ctx, errors.New("its first answer says that the connection ends with it, while another's did not"))
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.Trip = min(m.found.Trip, i.trip)
	i.kept.Exchanges = append(i.kept.Exchanges, m.exchange(&a))
	i.done = a.done
	m.idle = append(m.idle, i)
	m.replan(i)
	return true
}

// failed counts a connection that could not be used.
func (m *Measurement) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it was broken off
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.found.Failed++; m.found.Why == "" {
		m.found.Why = err.Error()
	}
}

// pause waits, and tells whether ctx is still there.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
