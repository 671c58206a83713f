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

// A process that ends, and when the first of its sockets was closed by that (ns since
// boot).
struct process {
	__u64 start;
	__u64 tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct process);
	__type(value, __u64);
} ends SEC(".maps");

// ending gives since when the process in whose context this is closes its sockets for
// its end, 0 where it does not.
static __always_inline __u64 ending(void)
{
	if (!sees_kernel)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (!(task->flags & PF_EXITING))
		return 0;
	struct process p = {.start = task->group_leader->start_time, .tgid = task->tgid};
	__u64 now = bpf_ktime_get_ns();
	bpf_map_update_elem(&ends, &p, &now, BPF_NOEXIST);
	__u64 *first = bpf_map_lookup_elem(&ends, &p);
	return first ? *first : now;
}

static __always_inline void half_close(struct kept *k)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counts, &zero);

	k->half_closed = true;
	k->half_closed_at = bpf_ktime_get_ns();
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
	// What the end of the process itself has half closed it does not leak: it held
	// the other end too.
	if (k->half_closed_at < ending())
		COUNT(leaked);
}
