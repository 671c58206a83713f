package scenarios

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The cues of socketCalls that are about silence.
const (
	callSet   = "set"   // setCall, returned: setsockopt(), an option after the other
	callAwait = "await" // awaitCall, []awaited: read(), for as long as it takes
)

type setCall struct {
	FD      int
	Options []option
}

// option is a socket option whose value is a number.
type option struct{ Level, Name, Value int }

// keepalive turns SO_KEEPALIVE on and sets no times: those of the host hold.
var keepalive = []option{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}}

// probing turns keepalive on: a probe after idle seconds of silence, then one per
// interval, in seconds, and the end after so many that nobody answered.
func probing(idle, interval, count int) []option {
	return append([]option{
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, interval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count},
	}, keepalive...)
}

// userTimeout sets TCP_USER_TIMEOUT.
func userTimeout(d time.Duration) []option {
	return []option{{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())}}
}

// awaitCall waits on several sockets at once, until there is something to tell of
// each.
type awaitCall struct{ FDs []int }

// awaited is what a read() that was waited for gave.
type awaited struct {
	FD      int
	Bytes   int
	End     bool      // it gave 0
	At      time.Time // when it returned
	Failure *failure
}

func setSocket(order setCall) (r returned, err error) {
	if err := setOptions(order.FD, order.Options); err != nil {
		r.Failure = failed("setsockopt", err, 0)
	}
	return r, nil
}

func setOptions(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.Level, o.Name, o.Value); err != nil {
			return fmt.Errorf("set option %d of level %d to %d: %w", o.Name, o.Level, o.Value, err)
		}
	}
	return nil
}

func awaitSocket(order awaitCall) ([]awaited, error) {
	all := make([]awaited, len(order.FDs))
	var reading sync.WaitGroup
	for i, fd := range order.FDs {
		reading.Go(func() { all[i] = await(fd) })
	}
	reading.Wait()
	return all, nil
}

func await(fd int) awaited {
	var data [4096]byte
	for {
		n, err := unix.Read(fd, data[:])
		switch a := (awaited{FD: fd, At: time.Now()}); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			a.Failure = failed("read", err, 0)
			return a
		default:
			a.Bytes, a.End = n, n == 0
			return a
		}
	}
}

// openSockets counts the descriptors of a process that are sockets, as
// ls -l /proc/PID/fd shows them.
func openSockets(pid int) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("count the descriptors of process %d: %w", pid, err)
	}
	n := 0
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, nil
}
