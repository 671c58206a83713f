// Package closewaitleak finds processes that keep connections which their peer
// has closed.
package closewaitleak

import (
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

const name = "close-wait-leak"

const (
	// enough sockets past patience are no slow handler any more.
	enough = 10

	// growth between two looks is a leak even before any of them is old.
	growth = 10

	// scarce is the part of a tuple's ports below which the leak is about to
	// stop the program.
	scarce = 0.20

	// soon is how long it takes to be called, to find the cause and to
	// restart something.
	soon = time.Hour

	// crowded is the part of the descriptor limit past which accept() and
	// open() are about to fail.
	crowded = 0.80

	// transit is longer than a busy program takes from the FIN to its
	// close(): what is younger may be on its way out. In force is the next
	// power of two of milliseconds, 512 ms: see tcpvet.Histogram.
	transit = 500 * time.Millisecond

	// named is how many services of one process get a finding of their own.
	named = 10
)

// Rule finds processes that never close what their peer has closed.
//
// It needs no fact: the states alone, as of a pasted ss -tan, tell a leak of
// some size. Without ages it judges by number, and says that it is not sure; a few
// without ages it does not judge.
var Rule = &vet.Rule{
	Name:    name,
	Lacks:   lacks,
	Judge:   judge,
	Traffic: judgeTraffic,
	Doc: vet.Doc{
		Title: "the peer closed and the process never did",
		Text: []string{
			"CLOSE-WAIT means: the peer has sent its FIN, the kernel has acknowledged it, and the process on this side has not called `close()`. The kernel waits for the process without any limit. A connection that stays so for longer than a minute was forgotten.",
			"The receive queue tells what the process did since the FIN came. *never-read* (Recv-Q 1, the FIN itself): nobody has looked at the connection, which idles in a pool or belongs to an object that nobody closed. *read-not-closed* (Recv-Q 0): the process read to the end and went on without `close()`, often on an error path. *undrained* (Recv-Q above 1): it stopped in the middle of the answer, as code does that checks a status and drops the body. *never-accepted*: the connection waits in the accept queue of a listener whose process does not call `accept()`.",
			"A client's leak uses up local ports: one for each connection, out of one range for each remote endpoint. When none is left, `connect()` to that endpoint fails with EADDRNOTAVAIL, \"Cannot assign requested address\", errno 99, while other destinations still work. A server's leak takes no port, since all its connections share one; it uses up descriptors until `accept()` fails with EMFILE, errno 24. A client with a low descriptor limit meets that end first.",
			"A process that leaks a few connections to each of many services, as a crawler does, gets one finding for all of them together.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: "1 socket past patience", Reason: "no sane shutdown takes a minute (`--patience`), so even one shows a path that forgets to close"},
			{Name: "warning", Value: vet.Counted(enough, "socket") + " past patience", Reason: "one or two can be a slow handler; ten are a habit"},
			{Name: "warning, two looks", Value: vet.Count(growth) + " more between looks", Reason: "a count that grows is a leak before its first socket is old"},
			{Name: "critical, ports", Value: "under " + vet.Percent(scarce) + " of the tuple's ports left", Reason: "the next burst can take the rest, and `connect()` has been slow since half of them went"},
			{Name: "critical, time", Value: "exhausted in under " + vet.Duration(soon), Reason: "shorter than it takes to find and ship a correction, so somebody has to act now"},
			{Name: "critical, descriptors", Value: "over " + vet.Percent(crowded) + " of the holder's limit", Reason: "files, pipes and logs need descriptors too, and EMFILE strikes all of them"},
			{Name: "ages", Value: "65.5 s for a patience of 1 min", Reason: "ages are counted by powers of two of milliseconds, so what counts is the next of them, 65,536 ms; the oldest socket alone is held to the patience itself"},
			{Name: "rate of one look", Value: "the lower of the last 10 s / 10 s and the last 60 s / 60 s", Reason: "a burst after a quiet time does not go on, and what has stopped is no forecast either; the time to EMFILE rests on the sum over all leaks of the process"},
			{Name: "vague ages", Value: "likely where only the greatest age is past patience", Reason: "a process that writes to a connection has not forgotten it, so the time since then is the most that counts; each answered keepalive probe moves the time that dates the FIN, and so does the acknowledgement of what the process wrote after it, so the age lies between that and the last data; where that holds for half of the sockets or more, one look gives no rate"},
			{Name: "transit", Value: vet.Duration(transit) + " (in force: 512 ms)", Reason: "a busy program has connections between FIN and `close()` at any moment; where most of the growth is younger than this, no forecast is made of it"},
			{Name: "findings of its own", Value: vet.Counted(named, "service") + " per process", Reason: "the largest are named, the rest is summed up: a list of thousands helps nobody"},
			{Name: "without ages", Value: "from " + vet.Count(enough) + " on all count as past patience", Reason: "pasted text without `-i` does not say how old a socket is; the finding is then *likely*, not *certain*. Fewer may all be on their way out, so that the rule is not judged"},
		},
		Cure: []string{
			"Close it in the code: in every path, errors too, close the response or give it back to its pool, and close sessions and clients at their end. `tcpvet explain fix` shows how in several languages.",
			"Which code it is: `tcpvet trace --leaks --pid PID` waits while connections open and go to CLOSE-WAIT, and then names the lines that opened them, the worst first.",
			"Make the pool notice: one that checks idle connections before use, or drops them after a time shorter than the server's keep-alive limit, never holds what the server has closed.",
			"Until then: restarting the process gives back everything. `tcpvet fix close` gives back the ports alone, of this process alone: the descriptors stay open. So does `ss -K`, which closes what its filter selects, whoever holds it.",
			"SO_KEEPALIVE gives the port back if the peer is really gone, since the next probe then draws an RST: `tcpvet fix keepalive` sets it on connections that are open, `tcpvet run` on new ones. A peer that has only half closed answers for ever, and the descriptor stays in any case.",
		},
		Never: []string{
			"A sysctl. The kernel waits for the program, and no setting ends CLOSE-WAIT: tcp_fin_timeout rules FIN-WAIT-2 and tcp_tw_reuse TIME-WAIT.",
			"A wider port range or a higher descriptor limit. The same leak fills it, later.",
		},
		See: []string{
			"RFC 9293 section 3.6, Closing a Connection",
			"Documentation/networking/ip-sysctl.rst, ip_local_port_range",
			"close(2), accept(2), ss(8)",
		},
	},
}
