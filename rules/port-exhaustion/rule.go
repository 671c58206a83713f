// Package portexhaustion finds tuples whose local ports are used up, or nearly.
package portexhaustion

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "port-exhaustion"

const (
	// gone is the part of the ports below which the next burst fails.
	gone = 0.05

	// scarce is the part below which growth by a quarter fails.
	scarce = vet.Scarce

	// half is the part below which connect() is slow: it tries the ports of
	// one parity first, and those are gone.
	half = 0.50

	// recycled counts the ports in TIME-WAIT that connect() was given.
	recycled = "TcpExtTWRecycled"

	// mostly is the part of the ports in use that makes a state their cause.
	mostly = 0.50

	// leaking is the part of the ports in use from which CLOSE-WAIT is
	// treated as a leak that a wider range would only feed.
	leaking = 0.10

	// named is how many tuples get a finding of their own.
	named = 20
)

// Rule finds tuples that run out of local ports.
//
// Without TIME-WAIT the count would be too low, so a source that cannot see it
// is not enough.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactPortRange | tcpvet.FactTimeWait,
	Judge: judge,
	Doc: vet.Doc{
		Title: "local ports toward one endpoint are used up, or nearly",
		Text: []string{
			"A client's connection needs a local port, and the kernel chooses it from `net.ipv4.ip_local_port_range`. A port can serve many destinations at once, but for one *tuple* (network namespace, local address, remote address, remote port) it serves one connection. When every port is taken for a tuple, `connect()` fails with EADDRNOTAVAIL, \"Cannot assign requested address\", errno 99. Another destination still connects, unless the program binds before it connects, so only a count for each tuple proves anything.",
			"What is left = the range, less the ports of `ip_local_reserved_ports`, less those that a socket holds by `bind()` or listens on, less those that connections of the tuple hold in any state. A TIME-WAIT whose port the kernel would give to a new connection now (see `tcp_tw_reuse`) is not taken and is counted apart. That needs timestamps at both ends of its connection, which no input tells: where the ports last only if it had them, that is worth a line and no warning; none where both ends are of this host and its counter TWRecycled shows that it has reused some. The kernel goes by the timestamps of each connection, not by the setting of now: after `net.ipv4.tcp_timestamps` was switched off, TIME-WAITs of connections from before are still reused, so a finding that rests on TIME-WAIT is then *likely*; after it was switched on, those of connections from before are not, over loopback neither.",
			"No counter of the kernel moves when it happens and no packet is sent: `tcpvet trace --failures` shows each `connect()` that fails so, whose it is, and who holds the ports. Slow connects come before it: past half of the ports, `connect()` finds none of the parity that it tries first and has to search, which was measured as a step from about 10 us to between 300 and 700 us.",
			"Sockets that call `bind()` with port 0 before they connect take their ports out of one range for all destinations, and fail with EADDRINUSE, errno 98. This is a limit of the rule: once connected, such a socket looks like any other, so that a port which it takes from every destination is counted against its own tuple only.",
		},
		Numbers: []vet.Number{
			{Name: "critical", Value: "under " + vet.Percent(gone) + " left", Reason: "1,411 of 28,232 ports: three seconds at the 470 a second that TIME-WAIT alone can bear"},
			{Name: "warning", Value: "under " + vet.Percent(scarce) + " left", Reason: "a quarter more connections than now use it up"},
			{Name: "warning, slow connects", Value: "under " + vet.Percent(half) + " left", Reason: "each `connect()` now searches: it burns CPU and may take longer than the network does"},
			{Name: "info, reuse unsure", Value: "under " + vet.Percent(gone) + " left without the TIME-WAITs that would be reused", Reason: "a fast client whose ports are reused is well as long as both ends had timestamps when its connections opened"},
			{Name: "cause", Value: vet.Percent(mostly) + " of the ports in use", Reason: "the state that holds half of them decides what helps"},
			{Name: "no wider range", Value: "CLOSE-WAIT holds " + vet.Percent(leaking) + " or more", Reason: "that much is a leak, and a leak fills any range"},
			{Name: "findings of its own", Value: vet.Counted(named, "tuple"), Reason: "the worst are named, the others counted in one finding more: with a range of ten ports every destination of a crawler is full"},
			{Name: "no port at all", Value: "0 ports usable", Reason: "reserved and bound ports cover the range: every `connect()` in the namespace fails"},
		},
		Cure: []string{
			"CLOSE-WAIT holds them: it is a leak, and the code that does not close is what to change. See `tcpvet explain close-wait-leak`.",
			"TIME-WAIT holds them: keep connections open and use them again; then `net.ipv4.tcp_tw_reuse=1` with timestamps at both ends; then more destination or source addresses, each of which brings a full range of its own.",
			"Without a change of the program: `tcpvet fix sysctl` plans the settings that fit, and `tcpvet run --source-pool ADDRESS,ADDRESS -- COMMAND` has new connections take the addresses in turn, unless the program binds one itself.",
			"ESTAB holds them: give the pool a bound, or share connections (HTTP/2, a proxy); then more addresses, or a wider range.",
			"`bind()` holds them: set IP_BIND_ADDRESS_NO_PORT where a source address is chosen before `connect()`, and move listeners out of the range.",
		},
		Never: []string{
			"A wider range where CLOSE-WAIT holds the ports: it delays the end and makes the process larger.",
			"tcp_tw_recycle: it broke clients behind NAT and is gone since Linux 4.12.",
		},
		See: []string{
			"Documentation/networking/ip-sysctl.rst, ip_local_port_range, ip_local_reserved_ports, tcp_tw_reuse",
			"kernel function __inet_hash_connect",
			"ip(7), IP_BIND_ADDRESS_NO_PORT",
		},
	},
}
