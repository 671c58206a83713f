package probe

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

var failedAt = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// after is the scene as it was read 300 ms after the failure.
func (s *Scene) after() *Scene {
	s.Census.Taken = failedAt.Add(300 * time.Millisecond)
	return s
}

// nothing is the scene of a namespace that was not looked into.
func nothing() *Scene { return &Scene{Census: &tcpvet.Census{}, Netns: space} }

func event(call tcpvet.Call, from tcpvet.State, errno Errno, local, remote string) *tcpvet.Event {
	e := &tcpvet.Event{Kind: tcpvet.EventFail, At: failedAt, Netns: space, Process: app, Call: call, From: from, Errno: int(errno), Took: -1}
	if local != "" {
		e.Local = netip.MustParseAddrPort(local)
	}
	if remote != "" {
		e.Remote = netip.MustParseAddrPort(remote)
	}
	return e
}

// searching failed in SYN-SENT, early before it.
func searching(errno Errno, local, remote string) *tcpvet.Event {
	return event(tcpvet.CallConnect, tcpvet.SynSent, errno, local, remote)
}

func early(errno Errno, local, remote string) *tcpvet.Event {
	return event(tcpvet.CallConnect, 0, errno, local, remote)
}

func binding(errno Errno, local string) *tcpvet.Event {
	return event(tcpvet.CallBind, 0, errno, local, "")
}

// pending was closed by its program.
func pending(took time.Duration, syns uint8) *tcpvet.Event {
	e := searching(0, "10.0.0.5:40001", target)
	e.Took, e.SYNs = took, syns
	return e
}

type sighting struct {
	name  string
	scene *Scene
	event *tcpvet.Event
	cause tcpvet.Cause
	sure  tcpvet.Certainty
	says  string
	cure  string
	never string // words that neither the text nor a remedy may have
}

const some, all = "10.0.0.5:0", "0.0.0.0:0"

// sightings has what the event alone proves, what needs the scene, and what the scene
// shows no more.
var sightings = []sighting{
	// No port: the event proves that there was none, the scene whose they are.
	{"no port", scene().take(tcpvet.CloseWait, 10), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"10 CLOSE-WAIT. Held by python3[4121] app.py (10)", "fix python", "A look"},
	{"no port, mapped", scene().take(tcpvet.Established, 10), searching(EADDRNOTAVAIL, "[::ffff:10.0.0.5]:0", "[::ffff:10.0.3.7]:8080"), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"10 ESTAB", "bound, or share", "IPv6"},
	{"no port, IPv6", full6(), searching(EADDRNOTAVAIL, "[2001:db8::5]:0", "[2001:db8::7]:80"), tcpvet.CausePortsExhausted, tcpvet.Certain, "10 ESTAB", "", ""},
	{"no port, IPv6 off since", full6().set(noIPv6), searching(EADDRNOTAVAIL, "[2001:db8::5]:0", "[2001:db8::7]:80"), tcpvet.CausePortsExhausted, tcpvet.Certain, "10 ESTAB", "", "disable_ipv6"},
	{"no port, most still taken", scene().take(tcpvet.TimeWait, 7), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"A look 300 ms later found 3 ports of 10 free", "tcp_tw_reuse", ""},
	{"no port, all free again", scene(), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Likely,
		"IP_LOCAL_PORT_RANGE", "explain ports", "CLOSE-WAIT"},
	{"no port, TIME-WAITs that rested since", rested(10), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"10 in TIME-WAIT may be used again by now", "explain ports", ""},
	{"no port, few taken now", scene().take(tcpvet.CloseWait, 2), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Likely,
		"found 8 ports of 10 free", "", ""},
	{"no port, bound ones", scene().take(tcpvet.Established, 2).bindPorts(40000, 40007), searching(EADDRNOTAVAIL, some, target), tcpvet.CauseBoundPorts, tcpvet.Certain, "8 of the 10", "bound-inactive", ""},
	{"no port, most still bound", scene().bindPorts(40000, 40006), searching(EADDRNOTAVAIL, some, target), tcpvet.CauseBoundPorts, tcpvet.Certain, "found 3 ports of 10 free", "bound-inactive", ""},
	{"no port, a few still bound", scene().bindPorts(40000, 40001), searching(EADDRNOTAVAIL, some, target), tcpvet.CauseBoundPorts, tcpvet.Likely, "found 8 ports of 10 free", "", ""},
	{"no port, reserved", scene().set(reserveAll), searching(EADDRNOTAVAIL, some, target), tcpvet.CauseReservedPorts, tcpvet.Certain, "40000-40009", "reserved_ports", ""},
	{"no port, nothing read", nothing(), searching(EADDRNOTAVAIL, some, target), tcpvet.CausePortsExhausted, tcpvet.Likely,
		"no local port is left from 10.0.0.5 to " + target, "diagnose", ""},

	{"the four numbers", withSame(connection("10.0.0.5:45000", target)), searching(EADDRNOTAVAIL, "10.0.0.5:45000", target), tcpvet.CauseTupleExists, tcpvet.Certain, "in ESTAB, held by python3[4121]", "no source port", ""},
	{"the four numbers, gone", scene(), searching(EADDRNOTAVAIL, "10.0.0.5:45000", target), tcpvet.CauseTupleExists, tcpvet.Certain, "found it no more", "no source port", "just before"},
	{"the four numbers, nothing read", nothing(), searching(EADDRNOTAVAIL, "10.0.0.5:45000", target), tcpvet.CauseTupleExists, tcpvet.Certain, "was there already", "no source port", "A look"},

	// 99 before a port was looked for.
	{"IPv6 off", scene().set(noIPv6).via(Route{Errno: ENETUNREACH}), early(EADDRNOTAVAIL, "", "[::1]:80"), tcpvet.CauseIPv6Disabled, tcpvet.Certain, "disable_ipv6 is 1", "hosts file", ""},
	{"IPv6 off, with a source port", scene().set(noIPv6).via(Route{Errno: ENETUNREACH}), early(EADDRNOTAVAIL, "[::]:45000", "[::1]:80"), tcpvet.CauseIPv6Disabled, tcpvet.Certain, "disable_ipv6 is 1", "hosts file", "already"},
	{"lo down, IPv6", down().via(Route{Errno: ENETUNREACH}), early(EADDRNOTAVAIL, "", "[::1]:80"), tcpvet.CauseLoopbackDown, tcpvet.Certain, "down", "set lo up", ""},
	{"tentative source", scene().set(tentative).via(Route{Link: "eth0"}), early(EADDRNOTAVAIL, "", "[2001:db8::7]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Certain, "1 of 2", "duplicate", ""},
	{"a source by now", full6(), early(EADDRNOTAVAIL, "", "[2001:db8::7]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Likely, "found a source", "EADDRNOTAVAIL", "port is left"},
	{"no source, nothing read", nothing(), early(EADDRNOTAVAIL, "", "[2001:db8::7]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Likely, "not looked into", "EADDRNOTAVAIL", ""},
	{"::1, nothing read", nothing(), early(EADDRNOTAVAIL, "", "[::1]:80"), tcpvet.CauseIPv6Disabled, tcpvet.Likely, "not looked into", "EADDRNOTAVAIL", ""},
	{"IPv4 before the search", scene().take(tcpvet.Established, 10), early(EADDRNOTAVAIL, "", target), tcpvet.CauseUnknown, tcpvet.Certain, "does not tell why", "errnos", "port is left"},
	{"::1 as the source", scene().via(Route{Source: netip.MustParseAddr("2001:db8::5")}), searching(EHOSTUNREACH, "[::1]:40000", "[2001:db8::7]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Certain, "takes ::1 as the source", "", ""},

	// Ways.
	{"no route", scene().via(Route{Errno: ENETUNREACH}), early(ENETUNREACH, "", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "no route of this namespace", "ip -4 route", ""},
	{"a route by now", scene(), early(ENETUNREACH, "", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "found one", "ip -4 route", "ICMP"},
	{"a route by now, of an unbound socket", scene(), early(ENETUNREACH, all, "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "found one", "ip -4 route", "from 0.0.0.0"},
	{"a router, and lo down since", down(), searching(ENETUNREACH, "127.0.0.1:40000", "127.0.0.1:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "by ICMP", "tcpdump", "is on lo"},
	{"no route, nothing read", nothing(), early(ENETUNREACH, "", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "gave no way", "", "ICMP|A look"},
	{"a router without a route", scene(), searching(ENETUNREACH, "10.0.0.5:40000", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "by ICMP", "tcpdump", "this namespace"},
	{"a router, and the route gone since", scene().via(Route{Errno: ENETUNREACH}), searching(ENETUNREACH, "10.0.0.5:40000", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "by ICMP", "tcpdump", "no route of this"},
	{"lo down", down(), early(ENETUNREACH, "", "127.0.0.1:80"), tcpvet.CauseLoopbackDown, tcpvet.Certain, "is on lo, which is down", "set lo up", ""},
	{"lo up by now", scene().via(Route{Local: true}), early(ENETUNREACH, "", "127.0.0.1:80"), tcpvet.CauseLoopbackDown, tcpvet.Likely, "found lo up", "", ""},
	{"lo, nothing read", nothing(), early(ENETUNREACH, "", "127.0.0.1:80"), tcpvet.CauseLoopbackDown, tcpvet.Likely, "as where lo is down", "", ""},
	{"unreachable route", scene().via(Route{Errno: EHOSTUNREACH}), early(EHOSTUNREACH, "", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "type unreachable", "table all", ""},
	{"unreachable route, gone since", scene(), early(EHOSTUNREACH, "", "10.9.9.9:80"), tcpvet.CauseNoRoute, tcpvet.Certain, "found one", "", "on its link"},
	{"prohibit route, gone since", scene(), early(EACCES, "", "10.9.9.9:80"), tcpvet.CauseUnknown, tcpvet.Likely, "security module", "", ""},
	{"blackhole route, nothing read", nothing(), early(EINVAL, "", "10.9.9.9:80"), tcpvet.CauseUnknown, tcpvet.Likely, "blackhole", "", ""},
	{"loopback source", scene(), early(EINVAL, "127.0.0.1:0", target), tcpvet.CauseSourceScope, tcpvet.Certain, "does not leave the machine", "bind no source", ""},
	{"loopback source, nothing read", nothing(), early(EINVAL, "127.0.0.1:45000", target), tcpvet.CauseSourceScope, tcpvet.Certain, "does not leave the machine", "bind no source", ""},
	{"source address gone", scene(), early(ENETUNREACH, "10.0.0.6:0", target), tcpvet.CauseNoRoute, tcpvet.Certain, "from 10.0.0.6", "ip rule", ""},
	{"neighbour silent", neighborless(), searching(EHOSTUNREACH, "10.0.0.5:40000", "10.0.0.9:80"), tcpvet.CauseUnknown, tcpvet.Certain, "did not answer on the link eth0", "ip neigh", ""},

	// Answers.
	{"refused", scene(), searching(ECONNREFUSED, "10.0.0.5:40000", target), tcpvet.CauseRefused, tcpvet.Certain, "or a firewall in its name", "on that host", ""},
	{"refused here", scene(), searching(ECONNREFUSED, "127.0.0.1:40000", "127.0.0.1:80"), tcpvet.CauseRefused, tcpvet.Certain, "nothing listens on port 80", "ls state", ""},
	{"refused, listens by now", scene().listen("127.0.0.1:80", 0, 128), searching(ECONNREFUSED, "127.0.0.1:40000", "127.0.0.1:80"), tcpvet.CauseRefused, tcpvet.Likely, "only now", "", ""},
	{"refused, nothing read", nothing(), searching(ECONNREFUSED, "10.0.0.5:40000", target), tcpvet.CauseRefused, tcpvet.Certain, "ECONNREFUSED (111)", "", ""},
	{"timed out", scene(), searching(ETIMEDOUT, "10.0.0.5:40000", target), tcpvet.CauseTimedOut, tcpvet.Likely, "From here these look the same", "ss -Htln", "-1|--timeout"},
	{"timed out, nothing read", nothing(), searching(ETIMEDOUT, "10.0.0.5:40000", target), tcpvet.CauseTimedOut, tcpvet.Likely, "ETIMEDOUT (110)", "", "--timeout|answer for"},
	{"closed while pending", scene(), pending(3200*time.Millisecond, 2), tcpvet.CauseTimedOut, tcpvet.Likely, "after 3.2 s, before an answer came. It had sent 2 SYNs", "ss -Htln", "--timeout"},
	{"closed while pending, full queue here", scene().listen("127.0.0.1:80", 2, 1), func() *tcpvet.Event {
		e := pending(3200*time.Millisecond, 2)
		e.Remote = netip.MustParseAddrPort("127.0.0.1:80")
		return e
	}(), tcpvet.CauseTimedOut, tcpvet.Certain, "does not accept", "accept-queue-full", ""},
	{"closed late, SYNs not known", scene(), pending(1500*time.Millisecond, 0), tcpvet.CauseTimedOut, tcpvet.Likely, "after 1.5 s", "ss -Htln", "SYNs"},
	{"closed at once", scene(), pending(3*time.Millisecond, 1), tcpvet.CauseUnknown, tcpvet.Certain, "too short to tell", "give connect()", "firewall"},
	{"closed, who knows when", scene(), pending(-1, 0), tcpvet.CauseUnknown, tcpvet.Likely, "not known", "give connect()", "-1"},
	{"destroyed", scene(), searching(ECONNABORTED, "10.0.0.5:40000", target), tcpvet.CauseUnknown, tcpvet.Certain, "ss -K", "errnos", ""},
	{"another family", scene(), early(EAFNOSUPPORT, "", target), tcpvet.CauseUnknown, tcpvet.Certain, "another family", "errnos", ""},

	// bind().
	{"listener on the port", onPort(tcpvet.Listen), binding(EADDRINUSE, "10.0.0.5:80"), tcpvet.CauseBoundPorts, tcpvet.Certain, "port 80, in LISTEN, held by python3[4121]", "end what has the port", "IP"},
	{"TIME-WAIT on the port", onPort(tcpvet.TimeWait), binding(EADDRINUSE, "10.0.0.5:80"), tcpvet.CauseBoundPorts, tcpvet.Certain, "in TIME-WAIT", "SO_REUSEADDR", ""},
	{"the port is free by now", scene(), binding(EADDRINUSE, "10.0.0.5:80"), tcpvet.CauseBoundPorts, tcpvet.Certain, "found none there", "end what", ""},
	{"the port, nothing read", nothing(), binding(EADDRINUSE, "10.0.0.5:80"), tcpvet.CauseBoundPorts, tcpvet.Certain, "another socket has the port 80", "end what", "A look|in no table"},
	{"no port for bind", scene().take(tcpvet.Established, 10), binding(EADDRINUSE, some), tcpvet.CauseBoundPorts, tcpvet.Certain,
		"Most go to 10.0.3.7:8080: 10 connections. Held by python3[4121]", "IP_BIND_ADDRESS_NO_PORT", ""},
	{"no port for bind, any address", scene().take(tcpvet.Established, 10), binding(EADDRINUSE, all), tcpvet.CauseBoundPorts, tcpvet.Certain, "10 connections", "", ""},
	{"no port for bind, of another address", scene().take(tcpvet.Established, 10), binding(EADDRINUSE, "10.0.0.6:0"), tcpvet.CauseBoundPorts, tcpvet.Certain, "share one range", "", "Most go"},
	{"no port for bind, reserved", scene().set(reserveAll), binding(EADDRINUSE, some), tcpvet.CauseReservedPorts, tcpvet.Certain, "40000-40009", "reserved_ports", ""},
	{"no port for bind, nothing read", nothing(), binding(EADDRINUSE, some), tcpvet.CauseBoundPorts, tcpvet.Likely, "not looked into", "IP_BIND", ""},
	{"address of another host", scene(), binding(EADDRNOTAVAIL, "10.9.9.9:80"), tcpvet.CauseAddressNotLocal, tcpvet.Certain, "no interface of this namespace has the address 10.9.9.9", "bind an address", ""},
	{"mapped address of another host", scene(), binding(EADDRNOTAVAIL, "[::ffff:10.9.9.9]:80"), tcpvet.CauseAddressNotLocal, tcpvet.Certain, "has the address 10.9.9.9.", "bind an address", "ffff"},
	{"address here by now", scene(), binding(EADDRNOTAVAIL, "10.0.0.5:80"), tcpvet.CauseAddressNotLocal, tcpvet.Likely, "found it there", "network-online", "no interface"},
	{"addresses not read", scene().set(func(n *tcpvet.Netns) { n.Addresses = nil }), binding(EADDRNOTAVAIL, "10.9.9.9:80"), tcpvet.CauseAddressNotLocal, tcpvet.Likely, "not looked into", "bind an address", "no interface"},
	{"bind of ::1, IPv6 off", scene().set(noIPv6), binding(EADDRNOTAVAIL, "[::1]:80"), tcpvet.CauseIPv6Disabled, tcpvet.Certain, "::1 is an IPv6 address", "hosts file", "invalid"},
	{"bind of ::1, IPv6 off on lo", scene().set(noIPv6OnLo), binding(EADDRNOTAVAIL, "[::1]:80"), tcpvet.CauseIPv6Disabled, tcpvet.Certain, "net.ipv6.conf.lo.disable_ipv6 is 1", "hosts file", "invalid"},
	{"bind of ::1, lo down", down(), binding(EADDRNOTAVAIL, "[::1]:80"), tcpvet.CauseLoopbackDown, tcpvet.Certain, "::1 is on lo", "set lo up", "invalid"},
	{"bind of a tentative address", scene().set(tentative), binding(EADDRNOTAVAIL, "[2001:db8::5]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Certain, "tentative on eth0", "duplicate", ""},
	{"low port", scene().set(unprivileged(1024)), binding(EACCES, "0.0.0.0:80"), tcpvet.CauseUnknown, tcpvet.Certain, "CAP_NET_BIND_SERVICE", "AmbientCapabilities", ""},
	{"a port that any may bind", scene().set(unprivileged(80)), binding(EACCES, "0.0.0.0:80"), tcpvet.CauseUnknown, tcpvet.Certain, "any program may bind those from 80", "security module", "CAP_NET"},
	{"low port, nothing read", nothing(), binding(EACCES, "0.0.0.0:80"), tcpvet.CauseUnknown, tcpvet.Likely, "CAP_NET_BIND_SERVICE", "AmbientCapabilities", ""},
	{"bound twice", scene(), binding(EINVAL, "10.0.0.5:80"), tcpvet.CauseUnknown, tcpvet.Likely, "bound already", "once", ""},

	// Descriptors, families.
	{"no descriptor", atLimit(), event(tcpvet.CallSocket, 0, EMFILE, all, ""), tcpvet.CauseDescriptorLimit, tcpvet.Certain,
		"python3[4121] app.py had no descriptor left; its limit is 1,024. A look 300 ms later found it with 1,024 descriptors, of which 1,000 are sockets.", "tcpvet count --pid 4121", "tcpvet itself"},
	{"no descriptor to accept", atLimit(), event(tcpvet.CallAccept, 0, EMFILE, "10.0.0.5:80", ""), tcpvet.CauseDescriptorLimit, tcpvet.Certain, "accept() gave EMFILE (24)", "tcpvet count --pid 4121", ""},
	{"no descriptor, nothing read", nothing(), event(tcpvet.CallSocket, 0, EMFILE, all, ""), tcpvet.CauseDescriptorLimit, tcpvet.Certain, "had no descriptor left", "", "A look"},
	{"no file on the machine", scene(), event(tcpvet.CallSocket, 0, ENFILE, all, ""), tcpvet.CauseDescriptorLimit, tcpvet.Certain, "whole machine", "file-nr", ""},
	{"at the limit, and refused", atLimit(), searching(ECONNREFUSED, "10.0.0.5:40000", target), tcpvet.CauseRefused, tcpvet.Certain, "ECONNREFUSED (111)", "", "descriptor"},
	{"a kernel without IPv6", scene().set(withoutIPv6), event(tcpvet.CallSocket, 0, EAFNOSUPPORT, "[::]:0", ""), tcpvet.CauseIPv6Disabled, tcpvet.Certain, "no IPv6", "hosts file", "invalid"},
	{"a filter of families", scene(), event(tcpvet.CallSocket, 0, EAFNOSUPPORT, "[::]:0", ""), tcpvet.CauseUnknown, tcpvet.Certain, "RestrictAddressFamilies", "unit", "no IPv6"},
	{"a family, nothing read", nothing(), event(tcpvet.CallSocket, 0, EAFNOSUPPORT, "[::]:0", ""), tcpvet.CauseIPv6Disabled, tcpvet.Likely, "seccomp", "", ""},
	{"socket forbidden", scene(), event(tcpvet.CallSocket, 0, EPERM, all, ""), tcpvet.CauseUnknown, tcpvet.Certain, "seccomp filter", "errnos", ""},
	{"accept of what was aborted", scene(), event(tcpvet.CallAccept, 0, EINVAL, "10.0.0.5:80", ""), tcpvet.CauseUnknown, tcpvet.Certain, "accept() gave EINVAL (22)", "errnos", "route"},
}

func onPort(state tcpvet.State) *Scene {
	s := scene()
	s.OnPort = &tcpvet.Socket{State: state, Local: netip.MustParseAddrPort("10.0.0.5:80")}
	if state == tcpvet.Listen {
		s.OnPort.Holder = app
	}
	return s
}

// rested has TIME-WAITs that the kernel would reuse by now.
func rested(n uint32) *Scene {
	s := scene().take(tcpvet.TimeWait, n)
	for _, b := range s.Census.Tuples {
		b.Taken[tcpvet.TimeWait], b.ReusableTimeWait = 0, n
	}
	return s
}

func noIPv6OnLo(n *tcpvet.Netns)  { n.Sysctls["net.ipv6.conf.lo.disable_ipv6"] = "1" }
func withoutIPv6(n *tcpvet.Netns) { delete(n.Sysctls, "net.ipv6.conf.all.disable_ipv6") }

func unprivileged(start int) func(*tcpvet.Netns) {
	return func(n *tcpvet.Netns) { n.Sysctls["net.ipv4.ip_unprivileged_port_start"] = strconv.Itoa(start) }
}

func TestJudgeSeen(t *testing.T) {
	for _, c := range sightings {
		t.Run(c.name, func(t *testing.T) {
			a := Seen(c.event)
			if c.scene.Census.Facts != 0 {
				c.scene.after()
			}
			c.scene.Process = app
			v := Judge(c.scene, &a)
			text := strings.Join(v.Text, " ")
			if v.Cause != c.cause || v.Certainty != c.sure {
				t.Errorf("cause %q, %s; want %q, %s\n%s", v.Cause, v.Certainty, c.cause, c.sure, text)
			}
			if !strings.Contains(text, c.says) {
				t.Errorf("the text lacks %q:\n%s", c.says, text)
			}
			if e := Errno(c.event.Errno); e != 0 && c.sure == tcpvet.Certain && !strings.Contains(v.Text[0], e.String()) {
				t.Errorf("the first sentence does not name %s: %s", e, v.Text[0])
			}
			cures := remedyText(v)
			if !strings.Contains(cures, c.cure) || cures == "" {
				t.Errorf("no remedy has %q:\n%s", c.cure, cures)
			}
			if never := matching(c.never); never != nil && never.MatchString(text+cures) {
				t.Errorf("%q is there:\n%s\n%s", c.never, text, cures)
			}
		})
	}
}

// A look of before the failure is told as such.
func TestLookBefore(t *testing.T) {
	s, a := scene().take(tcpvet.Established, 9), Seen(searching(EADDRNOTAVAIL, some, target))
	s.Census.Taken = failedAt.Add(-2 * time.Second)
	if text := strings.Join(Judge(s, &a).Text, " "); !strings.Contains(text, "A look 2 s before found 1 port of 10 free") {
		t.Error(text)
	}
}

// Whose the ports are is said once: of one's own attempt the target is known.
func TestNoPortForBindOnce(t *testing.T) {
	if v := Judge(scene().take(tcpvet.Established, 10), bound(target, some, StepBind, EADDRINUSE)); len(v.Text) != 2 {
		t.Errorf("%q", v.Text)
	}
}

// Every cause that a failure can have is told of an event, but those of a name and of
// a connection that was open.
func TestEveryCauseIsSeen(t *testing.T) {
	told := map[tcpvet.Cause]bool{tcpvet.CauseNameNotFound: true, tcpvet.CauseReset: true}
	for _, c := range sightings {
		told[c.cause] = true
	}
	for _, cause := range tcpvet.Causes() {
		if !told[cause] {
			t.Errorf("no row has the cause %s", cause)
		}
	}
}
