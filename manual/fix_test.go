package manual

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// webServer answers each request with a body. From lapse on it closes what is
// idle, as servers do after a while: for a client that a busy machine holds up,
// no while is long enough.
func webServer(t *testing.T, status, body string) (port int, lapse func()) {
	var mu sync.Mutex
	var open []net.Conn
	over := false
	end := func(conn net.Conn) { _ = conn.SetReadDeadline(time.Unix(1, 0)) }
	port = serveTCP(t, func(conn net.Conn) {
		mu.Lock()
		open = append(open, conn)
		if over {
			end(conn)
		}
		mu.Unlock()
		r := bufio.NewReader(conn)
		for {
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
			}
			if _, err := fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body); err != nil {
				return
			}
		}
	})
	return port, func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, conn := range open {
			end(conn)
		}
	}
}

// echoClient accepts connections, sends a line to each, wants it back, and
// closes. What came back goes to the channel.
func echoClient(t *testing.T) (port int, echoed <-chan string) {
	c := make(chan string, 16)
	return serveTCP(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			return
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		c <- line
	}), c
}

func serveTCP(t *testing.T, handle func(net.Conn)) (port int) {
	t.Helper()
	at := kerneltest.Serve(t, "127.0.0.1:0", func(conn *net.TCPConn) { defer conn.Close(); handle(conn) })
	return int(at.Port())
}

// clients counts the sockets toward the port by state, as /proc/net/tcp numbers
// states: 01 ESTAB, 08 CLOSE-WAIT.
func clients(t *testing.T, port int) map[string]int {
	t.Helper()
	raw, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port)) {
			counts[f[3]]++
		}
	}
	return counts
}

// waitClosed waits until no client of the port is in ESTAB, because the server
// has closed all, and as many as said are in CLOSE-WAIT: a program that closes
// takes a moment to. After 10 s some would, by their own limit, close what they
// leak too. What is leaked stays.
func waitClosed(t *testing.T, port, closeWait int) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	for {
		counts := clients(t, port)
		if counts["01"] == 0 && counts["08"] == closeWait {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sockets in CLOSE-WAIT, want %d, and %d in ESTAB, want none", counts["08"], closeWait, counts["01"])
		}
		time.Sleep(20 * time.Millisecond)
	}
	if closeWait > 0 {
		time.Sleep(200 * time.Millisecond)
		if got := clients(t, port)["08"]; got != closeWait {
			t.Errorf("%d sockets stay in CLOSE-WAIT, want %d", got, closeWait)
		}
	}
}

// running starts a program that prints "ready" when it has done its work and
// then lives until its input ends. It gives what the program printed before.
func running(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	stop := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { stop.Stop() })
	var said strings.Builder
	r := bufio.NewReader(stdout)
	for {
		line, err := r.ReadString('\n')
		if strings.TrimSpace(line) == "ready" {
			return said.String()
		}
		said.WriteString(line)
		if err != nil {
			_ = cmd.Wait()
			t.Fatalf("%s ended before it was ready: %s%s", name, said.String(), stderr.String())
		}
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
