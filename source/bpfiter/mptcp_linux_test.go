package bpfiter_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// mptcpOn tells whether sockets of MPTCP can be made. The build decides.
func mptcpOn() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	switch err {
	case nil:
		return unix.Close(fd)
	case unix.EPROTONOSUPPORT, unix.ENOPROTOOPT, unix.EINVAL:
		return &kernel.Unsupported{Feature: "MPTCP", Err: err}
	}
	return err
}

// mptcpSocket is newSocket of the protocol that Go's listeners have.
func mptcpSocket(t testing.TB, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// mptcpListen listens at the address, on the port given or any.
func mptcpListen(t testing.TB, at netip.AddrPort, options ...func(fd int)) (int, netip.AddrPort) {
	t.Helper()
	family := unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	fd := mptcpSocket(t, family)
	must(t, unix.Bind(fd, sockaddr(at)))
	for _, set := range options {
		set(fd)
	}
	must(t, unix.Listen(fd, 64))
	sa, err := unix.Getsockname(fd)
	must(t, err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return fd, netip.AddrPortFrom(at.Addr(), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return fd, netip.AddrPortFrom(at.Addr(), uint16(sa.Port))
	}
	t.Fatalf("bound to %T", sa)
	return 0, netip.AddrPort{}
}

// stageMPTCP makes listeners of MPTCP of which another process holds one too, and of
// each what clients of plain TCP bring about there.
func stageMPTCP(t *testing.T) (want map[tcpvet.State]uint32) {
	t.Helper()
	want = make(map[tcpvet.State]uint32)
	for i, addr := range []string{"127.0.0.1", "::1"} {
		l, at := mptcpListen(t, netip.AddrPortFrom(netip.MustParseAddr(addr), 0))
		if i == 0 {
			dup, err := unix.FcntlInt(uintptr(l), unix.F_DUPFD_CLOEXEC, 3)
			must(t, err)
			f := os.NewFile(uintptr(dup), "listener")
			defer f.Close()
			var ready bool
			kerneltest.Start(t, "hold", &ready, func(cmd *exec.Cmd) { cmd.ExtraFiles = append(cmd.ExtraFiles, f) })
		}
		c, s := pair(t, l, at) // the server closes first
		closed(t, s)
		closed(t, c)
		_, s = pair(t, l, at) // and the client stays
		closed(t, s)
		pair(t, l, at)
		waiting := newSocket(t, at.Addr()) // is not accepted
		must(t, unix.Connect(waiting, sockaddr(at)))
		// Where the listener waits for data, the request stays one.
		_, at = mptcpListen(t, netip.AddrPortFrom(at.Addr(), 0), func(fd int) {
			must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
		})
		asking := newSocket(t, at.Addr())
		must(t, unix.Connect(asking, sockaddr(at)))
	}
	// A connection whose both ends are of MPTCP.
	l, at := mptcpListen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	c := mptcpSocket(t, unix.AF_INET)
	must(t, unix.Connect(c, sockaddr(at)))
	accept(t, l)
	// What was reset, or refused, is in no table.
	plain, at := listen(t, netip.MustParseAddrPort("127.0.0.1:0"), 1)
	c = mptcpSocket(t, unix.AF_INET)
	must(t, unix.Connect(c, sockaddr(at)))
	s := accept(t, plain)
	must(t, unix.SetsockoptLinger(s, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	closed(t, s)
	closed(t, plain)
	if err := unix.Connect(mptcpSocket(t, unix.AF_INET), sockaddr(at)); err != unix.ECONNREFUSED {
		t.Fatalf("connected to nobody: %v", err)
	}
	want[tcpvet.Listen] = 2*2 + 1
	want[tcpvet.TimeWait] = 2
	want[tcpvet.FinWait2], want[tcpvet.CloseWait] = 2, 2
	want[tcpvet.SynRecv] = 2
	want[tcpvet.Established] = 2*(2+2+1) + 2
	return want
}

// told are the sockets of a look, a line each, in an order of their own.
type told []string

func (*told) Host(tcpvet.Host)                           {}
func (*told) Netns(tcpvet.Netns)                         {}
func (*told) Process(tcpvet.Process, tcpvet.ProcessInfo) {}
func (*told) Gap(tcpvet.Gap)                             {}
func (*told) Changed(uint64)                             {}
func (l *told) Socket(s *tcpvet.Socket) error {
	*l = append(*l, fmt.Sprintf("%v %v -> %v mini %v inode %d cookie %d uid %d cgroup %d by %v and %v, %v, %v again %d",
		s.State, s.Local, s.Remote, s.Mini, s.Inode, s.Cookie, s.UID, s.Cgroup, s.Holder, s.SharedWith, s.Role, s.Timer.Kind, s.Timer.Retransmits))
	return nil
}

func tell(t *testing.T, src source.Source) []string {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	var l told
	must(t, src.Look(t.Context(), source.Query{Want: judged | streamFacts, Netns: source.Namespaces{Names: []string{fmt.Sprint(id)}}}, &l))
	slices.Sort(l)
	return l
}

// The subflows of MPTCP sockets are counted and told, and held by who holds the
// socket; and what has been accepted from such a listener is, in every state.
func TestRootMPTCP(t *testing.T) {
	need(t)
	kerneltest.Need(t, mptcpOn)
	kerneltest.Need(t, kernel.IPv6)
	kerneltest.Netns(t)
	want := stageMPTCP(t)
	proc, err := source.Open("procfs") // gives sockets no cookies, as sock_diag does
	must(t, err)
	id, err := netns.Self()
	must(t, err)
	own := source.Query{Netns: source.Namespaces{Names: []string{fmt.Sprint(id)}}}
	until(t, "the connections are as they stay", func() bool {
		c, err := source.Take(t.Context(), proc, own, source.TakeOptions{})
		must(t, err)
		for s, n := range c.TotalStates() {
			if uint64(want[tcpvet.State(s)]) != uint64(n) {
				return false
			}
		}
		return true
	})
	s, err := bpfiter.NewStream()
	must(t, err)
	defer s.Close()
	streamedLines := tell(t, streamed{s})
	netlink, err := source.Open("netlink")
	must(t, err)
	lines := tell(t, netlink)
	if diff := cmp.Diff(lines, streamedLines); diff != "" {
		t.Errorf("by netlink (-), by a Stream (+):\n%s", diff)
	}

	// A merely bound one has a cookie when sock_diag has been at it.
	bound := mptcpSocket(t, unix.AF_INET)
	must(t, unix.Bind(bound, sockaddr(netip.MustParseAddrPort("127.0.0.1:5555"))))
	mptcpSocket(t, unix.AF_INET) // in no table
	lines = tell(t, netlink)
	before := byNetlink(t, judged)
	got := count(t, bpfiter.Options{Info: true}, &before)
	after := byNetlink(t, judged)
	agree(t, &before, &after, &got)
	if got.Bound == nil || len(lines) != int(got.Sockets) {
		t.Errorf("counted %d sockets and %v bound, told %d", got.Sockets, got.Bound, len(lines))
	}
	bpf, err := source.Open("bpf")
	must(t, err)
	if diff := cmp.Diff(lines, tell(t, bpf)); diff != "" {
		t.Errorf("by netlink (-), by bpf (+):\n%s", diff)
	}
}
