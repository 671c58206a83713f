// The tables into which sockets are folded, and what they hold. tally.go, space.go and
// counter_linux.go read them.

#pragma once

#include "visit.h"

enum {
	BUCKETS = 34, // of tcpvet.Histogram
	SPANS = 32,   // of tcpvet.Spans
	KINDS = 4,    // of tcpvet.CloseWaitKind
};

struct histogram {
	__u32 count[BUCKETS];
};

struct births {
	__u32 last10s, last60s;
};

struct exemplar {
	__u64 cookie, inode;
	__u32 local[4], remote[4];
	__u16 lport, rport;
	__u8 family, set, timer, retransmits;
	__u32 low, high, expires, queued;
};

struct group_key {
	__u64 start;
	__s32 tgid;
	__u32 netns;
	__u32 local[4], service[4]; // IPv4 as ::ffff:a.b.c.d
	__u16 port;
	__u8 role, pad[5];
};

struct tally {
	__u64 queued_bytes;
	__u32 id; // in details, 0 for none
	__u32 mini;
	__u32 states[NUM_STATES];
	__u32 close_wait[KINDS];
	struct births close_wait_born, time_wait_born;
	struct histogram idle_on, idle_off, idle_unknown;
	__u32 keepalive[SPANS];
	struct exemplar oldest, most_idle;
};

// What few groups have.
struct detail {
	__u64 unread_bytes, blocked_bytes;
	__u32 vague, vague_probed, vague_written, longest_close_wait;
	struct histogram close_wait_age[KINDS], close_wait_most[KINDS];
	struct histogram fin_wait2_quiet;
	struct histogram silent, silent_probed, unread, blocked;
	__u32 resent[NUM_STATES], twice[NUM_STATES], most[NUM_STATES];
	__u32 probed, probed_twice, unread_sockets, blocked_sockets;
	struct exemplar longest, longest_probed, longest_unread, longest_blocked;
};

struct tuple_key {
	__u32 netns;
	__u32 local[4], remote[4];
	__u16 port, pad;
};

struct budget {
	__u32 taken[NUM_STATES];
	__u32 reusable, reserved;
	struct births close_wait_born, time_wait_born;
};

// What the sockets of a namespace are judged by, from user space. listening grows
// by ports whose listener has been closed.
struct space {
	__u16 low, high;
	__u8 has_ports, has_reserved;
	__u16 pad;
	__u32 reuse_mode, reuse_delay; // ms
	__u64 listening[1024];
};

struct ports {
	__u64 set[1024];
};

// User space sets max_entries.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct group_key);
	__type(value, struct tally);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct detail);
} details SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct tuple_key);
	__type(value, struct budget);
} tuples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct space);
} spaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct ports);
} reserved SEC(".maps");

// Sockets of namespaces that user space has not told of.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u64);
} elsewhere SEC(".maps");

__u32 span_edges[SPANS]; // tenths of a second, from tcpvet.Spans
static __u32 last_id;

static struct group_key group;
static struct tuple_key tuple;
static struct tally new_tally;
static struct detail new_detail;
static struct budget new_budget;
