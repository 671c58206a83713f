package run

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestCheck(t *testing.T) {
	on := func(idle, interval time.Duration, count int) tcpvet.Timers {
		return tcpvet.Timers{Keepalive: true, Idle: idle, Interval: interval, Count: count}
	}
	many := make([]netip.Addr, 65)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{127, 0, 0, byte(i)})
	}
	pool := func(list ...string) (all []netip.Addr) {
		for _, a := range list {
			all = append(all, netip.MustParseAddr(a))
		}
		return all
	}
	// The limits are those of do_tcp_setsockopt in net/ipv4/tcp.c.
	for _, test := range []struct {
		o    Options
		want string // "" for none
	}{
		{Options{Timers: on(1*time.Second, 1*time.Second, 1)}, ""},
		{Options{Timers: on(32767*time.Second, 32767*time.Second, 127)}, ""},
		{Options{Timers: on(32768*time.Second, time.Second, 1)}, "idle 9h6m8s: expected whole seconds"},
		{Options{Timers: on(time.Second, 0, 1)}, "interval 0s"},
		{Options{Timers: on(1500*time.Millisecond, time.Second, 1)}, "idle 1.5s"},
		{Options{Timers: on(time.Second, time.Second, 0)}, "count 0: expected 1 to 127"},
		{Options{Timers: on(time.Second, time.Second, 128)}, "count 128"},
		{Options{Timers: tcpvet.Timers{UserTimeout: time.Millisecond}}, ""},
		{Options{Timers: tcpvet.Timers{UserTimeout: (1<<31 - 1) * time.Millisecond}}, ""},
		{Options{Timers: tcpvet.Timers{UserTimeout: 1 << 31 * time.Millisecond}}, "user timeout "},
		{Options{Timers: tcpvet.Timers{UserTimeout: -time.Millisecond}}, "user timeout "},
		{Options{Timers: tcpvet.Timers{UserTimeout: time.Microsecond}}, "user timeout "},
		{Options{}, "nothing is asked for"},
		{Options{Timers: tcpvet.Timers{Idle: time.Second}}, "nothing is asked for"},
		{Options{Pool: pool("127.0.0.1", "10.0.0.1", "::1", "2001:db8::1")}, ""},
		{Options{Pool: many[1:]}, ""},
		{Options{Pool: many}, "127.0.0.64: more than 64"},
		{Options{Pool: append(pool("10.0.0.1", "::1"), many[1:]...)}, ""},
		{Options{Pool: pool("0.0.0.0")}, "no connection can come from it"},
		{Options{Pool: pool("127.0.0.1", "::ffff:127.0.0.1")}, "named twice"},
		{Options{Pool: pool("224.0.0.1")}, "no connection can come from it"},
		{Options{Pool: pool("fe80::1")}, "link-local"},
		{Options{Pool: pool("2001:db8::1%eth0")}, "zone"},
		{Options{Pool: []netip.Addr{{}}}, "an address is empty"},
	} {
		err := test.o.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
		}
	}
}

func TestOptionsString(t *testing.T) {
	for want, o := range map[string]Options{
		"keepalive 30s + 5 x 3s":                             {Timers: tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5}},
		"keepalive 30s + 5 x 3s, user timeout 45s":           {Timers: tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: 45 * time.Second}},
		"user timeout 1s, source pool 127.0.0.1,2001:db8::1": {Timers: tcpvet.Timers{UserTimeout: time.Second}, Pool: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::1")}},
	} {
		if got := o.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSummaryLines(t *testing.T) {
	two := uint64(2)
	s := Summary{
		Opened: 20, Accepted: 1, Failed: Failed{NoPort: 3, Unanswered: 1}, MostCloseWait: 5, CloseWait: 1, Leaked: &two, Refused: 1, Unbound: 4,
		Own: []OwnValues{{Member{7, "java"}, tcpvet.Timers{}, 9}}, OwnUnnamed: 1,
	}
	want := `20 connections opened, 1 accepted, 4 failed (3 no local port left, 1 refused or timed out)
at most 5 connections at once in CLOSE-WAIT, 1 now; 2 stayed there until the process ended: the peer had closed, the program never did
the kernel refused the values on 1 connection
4 connections could not take an address of the source pool: one may have been removed
java[7] set its own keepalive over this on 9 connections: off
other programs set their own values on 1 connection`
	if got := strings.Join(s.Lines(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	quiet := Summary{Opened: 1}
	if got := strings.Join(quiet.Lines(), "\n"); got != "1 connection opened, 0 accepted, none failed" {
		t.Errorf("got %q", got)
	}
	blind := Summary{MostCloseWait: 1}
	if got := strings.Join(blind.Lines(), "\n"); !strings.Contains(got, "needs CAP_PERFMON") {
		t.Errorf("got %q", got)
	}
}

func TestMemberString(t *testing.T) {
	for want, m := range map[string]Member{"a process": {}, "java": {Comm: "java"}, "process 7": {PID: 7}, "java[7]": {7, "java"}} {
		if got := m.String(); got != want {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
}
