package trace

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func mptcp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
		return &kernel.Unsupported{Feature: "MPTCP", Since: "5.6", Err: err}
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// A connection of MPTCP shows as that of its first subflow, once at each end; its own
// socket is none of TCP.
func TestRootMPTCP(t *testing.T) { kerneltest.Undisturbed(t, testMPTCP) }

func testMPTCP(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	kerneltest.Need(t, mptcp)
	open := func() *socket {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
		must(t, err)
		return adopted(t, fd)
	}
	l := open()
	must(t, unix.Bind(l.fd, sockaddr(lo4, unix.AF_INET)))
	must(t, unix.Listen(l.fd, 16))
	at := localOf(t, l)
	c := open()
	must(t, dial(c, at))
	from := localOf(t, c)
	s := accept(t, l)
	for _, end := range []struct {
		role tcpvet.Role
		at   any
	}{{tcpvet.Client, from}, {tcpvet.Server, at}} {
		e := f.one("open", func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventOpen && e.Role == end.role })
		if any(e.Local) != end.at {
			t.Errorf("%+v, want it from %v", e, end.at)
		}
		checkAccepted(t, "open", &e)
	}
	c.close()
	awaitData(t, s)
	s.close()
	for _, role := range []tcpvet.Role{tcpvet.Client, tcpvet.Server} {
		e := f.one("close", func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventClose && e.Role == role })
		if e.How != tcpvet.HowFIN || e.First == tcpvet.CloserUnknown {
			t.Errorf("%+v", e)
		}
		checkAccepted(t, "close", &e)
	}
}
