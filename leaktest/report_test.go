package leaktest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A recursion does not fill the screen: so many calls are shown, from the innermost.
func TestCallsAreCut(t *testing.T) {
	var frames []runtime.Frame
	for i := range mostCalls + 1 {
		frames = append(frames, runtime.Frame{Function: fmt.Sprintf("app.f%d", i), File: "/src/app/app.go", Line: i + 1})
	}
	for _, test := range []struct {
		calls int
		last  string
	}{
		{mostCalls, "\n\tapp.f11\n\t\t/src/app/app.go:12"},
		{mostCalls + 1, "\n\tapp.f11\n\t\t/src/app/app.go:12\n\t…"},
	} {
		var b strings.Builder
		writeCalls(&b, frames[:test.calls])
		if got := b.String(); !strings.HasPrefix(got, "\n\tapp.f0\n") || !strings.HasSuffix(got, test.last) {
			t.Errorf("of %d calls:%s", test.calls, got)
		}
	}
}

// Who has closed one of two descriptors looks for the other one.
func TestCopiesAreTold(t *testing.T) {
	c := &check{t: named{name: "TestA"}}
	l := &leak{socket: end(1, "ESTAB", "127.0.0.1:40000", "127.0.0.1:80", openedHere)}
	const words = "descriptors refer to it: copies by File or dup are to be closed too"
	for _, fds := range [][]int{{7}, {7, 9}} {
		l.fds = fds
		if got := c.detail(l, time.Now()); strings.Contains(got, "2 "+words) != (len(fds) == 2) {
			t.Errorf("with descriptors %v:%s", fds, got)
		}
	}
}
