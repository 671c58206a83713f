// Package lastackpileup finds closes whose last ACK does not come.
package lastackpileup

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "last-ack-pileup"

const (
	// some of them are worth a line.
	some = 10

	// many of them have peers that went all at once.
	many = 100

	// named is how many of one kind and namespace get a finding of their own.
	named = 10
)

// Rule finds sockets that have closed and whose peer does not acknowledge it.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactTimer,
	Judge: judge,
	Doc: vet.Doc{
		Title: "both ends have closed, and the peer does not acknowledge it",
		Text: []string{
			"LAST-ACK: the peer sent its FIN, the program here closed too, and the peer's ACK of that is missing. CLOSING: both sent a FIN at the same time, and the peer's ACK is missing. Either takes one round trip when all is well. Here the FIN has been sent again, and nothing came back: the peer's host is gone, or a firewall or NAT on the way has forgotten the connection and drops what is left of it.",
			"A peer that is up and no longer knows the connection answers with an RST, and that ends the state at once. So it is silence that piles up.",
			"Mostly no process holds them any more: `close()` gave up the descriptor. What is left keeps the local port and some kernel memory, and counts as an orphan. The kernel ends each after `tcp_orphan_retries`, where 0 means 8: 102.2 s after the first retransmission, when the next one is due. One that a process still holds, after `shutdown()`, lasts for `tcp_retries2`.",
			"A leak in CLOSE-WAIT that ends by a restart often leaves such a pile: the peers are long gone.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(some, "socket") + " whose FIN was sent again twice", Reason: "that takes three round trips at the least; fewer are peers that went by themselves"},
			{Name: "warning", Value: vet.Counted(many, "socket") + " of one service", Reason: "so many peers do not go at once by chance: something between them and here has"},
			{Name: "findings of its own", Value: vet.Count(named) + " of a kind per namespace", Reason: "the largest are named, the rest is summed up"},
		},
		Cure: []string{
			"None is needed for what is there: the kernel ends it in a few minutes.",
			"Find what dropped the connections before they were closed: an idle limit on the way that is shorter than what the programs keep open. SO_KEEPALIVE below that limit, or closing idle connections sooner, keeps them known.",
			"On a server with so many that memory runs short, `net.ipv4.tcp_orphan_retries` may be lowered.",
		},
		Never: []string{
			"tcp_fin_timeout: it ends FIN-WAIT-2, and neither of these states.",
			"SO_LINGER with 0 s: it ends every connection by RST, and loses what was not delivered yet.",
		},
		See: []string{
			"RFC 9293 section 3.6",
			"Documentation/networking/ip-sysctl.rst, tcp_orphan_retries and tcp_retries2",
			"kernel functions tcp_write_timeout and tcp_orphan_retries",
		},
	},
}
