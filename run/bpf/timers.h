// Keepalive and the user timeout of new sockets, and whether they stay as they were
// given.

#pragma once

#include "group.h"

// Seconds, milliseconds for the user timeout. 0 leaves what there is.
const volatile int keepalive_idle = 0;
const volatile int keepalive_interval = 0;
const volatile int keepalive_count = 0;
const volatile int user_timeout = 0;

struct timers {
	int keepalive;
	int idle;
	int interval;
	int count;
	int user_timeout;
};

// A program, and the values that it sets itself.
struct own {
	struct opener by;
	struct timers has;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct own);
	__type(value, __u64);
} own_values SEC(".maps");

static __always_inline long set(struct bpf_sock_ops *ctx, int level, int name, int value)
{
	return bpf_setsockopt(ctx, level, name, &value, sizeof value);
}

static __always_inline long get(struct bpf_sock_ops *ctx, int level, int name, int *value)
{
	return bpf_getsockopt(ctx, level, name, value, sizeof *value);
}

// give sets the values once in a socket's life. The times come before the option that
// starts the timer.
static __always_inline void give(struct bpf_sock_ops *ctx, struct kept *k)
{
	long err = 0;

	if (k->given)
		return;
	if (keepalive_idle) {
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle);
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval);
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPCNT, keepalive_count);
		err |= set(ctx, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	if (user_timeout)
		err |= set(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout);
	if (err)
		COUNT(refused);
	else
		k->given = true;
}

// compare notes a connection whose values are no longer those that it was given.
static __always_inline void compare(struct bpf_sock_ops *ctx, struct kept *k)
{
	struct own own = {};
	bool same = true;

	if (!k->given)
		return;
	if (keepalive_idle) {
		// Before Linux 6.1 programs could set these and not read them.
		if (get(ctx, SOL_SOCKET, SO_KEEPALIVE, &own.has.keepalive) ||
		    get(ctx, IPPROTO_TCP, TCP_KEEPIDLE, &own.has.idle) ||
		    get(ctx, IPPROTO_TCP, TCP_KEEPINTVL, &own.has.interval) ||
		    get(ctx, IPPROTO_TCP, TCP_KEEPCNT, &own.has.count))
			return;
		same = own.has.keepalive && own.has.idle == keepalive_idle &&
		       own.has.interval == keepalive_interval && own.has.count == keepalive_count;
	}
	if (user_timeout) {
		if (get(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, &own.has.user_timeout))
			return;
		same = same && own.has.user_timeout == user_timeout;
	}
	if (same)
		return;
	COUNT(own);
	own.by = k->by;
	__u64 one = 1;
	__u64 *n = bpf_map_lookup_elem(&own_values, &own);
	if (!n && bpf_map_update_elem(&own_values, &own, &one, BPF_NOEXIST) == 0)
		return;
	if (!n)
		n = bpf_map_lookup_elem(&own_values, &own); // another CPU was faster
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		COUNT(own_unnamed);
}
