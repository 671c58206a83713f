package live

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// stage is a namespace of the test's own, in which this process fails to connect.
type stage struct {
	*testing.T
	netns   tcpvet.NetnsID
	process tcpvet.Process
}

func newStage(t *testing.T) *stage {
	kerneltest.Netns(t)
	p, _, err := procfs.FS{}.Descriptors(int32(os.Getpid()))
	must(t, err)
	s := &stage{T: t, process: p}
	s.enter()
	return s
}

func (s *stage) enter() {
	s.Helper()
	id, err := netns.Self()
	must(s.T, err)
	s.netns = id
	kerneltest.Start(s.T, "inside", new(int), func(*exec.Cmd) {}) // threads alone are not found
	s.sysctl("net.ipv4.tcp_syn_retries", "1")
}

// again goes into a new namespace, in which lo has never been up: one that was keeps
// its routes.
func (s *stage) again() {
	s.Helper()
	must(s.T, unix.Unshare(unix.CLONE_NEWNET))
	s.enter()
}

func (s *stage) sysctl(name, value string) {
	s.Helper()
	must(s.T, os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0))
}

func (s *stage) ports(low, high int) {
	s.Helper()
	s.sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", low, high))
}

// socket gives one that ends with the test.
func (s *stage) socket(addr netip.AddrPort) int {
	s.Helper()
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(s.T, err)
	must(s.T, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	s.Cleanup(func() { unix.Close(fd) })
	return fd
}

func (s *stage) bound(addr string) int {
	s.Helper()
	ap := netip.MustParseAddrPort(addr)
	fd := s.socket(ap)
	must(s.T, unix.Bind(fd, sockaddr(ap)))
	return fd
}

func (s *stage) listen(addr string) {
	s.Helper()
	must(s.T, unix.Listen(s.bound(addr), 100))
}

// connected opens n connections, and gives their sockets.
func (s *stage) connected(n int, local, remote string) (fds []int) {
	s.Helper()
	for range n {
		ap := netip.MustParseAddrPort(remote)
		fd := s.socket(ap)
		if local != "" {
			must(s.T, unix.Bind(fd, sockaddr(netip.MustParseAddrPort(local))))
		}
		must(s.T, unix.Connect(fd, sockaddr(ap)))
		fds = append(fds, fd)
	}
	return fds
}

// reset closes the sockets so that nothing of them is left.
func (s *stage) reset(fds []int) {
	s.Helper()
	for _, fd := range fds {
		// Of the family AF_UNSPEC: it dissolves the connection (connect(2)) and
		// keeps the descriptor.
		var none unix.RawSockaddr
		if _, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none)); e != 0 {
			s.Fatal(e)
		}
	}
}

func errno(err error) int {
	if e, ok := err.(unix.Errno); ok {
		return int(e)
	}
	return 0
}

// failed is the event of a call that has just failed here.
func (s *stage) failed(call tcpvet.Call, from tcpvet.State, err error, local, remote string) *tcpvet.Event {
	s.Helper()
	e := &tcpvet.Event{
		Kind: tcpvet.EventFail, At: time.Now(), Netns: s.netns, Process: s.process, Comm: "live.test", Call: call, From: from, Errno: errno(err), Took: -1,
	}
	if err == nil {
		s.Fatalf("%s did not fail", call)
	}
	if local != "" {
		e.Local = netip.MustParseAddrPort(local)
	}
	if remote != "" {
		e.Remote = netip.MustParseAddrPort(remote)
	}
	return e
}

// connect fails to, from a port of its own choice where local has one.
func (s *stage) connect(from tcpvet.State, local, remote string) *tcpvet.Event {
	s.Helper()
	ap := netip.MustParseAddrPort(remote)
	fd := s.socket(ap)
	if b, err := netip.ParseAddrPort(local); err == nil && b.Port() != 0 {
		must(s.T, unix.Bind(fd, sockaddr(b)))
	}
	return s.failed(tcpvet.CallConnect, from, unix.Connect(fd, sockaddr(ap)), local, remote)
}

func (s *stage) bind(addr string) *tcpvet.Event {
	s.Helper()
	ap := netip.MustParseAddrPort(addr)
	return s.failed(tcpvet.CallBind, 0, unix.Bind(s.socket(ap), sockaddr(ap)), addr, "")
}

// explain asks from outside of the namespace.
func (s *stage) explain(x *Explainer, e *tcpvet.Event) probe.Explanation {
	s.Helper()
	out := make(chan probe.Explanation)
	go func() { out <- x.Explain(context.Background(), e) }()
	return <-out
}

func (s *stage) lo() netlink.Link {
	s.Helper()
	link, err := netlink.LinkByName("lo")
	must(s.T, err)
	return link
}

// veth adds a link behind which nobody is.
func veth(s *stage) {
	s.Helper()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}
	must(s.T, netlink.LinkAdd(link))
	addr, err := netlink.ParseAddr("10.1.1.1/24")
	must(s.T, err)
	must(s.T, netlink.AddrAdd(link, addr))
	must(s.T, netlink.LinkSetUp(link))
}
