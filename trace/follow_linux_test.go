package trace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// generous is how long a test waits for what must come, and hasty where it is then run
// again.
const generous, hasty = time.Minute, 10 * time.Second

// follower is a trace that runs beside a test and keeps what it is told.
type follower struct {
	*Tracer
	t      testing.TB
	mu     sync.Mutex
	events []tcpvet.Event
	lost   time.Time // when it was last told of a loss
	stop   context.CancelFunc
	ended  chan error
}

// follow begins a trace of the namespace of the test, which is a new one.
func follow(t testing.TB, o Options) *follower {
	t.Helper()
	need(t)
	kerneltest.Netns(t)
	return followHere(t, o)
}

// followHere begins a trace of the namespace that the test is in.
func followHere(t testing.TB, o Options) *follower {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	o.Netns = []tcpvet.NetnsID{id}
	tr, err := Open(o)
	must(t, err)
	if m := tr.Missing(); len(m) > 0 {
		t.Fatalf("missing: %+v", m)
	}
	f := &follower{Tracer: tr, t: t}
	f.run()
	t.Cleanup(func() {
		f.end()
		must(t, f.Close())
	})
	return f
}

func (f *follower) run() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.ended = stop, make(chan error, 1)
	go func() {
		f.ended <- f.Run(ctx, func(e *tcpvet.Event) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, *e)
			if e.Kind == tcpvet.EventLost {
				f.lost = time.Now()
			}
			return nil
		})
	}()
}

// end ends the trace, which tells what had come.
func (f *follower) end() {
	f.t.Helper()
	if f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	if err := <-f.ended; !errors.Is(err, context.Canceled) {
		f.t.Errorf("the trace ended with %v", err)
	}
}

// all gives the events so far that match.
func (f *follower) all(match func(*tcpvet.Event) bool) (some []tcpvet.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.events {
		if match(&f.events[i]) {
			some = append(some, f.events[i])
		}
	}
	return some
}

// one waits for the event that matches, and fails if there are several.
func (f *follower) one(what string, match func(*tcpvet.Event) bool) tcpvet.Event {
	f.t.Helper()
	some := f.wait(what, 1, match)
	if len(some) > 1 {
		f.t.Fatalf("%s: %d events: %+v", what, len(some), some)
	}
	return some[0]
}

// wait waits for n events that match. Once a loss was told it may be of one of them:
// what has not come within a moment then is not waited for where the test is run again.
func (f *follower) wait(what string, n int, match func(*tcpvet.Event) bool) (some []tcpvet.Event) {
	f.t.Helper()
	began := time.Now()
	until(f.t, what, func() bool {
		some = f.all(match)
		if len(some) < n && kerneltest.Repeated(f.t) && f.lostFor(began) > moment {
			f.t.Fatalf("%s: not told yet, and a loss was", what)
		}
		return len(some) >= n
	}, func() any { return f.all(func(*tcpvet.Event) bool { return true }) })
	return some
}

// moment is how long what has happened takes to be told, on a busy machine.
const moment = time.Second

// lostFor tells how long ago a loss was told, or since when that is looked at; 0 for
// none.
func (f *follower) lostFor(began time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.lost.IsZero():
		return 0
	case f.lost.After(began):
		return time.Since(f.lost)
	}
	return time.Since(began)
}

func until(t testing.TB, what string, done func() bool, else_ ...func() any) {
	t.Helper()
	patience := generous
	if kerneltest.Repeated(t) {
		patience = hasty
	}
	for end := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			if len(else_) > 0 {
				t.Logf("there is %+v", else_[0]())
			}
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// of matches events of a socket.
func of(kind tcpvet.EventKind, cookie uint64) func(*tcpvet.Event) bool {
	return func(e *tcpvet.Event) bool { return e.Kind == kind && e.Cookie == cookie }
}
