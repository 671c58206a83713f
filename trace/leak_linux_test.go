package trace_test

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/trace"
)

// Each program leaks from two lines. Both are found by their number, the one that
// leaks more first, and the line that closes what it opens is not there.
func TestRootLeakLines(t *testing.T) {
	const goSource, cSource = "testdata/leak/leak.go", "testdata/leak/leak.c"
	for _, test := range []leakLines{
		{"go", goSource, func(t testing.TB) []string { return made(t, "go", goSource) }, true},
		{"go-stripped", goSource, func(t testing.TB) []string { return made(t, "go", "-ldflags=-s -w", goSource) }, true},
		{"go-pie", goSource, func(t testing.TB) []string { return made(t, "go", "-buildmode=pie", "-ldflags=-s -w", goSource) }, true},
		{"c-frame-pointers", cSource, func(t testing.TB) []string {
			return made(t, "gcc", "-O2", "-g", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", cSource)
		}, true},
		{"python", "testdata/leak/leak.py", func(t testing.TB) []string { return []string{kerneltest.Tool(t, "python3"), "testdata/leak/leak.py"} }, true},
		{"c", cSource, func(t testing.TB) []string { return made(t, "gcc", "-O2", "-g", cSource) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) { testLeakLines(t, test) })
		})
	}
}

// leakLines is a program that leaks from two lines.
type leakLines struct {
	name, source string
	argv         func(testing.TB) []string
	certain      bool // frames of the people's own code are more than likely
}

func testLeakLines(t testing.TB, test leakLines) {
	apart(t)
	argv := test.argv(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	p := processOf(t, leak(t, port, argv, "23", "9").Process.Pid)
	l := look(t, s, r, 32, nil)
	// Three lines, and what is left on a stack from one round to the next: not
	// one for each of 55 connections.
	if n := s.Distinct(); n < 3 || n > 12 {
		t.Errorf("%d stacks are kept, want some 3", n)
	}
	if len(l.Groups) != 2 {
		t.Errorf("%d groups, want 2", len(l.Groups))
	}
	service := netip.MustParseAddrPort("127.0.0.1:" + port)
	for i, want := range []struct {
		line  string
		count uint64
	}{{"often", 23}, {"seldom", 9}} {
		if i >= len(l.Groups) {
			break
		}
		g := &l.Groups[i]
		if g.Count != want.count || g.Process != p || g.Service != service || g.Role != tcpvet.Client || g.KnownBy != tcpvet.StackConnect ||
			g.Opener != (tcpvet.Process{}) || g.Creator != nil || g.Note != "" || g.Cut {
			t.Errorf("group %d is %+v, want %d of %v to %v", i, g, want.count, p, service)
		}
		at := holds(g.Stack, filepath.Base(test.source), lineOf(t, test.source, want.line))
		if at < 0 {
			t.Errorf("no frame of line %q in\n%s", want.line, text(g.Stack))
			continue
		}
		if (g.Stack[at].Certainty == tcpvet.Certain) != test.certain {
			t.Errorf("line %q is %v in\n%s", want.line, g.Stack[at].Certainty, text(g.Stack))
		}
		if own := tcpvet.Own(g.Stack); own < 0 || own > at || at-own > 1 { // dial() of the C program lies between
			t.Errorf("the first frame of no library is %d, want %d or the one before, in\n%s", own, at, text(g.Stack))
		}
		for _, other := range []string{"often", "seldom", "clean"} {
			if other != want.line && holds(g.Stack, filepath.Base(test.source), lineOf(t, test.source, other)) >= 0 {
				t.Errorf("line %q is in the stack of line %q:\n%s", other, want.line, text(g.Stack))
			}
		}
	}
}

// holds gives the index of the frame at that line, -1 for none.
func holds(stack []tcpvet.Frame, file string, line int) int {
	for i := range stack {
		if filepath.Base(stack[i].File) == file && stack[i].Line == line {
			return i
		}
	}
	return -1
}

func text(stack []tcpvet.Frame) string {
	var b strings.Builder
	for _, f := range stack {
		b.WriteString("\t" + strings.TrimSpace(strings.Join([]string{f.Symbol, f.File, strconv.Itoa(f.Line), f.Module, f.Certainty.String()}, " ")) + "\n")
	}
	return b.String()
}
