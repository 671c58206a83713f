// Package sockdiag asks the kernel for its TCP sockets over NETLINK_SOCK_DIAG
// (sock_diag(7), include/uapi/linux/inet_diag.h), which needs no privilege, and has it
// end them, which does.
//
// The codec is portable and takes bytes; only Dial touches the machine. A dump
// streams: one Socket is filled again and again, and nothing is allocated per
// socket.
//
// # What a dump guarantees
//
// The kernel's walk (tcp_diag_dump in net/ipv4/tcp_diag.c, in older
// kernels inet_diag_dump_icsk in inet_diag.c) goes through three tables, in this
// order: the listeners, the merely bound sockets where bit 13 of the states
// asks for them, and the table of connections, which holds TIME-WAIT and
// requests in SYN-RECV too. It fills an answer of about 32 KB and stops; the
// next read lets it go on. Between two reads no lock is held. What it
// remembers is a bucket's number and how many sockets of this namespace, from
// the head of that bucket, it has done with.
//
//   - Other buckets cannot disturb the walk: a socket is told once if it
//     stays where it is, and nothing enters or leaves its bucket at the
//     moment when a read ends inside that bucket.
//   - New sockets enter at the head. One that enters the open bucket pushes
//     the others back, and the last ones told are told again. Dump drops the
//     second report: it knows the last 128 sockets.
//   - One that leaves the open bucket from before the mark pulls the others
//     forward, and as many that were not told yet are passed over. Nothing in
//     the answer shows it. So where a read ends Dump looks the last
//     16 sockets up, on a second connection: while all are in their places none
//     can have left from before the mark. Where one is gone, the sockets about
//     that seam are remembered, and a second walk tells what lies between them
//     and was not told (Stats.Mended). Where all of them are gone nobody can
//     tell (Stats.Unsure). Listeners and merely bound sockets cannot be looked
//     up; their tables are walked again if a read ended inside of them.
//   - What remains: a bucket with more than 16 sockets before the mark; one
//     with sockets that were not asked for, by state or Filter, which nobody
//     can look up; and a misfortune that repeats itself in the second walk.
//   - The kernel walks buckets of more than 16 sockets in pieces, with the
//     same effects between pieces, unseen. Its table for connections is big
//     enough for such buckets to be rare, unless
//     net.ipv4.tcp_child_ehash_entries makes the namespace a small one of its
//     own: Crowded says from when on that is no longer rare.
//   - A socket that changes its state stays in its bucket but may change its
//     place there, so it is told in the old or the new state, or rarely not
//     at all. One that was merely bound and connects during the dump moves to
//     a later table: the second report is dropped and counted as changed.
//   - The states are tested when the kernel picks a socket and printed a
//     little later: one that left the states asked for in between is dropped
//     and counted as changed. So is one that ended and holds no port any more.
//
// NLM_F_DUMP_INTR would say that a dump is inconsistent. The kernel's walk of
// sockets does not set it today; Dump reports it and DumpConsistent repeats.
package sockdiag
