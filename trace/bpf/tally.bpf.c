// What opens, fails and closes, counted alone.

#include "end.h"

char LICENSE[] SEC("license") = "GPL";

// Why connect() failed.
enum { NO_ADDRESS, REFUSED, TIMED_OUT, RESET, UNREACHABLE, ABORTED, GIVEN_UP, OTHER, REASONS };

enum { STATES = 16, WAYS = 16, CELLS = STATES * STATES + WAYS + REASONS };

// The changes by from and to, the ends by how and first, the failures by reason.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CELLS);
	__type(key, __u32);
	__type(value, __u64);
} cells SEC(".maps");

static __always_inline void add(__u32 cell)
{
	__u64 *n = bpf_map_lookup_elem(&cells, &cell);
	if (n)
		++*n;
}

static __always_inline __u32 reason(int error)
{
	switch (error) {
	case 0:
		return GIVEN_UP;
	case EADDRNOTAVAIL:
		return NO_ADDRESS;
	case ECONNREFUSED:
		return REFUSED;
	case ETIMEDOUT:
		return TIMED_OUT;
	case ECONNRESET:
		return RESET;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return UNREACHABLE;
	case ECONNABORTED:
		return ABORTED;
	}
	return OTHER;
}

SEC("tp_btf/inet_sock_set_state")
int tally(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	__u32 from = ctx[1], to = ctx[2];

	struct tcp_sock *tp = as_tcp(sk);
	if (!tp || from == to || from >= STATES || to >= STATES || !in_view(netns_of(&sk->__sk_common)))
		return 0;
	add(from * STATES + to);
	if (to != TCP_CLOSE)
		return 0;
	if (from == TCP_SYN_SENT) {
		add(STATES * STATES + WAYS + reason(connect_error(tp)));
	} else if (was_open(from)) {
		int error = sk->sk_err;
		__u8 how = how_ended(tp, from, error);
		add(STATES * STATES + how * 4 + first_ended(sk, from, error, how));
	}
	return 0;
}
