package run_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// server tells the values of new connections whenever it is told to.
const server = python + `
print("ready", flush=True)
while input() == "go":
    l, c, a = both(socket.AF_INET, "127.0.0.1")
    c.close(); a.close()
    print("told", flush=True)
`

// service is a process that runs already, in a group of its own.
type service struct {
	*exec.Cmd
	t     testing.TB
	in    *os.File
	words <-chan string
	group string
}

func (s *stage) service(name string) *service {
	s.Helper()
	return s.serviceOf(name, server)
}

// serviceOf runs Python code that says "ready".
func (s *stage) serviceOf(name, code string) *service {
	s.Helper()
	group := filepath.Join(s.group, name)
	must(s, os.Mkdir(group, 0o755))
	dir, err := os.Open(group)
	must(s, err)
	defer dir.Close()
	cmd := exec.Command(kerneltest.Tool(s, "python3"), "-u", "-c", code)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	r, w, err := os.Pipe()
	must(s, err)
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	must(s, err)
	must(s, cmd.Start())
	r.Close()
	v := &service{cmd, s, w, bufferedLines(out), group}
	s.Cleanup(v.end)
	if got := <-v.words; got != "ready" {
		s.Fatalf("the service said %q", got)
	}
	return v
}

// values has it make a connection and tell both ends'.
func (v *service) values() string {
	v.t.Helper()
	_, err := v.in.WriteString("go\n")
	must(v.t, err)
	a, b := <-v.words, <-v.words
	if a != b || <-v.words != "told" {
		v.t.Fatalf("the ends differ: %q, %q", a, b)
	}
	return a
}

func (v *service) end() {
	v.in.Close()
	_ = v.Wait()
}

const (
	given     = "[31, 7, 4, 45000] 1"
	untouched = "[7200, 75, 9, 0] 0"
)
