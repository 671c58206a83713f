package vet

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// ListenerAt finds the listener that accepts what comes to an endpoint: the one of
// that address, else of every address. The Queue is nil where none is there.
func ListenerAt(c *tcpvet.Census, ns tcpvet.NetnsID, at netip.AddrPort) (tcpvet.Listener, *tcpvet.Queue) {
	addr := at.Addr()
	if !addr.IsValid() {
		return tcpvet.Listener{}, nil
	}
	where := []netip.Addr{addr, netip.AddrFrom16(addr.As16()), netip.IPv6Unspecified()}
	if addr.Is4() {
		where = []netip.Addr{addr, netip.AddrFrom16(addr.As16()), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, a := range where {
		l := tcpvet.Listener{Netns: ns, Local: netip.AddrPortFrom(a, at.Port())}
		if q := c.Listeners[l]; q != nil {
			return l, q
		}
	}
	return tcpvet.Listener{}, nil
}
