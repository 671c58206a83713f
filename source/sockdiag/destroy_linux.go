package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrNoDestroy says that the kernel cannot end sockets of others.
var ErrNoDestroy = errors.New("this kernel cannot destroy TCP sockets: it was built without CONFIG_INET_DIAG_DESTROY")

// ErrNotAdmin says that one may not end sockets of the namespace.
var ErrNotAdmin = errors.New("destroying sockets is not permitted; it needs CAP_NET_ADMIN over their network namespace")

// ProbeDestroy tells why Destroy would fail for every socket of the network namespace
// that the calling thread is in: ErrNoDestroy, ErrNotAdmin, or that sock_diag cannot be
// asked; nil where it would not. It touches no socket but its own.
func (c *Conn) ProbeDestroy() error {
	// The kernel looks for the socket before it asks for the right
	// (sock_diag_destroy). There is none of port 0.
	none := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	var answer error
	err := c.Destroy(context.Background(), []ID{{Local: none, Remote: none, Cookie: 1}}, func(_ int, err error) { answer = err })
	switch {
	case err != nil:
		return err
	case errors.Is(answer, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: %w", ErrNoDestroy, unix.EOPNOTSUPP)
	case answer == nil:
		return errors.New("probe the destruction of sockets: the kernel says that it has destroyed one of port 0")
	case !errors.Is(answer, ErrGone):
		return answer
	}
	// TCP_REPAIR asks for the same right over the same namespace
	// (tcp_can_repair_sock), and does nothing to a socket that is closed next.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket to learn what is permitted: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1); err == unix.EPERM {
		return fmt.Errorf("%w: %w", ErrNotAdmin, unix.EPERM)
	}
	return nil // or the kernel has no TCP_REPAIR, and the attempt will show
}
