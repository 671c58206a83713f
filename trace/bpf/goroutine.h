// Goroutines of a Go program, read while one of them is in a call.

#pragma once

#include "reader.h"

enum {
	MAX_ASKERS = 32, // frames
	MAX_GO_PROCESSES = 4096,
	GOROUTINES_READ = 64, // at once
	MAX_GOROUTINES = 32 * GOROUTINES_READ, // that are looked through
	GO_WAITING = 4, GO_SCANNED = 0x1000, // runtime2.go: _Gwaiting, _Gscan
};

// struct go_layout tells where a program has its goroutines, and what it has in them.
// stacks_go.go writes it.
struct go_layout {
	__u64 start; // of the process, in clock ticks after boot
	__u64 all; // address of runtime.allgs, a slice of pointers
	__u64 low[2], high[2]; // of functions that start goroutines which dial for others
	__u16 id, parent, status, pc, frame; // in struct g, the last two of its gobuf
	__u16 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_GO_PROCESSES);
	__type(key, __s32); // as the reader numbers it
	__type(value, struct go_layout);
} gos SEC(".maps");

static __always_inline struct go_layout *go_of(struct task_struct *leader)
{
	__s32 pid = pid_for_reader(leader->thread_pid);
	struct go_layout *l = bpf_map_lookup_elem(&gos, &pid);

	return l && l->start == start_for_reader(leader) ? l : NULL;
}

// dials_for_others tells whether a goroutine that was started there does.
static __always_inline bool dials_for_others(struct go_layout *l, __u64 creator)
{
	return (creator > l->low[0] && creator <= l->high[0]) || (creator > l->low[1] && creator <= l->high[1]);
}

// goroutine_by_id gives the address of a goroutine that waits, 0 for none.
static __always_inline __u64 goroutine_by_id(struct go_layout *l, __u64 id, __u64 read[GOROUTINES_READ])
{
	struct { __u64 first, length; } all = {};
	__u64 g = 0;
	__u32 status = 0;

	bpf_probe_read_user(&all, sizeof all, (void *)l->all);
	for (__u32 i = 0; i < MAX_GOROUTINES && i < all.length && !g; i += GOROUTINES_READ) {
		__u64 n = all.length - i;
		if (n > GOROUTINES_READ)
			n = GOROUTINES_READ;
		bpf_probe_read_user(read, n * 8, (void *)(all.first + i * 8));
		for (__u32 j = 0; j < GOROUTINES_READ && j < n; j++) {
			__u64 own = 0;
			bpf_probe_read_user(&own, sizeof own, (void *)(read[j] + l->id));
			if (own == id) {
				g = read[j];
				break;
			}
		}
	}
	bpf_probe_read_user(&status, sizeof status, (void *)(g + l->status));
	return (status & ~GO_SCANNED) == GO_WAITING ? g : 0;
}

// asker_walk reads the stack of the goroutine that started this one, and waits since:
// how many frames, innermost first.
static __always_inline __u32 asker_walk(struct go_layout *l, __u64 g, __u64 read[GOROUTINES_READ], __u64 out[MAX_ASKERS])
{
	__u64 parent = 0, frame = 0;

	if (bpf_probe_read_user(&parent, sizeof parent, (void *)(g + l->parent)) || !parent)
		return 0;
	g = goroutine_by_id(l, parent, read);
	if (!g || bpf_probe_read_user(&out[0], 8, (void *)(g + l->pc)) || bpf_probe_read_user(&frame, sizeof frame, (void *)(g + l->frame)))
		return 0;
	__u32 n = 1;
	for (; n < MAX_ASKERS; n++) {
		struct { __u64 next, back; } record;
		if (bpf_probe_read_user(&record, sizeof record, (void *)frame) || !record.back)
			break;
		out[n] = record.back;
		if (record.next <= frame) { // the outermost has none
			n++;
			break;
		}
		frame = record.next;
	}
	return n;
}
