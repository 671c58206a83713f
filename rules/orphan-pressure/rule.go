// Package orphanpressure finds too many closed connections that still close.
package orphanpressure

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "orphan-pressure"

const (
	// half is where the kernel begins to reset those whose peer is silent.
	half = 0.50

	// full is where whatever closes next is reset.
	full = 0.95
)

// Rule finds orphans near the limit, and connections reset for lack of room.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactCounters,
	Lacks: lacks,
	Judge: judge,
	Doc: vet.Doc{
		Title: "too many closed connections still close: the kernel resets them",
		Text: []string{
			"A process closes a connection whose last data, or whose FIN, the peer has not acknowledged. Then the kernel goes on alone: an orphan, in FIN-WAIT-1, CLOSING or LAST-ACK. It has no process and no descriptor, and holds memory for what is not sent yet.",
			"The machine as a whole may have `net.ipv4.tcp_max_orphans` of them. Past that, and already past half of it where the peer has been silent, the kernel resets orphans at once: what the program had written, and believed to be sent, is lost. TcpExtTCPAbortOnMemory counts each. It also counts what is reset since TCP is past its memory (`net.ipv4.tcp_mem`).",
			"The first network namespace alone has the limit. Where it cannot be read, as in a container, the rule judges by the counter, between two looks, and is skipped otherwise. TIME-WAIT and orphaned FIN-WAIT-2 are not orphans in this sense.",
		},
		Numbers: []vet.Number{
			{Name: "warning, orphans", Value: vet.Percent(half) + " of tcp_max_orphans", Reason: "an orphan whose peer has been silent counts twice, or four times with ICMP errors (tcp_out_of_resources): from here on data is lost"},
			{Name: "critical, orphans", Value: vet.Percent(full) + " of tcp_max_orphans", Reason: "the next that closes with data unsent is reset (tcp_check_oom)"},
			{Name: "warning, counter", Value: "TCPAbortOnMemory 1 more between looks", Reason: "each is a connection that was reset with data unsent; whether for orphans or for memory the counter does not say, so it is *likely* only"},
		},
		Cure: []string{
			"Find why the peers do not acknowledge: clients that vanished behind a middlebox, a network that loses packets, receivers that do not read.",
			"Close after the peer has read: shut down the sending side, read to the end, then close.",
			"A higher limit where memory allows: an orphan can hold 64 KB that cannot be swapped. Fewer attempts for each (`net.ipv4.tcp_orphan_retries`) empties them sooner.",
		},
		Never: []string{
			"A lower limit: the kernel's documentation calls it a guard against attacks, and forbids it as a means to shed load.",
			"tcp_fin_timeout: it rules orphans in FIN-WAIT-2 only, which are not counted here.",
		},
		See: []string{
			"Documentation/networking/ip-sysctl.rst, tcp_max_orphans, tcp_orphan_retries, tcp_mem",
			"kernel functions tcp_out_of_resources, tcp_check_oom, tcp_too_many_orphans",
		},
	},
}
