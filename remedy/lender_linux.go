package remedy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// lender is a process whose descriptors are borrowed.
type lender struct{ tables []lenderTable }

// lenderTable is a table of descriptors: threads share one, but for those that asked
// for their own.
type lenderTable struct {
	dir   string // "/proc/4121/fd"
	pidfd int
}

// descriptor is one in a table.
type descriptor struct{ pidfd, fd int }

// openLender opens a process. The error wraps procfs.ErrEnded where it has ended.
func openLender(p tcpvet.Process) (*lender, error) {
	l := new(lender)
	pid := int(p.PID)
	own := "/proc/" + strconv.Itoa(pid)
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil, procfs.ErrEnded
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	l.tables = append(l.tables, lenderTable{own + "/fd", fd})
	// Only now: the descriptor then is of this process, and not of a later one
	// that has its PID.
	info, err := procfs.FS{}.ProcessInfo(p)
	if err != nil {
		l.close()
		return nil, notRead(err)
	}
	if info.LeaderExited {
		l.threads(own+"/task", strconv.Itoa(pid))
	}
	return l, nil
}

// threads adds the tables of a process whose main thread has exited.
func (l *lender) threads(task, leader string) {
	const most = 16
	entries, err := os.ReadDir(task)
	if err != nil {
		return
	}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil || e.Name() == leader {
			continue
		}
		if fd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD); err == nil {
			l.tables = append(l.tables, lenderTable{task + "/" + e.Name() + "/fd", fd})
		}
		if len(l.tables) == most {
			return
		}
	}
}

func (l *lender) close() {
	for _, t := range l.tables {
		unix.Close(t.pidfd)
	}
}

// allowed tells whether descriptors may be borrowed from the process: the kernel asks
// that before it looks at the number (__pidfd_fget in kernel/pid.c).
func (l *lender) allowed() error {
	const none = 1<<31 - 1
	_, err := unix.PidfdGetfd(l.tables[0].pidfd, none, 0)
	if err == unix.EBADF {
		return nil
	}
	return notLent(err)
}

// find fills in the descriptors of the inodes that are wanted.
func (l *lender) find(wanted map[uint64][]descriptor) error {
	for _, t := range l.tables {
		if err := t.find(wanted); err != nil {
			return err
		}
	}
	return nil
}

func (t *lenderTable) find(wanted map[uint64][]descriptor) error {
	d, err := os.Open(t.dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return notLent(err)
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(4096)
		for _, name := range names {
			var st unix.Stat_t
			switch err := unix.Fstatat(int(d.Fd()), name, &st, 0); {
			case err == unix.EACCES || err == unix.EPERM:
				return notLent(err)
			case err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK:
				continue
			}
			if have, ok := wanted[st.Ino]; ok {
				fd, err := strconv.Atoi(name)
				if err == nil {
					wanted[st.Ino] = append(have, descriptor{t.pidfd, fd})
				}
			}
		}
		switch {
		case err == io.EOF, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
			return nil // the end, or the process has ended
		case err != nil:
			return notLent(err)
		}
	}
}

// take duplicates the first of the descriptors that is of the socket with the cookie.
func take(ds []descriptor, cookie uint64) (int, error) {
	for _, d := range ds {
		fd, err := unix.PidfdGetfd(d.pidfd, d.fd, 0)
		switch {
		case err == unix.EBADF || err == unix.ESRCH:
			continue
		case err != nil:
			return -1, notLent(err)
		}
		if got, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err == nil && got == cookie {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, errNotHeld
}

// notRead words why /proc does not tell of a process: it has ended, or nothing can be
// borrowed from it.
func notRead(err error) error {
	switch {
	case errors.Is(err, procfs.ErrEnded):
		return err
	case errors.Is(err, procfs.ErrHidden):
		return fmt.Errorf("%w: %w; needs %s", errNoBorrow, err, procfs.PtraceNeeds())
	}
	return notLent(err)
}

// notLent words why a process does not lend.
func notLent(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %w; needs %s", errNoBorrow, unix.EPERM, procfs.PtraceNeeds())
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel lacks pidfd_getfd (Linux 5.6): %w", errNoBorrow, err)
	}
	return fmt.Errorf("%w: %w", errNoBorrow, err)
}
