package trace

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

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
