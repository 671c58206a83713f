package remedy

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// The sockets of one process gain keepalive, those of another beside it do not, and
// undo gives back what each had, which its own process reads by getsockopt(2).
func TestRootKeepalive(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			h, other := holderOf(t, nil), holderOf(t, nil)
			var ends []end
			for _, family := range []string{"4", "6", "mapped"} {
				ends = append(ends, h.do(order{Do: "open", Family: family, N: 2})...)
				other.do(order{Do: "open", Family: family, N: 1})
			}
			own := tcpvet.Timers{Keepalive: true, Idle: 700 * time.Second, Interval: 20 * time.Second, Count: 3, UserTimeout: 9500 * time.Millisecond}
			h.do(order{Do: "set", FD: ends[0].FD, Timers: own})
			had, others := h.timers(), other.timers()

			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(p.Changes); n != len(ends) || p.Tally()[tcpvet.OutcomePlanned] != n {
				t.Fatalf("planned %d changes for %d sockets: %v", n, len(ends), p.Tally())
			}
			for _, c := range p.Changes {
				if c.Before.Timers != had[c.Target.Cookie] {
					t.Errorf("%v: before %v, its process has %v", c.Target.Local, c.Before, had[c.Target.Cookie])
				}
			}
			if on, all := keepaliveBySS(t, h.pid()); on != 1 || all != len(ends) {
				t.Errorf("a plan changed something: ss shows %d of %d with keepalive", on, all)
			}

			j := journalIn(t)
			if err := p.Apply(t.Context(), j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != len(ends) {
				t.Fatalf("%v, %v: %s", p.Tally(), err, p.Changes[0].Reason)
			}
			want := tcpvet.DefaultTimers()
			for cookie, now := range h.timers() {
				want.UserTimeout = had[cookie].UserTimeout // it stays
				if now != want {
					t.Errorf("socket %d: %v, want %v", cookie, now, want)
				}
			}
			if on, all := keepaliveBySS(t, h.pid()); on != len(ends) || all != on {
				t.Errorf("ss shows %d of %d with keepalive", on, all)
			}
			if on, all := keepaliveBySS(t, other.pid()); on != 0 || all != 6 {
				t.Errorf("of another process ss shows %d of %d with keepalive", on, all)
			}
			same(t, other.timers(), others)

			// A second time there is nothing to do.
			again, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil || again.Tally()[tcpvet.OutcomeUnchanged] != len(ends) {
				t.Errorf("planned again: %v, %v", again.Tally(), err)
			}

			u, err := PlanUndo(t.Context(), j, "", UndoOptions{})
			if err != nil {
				t.Fatal(err)
			}
			u.By.(*keepalive).by = by
			if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != len(ends) {
				t.Fatalf("undone: %v, %v", u.Tally(), err)
			}
			same(t, h.timers(), had)
			if on, _ := keepaliveBySS(t, h.pid()); on != 1 {
				t.Errorf("after undo ss shows %d with keepalive", on)
			}
		})
	}
}

// What a watch has set twice, since the program set its own values in between, undo
// brings back to what was there first.
func TestRootKeepaliveTwice(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow, byAny} {
		t.Run("by "+by, func(t *testing.T) {
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			ends := h.do(order{Do: "open", Family: "4", N: 2})
			had := h.timers()
			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil {
				t.Fatal(err)
			}
			again := slices.Clone(p.Changes)
			j := journalIn(t)
			if err := p.Apply(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			for _, e := range ends {
				h.do(order{Do: "set", FD: e.FD, Timers: tcpvet.Timers{Keepalive: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}})
			}
			if err := p.Extend(t.Context(), j, again); err != nil || again[0].Outcome != tcpvet.OutcomeApplied || again[0].Before.Timers.Idle != 15*time.Second {
				t.Fatalf("%+v, %v", again[0], err)
			}
			u, err := PlanUndo(t.Context(), j, "", UndoOptions{})
			if err != nil {
				t.Fatal(err)
			}
			u.By.(*keepalive).by = by
			if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != 2*len(ends) {
				t.Fatalf("undone: %v, %v", u.Tally(), err)
			}
			same(t, h.timers(), had)
		})
	}
}

// Where the setting is beyond what a program may set, undo comes as near as it can, and
// says so.
func TestRootKeepaliveBeyond(t *testing.T) {
	kerneltest.Netns(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_keepalive_time", []byte("86400"), 0); err != nil {
		t.Fatal(err)
	}
	h := holderOf(t, nil)
	h.do(order{Do: "open", Family: "4", N: 1})
	for _, before := range h.timers() {
		if before.Keepalive || before.Idle != 24*time.Hour {
			t.Fatalf("before: %v", before)
		}
	}
	p, err := PlanKeepalive(t.Context(), h.options())
	if err != nil || p.Changes[0].Before.Timers.Idle != 24*time.Hour {
		t.Fatalf("%+v, %v", p, err)
	}
	j := journalIn(t)
	if err := p.Apply(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	u, err := PlanUndo(t.Context(), j, "", UndoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != 2 || !strings.Contains(u.Changes[0].Reason, "as near as the kernel lets") {
		t.Fatalf("%+v, %v", u.Changes, err)
	}
	for _, now := range h.timers() {
		if now.Keepalive || now.Idle != tcpvet.MaxKeepalive {
			t.Errorf("after undo: %v", now)
		}
	}
}

// A source that tells no cookies is not enough to act on.
func TestRootKeepaliveWithoutCookies(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	h.do(order{Do: "open", Family: "4", N: 1})
	opt := h.options()
	var err error
	if opt.Source, err = source.Open("procfs"); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanKeepalive(t.Context(), opt); !errors.Is(err, errNoCookies) {
		t.Errorf("planned: %v", err)
	}
}

func same(t *testing.T, got, want map[uint64]tcpvet.Timers) {
	t.Helper()
	for cookie, w := range want {
		if got[cookie] != w {
			t.Errorf("socket %d: %v, want %v", cookie, got[cookie], w)
		}
	}
}
