// The keepalive and the user timeout of sockets that are known by their cookies: told,
// and set. An iterator shows the sockets of one network namespace, and holds the lock
// of each meanwhile (kernel function bpf_iter_tcp_seq_show).

#include "kernel.h"
#include "sockopt.h"

char LICENSE[] SEC("license") = "GPL";

// As getsockopt(2) tells them: seconds, milliseconds for the user timeout.
struct timers {
	int keepalive;
	int idle;
	int interval;
	int count;
	int user_timeout;
};

// A bit for each of the timers, in their order.
enum {
	KEEPALIVE = 1 << 0,
	IDLE = 1 << 1,
	INTERVAL = 1 << 2,
	COUNT = 1 << 3,
	USER_TIMEOUT = 1 << 4,
};

struct wanted {
	struct timers timers;
	__u32 set; // which of them
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, __u64); // cookie
	__type(value, struct wanted);
} sockets SEC(".maps");

// keepalive_bpf_linux.go reads it.
struct told {
	__u64 cookie;
	struct timers timers;
	int error; // 0, or what the kernel answered
	__u32 at;  // the option that it answered so to
	__u16 state;
	__u16 dead; // its program has closed it
};

static __always_inline int set_one(struct tcp_sock *tp, struct told *t, __u32 bit, int level, int name, int value)
{
	int err = bpf_setsockopt(tp, level, name, &value, sizeof value);
	if (err && !t->error) {
		t->error = err;
		t->at = bit;
	}
	return err;
}

// The times are set before the option that starts the timer, so that the first probe
// comes when the new ones say; and it is stopped before they change.
static __always_inline void set(struct tcp_sock *tp, const struct wanted *w, struct told *t)
{
	if (w->set & KEEPALIVE && !w->timers.keepalive)
		set_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (w->set & USER_TIMEOUT)
		set_one(tp, t, USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT, w->timers.user_timeout);
	if (w->set & INTERVAL)
		set_one(tp, t, INTERVAL, IPPROTO_TCP, TCP_KEEPINTVL, w->timers.interval);
	if (w->set & COUNT)
		set_one(tp, t, COUNT, IPPROTO_TCP, TCP_KEEPCNT, w->timers.count);
	if (w->set & IDLE)
		set_one(tp, t, IDLE, IPPROTO_TCP, TCP_KEEPIDLE, w->timers.idle);
	if (w->set & KEEPALIVE && w->timers.keepalive && !t->error)
		set_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static __always_inline void get_one(struct tcp_sock *tp, struct told *t, __u32 bit, int level, int name, int *value)
{
	int err = bpf_getsockopt(tp, level, name, value, sizeof *value);
	if (err && !t->error) {
		t->error = err;
		t->at = bit;
	}
}

static __always_inline void get(struct tcp_sock *tp, struct told *t)
{
	get_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, &t->timers.keepalive);
	get_one(tp, t, IDLE, IPPROTO_TCP, TCP_KEEPIDLE, &t->timers.idle);
	get_one(tp, t, INTERVAL, IPPROTO_TCP, TCP_KEEPINTVL, &t->timers.interval);
	get_one(tp, t, COUNT, IPPROTO_TCP, TCP_KEEPCNT, &t->timers.count);
	get_one(tp, t, USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT, &t->timers.user_timeout);
}

static __always_inline int visit(struct bpf_iter__tcp *ctx, bool change)
{
	struct sock_common *c = ctx->sk_common;
	struct told t = {};

	if (!c)
		return 0;
	t.cookie = c->skc_cookie.counter; // 0 for one that nobody has asked for
	struct wanted *w = t.cookie ? bpf_map_lookup_elem(&sockets, &t.cookie) : NULL;
	if (!w)
		return 0;
	t.state = c->skc_state;
	if (t.state == TCP_TIME_WAIT) {
		t.state = BPF_CORE_READ((struct tcp_timewait_sock *)c, tw_sk.tw_substate);
		t.dead = true;
	}
	// NULL for these and for a handshake that is not over.
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(c);
	if (tp) {
		// The timer of keepalive serves the kernel then (kernel function
		// tcp_keepalive_timer).
		t.dead = c->skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DEAD) & 1;
		if (change && !t.dead)
			set(tp, w, &t);
		get(tp, &t);
	}
	// Where the buffer is full the iterator comes again with the same socket.
	bpf_seq_write(ctx->meta->seq, &t, sizeof t);
	return 0;
}

SEC("iter/tcp")
int tell(struct bpf_iter__tcp *ctx)
{
	return visit(ctx, false);
}

SEC("iter/tcp")
int change(struct bpf_iter__tcp *ctx)
{
	return visit(ctx, true);
}
