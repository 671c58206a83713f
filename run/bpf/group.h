// What is counted of the sockets of a cgroup, and what is remembered of each.

#pragma once

#include "context.h"

// Whether programs may look at tasks and at the kernel's sockets, which takes
// CAP_PERFMON. The verifier leaves out what hangs on it where it is not set.
const volatile bool sees_kernel = false;

// record_linux.go reads it.
struct counts {
	__u64 opened;
	__u64 accepted;
	__u64 tried; // connects, but for MPTCP
	__u64 sent; // those of them that came to a SYN
	__u64 no_port;
	__u64 unanswered; // the peer refused, or nobody answered
	__u64 given_up; // by the program
	__u64 half_closed; // sockets that came into CLOSE-WAIT
	__u64 half_closed_over; // those of them that left it
	__u64 half_closed_most; // at once
	__u64 leaked; // those that left it as their process ended
	__u64 refused; // sockets whose values the kernel refused
	__u64 unbound; // connects for which no address of the pool was to be had
	__u64 own; // connections on which the program set its own values
	__u64 own_unnamed; // those of them that found no room
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counts SEC(".maps");

struct opener {
	__u32 tgid; // in the first PID namespace, 0 where it is not known
	char comm[16];
};

struct kept {
	struct opener by; // who connects or listens
	bool trying; // in connect(), before a SYN
	bool given; // it has got the values
	int idle; // which of them hangs on the socket
	bool half_closed;
	__u64 half_closed_at; // ns since boot
};

// The sockets that a listener accepts begin with a copy of what it has.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct kept);
} sockets SEC(".maps");

#define COUNT(what) \
	do { \
		__u32 zero_ = 0; \
		struct counts *counts_ = bpf_map_lookup_elem(&counts, &zero_); \
		if (counts_) \
			__sync_fetch_and_add(&counts_->what, 1); \
	} while (0)

// fill_opener is for calls that come from the process itself.
static __always_inline void fill_opener(struct opener *o)
{
	if (!sees_kernel)
		return;
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;
	o->tgid = leader->tgid;
	bpf_probe_read_kernel(o->comm, sizeof o->comm, leader->comm);
}
