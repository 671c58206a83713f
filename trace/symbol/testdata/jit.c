// Waits below code that it made itself, and wrote down in a perf map as compilers do.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int fds[2];

static int wait_there(void)
{
	char buf[64];
	int got = recv(fds[0], buf, sizeof buf, 0);
	return got + buf[0];
}

int main(void)
{
	// push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
	char name[64];
	void *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (made == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 1;
	memcpy(made, code, sizeof code);
	snprintf(name, sizeof name, "/tmp/perf-%d.map", getpid());
	FILE *map = fopen(name, "w");
	if (!map)
		return 1;
	fprintf(map, "%lx %zx py::opener:/app/pool.py\n", (unsigned long)made, sizeof code);
	fclose(map);
	puts("ready");
	fflush(stdout);
	return ((int (*)(int (*)(void)))made)(wait_there);
}
