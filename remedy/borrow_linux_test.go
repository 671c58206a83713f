package remedy

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// lendable is a socket and its target, without a holder.
func lendable(t *testing.T) (fd int, target tcpvet.Target) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	ok(t, err)
	var st unix.Stat_t
	ok(t, unix.Fstat(fd, &st))
	target.Inode = st.Ino
	target.Cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	ok(t, err)
	return fd, target
}

func processOf(t *testing.T, cmd *exec.Cmd) tcpvet.Process {
	t.Helper()
	p, _, err := procfs.FS{}.Descriptors(int32(cmd.Process.Pid))
	ok(t, err)
	return p
}

// lent words what use is told of each target.
func lent(t *testing.T, targets ...tcpvet.Target) (said []string) {
	t.Helper()
	said = make([]string, len(targets))
	ok(t, borrow(t.Context(), targets, nil, func(i, fd int, err error) {
		if said[i] != "" {
			t.Errorf("used twice: %d", i)
		}
		if err != nil {
			said[i] = err.Error()
			return
		}
		got, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		ok(t, err)
		said[i] = "another socket"
		if got == targets[i].Cookie {
			said[i] = "lent"
		}
	}))
	return said
}

func TestRootBorrow(t *testing.T) {
	kerneltest.Netns(t)
	a, at := lendable(t)
	b, bt := lendable(t)
	c, ct := lendable(t)
	dup, err := unix.FcntlInt(uintptr(c), unix.F_DUPFD_CLOEXEC, 0)
	ok(t, err)
	second, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0) // of the same socket
	ok(t, err)
	one, other := keeping(t, "", a, second, c), keeping(t, "", b, dup)
	first := processOf(t, one)
	at.Holder, bt.Holder, ct.Holder = first, processOf(t, other), first

	// Each by the process that has it, whatever is said of that.
	moved, unknown, recycled := bt, bt, at
	moved.Holder = first           // it does not have it
	unknown.Holder = tcpvet.Unseen // nobody was seen
	recycled.Holder.Start++        // the PID is another's
	none, wrong, gone := at, at, at
	none.Inode = 0
	wrong.Cookie++ // as one that has the inode by now
	gone.Inode = 1<<32 - 1
	targets := []tcpvet.Target{at, bt, ct, moved, unknown, recycled, none, wrong, gone}
	want := []string{"lent", "lent", "lent", "lent", "lent", "lent", errNotHeld.Error(), errNotHeld.Error(), errNotHeld.Error()}
	if got := lent(t, targets...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
	// The holder has ended, another has inherited it.
	ok(t, one.Process.Kill())
	one.Wait()
	if got := lent(t, at, ct); got[0] != errNotHeld.Error() || got[1] != "lent" {
		t.Errorf("after the end of the first: %q", got)
	}
	if _, err := openLender(first); !errors.Is(err, procfs.ErrEnded) {
		t.Errorf("one that has ended: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := borrow(ctx, targets[1:2], nil, func(int, int, error) { t.Error("used") }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// Nothing is left open that was borrowed.
func TestRootBorrowGivesBack(t *testing.T) {
	kerneltest.Netns(t)
	fd, target := lendable(t)
	target.Holder = processOf(t, keeping(t, "", fd))
	next := func() int {
		n, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		ok(t, err)
		unix.Close(n)
		return n
	}
	lent(t, target) // what the runtime opens, it has opened then
	free := next()
	for range 100 {
		lent(t, target)
	}
	if now := next(); now > free+8 {
		t.Errorf("the lowest free descriptor was %d and is %d", free, now)
	}
}

// The main thread of a program may exit and leave its descriptors to the others.
func TestRootBorrowWithoutLeader(t *testing.T) {
	kerneltest.Netns(t)
	fd, target := lendable(t)
	python := kerneltest.Tool(t, "python3")
	const program = `import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall(%d, 0)`
	cmd := keepingBy(t, exec.Command(python, "-c", fmt.Sprintf(program, unix.SYS_EXIT)), fd)
	until(t, "its main thread has exited", func() bool {
		p := processOf(t, cmd)
		info, err := procfs.FS{}.ProcessInfo(p)
		return err == nil && info.LeaderExited
	})
	target.Holder = processOf(t, cmd)
	if got := lent(t, target); got[0] != "lent" {
		t.Errorf("got %q", got)
	}
}

// Without the right over a process its sockets stay where they are, and that is known
// before.
func TestRootBorrowNotPermitted(t *testing.T) {
	kerneltest.Netns(t)
	fd, target := lendable(t)
	cmd := keepingAs(t, 65534, "trap '' PIPE; ", fd)
	target.Holder = processOf(t, cmd)
	ok(t, mayShutDown(target.Holder))
	// Capabilities belong to the thread, which is the test's.
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	ok(t, unix.Capget(&head, &caps[0]))
	less := caps
	less[0].Effective, less[1].Effective = 1<<unix.CAP_NET_ADMIN, 0
	ok(t, unix.Capset(&head, &less[0]))
	before := mayShutDown(target.Holder)
	said := lent(t, target)
	ok(t, unix.Capset(&head, &caps[0]))
	const want = "its descriptor may not be borrowed: operation not permitted; needs CAP_SYS_PTRACE"
	if !errors.Is(before, errNoBorrow) || before.Error() != want || said[0] != want {
		t.Errorf("before: %v; then: %q", before, said)
	}
}
