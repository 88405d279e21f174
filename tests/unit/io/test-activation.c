/* Socket activation: descriptors and names from the environment. Each test is a child, in
 * which descriptors from 3 on can be what they have to be. */
#include "tests/support/child.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* 3: a TCP listener "web"; 4: a UDP socket "dns"; 5: another listener "web". */
static int hand_over(const char *names)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char pid[16];

	for (int fd = 3; fd < 6; fd++) {
		int made = socket(AF_INET, fd == 4 ? SOCK_DGRAM : SOCK_STREAM, 0);

		CHECK(made >= 0);
		CHECK_EQUAL(bind(made, (struct sockaddr *)&a, sizeof a), 0);
		if (fd != 4)
			CHECK_EQUAL(listen(made, 8), 0);
		if (made != fd) {
			CHECK_EQUAL(dup2(made, fd), fd);
			close(made);
		}
	}
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "3", 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	return 0;
}

static int found_by_name(void)
{
	CHECK_EQUAL(hand_over("web:dns:web"), 0);
	CHECK_EQUAL(an_activated_fd("web", 0), 3);
	CHECK_EQUAL(an_activated_fd("web", 1), 5);
	CHECK_EQUAL(an_activated_fd("web", 2), -ENOENT);
	CHECK_EQUAL(an_activated_fd("dns", 0), 4);
	CHECK_EQUAL(an_activated_fd("dn", 0), -ENOENT);
	CHECK_EQUAL(an_activated_fd("dns:web", 0), -ENOENT);
	CHECK_EQUAL(an_activated_fd("", 0), -ENOENT);
	CHECK_EQUAL(an_activated_fd(NULL, 2), 5);
	CHECK_EQUAL(an_activated_fd(NULL, 3), -ENOENT);
	CHECK(fcntl(5, F_GETFD) & FD_CLOEXEC);
	setenv("LISTEN_FDNAMES", "web", 1);
	CHECK_EQUAL(an_activated_fd("unknown", 1), 5);
	unsetenv("LISTEN_FDNAMES");
	CHECK_EQUAL(an_activated_fd("unknown", 0), 3);
	CHECK_EQUAL(close(5), 0);
	CHECK_EQUAL(an_activated_fd("unknown", 2), -EBADF);
	return 0;
}

static int only_if_meant(void)
{
	CHECK_EQUAL(an_activated_fd(NULL, 0), -ENOENT);
	CHECK_EQUAL(hand_over(NULL), 0);
	CHECK_EQUAL(an_activated_fd(NULL, 0), 3);
	setenv("LISTEN_FDS", "0", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -ENOENT);
	setenv("LISTEN_FDS", "3x", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -EINVAL);
	setenv("LISTEN_FDS", "-1", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -EINVAL);
	setenv("LISTEN_FDS", "99999999999999999999", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -EINVAL);
	setenv("LISTEN_FDS", "2147483647", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -EINVAL);
	unsetenv("LISTEN_FDS");
	CHECK_EQUAL(an_activated_fd(NULL, 0), -ENOENT);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_PID", "1", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -ENOENT);
	setenv("LISTEN_PID", "", 1);
	CHECK_EQUAL(an_activated_fd(NULL, 0), -EINVAL);
	return 0;
}

static int use_them(void *arg)
{
	an_listener *l;
	an_stream *near, *far;
	an_udp *u;
	char port[8];
	socklen_t size = sizeof(int);
	int on = 0;

	(void)arg;
	CHECK_EQUAL(an_udp_new(an_activated_fd("web", 0), &u), -EINVAL);
	CHECK_EQUAL(an_listen_fd(an_activated_fd("dns", 0), NULL, &l), -EINVAL);
	CHECK_EQUAL(an_udp_new(an_activated_fd("dns", 0), &u), 0);
	CHECK(an_udp_port(u) > 0);
	CHECK_EQUAL(an_listen_fd(an_activated_fd("web", 1), NULL, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &far), 0);
	CHECK_EQUAL(an_accept(l, &near), 0);
	CHECK_EQUAL(getsockopt(an_stream_fd(near), IPPROTO_TCP, TCP_NODELAY, &on, &size),
		    0);
	CHECK(on);
	an_stream_close(near);
	an_stream_close(far);
	an_listener_close(l);
	an_udp_close(u);
	return 0;
}

static int used(void)
{
	CHECK_EQUAL(hand_over("web:dns:web"), 0);
	return run_virtual(use_them, NULL);
}

static void exit_with(void *arg)
{
	int (*test)(void) = *(int (**)(void))arg;

	_exit(test() == 0 ? 0 : 1);
}

static void passes(int (*test)(void))
{
	char said[1000] = "";
	int status = in_child(exit_with, &test, said, sizeof said);

	if (status)
		print_message("%s", said);
	assert_int_equal(status, 0);
}

static void descriptors_are_found_by_name_and_index(void **state)
{
	(void)state;
	passes(found_by_name);
}

static void variables_that_are_not_for_this_process_give_none(void **state)
{
	(void)state;
	passes(only_if_meant);
}

static void they_become_listeners_and_endpoints(void **state)
{
	(void)state;
	passes(used);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(descriptors_are_found_by_name_and_index),
	cmocka_unit_test(variables_that_are_not_for_this_process_give_none),
	cmocka_unit_test(they_become_listeners_and_endpoints),
};
TEST_MAIN("activation", tests)
