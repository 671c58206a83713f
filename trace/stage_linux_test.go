package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// generous is how long a test waits for what must come.
const generous = time.Minute

// follower is a trace that runs beside a test and keeps what it is told.
type follower struct {
	*Tracer
	t      testing.TB
	mu     sync.Mutex
	events []tcpvet.Event
	stop   context.CancelFunc
	ended  chan error
}

// follow begins a trace of the namespace of the test, which is a new one.
func follow(t testing.TB, o Options) *follower {
	t.Helper()
	need(t)
	kerneltest.Netns(t)
	return followHere(t, o)
}

// followHere begins a trace of the namespace that the test is in.
func followHere(t testing.TB, o Options) *follower {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	o.Netns = []tcpvet.NetnsID{id}
	tr, err := Open(o)
	must(t, err)
	if m := tr.Missing(); len(m) > 0 {
		t.Fatalf("missing: %+v", m)
	}
	f := &follower{Tracer: tr, t: t}
	f.run()
	t.Cleanup(func() {
		f.end()
		must(t, f.Close())
	})
	return f
}

func (f *follower) run() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.ended = stop, make(chan error, 1)
	go func() {
		f.ended <- f.Run(ctx, func(e *tcpvet.Event) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, *e)
			return nil
		})
	}()
}

// end ends the trace, which tells what had come.
func (f *follower) end() {
	f.t.Helper()
	if f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	if err := <-f.ended; !errors.Is(err, context.Canceled) {
		f.t.Errorf("the trace ended with %v", err)
	}
}

// all gives the events so far that match.
func (f *follower) all(match func(*tcpvet.Event) bool) (some []tcpvet.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.events {
		if match(&f.events[i]) {
			some = append(some, f.events[i])
		}
	}
	return some
}

// one waits for the event that matches, and fails if there are several.
func (f *follower) one(what string, match func(*tcpvet.Event) bool) tcpvet.Event {
	f.t.Helper()
	some := f.wait(what, 1, match)
	if len(some) > 1 {
		f.t.Fatalf("%s: %d events: %+v", what, len(some), some)
	}
	return some[0]
}

// wait waits for n events that match.
func (f *follower) wait(what string, n int, match func(*tcpvet.Event) bool) (some []tcpvet.Event) {
	f.t.Helper()
	until(f.t, what, func() bool {
		some = f.all(match)
		return len(some) >= n
	}, func() any { return f.all(func(*tcpvet.Event) bool { return true }) })
	return some
}

func until(t testing.TB, what string, done func() bool, else_ ...func() any) {
	t.Helper()
	for end := time.Now().Add(generous); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			if len(else_) > 0 {
				t.Logf("there is %+v", else_[0]())
			}
			t.Fatalf("waited %v for %s", generous, what)
		}
	}
}

// of matches events of a socket.
func of(kind tcpvet.EventKind, cookie uint64) func(*tcpvet.Event) bool {
	return func(e *tcpvet.Event) bool { return e.Kind == kind && e.Cookie == cookie }
}

// socket is a descriptor, and the cookie of its socket.
type socket struct {
	fd     int
	cookie uint64
}

// closeAfter closes the descriptor when the test ends, if it does not before.
func (s *socket) closeAfter(t testing.TB) {
	t.Cleanup(func() { s.close() })
}

func (s *socket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

func adopted(t testing.TB, fd int) *socket {
	t.Helper()
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	s := &socket{fd, cookie}
	s.closeAfter(t)
	return s
}

func newSocket(t testing.TB, family int, flags int) *socket {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, unix.IPPROTO_TCP)
	must(t, err)
	return adopted(t, fd)
}

func sockaddr(at netip.AddrPort, family int) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
	}
	return &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
}

func familyOf(at netip.AddrPort) int {
	if at.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// listen listens at a port of the kernel's choice, unless at has one.
func listen(t testing.TB, at netip.AddrPort) (*socket, netip.AddrPort) {
	t.Helper()
	l := newSocket(t, familyOf(at), 0)
	must(t, unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(l.fd, sockaddr(at, familyOf(at))))
	must(t, unix.Listen(l.fd, 4096))
	return l, localOf(t, l)
}

func localOf(t testing.TB, s *socket) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(s.fd)
	must(t, err)
	return addrPort(sa)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// connected opens a connection and gives both ends.
func connected(t testing.TB, l *socket, at netip.AddrPort) (client, server *socket) {
	t.Helper()
	client = newSocket(t, familyOf(at), 0)
	must(t, unix.Connect(client.fd, sockaddr(at, familyOf(at))))
	return client, accept(t, l)
}

func accept(t testing.TB, l *socket) *socket {
	t.Helper()
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
	must(t, err)
	return adopted(t, fd)
}

// deafen has the socket drop what comes: its peer hears nothing more of it.
func deafen(t testing.TB, s *socket) {
	t.Helper()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	must(t, unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]}))
}

func option(t testing.TB, s *socket, level, name, value int) {
	t.Helper()
	must(t, unix.SetsockoptInt(s.fd, level, name, value))
}

// abortive has close() send an RST.
func abortive(t testing.TB, s *socket) {
	t.Helper()
	must(t, unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
}

func sysctl(t testing.TB, name, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0))
}

func write(t testing.TB, s *socket, text string) {
	t.Helper()
	_, err := unix.Write(s.fd, []byte(text))
	must(t, err)
}

// awaitData waits until something can be read, be it the end.
func awaitData(t testing.TB, s *socket) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(generous.Milliseconds()))
	if err != nil || n != 1 {
		t.Fatalf("wait for data: %d, %v", n, err)
	}
}

// state is what TCP_INFO says the socket is in.
func state(t testing.TB, s *socket) tcpvet.State {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	must(t, err)
	return tcpvet.State(info.State)
}

func awaitState(t testing.TB, s *socket, want tcpvet.State) {
	t.Helper()
	until(t, want.String(), func() bool { return state(t, s) == want })
}

// destroy ends the socket from outside, as ss -K does (sock_diag(7), SOCK_DESTROY).
func destroy(t testing.TB, local, remote netip.AddrPort, cookie uint64) {
	t.Helper()
	const sockDestroy = 21
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	must(t, err)
	defer unix.Close(fd)
	var msg [unix.NLMSG_HDRLEN + 56]byte
	ne, be := binary.NativeEndian, binary.BigEndian
	ne.PutUint32(msg[0:], uint32(len(msg)))
	ne.PutUint16(msg[4:], sockDestroy)
	ne.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg[16], msg[17] = byte(familyOf(local)), unix.IPPROTO_TCP
	be.PutUint16(msg[24:], local.Port())
	be.PutUint16(msg[26:], remote.Port())
	copy(msg[28:], local.Addr().AsSlice())
	copy(msg[44:], remote.Addr().AsSlice())
	ne.PutUint64(msg[64:], cookie)
	must(t, unix.Sendto(fd, msg[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	var answer [512]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	must(t, err)
	if n < unix.NLMSG_HDRLEN+4 {
		t.Fatalf("destroy: an answer of %d bytes", n)
	}
	if errno := int32(ne.Uint32(answer[unix.NLMSG_HDRLEN:])); errno != 0 {
		t.Fatalf("destroy: %v", unix.Errno(-errno))
	}
}
