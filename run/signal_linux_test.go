package run_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// trapping tells each signal that it gets, and "ready" first; QUIT ends it.
const trapping = `
import os, signal, sys, time
def tell(n, _):
    print(signal.Signals(n).name, flush=True)
    if n == signal.SIGQUIT: os._exit(5)
for n in (1, 2, 3, 10, 12, 14, 15): signal.signal(n, tell)
print("ready", flush=True)
while True: time.sleep(.01) # a signal right before pause() would be told after the next one
`

// What tcpvet is sent, the command gets.
func TestRootSignalsPassOn(t *testing.T) {
	s := newStage(t)
	// What is caught here is not ignored there, though nohup(1) may have begun the tests.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	defer signal.Reset(unix.SIGHUP)
	c := s.command(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", trapping}, Timers: timers})
	c.SysProcAttr.Setsid = true // no terminal
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	words := bufferedLines(out)
	<-words
	for _, n := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM, unix.SIGQUIT} {
		must(t, c.Process.Signal(n))
		if got := <-words; got != unix.SignalName(n) {
			t.Errorf("sent %s, the command got %s", unix.SignalName(n), got)
		}
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 5 {
		t.Errorf("ended with %v", err)
	}
	s.clean()
}

// Stopped by its child's stop, tcpvet goes on when it is told to, and the child with it.
func TestRootStopsAndGoesOn(t *testing.T) {
	s := newStage(t)
	c := s.command(order{Args: []string{kerneltest.Tool(t, "python3"), "-u", "-c", "import os; print(os.getpid()); print(input())"}, Timers: timers})
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	words := bufferedLines(out)
	child := atoi(t, <-words)
	stopped := func(pid int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		must(t, err)
		return strings.Contains(string(b), "State:\tT (stopped)")
	}
	must(t, syscall.Kill(child, unix.SIGSTOP))
	eventually(t, "tcpvet has stopped", func() bool { return stopped(c.Process.Pid) })
	must(t, c.Process.Signal(unix.SIGCONT))
	eventually(t, "both go on", func() bool { return !stopped(c.Process.Pid) && !stopped(child) })
	_, err = in.Write([]byte("on\n"))
	must(t, err)
	if got := <-words; got != "on" {
		t.Errorf("the child said %q", got)
	}
	must(t, c.Wait())
	s.clean()
}

// A signal that is ignored stays so: nohup(1).
func TestRootSignalIgnored(t *testing.T) {
	s := newStage(t)
	c := s.command(order{Args: []string{"sh", "-c", "grep SigIgn /proc/self/status; kill -HUP $PPID; echo on"}, Timers: timers})
	c.Path, c.Args = kerneltest.Tool(t, "bash"), []string{"bash", "-c", `trap "" HUP; exec "$0"`, "/proc/" + fmt.Sprint(os.Getpid()) + "/exe"}
	out, err := c.Output()
	must(t, err)
	words := strings.Fields(string(out))
	if len(words) != 3 || words[2] != "on" || !strings.HasSuffix(words[1], "1") {
		t.Errorf("%q, want HUP (1) among the ignored signals", out)
	}
}

// terminal is a shell with job control on a terminal of its own.
type terminal struct {
	*testing.T
	master *os.File
	shell  *exec.Cmd
	said   []byte
}

func (s *stage) terminal() *terminal {
	s.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(s, err)
	s.Cleanup(func() { master.Close() })
	must(s, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(s, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(s, err)
	defer slave.Close()
	shell := s.inside(exec.Command(kerneltest.Tool(s, "bash"), "--norc", "--noprofile", "-i"))
	shell.Env = append(os.Environ(), "PS1=", "TERM=dumb", "HISTFILE=")
	shell.Stdin, shell.Stdout, shell.Stderr = slave, slave, slave
	shell.SysProcAttr.Setsid, shell.SysProcAttr.Setctty = true, true
	must(s, shell.Start())
	return &terminal{T: s.T, master: master, shell: shell}
}

func (t *terminal) types(keys string) {
	t.Helper()
	_, err := t.master.WriteString(keys)
	must(t, err)
}

// until reads what is shown until it has this, and gives all that was new.
func (t *terminal) until(words string) string {
	t.Helper()
	var b [4096]byte
	const patience = 30 * time.Second
	for !strings.Contains(string(t.said), words) {
		more, err := unix.Poll([]unix.PollFd{{Fd: int32(t.master.Fd()), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if must(t, err); more == 0 {
			t.Fatalf("%q is not shown within %v; shown: %q", words, patience, t.said)
		}
		n, err := t.master.Read(b[:])
		if t.said = append(t.said, b[:n]...); err != nil {
			t.Fatalf("waited for %q: %v; shown: %q", words, err, t.said)
		}
	}
	at := strings.Index(string(t.said), words) + len(words)
	new := string(t.said[:at])
	t.said = t.said[at:]
	return new
}

// The terminal's keys reach the command once; stopping and going on are the shell's.
func TestRootTerminal(t *testing.T) {
	s := newStage(t)
	py := kerneltest.Tool(t, "python3")
	into := filepath.Join(t.TempDir(), "told")
	script := filepath.Join(t.TempDir(), "trap.py")
	must(t, os.WriteFile(script, []byte(`
import signal, sys, threading
count = 0
def tell():
    global count
    while True:
        signal.sigwaitinfo({2})
        count += 1
        print("interrupt", count, flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {2})
threading.Thread(target=tell, daemon=True).start()
print("is a terminal:", sys.stdin.isatty(), flush=True)
for line in sys.stdin: print("interrupts:", count, "read:", line.strip(), flush=True)
sys.exit(6)
`), 0o600))
	b, err := json.Marshal(order{Args: []string{py, script}, Timers: timers, Into: into})
	must(t, err)
	at := s.terminal()
	at.types(fmt.Sprintf("export TCPVET_TEST_PART=run TCPVET_RUN_ORDER='%s'; stty -echo; echo go\"\"ing\n", b))
	at.until("going")
	at.types(fmt.Sprintf("/proc/%d/exe\n", os.Getpid()))
	at.until("is a terminal: True\r\n") // whole: print() writes it in pieces, and a thread of its own answers
	// Two that come close together may count as one: several are sent.
	const keys = 20
	for i := 1; i <= keys; i++ {
		at.types("\x03") // ^C
		at.until(fmt.Sprintf("interrupt %d\r\n", i))
	}
	at.types("one\n")
	if got := at.until("read: one"); !strings.Contains(got, fmt.Sprintf("interrupts: %d ", keys)) {
		t.Errorf("%d times ^C: %q", keys, got)
	}
	at.types("\x1a") // ^Z
	at.until("Stopped")
	at.types("jobs\n")
	at.until("Stopped")
	at.types("fg\n")
	at.until("exe")
	at.types("two\n")
	if got := at.until("read: two"); !strings.Contains(got, fmt.Sprintf("interrupts: %d ", keys)) {
		t.Errorf("after ^C and ^Z: %q", got)
	}
	at.types("\x04") // the end of the input
	at.types("echo status: $?\n")
	at.until("status: 6")
	at.types("exit\n")
	if err := at.shell.Wait(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited {
			t.Fatal(err)
		}
	}
	s.clean()
}
