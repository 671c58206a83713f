package source_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// A server that has closed its listener is still one, and its clients are none,
// though all ports lie in the local port range: whoever sent, received or closed,
// as long as the kernel has counted a byte.
func TestRootClosedListener(t *testing.T) {
	kerneltest.Netns(t)
	fds, err := connected()
	must(t, err)
	l := fds[0]
	at, err := unix.Getsockname(l)
	must(t, err)
	port := uint16(at.(*unix.SockaddrInet4).Port)
	ends := [][]int{fds[1:]}
	for range 3 {
		pair, err := connect(l)
		must(t, err)
		ends = append(ends, pair)
	}
	must(t, unix.Close(l))
	send := func(from, to, n int) {
		t.Helper()
		if got, err := unix.Write(from, make([]byte, n)); err != nil || got != n {
			t.Fatalf("write: %d, %v", got, err)
		}
		for got := 0; got < n; {
			k, err := unix.Read(to, make([]byte, n))
			if err != nil || k == 0 {
				t.Fatalf("read: %d, %v", k, err)
			}
			got += k
		}
	}
	send(ends[0][0], ends[0][1], 1)    // a request alone
	send(ends[1][1], ends[1][0], 1000) // a greeting alone
	send(ends[2][0], ends[2][1], 10)
	send(ends[2][1], ends[2][0], 3000)
	must(t, unix.Shutdown(ends[2][0], unix.SHUT_WR)) // the server holds a CLOSE-WAIT
	send(ends[3][0], ends[3][1], 10)
	must(t, unix.Shutdown(ends[3][1], unix.SHUT_WR)) // the client does
	for _, pair := range ends {
		for _, fd := range pair {
			t.Cleanup(func() { unix.Close(fd) })
			acknowledged(t, fd)
		}
	}
	keepNetns(t)

	var got listed
	must(t, live("netlink")(t).Look(t.Context(), ownOnly(t, tcpvet.FactInfo|tcpvet.FactListeners|tcpvet.FactPortRange), &got))
	roles := make(map[tcpvet.Role]int)
	for _, s := range got.sockets {
		if s.State == tcpvet.Listen {
			continue // of the process that keeps the namespace
		}
		want := tcpvet.Client
		if s.Local.Port() == port {
			want = tcpvet.Server
		}
		roles[s.Role]++
		if s.Role != want {
			t.Errorf("%v %v to %v is a %v: %+v", s.State, s.Local, s.Remote, s.Role, s.Info)
		}
	}
	if roles[tcpvet.Client] != len(ends) || roles[tcpvet.Server] != len(ends) {
		t.Errorf("roles %v, want %d each", roles, len(ends))
	}
}

// acknowledged waits until the peer has acknowledged everything, which it may put
// off for 40 ms and more.
func acknowledged(t *testing.T, fd int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		if i.Unacked == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d segments were never acknowledged", i.Unacked)
		}
	}
}
