// Sockets counted in the kernel. What user space has to see for itself becomes a
// record: listeners, merely bound sockets, those that several descriptors may hold,
// those for which a table has no room, and, if asked for, those that a process closed
// first and holds no more.

#include "fold.h"

char LICENSE[] SEC("license") = "GPL";

// closed_first tells of what nobody holds that its last holder sent the first FIN.
static __always_inline bool closed_first(void)
{
	return !rec.tgid && (rec.state == TCP_TIME_WAIT || rec.state == TCP_FIN_WAIT2 ||
			     rec.state == TCP_FIN_WAIT1 || rec.state == TCP_CLOSING);
}

static __always_inline bool plain(void)
{
	if (pass.closed && closed_first())
		return false;
	return rec.state != TCP_LISTEN && rec.state != TCP_BOUND_INACTIVE && !(rec.flags & (SHARED | MPTCP));
}

// hand_over writes the record, with its role.
static __always_inline bool hand_over(struct bpf_iter_meta *meta, struct tcp_sock *tp, struct space *sp)
{
	if (tp)
		fill_rest(&rec, tp);
	set_role(sp);
	return tell(meta);
}

// count folds the record, or else writes it. false where the buffer is full: the
// iterator comes again.
static __always_inline bool count(struct bpf_iter_meta *meta, struct tcp_sock *tp)
{
	struct space *sp = bpf_map_lookup_elem(&spaces, &rec.netns);

	if (!sp) {
		count_elsewhere();
		return true;
	}
	if (!plain())
		return hand_over(meta, tp, sp);
	if (tp && in_doubt(sp))
		fill_sent(&rec, tp);
	if (fold(sp))
		return true;
	rec.flags |= NO_ROOM;
	return hand_over(meta, tp, sp);
}

SEC("iter/task_file")
int held(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file) {
		leave_process();
		return 0;
	}
	if (!enter(task))
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	struct tcp_sock *tp = socket ? as_tcp(socket->sk) : NULL;
	if (tp) {
		if (!fill_held(ctx, file, tp)) {
			count_tableless(tp);
		} else {
			if ((rec.flags & (TOLD | SHARED)) == TOLD)
				pass.changed++;
			else if (!count(ctx->meta, tp))
				return 0;
			see(rec.cookie);
		}
	} else if (socket && fill_mptcp(file, socket->sk)) {
		if (!bpf_map_lookup_elem(&spaces, &rec.netns))
			count_elsewhere();
		else if (!tell(ctx->meta))
			return 0;
	}
	count_descriptor(socket != NULL);
	return 0;
}

SEC("iter/tcp")
int rest(struct bpf_iter__tcp *ctx)
{
	struct sock_common *c = ctx->sk_common;
	struct tcp_sock *tp;

	if (c && fill_other(c, &tp) == TAKE)
		count(ctx->meta, tp);
	return 0;
}

__u64 closes;

// Sockets that close during the passes may count twice or not at all: as many at most
// are counted here. One that closes in two steps counts for both.
SEC("tp_btf/inet_sock_set_state")
int closing(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int to = ctx[2];

	if (to != TCP_FIN_WAIT1 && to != TCP_LAST_ACK && to != TCP_CLOSE)
		return 0;
	__u32 netns = sk->__sk_common.skc_net.net->ns.inum;
	if (sk->sk_protocol == IPPROTO_TCP && bpf_map_lookup_elem(&spaces, &netns))
		__sync_fetch_and_add(&closes, 1);
	return 0;
}
