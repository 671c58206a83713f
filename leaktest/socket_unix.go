//go:build linux || darwin

package leaktest

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// addrOf makes an IPv4-mapped address IPv4, so that the two ends of a connection name
// each other alike.
func addrOf(name unix.Sockaddr) netip.AddrPort {
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(n.Addr), uint16(n.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), uint16(n.Port))
	}
	return netip.AddrPort{}
}
