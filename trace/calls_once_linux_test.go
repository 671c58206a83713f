package trace

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What the change of a state tells, the end of its call does not tell again.
func TestRootCallsOnce(t *testing.T) {
	t.Parallel() // it waits most of the time
	kerneltest.Undisturbed(t, testCallsOnce)
}

func testCallsOnce(t testing.TB) {
	w := traceCalls(t)
	for _, at := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::1]:9")} {
		for _, test := range failures {
			c := newSocket(t, familyOf(at), 0)
			cookie := c.cookie
			got := test.act(t, c, at)
			sysctl(t, "ip_local_port_range", usualRange)
			c.close()
			n := 0
			for _, e := range w.told(t) {
				if e.Cookie != cookie || test.name == "no port left at the second try" && e.Errno == errCONNREFUSED {
					continue // of the staging
				}
				n++
				if e.Errno != int(got) || e.Cause != test.want.cause {
					t.Errorf("%s, %v: errno %d, cause %q; want %+v", test.name, at, e.Errno, e.Cause, test.want)
				}
			}
			if n != 1 {
				t.Errorf("%s, %v: told %d times, want once", test.name, at, n)
			}
		}
	}
}

// A program may ask by connect() how its connect() went; what it is told then is no
// other failure. What it tries next on the same socket is.
func TestRootCallsAgain(t *testing.T) { kerneltest.Undisturbed(t, testCallsAgain) }

func testCallsAgain(t testing.TB) {
	w := traceCalls(t)
	closed := target("127.0.0.1:9")
	connect := func(t testing.TB, fd int, to unix.Sockaddr, want unix.Errno) {
		t.Helper()
		if err := unix.Connect(fd, to); errno(err) != want {
			t.Errorf("connect() gave %v, want %v: the staging is wrong", err, want)
		}
	}
	asked := func(t testing.TB, fd int) {
		t.Helper()
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || got != errCONNREFUSED {
			t.Errorf("SO_ERROR is %d, %v, want %d: the staging is wrong", got, err, errCONNREFUSED)
		}
	}
	refused := func(t testing.TB, family int, to unix.Sockaddr) int {
		t.Helper()
		fd := tcp(t, family, unix.SOCK_NONBLOCK)
		connect(t, fd, to, unix.EINPROGRESS)
		failedBy(t, fd)
		return fd
	}
	for _, test := range []struct {
		name string
		do   func(t testing.TB)
		want []int // the errno of each event
	}{
		{"asked by connect()", func(t testing.TB) {
			connect(t, refused(t, unix.AF_INET, closed), closed, unix.ECONNREFUSED)
		}, []int{111}},
		{"asked by connect(), mapped", func(t testing.TB) {
			to := target("[::ffff:127.0.0.1]:9")
			connect(t, refused(t, unix.AF_INET6, to), to, unix.ECONNREFUSED)
		}, []int{111}},
		{"asked by SO_ERROR, then by connect()", func(t testing.TB) {
			fd := refused(t, unix.AF_INET, closed)
			asked(t, fd)
			connect(t, fd, closed, unix.ECONNABORTED)
		}, []int{111}},
		{"tried again", func(t testing.TB) {
			fd := tcp(t, unix.AF_INET, 0)
			connect(t, fd, closed, unix.ECONNREFUSED)
			connect(t, fd, closed, unix.ECONNREFUSED)
		}, []int{111, 111}},
		{"tried again where there is no way", func(t testing.TB) {
			fd := tcp(t, unix.AF_INET, 0)
			connect(t, fd, closed, unix.ECONNREFUSED)
			connect(t, fd, target("10.1.2.3:80"), unix.ENETUNREACH)
		}, []int{111, 101}},
		{"no port left, and no way", func(t testing.TB) {
			to := exhaust(t, netip.MustParseAddrPort("127.0.0.1:0"))
			defer sysctl(t, "ip_local_port_range", usualRange)
			fd := tcp(t, unix.AF_INET, 0)
			connect(t, fd, sockaddr(to, unix.AF_INET), unix.EADDRNOTAVAIL)
			connect(t, fd, target("10.1.2.3:80"), unix.ENETUNREACH)
		}, []int{99, 101}},
		{"disconnected, and no way", func(t testing.TB) {
			fd := refused(t, unix.AF_INET, closed)
			disconnect(t, &socket{fd: fd})
			connect(t, fd, target("10.1.2.3:80"), unix.ENETUNREACH)
		}, []int{111, 101}},
		{"of MPTCP", func(t testing.TB) {
			connect(t, socketOf(t, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), closed, unix.ECONNREFUSED)
		}, []int{111}},
		{"of MPTCP, no port left", func(t testing.TB) {
			to := exhaust(t, netip.MustParseAddrPort("127.0.0.1:0"))
			connect(t, socketOf(t, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), sockaddr(to, unix.AF_INET), unix.EADDRNOTAVAIL)
		}, []int{99}},
	} {
		test.do(t)
		var got []int
		events := w.told(t)
		// What may still change is kept back a little.
		slices.SortFunc(events, func(a, b tcpvet.Event) int { return a.At.Compare(b.At) })
		for _, e := range events {
			got = append(got, e.Errno)
			if e.Call != tcpvet.CallConnect || e.Count > 1 {
				t.Errorf("%s: %+v", test.name, e)
			}
		}
		if len(got) != len(test.want) || got[0] != test.want[0] || got[len(got)-1] != test.want[len(got)-1] {
			t.Errorf("%s: told errnos %v, want %v: %+v", test.name, got, test.want, events)
		}
	}
}

// The change of a state lets one think that no port was left where a policy forbids
// those that there are: the program's own errno is told.
func TestRootCallsAmended(t *testing.T) { kerneltest.Undisturbed(t, testCallsAmended) }

func testCallsAmended(t testing.TB) {
	w := traceCalls(t)
	if _, err := os.Stat("/proc/sys/net/ipv4/conf/lo/disable_xfrm"); err != nil {
		t.Skipf("%s IPsec policies: %v", kerneltest.LacksFeature, err)
	}
	setting(t, "ipv4/conf/lo/disable_xfrm", "0")
	setting(t, "ipv4/conf/lo/disable_policy", "0")
	setting(t, "ipv4/ip_local_port_range", "40000 40000")
	ip(t, "xfrm", "policy", "add", "src", "0.0.0.0/0", "dst", "127.0.0.1/32", "proto", "tcp", "sport", "40000", "dir", "out", "action", "block")
	for _, flags := range []int{0, unix.SOCK_NONBLOCK} {
		fd := tcp(t, unix.AF_INET, flags)
		if err := unix.Connect(fd, target("127.0.0.1:9")); err != unix.EPERM {
			t.Fatalf("connect() gave %v, want EPERM: the staging is wrong", err)
		}
		events := w.told(t)
		if len(events) != 1 || events[0].Errno != int(unix.EPERM) || events[0].Cause != tcpvet.CauseUnknown || events[0].From != tcpvet.SynSent {
			t.Errorf("told %+v, want one failure with errno %d", events, unix.EPERM)
		}
	}
}
