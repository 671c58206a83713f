// What a group's sockets come to, as tcpvet.Tally.Add does it in user space.

#pragma once

#include "age.h"

enum { NEVER_READ = 1, READ_NOT_CLOSED = 2, UNDRAINED = 3 };

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
