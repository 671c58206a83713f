// The two ways by which a pass comes to a socket: a descriptor, and the kernel's
// tables of connections.

#pragma once

#include "holder.h"

static __always_inline void count_descriptor(bool is_socket)
{
	if (!pass.counting)
		return;
	at.counts.descriptors++;
	if (is_socket)
		at.counts.sockets++;
}

// A TCP socket in no table of the kernel.
static __always_inline void count_tableless(struct tcp_sock *tp)
{
	if (!pass.counting)
		return;
	if (tp->bytes_received || tp->bytes_acked || tp->srtt_us) {
		at.counts.used++;
		at.counts.inode = rec.inode;
	} else {
		at.counts.quiet++;
		if (!at.counts.used)
			at.counts.inode = rec.inode;
	}
}

// tell writes the record. Where the buffer is full the iterator comes again with
// the same socket: nothing must have been counted by then.
static __always_inline bool tell(struct bpf_iter_meta *meta)
{
	return bpf_seq_write(meta->seq, &rec, sizeof rec) == 0;
}

static __always_inline struct tcp_sock *as_tcp(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return NULL;
	// A raw socket may be of protocol TCP.
	sk = (struct sock *)tp;
	if (sk->sk_type != SOCK_STREAM)
		return NULL;
	__u16 family = sk->__sk_common.skc_family;
	return family == AF_INET || family == AF_INET6 ? tp : NULL;
}

static __always_inline void fill_holder(struct file *file)
{
	rec.inode = file->f_inode->i_ino;
	rec.tgid = at.key.tgid;
	rec.start = at.key.start;
	rec.born = at.born;
}

// fill_held fills the record of a socket that the descriptor at hand holds.
// false for one in no table.
static __always_inline bool fill_held(struct bpf_iter__task_file *ctx, struct file *file, struct tcp_sock *tp)
{
	fill_socket(&rec, tp);
	fill_holder(file);
	if (rec.state == TCP_CLOSE) {
		if (!rec.lport)
			return false;
		rec.state = TCP_BOUND_INACTIVE;
	}
	rec.fd = ctx->fd;
	if (!at.sole || references(file) != 2)
		rec.flags |= SHARED;
	if (at.late && was_seen(rec.cookie))
		rec.flags |= TOLD;
	return true;
}

static __always_inline void fill_bound(struct sock *sk)
{
	if (!bpf_core_field_exists(struct mptcp_sock, first))
		return;
	struct sock *first = BPF_CORE_READ((struct mptcp_sock *)sk, first);
	if (!first || BPF_CORE_READ(first, __sk_common.skc_state) != TCP_CLOSE)
		return;
	rec.lport = BPF_CORE_READ(first, __sk_common.skc_num);
	rec.cookie = BPF_CORE_READ(first, __sk_common.skc_cookie.counter);
}

// fill_mptcp fills the record of who holds an MPTCP socket. It is in no table: its
// subflows are, which the other pass comes by, and they show its inode. One that is
// merely bound is in no table that a pass goes through: the record tells of it, and
// has no local port otherwise.
static __always_inline bool fill_mptcp(struct file *file, struct sock *sk)
{
	if (!sk || sk->sk_protocol != IPPROTO_MPTCP || sk->sk_type != SOCK_STREAM)
		return false;
	fill_ends(&rec, &sk->__sk_common);
	rec.state = sk->__sk_common.skc_state;
	rec.lport = 0;
	if (rec.state == TCP_CLOSE) {
		rec.state = TCP_BOUND_INACTIVE;
		fill_bound(sk);
	}
	fill_owner(&rec, sk);
	fill_holder(file);
	rec.flags = MPTCP;
	return true;
}

// What a listener of MPTCP has accepted, or is about to, keeps that protocol's
// operations, by which bpf_skc_to_tcp_timewait_sock and bpf_skc_to_tcp_request_sock
// refuse it. The state alone tells what the mini-socket is.

static __always_inline bool fill_timewait(struct sock_common *c)
{
	struct inet_timewait_sock *tw = &((struct tcp_timewait_sock *)c)->tw_sk;
	fill_ends(&rec, c);
	if (!rec.cookie)
		rec.cookie = bpf_get_socket_cookie(c);
	rec.state = BPF_CORE_READ(tw, tw_substate);
	rec.timer = TIMER_TIMEWAIT;
	rec.flags = MINI;
	__u64 now = bpf_jiffies64();
	__s64 left = BPF_CORE_READ(tw, tw_timer.expires) - now;
	rec.expires = left > 0 ? ticks_to_ms(left) : 0;
	// One that was born since the pass over descriptors began may have been
	// counted with its descriptor.
	__u64 age = 60000 - (rec.expires < 60000 ? rec.expires : 60000);
	if (rec.state == TCP_TIME_WAIT && pass.began_jiffies && ticks_to_ms(now - pass.began_jiffies) > age)
		return false;
	return true;
}

static __always_inline void fill_request(struct sock_common *c)
{
	struct request_sock *rq = &((struct tcp_request_sock *)c)->req.req;
	fill_ends(&rec, c);
	if (!rec.cookie)
		rec.cookie = bpf_get_socket_cookie(c);
	rec.state = TCP_SYN_RECV;
	rec.timer = TIMER_ON;
	rec.retransmits = BPF_CORE_READ(rq, num_retrans);
	rec.expires = until(BPF_CORE_READ(rq, rsk_timer.expires));
}

static __always_inline bool is_mptcp(struct tcp_sock *tp)
{
	return bpf_core_field_exists(struct tcp_sock, is_mptcp) && tp->is_mptcp;
}

static __always_inline __u64 kernel_inode(struct socket *socket)
{
	unsigned long inode = 0;
	void *alloc = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket);
	bpf_probe_read_kernel(&inode, sizeof inode,
			      alloc + bpf_core_field_offset(struct socket_alloc, vfs_inode) + bpf_core_field_offset(struct inode, i_ino));
	return inode;
}

enum { PASS_OVER, TAKE };

// fill_other fills the record of a socket of the kernel's tables, unless the pass
// over descriptors has come by it. *tp is set for a whole socket.
static __always_inline int fill_other(struct sock_common *c, struct tcp_sock **whole)
{
	*whole = NULL;
	rec.tgid = 0;
	rec.start = rec.born = 0;
	rec.fd = 0;
	if (c->skc_state == TCP_TIME_WAIT) {
		if (!fill_timewait(c)) {
			pass.skipped++;
			return PASS_OVER;
		}
		return TAKE;
	}
	if (c->skc_state == TCP_NEW_SYN_RECV) {
		fill_request(c);
		return TAKE;
	}
	struct tcp_sock *tp = as_tcp((struct sock *)c);
	if (!tp)
		return PASS_OVER;
	struct socket *socket = ((struct sock *)tp)->sk_socket;
	__u64 inode = 0;
	if (socket) {
		// Held by what no visible process has a descriptor of: a message
		// on its way, io_uring, the kernel itself.
		if (was_seen(((struct sock *)tp)->__sk_common.skc_cookie.counter))
			return PASS_OVER;
		struct file *file = socket->file;
		inode = file ? file->f_inode->i_ino : kernel_inode(socket);
		rec.tgid = -1;
	}
	fill_socket(&rec, tp);
	rec.inode = inode;
	if (socket && is_mptcp(tp))
		rec.flags |= MPTCP;
	if (rec.state == TCP_CLOSE) {
		pass.changed++; // it ended under the pass
		return PASS_OVER;
	}
	*whole = tp;
	return TAKE;
}
