/* A server for benchmarks of small messages: sends back what comes, of many connections.
 *
 * Usage: echo; prints its port on 127.0.0.1 and serves until killed. Messages are small,
 * so what the kernel does not take at once is not waited for: the connection is closed.
 */
#include "bench/measure.h"
#include "bench/servers/listen.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

static char block[64 * 1024];

/* Returns whether the connection lives on. */
static int echo(int fd)
{
	ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);

	return n > 0 && send(fd, block, (size_t)n, MSG_DONTWAIT) == n;
}

static void watch(int ep, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static void take(int ep, int listener)
{
	int fd = accept(listener, NULL, NULL), one = 1;

	if (fd < 0)
		exit(1);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	watch(ep, fd);
}

int main(void)
{
	struct epoll_event events[64];
	int ep = epoll_create1(0), listener;

	measure_many_files();
	listener = listen_and_tell();
	watch(ep, listener);
	for (;;) {
		int n = epoll_wait(ep, events, 64, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				take(ep, listener);
			else if (!echo(events[i].data.fd))
				close(events[i].data.fd);
		}
	}
}
