// Who holds the connections whose process is not known: a pass over all descriptors.

#include "conn.h"
#include "end.h"

char LICENSE[] SEC("license") = "GPL";

// A pass follows connections that were there before the trace until so many are.
volatile __u32 room;

struct adopted {
	__u64 cookie;
	struct who who;
};

static __always_inline struct sock *subflow(struct sock *sk)
{
	if (sk->sk_protocol != IPPROTO_MPTCP || !bpf_core_field_exists(struct mptcp_sock, first))
		return NULL;
	return BPF_CORE_READ((struct mptcp_sock *)sk, first);
}

static __always_inline bool is_connected(__u8 state) { return was_open(state) || state == TCP_SYN_SENT; }

// begin_with follows a connection that was there before: in the table, as it may last.
static __always_inline bool begin_with(struct sock *sk, __u64 cookie, const struct who *who)
{
	struct conn c = {.who = *who, .keep = KEPT, .socket = (__u64)sk};

	if (!is_connected(sk->__sk_common.skc_state) || !in_view(netns_of(&sk->__sk_common)))
		return false;
	if (sk->__sk_common.skc_state == TCP_LAST_ACK)
		c.close_wait = NOT_KNOWN;
	c.who.of = cookie;
	c.first = first_by_state(sk->__sk_common.skc_state);
	if (add_conn(cookie, &c, BPF_NOEXIST))
		return false;
	struct conn *place = place_of(cookie);
	if ((place && place->cookie == cookie) || sk->__sk_common.skc_state == TCP_CLOSE) { // meanwhile
		bpf_map_delete_elem(&conns, &cookie);
		return false;
	}
	room--;
	return true;
}

SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct adopted a = {};
	__u32 zero = 0, *passing = bpf_map_lookup_elem(&passer, &zero);

	if (passing)
		*passing = bpf_get_current_task_btf()->pid;
	if (!task || !file || is_kernel_thread(task))
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	struct sock *sk = socket->sk;
	if (!sk)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		sk = (struct sock *)tp;
		a.cookie = sk->__sk_common.skc_cookie.counter;
		if (!a.cookie && room)
			a.cookie = bpf_get_socket_cookie(sk);
	} else {
		sk = subflow(sk);
		if (sk)
			a.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	}
	if (!a.cookie)
		return 0;
	struct conn *c = find_conn(a.cookie);
	if (c && c->keep != FREE)
		return 0;
	if (!c && !(tp && room))
		return 0;
	fill_who(&a.who, task);
	if (a.who.pid <= 0)
		return 0;
	if (c ? keep_who(c, &a.who, FREE, a.cookie) : begin_with((struct sock *)tp, a.cookie, &a.who))
		bpf_seq_write(ctx->meta->seq, &a, sizeof a);
	return 0;
}
