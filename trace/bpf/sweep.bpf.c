// Frees connections whose end no program saw. On a busy machine no program at the
// tracepoint sees a change, now and then, and the kernel counts that nowhere: so it was
// with Linux 6.18 where it preempts who closes and goes on in ksoftirqd, whether other
// programs come and go or not. perf-stat(1) counts those changes.

#include "conn.h"
#include "over.h"

char LICENSE[] SEC("license") = "GPL";

volatile const __u64 settled = 1000000000; // ns after its last change from which a connection is looked at

enum { SWEPT = 128, CLEARING = -1 };

// Cookies that user space asks of, up to the first 0.
struct {
	__u64 cookie[SWEPT];
} asked = {};

// is_stale tells a connection whose socket is over. A change is seen before the socket
// is in its new state: one that was seen just now may be in CLOSE until connect() goes
// on. What a pass over descriptors put into the table was in another state by then.
static __always_inline bool is_stale(const struct conn *c, __u64 cookie, __u64 now)
{
	return c->changed + settled < now && is_over((struct sock *)c->socket, cookie);
}

// free_stale gives up the connection, unless that was done meanwhile: its place may be
// another's by now.
static __always_inline bool free_stale(struct conn *c, __u64 cookie, bool placed)
{
	if (!placed)
		return !bpf_map_delete_elem(&conns, &cookie);
	if (__sync_val_compare_and_swap(&c->cookie, cookie, (__u64)CLEARING) != cookie)
		return false;
	free_place(c);
	return true;
}

// sweep_conns frees those of the cookies in asked whose connection is over. User space
// runs it.
SEC("raw_tp")
int sweep_conns(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	for (__u32 i = 0; i < SWEPT; i++) {
		__u64 cookie = asked.cookie[i];
		if (!cookie)
			break;
		struct conn *c = place_of(cookie);
		bool placed = c && c->cookie == cookie;
		if (!placed)
			c = bpf_map_lookup_elem(&conns, &cookie);
		// What has just taken its place has no time of a change yet.
		if (!c || (placed && !c->changed) || !is_stale(c, cookie, now))
			continue;
		bool was_attempt = is_attempt(c);
		if (free_stale(c, cookie, placed))
			count_unseen(was_attempt);
	}
	return 0;
}
