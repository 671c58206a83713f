package trace

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// dial connects and gives the error, EINPROGRESS where the socket does not wait.
func dial(s *socket, to netip.AddrPort) error { return unix.Connect(s.fd, sockaddr(to, familyOf(to))) }

// failed is what a connect() that fails must be told as.
type failed struct {
	errno int
	cause tcpvet.Cause
	syns  uint8
}

// failures are staged one by one; act gives the errno that connect() gave, or that
// SO_ERROR gives afterwards.
var failures = []struct {
	name string
	act  func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno
	want failed
}{
	{"refused", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno { return errno(dial(c, at)) },
		failed{111, tcpvet.CauseRefused, 1}},
	{"refused without waiting", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		must(t, unix.SetNonblock(c.fd, true))
		if err := dial(c, at); err != unix.EINPROGRESS {
			return errno(err)
		}
		return pending(t, c)
	}, failed{111, tcpvet.CauseRefused, 1}},
	{"no answer", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		option(t, c, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1)
		return errno(dial(c, deaf(t, at)))
	}, failed{110, tcpvet.CauseTimedOut, 3}}, // one more than TCP_SYNCNT says: checked by the kernel's counter below
	{"given up", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		must(t, unix.SetNonblock(c.fd, true))
		if err := dial(c, deaf(t, at)); err != unix.EINPROGRESS {
			return errno(err)
		}
		c.close()
		return 0
	}, failed{0, tcpvet.NoCause, 1}},
	{"disconnected", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		must(t, unix.SetNonblock(c.fd, true))
		if err := dial(c, deaf(t, at)); err != unix.EINPROGRESS {
			return errno(err)
		}
		disconnect(t, c)
		return 0
	}, failed{0, tcpvet.NoCause, 1}},
	{"destroyed", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		must(t, unix.SetNonblock(c.fd, true))
		to := deaf(t, at)
		if err := dial(c, to); err != unix.EINPROGRESS {
			return errno(err)
		}
		destroy(t, localOf(t, c), to, c.cookie)
		return pending(t, c)
	}, failed{103, tcpvet.CauseUnknown, 1}},
	{"no port left", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno { return errno(dial(c, exhaust(t, at))) },
		failed{99, tcpvet.CausePortsExhausted, 0}},
	{"no port left, without waiting", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		must(t, unix.SetNonblock(c.fd, true))
		return errno(dial(c, exhaust(t, at)))
	}, failed{99, tcpvet.CausePortsExhausted, 0}},
	{"no port left for a source address", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		to := exhaust(t, at)
		option(t, c, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		must(t, unix.Bind(c.fd, sockaddr(netip.AddrPortFrom(at.Addr(), 0), familyOf(at))))
		return errno(dial(c, to))
	}, failed{99, tcpvet.CausePortsExhausted, 0}},
	{"no port left at the second try", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		to := exhaust(t, at)
		sysctl(t, "ip_local_port_range", usualRange)
		if err := dial(c, at); err != unix.ECONNREFUSED {
			t.Fatal(err)
		}
		sysctl(t, "ip_local_port_range", smallRange)
		return errno(dial(c, to))
	}, failed{99, tcpvet.CausePortsExhausted, 0}},
	{"tuple exists", func(t testing.TB, c *socket, at netip.AddrPort) unix.Errno {
		_, to := listen(t, netip.AddrPortFrom(at.Addr(), 0))
		other := newSocket(t, familyOf(at), 0)
		for _, s := range []*socket{other, c} {
			option(t, s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			must(t, unix.Bind(s.fd, sockaddr(netip.AddrPortFrom(at.Addr(), 5555), familyOf(at))))
		}
		must(t, dial(other, to))
		got := errno(dial(c, to))
		abortive(t, other)
		other.close()
		return got
	}, failed{99, tcpvet.CauseTupleExists, 0}},
}

const usualRange, smallRange = "32768 60999", "40000 40003"

// exhaust takes every port of a small range towards what it gives.
func exhaust(t testing.TB, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	_, to := listen(t, netip.AddrPortFrom(at.Addr(), 0))
	sysctl(t, "ip_local_port_range", smallRange)
	t.Cleanup(func() { sysctl(t, "ip_local_port_range", usualRange) })
	for range 4 {
		must(t, dial(newSocket(t, familyOf(at), 0), to))
	}
	return to
}

// deaf gives a listener that hears no SYN.
func deaf(t testing.TB, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	l, to := listen(t, netip.AddrPortFrom(at.Addr(), 0))
	deafen(t, l)
	return to
}

func errno(err error) unix.Errno {
	e, _ := err.(unix.Errno)
	return e
}

// pending waits for the end of an attempt and gives its error.
func pending(t testing.TB, c *socket) unix.Errno {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, int(generous.Milliseconds()))
	if err != nil || n != 1 {
		t.Fatalf("wait for a connection: %d, %v", n, err)
	}
	got, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	must(t, err)
	return unix.Errno(got)
}

// The errno that is told is the one that the program got.
func TestRootFail(t *testing.T) {
	t.Parallel() // it waits most of the time
	kerneltest.Undisturbed(t, testFail)
}

func testFail(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	for _, at := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::1]:9")} {
		for _, test := range failures {
			before, resent := time.Now(), counter(t, "TcpExtTCPSynRetrans")
			var c *socket
			var cookie uint64
			var got unix.Errno
			t.Log(test.name, at)
			func() {
				c = newSocket(t, familyOf(at), 0)
				cookie = c.cookie
				got = test.act(t, c, at)
				sysctl(t, "ip_local_port_range", usualRange)
			}()
			if resent = counter(t, "TcpExtTCPSynRetrans") - resent; test.want.syns > 0 && resent != uint64(test.want.syns-1) {
				t.Fatalf("%s, %v: the kernel sent a SYN again %d times: the staging is wrong", test.name, at, resent)
			}
			if int(got) != test.want.errno {
				t.Fatalf("%s, %v: connect() gave %d (%v), want %d: the staging is wrong", test.name, at, got, got, test.want.errno)
			}
			e := f.one(test.name, func(e *tcpvet.Event) bool {
				return e.Kind == tcpvet.EventFail && e.Cookie == cookie && e.Errno == test.want.errno
			})
			if e.Errno != test.want.errno || e.Cause != test.want.cause || e.SYNs != test.want.syns {
				t.Errorf("%s, %v: errno %d, cause %q, %d SYNs; want %+v", test.name, at, e.Errno, e.Cause, e.SYNs, test.want)
			}
			if e.Call != tcpvet.CallConnect || e.Role != tcpvet.Client || e.Remote.Addr() != at.Addr() || e.Took < 0 || e.Took > time.Since(before) {
				t.Errorf("%s, %v: %+v", test.name, at, e)
			}
			if noPort := e.Cause == tcpvet.CausePortsExhausted; noPort != (e.Local.Port() == 0) {
				t.Errorf("%s, %v: from %v", test.name, at, e.Local)
			}
			checkSelf(t, test.name, &e)
			c.close()
		}
	}
	if opens := f.all(func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventClose && e.Errno != 0 }); len(opens) > 0 {
		t.Errorf("an attempt that failed was told to close: %+v", opens)
	}
}

// counter reads one of the namespace's counters, by its name of nstat(8).
func counter(t testing.TB, name string) uint64 {
	t.Helper()
	all := make(map[string]uint64)
	for _, file := range []string{"netstat", "snmp"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + file)
		must(t, err)
		must(t, procfs.ParseNetstat(b, all))
	}
	n, ok := all[name]
	if !ok {
		t.Fatalf("counter %s: the kernel has none", name)
	}
	return n
}
