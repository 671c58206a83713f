// Processes as the reader of a trace has them.

#pragma once

#include "kernel.h"

volatile const __u32 reader_pidns; // inode of the reader's PID namespace
volatile const __s64 reader_ahead; // ns by which its clock of time since boot is ahead of the kernel's

enum {
	PF_KTHREAD = 0x00200000, // include/linux/sched.h
	MAX_PID_NS_LEVEL = 32, // include/linux/pid_namespace.h
};

// The level of the reader's PID namespace, -1 until a process of it was met.
static int reader_level = -1;

static __always_inline bool number_at(struct pid *pid, int level, struct upid *id)
{
	__u64 at = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	bpf_probe_read_kernel(&id->nr, sizeof id->nr, (void *)pid + at + bpf_core_field_offset(struct upid, nr));
	bpf_probe_read_kernel(&id->ns, sizeof id->ns, (void *)pid + at + bpf_core_field_offset(struct upid, ns));
	return id->ns && BPF_CORE_READ(id->ns, ns.inum) == reader_pidns;
}

// pid_for_reader gives the number of a thread in the reader's PID namespace, -1 where
// it has none there.
static __noinline int pid_for_reader(struct pid *pid)
{
	struct upid id = {};

	if (!pid)
		return -1;
	int last = BPF_CORE_READ(pid, level);
	if (reader_level > 0)
		return reader_level <= last && number_at(pid, reader_level, &id) ? id.nr : -1;
	for (int level = 0; level < MAX_PID_NS_LEVEL; level++) {
		if (level > last)
			break;
		if (number_at(pid, level, &id)) {
			reader_level = level;
			return id.nr;
		}
	}
	return -1;
}

// start_for_reader gives when a process started, in clock ticks after boot as /proc has
// it: nsec_to_clock_t, 100 ticks a second whatever the kernel's own are.
static __always_inline __u64 start_for_reader(struct task_struct *leader)
{
	return (leader->start_boottime + reader_ahead) / 10000000;
}

// A kernel thread acts for others, or for nobody.
static __always_inline bool is_kernel_thread(struct task_struct *task) { return task->flags & PF_KTHREAD; }
