package run_test

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The statuses are those that a shell gives (POSIX, "Exit Status for Commands"), and
// 125 to 127 those of env(1).
func TestRootStatus(t *testing.T) {
	s := newStage(t)
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600))
	wrong := filepath.Join(t.TempDir(), "wrong")
	must(t, os.WriteFile(wrong, []byte("#!/no/such/interpreter\n"), 0o700))
	for _, test := range []struct {
		name   string
		args   []string
		timers tcpvet.Timers
		want   int
		says   string
	}{
		{"success", []string{"true"}, timers, 0, ""},
		{"failure", []string{"sh", "-c", "exit 93"}, timers, 93, ""},
		{"a signal", []string{"sh", "-c", "kill -TERM $$"}, timers, 128 + 15, ""},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, timers, 128 + 9, ""},
		{"not in PATH", []string{"no-such-program"}, timers, 127, "not found"},
		{"no such file", []string{"/no/such/file"}, timers, 127, "no such file"},
		{"no interpreter", []string{wrong}, timers, 127, "no such file"},
		{"not executable", []string{plain}, timers, 126, "permission denied"},
		{"a folder", []string{"/"}, timers, 126, "is a directory"},
		{"no command", nil, timers, 125, "no command"},
		{"nothing to give", []string{"true"}, tcpvet.Timers{}, 125, "nothing is asked for"},
		{"a count that the kernel refuses", []string{"true"}, tcpvet.Timers{Keepalive: true, Idle: time.Second, Interval: time.Second, Count: 128}, 125, "expected 1 to 127"},
	} {
		_, say, status := s.play(order{Args: test.args, Timers: test.timers})
		if status != test.want || !strings.Contains(say.Err, test.says) || (test.says == "") != (say.Err == "") {
			t.Errorf("%s: status %d, %q, want %d, %q", test.name, status, say.Err, test.want, test.says)
		}
		if say.Err != "" && say.Start != test.want {
			t.Errorf("%s: start error has status %d", test.name, say.Start)
		}
	}
	s.clean()
}

// Standard input and output, the folder, the environment and other descriptors are the
// command's.
func TestRootPassesThrough(t *testing.T) {
	s := newStage(t)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = io.WriteString(w, "by descriptor 3\n")
	must(t, err)
	w.Close()
	c := s.command(order{Args: []string{"sh", "-c", "cat; cat <&3; pwd; echo $TCPVET_TEST_WORD; cut -d: -f3 /proc/self/cgroup | tail -n 1"}, Timers: timers})
	c.Stdin = strings.NewReader("by standard input\n")
	c.ExtraFiles = []*os.File{r}
	c.Dir = "/usr"
	c.Env = append(c.Env, "TCPVET_TEST_WORD=by environment")
	out, err := c.Output()
	must(t, err)
	want := "by standard input\nby descriptor 3\n/usr\nby environment\n"
	group, ok := strings.CutPrefix(string(out), want)
	if !ok || !strings.Contains(group, filepath.Base(s.group)+"/tcpvet-run-") {
		t.Errorf("got %q, want %q and the group", out, want)
	}
}

// What the command leaves running is named, and its group stays until the next run
// finds it empty.
func TestRootLeavesBehind(t *testing.T) {
	s := newStage(t)
	_, say, _ := s.play(order{Args: []string{"sh", "-c", `
mkdir $(echo ` + s.group + `/tcpvet-run-*)/own
sleep 600 >/dev/null 2>&1 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
exit 4`}, Timers: timers})
	r := say.Result
	if r.Status != 4 || len(r.Left) != 1 || r.Left[0].Comm != "sleep" || filepath.Dir(r.Group) != s.group {
		t.Fatalf("%+v, want sleep left in a group below %s", r, s.group)
	}
	if r.Left[0].String() != "sleep["+strconv.Itoa(r.Left[0].PID)+"]" {
		t.Errorf("it is called %v", r.Left[0])
	}
	s.play(order{Args: []string{"true"}, Timers: timers})
	if _, err := os.Stat(r.Group + "/own"); err != nil {
		t.Errorf("what a process left has in its group was removed: %v", err)
	}
	s.end(r.Left[0].PID, r.Group)
	s.play(order{Args: []string{"true"}, Timers: timers})
	s.clean()
}

// Killed without notice, tcpvet leaves nothing that acts: the command lives on, its new
// sockets are as others, and the next run removes the group.
func TestRootKilled(t *testing.T) {
	s := newStage(t)
	c := s.command(order{Args: []string{kerneltest.Tool(t, "python3"), "-u", "-c", python + `
import os
both(socket.AF_INET, "127.0.0.1")
print(os.getpid()); input()
both(socket.AF_INET, "127.0.0.1")
print("over"); input()
`}, Timers: timers})
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	words := bufferedLines(out)
	if a, b := <-words, <-words; a != "[31, 7, 4, 45000] 1" || b != a {
		t.Errorf("before: %q, %q", a, b)
	}
	pid := atoi(t, <-words)
	must(t, c.Process.Kill())
	<-c.ended()
	_, err = io.WriteString(in, "\n")
	must(t, err)
	if a, b := <-words, <-words; a != "[7200, 75, 9, 0] 0" || b != a {
		t.Errorf("afterwards: %q, %q", a, b)
	}
	<-words
	groups, err := filepath.Glob(s.group + "/tcpvet-run-*")
	must(t, err)
	if len(groups) != 1 {
		t.Fatalf("groups: %v, want the one in which the command is", groups)
	}
	in.Close()
	s.end(pid, groups[0])
	s.play(order{Args: []string{"true"}, Timers: timers})
	s.clean()
}
