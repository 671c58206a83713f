package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// doBorrowed answers jobs by duplicates of the sockets' descriptors. The error is
// ctx's.
func doBorrowed(ctx context.Context, jobs []*timersJob) error {
	targets := make([]tcpvet.Target, len(jobs))
	for i, j := range jobs {
		targets[i] = *j.target
	}
	var notFound []*timersJob
	err := borrow(ctx, targets, nil, func(i, fd int, err error) {
		switch j := jobs[i]; {
		case err == nil:
			j.ask(fd)
		case errors.Is(err, errNotHeld):
			notFound = append(notFound, j)
		default:
			j.answer, j.err = refused, err
		}
	})
	if err != nil || len(notFound) == 0 {
		return err
	}
	return tellClosed(ctx, notFound)
}

// tellClosed answers jobs for whose sockets no process was found: they are closed, or a
// process has them that may not be looked at.
func tellClosed(ctx context.Context, jobs []*timersJob) error {
	of := make(map[tcpvet.NetnsID][]*timersJob)
	var ids []tcpvet.NetnsID
	for _, j := range jobs {
		id := j.target.Netns
		of[id] = append(of[id], j)
		ids = append(ids, id)
	}
	return inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		var left map[uint64]remains
		if err == nil {
			left, err = remainsHere(ctx)
		}
		for _, j := range of[id] {
			r, there := left[j.target.Cookie]
			switch {
			case err != nil && !errors.Is(err, netns.ErrGone):
				j.answer = refused
				j.err = fmt.Errorf("%w: no process that may be read holds it: %w", errNoBorrow, err)
			case !there || j.target.Inode != 0 && r.inode == 0:
				j.answer, j.state, j.err = closed, r.state, nil
			case j.target.Inode == 0:
				j.answer, j.err = refused, errors.New("no process holds it, and without one it can be reached by BPF only")
			default:
				j.answer = refused
				j.err = fmt.Errorf("%w: no process that may be read holds it; needs %s", errNoBorrow, procfs.PtraceNeeds())
			}
		}
	})
}

// remains are what the kernel has of a socket.
type remains struct {
	state tcpvet.State
	inode uint64 // 0 once its program has closed it
}

// remainsHere gives the sockets in the thread's namespace, by cookie.
func remainsHere(ctx context.Context) (map[uint64]remains, error) {
	c, err := sockdiag.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	left := make(map[uint64]remains)
	_, err = c.Dump(ctx, sockdiag.Request{States: tcpvet.AllStates}, func(s *tcpvet.Socket) error {
		left[s.Cookie] = remains{s.State, s.Inode}
		return nil
	})
	return left, err
}

// ask sets and reads the timers by a descriptor.
func (j *timersJob) ask(fd int) {
	now, err := timersOf(fd)
	if err != nil {
		j.answer, j.err = refused, err
		return
	}
	if j.set&setIdle != 0 {
		if j.silent, err = silentFor(fd); err != nil {
			j.answer, j.err = refused, err
			return
		}
	}
	calls := j.calls(now)
	for n, o := range calls {
		if err := o.set(fd); err != nil {
			j.answer, j.err = failed, &optionError{o.option, err}
			if n == 0 {
				j.answer = refused
			}
			if j.again(now) { // what had keepalive keeps it
				_ = keepaliveCall(true).set(fd)
			}
			return
		}
	}
	if len(calls) > 0 {
		if now, err = timersOf(fd); err != nil {
			j.answer, j.err = failed, err
			return
		}
	}
	j.answer, j.now, j.err = answered, now, nil
}

// silentFor is how long nothing was heard of the peer of the socket that fd is.
func silentFor(fd int) (time.Duration, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, fmt.Errorf("TCP_INFO: %w", err)
	}
	return time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond, nil
}

// call is a setsockopt(2).
type call struct {
	option             timersSet
	level, name, value int
}

func (c call) set(fd int) error { return unix.SetsockoptInt(fd, c.level, c.name, c.value) }

func keepaliveCall(on bool) call {
	c := call{setKeepalive, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}
	if on {
		c.value = 1
	}
	return c
}

// calls gives those that a job takes where now is in effect, in the order of
// bpf/keepalive.bpf.c.
func (j *timersJob) calls(now tcpvet.Timers) []call {
	differ := j.set & differing(now, j.to)
	var out []call
	if j.again(now) || differ&setKeepalive != 0 && !j.to.Keepalive {
		out = append(out, keepaliveCall(false))
	}
	for _, o := range [...]call{
		{setUserTimeout, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(j.to.UserTimeout / time.Millisecond)},
		{setInterval, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(j.to.Interval / time.Second)},
		{setCount, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, j.to.Count},
		{setIdle, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(j.to.Idle / time.Second)},
	} {
		if differ&o.option != 0 {
			out = append(out, o)
		}
	}
	if j.again(now) || differ&setKeepalive != 0 && j.to.Keepalive {
		out = append(out, keepaliveCall(true))
	}
	return out
}

// timersOf reads the timers in effect of the socket that fd is.
func timersOf(fd int) (tcpvet.Timers, error) {
	var v [5]int
	for i, o := range [...]call{
		{setKeepalive, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{setIdle, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 0},
		{setInterval, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 0},
		{setCount, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 0},
		{setUserTimeout, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0},
	} {
		var err error
		if v[i], err = unix.GetsockoptInt(fd, o.level, o.name); err != nil {
			return tcpvet.Timers{}, &optionError{o.option, err}
		}
	}
	return tcpvet.Timers{
		Keepalive: v[0] != 0, Idle: time.Duration(v[1]) * time.Second, Interval: time.Duration(v[2]) * time.Second,
		Count: v[3], UserTimeout: time.Duration(v[4]) * time.Millisecond,
	}, nil
}
