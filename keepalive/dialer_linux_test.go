package keepalive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// sink accepts, and keeps each connection until its peer closes it, or the test ends.
func sink(t testing.TB, address string) net.Addr {
	return net.TCPAddrFromAddrPort(kerneltest.Serve(t, address, func(c *net.TCPConn) {
		t.Cleanup(func() { c.Close() })
		io.Copy(io.Discard, c)
		c.Close()
	}))
}

// option reads a socket option as the kernel has it.
func option(t testing.TB, conn net.Conn, level, name int) (v int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { v, failed = unix.GetsockoptInt(int(fd), level, name) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return v
}

func TestSocketOptions(t *testing.T) {
	l := sink(t, "127.0.0.1:0")
	type options struct{ Keepalive, Idle, Interval, Count, UserTimeout, NoDelay int }
	for _, test := range []struct {
		name string
		o    Options
		want options
	}{
		{"zero value", Options{}, options{1, 30, 3, 5, 45_000, 1}},
		{"all given", Options{Idle: 7 * time.Second, Interval: 2 * time.Second, Count: 4, UserTimeout: 1500 * time.Millisecond}, options{1, 7, 2, 4, 1500, 1}},
		{"the bound follows", Options{Idle: 10 * time.Second, Count: 2}, options{1, 10, 3, 2, 16_000, 1}},
		{"no bound", Options{UserTimeout: -1}, options{1, 30, 3, 5, 0, 1}},
		{"over what Base says", Options{Base: net.Dialer{KeepAlive: -1, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Hour}}}, options{1, 30, 3, 5, 45_000, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := Dialer(test.o).Dial("tcp", l.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			got := options{
				option(t, conn, unix.SOL_SOCKET, unix.SO_KEEPALIVE), option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
				option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
				option(t, conn, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT), option(t, conn, unix.IPPROTO_TCP, unix.TCP_NODELAY),
			}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// Another program sees the timer of a live connection, and that it counts from Idle.
func TestTimerBySS(t *testing.T) {
	l := sink(t, "127.0.0.1:0")
	conn, err := Dialer(Options{Idle: 40 * time.Second}).Dial("tcp", l.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	line := ss(t, "-Htno", "sport", "=", ":"+port)
	if !regexp.MustCompile(`timer:\(keepalive,(3\d|40)(\.\d+)?sec,0\)`).MatchString(line) {
		t.Errorf("ss shows %q, want a keepalive timer of up to 40 s", line)
	}
}

// The user's Control is called, for each address, and may refuse.
func TestBaseControl(t *testing.T) {
	l := sink(t, "127.0.0.1:0")
	called := ""
	d := Dialer(Options{Base: net.Dialer{Control: func(network, address string, _ syscall.RawConn) error {
		called = network + " " + address
		return nil
	}}})
	conn, err := d.Dial("tcp", l.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if want := "tcp4 " + l.String(); called != want {
		t.Errorf("called with %q, want %q", called, want)
	}
	no := errors.New("not today")
	d = Dialer(Options{Base: net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return no }}})
	if _, err := d.Dial("tcp", l.String()); !errors.Is(err, no) {
		t.Errorf("%v, want %v", err, no)
	}
}

// With a source address alone, the port is chosen when it connects: ten destinations
// share a range of two ports, which bind(2) would not let them.
func TestRootSourceAddress(t *testing.T) {
	ports(t, 20100, 20101)
	d := Dialer(Options{Base: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}})
	for i := range 10 {
		l := sink(t, fmt.Sprintf("127.0.0.1:%d", 9100+i))
		conn, err := d.Dial("tcp", l.String())
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer conn.Close()
		if host, _, _ := net.SplitHostPort(conn.LocalAddr().String()); host != "127.0.0.9" {
			t.Errorf("from %s, want 127.0.0.9", host)
		}
	}
}

// What comes back is what package net makes, so that a file goes by sendfile(2) and
// another connection by splice(2).
func TestIsTCPConn(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	conn, err := Dialer(Options{TrackLeaks: true, Budget: &Budget{Ports: 5}, Stats: new(Stats)}).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("from a file")
	f.Seek(0, io.SeekStart)
	if n, err := tcp.ReadFrom(f); n != 11 || err != nil {
		t.Errorf("sent %d, %v", n, err)
	}
	tcp.Close()
	if s := <-got; s != "from a file" {
		t.Errorf("the peer read %q", s)
	}
}

// A peer that is gone without a word is noticed after Idle + Count * Interval, and data
// that it does not acknowledge after UserTimeout.
func TestRootPeerIsGone(t *testing.T) {
	kerneltest.Root(t)
	l := sink(t, "127.0.0.1:9200")
	d := Dialer(Options{Idle: time.Second, Interval: time.Second, Count: 2})
	idle, err := d.Dial("tcp", l.String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	busy, err := Dialer(Options{UserTimeout: 2 * time.Second}).Dial("tcp", l.String())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	drop(t, 9200)
	if _, err := busy.Write([]byte("anybody?")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for name, conn := range map[string]net.Conn{"idle": idle, "with data in flight": busy} {
		conn.SetReadDeadline(began.Add(20 * time.Second))
		_, err := conn.Read(make([]byte, 1))
		if !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("%s: %v after %v, want ETIMEDOUT", name, err, time.Since(began))
		}
	}
	// 15 minutes, and two hours, without the options.
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %v, want about 3 s", took)
	}
}

// A peer whose program does not read acknowledges each probe of its closed window, and
// UserTimeout ends that connection all the same. One that reads now and then is kept, and
// without UserTimeout it may pause for as long as it likes.
func TestClosedWindow(t *testing.T) {
	const limit = time.Second
	for _, test := range []struct {
		name    string
		timeout time.Duration
		reads   bool
		want    error
	}{
		{"it does not read", limit, false, syscall.ETIMEDOUT},
		{"it reads", limit, true, os.ErrDeadlineExceeded},
		{"no UserTimeout", -1, false, os.ErrDeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "127.0.0.1:0")
			conn, err := Dialer(Options{UserTimeout: test.timeout}).Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if test.reads {
				// The window opens again when much of the buffer is free.
				go func() {
					for err := error(nil); err == nil; time.Sleep(limit / 5) {
						_, err = io.CopyN(io.Discard, peer, 2<<20)
					}
				}()
			}
			conn.SetWriteDeadline(time.Now().Add(4 * limit))
			for err == nil {
				_, err = conn.Write(make([]byte, 1<<20))
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// drop has the namespace lose each packet to and from a port from now on.
func drop(t testing.TB, port int) {
	t.Helper()
	nft := kerneltest.Tool(t, "nft")
	rules := fmt.Sprintf("table inet gone {\nchain in {\ntype filter hook input priority 0\ntcp dport %d drop\ntcp sport %d drop\n}\n}\n", port, port)
	run(t, nft, rules)
	t.Cleanup(func() { run(t, nft, "delete table inet gone\n") })
}

func TestUnreachable(t *testing.T) {
	d := Dialer(Options{ConnectTimeout: 2 * time.Second})
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	l.Close()
	_, err := d.Dial("tcp", address)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %v, want ECONNREFUSED", err)
	}
	if _, err := d.Dial("tcp", "127.0.0.1:99999"); err == nil || !strings.Contains(err.Error(), "invalid port") {
		t.Errorf("no port: %v", err)
	}
}

// A host that does not answer at all is given up after ConnectTimeout.
func TestRootSilentHost(t *testing.T) {
	kerneltest.Root(t)
	listen(t, "127.0.0.1:9300")
	drop(t, 9300)
	began := time.Now()
	_, err := Dialer(Options{ConnectTimeout: time.Second}).Dial("tcp", "127.0.0.1:9300")
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("took %v, want 1 s", took)
	}
}
