package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/probe"
)

// late is by how much a server on a loaded machine may be late with what it does at a
// time, and early by how much one that counts in ticks of its own may be early.
const (
	late  = 500 * time.Millisecond
	early = 20 * time.Millisecond
)

// measure measures a server within bounds that a test can wait for.
func measure(t *testing.T, target string, change func(*Options)) (*probe.HTTP, error) {
	t.Helper()
	u, err := ParseURL(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: u, Method: http.MethodGet, Header: http.Header{}, Most: 15 * time.Second, Timeout: 10 * time.Second, Connections: 14, Requests: 20}
	if change != nil {
		change(&o)
	}
	return New(o).Run(t.Context())
}

// keeping measures a server that can be measured: again, where the machine was so
// loaded meanwhile that little could be told.
func keeping(t *testing.T, target string, change func(*Options)) (*probe.HTTP, probe.Keeping) {
	t.Helper()
	for try := 1; ; try++ {
		h, err := measure(t, target, change)
		if err != nil {
			t.Fatal(err)
		}
		k, ok := h.Keeping()
		if !ok && !h.Answer.Close {
			t.Fatalf("%s: nothing was measured: %+v", target, h)
		}
		if slowest(h) < calm || try == 3 {
			return h, k
		}
	}
}

// calm is how long an answer takes at most on a machine that is not overloaded.
const calm = 100 * time.Millisecond

// slowest gives how long the slowest answer took.
func slowest(h *probe.HTTP) (most time.Duration) {
	for i := range h.Kept {
		for _, e := range h.Kept[i].Exchanges {
			most = max(most, e.Done-e.Sent)
		}
	}
	return most
}

// counted counts the requests alone, which no idle limit then disturbs.
func counted(t *testing.T, target string, change func(*Options)) probe.Requests {
	t.Helper()
	u, err := ParseURL(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: u, Method: http.MethodGet, Most: time.Minute, Timeout: time.Minute, Requests: 20, Insecure: true}
	if change != nil {
		change(&o)
	}
	m := New(o)
	m.begun = time.Now()
	first, err := m.first(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.close(m)
	m.count(t.Context())
	return m.found.Requests
}

// encloses fails the test where a limit does not enclose the truth; or does so badly,
// and not because of the machine.
func encloses(t *testing.T, h *probe.HTTP, k probe.Keeping, truth time.Duration) {
	t.Helper()
	slow := slowest(h)
	if !k.Found() || k.Survived > truth+late+slow || k.Ended < truth-early || k.Survived >= k.Ended {
		t.Errorf("the limit is measured as %s to %s; it is %s", k.Survived, k.Ended, truth)
	}
	if slow < calm && k.Ended-k.Survived > nearest[2]+calm {
		t.Errorf("the limit is %s, and enclosed by no better than %s to %s", truth, k.Survived, k.Ended)
	}
}

// free gives an address of loopback with a port that nobody listens on. The address is
// of this process alone, and no port is given twice: no other test takes it.
func free(t *testing.T) netAddr {
	t.Helper()
	pid := os.Getpid()
	ip := fmt.Sprintf("127.%d.%d.%d", 64+pid>>16&63, pid>>8&255, pid&255|1)
	for {
		at := netAddr{ip, 20000 + int(given.Add(1))} // below the local port range
		l, err := net.Listen("tcp", at.String())
		if errors.Is(err, syscall.EADDRINUSE) && at.port < 30000 {
			continue // of all addresses
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		return at
	}
}

// given counts the ports that were.
var given atomic.Int32

type netAddr struct {
	ip   string
	port int
}

func (a netAddr) String() string { return net.JoinHostPort(a.ip, fmt.Sprint(a.port)) }
func (a netAddr) url() string    { return "http://" + a.String() + "/" }

// listening waits until somebody accepts there.
func (a netAddr) listening(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", a.String())
		if err == nil {
			c.Close()
			return
		}
		if !pause(ctx, 10*time.Millisecond) {
			t.Fatalf("nobody listens on %s: %v", a, err)
		}
	}
}

// script answers each connection by a function of its own, which reads requests and
// writes what it likes. conn is closed when it returns.
func script(t *testing.T, serve func(n int, conn *net.TCPConn, in *bufio.Reader)) string {
	t.Helper()
	var n atomic.Int32
	at := kerneltest.Serve(t, "127.0.0.1:0", func(c *net.TCPConn) {
		defer c.Close()
		serve(int(n.Add(1)), c, bufio.NewReader(c))
	})
	return "http://" + at.String() + "/"
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answerWith reads a request and answers it; false for the end.
func answerWith(conn net.Conn, in *bufio.Reader, text string) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, err = conn.Write([]byte(text))
	return err == nil
}

// write puts a file into a folder of the test's.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
