// Options of sockets as setsockopt(2) numbers them: include/uapi/asm-generic/socket.h
// and include/uapi/linux/tcp.h. These do not move.

#pragma once

enum {
	SOL_SOCKET = 1,
	SO_KEEPALIVE = 9,
	TCP_KEEPIDLE = 4,
	TCP_KEEPINTVL = 5,
	TCP_KEEPCNT = 6,
	TCP_USER_TIMEOUT = 18,
};

// Keepalive and the user timeout as getsockopt(2) tells them: seconds, milliseconds
// for the user timeout.
struct timers {
	int keepalive;
	int idle;
	int interval;
	int count;
	int user_timeout;
};
