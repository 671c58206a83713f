package run

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Options say what new sockets get.
type Options struct {
	// Timers are what they begin with. Without Keepalive, and with a UserTimeout
	// of 0, what there is stays.
	Timers tcpvet.Timers

	// Pool holds local addresses that connects take in turn where the program has
	// bound no other: loopback addresses for loopback destinations, others for the
	// rest. At the most 64 of a kind.
	Pool []netip.Addr
}

// Limits of the kernel: MAX_TCP_KEEPIDLE and its neighbours in include/net/tcp.h.
const (
	maxKeepalive      = 32767 * time.Second
	maxKeepaliveCount = 127
	maxUserTimeout    = math.MaxInt32 * time.Millisecond
)

// Check says what of the options the kernel would not take.
func (o *Options) Check() error {
	t := o.Timers
	if t.Keepalive {
		for _, v := range []struct {
			name string
			d    time.Duration
		}{{"idle", t.Idle}, {"interval", t.Interval}} {
			if v.d < time.Second || v.d > maxKeepalive || v.d%time.Second != 0 {
				return fmt.Errorf("check keepalive: %s %v: expected whole seconds from 1s to %v", v.name, v.d, maxKeepalive)
			}
		}
		if t.Count < 1 || t.Count > maxKeepaliveCount {
			return fmt.Errorf("check keepalive: count %d: expected 1 to %d", t.Count, maxKeepaliveCount)
		}
	}
	if t.UserTimeout != 0 && (t.UserTimeout < time.Millisecond || t.UserTimeout > maxUserTimeout || t.UserTimeout%time.Millisecond != 0) {
		return fmt.Errorf("check user timeout %v: expected whole milliseconds from 1ms to %v", t.UserTimeout, maxUserTimeout)
	}
	if !t.Keepalive && t.UserTimeout == 0 && len(o.Pool) == 0 {
		return errors.New("check options: nothing is asked for: give keepalive, a user timeout or a source pool")
	}
	_, err := o.pools()
	return err
}

// String says what sockets get: "keepalive 30s + 5 x 3s, source pool 10.0.0.2".
func (o *Options) String() string {
	var parts []string
	if o.Timers.Keepalive || o.Timers.UserTimeout != 0 {
		t := o.Timers.String()
		if o.Timers.Keepalive {
			t = "keepalive " + t
		} else {
			t = strings.TrimPrefix(t, "off, ")
		}
		parts = append(parts, t)
	}
	if len(o.Pool) > 0 {
		var pool []string
		for _, a := range o.Pool {
			pool = append(pool, a.String())
		}
		parts = append(parts, "source pool "+strings.Join(pool, ","))
	}
	return strings.Join(parts, ", ")
}
