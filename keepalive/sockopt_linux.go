package keepalive

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets TCP_USER_TIMEOUT, in milliseconds (tcp(7)).
func setUserTimeout(fd uintptr, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
	return optional(os.NewSyscallError("setsockopt TCP_USER_TIMEOUT", err))
}

// chooseLate has a socket that is bound to an address alone choose its port when it
// connects (IP_BIND_ADDRESS_NO_PORT, ip(7)): else bind(2) takes it from one range
// that all destinations share.
func chooseLate(fd uintptr) error {
	err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	return optional(os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err))
}

// optional leaves out that a kernel, or a sandbox, does not have an option.
func optional(err error) error {
	if errors.Is(err, unix.ENOPROTOOPT) {
		return nil
	}
	return err
}
