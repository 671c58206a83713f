// Package nokeepalive finds idle connections that would not notice the death
// of their peer.
package nokeepalive

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "no-keepalive"

const (
	// patiences is how many times the patience a connection must be idle:
	// with the default of a minute, the shortest idle limit of a common
	// middlebox.
	patiences = 4

	// some of them are a habit of the program, not one connection.
	some = 10

	// many of them are a crowd that one lost middlebox strands at once.
	many = 100
)

// Rule finds processes with idle connections without SO_KEEPALIVE.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactInfo | tcpvet.FactTimer,
	Judge: judge,
	Doc: vet.Doc{
		Title: "idle connections without SO_KEEPALIVE",
		Text: []string{
			"An idle TCP connection sends nothing. If the peer loses power, or a NAT or balancer between forgets the connection, this side is not told: it stays in ESTAB for good. Only SO_KEEPALIVE, set by the program for each socket, makes the kernel ask.",
			"A client finds out at its next request: the data is sent again and again without an answer for some 15 minutes (`tcp_retries2`) before the call fails. A server that only waits for requests never finds out, and keeps a descriptor for each dead client.",
			"That keepalive is off shows in an idle socket without any timer. Connections over loopback and to an address of the same namespace are left out: both ends live and die with one kernel, so the peer cannot vanish, and there is no middlebox.",
			"Where the idle limit on the way is known, `--path-idle 350s` or `--path-idle 10.0.3.0/24=350s` tells it, and connections to those peers are judged by it.",
		},
		Numbers: []vet.Number{
			{Name: "idle", Value: vet.Duration(patiences * time.Minute), Reason: "four times patience: middleboxes forget idle connections after 4 to 6 minutes, so from here on one may be gone. Ages are counted by powers of two of milliseconds, so what counts is the next of them: 262.1 s, or 4 min 22 s"},
			{Name: "idle, where a limit is told", Value: "the limit of --path-idle", Reason: "what is idle for longer has been forgotten on the way; a server's connections are judged by a limit to all peers only, for its peers are many"},
			{Name: "info", Value: vet.Counted(some, "socket") + " of a process", Reason: "a few connections may belong to a tool of an administrator"},
			{Name: "warning", Value: vet.Counted(many, "socket") + " of a process", Reason: "so many are stranded together when something between restarts, and each holds a descriptor"},
		},
		Cure: []string{
			"Set SO_KEEPALIVE in the code, with a time below the shortest idle limit on the path: TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. `tcpvet explain keepalive` shows how.",
			"Where the program cannot be changed: `tcpvet fix keepalive` sets it on connections that are open, and `tcpvet run` on new ones. What the program sets itself later takes its place, as Go does right after it connects; and an outage longer than the probes then ends connections that would have outlived it.",
			"In nginx: `so_keepalive=on` on the listen line, `proxy_socket_keepalive on` toward upstreams.",
			"Or close idle connections: a pool with an idle limit, a heartbeat of the protocol.",
		},
		Never: []string{
			"net.ipv4.tcp_keepalive_time alone: it gives the default for sockets that have SO_KEEPALIVE and does nothing for the others.",
			"HTTP keep-alive: it keeps the connection for the next request and asks the peer nothing.",
		},
		See: []string{
			"RFC 9293 section 3.8.4; RFC 1122 section 4.2.3.6",
			"tcp(7), socket(7)",
			"Documentation/networking/ip-sysctl.rst, tcp_keepalive_time",
		},
	},
}
