package remedy

import (
	"maps"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// A socket that another process has inherited since is for that one's sake destroyed,
// not shut down.
func TestRootCloseInherited(t *testing.T) {
	kerneltest.Netns(t)
	fd, peer := waiting(t, "127.0.0.1")
	const program = `import os, signal, sys, time
told = []
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
while not told: time.sleep(.01)
if os.fork() == 0:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdin.read()`
	cmd := keepingBy(t, exec.Command(kerneltest.Tool(t, "python3"), "-c", program), fd)
	parent := processOf(t, cmd)
	until(t, "it waits for the signal", func() bool {
		handled, err := procfs.FS{}.Handles(parent, unix.SIGUSR1)
		return err == nil && handled
	})
	p, err := PlanClose(t.Context(), closeOptions(t))
	ok(t, err)
	if len(p.Changes) != 1 || p.Changes[0].Target.Holder != parent || strings.Contains(strings.Join(p.Notes, " "), "SIGPIPE would end") {
		t.Fatalf("%+v", p.Plan)
	}
	until(t, "the parent has ended", func() bool {
		_ = cmd.Process.Signal(unix.SIGUSR1) // again, where it came before pause()
		_, err := unix.Wait4(cmd.Process.Pid, nil, unix.WNOHANG, nil)
		return err == unix.ECHILD
	})
	until(t, "the child alone holds it, and would die of SIGPIPE", func() bool {
		h, _, err := procfs.FS{}.ScanHolders(t.Context())
		ok(t, err)
		child, others, found := h.Lookup(p.Changes[0].Target.Inode)
		if !found || len(others) > 0 {
			return false
		}
		handled, err := procfs.FS{}.Handles(child, unix.SIGPIPE)
		return err == nil && !handled
	})
	ok(t, p.Apply(t.Context(), journalIn(t)))
	if got := reasons(p); !maps.Equal(got, map[string]int{"applied destroyed: " + errDeadly.Error(): 1}) {
		t.Errorf("%v", got)
	}
	if _, err := unix.Read(peer, make([]byte, 1)); err != unix.ECONNRESET {
		t.Errorf("the peer reads %v", err)
	}
}
