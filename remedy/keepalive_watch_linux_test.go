package remedy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What is opened while it watches gets keepalive soon after, is written down in one
// set, stays when the watch ends, and is undone together.
func TestRootKeepaliveWatch(t *testing.T) {
	t.Run("after none", func(t *testing.T) { watchAfter(t, 0) })
	t.Run("after some", func(t *testing.T) { watchAfter(t, 1) })
}

// watchAfter watches where so many connections are there before.
func watchAfter(t *testing.T, begin int) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	h.do(order{Do: "open", Family: "4", N: begin})
	had := h.timers()
	p, err := PlanKeepalive(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	j := journalIn(t)
	if err := p.Apply(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	found, ended := make(chan []tcpvet.Change, 100), make(chan error, 1)
	go func() {
		ended <- WatchKeepalive(ctx, p, j, h.options(), 20*time.Millisecond, func(changes []tcpvet.Change, gaps []tcpvet.Gap) {
			if len(changes) > 0 {
				found <- changes
			}
		})
	}()
	given := make(map[uint64]int)
	for _, family := range []string{"6", "mapped"} {
		ends := h.do(order{Do: "open", Family: family, N: 2})
		until(t, "keepalive on new sockets", func() bool {
			on, all := keepaliveBySS(t, h.pid())
			return on == all && all >= len(ends)
		})
	}
	for deadline := time.After(time.Minute); len(given) < 8; {
		select {
		case changes := <-found:
			for _, c := range changes {
				if given[c.Target.Cookie]++; c.Outcome != tcpvet.OutcomeApplied || c.Before.Timers.Keepalive {
					t.Errorf("%+v", c)
				}
			}
		case <-deadline:
			t.Fatalf("told of %d sockets", len(given))
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	for cookie, n := range given {
		if _, before := had[cookie]; n != 1 || before {
			t.Errorf("socket %d was told %d times", cookie, n)
		}
	}
	all := 8 + 2*begin
	if on, n := keepaliveBySS(t, h.pid()); on != all || n != all {
		t.Errorf("after its end %d of %d have keepalive, want %d", on, n, all)
	}
	log, err := j.Log(9)
	if err != nil || len(log.Entries) != 1 || log.Entries[0].Tally[tcpvet.OutcomeApplied] != all {
		t.Fatalf("journal: %+v, %v", log, err)
	}
	if len(p.Changes) != 2*begin {
		t.Errorf("the plan grew to %d changes", len(p.Changes))
	}
}

// A process that may not be reached is refused what it opens, and the others go on.
func TestRootKeepaliveWatchDenied(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, asNobody)
	opt := h.options()
	opt.Match = nil // all of the namespace: who holds it is not seen either
	p, err := planKeepalive(t.Context(), opt, byBorrow)
	ok(t, err)
	j := journalIn(t)
	ok(t, p.Apply(t.Context(), j))
	// Capabilities belong to the thread, which is the test's.
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	ok(t, unix.Capget(&head, &caps[0]))
	less := caps
	less[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
	h.do(order{Do: "open", Family: "4", N: 1})
	ok(t, unix.Capset(&head, &less[0]))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said []string
	err = WatchKeepalive(ctx, p, j, opt, 20*time.Millisecond, func(changes []tcpvet.Change, _ []tcpvet.Gap) {
		for _, c := range changes {
			said = append(said, string(c.Outcome)+" "+c.Reason)
		}
		switch len(said) {
		case 2:
			ok(t, unix.Capset(&head, &caps[0]))
			h.do(order{Do: "open", Family: "6", N: 1})
		case 4:
			cancel()
		}
	})
	ok(t, unix.Capset(&head, &caps[0]))
	refused := fmt.Sprintf("refused its descriptor may not be borrowed: no process that may be read holds it: enter network namespace %d: nothing that may be read leads to it; needs CAP_SYS_PTRACE", h.id)
	if err != nil || !slices.Equal(said, []string{refused, refused, "applied ", "applied "}) {
		t.Errorf("%v, %q", err, said)
	}
}

// A look that finds nothing to be done costs no change and no line; one that is wrong
// ends the watch.
func TestWatchKeepaliveRefuses(t *testing.T) {
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.KeepalivePlan}, By: new(keepalive)}
	for _, test := range []struct {
		opt   KeepaliveOptions
		every time.Duration
		want  string
	}{
		{KeepaliveOptions{}, 0, "watch for new sockets: every 0s"},
		{KeepaliveOptions{Timers: tcpvet.Timers{UserTimeout: 1}}, time.Second, "watch for new sockets: keepalive is to be off"},
		{KeepaliveOptions{Timers: tcpvet.Timers{Keepalive: true}}, time.Second, "watch for new sockets: check timers: idle 0s"},
	} {
		err := WatchKeepalive(t.Context(), p, journalIn(t), test.opt, test.every, nil)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// What a watch has seen is not looked at again, and is forgotten when it is gone. A
// connection that its program has yet to accept, or that is not open yet, waits.
func TestRootKeepaliveWatchWaits(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	opt := h.options()
	if err := opt.check(); err != nil {
		t.Fatal(err)
	}
	opt.Match = nil // all of the namespace
	w := &keepaliveWatch{opt: opt}
	cookies := func() map[uint64]bool {
		t.Helper()
		changes, _, err := w.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[uint64]bool)
		for _, c := range changes {
			out[c.Target.Cookie] = true
		}
		return out
	}
	listener := h.do(order{Do: "listen", Family: "4"})[0]
	client := h.do(order{Do: "call", FD: listener.FD})[0]
	if got := cookies(); len(got) != 1 || !got[client.Cookie] {
		t.Errorf("before it is accepted: %v, want %d", got, client.Cookie)
	}
	accepted := h.do(order{Do: "accept", FD: listener.FD})[0]
	if got := cookies(); len(got) != 1 || !got[accepted.Cookie] {
		t.Errorf("accepted: %v, want %d", got, accepted.Cookie)
	}
	if got := cookies(); len(got) != 0 {
		t.Errorf("seen before: %v", got)
	}
	h.do(order{Do: "close", FD: client.FD})
	h.do(order{Do: "close", FD: accepted.FD})
	if got := cookies(); len(got) != 0 || len(w.seen) != 0 {
		t.Errorf("closed: %v, %d remembered", got, len(w.seen))
	}
	if settled(tcpvet.SynSent, 7) || settled(tcpvet.Established, 0) || !settled(tcpvet.Established, 7) || !settled(tcpvet.Listen, 0) {
		t.Error("settled is wrong")
	}
}

// Listeners are taken when that is asked for, and what they accept from then on has
// what they got.
func TestRootKeepaliveListeners(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			listener := h.do(order{Do: "listen", Family: "6"})[0]
			opt := h.options()
			p, err := planKeepalive(t.Context(), opt, by)
			if err != nil || len(p.Changes) != 0 || strings.Join(p.Notes, "\n") != "Left out: 1 "+string(leftListener)+"." {
				t.Fatalf("without: %+v, %v, %s", p.Changes, err, p.Notes)
			}
			opt.Listeners = true
			if p, err = planKeepalive(t.Context(), opt, by); err != nil || len(p.Changes) != 1 {
				t.Fatalf("with: %+v, %v", p, err)
			}
			if err := p.Apply(t.Context(), journalIn(t)); err != nil || p.Tally()[tcpvet.OutcomeApplied] != 1 {
				t.Fatalf("%v, %v", p.Tally(), err)
			}
			ends := h.do(order{Do: "connect", Family: "mapped", FD: listener.FD})
			now := cookiesBySS(t)
			if now[ends[0].Cookie] != "" || now[ends[1].Cookie] == "" {
				t.Errorf("the client has %q, what was accepted %q", now[ends[0].Cookie], now[ends[1].Cookie])
			}
		})
	}
}
