// Package tablelesssockets finds processes that hold the descriptors of connections
// which the kernel has ended.
package tablelesssockets

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "tableless-sockets"

const (
	// many of them are a path in the program that does not close, and not a
	// connection or two that it is about to close.
	many = 10

	// nearLimit is the part of its descriptors from which a process that goes on
	// like that is soon out of them.
	nearLimit = 0.80

	// cause is the part of the descriptors that such sockets have to be for them to
	// be called the cause.
	cause = 0.10

	// growing is how many more between two looks are no chance.
	growing = 10
)

// Rule finds descriptors of TCP sockets that no table of the kernel has.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactTableless,
	Judge: judge,
	Doc: vet.Doc{
		Title: "descriptors of connections that the kernel has ended",
		Text: []string{
			"A connection can end while the program still holds its socket: the peer sends RST, keepalive or retransmission gives up, the program calls `shutdown()` for both directions and never `close()`, or somebody closes it from outside, by `tcpvet fix close` or `ss -K`. The kernel then takes the socket out of its tables: `ss`, `netstat` and /proc/net/tcp do not show it any more. The descriptor stays open until the program closes it.",
			"So a leak of descriptors can hide from every tool that lists connections. It is what remains of a CLOSE-WAIT leak where keepalive or `tcpvet fix close` frees the ports: the program then runs out of descriptors, EMFILE (24), in place of ports, EADDRNOTAVAIL (99).",
			"tcpvet finds them by their descriptors. What /proc says to be a TCP socket, and no table has, is asked for its TCP_INFO: it is closed, and acknowledged bytes, received bytes or a round-trip time tell that it had a connection. A fresh `socket()` has none of these and is no fault.",
			"A closed socket without any of them may be one that is about to connect, or one whose `connect()` failed and which nobody closed. Only two looks tell: that is the kind *quiet*. Where a filter narrows the look, only processes that hold a selected socket are judged: these sockets have no address to select by.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: "1 socket that had a connection", Reason: "its port is free, but its descriptor is lost until the program closes it; right after a reset it may be about to, so one look is *likely* only"},
			{Name: "warning", Value: vet.Counted(many, "socket") + " that had a connection", Reason: "an error path that does not close comes again with each error"},
			{Name: "critical", Value: "over " + vet.Percent(nearLimit) + " of the process's descriptors in use, " + vet.Percent(cause) + " of them such sockets or more", Reason: "at the limit accept(), socket() and open() fail with EMFILE (24)"},
			{Name: "warning, quiet", Value: vet.Count(growing) + " more between looks", Reason: "what is about to connect does so at once: sockets without a connection pile up only where a failed one is not closed"},
			{Name: "info, quiet", Value: vet.Counted(many, "socket") + " in both looks, patience apart", Reason: "the same, without growth in this time"},
		},
		Cure: []string{
			"Close the socket on every path: after an error of `read()`, `write()` or `connect()` too. A `with` block, `defer` or a `finally` does.",
			"Call `close()` after `shutdown()`: shutdown ends the connection and keeps the descriptor.",
			"From outside nothing closes them: `tcpvet fix close` ends connections, and these have none. Only the program gives back a descriptor, or its end.",
			"In a pool, drop a connection that failed and close it; test idle ones before they are used again.",
		},
		Never: []string{
			"A higher limit of descriptors: it only delays EMFILE.",
			"`ss -K` or another way to destroy sockets: the kernel has closed these already, and no tool but the process can close a descriptor.",
		},
		See: []string{
			"close(2), shutdown(2), pidfd_getfd(2), tcp(7) on TCP_INFO",
			"kernel functions tcp_done, tcp_disconnect and sockfs_xattr_get",
		},
	},
}
