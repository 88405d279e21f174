/* Streams whose other end is a bare descriptor, so that the test decides what is sent and
 * read when. */
#ifndef TESTS_SUPPORT_PAIRS_H
#define TESTS_SUPPORT_PAIRS_H

#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline int socket_pair(int type, const an_stream_opts *opts, an_stream **ret_s,
			      int *ret_fd)
{
	int fd[2], r;

	*ret_fd = -1;
	if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fd))
		return -errno;
	r = an_stream_new(fd[0], opts, ret_s);
	if (r)
		close(fd[0]);
	*ret_fd = fd[1];
	return r;
}

static inline int tcp_pair(an_stream **ret_s, int *ret_fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	*ret_fd = -1;
	CHECK_EQUAL(bind(l, (void *)&at, sizeof at), 0);
	CHECK_EQUAL(listen(l, 1), 0);
	CHECK_EQUAL(getsockname(l, (void *)&at, &len), 0);
	CHECK_EQUAL(connect(c, (void *)&at, sizeof at), 0);
	*ret_fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	CHECK(*ret_fd >= 0);
	close(l);
	return an_stream_new(c, NULL, ret_s);
}

static inline void reset(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
}

static inline void fill_pattern(char *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)((i * 2654435761u + seed) >> 13);
}

#endif
