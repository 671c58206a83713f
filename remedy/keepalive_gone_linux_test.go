package remedy

import (
	"regexp"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What closes between the plan and its being applied is gone by itself; what has come
// to its descriptor's number is not touched.
func TestRootKeepaliveClosesMeanwhile(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			ends := h.do(order{Do: "open", Family: "4", N: 2})
			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil {
				t.Fatal(err)
			}
			// The first end is closed, and others get its number.
			h.do(order{Do: "close", FD: ends[0].FD})
			// Of another a whole socket stays, of which the kernel uses the timer
			// itself: for the 60 s that are beyond those of a TIME-WAIT.
			h.do(order{Do: "linger", FD: ends[2].FD, N: 120})
			h.do(order{Do: "close", FD: ends[2].FD})
			until(t, "the ACKs of their FINs", func() bool { return countBySS(t, tcpvet.FinWait2) == 2 })
			others := h.do(order{Do: "connect", Family: "4", FD: h.do(order{Do: "listen", Family: "4"})[0].FD})
			if err := p.Apply(t.Context(), journalIn(t)); err != nil {
				t.Fatal(err)
			}
			for _, c := range p.Changes {
				want := tcpvet.OutcomeApplied
				if c.Target.Cookie == ends[0].Cookie || c.Target.Cookie == ends[2].Cookie {
					want = tcpvet.OutcomeGone
				}
				if c.Outcome != want || want == tcpvet.OutcomeGone && c.Reason != "it was closed since, and is in FIN-WAIT-2" {
					t.Errorf("socket %d: %s (%s), want %s", c.Target.Cookie, c.Outcome, c.Reason, want)
				}
			}
			// The same between its being written down and its being set.
			late := slices.Clone(p.Changes)
			for i := range late {
				late[i].Outcome, late[i].Before = tcpvet.OutcomePlanned, tcpvet.Value{}
			}
			err = (&keepalive{by: by}).Apply(t.Context(), late, func(i int, o tcpvet.Outcome, why string) {
				if o != p.Changes[i].Outcome || why != p.Changes[i].Reason {
					t.Errorf("late: socket %d: %s (%s), want %s", late[i].Target.Cookie, o, why, p.Changes[i].Outcome)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			now := cookiesBySS(t)
			for _, e := range others {
				if now[e.Cookie] != "" {
					t.Errorf("socket %d was not in the plan and has keepalive", e.Cookie)
				}
			}
			if now[ends[1].Cookie] == "" || now[ends[3].Cookie] == "" {
				t.Errorf("sockets of the plan have no keepalive: %v", now)
			}
			if rest := now[ends[2].Cookie]; !regexp.MustCompile(`^timer:\(keepalive,(1min|[45][0-9]sec)`).MatchString(rest) {
				t.Errorf("the kernel's own timer was changed: %s", rest)
			}
		})
	}
}

// A process that has vanished takes its sockets along, and a PID that another process
// has by now does not lead to that one.
func TestRootKeepaliveVanished(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "6", N: 1})
	p, err := planKeepalive(t.Context(), h.options(), byBorrow)
	if err != nil {
		t.Fatal(err)
	}
	recycled := &Plan{Plan: p.Plan, By: p.By}
	recycled.Changes = slices.Clone(p.Changes)
	stranger := holderOf(t, nil)
	strange := stranger.do(order{Do: "open", Family: "6", N: 1})
	for i := range recycled.Changes {
		// As if the stranger had been given the PID of the holder.
		recycled.Changes[i].Target.Holder.PID = stranger.pid()
	}
	if err := recycled.Apply(t.Context(), journalIn(t)); err != nil || recycled.Tally()[tcpvet.OutcomeApplied] != len(ends) {
		t.Errorf("recycled PID: %v, %v", recycled.Tally(), err)
	}
	if on, _ := keepaliveBySS(t, stranger.pid()); on != 0 {
		t.Errorf("the process that has the PID now got keepalive on %d sockets", on)
	}
	if on, _ := keepaliveBySS(t, h.pid()); on != len(ends) {
		t.Errorf("the process that holds them got keepalive on %d of %d", on, len(ends))
	}

	h.end()
	for _, by := range []string{byBPF, byBorrow} {
		gone := &Plan{Plan: p.Plan, By: &keepalive{by: by}}
		gone.Changes = slices.Clone(p.Changes)
		if err := gone.Apply(t.Context(), journalIn(t)); err != nil || gone.Tally()[tcpvet.OutcomeGone] != len(ends) {
			t.Errorf("vanished process, by %s: %v, %v", by, gone.Tally(), err)
		}
	}
	if now := cookiesBySS(t); now[strange[0].Cookie] != "" {
		t.Error("a stranger's socket got keepalive")
	}
	for _, by := range []string{byBPF, byBorrow} {
		elsewhere := []tcpvet.Change{{Target: tcpvet.Target{Netns: 5, Cookie: ends[0].Cookie, Inode: 1}, After: tcpvet.Value{Timers: tcpvet.DefaultTimers()}}}
		if err := (&keepalive{by: by}).Present(t.Context(), elsewhere); err != nil || elsewhere[0].Outcome != tcpvet.OutcomeGone {
			t.Errorf("vanished namespace, by %s: %+v, %v", by, elsewhere, err)
		}
	}
}
