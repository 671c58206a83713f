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
func IdleLimit(c *tcpvet.Case, role tcpvet.Role, service netip.AddrPort) (limit time.Duration, ok bool) {
	if role == tcpvet.Client && service.IsValid() {
		return c.LimitTo(service.Addr())
	}
	return c.LimitTo(netip.Addr{})
}
