/* A server for download benchmarks: answers each connection's request with `size` bytes.
 *
 * Usage: bytes SIZE; prints its port on 127.0.0.1 and serves one connection at a time
 * until killed.
 */
#include "bench/servers/listen.h"

#include <string.h>

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
	long long size = argc > 1 ? atoll(argv[1]) : 1 << 30;
	int listener = listen_and_tell();

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		serve(fd, size);
		close(fd);
	}
}
