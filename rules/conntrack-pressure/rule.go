// Package conntrackpressure finds a connection tracking table that is nearly full.
package conntrackpressure

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "conntrack-pressure"

const (
	// near is where a burst may fill the table.
	near = 0.80

	// full is where new connections are, or are about to be, dropped.
	full = 0.95
)

// Rule finds a table of nf_conntrack near its limit.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactCounters,
	Lacks: lacks,
	Judge: judge,
	Doc: vet.Doc{
		Title: "netfilter's connection tracking table is nearly full",
		Text: []string{
			"A firewall or NAT with rules about connections (`ct state`, MASQUERADE, kube-proxy) keeps an entry for every connection that passes, forwarded ones too. When the table holds `net.netfilter.nf_conntrack_max` entries, the kernel drops the packets of new connections, and logs `nf_conntrack: table full, dropping packet`. Clients see timeouts, on any port and to any address.",
			"An entry outlives its connection: 120 s after both ends have closed, and 5 days where a connection has gone silent without a close. So the table fills long before as many sockets are open, and the sockets of this host may be few.",
			"Looked at is the table of the network namespace in which tcpvet runs: each namespace has its own. A kernel without connection tracking has none, and nothing is found.",
		},
		Numbers: []vet.Number{
			{Name: "warning", Value: vet.Percent(near) + " of nf_conntrack_max", Reason: "what is left is no room for a burst: a crawler opens a fifth of the default table in seconds"},
			{Name: "critical", Value: vet.Percent(full) + " of nf_conntrack_max", Reason: "near the limit the kernel begins to drop what is new (__nf_conntrack_alloc); early drops of unassured entries hide the last percent"},
		},
		Cure: []string{
			"A larger table: `net.netfilter.nf_conntrack_max`. An entry takes about 400 bytes of kernel memory, so 262,144 of them some 100 MB. Buckets (`nf_conntrack_buckets`) should grow with it.",
			"A shorter `net.netfilter.nf_conntrack_tcp_timeout_established` than the default of 5 days, but longer than any connection is idle: an entry that goes early takes its connection along.",
			"No tracking for what needs none: a `notrack` rule for loopback or for a busy service.",
			"Fewer connections: pools and keep-alive.",
		},
		Never: []string{
			"tcp_tw_reuse or other settings of the stack: this is another table, and TIME-WAIT of sockets has nothing to do with it.",
			"Flushing the table with `conntrack -F`: connections through NAT break.",
		},
		See: []string{
			"Documentation/networking/nf_conntrack-sysctl.rst",
			"kernel function __nf_conntrack_alloc",
		},
	},
}
