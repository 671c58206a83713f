package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/probe"
)

// moment is when something happened, as far as looking now and then tells: after the
// one time, and not after the other.
type moment struct{ after, by time.Time }

// until encloses the time from m to a later moment.
func (m moment) until(later moment) probe.Between {
	return probe.Between{Low: max(later.after.Sub(m.by), 0), High: later.by.Sub(m.after)}
}

// mark is the last time that something happened, and the time before that where the
// last lies in one burst with what came just before it.
type mark struct{ last, prior moment }

// burst is how far apart the last words of a server and its FIN may lie.
const burst = 300 * time.Millisecond

func (k *mark) note(at moment) {
	if at.by.Sub(k.last.by) > burst {
		k.prior = k.last
	}
	k.last = at
}

// before gives the last time that is not of the burst in which it all ended.
func (k *mark) before(end moment) moment {
	if end.by.Sub(k.last.by) <= burst && !k.prior.by.IsZero() {
		return k.prior
	}
	return k.last
}

// connection is one that is left idle, and what the kernel has told of it.
type connection struct {
	tcp    *net.TCPConn
	raw    syscall.RawConn
	remote netip.AddrPort // that answered: 127.0.0.1 where 0.0.0.0 was asked for
	local  netip.AddrPort

	opened  moment
	crossed mark // when the last segment did, of either side
	said    mark // when the last data did, or the handshake ended

	seen  time.Time // when the kernel was last asked, before it answered
	in    uint32    // segments until then
	inTo  uint32    // of them, those before the last burst
	out   uint32
	heard uint64 // bytes of data

	ended moment // zero while it is open
	fate  probe.Fate
	errno probe.Errno
	rtt   time.Duration
	acked time.Duration // how long ago the last ACK came, when it was last asked
}

// open connects. Keepalive is off: what ran this may have turned it on for all its
// sockets.
func open(ctx context.Context, remote netip.AddrPort, timeout time.Duration) (*connection, error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: -1}
	d.SetMultipathTCP(false)
	c := &connection{opened: moment{after: time.Now()}}
	nc, err := d.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, err
	}
	c.opened.by = time.Now()
	c.tcp = nc.(*net.TCPConn)
	if c.raw, err = c.tcp.SyscallConn(); err == nil {
		err = c.set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("turn keepalive off: %w", err)
	}
	c.local, c.remote = endpoint(nc.LocalAddr()), endpoint(nc.RemoteAddr())
	c.crossed.last, c.said.last, c.seen = c.opened, c.opened, c.opened.by
	return c, c.look()
}

func endpoint(a net.Addr) netip.AddrPort {
	at := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// set sets an option.
func (c *connection) set(level, option, value int) (err error) {
	if e := c.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }); e != nil {
		return e
	}
	return err
}

// look asks the kernel what has crossed since it was last asked. It reads what has
// come, and throws it away: a close with unread data would send an RST.
func (c *connection) look() error {
	if !c.ended.by.IsZero() {
		return nil
	}
	var info *unix.TCPInfo
	var got int
	var failure, err error
	begin := time.Now()
	e := c.raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			got, failure = drain(int(fd))
		}
	})
	if err = errors.Join(e, err); err != nil {
		return fmt.Errorf("ask the kernel about a connection: %w", err)
	}
	now := moment{after: c.seen, by: time.Now()}
	if info.Segs_in != c.in || info.Segs_out != c.out {
		if now.by.Sub(c.crossed.last.by) > burst {
			c.inTo = c.in
		}
		c.crossed.note(now)
	}
	if info.Bytes_received > c.heard {
		c.said.note(now)
	}
	c.in, c.out, c.heard = info.Segs_in, info.Segs_out, max(info.Bytes_received, c.heard)
	c.rtt = time.Duration(info.Rtt) * time.Microsecond
	c.acked = time.Duration(info.Last_ack_recv) * time.Millisecond
	c.seen = begin
	errno, _ := errors.AsType[unix.Errno](failure)
	switch {
	case got == 0 && failure == nil:
		c.end(now, probe.Closed, 0)
	case errno == unix.EAGAIN || failure == nil:
	case errno == unix.ETIMEDOUT || errno == unix.EHOSTUNREACH || errno == unix.ENETUNREACH:
		c.end(now, probe.Silent, errno)
	default:
		c.end(now, probe.ResetIdle, errno)
	}
	return nil
}

func (c *connection) end(at moment, fate probe.Fate, errno unix.Errno) {
	c.ended, c.fate, c.errno = at, fate, probe.Errno(errno)
}

// enough is how much is read at one look: more comes at the next.
const enough = 1 << 16

// drain reads without waiting. It gives 0 and nil at the end of the stream, and the
// last error where it did not come so far.
func drain(fd int) (n int, err error) {
	buf := make([]byte, 4096)
	for read := 0; read < enough; {
		n, err = unix.Read(fd, buf) // package net has made it non-blocking
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return max(n, 0), err
		}
		read += n
	}
	return 1, nil
}

// ask makes the kernel send a keepalive probe at once, or when the connection has been
// silent for Least, and others every second until one is answered. The last option
// starts the timer anew (kernel function tcp_sock_set_keepidle_locked).
func (c *connection) ask() error {
	for _, o := range [...]struct{ level, option, value int }{
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, maxProbes},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(Least / time.Second)},
	} {
		if err := c.set(o.level, o.option, o.value); err != nil {
			// An RST that has come meanwhile shows at the next look.
			return fmt.Errorf("turn keepalive on: %w", err)
		}
	}
	return nil
}

// maxProbes keeps the kernel from ending the connection by itself: how long to wait is
// decided here.
const maxProbes = 127

// abandon closes without a FIN that would be sent again and again to nobody.
func (c *connection) abandon() {
	_ = c.tcp.SetLinger(0)
	c.tcp.Close()
}
