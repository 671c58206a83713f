// Leaks connections to 127.0.0.1 from two lines, beside one that closes what it opens:
// leak PORT SEVERAL FEW. It then says "held" and waits for the end of its input.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int port, times;

#define APART __attribute__((noinline, noclone))

APART int dial(const char *why)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	volatile unsigned long busy = 4096UL * (times + 1); // no two stacks hold the same data

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) || !busy) {
		perror(why);
		exit(1);
	}
	return fd;
}

APART int leak_often(void)
{
	char name[32];
	snprintf(name, sizeof name, "often to %08d %d", 1000 * times++, port);
	int fd = dial(name); // line: often
	return fd + (int)strlen(name);
}

APART int leak_seldom(void)
{
	char name[64];
	snprintf(name, sizeof name, "seldom to %07d %d", 1000 * times++, port);
	int fd = dial(name); // line: seldom
	return fd + (int)strlen(name);
}

APART int clean(void)
{
	int fd = dial("clean"); // line: clean
	return close(fd);
}

int main(int argc, char **argv)
{
	port = atoi(argv[1]);
	int several = atoi(argv[2]), few = atoi(argv[3]), sum = 0;

	for (int i = 0; i < several; i++) {
		sum += leak_often();
		sum += clean();
		if (i < few)
			sum += leak_seldom();
	}
	printf("held %d\n", sum != 0);
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}
