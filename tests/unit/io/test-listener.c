/* Listeners on real sockets: addresses, order, cancellation, close, shortage, UNIX
 * names. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* The library's accept4(): errors that cannot be caused. */
static int accept_errors[4]; /* ended by a 0; the last one is kept if `for_ever` */
static bool for_ever;
static unsigned accept_calls;

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	accept_calls++;
	if (accept_errors[0]) {
		errno = accept_errors[0];
		if (!for_ever)
			memmove(accept_errors, accept_errors + 1,
				sizeof accept_errors - sizeof accept_errors[0]);
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, address, length, flags);
}

/* A plain client: blocking, done by the kernel before connect() returns. */
static int client_to(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int unix_client_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	else
		length++;
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, length) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

TASK_TEST(port_zero_gives_a_port_and_an_address)
{
	an_listener *l;
	char text[80], expected[80];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	CHECK(an_listener_port(l) > 0);
	CHECK_EQUAL(an_listener_address(l, text, sizeof text), 0);
	snprintf(expected, sizeof expected, "127.0.0.1:%u", an_listener_port(l));
	CHECK(!strcmp(text, expected));
	CHECK(!an_listener_tls(l));
	CHECK(!an_listener_close(l));
	CHECK(!an_listener_close(NULL));
	return 0;
}

TASK_TEST(a_waiting_connection_is_accepted_at_once)
{
	an_listener *l;
	an_stream *s;
	char byte;
	int fd, on = 0;
	socklen_t size = sizeof on;

	CHECK_EQUAL(an_listen("localhost", "0", NULL, &l), 0);
	fd = client_to(an_listener_port(l));
	CHECK(fd >= 0);
	CHECK_EQUAL(an_accept(l, &s), 0);
	CHECK_EQUAL(write(fd, "x", 1), 1);
	CHECK_EQUAL(an_stream_read(s, &byte, 1), 1);
	CHECK_EQUAL(byte, 'x');
	CHECK_EQUAL(getsockopt(an_stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	CHECK(on);
	CHECK(fcntl(an_stream_fd(s), F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(an_stream_fd(s), F_GETFD) & FD_CLOEXEC);
	an_stream_close(s);
	an_listener_close(l);
	close(fd);
	return 0;
}

static an_listener *listener;
static int order[8], served;

static int accept_one_task(void *arg)
{
	an_stream *s;
	int r = an_accept(listener, &s);

	if (r < 0)
		return r;
	order[served++] = (int)(intptr_t)arg;
	an_stream_close(s);
	return 0;
}

TASK_TEST_IN_ORDER(tasks_that_wait_are_served_in_order)
{
	an_task *t[4];
	int fds[4], result;

	served = 0;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	for (intptr_t i = 0; i < 4; i++)
		CHECK_EQUAL(an_spawn(accept_one_task, (void *)i, NULL, &t[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (int i = 0; i < 4; i++) {
		fds[i] = client_to(an_listener_port(listener));
		CHECK(fds[i] >= 0);
	}
	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, 0);
		CHECK_EQUAL(order[i], i);
		close(fds[i]);
	}
	an_listener_close(listener);
	return 0;
}

TASK_TEST(a_cancelled_accept_loses_no_connection)
{
	an_task *t[2];
	int fd, result;

	served = 0;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	for (intptr_t i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(accept_one_task, (void *)i, NULL, &t[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(t[0]);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	CHECK_EQUAL(an_join(t[0], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(an_join(t[1], &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(served, 1);
	close(fd);
	an_listener_close(listener);
	return 0;
}

/* The callback hands a connection over and, in the same turn, another callback cancels
 * the task. */
static int client_then_cancel(void *arg)
{
	an_task *victim = arg;

	while (!served && !an_done(victim)) {
		int r = an_yield();

		if (r < 0)
			return r;
		an_cancel(victim);
	}
	return 0;
}

TASK_TEST(a_connection_is_accepted_or_left_in_the_queue_when_a_cancel_races)
{
	an_task *t, *u;
	int fd, result;

	served = 0;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	CHECK_EQUAL(an_spawn(client_then_cancel, t, NULL, &u), 0);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK(result == 0 || result == -ECANCELED);
	CHECK_EQUAL(an_join(u, NULL), 0);
	if (result == -ECANCELED)
		CHECK_EQUAL(accept_one_task(NULL), 0);
	CHECK_EQUAL(served, 1);
	close(fd);
	an_listener_close(listener);
	return 0;
}

TASK_TEST(in_a_cancelled_scope_nothing_is_accepted)
{
	an_timeout over;
	an_listener *l;
	an_stream *s;
	int fd;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	fd = client_to(an_listener_port(l));
	CHECK(fd >= 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_timeout_end(&over, an_accept(l, &s)), -ETIMEDOUT);
	CHECK_EQUAL(an_accept(l, &s), 0);
	an_stream_close(s);
	close(fd);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_close_wakes_those_that_wait)
{
	an_task *t[2];
	int result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	for (intptr_t i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(accept_one_task, (void *)i, NULL, &t[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_listener_close(listener);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, AN_ERR_CLOSED);
	}
	return 0;
}

/* The event stays while nobody accepts, and is deleted when it fires then: no busy
 * loop, which the virtual clock would show as a sleep that never ends. */
TASK_TEST(connections_wait_while_nobody_accepts)
{
	an_listener *l;
	an_stream *s;
	int fds[3];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	for (int i = 0; i < 3; i++) {
		an_timeout t;

		/* parks first, so that the event is added */
		an_timeout_begin(&t, AN_MILLISECOND);
		CHECK_EQUAL(an_timeout_end(&t, an_accept(l, &s)), -ETIMEDOUT);
		fds[i] = client_to(an_listener_port(l));
		CHECK(fds[i] >= 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK_EQUAL(an_accept(l, &s), 0);
		an_stream_close(s);
		close(fds[i]);
	}
	an_listener_close(l);
	return 0;
}

static int count_turns(void *arg)
{
	int *turns = arg, r;

	while ((r = an_yield()) == 0)
		++*turns;
	return r;
}

TASK_TEST_IN_ORDER(a_flood_of_connections_leaves_turns_to_others)
{
	enum { FLOOD = 200 };
	int fds[FLOOD], turns = 0;
	an_listener *l;
	an_stream *s;
	an_task *t;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	for (int i = 0; i < FLOOD; i++) {
		fds[i] = client_to(an_listener_port(l));
		CHECK(fds[i] >= 0);
	}
	CHECK_EQUAL(an_spawn(count_turns, &turns, NULL, &t), 0);
	for (int i = 0; i < FLOOD; i++) {
		CHECK_EQUAL(an_accept(l, &s), 0);
		an_stream_close(s);
		close(fds[i]);
	}
	CHECK(turns >= 2);
	an_cancel(t);
	an_detach(t);
	an_listener_close(l);
	return 0;
}

TASK_TEST(an_aborted_connection_is_passed_over)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	an_listener *l;
	an_stream *s;
	char byte;
	int fd, good;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	fd = client_to(an_listener_port(l));
	CHECK(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	good = client_to(an_listener_port(l));
	CHECK(good >= 0);
	CHECK_EQUAL(write(good, "g", 1), 1);
	/* Linux hands a reset one over all the same; it reads as an error. */
	do {
		ssize_t n;

		CHECK_EQUAL(an_accept(l, &s), 0);
		n = an_stream_read(s, &byte, 1);
		an_stream_close(s);
		if (n == 1)
			break;
		CHECK_EQUAL(n, -ECONNRESET);
	} while (true);
	CHECK_EQUAL(byte, 'g');
	close(good);
	an_listener_close(l);
	return 0;
}

TASK_TEST(an_address_in_use_is_an_error)
{
	an_listener *l, *again;
	char port[8];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_listen("127.0.0.1", port, NULL, &again), -EADDRINUSE);
	an_listener_close(l);
	CHECK_EQUAL(an_listen("127.0.0.1", port, NULL, &again), 0);
	an_listener_close(again);
	return 0;
}

TASK_TEST(ports_can_be_shared_when_all_agree)
{
	an_listen_opts opts = { .reuse_port = true };
	an_listener *l, *again;
	char port[8];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", &opts, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_listen("127.0.0.1", port, &opts, &again), 0);
	an_listener_close(again);
	an_listener_close(l);
	return 0;
}

TASK_TEST(what_cannot_be_listened_on_is_refused)
{
	an_listener *l = NULL;

	CHECK_EQUAL(an_listen("host.test", "0", NULL, &l), AN_ERR_NAME);
	CHECK_EQUAL(an_listen("127.0.0.1", "65536", NULL, &l), -EINVAL);
	CHECK_EQUAL(an_listen("127.0.0.1", "", NULL, &l), -EINVAL);
	CHECK_EQUAL(an_listen("192.0.2.1", "0", NULL, &l), -EADDRNOTAVAIL);
	CHECK_EQUAL(an_listen_unix("", NULL, &l), -EINVAL);
	CHECK_EQUAL(an_listen_unix("@", NULL, &l), -EINVAL);
	CHECK_EQUAL(an_listen_unix("/no/such/folder/s", NULL, &l), -ENOENT);
	CHECK(!l);
	return 0;
}

TASK_TEST(any_address_takes_ipv4_in)
{
	an_listener *l;
	an_stream *s;
	int fd;

	CHECK_EQUAL(an_listen(NULL, "0", NULL, &l), 0);
	fd = client_to(an_listener_port(l));
	CHECK(fd >= 0);
	CHECK_EQUAL(an_accept(l, &s), 0);
	an_stream_close(s);
	close(fd);
	an_listener_close(l);
	return 0;
}

static void outside_a_loop_it_is_an_error(void **state)
{
	an_listener *l;

	(void)state;
	assert_int_equal(an_listen("127.0.0.1", "0", NULL, &l), AN_ERR_NO_TASK);
}

TASK_TEST(a_listening_descriptor_is_taken_over)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), client;
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	an_listener *l = NULL;
	an_stream *s;

	CHECK_EQUAL(an_listen_fd(-1, NULL, &l), -EBADF);
	CHECK_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	CHECK_EQUAL(an_listen_fd(fd, NULL, &l), -EINVAL);
	CHECK_EQUAL(listen(fd, 8), 0);
	CHECK_EQUAL(an_listen_fd(fd, NULL, &l), 0);
	client = client_to(an_listener_port(l));
	CHECK(client >= 0);
	CHECK_EQUAL(an_accept(l, &s), 0);
	an_stream_close(s);
	close(client);
	an_listener_close(l);
	CHECK(fcntl(fd, F_GETFD) < 0);
	return 0;
}

/* ---- shortage -------------------------------------------------------------------- */

/* The last free descriptor is the client's; the server has none until another is
 * closed. */
TASK_TEST(out_of_descriptors_it_waits_and_goes_on)
{
	struct rlimit old, few;
	an_duration before;
	an_listener *l;
	an_stream *s;
	an_task *t;
	int fd, spare, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	listener = l;
	served = 0;
	fd = client_to(an_listener_port(l));
	CHECK(fd >= 0);
	spare = dup(fd);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)spare + 1;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	before = an_now();
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_sleep(250 * AN_MILLISECOND), 0);
	CHECK(!an_done(t));
	/* cancelled while it is stalled */
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	/* closed while it is stalled is in a_close_wakes_those_that_are_stalled */
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_sleep(50 * AN_MILLISECOND), 0);
	close(spare);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(an_now() - before, 350 * AN_MILLISECOND);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQUAL(served, 1);
	(void)s;
	close(fd);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_close_wakes_those_that_are_stalled)
{
	struct rlimit old, few;
	an_task *t;
	int fd, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)fd + 1;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_sleep(10 * AN_MILLISECOND), 0);
	an_listener_close(listener);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	close(fd);
	return 0;
}

/* Leaves no room for one more descriptor. */
static int use_up_descriptors(int last, struct rlimit *ret_old)
{
	struct rlimit few;

	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, ret_old), 0);
	few = *ret_old;
	few.rlim_cur = (rlim_t)last + 1;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	return 0;
}

/* Both wake at the same time, the one that closes first. */
TASK_TEST(a_close_when_the_stall_is_over_is_seen)
{
	struct rlimit old;
	an_task *t;
	int fd, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	CHECK_EQUAL(use_up_descriptors(fd, &old), 0);
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_sleep(100 * AN_MILLISECOND), 0);
	listener = an_listener_close(listener);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	close(fd);
	return 0;
}

static void set_flag(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* The shortage is told to the task in a poll after which another closes first. */
TASK_TEST(a_close_in_the_turn_of_a_shortage_is_seen)
{
	struct rlimit old;
	bool polled = false;
	an_task *t;
	int fd, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	CHECK_EQUAL(use_up_descriptors(fd, &old), 0);
	CHECK_EQUAL(event_base_once(an_loop_base(an_loop_current()), -1, EV_TIMEOUT,
				    set_flag, &polled, &(struct timeval){ 0 }),
		    0);
	while (!polled)
		CHECK_EQUAL(an_yield(), 0);
	listener = an_listener_close(listener);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	close(fd);
	return 0;
}

static int close_listener(void *arg)
{
	(void)arg;
	listener = an_listener_close(listener);
	return 0;
}

/* After 64 connections without a wait the others have a turn, in which one closes. */
TASK_TEST_IN_ORDER(a_close_between_two_of_many_connections_is_seen)
{
	enum { MANY = 66 };
	int fds[MANY], accepted = 0, r = 0;
	an_stream *s;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	for (int i = 0; i < MANY; i++) {
		fds[i] = client_to(an_listener_port(listener));
		CHECK(fds[i] >= 0);
	}
	CHECK_EQUAL(an_spawn(close_listener, NULL, NULL, NULL), 0);
	while (accepted < MANY && (r = an_accept(listener, &s)) == 0) {
		an_stream_close(s);
		accepted++;
	}
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK_EQUAL(accepted, 64);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	return 0;
}

/* ---- errors of accept() ---------------------------------------------------------- */

/* With one connection in the queue; returns how long it took. */
static int accept_after(int error, an_duration *ret_took)
{
	an_duration before = an_now();
	int fd = client_to(an_listener_port(listener));

	CHECK(fd >= 0);
	accept_errors[0] = error;
	served = 0;
	CHECK_EQUAL(accept_one_task(NULL), 0);
	CHECK_EQUAL(accept_errors[0], 0);
	*ret_took = an_now() - before;
	close(fd);
	return 0;
}

TASK_TEST(what_ails_one_connection_or_passes_is_not_told)
{
	static const struct {
		int error;
		an_duration takes;
	} cases[] = {
		{ EINTR, 0 },
		{ ECONNABORTED, 0 },
		{ EPROTO, 0 },
		{ ENETDOWN, 0 },
		{ EHOSTUNREACH, 0 },
		{ EPERM, 0 },
		{ EMFILE, 100 * AN_MILLISECOND },
		{ ENFILE, 100 * AN_MILLISECOND },
		{ ENOBUFS, 100 * AN_MILLISECOND },
		{ ENOMEM, 100 * AN_MILLISECOND },
	};
	an_duration took;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		CHECK_EQUAL(accept_after(cases[i].error, &took), 0);
		CHECK_EQUAL(took, cases[i].takes);
	}
	listener = an_listener_close(listener);
	return 0;
}

TASK_TEST(other_errors_of_accepting_are_told)
{
	an_stream *s;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	accept_errors[0] = EINVAL;
	CHECK_EQUAL(an_accept(listener, &s), -EINVAL);
	listener = an_listener_close(listener);
	return 0;
}

/* As a filter of system calls would. */
TASK_TEST(an_error_that_stays_takes_up_no_time)
{
	an_task *t;
	int fd, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	CHECK_EQUAL(an_spawn(accept_one_task, NULL, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	fd = client_to(an_listener_port(listener));
	CHECK(fd >= 0);
	accept_errors[0] = EPERM;
	for_ever = true;
	accept_calls = 0;
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!an_done(t));
	CHECK(accept_calls <= 64 * 11);
	accept_errors[0] = 0;
	for_ever = false;
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	close(fd);
	listener = an_listener_close(listener);
	return 0;
}

TASK_TEST(without_descriptors_nothing_is_listened_on)
{
	struct rlimit old;
	an_listener *l = NULL;
	int last = dup(0), r[2];

	CHECK(last >= 0);
	CHECK_EQUAL(use_up_descriptors(last, &old), 0);
	r[0] = an_listen("127.0.0.1", "0", NULL, &l);
	r[1] = an_listen_unix("@asyncnet-none", NULL, &l);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(last);
	CHECK_EQUAL(r[0], -EMFILE);
	CHECK_EQUAL(r[1], -EMFILE);
	CHECK(!l);
	return 0;
}

/* ---- options --------------------------------------------------------------------- */

/* What getsockopt() tells of a listening socket: tcpi_sacked is the backlog. */
TASK_TEST(the_backlog_is_the_options)
{
	an_listen_opts three = { .backlog = 3 };
	struct tcp_info info;
	socklen_t size = sizeof info;
	an_listener *l;
	int next = dup(0);

	close(next); /* so it is the listener's */
	CHECK_EQUAL(an_listen("127.0.0.1", "0", &three, &l), 0);
	CHECK_EQUAL(getsockopt(next, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	CHECK_EQUAL(info.tcpi_sacked, 3);
	an_listener_close(l);
	return 0;
}

TASK_TEST(ipv6_alone_leaves_ipv4_to_others)
{
	an_listen_opts only = { .ipv6_only = true };
	an_listener *six, *four;
	char port[8], text[80];

	if (an_listen("", "0", &only, &six) == -EAFNOSUPPORT)
		return 0; /* no IPv6 here */
	snprintf(port, sizeof port, "%u", an_listener_port(six));
	CHECK_EQUAL(an_listener_address(six, text, sizeof text), 0);
	CHECK(!strncmp(text, "[::]:", 5));
	CHECK_EQUAL(client_to(an_listener_port(six)), -ECONNREFUSED);
	CHECK_EQUAL(an_listen("0.0.0.0", port, NULL, &four), 0);
	an_listener_close(four);
	an_listener_close(six);
	return 0;
}

/* ---- cancelled at each step ------------------------------------------------------ */

static unsigned listeners_port;
static int clients[3];

static int dial_thrice(void *arg)
{
	int r = an_yield();

	(void)arg;
	for (int i = 0; r == 0 && i < 3; i++) {
		clients[i] = client_to(listeners_port);
		r = an_yield();
	}
	return 0;
}

static int listen_first(void *arg)
{
	(void)arg;
	served = 0;
	for (int i = 0; i < 3; i++)
		clients[i] = -1;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	listeners_port = an_listener_port(listener);
	return an_spawn(dial_thrice, NULL, NULL, NULL);
}

static int accept_three(void *arg)
{
	int r = 0;

	while (r == 0 && served < 3)
		r = accept_one_task(arg);
	return r;
}

/* None is lost: those that the victim did not take are there for others. */
static int accept_what_is_left(void *arg)
{
	CHECK_EQUAL(accept_three(arg), 0);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	listener = an_listener_close(listener);
	return 0;
}

CANCEL_TEST(accepting_cancelled_at_each_step_loses_no_connection, listen_first,
	    accept_three, accept_what_is_left, NULL)

/* ---- UNIX sockets ---------------------------------------------------------------- */

static char folder[] = "/tmp/asyncnet-listener-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/socket", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

TASK_TEST(a_unix_socket_has_its_mode_and_goes_with_its_listener)
{
	an_listen_opts opts = { .unix_mode = 0600 };
	char text[80], expected[80];
	struct stat st;
	an_listener *l;
	an_stream *s;
	int fd;

	CHECK_EQUAL(an_listen_unix(path, &opts, &l), 0);
	CHECK_EQUAL(lstat(path, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0600);
	CHECK_EQUAL(an_listener_port(l), 0);
	CHECK_EQUAL(an_listener_address(l, text, sizeof text), 0);
	snprintf(expected, sizeof expected, "unix:%s", path);
	CHECK(!strcmp(text, expected));
	fd = unix_client_to(path);
	CHECK(fd >= 0);
	CHECK_EQUAL(an_accept(l, &s), 0);
	an_stream_close(s);
	close(fd);
	an_listener_close(l);
	CHECK(lstat(path, &st) < 0);
	return 0;
}

TASK_TEST(a_stale_unix_socket_is_replaced_a_live_one_is_not)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	an_listener *l, *again = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	CHECK_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	close(fd); /* the file stays */
	CHECK_EQUAL(an_listen_unix(path, NULL, &l), 0);
	CHECK_EQUAL(an_listen_unix(path, NULL, &again), -EADDRINUSE);
	CHECK(!again);
	fd = unix_client_to(path);
	CHECK(fd >= 0);
	close(fd);
	an_listener_close(l);
	return 0;
}

TASK_TEST(what_is_no_socket_is_not_removed)
{
	an_listener *l;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	CHECK(fd >= 0);
	close(fd);
	CHECK_EQUAL(an_listen_unix(path, NULL, &l), -EADDRINUSE);
	CHECK_EQUAL(access(path, F_OK), 0);
	CHECK_EQUAL(unlink(path), 0);
	return 0;
}

TASK_TEST(a_name_that_another_has_taken_is_left_alone)
{
	an_listener *l;
	int fd;

	CHECK_EQUAL(an_listen_unix(path, NULL, &l), 0);
	CHECK_EQUAL(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0);
	close(fd);
	an_listener_close(l);
	CHECK_EQUAL(access(path, F_OK), 0);
	CHECK_EQUAL(unlink(path), 0);
	return 0;
}

TASK_TEST(abstract_names_leave_no_file)
{
	an_listener *l;
	an_stream *s;
	char name[64], text[80], expected[80];
	int fd;

	snprintf(name, sizeof name, "@asyncnet-listener-%d", (int)getpid());
	CHECK_EQUAL(an_listen_unix(name, NULL, &l), 0);
	CHECK_EQUAL(an_listener_address(l, text, sizeof text), 0);
	snprintf(expected, sizeof expected, "unix:%s", name);
	CHECK(!strcmp(text, expected));
	fd = unix_client_to(name);
	CHECK(fd >= 0);
	CHECK_EQUAL(an_accept(l, &s), 0);
	an_stream_close(s);
	close(fd);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_path_that_is_too_long_is_an_error)
{
	char longest[200];
	an_listener *l;

	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	CHECK_EQUAL(an_listen_unix(longest, NULL, &l), -ENAMETOOLONG);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(port_zero_gives_a_port_and_an_address),
	cmocka_unit_test(a_waiting_connection_is_accepted_at_once),
	cmocka_unit_test(tasks_that_wait_are_served_in_order),
	cmocka_unit_test(a_cancelled_accept_loses_no_connection),
	cmocka_unit_test(
		a_connection_is_accepted_or_left_in_the_queue_when_a_cancel_races),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_accepted),
	cmocka_unit_test(a_close_wakes_those_that_wait),
	cmocka_unit_test(connections_wait_while_nobody_accepts),
	cmocka_unit_test(a_flood_of_connections_leaves_turns_to_others),
	cmocka_unit_test(an_aborted_connection_is_passed_over),
	cmocka_unit_test(an_address_in_use_is_an_error),
	cmocka_unit_test(ports_can_be_shared_when_all_agree),
	cmocka_unit_test(what_cannot_be_listened_on_is_refused),
	cmocka_unit_test(any_address_takes_ipv4_in),
	cmocka_unit_test(outside_a_loop_it_is_an_error),
	cmocka_unit_test(a_listening_descriptor_is_taken_over),
	cmocka_unit_test(out_of_descriptors_it_waits_and_goes_on),
	cmocka_unit_test(a_close_wakes_those_that_are_stalled),
	cmocka_unit_test(a_close_when_the_stall_is_over_is_seen),
	cmocka_unit_test(a_close_in_the_turn_of_a_shortage_is_seen),
	cmocka_unit_test(a_close_between_two_of_many_connections_is_seen),
	cmocka_unit_test(what_ails_one_connection_or_passes_is_not_told),
	cmocka_unit_test(other_errors_of_accepting_are_told),
	cmocka_unit_test(an_error_that_stays_takes_up_no_time),
	cmocka_unit_test(without_descriptors_nothing_is_listened_on),
	cmocka_unit_test(the_backlog_is_the_options),
	cmocka_unit_test(ipv6_alone_leaves_ipv4_to_others),
	cmocka_unit_test(accepting_cancelled_at_each_step_loses_no_connection),
	cmocka_unit_test(a_unix_socket_has_its_mode_and_goes_with_its_listener),
	cmocka_unit_test(a_stale_unix_socket_is_replaced_a_live_one_is_not),
	cmocka_unit_test(what_is_no_socket_is_not_removed),
	cmocka_unit_test(a_name_that_another_has_taken_is_left_alone),
	cmocka_unit_test(abstract_names_leave_no_file),
	cmocka_unit_test(a_path_that_is_too_long_is_an_error),
};

TEST_MAIN_WITH("listener", tests, make_folder, remove_folder)
