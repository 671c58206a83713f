package sourcetest

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// connections stages what is open.
func (st *stage) connections(addr string) {
	st.Helper()
	c, s := st.pair("open", addr, tcpvet.Established, tcpvet.Established)
	c.shared = true
	c.keepalive, s.keepalive = "off", "off"
	st.must(unix.Fchown(c.fd, owner, -1)) // the kernel's sk_uid follows
	c.uid = owner

	c, s = st.pair("kept alive", addr, tcpvet.Established, tcpvet.Established)
	st.must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	c.timer, c.keepalive, s.keepalive = []tcpvet.TimerKind{tcpvet.TimerKeepalive}, "on", "off"

	c, s = st.pair("unread", addr, tcpvet.Established, tcpvet.Established)
	time.Sleep(20 * time.Millisecond)
	since := time.Now()
	_, err := unix.Write(c.fd, []byte("hello"))
	st.must(err)
	c.dated(since)
	s.dated(since)
}

// closing stages what one end has closed.
func (st *stage) closing(addr string) {
	st.Helper()
	// closed makes the server's end close its half, and dates the client's.
	closed := func(name string, first string) (c, s *staged) {
		st.Helper()
		c, s = st.pair(name, addr, tcpvet.CloseWait, tcpvet.FinWait2)
		if first != "" {
			_, err := unix.Write(s.fd, []byte(first))
			st.must(err)
		}
		time.Sleep(20 * time.Millisecond) // the FIN is later than all else
		since := time.Now()
		st.must(unix.Shutdown(s.fd, unix.SHUT_WR))
		c.dated(since)
		s.since, s.until = time.Time{}, time.Time{}
		c.keepalive = "off"
		return c, s
	}
	c, _ := closed("never read", "")
	c.recvQ = 1

	c, _ = closed("read to the end", "")
	n, err := unix.Read(c.fd, make([]byte, 1))
	if err != nil || n != 0 {
		st.Fatalf("read the end: %d bytes, %v", n, err)
	}

	c, _ = closed("undrained", "reply")
	c.recvQ = 1

	c, s := closed("closed and kept alive", "")
	st.must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	c.recvQ, c.timer, c.keepalive = 1, []tcpvet.TimerKind{tcpvet.TimerKeepalive}, "on"
	s.timer = []tcpvet.TimerKind{tcpvet.TimerNone}

	c, s = closed("orphaned", "")
	c.recvQ = 1
	st.close(s)
	s.mini, s.timer = true, []tcpvet.TimerKind{tcpvet.TimerTimeWait}

	c, s = st.pair("over", addr, tcpvet.TimeWait, tcpvet.Unconn)
	since := time.Now()
	st.close(c)
	st.close(s)
	c.dated(since)
	c.mini, c.timer = true, []tcpvet.TimerKind{tcpvet.TimerTimeWait}
	st.all = st.all[:len(st.all)-1] // the other end is gone
}

// listeners stages listeners, and what waits at them.
func (st *stage) listeners(addr string) {
	st.Helper()
	a := netip.MustParseAddr(addr)
	l, at := st.listen(a, 5)
	st.listener("listener", l, 1, 5).shared = true
	c := st.add("not accepted", st.connect(at), tcpvet.Established, tcpvet.Client)
	c.keepalive = "off"
	st.end("not accepted, server", c, tcpvet.Established)

	// A queue of length 0 takes one connection. The next SYN is dropped.
	l, at = st.listen(a, 0)
	st.listener("full listener", l, 1, 0)
	c = st.add("at the full listener", st.connect(at), tcpvet.Established, tcpvet.Client)
	st.end("at the full listener, server", c, tcpvet.Established)
	fd := st.socket(a)
	st.must(unix.SetNonblock(fd, true))
	if err := unix.Connect(fd, sockaddr(at)); !errors.Is(err, unix.EINPROGRESS) {
		st.Fatalf("connect to a full queue: %v, not EINPROGRESS", err)
	}
	c = st.add("unanswered", fd, tcpvet.SynSent, tcpvet.Client)
	c.remote = at // getpeername(2) does not say while it connects
	c.asked, c.sendQ, c.timer = false, 1, []tcpvet.TimerKind{tcpvet.TimerOn}

	// With TCP_DEFER_ACCEPT a request waits for data after the handshake.
	l, at = st.listen(a, 5)
	st.must(unix.SetsockoptInt(l, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
	st.listener("deferring listener", l, 0, 5)
	c = st.add("deferred", st.connect(at), tcpvet.Established, tcpvet.Client)
	st.end("deferred, request", c, tcpvet.SynRecv).timer = []tcpvet.TimerKind{tcpvet.TimerOn}

	fd = st.socket(a)
	st.must(unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	st.add("merely bound", fd, tcpvet.BoundInactive, tcpvet.RoleUnknown)

	fd = st.socket(a)
	lo, err := net.InterfaceByName("lo")
	st.must(err)
	st.must(unix.BindToDevice(fd, lo.Name))
	st.must(unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	st.must(unix.Listen(fd, 3))
	st.listener("listener of one interface", fd, 0, 3).ifindex = uint32(lo.Index)
}

// stuffed stages FINs that wait behind data which nobody reads.
func (st *stage) stuffed(addr string) {
	st.Helper()
	probing := []tcpvet.TimerKind{tcpvet.TimerOn, tcpvet.TimerPersist}
	moves := func(ss ...*staged) { // window probes and their answers
		for _, s := range ss {
			s.since, s.until = time.Time{}, time.Time{}
		}
	}
	c, s := st.pair("FIN behind data", addr, tcpvet.FinWait1, tcpvet.Established)
	st.stuff(c.fd)
	st.must(unix.Shutdown(c.fd, unix.SHUT_WR))
	c.timer = probing
	moves(c, s)

	c, s = st.pair("crossed FINs", addr, tcpvet.Closing, tcpvet.FinWait2)
	st.stuff(c.fd)
	st.must(unix.Shutdown(c.fd, unix.SHUT_WR))
	st.must(unix.Shutdown(s.fd, unix.SHUT_WR))
	c.timer, c.recvQ = probing, 1
	moves(c, s)

	c, s = st.pair("last FIN behind data", addr, tcpvet.LastAck, tcpvet.FinWait2)
	st.must(unix.Shutdown(s.fd, unix.SHUT_WR))
	st.stuff(c.fd)
	st.must(unix.Shutdown(c.fd, unix.SHUT_WR))
	c.timer, c.recvQ = probing, 1
	moves(c, s)
}

// stuff writes until neither end takes any more.
func (st *stage) stuff(fd int) {
	st.Helper()
	st.must(unix.SetNonblock(fd, true))
	block := make([]byte, 64<<10)
	for idle := 0; idle < 4; {
		switch _, err := unix.Write(fd, block); err {
		case nil:
			idle = 0
		case unix.EAGAIN:
			idle++
			time.Sleep(5 * time.Millisecond)
		default:
			st.Fatal(err)
		}
	}
}

// mapped stages an IPv4 client of a listener for both families.
func (st *stage) mapped() {
	st.Helper()
	l, at := st.listen(netip.IPv6Unspecified(), 5)
	st.listener("listener of both families", l, 0, 5)
	since := time.Now()
	c := st.add("mapped, client", st.connect(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())), tcpvet.Established, tcpvet.Client)
	s := st.add("mapped, server", st.accept(l), tcpvet.Established, tcpvet.Server)
	c.dated(since)
	s.dated(since)
	if !s.local.Addr().Is4In6() {
		st.Fatalf("stage %s: %v is not mapped", s.name, s.local)
	}
}
