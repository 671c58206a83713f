// Who holds a descriptor, and whether anybody else may hold it too.

#pragma once

#include "record.h"

// struct process is what is counted of a process; process_linux.go reads it.
struct process_key {
	__u64 start;
	__s32 tgid;
	__u32 pad;
};

struct process {
	__u64 descriptors, sockets, used, quiet, inode;
	__u64 leader_exited;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17); // as many buckets are made, 16 bytes each
	__type(key, struct process_key);
	__type(value, struct process);
} processes SEC(".maps");

// The tables of descriptors of threads without a leader, by pass. The kernel visits a
// leader's table once, but that of such threads once for each.
struct table_key {
	__u64 files;
	__s32 tgid;
	__u32 pass;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct table_key);
	__type(value, __u8);
} visited SEC(".maps");

// The sockets that the pass has come by, by cookie: cookies are given one after the
// other, so that neighbours share a word. Two sockets may share a bit where sixteen
// million cookies lie between them.
enum { SEEN_BITS = 1 << 24 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SEEN_BITS / 64);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline __u64 *seen_word(__u64 cookie)
{
	__u32 word = (cookie / 64) % (SEEN_BITS / 64);
	return bpf_map_lookup_elem(&seen, &word);
}

static __always_inline bool was_seen(__u64 cookie)
{
	__u64 *word = seen_word(cookie);
	return word && *word >> (cookie % 64) & 1;
}

static __always_inline void see(__u64 cookie)
{
	__u64 *word = seen_word(cookie);
	if (word)
		*word |= 1ULL << (cookie % 64);
}

// The task that the pass is at, and its process.
static struct {
	__u64 task_born;
	__s32 pid;
	bool late; // it started after the pass began
	bool sole; // no other task that the pass visits uses its table of descriptors
	bool again; // the pass has been through that table
	__u64 born;
	struct process_key key;
	struct process counts;
} at;

static __always_inline void leave_process(void)
{
	at.pid = 0;
	if (!at.counts.descriptors)
		return;
	struct process *p = bpf_map_lookup_elem(&processes, &at.key);
	if (p) {
		p->descriptors += at.counts.descriptors;
		p->sockets += at.counts.sockets;
		p->used += at.counts.used;
		p->quiet += at.counts.quiet;
		if (at.counts.inode)
			p->inode = at.counts.inode;
	} else if (bpf_map_update_elem(&processes, &at.key, &at.counts, BPF_ANY)) {
		pass.lost_processes++;
	}
	__builtin_memset(&at.counts, 0, sizeof at.counts);
}

// The PID in the reader's namespace, 0 for none.
static __always_inline __s32 pid_for_reader(struct task_struct *leader)
{
	struct pid *mine = bpf_get_current_task_btf()->thread_pid;
	struct pid *pid = leader->thread_pid;
	struct upid id = {};
	__u32 level = mine->level;
	__u64 offset = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	if (!pid || pid->level < level)
		return 0;
	bpf_probe_read_kernel(&id.nr, sizeof id.nr, (void *)pid + offset + bpf_core_field_offset(struct upid, nr));
	return id.nr;
}

// How far the reader's clock of time since boot is ahead of the kernel's.
static __always_inline __u64 reader_offset(void)
{
	if (!bpf_core_field_exists(struct nsproxy, time_ns))
		return 0;
	struct time_namespace *ns = bpf_get_current_task_btf()->nsproxy->time_ns;
	return ns->offsets.boottime.tv_sec * 1000000000ULL + ns->offsets.boottime.tv_nsec;
}

static __always_inline bool table_again(struct task_struct *task)
{
	if (task->pid == task->tgid)
		return false;
	struct table_key key = {(__u64)task->files, task->tgid, pass.number};
	__u8 one = 1;
	return bpf_map_update_elem(&visited, &key, &one, BPF_NOEXIST) == -17; // EEXIST
}

// enter notes the task. What does not change from one descriptor to the next is
// worked out once. false where its table has been gone through.
static __always_inline bool enter(struct task_struct *task)
{
	if (!pass.began) {
		pass.began = bpf_ktime_get_ns();
		pass.began_jiffies = bpf_jiffies64();
	}
	if (at.pid == task->pid && at.task_born == task->start_boottime)
		return !at.again;
	leave_process();
	at.pid = task->pid;
	at.task_born = task->start_boottime;
	struct task_struct *leader = task->group_leader;
	at.born = leader->start_boottime;
	at.key.tgid = pid_for_reader(leader);
	// nsec_to_clock_t: 100 ticks a second, whatever the kernel's own are.
	at.key.start = (at.born + reader_offset()) / 10000000;
	at.late = leader->start_time > pass.began;
	at.counts.leader_exited = leader->exit_state != 0;
	// The kernel passes over a thread that has its leader's table, and visits
	// each of the others. The leader's counts as sole when its own threads are
	// enough to account for all that use it.
	__s32 users = task->files->count.counter;
	at.sole = users == 1 || (task->pid == task->tgid && users <= task->signal->nr_threads);
	at.again = table_again(task);
	return !at.again;
}

// references tells how many hold the file, the iterator with them.
static __always_inline __s64 references(struct file *file)
{
	if (bpf_core_field_exists(struct file, f_ref))
		return file->f_ref.refcnt.counter + 1; // FILE_REF_ONEREF is 0
	return ((struct file___count *)file)->f_count.counter;
}
