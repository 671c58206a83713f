package run_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/run"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"run":    runPart,
		"client": clientPart,
		"server": serverPart,
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// timers are unlike any default.
var timers = tcpvet.Timers{Keepalive: true, Idle: 31 * time.Second, Interval: 7 * time.Second, Count: 4, UserTimeout: 45 * time.Second}

// stage is a test's own network namespace, and a cgroup in which the test's processes
// are.
type stage struct {
	*testing.T
	group string
	dir   *os.File
}

func newStage(t *testing.T) *stage {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.CgroupV2)
	kerneltest.Need(t, kernel.BPFCgroupLinks)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Netns(t)
	mount, err := kernel.CgroupV2Mount()
	must(t, err)
	s := &stage{T: t}
	s.group, err = os.MkdirTemp(mount, "tcpvet-test-")
	must(t, err)
	s.dir, err = os.Open(s.group)
	must(t, err)
	t.Cleanup(func() {
		s.dir.Close()
		if t.Failed() { // whoever is in the test's group was begun by it
			_ = os.WriteFile(s.group+"/cgroup.kill", []byte("1"), 0)
		}
		// What ended a moment ago may stand in it yet.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			left, _ := filepath.Glob(s.group + "/*/cgroup.procs")
			for _, procs := range left {
				_ = syscall.Rmdir(filepath.Dir(procs))
			}
			err := syscall.Rmdir(s.group)
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("remove %s: %v: %v", s.group, err, left)
				return
			}
		}
	})
	return s
}

// inside starts a command in the stage's group.
func (s *stage) inside(cmd *exec.Cmd) *exec.Cmd {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(s.dir.Fd())
	return cmd
}

// order is what the part "run" is told, and told is what it tells.
type order struct {
	Args   []string
	Timers tcpvet.Timers
	Pool   []netip.Addr
	Into   string // the file for what is told
}

type told struct {
	Result *run.Result
	Err    string
	Start  int // of a StartError
}

const orderVariable = "TCPVET_RUN_ORDER"

// runPart is to tcpvet run what a test can look into.
func runPart() error {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(orderVariable)), &o); err != nil {
		return err
	}
	os.Unsetenv(orderVariable)
	os.Unsetenv("TCPVET_TEST_PART")
	r, err := run.Command{Args: o.Args, Options: run.Options{Timers: o.Timers, Pool: o.Pool}}.Run()
	say := told{Result: r}
	if err != nil {
		say.Err = err.Error()
	}
	status := 0
	if failed, ok := errors.AsType[*run.StartError](err); ok {
		say.Start, status = failed.Status, failed.Status
	}
	b, err := json.Marshal(say)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.Into, b, 0o600); err != nil {
		return err
	}
	if r != nil {
		status = r.Status
	}
	os.Exit(status)
	return nil
}

// running is a command that runs under run.
type running struct {
	*exec.Cmd
	t    testing.TB
	into string
}

// command makes a run of a command, not started.
func (s *stage) command(o order) *running {
	s.Helper()
	if o.Into == "" {
		o.Into = filepath.Join(s.TempDir(), "told")
	}
	b, err := json.Marshal(o)
	must(s, err)
	cmd := s.inside(kerneltest.Part("run"))
	cmd.Env = append(cmd.Env, orderVariable+"="+string(b))
	return &running{cmd, s, o.Into}
}

// tells reads what was told, after its end.
func (r *running) tells() told {
	r.t.Helper()
	var say told
	b, err := os.ReadFile(r.into)
	must(r.t, err)
	must(r.t, json.Unmarshal(b, &say))
	return say
}

// play runs a command to its end.
func (s *stage) play(o order) (out string, say told, status int) {
	s.Helper()
	r := s.command(o)
	b, err := r.Output()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		s.Fatal(err)
	}
	return string(b), r.tells(), r.ProcessState.ExitCode()
}

// clean fails the test where a run left a group.
func (s *stage) clean() {
	s.Helper()
	if left, _ := filepath.Glob(s.group + "/tcpvet-run-*"); left != nil {
		s.Errorf("groups are left: %v", left)
	}
}

// eventually waits for a state.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// part is this test binary in a part, as the arguments of a command.
func part(name string, args ...string) []string {
	// env(1) is gone when it runs: /proc/self/exe would be env.
	self := fmt.Sprintf("/proc/%d/exe", os.Getpid())
	return []string{"/usr/bin/env", "TCPVET_TEST_PART=" + name, "TCPVET_TEST_ARGS=" + strings.Join(args, " "), self}
}

// bufferedLines gives each line that is written.
func bufferedLines(r io.Reader) <-chan string {
	words := make(chan string, 64)
	go func() {
		defer close(words)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			words <- scan.Text()
		}
	}()
	return words
}

// ended is closed when the run itself has ended, though others may hold its pipes.
func (r *running) ended() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = r.Process.Wait()
	}()
	return over
}

// end ends a process that a command of the test has left, if it is still in its group,
// and waits until the group is empty.
func (s *stage) end(pid int, group string) {
	s.Helper()
	procs, err := os.ReadFile(group + "/cgroup.procs")
	must(s, err)
	if slices.Contains(strings.Fields(string(procs)), strconv.Itoa(pid)) {
		must(s, syscall.Kill(pid, syscall.SIGKILL))
	}
	eventually(s, group+" is empty", func() bool {
		b, err := os.ReadFile(group + "/cgroup.events")
		must(s, err)
		return strings.Contains(string(b), "populated 0")
	})
}

func atoi(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}
