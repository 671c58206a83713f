// The ports of a tuple, as fold.Folder counts them in user space.

#pragma once

#include "age.h"

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
