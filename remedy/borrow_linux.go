package remedy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// Why a descriptor of another process could not be borrowed.
var (
	errNotHeld  = errors.New("no process that can be seen holds it any more")
	errNoBorrow = errors.New("its descriptor may not be borrowed")
)

// borrow duplicates a descriptor of each target, a socket, out of the process that
// holds it (pidfd_getfd(2)), and hands it to use, which is called once for each
// target. The descriptor lasts until use returns, and is of the socket that has the
// target's cookie. Where the holder has ended, or is not known, other processes that
// hold the socket are looked for once, for all of those together.
//
// The error for one target is errNotHeld, errNoBorrow or one of the kernel; fd is -1
// then. That of borrow is ctx's: the targets that are left were not tried.
func borrow(ctx context.Context, targets []tcpvet.Target, use func(i, fd int, err error)) error {
	by := make(map[tcpvet.Process][]int)
	var order []tcpvet.Process
	group := func(p tcpvet.Process, i int) {
		if by[p] == nil {
			order = append(order, p)
		}
		by[p] = append(by[p], i)
	}
	var left []int // those that have to be looked for
	for i := range targets {
		switch t := &targets[i]; {
		case t.Inode == 0:
			use(i, -1, errNotHeld)
		case t.Holder.Known():
			group(t.Holder, i)
		default:
			left = append(left, i)
		}
	}
	for round := 0; ; round++ {
		for _, p := range order {
			if err := ctx.Err(); err != nil {
				return err
			}
			left = append(left, borrowFrom(p, targets, by[p], use)...)
		}
		if len(left) == 0 || round == 1 {
			break
		}
		h, _, err := procfs.FS{}.ScanHolders(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			break
		}
		looked := left
		left, order = nil, nil
		clear(by)
		for _, i := range looked {
			if first, _, ok := h.Lookup(targets[i].Inode); ok {
				group(first, i)
			} else {
				left = append(left, i)
			}
		}
	}
	for _, i := range left {
		use(i, -1, errNotHeld)
	}
	return nil
}

// borrowFrom serves the targets at places from one process, and gives those that it
// does not hold.
func borrowFrom(p tcpvet.Process, targets []tcpvet.Target, places []int, use func(i, fd int, err error)) (left []int) {
	l, err := openLender(p)
	if err != nil {
		if !errors.Is(err, procfs.ErrEnded) {
			for _, i := range places {
				use(i, -1, err)
			}
			return nil
		}
		return places
	}
	defer l.close()
	wanted := make(map[uint64][]descriptor, len(places))
	for _, i := range places {
		wanted[targets[i].Inode] = nil
	}
	if err := l.find(wanted); err != nil {
		for _, i := range places {
			use(i, -1, err)
		}
		return nil
	}
	for _, i := range places {
		fd, err := take(wanted[targets[i].Inode], targets[i].Cookie)
		if errors.Is(err, errNotHeld) {
			left = append(left, i)
			continue
		}
		use(i, fd, err)
		if err == nil {
			unix.Close(fd)
		}
	}
	return left
}

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
		return nil, err
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
		if err != nil {
			return nil // the end, or the process has ended
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

// endpoint gives an address of a socket, one that is IPv4-mapped as IPv4.
func endpoint(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return tcpvet.Unmap(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
	}
	return netip.AddrPort{}
}
