package keepalive

import (
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// tcpMaxRT is TCP_MAXRT of ws2ipdef.h.
const tcpMaxRT = 5

// setUserTimeout sets TCP_MAXRT, in seconds: how long a segment is sent again before
// the connection ends.
func setUserTimeout(fd uintptr, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	err := windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_TCP, tcpMaxRT, int((d+time.Second-1)/time.Second))
	return os.NewSyscallError("setsockopt TCP_MAXRT", err)
}

// chooseLate does nothing: the system has no such option.
func chooseLate(uintptr) error { return nil }
