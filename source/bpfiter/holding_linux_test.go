package bpfiter_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// inhabit starts a process in the test's namespace.
func inhabit(t *testing.T) *kerneltest.Actor {
	t.Helper()
	var ready bool
	return kerneltest.Start(t, "hold", &ready, func(*exec.Cmd) {})
}

// hold keeps what it has inherited.
func hold() error {
	if err := kerneltest.Say(true); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

// startOf reads field 22 of /proc/PID/stat, the last but 30 of what follows the
// name in parentheses.
func startOf(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return strconv.ParseUint(f[22-3], 10, 64)
}

// ends makes a listener and a connection to it, on the calling thread.
func ends() (fds []int, inodes []uint64, err error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, nil, err
	}
	if err := unix.Listen(l, 8); err != nil {
		return nil, nil, err
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		return nil, nil, err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Connect(c, at); err != nil {
		return nil, nil, err
	}
	s, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	fds = []int{l, c, s}
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, nil, err
		}
		inodes = append(inodes, st.Ino)
	}
	return fds, inodes, nil
}

// leaderless is a process whose main thread ends; others hold its sockets.
func leaderless() error {
	ready := make(chan error)
	go func() {
		_, inodes, err := ends()
		if err == nil {
			err = kerneltest.Say(inodes)
		}
		ready <- err
		kerneltest.UntilEnd()
		os.Exit(0)
	}()
	if err := <-ready; err != nil {
		return err
	}
	runtime.LockOSThread() // the main thread, by Main
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	return errors.New("the main thread did not end")
}

// twins are two processes that share one table of descriptors (clone(2), CLONE_FILES).
func twins() error {
	fds, inodes, err := ends()
	if err != nil {
		return err
	}
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_FILES|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 {
		// A copy of this thread alone: nothing but system calls may follow.
		unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	if errno != 0 {
		return errno
	}
	defer func() {
		_ = unix.Kill(int(pid), unix.SIGKILL)
		_, _ = unix.Wait4(int(pid), nil, 0, nil)
		runtime.KeepAlive(fds)
	}()
	if err := kerneltest.Say(twin{int(pid), inodes}); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

type twin struct {
	Twin   int
	Inodes []uint64
}

// Who holds what is told as a scan of /proc tells it: a process whose main thread
// has ended, two processes, two that share a table, two descriptors of one, a thread
// that waits in a call.
func TestRootHolders(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	l, at := listen(t, netip.MustParseAddrPort("127.0.0.1:0"), 8)
	c, s := pair(t, l, at)

	var ready bool
	inherited := func(cmd *exec.Cmd) {
		for _, fd := range []int{l, c} {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			must(t, err)
			f := os.NewFile(uintptr(dup), "socket")
			t.Cleanup(func() { f.Close() }) // a second descriptor of this process too
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	child := kerneltest.Start(t, "hold", &ready, inherited)
	var orphaned []uint64
	headless := kerneltest.Start(t, "leaderless", &orphaned, func(*exec.Cmd) {})
	var both twin
	kerneltest.Start(t, "twins", &both, func(*exec.Cmd) {})
	until(t, "the main thread of the other process has ended", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", headless.Process.Pid))
		must(t, err)
		return strings.Contains(string(text), ") Z ")
	})

	// A call that waits holds a reference to the file.
	waiting := make(chan error)
	go func() {
		_, err := unix.Read(s, make([]byte, 1))
		waiting <- err
	}()
	t.Cleanup(func() {
		write(t, c, "x")
		must(t, <-waiting)
	})
	until(t, "a thread waits", func() bool { return waits(t, s) })

	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	must(t, err)
	defer unix.Close(raw)
	fresh := newSocket(t, at.Addr()) // in no table

	holders, _, err := procfs.FS{}.ScanHolders(t.Context())
	must(t, err)
	stream, err := bpfiter.NewStream()
	must(t, err)
	defer stream.Close()
	seen := make(map[uint64]tcpvet.Socket)
	_, err = stream.Held(t.Context(), 0, func(s *tcpvet.Socket) error {
		if s.Netns != id {
			return nil
		}
		if _, twice := seen[s.Inode]; twice {
			t.Errorf("%v %v -> %v was told twice", s.State, s.Local, s.Remote)
		}
		seen[s.Inode] = *s
		return nil
	})
	must(t, err)
	check := func(inode uint64, holders *procfs.Holders) {
		t.Helper()
		s, ok := seen[inode]
		first, others, known := holders.Lookup(inode)
		if !ok || !known {
			t.Errorf("socket %d: told %v, in /proc %v", inode, ok, known)
			return
		}
		if s.Holder != first || fmt.Sprint(s.SharedWith) != fmt.Sprint(others) {
			t.Errorf("socket %d is held by %v and %v, in /proc by %v and %v", inode, s.Holder, s.SharedWith, first, others)
		}
	}
	var mine unix.Stat_t
	for _, fd := range []int{l, c, s} {
		must(t, unix.Fstat(fd, &mine))
		check(mine.Ino, holders)
	}
	for _, inode := range orphaned {
		check(inode, holders)
		if p := seen[inode].Holder.PID; int(p) != headless.Process.Pid {
			t.Errorf("process %d holds a socket of %d, whose main thread has ended", p, headless.Process.Pid)
		}
	}
	for _, inode := range both.Inodes {
		check(inode, holders)
		if with := seen[inode].SharedWith; len(with) != 1 || int(with[0].PID) != both.Twin {
			t.Errorf("a socket of two processes with one table is shared with %v, want %d", with, both.Twin)
		}
	}
	if n := len(seen[inodeOf(t, c)].SharedWith); n != 1 {
		t.Errorf("the client is shared with %d processes, want process %d", n, child.Process.Pid)
	}
	if len(seen) != 9 {
		t.Errorf("%d sockets, want 9: a listener and both ends of a connection, three times", len(seen))
	}

	counts := make(map[tcpvet.Process]bpfiter.Process)
	must(t, stream.Processes(func(p tcpvet.Process, v bpfiter.Process) error { counts[p] = v; return nil }))
	for _, pid := range []int{child.Process.Pid, headless.Process.Pid} {
		start, err := startOf(pid)
		must(t, err)
		p := tcpvet.Process{PID: int32(pid), Start: start}
		want, _ := holders.Counts(p)
		if got := counts[p]; got.Descriptors != want.Descriptors || got.Sockets != want.Sockets || got.LeaderExited != want.LeaderExited {
			t.Errorf("process %d: %+v, in /proc %+v", pid, got, want)
		}
	}
	self, err := startOf(os.Getpid())
	must(t, err)
	if got := counts[tcpvet.Process{PID: int32(os.Getpid()), Start: self}].Tableless; got.Used != 0 || got.Quiet != 1 || got.Inode != inodeOf(t, fresh) {
		t.Errorf("sockets in no table: %+v; want one that was never connected, %d", got, inodeOf(t, fresh))
	}
}

func inodeOf(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st.Ino
}

// waits tells whether a thread of this process is in a read of the descriptor:
// proc_pid_syscall(5) gives the call's number and arguments.
func waits(t *testing.T, fd int) bool {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/syscall")
		if err == nil && strings.HasPrefix(string(text), fmt.Sprintf("%d %#x ", unix.SYS_READ, fd)) {
			return true
		}
	}
	return false
}
