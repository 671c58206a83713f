package tcpvet

import (
	"net/netip"
	"time"
)

// Case is all that one diagnosis may look at.
type Case struct {
	Now    Census
	Before *Census // an earlier look, nil for none

	// Limits are the idle limits that are known of ways to peers: told by
	// the user, or measured.
	Limits []PathLimit

	// Patience is how long something may take before a rule calls it
	// stuck.
	Patience time.Duration
}

// DefaultPatience is longer than any sane shutdown takes: it is also how long
// TIME-WAIT lasts.
const DefaultPatience = time.Minute

// PathLimit is how long a connection may be idle before something on the way, or
// the server, no longer knows it.
type PathLimit struct {
	Remote netip.Prefix // the peers that it is about; the zero Prefix for all
	Idle   time.Duration
}

// LimitTo gives the shortest limit on the way to a peer; ok is false where none
// is known.
func (c *Case) LimitTo(peer netip.Addr) (limit time.Duration, ok bool) {
	for _, l := range c.Limits {
		if (l.Remote == netip.Prefix{} || l.Remote.Contains(peer.Unmap())) && (!ok || l.Idle < limit) {
			limit, ok = l.Idle, true
		}
	}
	return limit, ok
}
