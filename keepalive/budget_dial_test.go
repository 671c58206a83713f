package keepalive

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/opened"
)

func TestBudgetExceeded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	remote := netip.MustParseAddrPort(l.Addr().String())
	stats := new(Stats)
	fast := Dialer(Options{Budget: &Budget{Ports: 2, FailFast: true}, Stats: stats})
	var open []net.Conn
	for range 2 {
		c, err := fast.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	open[0].Close()
	_, err = fast.Dial("tcp", l.Addr().String())
	full, ok := errors.AsType[*BudgetExceeded](err)
	if !ok {
		t.Fatalf("%v, want a *BudgetExceeded", err)
	}
	if full.Remote != remote || full.Ports != 2 || full.Open != 1 || full.Resting != 1 || full.Others != 0 || full.Err != nil ||
		math.Abs(full.PerSecond-2.0/60) > 1e-9 || full.Retry < 50*time.Second || full.Retry > time.Minute {
		t.Errorf("%+v", full)
	}
	for _, words := range []string{remote.String(), "2 of 2 are taken (1 open, 1 closed and resting, 0 by others)", "comes back in", "0.033 new connections a second"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
	if c := stats.Read(); c.Opened != 2 || c.Failed != 1 || c.BudgetExceeded != 1 || c.Open != 1 {
		t.Errorf("counted %+v", c)
	}
	// Waiting ends with the context, or with MaxWait.
	for _, test := range []struct {
		name string
		b    Budget
		ctx  time.Duration
		want error
	}{
		{"the context ends", Budget{Ports: 1}, 50 * time.Millisecond, context.DeadlineExceeded},
		{"patience ends", Budget{Ports: 1, MaxWait: 50 * time.Millisecond}, time.Minute, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := Dialer(Options{Budget: &test.b})
			c, err := d.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
			defer cancel()
			_, err = d.DialContext(ctx, "tcp", l.Addr().String())
			full, ok := errors.AsType[*BudgetExceeded](err)
			if !ok || full.Waited < 50*time.Millisecond || full.Err != test.want || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%v (%+v)", err, full)
			}
			d.budget.mu.Lock()
			defer d.budget.mu.Unlock()
			if n := len(d.budget.tuples[tupleKey{remote: remote}].queue); n != 0 {
				t.Errorf("%d still wait", n)
			}
		})
	}
}

// A dial that fails gives its port back, also where it was let go on after a wait.
func TestFailedDialTakesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	d := Dialer(Options{Budget: &Budget{Ports: 1, FailFast: true}})
	for range 3 {
		_, err := d.Dial("tcp", address)
		if _, ok := errors.AsType[*BudgetExceeded](err); ok || err == nil {
			t.Fatalf("%v, want a refusal", err)
		}
	}
}

// A port rests from about when its connection was closed, not from when the next dial
// asks.
func TestNoticesClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := Dialer(Options{Budget: &Budget{Ports: 1, Rest: time.Second, FailFast: true}})
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	account := func() (held, resting int) {
		d.budget.mu.Lock()
		defer d.budget.mu.Unlock()
		for _, t := range d.budget.tuples {
			t.expire(time.Now())
			held, resting = len(t.held), len(t.resting)
		}
		return held, resting
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if held, resting := account(); held+resting == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the port does not come back without a dial")
		}
	}
	again, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// Of two addresses that were tried, that which answered has a port.
func TestOtherAddressTakesNothing(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := Dialer(Options{Budget: &Budget{Ports: 3}})
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	there := tupleKey{remote: plain(netip.MustParseAddrPort(l.Addr().String()))}
	a := &attempt{budget: d.budget}
	for _, key := range []tupleKey{somewhere, there} {
		if err := a.take(key); err != nil {
			t.Fatal(err)
		}
	}
	var held *opened.Conn
	for c := range d.budget.tuples[there].held {
		held = c
	}
	a.won(held)
	// The dial to the address that lost may be about to ask for its port still.
	if err := a.take(somewhere); !errors.Is(err, context.Canceled) {
		t.Errorf("a dial that is over takes a port: %v", err)
	}
	for key, want := range map[tupleKey]int{somewhere: 0, there: 1} {
		if got := d.budget.tuples[key]; got.taken() != want {
			t.Errorf("%s: %d ports taken, want %d", key.remote, got.taken(), want)
		}
	}
}
