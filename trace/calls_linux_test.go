package trace

import (
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// stage is a call that fails, or does not.
type stage struct {
	name          string
	call          tcpvet.Call
	do            func(testing.TB) (local string, err error) // local "" for what want says
	local, remote string                                     // remote "" for none
	cause         tcpvet.Cause
	silent        bool // nothing is to be told
}

// run stages it on the test's own goroutine, which is in the namespace.
func (s *stage) run(t testing.TB, w *callTrace) {
	t.Helper()
	local, err := s.do(t)
	if local == "" {
		local = s.local
	}
	events := w.told(t)
	switch {
	case s.silent && len(events) != 0:
		t.Errorf("%s: told %+v; the call gave %v", s.name, events, err)
	case s.silent:
	case len(events) != 1:
		t.Errorf("%s: told %d events: %+v; the call gave %v", s.name, len(events), events, err)
	default:
		s.check(t, w, &events[0], local, errnoOf(err))
	}
}

func (s *stage) check(t testing.TB, w *callTrace, e *tcpvet.Event, local string, errno int) {
	t.Helper()
	if e.Kind != tcpvet.EventFail || e.Call != s.call || e.Errno != errno || e.Cause != s.cause || e.Netns != w.netns {
		t.Errorf("%s: told %s of %s, errno %d, cause %q, netns %d; want fail of %s, errno %d, cause %q, netns %d",
			s.name, e.Kind, e.Call, e.Errno, e.Cause, e.Netns, s.call, errno, s.cause, w.netns)
	}
	remote := ""
	if e.Remote.IsValid() {
		remote = e.Remote.String()
	}
	if e.Local.String() != local || remote != s.remote {
		t.Errorf("%s: from %s to %q, want from %s to %q", s.name, e.Local, remote, local, s.remote)
	}
	if e.From != 0 || e.To != 0 || e.Took >= 0 || e.SYNs != 0 || e.Count > 1 {
		t.Errorf("%s: from %v to %v, took %v, %d SYNs, %d times: a call that changed no state", s.name, e.From, e.To, e.Took, e.SYNs, e.Count)
	}
	if e.Process.PID != int32(os.Getpid()) || e.Process.Start == 0 || e.KnownBy != tcpvet.ByTask || e.Comm == "" {
		t.Errorf("%s: process %+v, %q, known by %s; want PID %d", s.name, e.Process, e.Comm, e.KnownBy, os.Getpid())
	}
}

// connects is a stage of a plain connect().
func connects(name string, family, kind int, to, local, remote string, cause tcpvet.Cause) stage {
	return stage{name: name, local: local, remote: remote, cause: cause, do: func(t testing.TB) (string, error) {
		return "", unix.Connect(tcp(t, family, kind), target(to))
	}}
}

// binds is a stage of a plain bind().
func binds(name string, family int, at, local string, cause tcpvet.Cause) stage {
	return stage{name: name, call: tcpvet.CallBind, local: local, cause: cause, do: func(t testing.TB) (string, error) {
		return "", unix.Bind(tcp(t, family, 0), target(at))
	}}
}

// ip runs ip(8) in the test's namespace.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(kerneltest.Tool(t, "ip"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// setting writes a setting of the test's own network namespace.
func setting(t testing.TB, path, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)) // of the calling thread
}

// What a call answers without a change of state is told with what it was asked, and
// with the errno that the program got.
func TestRootCallsConnect(t *testing.T) { kerneltest.Undisturbed(t, testCallsConnect) }

func testCallsConnect(t testing.TB) {
	w := traceCalls(t)
	ip(t, "link", "add", "near", "type", "veth", "peer", "name", "far")
	ip(t, "addr", "add", "192.0.2.1/24", "dev", "near")
	ip(t, "link", "set", "near", "up")
	ip(t, "route", "add", "prohibit", "198.51.100.0/24")
	ip(t, "route", "add", "unreachable", "203.0.113.0/24")
	const inet, inet6, now = unix.AF_INET, unix.AF_INET6, unix.SOCK_NONBLOCK
	wrong := unix.RawSockaddrInet6{Family: inet6, Port: 0x5000, Addr: [16]byte{15: 1}}
	for _, s := range []stage{
		connects("no route", inet, 0, "10.1.2.3:80", "0.0.0.0:0", "10.1.2.3:80", tcpvet.CauseNoRoute),
		connects("no route, non-blocking", inet, now, "10.1.2.3:80", "0.0.0.0:0", "10.1.2.3:80", tcpvet.CauseNoRoute),
		connects("no route, IPv6", inet6, 0, "[2001:db8::1]:80", "[::]:0", "[2001:db8::1]:80", tcpvet.CauseNoRoute),
		connects("no route, IPv6, non-blocking", inet6, now, "[2001:db8::1]:80", "[::]:0", "[2001:db8::1]:80", tcpvet.CauseNoRoute),
		connects("no route, mapped", inet6, 0, "[::ffff:10.1.2.3]:80", "0.0.0.0:0", "10.1.2.3:80", tcpvet.CauseNoRoute),
		connects("a route that is unreachable", inet, 0, "203.0.113.1:80", "0.0.0.0:0", "203.0.113.1:80", tcpvet.CauseNoRoute),
		connects("a route that is prohibited", inet, 0, "198.51.100.1:80", "0.0.0.0:0", "198.51.100.1:80", tcpvet.CauseUnknown),
		connects("a broadcast address", inet, 0, "192.0.2.255:80", "0.0.0.0:0", "192.0.2.255:80", tcpvet.CauseNoRoute),
		connects("a link that is not named", inet6, 0, "[fe80::1]:80", "[::]:0", "[fe80::1]:80", tcpvet.CauseUnknown),
		{name: "a loopback source", remote: "192.0.2.9:80", cause: tcpvet.CauseSourceScope, do: func(t testing.TB) (string, error) {
			fd := tcp(t, inet, 0)
			must(t, unix.Bind(fd, target("127.0.0.1:0")))
			return ownEnd(t, fd), unix.Connect(fd, target("192.0.2.9:80"))
		}},
		{name: "a loopback source, mapped", remote: "192.0.2.9:80", cause: tcpvet.CauseSourceScope, do: func(t testing.TB) (string, error) {
			fd := tcp(t, inet6, 0)
			must(t, unix.Bind(fd, target("[::ffff:127.0.0.1]:0")))
			return ownEnd(t, fd), unix.Connect(fd, target("[::ffff:192.0.2.9]:80"))
		}},
		{name: "another family", local: "0.0.0.0:0", remote: "[::1]:80", cause: tcpvet.CauseUnknown, do: func(t testing.TB) (string, error) {
			return "", connectRaw(tcp(t, inet, 0), unsafe.Pointer(&wrong), unsafe.Sizeof(wrong))
		}},
		{name: "an address that cannot be read", local: "0.0.0.0:0", cause: tcpvet.CauseUnknown, do: func(t testing.TB) (string, error) {
			return "", connectRaw(tcp(t, inet, 0), nil, 16)
		}},
		{name: "an address cut short", local: "[::]:0", cause: tcpvet.CauseUnknown, do: func(t testing.TB) (string, error) {
			return "", connectRaw(tcp(t, inet6, 0), unsafe.Pointer(&wrong), 20)
		}},
		{name: "an address cut short, IPv4", local: "0.0.0.0:0", cause: tcpvet.CauseUnknown, do: func(t testing.TB) (string, error) {
			short := unix.RawSockaddrInet4{Family: inet, Port: 0x5000, Addr: [4]byte{10, 1, 2, 3}}
			return "", connectRaw(tcp(t, inet, 0), unsafe.Pointer(&short), 8)
		}},
		{name: "of MPTCP", local: "0.0.0.0:0", remote: "10.1.2.3:80", cause: tcpvet.CauseNoRoute, do: func(t testing.TB) (string, error) {
			return "", unix.Connect(socketOf(t, inet, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), target("10.1.2.3:80"))
		}},
	} {
		s.run(t, w)
	}
}

// What no failure of TCP is stays untold.
func TestRootCallsSilent(t *testing.T) { kerneltest.Undisturbed(t, testCallsSilent) }

func testCallsSilent(t testing.TB) {
	w := traceCalls(t)
	_, at := listening(t, "127.0.0.1:0")
	const inet, stream, now = unix.AF_INET, unix.SOCK_STREAM, unix.SOCK_NONBLOCK
	quiet := func(name string, do func(testing.TB) error) stage {
		return stage{name: name, silent: true, do: func(t testing.TB) (string, error) { return "", do(t) }}
	}
	gives := func(t testing.TB, want unix.Errno, err error) error {
		t.Helper()
		if errnoOf(err) != int(want) {
			t.Errorf("staged %v, want %v", err, want)
		}
		return err
	}
	for _, s := range []stage{
		quiet("UDP", func(t testing.TB) error {
			return gives(t, unix.ENETUNREACH, unix.Connect(socketOf(t, inet, unix.SOCK_DGRAM, 0), target("10.1.2.3:80")))
		}),
		quiet("TCP's packets, raw", func(t testing.TB) error {
			return gives(t, unix.ENETUNREACH, unix.Connect(socketOf(t, inet, unix.SOCK_RAW, unix.IPPROTO_TCP), target("10.1.2.3:80")))
		}),
		quiet("a Unix socket", func(t testing.TB) error {
			return gives(t, unix.ENOENT, unix.Connect(socketOf(t, unix.AF_UNIX, stream, 0), &unix.SockaddrUnix{Name: t.TempDir() + "/none"}))
		}),
		quiet("a Unix socket that is bound", func(t testing.TB) error {
			return gives(t, unix.ENOENT, unix.Bind(socketOf(t, unix.AF_UNIX, stream, 0), &unix.SockaddrUnix{Name: t.TempDir() + "/none/none"}))
		}),
		quiet("UDP that is bound", func(t testing.TB) error {
			return gives(t, unix.EADDRNOTAVAIL, unix.Bind(socketOf(t, inet, unix.SOCK_DGRAM, 0), target("192.0.2.7:0")))
		}),
		quiet("what is no socket", func(t testing.TB) error {
			f, err := os.Open("/dev/null")
			must(t, err)
			defer f.Close()
			return gives(t, unix.ENOTSOCK, unix.Connect(int(f.Fd()), target(at)))
		}),
		quiet("no descriptor", func(t testing.TB) error { return gives(t, unix.EBADF, unix.Connect(-1, target(at))) }),
		quiet("a descriptor beyond all", func(t testing.TB) error { return gives(t, unix.EBADF, unix.Connect(1<<30, target(at))) }),
		quiet("a socket of UDP that cannot be", func(t testing.TB) error {
			_, err := unix.Socket(inet, stream, unix.IPPROTO_UDP)
			return gives(t, unix.EPROTONOSUPPORT, err)
		}),
		quiet("a socket of packets", func(t testing.TB) error {
			_, err := unix.Socket(inet, unix.SOCK_SEQPACKET, 0)
			return gives(t, unix.ESOCKTNOSUPPORT, err)
		}),
		quiet("a family that is not there", func(t testing.TB) error {
			_, err := unix.Socket(4095, stream, 0)
			return gives(t, unix.EAFNOSUPPORT, err)
		}),
		quiet("connected, and again", func(t testing.TB) error {
			fd := tcp(t, inet, 0)
			must(t, unix.Connect(fd, target(at)))
			return gives(t, unix.EISCONN, unix.Connect(fd, target(at)))
		}),
		quiet("under way, and asked again", func(t testing.TB) error {
			// Nobody answers what is sent to an address of a link without a carrier.
			ip(t, "link", "add", "near", "type", "veth", "peer", "name", "far")
			ip(t, "addr", "add", "192.0.2.1/24", "dev", "near")
			ip(t, "link", "set", "near", "up")
			fd := tcp(t, inet, now)
			gives(t, unix.EINPROGRESS, unix.Connect(fd, target("192.0.2.9:80")))
			return gives(t, unix.EALREADY, unix.Connect(fd, target("192.0.2.9:80")))
		}),
		quiet("nothing to accept", func(t testing.TB) error {
			empty, _ := listening(t, "127.0.0.1:0")
			_, _, err := unix.Accept4(empty, unix.SOCK_CLOEXEC)
			return gives(t, unix.EAGAIN, err)
		}),
		quiet("a listener that was shut down", func(t testing.TB) error {
			shut, _ := listening(t, "127.0.0.1:0")
			must(t, unix.Shutdown(shut, unix.SHUT_RDWR))
			_, _, err := unix.Accept4(shut, unix.SOCK_CLOEXEC)
			return gives(t, unix.EINVAL, err)
		}),
	} {
		s.run(t, w)
	}
}

// bind() and socket() change no state at all.
func TestRootCallsBind(t *testing.T) { kerneltest.Undisturbed(t, testCallsBind) }

func testCallsBind(t testing.TB) {
	w := traceCalls(t)
	const inet, inet6 = unix.AF_INET, unix.AF_INET6
	_, at := listening(t, "127.0.0.1:0")
	_, at6 := listening(t, "[::1]:0")
	setting(t, "ipv4/ip_local_port_range", "40000 40001")
	for range 2 {
		must(t, unix.Bind(tcp(t, inet, 0), target("127.0.0.1:0")))
	}
	for _, s := range []stage{
		binds("a foreign address", inet, "192.0.2.1:80", "192.0.2.1:80", tcpvet.CauseAddressNotLocal),
		binds("a foreign address, any port", inet, "192.0.2.1:0", "192.0.2.1:0", tcpvet.CauseAddressNotLocal),
		binds("a foreign address, IPv6", inet6, "[2001:db8::1]:80", "[2001:db8::1]:80", tcpvet.CauseAddressNotLocal),
		binds("a foreign address, mapped", inet6, "[::ffff:192.0.2.1]:80", "192.0.2.1:80", tcpvet.CauseAddressNotLocal),
		binds("a listener's port", inet, at, at, tcpvet.CauseBoundPorts),
		binds("a listener's port, IPv6", inet6, at6, at6, tcpvet.CauseBoundPorts),
		binds("a port that is merely bound", inet, "127.0.0.1:40000", "127.0.0.1:40000", tcpvet.CauseBoundPorts),
		binds("no port of the range is left", inet, "127.0.0.1:0", "127.0.0.1:0", tcpvet.CauseBoundPorts),
		{name: "bound before", call: tcpvet.CallBind, local: "127.0.0.1:1025", cause: tcpvet.CauseUnknown, do: func(t testing.TB) (string, error) {
			fd := tcp(t, inet, 0)
			must(t, unix.Bind(fd, target("127.0.0.1:1024")))
			return "", unix.Bind(fd, target("127.0.0.1:1025"))
		}},
		{name: "of MPTCP", call: tcpvet.CallBind, local: at, cause: tcpvet.CauseBoundPorts, do: func(t testing.TB) (string, error) {
			return "", unix.Bind(socketOf(t, inet, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), target(at))
		}},
	} {
		s.run(t, w)
	}
	without(t, unix.CAP_NET_BIND_SERVICE, func() {
		s := binds("a privileged port", inet, "127.0.0.1:80", "127.0.0.1:80", tcpvet.CauseUnknown)
		s.run(t, w)
	})
}

// without takes a capability from the calling thread while f runs.
func without(t testing.TB, capability uint, f func()) {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	must(t, unix.Capget(&hdr, &before[0]))
	lesser := before
	lesser[capability/32].Effective &^= 1 << (capability % 32)
	must(t, unix.Capset(&hdr, &lesser[0]))
	f()
	must(t, unix.Capset(&hdr, &before[0]))
}

// Whether IPv6 is off and lo is down is seen while it is so.
func TestRootCallsNamespace(t *testing.T) { kerneltest.Undisturbed(t, testCallsNamespace) }

func testCallsNamespace(t testing.TB) {
	need(t)
	kerneltest.Netns(t)
	// One whose lo was never up: lo that is set down keeps its routes for IPv4.
	must(t, unix.Unshare(unix.CLONE_NEWNET))
	w := traceCallsHere(t)
	const inet, inet6, now = unix.AF_INET, unix.AF_INET6, unix.SOCK_NONBLOCK
	for _, s := range []stage{
		connects("lo is down", inet, now, "127.0.0.1:80", "0.0.0.0:0", "127.0.0.1:80", tcpvet.CauseLoopbackDown),
		connects("lo is down, IPv6", inet6, now, "[::1]:80", "[::]:0", "[::1]:80", tcpvet.CauseLoopbackDown),
		binds("lo is down, bind() of IPv6", inet6, "[::1]:0", "[::1]:0", tcpvet.CauseLoopbackDown),
		connects("another address", inet, now, "10.1.2.3:80", "0.0.0.0:0", "10.1.2.3:80", tcpvet.CauseNoRoute),
	} {
		s.run(t, w)
	}
	ip(t, "link", "set", "lo", "up")
	ip(t, "addr", "del", "::1/128", "dev", "lo")
	taken := binds("lo is up, and has no such address", inet6, "[::1]:80", "[::1]:80", tcpvet.CauseAddressNotLocal)
	taken.run(t, w)
	setting(t, "ipv6/conf/all/disable_ipv6", "1")
	for _, s := range []stage{
		connects("IPv6 is off", inet6, now, "[::1]:80", "[::]:0", "[::1]:80", tcpvet.CauseIPv6Disabled),
		connects("IPv6 is off, another host", inet6, now, "[2001:db8::1]:80", "[::]:0", "[2001:db8::1]:80", tcpvet.CauseIPv6Disabled),
		binds("IPv6 is off, bind()", inet6, "[::1]:80", "[::1]:80", tcpvet.CauseIPv6Disabled),
		binds("IPv4 does not need it", inet, "192.0.2.1:80", "192.0.2.1:80", tcpvet.CauseAddressNotLocal),
		binds("nor do mapped addresses", inet6, "[::ffff:192.0.2.1]:80", "192.0.2.1:80", tcpvet.CauseAddressNotLocal),
	} {
		s.run(t, w)
	}
}
