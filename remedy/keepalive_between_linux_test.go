package remedy

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// An option that the kernel does not take leaves no socket without keepalive that had it.
func TestRootKeepaliveStaysOn(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			// A setting may be longer than what a program may set.
			if err := os.WriteFile("/proc/sys/net/ipv4/tcp_keepalive_time", []byte("86400"), 0); err != nil {
				t.Fatal(err)
			}
			h := holderOf(t, nil)
			e := h.do(order{Do: "open", Family: "4", N: 1})[0]
			had := tcpvet.Timers{Keepalive: true, Idle: 24 * time.Hour, Interval: 75 * time.Second, Count: 9}
			h.do(order{Do: "set", FD: e.FD, Timers: tcpvet.Timers{Keepalive: true, Idle: had.Idle, Interval: had.Interval, Count: had.Count}})
			if now := h.timers()[e.Cookie]; now != had {
				t.Fatalf("before: %v, want %v", now, had)
			}
			to := had
			to.Idle = tcpvet.MaxKeepalive + time.Second
			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil {
				t.Fatal(err)
			}
			j := &timersJob{to: to, set: setIdle, fromNow: true}
			for i := range p.Changes {
				if c := &p.Changes[i]; c.Target.Cookie == e.Cookie {
					j.target = &c.Target
				}
			}
			k := &keepalive{by: by}
			if err := k.do(t.Context(), []*timersJob{j}); err != nil {
				t.Fatal(err)
			}
			if o, why := j.outcome(); o != tcpvet.OutcomeFailed || why != "TCP_KEEPIDLE: invalid argument" || !errors.Is(j.err, unix.EINVAL) {
				t.Errorf("%s: %s", o, why)
			}
			if now := h.timers()[e.Cookie]; now != had {
				t.Errorf("after: %v, want %v", now, had)
			}
		})
	}
}

// cut is ended by a signal while it has stopped the timers.
type cut struct {
	*keepalive
	stop func()
}

var errCut = errors.New("killed")

func (c cut) Apply(context.Context, []tcpvet.Change, Tell) error {
	c.stop()
	return errCut
}

// Killed while keepalive is off for the timer to begin anew, undo switches it on again;
// what a program has switched off since it was set is left.
func TestRootKeepaliveUndoOfOff(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "4", N: 1})
	had := tcpvet.Timers{Keepalive: true, Idle: 600 * time.Second, Interval: 60 * time.Second, Count: 3}
	off := had
	off.Keepalive = false
	all := func(to tcpvet.Timers) {
		for _, e := range ends {
			h.do(order{Do: "set", FD: e.FD, Timers: to})
		}
	}
	all(had)
	j := journalIn(t)
	p, err := PlanKeepalive(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	p.By = cut{p.By.(*keepalive), func() { all(off) }}
	if err := p.Apply(t.Context(), j); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	u, err := PlanUndo(t.Context(), j, p.ID, UndoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != len(ends) {
		t.Fatalf("%v, %v: %s", u.Tally(), err, u.Changes[0].Reason)
	}
	for cookie, now := range h.timers() {
		if now != had {
			t.Errorf("socket %d: %v, want %v", cookie, now, had)
		}
	}
	if p, err = PlanKeepalive(t.Context(), h.options()); err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context(), j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != len(ends) {
		t.Fatalf("%v, %v", p.Tally(), err)
	}
	all(off)
	if u, err = PlanUndo(t.Context(), j, p.ID, UndoOptions{}); err != nil || u.Tally()[tcpvet.OutcomeRefused] != len(ends) {
		t.Errorf("%v, %v", u.Tally(), err)
	}
}
