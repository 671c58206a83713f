// Package descriptorlimit finds processes that are near their limit of
// descriptors because of their sockets.
package descriptorlimit

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "descriptor-limit"

const (
	// crowded is the part of the limit from which on there is little room.
	crowded = 0.80

	// full is the part from which on a burst uses up the rest.
	full = 0.95

	// sockets is the part of the descriptors that must be sockets: files are
	// another tool's business.
	sockets = 0.50

	// groups is how many groups of connections the text names, and processes
	// how many of a namespace get a finding of their own.
	groups, processes = 3, 10
)

// Rule finds processes near RLIMIT_NOFILE.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactLimits | tcpvet.FactHolders,
	Judge: judge,
	Doc: vet.Doc{
		Title: "a process is near its limit of descriptors, and most of them are sockets",
		Text: []string{
			"Every socket that a process holds takes a descriptor, whatever its state. When the soft limit RLIMIT_NOFILE is reached, `socket()`, `accept()` and `open()` fail with EMFILE (24): no log file, no DNS lookup, no new client. A server's accept queue then fills, and its clients time out (accept-queue-full).",
			"The finding says what the descriptors are: which connections, in which state, to which service. TIME-WAIT has none. Descriptors whose TCP socket is in no table of the kernel are named where they were looked for (tableless-sockets).",
			"Kind *leak*: connections that the peer has closed (CLOSE-WAIT) or that the kernel has ended (tableless) are the larger part. Kind *load*: they are not.",
			"Only processes that hold a TCP socket are looked at.",
		},
		Numbers: []vet.Number{
			{Name: "warning", Value: "over " + vet.Percent(crowded) + " of the limit", Reason: "where close-wait-leak becomes critical too: a fifth is left for everything else"},
			{Name: "critical", Value: "over " + vet.Percent(full) + " of the limit", Reason: "of the usual 1,024 then 51 are left, which a small burst takes"},
			{Name: "sockets", Value: vet.Percent(sockets) + " of the descriptors", Reason: "with fewer the files are the problem, which this tool does not know"},
			{Name: "findings of its own", Value: vet.Count(processes) + " processes per namespace", Reason: "the fullest are named, the rest is summed up"},
		},
		Cure: []string{
			"A leak: close what the peer has closed. `tcpvet explain fix` shows how for each language.",
			"Too many idle connections: a bounded pool in a client, an idle limit in a server.",
			"A program that is meant to hold so many: raise its limit where it is started (LimitNOFILE= of its systemd unit, `ulimit -n`, the container's ulimits).",
		},
		Never: []string{
			"A higher limit for a leak: it is reached too, only later, and what is behind it is used up first, such as ports and memory.",
			"net.ipv4.tcp_max_tw_buckets or any other setting about TIME-WAIT: a socket in TIME-WAIT has no descriptor.",
		},
		See: []string{
			"getrlimit(2), RLIMIT_NOFILE; accept(2), EMFILE",
			"proc(5), /proc/PID/limits and /proc/PID/fd; systemd.exec(5), LimitNOFILE=",
		},
	},
}
