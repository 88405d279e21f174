/* A server for download benchmarks: answers each connection's request with `size` bytes.
 *
 * Usage: bytes SIZE; prints its port on 127.0.0.1 and serves one connection at a time
 * until killed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[256 * 1024];

static void serve(int fd, long long size)
{
	char head[256];
	int n;

	if (recv(fd, block, sizeof block, 0) <= 0)
		return;
	n = snprintf(
		head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
		size);
	if (send(fd, head, (size_t)n, 0) != n)
		return;
	memset(block, 'x', sizeof block);
	while (size > 0) {
		size_t part =
			size < (long long)sizeof block ? (size_t)size : sizeof block;
		ssize_t sent = send(fd, block, part, 0);

		if (sent <= 0)
			return;
		size -= sent;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t length = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	long long size = argc > 1 ? atoll(argv[1]) : 1 << 30;

	signal(SIGPIPE, SIG_IGN);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(listener, 16) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &length) < 0)
		return 1;
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		serve(fd, size);
		close(fd);
	}
}
