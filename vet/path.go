package vet

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// PeerMayVanish tells whether the connections of a group leave this host, so that
// their peer can be gone without a word. It leaves out connections that no process
// has accepted yet, and groups that were folded: they no longer tell whether they are
// over loopback.
func PeerMayVanish(c *tcpvet.Census, g tcpvet.Group) bool {
	if g.Holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders) {
		return false
	}
	if g.Folded() || g.Local.IsLoopback() || g.Service.Addr().IsLoopback() {
		return false
	}
	if g.Role != tcpvet.Client {
		return true
	}
	remote := g.Service.Addr()
	return remote != g.Local && !slices.ContainsFunc(c.Netns[g.Netns].Addresses, func(a tcpvet.Address) bool {
		return a.Prefix.Addr() == remote
	})
}

// IdleLimit gives the idle limit on the way to the peers of connections with a
// service. A client's peer is the service; the peers of a server are many, so that
// only a limit to all peers is surely theirs.
func IdleLimit(c *tcpvet.Case, role tcpvet.Role, service netip.AddrPort) (limit tcpvet.PathLimit, ok bool) {
	if role == tcpvet.Client && service.IsValid() {
		return c.LimitTo(service, tcpvet.OnPath)
	}
	return c.LimitTo(netip.AddrPort{}, tcpvet.OnPath)
}

// LimitText writes a limit: "5 min 50 s", or of one that was measured "between 3 min
// and 3 min 20 s, as tcpvet probe measured at 2026-11-29 17:02 UTC". now is the time of
// the look, for one that is old.
func LimitText(l *tcpvet.PathLimit, now time.Time) string {
	if l.Measured.IsZero() {
		return Duration(l.Idle)
	}
	text := "at most " + UpTo(l.Idle)
	if l.Safe > 0 {
		text = "between " + Duration(l.Safe) + " and " + UpTo(l.Idle)
	}
	text += ", as tcpvet probe measured at " + l.Measured.UTC().Format("2006-01-02 15:04 MST")
	if age := now.Sub(l.Measured); !now.IsZero() && age >= Day {
		text += ", " + Duration(age) + " before this look"
	}
	return text
}
