package lab

import (
	"fmt"
	"net/netip"
	"strings"

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

// String gives the states of either end: "client 3 CLOSE-WAIT; server 3
// FIN-WAIT-2".
func (e Ends) String() string {
	var b strings.Builder
	for i, side := range []struct {
		name   string
		states *[tcpvet.NumStates]uint64
	}{{"client", &e.Client}, {"server", &e.Server}} {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(side.name)
		none := true
		for _, s := range tcpvet.States {
			if n := side.states[s]; n > 0 {
				fmt.Fprintf(&b, " %d %s", n, s)
				none = false
			}
		}
		if none {
			b.WriteString(" none")
		}
	}
	return b.String()
}
