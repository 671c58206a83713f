// A socket as user space and the tables are told of it: the counterpart of
// record.go. Times are milliseconds before now, as tcp_info gives them.

#pragma once

#include "ends.h"
#include "kernel.h"

enum {
	MINI = 1,      // a TIME-WAIT mini-socket
	SHARED = 2,    // other descriptors may hold it too
	HAS_INFO = 4,  // the fields of tcp_info are filled
	TOLD = 8,      // held by a process that started during the pass, and told before
	NO_ROOM = 16,  // a table was full
	MPTCP = 32     // of the descriptor pass, a holder of an MPTCP socket; of the other, a subflow
};

enum { TIMER_NONE, TIMER_ON, TIMER_KEEPALIVE, TIMER_TIMEWAIT, TIMER_PERSIST };

enum { ROLE_UNKNOWN, ROLE_CLIENT, ROLE_SERVER };

struct record {
	__u64 cookie, inode, cgroup;
	__u64 start, born; // of the holder: clock ticks as in /proc, ns after boot
	__u64 bytes_sent, bytes_acked, bytes_received;
	__u32 local[4], remote[4]; // network byte order; IPv4 as ::ffff:a.b.c.d
	__u32 netns, uid, iface, recv_q, send_q;
	__u32 expires;
	__u32 last_sent, last_recv, last_ack;
	__u32 unacked, lost, retrans, total_retrans;
	__u32 snd_cwnd, rtt, rttvar, rto, min_rtt, snd_mss, rcv_mss, not_sent;
	__u32 chrono[3]; // ticks: busy, limited by the receive window, by the send buffer
	__u32 rate_delivered, rate_interval;
	__s32 tgid;
	__u32 fd;
	__u16 lport, rport;
	__u8 family, state, timer, retransmits, backoff, probes, options, wscale;
	__u8 flags, role, pad[2];
};

// How the passes stand, and what they are to do. User space sets the first ones.
struct {
	__u64 ms_mul; // milliseconds of a tick, shifted by 32
	__u32 states, info, counting, number; // counting: descriptors by process
	__u32 closed, pad; // what may be remembered of is told, not counted

	__u64 began, began_jiffies; // of the pass over descriptors: 0 until then
	__u64 folded, changed, skipped, lost_processes;
} pass;

// The record that is being filled: a program's stack is too small for it beside
// the rest, and only one reader runs.
struct record rec;

static __always_inline __u32 ticks_to_ms(__u64 ticks)
{
	return (__u32)(((ticks & 0xffffffff) * (pass.ms_mul >> 16)) >> 16);
}

// What jiffies_delta_to_msecs does: nothing below 0.
static __always_inline __u32 until(unsigned long expires)
{
	__s64 left = expires - bpf_jiffies64();
	return left > 0 ? ticks_to_ms(left) : 0;
}

static __always_inline void fill_ends(struct record *r, struct sock_common *c)
{
	r->family = c->skc_family;
	fill_addresses(r->local, r->remote, c);
	r->lport = c->skc_num;
	r->rport = __builtin_bswap16(c->skc_dport);
	r->iface = c->skc_bound_dev_if;
	r->netns = c->skc_net.net->ns.inum;
	r->cookie = c->skc_cookie.counter;
	r->expires = 0;
	r->timer = TIMER_NONE;
	r->retransmits = 0;
	r->recv_q = r->send_q = 0;
	r->flags = 0;
	r->role = ROLE_UNKNOWN;
	r->inode = r->uid = r->cgroup = 0;
}

// The timer that inet_sk_diag_fill (net/ipv4/inet_diag.c) would show. A delayed ACK
// counts as none.
static __always_inline void fill_timer(struct record *r, struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	__u8 pending = icsk->icsk_pending;
	unsigned long expires;

	switch (pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_REO_TIMEOUT:
	case ICSK_TIME_LOSS_PROBE:
		r->timer = TIMER_ON;
		r->retransmits = icsk->icsk_retransmits;
		break;
	case ICSK_TIME_PROBE0:
		r->timer = TIMER_PERSIST;
		r->retransmits = icsk->icsk_probes_out;
		break;
	default: {
		struct timer_list *t = &((struct sock *)tp)->sk_timer;
		if (bpf_core_field_exists(struct inet_connection_sock___timers, icsk_keepalive_timer))
			t = &((struct inet_connection_sock___timers *)icsk)->icsk_keepalive_timer;
		if (t->entry.pprev) {
			r->timer = TIMER_KEEPALIVE;
			r->retransmits = icsk->icsk_probes_out;
			r->expires = until(t->expires);
		}
		return;
	}
	}
	if (bpf_core_field_exists(struct inet_connection_sock___timeout, icsk_timeout))
		expires = ((struct inet_connection_sock___timeout *)icsk)->icsk_timeout;
	else if (bpf_core_field_exists(struct sock___timers, tcp_retransmit_timer))
		expires = ((struct sock___timers *)tp)->tcp_retransmit_timer.expires;
	else
		expires = icsk->icsk_retransmit_timer.expires;
	r->expires = until(expires);
}

// What tells an end that was accepted. It lies in parts of the socket that nothing else
// touches, and most of a pass's time is waiting for memory.
static __always_inline void fill_sent(struct record *r, struct tcp_sock *tp)
{
	r->unacked = tp->packets_out;
	r->total_retrans = tp->total_retrans;
	r->bytes_sent = tp->bytes_sent;
	r->bytes_acked = tp->bytes_acked;
	r->bytes_received = tp->bytes_received;
}

// A whole socket, as far as it is counted by.
static __always_inline void fill_socket(struct record *r, struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;
	__u32 now = bpf_jiffies64();

	fill_ends(r, &sk->__sk_common);
	if (!r->cookie)
		r->cookie = bpf_get_socket_cookie(sk);
	r->state = sk->__sk_common.skc_state;
	if (r->state == TCP_LISTEN) {
		r->recv_q = sk->sk_ack_backlog;
		r->send_q = sk->sk_max_ack_backlog;
		fill_timer(r, tp);
		return;
	}
	r->recv_q = tp->rcv_nxt - tp->copied_seq;
	if ((__s32)r->recv_q < 0)
		r->recv_q = 0;
	r->send_q = tp->write_seq - tp->snd_una;
	fill_timer(r, tp);
	r->last_sent = ticks_to_ms((__u32)(now - tp->lsndtime));
	r->last_recv = ticks_to_ms((__u32)(now - tp->inet_conn.icsk_ack.lrcvtime));
	r->last_ack = ticks_to_ms((__u32)(now - tp->rcv_tstamp));
	if (pass.info)
		r->flags |= HAS_INFO;
}

static __always_inline void fill_owner(struct record *r, struct sock *sk)
{
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
	r->uid = sk->sk_uid.val;
	if (cgroup)
		r->cgroup = cgroup->kn->id;
}

// What only a record that user space is told needs.
static __always_inline void fill_rest(struct record *r, struct tcp_sock *tp)
{
	fill_owner(r, (struct sock *)tp);
	if (!(r->flags & HAS_INFO))
		return;
	fill_sent(r, tp);
	r->lost = tp->lost_out;
	r->retrans = tp->retrans_out;
	r->snd_cwnd = tp->snd_cwnd;
	r->rtt = tp->srtt_us >> 3;
	r->rttvar = tp->mdev_us >> 2;
	r->rto = tp->inet_conn.icsk_rto;
	r->min_rtt = tp->rtt_min.s[0].v;
	r->snd_mss = tp->mss_cache;
	r->rcv_mss = tp->inet_conn.icsk_ack.rcv_mss;
	__s32 unsent = tp->write_seq - tp->snd_nxt;
	r->not_sent = unsent > 0 ? unsent : 0;
	r->backoff = tp->inet_conn.icsk_backoff;
	r->probes = tp->inet_conn.icsk_probes_out;
	r->rate_delivered = tp->rate_delivered;
	r->rate_interval = tp->rate_interval_us;
	r->options = 0;
	r->wscale = 0;
	struct tcp_options_received *opt = &tp->rx_opt;
	if (BPF_CORE_READ_BITFIELD(opt, tstamp_ok))
		r->options |= 1;
	if (BPF_CORE_READ_BITFIELD(opt, sack_ok))
		r->options |= 2;
	if (BPF_CORE_READ_BITFIELD(opt, wscale_ok))
		r->wscale = BPF_CORE_READ_BITFIELD(opt, snd_wscale) | BPF_CORE_READ_BITFIELD(opt, rcv_wscale) << 4;
	__u8 type = BPF_CORE_READ_BITFIELD(tp, chrono_type);
	__u32 running = (__u32)bpf_jiffies64() - tp->chrono_start;
	r->chrono[0] = tp->chrono_stat[0] + (type == 1 ? running : 0);
	r->chrono[1] = tp->chrono_stat[1] + (type == 2 ? running : 0);
	r->chrono[2] = tp->chrono_stat[2] + (type == 3 ? running : 0);
}
