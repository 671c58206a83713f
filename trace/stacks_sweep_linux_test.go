package trace_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/trace"
)

// An opening whose end was missed is taken away, once one finds no room: by close, by
// RST, of what was accepted, and where the memory of the socket is another's by now.
// What is still open stays.
func TestRootStacksSweep(t *testing.T) { kerneltest.Undisturbed(t, testStacksSweep) }

func testStacksSweep(t testing.TB) {
	const room, stay = 64, 5
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{Connections: room})
	must(t, s.MissCloses())
	var last net.Conn
	for range stay {
		last = dial(t, port)
	}
	for i := range room { // two ends each: more than there is room for
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		must(t, err)
		if i%2 == 0 {
			must(t, c.(*net.TCPConn).SetLinger(0))
		} else {
			_, _ = io.Copy(io.Discard, c)
		}
		must(t, c.Close())
	}
	st, err := s.Stats()
	must(t, err)
	if n := s.Openings(); n != room || st.Refused == 0 || st.Swept != 0 {
		t.Fatalf("%d openings of %d, %+v: want all, and some refused", n, room, st)
	}
	// Sockets that are alive take the memory of those that are not.
	var others []net.Conn
	for range 2 * room {
		others = append(others, dial(t, port))
	}
	// What opened within a second may still be in connect(): it is left for the next
	// time.
	must(t, s.Sweep())
	if s.Openings() != room || !*s.SweepAgain() {
		t.Errorf("%d openings after the first sweep, one more to come: %v; want %d", s.Openings(), *s.SweepAgain(), room)
	}
	for deadline := time.Now().Add(time.Minute); s.Openings() > stay; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d openings are left after a minute, want %d", s.Openings(), stay)
		}
		*s.SweepAgain() = true
		must(t, s.Sweep())
	}
	*s.SweepAgain() = false
	if st, err = s.Stats(); err != nil || st.Swept != room-stay {
		t.Errorf("%+v, %v: want %d swept", st, err, room-stay)
	}
	for _, c := range others {
		must(t, c.Close())
	}
	// Where nothing is known to have been missed it looks all the same, less often.
	must(t, last.Close())
	for i := range 5 {
		if must(t, s.Sweep()); s.Openings() != stay {
			t.Errorf("call %d swept though nothing was missed nor refused", i)
		}
	}
	for deadline := time.Now().Add(time.Minute); s.Openings() != stay-1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d openings are left after a minute, want %d", s.Openings(), stay-1)
		}
		must(t, s.Sweep())
	}
	if l := look(t, s, r, stay-1, nil); len(l.Groups) != 1 || l.Groups[0].Count != stay-1 || len(l.Groups[0].Stack) == 0 {
		t.Errorf("got %+v, want the %d that stayed with their stack", l.Groups, stay-1)
	}
}
