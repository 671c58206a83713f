// Connections whose end was not seen.

#pragma once

#include "kernel.h"

// is_over tells whether the socket that was at sk, with that cookie, is closed. The
// memory of one that was freed holds its last state, another socket with a cookie of
// its own (SLAB_TYPESAFE_BY_RCU), or something else.
static __always_inline bool is_over(struct sock *sk, __u64 cookie)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != cookie || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE;
}
