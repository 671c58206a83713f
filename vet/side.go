package vet

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Side is one side of the connections of a service, whoever holds it.
type Side struct {
	Netns   tcpvet.NetnsID
	Role    tcpvet.Role
	Service netip.AddrPort
}

// Other gives the side that it talks to.
func (s Side) Other() Side {
	if s.Role == tcpvet.Client {
		s.Role = tcpvet.Server
	} else {
		s.Role = tcpvet.Client
	}
	return s
}

// Sides matches both sides of the connections of one look.
type Sides struct {
	shared map[netip.Addr]bool // addresses that several namespaces have
}

// SidesOf gives those of a Census.
func SidesOf(c *tcpvet.Census) Sides {
	has := make(map[netip.Addr]tcpvet.NetnsID)
	shared := make(map[netip.Addr]bool)
	for id, n := range c.Netns {
		for _, a := range n.Addresses {
			addr := a.Prefix.Addr()
			if first, known := has[addr]; known && first != id {
				shared[addr] = true
			}
			has[addr] = id
		}
	}
	return Sides{shared}
}

// At gives the side under which both sides of a connection are found. An address
// means the same in every namespace, and then has none, unless it is a loopback
// address or several namespaces have it.
func (s Sides) At(ns tcpvet.NetnsID, role tcpvet.Role, service netip.AddrPort) Side {
	if addr := service.Addr(); !addr.IsLoopback() && !s.shared[addr] {
		ns = 0
	}
	return Side{ns, role, service}
}
