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
	"testing"
	"time"
)

// webServer answers each request with a body, and closes a connection that has
// been idle for a moment, as servers do. It closes all when the test ends.
func webServer(t *testing.T, status, body string) (port int) {
	return serveTCP(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
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
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); handle(conn) }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
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

// waitClosed waits until no client of the port is in ESTAB: the server's idle
// limit has come for all of them. It gives the number in CLOSE-WAIT.
func waitClosed(t *testing.T, port int) (closeWait int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		counts := clients(t, port)
		if counts["01"] == 0 {
			return counts["08"]
		}
		if time.Now().After(deadline) {
			t.Fatalf("connections stay open: %v", counts)
		}
		time.Sleep(20 * time.Millisecond)
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
