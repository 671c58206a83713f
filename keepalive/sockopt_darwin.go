package keepalive

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets TCP_RXT_CONNDROPTIME, in seconds (netinet/tcp.h).
func setUserTimeout(fd uintptr, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, int((d+time.Second-1)/time.Second))
	return os.NewSyscallError("setsockopt TCP_RXT_CONNDROPTIME", err)
}

// chooseLate does nothing: the system has no such option.
func chooseLate(uintptr) error { return nil }
