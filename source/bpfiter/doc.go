// Package bpfiter lets the kernel list its TCP sockets, or count them, by BPF
// iterators (Documentation/bpf/bpf_iterators.rst). It needs CAP_BPF and
// CAP_PERFMON, BTF, and Linux 5.11; Probe says what is missing.
//
// One pass goes over all descriptors of all processes that the caller's PID
// namespace shows, in whatever network namespace their sockets are. A second one,
// per network namespace, adds what has no descriptor there. A Counter folds both
// into tables of the kernel, of which user space reads the totals; a Stream tells
// of each socket.
//
// # What is counted
//
// A socket that stays as it is through both passes is counted once. A descriptor
// that nothing else can hold is counted where it is met. Where the file has more
// references, or the table of descriptors more users, the socket is told to user
// space, which knows it by its cookie: it counts under the process that started
// first. References by a thread that waits in a call only make that needless. What
// a process that started meanwhile has inherited is known by the cookies that the
// pass has come by.
//
// The second pass passes over what has a descriptor and a cookie that the first one
// has seen. What has another cookie is Unseen: their process is hidden from the
// caller, or has no descriptor of them (a message in flight, io_uring), or took
// them over meanwhile. One that closes between the passes can count twice, so the
// error is at most the number of closes meanwhile; a TIME-WAIT that was born since the first pass
// began is left out (Stats.Skipped). Merely bound sockets without a visible
// descriptor are in none of the tables that the kernel iterates over.
//
// A descriptor of MPTCP is of no TCP socket, but its subflows are TCP sockets with its
// inode (net/mptcp/protocol.h). The first pass notes who holds such descriptors; the
// second one tells of the subflows one by one, with their holders. In a namespace where
// it cannot be run they are missing.
//
// Two sockets whose cookies are a multiple of 2^24 apart look alike to the passes
// where, and only where, one is held by a process that started meanwhile or has no
// visible descriptor.
package bpfiter
