package live

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/probe"
)

// pause is how often a wait looks whether it is to end.
const pause = 100 * time.Millisecond

// connect tries once, on the calling thread, and closes what it opened: a handshake
// and an orderly close are all that is sent. Where a source port is asked for,
// SO_REUSEADDR is set, as programs that choose one do.
//
// An error means that it was not tried.
func connect(ctx context.Context, remote, bind netip.AddrPort, timeout time.Duration) (probe.Attempt, error) {
	a := probe.Attempt{Remote: remote, Bind: bind}
	family := unix.AF_INET
	if remote.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return ended(a, probe.StepSocket, err)
	}
	defer unix.Close(fd)
	if keep, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); err == nil {
		a.Keepalive = keep != 0
	}
	if bind.IsValid() {
		if bind.Port() != 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return ended(a, probe.StepSocket, err)
			}
		}
		if err := unix.Bind(fd, sockaddr(bind)); err != nil {
			return ended(a, probe.StepBind, err)
		}
	}
	start := time.Now()
	err = unix.Connect(fd, sockaddr(remote))
	if err == unix.EINPROGRESS {
		var ready bool
		if ready, err = wait(ctx, fd, unix.POLLOUT, start.Add(timeout)); err != nil {
			return a, err
		}
		a.Took = time.Since(start)
		if !ready {
			a.GaveUp, a.SYNs = true, syns(fd)
			return a, nil
		}
		var n int
		if n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
			err = unix.Errno(n)
		}
	}
	a.Took = time.Since(start)
	if err == unix.ETIMEDOUT {
		a.SYNs = syns(fd)
	}
	if err != nil {
		return ended(a, probe.StepConnect, err)
	}
	if local, err := unix.Getsockname(fd); err == nil {
		a.Local = addrPort(local)
	}
	if peer, err := unix.Getpeername(fd); err == nil && remote.Addr().IsUnspecified() {
		a.Remote = addrPort(peer) // 127.0.0.1 for 0.0.0.0
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		const stamps = 1 // TCPI_OPT_TIMESTAMPS in include/uapi/linux/tcp.h
		a.Timestamps = info.Options&stamps != 0
	}
	closeOrderly(ctx, fd)
	return a, nil
}

// ended is an attempt that a call of the kernel ended.
func ended(a probe.Attempt, step probe.Step, err error) (probe.Attempt, error) {
	var e unix.Errno
	if !errors.As(err, &e) {
		return a, err
	}
	a.Step, a.Errno = step, probe.Errno(e)
	return a, nil
}

// syns gives how many SYNs a socket without an answer has sent, 0 where not known.
func syns(fd int) int {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return 1 + int(info.Total_retrans)
}

// closeOrderly sends the FIN and reads what the peer has to say, for a while: to
// close with unread data would send an RST in place of a FIN.
func closeOrderly(ctx context.Context, fd int) {
	if unix.Shutdown(fd, unix.SHUT_WR) != nil {
		return
	}
	const patience, enough = time.Second, 1 << 20
	deadline := time.Now().Add(patience)
	buf := make([]byte, 16<<10)
	for read := 0; read < enough; {
		if ready, err := wait(ctx, fd, unix.POLLIN, deadline); err != nil || !ready {
			return
		}
		n, err := unix.Read(fd, buf)
		if n <= 0 && err != unix.EAGAIN && err != unix.EINTR {
			return
		}
		read += max(n, 0)
	}
}

// wait waits until the descriptor is ready. An error is that of ctx or of poll().
func wait(ctx context.Context, fd int, events int16, deadline time.Time) (ready bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		rest := max(time.Until(deadline), 0)
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		// Rounded up, so that the last round does not spin.
		n, err := unix.Poll(fds, int((min(rest, pause)+time.Millisecond-1)/time.Millisecond))
		if n > 0 {
			return true, nil
		}
		if err != nil && err != unix.EINTR {
			return false, err
		}
		if rest == 0 {
			return false, nil
		}
	}
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16(), ZoneId: uint32(linkIndex(ap.Addr().Zone()))}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
