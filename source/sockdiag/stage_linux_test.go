package sockdiag

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// staged is a socket that the test made, and what is known of it without
// sock_diag.
type staged struct {
	name   string
	fd     int // -1 where no descriptor is left
	cookie uint64
	state  tcpvet.State
	mini   bool
	local  netip.AddrPort
	remote netip.AddrPort
	inode  uint64

	owner uint32 // 0 is root
	ifidx uint32
	queue [2]uint32 // of listeners: length, limit
}

// stageAll puts sockets into every state that a namespace with nothing but a
// loopback can show for longer than a moment, over each of the addresses.
func stageAll(t *testing.T, addrs ...string) (all []staged) {
	t.Helper()
	var stuffed []int
	for _, addr := range addrs {
		all = append(all, stage(t, addr)...)
	}
	for _, s := range all {
		switch s.state {
		case tcpvet.FinWait1, tcpvet.Closing, tcpvet.LastAck:
			stuffed = append(stuffed, s.fd)
		}
	}
	settled(t, stuffed)
	return all
}

func stage(t *testing.T, addr string) []staged {
	t.Helper()
	var all []staged
	add := func(name string, fd int, state tcpvet.State) *staged {
		s := staged{name: name, fd: fd, cookie: cookie(t, fd), state: state, local: local(t, fd), inode: inode(t, fd)}
		if sa, err := unix.Getpeername(fd); err == nil {
			s.remote = addrPort(t, sa)
		} else {
			zero := netip.IPv4Unspecified()
			if s.local.Addr().Is6() {
				zero = netip.IPv6Unspecified()
			}
			s.remote = netip.AddrPortFrom(zero, 0)
		}
		all = append(all, s)
		return &all[len(all)-1]
	}
	gone := func(s *staged) { // after close()
		s.fd, s.inode = -1, 0
	}

	l, at := listen(t, addr, 5)
	add("listener", l, tcpvet.Listen).queue = [2]uint32{1, 5}
	add("client of an unaccepted connection", connect(t, at), tcpvet.Established)

	a, b := pair(t, addr)
	const somebody = 4711
	must(t, unix.Fchown(a, somebody, -1))
	add("client", a, tcpvet.Established).owner = somebody
	add("server", b, tcpvet.Established)

	a, b = pair(t, addr)
	must(t, unix.Shutdown(a, unix.SHUT_WR))
	add("half-closed", a, tcpvet.FinWait2)
	add("left open", b, tcpvet.CloseWait)

	a, b = pair(t, addr)
	s := add("orphan", a, tcpvet.FinWait2)
	must(t, unix.Close(a))
	gone(s)
	s.mini = true
	add("peer of the orphan", b, tcpvet.CloseWait)

	a, b = pair(t, addr)
	s = add("closed first", a, tcpvet.TimeWait)
	must(t, unix.Close(a))
	must(t, unix.Close(b))
	gone(s)
	s.mini = true

	// A queue of length 0 takes one connection. The next SYN is dropped.
	l, at = listen(t, addr, 0)
	add("full listener", l, tcpvet.Listen).queue = [2]uint32{1, 0}
	add("client of a full listener", connect(t, at), tcpvet.Established)
	a = newTCP(t, family(at.Addr()))
	must(t, unix.SetNonblock(a, true))
	if err := unix.Connect(a, sockaddr(at)); err != unix.EINPROGRESS {
		t.Fatalf("connect to a full queue: %v, not EINPROGRESS", err)
	}
	s = add("unanswered", a, tcpvet.SynSent)
	s.remote = at // getpeername() does not say while it connects

	// With TCP_DEFER_ACCEPT a request waits for data after the handshake.
	l, at = listen(t, addr, 5)
	add("deferring listener", l, tcpvet.Listen).queue = [2]uint32{0, 5}
	must(t, unix.SetsockoptInt(l, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
	add("client of a request", connect(t, at), tcpvet.Established)

	a, b = pair(t, addr)
	stuff(t, a)
	must(t, unix.Shutdown(a, unix.SHUT_WR))
	add("FIN behind data", a, tcpvet.FinWait1)
	add("full receiver", b, tcpvet.Established)

	a, b = pair(t, addr)
	stuff(t, a)
	must(t, unix.Shutdown(a, unix.SHUT_WR))
	must(t, unix.Shutdown(b, unix.SHUT_WR))
	add("crossed FINs", a, tcpvet.Closing)
	add("crossed FINs, acknowledged", b, tcpvet.FinWait2)

	a, b = pair(t, addr)
	must(t, unix.Shutdown(b, unix.SHUT_WR))
	stuff(t, a)
	must(t, unix.Shutdown(a, unix.SHUT_WR))
	add("last FIN behind data", a, tcpvet.LastAck)
	add("waits for the last FIN", b, tcpvet.FinWait2)

	a = newTCP(t, family(at.Addr()))
	must(t, unix.Bind(a, sockaddr(netip.AddrPortFrom(at.Addr(), 0))))
	add("merely bound", a, tcpvet.BoundInactive)

	a = newTCP(t, family(at.Addr()))
	lo, err := net.InterfaceByName("lo")
	must(t, err)
	must(t, unix.BindToDevice(a, lo.Name))
	must(t, unix.Bind(a, sockaddr(netip.AddrPortFrom(at.Addr(), 0))))
	must(t, unix.Listen(a, 3))
	s = add("listener of one interface", a, tcpvet.Listen)
	s.ifidx = uint32(lo.Index)
	s.queue = [2]uint32{0, 3}
	return all
}
