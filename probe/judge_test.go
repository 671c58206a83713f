package probe

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/manual"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/vet"
)

const (
	space  = tcpvet.NetnsID(4026532177)
	target = "10.0.3.7:8080"
)

var app = tcpvet.Process{PID: 4121, Start: 77}

// scene is a namespace with 10.0.0.5 and 127.0.0.1, a way to everything, and ten
// ports of which none is taken.
func scene() *Scene {
	address := func(prefix, link string) tcpvet.Address {
		return tcpvet.Address{Prefix: netip.MustParsePrefix(prefix), Interface: link, Up: true}
	}
	c := &tcpvet.Census{
		Self: space, Facts: tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactInfo,
		Groups: map[tcpvet.Group]*tcpvet.Tally{}, Tuples: map[tcpvet.Tuple]*tcpvet.Budget{},
		Listeners: map[tcpvet.Listener]*tcpvet.Queue{}, Bound: map[tcpvet.NetnsID]*tcpvet.PortSet{},
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{app: {Comm: "python3", Args: []string{"python3", "app.py"}, Netns: space}},
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{space: {
			ID: space, Ports: &tcpvet.Ports{Low: 40000, High: 40009},
			Addresses: []tcpvet.Address{address("127.0.0.1/8", "lo"), address("::1/128", "lo"), address("10.0.0.5/24", "eth0")},
			Sysctls: map[string]string{
				"net.ipv4.tcp_tw_reuse": "2", "net.ipv4.tcp_timestamps": "1", "net.ipv6.conf.all.disable_ipv6": "0",
				"net.ipv4.tcp_keepalive_time": "7200", "net.ipv4.tcp_keepalive_intvl": "75", "net.ipv4.tcp_keepalive_probes": "9",
				"net.ipv4.tcp_syn_retries": "6",
			},
		}},
	}
	return &Scene{
		Census: c, Netns: space, Target: target, LoopbackUp: true, LinksKnown: true,
		Route: Route{Known: true, Source: netip.MustParseAddr("10.0.0.5"), Via: netip.MustParseAddr("10.0.0.1"), Link: "eth0"},
	}
}

func (s *Scene) take(state tcpvet.State, n uint32) *Scene {
	t := tcpvet.Tuple{Netns: space, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddrPort(target)}
	b := &tcpvet.Budget{}
	b.Taken[state] = n
	s.Census.Tuples[t] = b
	holder := app
	if state == tcpvet.TimeWait {
		holder = tcpvet.Nobody
	}
	tally := &tcpvet.Tally{}
	tally.States[state] = n
	s.Census.Groups[tcpvet.Group{Netns: space, Holder: holder, Role: tcpvet.Client, Local: t.Local, Service: t.Remote}] = tally
	return s
}

func (s *Scene) set(f func(*tcpvet.Netns)) *Scene {
	n := s.Census.Netns[space]
	f(&n)
	s.Census.Netns[space] = n
	return s
}

func (s *Scene) bindPorts(low, high uint16) *Scene {
	s.Census.Bound[space] = new(tcpvet.PortSet)
	s.Census.Bound[space].Add(low, high)
	return s
}

func (s *Scene) listen(local string, length, limit uint64) *Scene {
	s.Census.Listeners[tcpvet.Listener{Netns: space, Local: netip.MustParseAddrPort(local)}] = &tcpvet.Queue{
		Length: length, Limit: limit, Known: tcpvet.FactBacklog | tcpvet.FactBacklogMax, Members: 1, Holder: app,
	}
	return s
}

// elsewhere adds a look at another namespace with an address and a listener.
func (s *Scene) elsewhere(prefix string, up bool, listener string, length, limit uint64) *Scene {
	const other = tcpvet.NetnsID(4026532999)
	s.Others = &tcpvet.Census{
		Self: space, Facts: tcpvet.FactHolders | tcpvet.FactInode, Listeners: map[tcpvet.Listener]*tcpvet.Queue{},
		Processes: s.Census.Processes,
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{
			space: s.Census.Netns[space],
			other: {ID: other, Names: []string{"blue"}, Addresses: []tcpvet.Address{{Prefix: netip.MustParsePrefix(prefix), Interface: "eth0", Up: up}}},
		},
	}
	if listener != "" {
		s.Others.Listeners[tcpvet.Listener{Netns: other, Local: netip.MustParseAddrPort(listener)}] = &tcpvet.Queue{
			Length: length, Limit: limit, Known: tcpvet.FactBacklog | tcpvet.FactBacklogMax, Members: 1, Holder: app,
		}
	}
	return s
}

func (s *Scene) via(r Route) *Scene {
	r.Known = true
	s.Route = r
	return s
}

func to(remote string) Attempt { return Attempt{Remote: netip.MustParseAddrPort(remote)} }

func failing(remote string, e Errno) *Attempt {
	a := to(remote)
	a.Errno = e
	return &a
}

func bound(remote, bind string, step Step, e Errno) *Attempt {
	a := failing(remote, e)
	a.Bind, a.Step = netip.MustParseAddrPort(bind), step
	return a
}

func silent(remote string) *Attempt {
	a := to(remote)
	a.GaveUp, a.Took, a.SYNs = true, 5*time.Second, 3
	return &a
}

// hasty gave up before the kernel sent its second SYN.
func hasty(remote string) *Attempt {
	a := silent(remote)
	a.Took, a.SYNs = 10*time.Millisecond, 1
	return a
}

func connection(local, remote string) *tcpvet.Socket {
	return &tcpvet.Socket{State: tcpvet.Established, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), Holder: app}
}

type row struct {
	name    string
	scene   *Scene
	attempt *Attempt
	cause   tcpvet.Cause
	sure    tcpvet.Certainty
	says    string // words of the text
	cure    string // words of a remedy or its command
	never   string // words that no remedy may have
}

// cases has a row for each condition that gives a connection's error on Linux, and
// for what looks like it. The errors are those that the kernel gave when each was
// staged (see the script root/why).
var cases = []row{
	{"tuple full of ESTAB", scene().take(tcpvet.Established, 10), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"10 ESTAB. Held by python3[4121] app.py (10)", "bound, or share", "tcp_tw_reuse"},
	{"tuple full of CLOSE-WAIT", scene().take(tcpvet.CloseWait, 10), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"leak in the program", "tcpvet explain fix python", "spread|sysctl"},
	{"tuple full of TIME-WAIT", scene().take(tcpvet.TimeWait, 10), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"10 TIME-WAIT. Held by no process", "net.ipv4.tcp_tw_reuse=1", "fin_timeout|recycle"},
	{"tuple full of FIN-WAIT-2", scene().take(tcpvet.FinWait2, 10), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"remote application does not close", "remote application", "tcp_tw_reuse"},
	{"another destination has room", scene().take(tcpvet.Established, 10), failing("10.0.3.8:8080", EADDRNOTAVAIL), tcpvet.CauseUnknown, tcpvet.Certain,
		"10 of 10 local ports were free", "diagnose", ""},
	{"port range not read", scene().set(func(n *tcpvet.Netns) { n.Ports = nil }), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Likely,
		"could not be read", "diagnose", ""},
	{"the same after bind", scene().take(tcpvet.Established, 10), bound(target, "10.0.0.5:0", StepBind, EADDRINUSE), tcpvet.CauseBoundPorts, tcpvet.Certain,
		"10 of them are connections from 10.0.0.5", "IP_BIND_ADDRESS_NO_PORT", ""},
	{"reserved ports cover the range", scene().set(reserveAll), failing(target, EADDRNOTAVAIL), tcpvet.CauseReservedPorts, tcpvet.Certain,
		"40000-40009", "net.ipv4.ip_local_reserved_ports", ""},
	{"reserved ports, bind", scene().set(reserveAll), bound(target, "10.0.0.5:0", StepBind, EADDRINUSE), tcpvet.CauseReservedPorts, tcpvet.Certain,
		"40000-40009", "net.ipv4.ip_local_reserved_ports", ""},
	{"bound ports", scene().take(tcpvet.Established, 2).bindPorts(40000, 40007), failing(target, EADDRNOTAVAIL), tcpvet.CauseBoundPorts, tcpvet.Certain,
		"8 of the 10", "bound-inactive", ""},
	{"a few bound ports", scene().take(tcpvet.Established, 8).bindPorts(40000, 40001), failing(target, EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain,
		"2 kept by bind(), 8 taken", "", ""},
	{"own source port, same four numbers", withSame(connection("10.0.0.5:45000", target)), bound(target, "10.0.0.5:45000", StepConnect, EADDRNOTAVAIL), tcpvet.CauseTupleExists, tcpvet.Certain,
		"in ESTAB, held by python3[4121]", "choose no source port", ""},
	{"own source port, nothing seen", scene(), bound(target, "10.0.0.5:45000", StepConnect, EADDRNOTAVAIL), tcpvet.CauseTupleExists, tcpvet.Likely,
		"saw none", "choose no source port", ""},
	{"own source port, bind, same four numbers", withSame(connection("10.0.0.5:45000", target)), bound(target, "10.0.0.5:45000", StepBind, EADDRINUSE), tcpvet.CauseTupleExists, tcpvet.Certain,
		"is there already", "choose no source port", ""},
	{"own source port, taken", scene(), bound(target, "10.0.0.5:45000", StepBind, EADDRINUSE), tcpvet.CauseBoundPorts, tcpvet.Certain,
		"another socket has the port 45000", "ss -Htan sport = :45000", ""},
	{"low source port", scene(), bound(target, "10.0.0.5:80", StepBind, EACCES), tcpvet.CauseUnknown, tcpvet.Certain,
		"CAP_NET_BIND_SERVICE", "unprivileged_port_start", ""},
	{"source address of another host", scene(), bound(target, "10.9.9.9:0", StepBind, EADDRNOTAVAIL), tcpvet.CauseAddressNotLocal, tcpvet.Certain,
		"no interface of this namespace has the address 10.9.9.9", "bind an address", ""},
	{"IPv6 off", scene().set(noIPv6).via(Route{Errno: ENETUNREACH}), failing("[::1]:80", EADDRNOTAVAIL), tcpvet.CauseIPv6Disabled, tcpvet.Certain,
		"net.ipv6.conf.all.disable_ipv6 is 1", "hosts file", ""},
	{"IPv6 off, bind", scene().set(noIPv6), bound("[::1]:80", "[::1]:0", StepBind, EADDRNOTAVAIL), tcpvet.CauseIPv6Disabled, tcpvet.Certain,
		"disable_ipv6 is 1", "hosts file", ""},
	{"a kernel without IPv6", scene().set(withoutIPv6), &Attempt{Remote: netip.MustParseAddrPort("[::1]:80"), Step: StepSocket, Errno: EAFNOSUPPORT}, tcpvet.CauseIPv6Disabled, tcpvet.Certain,
		"no IPv6", "hosts file", ""},
	{"a kernel with IPv6, and a filter", scene(), &Attempt{Remote: netip.MustParseAddrPort("[::1]:80"), Step: StepSocket, Errno: EAFNOSUPPORT}, tcpvet.CauseUnknown, tcpvet.Certain,
		"RestrictAddressFamilies", "unit", ""},
	{"IPv6 on, ports full", full6(), failing("[2001:db8::7]:80", EADDRNOTAVAIL), tcpvet.CausePortsExhausted, tcpvet.Certain, "10 ESTAB", "", ""},
	{"lo down, IPv6", down().via(Route{Errno: ENETUNREACH}), failing("[::1]:80", EADDRNOTAVAIL), tcpvet.CauseLoopbackDown, tcpvet.Certain, "down", "ip link show lo", ""},
	{"lo down, IPv4", down(), failing("127.0.0.1:80", ENETUNREACH), tcpvet.CauseLoopbackDown, tcpvet.Certain, "down", "ip link show lo", ""},
	{"lo down, bind", down(), bound("[::1]:80", "[::1]:0", StepBind, EADDRNOTAVAIL), tcpvet.CauseLoopbackDown, tcpvet.Certain, "down", "ip link show lo", ""},
	{"lo down, another host", down().via(Route{Errno: ENETUNREACH}), failing("10.9.9.9:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "no route", "ip -4 route", ""},
	{"tentative source", scene().set(tentative).via(Route{Link: "eth0"}), failing("[2001:db8::7]:80", EADDRNOTAVAIL), tcpvet.CauseNoSourceAddress, tcpvet.Certain,
		"Tentative IPv6 addresses: 1 of 2", "duplicate", ""},
	{"tentative source, bind", scene().set(tentative), bound("[2001:db8::7]:80", "[2001:db8::5]:0", StepBind, EADDRNOTAVAIL), tcpvet.CauseNoSourceAddress, tcpvet.Certain,
		"tentative on eth0", "duplicate", ""},
	{"no source but ::1, no answer", scene().via(Route{Source: netip.IPv6Loopback(), Link: "eth0"}), silent("[2001:db8::7]:80"), tcpvet.CauseNoSourceAddress, tcpvet.Certain,
		"takes ::1 as the source", "", ""},
	{"no source but ::1, unreachable", scene().via(Route{Source: netip.IPv6Loopback(), Link: "eth0"}), failing("[2001:db8::7]:80", EHOSTUNREACH), tcpvet.CauseNoSourceAddress, tcpvet.Certain,
		"takes ::1 as the source", "", ""},
	{"no route", scene().via(Route{Errno: ENETUNREACH}), failing("10.9.9.9:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "no route of this namespace", "ip -4 route", ""},
	{"no route, IPv6", scene().via(Route{Errno: ENETUNREACH}), failing("[2001:db8::7]:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "no route of this namespace", "-4", ""},
	{"no route, no IPv6 address", scene().set(noAddress).via(Route{Errno: ENETUNREACH}), failing("[2001:db8::7]:80", EADDRNOTAVAIL), tcpvet.CauseNoRoute, tcpvet.Certain, "no route of this namespace", "-4", ""},
	{"broadcast", scene().via(Route{Source: netip.MustParseAddr("10.0.0.5"), Link: "eth0", Many: true}), failing("10.0.0.255:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "TCP has one peer", "address of a host", ""},
	{"multicast", scene(), failing("224.0.0.1:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "TCP has one peer", "address of a host", ""},
	{"no route of a router", scene(), failing("10.9.9.9:80", ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Likely, "by ICMP", "tcpdump", ""},
	{"unreachable route", scene().via(Route{Errno: EHOSTUNREACH}), failing("10.9.9.9:80", EHOSTUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "type unreachable", "table all", ""},
	{"prohibit route", scene().via(Route{Errno: EACCES}), failing("10.9.9.9:80", EACCES), tcpvet.CauseNoRoute, tcpvet.Certain, "type prohibit", "table all", ""},
	{"blackhole route", scene().via(Route{Errno: EINVAL}), failing("10.9.9.9:80", EINVAL), tcpvet.CauseNoRoute, tcpvet.Certain, "type blackhole", "table all", ""},
	{"source address gone after bind", scene(), bound(target, "10.0.0.6:0", StepConnect, ENETUNREACH), tcpvet.CauseNoRoute, tcpvet.Certain, "from 10.0.0.6", "ip rule", ""},
	{"loopback source", scene(), bound(target, "127.0.0.1:0", StepConnect, EINVAL), tcpvet.CauseSourceScope, tcpvet.Certain, "does not leave the machine", "bind no source", ""},
	{"link-local without a link", scene(), failing("[fe80::1]:80", EINVAL), tcpvet.CauseUnknown, tcpvet.Certain, "names none", "%eth0", ""},
	{"link-local behind a link that is not there", scene().via(Route{NoLink: true}), failing("[fe80::1%eth9]:80", EINVAL), tcpvet.CauseUnknown, tcpvet.Certain, "no interface eth9", "ip -br link", ""},
	{"lo that was up and is down", down(), silent("127.0.0.1:80"), tcpvet.CauseLoopbackDown, tcpvet.Certain, "No answer came: 127.0.0.1 is on lo", "set lo up", "nft"},
	{"too short a wait", scene(), hasty(target), tcpvet.CauseTimedOut, tcpvet.Likely, "too short to tell", "--timeout 5s", "nft|ss -Htln"},
	{"neighbour silent", neighborless(), failing("10.0.0.9:80", EHOSTUNREACH), tcpvet.CauseUnknown, tcpvet.Certain, "did not answer on the link eth0", "ip neigh", ""},
	{"closed port of another host", scene(), failing(target, ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Certain, "or a firewall in its name", "on that host", ""},
	{"closed port of this host", scene(), failing("127.0.0.1:80", ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Certain, "this host itself refused: nothing listens on port 80", "ls state listening", ""},
	{"listener on another address", scene().listen("10.0.0.5:80", 0, 128), failing("127.0.0.1:80", ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Certain, "listens on 10.0.0.5, and not", "10.0.0.5:80", ""},
	{"listener, and refused", scene().listen("[::]:80", 0, 128), failing("127.0.0.1:80", ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Likely, "a firewall of this host", "nft", ""},
	{"closed port of another namespace", scene().elsewhere("10.0.3.7/24", true, "", 0, 0), failing(target, ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Likely,
		"10.0.3.7, which is in the namespace blue of this host, refused: nothing listens on port 8080", "ls state listening", ""},
	{"listener on localhost of another namespace", scene().elsewhere("10.0.3.7/24", true, "127.0.0.1:8080", 0, 128), failing(target, ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Likely,
		"listens on 127.0.0.1, and not on 10.0.3.7", "listen on every address", "connect to"},
	{"another namespace without that address", scene().elsewhere("10.0.3.8/24", true, "10.0.3.7:8080", 0, 128), failing(target, ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Certain,
		"or a firewall in its name", "on that host", ""},
	{"another namespace with that address down", scene().elsewhere("10.0.3.7/24", false, "10.0.3.7:8080", 2, 1), silent(target), tcpvet.CauseTimedOut, tcpvet.Likely,
		"From here these look the same", "ss -Htln", ""},
	{"full backlog in another namespace", scene().elsewhere("10.0.3.7/24", true, "0.0.0.0:8080", 2, 1), silent(target), tcpvet.CauseTimedOut, tcpvet.Likely,
		"The accept queue of 0.0.0.0:8080 in the namespace blue of this host is full", "accept-queue-full", ""},
	{"dropped SYN to another namespace", scene().elsewhere("10.0.3.7/24", true, "0.0.0.0:8080", 0, 1), silent(target), tcpvet.CauseTimedOut, tcpvet.Likely,
		"in the namespace blue of this host, so a firewall here", "nft", ""},
	{"port 0", scene(), failing("10.0.3.7:0", ECONNREFUSED), tcpvet.CauseRefused, tcpvet.Certain, "port 0 is never open", "set the port", ""},
	{"reset in the handshake", scene(), failing(target, ECONNRESET), tcpvet.CauseReset, tcpvet.Likely, "RST", "ECONNRESET", ""},
	{"dropped SYN", scene(), silent(target), tcpvet.CauseTimedOut, tcpvet.Likely, "3 SYNs stayed without one. The kernel itself would go on for about 127 s", "ss -Htln", ""},
	{"dropped SYN, by the kernel's time", scene(), failing(target, ETIMEDOUT), tcpvet.CauseTimedOut, tcpvet.Likely, "ETIMEDOUT (110)", "", ""},
	{"full backlog here", scene().listen("127.0.0.1:80", 2, 1), silent("127.0.0.1:80"), tcpvet.CauseTimedOut, tcpvet.Certain, "python3[4121] app.py does not accept", "accept-queue-full", ""},
	{"backlog at its limit is not full", scene().listen("127.0.0.1:80", 1, 1), silent("127.0.0.1:80"), tcpvet.CauseTimedOut, tcpvet.Likely, "firewall here", "nft", ""},
	{"SNAT without a port", lost(), silent(target), tcpvet.CauseTimedOut, tcpvet.Likely, "dropped 3 packets here", "nf_conntrack", ""},
	{"RLIMIT_NOFILE of the process", atLimit(), connected(), tcpvet.CauseDescriptorLimit, tcpvet.Certain, "it has 1,024 descriptors, and its limit is 1,024", "tcpvet count --pid 4121", ""},
	{"RLIMIT_NOFILE of tcpvet", scene(), &Attempt{Remote: netip.MustParseAddrPort(target), Step: StepSocket, Errno: EMFILE}, tcpvet.CauseDescriptorLimit, tcpvet.Certain, "tcpvet itself", "EMFILE", ""},
	{"an error that nobody knows", scene(), failing(target, 71), tcpvet.CauseUnknown, tcpvet.Certain, "errno 71", "errnos", ""},
	{"connected", scene().take(tcpvet.Established, 5), connected(), tcpvet.NoCause, tcpvet.Certain, "5 taken by this tuple, 5 left", "", "port-exhaustion"},
	{"connected, the slow half", scene().take(tcpvet.Established, 6), connected(), tcpvet.NoCause, tcpvet.Certain, "has to search", "port-exhaustion", ""},
	{"connected to itself", scene(), &Attempt{Remote: netip.MustParseAddrPort("127.0.0.1:40000"), Local: netip.MustParseAddrPort("127.0.0.1:40000")}, tcpvet.NoCause, tcpvet.Certain, "connected to itself", "compare both ends", ""},
}

func reserveAll(n *tcpvet.Netns) {
	n.Ports = &tcpvet.Ports{Low: 40000, High: 40009}
	n.Ports.Reserved.Add(40000, 50000)
	n.Sysctls["net.ipv4.ip_local_reserved_ports"] = "40000-50000"
}

func noIPv6(n *tcpvet.Netns)    { n.Sysctls["net.ipv6.conf.all.disable_ipv6"] = "1" }
func noAddress(n *tcpvet.Netns) { n.Addresses = n.Addresses[:1] }

func tentative(n *tcpvet.Netns) {
	n.Addresses = append(n.Addresses, tcpvet.Address{Prefix: netip.MustParsePrefix("2001:db8::5/64"), Interface: "eth0", Up: true, Tentative: true})
}

func withSame(s *tcpvet.Socket) *Scene {
	sc := scene()
	sc.Same = s
	return sc
}

func down() *Scene {
	s := scene()
	s.LoopbackUp = false
	return s
}

func neighborless() *Scene {
	s := scene().via(Route{Source: netip.MustParseAddr("10.0.0.5"), Link: "eth0"})
	s.NeighborFailed = true
	return s
}

func lost() *Scene {
	s := scene()
	s.Lost = 3
	return s
}

func atLimit() *Scene {
	s := scene()
	s.Process = app
	i := s.Census.Processes[app]
	i.Descriptors, i.Sockets, i.DescriptorLimit = 1024, 1000, 1024
	s.Census.Processes[app] = i
	return s
}

func full6() *Scene {
	s := scene().via(Route{Source: netip.MustParseAddr("2001:db8::5"), Link: "eth0"})
	b := &tcpvet.Budget{}
	b.Taken[tcpvet.Established] = 10
	s.Census.Tuples[tcpvet.Tuple{Netns: space, Local: s.Route.Source, Remote: netip.MustParseAddrPort("[2001:db8::7]:80")}] = b
	return s
}

func connected() *Attempt {
	a := to(target)
	a.Local, a.Took, a.Timestamps = netip.MustParseAddrPort("10.0.0.5:40009"), 120*time.Microsecond, true
	return &a
}

func TestJudge(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.scene, c.attempt)
			if v.Cause != c.cause || v.Certainty != c.sure {
				t.Errorf("cause %q, %s; want %q, %s\n%s", v.Cause, v.Certainty, c.cause, c.sure, strings.Join(v.Text, "\n"))
			}
			if text := strings.Join(v.Text, " "); !strings.Contains(text, c.says) {
				t.Errorf("the text lacks %q:\n%s", c.says, text)
			}
			if e := c.attempt.Errno; e != 0 && c.cause != tcpvet.CauseDescriptorLimit && !strings.Contains(v.Text[0], e.String()) {
				t.Errorf("the first sentence does not name %s: %s", e, v.Text[0])
			}
			all := remedyText(v)
			if !strings.Contains(all, c.cure) || c.cause != tcpvet.NoCause && all == "" {
				t.Errorf("no remedy has %q:\n%s", c.cure, all)
			}
			if never := matching(c.never); never != nil && never.MatchString(all) {
				t.Errorf("a remedy has %q:\n%s", c.never, all)
			}
		})
	}
}

// everyRow gives those of one's own attempts and those of what was seen.
func everyRow() []row {
	all := slices.Clip(cases)
	for _, s := range sightings {
		a := Seen(s.event)
		all = append(all, row{name: s.name, scene: s.scene, attempt: &a})
	}
	return all
}

// remedyText gives the remedies and their commands.
func remedyText(v Verdict) string {
	var cures []string
	for _, r := range v.Remedies {
		cures = append(cures, r.String()+" "+r.Command())
	}
	return strings.Join(cures, "\n")
}

// matching compiles the words that must not be there, nil for none.
func matching(never string) *regexp.Regexp {
	if never == "" {
		return nil
	}
	return regexp.MustCompile(never)
}

// Every cause but that of a name, which is not tried, is the verdict of a row.
func TestEveryCauseIsJudged(t *testing.T) {
	for _, cause := range tcpvet.Causes() {
		if cause != tcpvet.CauseNameNotFound && !slices.ContainsFunc(cases, func(c row) bool { return c.cause == cause }) {
			t.Errorf("no row has the cause %s", cause)
		}
	}
}

// What a verdict names can be run on a sick host, names verbs and topics that there
// are, and where the way into the namespace is not known nothing is run at all.
func TestCommandsOfVerdicts(t *testing.T) {
	verbs := strings.Fields("count ls diagnose explain snapshot pcap capture demo why budget lab trace fix run")
	book := manual.New(rules.All...)
	sick := regexp.MustCompile(`\blsof\b|\bss\s+-[a-zA-Z]*p|grep -r`)
	seen := 0
	for _, c := range everyRow() {
		v := Judge(c.scene, c.attempt)
		var lines []string
		for _, e := range v.Evidence {
			if e.Check == "" || e.Got == "" {
				t.Errorf("%s: evidence without a command or a value: %+v", c.name, e)
			}
			lines = append(lines, e.Check)
		}
		for _, r := range v.Remedies {
			lines = append(lines, r.Command())
		}
		for _, line := range lines {
			seen++
			if sick.MatchString(line) {
				t.Errorf("%s: %q is not safe on a sick host", c.name, line)
			}
			rest, ok := strings.CutPrefix(line, "tcpvet ")
			if !ok {
				continue
			}
			verb, args, _ := strings.Cut(rest, " ")
			if !slices.Contains(verbs, verb) {
				t.Errorf("%s: %q: no such verb", c.name, line)
			}
			if _, _, ok := book.Find(args); verb == "explain" && !ok {
				t.Errorf("%s: %q: no such topic", c.name, line)
			}
			if _, rule, ok := strings.Cut(args, "--rule "); ok && !slices.ContainsFunc(rules.All, func(r *vet.Rule) bool { return r.Name == rule }) {
				t.Errorf("%s: %q: no such rule", c.name, line)
			}
		}

		elsewhere := *c.scene
		census := *c.scene.Census
		census.Self, census.Processes = 1, nil
		elsewhere.Census, elsewhere.Process, elsewhere.Others = &census, tcpvet.Process{}, nil
		v = Judge(&elsewhere, c.attempt)
		if len(v.Evidence) > 0 {
			t.Errorf("%s: evidence without a way into the namespace: %q", c.name, v.Evidence[0].Check)
		}
		for _, r := range v.Remedies {
			if cmd := r.Command(); cmd != "" && !strings.HasPrefix(cmd, "tcpvet ") && !strings.Contains(r.String(), "on that host") {
				t.Errorf("%s: a command for another namespace: %q", c.name, cmd)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d commands", seen)
	}
}

// In a namespace that is entered by a process, each command is.
func TestCommandsEnterTheNamespace(t *testing.T) {
	for _, c := range everyRow() {
		inside := *c.scene
		census := *c.scene.Census
		census.Self = 1
		inside.Census, inside.Process = &census, app
		for _, e := range Judge(&inside, c.attempt).Evidence {
			blue := strings.HasPrefix(e.Check, "ip netns exec blue ") && c.scene.Others != nil
			if !blue && !strings.HasPrefix(e.Check, "nsenter -t 4121 -n ") && !strings.Contains(e.Check, "/proc/4121/") {
				t.Errorf("%s: %q does not enter", c.name, e.Check)
			}
		}
	}
}
