// Which end a socket is, as package source's roles tells it.

#pragma once

#include "age.h"

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

// in_doubt tells whether the ports leave it open which end the socket is.
static __always_inline bool in_doubt(struct space *sp)
{
	__u16 local = rec.lport, remote = rec.rport;
	return remote >= sp->low && !listens(sp, local) && ((local >= sp->low && local <= sp->high) || remote > sp->high);
}
