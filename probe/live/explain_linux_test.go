package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// TestRootExplain stages failures, and what changes before they are looked at.
func TestRootExplain(t *testing.T) {
	const target, source = "127.0.0.1:8080", "127.0.0.1:0"
	for _, c := range []struct {
		name  string
		act   func(*stage) *tcpvet.Event
		errno int // what the kernel gave
		cause tcpvet.Cause
		sure  tcpvet.Certainty
		says  string
	}{
		{"no port", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			s.connected(4, "", target)
			return s.connect(tcpvet.SynSent, source, target)
		}, 99, tcpvet.CausePortsExhausted, tcpvet.Certain, "By state: 4 ESTAB. Held by live.test["},
		{"no port, most free again", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			fds := s.connected(4, "", target)
			e := s.connect(tcpvet.SynSent, source, target)
			s.reset(fds[:3])
			return e
		}, 99, tcpvet.CausePortsExhausted, tcpvet.Likely, "found 3 ports of 4 free"},
		{"no port, one free again", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			fds := s.connected(4, "", target)
			e := s.connect(tcpvet.SynSent, source, target)
			s.reset(fds[:1])
			return e
		}, 99, tcpvet.CausePortsExhausted, tcpvet.Certain, "found 1 port of 4 free"},
		{"reserved", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			s.sysctl("net.ipv4.ip_local_reserved_ports", "40000-40003")
			return s.connect(tcpvet.SynSent, source, target)
		}, 99, tcpvet.CauseReservedPorts, tcpvet.Certain, "40000-40003"},
		{"bound", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			for port := 40000; port < 40004; port++ {
				s.bound(fmt.Sprintf("127.0.0.1:%d", port))
			}
			return s.connect(tcpvet.SynSent, source, target)
		}, 99, tcpvet.CauseBoundPorts, tcpvet.Certain, "4 of the 4 local ports"},
		{"four numbers", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.connected(1, "127.0.0.1:45000", target)
			return s.connect(tcpvet.SynSent, "127.0.0.1:45000", target)
		}, 99, tcpvet.CauseTupleExists, tcpvet.Certain, "in ESTAB, held by live.test["},
		{"four numbers, gone since", func(s *stage) *tcpvet.Event {
			s.listen(target)
			fds := s.connected(1, "127.0.0.1:45000", target)
			e := s.connect(tcpvet.SynSent, "127.0.0.1:45000", target)
			s.reset(fds)
			return e
		}, 99, tcpvet.CauseTupleExists, tcpvet.Certain, "found it no more"},
		{"refused", func(s *stage) *tcpvet.Event {
			return s.connect(tcpvet.SynSent, source, target)
		}, 111, tcpvet.CauseRefused, tcpvet.Certain, "nothing listens on port 8080"},
		{"refused, listens since", func(s *stage) *tcpvet.Event {
			e := s.connect(tcpvet.SynSent, source, target)
			s.listen(target)
			return e
		}, 111, tcpvet.CauseRefused, tcpvet.Likely, "began to listen only now"},
		{"no route", func(s *stage) *tcpvet.Event {
			return s.connect(0, "", "10.9.9.9:80")
		}, 101, tcpvet.CauseNoRoute, tcpvet.Certain, "no route of this namespace"},
		{"no route, one since", func(s *stage) *tcpvet.Event {
			e := s.connect(0, "", "10.9.9.9:80")
			must(s.T, netlink.AddrAdd(s.lo(), &netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 9, 9, 1})}))
			must(s.T, netlink.RouteAdd(&netlink.Route{LinkIndex: s.lo().Attrs().Index, Dst: netlink.NewIPNet([]byte{10, 9, 9, 9})}))
			return e
		}, 101, tcpvet.CauseNoRoute, tcpvet.Certain, "found one"},
		{"lo down", func(s *stage) *tcpvet.Event {
			s.again()
			return s.connect(0, "", target)
		}, 101, tcpvet.CauseLoopbackDown, tcpvet.Certain, "is on lo, which is down"},
		{"lo down, up since", func(s *stage) *tcpvet.Event {
			s.again()
			e := s.connect(0, "", target)
			must(s.T, netlink.LinkSetUp(s.lo()))
			return e
		}, 101, tcpvet.CauseLoopbackDown, tcpvet.Likely, "found lo up"},
		{"IPv6 off", func(s *stage) *tcpvet.Event {
			s.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
			return s.connect(0, "", "[::1]:80")
		}, 99, tcpvet.CauseIPv6Disabled, tcpvet.Certain, "net.ipv6.conf.all.disable_ipv6 is 1"},
		{"loopback source", func(s *stage) *tcpvet.Event {
			must(s.T, netlink.AddrAdd(s.lo(), &netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 9, 9, 1})}))
			veth(s)
			return s.connect(0, "127.0.0.1:45000", "10.1.1.2:80")
		}, 22, tcpvet.CauseSourceScope, tcpvet.Certain, "does not leave the machine"},
		{"port taken", func(s *stage) *tcpvet.Event {
			s.listen("127.0.0.1:45000")
			s.listen("127.0.0.2:45000")
			return s.bind("127.0.0.1:45000")
		}, 98, tcpvet.CauseBoundPorts, tcpvet.Certain, "port 45000, in LISTEN, held by live.test["},
		{"no port for bind", func(s *stage) *tcpvet.Event {
			s.listen(target)
			s.ports(40000, 40003)
			for range 4 { // without SO_REUSEADDR: with it they may share ports
				fd := s.socket(netip.MustParseAddrPort(source))
				must(s.T, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
				must(s.T, unix.Bind(fd, sockaddr(netip.MustParseAddrPort(source))))
				must(s.T, unix.Connect(fd, sockaddr(netip.MustParseAddrPort(target))))
			}
			fd := s.socket(netip.MustParseAddrPort(source))
			must(s.T, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
			return s.failed(tcpvet.CallBind, 0, unix.Bind(fd, sockaddr(netip.MustParseAddrPort(source))), source, "")
		}, 98, tcpvet.CauseBoundPorts, tcpvet.Certain, "Most go to 127.0.0.1:8080: 4 connections. Held by live.test["},
		{"not local", func(s *stage) *tcpvet.Event {
			return s.bind("10.9.9.9:80")
		}, 99, tcpvet.CauseAddressNotLocal, tcpvet.Certain, "no interface of this namespace has the address 10.9.9.9"},
		{"not local, set since", func(s *stage) *tcpvet.Event {
			e := s.bind("10.9.9.9:80")
			must(s.T, netlink.AddrAdd(s.lo(), &netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 9, 9, 9})}))
			return e
		}, 99, tcpvet.CauseAddressNotLocal, tcpvet.Likely, "found it there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			e := c.act(s)
			if e.Errno != c.errno {
				t.Fatalf("the kernel gave %d, want %d", e.Errno, c.errno)
			}
			x := NewExplainer(ExplainOptions{})
			got := s.explain(x, e)
			if text := strings.Join(got.Text, " "); got.Cause != c.cause || got.Certainty != c.sure || !strings.Contains(text, c.says) {
				t.Errorf("%s, %s; want %s, %s, and %q in\n%s", got.Cause, got.Certainty, c.cause, c.sure, c.says, text)
			}
			if !got.Looked || got.Repeated || len(got.Gaps) > 0 && got.Gaps[0].What == "sockets" {
				t.Errorf("looked %v, repeated %v, gaps %+v", got.Looked, got.Repeated, got.Gaps)
			}
			if again := s.explain(x, e); !again.Repeated || again.Cause != c.cause || again.Certainty != c.sure {
				t.Errorf("again: %s, %s, repeated %v", again.Cause, again.Certainty, again.Repeated)
			}
		})
	}
}

// The takers of the ports are those that the kernel has, by state and by holder.
func TestRootExplainTakers(t *testing.T) {
	s := newStage(t)
	s.listen("127.0.0.1:8080")
	s.ports(40000, 40003)
	s.connected(4, "", "127.0.0.1:8080")
	got := s.explain(NewExplainer(ExplainOptions{}), s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080"))
	u := got.Use
	if u == nil || u.Budget.Taken[tcpvet.Established] != 4 || u.Left != 0 || len(u.Holders) != 1 || u.Holders[0].Process != s.process || u.Holders[0].Count != 4 {
		t.Errorf("use %+v", u)
	}
}

// What a failure hangs on the process alone for needs no namespace.
func TestRootExplainDescriptors(t *testing.T) {
	s := newStage(t)
	var got unix.Errno
	child := kerneltest.Start(t, "full", &got, func(*exec.Cmd) {})
	p, _, err := procfs.FS{}.Descriptors(int32(child.Process.Pid))
	must(t, err)
	e := s.failed(tcpvet.CallSocket, 0, got, "0.0.0.0:0", "")
	e.Process, e.Errno = p, int(got)
	out := s.explain(NewExplainer(ExplainOptions{}), e)
	if e.Errno != 24 || out.Cause != tcpvet.CauseDescriptorLimit || out.Certainty != tcpvet.Certain || len(out.Evidence) != 2 {
		t.Fatalf("errno %d: %s, %s, evidence %+v", e.Errno, out.Cause, out.Certainty, out.Evidence)
	}
	// Nor is it told of another process that has the PID by now.
	e.Netns, e.Process.Start, e.Comm = 1, p.Start-1, "before"
	other := s.explain(NewExplainer(ExplainOptions{}), e)
	if text := strings.Join(other.Text, " "); len(other.Gaps) > 0 || !strings.Contains(text, fmt.Sprintf("before[%d] had no descriptor left.", p.PID)) || strings.Contains(text, "limit is") {
		t.Errorf("%s; gaps %+v", text, other.Gaps)
	}
	for _, ev := range out.Evidence {
		said, err := exec.Command("sh", "-c", ev.Check).Output()
		if strings.TrimSpace(string(said)) != ev.Got || err != nil {
			t.Errorf("%s: %q, and %s gives %q, %v", ev.What, ev.Got, ev.Check, said, err)
		}
	}
}

// A namespace that is gone leaves the verdict of the event alone, and a gap.
func TestRootExplainGone(t *testing.T) {
	s := newStage(t)
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080")
	e.Netns = 1 // no inode of nsfs is that small
	got := s.explain(NewExplainer(ExplainOptions{}), e)
	if got.Cause != tcpvet.CauseRefused || got.Looked || got.Census != nil || len(got.Gaps) != 1 || !strings.Contains(got.Gaps[0].Err, netns.ErrGone.Error()) {
		t.Errorf("%s, looked %v, gaps %+v", got.Cause, got.Looked, got.Gaps)
	}
	e.Netns = 0
	if got := s.explain(NewExplainer(ExplainOptions{}), e); len(got.Gaps) != 1 || got.Looked {
		t.Errorf("without a namespace: looked %v, gaps %+v", got.Looked, got.Gaps)
	}
}

// Another user may not enter, and is told what that needs.
func TestRootExplainUnentitled(t *testing.T) {
	s := newStage(t)
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080")
	text, err := json.Marshal(e)
	must(t, err)
	var got struct {
		Cause string
		Gaps  []tcpvet.Gap
	}
	kerneltest.Play(t, "unentitled", &got, func(c *exec.Cmd) {
		const nobody = 65534
		c.Env = append(c.Env, "EVENT="+string(text))
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Unshareflags: unix.CLONE_NEWNET}
	})
	if got.Cause != "refused" || len(got.Gaps) != 1 || got.Gaps[0].What != "sockets" {
		t.Errorf("%+v", got)
	}
}

func explainUnentitled() error {
	var e tcpvet.Event
	if err := json.Unmarshal([]byte(os.Getenv("EVENT")), &e); err != nil {
		return err
	}
	got := NewExplainer(ExplainOptions{}).Explain(context.Background(), &e)
	return kerneltest.Say(struct {
		Cause string
		Gaps  []tcpvet.Gap
	}{got.Cause.String(), got.Gaps})
}
