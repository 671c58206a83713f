package live

import (
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// onPort keeps, of the sockets of a look, those that have one local port.
type onPort struct {
	tcpvet.Observer
	space   tcpvet.NetnsID
	port    uint16 // 0 keeps nothing
	sockets []tcpvet.Socket
}

// mostOnPort bounds what is kept: a listener's port can have any number.
const mostOnPort = 4096

// watch puts o behind w, for a look that begins.
func (w *onPort) watch(o tcpvet.Observer) tcpvet.Observer {
	w.Observer, w.sockets = o, nil
	return w
}

// Socket keeps s if it has the port.
func (w *onPort) Socket(s *tcpvet.Socket) error {
	if w.port != 0 && s.Netns == w.space && s.Local.Port() == w.port && len(w.sockets) < mostOnPort {
		kept := *s
		kept.SharedWith = slices.Clone(s.SharedWith)
		w.sockets = append(w.sockets, kept)
	}
	return w.Observer.Socket(s)
}

// find gives the connection of the port from local, which may be unspecified, to
// remote, and another socket of the port that keeps local from being bound; nil for
// none.
func (w *onPort) find(local netip.Addr, remote netip.AddrPort) (same, other *tcpvet.Socket) {
	for i := range w.sockets {
		s := &w.sockets[i]
		from := local.IsUnspecified() || s.Local.Addr().Unmap() == local.Unmap()
		if from && netip.AddrPortFrom(s.Remote.Addr().Unmap(), s.Remote.Port()) == remote {
			same = s
		} else if conflicts(s.Local.Addr(), local) && (other == nil || keeps(s) && !keeps(other)) {
			other = s
		}
	}
	return same, other
}

// conflicts tells whether one port cannot be bound to both addresses: they are the
// same, or one is that of all (bind(2), ip(7), ipv6(7); IPV6_V6ONLY does not show).
func conflicts(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	all := func(one, other netip.Addr) bool {
		return one.IsUnspecified() && (one.Is6() || other.Is4())
	}
	return a == b || all(a, b) || all(b, a)
}

// keeps tells of a socket that SO_REUSEADDR does not help against.
func keeps(s *tcpvet.Socket) bool {
	return s.State == tcpvet.Listen || s.State == tcpvet.BoundInactive
}
