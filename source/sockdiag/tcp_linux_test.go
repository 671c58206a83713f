package sockdiag

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// The sockets here are bare descriptors: the runtime's poller and its options
// stay out of the way, and a socket is made on the thread that asks for it,
// which is the one in the test's namespace.

// must stops the test on an error of a system call.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closeFD closes at the end what the test did not close before.
func closeFD(t testing.TB, fd int) int {
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func newTCP(t testing.TB, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return closeFD(t, fd)
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// local is the address of a socket, asked from the kernel.
func local(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	must(t, err)
	return addrPort(t, sa)
}

func addrPort(t testing.TB, sa unix.Sockaddr) netip.AddrPort {
	t.Helper()
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	t.Fatalf("address %T", sa)
	return netip.AddrPort{}
}

func listen(t testing.TB, addr string, backlog int) (fd int, at netip.AddrPort) {
	t.Helper()
	a := netip.MustParseAddr(addr)
	fd = newTCP(t, family(a))
	must(t, unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	must(t, unix.Listen(fd, backlog))
	return fd, local(t, fd)
}

func connect(t testing.TB, to netip.AddrPort) int {
	t.Helper()
	fd := newTCP(t, family(to.Addr()))
	must(t, unix.Connect(fd, sockaddr(to)))
	return fd
}

func accept(t testing.TB, listener int) int {
	t.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must(t, err)
	return closeFD(t, fd)
}

// pair gives both ends of a connection over a listener that stays open.
func pair(t testing.TB, addr string) (client, server int) {
	t.Helper()
	l, at := listen(t, addr, 8)
	client = connect(t, at)
	return client, accept(t, l)
}

// settled waits until nothing more comes through of what stuff has sent.
func settled(t testing.TB, fds []int) {
	t.Helper()
	queues := func() (n int) {
		for _, fd := range fds {
			q, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
			must(t, err)
			n += q
		}
		return n
	}
	const (
		pause = 100 * time.Millisecond
		calm  = 4 // pauses; the first retransmission comes after 200 ms
	)
	for quiet, before := 0, queues(); quiet < calm; quiet++ {
		time.Sleep(pause)
		if now := queues(); now != before {
			quiet, before = -1, now
		}
	}
}

// stuff fills the peer's receive window, so that a FIN has to wait behind the
// data.
func stuff(t testing.TB, fd int) {
	t.Helper()
	must(t, unix.SetNonblock(fd, true))
	block := make([]byte, 64<<10)
	for idle := 0; idle < 6; {
		switch _, err := unix.Write(fd, block); err {
		case nil:
			idle = 0
		case unix.EAGAIN:
			idle++
			time.Sleep(5 * time.Millisecond)
		default:
			t.Fatal(err)
		}
	}
}

// cookie asks the kernel for a descriptor's socket cookie (SO_COOKIE).
func cookie(t testing.TB, fd int) uint64 {
	t.Helper()
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	return c
}

func inode(t testing.TB, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st.Ino
}

func dial(t testing.TB) *Conn {
	t.Helper()
	c, err := Dial()
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// dumpAll gives what Dump yields, by cookie.
func dumpAll(t testing.TB, c *Conn, r Request) map[uint64]tcpvet.Socket {
	t.Helper()
	got := make(map[uint64]tcpvet.Socket)
	st, err := c.Dump(context.Background(), r, func(s *tcpvet.Socket) error {
		if _, twice := got[s.Cookie]; twice {
			t.Errorf("%v %v -> %v was told twice", s.State, s.Local, s.Remote)
		}
		got[s.Cookie] = *s
		return nil
	})
	must(t, err)
	if st.Sockets != len(got) || st.Interrupted {
		t.Errorf("stats %+v for %d sockets", st, len(got))
	}
	return got
}
