package leaktest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// ends makes a connection and gives both ends of it.
func ends(t testing.TB, d *net.Dialer, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := l.Accept()
		accepted <- conn
	}()
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other := <-accepted
	if other == nil {
		t.Fatal("accept failed")
	}
	t.Cleanup(func() { conn.Close(); other.Close() })
	return conn.(*net.TCPConn), other.(*net.TCPConn)
}

func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// lookFor finds a connection's end among the process's sockets once it is as wanted.
func lookFor(t *testing.T, conn *net.TCPConn, as func(*socket) bool) *socket {
	t.Helper()
	k, err := keyOfConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	var last *socket
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		all, err := look(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.key == k {
				if last = s; as(s) {
					return s
				}
			}
		}
	}
	t.Fatalf("%v is not as wanted: %+v", conn.LocalAddr(), last)
	return nil
}

// exchange has both ends read something, so that the kernel's counts move.
func exchange(t *testing.T, a, b *net.TCPConn) {
	t.Helper()
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		if _, err := way[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
}

// Both ends in each state are seen as ss sees them, with who opened the connection.
func TestLookAsSS(t *testing.T) {
	ss := kerneltest.Tool(t, "ss")
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listen(t, addr)
		for _, test := range []struct {
			name           string
			act            func(client, server *net.TCPConn)
			client, server string
		}{
			{"new", func(client, server *net.TCPConn) {}, "ESTAB", "ESTAB"},
			{"used", func(client, server *net.TCPConn) { exchange(t, client, server) }, "ESTAB", "ESTAB"},
			{"half closed by the client", func(client, server *net.TCPConn) { _ = client.CloseWrite() }, stateFinWait2, stateCloseWait},
			{"half closed by the server", func(client, server *net.TCPConn) { exchange(t, client, server); _ = server.CloseWrite() }, stateCloseWait, stateFinWait2},
		} {
			t.Run(addr+" "+test.name, func(t *testing.T) {
				client, server := ends(t, &net.Dialer{}, l)
				test.act(client, server)
				for _, end := range []struct {
					conn   *net.TCPConn
					state  string
					opener opener
				}{{client, test.client, openedHere}, {server, test.server, acceptedHere}} {
					// The accepted end of a new connection has counted nothing, which does
					// not prove that its kernel counts.
					known := test.name != "new" || end.opener == openedHere
					s := lookFor(t, end.conn, func(s *socket) bool {
						return s.state == end.state && (s.opener == end.opener || !known && s.opener == openerUnknown)
					})
					if s.local.String() != end.conn.LocalAddr().String() || s.remote.String() != end.conn.RemoteAddr().String() {
						t.Errorf("got %s to %s, want %s to %s", s.local, s.remote, end.conn.LocalAddr(), end.conn.RemoteAddr())
					}
					if !s.used || len(s.fds) != 1 {
						t.Errorf("used %v, descriptors %v", s.used, s.fds)
					}
					out, err := exec.Command(ss, "-tanH", fmt.Sprintf("src = %s and dst = %s", s.local, s.remote)).CombinedOutput()
					if err != nil {
						t.Fatalf("ss: %v\n%s", err, out)
					}
					if fields := strings.Fields(string(out)); len(fields) < 5 || fields[0] != s.state || fields[3] != s.local.String() || fields[4] != s.remote.String() {
						t.Errorf("ss prints %q, want %s of %s to %s", out, s.state, s.local, s.remote)
					}
				}
			})
		}
	}
}

// One byte on its way, or sent twice, makes an end that called connect count like one
// that was accepted: its SYN and n bytes are acknowledged, n+1 were sent.
func TestOpenerUnsure(t *testing.T) {
	const established = 1
	for _, test := range []struct {
		info unix.TCPInfo
		want opener
	}{
		{unix.TCPInfo{State: established, Bytes_acked: 6, Bytes_sent: 5}, openedHere},
		{unix.TCPInfo{State: established, Bytes_acked: 5, Bytes_sent: 5}, acceptedHere},
		{unix.TCPInfo{State: established, Bytes_acked: 6, Bytes_sent: 6, Unacked: 1}, openerUnknown},
		{unix.TCPInfo{State: established, Bytes_acked: 6, Bytes_sent: 6, Total_retrans: 1}, openerUnknown},
		{unix.TCPInfo{State: established}, openerUnknown}, // nothing was counted
	} {
		if got := openerOf(&test.info); got != test.want {
			t.Errorf("%+v: got %d, want %d", test.info, got, test.want)
		}
	}
}

// A copy of a descriptor is the same socket, and keeps it.
func TestLookCopies(t *testing.T) {
	client, _ := ends(t, &net.Dialer{}, listen(t, "127.0.0.1:0"))
	file, err := client.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lookFor(t, client, func(s *socket) bool { return len(s.fds) == 2 })
}

// Multipath TCP is another protocol to the kernel, and leaks alike.
func TestLookMultipath(t *testing.T) {
	var c net.ListenConfig
	c.SetMultipathTCP(true)
	l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d net.Dialer
	d.SetMultipathTCP(true)
	client, server := ends(t, &d, l)
	exchange(t, client, server)
	for _, end := range []*net.TCPConn{client, server} {
		s := lookFor(t, end, func(s *socket) bool { return s.state == "ESTAB" })
		if s.local.String() != end.LocalAddr().String() || s.remote.String() != end.RemoteAddr().String() {
			t.Errorf("got %s to %s, want %s to %s", s.local, s.remote, end.LocalAddr(), end.RemoteAddr())
		}
	}
}

// The sockets of before are left out, and what is no TCP socket is.
func TestLookNew(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	ends(t, &net.Dialer{}, l)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old, err := held()
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Listen("unix", "")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	all, err := look(old)
	if err != nil || len(all) != 0 {
		t.Errorf("got %d sockets, error %v, want none", len(all), err)
	}
}
