// Package trace follows the TCP sockets of the kernel as they change, and tells of it
// as Events: by a BPF program at the tracepoint sock:inet_sock_set_state, which keeps
// a bounded table of the connections and hands records over in a ring. Nobody is woken
// for a record; the ring is read some 20 times a second. It needs CAP_BPF and
// CAP_PERFMON, BTF, and Linux 5.11; Probe says what is missing.
//
// # What is told
//
// A connection at each of its ends on this machine. Listeners, and sockets that are
// never connected, are no connections: only States tells of them. A connection that
// was there before the trace began is followed from its first change on. The child of
// a listener is told of once its handshake is complete.
//
// # Who it is
//
// A change that happens while its task has the socket locked is that task's own call:
// connect(), shutdown(), close(), the end of the process. Any other happens in whatever
// task the processor was at. There the process is the one that was last seen with the
// socket, or that has a descriptor of it: what is accepted is known by a pass over all
// descriptors (see Stats), which is made no more often than it takes a hundredth of a
// processor, or by its close. Kernel threads act for others and are nobody. Of a
// connection of MPTCP it is told who holds its first subflow.
package trace
