// What the sockets of a cgroup get as they are born, and what becomes of them.

#include "states.h"
#include "timers.h"
#include "pool.h"

char LICENSE[] SEC("license") = "GPL";

// Of a run that goes on without its maker: record_linux.go writes and reads it.
struct facts {
	__u64 since; // ns of the time of day
	__u64 cgroup;
	int idle, interval, count, user_timeout;
	__u32 pools[POOLS];
	__u32 saw_kernel;
	__u32 unused;
	char path[1024];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct facts);
} facts SEC(".maps");

SEC("sockops")
int born(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || !ctx->is_fullsock)
		return 1;
	bool listens = ctx->op == BPF_SOCK_OPS_TCP_LISTEN_CB, connects = ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB;
	bool opened = ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, accepted = ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
	bool changes = ctx->op == BPF_SOCK_OPS_STATE_CB;

	if (!(listens || connects || opened || accepted || changes))
		return 1;
	struct kept *k = bpf_sk_storage_get(&sockets, sk, NULL, changes ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (!k)
		return 1;
	if (listens || connects)
		fill_opener(&k->by);
	if (listens)
		return 1;
	if (changes) {
		int from = ctx->args[0], to = ctx->args[1];

		if (from == TCP_SYN_SENT && to == TCP_CLOSE)
			failed(ctx, k);
		// The last moment before the end: a FIN may come before the program had
		// its say.
		if ((from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT) && to != TCP_CLOSE_WAIT)
			compare(ctx, k);
		if (from == TCP_CLOSE_WAIT)
			half_close_over(ctx, k, to);
		else if (from == TCP_ESTABLISHED && to == TCP_FIN_WAIT1)
			ending();
		if (to == TCP_CLOSE_WAIT)
			half_close(k);
		if (to == TCP_CLOSE)
			give_up(k);
		return 1;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (connects && k->trying) {
		k->trying = false;
		COUNT(sent);
	}
	if (opened)
		COUNT(opened);
	if (accepted)
		COUNT(accepted);
	give(ctx, k);
	return 1;
}

// tries notes a connect(), whose end is told to born even if no SYN is sent.
static __always_inline bool tries(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	int flags = 0;

	if (!sk || ctx->type != SOCK_STREAM || ctx->protocol != IPPROTO_TCP)
		return false;
	struct kept *k = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!k)
		return false;
	k->trying = true;
	COUNT(tried);
	// Older kernels cannot: such a connect then only shows as tried.
	if (bpf_getsockopt(ctx, IPPROTO_TCP, TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof flags) == 0) {
		flags |= BPF_SOCK_OPS_STATE_CB_FLAG;
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof flags);
	}
	return true;
}

SEC("cgroup/connect4")
int connects4(struct bpf_sock_addr *ctx)
{
	if (!tries(ctx))
		return 1;
	struct bpf_sock *sk = ctx->sk;
	if (!sk || sk->src_ip4 || sk->src_port || sk->bound_dev_if)
		return 1; // the program has bound it
	struct destination to = {.port = ctx->user_port};
	to.address.words[3] = ctx->user_ip4;
	from_pool(ctx, loopback4(ctx->user_ip4) ? POOL_LOOPBACK4 : POOL_REST4, &to);
	return 1;
}

SEC("cgroup/connect6")
int connects6(struct bpf_sock_addr *ctx)
{
	if (!tries(ctx))
		return 1;
	struct bpf_sock *sk = ctx->sk;
	if (!sk || sk->src_ip6[0] || sk->src_ip6[1] || sk->src_ip6[2] || sk->src_ip6[3] || sk->src_port || sk->bound_dev_if)
		return 1;
	struct destination to = {.port = ctx->user_port};
	to.address.words[0] = ctx->user_ip6[0];
	to.address.words[1] = ctx->user_ip6[1];
	to.address.words[2] = ctx->user_ip6[2];
	to.address.words[3] = ctx->user_ip6[3];
	enum pool pool = pool_for6(to.address.words);
	if (pool <= POOL_REST4)
		to.address.words[2] = 0; // one turn for both families
	from_pool(ctx, pool, &to);
	return 1;
}
