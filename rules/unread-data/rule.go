// Package unreaddata finds connections whose data nobody reads, here or at the
// other end.
package unreaddata

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "unread-data"

// The kinds of findings.
const (
	unread  = "unread"  // this side does not read
	blocked = "blocked" // the other end does not
)

const (
	// some of them are a process that is stuck, or a habit of its code.
	some = 10

	// named is how many processes of one kind and namespace get a finding of
	// their own.
	named = 10

	// pause is a wait that a user notices.
	pause = time.Second

	// share is the part of a service's conversations that must have waited to
	// be more than a few slow clients.
	share = 0.10
)

// Rule finds receive queues that nobody reads, and peers without room.
var Rule = &vet.Rule{
	Name:    name,
	Needs:   tcpvet.FactQueues | tcpvet.FactInfo | tcpvet.FactTimer,
	Judge:   judge,
	Traffic: judgeTraffic,
	Doc: vet.Doc{
		Title: "data that nobody reads",
		Text: []string{
			"What comes in waits in the socket's receive queue (Recv-Q) until the process calls `read()`. Where it does not, because it is blocked, was stopped, or has forgotten the connection, the data stays there: kind *unread*. Connections that no process has accepted yet are left out: they are accept-queue-full's.",
			"When the queue is full the kernel announces a window of 0, and the sender must stop. Its writes then block, or fail with EAGAIN, and what they wait for hangs with them: kind *blocked*, seen at the sender. It probes the window, at most every two minutes, and as long as the other host answers the kernel keeps the connection for good (RFC 9293 section 3.8.6.1).",
			"Connections in ESTAB count as unread: one that its peer has closed is close-wait-leak's. Where both ends are on this host, the blocked one says who it is that does not read.",
			"In captures a window of 0 is an ordinary means to slow a sender down. What counts is how long it lasted.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(1, "socket") + " past patience", Reason: "a minute without a read() is no slow reader. Where the process writes meanwhile it is at work, and has no use for what came (a session ticket of TLS, say), so the time counts from the last data either way. Ages are counted by powers of two of milliseconds, so what counts for a minute is 65.5 s and more"},
			{Name: "warning", Value: vet.Counted(some, "socket") + " past patience", Reason: "a process that is stuck, or code that forgets connections; fewer may be one slow client"},
			{Name: "both ends on this host", Value: "info for the blocked end", Reason: "the end that does not read is judged by itself"},
			{Name: "findings of its own", Value: vet.Count(named) + " processes of a kind per namespace", Reason: "the largest are named, the rest is summed up"},
			{Name: "captures, info", Value: "a window of 0 for " + vet.Duration(pause) + " in one conversation", Reason: "a wait that a user notices"},
			{Name: "captures, warning", Value: vet.Counted(some, "conversation") + " and " + vet.Percent(share) + " of the service's, " + vet.Duration(pause) + " each on average", Reason: "fewer are slow clients, and no fault of the service"},
		},
		Cure: []string{
			"Find why the process does not read: a lock, a full queue behind the reader, a call that blocks the loop, a debugger or a SIGSTOP.",
			"Close what is not to be read any more. A body that is of no interest must be drained or its connection closed.",
			"At the sender: give writes a time limit. TCP_USER_TIMEOUT ends a connection whose window stays shut for longer, though probes are answered.",
		},
		Never: []string{
			"Larger buffers (net.ipv4.tcp_rmem): they fill too, only later, and hold more memory.",
			"SO_KEEPALIVE against a peer that does not read: its host answers each probe.",
		},
		See: []string{
			"RFC 9293 section 3.8.6; RFC 1122 section 4.2.2.17",
			"RFC 6429, on connections that are kept open by a window of 0",
			"tcp(7), TCP_USER_TIMEOUT; kernel function tcp_probe_timer",
		},
	},
}
