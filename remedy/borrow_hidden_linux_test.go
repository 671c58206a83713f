package remedy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// borrowHidden is the first process of a PID namespace, where procfs is mounted with
// hidepid and a process of root's holds a socket. It tells what another user is told
// who asks for that, by its holder and without.
func borrowHidden() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return err
	}
	cmd := exec.Command("cat")
	socket := os.NewFile(uintptr(fd), "socket")
	cmd.ExtraFiles = []*os.File{socket}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer in.Close()
	socket.Close()
	holder, _, err := procfs.FS{}.Descriptors(int32(cmd.Process.Pid))
	if err != nil {
		return err
	}
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	known := tcpvet.Target{Inode: st.Ino, Cookie: cookie, Holder: holder}
	unknown := known
	unknown.Holder = tcpvet.Unseen
	said := make([]string, 2, 3)
	err = borrow(context.Background(), []tcpvet.Target{known, unknown}, nil, func(i, _ int, err error) { said[i] = err.Error() })
	return errors.Join(err, kerneltest.Say(append(said, mayShutDown(holder).Error())))
}

// A holder whose /proc/PID cannot be read has not ended: what is needed is told.
func TestRootBorrowHidden(t *testing.T) {
	kerneltest.Root(t)
	var said []string
	kerneltest.Play(t, "borrow-hidden", &said, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	})
	pid := regexp.MustCompile(`process [0-9]+:`) // of the threads some come before it
	const why = "process is hidden, as procfs is mounted with hidepid; needs root"
	holder := errNoBorrow.Error() + ": read process 2: "
	for i, want := range []string{
		holder + why,
		errNotHeld.Error() + ": to see all of them needs root",
		errNoBorrow.Error() + ": read the signals of process 2: " + why,
	} {
		if i >= len(said) || pid.ReplaceAllString(said[i], "process 2:") != want {
			t.Errorf("got %q, want %q", said, want)
		}
	}
}
