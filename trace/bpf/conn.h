// The connections that are followed, by cookie.

#pragma once

#include "who.h"

enum { FREE, BUSY, KEPT };

struct conn {
	__u64 began;      // its SYN, 0 where that was not seen
	__u64 opened;     // the end of its handshake, 0 where that was not seen
	__u64 changed;    // since when it is in its state, 0 where that was not seen
	__u64 close_wait; // ns in that state, or NOT_KNOWN
	struct who who;
	__u32 keep; // whether who is there to be read
	__u8 role, first;
	__u8 fixed; // its local port was chosen before connect()
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18); // user space may change it
	__type(key, __u64);
	__type(value, struct conn);
} conns SEC(".maps");

// keep_who notes the process with the connection of that cookie. Two may come at once,
// of which one does: half of each would be a process that never was. Where the entry
// was freed meanwhile, and is another connection's by now, the cookie tells.
static __always_inline bool keep_who(struct conn *c, const struct who *who, __u32 was, __u64 cookie)
{
	if (__sync_val_compare_and_swap(&c->keep, was, BUSY) != was)
		return false;
	c->who = *who;
	c->who.of = cookie;
	__sync_lock_test_and_set(&c->keep, KEPT);
	return true;
}

static __always_inline bool has_who(const struct conn *c, __u64 cookie) { return c->keep == KEPT && c->who.of == (__u32)cookie; }
