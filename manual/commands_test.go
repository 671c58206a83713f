package manual

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// shell prepares a command as an engineer would type it, who has the
// directories of root in the path. A failure in a pipe is one of the whole.
func shell(ctx context.Context, run string) *exec.Cmd {
	run = strings.ReplaceAll(run, "PID", "$$") // of the shell: this program's descriptors come and go
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", run)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
	return cmd
}

func needTools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"bash", "ss", "ip", "sysctl"} {
		kerneltest.Tool(t, name)
	}
}

// runAndCheck runs a command that ends by itself.
func runAndCheck(t *testing.T, c Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := shell(ctx, c.Run)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if c.Run == "cat /proc/net/if_inet6" && errors.Is(statErr("/proc/net/if_inet6"), os.ErrNotExist) {
			return // a kernel without IPv6, as the page says
		}
		// head has what it wants, and goes while the others still write: SIGPIPE.
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() == 128+int(syscall.SIGPIPE) && strings.Contains(c.Run, "| head") {
			return
		}
		t.Errorf("%s: %v\n%s", c.Run, err, stderr.String())
	}
	if stderr.Len() > 0 && !strings.HasPrefix(c.Run, "ss -Ktn") { // iproute2 6.1 says EINVAL after it has done it
		t.Errorf("%s: complains: %s", c.Run, stderr.String())
	}
	if counters, ok := strings.CutPrefix(c.Run, "nstat -asz "); ok {
		for _, name := range strings.Fields(counters) {
			if !strings.Contains(stdout.String(), name+" ") {
				t.Errorf("%s: this kernel has no counter %s", c.Run, name)
			}
		}
	}
}

func statErr(path string) error { _, err := os.Stat(path); return err }

// TestCommandsRun runs each command that only reads, as any user.
func TestCommandsRun(t *testing.T) {
	needTools(t)
	ran := 0
	for _, c := range commands() {
		if c.Root || c.Waits || c.Changes || strings.HasPrefix(c.Run, "tcpvet ") {
			continue
		}
		ran++
		runAndCheck(t, c)
	}
	if ran < 40 {
		t.Errorf("only %d commands ran", ran)
	}
}

// TestRootCommandsRun runs the others in a namespace of its own: those that
// change it, and those that run until they are stopped.
func TestRootCommandsRun(t *testing.T) {
	needTools(t)
	kerneltest.Tool(t, "tcpdump")
	kerneltest.Netns(t)
	waits, changes := 0, 0
	for _, c := range commands() {
		switch {
		case strings.HasPrefix(c.Run, "tcpvet "):
		case c.Waits:
			waits++
			runUntilStopped(t, c)
		case c.Root || c.Changes:
			changes++
			runAndCheck(t, c)
		}
	}
	if waits < 3 || changes < 3 {
		t.Errorf("%d commands that wait and %d that change something", waits, changes)
	}
}

// TestRootCommandsShow makes three connections whose peer has closed, and reads
// what the commands with columns print about them.
func TestRootCommandsShow(t *testing.T) {
	needTools(t)
	kerneltest.Netns(t)
	l, err := net.Listen("tcp4", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		client, err := net.Dial("tcp4", "127.0.0.1:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
	}
	// At one end CLOSE-WAIT with the FIN unread, at the other FIN-WAIT-2
	// that nobody holds; and the listener. A FIN may be acknowledged late.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		raw, err := os.ReadFile("/proc/thread-self/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		finWait1 := 0
		for line := range strings.Lines(string(raw)) {
			if strings.Fields(line)[3] == "04" {
				finWait1++
			}
		}
		if finWait1 == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d FINs are not acknowledged", finWait1)
		}
	}
	for _, test := range []struct{ topic, has, line string }{
		{"CLOSE-WAIT", "wc -l", "3"},
		{"CLOSE-WAIT", "$1, $4", "3 1 127.0.0.1:8080"},
		{"FIN-WAIT-2", "timewait", "3 0"},
		{"ports", "$4, $5", "3 127.0.0.1 127.0.0.1:8080"},
		{"states", "uniq -c", "3 CLOSE-WAIT"},
		{"states", "uniq -c", "3 FIN-WAIT-2"},
		{"states", "uniq -c", "1 LISTEN"},
		{"ECONNREFUSED", "sport", "LISTEN 0 " + backlog(t) + " 127.0.0.1:8080 0.0.0.0:*"},
	} {
		topic, _, _ := Find(test.topic)
		ran := false
		for _, b := range topic.Body {
			cs, _ := b.(Commands)
			for _, c := range cs {
				if !strings.Contains(c.Run, test.has) {
					continue
				}
				ran = true
				out, err := shell(t.Context(), c.Run).Output()
				if err != nil || !strings.Contains(squeeze(string(out)), "\n"+test.line+"\n") {
					t.Errorf("%s: %s\nlacks %q, %v:\n%s", test.topic, c.Run, test.line, err, out)
				}
			}
		}
		if !ran {
			t.Errorf("%s has no command with %q", test.topic, test.has)
		}
	}
}

// backlog is the limit of a queue in this namespace: Go asks for all there is.
func backlog(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// runUntilStopped expects that the command is still at it after it has said
// that it listens.
func runUntilStopped(t *testing.T, c Command) {
	t.Helper()
	cmd := shell(t.Context(), "exec "+c.Run)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	var said strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(said.String(), "listening on") {
		n, err := stderr.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.Contains(said.String(), "listening on") {
		t.Errorf("%s: does not listen: %s", c.Run, said.String())
	}
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v after Ctrl-C\n%s", c.Run, err, said.String())
	}
}
