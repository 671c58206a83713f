package run

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// checkLocal says which address of the pool the network namespace of the calling thread
// does not have. The kernel is asked: bind(2) does what a connect will do.
func checkLocal(pool []netip.Addr) error {
	for _, a := range pool {
		if err := bindable(a.Unmap()); err != nil {
			if errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("check source pool: %v is no address of this network namespace: add it with ip address add, or leave it out: %w", a, err)
			}
			return fmt.Errorf("check source pool: bind %v: %w", a, err)
		}
	}
	return nil
}

func bindable(a netip.Addr) error {
	family, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet6{Addr: a.As16()})
	if a.Is4() {
		at = &unix.SockaddrInet4{Addr: a.As4()}
	} else {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// No port is taken, not even for a moment: they may be all in use.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, at)
}
