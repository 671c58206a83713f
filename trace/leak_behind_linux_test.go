package trace_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/trace"
)

// Of a goroutine it is told where it was started, in a stripped program too.
func TestRootLeakGoroutines(t *testing.T) { kerneltest.Undisturbed(t, testLeakGoroutines) }

func testLeakGoroutines(t testing.TB) {
	const file = "testdata/leak/leak.go"
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	leak(t, port, made(t, "go", "-ldflags=-s -w", file), "23", "9", "goroutines")
	l := look(t, s, r, 32, nil)
	if len(l.Groups) != 2 || l.Groups[0].Count != 23 || l.Groups[1].Count != 9 {
		t.Fatalf("got %+v, want 23 and 9", l.Groups)
	}
	for i, line := range []string{"often", "seldom"} {
		g := &l.Groups[i]
		if own := tcpvet.Own(g.Stack); holds(g.Stack, "leak.go", lineOf(t, file, line)) != own {
			t.Errorf("line %q is not the first in\n%s", line, text(g.Stack))
		}
		if holds(g.Creator, "leak.go", lineOf(t, file, "started")) != 0 || g.Creator[0].Symbol != "main.work" {
			t.Errorf("started at\n%swant main.work, line %d", text(g.Creator), lineOf(t, file, "started"))
		}
	}
}

// Behind an http.Transport the stack is the transport's, and that is said. Of a program
// with DWARF the request is told too.
func TestRootLeakTransport(t *testing.T) {
	const file = "testdata/leak/leak.go"
	for _, test := range []struct {
		name  string
		args  []string
		asker bool
	}{
		{"dwarf", []string{file}, true},
		{"pie", []string{"-buildmode=pie", file}, true},
		{"stripped", []string{"-ldflags=-s -w", file}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) { testLeakTransport(t, test.args, test.asker) })
		})
	}
}

func testLeakTransport(t testing.TB, args []string, asker bool) {
	const file = "testdata/leak/leak.go"
	apart(t)
	port := answerAndHangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	program := leak(t, port, made(t, "go", args...), "7", "0", "http")
	for deadline := time.Now().Add(time.Minute); asker && !s.KnowsGo(program.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("where its goroutines are is not known after a minute")
		}
	}
	_, err := program.in.Write([]byte{'\n'})
	must(t, err)
	program.holds(t)
	l := look(t, s, r, 8, nil)
	if l.Count() != 8 {
		t.Errorf("got %+v, want 8", l.Groups)
	}
	// Who asked may not wait yet when the transport's goroutine connects, on
	// another processor: that one, and the first, are told without.
	var g *tcpvet.Leak
	for i := range l.Groups {
		each := &l.Groups[i]
		if each.Asker != nil {
			g = each
		}
		if each.KnownBy != tcpvet.StackConnect || !strings.Contains(each.Note, "http.Transport") {
			t.Errorf("got %+v, want that a transport opened them", each)
		}
		if len(each.Creator) == 0 || !strings.HasPrefix(each.Creator[0].Symbol, "net/http.(*Transport).") {
			t.Errorf("started at\n%s", text(each.Creator))
		}
	}
	if (g != nil) != asker || len(l.Groups) > 2 || !asker && len(l.Groups) != 1 {
		t.Fatalf("got %+v, want who asked: %v", l.Groups, asker)
	}
	if !asker {
		return
	}
	stack, own := g.Own()
	if own < 0 || holds(stack, "leak.go", lineOf(t, file, "get")) != own {
		t.Errorf("line get is not the first in\n%s", text(g.Asker))
	}
	if i := len(stack) - 2; i < 0 || stack[i].Symbol != "main.main" {
		t.Errorf("it does not end in main.main:\n%s", text(g.Asker))
	}
}

// answerAndHangUp answers one request of each connection, and closes it.
func answerAndHangUp(t testing.TB) (port string) {
	t.Helper()
	at := kerneltest.Serve(t, "127.0.0.1:0", func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		}
		c.Close()
	})
	return strconv.Itoa(int(at.Port()))
}
