// Package acceptqueuefull finds listeners whose process does not accept.
package acceptqueuefull

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "accept-queue-full"

// Rule finds listeners whose accept queue is full.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactListeners | tcpvet.FactBacklog | tcpvet.FactBacklogMax,
	Judge: judge,
	Doc: vet.Doc{
		Title: "a listener's accept queue is full: clients time out",
		Text: []string{
			"The kernel completes handshakes by itself and queues the connections until the process calls `accept()`. For a listener, Recv-Q is the length of that queue and Send-Q its limit: the smaller of what `listen()` asked for and `net.core.somaxconn`.",
			"When the length has passed the limit, the kernel drops what would come next: SYNs, and the ACKs that complete handshakes. Clients are not refused. They send again, slower each time, and time out; some believe to be connected, and hang on their first request. ListenOverflows and ListenDrops of the namespace rise.",
			"The reason is nearly always the process: it is blocked, all of its workers are busy, or it has used up its descriptors, so that `accept()` fails with EMFILE while the queue fills.",
		},
		Numbers: []vet.Number{
			{Name: "critical", Value: "length above the limit", Reason: "the kernel's own test (sk_acceptq_is_full): new connections are dropped now"},
			{Name: "warning, queue", Value: "length at the limit", Reason: "the kernel lets one more in, then it drops what comes"},
			{Name: "warning, counter", Value: "ListenOverflows 1 more between looks", Reason: "each is a connection that somebody wanted and did not get; which listener it was the counter does not say, so the finding is *likely* only"},
		},
		Cure: []string{
			"Find why the process does not accept: blocked in a call, a lock, a pool of workers that is too small, no descriptors left. A leak in CLOSE-WAIT on the same process is a usual cause.",
			"For bursts that the process can work off: a larger backlog in `listen()`, and `net.core.somaxconn` not below it.",
		},
		Never: []string{
			"A larger backlog for a process that does not keep up: clients wait longer and time out all the same.",
			"tcp_abort_on_overflow=1 as a cure: it turns the timeouts into resets, and bursts that would have passed into failures.",
		},
		See: []string{
			"listen(2), ss(8)",
			"kernel functions sk_acceptq_is_full and tcp_conn_request",
			"Documentation/networking/ip-sysctl.rst, tcp_abort_on_overflow",
		},
	},
}
