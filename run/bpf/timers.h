// Keepalive and the user timeout of new sockets, and whether they stay as they were
// given.

#pragma once

#include "group.h"

// Seconds, milliseconds for the user timeout. 0 leaves what there is.
const volatile int keepalive_idle = 0;
const volatile int keepalive_interval = 0;
const volatile int keepalive_count = 0;
const volatile int user_timeout = 0;

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

// How many sockets live that have got keepalive.
__s64 alive = 0;

// idle_time gives that of the next socket. Of many each has its own, from a half on, for
// probes that all come at once are lost on their way to a peer on this host:
// remedy/keepalive_spread.go has the numbers.
static __always_inline int idle_time(struct bpf_sock_ops *ctx)
{
	const __s64 most_together = 500;
	__u32 idle = keepalive_idle;

	if (alive < most_together)
		return idle;
	__u64 n = bpf_get_socket_cookie(ctx) * 0x9E3779B97F4A7C15ull >> 32;
	return idle - n % (idle / 2 + 1);
}

// give sets the values once in a socket's life. The times come before the option that
// starts the timer.
static __always_inline void give(struct bpf_sock_ops *ctx, struct kept *k)
{
	long err = 0;

	if (k->given)
		return;
	if (keepalive_idle) {
		k->idle = idle_time(ctx);
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPIDLE, k->idle);
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval);
		err |= set(ctx, IPPROTO_TCP, TCP_KEEPCNT, keepalive_count);
		err |= set(ctx, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	if (user_timeout)
		err |= set(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout);
	if (err) {
		COUNT(refused);
		return;
	}
	k->given = true;
	if (keepalive_idle)
		__sync_fetch_and_add(&alive, 1);
}

// give_up is for a socket that ends. It may connect again.
static __always_inline void give_up(struct kept *k)
{
	if (k->given && keepalive_idle)
		__sync_fetch_and_add(&alive, -1);
	k->given = false;
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
		same = own.has.keepalive && own.has.idle == k->idle &&
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
