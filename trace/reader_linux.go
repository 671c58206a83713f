package trace

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pidSpace gives the inode of the reader's PID namespace.
func pidSpace() (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0, fmt.Errorf("read PID namespace: stat /proc/self/ns/pid: %w", err)
	}
	return uint32(st.Ino), nil
}

// clock turns the kernel's monotonic time into the time of day. They are compared anew
// whenever records are read, since the one may be set, and does not count sleep.
type clock struct {
	ahead time.Duration
	day   time.Time // when the kernel's clock was at
	at    int64     // ns
}

func (c *clock) read() error {
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return fmt.Errorf("read monotonic clock: %w", err)
	}
	// Round strips Go's own monotonic reading, which would stay when the day is set.
	c.day, c.at = time.Now().Round(0), mono.Nano()-int64(c.ahead)
	return nil
}

func (c *clock) time(at int64) time.Time { return c.day.Add(time.Duration(at - c.at)) }
