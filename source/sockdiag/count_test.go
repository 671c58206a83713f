package sockdiag

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// seen is a dump of cheapStates: 2 LISTEN, 3 CLOSE-WAIT, 1 held and 4 orphaned
// FIN-WAIT-2, 5 requests and 1 socket in SYN-RECV, 7 merely bound.
func seen() dumped {
	var d dumped
	add := func(n int, s tcpvet.Socket, full bool) {
		for range n {
			d.add(&s, full)
		}
	}
	add(2, tcpvet.Socket{State: tcpvet.Listen}, true)
	add(3, tcpvet.Socket{State: tcpvet.CloseWait}, true)
	add(1, tcpvet.Socket{State: tcpvet.FinWait2}, true)
	add(4, tcpvet.Socket{State: tcpvet.FinWait2, Mini: true}, false)
	add(5, tcpvet.Socket{State: tcpvet.SynRecv}, false)
	add(1, tcpvet.Socket{State: tcpvet.SynRecv}, true)
	add(7, tcpvet.Socket{State: tcpvet.BoundInactive}, true)
	return d
}

func TestCompleteCounts(t *testing.T) {
	d := seen()
	// 100 ESTAB and 3 CLOSE-WAIT; 50 TIME-WAIT and 4 orphans. In the tables:
	// 2 + 3 + 1 + 1 + 100.
	n, ok := d.complete(kernelCounts{estab: 103, timeWait: 54, inuse: 107})
	want := Counts{
		tcpvet.Established: 100, tcpvet.TimeWait: 50, tcpvet.Listen: 2, tcpvet.CloseWait: 3,
		tcpvet.FinWait2: 5, tcpvet.SynRecv: 6, tcpvet.BoundInactive: 7,
	}
	if !ok || n != want {
		t.Errorf("%v %v, want %v", n, ok, want)
	}
	if n.Total() != 173 {
		t.Errorf("total %d, want 173", n.Total())
	}
}

func TestCompleteRefusesWhatDoesNotFit(t *testing.T) {
	for name, k := range map[string]kernelCounts{
		"one socket more in the tables":       {estab: 103, timeWait: 54, inuse: 108},
		"one socket less in the tables":       {estab: 103, timeWait: 54, inuse: 106},
		"fewer established than CLOSE-WAIT":   {estab: 2, timeWait: 54, inuse: 6},
		"fewer mini-sockets than orphans":     {estab: 103, timeWait: 3, inuse: 107},
		"one more established than in tables": {estab: 104, timeWait: 54, inuse: 107},
	} {
		d := seen()
		if n, ok := d.complete(k); ok {
			t.Errorf("%s: %v", name, n)
		}
	}
}

// A dump that the kernel calls inconsistent is no base for a short count.
func TestCountStatesInterrupted(t *testing.T) {
	const intr = 0x10
	c, _ := fakeConn(t,
		script{answer(sock(8, 1), done(intr))},
		script{answer(sock(1, 2), sock(8, 1), done(intr))},
		script{answer(sock(1, 2), sock(8, 1), sock(6, 3), done(0))})
	n, short, st, err := c.CountStates(context.Background(), func() (map[string]uint64, error) {
		return map[string]uint64{counterEstab: 2, counterTW: 1, counterInuse: 2}, nil
	})
	want := Counts{tcpvet.Established: 1, tcpvet.CloseWait: 1, tcpvet.TimeWait: 1}
	if err != nil || short || n != want || st.Passes != 2 {
		t.Errorf("%v short %v, %+v, %v; want %v", n, short, st, err, want)
	}
}

func TestCountStatesRefused(t *testing.T) {
	c, _ := fakeConn(t, script{answer(refuse(syscall.EPERM))})
	_, _, _, err := c.CountStates(context.Background(), func() (map[string]uint64, error) {
		return map[string]uint64{counterEstab: 0, counterTW: 0, counterInuse: 0}, nil
	})
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v, want EPERM", err)
	}
}
