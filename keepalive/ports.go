package keepalive

import (
	"net/netip"
	"time"
)

// taken is what the kernel says of the local ports to one destination.
type taken struct {
	local     netip.Addr // the source address
	low, high uint16     // the range
	reserved  int        // ports of the range that are kept from it
	usable    int        // ports of the range without them

	states  map[string]int // usable ports by the state of their socket, as ss prints it
	open    int            // usable ports of sockets that are no TIME-WAIT
	back    []time.Time    // when the others come back, in order
	listens int            // usable ports that are free to this destination, and kept by a listener
}

// full tells whether connect() finds no port. Sockets may have gone since: one in a
// hundred, or one.
func (t *taken) full() bool {
	free := t.usable - t.open - len(t.back) - t.listens
	return free <= max(1, t.usable/100)
}

// table asks the kernel for the ports to a destination.
type table func(tupleKey) (taken, error)
