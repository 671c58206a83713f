// Remembers of each connection the user stack of what opened it, by the socket's
// cookie, for as long as the socket lives.

#include "descriptor.h"
#include "over.h"
#include "reader.h"
#include "stack.h"
#include "view.h"

char LICENSE[] SEC("license") = "GPL";

// struct opening is decoded by stacks.go.
struct opening {
	__u64 stack; // hash, 0 for none
	__u64 at; // ns, CLOCK_MONOTONIC
	__u64 waiting; // when it came into CLOSE-WAIT, 0 for not yet
	__u64 start; // of the process, in clock ticks after boot
	__s32 pid, tid; // as the reader numbers them, below 0 for none
	__u32 flags;
	__u32 pad;
	char comm[16]; // of the thread
	__u64 socket; // its address
};

enum { ACCEPTED = 1, NO_ROOM = 2 }; // of opening.flags

// Set by user space where accept() is watched.
volatile const bool accepts;

volatile const __u64 settled = 1000000000; // ns after which an opening is swept

// What a program gets at the end of a call: struct syscall_tp_t of perf_call_bpf_exit.
struct call_end {
	__u64 common;
	__s64 number;
	__s64 result;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, __u64);
	__type(value, struct opening);
} openings SEC(".maps");

// What is over, for those who ask a little late.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct opening);
} closed SEC(".maps");

// struct counts is decoded by stacks.go. Each is counted by one program.
struct {
	__u64 opened, refused, stackless, swept;
} counts = {};

enum { SWEPT = 128 };

// Cookies that user space asks of, up to the first 0.
struct {
	__u64 cookie[SWEPT];
} swept = {};

// Processes of which user space is to find out where they have their interpreter or
// their goroutines. struct newcomer is decoded by stacks_meet_linux.go.
struct newcomer {
	__u64 start;
	__s32 pid;
	__u32 kind;
};

enum { ANY, PYTHON, GO }; // of newcomer.kind: by its first connection, by its name, by its stack

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} newcomers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __s32);
	__type(value, __u64);
} met SEC(".maps");

static __always_inline void announce(struct task_struct *leader, __u32 kind)
{
	struct newcomer n = {.start = start_for_reader(leader), .pid = pid_for_reader(leader->thread_pid), .kind = kind};

	if (n.pid > 0)
		bpf_ringbuf_output(&newcomers, &n, sizeof n, 0);
}

// meet announces the process once.
static __always_inline void meet(struct task_struct *leader, __u32 kind)
{
	__s32 tgid = leader->tgid;
	__u64 start = leader->start_boottime;
	__u64 *known = bpf_map_lookup_elem(&met, &tgid);

	if (known && *known == start)
		return;
	bpf_map_update_elem(&met, &tgid, &start, BPF_ANY);
	announce(leader, kind);
}

// remember_stack keeps the stack of the current thread, unless it is kept already, and
// gives its hash, 0 where there is none or no room.
static __always_inline __u64 remember_stack(void *ctx, struct task_struct *task, struct opening *o, bool dials)
{
	// One for each program: one may be interrupted by the other.
	__u32 mine = o->flags & ACCEPTED;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &mine);
	if (!s)
		return 0;
	struct stack *k = &s->stack;
	k->creator = 0;
	k->words = k->calls = k->askers = 0; // what lies behind the counts is not read
	long bytes = bpf_get_stack(ctx, k->frame, sizeof k->frame, BPF_F_USER_STACK);
	if (bytes <= 0)
		return 0; // a thread of the kernel's
	k->frames = (__u64)bytes / 8 & 127;
	k->cut = bytes == sizeof k->frame;
	k->process = (__u64)task->tgid << 32 | (__u32)(task->group_leader->start_boottime >> 10);

	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	__u64 sp = user_sp(regs);
	if (goroutine(s, user_g(regs), sp)) {
		struct go_layout *l = k->creator ? go_of(task->group_leader) : NULL;
		if (!l)
			meet(task->group_leader, GO);
		else if (dials && dials_for_others(l, k->creator))
			k->askers = asker_walk(l, user_g(regs), s->goroutines, k->asker);
	} else {
		drop_garbage(k);
		k->calls = python_walk(task, k->call);
		// Below Python's frames are those of its interpreter alone.
		if (!k->calls) {
			scan(s, sp);
			meet(task->group_leader, ANY);
		}
	}

	__u64 hash = mix(mix(k->process, k->creator), (__u64)k->frames << 32 | (__u64)k->words << 16 | k->calls);
	for (__u32 i = 0; i < MAX_FRAMES; i++) {
		if (i >= k->frames)
			break;
		hash = mix(hash, k->frame[i]);
	}
	for (__u32 i = 0; i < MAX_WORDS; i++) {
		if (i >= k->words)
			break;
		hash = mix(hash, k->word[i]);
	}
	for (__u32 i = 0; i < MAX_PYTHON; i++) {
		if (i >= k->calls)
			break;
		hash = mix(mix(hash, k->call[i].code), k->call[i].at);
	}
	for (__u32 i = 0; i < MAX_ASKERS; i++) {
		if (i >= k->askers)
			break;
		hash = mix(hash, k->asker[i]);
	}
	hash |= 1; // never 0
	if (bpf_map_lookup_elem(&stacks, &hash))
		return hash;
	long err = bpf_map_update_elem(&stacks, &hash, k, BPF_NOEXIST);
	if (err && err != -17) { // EEXIST: another CPU was quicker
		__sync_fetch_and_add(&counts.stackless, 1);
		o->flags |= NO_ROOM;
		return 0;
	}
	return hash;
}

// open remembers that the current thread opened the socket.
static __always_inline void open(void *ctx, struct sock *sk, __u64 cookie, __u32 flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct opening o = {.at = bpf_ktime_get_ns(), .flags = flags, .socket = (__u64)sk};

	o.pid = pid_for_reader(task->group_leader->thread_pid);
	o.tid = pid_for_reader(task->thread_pid);
	o.start = start_for_reader(task->group_leader);
	bpf_get_current_comm(o.comm, sizeof o.comm);
	o.stack = remember_stack(ctx, task, &o, !flags);
	__sync_fetch_and_add(bpf_map_update_elem(&openings, &cookie, &o, BPF_ANY) ? &counts.refused : &counts.opened, 1);
}

SEC("tp_btf/inet_sock_set_state")
int remember(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if ((__s32)ctx[1] == TCP_CLOSE && (__s32)ctx[2] == TCP_SYN_SENT && in_view(BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum)))
		open(ctx, sk, bpf_get_socket_cookie(sk), 0);
	return 0;
}

// At the end of accept() and of accept4().
SEC("tracepoint/syscalls/sys_exit_accept4")
int accepted(struct call_end *end)
{
	if (end->result < 0)
		return 0;
	struct sock *sk = tcp_socket(end->result);
	if (!sk || !(sk = followed(sk)) || !in_view(BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum)))
		return 0;
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!cookie || is_over(sk, cookie)) // 0: its handshake was over before the trace began
		return 0;
	open(end, sk, cookie, ACCEPTED);
	if (is_over(sk, cookie)) // meanwhile
		bpf_map_delete_elem(&openings, &cookie);
	return 0;
}

// A program of its own: the softirq that closes a socket may interrupt the other one,
// and the kernel runs no program inside itself.
SEC("tp_btf/inet_sock_set_state")
int follow(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	__s32 state = ctx[2];

	if (accepts && (__s32)ctx[1] == TCP_SYN_RECV && state == TCP_ESTABLISHED)
		bpf_get_socket_cookie(sk); // gives it one, which accept() finds
	if (state != TCP_CLOSE_WAIT && state != TCP_CLOSE)
		return 0;
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	struct opening *o = bpf_map_lookup_elem(&openings, &cookie);
	if (!o)
		return 0;
	if (state == TCP_CLOSE_WAIT) {
		o->waiting = bpf_ktime_get_ns();
		return 0;
	}
	bpf_map_update_elem(&closed, &cookie, o, BPF_ANY);
	bpf_map_delete_elem(&openings, &cookie);
	return 0;
}

// sweep takes those of the cookies in swept away whose connection is over: what closed
// while the kernel ran follow for another is still there. User space runs it. What was
// put there just now may be in CLOSE until connect() goes on.
SEC("raw_tp")
int sweep(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	for (__u32 i = 0; i < SWEPT; i++) {
		__u64 cookie = swept.cookie[i];
		if (!cookie)
			break;
		struct opening *o = bpf_map_lookup_elem(&openings, &cookie);
		if (o && o->at + settled < now && is_over((struct sock *)o->socket, cookie) && !bpf_map_delete_elem(&openings, &cookie))
			counts.swept++;
	}
	return 0;
}

// An interpreter is announced as soon as it is there, so that its first connection has
// a stack.
SEC("tp_btf/sched_process_exec")
int executed(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	const unsigned char *name = BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name);
	char begin[8] = {};

	bpf_probe_read_kernel(begin, 6, name);
	if (*(__u64 *)begin == 0x6e6f68747970) // "python", little-endian
		announce(task->group_leader, PYTHON);
	return 0;
}
