// The local addresses that connects take in turn.

#pragma once

#include <bpf/bpf_endian.h>
#include "group.h"

// Addresses are for destinations of their kind alone. pool_linux.go has the same order.
enum pool { POOL_LOOPBACK4, POOL_REST4, POOL_LOOPBACK6, POOL_REST6, POOLS, POOL_NONE = POOLS };
enum { POOL_MOST = 64 };

// How many addresses each has. It is no constant: to index one takes CAP_PERFMON.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POOLS);
	__type(key, __u32);
	__type(value, __u32);
} lengths SEC(".maps");

struct address {
	__be32 words[4]; // IPv4 in the last
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POOLS * POOL_MOST);
	__type(key, __u32);
	__type(value, struct address);
} addresses SEC(".maps");

struct destination {
	struct address address;
	__u32 port;
};

// Each destination has its turn, so that two that are visited by turns do not get one
// address each. One that is forgotten begins anew.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct destination);
	__type(value, __u64);
} turns SEC(".maps");

static __always_inline __u64 turn(struct destination *d)
{
	__u64 one = 1;
	__u64 *n = bpf_map_lookup_elem(&turns, d);

	if (!n && bpf_map_update_elem(&turns, d, &one, BPF_NOEXIST) == 0)
		return 0;
	if (!n)
		n = bpf_map_lookup_elem(&turns, d);
	return n ? __sync_fetch_and_add(n, 1) : 0;
}

// An address of 0 means this host.
static __always_inline bool loopback4(__be32 ip) { return ip == 0 || (ip & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000); }

static __always_inline bool mapped(const __be32 ip[4]) { return !ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff); }

static __always_inline enum pool pool_for6(const __be32 ip[4])
{
	if (mapped(ip))
		return loopback4(ip[3]) ? POOL_LOOPBACK4 : POOL_REST4;
	if (!ip[0] && !ip[1] && !ip[2] && (ip[3] == 0 || ip[3] == bpf_htonl(1)))
		return POOL_LOOPBACK6;
	if ((ip[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		return POOL_NONE; // link-local
	return POOL_REST6;
}

// from_pool binds the socket of a connect to the next address. The port is chosen late,
// for the destination: the kernel sets IP_BIND_ADDRESS_NO_PORT for it.
static __always_inline void from_pool(struct bpf_sock_addr *ctx, enum pool pool, struct destination *d)
{
	__u32 place = pool;
	__u32 *length = bpf_map_lookup_elem(&lengths, &place);
	if (!length || *length == 0)
		return;
	place = pool * POOL_MOST + turn(d) % *length;
	struct address *a = bpf_map_lookup_elem(&addresses, &place);
	if (!a)
		return;
	long err;
	if (ctx->user_family == AF_INET) {
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = a->words[3]};
		err = bpf_bind(ctx, (void *)&at, sizeof at);
	} else {
		struct sockaddr_in6 at = {.sin6_family = AF_INET6};
		__builtin_memcpy(at.sin6_addr, a->words, sizeof at.sin6_addr);
		if (pool <= POOL_REST4)
			at.sin6_addr[2] = bpf_htonl(0xffff);
		err = bpf_bind(ctx, (void *)&at, sizeof at);
	}
	if (err)
		COUNT(unbound);
}
