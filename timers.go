package tcpvet

import (
	"fmt"
	"math"
	"time"
)

// DefaultTimers are those that connections are given where nothing else is asked for:
// a peer that is gone is noticed in 45 s, below the idle limits of most middleboxes
// and the 60 s that TIME-WAIT takes.
func DefaultTimers() Timers {
	return Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5}
}

// The most that the kernel lets a program set: MAX_TCP_KEEPIDLE and its neighbours in
// include/net/tcp.h, and the int of TCP_USER_TIMEOUT.
const (
	MaxKeepalive      = 32767 * time.Second // of Idle and of Interval
	MaxKeepaliveCount = 127
	MaxUserTimeout    = math.MaxInt32 * time.Millisecond
)

// TimerError says which of the timers the kernel would not take.
type TimerError struct {
	Timer string // idle, interval, count or user timeout
	Value string
	Want  string // "1 to 127"
}

func (e *TimerError) Error() string {
	return fmt.Sprintf("check timers: %s %s: expected %s", e.Timer, e.Value, e.Want)
}

// Check says which of the timers the kernel would not take: its error is a
// *TimerError.
func (t Timers) Check() error {
	if t.Keepalive {
		for _, v := range [...]struct {
			name string
			d    time.Duration
		}{{"idle", t.Idle}, {"interval", t.Interval}} {
			if v.d < time.Second || v.d > MaxKeepalive || v.d%time.Second != 0 {
				return &TimerError{v.name, v.d.String(), fmt.Sprintf("whole seconds from 1s to %.0fs", MaxKeepalive.Seconds())}
			}
		}
		if t.Count < 1 || t.Count > MaxKeepaliveCount {
			return &TimerError{"count", fmt.Sprint(t.Count), fmt.Sprintf("1 to %d", MaxKeepaliveCount)}
		}
	}
	if d := t.UserTimeout; d < 0 || d > MaxUserTimeout || d%time.Millisecond != 0 {
		return &TimerError{"user timeout", d.String(), fmt.Sprintf("whole milliseconds from 0 to %v", MaxUserTimeout)}
	}
	return nil
}

// Dead is how long after the last segment of a peer that is gone the kernel ends an
// idle connection, 0 where it never does. A user timeout takes the place of the count,
// but one probe is sent in any case (kernel function tcp_keepalive_timer).
func (t Timers) Dead() time.Duration {
	if !t.Keepalive {
		return 0
	}
	probes := time.Duration(t.Count)
	if t.UserTimeout > 0 && t.Interval > 0 {
		probes = max(1, (t.UserTimeout-t.Idle+t.Interval-1)/t.Interval)
	}
	return t.Idle + probes*t.Interval
}
