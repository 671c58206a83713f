package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IPv6 tells whether the caller's network namespace can use ::1. It cannot where
// the kernel was built or booted without IPv6, where
// net.ipv6.conf.lo.disable_ipv6 is 1, and where lo is down.
func IPv6() error {
	const feature = "IPv6 on loopback"
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return &Unsupported{Feature: feature, Err: err}
	}
	if err != nil {
		return fmt.Errorf("probe %s: open socket: %w", feature, err)
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return &Unsupported{Feature: feature, Err: fmt.Errorf("no interface of this network namespace has ::1: %w", err)}
	}
	if err != nil {
		return fmt.Errorf("probe %s: bind: %w", feature, err)
	}
	return nil
}
