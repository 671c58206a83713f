// Sockets folded into groups and tuples, as tcpvet.Tally.Add and fold.Folder do it in
// user space.

#pragma once

#include "visit.h"

enum {
	BUCKETS = 34, // of tcpvet.Histogram
	SPANS = 32,   // of tcpvet.Spans
	KINDS = 4,    // of tcpvet.CloseWaitKind
};
enum { NEVER_READ = 1, READ_NOT_CLOSED = 2, UNDRAINED = 3 };

struct histogram {
	__u32 count[BUCKETS];
};

struct births {
	__u32 last10s, last60s;
};

struct exemplar {
	__u64 cookie, inode;
	__u32 local[4], remote[4];
	__u16 lport, rport;
	__u8 family, set, timer, retransmits;
	__u32 low, high, expires, queued;
};

struct group_key {
	__u64 start;
	__s32 tgid;
	__u32 netns;
	__u32 local[4], service[4]; // IPv4 as ::ffff:a.b.c.d
	__u16 port;
	__u8 role, pad[5];
};

struct tally {
	__u64 queued_bytes;
	__u32 id; // in details, 0 for none
	__u32 mini;
	__u32 states[NUM_STATES];
	__u32 close_wait[KINDS];
	struct births close_wait_born, time_wait_born;
	struct histogram idle_on, idle_off, idle_unknown;
	__u32 keepalive[SPANS];
	struct exemplar oldest, most_idle;
};

// What few groups have.
struct detail {
	__u64 unread_bytes, blocked_bytes;
	__u32 vague, vague_probed, vague_written, longest_close_wait;
	struct histogram close_wait_age[KINDS], close_wait_most[KINDS];
	struct histogram fin_wait2_quiet;
	struct histogram silent, silent_probed, unread, blocked;
	__u32 resent[NUM_STATES], twice[NUM_STATES], most[NUM_STATES];
	__u32 probed, probed_twice, unread_sockets, blocked_sockets;
	struct exemplar longest, longest_probed, longest_unread, longest_blocked;
};

struct tuple_key {
	__u32 netns;
	__u32 local[4], remote[4];
	__u16 port, pad;
};

struct budget {
	__u32 taken[NUM_STATES];
	__u32 reusable, reserved;
	struct births close_wait_born, time_wait_born;
};

// What the sockets of a namespace are judged by, from user space. listening grows
// by ports whose listener has been closed.
struct space {
	__u16 low, high;
	__u8 has_ports, has_reserved;
	__u16 pad;
	__u32 reuse_mode, reuse_delay; // ms
	__u64 listening[1024];
};

struct ports {
	__u64 set[1024];
};

// User space sets max_entries.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct group_key);
	__type(value, struct tally);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct detail);
} details SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct tuple_key);
	__type(value, struct budget);
} tuples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct space);
} spaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct ports);
} reserved SEC(".maps");

// Sockets of namespaces that user space has not told of.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u64);
} elsewhere SEC(".maps");

__u32 span_edges[SPANS]; // tenths of a second, from tcpvet.Spans
static __u32 last_id;

static struct group_key group;
static struct tuple_key tuple;
static struct tally new_tally;
static struct detail new_detail;
static struct budget new_budget;

// Functions with a name of their own outside of this file are verified once and
// not for each way that leads to them; and arithmetic does what branches would
// double those ways by. A verification takes longer than a pass otherwise.
#define __apart __attribute__((noinline))

// 1 where a is above b. Both are below 2^63.
static __always_inline __u64 above(__u64 a, __u64 b) { return (b - a) >> 63; }

// The number of bits of ms.
static __always_inline __u32 bucket_of(__u64 ms)
{
	__u64 n = 0, step;
	step = above(ms, 0xffff) << 4;
	ms >>= step;
	n += step;
	step = above(ms, 0xff) << 3;
	ms >>= step;
	n += step;
	step = above(ms, 0xf) << 2;
	ms >>= step;
	n += step;
	step = above(ms, 3) << 1;
	ms >>= step;
	n += step;
	step = above(ms, 1);
	ms >>= step;
	return n + step + ms;
}

__apart int count_time(struct histogram *h, __u32 ms)
{
	__u32 k = bucket_of(ms);
	if (h && k < BUCKETS)
		h->count[k]++;
	return 0;
}

static __always_inline void count_span(__u32 *spans, __u64 ms)
{
	__u64 tenths = (ms + 50) / 100, i = 0;
#pragma unroll
	for (__u64 step = SPANS / 2; step; step /= 2)
		i += step * (1 - above(span_edges[(i + step) & (SPANS - 1)], tenths));
	spans[i & (SPANS - 1)]++;
}

static __always_inline void bear(struct births *b, __u32 ms)
{
	b->last60s += 1 - above(ms, 60000);
	b->last10s += 1 - above(ms, 10000);
}

// choose keeps the socket where it is older than the one kept: the first by inode of
// those of one age, so that the choice does not hang on the order of processes.
__apart int choose(struct exemplar *e, __u32 low, __u32 high, __u32 queued)
{
	struct record *r = &rec;
	if (!e)
		return 0;
	if (e->set && (low < e->low || (low == e->low && r->inode >= e->inode)))
		return 0;
	e->set = 1;
	e->cookie = r->cookie;
	e->inode = r->inode;
	__builtin_memcpy(e->local, r->local, sizeof e->local);
	__builtin_memcpy(e->remote, r->remote, sizeof e->remote);
	e->lport = r->lport;
	e->rport = r->rport;
	e->family = r->family;
	e->timer = r->timer;
	e->retransmits = r->retransmits;
	e->low = low;
	e->high = high;
	e->expires = r->expires;
	e->queued = queued;
	return 0;
}

static __always_inline __u32 least(__u32 a, __u32 b) { return a < b ? a : b; }
static __always_inline __u32 most(__u32 a, __u32 b) { return a > b ? a : b; }

static __always_inline bool listens(struct space *sp, __u16 port)
{
	return sp->listening[(port / 64) & 1023] >> (port % 64) & 1;
}

// accepted is the function of that name in package source.
static __always_inline bool accepted(struct record *r)
{
	__u64 acked = r->bytes_acked;
	if (!(r->flags & HAS_INFO))
		return false;
	switch (r->state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		break;
	case TCP_FIN_WAIT2:
		if (!acked)
			return false;
		acked--; // its FIN
		break;
	default:
		return false;
	}
	return !r->unacked && !r->total_retrans && acked == r->bytes_sent && acked + r->bytes_received > 0;
}

// set_role is what package source's roles does.
__apart int set_role(struct space *sp)
{
	struct record *r = &rec;
	if (!sp)
		return 0;
	__u16 low = sp->low, high = sp->high;
	__u16 local = r->lport, remote = r->rport;

	if (r->state == TCP_LISTEN) {
		r->role = ROLE_SERVER;
	} else if (r->state == TCP_BOUND_INACTIVE) {
		r->role = ROLE_UNKNOWN;
	} else if (listens(sp, local) || ((local < low || local > high) && remote >= low && remote <= high)) {
		r->role = ROLE_SERVER;
	} else if (remote >= low && accepted(r)) {
		sp->listening[(local / 64) & 1023] |= 1ULL << (local % 64);
		r->role = ROLE_SERVER;
	} else {
		r->role = ROLE_CLIENT;
	}
	return 0;
}

static __always_inline bool is_loopback(__u32 *a)
{
	if (!a[0] && !a[1] && a[2] == __builtin_bswap32(0xffff))
		return (a[3] & 0xff) == 127;
	return !a[0] && !a[1] && !a[2] && a[3] == __builtin_bswap32(1);
}

static __always_inline bool reusable(struct record *r, struct space *sp, __u32 age)
{
	if (sp->reuse_mode == 2) {
		if (!is_loopback(tuple.local) && !is_loopback(tuple.remote) && r->iface != 1)
			return false;
	} else if (sp->reuse_mode != 1) {
		return false;
	}
	return age >= sp->reuse_delay;
}

// The bounds between which the age of a CLOSE-WAIT lies: tcpvet.Socket.Age.
static __always_inline void close_wait_age(struct record *r, __u32 *low, __u32 *high)
{
	*low = *high = r->last_ack;
	if ((r->timer != TIMER_NONE || r->last_recv > r->last_sent) && r->last_recv > r->last_ack)
		*high = r->last_recv;
}

static __always_inline __u32 time_wait_age(struct record *r)
{
	return r->expires < 60000 ? 60000 - r->expires : 0;
}

__apart int add_budget(struct budget *b, struct space *sp)
{
	struct record *r = &rec;
	if (!b || !sp)
		return 0;
	__u32 state = r->state;
	if (state >= NUM_STATES)
		return 0;
	if (state == TCP_TIME_WAIT) {
		__u32 age = time_wait_age(r);
		bear(&b->time_wait_born, age);
		if (reusable(r, sp, age)) {
			b->reusable++;
			return 0;
		}
	}
	b->taken[state]++;
	if (sp->has_reserved) {
		struct ports *p = bpf_map_lookup_elem(&reserved, &r->netns);
		if (p && p->set[(r->lport / 64) & 1023] >> (r->lport % 64) & 1)
			b->reserved++;
	}
	if (state == TCP_CLOSE_WAIT && r->flags & HAS_INFO) {
		__u32 low, high;
		close_wait_age(r, &low, &high);
		bear(&b->close_wait_born, high);
	}
	return 0;
}

// needs_detail tells whether the socket adds to what few groups have.
static __always_inline bool needs_detail(struct record *r)
{
	if (r->state == TCP_CLOSE_WAIT || r->state == TCP_FIN_WAIT2)
		return r->flags & HAS_INFO;
	if (r->state == TCP_ESTABLISHED && r->recv_q)
		return true;
	return r->timer == TIMER_PERSIST ||
	       (r->retransmits && (r->timer == TIMER_ON || (r->timer == TIMER_KEEPALIVE && r->state == TCP_ESTABLISHED)));
}

__apart int add_stall(struct detail *d)
{
	struct record *r = &rec;
	if (!d)
		return 0;
	__u32 state = r->state, n = r->retransmits;
	bool probed = r->timer == TIMER_KEEPALIVE;
	if (state >= NUM_STATES)
		return 0;
	if (probed) {
		d->probed++;
		if (n > 1)
			d->probed_twice++;
	} else {
		d->resent[state]++;
		if (n > 1)
			d->twice[state]++;
		d->most[state] = most(d->most[state], n);
	}
	if (state != TCP_ESTABLISHED || n < 2 || !(r->flags & HAS_INFO))
		return 0;
	__u32 silent = least(r->last_ack, r->last_recv);
	count_time(probed ? &d->silent_probed : &d->silent, silent);
	struct exemplar *e = probed ? &d->longest_probed : &d->longest;
	choose(e, silent, silent, r->send_q);
	return 0;
}

__apart int add_timer(struct tally *t, struct detail *d)
{
	struct record *r = &rec;
	if (!t)
		return 0;
	if (r->timer == TIMER_PERSIST) {
		if (!d)
			return 0;
		d->blocked_sockets++;
		d->blocked_bytes += r->send_q;
		if (!(r->flags & HAS_INFO))
			return 0;
		count_time(&d->blocked, r->last_sent);
		choose(&d->longest_blocked, r->last_sent, r->last_sent, r->send_q);
	} else if (r->retransmits && (r->timer == TIMER_ON || (r->timer == TIMER_KEEPALIVE && r->state == TCP_ESTABLISHED))) {
		if (d)
			add_stall(d);
	} else if (r->timer == TIMER_KEEPALIVE && r->state == TCP_ESTABLISHED && r->flags & HAS_INFO) {
		count_span(t->keepalive, (__u64)r->expires + least(r->last_recv, r->last_ack));
	}
	return 0;
}

__apart int add_close_wait(struct tally *t, struct detail *d)
{
	struct record *r = &rec;
	if (!t)
		return 0;
	__u32 kind = r->recv_q == 0 ? READ_NOT_CLOSED : r->recv_q == 1 ? NEVER_READ : UNDRAINED;
	__u32 low, high;

	t->close_wait[kind]++;
	t->queued_bytes += r->recv_q;
	if (!(r->flags & HAS_INFO) || !d)
		return 0;
	close_wait_age(r, &low, &high);
	__u32 top = most(low, least(high, r->last_sent));
	count_time(&d->close_wait_age[kind], low);
	count_time(&d->close_wait_most[kind], top);
	d->longest_close_wait = most(d->longest_close_wait, top);
	if (low != high) {
		d->vague++;
		if (r->timer == TIMER_KEEPALIVE)
			d->vague_probed++;
		else if (r->last_sent < r->last_recv)
			d->vague_written++;
	}
	bear(&t->close_wait_born, high);
	choose(&t->oldest, low, high, 0);
	return 0;
}

__apart int add_established(struct tally *t, struct detail *d)
{
	struct record *r = &rec;
	if (!t)
		return 0;
	__u32 idle = least(r->last_sent, r->last_recv);

	t->queued_bytes += r->recv_q;
	if (r->recv_q && d) {
		d->unread_sockets++;
		d->unread_bytes += r->recv_q;
		if (r->flags & HAS_INFO) {
			count_time(&d->unread, idle);
			choose(&d->longest_unread, idle, idle, r->recv_q);
		}
	}
	if (!(r->flags & HAS_INFO))
		return 0;
	if (r->timer == TIMER_KEEPALIVE) {
		count_time(&t->idle_on, idle);
	} else if (r->timer == TIMER_NONE) {
		count_time(&t->idle_off, idle);
		choose(&t->most_idle, idle, idle, 0);
	} else {
		count_time(&t->idle_unknown, idle);
	}
	return 0;
}

static __always_inline void add_tally(struct tally *t, struct detail *d, struct record *r)
{
	__u32 state = r->state;
	if (state >= NUM_STATES)
		return;
	t->states[state]++;
	if (state == TCP_FIN_WAIT2 && r->flags & MINI)
		t->mini++;
	add_timer(t, d);
	if (state == TCP_CLOSE_WAIT)
		add_close_wait(t, d);
	else if (state == TCP_FIN_WAIT2 && r->flags & HAS_INFO && d)
		count_time(&d->fin_wait2_quiet, r->last_recv);
	else if (state == TCP_TIME_WAIT)
		bear(&t->time_wait_born, time_wait_age(r));
	else if (state == TCP_ESTABLISHED)
		add_established(t, d);
}

// count_elsewhere counts the record of a namespace that user space has not told of.
static __always_inline void count_elsewhere(void)
{
	__u64 *n = bpf_map_lookup_elem(&elsewhere, &rec.netns), one = 1;
	if (n)
		++*n;
	else
		bpf_map_update_elem(&elsewhere, &rec.netns, &one, BPF_ANY);
}

// in_doubt tells whether the ports leave it open which end the socket is.
static __always_inline bool in_doubt(struct space *sp)
{
	__u16 local = rec.lport, remote = rec.rport;
	return remote >= sp->low && !listens(sp, local) && ((local >= sp->low && local <= sp->high) || remote > sp->high);
}

// fold counts the record. false where a table has no room: then nothing is counted.
__apart int fold(struct space *sp)
{
	struct record *r = &rec;
	struct budget *b = NULL;
	struct detail *d = NULL;

	if (!sp)
		return 0;
	set_role(sp);
	group.start = r->start;
	group.tgid = r->tgid;
	group.netns = r->netns;
	group.role = r->role;
	__builtin_memcpy(group.local, r->local, sizeof group.local);
	if (r->role == ROLE_CLIENT) {
		__builtin_memcpy(group.service, r->remote, sizeof group.service);
		group.port = r->rport;
	} else {
		__builtin_memcpy(group.service, r->local, sizeof group.service);
		group.port = r->lport;
	}
	struct tally *t = bpf_map_lookup_elem(&groups, &group);
	if (!t) {
		if (bpf_map_update_elem(&groups, &group, &new_tally, BPF_NOEXIST))
			return 0;
		t = bpf_map_lookup_elem(&groups, &group);
		if (!t)
			return 0;
	}
	if (needs_detail(r)) {
		if (!t->id) {
			__u32 id = last_id + 1;
			if (bpf_map_update_elem(&details, &id, &new_detail, BPF_ANY))
				return 0;
			t->id = last_id = id;
		}
		d = bpf_map_lookup_elem(&details, &t->id);
		if (!d)
			return 0;
	}
	if (r->role == ROLE_CLIENT && sp->has_ports && r->lport >= sp->low && r->lport <= sp->high) {
		tuple.netns = r->netns;
		__builtin_memcpy(tuple.local, r->local, sizeof tuple.local);
		__builtin_memcpy(tuple.remote, r->remote, sizeof tuple.remote);
		tuple.port = r->rport;
		b = bpf_map_lookup_elem(&tuples, &tuple);
		if (!b) {
			if (bpf_map_update_elem(&tuples, &tuple, &new_budget, BPF_NOEXIST))
				return 0;
			b = bpf_map_lookup_elem(&tuples, &tuple);
			if (!b)
				return 0;
		}
		add_budget(b, sp);
	}
	add_tally(t, d, r);
	pass.folded++;
	return 1;
}
