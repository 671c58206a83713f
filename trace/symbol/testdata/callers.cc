// Waits in calls of C++ that have mangled names.
#include <cstdio>
#include <string>
#include <sys/socket.h>

namespace net {
inline __attribute__((always_inline)) int wait_for(int fd)
{
	char buf[64];
	int got = recv(fd, buf, sizeof buf, 0); // mark: recv
	return got + buf[0];
}

template <typename T> struct Pool {
	int fd;
	__attribute__((noinline)) int get(const T &name)
	{
		int got = wait_for(fd); // mark: wait_for
		return got + name.size();
	}
};
} // namespace net

int main()
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 1;
	puts("ready");
	fflush(stdout);
	net::Pool<std::string> pool{fds[0]};
	int got = pool.get("backend"); // mark: get
	return got == 3;
}
