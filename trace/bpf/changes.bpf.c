// Connections that open, fail and close, by the changes of their state.

#include "conn.h"
#include "end.h"

char LICENSE[] SEC("license") = "GPL";

volatile const bool calls_too;

enum { PORTS_EXHAUSTED = 1, TUPLE_EXISTS = 4 }; // tcpvet.Cause

// change is one change of a socket.
struct change {
	struct tcp_sock *tp;
	struct conn *conn;
	__u64 cookie, now;
	__u32 kinds;
	int from, to, error;
	bool own; // made by a call of the running task
};

static __always_inline bool is_passer(struct task_struct *task)
{
	__u32 zero = 0, *tid = bpf_map_lookup_elem(&passer, &zero);

	return tid && *tid == task->pid;
}

// is_own tells whether the running task has the socket locked: else it is merely what
// the processor was at. Who destroys the sockets of others locks them too, and who goes
// over descriptors closes them.
static __always_inline bool is_own(struct sock *sk, int from, int error)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!sk->sk_lock.owned || error == ECONNABORTED || is_kernel_thread(task) || is_passer(task))
		return false;
	return from != TCP_LISTEN || sk->sk_shutdown;
}

static __always_inline __u32 kinds_of(int from, int to, const struct conn *c)
{
	if (to == TCP_ESTABLISHED && (from == TCP_SYN_SENT || from == TCP_SYN_RECV))
		return OPEN | STATE;
	if (to != TCP_CLOSE)
		return STATE;
	if (from == TCP_SYN_SENT || (from == TCP_SYN_RECV && c->role == ROLE_CLIENT))
		return FAIL | STATE;
	return was_open(from) ? CLOSE | STATE : STATE;
}

static __always_inline __u64 since(__u64 then, __u64 now) { return then ? now - then : NOT_KNOWN; }

// follow brings what is known of the connection up to date.
static __always_inline void follow(struct change *h)
{
	struct sock *sk = (struct sock *)h->tp;
	struct conn *c = h->conn;

	if (h->to == TCP_SYN_SENT) {
		if (c->changed) { // it was connected before, the end of which was not seen
			count_unseen(is_attempt(c));
			c->opened = c->close_wait = c->changed = 0;
			c->first = FIRST_UNKNOWN;
		}
		c->began = h->now;
		c->fixed = sk->__sk_common.skc_num != 0;
	}
	if (h->to == TCP_SYN_SENT || h->from == TCP_SYN_SENT)
		c->role = ROLE_CLIENT;
	else if (h->from == TCP_SYN_RECV && !c->role)
		c->role = ROLE_SERVER;
	if (h->kinds & OPEN)
		c->opened = h->now;
	__u8 first = first_by_state(h->to);
	if (!first)
		first = first_by_state(h->from);
	if (first == FIRST_BOTH || !c->first)
		c->first = first;
	if (h->from == TCP_CLOSE_WAIT)
		c->close_wait = since(c->changed, h->now);
	else if (h->from == TCP_LAST_ACK && !c->changed)
		c->close_wait = NOT_KNOWN;
}

// handshake is how long it took an end that was connected to: from its SYN-ACK to the
// ACK of that, which is its first sample of the round trip time. There is none where the
// SYN-ACK was sent again.
static __always_inline __u64 handshake(struct change *h)
{
	if (h->from == TCP_SYN_SENT || h->conn->began)
		return since(h->conn->began, h->now);
	__u32 srtt = h->tp->srtt_us; // in eighths of microseconds
	return srtt ? srtt * 125ULL : NOT_KNOWN;
}

static __always_inline void fill_end(struct event *e, struct change *h)
{
	struct sock *sk = (struct sock *)h->tp;

	e->how = how_ended(h->tp, h->from, h->error);
	if (!e->first)
		e->first = first_ended(sk, h->from, h->error, e->how);
	e->error = h->error;
	e->took = since(h->conn->opened, h->now);
	if (e->how == HOW_RST && by_peer(sk, h->from, h->error))
		e->flags |= PEER_RESET;
}

static __always_inline void fill_failure(struct event *e, struct change *h)
{
	e->error = connect_error(h->tp);
	e->took = since(h->conn->began, h->now);
	if (h->error || h->tp->packets_out) {
		e->syns = h->tp->inet_conn.icsk_retransmits + 1;
	} else if (h->conn->fixed || (!h->conn->began && e->lport)) {
		e->cause = TUPLE_EXISTS;
	} else {
		e->cause = PORTS_EXHAUSTED;
		e->lport = 0; // of an earlier connect()
	}
	if (calls_too) {
		__u32 error = e->error;
		bpf_map_update_elem(&told, &h->cookie, &error, BPF_ANY);
	}
}

static __always_inline void fill_event(struct event *e, struct change *h, const struct who *who)
{
	struct sock *sk = (struct sock *)h->tp;
	struct conn *c = h->conn;

	e->at = h->now;
	e->cookie = h->cookie;
	e->took = NOT_KNOWN;
	e->in_from = since(c->changed, h->now);
	e->close_wait = c->close_wait;
	e->who = *who;
	e->known_by = h->own ? BY_TASK : who->pid ? BY_COOKIE : BY_NOTHING;
	e->tid = h->own ? bpf_get_current_task_btf()->pid : 0;
	fill_ends(e, &sk->__sk_common);
	e->lport = h->to == TCP_CLOSE ? __builtin_bswap16(((struct inet_sock *)sk)->inet_sport) : sk->__sk_common.skc_num;
	e->netns = netns_of(&sk->__sk_common);
	e->kinds = h->kinds;
	e->from = h->from;
	e->to = h->to;
	e->role = c->role;
	e->first = c->first;
	e->call = CALL_CONNECT;
	e->error = 0;
	e->how = e->cause = e->syns = e->flags = 0;
	if (h->kinds & OPEN) {
		e->took = handshake(h);
		if (h->from == TCP_SYN_RECV && !c->changed)
			e->in_from = e->took;
	} else if (h->kinds & FAIL) {
		fill_failure(e, h);
	} else if (h->kinds & CLOSE) {
		fill_end(e, h);
	}
}

// says_nothing tells a change of which nothing is told and on which nothing rests. A
// listener's child has no cookie of its own yet, nor addresses.
static __always_inline bool says_nothing(int from, int to)
{
	if (from == to || (from == TCP_LISTEN && to != TCP_CLOSE))
		return true;
	return (to == TCP_FIN_WAIT2 || to == TCP_CLOSING) && !(wanted & STATE);
}

// from_table makes the spare place what the table has of a connection.
static __always_inline struct conn *from_table(__u64 cookie, bool between)
{
	struct conn *spare = spare_place(between), *c = bpf_map_lookup_elem(&conns, &cookie);

	if (!spare)
		return NULL;
	if (c)
		*spare = *c;
	else
		__builtin_memset(spare, 0, sizeof *spare);
	return spare;
}

// to_table brings what the table has up to date. Who it is may have been noted there
// meanwhile.
static __always_inline void to_table(struct change *h, const struct who *who)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &h->cookie);

	if (!c) {
		if (add_conn(h->cookie, h->conn, BPF_ANY) && (h->from == TCP_SYN_RECV || h->to == TCP_SYN_SENT))
			count(NO_ROOM);
		return;
	}
	c->began = h->conn->began;
	c->opened = h->conn->opened;
	c->changed = h->conn->changed;
	c->close_wait = h->conn->close_wait;
	c->role = h->conn->role;
	c->first = h->conn->first;
	c->fixed = h->conn->fixed;
	if (h->own)
		keep_who(c, who, c->keep, h->cookie);
}

// conn_of finds the connection, or begins to follow it: at its place, or at the spare
// one.
static __always_inline struct conn *conn_of(__u64 cookie, int from, int to, bool between)
{
	struct conn *c = place_of(cookie);

	if (!c || c->cookie == cookie)
		return c;
	if (c->cookie || to == TCP_CLOSE || to == TCP_LISTEN)
		return from_table(cookie, between);
	bool is_new = from == TCP_SYN_RECV || to == TCP_SYN_SENT;
	if (!is_new && bpf_map_lookup_elem(&conns, &cookie))
		return from_table(cookie, between);
	if (__sync_val_compare_and_swap(&c->cookie, 0, cookie))
		return from_table(cookie, between);
	if (!is_new) // a pass over descriptors may have put it there meanwhile
		bpf_map_delete_elem(&conns, &cookie);
	return c;
}

static __always_inline void changed(struct sock *sk, int from, int to, bool between)
{
	struct change h = {.from = from, .to = to};
	struct who who = {};

	h.tp = as_tcp(sk);
	if (!h.tp || !in_view(netns_of(&sk->__sk_common)))
		return;
	sk = (struct sock *)h.tp;
	h.now = bpf_ktime_get_ns();
	h.error = sk->sk_err;
	h.own = is_own(sk, from, h.error);
	h.cookie = cookie_of(sk);
	h.conn = conn_of(h.cookie, from, to, between);
	if (!h.conn)
		return;
	h.conn->socket = (__u64)sk;
	h.kinds = kinds_of(from, to, h.conn);
	follow(&h);
	if (h.own) {
		fill_who(&who, bpf_get_current_task_btf());
		who.of = h.cookie;
		if (h.conn->keep != KEPT || __builtin_memcmp(&h.conn->who, &who, sizeof who))
			keep_who(h.conn, &who, h.conn->keep, h.cookie);
	} else if (has_who(h.conn, h.cookie)) {
		who = h.conn->who;
	}

	h.kinds &= wanted;
	if (h.kinds) {
		struct event *e = new_event();
		if (e) {
			fill_event(e, &h, &who);
			tell(e);
		}
	}

	h.conn->changed = h.now;
	if (h.conn->cookie == h.cookie) {
		if (to == TCP_CLOSE)
			free_place(h.conn);
	} else if (to == TCP_CLOSE) {
		bpf_map_delete_elem(&conns, &h.cookie);
	} else if (to != TCP_LISTEN) {
		to_table(&h, &who);
	}
}

// Whether the processor is in changes: the kernel does not run a program while it runs
// already, so that a segment that comes in between needs another one.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} busy SEC(".maps");

SEC("tp_btf/inet_sock_set_state")
int changes(__u64 *ctx)
{
	__u32 zero = 0;
	volatile __u64 *in = bpf_map_lookup_elem(&busy, &zero);

	if (!in)
		return 0;
	*in = 1; // first of all: what comes before it is lost
	if (!says_nothing(ctx[1], ctx[2]))
		changed((struct sock *)ctx[0], ctx[1], ctx[2], false);
	*in = 0;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int changes_between(__u64 *ctx)
{
	__u32 zero = 0;
	volatile __u64 *in = bpf_map_lookup_elem(&busy, &zero);

	if (in && *in) {
		if (!says_nothing(ctx[1], ctx[2]))
			changed((struct sock *)ctx[0], ctx[1], ctx[2], true);
		count(BETWEEN);
	}
	return 0;
}
