// How a connection ends: which end was first to close, and by what. It is read from
// the socket at its change to CLOSE, before anything of it is cleared.

#pragma once

#include "event.h"

enum {
	EPIPE = 32,
	EADDRNOTAVAIL = 99,
	ENETUNREACH = 101,
	ECONNABORTED = 103,
	ECONNRESET = 104,
	ETIMEDOUT = 110,
	ECONNREFUSED = 111,
	EHOSTUNREACH = 113,
};

static __always_inline bool flagged(struct sock *sk, int bit) { return sk->__sk_common.skc_flags >> bit & 1; }

// The peer's FIN has come (kernel function tcp_fin).
static __always_inline bool fin_came(struct sock *sk) { return flagged(sk, bpf_core_enum_value(enum sock_flags, SOCK_DONE)); }

// No descriptor leads to it any more (kernel function sock_orphan).
static __always_inline bool is_orphan(struct sock *sk) { return flagged(sk, bpf_core_enum_value(enum sock_flags, SOCK_DEAD)); }

// first_by_state tells who sent the first FIN as far as the state tells it.
static __always_inline __u8 first_by_state(int state)
{
	switch (state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		return FIRST_LOCAL;
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		return FIRST_REMOTE;
	case TCP_CLOSING:
		return FIRST_BOTH;
	}
	return FIRST_UNKNOWN;
}

// by_peer tells whether that error is what the peer's RST leaves (kernel function
// tcp_reset). An orphan that gets data after its FIN resets itself in the same way.
static __always_inline bool by_peer(struct sock *sk, int from, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		return false;
	return !((from == TCP_FIN_WAIT1 || from == TCP_FIN_WAIT2) && is_orphan(sk));
}

// how_quiet tells how it ended without an error of the socket.
static __always_inline __u8 how_quiet(struct tcp_sock *tp, int from)
{
	struct sock *sk = (struct sock *)tp;

	switch (from) {
	case TCP_FIN_WAIT2:
		// It goes to TIME-WAIT with the peer's FIN, and as an orphan without it
		// (kernel function tcp_time_wait) unless TCP_LINGER2 forbids that. A
		// program that still has the descriptor disconnects, or leaves data unread.
		if (fin_came(sk))
			return HOW_FIN;
		return is_orphan(sk) && tp->linger2 >= 0 ? HOW_FIN : HOW_RST;
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		// What the FIN's ACK did not end, want of memory did.
		return tp->snd_una == tp->write_seq ? HOW_FIN : HOW_RST;
	}
	return HOW_RST; // close() with unread data or linger 0, connect(AF_UNSPEC), the end of a listener
}

static __always_inline __u8 how_ended(struct tcp_sock *tp, int from, int error)
{
	switch (error) {
	case 0:
		return how_quiet(tp, from);
	case ECONNRESET:
	case EPIPE:
		return HOW_RST;
	case ECONNABORTED:
		// SOCK_DESTROY: no RST goes out once both FINs did (kernel function
		// tcp_need_reset).
		return from == TCP_LAST_ACK || from == TCP_CLOSING ? HOW_FIN : HOW_RST;
	}
	return HOW_TIMEOUT; // or what routers said meanwhile (kernel function tcp_write_err)
}

// first_ended tells who ended what had come to no FIN: the sender of the RST.
static __always_inline __u8 first_ended(struct sock *sk, int from, int error, __u8 how)
{
	__u8 first = first_by_state(from);

	if (first != FIRST_UNKNOWN || how != HOW_RST)
		return first;
	return by_peer(sk, from, error) ? FIRST_REMOTE : FIRST_LOCAL;
}

// connect_error gives what connect() fails with; 0 where the program gave it up. Where
// no SYN went out there was no port to send it from (kernel function tcp_v4_connect).
static __always_inline int connect_error(struct tcp_sock *tp)
{
	int error = ((struct sock *)tp)->sk_err;

	return error || tp->packets_out ? error : EADDRNOTAVAIL;
}

static __always_inline bool was_open(int state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSE_WAIT ||
	       state == TCP_LAST_ACK || state == TCP_CLOSING;
}

// as_tcp gives a socket of TCP, NULL for one of another protocol: the tracepoint is
// that of SCTP, DCCP and MPTCP too.
static __always_inline struct tcp_sock *as_tcp(struct sock *sk)
{
	return bpf_skc_to_tcp_sock(sk);
}
