// The frames of CPython's interpreter, read while the thread is in a call. A thread that
// waits in a call has let go of the interpreter's lock, and its frames stay as they are.

#pragma once

#include "reader.h"

enum {
	MAX_PYTHON = 48, // frames
	MAX_PYTHON_THREADS = 512,
	MAX_PYTHON_PROCESSES = 4096,
};

// struct python_layout tells where one process has its interpreter, and where CPython of
// that version has what leads to the frames. package symbol writes it.
struct python_layout {
	__u64 start; // of the process, in clock ticks after boot
	__u64 runtime; // address of _PyRuntime
	__u16 interpreters; // in _PyRuntime
	__u16 threads; // in PyInterpreterState
	__u16 next; // in PyThreadState
	__u16 id; // in PyThreadState, of thread_id; native_thread_id follows if by_tid
	__u16 frame; // in PyThreadState
	__u16 cframe; // in _PyCFrame, which lies between; NONE before 3.11 and from 3.13 on
	__u16 previous, code, at; // in the frame
	__u16 owner; // in the frame, NONE before 3.12
	__u8 at_bytes; // 4 for an index, 8 for an address
	__u8 by_tid;
	__u8 shim; // owner of frames that stand for C code
	__u8 pad;
};

enum { NONE = 0xffff };

struct python_call {
	__u64 code;
	__u64 at;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PYTHON_PROCESSES);
	__type(key, __s32); // as the reader numbers it
	__type(value, struct python_layout);
} pythons SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_struct___x86 {
	unsigned long fsbase;
};

struct task_struct___x86 {
	struct thread_struct___x86 thread;
};

struct task_struct___parent {
	struct task_struct *real_parent;
};

#pragma clang attribute pop

static __always_inline __u64 user_word(__u64 address)
{
	__u64 word = 0;
	bpf_probe_read_user(&word, sizeof word, (void *)address);
	return word;
}

// python_of gives the layout of a process. A child that was forked has its parent's.
static __always_inline struct python_layout *python_of(struct task_struct *leader)
{
	for (int i = 0; i < 3 && leader; i++) {
		__s32 pid = pid_for_reader(leader->thread_pid);
		struct python_layout *l = bpf_map_lookup_elem(&pythons, &pid);
		if (l)
			return l->start == start_for_reader(leader) ? l : NULL;
		struct task_struct *parent = ((struct task_struct___parent *)leader)->real_parent;
		leader = parent ? parent->group_leader : NULL;
	}
	return NULL;
}

// python_thread finds the PyThreadState of a thread, 0 for none.
static __always_inline __u64 python_thread(struct python_layout *l, struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	struct upid own = {}; // as the thread itself sees it
	__u64 self = 0;

	if (pid)
		number_at(pid, pid->level, &own);
	if (bpf_core_field_exists(struct task_struct___x86, thread.fsbase))
		self = ((struct task_struct___x86 *)task)->thread.fsbase; // pthread_self()
	__u64 thread = user_word(user_word(l->runtime + l->interpreters) + l->threads);
	for (int i = 0; i < MAX_PYTHON_THREADS && thread; i++) {
		__u64 id[2] = {};
		if (bpf_probe_read_user(id, sizeof id, (void *)(thread + l->id)))
			return 0;
		if (self ? id[0] == self : l->by_tid && id[1] == own.nr)
			return thread;
		thread = user_word(thread + l->next);
	}
	return 0;
}

// python_walk gives how many frames the thread has, innermost first. The code of those
// that stand for C is 0.
static __always_inline __u32 python_walk(struct task_struct *task, struct python_call out[MAX_PYTHON])
{
	struct python_layout *l = python_of(task->group_leader);

	if (!l)
		return 0;
	__u64 thread = python_thread(l, task);
	if (!thread)
		return 0;
	__u64 frame = user_word(thread + l->frame);
	if (l->cframe != NONE && frame)
		frame = user_word(frame + l->cframe);
	__u64 low = l->at_bytes == 4 ? 0xffffffff : ~0ULL;
	__u64 owner = l->owner == NONE ? 0 : l->owner; // without one, the byte read is that of a pointer
	__u64 shim = l->owner == NONE ? 0x100 : l->shim;
	// Nothing but frame differs from one round to the next, so that the verifier sees
	// each branch once.
	__u32 n = 0;
	for (; n < MAX_PYTHON && frame; n++) {
		__u8 who = 0;
		bpf_probe_read_user(&who, sizeof who, (void *)(frame + owner));
		__u64 code = user_word(frame + l->code);
		out[n].code = who == shim ? 0 : code;
		out[n].at = user_word(frame + l->at) & low;
		frame = user_word(frame + l->previous);
	}
	return n;
}
