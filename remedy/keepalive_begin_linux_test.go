package remedy

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// A connection that has been silent for longer than idle already is first probed after
// idle, not at once, with or without keepalive before, and where idle gets longer or is
// given back: ten thousand of them would all be.
func TestRootKeepaliveNotAtOnce(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		for had, before := range map[string]tcpvet.Timers{
			"none before": {Idle: 7200 * time.Second, Interval: 75 * time.Second, Count: 9},
			"a longer":    {Keepalive: true, Idle: 600 * time.Second, Interval: 60 * time.Second, Count: 3},
		} {
			t.Run(by+" "+had, func(t *testing.T) {
				t.Parallel() // it waits most of the time
				notAtOnce(t, by, before)
			})
		}
	}
}

func notAtOnce(t *testing.T, by string, before tcpvet.Timers) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "4", N: 1})
	h.do(order{Do: "set", FD: ends[0].FD, Timers: before})
	opt := h.options()
	opt.Timers = tcpvet.Timers{Keepalive: true, Idle: 2 * time.Second, Interval: 60 * time.Second, Count: 3}
	opt.Match = func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
		return s.Cookie == ends[0].Cookie
	}
	p, err := planKeepalive(t.Context(), opt, by)
	if err != nil || p.Changes[0].Before.Timers != before {
		t.Fatalf("%v, %v", p, err)
	}
	until(t, "silence", func() bool { return h.do(order{Do: "state", FD: ends[0].FD})[0].Silent > opt.Timers.Idle })
	probes, began := probesOf(t), time.Now()
	if err := p.Apply(t.Context(), journalIn(t)); err != nil || p.Tally()[tcpvet.OutcomeApplied] != 1 {
		t.Fatalf("%v, %v", p.Tally(), err)
	}
	until(t, "the first probe", func() bool { return probesOf(t) != probes })
	// A timer may end a tick early, which is 10 ms at the most.
	if d := time.Since(began); d < opt.Timers.Idle-10*time.Millisecond {
		t.Errorf("the first probe came after %v", d)
	}
}

// What was given keepalive a moment ago has not been heard of since. Neither a longer
// idle time nor an undo has it probed at once.
func TestRootKeepaliveNotAtOnceAgain(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			notAtOnceAgain(t, by)
		})
	}
}

func notAtOnceAgain(t *testing.T, by string) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "4", N: 1})
	p, err := planKeepalive(t.Context(), h.options(), by)
	if err != nil {
		t.Fatal(err)
	}
	to := tcpvet.Timers{Keepalive: true, Idle: 4 * time.Second, Interval: 60 * time.Second, Count: 3}
	shorter, longer := to, to
	shorter.Idle, longer.Idle = 3*time.Second, time.Hour
	set := func(e end, to tcpvet.Timers, fromNow bool) {
		t.Helper()
		i := slices.IndexFunc(p.Changes, func(c tcpvet.Change) bool { return c.Target.Cookie == e.Cookie })
		j := &timersJob{target: &p.Changes[i].Target, to: to, set: setIdle, fromNow: fromNow}
		if err := (&keepalive{by: by}).do(t.Context(), []*timersJob{j}); err != nil || j.answer != answered || j.now != to {
			t.Fatalf("%v, %+v", err, j)
		}
	}
	for _, e := range ends {
		until(t, "silence", func() bool { return h.do(order{Do: "state", FD: e.FD})[0].Silent > to.Idle })
	}
	probes := probesOf(t)
	h.do(order{Do: "set", FD: ends[0].FD, Timers: shorter}) // the first probe comes after 3 s
	h.do(order{Do: "set", FD: ends[1].FD, Timers: to})
	set(ends[1], longer, true)
	began := time.Now()
	set(ends[0], to, true)
	set(ends[1], to, false) // as undo does
	until(t, "the first probe", func() bool { return probesOf(t) != probes })
	if d := time.Since(began); d < to.Idle-10*time.Millisecond {
		t.Errorf("the first probe came after %v", d)
	}
}

// twice tells of one socket two times, as a look may of one that changes.
type twice struct{ socket tcpvet.Socket }

func (twice) Name() string                         { return "twice" }
func (twice) Facts(want tcpvet.Facts) tcpvet.Facts { return want }

func (s twice) Look(_ context.Context, _ source.Query, o tcpvet.Observer) error {
	for _, state := range []tcpvet.State{tcpvet.Established, tcpvet.CloseWait} {
		s.socket.State = state
		if err := o.Socket(&s.socket); err != nil {
			return err
		}
	}
	return nil
}

func TestRootKeepaliveToldTwice(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	e := h.do(order{Do: "open", Family: "4", N: 1})[0]
	p, err := PlanKeepalive(t.Context(), KeepaliveOptions{Selection: Selection{Source: twice{tcpvet.Socket{Known: tcpvet.FactCookie, Netns: h.id, Cookie: e.Cookie}}}})
	if err != nil || len(p.Changes) != 1 || p.Changes[0].Outcome != tcpvet.OutcomePlanned {
		t.Fatalf("%+v, %v", p, err)
	}
}

// silence is how long ago the last segment came, by TCP_INFO.
func silence(info *unix.TCPInfo) time.Duration {
	return time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond
}
