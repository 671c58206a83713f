package main

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// held is a program that runs until its standard input ends.
type held struct {
	cmd    *exec.Cmd
	in     io.Closer
	stderr strings.Builder
}

// hold starts a program and waits for its first line.
func hold(t *testing.T, name string, args ...string) *held {
	t.Helper()
	h := &held{cmd: exec.Command(name, args...)}
	h.cmd.Stderr = &h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in = in
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
		h.cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%s: %v: %s", name, err, h.stderr.String())
	}
	return h
}

// end lets the program end, and gives its exit status.
func (h *held) end() int {
	h.in.Close()
	h.cmd.Wait()
	return h.cmd.ProcessState.ExitCode()
}

// keepaliveTimer matches what is left of a keepalive timer by ss: "18sec", "1min59sec".
var keepaliveTimer = regexp.MustCompile(`timer:\(keepalive,(?:(\d+)min)?(?:([\d.]+)(ms|sec))?,`)

// timersOf tells of the established sockets of a process, by ss, how many have a
// keepalive timer of at most so many seconds, and how many there are.
func timersOf(t *testing.T, ss string, pid int, most float64) (kept, all int) {
	t.Helper()
	out, _ := run(t, ss, "-Htnop", "state", "established")
	for line := range strings.Lines(out) {
		if !strings.Contains(line, fmt.Sprintf("pid=%d,", pid)) {
			continue
		}
		all++
		m := keepaliveTimer.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		minutes, _ := strconv.ParseFloat(m[1], 64)
		rest, _ := strconv.ParseFloat(m[2], 64)
		if m[3] == "ms" && !strings.Contains(m[2], ".") { // "9.860ms" are 9 s and 860 ms
			rest /= 1000
		}
		if 60*minutes+rest <= most {
			kept++
		}
	}
	return kept, all
}

// childOf gives the only child of a process, whichever thread has begun it.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		list, _ := os.ReadFile(file) // a thread may have ended
		all = append(all, strings.Fields(string(list))...)
	}
	if len(all) != 1 {
		t.Fatalf("children of %d: %v, want one", pid, all)
	}
	child, err := strconv.Atoi(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// static builds a Go program that no loader is asked for.
func static(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(dir))
	build := exec.Command("go", "build", "-o", path, dir+"/main.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, out)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Fatalf("%s is not static", path)
		}
	}
	return path
}

// Python requests and a static Go program gain keepalive while they run, by fix, and
// lose it by undo; and have it from the beginning by run.
func TestRootProgramsKeptAlive(t *testing.T) {
	kerneltest.Root(t)
	ss, python := kerneltest.Tool(t, "ss"), kerneltest.Tool(t, "python3")
	tcpvet := binary(t)
	dialer := static(t, "../../remedy/testdata/dialer")
	kerneltest.Netns(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	go func() {
		var held []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			held = append(held, c)
		}
		for _, c := range held {
			c.Close()
		}
	}()
	journal := filepath.Join(t.TempDir(), "journal")
	for _, test := range []struct {
		name    string
		command []string
		sockets int
		own     bool // it sets values itself
	}{
		{"requests", []string{python, "../../remedy/testdata/session.py"}, 2, false},
		{"Go", []string{dialer, l.Addr().String(), "off"}, 1, false},
		{"Go with its own", []string{dialer, l.Addr().String(), "default"}, 1, true},
	} {
		func() { // on the thread that is in the namespace
			p := hold(t, test.command[0], test.command[1:]...)
			pid := p.cmd.Process.Pid
			check := func(when string, most float64, want int) {
				t.Helper()
				if kept, all := timersOf(t, ss, pid, most); all != test.sockets || kept != want {
					t.Errorf("%s, %s: %d of %d sockets with a timer of at most %v s, want %d of %d", test.name, when, kept, all, most, want, test.sockets)
				}
			}
			had := 0
			if test.own {
				had = test.sockets
			}
			check("before", 7200, had)
			if out, status := run(t, tcpvet, "fix", "keepalive", "--pid", strconv.Itoa(pid), "--idle", "9s", "--interval", "2s", "--count", "3", "--apply", "--journal", journal); status != 0 {
				t.Errorf("%s: fix keepalive: status %d\n%s", test.name, status, out)
			}
			check("by fix", 9, test.sockets)
			if out, status := run(t, tcpvet, "fix", "undo", "--apply", "--journal", journal); status != 0 {
				t.Errorf("fix undo: status %d\n%s", status, out)
			}
			check("undone", 9, 0)
			check("undone", 7200, had)
			if status := p.end(); status != 0 {
				t.Errorf("it ended with %d: %s", status, p.stderr.String())
			}

			p = hold(t, tcpvet, append([]string{"run", "--keepalive", "9s,2s,3", "--"}, test.command...)...)
			pid = childOf(t, p.cmd.Process.Pid)
			if test.own {
				check("by run, with its own", 15, 1)
				check("by run, with its own", 9, 0)
			} else {
				check("by run", 9, test.sockets)
			}
			if status := p.end(); status != 0 || test.own != strings.Contains(p.stderr.String(), "set its own keepalive over this on 1 connection: 15s + 9 x 15s") {
				t.Errorf("%s: run: status %d, %s", test.name, status, p.stderr.String())
			}
		}()
	}
}
