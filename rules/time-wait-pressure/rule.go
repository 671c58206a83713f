// Package timewaitpressure finds clients that close connections faster than
// TIME-WAIT gives their ports back.
package timewaitpressure

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "time-wait-pressure"

const (
	// held is the part of a tuple's ports that rests in TIME-WAIT when every
	// connect() begins to search.
	held = 0.50

	// near is the part of the rate that the ports can bear.
	near = 0.80

	// named is how many tuples get a finding of their own.
	named = 20
)

// Rule finds tuples whose ports rest in TIME-WAIT.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactPortRange | tcpvet.FactTimeWait,
	Judge: judge,
	Doc: vet.Doc{
		Title: "local ports rest in TIME-WAIT faster than they come back",
		Text: []string{
			"The end that sends the first FIN keeps the connection in TIME-WAIT for 60 s, a time that Linux has compiled in. It is no fault: it catches a lost last ACK and keeps old segments out of a new connection. No process and no descriptor belongs to it.",
			"For a client each TIME-WAIT keeps a local port from the same endpoint. 28,232 ports therefore bear 28,232 / 60 = 470 new connections a second to one address and port. Faster than that, `connect()` fails with EADDRNOTAVAIL.",
			"TIME-WAIT on a server takes no port and is left alone by this rule, in whatever number. So is one that the kernel would reuse now: on loopback by default, elsewhere with `tcp_tw_reuse=1` and timestamps at both ends. Those are the timestamps of the connection itself: where `net.ipv4.tcp_timestamps` is off now, what it left while it was on is still reused, and the finding is *likely*.",
			"Since nobody holds a TIME-WAIT, the culprit is only likely: the processes that have other connections to the same endpoint are named.",
		},
		Numbers: []vet.Number{
			{Name: "warning, ports", Value: vet.Percent(held) + " of the tuple's ports", Reason: "past half of the ports each `connect()` has to search"},
			{Name: "warning, reuse on", Value: vet.Percent(near) + " of the ports in TIME-WAITs younger than `tcp_tw_reuse_delay`", Reason: "the kernel gives back what is older, so the bound is ports / delay"},
			{Name: "warning, rate", Value: vet.Percent(near) + " of ports / 60 s", Reason: "what is left is no room for a burst; the rate is that of the last 60 s, or of the last 10 s if it goes on"},
			{Name: "findings of its own", Value: vet.Counted(named, "tuple"), Reason: "the largest are named, the others counted in one finding more: a list of thousands helps nobody"},
		},
		Cure: []string{
			"Keep connections and use them again: HTTP keep-alive, a session, a pool. That removes the cause.",
			"Let the kernel reuse the ports: `net.ipv4.tcp_tw_reuse=1`. It acts on outgoing connections, also on those already in TIME-WAIT, and needs timestamps at both ends. The bound is then ports / `tcp_tw_reuse_delay`, 28,232 a second by default.",
			"Spread over more destination or source addresses: each pair has a range of its own. `tcpvet run --source-pool ADDRESS,ADDRESS -- COMMAND` does it for a program that binds none itself.",
			"Let the server close first, where the protocol allows it: TIME-WAIT then lies there and takes no port.",
		},
		Never: []string{
			"tcp_tw_recycle: it dropped connections from behind NAT, and is gone since Linux 4.12.",
			"tcp_fin_timeout: it rules FIN-WAIT-2 that nobody holds, not TIME-WAIT.",
			"SO_LINGER with a time of 0: it ends connections by RST, and what the peer has not read is lost.",
			"nf_conntrack_tcp_timeout_time_wait: that is the firewall's table, not the stack's.",
		},
		See: []string{
			"RFC 9293 section 3.6.1; RFC 6191",
			"Documentation/networking/ip-sysctl.rst, tcp_tw_reuse, tcp_tw_reuse_delay",
			"kernel function tcp_twsk_unique; TCP_TIMEWAIT_LEN in include/net/tcp.h",
		},
	},
}
