// The keepalive and the user timeout of sockets that are known by their cookies: told,
// and set. An iterator shows the sockets of one network namespace, and holds the lock
// of each meanwhile (kernel function bpf_iter_tcp_seq_show).

#include "kernel.h"
#include "sockopt.h"

char LICENSE[] SEC("license") = "GPL";

// A bit for each of the timers, in their order.
enum {
	KEEPALIVE = 1 << 0,
	IDLE = 1 << 1,
	INTERVAL = 1 << 2,
	COUNT = 1 << 3,
	USER_TIMEOUT = 1 << 4,
	FROM_NOW = 1 << 5, // an idle time that gets shorter begins now
};

struct wanted {
	struct timers timers;
	__u32 set; // which of them, and how
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); // the loader knows how many
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
	__u8 dead;  // its program has closed it
	__u8 tried; // to change it
};

static __always_inline void set_one(struct tcp_sock *tp, struct told *t, __u32 bit, int level, int name, int value)
{
	int err = bpf_setsockopt(tp, level, name, &value, sizeof value);

	t->tried = true;
	if (err && !t->error) {
		t->error = err;
		t->at = bit;
	}
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

struct tcp_sock___idle {
	__u32 keepalive_time; // in jiffies, as set
} __attribute__((preserve_access_index));

// over tells whether nothing was heard of the peer for the idle time that is set (kernel
// functions keepalive_time_elapsed and keepalive_time_when).
static __always_inline bool over(struct tcp_sock *tp)
{
	__u32 now = bpf_jiffies64(), heard = now - tp->rcv_tstamp, data = now - tp->inet_conn.icsk_ack.lrcvtime;

	return (heard < data ? heard : data) >= ((struct tcp_sock___idle *)tp)->keepalive_time;
}

// What is as wanted is left alone: the iterator may come twice, and an idle time that is
// set moves a timer that runs. The times are set before the option that starts the timer,
// so that the first probe comes when the new ones say; and it is stopped before they
// change. It is stopped too where a shorter idle time is to begin now, and started anew
// where one counts from the last segment and is over by that: it would run out at once,
// and those of all sockets together (kernel function tcp_sock_set_keepidle_locked).
static __always_inline void set(struct tcp_sock *tp, const struct wanted *w, struct told *t)
{
	const struct timers *to = &w->timers;
	struct timers now = t->timers;
	bool starts = w->set & KEEPALIVE && to->keepalive && !now.keepalive;
	bool stops = w->set & KEEPALIVE && !to->keepalive && now.keepalive;
	bool moves = w->set & IDLE && to->idle != now.idle && to->keepalive && now.keepalive;
	bool again = moves && w->set & FROM_NOW && to->idle < now.idle;

	if (stops || again)
		set_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (w->set & USER_TIMEOUT && to->user_timeout != now.user_timeout)
		set_one(tp, t, USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT, to->user_timeout);
	if (w->set & INTERVAL && to->interval != now.interval)
		set_one(tp, t, INTERVAL, IPPROTO_TCP, TCP_KEEPINTVL, to->interval);
	if (w->set & COUNT && to->count != now.count)
		set_one(tp, t, COUNT, IPPROTO_TCP, TCP_KEEPCNT, to->count);
	if (w->set & IDLE && to->idle != now.idle)
		set_one(tp, t, IDLE, IPPROTO_TCP, TCP_KEEPIDLE, to->idle);
	if (moves && !again && !t->error && over(tp)) {
		set_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 0);
		again = true;
	}
	if (again || (starts && !t->error)) // what had keepalive keeps it
		set_one(tp, t, KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 1);
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
		get(tp, &t);
		if (change && !t.dead && !t.error)
			set(tp, w, &t);
		if (t.tried)
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
