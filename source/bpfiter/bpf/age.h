// How long: ages as histograms, spans and births, and the oldest sockets as exemplars.

#pragma once

#include "tables.h"

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
