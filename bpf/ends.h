// The addresses of a connection, as IPv6 has them.

#pragma once

#include "kernel.h"

static __always_inline void fill_addresses(__be32 *local, __be32 *remote, struct sock_common *c)
{
	if (c->skc_family == AF_INET6) {
		local[0] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		local[1] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		local[2] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		local[3] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		remote[0] = c->skc_v6_daddr.in6_u.u6_addr32[0];
		remote[1] = c->skc_v6_daddr.in6_u.u6_addr32[1];
		remote[2] = c->skc_v6_daddr.in6_u.u6_addr32[2];
		remote[3] = c->skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		local[0] = local[1] = remote[0] = remote[1] = 0;
		local[2] = remote[2] = __builtin_bswap32(0xffff);
		local[3] = c->skc_rcv_saddr;
		remote[3] = c->skc_daddr;
	}
}
