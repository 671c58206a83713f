// What user space is told of, in one ring for all objects of a trace; record.go reads
// it. User space sets the constants before it loads an object.

#pragma once

#include "ends.h"
#include "view.h"

enum { OPEN = 1, FAIL = 2, STATE = 4, CLOSE = 8 }; // a record may be several at once

enum { BY_NOTHING, BY_TASK, BY_COOKIE };

enum { CALL_CONNECT, CALL_BIND, CALL_SOCKET, CALL_ACCEPT };

enum { ROLE_UNKNOWN, ROLE_CLIENT, ROLE_SERVER };

enum { FIRST_UNKNOWN, FIRST_LOCAL, FIRST_REMOTE, FIRST_BOTH };

enum { HOW_UNKNOWN, HOW_FIN, HOW_RST, HOW_TIMEOUT };

// NOT_KNOWN stands for a time that began before the trace did.
#define NOT_KNOWN (~0ULL)

// struct who is a process, as the reader's namespaces have it.
struct who {
	__u64 start; // clock ticks, as in /proc
	__s32 pid;   // 0 for none known, below 0 for one that the reader does not see
	__u32 of; // low bits of the cookie that it was noted with
	char comm[16];
};

struct event {
	__u64 at, cookie;
	__u64 took, in_from, close_wait; // ns or NOT_KNOWN
	struct who who;
	__u32 local[4], remote[4]; // network byte order; IPv4 as ::ffff:a.b.c.d
	__u32 netns;
	__s32 tid; // of the calling thread as the kernel has it, 0 for none
	__u16 lport, rport;
	__u16 error; // errno(3), positive
	__u8 kinds, call, known_by, role, from, to, first, how;
	__u8 cause; // tcpvet.Cause, 0 where user space is to see to it
	__u8 syns;
	__u8 flags;
	__u8 pad[5];
};

// Flags of an event.
enum {
	PEER_RESET = 1, // the peer's RST ended it
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

// What happened to no record. Adding is atomic: these are rare.
enum {
	LOST,     // records that the ring had no room for, or that no program made
	NO_ROOM,  // connections that the table had no room for
	BETWEEN,  // changes that came while the processor was at another: not lost
	DISPLACED, // connections that went into the table, not to a place
	UNSEEN,   // ends that no program saw, found later
	COUNTS
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&counts, &what);
	if (n)
		__sync_fetch_and_add(n, 1);
}

// The failed connect()s that the state change told, by the socket's cookie: the errno
// that was told. Written where calls are traced too.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u32);
} told SEC(".maps");

static __always_inline struct event *new_event(void)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof *e, 0);
	if (!e)
		count(LOST);
	return e;
}

// tell hands the record over. Nobody is woken: user space looks every few
// milliseconds.
static __always_inline void tell(struct event *e) { bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP); }

static __always_inline void fill_ends(struct event *e, struct sock_common *c)
{
	fill_addresses(e->local, e->remote, c);
	e->rport = __builtin_bswap16(c->skc_dport);
}

static __always_inline __u32 netns_of(struct sock_common *c) { return c->skc_net.net->ns.inum; }

static __always_inline __u64 cookie_of(struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	return cookie ? cookie : bpf_get_socket_cookie(sk);
}
