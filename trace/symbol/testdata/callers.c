// Waits in a chain of calls whose lines the tests know by their marks.
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int (*opener)(int);

static int fds[2];

__attribute__((noinline)) static int dial_backend(int n)
{
	char buf[64];
	int got = recv(fds[0], buf, sizeof buf, 0); // mark: recv
	return got + n + buf[0];
}

static inline __attribute__((always_inline)) int checked(opener open, int n)
{
	int got = open(n + 1); // mark: open
	return got * 2;
}

__attribute__((noinline)) static int pool_get(opener open, int n)
{
	int got = checked(open, n); // mark: checked
	return got + 1;
}

static int compare(const void *a, const void *b)
{
	int got = pool_get(dial_backend, *(int *)a); // mark: pool_get
	return got + *(int *)b;
}

int main(void)
{
	int two[] = {2, 1};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 1;
	puts("ready");
	fflush(stdout);
	qsort(two, 2, sizeof two[0], compare); // mark: qsort
	return two[0] == 3;
}
