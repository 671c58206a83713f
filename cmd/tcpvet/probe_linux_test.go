package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// impatient listens in the namespace of this thread, closes what is sent nothing for
// so long, and says what it was sent.
func impatient(t *testing.T, idle time.Duration) (at string, sent chan string) {
	t.Helper()
	sent = make(chan string, 100)
	serve := func(c *net.TCPConn) {
		defer c.Close()
		buf := make([]byte, 100)
		for {
			_ = c.SetReadDeadline(time.Now().Add(idle))
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			sent <- string(buf[:n])
		}
	}
	return kerneltest.Serve(t, "127.0.0.1:0", serve).String(), sent
}

// The server's limit is measured, and the connections of a client that keeps them for
// longer are found by it.
func TestRootProbeIdle(t *testing.T) {
	kerneltest.Root(t)
	tcpvet := binary(t)
	kerneltest.Netns(t)
	const limit = 1500 * time.Millisecond
	at, sent := impatient(t, limit)
	out, status := run(t, tcpvet, "probe", "idle", at, "--most", "4s", "--write", `hello\n`, "-o", "json")
	var measured struct {
		Limit *struct{ Survived, Closed float64 } `json:"keep_alive_limit_s"`
		How   string                              `json:"lost_how"`
		Ended string                              `json:"ended_by"`
	}
	if err := json.Unmarshal([]byte(out), &measured); err != nil || status != 0 || measured.Limit == nil {
		t.Fatalf("probe idle: status %d, %v: %s", status, err, out)
	}
	if l := measured.Limit; l.Survived > limit.Seconds()+0.5 || l.Closed < limit.Seconds() || l.Closed > limit.Seconds()+1.5 || measured.How != "server" || measured.Ended != "fin" {
		t.Errorf("the server closes after %v, measured was %+v, %q, %q", limit, *l, measured.How, measured.Ended)
	}
	for len(sent) > 0 {
		if text := <-sent; text != "hello\n" {
			t.Errorf("the server was sent %q", text)
		}
	}

	file := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	args := []string{"diagnose", "--netns", "self", "--patience", "1s", "--rule", "keepalive-too-late", "--probe", file}
	found := func() (string, bool) {
		out, status := run(t, tcpvet, args...)
		return out, status == 1 && strings.Contains(out, "12 connections were kept until the server closed them") && strings.Contains(out, "to "+at)
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		text, ok := found()
		if ok {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("diagnose says:\n%s", text)
		}
	}
}

// Whether the peer answers is seen without a word to it. Ctrl-C tells what was
// measured so far.
func TestProbeInterrupted(t *testing.T) {
	tcpvet := binary(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String() // the kernel takes connections, and answers, for a program that does not
	if out, status := run(t, tcpvet, "probe", "keepalive", at, "--probes", "2"); status != 0 || !strings.HasPrefix(out, "ANSWERS  "+at) || !strings.Contains(out, "2 of 2") {
		t.Errorf("probe keepalive: status %d\n%s", status, out)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(tcpvet, "probe", "idle", at, "--steps", "1s,1h", "-o", "wide")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitAsked(t, l)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 3 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("status %d, %s", status, stderr.String())
	}
	if text := stdout.String(); !strings.HasPrefix(text, "KEPT SO FAR  "+at) || !strings.Contains(text, "then answered") {
		t.Errorf("so far it says:\n%s", text)
	}
}

// waitAsked accepts the connections of a measurement, and waits until one of them was
// sent a segment after those of the handshake.
func waitAsked(t *testing.T, l net.Listener) {
	t.Helper()
	first := make(map[*net.TCPConn]uint32)
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond))
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			tcp := c.(*net.TCPConn)
			_ = tcp.SetKeepAlive(false)
			first[tcp] = segments(t, tcp)
		}
		for c, n := range first {
			if segments(t, c) > n {
				time.Sleep(200 * time.Millisecond) // the answer is read within a few milliseconds
				return
			}
		}
	}
	t.Fatal("no connection was asked within a minute")
}

// segments gives how many the kernel has taken in.
func segments(t *testing.T, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Segs_in
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
