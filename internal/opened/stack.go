package opened

import (
	"fmt"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
)

// depth is how many calls of a stack are kept, innermost first: net/http takes about
// ten of them before the caller's own begin.
const depth = 32

// mostStacks bounds how many stacks are kept for good. A program has as many as it has
// ways to open a connection; with recursion that may be without end, and what comes
// after the bound is kept as long as it is used.
const mostStacks = 4096

// A Stack is the calls that led to an opening, as return addresses: their names are
// looked up when they are asked for. Equal stacks have equal pointers, within
// mostStacks of them. A nil Stack has no calls.
type Stack struct {
	pcs   []uintptr
	trace *httptrace.ClientTrace // of the requests that are made there
}

var stacks = struct {
	sync.RWMutex
	by map[[depth]uintptr]*Stack
}{by: map[[depth]uintptr]*Stack{}}

// Callers gives the calls of this goroutine, without the innermost skip of them; 0
// begins with the caller of Callers.
func Callers(skip int) *Stack {
	var pcs [depth]uintptr
	n := runtime.Callers(skip+2, pcs[:])
	stacks.RLock()
	s := stacks.by[pcs]
	stacks.RUnlock()
	if s != nil {
		return s
	}
	return intern(pcs, n)
}

func intern(pcs [depth]uintptr, n int) *Stack {
	stacks.Lock()
	defer stacks.Unlock()
	if s := stacks.by[pcs]; s != nil {
		return s
	}
	s := &Stack{pcs: append([]uintptr(nil), pcs[:n]...)}
	s.trace = &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { Use(got.Conn, s) }}
	if len(stacks.by) < mostStacks {
		stacks.by[pcs] = s
	}
	return s
}

// Frames gives the calls by name, innermost first.
func (s *Stack) Frames() []runtime.Frame {
	if s == nil || len(s.pcs) == 0 {
		return nil
	}
	var all []runtime.Frame
	frames := runtime.CallersFrames(s.pcs)
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			all = append(all, frame)
		}
		if !more {
			return all
		}
	}
}

// Caller is the innermost call of the program's own code: the first that is neither of
// the packages between a program and its sockets nor of this module's hooks. It is
// false where there is none, as in a goroutine in which net/http dials.
func (s *Stack) Caller() (runtime.Frame, bool) {
	for _, frame := range s.Frames() {
		if !plumbing(frame) {
			return frame, true
		}
	}
	return runtime.Frame{}, false
}

// String writes the calls as a goroutine's trace does, two lines each.
func (s *Stack) String() string {
	var b strings.Builder
	for _, frame := range s.Frames() {
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
	}
	return b.String()
}

// module is what our own packages begin with.
const module = "github.com/tcpvet/tcpvet/"

// plumbing tells whether a call is of what lies between a program and its sockets.
func plumbing(frame runtime.Frame) bool {
	path := packageOf(frame.Function)
	if ours, ok := strings.CutPrefix(path, module); ok {
		switch ours {
		case "internal/opened", "keepalive", "leaktest":
			return !strings.HasSuffix(frame.File, "_test.go")
		}
		return false
	}
	for _, p := range [...]string{"net", "crypto", "context", "runtime", "internal", "vendor", "sync", "database/sql", "golang.org/x/net"} {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// packageOf gives the import path in a function's full name, as package runtime
// writes it: "net/http.(*Client).Do".
func packageOf(function string) string {
	after := strings.LastIndexByte(function, '/') + 1
	if dot := strings.IndexByte(function[after:], '.'); dot >= 0 {
		return function[:after+dot]
	}
	return function
}
