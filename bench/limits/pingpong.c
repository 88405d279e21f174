/* The limit of io.pingpong32: 100 bytes to and fro on each of 32 connections under epoll,
 * one send() and one recv() a round trip. Usage: pingpong PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <fcntl.h>
#include <sys/epoll.h>

#define CONNECTIONS 32
#define MESSAGE 100
#define SLICES 30
#define ROUND_TRIPS 2000

static char buffer[MESSAGE];

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
		if (send(fd, buffer, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
			return 1;
	}
	measure_begin(&measure);
	while (total < SLICES * ROUND_TRIPS) {
		int n = epoll_wait(ep, events, CONNECTIONS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (recv(fd, buffer, MESSAGE, 0) != MESSAGE)
				return 1;
			total++;
			if (++done == ROUND_TRIPS) {
				measure_slice(&measure, ROUND_TRIPS);
				done = 0;
			}
			if (send(fd, buffer, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
				return 1;
		}
	}
	return measure_end(&measure);
}
