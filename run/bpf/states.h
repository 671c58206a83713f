// How connects end, and what stays in CLOSE-WAIT.

#pragma once

#include "group.h"

enum { PF_EXITING = 0x00000004 };

// error gives sk_err, 0 where the process itself closed the socket, or -1.
static __always_inline int error(struct bpf_sock_ops *ctx)
{
	if (!sees_kernel)
		return -1;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return -1;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	return tp ? ((struct sock *)tp)->sk_err : -1;
}

// failed counts a connect that ended in CLOSED. No local port is chosen yet where none
// is left.
static __always_inline void failed(struct bpf_sock_ops *ctx, struct kept *k)
{
	if (ctx->local_port == 0)
		COUNT(no_port);
	else if (k->trying)
		return; // the connection exists: tried less sent shows it
	else if (error(ctx) == 0)
		COUNT(given_up);
	else
		COUNT(unanswered);
}

static __always_inline void half_close(struct kept *k)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counts, &zero);

	k->half_closed = true;
	if (!c)
		return;
	// Two CPUs may disagree by one.
	__u64 now = __sync_fetch_and_add(&c->half_closed, 1) + 1 - c->half_closed_over;
	if (now > c->half_closed_most)
		c->half_closed_most = now;
}

static __always_inline void half_close_over(struct bpf_sock_ops *ctx, struct kept *k, int to)
{
	if (!k->half_closed)
		return;
	k->half_closed = false;
	COUNT(half_closed_over);
	// A reset is not the deed of the process that it interrupts.
	if (!sees_kernel || (to == TCP_CLOSE && error(ctx) != 0))
		return;
	if (bpf_get_current_task_btf()->flags & PF_EXITING)
		COUNT(leaked);
}
