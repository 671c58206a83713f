package symbol

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func buildJIT(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "jit")
	argv := []string{"-O2", "-static", "-fno-omit-frame-pointer", "-o", program, "testdata/jit.c"}
	if out, err := exec.Command(kerneltest.Tool(t, "gcc"), argv...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}

// made picks the frame of the code that the program made.
func made(frames []tcpvet.Frame) tcpvet.Frame {
	for _, f := range frames {
		if strings.HasPrefix(f.Module, "[") || strings.HasPrefix(f.Module, "perf-") {
			f.Address = 0
			return f
		}
	}
	return tcpvet.Frame{}
}

func TestFramesPerfMap(t *testing.T) {
	p := start(t, buildJIT(t))
	name := fmt.Sprintf("/tmp/perf-%d.map", p.PID)
	t.Cleanup(func() { os.Remove(name) })
	s := take(t, p, words)
	want := tcpvet.Frame{Symbol: "opener", File: "/app/pool.py", Module: filepath.Base(name)}
	r := resolver(t, Options{})
	if got := made(r.Frames(p, s)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// What is not in the map does not make it be read again and again.
	q := r.process(p)
	q.perfAt.seen = q.perfAt.seen.Add(time.Hour)
	seen := q.perfAt.seen
	if _, ok := r.compiled(q, 4096); ok || q.perfAt.seen != seen {
		t.Error("the map was read again at once")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if got := made(resolver(t, Options{}).Frames(p, s)); got != (tcpvet.Frame{Module: "[anon]"}) {
		t.Errorf("without the map: got %+v, want [anon]", got)
	}
}

// TestRootFramesContainer has a process in a PID namespace and a root directory of its
// own, as in a container: the map's name has the PID that it has there.
func TestRootFramesContainer(t *testing.T) {
	kerneltest.Root(t)
	root := t.TempDir()
	program := buildJIT(t)
	if err := os.Rename(program, filepath.Join(root, "jit")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/jit")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	p := startCommand(t, cmd)
	s := take(t, p, words)
	want := tcpvet.Frame{Symbol: "opener", File: "/app/pool.py", Module: "perf-1.map"}
	frames := resolver(t, Options{}).Frames(p, s)
	if got := made(frames); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if all := told(frames, "jit"); !slices.Contains(all, "wait_there?") && !slices.Contains(all, "wait_there") {
		t.Errorf("got %q, want wait_there among them", all)
	}

	// Where map_files may not be read, its root leads there.
	q := resolver(t, Options{}).process(p)
	for i := range q.maps {
		if m := q.maps[i]; m.exec && m.inode != 0 {
			m.low, m.high, m.path = 1, 2, "/jit"
			f, err := openMapped(q, &m)
			if err != nil {
				t.Fatalf("open through the root: %v", err)
			}
			f.Close()
			m.inode++
			if f, err := openMapped(q, &m); err == nil {
				f.Close()
				t.Error("opened a file that is not the one mapped")
			}
		}
	}

	// Nothing in there leads out of it, and nobody else is believed.
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	if f, err := q.open("/out"); err == nil {
		f.Close()
		t.Error("a link led out of the process's root")
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	if f, err := q.open("/pipe"); err == nil {
		f.Close()
		t.Error("opened a FIFO, which would block")
	}
	if err := os.Chown(filepath.Join(root, "tmp/perf-1.map"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got := made(resolver(t, Options{}).Frames(p, s)); got.Symbol != "" {
		t.Errorf("a map that another user wrote was believed: %+v", got)
	}
}

// TestFramesNode reads the map that V8 writes.
func TestFramesNode(t *testing.T) {
	node := kerneltest.Tool(t, "node")
	const source = "testdata/callers.js"
	script, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flags  []string
		named  bool
		advice string
	}{
		{nil, false, "--interpreted-frames-native-stack"},
		{[]string{"--perf-basic-prof", "--interpreted-frames-native-stack"}, true, ""},
	} {
		cmd := exec.Command(node, append(test.flags, script)...)
		cmd.Dir = t.TempDir() // where V8 leaves a log of its own
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		p := startCommand(t, cmd)
		t.Cleanup(func() { os.Remove(fmt.Sprintf("/tmp/perf-%d.map", p.PID)) })
		r := resolver(t, Options{})
		frames := r.Frames(p, take(t, p, 0))
		var got, want []string
		for _, f := range frames {
			if strings.HasSuffix(f.File, "callers.js") && f.Symbol != "(anonymous)" {
				got = append(got, told([]tcpvet.Frame{f}, "")...)
			}
		}
		for _, name := range []string{"dialBackend", "poolGet"} {
			if test.named {
				want = append(want, fmt.Sprintf("%s callers.js:%d", name, mark(t, source, name)))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("node %q: got %q, want %q of %q", test.flags, got, want, told(frames, ""))
		}
		if advice := r.Advice(p); !strings.Contains(advice, test.advice) || (advice == "") != (test.advice == "") {
			t.Errorf("node %q: advice %q", test.flags, advice)
		}
	}
}
