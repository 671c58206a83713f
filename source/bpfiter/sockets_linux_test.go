package bpfiter_test

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The sockets here are bare descriptors: made on the thread that asks, which is the
// one in the test's namespace, and left alone by the runtime's poller.

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

func newSocket(t testing.TB, a netip.Addr) int {
	t.Helper()
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// closed closes a descriptor that newSocket or accept gave. Its number may be that
// of another file when the test ends, so it is kept busy.
func closed(t testing.TB, fd int) {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
	must(t, unix.Close(null))
}

func listen(t testing.TB, at netip.AddrPort, backlog int) (int, netip.AddrPort) {
	t.Helper()
	fd := newSocket(t, at.Addr())
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(fd, sockaddr(at)))
	must(t, unix.Listen(fd, backlog))
	sa, err := unix.Getsockname(fd)
	must(t, err)
	port := 0
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		port = sa.Port
	case *unix.SockaddrInet6:
		port = sa.Port
	}
	return fd, netip.AddrPortFrom(at.Addr(), uint16(port))
}

func accept(t testing.TB, l int) int {
	t.Helper()
	fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// pair gives both ends of a connection.
func pair(t testing.TB, l int, to netip.AddrPort) (client, server int) {
	t.Helper()
	client = newSocket(t, to.Addr())
	must(t, unix.Connect(client, sockaddr(to)))
	return client, accept(t, l)
}

// pairFrom is pair, from a port of the caller's choice.
func pairFrom(t testing.TB, from netip.AddrPort, l int, to netip.AddrPort) (client, server int) {
	t.Helper()
	client = newSocket(t, to.Addr())
	must(t, unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(client, sockaddr(from)))
	must(t, unix.Connect(client, sockaddr(to)))
	return client, accept(t, l)
}

func write(t testing.TB, fd int, text string) {
	t.Helper()
	_, err := unix.Write(fd, []byte(text))
	must(t, err)
}

// read reads all of the text, which has to come.
func read(t testing.TB, fd int, text string) {
	t.Helper()
	for b := make([]byte, len(text)); len(b) > 0; {
		n, err := unix.Read(fd, b)
		must(t, err)
		if n == 0 {
			t.Fatalf("%d bytes missing at the end", len(b))
		}
		b = b[n:]
	}
}

func sysctl(t testing.TB, name, value string) {
	t.Helper()
	// /proc/sys/net is that of the thread that opens it.
	must(t, os.WriteFile("/proc/sys/net/"+name, []byte(value), 0))
}

// run runs a program in the test's namespace.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(kerneltest.Tool(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// until waits for a state.
func until(t testing.TB, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute not yet: %s", what)
		}
	}
}
