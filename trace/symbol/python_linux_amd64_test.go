package symbol

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// walkPython does what trace/bpf/python.h does, for the only thread that waits.
func walkPython(t *testing.T, p tcpvet.Process, layout []byte) []PythonCall {
	t.Helper()
	q := &process{key: p}
	word := func(a uint64) uint64 { v, _ := q.word(a); return v }
	if len(layout) != 40 {
		t.Fatalf("a layout of %d bytes, struct python_layout has 40", len(layout))
	}
	at := func(i int) uint64 { return uint64(binary.LittleEndian.Uint16(layout[16+2*i:])) }
	if start := binary.LittleEndian.Uint64(layout); start != p.Start {
		t.Fatalf("start %d in the layout, want %d", start, p.Start)
	}
	thread := word(word(binary.LittleEndian.Uint64(layout[8:])+at(0)) + at(1))
	frame := word(thread + at(4)) // the newest thread is the first
	if at(5) != none {
		frame = word(frame + at(5))
	}
	var calls []PythonCall
	for ; frame != 0 && len(calls) < 100; frame = word(frame + at(6)) {
		call := PythonCall{word(frame + at(7)), word(frame + at(8))}
		if layout[36] == 4 {
			call.At = uint64(uint32(call.At))
		}
		if at(9) != none && byte(word(frame+at(9))) == layout[38] {
			call.Code = 0
		}
		calls = append(calls, call)
	}
	return calls
}

func TestFramesPython(t *testing.T) {
	const source = "testdata/callers.py"
	pythons := map[string]string{"Debian's": kerneltest.Tool(t, "python3")}
	for minor := 8; minor <= 13; minor++ {
		name := fmt.Sprintf("python3.%d", minor)
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "").Run() == nil {
			pythons[name] = path
		}
	}
	for name, path := range pythons {
		for _, thread := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " thread ", thread), func(t *testing.T) {
				argv := []string{path, source}
				if thread {
					argv = append(argv, "thread")
				}
				p := start(t, argv...)
				r := resolver(t, Options{})
				layout := r.PythonLayout(p)
				if layout == nil {
					t.Fatalf("no layout: %q", r.Advice(p))
				}
				s := take(t, p, words)
				s.Python = walkPython(t, p, layout)
				frames := r.Frames(p, s)
				// What is no code object by now is told by its address alone, what
				// stands for C not at all.
				stale := s.Python[len(s.Python)-1].Code + 8
				s.Python = append(s.Python, PythonCall{Code: stale}, PythonCall{Code: 0}, PythonCall{Code: 16})
				again := r.Frames(p, s)
				if n := len(again) - 2; n != len(frames) || again[n].Symbol != "" || again[n].Address != stale || again[n+1].Symbol != "" {
					t.Errorf("of no code objects: %+v", again[len(again)-2:])
				}
				var want []string
				for _, c := range [][2]string{{"Pool.get", "recv"}, {"fetch", ""}, {"leak.<locals>.<lambda>", "lambda"}, {"leak", "lambda"}, {"naïve", "leak"}} {
					line := mark(t, source, "recv") + 6
					if c[1] != "" {
						line = mark(t, source, c[1])
					}
					symbol := c[0]
					if r.processes[p].python.minor < 11 { // has no co_qualname
						symbol = symbol[strings.LastIndexByte(symbol, '.')+1:]
					}
					want = append(want, fmt.Sprintf("%s callers.py:%d", symbol, line))
				}
				if !thread {
					want = append(want, fmt.Sprintf("<module> callers.py:%d", mark(t, source, "main")))
				}
				var got []string
				for _, f := range frames {
					if strings.HasSuffix(f.File, "callers.py") {
						got = append(got, told([]tcpvet.Frame{f}, "")...)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				if f := frames[0]; !strings.HasPrefix(f.Symbol, "recv") && !strings.Contains(f.Module, "libc") {
					t.Errorf("the innermost frame is %+v, want the C library's", f)
				}
				for _, f := range frames {
					if strings.HasPrefix(f.Symbol, "_Py") {
						t.Errorf("%s of the interpreter stands among Python's own: %q", f.Symbol, told(frames, ""))
					}
				}
			})
		}
	}
}

func TestPythonAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		path, want string // "" for no interpreter
	}{
		"2.7":         {"/usr/lib/libpython2.7.so.1.0", ""},
		"3.7":         {"/usr/lib/libpython3.7m.so.1.0", "libpython3.7m.so.1.0: CPython 3.7 is none of those"},
		"3.14":        {"/usr/bin/python3.14", "-X perf"},
		"debug build": {"/usr/bin/python3.11d", "3.11d is a special build"},
		"a module":    {"/usr/lib/python3.11/lib-dynload/_socket.so", ""},
		"a script":    {"/usr/bin/python3-config", ""},
	} {
		r := resolver(t, Options{})
		p := tcpvet.Process{PID: 1 << 30, Start: 1}
		r.process(p).maps = []mapping{{low: 4096, high: 8192, inode: 1, path: test.path, exec: true}}
		got := r.Advice(p)
		if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		if r.PythonLayout(p) != nil {
			t.Errorf("%s: has a layout", name)
		}
	}
}
