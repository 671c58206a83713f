package live

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/probe"
)

// route asks the routing table of the calling thread's namespace how remote is
// reached, from a source address where one is given (RTM_GETROUTE in rtnetlink(7)).
func route(remote, source netip.Addr) probe.Route {
	opt := &netlink.RouteGetOptions{}
	if source.IsValid() && !source.IsUnspecified() {
		opt.SrcAddr = source.Unmap().AsSlice()
	}
	if zone := remote.Zone(); zone != "" {
		if opt.OifIndex = linkIndex(zone); opt.OifIndex == 0 {
			return probe.Route{NoLink: true}
		}
	}
	remote = remote.Unmap().WithZone("")
	ways, err := netlink.RouteGetWithOptions(remote.AsSlice(), opt)
	var refused unix.Errno
	if errors.As(err, &refused) {
		return probe.Route{Errno: probe.Errno(refused), Known: true}
	}
	if err != nil || len(ways) == 0 {
		return probe.Route{}
	}
	way := ways[0]
	r := probe.Route{Known: true, Local: way.Type == unix.RTN_LOCAL, Many: way.Type == unix.RTN_BROADCAST || way.Type == unix.RTN_MULTICAST}
	if src, ok := netip.AddrFromSlice(way.Src); ok {
		r.Source = src.Unmap()
	}
	if via, ok := netip.AddrFromSlice(way.Gw); ok {
		r.Via = via.Unmap()
	}
	if link, err := net.InterfaceByIndex(way.LinkIndex); err == nil {
		r.Link = link.Name
	}
	return r
}

// linkIndex gives the index of an interface of the namespace, 0 for none.
func linkIndex(name string) int {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return link.Index
}

// named gives an address whose zone is the index of an interface, as getaddrinfo(3)
// reads it, that interface's name for a zone.
func named(addr netip.Addr) netip.Addr {
	n, err := strconv.Atoi(addr.Zone())
	if err != nil {
		return addr
	}
	link, err := net.InterfaceByIndex(n)
	if err != nil {
		return addr
	}
	return addr.WithZone(link.Name)
}

// loopbackUp tells whether lo is up; known is false where there is none.
func loopbackUp() (up, known bool) {
	link, err := net.InterfaceByName("lo")
	if err != nil {
		return false, false
	}
	return link.Flags&net.FlagUp != 0, true
}

// neighborFailed tells whether the link address of a neighbour was asked for in vain.
func neighborFailed(next netip.Addr) bool {
	neighbors, err := netlink.NeighList(0, 0)
	if err != nil {
		return false
	}
	next = next.Unmap().WithZone("")
	return slices.ContainsFunc(neighbors, func(n netlink.Neigh) bool {
		addr, ok := netip.AddrFromSlice(n.IP)
		return ok && addr.Unmap() == next && n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0
	})
}
