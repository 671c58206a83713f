package lab

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Ends counts the sockets at both ends of the connections to a service, by
// state. Listeners are not connections and are left out.
type Ends struct {
	Service        netip.AddrPort
	Client, Server [tcpvet.NumStates]uint64
}

// EndsOf counts them in a look that saw both ends.
func EndsOf(c *tcpvet.Census, service netip.AddrPort) Ends {
	e := Ends{Service: service}
	for group, tally := range c.Groups {
		side := &e.Client
		if group.Role == tcpvet.Server {
			side = &e.Server
		}
		if group.Service != service {
			continue
		}
		for s, n := range tally.States {
			if tcpvet.State(s) != tcpvet.Listen {
				side[s] += uint64(n)
			}
		}
	}
	return e
}
