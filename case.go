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

// LimitKind says whose limit it is.
type LimitKind uint8

// The kinds.
const (
	OnPath   LimitKind = iota // something on the way forgets connections on which nothing is sent
	OfServer                  // the server closes connections on which nothing is asked
)

// PathLimit is how long a connection may be idle before something on the way, or
// the server, no longer keeps it.
type PathLimit struct {
	Kind   LimitKind
	Remote netip.Prefix // the peers that it is about; the zero Prefix for all
	Port   uint16       // of the peers, 0 for all
	Idle   time.Duration

	// Of a limit that was measured: it lies between Safe, which was survived, and
	// Idle. Measured is when; both are zero where somebody told it.
	Safe     time.Duration
	Measured time.Time
}

// Survived is how long an idle connection is surely kept.
func (l *PathLimit) Survived() time.Duration {
	if l.Measured.IsZero() {
		return l.Idle
	}
	return l.Safe
}

// covers tells whether it is about the peer; of the zero AddrPort nothing is known, so
// that only a limit to all is about it.
func (l *PathLimit) covers(peer netip.AddrPort) bool {
	return (l.Remote == netip.Prefix{} || l.Remote.Contains(peer.Addr().Unmap().WithZone(""))) && (l.Port == 0 || l.Port == peer.Port())
}

// LimitTo gives the shortest limit of that kind to a peer; ok is false where none is
// known.
func (c *Case) LimitTo(peer netip.AddrPort, kind LimitKind) (limit PathLimit, ok bool) {
	for _, l := range c.Limits {
		if l.Kind == kind && l.covers(peer) && (!ok || l.Idle < limit.Idle) {
			limit, ok = l, true
		}
	}
	return limit, ok
}
