/* The limit of http.get32: 32 connections under epoll, one send() and one recv() a
 * request. Usage: http_get PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTIONS 32
#define SLICES 30
#define REQUESTS 2000

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n";
static char buffer[16384];

static int complete(ssize_t n)
{
	char *body = n > 0 ? memmem(buffer, (size_t)n, "\r\n\r\n", 4) : NULL;

	return body && buffer + n - (body + 4) == 100;
}

int main(int argc, char **argv)
{
	static struct measure measure;
	struct epoll_event event, events[CONNECTIONS];
	int ep = epoll_create1(0), done = 0, total = 0;

	if (argc < 2)
		return 2;
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = connect_to(argv[1]);

		fcntl(fd, F_SETFL, O_NONBLOCK);
		event.events = EPOLLIN;
		event.data.fd = fd;
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
		if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
			return 1;
	}
	measure_begin(&measure);
	while (total < SLICES * REQUESTS) {
		int n = epoll_wait(ep, events, CONNECTIONS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (!complete(recv(fd, buffer, sizeof buffer, 0)))
				return 1;
			total++;
			if (++done == REQUESTS) {
				measure_slice(&measure, REQUESTS);
				done = 0;
			}
			if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
				return 1;
		}
	}
	return measure_end(&measure);
}
