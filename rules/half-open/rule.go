// Package halfopen finds connections whose peer no longer answers.
package halfopen

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "half-open"

const (
	// some of one service have a cause in common.
	some = 10

	// part of the connections to a service must wait before that is a matter of
	// the service and not of a few peers among many.
	part = 0.10

	// patienceParts makes patience the silence that a lossy path does not
	// reach: a quarter of it, 15 s by default. By then data has been sent
	// seven times; where a third of what is sent gets lost, one in 2,000 has none
	// delivered: (1/3)^7.
	patienceParts = 4

	// named is how many of one kind and namespace get a finding of their own.
	named = 10
)

// Rule finds connections whose peer does not answer any more.
var Rule = &vet.Rule{
	Name:    name,
	Needs:   tcpvet.FactTimer,
	Judge:   judge,
	Traffic: judgeTraffic,
	Doc: vet.Doc{
		Title: "the peer no longer answers, and this end does not know yet",
		Text: []string{
			"A connection is half-open when one end is gone: its host lost power, or a firewall, NAT or balancer on the way forgot the connection and drops its segments without a word. The end that is left stays in ESTAB. `write()` succeeds, for the kernel only queues the data; `read()` waits.",
			"*unacknowledged*: data is on its way, and is sent again with doubling pauses, up to 2 min, since nobody acknowledges it. `ss -o` shows `timer:(on,TIME,N)`, with N times sent again. The kernel goes on for `tcp_retries2`: 15 means 924.6 s after the first retransmission, and the end comes when the next one is due. Then the program gets ETIMEDOUT.",
			"*keepalive*: nothing is on its way, and the probes of SO_KEEPALIVE are not answered: `timer:(keepalive,TIME,N)`. The end comes after TCP_KEEPCNT probes, TCP_KEEPINTVL apart. The kernel shows neither; the settings of the host are their defaults.",
			"A path that loses segments looks the same for some seconds. What tells is how long the peer has been silent while data was sent again and again.",
			"An end that only waits for data never finds out: see no-keepalive.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: "1 connection sent again twice, silent for patience / 4", Reason: "in 15 s data is sent seven times, and where a third of what is sent gets lost, one in 2,000 has none delivered (`--patience` 1 min; ages are counted by powers of two of milliseconds, so what counts is 16.4 s; the longest silent one alone is held to the time itself)"},
			{Name: "info, keepalive", Value: "1 connection with 2 probes unanswered", Reason: "one may have been sent a moment ago; two lie TCP_KEEPINTVL apart"},
			{Name: "warning", Value: vet.Counted(some, "connection") + " of a process to one service", Reason: "peers do not fail at once by chance: the service is gone, or something on the way"},
			{Name: "warning, part", Value: vet.Percent(part) + " of its connections to that service", Reason: "among thousands of clients some have always just vanished"},
			{Name: "likely", Value: "where what is not known could change the severity", Reason: "in a Census that had to fold small groups, and in a capture, which ends before the connection does"},
			{Name: "captures", Value: "2 conversations, and " + vet.Percent(part) + " of the service's; warning from " + vet.Count(some), Reason: "a single one is told with its conversation"},
			{Name: "findings of its own", Value: vet.Count(named) + " of a kind per namespace", Reason: "the largest are named, the rest is summed up"},
		},
		Cure: []string{
			"Set TCP_USER_TIMEOUT on the connections that matter: data that is not acknowledged for so long ends the connection. It bounds keepalive too.",
			"Set SO_KEEPALIVE with TCP_KEEPIDLE and TCP_KEEPINTVL below the idle limit of the path: then a middlebox does not forget the connection, and a dead peer is found while it is idle.",
			"From outside: `tcpvet fix keepalive --user-timeout 30s` sets both on connections that are open, `tcpvet run` on new ones. A connection that has waited for longer ends when its next retransmission is due, which may be 2 minutes away, and not before.",
			"Give each request a time limit in the program, and close the connection when it passes.",
		},
		Never: []string{
			"A lower net.ipv4.tcp_retries2 for the sake of one service: it ends every connection of the host sooner, in an outage that all would have survived.",
			"net.ipv4.tcp_keepalive_time alone: it does nothing for sockets without SO_KEEPALIVE, and keepalive does not run while data is on its way.",
		},
		See: []string{
			"RFC 9293 section 3.8.3; RFC 1122 section 4.2.3.5; RFC 5482",
			"Documentation/networking/ip-sysctl.rst, tcp_retries2",
			"kernel functions tcp_write_timeout, tcp_model_timeout and tcp_keepalive_timer",
			"tcp(7), TCP_USER_TIMEOUT",
		},
	},
}
