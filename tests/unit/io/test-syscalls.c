/* What streams ask of the kernel. The calls that may move bytes or watch descriptors are
 * taken over by this program and counted; the other ends are moved past the count, so
 * that only the streams' calls are in it. */
#include "config.h"

#include "tests/support/certs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { STREAMS = 32, ROUND_TRIPS = 20, MESSAGE = 100 };

/* ---- the counts ------------------------------------------------------------------ */

static struct {
	int sends, receives, waits, others;
} calls;

static void count_from_here(void)
{
	memset(&calls, 0, sizeof calls);
}

/* Seen by libevent, too. libc's own would be these system calls, and points at which
 * threads are cancelled, which nothing here is. */
#pragma GCC visibility push(default)

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	calls.sends++;
	return syscall(SYS_sendto, fd, buf, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	calls.sends++;
	return syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t writev(int fd, const struct iovec *vec, int count)
{
	calls.sends++;
	return syscall(SYS_writev, fd, vec, count);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	calls.receives++;
	return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	calls.receives++;
	return syscall(SYS_recvmsg, fd, m, flags);
}

ssize_t readv(int fd, const struct iovec *vec, int count)
{
	calls.receives++;
	return syscall(SYS_readv, fd, vec, count);
}

int epoll_wait(int ep, struct epoll_event *events, int max, int timeout)
{
	calls.waits++;
	return (int)syscall(SYS_epoll_pwait, ep, events, max, timeout, NULL, 8);
}

int epoll_ctl(int ep, int what, int fd, struct epoll_event *event)
{
	calls.others++;
	return (int)syscall(SYS_epoll_ctl, ep, what, fd, event);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct timespec t = { timeout / 1000, timeout % 1000 * 1000000L };

	calls.others++;
	return (int)syscall(SYS_ppoll, fds, count, timeout < 0 ? NULL : &t, NULL, 8);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *p;

	va_start(arguments, request);
	p = va_arg(arguments, void *);
	va_end(arguments);
	calls.others++;
	return (int)syscall(SYS_ioctl, fd, request, p);
}

#pragma GCC visibility pop

/* ---- the other ends -------------------------------------------------------------- */

static ssize_t receive_uncounted(int fd, void *buf, size_t len)
{
	return syscall(SYS_recvfrom, fd, buf, len, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t send_uncounted(int fd, const void *buf, size_t len)
{
	return syscall(SYS_sendto, fd, buf, len, MSG_DONTWAIT, NULL, 0);
}

static int stream_pair(an_stream **ret_s, int *ret_fd)
{
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	*ret_fd = fd[1];
	return an_stream_new(fd[0], NULL, ret_s);
}

/* ---- to and fro ------------------------------------------------------------------ */

static struct trips {
	int fd[STREAMS];
	an_barrier warm;
	bool counting;
	int done;
} trips;

static int round_trip(an_stream *s)
{
	char message[MESSAGE] = "ping";

	CHECK_EQUAL(an_stream_write(s, message, MESSAGE), 0);
	CHECK_EQUAL(an_stream_read_exactly(s, message, MESSAGE), 0);
	CHECK(memcmp(message, "pong", 5) == 0);
	return 0;
}

static int round_trips(void *arg)
{
	int *fd = arg;
	an_stream *s;

	CHECK_EQUAL(stream_pair(&s, fd), 0);
	CHECK_EQUAL(round_trip(s), 0);
	CHECK(an_barrier_wait(&trips.warm, NULL) >= 0);
	if (!trips.counting)
		count_from_here();
	trips.counting = true;
	for (int i = 0; i < ROUND_TRIPS; i++)
		CHECK_EQUAL(round_trip(s), 0);
	trips.done++;
	an_stream_close(s);
	return 0;
}

/* Answers each message in the turn after it was sent. */
static int answer_all(void *arg)
{
	(void)arg;
	while (trips.done < STREAMS) {
		char message[MESSAGE + 1];

		CHECK_EQUAL(an_yield(), 0);
		for (int i = 0; i < STREAMS; i++) {
			if (receive_uncounted(trips.fd[i], message, sizeof message) <= 0)
				continue;
			CHECK(memcmp(message, "ping", 5) == 0);
			memcpy(message, "pong", 5);
			CHECK_EQUAL(send_uncounted(trips.fd[i], message, MESSAGE),
				    MESSAGE);
		}
	}
	return 0;
}

/* In the library's promise (a round trip costs 2.1 system calls at most over 32 streams)
 * the 0.1 are the waits for all of them. */
TASK_TEST(a_round_trip_costs_a_send_a_receive_and_a_share_of_a_wait)
{
	const int expected = STREAMS * ROUND_TRIPS;
	an_group group;

	memset(&trips, 0, sizeof trips);
	an_barrier_init(&trips.warm, STREAMS);
	an_group_begin(&group);
	for (int i = 0; i < STREAMS; i++)
		CHECK_EQUAL(an_group_spawn(&group, round_trips, &trips.fd[i]), 0);
	CHECK_EQUAL(an_group_spawn(&group, answer_all, NULL), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(calls.sends, expected);
	CHECK_EQUAL(calls.receives, expected);
	/* Each stream's close removes it from the epoll. */
	CHECK_EQUAL(calls.others, STREAMS);
	CHECK(calls.waits * 10 <= expected);
	for (int i = 0; i < STREAMS; i++)
		close(trips.fd[i]);
	return 0;
}

/* ---- one way --------------------------------------------------------------------- */

TASK_TEST(what_one_turn_writes_to_a_stream_leaves_in_one_call)
{
	char all[64];
	an_stream *s;
	int fd;

	CHECK_EQUAL(stream_pair(&s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "", 1), 0);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	CHECK_EQUAL(receive_uncounted(fd, all, sizeof all), 1);
	count_from_here();
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_stream_write(s, "piece", 5), 0);
	CHECK_EQUAL(an_stream_write_nowait(s, "end", 3), 0);
	CHECK_EQUAL(calls.sends, 0);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	CHECK_EQUAL(calls.sends, 1);
	CHECK_EQUAL(calls.others, 0);
	CHECK_EQUAL(receive_uncounted(fd, all, sizeof all), 53);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(lines_that_came_together_cost_one_receive)
{
	const char *line;
	an_stream *s;
	size_t len;
	int fd;

	CHECK_EQUAL(stream_pair(&s, &fd), 0);
	CHECK_EQUAL(send_uncounted(fd, "a\nb\nc\n", 6), 6);
	count_from_here();
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_stream_read_line(s, &line, &len), 0);
	CHECK_EQUAL(calls.receives, 1);
	CHECK_EQUAL(calls.waits, 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- TLS ------------------------------------------------------------------------- */

static test_certs certs;

struct secure {
	an_stream *s;
	an_tls *tls;
};

static int echo(void *arg)
{
	struct secure *server = arg;
	char message[MESSAGE];
	int r = an_stream_start_tls(server->s, server->tls, NULL);

	while (r == 0) {
		r = an_stream_read_exactly(server->s, message, MESSAGE);
		if (r == 0)
			r = an_stream_write(server->s, message, MESSAGE);
	}
	an_stream_close(server->s);
	CHECK_EQUAL(r, AN_ERR_EOF);
	return 0;
}

static int secure_round_trips(struct secure *client, int count)
{
	char message[MESSAGE] = "ping";

	for (int i = 0; i < count; i++) {
		CHECK_EQUAL(an_stream_write(client->s, message, MESSAGE), 0);
		CHECK_EQUAL(an_stream_read_exactly(client->s, message, MESSAGE), 0);
	}
	return 0;
}

/* Plain reads on the descriptor would take two, for a record's header and its body. */
TASK_TEST(a_round_trip_of_tls_costs_the_same_at_either_end)
{
	const an_tls_opts server_opts = { .server = true, .cert_file = certs.server };
	const an_tls_opts client_opts = { .ca_file = certs.ca };
	struct secure server, client;
	an_task *task;
	int fd, r;

	CHECK_EQUAL(stream_pair(&client.s, &fd), 0);
	CHECK_EQUAL(an_stream_new(fd, NULL, &server.s), 0);
	CHECK_EQUAL(an_tls_new(&server_opts, NULL, 0, &server.tls), 0);
	CHECK_EQUAL(an_tls_new(&client_opts, NULL, 0, &client.tls), 0);
	CHECK_EQUAL(an_spawn(echo, &server, NULL, &task), 0);
	CHECK_EQUAL(an_stream_start_tls(client.s, client.tls, "localhost"), 0);
	CHECK_EQUAL(secure_round_trips(&client, 2), 0);
	count_from_here();
	CHECK_EQUAL(secure_round_trips(&client, ROUND_TRIPS), 0);
	CHECK_EQUAL(calls.sends, 2 * ROUND_TRIPS);
	CHECK_EQUAL(calls.receives, 2 * ROUND_TRIPS);
	CHECK_EQUAL(calls.others, 0);
	an_stream_close(client.s);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	an_tls_free(client.tls);
	an_tls_free(server.tls);
	return 0;
}

/* ---------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	return test_certs_make(&certs);
}

static int tear_down(void **state)
{
	(void)state;
	test_certs_remove(&certs);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_round_trip_costs_a_send_a_receive_and_a_share_of_a_wait),
	cmocka_unit_test(what_one_turn_writes_to_a_stream_leaves_in_one_call),
	cmocka_unit_test(lines_that_came_together_cost_one_receive),
	cmocka_unit_test(a_round_trip_of_tls_costs_the_same_at_either_end),
};

TEST_MAIN_WITH("syscalls", tests, set_up, tear_down)
