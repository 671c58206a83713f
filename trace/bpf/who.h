// The process of a task, as the reader of the trace has it.

#pragma once

#include "event.h"
#include "reader.h"

static __always_inline void fill_who(struct who *w, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	// The first namespace sees every process, by the number that the kernel has.
	w->pid = reader_level == 0 ? task->tgid : pid_for_reader(leader->thread_pid);
	w->start = w->pid > 0 ? start_for_reader(leader) : 0;
	w->of = 0;
	bpf_probe_read_kernel(w->comm, sizeof w->comm, leader->comm);
}
