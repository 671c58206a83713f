package capture_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// stage is a private network namespace whose loopback tcpdump records.
type stage struct {
	t    *testing.T
	file string
	ss   string
	l    *net.TCPListener
}

const patience = 30 * time.Second // of a condition that a loaded machine reaches late

func (s *stage) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// pair opens a connection.
func (s *stage) pair() (client, server *net.TCPConn) {
	s.t.Helper()
	c, err := net.DialTCP("tcp4", nil, s.l.Addr().(*net.TCPAddr))
	if err != nil {
		s.t.Fatal(err)
	}
	server, err = s.l.AcceptTCP()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close(); server.Close() })
	return c, server
}

// sockets are the states that ss shows, by local and remote endpoint.
func (s *stage) sockets() map[[2]netip.AddrPort]tcpvet.State {
	s.t.Helper()
	out, err := exec.Command(s.ss, "-tanH").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	states := map[[2]netip.AddrPort]tcpvet.State{}
	for line := range strings.Lines(string(out)) {
		w := strings.Fields(line)
		state, err := tcpvet.ParseState(w[0])
		if err != nil {
			s.t.Fatal(err)
		}
		if state == tcpvet.Listen {
			continue
		}
		states[[2]netip.AddrPort{netip.MustParseAddrPort(w[3]), netip.MustParseAddrPort(w[4])}] = state
	}
	return states
}

func addr(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// state is what the kernel says of c's own end; Unconn where it has none.
func (s *stage) state(c *net.TCPConn) tcpvet.State {
	if st, ok := s.sockets()[[2]netip.AddrPort{addr(c.LocalAddr()), addr(c.RemoteAddr())}]; ok {
		return st
	}
	return tcpvet.Unconn
}

func (s *stage) reaches(c *net.TCPConn, want tcpvet.State) {
	s.t.Helper()
	s.await(want.String(), func() bool { return s.state(c) == want })
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// The states that the segments on the wire lead to are those of the kernel,
// for every kind of close.
func TestRootStatesOfKernel(t *testing.T) {
	kerneltest.Netns(t)
	s := &stage{t: t, file: filepath.Join(t.TempDir(), "lo.pcap"), ss: kerneltest.Tool(t, "ss")}
	dump := exec.Command(kerneltest.Tool(t, "tcpdump"), "-i", "lo", "-U", "--immediate-mode", "-Z", "root", "-w", s.file, "tcp")
	says, err := dump.StderrPipe()
	s.must(err)
	s.must(dump.Start())
	defer func() {
		dump.Process.Signal(unix.SIGINT)
		io.Copy(io.Discard, says)
		dump.Wait()
	}()
	for in := bufio.NewScanner(says); ; {
		if !in.Scan() {
			t.Fatalf("tcpdump ended before it listened: %v", in.Err())
		}
		if strings.Contains(in.Text(), "listening on") {
			break
		}
	}
	s.l, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	s.must(err)
	defer s.l.Close()

	want := map[netip.AddrPort]string{} // by the client's endpoint
	run := func(what string, do func(c, p *net.TCPConn)) {
		c, p := s.pair()
		want[addr(c.LocalAddr())] = what
		do(c, p)
	}
	read := func(c *net.TCPConn) { // to its end
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Fatal(err)
		}
	}
	send := func(c *net.TCPConn, text string) { _, err := c.Write([]byte(text)); s.must(err) }

	run("handshake none none none", func(c, p *net.TCPConn) { send(c, "x") })
	run("handshake four-way client none", func(c, p *net.TCPConn) {
		c.Close()
		s.reaches(c, tcpvet.FinWait2) // its FIN was acknowledged
		p.Close()
		s.reaches(c, tcpvet.TimeWait)
	})
	run("handshake four-way server none", func(c, p *net.TCPConn) {
		send(c, "x")
		read1 := make([]byte, 1)
		_, err := io.ReadFull(p, read1)
		s.must(err)
		p.Close()
		s.reaches(p, tcpvet.FinWait2)
		c.Close()
		s.reaches(p, tcpvet.TimeWait)
	})
	run("handshake half-closed client none close-wait-stuck", func(c, p *net.TCPConn) {
		c.Close()
		s.reaches(c, tcpvet.FinWait2)
	})
	run("handshake half-closed server none close-wait-stuck", func(c, p *net.TCPConn) {
		p.Close()
		s.reaches(p, tcpvet.FinWait2)
	})
	run("handshake four-way client none half-close-data", func(c, p *net.TCPConn) {
		s.must(c.CloseWrite())
		s.reaches(c, tcpvet.FinWait2)
		send(p, "still here")
		p.Close()
		read(c)
		c.Close()
		s.reaches(c, tcpvet.TimeWait)
	})
	run("handshake reset client client linger-zero-reset~|abort-unread-data", func(c, p *net.TCPConn) {
		s.must(c.SetLinger(0))
		c.Close()
		s.reaches(p, tcpvet.Unconn)
	})
	run("handshake reset client client abort-unread-data~|linger-zero-reset", func(c, p *net.TCPConn) {
		send(p, "unread")
		s.await("6 bytes to read", func() bool {
			n := 0
			raw, err := c.SyscallConn()
			s.must(err)
			s.must(raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }))
			s.must(err)
			return n == 6
		})
		c.Close()
		s.reaches(p, tcpvet.Unconn)
	})
	run("handshake reset server server data-after-close", func(c, p *net.TCPConn) {
		p.Close()
		s.reaches(p, tcpvet.FinWait2)
		send(c, "late")
		s.reaches(c, tcpvet.Unconn)
	})
	run("handshake reset server client killed-in-close-wait~|linger-zero-reset", func(c, p *net.TCPConn) {
		p.Close()
		s.reaches(p, tcpvet.FinWait2)
		s.must(c.SetLinger(0))
		c.Close()
		s.reaches(p, tcpvet.Unconn)
	})
	// A port below the ephemeral ones: nothing listens on any.
	nobody := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	if _, err := net.DialTCP("tcp4", nil, nobody); !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatalf("dial port 9: %v", err)
	}

	// What tcpdump has written holds all once the last conversation is in it.
	var told []*tcpvet.Conversation
	s.await("tcpdump to write the refused connection", func() bool {
		told, _ = followSoFar(t, s.file)
		return len(told) == len(want)+1
	})
	kernel := s.sockets()
	for _, c := range told {
		if c.Server.Port() == 9 {
			if got := summary(c); got != "refused none none server UNCONN UNCONN refused" {
				t.Errorf("port 9: %s", got)
			}
			continue
		}
		for _, end := range []struct {
			local, remote netip.AddrPort
			state         tcpvet.State
		}{{c.Client, c.Server, c.ClientState}, {c.Server, c.Client, c.ServerState}} {
			has, ok := kernel[[2]netip.AddrPort{end.local, end.remote}]
			if !ok {
				has = tcpvet.Unconn
			}
			if has != end.state {
				t.Errorf("%s: %v is in %v, and the kernel says %v", want[c.Client], end.local, end.state, has)
			}
			delete(kernel, [2]netip.AddrPort{end.local, end.remote})
		}
		got := strings.Replace(summary(c), fmt.Sprintf(" %v %v", c.ClientState, c.ServerState), "", 1)
		if got != want[c.Client] {
			t.Errorf("got %s, want %s", got, want[c.Client])
		}
	}
	if len(kernel) > 0 {
		t.Errorf("the kernel has sockets that were not captured: %v", kernel)
	}
}

// followSoFar follows a recording that is being written.
func followSoFar(t *testing.T, file string) (told []*tcpvet.Conversation, steps []capture.Step) {
	t.Helper()
	if info, err := os.Stat(file); err != nil || info.Size() < 24 { // a pcap header
		return nil, nil
	}
	return followUntil(t, file, capture.TrackerOptions{}, true)
}
