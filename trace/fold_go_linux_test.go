package trace

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestGoPrograms(t *testing.T) {
	sleep := exec.Command("sleep", "600")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("sleep", "0")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	g := make(goPrograms)
	self := tcpvet.Process{PID: int32(os.Getpid()), Start: 1}
	other := tcpvet.Process{PID: int32(sleep.Process.Pid), Start: 1}
	for range 2 { // the second time from memory
		for _, test := range []struct {
			name string
			p    tcpvet.Process
			want bool
		}{
			{"this test", self, true},
			{"sleep", other, false},
			{"a process that has ended", tcpvet.Process{PID: int32(ended.Process.Pid), Start: 1}, false},
			{"nobody", tcpvet.Nobody, false},
			{"unseen", tcpvet.Unseen, false},
		} {
			if got := g.is(test.p); got != test.want {
				t.Errorf("%s: %v, want %v", test.name, got, test.want)
			}
		}
	}
	sleep.Process.Kill()
	sleep.Wait()
	if g.is(other); len(g) != 3 {
		t.Errorf("%d processes are remembered, want 3", len(g))
	}
	for i := range int32(3 * mostPrograms) {
		g.is(tcpvet.Process{PID: 1 << 30, Start: uint64(i)})
		if len(g) > mostPrograms {
			t.Fatalf("%d processes are remembered, at most %d are to be", len(g), mostPrograms)
		}
	}
}

// Neither stripping nor position-independence hides what Go's linker made.
func TestIsGo(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"-ldflags=-s -w"}, {"-buildmode=pie", "-ldflags=-s -w"}} {
		program := filepath.Join(dir, "program")
		build := exec.Command("go", append(append([]string{"build", "-o", program}, flags...), source)...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build %v: %v: %s", flags, err, out)
		}
		if got := ofGo(t, program); !got {
			t.Errorf("built with %v: not told as a program of Go", flags)
		}
	}
	if path, err := exec.LookPath("sleep"); err != nil || ofGo(t, path) {
		t.Errorf("%s: told as a program of Go, or %v", path, err)
	}
}

func ofGo(t *testing.T, path string) bool {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return isGo(f)
}
