// Package keepalivetoolate finds connections whose keepalive asks only after
// the way to the peer has forgotten them.
package keepalivetoolate

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "keepalive-too-late"

const (
	// some of them are a habit of the program: a pool, not one connection.
	some = 10

	// share is the part of a service's conversations that idle closes must
	// reach to be a pattern.
	share = 0.10

	// raced is how many requests must have met the server's FIN: each is an
	// error that a user saw.
	raced = 1
)

// Rule finds keepalive that is slower than an idle limit on the way.
var Rule = &vet.Rule{
	Name:    name,
	Limited: true,
	Lacks:   lacks,
	Judge:   judge,
	Traffic: judgeTraffic,
	Doc: vet.Doc{
		Title: "keepalive begins after the connection has been forgotten",
		Text: []string{
			"NAT gateways, firewalls and balancers keep an entry for each connection, and drop it when nothing has passed for some time. A keepalive probe renews the entry only if it comes earlier than that. With the kernel's default, SO_KEEPALIVE sends its first probe after two hours: later than any middlebox waits.",
			"After that the connection is in ESTAB at both ends and dead. What the client sends next is sent again and again for some 15 minutes, or is answered by RST from a middlebox that says so.",
			"The limit of a path cannot be seen from here. `tcpvet diagnose --path-idle 350s` tells it for all peers, `--path-idle 10.0.3.0/24=350s` for some. `tcpvet probe idle` measures it, and `--probe FILE` judges by what it, or `tcpvet probe http`, has measured. Without a limit this rule finds nothing among sockets. A server's connections are judged by a limit to all peers only. Connections over loopback and to an address of the same host are left out.",
			"A socket is not probed before its keepalive timer ends, and it has been silent since its last segment: together that is a silence which no probe breaks. It is TCP_KEEPIDLE, or TCP_KEEPINTVL where that is longer: once a probe was answered the kernel waits for the interval before it looks again. What is counted has surely no probe before the limit. It is counted by usual times (…, 240 s, 300 s, 350 s, 400 s, …), so that with another limit those between it and the next of these are left out.",
			"A server's own limit for idle connections is another thing (kind *http-idle*): it closes, and no keepalive probe keeps it from that. Where such a limit was measured, connections to that server that it has closed, and that nobody has read since, show that the client keeps idle connections for longer than the server. Loopback counts here.",
			"Captures show two such limits. A server that closes first after each long silence has an idle limit for HTTP keep-alive (kind *http-idle*): a client that reuses a connection at that moment sends its request into the FIN, and gets an RST. Data that gets no answer any more after a silence (kind *path*) tells how long a connection was idle when it was found dead.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(1, "socket") + " that surely sends no probe before the limit", Reason: "the limit was told, so each of them is lost once it has been idle for that long"},
			{Name: "warning", Value: vet.Counted(some, "socket") + " of a process", Reason: "that many are a pool whose setting is wrong, and not a tool of an administrator"},
			{Name: "http-idle", Value: vet.Counted(1, "socket") + " in CLOSE-WAIT that was not read for longer than patience, warning from " + vet.Count(some), Reason: "a client that drops idle connections before the server does never has one"},
			{Name: "captures, http-idle", Value: vet.Counted(some, "conversation") + " and " + vet.Percent(share) + " of the service's", Reason: "fewer are servers being stopped, or one slow client"},
			{Name: "captures, http-idle, warning", Value: vet.Counted(raced, "request") + " after the server's FIN", Reason: "the race was lost at least once: a user saw an error"},
			{Name: "captures, path", Value: "info from " + vet.Counted(1, "conversation") + ", warning from " + vet.Count(some), Reason: "one may be a host that went away; that many have a middlebox in common"},
		},
		Cure: []string{
			"Set TCP_KEEPIDLE and TCP_KEEPINTVL well below the limit, half of it or less, so that one lost probe does no harm: `tcpvet explain keepalive` shows how.",
			"From outside: `tcpvet fix keepalive --idle 30s` sets them on connections that are open, and `tcpvet run` on new ones, unless the program sets its own later. It does not move an HTTP server's limit, which no probe resets.",
			"For programs that set SO_KEEPALIVE only, net.ipv4.tcp_keepalive_time and tcp_keepalive_intvl are the defaults of the namespace.",
			"Toward an HTTP server: let the client drop idle connections earlier than the server does, and repeat a request that met a closed connection and changes nothing.",
		},
		Never: []string{
			"tcp_keepalive_time for programs that do not set SO_KEEPALIVE, or set TCP_KEEPIDLE themselves: it does nothing for them.",
			"TCP keepalive against a server's HTTP limit: the server counts requests, not segments, and closes all the same.",
		},
		See: []string{
			"RFC 1122 section 4.2.3.6; RFC 5382 section 5 (REQ-5: a NAT keeps an idle connection for at least 2 h 4 min; many keep it for minutes)",
			"RFC 9112 section 9.5, on closing idle HTTP connections",
			"tcp(7), TCP_KEEPIDLE; kernel function tcp_keepalive_timer",
		},
	},
}

// lacks tells what is missing where there is a limit to judge by.
func lacks(c tcpvet.Case) tcpvet.Facts {
	var needs tcpvet.Facts
	for _, l := range c.Limits {
		if l.Kind == tcpvet.OfServer {
			needs |= tcpvet.FactQueues
		} else {
			needs |= tcpvet.FactInfo | tcpvet.FactTimer
		}
	}
	return needs &^ c.Now.Facts
}

// half of the limit leaves room for a probe that is lost.
func half(limit time.Duration) time.Duration {
	return max((limit / 2).Truncate(time.Second), time.Second)
}
