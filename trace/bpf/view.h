// Which network namespaces are looked at.

#pragma once

#include "kernel.h"

// Those that are, where not all are.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); // user space sets how many
	__type(key, __u32);
	__type(value, __u8);
} namespaces SEC(".maps");

volatile const bool some_namespaces;
volatile const __u32 only_namespace; // 0 where it is not one alone

static __always_inline bool in_view(__u32 netns)
{
	if (only_namespace)
		return netns == only_namespace;
	return !some_namespaces || bpf_map_lookup_elem(&namespaces, &netns);
}
