package remedy

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// A connection that has been silent for longer than idle already is first probed after
// idle, not at once, with or without keepalive before: ten thousand of them would all be.
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
