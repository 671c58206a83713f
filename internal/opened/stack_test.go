package opened

import (
	"runtime"
	"strings"
	"testing"
)

//go:noinline
func here() *Stack { return Callers(0) }

// Equal calls give one Stack, whose Caller is the program's own, under the packages
// between.
func TestCallers(t *testing.T) {
	var all []*Stack
	for range 3 {
		all = append(all, here())
	}
	if all[0] != all[1] || all[1] != all[2] {
		t.Error("equal stacks differ")
	}
	other := here()
	if other == all[0] {
		t.Error("stacks of two lines are one")
	}
	frames := other.Frames()
	if len(frames) < 2 || !strings.HasSuffix(frames[0].Function, "opened.here") || !strings.HasSuffix(frames[1].Function, "opened.TestCallers") {
		t.Fatalf("%v", frames)
	}
	if s := other.String(); !strings.Contains(s, "opened.TestCallers\n\t") || !strings.Contains(s, "stack_test.go:") {
		t.Errorf("%q", s)
	}
	if f := Callers(1).Frames(); !strings.HasSuffix(f[0].Function, "testing.tRunner") {
		t.Errorf("skipping one begins with %s", f[0].Function)
	}
	if n := testing.AllocsPerRun(100, func() { here() }); n != 0 {
		t.Errorf("%v allocations for a known stack", n)
	}
}

// Without end a program would fill memory with stacks.
func TestStacksAreBounded(t *testing.T) {
	var deep func(n int) *Stack
	deep = func(n int) *Stack {
		if n == 0 {
			return here()
		}
		return deep(n - 1)
	}
	last := deep(depth + 10)
	if len(last.pcs) != depth || deep(depth+20) != last {
		t.Error("calls beyond depth tell stacks apart")
	}
	var pcs [depth]uintptr
	for i := range 2 * mostStacks {
		pcs[0], pcs[1] = 1, uintptr(i)
		if got := intern(pcs, 2); len(got.pcs) != 2 {
			t.Fatal(got)
		}
	}
	stacks.Lock()
	defer stacks.Unlock()
	if len(stacks.by) > mostStacks {
		t.Errorf("%d are kept", len(stacks.by))
	}
	clear(stacks.by)
}

func TestPlumbing(t *testing.T) {
	for function, want := range map[string]bool{
		"net.(*Dialer).DialContext":                                   true,
		"net/http.(*Client).Do":                                       true,
		"net/http/httputil.(*ReverseProxy).ServeHTTP":                 true,
		"crypto/tls.Dial":                                             true,
		"context.WithCancel":                                          true,
		"internal/poll.(*FD).Read":                                    true,
		"database/sql.(*DB).conn":                                     true,
		"golang.org/x/net/proxy.Dial":                                 true,
		"golang.org/x/network.Dial":                                   false,
		"main.main":                                                   false,
		"netlib.Dial":                                                 false,
		"example.org/net.Dial":                                        false,
		"testing.tRunner":                                             false,
		"github.com/tcpvet/tcpvet/keepalive.(*TCPDialer).Dial":        true,
		"github.com/tcpvet/tcpvet/keepalive_test.TestX":               false,
		"github.com/tcpvet/tcpvet/internal/opened.Note":               true,
		"github.com/tcpvet/tcpvet/probe/server.Measure":               false,
		"github.com/tcpvet/tcpvet/keepalive/otelkeepalive.(*B).Start": false,
	} {
		if got := plumbing(runtime.Frame{Function: function, File: "x.go"}); got != want {
			t.Errorf("%s: %v", function, got)
		}
	}
	if plumbing(runtime.Frame{Function: "github.com/tcpvet/tcpvet/keepalive.TestX", File: "x_test.go"}) {
		t.Error("a test of ours is no caller")
	}
	if f, ok := (*Stack)(nil).Caller(); ok || f.Function != "" || (*Stack)(nil).String() != "" {
		t.Error("a nil Stack has a caller")
	}
}
