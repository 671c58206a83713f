package run

import (
	"errors"
	"net/netip"
	"strings"

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

// Check says what of the options the kernel would not take: of the timers by a
// *tcpvet.TimerError.
func (o *Options) Check() error {
	t := o.Timers
	if err := t.Check(); err != nil {
		return err
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
