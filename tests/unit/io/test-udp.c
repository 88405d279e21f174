/* Datagram endpoints on real sockets: addresses, peers, refusals, order, cancellation,
 * close, full queues, multicast. */
#include "tests/support/libevent-memory.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_pair(const char *host, an_udp **ret_a, an_udp **ret_b, an_address *ret_to)
{
	char port[8];

	CHECK_EQUAL(an_udp_open(host, "0", NULL, ret_a), 0);
	CHECK_EQUAL(an_udp_open(host, NULL, NULL, ret_b), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(*ret_b));
	CHECK_EQUAL(an_address_parse(host, port, ret_to), 0);
	return 0;
}

static int datagrams_pass(const char *host)
{
	an_udp *a, *b;
	an_address to, from;
	char buf[64], at[80], expected[80];

	CHECK_EQUAL(open_pair(host, &a, &b, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "hello", 5, &to), 0);
	CHECK_EQUAL(an_udp_receive(b, buf, sizeof buf, &from), 5);
	CHECK(!memcmp(buf, "hello", 5));
	CHECK_EQUAL(an_udp_local_address(a, expected, sizeof expected), 0);
	CHECK_EQUAL(an_address_format(&from, at, sizeof at), 0);
	CHECK(!strcmp(at, expected));
	CHECK_EQUAL(an_udp_send_to(b, "", 0, &from), 0);
	CHECK_EQUAL(an_udp_receive(a, buf, sizeof buf, NULL), 0);
	CHECK(!an_udp_close(a));
	CHECK(!an_udp_close(b));
	CHECK(!an_udp_close(NULL));
	return 0;
}

TASK_TEST(datagrams_pass_with_the_address_of_who_sent_them)
{
	return datagrams_pass("127.0.0.1");
}

TASK_TEST(datagrams_pass_over_ipv6)
{
	an_udp *probe;

	if (an_udp_open("::1", "0", NULL, &probe) == -EADDRNOTAVAIL)
		return 0; /* a machine without */
	an_udp_close(probe);
	return datagrams_pass("::1");
}

TASK_TEST(an_endpoint_of_both_families_tells_ipv4_as_such)
{
	an_udp *both, *four;
	an_address to, from;
	char port[8], buf[8];

	CHECK_EQUAL(an_udp_open(NULL, NULL, NULL, &both), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, NULL, &four), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(both));
	CHECK_EQUAL(an_address_parse("127.0.0.1", port, &to), 0);
	CHECK_EQUAL(an_udp_send_to(four, "a", 1, &to), 0);
	CHECK_EQUAL(an_udp_receive(both, buf, sizeof buf, &from), 1);
	CHECK_EQUAL(from.storage.ss_family, AF_INET);
	CHECK_EQUAL(an_address_port(&from), an_udp_port(four));
	CHECK_EQUAL(an_udp_send_to(both, "b", 1, &from), 0);
	CHECK_EQUAL(an_udp_receive(four, buf, sizeof buf, NULL), 1);
	CHECK_EQUAL(buf[0], 'b');
	an_udp_close(both);
	an_udp_close(four);
	return 0;
}

/* ---- sizes ------------------------------------------------------------------------- */

TASK_TEST(a_datagram_that_is_too_long_is_told_and_the_next_one_is_whole)
{
	static char big[65508];
	an_udp *a, *b;
	an_address to, from = { .length = 77 };
	char buf[5] = "----";

	CHECK_EQUAL(open_pair("127.0.0.1", &a, &b, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "12345", 5, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "abcd", 4, &to), 0);
	CHECK_EQUAL(an_udp_receive(b, buf, 4, &from), -EMSGSIZE);
	CHECK(!memcmp(buf, "1234", 4));
	CHECK_EQUAL(from.length, 77);
	CHECK_EQUAL(an_udp_receive(b, buf, 4, &from), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQUAL(an_udp_send_to(a, big, 65508, &to), -EMSGSIZE);
	CHECK_EQUAL(an_udp_send_to(a, big, 65507, &to), 0);
	CHECK_EQUAL(an_udp_receive(b, big, sizeof big, NULL), 65507);
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

/* ---- several at once --------------------------------------------------------------- */

enum { MANY = 40, MOST = 32 };

static int bytes[MANY];

static an_datagram *room_for_many(void)
{
	static an_datagram list[MANY];

	for (int i = 0; i < MANY; i++)
		list[i] = (an_datagram){ .data = &bytes[i], .capacity = sizeof bytes[i] };
	return list;
}

TASK_TEST(what_is_there_comes_at_once_with_who_sent_it)
{
	an_datagram *list = room_for_many();
	an_address to;
	an_udp *a, *b;

	CHECK_EQUAL(open_pair("127.0.0.1", &a, &b, &to), 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(an_udp_send_to(a, &i, sizeof i, &to), 0);
	CHECK_EQUAL(an_udp_receive_many(b, list, 0), 0);
	CHECK_EQUAL(an_udp_receive_many(b, list, 3), 3);
	CHECK_EQUAL(an_udp_receive_many(b, list + 3, MANY - 3), MOST);
	CHECK_EQUAL(an_udp_receive_many(b, list + 3 + MOST, MANY - MOST - 3),
		    MANY - MOST - 3);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQUAL(bytes[i], i);
		CHECK_EQUAL(list[i].length, sizeof i);
		CHECK_EQUAL(an_address_port(&list[i].from), an_udp_port(a));
	}
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

TASK_TEST(one_of_several_that_is_too_long_says_so)
{
	an_datagram *list = room_for_many();
	an_address to;
	an_udp *a, *b;

	CHECK_EQUAL(open_pair("127.0.0.1", &a, &b, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "", 0, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "abcdefgh", 8, &to), 0);
	CHECK_EQUAL(an_udp_send_to(a, "1234", 4, &to), 0);
	CHECK_EQUAL(an_udp_receive_many(b, list, MANY), 3);
	CHECK_EQUAL(list[0].length, 0);
	CHECK_EQUAL(list[1].length, 8);
	CHECK(!memcmp(list[1].data, "abcd", 4));
	CHECK_EQUAL(list[2].length, 4);
	CHECK(!memcmp(list[2].data, "1234", 4));
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

static an_udp *endpoint;

static int receive_many_task(void *arg)
{
	return (int)an_udp_receive_many(endpoint, arg, MANY);
}

TASK_TEST(who_waits_for_several_is_content_with_one)
{
	an_datagram *list = room_for_many();
	an_address to;
	an_task *task;
	char port[8];
	an_udp *a;
	int r;

	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, NULL, &a), 0);
	CHECK_EQUAL(an_udp_open(NULL, NULL, NULL, &endpoint), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(endpoint));
	CHECK_EQUAL(an_address_parse("127.0.0.1", port, &to), 0);
	CHECK_EQUAL(an_spawn(receive_many_task, list, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_udp_send_to(a, "1", 1, &to), 0);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 1);
	CHECK_EQUAL(list[0].from.storage.ss_family, AF_INET);

	CHECK_EQUAL(an_spawn(receive_many_task, list, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_udp_close(endpoint);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	an_udp_close(a);
	return 0;
}

TASK_TEST(who_has_no_name_is_not_told_as_the_one_before)
{
	an_datagram *list = room_for_many();
	struct sockaddr_in6 *before = (void *)&list->from.storage;
	an_udp *u;
	int fds[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_EQUAL(an_udp_new(fds[0], &u), 0);
	before->sin6_family = AF_INET6;
	CHECK_EQUAL(inet_pton(AF_INET6, "::ffff:192.0.2.1", &before->sin6_addr), 1);
	CHECK_EQUAL(write(fds[1], "x", 1), 1);
	CHECK_EQUAL(an_udp_receive_many(u, list, MANY), 1);
	CHECK_EQUAL(list->length, 1);
	CHECK_EQUAL(list->from.length, 0);
	CHECK_EQUAL(list->from.storage.ss_family, AF_UNSPEC);
	an_udp_close(u);
	close(fds[1]);
	return 0;
}

/* ---- a peer ------------------------------------------------------------------------ */

TASK_TEST(a_connected_endpoint_hears_its_peer_alone)
{
	an_udp *peer, *stranger, *u;
	an_address at, own;
	char port[8], buf[8];

	CHECK_EQUAL(open_pair("127.0.0.1", &stranger, &peer, &at), 0);
	CHECK_EQUAL(an_udp_send(peer, "x", 1), -EDESTADDRREQ);
	CHECK_EQUAL(an_udp_open(NULL, NULL, &(an_udp_opts){ .peer = &at }, &u), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(u));
	CHECK_EQUAL(an_address_parse("127.0.0.1", port, &own), 0);
	CHECK_EQUAL(an_udp_send_to(stranger, "s", 1, &own), 0);
	CHECK_EQUAL(an_udp_send_to(peer, "p", 1, &own), 0);
	CHECK_EQUAL(an_udp_receive(u, buf, sizeof buf, NULL), 1);
	CHECK_EQUAL(buf[0], 'p');
	CHECK_EQUAL(an_udp_send(u, "q", 1), 0);
	CHECK_EQUAL(an_udp_receive(peer, buf, sizeof buf, NULL), 1);
	CHECK_EQUAL(buf[0], 'q');
	an_udp_close(u);
	an_udp_close(peer);
	an_udp_close(stranger);
	return 0;
}

static int open_to_nobody(an_udp **ret)
{
	an_udp *gone, *other;
	an_address at;

	CHECK_EQUAL(open_pair("127.0.0.1", &other, &gone, &at), 0);
	an_udp_close(gone);
	CHECK_EQUAL(an_udp_open(NULL, NULL, &(an_udp_opts){ .peer = &at }, ret), 0);
	an_udp_close(other);
	return 0;
}

TASK_TEST(a_refusal_is_told_once_to_the_next_send)
{
	an_udp *u;

	CHECK_EQUAL(open_to_nobody(&u), 0);
	CHECK_EQUAL(an_udp_send(u, "1", 1), 0);
	CHECK_EQUAL(an_udp_send(u, "2", 1), -ECONNREFUSED);
	CHECK_EQUAL(an_udp_send(u, "3", 1), 0);
	an_udp_close(u);
	return 0;
}

static char order[8];
static int served;

/* Receives one byte and notes it. */
static int receive_one_task(void *arg)
{
	char byte;
	ssize_t n = an_udp_receive(endpoint, &byte, 1, NULL);

	(void)arg;
	if (n < 0)
		return (int)n;
	order[served++] = byte;
	return 0;
}

TASK_TEST(a_refusal_wakes_who_is_receiving)
{
	an_task *first, *second;
	int result;

	CHECK_EQUAL(open_to_nobody(&endpoint), 0);
	CHECK_EQUAL(an_spawn(receive_one_task, NULL, NULL, &first), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_udp_send(endpoint, "1", 1), 0);
	CHECK_EQUAL(an_join(first, &result), 0);
	CHECK_EQUAL(result, -ECONNREFUSED);
	/* It was told: the next one waits, and nothing spins. */
	CHECK_EQUAL(an_spawn(receive_one_task, NULL, NULL, &second), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK(!an_done(second));
	an_udp_close(endpoint);
	CHECK_EQUAL(an_join(second, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	return 0;
}

/* ---- waiting ----------------------------------------------------------------------- */

/* A socketpair: its queue can be full, as one of UDP on this machine never is. */
static int make_pair(an_udp **ret_a, an_udp **ret_b)
{
	int fds[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	CHECK_EQUAL(an_udp_new(fds[0], ret_a), 0);
	CHECK_EQUAL(an_udp_new(fds[1], ret_b), 0);
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	return 0;
}

TASK_TEST_IN_ORDER(those_that_wait_are_served_in_order)
{
	an_task *t[3];
	an_udp *other;
	int result;

	served = 0;
	CHECK_EQUAL(make_pair(&other, &endpoint), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(receive_one_task, NULL, NULL, &t[i]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_udp_send(other, "a", 1), 0);
	CHECK_EQUAL(an_udp_send(other, "b", 1), 0);
	CHECK_EQUAL(an_join(t[0], &result), 0);
	CHECK_EQUAL(an_join(t[1], &result), 0);
	CHECK(!an_done(t[2]));
	an_cancel(t[2]);
	CHECK_EQUAL(an_udp_send(other, "c", 1), 0);
	CHECK_EQUAL(an_join(t[2], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(receive_one_task(NULL), 0);
	CHECK(!memcmp(order, "abc", 3));
	an_udp_close(endpoint);
	an_udp_close(other);
	return 0;
}

enum { FLOOD = 600 };

/* More datagrams than any queue between two UNIX sockets has room for. */
static int flood(void *arg)
{
	an_udp *u = arg;

	for (int i = 0; i < FLOOD; i++) {
		int r = an_udp_send(u, &i, sizeof i);

		if (r < 0)
			return r;
	}
	return 0;
}

TASK_TEST(a_sender_waits_for_room_and_nothing_is_lost)
{
	an_udp *a, *b;
	an_task *t;
	int result, got;

	CHECK_EQUAL(make_pair(&a, &b), 0);
	CHECK_EQUAL(an_spawn(flood, a, NULL, &t), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK(!an_done(t));
	for (int i = 0; i < FLOOD; i++) {
		CHECK_EQUAL(an_udp_receive(b, &got, sizeof got, NULL), sizeof got);
		CHECK_EQUAL(got, i);
	}
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

/* Neither end is connected, as for a server that answers whoever has sent. */
static int make_unix(an_udp **ret_server, an_udp **ret_client, an_address *ret_to)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t length = sizeof ret_to->storage;
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		CHECK(fds[i] >= 0);
	}
	/* Without a path: the kernel chooses a name. */
	CHECK_EQUAL(bind(fds[1], (const struct sockaddr *)&un, sizeof(sa_family_t)), 0);
	CHECK_EQUAL(getsockname(fds[1], (struct sockaddr *)&ret_to->storage, &length), 0);
	ret_to->length = length;
	CHECK_EQUAL(an_udp_new(fds[0], ret_server), 0);
	CHECK_EQUAL(an_udp_new(fds[1], ret_client), 0);
	return 0;
}

static an_address unix_to;

static int flood_unix(void *arg)
{
	for (int i = 0; i < FLOOD; i++) {
		int r = an_udp_send_to(arg, &i, sizeof i, &unix_to);

		if (r < 0)
			return r;
	}
	return 0;
}

static int wait_without_room(void *arg)
{
	an_udp *server, *client;
	an_loop_metrics before, after;
	an_task *t;

	(void)arg;
	CHECK_EQUAL(make_unix(&server, &client, &unix_to), 0);
	CHECK_EQUAL(an_spawn(flood_unix, server, NULL, &t), 0);
	an_loop_get_metrics(an_loop_current(), &before);
	CHECK_EQUAL(an_sleep(50 * AN_MILLISECOND), 0);
	an_loop_get_metrics(an_loop_current(), &after);
	CHECK(!an_done(t));
	CHECK(after.turns - before.turns < 100);
	an_udp_close(server);
	an_udp_close(client);
	return an_join(t, NULL);
}

/* On the real clock, the virtual one does not wait. */
static void the_loop_is_idle_while_there_is_no_room(void **state)
{
	(void)state;
	assert_int_equal(an_run(wait_without_room, NULL, NULL), 0);
}

TASK_TEST(who_has_no_room_and_does_not_say_so_is_asked_again)
{
	an_udp *server, *client;
	an_task *t;
	int result, got;

	CHECK_EQUAL(make_unix(&server, &client, &unix_to), 0);
	CHECK_EQUAL(an_spawn(flood_unix, server, NULL, &t), 0);
	CHECK_EQUAL(an_testing_advance(AN_HOUR), 0);
	CHECK(!an_done(t));
	for (int i = 0; i < FLOOD; i++) {
		CHECK_EQUAL(an_udp_receive(client, &got, sizeof got, NULL), sizeof got);
		CHECK_EQUAL(got, i);
	}
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);

	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_spawn(flood_unix, server, NULL, &t), 0);
		CHECK_EQUAL(an_testing_settle(), 0);
		if (i == 0)
			an_cancel(t);
		else
			server = an_udp_close(server);
		CHECK_EQUAL(an_join(t, &result), 0);
		CHECK_EQUAL(result, i ? AN_ERR_CLOSED : -ECANCELED);
	}
	an_udp_close(client);
	return 0;
}

TASK_TEST(closing_wakes_all_who_wait)
{
	an_udp *other;
	an_task *receivers[2], *sender;
	int result;

	CHECK_EQUAL(make_pair(&endpoint, &other), 0);
	CHECK_EQUAL(an_spawn(receive_one_task, NULL, NULL, &receivers[0]), 0);
	CHECK_EQUAL(an_spawn(receive_one_task, NULL, NULL, &receivers[1]), 0);
	CHECK_EQUAL(an_spawn(flood, endpoint, NULL, &sender), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_udp_close(endpoint);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_join(receivers[i], &result), 0);
		CHECK_EQUAL(result, AN_ERR_CLOSED);
	}
	CHECK_EQUAL(an_join(sender, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	an_udp_close(other);
	return 0;
}

static bool other_ran;

static int say_so(void *arg)
{
	(void)arg;
	other_ran = true;
	return 0;
}

TASK_TEST(who_never_waits_lets_others_run)
{
	an_udp *a, *b;
	an_address to;
	int sent = 0;

	other_ran = false;
	CHECK_EQUAL(open_pair("127.0.0.1", &a, &b, &to), 0);
	CHECK_EQUAL(an_spawn(say_so, NULL, NULL, NULL), 0);
	for (; !other_ran && sent < 1000; sent++)
		CHECK_EQUAL(an_udp_send_to(a, "x", 1, &to), 0);
	CHECK(other_ran);
	CHECK(sent > 1);
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static an_udp *near, *far;
static int sent, received;

/* The peers are cancelled when the run ends. */
static int echo_back(void *arg)
{
	int value;

	(void)arg;
	while (an_udp_receive(far, &value, sizeof value, NULL) == sizeof value)
		if (an_udp_send(far, &value, sizeof value) < 0)
			break;
	far = an_udp_close(far);
	return 0;
}

static int spawn_peer(an_task_fn peer)
{
	CHECK_EQUAL(make_pair(&near, &far), 0);
	CHECK_EQUAL(an_spawn(peer, NULL, NULL, NULL), 0);
	return an_testing_settle();
}

static int prepare_echo(void *arg)
{
	(void)arg;
	sent = received = 0;
	return spawn_peer(echo_back);
}

static int echo_several(void *arg)
{
	int values[3], r;
	an_datagram list[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		list[i] = (an_datagram){ .data = &values[i], .capacity = sizeof(int) };
	for (; received < 4; received += r) {
		for (; sent < received + 2 && sent < 4; sent++) {
			r = an_udp_send(near, &sent, sizeof sent);
			if (r < 0)
				return r;
		}
		r = (int)an_udp_receive_many(near, list, 3);
		if (r < 0)
			return r;
		for (int i = 0; i < r; i++)
			CHECK_EQUAL(values[i], received + i);
	}
	return 0;
}

static int talk(void *arg)
{
	int r = 0, value;

	(void)arg;
	while (received < 4) {
		r = an_udp_send(near, &sent, sizeof sent);
		if (r < 0)
			return r;
		sent++;
		r = (int)an_udp_receive(near, &value, sizeof value, NULL);
		if (r < 0)
			return r;
		CHECK_EQUAL(value, received);
		received++;
	}
	return 0;
}

/* What was sent and not received comes back all the same. */
static int nothing_was_lost(void *arg)
{
	int value;

	(void)arg;
	for (; received < sent; received++) {
		CHECK_EQUAL(an_udp_receive(near, &value, sizeof value, NULL),
			    sizeof value);
		CHECK_EQUAL(value, received);
	}
	an_udp_close(near);
	return 0;
}

CANCEL_TEST(a_cancelled_talk_loses_no_datagram, prepare_echo, talk, nothing_was_lost,
	    NULL)

CANCEL_TEST(cancelled_among_several_no_datagram_is_lost, prepare_echo, echo_several,
	    nothing_was_lost, NULL)

static int flood_and_count(void *arg)
{
	(void)arg;
	for (sent = 0; sent < FLOOD; sent++) {
		int r = an_udp_send(near, &sent, sizeof sent);

		if (r < 0)
			return r;
	}
	return 0;
}

static int empty_at_once(void *arg)
{
	int value;

	(void)arg;
	for (received = 0;; received++)
		if (an_udp_receive(far, &value, sizeof value, NULL) < 0)
			break;
	far = an_udp_close(far);
	return 0;
}

static int prepare_flood(void *arg)
{
	(void)arg;
	sent = 0;
	return spawn_peer(empty_at_once);
}

static int all_that_was_sent_arrived(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(received, sent);
	an_udp_close(near);
	return 0;
}

CANCEL_TEST(a_cancelled_send_was_not_sent, prepare_flood, flood_and_count,
	    all_that_was_sent_arrived, NULL)

TASK_TEST(in_a_cancelled_scope_nothing_is_sent_or_received)
{
	an_timeout over;
	an_udp *a, *b;
	char buf[8];

	CHECK_EQUAL(make_pair(&a, &b), 0);
	CHECK_EQUAL(an_udp_send(a, "1", 1), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_udp_receive(b, buf, sizeof buf, NULL), -ECANCELED);
	CHECK_EQUAL(an_udp_receive_many(b, room_for_many(), 2), -ECANCELED);
	CHECK_EQUAL(an_udp_receive_many(b, NULL, 0), -ECANCELED);
	CHECK_EQUAL(an_udp_send(a, "2", 1), -ECANCELED);
	CHECK_EQUAL(an_udp_send_to(a, "2", 1, NULL), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK_EQUAL(an_udp_send(a, "3", 1), 0);
	CHECK_EQUAL(an_udp_receive(b, buf, sizeof buf, NULL), 1);
	CHECK_EQUAL(buf[0], '1');
	CHECK_EQUAL(an_udp_receive(b, buf, sizeof buf, NULL), 1);
	CHECK_EQUAL(buf[0], '3');
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

/* ---- opening ----------------------------------------------------------------------- */

TASK_TEST(an_address_is_bound_once_unless_it_may_be_shared)
{
	const an_udp_opts shared = { .reuse_port = true };
	an_udp *a, *b;
	char port[8];

	CHECK_EQUAL(an_udp_open("127.0.0.1", "0", NULL, &a), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(a));
	b = NULL;
	CHECK_EQUAL(an_udp_open("127.0.0.1", port, NULL, &b), -EADDRINUSE);
	CHECK(!b);
	an_udp_close(a);
	CHECK_EQUAL(an_udp_open("127.0.0.1", port, &shared, &a), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", port, &shared, &b), 0);
	an_udp_close(a);
	an_udp_close(b);
	return 0;
}

TASK_TEST(what_cannot_be_opened_is_refused)
{
	an_address six;
	an_udp *u = NULL;
	int pair[2];

	CHECK_EQUAL(an_udp_open("a.test", "0", NULL, &u), AN_ERR_NAME);
	CHECK_EQUAL(an_udp_open("127.0.0.1", "x1", NULL, &u), AN_ERR_NAME);
	CHECK_EQUAL(an_udp_open("127.0.0.1", "70000", NULL, &u), -EINVAL);
	CHECK_EQUAL(an_udp_open(NULL, NULL,
				&(an_udp_opts){ .multicast_interface = "none0" }, &u),
		    -ENODEV);
	CHECK_EQUAL(an_address_parse("::1", "9", &six), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, &(an_udp_opts){ .peer = &six }, &u),
		    -EAFNOSUPPORT);
	CHECK_EQUAL(an_udp_new(-1, &u), -EBADF);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_EQUAL(an_udp_new(pair[0], &u), -EINVAL);
	close(pair[0]);
	close(pair[1]);
	CHECK_EQUAL(pipe(pair), 0);
	CHECK_EQUAL(an_udp_new(pair[0], &u), -ENOTSOCK);
	close(pair[0]);
	close(pair[1]);
	CHECK(!u);
	return 0;
}

TASK_TEST(a_broadcast_has_to_be_allowed)
{
	an_udp *u;
	an_address to;
	int r;

	CHECK_EQUAL(an_address_parse("255.255.255.255", "9", &to), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, NULL, &u), 0);
	r = an_udp_send_to(u, "x", 1, &to);
	CHECK(r == -EACCES || r == -ENETUNREACH);
	an_udp_close(u);
	CHECK_EQUAL(
		an_udp_open("127.0.0.1", NULL, &(an_udp_opts){ .broadcast = true }, &u),
		0);
	CHECK(an_udp_send_to(u, "x", 1, &to) != -EACCES);
	an_udp_close(u);
	return 0;
}

static void outside_of_a_loop_there_are_no_endpoints(void **state)
{
	an_udp *u;

	(void)state;
	assert_int_equal(an_udp_open(NULL, NULL, NULL, &u), AN_ERR_NO_TASK);
}

/* ---- multicast --------------------------------------------------------------------- */

TASK_TEST(a_group_is_heard_while_it_is_joined)
{
	const an_udp_opts out = { .multicast_interface = "lo", .multicast_hops = 2 };
	an_udp *member, *sender;
	an_address to;
	char port[8], buf[8];

	CHECK_EQUAL(an_udp_open("0.0.0.0", NULL, NULL, &member), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, &out, &sender), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(member));
	CHECK_EQUAL(an_address_parse("239.7.7.7", port, &to), 0);
	CHECK_EQUAL(an_udp_join(member, "239.7.7.7", "lo"), 0);
	CHECK_EQUAL(an_udp_join(member, "239.7.7.7", "lo"), -EADDRINUSE);
	CHECK_EQUAL(an_udp_send_to(sender, "in", 2, &to), 0);
	CHECK_EQUAL(an_udp_receive(member, buf, sizeof buf, NULL), 2);
	CHECK_EQUAL(an_udp_leave(member, "239.7.7.7", "lo"), 0);
	CHECK_EQUAL(an_udp_leave(member, "239.7.7.7", "lo"), -EADDRNOTAVAIL);
	CHECK_EQUAL(an_udp_send_to(sender, "out", 3, &to), 0);
	CHECK_EQUAL(an_address_parse("127.0.0.1", port, &to), 0);
	CHECK_EQUAL(an_udp_send_to(sender, "last", 4, &to), 0);
	CHECK_EQUAL(an_udp_receive(member, buf, sizeof buf, NULL), 4);
	CHECK_EQUAL(an_udp_join(member, "127.0.0.1", NULL), -EINVAL);
	CHECK_EQUAL(an_udp_join(member, "a.test", NULL), AN_ERR_NAME);
	CHECK_EQUAL(an_udp_join(member, "239.7.7.7", "none0"), -ENODEV);
	an_udp_close(member);
	an_udp_close(sender);
	return 0;
}

/* Each that has joined gets it, who shares the port, too. */
TASK_TEST(a_group_is_heard_by_all_who_share_its_port)
{
	const an_udp_opts shared = { .reuse_address = true };
	const an_udp_opts out = { .multicast_interface = "lo", .multicast_hops = -1 };
	an_udp *members[2], *sender;
	char port[8], buf[8];
	an_address to;

	CHECK_EQUAL(an_udp_open("0.0.0.0", NULL, &shared, &members[0]), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(members[0]));
	CHECK_EQUAL(an_udp_open("0.0.0.0", port, &shared, &members[1]), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_udp_join(members[i], "239.7.7.9", "lo"), 0);
	CHECK_EQUAL(an_udp_open("127.0.0.1", NULL, &out, &sender), 0);
	CHECK_EQUAL(an_address_parse("239.7.7.9", port, &to), 0);
	CHECK_EQUAL(an_udp_send_to(sender, "all", 3, &to), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_udp_receive(members[i], buf, sizeof buf, NULL), 3);
		an_udp_close(members[i]);
	}
	an_udp_close(sender);
	return 0;
}

static int option(const an_udp *u, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	getsockopt(an_udp_fd(u), level, name, &value, &size);
	return value;
}

TASK_TEST(how_far_multicast_goes_is_set_for_both_families)
{
	const int hops[] = { 0, 7, -1 }, expected[] = { 1, 7, 0 };
	an_udp *u;

	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_udp_open(NULL, NULL,
					&(an_udp_opts){ .multicast_hops = hops[i] }, &u),
			    0);
		CHECK_EQUAL(option(u, IPPROTO_IP, IP_MULTICAST_TTL), expected[i]);
		if (option(u, SOL_SOCKET, SO_DOMAIN) == AF_INET6)
			CHECK_EQUAL(option(u, IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
				    expected[i]);
		an_udp_close(u);
	}
	return 0;
}

TASK_TEST(groups_of_ipv6_are_joined_and_left)
{
	const an_udp_opts out = { .multicast_interface = "lo" };
	an_udp *member, *sender;
	char port[8], buf[8];
	an_address to;
	int r = an_udp_open("::", NULL, &(an_udp_opts){ .ipv6_only = true }, &member);

	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		return 0; /* a machine without */
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_udp_join(member, "ff01::7777", "lo"), 0);
	CHECK_EQUAL(an_udp_join(member, "ff01::7777", "lo"), -EADDRINUSE);
	CHECK_EQUAL(an_udp_open("::1", NULL, &out, &sender), 0);
	snprintf(port, sizeof port, "%u", an_udp_port(member));
	CHECK_EQUAL(an_address_parse("ff01::7777", port, &to), 0);
	r = an_udp_send_to(sender, "in", 2, &to);
	CHECK(r == 0 || r == -ENETUNREACH); /* as the machine's routes have it */
	if (r == 0)
		CHECK_EQUAL(an_udp_receive(member, buf, sizeof buf, NULL), 2);
	CHECK_EQUAL(an_udp_leave(member, "ff01::7777", "lo"), 0);
	CHECK_EQUAL(an_udp_leave(member, "ff01::7777", "lo"), -EADDRNOTAVAIL);
	an_udp_close(member);
	an_udp_close(sender);
	return 0;
}

TASK_TEST(an_endpoint_of_both_families_joins_groups_of_ipv4)
{
	an_udp *u;

	CHECK_EQUAL(an_udp_open(NULL, NULL,
				&(an_udp_opts){ .reuse_address = true,
						.receive_buffer = 65536,
						.send_buffer = 65536,
						.no_multicast_loop = true },
				&u),
		    0);
	CHECK_EQUAL(an_udp_join(u, "239.7.7.8", "lo"), 0);
	CHECK_EQUAL(an_udp_leave(u, "239.7.7.8", "lo"), 0);
	an_udp_close(u);
	return 0;
}

/* ---- memory ------------------------------------------------------------------------ */

/* Opens, waits in both directions, closes. */
static int use_it_all(void)
{
	an_udp *a, *b;
	an_address to;
	char port[8];
	int r = an_udp_open("127.0.0.1", "0", NULL, &a), value;

	if (r < 0)
		return r;
	r = an_udp_open("127.0.0.1", "0", NULL, &b);
	if (r < 0) {
		an_udp_close(a);
		return r;
	}
	snprintf(port, sizeof port, "%u", an_udp_port(b));
	r = an_address_parse("127.0.0.1", port, &to);
	if (r == 0) {
		an_timeout limit;

		an_timeout_begin(&limit, AN_SECOND);
		r = (int)an_udp_receive(b, &value, sizeof value, NULL);
		r = an_timeout_end(&limit, r);
	}
	if (r == -ETIMEDOUT)
		r = an_udp_send_to(a, "x", 1, &to);
	an_udp_close(a);
	an_udp_close(b);
	return r;
}

TASK_TEST(each_allocation_may_fail)
{
	int r = use_it_all();

	CHECK_EQUAL(r, 0);
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = use_it_all();
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(datagrams_pass_with_the_address_of_who_sent_them),
	cmocka_unit_test(datagrams_pass_over_ipv6),
	cmocka_unit_test(an_endpoint_of_both_families_tells_ipv4_as_such),
	cmocka_unit_test(a_datagram_that_is_too_long_is_told_and_the_next_one_is_whole),
	cmocka_unit_test(what_is_there_comes_at_once_with_who_sent_it),
	cmocka_unit_test(one_of_several_that_is_too_long_says_so),
	cmocka_unit_test(who_waits_for_several_is_content_with_one),
	cmocka_unit_test(who_has_no_name_is_not_told_as_the_one_before),
	cmocka_unit_test(a_connected_endpoint_hears_its_peer_alone),
	cmocka_unit_test(a_refusal_is_told_once_to_the_next_send),
	cmocka_unit_test(a_refusal_wakes_who_is_receiving),
	cmocka_unit_test(those_that_wait_are_served_in_order),
	cmocka_unit_test(a_sender_waits_for_room_and_nothing_is_lost),
	cmocka_unit_test(who_has_no_room_and_does_not_say_so_is_asked_again),
	cmocka_unit_test(the_loop_is_idle_while_there_is_no_room),
	cmocka_unit_test(closing_wakes_all_who_wait),
	cmocka_unit_test(who_never_waits_lets_others_run),
	cmocka_unit_test(a_cancelled_talk_loses_no_datagram),
	cmocka_unit_test(cancelled_among_several_no_datagram_is_lost),
	cmocka_unit_test(a_cancelled_send_was_not_sent),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_sent_or_received),
	cmocka_unit_test(an_address_is_bound_once_unless_it_may_be_shared),
	cmocka_unit_test(what_cannot_be_opened_is_refused),
	cmocka_unit_test(a_broadcast_has_to_be_allowed),
	cmocka_unit_test(outside_of_a_loop_there_are_no_endpoints),
	cmocka_unit_test(a_group_is_heard_while_it_is_joined),
	cmocka_unit_test(a_group_is_heard_by_all_who_share_its_port),
	cmocka_unit_test(how_far_multicast_goes_is_set_for_both_families),
	cmocka_unit_test(groups_of_ipv6_are_joined_and_left),
	cmocka_unit_test(an_endpoint_of_both_families_joins_groups_of_ipv4),
	cmocka_unit_test(each_allocation_may_fail),
};
TEST_MAIN_WITH("udp", tests, count_libevent, NULL)
