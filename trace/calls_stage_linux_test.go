package trace

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// callTrace is a trace of the failures in the test's own network namespace.
type callTrace struct {
	*Tracer
	netns tcpvet.NetnsID
}

// traceCalls begins one. Failures of calls must be there to be seen.
func traceCalls(t testing.TB) *callTrace {
	t.Helper()
	need(t)
	kerneltest.Netns(t)
	return traceCallsHere(t)
}

func traceCallsHere(t testing.TB) *callTrace {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	tr, err := Open(Options{Kinds: Fails, Netns: []tcpvet.NetnsID{id}, Calls: true})
	must(t, err)
	t.Cleanup(func() { tr.Close() })
	if missing := tr.Missing(); len(missing) != 0 {
		t.Fatalf("missing: %+v", missing)
	}
	return &callTrace{tr, id}
}

// told gives what has happened since it was last asked.
func (w *callTrace) told(t testing.TB) (events []tcpvet.Event) {
	t.Helper()
	ended, end := context.WithCancel(context.Background())
	end() // what had come is handed over all the same
	err := w.Run(ended, func(e *tcpvet.Event) error {
		events = append(events, *e)
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return events
}

// tcp makes a socket of TCP that the test closes.
func tcp(t testing.TB, family, flags int) int { return newSocket(t, family, flags).fd }

// socketOf makes one of another kind.
func socketOf(t testing.TB, family, kind, protocol int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// target reads an address for a call. One of IPv4 in brackets is mapped.
func target(s string) unix.Sockaddr {
	at := netip.MustParseAddrPort(s)
	return sockaddr(at, familyOf(at))
}

// listening gives a listener that does not wait, and where it is.
func listening(t testing.TB, at string) (fd int, where string) {
	t.Helper()
	l, on := listen(t, netip.MustParseAddrPort(at))
	must(t, unix.SetNonblock(l.fd, true))
	return l.fd, on.String()
}

// ownEnd is what the program itself is told of its end.
func ownEnd(t testing.TB, fd int) string {
	t.Helper()
	at := localOf(t, &socket{fd: fd})
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}

// connectRaw gives connect() what a program may give it, fit or not.
func connectRaw(fd int, address unsafe.Pointer, size uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(address), size); e != 0 {
		return e
	}
	return nil
}

// errnoOf gives the number that the program got, 0 for success.
func errnoOf(err error) int {
	e, _ := errors.AsType[unix.Errno](err)
	return int(e)
}

// failedBy waits until what was connecting has failed, as the program is told it.
func failedBy(t testing.TB, fd int) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(p, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != 1 || p[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0 {
			t.Fatalf("poll gave %d, %v, events %#x; want an error of the connection", n, err, p[0].Revents)
		}
		return
	}
}
