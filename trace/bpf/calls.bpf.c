// Tells the calls connect, bind, socket and accept of TCP that fail, as they return:
// what a state change does not show, for there is none. Notes who accepts.

#include "conn.h"
#include "descriptor.h"

char LICENSE[] SEC("license") = "GPL";

// include/uapi/asm-generic/errno.h
enum {
	EINTR = 4, EAGAIN = 11, EINVAL = 22, EADDRNOTAVAIL = 99, ENETUNREACH = 101,
	ECONNABORTED = 103, EISCONN = 106, EALREADY = 114, EINPROGRESS = 115,
	ERESTARTSYS = 512, // and above: the kernel's own, no program gets them
};

enum { SOCK_TYPE_MASK = 0xf, IFF_UP = 1 };

// What the namespace says of the failure; causes of tcpvet.Cause.
enum { CAUSE_IPV6_DISABLED = 6, CAUSE_LOOPBACK_DOWN = 7 };

// A record that says no more than with which errno a connect() ended whose failure
// was told when the state changed.
enum { AMENDS = 128 }; // among kinds

// What a program gets at the end of a call: struct syscall_tp_t of perf_call_bpf_exit.
struct call_end {
	__u64 common;
	__s64 number;
	__s64 result;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86 {
	unsigned long di, si, dx;
};

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 orig_x0; // regs[0] holds the result by now
};

#pragma clang attribute pop

// struct sockaddr_in and sockaddr_in6.
struct address {
	__u16 family;
	__be16 port;
	union {
		__be32 v4;
		struct {
			__u32 flow;
			__u32 v6[4];
		};
	};
};

// argument gives what the call was given: the registers keep it to the end.
static __always_inline __u64 argument(int n)
{
	void *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (bpf_core_field_exists(struct pt_regs___x86, di)) {
		struct pt_regs___x86 *x86 = regs;
		return n == 0 ? x86->di : n == 1 ? x86->si : x86->dx;
	}
	struct pt_regs___arm64 *arm64 = regs;
	return n == 0 ? arm64->orig_x0 : arm64->regs[n];
}

// failed gives the errno of a call that the program will take for a failure, 0 for none.
static __always_inline __u32 failed(__s64 result)
{
	__s64 e = -result;
	return e <= 0 || e >= ERESTARTSYS || e == EINTR || e == EAGAIN ? 0 : e;
}

// set_asked reads the address that the call was given. One that cannot be read, or is
// of another family, stays zero.
static __always_inline void set_asked(__u32 *addr, __u16 *port)
{
	struct address a = {};
	void *from = (void *)argument(1);
	__u32 size = argument(2);

	if (bpf_probe_read_user(&a.family, sizeof a.family, from))
		return;
	if (a.family == AF_INET && size >= 16 && !bpf_probe_read_user(&a, 8, from)) {
		addr[2] = __builtin_bswap32(0xffff);
		addr[3] = a.v4;
	} else if (a.family == AF_INET6 && size >= 24 && !bpf_probe_read_user(&a, 24, from)) {
		__builtin_memcpy(addr, a.v6, 16);
	} else {
		return;
	}
	*port = __builtin_bswap16(a.port);
}

static __always_inline bool is_mapped(__u32 *addr)
{
	return !addr[0] && !addr[1] && addr[2] == __builtin_bswap32(0xffff);
}

// set_bound writes the socket's own address, of the family of the remote one.
static __always_inline void set_bound(struct event *e, struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&e->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		if (is_mapped(e->remote) && !e->local[0] && !e->local[1] && !e->local[2] && !e->local[3])
			e->local[2] = __builtin_bswap32(0xffff);
	} else {
		e->local[2] = __builtin_bswap32(0xffff);
		e->local[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	}
	e->lport = __builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

static __always_inline bool is_loopback(__u32 *addr)
{
	if (is_mapped(addr))
		return (addr[3] & __builtin_bswap32(0xff000000)) == __builtin_bswap32(0x7f000000);
	return !addr[0] && !addr[1] && !addr[2] && addr[3] == __builtin_bswap32(1);
}

// set_cause looks at the namespace while it is as it was: whether lo is down, and
// whether IPv6 is off, are what explains a failure for want of an address or a way.
static __always_inline void set_cause(struct event *e, struct net *net, __u32 *addr)
{
	if (e->error != EADDRNOTAVAIL && e->error != ENETUNREACH)
		return;
	bool v6 = !is_mapped(addr) && (addr[0] | addr[1] | addr[2] | addr[3]);
	struct net_device *lo = BPF_CORE_READ(net, loopback_dev);

	if (v6 && e->error == EADDRNOTAVAIL && bpf_core_field_exists(struct net_device, ip6_ptr)) {
		__s32 off = is_loopback(addr) ? BPF_CORE_READ(lo, ip6_ptr, cnf.disable_ipv6)
					      : BPF_CORE_READ(net, ipv6.devconf_all, disable_ipv6);
		if (off) {
			e->cause = CAUSE_IPV6_DISABLED;
			return;
		}
	}
	if (is_loopback(addr) && !(BPF_CORE_READ(lo, flags) & IFF_UP))
		e->cause = CAUSE_LOOPBACK_DOWN;
}

// begin reserves a record of the calling thread, NULL where nobody asks for it or
// there is no room.
static __always_inline struct event *begin(__u8 call, __u32 error, struct net *net)
{
	__u32 netns = BPF_CORE_READ(net, ns.inum);
	if (!in_view(netns))
		return NULL;
	struct event *e = new_event();
	if (!e)
		return NULL;
	struct task_struct *task = bpf_get_current_task_btf();
	__builtin_memset(e, 0, sizeof *e);
	e->at = bpf_ktime_get_ns();
	e->took = e->in_from = e->close_wait = NOT_KNOWN;
	fill_who(&e->who, task);
	e->known_by = BY_TASK;
	e->tid = task->pid;
	e->netns = netns;
	e->kinds = FAIL;
	e->call = call;
	e->error = error;
	return e;
}

static __always_inline struct net *net_of(struct sock *sk) { return BPF_CORE_READ(sk, __sk_common.skc_net.net); }

// was_told tells whether the failure was told when the state changed. What cannot be
// of the same connect() is none of it: a program that asks again after its connect()
// failed behind its back gets the errno that was told, or ECONNABORTED once it has
// read SO_ERROR.
static __always_inline bool was_told(__u64 cookie, __u32 error, __u32 *before)
{
	__u32 *told_before = cookie ? bpf_map_lookup_elem(&told, &cookie) : NULL;

	if (!told_before)
		return false;
	*before = *told_before;
	bpf_map_delete_elem(&told, &cookie);
	return *before == 0 || *before == EADDRNOTAVAIL || *before == error || error == ECONNABORTED;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int connect_ends(struct call_end *end)
{
	__u32 error = failed(end->result), before = 0;

	if (!error || error == EINPROGRESS || error == EALREADY || error == EISCONN)
		return 0;
	struct sock *sk = tcp_socket(argument(0));
	if (!sk)
		return 0;
	__u64 cookie = BPF_CORE_READ(followed(sk), __sk_common.skc_cookie.counter);
	bool again = was_told(cookie, error, &before);
	if (again && (before == error || error == ECONNABORTED))
		return 0;
	struct event *e = begin(CALL_CONNECT, error, net_of(sk));
	if (!e)
		return 0;
	e->cookie = cookie;
	e->role = ROLE_CLIENT;
	set_asked(e->remote, &e->rport);
	set_bound(e, sk);
	if (again)
		e->kinds = AMENDS;
	else
		set_cause(e, net_of(sk), e->remote);
	tell(e);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bind")
int bind_ends(struct call_end *end)
{
	__u32 error = failed(end->result);

	if (!error)
		return 0;
	struct sock *sk = tcp_socket(argument(0));
	if (!sk)
		return 0;
	struct event *e = begin(CALL_BIND, error, net_of(sk));
	if (!e)
		return 0;
	e->cookie = BPF_CORE_READ(followed(sk), __sk_common.skc_cookie.counter);
	set_asked(e->local, &e->lport);
	set_cause(e, net_of(sk), e->local);
	tell(e);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_socket")
int socket_ends(struct call_end *end)
{
	__u32 error = failed(end->result);

	if (!error)
		return 0;
	__u32 family = argument(0), type = argument(1), protocol = argument(2);
	if ((family != AF_INET && family != AF_INET6) || (type & SOCK_TYPE_MASK) != SOCK_STREAM)
		return 0;
	if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return 0;
	struct event *e = begin(CALL_SOCKET, error, bpf_get_current_task_btf()->nsproxy->net_ns);
	if (!e)
		return 0;
	if (family == AF_INET)
		e->local[2] = __builtin_bswap32(0xffff);
	tell(e);
	return 0;
}

// note_accepter keeps with the connection who accepted it: the change of its state came
// before, in whatever task the processor was at. What accept() gave is a socket; no
// other than TCP's has a cookie that is followed.
static __always_inline void note_accepter(__u32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file = NULL;

	if (fd >= table->max_fds)
		return;
	bpf_probe_read_kernel(&file, sizeof file, (void *)table->fd + fd * sizeof file);
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	struct conn *c = cookie ? find_conn(cookie) : NULL;
	if (!c) {
		struct sock *first = followed(sk);
		if (first == sk)
			return;
		cookie = BPF_CORE_READ(first, __sk_common.skc_cookie.counter);
		c = cookie ? find_conn(cookie) : NULL;
	}
	if (!c || c->keep != FREE)
		return;
	struct who who;
	fill_who(&who, bpf_get_current_task_btf());
	keep_who(c, &who, FREE, cookie);
}

// EINVAL is how a program learns that its listener was shut down.
static __always_inline int accept_ends(struct call_end *end)
{
	__u32 error = failed(end->result);

	if (end->result >= 0)
		note_accepter(end->result);
	if (!error || error == EINVAL)
		return 0;
	struct sock *sk = tcp_socket(argument(0));
	if (!sk)
		return 0;
	struct event *e = begin(CALL_ACCEPT, error, net_of(sk));
	if (!e)
		return 0;
	e->cookie = BPF_CORE_READ(followed(sk), __sk_common.skc_cookie.counter);
	e->role = ROLE_SERVER;
	set_bound(e, sk);
	tell(e);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_ends_2(struct call_end *end) { return accept_ends(end); }

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept_ends_4(struct call_end *end) { return accept_ends(end); }
