package kerneltest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// attempts is how often Undisturbed runs a test at most.
const attempts = 4

// Undisturbed runs a test that compares what a program at a tracepoint told with all
// that happened. On a machine that is busy, as it is with the tests of other packages,
// the kernel now and then passes over a change, and counts nothing (measured with Linux
// 6.18, trace/bpf/sweep.bpf.c); a change that an interrupt brings while the program runs
// is lost too, and counted. So a test that failed is run again, from its beginning:
// whatever is wrong here fails each time, and the test fails with what the last one
// said.
//
// Each run is a test of its own: it has its goroutine, which Netns may keep, its
// Context and its Cleanup.
func Undisturbed(t testing.TB, test func(t testing.TB)) {
	t.Helper()
	for n := 1; n < attempts; n++ {
		a := &attempt{TB: t, helpers: make(map[string]bool)}
		a.run(test)
		said := strings.Join(a.said, "\n")
		switch {
		case a.skipped && !a.failed:
			if n > 1 {
				t.Errorf("run %d skips what run 1 did not", n)
			}
			t.Skip(said)
		case !a.failed:
			if said != "" {
				t.Log(said)
			}
			return
		}
		t.Logf("run %d of %d failed:\n%s", n, attempts, said)
	}
	test(t)
}

// Repeated tells whether a test that fails now is run again: it need not wait as
// patiently as it would for a last word.
func Repeated(t testing.TB) bool {
	_, is := t.(*attempt)
	return is
}

// attempt is a run of a test that may fail. Of the test itself it has what outlives
// it: TempDir and Setenv.
type attempt struct {
	testing.TB
	ctx      context.Context
	cleanups []func()

	mu              sync.Mutex
	said            []string
	helpers         map[string]bool // functions that called Helper
	failed, skipped bool
}

// run gives the test a goroutine, whose end Fatal and Skip are.
func (a *attempt) run(test func(testing.TB)) {
	ctx, cancel := context.WithCancel(a.TB.Context())
	a.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.end()
		defer cancel()
		test(a)
	}()
	<-done
}

// end runs what Cleanup was given, the last first.
func (a *attempt) end() {
	n := len(a.cleanups)
	if n == 0 {
		return
	}
	defer a.end() // though one ends the goroutine
	last := a.cleanups[n-1]
	a.cleanups = a.cleanups[:n-1]
	last()
}

func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }

func (a *attempt) Helper() {
	pc := make([]uintptr, 1)
	frame, _ := runtime.CallersFrames(pc[:runtime.Callers(2, pc)]).Next()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.helpers[frame.Function] = true
}

// say keeps what a test says, with its line, as testing.T prints it.
func (a *attempt) say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	frame, more := frames.Next()
	for more && a.helpers[frame.Function] {
		frame, more = frames.Next()
	}
	a.said = append(a.said, fmt.Sprintf("%s:%d: %s", frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line, strings.TrimSuffix(text, "\n")))
}

func (a *attempt) mark(is *bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*is = true
}

func (a *attempt) is(what *bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *what
}

func (a *attempt) Fail()         { a.mark(&a.failed) }
func (a *attempt) Failed() bool  { return a.is(&a.failed) }
func (a *attempt) Skipped() bool { return a.is(&a.skipped) }

func (a *attempt) FailNow() {
	a.Fail()
	runtime.Goexit()
}

func (a *attempt) SkipNow() {
	a.mark(&a.skipped)
	runtime.Goexit()
}

func (a *attempt) Log(args ...any)                 { a.say(fmt.Sprintln(args...)) }
func (a *attempt) Logf(format string, args ...any) { a.say(fmt.Sprintf(format, args...)) }

func (a *attempt) Error(args ...any) {
	a.say(fmt.Sprintln(args...))
	a.Fail()
}

func (a *attempt) Errorf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	a.Fail()
}

func (a *attempt) Fatal(args ...any) {
	a.say(fmt.Sprintln(args...))
	a.FailNow()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	a.FailNow()
}

// The reason of a skip stands alone: how it begins is told apart.
func (a *attempt) Skip(args ...any) { a.skip(fmt.Sprintln(args...)) }

func (a *attempt) Skipf(format string, args ...any) { a.skip(fmt.Sprintf(format, args...)) }

func (a *attempt) skip(reason string) {
	a.mu.Lock()
	a.said = slices.Insert(a.said, 0, strings.TrimSuffix(reason, "\n"))
	a.mu.Unlock()
	a.SkipNow()
}
