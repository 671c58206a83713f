package remedy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

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
// hold the socket are looked for once, for all of those together. Of these each has to
// be fit: that of the holder its caller has asked; nil is for any.
//
// The error for one target is errNotHeld, errNoBorrow, fit's or one of the kernel; fd
// is -1 then. That of borrow is ctx's: the targets that are left were not tried.
func borrow(ctx context.Context, targets []tcpvet.Target, fit func(tcpvet.Process) error, use func(i, fd int, err error)) error {
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
	notHeld := errNotHeld
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
		h, gaps, err := procfs.FS{}.ScanHolders(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			notHeld = fmt.Errorf("%w: %w", errNotHeld, err)
			break
		}
		// Of some processes no privilege shows them.
		if len(gaps) > 0 && !procfs.MayReadDescriptors() {
			notHeld = fmt.Errorf("%w: to see all of them needs %s", errNotHeld, gaps[0].Needs)
		}
		looked := left
		left, order = nil, nil
		clear(by)
		for _, i := range looked {
			first, others, ok := h.Lookup(targets[i].Inode)
			if !ok {
				left = append(left, i)
			} else if err := allFit(fit, first, others); err != nil {
				use(i, -1, err)
			} else {
				group(first, i)
			}
		}
	}
	for _, i := range left {
		use(i, -1, notHeld)
	}
	return nil
}

// allFit tells why one of the processes that hold a socket is not fit. One that has
// ended meanwhile matters no more.
func allFit(fit func(tcpvet.Process) error, first tcpvet.Process, others []tcpvet.Process) error {
	if fit == nil {
		return nil
	}
	if err := fit(first); err != nil && !errors.Is(err, procfs.ErrEnded) {
		return err
	}
	for _, p := range others {
		if err := fit(p); err != nil && !errors.Is(err, procfs.ErrEnded) {
			return err
		}
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
