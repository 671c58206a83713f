// Package owner remembers which process had a TCP socket that nobody holds any more.
//
// What is in TIME-WAIT has no descriptor, no inode and no user (kernel struct
// tcp_timewait_sock), but the cookie that it had. A Keeper notes the process that
// closes a socket first, by its cookie, in a table that is pinned under the BPF file
// system for others to read:
//
//	/sys/fs/bpf/tcpvet/owners-123/table
//
// The folder owners-… is locked by flock(2) while its Keeper lives, whichever PID
// namespace that is in; the kernel takes the lock away with the process. A Reader
// passes over what is not locked, and the next Keeper removes it.
//
// Every network namespace is remembered of. What a thread of the kernel closes in the
// name of a process, as it does for MPTCP, is not.
package owner
