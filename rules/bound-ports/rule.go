// Package boundports finds local ports that bind() keeps from every connection.
package boundports

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "bound-ports"

const (
	// much is the part of the ports that no program needs to bind: a listener more
	// or a fixed source port takes one of thousands.
	much = 0.20

	// most leaves every destination so little that port-exhaustion would warn of it
	// without one connection.
	most = 0.80

	// named is how many holders the text names.
	named = 3
)

// Rule finds namespaces in which merely bound sockets keep a good part of the port
// range.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactBound | tcpvet.FactListeners | tcpvet.FactPortRange,
	Judge: judge,
	Doc: vet.Doc{
		Title: "local ports kept by bind(), and used for no connection",
		Text: []string{
			"A socket that is bound and neither listens nor is connected keeps its port from every `connect()` that leaves the choice to the kernel, to whatever destination and from whatever local address. Connections share a port as long as their destinations differ; bound sockets do not.",
			"`bind()` with port 0 takes such a port from the whole range, for all destinations together. Programs do that to choose a source address, and then connect: once the range is used up, `bind()` fails with EADDRINUSE (98), where `connect()` would have failed with EADDRNOTAVAIL (99). With IP_BIND_ADDRESS_NO_PORT (Linux 4.2) the port is chosen by `connect()`, one range for each destination.",
			"What is only bound shows as BOUND-INACTIVE, since Linux 6.8; before that no tool sees it, and this rule is skipped. A socket that was bound with port 0 and has connected looks like any other connection: it counts for its destination in port-exhaustion, and keeps its port from all others, which does not show.",
		},
		Numbers: []vet.Number{
			{Name: "warning", Value: vet.Percent(much) + " of the usable ports", Reason: "no sane number of fixed source ports comes near that, and each destination has so much less; reserved ports and those of listeners do not count"},
			{Name: "critical", Value: vet.Percent(most) + " of the usable ports", Reason: "what is left to each destination is the 20 % below which growth by a quarter uses all of them up"},
		},
		Cure: []string{
			"Set IP_BIND_ADDRESS_NO_PORT before `bind()` where only the source address matters.",
			"Do not bind at all where the route chooses the right source address.",
			"Close a socket whose `connect()` failed: it stays bound.",
			"Where fixed source ports are wanted, take them from outside of the range, or reserve them by net.ipv4.ip_local_reserved_ports.",
		},
		Never: []string{
			"A wider range against sockets that are bound and forgotten: they fill any range.",
			"net.ipv4.ip_autobind_reuse for that: it lets sockets share a port that may then fail to connect (EADDRNOTAVAIL), and needs SO_REUSEADDR on all of them.",
		},
		See: []string{
			"ip(7) on IP_BIND_ADDRESS_NO_PORT and ip_local_port_range; bind(2)",
			"Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports and ip_autobind_reuse",
			"kernel functions inet_csk_get_port and __inet_hash_connect",
		},
	},
}
