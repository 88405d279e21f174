/* Options of sockets: of what connects, of what is accepted, and of a stream that is
 * there. The system says what they have become. */
#include "config.h"

#include "tests/support/pairs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

static const an_socket_opts many = {
	.delay = true,
	.send_buffer = 20000,
	.receive_buffer = 30000,
	.keepalive = 90 * AN_SECOND + 1,
	.keepalive_interval = AN_MILLISECOND,
	.keepalive_count = 3,
	.user_timeout = 5 * AN_SECOND + 1,
	.dscp = 46,
};

static int option(const an_stream *s, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(an_stream_fd(s), level, name, &value, &size) < 0 ? -errno
									   : value;
}

/* The system doubles what it is asked for. */
static int check_buffers(const an_stream *s)
{
	CHECK_EQUAL(option(s, SOL_SOCKET, SO_SNDBUF), 40000);
	CHECK_EQUAL(option(s, SOL_SOCKET, SO_RCVBUF), 60000);
	return 0;
}

static int check_many(const an_stream *s)
{
	CHECK_EQUAL(check_buffers(s), 0);
	CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_EQUAL(option(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_KEEPIDLE), 91);
	CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_KEEPINTVL), 1);
	CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_KEEPCNT), 3);
	CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_USER_TIMEOUT), 5001);
	CHECK_EQUAL(option(s, IPPROTO_IP, IP_TOS), 46 << 2);
	return 0;
}

static int connect_and_accept(const char *host, const an_socket_opts *opts,
			      an_stream **ret_client, an_stream **ret_server)
{
	an_connect_opts c = { 0 };
	an_listen_opts o = { 0 };
	an_listener *l;
	char port[8];

	if (opts)
		c.socket = o.socket = *opts;
	CHECK_EQUAL(an_listen(host, "0", &o, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_connect(host, port, &c, ret_client), 0);
	CHECK_EQUAL(an_accept(l, ret_server), 0);
	an_listener_close(l);
	return 0;
}

TASK_TEST(both_ends_of_a_connection_have_what_was_asked_for)
{
	an_stream *client, *server;

	CHECK_EQUAL(connect_and_accept("127.0.0.1", &many, &client, &server), 0);
	CHECK_EQUAL(check_many(client), 0);
	CHECK_EQUAL(check_many(server), 0);
	an_stream_close(client);
	an_stream_close(server);
	return 0;
}

TASK_TEST(without_options_nothing_waits_and_nobody_asks)
{
	an_stream *client, *server;

	CHECK_EQUAL(connect_and_accept("127.0.0.1", NULL, &client, &server), 0);
	for (int i = 0; i < 2; i++) {
		an_stream *s = i ? server : client;

		CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_NODELAY), 1);
		CHECK_EQUAL(option(s, SOL_SOCKET, SO_KEEPALIVE), 0);
		CHECK_EQUAL(option(s, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
		CHECK_EQUAL(option(s, IPPROTO_IP, IP_TOS), 0);
		CHECK(option(s, SOL_SOCKET, SO_SNDBUF) > 100000);
		an_stream_close(s);
	}
	return 0;
}

TASK_TEST(ipv6_has_its_own_class_of_traffic)
{
	an_stream *client, *server;
	int probe = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool there = probe >= 0 && bind(probe, (void *)&at, sizeof at) == 0;

	close(probe);
	if (!there)
		return 0;
	CHECK_EQUAL(connect_and_accept("::1", &many, &client, &server), 0);
	CHECK_EQUAL(option(client, IPPROTO_IPV6, IPV6_TCLASS), 46 << 2);
	CHECK_EQUAL(option(server, IPPROTO_IPV6, IPV6_TCLASS), 46 << 2);
	an_stream_close(client);
	an_stream_close(server);
	return 0;
}

TASK_TEST(a_stream_that_is_there_can_be_set)
{
	an_stream *client, *server;

	CHECK_EQUAL(connect_and_accept("127.0.0.1", NULL, &client, &server), 0);
	CHECK_EQUAL(an_stream_set_socket(client, &many), 0);
	CHECK_EQUAL(check_many(client), 0);
	/* 0 leaves them, but for the delay. */
	CHECK_EQUAL(an_stream_set_socket(client, NULL), 0);
	CHECK_EQUAL(option(client, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQUAL(option(client, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQUAL(check_buffers(client), 0);
	an_stream_close(client);
	an_stream_close(server);
	return 0;
}

TASK_TEST(unix_sockets_take_the_buffers_and_pass_over_the_rest)
{
	an_listen_opts o = { .socket = many };
	an_connect_opts c = { .socket = many };
	an_stream *client, *server;
	an_listener *l;
	char name[64];

	snprintf(name, sizeof name, "@asyncnet-socket-%d", (int)getpid());
	CHECK_EQUAL(an_listen_unix(name, &o, &l), 0);
	CHECK_EQUAL(an_connect_unix(name, &c, &client), 0);
	CHECK_EQUAL(an_accept(l, &server), 0);
	CHECK_EQUAL(check_buffers(client), 0);
	CHECK_EQUAL(check_buffers(server), 0);
	an_stream_close(client);
	an_stream_close(server);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_listener_that_was_handed_in_takes_them_too)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	an_listen_opts o = { .socket = many };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	an_stream *client, *server;
	an_listener *l;
	char port[8];

	CHECK_EQUAL(bind(fd, (void *)&at, sizeof at), 0);
	CHECK_EQUAL(listen(fd, 1), 0);
	CHECK_EQUAL(an_listen_fd(fd, &o, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &client), 0);
	CHECK_EQUAL(an_accept(l, &server), 0);
	CHECK_EQUAL(check_many(server), 0);
	an_stream_close(client);
	an_stream_close(server);
	an_listener_close(l);
	return 0;
}

TASK_TEST(what_cannot_be_is_refused)
{
	static const an_socket_opts wrong[] = {
		{ .send_buffer = -1 },
		{ .receive_buffer = -1 },
		{ .keepalive = -1 },
		{ .keepalive = 32768 * AN_SECOND },
		{ .keepalive = AN_FOREVER },
		{ .keepalive = 1, .keepalive_interval = -1 },
		{ .keepalive = 1, .keepalive_count = 128 },
		{ .user_timeout = -1 },
		{ .user_timeout = AN_FOREVER },
		{ .dscp = 64 },
		{ .dscp = -1 },
	};
	an_stream *s;
	an_listener *l;
	int fd, pipes[2];

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		an_connect_opts c = { .socket = wrong[i] };
		an_listen_opts o = { .socket = wrong[i] };
		an_stream *none = NULL;

		CHECK_EQUAL(an_stream_set_socket(s, &wrong[i]), -EINVAL);
		CHECK_EQUAL(an_listen("127.0.0.1", "0", &o, &l), -EINVAL);
		CHECK_EQUAL(an_connect("127.0.0.1", "1", &c, &none), -EINVAL);
		CHECK(!none);
	}
	an_stream_close(s);
	close(fd);
	CHECK_EQUAL(pipe(pipes), 0);
	CHECK_EQUAL(an_stream_new(pipes[0], NULL, &s), 0);
	CHECK_EQUAL(an_stream_set_socket(s, NULL), -ENOTSOCK);
	an_stream_close(s);
	close(pipes[1]);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(both_ends_of_a_connection_have_what_was_asked_for),
	cmocka_unit_test(without_options_nothing_waits_and_nobody_asks),
	cmocka_unit_test(ipv6_has_its_own_class_of_traffic),
	cmocka_unit_test(a_stream_that_is_there_can_be_set),
	cmocka_unit_test(unix_sockets_take_the_buffers_and_pass_over_the_rest),
	cmocka_unit_test(a_listener_that_was_handed_in_takes_them_too),
	cmocka_unit_test(what_cannot_be_is_refused),
};

TEST_MAIN("socket", tests)
