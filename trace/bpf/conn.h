// The connections that are followed, by cookie.

#pragma once

#include "who.h"

volatile const __u32 wanted; // kinds of events

enum { FREE, BUSY, KEPT };

struct conn {
	__u64 cookie;     // of the connection whose the place is, 0 for none; in the table it is 0
	__u64 began;      // its SYN, 0 where that was not seen
	__u64 opened;     // the end of its handshake, 0 where that was not seen
	__u64 changed;    // since when it is in its state, 0 where that was not seen
	__u64 close_wait; // ns in that state, or NOT_KNOWN
	struct who who;
	__u32 keep; // whether who is there to be read
	__u8 role, first;
	__u8 fixed; // its local port was chosen before connect()
	__u8 pad;
	__u64 socket; // its address
};

// The kernel numbers cookies in turn, so that those of connections which do not last
// differ in their low bits: each has a place of its own, which is found and freed for
// a tenth of what a hash table takes. A free place is all zero.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << 16); // a power of two; user space may change it
	__type(key, __u32);
	__type(value, struct conn);
} places SEC(".maps");

// Those whose place another has.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18); // user space may change it
	__type(key, __u64);
	__type(value, struct conn);
} conns SEC(".maps");

// The thread that goes over descriptors, as the kernel numbers it, 0 for none. It has
// each file for a moment: where its process closes that meanwhile, the thread has the
// last of it, and the socket is closed in its place.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} passer SEC(".maps");

volatile const __u64 places_mask = (1 << 16) - 1; // of cookies

// Behind the places are two for each processor: for what has none while a change of it
// is looked at, and for what comes in between. So programs know all by one pointer.
static __always_inline struct conn *spare_place(bool between)
{
	__u32 place = places_mask + 1 + 2 * bpf_get_smp_processor_id() + between;
	return bpf_map_lookup_elem(&places, &place);
}

static __always_inline struct conn *place_of(__u64 cookie)
{
	__u32 place = cookie & places_mask;
	return bpf_map_lookup_elem(&places, &place);
}

// find_conn gives a connection, NULL where it is not followed.
static __always_inline struct conn *find_conn(__u64 cookie)
{
	struct conn *c = place_of(cookie);

	return c && c->cookie == cookie ? c : bpf_map_lookup_elem(&conns, &cookie);
}

// add_conn follows a connection in the table. It gives an error where there is no room.
static __always_inline long add_conn(__u64 cookie, const struct conn *c, __u64 flags)
{
	count(DISPLACED);
	return bpf_map_update_elem(&conns, &cookie, c, flags);
}

// free_place gives up a place: the cookie is the last that goes.
static __always_inline void free_place(struct conn *c)
{
	__builtin_memset((void *)c + sizeof c->cookie, 0, sizeof *c - sizeof c->cookie);
	__sync_lock_test_and_set(&c->cookie, 0);
}

// is_attempt tells a connection that is not open yet.
static __always_inline bool is_attempt(const struct conn *c) { return c->began && !c->opened; }

// count_unseen counts the end of a connection that no program saw: it is lost where it
// was to be told.
static __always_inline void count_unseen(bool was_attempt)
{
	count(UNSEEN);
	if (wanted & ((was_attempt ? FAIL : CLOSE) | STATE))
		count(LOST);
}

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
