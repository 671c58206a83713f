package source_test

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
)

// holdBound binds one TCP socket and does no more with it, in a namespace that has
// no other.
func holdBound() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: boundPort}); err != nil {
		return err
	}
	id, err := netns.Self()
	if err != nil {
		return err
	}
	if err := kerneltest.Say(holding{id, boundPort}); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

const boundPort = 4711

// A socket that is merely bound is seen in a namespace that has no other, among
// all namespaces: by a look, and by counting.
func TestRootBoundAlone(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BoundInactive)
	src := live("netlink")(t)
	var h holding
	kerneltest.Start(t, "bound", &h, func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} })
	all := source.Query{Netns: source.Namespaces{All: true}}

	var l listed
	must(t, src.Look(t.Context(), all, &l))
	told := 0
	for _, s := range l.sockets {
		if s.Netns == h.Netns && s.State == tcpvet.BoundInactive && s.Local.Port() == boundPort {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the bound socket was told %d times", told)
	}
	c, err := src.(source.StateCounter).CountStates(t.Context(), all)
	must(t, err)
	if tally := c.Groups[tcpvet.Group{Netns: h.Netns}]; tally == nil || tally.States[tcpvet.BoundInactive] != 1 {
		t.Errorf("counted %+v, not one bound socket", tally)
	}
}

// What is no TCP socket outside of the tables does not cost a look: in a new
// namespace, and with sockets of families that count theirs.
func TestRootMayBind(t *testing.T) {
	kerneltest.Netns(t)
	may := func(what string, want bool) {
		t.Helper()
		got, err := source.MayBind()
		must(t, err)
		if got != want {
			t.Errorf("%s: may be bound: %v", what, got)
		}
	}
	open := func(domain, kind, proto int) int {
		t.Helper()
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, proto)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	may("nothing", false)
	open(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	open(unix.AF_PACKET, unix.SOCK_RAW, 0)
	must(t, unix.Bind(open(unix.AF_INET, unix.SOCK_DGRAM, 0), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	may("Unix, netlink, packet and UDP sockets", false)
	must(t, unix.Bind(open(unix.AF_INET6, unix.SOCK_STREAM, 0), &unix.SockaddrInet6{}))
	may("a bound TCP socket", true)
}
