// Which process closed a socket first, by the socket's cookie: who had what is in
// TIME-WAIT later, which keeps the cookie and nothing else of it.

#include "kernel.h"

char LICENSE[] SEC("license") = "GPL";

enum { LEVELS = 4, PF_KTHREAD = 0x00200000 };

struct id {
	__u32 space; // inode of the PID namespace, 0 for none
	__s32 pid;
};

// record_linux.go reads it.
struct owner {
	__u64 number; // of the close, from 1; it is written last
	__u64 cookie;
	__u64 born; // ns after boot
	struct id ids[LEVELS]; // from the first PID namespace inwards
	char comm[16];
};

// A ring in the order of the closes: what rests does so for the same time, so the
// oldest is forgotten first. It costs a fifth of BPF_MAP_TYPE_LRU_HASH, and readers map
// it. The number in its first place counts all closes.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 + (1 << 18));
	__type(key, __u32);
	__type(value, struct owner);
} owners SEC(".maps");

const volatile __u64 places = 1 << 18; // behind the first

static __always_inline void fill_ids(struct owner *o, struct pid *pid)
{
	__u32 offset = bpf_core_field_offset(struct pid, numbers);
	__u32 level = pid->level;

	for (__u32 i = 0; i < LEVELS; i++) {
		struct pid_namespace *space = NULL;
		void *number = (void *)pid + offset + i * bpf_core_type_size(struct upid);
		o->ids[i].space = 0;
		o->ids[i].pid = 0;
		if (i > level)
			continue;
		bpf_probe_read_kernel(&o->ids[i].pid, sizeof o->ids[i].pid, number + bpf_core_field_offset(struct upid, nr));
		bpf_probe_read_kernel(&space, sizeof space, number + bpf_core_field_offset(struct upid, ns));
		o->ids[i].space = BPF_CORE_READ(space, ns.inum);
	}
}

// The end that closes first comes into FIN-WAIT-1 in a call of the process that closes
// it, or as that process ends; and no TIME-WAIT comes otherwise.
SEC("tp_btf/inet_sock_set_state")
int keep(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if ((int)ctx[2] != TCP_FIN_WAIT1 || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD) // it closes for another
		return 0;
	struct task_struct *leader = task->group_leader;
	struct pid *pid = leader->thread_pid;
	if (!pid)
		return 0;
	__u32 place = 0;
	struct owner *o = bpf_map_lookup_elem(&owners, &place);
	if (!o)
		return 0;
	__u64 number = __sync_fetch_and_add(&o->number, 1);
	place = 1 + number % places;
	o = bpf_map_lookup_elem(&owners, &place);
	if (!o)
		return 0;
	__sync_lock_test_and_set(&o->number, 0);
	o->cookie = bpf_get_socket_cookie(sk);
	o->born = leader->start_boottime;
	fill_ids(o, pid);
	bpf_probe_read_kernel(o->comm, sizeof o->comm, leader->comm);
	__sync_lock_test_and_set(&o->number, number + 1);
	return 0;
}
