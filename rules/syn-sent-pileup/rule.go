// Package synsentpileup finds connects that nothing answers.
package synsentpileup

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "syn-sent-pileup"

const (
	// some that have sent their SYN three times did not lose it by chance.
	some = 3

	// many of them are callers that queue up.
	many = 10

	// part of the conversations of a service in a capture must have the fault
	// before it is one of the service.
	part = 0.10

	// named is how many of one namespace get a finding of their own.
	named = 10
)

// Rule finds services that do not answer SYNs.
var Rule = &vet.Rule{
	Name:    name,
	Needs:   tcpvet.FactTimer,
	Judge:   judge,
	Traffic: judgeTraffic,
	Doc: vet.Doc{
		Title: "connects that nothing answers",
		Text: []string{
			"`connect()` has sent a SYN and waits for the answer: SYN-SENT. An answer takes one round trip, and a closed port answers with an RST at once (ECONNREFUSED). Where nothing comes, the kernel sends the SYN again, and the caller hangs.",
			"Since Linux 6.5 that goes on for 11 SYNs and about 135 s by default (`tcp_syn_retries` 6 and `tcp_syn_linear_timeouts` 4), before for 7 SYNs and 127 s. Then `connect()` fails with ETIMEDOUT, errno 110. Till then each takes a descriptor and a local port of the range for that destination: a service that swallows SYNs uses up the ports of its callers too.",
			"Several things look the same from here: a firewall or a route that drops, a host that is down behind a router, a server whose accept queue is full, and a NAT on the way that has no port left. A `tcpdump` on the server tells whether the SYNs arrive.",
			"In captures, *unanswered* is this, and *refused* counts SYNs that an RST answered: nothing listens there.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(some, "socket") + " whose SYN was sent again twice", Reason: "the second is sent again after 2 s, past any round trip; one or two may be a crawler's dead hosts"},
			{Name: "warning", Value: vet.Counted(many, "socket") + " of a process to one service", Reason: "callers queue up: each hangs for two minutes"},
			{Name: "captures", Value: "2 conversations, and " + vet.Percent(part) + " of the service's; warning from " + vet.Count(many), Reason: "a single one is told with its conversation, and a few of many are not a pile"},
			{Name: "findings of its own", Value: vet.Count(named) + " per namespace", Reason: "the largest are named, the rest is summed up: a scanner has thousands"},
		},
		Cure: []string{
			"Find where the SYNs end: `tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'` on the server. If they do not arrive, it is the way; if they do, it is the server's firewall or its accept queue.",
			"Set a time limit for connecting in the program, a few seconds: it fits the one service, and frees the descriptor and the port.",
		},
		Never: []string{
			"A lower net.ipv4.tcp_syn_retries as a cure: the callers fail sooner, and every other destination bears it too.",
			"More retries in the program without a pause: they are more SYNs for what cannot answer those that it has.",
		},
		See: []string{
			"RFC 9293 section 3.5; RFC 6298 section 2.1",
			"Documentation/networking/ip-sysctl.rst, tcp_syn_retries and tcp_syn_linear_timeouts",
			"connect(2), ETIMEDOUT",
		},
	},
}
