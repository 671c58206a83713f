package keepalive

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// attemptKey is where the context of a dial has its attempt.
type attemptKey struct{}

// attempt is one dial: the ports that it has taken. It may try several addresses, two
// of them at a time (RFC 8305), and net tries one again that found no port.
type attempt struct {
	budget *budgets
	began  time.Time
	queued bool // it waited, and was let go on

	mu    sync.Mutex
	ports map[tupleKey]*tuple
	over  bool // one address has answered
}

// take takes a port for one address. The other of two may still come for one when the
// dial is over: it would never give it back.
func (a *attempt) take(key tupleKey) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return context.Canceled
	}
	if a.ports[key] != nil {
		return nil
	}
	t, err := a.budget.take(key)
	if err != nil {
		return err
	}
	a.has(t)
	return nil
}

func (a *attempt) has(t *tuple) {
	if a.ports == nil {
		a.ports = map[tupleKey]*tuple{}
	}
	a.ports[t.key] = t
}

// lost gives the ports back: none of the addresses answered.
func (a *attempt) lost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.ports {
		a.budget.release(t)
	}
	clear(a.ports)
}

// won gives the port to the connection, and back those of addresses that did not answer,
// or too late: that one of these connected all the same, and was closed, is rare, and
// the kernel knows.
func (a *attempt) won(c *opened.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if len(a.ports) == 0 {
		return
	}
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, t := range a.ports {
		t.dialling--
		switch {
		case c == nil: // collected already, or none of ours: it counts as closed
			t.resting = append(t.resting, time.Now().Add(b.Rest))
		case plain(c.Remote) == key.remote:
			if t.held == nil {
				t.held = map[*opened.Conn]struct{}{}
			}
			t.held[c] = struct{}{}
			b.tick(t)
		default:
			b.grant(t)
		}
	}
}

// books are where a connection has to stand for the budget to know when it is closed.
func (a *attempt) books() []*opened.Book {
	if a.budget == nil {
		return nil
	}
	return []*opened.Book{&a.budget.book}
}

// waiter is a dial that waits for a port.
type waiter struct {
	ready   chan struct{}
	granted bool
}

// release gives a port back that no connection took.
func (b *budgets) release(t *tuple) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.dialling--
	b.grant(t)
}

// grant gives ports to those that wait longest. The caller holds mu.
func (b *budgets) grant(t *tuple) {
	now := time.Now()
	for len(t.queue) > 0 && t.room(now) {
		w := t.queue[0]
		t.queue = t.queue[1:]
		t.dialling++
		w.granted = true
		close(w.ready)
	}
}

// amiss puts an account right by which a dial had a port and the kernel had none for
// it: others have taken ports since it was asked last. Then the dial waits in line. If
// it waits in vain, why is what it is told.
func (b *budgets) amiss(ctx context.Context, a *attempt, key tupleKey, ports taken, why error) error {
	b.mu.Lock()
	t := b.of(key)
	if ports.full() {
		t.others += max(0, t.ports-t.taken())
		t.askAgain = time.Now().Add(pumpEvery)
	}
	b.mu.Unlock()
	if !ports.full() {
		// There is room again, or there seems to be.
		select {
		case <-time.After(pumpEvery):
		case <-ctx.Done():
		}
	}
	if time.Since(a.began) >= b.MaxWait || b.wait(ctx, a, key) != nil {
		return why
	}
	return nil
}

// wait waits in line for a port.
func (b *budgets) wait(ctx context.Context, a *attempt, key tupleKey) error {
	b.mu.Lock()
	t := b.of(key)
	w := &waiter{ready: make(chan struct{})}
	t.queue = append(t.queue, w)
	b.grant(t)
	b.pump(t)
	b.mu.Unlock()

	limit := time.NewTimer(b.MaxWait - time.Since(a.began))
	defer limit.Stop()
	var err error
	select {
	case <-w.ready:
		a.queued = true
		a.mu.Lock()
		defer a.mu.Unlock()
		a.has(t)
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if w.granted {
		t.dialling--
		b.grant(t)
	} else {
		t.queue = slices.DeleteFunc(t.queue, func(o *waiter) bool { return o == w })
	}
	e := t.exceeded(b.Rest)
	e.Waited, e.Err = time.Since(a.began), err
	return e
}

// pumpEvery is how often the account is looked at while somebody waits.
const pumpEvery = 25 * time.Millisecond

// pump grants ports as they come back, for as long as somebody waits. The caller holds
// mu.
func (b *budgets) pump(t *tuple) {
	if t.pumping || len(t.queue) == 0 {
		return
	}
	t.pumping = true
	time.AfterFunc(pumpEvery, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.pumping = false
		b.refresh(t)
		b.grant(t)
		b.pump(t)
	})
}
