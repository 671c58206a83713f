// Package finwait2pileup finds connections whose other end does not close.
package finwait2pileup

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "fin-wait-2-pileup"

const (
	// some of them are worth a line.
	some = 10

	// many of them are no round trips under way any more.
	many = 100

	// slow is the part of the TIME-WAITs of the same service that they must
	// reach. Both last a known or bounded time, so by Little's law the ratio
	// gives how long the other end takes: a tenth of 60 s is 6 s.
	slow = 0.10

	// named is how many of one kind and namespace get a finding of their own.
	named = 10
)

// Rule finds services whose other end does not close.
//
// An orphan in FIN-WAIT-2 is a TIME-WAIT mini-socket to the kernel: a source
// that cannot see TIME-WAIT cannot see it.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactTimeWait,
	Judge: judge,
	Doc: vet.Doc{
		Title: "this side has closed, and the remote application does not",
		Text: []string{
			"FIN-WAIT-2 means: this side has sent its FIN and the other end has acknowledged it, but has not sent its own. Over there the connection is in CLOSE-WAIT: the remote program has not called `close()`. A healthy connection is here for about one round trip.",
			"After `close()` nobody holds the socket any more. The kernel keeps a small remainder, and ends it after `net.ipv4.tcp_fin_timeout` (60 s by default), so the number stays bounded: rate times that time. A pile-up may be young, so the number alone gives no rate.",
			"After `shutdown(SHUT_WR)` the process still holds it, and no timer runs: a process that half-closes and then does not read to the end keeps it for as long as the peer likes.",
			"One that a process holds and to which data came within patience is left out: the other end still sends, as it may.",
			"Where the other end runs on the same host, the finding names it, and close-wait-leak tells more.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(some, "socket") + " of one service", Reason: "fewer are round trips under way"},
			{Name: "warning", Value: vet.Counted(many, "socket") + " of one service", Reason: "in passing, that many would take 1,000 closes a second at a round trip of 100 ms"},
			{Name: "slow", Value: vet.Percent(slow) + " of the service's TIME-WAITs", Reason: "a TIME-WAIT lasts 60 s, so this ratio means that the other end takes 6 s and more to close; under it the closes are only many"},
			{Name: "findings of its own", Value: vet.Count(named) + " of a kind per namespace", Reason: "the largest are named, the rest is summed up: a list of thousands helps nobody"},
			{Name: "other end on this host", Value: "info", Reason: "close-wait-leak judges it there"},
		},
		Cure: []string{
			"Correct the remote application: it leaks connections in CLOSE-WAIT. Run `tcpvet diagnose` there.",
			"Where this process holds them: after `shutdown()` read to the end with a time limit, then `close()`.",
			"Until then `tcpvet fix close --state fin-wait-2 dst ADDRESS` frees the ports. What the peers still send is lost, and answered by an RST. It takes `--accept-risk drops-connections`.",
		},
		Never: []string{
			"A shorter tcp_fin_timeout as a cure: it ends the remainders here and leaves the other end's leak as it is. It does nothing for those that a process holds.",
		},
		See: []string{
			"RFC 9293 section 3.6, cases 1 and 2",
			"Documentation/networking/ip-sysctl.rst, tcp_fin_timeout",
			"shutdown(2)",
		},
	},
}
