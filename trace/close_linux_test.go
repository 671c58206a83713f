package trace

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

var (
	lo4 = netip.MustParseAddrPort("127.0.0.1:0")
	lo6 = netip.MustParseAddrPort("[::1]:0")
)

// ending is how one end of a connection must be told to have closed.
type ending struct {
	first     tcpvet.Closer
	how       tcpvet.CloseHow
	reset     bool // by the peer
	closeWait bool // it was in CLOSE-WAIT
}

// closing is one way for a connection to end.
type closing struct {
	name           string
	act            func(t testing.TB, client, server *socket)
	client, server ending
}

const (
	local, remote, both, nobody = tcpvet.CloserLocal, tcpvet.CloserRemote, tcpvet.CloserBoth, tcpvet.CloserUnknown
	fin, rst, timeout           = tcpvet.HowFIN, tcpvet.HowRST, tcpvet.HowTimeout
)

// shut sends a FIN and keeps the descriptor.
func shut(t testing.TB, s *socket) {
	t.Helper()
	must(t, unix.Shutdown(s.fd, unix.SHUT_WR))
}

// closings are what RFC 9293 (sections 3.6, 3.10.7.4) and the kernel's documentation
// have it: who sends the first FIN, or the RST where there is none.
var closings = []closing{
	{"client first", func(t testing.TB, c, s *socket) { c.close(); awaitState(t, s, tcpvet.CloseWait); s.close() },
		ending{local, fin, false, false}, ending{remote, fin, false, true}},
	{"server first", func(t testing.TB, c, s *socket) { s.close(); awaitState(t, c, tcpvet.CloseWait); c.close() },
		ending{remote, fin, false, true}, ending{local, fin, false, false}},
	{"half closed", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, c, tcpvet.FinWait2)
		s.close()
		awaitState(t, c, tcpvet.Unconn)
		c.close()
	},
		ending{local, fin, false, false}, ending{remote, fin, false, true}},
	{"linger 0", func(t testing.TB, c, s *socket) { abortive(t, c); c.close(); awaitState(t, s, tcpvet.Unconn) },
		ending{local, rst, false, false}, ending{remote, rst, true, false}},
	{"unread data", func(t testing.TB, c, s *socket) { write(t, s, "unread"); awaitData(t, c); c.close() },
		ending{local, rst, false, false}, ending{remote, rst, true, false}},
	{"disconnected", func(t testing.TB, c, s *socket) { disconnect(t, c) },
		ending{local, rst, false, false}, ending{remote, rst, true, false}},
	{"destroyed", func(t testing.TB, c, s *socket) { destroy(t, localOf(t, c), localOf(t, s), c.cookie) },
		ending{local, rst, false, false}, ending{remote, rst, true, false}},
	{"destroyed in CLOSE-WAIT", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, s, tcpvet.CloseWait)
		destroy(t, localOf(t, s), localOf(t, c), s.cookie)
	}, ending{local, rst, true, false}, ending{remote, rst, false, true}},
	{"RST in CLOSE-WAIT", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, s, tcpvet.CloseWait)
		abortive(t, c)
		c.close()
	}, ending{local, rst, false, false}, ending{remote, rst, true, true}},
	{"RST in FIN-WAIT-2", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, s, tcpvet.CloseWait)
		abortive(t, s)
		s.close()
	}, ending{local, rst, true, false}, ending{remote, rst, false, true}},
	{"unread data in FIN-WAIT-2", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, c, tcpvet.FinWait2)
		write(t, s, "unread")
		awaitData(t, c)
		c.close()
	}, ending{local, rst, false, false}, ending{remote, rst, true, true}},
	{"data to what is closed", func(t testing.TB, c, s *socket) {
		c.close()
		awaitState(t, s, tcpvet.CloseWait)
		write(t, s, "too late")
		awaitState(t, s, tcpvet.Unconn)
	}, ending{local, fin, false, false}, ending{remote, rst, true, true}},
	{"no FIN-WAIT-2 for orphans", func(t testing.TB, c, s *socket) {
		option(t, c, unix.IPPROTO_TCP, unix.TCP_LINGER2, -1)
		shut(t, c)
		awaitState(t, c, tcpvet.FinWait2)
		c.close()
	}, ending{local, rst, false, false}, ending{remote, rst, true, true}},
	{"keepalive in vain", func(t testing.TB, c, s *socket) {
		deafen(t, s)
		option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1)
		option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 1)
		option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1)
		option(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		awaitState(t, c, tcpvet.Unconn)
		abortive(t, s)
		s.close()
	}, ending{nobody, timeout, false, false}, ending{local, rst, false, false}},
	{"user timeout", func(t testing.TB, c, s *socket) {
		deafen(t, s)
		option(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300)
		write(t, c, "in vain")
		awaitState(t, c, tcpvet.Unconn)
		abortive(t, s)
		s.close()
	}, ending{nobody, timeout, false, false}, ending{local, rst, false, false}},
	{"FIN in vain", func(t testing.TB, c, s *socket) {
		deafen(t, s)
		option(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300)
		shut(t, c)
		awaitState(t, c, tcpvet.Unconn)
		abortive(t, s)
		s.close()
	}, ending{local, timeout, false, false}, ending{local, rst, false, false}},
	{"last ACK in vain", func(t testing.TB, c, s *socket) {
		shut(t, c)
		awaitState(t, s, tcpvet.CloseWait)
		deafen(t, c)
		option(t, s, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300)
		shut(t, s)
		awaitState(t, s, tcpvet.Unconn)
		abortive(t, c)
		c.close()
	}, ending{local, rst, false, false}, ending{remote, timeout, false, true}},
}

func disconnect(t testing.TB, s *socket) {
	t.Helper()
	var unspec [16]byte // AF_UNSPEC is 0
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&unspec)), 16); errno != 0 {
		t.Fatalf("connect to AF_UNSPEC: %v", errno)
	}
}

func TestRootClose(t *testing.T) {
	t.Parallel() // it waits most of the time
	kerneltest.Undisturbed(t, testClose)
}

func testClose(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	for _, at := range []netip.AddrPort{lo4, lo6} {
		l, to := listen(t, at)
		for _, c := range closings {
			before := time.Now()
			client, server := connected(t, l, to)
			// What is accepted is known by a pass over descriptors, if that comes in time.
			f.one("the server's end to be told open", of(tcpvet.EventOpen, server.cookie))
			from := localOf(t, client)
			c.act(t, client, server)
			check := func(what string, s *socket, local, remote netip.AddrPort, role tcpvet.Role, want ending) {
				t.Helper()
				e := f.one(c.name+": close of the "+what, of(tcpvet.EventClose, s.cookie))
				got := ending{e.First, e.How, e.Cause == tcpvet.CauseReset, e.CloseWait > 0}
				if got != want {
					t.Errorf("%s, %s: %s: got first %q, %s, reset by the peer %v, in CLOSE-WAIT %v; want %+v", c.name, at, what, e.First, e.How, got.reset, e.CloseWait, want)
				}
				if e.Local != local || e.Remote != remote || e.Role != role {
					t.Errorf("%s, %s: %s: from %v to %v as %v, want %v to %v as %v", c.name, at, what, e.Local, e.Remote, e.Role, local, remote, role)
				}
				if spent := time.Since(before); e.Took <= 0 || e.Took > spent || e.CloseWait > e.Took || e.At.Before(before) || e.At.After(time.Now()) {
					t.Errorf("%s: %s: at %v, after %v of which in CLOSE-WAIT %v; all took %v", c.name, what, e.At, e.Took, e.CloseWait, spent)
				}
				if role == tcpvet.Client {
					checkSelf(t, c.name+": "+what, &e)
				} else {
					checkAccepted(t, c.name+": "+what, &e)
				}
			}
			check("client", client, from, to, tcpvet.Client, c.client)
			check("server", server, to, from, tcpvet.Server, c.server)
			client.close()
			server.close()
		}
	}
}
