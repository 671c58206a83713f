package symbol

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// end kills a process and waits until it is gone.
func end(t *testing.T, p tcpvet.Process) {
	t.Helper()
	if err := syscall.Kill(int(p.PID), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(int(p.PID), &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
}

func TestFramesVanished(t *testing.T) {
	p := start(t, build(t, "gcc", "-g", "-O2"))
	s := take(t, p, words)
	want := told(resolver(t, Options{}).Frames(p, s), "callers")

	prepared, late := resolver(t, Options{}), resolver(t, Options{})
	prepared.Prepare(p)
	end(t, p)
	// The word of the linkage table that leads from main to qsort is gone with the
	// memory; all else was in files.
	if got := told(prepared.Frames(p, s), "callers"); !slices.Equal(got, want) {
		t.Errorf("prepared: got %q, want %q", got, want)
	}
	frames := late.Frames(p, s)
	if len(frames) != 1 || frames[0] != (tcpvet.Frame{Address: s.Addresses[0]}) {
		t.Errorf("too late: got %+v, want the address alone", frames)
	}
	if gaps := append(prepared.Gaps(), late.Gaps()...); len(gaps) != 0 {
		t.Errorf("a process that has ended is a gap: %+v", gaps)
	}
}

func TestFramesOfNobody(t *testing.T) {
	self := tcpvet.Process{PID: int32(os.Getpid()), Start: 1} // another had the PID
	for _, p := range []tcpvet.Process{tcpvet.Nobody, tcpvet.Unseen, tcpvet.Several, self, {PID: 1 << 30, Start: 1}} {
		r := resolver(t, Options{})
		frames := r.Frames(p, Stack{Addresses: []uint64{0x401000, 0x402000}, Words: []uint64{0x403000}, Python: []PythonCall{{1, 2}}})
		if len(frames) != 1 || frames[0].Address != 0x401000 || frames[0].Module != "" {
			t.Errorf("%v: got %+v", p, frames)
		}
		if r.PythonLayout(p) != nil || r.Advice(p) != "" || len(r.Gaps()) != 0 {
			t.Errorf("%v: has a layout, advice or gaps: %+v", p, r.Gaps())
		}
	}
}

func TestRootFramesDeleted(t *testing.T) {
	kerneltest.Root(t)
	program := build(t, "gcc", "-g", "-O2")
	p := start(t, program)
	s := take(t, p, words)
	want := told(resolver(t, Options{}).Frames(p, s), "callers")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := told(resolver(t, Options{}).Frames(p, s), "callers"); len(got) < 4 || !slices.Equal(got, want) {
		t.Errorf("deleted: got %q, before %q", got, want)
	}
}

// TestFramesAgain asks again: nothing is read twice, and nothing grows.
func TestFramesAgain(t *testing.T) {
	p := start(t, build(t, "gcc", "-g", "-O2"))
	s := take(t, p, words)
	r := resolver(t, Options{})
	first := told(r.Frames(p, s), "")
	bytes, reads := r.bytes, inputs(t)
	for range 10 {
		if got := told(r.Frames(p, s), ""); !slices.Equal(got, first) {
			t.Fatalf("got %q, first %q", got, first)
		}
	}
	if r.bytes != bytes {
		t.Errorf("%d bytes kept, at first %d", r.bytes, bytes)
	}
	// The bytes before return addresses are read again, seven each; no table is.
	if n := inputs(t) - reads; n > 1<<20 {
		t.Errorf("ten times more read %d bytes", n)
	}
}

// inputs gives how many bytes this process has read (proc_pid_io.5).
func inputs(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestResolverBounded(t *testing.T) {
	var stages []tcpvet.Process
	var stacks []Stack
	for range 4 {
		p := start(t, build(t, "gcc", "-g", "-O2"))
		stages, stacks = append(stages, p), append(stacks, take(t, p, words))
	}
	const memory = 128 << 10 // the C library and one or two of the programs
	before := descriptors(t)
	r := New(Options{Memory: memory, Processes: 2})
	var want []string
	for i := range 12 {
		got := told(r.Frames(stages[i%4], stacks[i%4]), "callers")
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: got %q, want %q", i, got, want)
		}
		if len(r.processes) > 2 {
			t.Errorf("%d processes are kept", len(r.processes))
		}
		sum, images, largest := int64(0), 0, int64(0)
		for _, f := range r.files {
			if f.image != nil {
				sum, images, largest = sum+f.image.cost, images+1, max(largest, f.image.cost)
			}
		}
		if sum != r.bytes || sum > memory && images > 1 || largest > memory {
			t.Errorf("round %d: %d images of %d bytes, %d counted, the largest %d", i, images, sum, r.bytes, largest)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors are open, before %d", n, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestFramesTooLarge reads no debug information beyond the bound, and says so.
func TestFramesTooLarge(t *testing.T) {
	p := start(t, build(t, "gcc", "-g", "-O2"))
	r := resolver(t, Options{Memory: 64})
	got := told(r.Frames(p, take(t, p, words)), "callers")
	if len(got) == 0 || got[0] != "dial_backend?" {
		t.Errorf("got %q, want names without lines", got)
	}
	if !slices.ContainsFunc(r.Gaps(), func(g tcpvet.Gap) bool { return g.What == "lines" && strings.Contains(g.Err, "callers: ") }) {
		t.Errorf("no gap tells: %+v", r.Gaps())
	}
}

// TestVDSO looks up what the kernel maps into every process, beside its symbol.
func TestVDSO(t *testing.T) {
	r := resolver(t, Options{})
	im := r.vdsoImage()
	if im == nil {
		t.Fatal("the vDSO cannot be read")
	}
	at := dynamicSymbol(im.elf, "__vdso_clock_gettime")
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parseMaps(b) {
		if m.path != "[vdso]" {
			continue
		}
		start, _ := startOf("/proc/self")
		self := tcpvet.Process{PID: int32(os.Getpid()), Start: start}
		frames := r.Frames(self, Stack{Addresses: []uint64{m.low + at + 5}})
		if len(frames) != 1 || !strings.HasSuffix(frames[0].Symbol, "clock_gettime") || frames[0].Module != "[vdso]" || frames[0].Address != at+5 {
			t.Errorf("got %+v, want clock_gettime at %#x", frames, at+5)
		}
		return
	}
	t.Fatal("no [vdso] among the mappings")
}

// TestFramesExeced has a process that was seen while it ran another program: its PID and
// start remain, its mappings do not.
func TestFramesExeced(t *testing.T) {
	program := build(t, "gcc", "-g", "-O2")
	cmd := exec.Command(kerneltest.Tool(t, "bash"), "-c", "echo ready; read -r && exec "+program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startCommand(t, cmd)
	r := resolver(t, Options{})
	r.Prepare(p)
	if _, err := in.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	s := take(t, p, words)
	want := fmt.Sprintf("dial_backend callers.c:%d?", mark(t, "testdata/callers.c", "recv"))
	if got := told(r.Frames(p, s), "callers"); len(got) == 0 || got[0] != want {
		t.Errorf("got %q, want %q first", got, want)
	}

	// Another program may have code at the same addresses.
	q := r.process(p)
	q.exe = "/bin/bash"
	if before := &q.maps[0]; r.process(p) != q || &q.maps[0] == before {
		t.Error("that it runs another program was not noticed")
	}

	// A library that is loaded later is in no mapping that was read before, however
	// short a time ago that was.
	r.process(p).maps = nil
	if got := told(r.Frames(p, s), "callers"); len(got) == 0 || got[0] != want {
		t.Errorf("after mappings changed: got %q, want %q first", got, want)
	}
	read := &r.process(p).maps[0]
	for range 3 {
		r.Frames(p, Stack{Addresses: []uint64{4096}})
	}
	first := &r.process(p).maps[0]
	r.Frames(p, Stack{Addresses: []uint64{4097}})
	if read == first || first != &r.process(p).maps[0] {
		t.Error("an address in no mapping must make them be read again, but not each time")
	}
}

func TestResolverFiles(t *testing.T) {
	start, _ := startOf("/proc/self")
	r := resolver(t, Options{})
	self := r.process(tcpvet.Process{PID: int32(os.Getpid()), Start: start})
	dir := t.TempDir()
	for i := range maxFiles + 20 {
		name := fmt.Sprintf("%s/%d", dir, i)
		if err := os.WriteFile(name, []byte("no program"), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		m := mapping{low: 1, high: 2, device: "00:00", inode: info.Sys().(*syscall.Stat_t).Ino, path: name, exec: true}
		if r.image(self, &m) != nil || r.files[fileKey{m.device, m.inode}].open == nil {
			t.Fatalf("%s: not opened, or taken for a program", name)
		}
	}
	if len(r.files) > maxFiles {
		t.Errorf("%d files are held, want at most %d", len(r.files), maxFiles)
	}
	gaps := r.Gaps()
	if len(gaps) == 0 || len(gaps) > maxGaps+1 || !strings.Contains(gaps[0].Err, "read") {
		t.Errorf("%d gaps: %+v", len(gaps), gaps)
	}
}
