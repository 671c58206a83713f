package procfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"hold":      hold,
		"leader":    leaderExits,
		"scan":      scanAndTell,
		"container": insideContainer,
		"hidden":    func() error { return hidden(func(tcpvet.Process) error { return scanAndTell() }) },
		"unread":    func() error { return hidden(readAndTell) },
	})
}

// hold keeps what it inherited until its input ends.
func hold() error {
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	return nil
}

// leaderExits holds a listener in a thread and ends the main thread, on which
// main runs as long as it is locked.
func leaderExits() error {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return fmt.Errorf("the main goroutine is not on the main thread")
	}
	fd, err := listen()
	if err != nil {
		return err
	}
	go func() {
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		fmt.Println(st.Ino)
		os.Stdin.Read(make([]byte, 1))
		unix.Exit(0) // exit_group
	}()
	unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // of this thread alone
	return nil
}

// scanAndTell prints the gaps of a scan.
func scanAndTell() error {
	h, gaps, err := FS{}.ScanHolders(context.Background())
	if err != nil {
		return err
	}
	return kerneltest.Say(struct {
		Gaps      []tcpvet.Gap
		Processes int
	}{gaps, len(h.procs)})
}

// hidden is the first process of a PID namespace, where procfs is mounted with
// hidepid and another process is root's. as is what another user does there.
func hidden(as func(other tcpvet.Process) error) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "hidepid="+os.Getenv("HIDEPID")); err != nil {
		return fmt.Errorf("mount procfs: %w", err)
	}
	other := kerneltest.Part("hold")
	in, err := other.StdinPipe()
	if err != nil {
		return err
	}
	if err := other.Start(); err != nil {
		return err
	}
	defer other.Wait()
	defer in.Close()
	p, _, err := FS{}.Descriptors(int32(other.Process.Pid))
	if err != nil {
		return err
	}
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	return as(p)
}

// readAndTell tells of which errors it meets as it reads a process, and one that there
// is not.
func readAndTell(p tcpvet.Process) error {
	said := make(map[string][]bool)
	for name, p := range map[string]tcpvet.Process{"other": p, "none": {PID: 1 << 21, Start: 1}, "special": tcpvet.Unseen} {
		_, info := FS{}.ProcessInfo(p)
		_, handles := FS{}.Handles(p, unix.SIGPIPE)
		for _, err := range []error{info, handles} {
			said[name] = append(said[name], errors.Is(err, ErrHidden), errors.Is(err, ErrEnded))
		}
	}
	return kerneltest.Say(said)
}

// listen opens a listener on 127.0.0.1 that nothing of Go's knows.
func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, 5)
}

// inode gives the inode of a descriptor as fstat tells it.
func inode(t testing.TB, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// play starts the test binary in a part and waits for its first line. It ends
// with the test.
func play(t testing.TB, name string, change func(*exec.Cmd)) (pid int, line string) {
	t.Helper()
	cmd := kerneltest.Part(name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(cmd)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	var said []byte
	for b := make([]byte, 1); ; {
		n, err := out.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		if err != nil {
			t.Fatalf("part %s ended early: %v", name, err)
		}
		said = append(said, b[:n]...)
	}
	return cmd.Process.Pid, strings.TrimSpace(string(said))
}

// process gives the identity of a running process.
func process(t testing.TB, pid int) tcpvet.Process {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	st, err := parseStat(b)
	if err != nil {
		t.Fatal(err)
	}
	return tcpvet.Process{PID: int32(pid), Start: st.start}
}
