// Every TCP socket as a record.

#include "visit.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline bool wanted(void) { return pass.states >> (rec.state & 31) & 1; }

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
		} else if (wanted()) {
			if ((rec.flags & (TOLD | SHARED)) == TOLD) {
				pass.changed++;
			} else {
				fill_rest(&rec, tp);
				if (!tell(ctx->meta))
					return 0;
			}
			see(rec.cookie);
		}
	} else if (socket && fill_mptcp(file, socket->sk) && !tell(ctx->meta)) {
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

	if (!c || fill_other(c, &tp) == PASS_OVER || !wanted())
		return 0;
	if (tp)
		fill_rest(&rec, tp);
	tell(ctx->meta);
	return 0;
}
