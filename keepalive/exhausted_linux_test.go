package keepalive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// until waits for a state.
func until(t testing.TB, what string, holds func() bool, else_ ...func() any) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, f := range else_ {
				t.Log(f())
			}
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// states counts the client ends to an address by state, as ss does.
func states(t testing.TB, address string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(ss(t, "-Htan", "dst", address)) {
		counts[strings.Fields(line)[0]]++
	}
	return counts
}

// forget has the next exhaustion be looked at anew.
func forget() {
	lately.mu.Lock()
	defer lately.mu.Unlock()
	clear(lately.last)
}

// hangUp accepts, and closes what it accepted at once.
func hangUp(t testing.TB, address string) net.Addr {
	return net.TCPAddrFromAddrPort(kerneltest.Serve(t, address, kerneltest.HangUp))
}

// dialUntilFull opens connections until there is no port.
func dialUntilFull(t testing.TB, d *TCPDialer, address string, opened func(net.Conn)) {
	t.Helper()
	for range 1000 {
		conn, err := d.Dial("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		opened(conn)
	}
	t.Fatal("1000 connections, and still ports")
}

// Each way to use the ports up, with what ss counts as the truth.
func TestRootPortsExhausted(t *testing.T) {
	for i, test := range []struct {
		name     string
		server   func(testing.TB, string) net.Addr
		close    bool // by the client, first
		o        Options
		reserved string
		state    string
		advice   string
	}{
		{"open", sink, false, Options{}, "", "ESTAB", "bound the pool"},
		{"closed by this end", sink, true, Options{}, "", "TIME-WAIT", "faster than ports come back"},
		{"leaked", hangUp, false, Options{}, "", "CLOSE-WAIT", "set TrackLeaks"},
		{"leaked and tracked", hangUp, false, Options{TrackLeaks: true}, "", "CLOSE-WAIT", "this program leaks 10 of them"},
		{"in part reserved", sink, false, Options{}, "+3", "ESTAB", "with 4 reserved"},
	} {
		t.Run(test.name, func(t *testing.T) {
			low := 21000 + 100*i
			ports(t, low, low+9)
			usable := 10
			if test.reserved != "" {
				setting(t, "ipv4/ip_local_reserved_ports", fmt.Sprintf("%d-%d", low, low+3))
				usable = 6
			}
			address, elsewhere := address(9400), address(9400)
			test.server(t, address)
			d := Dialer(test.o)
			dialUntilFull(t, d, address, func(c net.Conn) {
				if test.close {
					c.Close()
				} else {
					t.Cleanup(func() { c.Close() })
				}
			})
			// Who is closed last may still be closing.
			until(t, "all in "+test.state, func() bool { return states(t, address)[test.state] == usable }, func() any { return ss(t, "-tano") })
			forget()
			_, err := d.Dial("tcp", address)
			full, ok := errors.AsType[*PortsExhausted](err)
			if !ok {
				t.Fatalf("%v, want a *PortsExhausted", err)
			}
			if !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("%v is not EADDRNOTAVAIL", err)
			}
			if want := map[string]int{test.state: usable}; !maps.Equal(full.Taken, want) {
				t.Errorf("taken %v, want %v", full.Taken, want)
			}
			if full.Low != uint16(low) || full.High != uint16(low+9) || full.Reserved != 10-usable ||
				full.Remote != netip.MustParseAddrPort(address) || full.Local != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("%+v", full)
			}
			if !strings.Contains(err.Error(), test.advice) {
				t.Errorf("%q does not say %q", err, test.advice)
			}
			if test.o.TrackLeaks {
				if full.OwnLeakCount != usable || len(full.OwnLeaks) != 10 {
					t.Errorf("%d own leaks, %d in words", full.OwnLeakCount, len(full.OwnLeaks))
				}
				if !strings.Contains(err.Error(), "keepalive.dialUntilFull at ") || !strings.Contains(err.Error(), "exhausted_linux_test.go:") {
					t.Errorf("%q does not name the line", err)
				}
			}
			// Another destination has ports of its own.
			other := sink(t, elsewhere)
			conn, err := d.Dial("tcp", other.String())
			if err != nil {
				t.Fatalf("another destination: %v", err)
			}
			conn.Close()
		})
	}
}

// The same errno where ports have nothing to do with it is left as it is.
func TestRootAddressNotAvailable(t *testing.T) {
	ports(t, 22000, 22009)
	plain := func(t *testing.T, err error) {
		t.Helper()
		if full, ok := errors.AsType[*PortsExhausted](err); ok || !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%v (%+v), want a plain EADDRNOTAVAIL", err, full)
		}
	}
	t.Run("a source address that the host lacks", func(t *testing.T) {
		l := sink(t, address(9500))
		_, err := Dialer(Options{Base: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}}).Dial("tcp", l.String())
		plain(t, err)
	})
	t.Run("IPv6 is off", func(t *testing.T) {
		setting(t, "ipv6/conf/all/disable_ipv6", "1")
		_, err := Dialer(Options{}).Dial("tcp", "[::1]:9501")
		plain(t, err)
	})
	t.Run("the pair of addresses is taken", func(t *testing.T) {
		l := sink(t, address(9502))
		reuse := func(_, _ string, c syscall.RawConn) (err error) {
			return c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		}
		d := Dialer(Options{Base: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9599}, Control: reuse}})
		conn, err := d.Dial("tcp", l.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = d.Dial("tcp", l.String())
		plain(t, err)
	})
	t.Run("the socket has a range of its own", func(t *testing.T) {
		l := sink(t, address(9503))
		const ipLocalPortRange = 51 // IP_LOCAL_PORT_RANGE, include/uapi/linux/in.h
		one := func(_, _ string, c syscall.RawConn) (err error) {
			return c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, ipLocalPortRange, 22003<<16|22003) })
		}
		d := Dialer(Options{Base: net.Dialer{Control: one}})
		conn, err := d.Dial("tcp", l.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = d.Dial("tcp", l.String())
		plain(t, err)
	})
}

// Where no port is free for choice, though no connection has one.
func TestRootRangeLeavesNone(t *testing.T) {
	l := sink(t, address(9510))
	t.Run("reserved", func(t *testing.T) {
		ports(t, 22100, 22109)
		setting(t, "ipv4/ip_local_reserved_ports", "22100-22109")
		_, err := Dialer(Options{}).Dial("tcp", l.String())
		if full, ok := errors.AsType[*PortsExhausted](err); !ok || full.Reserved != 10 || len(full.Taken) != 0 || !strings.Contains(err.Error(), "ip_local_reserved_ports") {
			t.Errorf("%v", err)
		}
	})
	t.Run("listening", func(t *testing.T) {
		ports(t, 22200, 22209)
		for port := 22200; port <= 22209; port++ {
			listen(t, fmt.Sprintf("127.0.0.1:%d", port))
		}
		forget()
		_, err := Dialer(Options{}).Dial("tcp", l.String())
		if full, ok := errors.AsType[*PortsExhausted](err); !ok || full.Listening != 10 || !strings.Contains(err.Error(), "10 by listeners") {
			t.Errorf("%v", err)
		}
	})
}

// What the kernel says of a destination is what ss says, with both families.
func TestRootReadTaken(t *testing.T) {
	ports(t, 22300, 22399)
	l := sink(t, address(9520))
	to := netip.MustParseAddrPort(l.String())
	var conns []net.Conn
	for range 12 {
		conn, err := net.Dial("tcp", l.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	mapped(t, to)
	for _, c := range conns[:5] {
		c.Close()
	}
	key := tupleKey{remote: to}
	until(t, "five TIME-WAITs", func() bool { return states(t, to.String())["TIME-WAIT"] == 5 })
	got, err := readTaken(key)
	if err != nil {
		t.Fatal(err)
	}
	if got.open+len(got.back) != 13 || got.usable != 100 || got.full() {
		t.Errorf("%+v, want 13 of 100 ports", got)
	}
	for _, back := range got.back {
		if in := time.Until(back); in < 50*time.Second || in > 61*time.Second {
			t.Errorf("a TIME-WAIT comes back in %v, want 60 s", in)
		}
	}
	// With reuse the kernel takes it again after a second.
	setting(t, "ipv4/tcp_tw_reuse", "2")
	until(t, "TIME-WAITs are not in the way", func() bool {
		got, err = readTaken(key)
		return err == nil && len(got.back) == 0
	})
}

// mapped connects a socket of IPv6 to an IPv4 address.
func mapped(t testing.TB, ap netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	to := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
}

// At exhaustion the kernel's list is read once in a while, not with each dial.
func TestRootAsksRarely(t *testing.T) {
	ports(t, 22400, 22409)
	l := sink(t, address(9530))
	d := Dialer(Options{})
	dialUntilFull(t, d, l.String(), func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
	asked := 0
	was := kernelTable
	kernelTable = func(key tupleKey) (taken, error) { asked++; return was(key) }
	defer func() { kernelTable = was }()
	began := time.Now()
	for range 50 {
		if _, err := d.DialContext(context.Background(), "tcp", l.String()); err == nil {
			t.Fatal("connected")
		}
	}
	if most := 1 + int(time.Since(began)/freshFor); asked > most {
		t.Errorf("asked %d times in %v, want at most %d", asked, time.Since(began), most)
	}
}

func TestPortsExhaustedIsNetError(t *testing.T) {
	var err error = &PortsExhausted{Err: os.ErrInvalid}
	if ne, ok := err.(net.Error); !ok || ne.Timeout() {
		t.Error("it is no net.Error that says: no timeout")
	}
	err = &BudgetExceeded{Err: context.DeadlineExceeded}
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("it is no net.Error that says: timeout")
	}
}
