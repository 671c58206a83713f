// Processes as the reader of a trace has them.

#pragma once

#include "kernel.h"

volatile const __u32 reader_pidns; // inode of the reader's PID namespace
volatile const __s64 reader_ahead; // ns by which its clock of time since boot is ahead of the kernel's

enum {
	PF_KTHREAD = 0x00200000, // include/linux/sched.h
	MAX_PID_NS_LEVEL = 32, // include/linux/pid_namespace.h
};

// The reader's PID namespace and its level, 0 and below 0 until a process of it was met.
static __u64 reader_space;
static int reader_level = -1;

// number_at gives the number that a thread has at a level of PID namespaces.
static __always_inline void number_at(struct pid *pid, int level, struct upid *id)
{
	__u64 at = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	char raw[sizeof *id] = {};

	bpf_probe_read_kernel(raw, sizeof raw, (void *)pid + at);
	id->nr = *(int *)(raw + bpf_core_field_offset(struct upid, nr));
	id->ns = *(struct pid_namespace **)(raw + bpf_core_field_offset(struct upid, ns));
}

// find_reader looks for a number in the reader's PID namespace, -1 for none.
static __noinline int find_reader(struct pid *pid)
{
	struct upid id = {};

	if (!pid)
		return -1;
	int last = BPF_CORE_READ(pid, level);
	for (int level = 0; level < MAX_PID_NS_LEVEL; level++) {
		if (level > last)
			break;
		number_at(pid, level, &id);
		if (id.ns && BPF_CORE_READ(id.ns, ns.inum) == reader_pidns) {
			reader_level = level;
			reader_space = (__u64)id.ns;
			return id.nr;
		}
	}
	return -1;
}

// pid_for_reader gives the number of a thread in the reader's PID namespace, -1 where
// it has none there.
static __always_inline int pid_for_reader(struct pid *pid)
{
	struct upid id;

	if (!reader_space)
		return find_reader(pid);
	if (!pid || (int)pid->level < reader_level)
		return -1;
	number_at(pid, reader_level, &id);
	return (__u64)id.ns == reader_space ? id.nr : -1;
}

// start_for_reader gives when a process started, in clock ticks after boot as /proc has
// it: nsec_to_clock_t, 100 ticks a second whatever the kernel's own are.
static __always_inline __u64 start_for_reader(struct task_struct *leader)
{
	return (leader->start_boottime + reader_ahead) / 10000000;
}

// A kernel thread acts for others, or for nobody.
static __always_inline bool is_kernel_thread(struct task_struct *task) { return task->flags & PF_KTHREAD; }
