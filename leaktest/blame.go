package leaktest

import (
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// verdict tells whose a connection is.
type verdict uint8

const (
	mine   verdict = iota
	others         // another test's
	unsure         // perhaps another test's
)

// judge tells whether the test left the connection. While it runs alone all that is
// opened is its own, but for what goroutines of its parent or of earlier tests open.
// Beside other tests only what shows whose it is counts.
func (c *check) judge(l *leak, parallel bool) verdict {
	said := unsure
	switch {
	case l.shared():
		frames, _, _ := l.callers()
		said = c.byFrames(frames, parallel)
	case l.entry != nil:
		if said = c.byGoroutine(l.entry.goroutine, l.entry.parent); said == unsure {
			frames, _, _ := l.callers()
			said = c.byFrames(frames, parallel)
		}
	default:
		for _, g := range l.waiting {
			if said = c.byGoroutine(g.id, g.parent); said == unsure {
				said = c.byFrames(append(g.frames, runtime.Frame{Function: g.creator, File: "_test.go"}), parallel)
			}
			if said != unsure {
				break
			}
		}
	}
	if said == unsure && !parallel {
		return mine
	}
	return said
}

// byGoroutine judges by who dialled: this test's goroutine, one that it started, or
// those of another test.
func (c *check) byGoroutine(id, parent uint64) verdict {
	for _, g := range [...]uint64{id, parent} {
		switch {
		case g == 0:
		case g == c.goroutine:
			return mine
		case g == c.parent, checked.has(g):
			return others
		}
	}
	return unsure
}

// byFrames judges by the test function in a stack. It is the same for all subtests
// of a test.
func (c *check) byFrames(frames []runtime.Frame, parallel bool) verdict {
	name, inTest := testOf(frames)
	root, _, isSub := strings.Cut(c.t.Name(), "/")
	switch {
	case name == "":
		return unsure
	case name != root && (parallel || !inTest):
		return others
	case name == root && !isSub:
		return mine
	}
	return unsure
}

// testOf finds the test function in a stack, "TestX" for pkg.TestX.func1 too. inTest
// tells that the stack is that of the test's own goroutine.
func testOf(frames []runtime.Frame) (name string, inTest bool) {
	for i := len(frames) - 1; i >= 0; i-- {
		f := frames[i].Function
		if f == "testing.tRunner" {
			inTest = true
		}
		if !strings.HasSuffix(frames[i].File, "_test.go") {
			continue
		}
		f = f[strings.LastIndexByte(f, '/')+1:]
		_, f, _ = strings.Cut(f, ".")
		f, _, _ = strings.Cut(f, ".")
		f, _, _ = strings.Cut(f, "[")
		if isTest(f) {
			return f, inTest
		}
	}
	return "", inTest
}

// isTest tells whether go test would run a function of this name.
func isTest(name string) bool {
	for _, kind := range [...]string{"Test", "Benchmark", "Fuzz", "Example"} {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			first, _ := utf8.DecodeRuneInString(rest)
			return rest == "" || !unicode.IsLower(first)
		}
	}
	return false
}

// parallelKey is set for an instant; nothing reads it.
const parallelKey = "LEAKTEST_RUNS_ALONE"

// parallel tells whether other tests may run at the same time. Setenv answers that:
// it panics in parallel tests and in those with parallel ancestors.
func parallel(t testing.TB) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true
		}
	}()
	t.Setenv(parallelKey, "")
	return false
}
