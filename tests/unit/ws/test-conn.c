/* Connections on socket pairs: two of ours that talk, or one of ours and a peer that
 * plays by a script. The clock is virtual, so limits of many seconds pass at once. */
#include "tests/support/libevent-memory.h"
#include "tests/support/program.h"
#include "tests/support/run.h"
#include "ws/conn.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- pairs ---------------------------------------------------------------------- */

static const an_ws_opts defaults;

static int make_streams(an_stream **a, an_stream **b)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -errno;
	r = an_stream_new(fds[0], NULL, a);
	if (r < 0)
		close(fds[0]);
	else
		r = an_stream_new(fds[1], NULL, b);
	if (r < 0)
		close(fds[1]);
	return r;
}

/* A server and a client. */
static int make_pair(an_ws **server, an_ws **client, const an_ws_opts *opts)
{
	an_stream *a, *b;
	int r = make_streams(&a, &b);

	if (r == 0)
		r = an__ws_new(a, false, NULL, opts, server);
	if (r == 0)
		r = an__ws_new(b, true, NULL, opts, client);
	return r;
}

/* A server and its peer's end of the wire. */
static int make_scripted(an_ws **server, an_stream **peer, const an_ws_opts *opts)
{
	an_stream *a;
	int r = make_streams(&a, peer);

	return r < 0 ? r : an__ws_new(a, false, NULL, opts, server);
}

/* Writes a frame as a client does, with a key of zero. */
static int peer_sends(an_stream *peer, unsigned opcode, const char *data, size_t len)
{
	static const uint8_t key[4];
	uint8_t header[AN__WS_HEADER_MAX];
	size_t n = an__ws_frame_encode(header, (enum an__ws_opcode)opcode, len, key);
	struct iovec pieces[2] = { { header, n }, { (void *)data, len } };

	return an_stream_writev(peer, pieces, 2);
}

/* Reads a frame of the server's; its payload goes to `buf`. Returns the length or an
 * error. */
static int peer_reads(an_stream *peer, unsigned *ret_opcode, char *buf, size_t cap)
{
	uint8_t header[AN__WS_HEADER_MAX];
	an__ws_frame f;
	size_t have = 0;
	ssize_t n;
	int r;

	do {
		r = an_stream_read_exactly(peer, header + have, 1);
		if (r < 0)
			return r;
		n = an__ws_frame_decode(header, ++have, false, &f);
	} while (n == 0);
	if (n < 0 || f.length > cap)
		return AN_ERR_MALFORMED;
	*ret_opcode = f.opcode;
	r = f.length ? an_stream_read_exactly(peer, buf, f.length) : 0;
	return r < 0 ? r : (int)f.length;
}

static void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)('!' + (i * 31 + i / 64) % 90);
}

/* Echoes until the connection ends. */
static int echo(void *arg)
{
	an_ws *ws = arg;
	an_ws_message m;
	int r;

	while ((r = an_ws_recv(ws, &m)) == 0 &&
	       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
		;
	if (r == AN_ERR_CLOSED)
		r = an_ws_shutdown(ws, 1000, NULL);
	an_ws_free(ws);
	return r;
}

/* ---- messages ------------------------------------------------------------------- */

TASK_TEST(messages_of_all_sizes_come_back)
{
	static const size_t sizes[] = { 0,    1,     125,   126,	127,	2033,
					2034, 65535, 65536, 100 * 1000, 1 << 20 };
	char *data = malloc(1 << 20);
	an_ws *server, *client;
	an_task *task;
	int result;

	CHECK(data);
	fill(data, 1 << 20);
	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(echo, server, NULL, &task), 0);
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		an_ws_kind kind = i & 1 ? AN_WS_TEXT : AN_WS_BINARY;
		an_ws_message m;

		CHECK_EQUAL(an_ws_send(client, kind, data, sizes[i / 2]), 0);
		CHECK_EQUAL(an_ws_recv(client, &m), 0);
		CHECK_EQUAL(m.kind, kind);
		CHECK_EQUAL(m.len, sizes[i / 2]);
		CHECK(memcmp(m.data, data, m.len) == 0);
	}
	CHECK_EQUAL(an_ws_shutdown(client, 4000, "enough"), 0);
	CHECK_EQUAL(an_ws_close_code(client), 4000);
	an_ws_free(client);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	free(data);
	return 0;
}

struct sender {
	an_ws *ws;
	char letter;
};

static int send_long_messages(void *arg)
{
	struct sender *s = arg;
	char *data = malloc(100000);
	int r = data ? 0 : -ENOMEM;

	for (int i = 0; i < 5 && r == 0; i++) {
		memset(data, s->letter, 100000);
		r = an_ws_send(s->ws, AN_WS_BINARY, data, 100000);
	}
	free(data);
	return r;
}

TASK_TEST(messages_of_several_tasks_never_mix)
{
	an_ws *ends[2];

	CHECK_EQUAL(make_pair(&ends[0], &ends[1], &defaults), 0);
	for (int side = 0; side < 2; side++) {
		struct sender senders[3];
		an_group group;
		an_ws_message m;

		an_group_begin(&group);
		for (int i = 0; i < 3; i++) {
			senders[i] = (struct sender){ ends[side], (char)('a' + i) };
			CHECK_EQUAL(
				an_group_spawn(&group, send_long_messages, &senders[i]),
				0);
		}
		for (int i = 0; i < 15; i++) {
			const char *data;

			CHECK_EQUAL(an_ws_recv(ends[!side], &m), 0);
			CHECK_EQUAL(m.len, 100000);
			data = m.data;
			for (size_t at = 1; at < m.len; at++)
				CHECK(data[at] == data[0]);
		}
		CHECK_EQUAL(an_group_end(&group), 0);
	}
	an_ws_free(ends[0]);
	an_ws_free(ends[1]);
	return 0;
}

TASK_TEST(a_cancelled_receive_loses_nothing)
{
	char data[300], back[300];
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	uint8_t header[AN__WS_HEADER_MAX];
	static const uint8_t key[4];
	size_t n;

	fill(data, sizeof(data));
	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	n = an__ws_frame_encode(header, AN__WS_OP_TEXT, sizeof(data), key);
	memcpy(back, header, n);
	memcpy(back + n, data, sizeof(data) - n);
	for (size_t at = 0; at < sizeof(data) + n; at++) {
		an_timeout limit;
		const char *from = at < n ? (char *)header + at : data + at - n;

		an_timeout_begin(&limit, AN_MILLISECOND);
		CHECK_EQUAL(an_timeout_end(&limit, an_ws_recv(server, &m)), -ETIMEDOUT);
		CHECK_EQUAL(an_stream_write(peer, from, 1), 0);
	}
	CHECK_EQUAL(an_ws_recv(server, &m), 0);
	CHECK_EQUAL(m.len, sizeof(data));
	CHECK(memcmp(m.data, data, m.len) == 0);
	an_stream_close(peer);
	an_ws_free(server);
	return 0;
}

static int receive_once(void *arg)
{
	an_ws_message m;

	return an_ws_recv(arg, &m);
}

TASK_TEST(only_one_task_receives)
{
	an_ws *server, *client;
	an_ws_message m;
	an_task *task;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(receive_once, server, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), -EBUSY);
	CHECK_EQUAL(an_ws_send(client, AN_WS_TEXT, "x", 1), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(client);
	an_ws_free(server);
	return 0;
}

static int send_much(void *arg)
{
	static char data[1 << 20];

	return an_ws_send(arg, AN_WS_BINARY, data, sizeof(data));
}

/* A writer that waits for a peer who does not read is cancelled; what the peer then finds
 * is whole. */
TASK_TEST(a_cancelled_send_leaves_whole_frames)
{
	static const an_ws_opts large = { .max_message = 4 << 20 };
	an_ws *server, *client;
	an_task *task;
	an_ws_message m;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &large), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_spawn(send_much, server, NULL, &task), 0);
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &result), 0);
		CHECK(result == 0 || result == -ECANCELED);
	}
	CHECK_EQUAL(an_spawn(send_much, server, NULL, &task), 0);
	do {
		CHECK_EQUAL(an_ws_recv(client, &m), 0);
		CHECK_EQUAL(m.len, 1 << 20);
	} while (!an_done(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(client);
	an_ws_free(server);
	return 0;
}

/* ---- closing -------------------------------------------------------------------- */

TASK_TEST(the_peers_close_is_answered_and_told)
{
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	unsigned opcode;
	char buf[200];

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(an_ws_close_code(server), 1006);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_CLOSE,
			       "\x03\xf4"
			       "again",
			       7),
		    0);
	CHECK_EQUAL(an_ws_recv(server, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_recv(server, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_close_code(server), 1012);
	CHECK(strcmp(an_ws_close_reason(server), "again") == 0);
	CHECK_EQUAL(an_ws_send(server, AN_WS_TEXT, "x", 1), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_ping(server, NULL), AN_ERR_CLOSED);
	CHECK_EQUAL(peer_reads(peer, &opcode, buf, sizeof(buf)), 2);
	CHECK_EQUAL(opcode, AN__WS_OP_CLOSE);
	CHECK(memcmp(buf, "\x03\xf4", 2) == 0);
	an_stream_close(peer);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, NULL), 0);
	an_ws_free(server);
	return 0;
}

TASK_TEST(a_peer_that_never_answers_a_close_costs_ten_seconds)
{
	an_duration began = an_now();
	an_ws *server;
	an_stream *peer;

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, "bye"), -ETIMEDOUT);
	CHECK_EQUAL(an_now() - began, 10 * AN_SECOND);
	an_ws_free(server);
	an_stream_close(peer);
	return 0;
}

TASK_TEST(a_close_that_must_not_travel_sends_nothing)
{
	an_ws *server, *client;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_ws_shutdown(server, 1006, NULL), -EINVAL);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, "\xff"), -EINVAL);
	CHECK_EQUAL(an_ws_send(server, AN_WS_TEXT, "still", 5), 0);
	an_ws_free(client);
	an_ws_free(server);
	return 0;
}

static int shut_down(void *arg)
{
	return an_ws_shutdown(arg, 1000, "both");
}

TASK_TEST(both_may_close_at_once)
{
	an_ws *server, *client;
	an_group group;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, shut_down, server), 0);
	CHECK_EQUAL(an_group_spawn(&group, shut_down, client), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_ws_close_code(server), 1000);
	CHECK_EQUAL(an_ws_close_code(client), 1000);
	an_ws_free(client);
	an_ws_free(server);
	return 0;
}

/* By the real clock, as the virtual one would jump while bytes are on their way. */
static int what_was_sent_before_task(void *arg __attribute__((unused)))
{
	an_ws *server, *client;
	an_task *task, *closer;
	an_ws_message m;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(send_much, server, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_spawn(shut_down, server, NULL, &closer), 0);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	CHECK_EQUAL(an_ws_recv(client, &m), 0);
	CHECK_EQUAL(m.len, 1 << 20);
	CHECK_EQUAL(an_ws_recv(client, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_shutdown(client, 0, NULL), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(client);
	CHECK_EQUAL(an_join(closer, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(server);
	return 0;
}

static void what_was_sent_before_goes_before_the_close(void **state)
{
	(void)state;
	assert_int_equal(an_run(what_was_sent_before_task, NULL, NULL), 0);
}

TASK_TEST(a_shutdown_leaves_receiving_to_the_task_that_does_it)
{
	an_ws *server, *client;
	an_task *receiver, *other;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(receive_once, server, NULL, &receiver), 0);
	CHECK_EQUAL(an_spawn(echo, client, NULL, &other), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_ws_shutdown(server, 1001, NULL), 0);
	CHECK_EQUAL(an_join(receiver, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	CHECK_EQUAL(an_join(other, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(server);
	return 0;
}

/* The receiving task goes; the one that shuts down takes its place. */
TASK_TEST(a_shutdown_goes_on_when_the_receiver_is_cancelled)
{
	an_ws *server, *client;
	an_task *receiver, *closer, *other;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(receive_once, server, NULL, &receiver), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_spawn(shut_down, server, NULL, &closer), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(receiver);
	CHECK_EQUAL(an_join(receiver, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(an_spawn(echo, client, NULL, &other), 0);
	CHECK_EQUAL(an_join(closer, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(an_join(other, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(server);
	return 0;
}

TASK_TEST(an_end_without_a_close_is_1006)
{
	an_ws *server;
	an_stream *peer;
	an_ws_message m;

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(an_stream_write(peer, "\x81\x85\0\0", 4), 0);
	CHECK_EQUAL(an_stream_shutdown(peer), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), AN_ERR_EOF);
	CHECK_EQUAL(an_ws_close_code(server), 1006);
	CHECK_EQUAL(an_ws_send(server, AN_WS_TEXT, "x", 1), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, NULL), AN_ERR_EOF);
	an_ws_free(server);
	an_stream_close(peer);
	return 0;
}

static int shut_down_failed(void *arg)
{
	return an_ws_shutdown(arg, 1000, NULL) == AN_ERR_MALFORMED ? 0 : CHECK_FAILED;
}

TASK_TEST(a_violation_is_told_to_the_peer_who_sees_an_orderly_end)
{
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	an_task *task;
	unsigned opcode;
	char buf[200];
	int result;

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_TEXT, "before", 6), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_CONTINUATION, "bad", 3), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_TEXT, "after", 5), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), AN_ERR_MALFORMED);
	CHECK_EQUAL(an_ws_close_code(server), 1002);
	CHECK_EQUAL(an_spawn(shut_down_failed, server, NULL, &task), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_TEXT, "later", 5), 0);
	CHECK_EQUAL(peer_reads(peer, &opcode, buf, sizeof(buf)), 2);
	CHECK_EQUAL(opcode, AN__WS_OP_CLOSE);
	CHECK(memcmp(buf, "\x03\xea", 2) == 0);
	CHECK_EQUAL(an_stream_read(peer, buf, 1), 0);
	an_stream_close(peer);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	an_ws_free(server);
	return 0;
}

TASK_TEST(freeing_an_open_connection_says_going_away)
{
	an_ws *server, *client;
	an_ws_message m;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_ws_send(server, AN_WS_TEXT, "last", 4), 0);
	an_ws_free(server);
	CHECK_EQUAL(an_ws_recv(client, &m), 0);
	CHECK_EQUAL(an_ws_recv(client, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_close_code(client), 1001);
	an_ws_free(client);
	an_ws_free(NULL);
	return 0;
}

/* ---- pings and keepalive -------------------------------------------------------- */

TASK_TEST(a_ping_waits_for_its_pong)
{
	an_duration rtt = -1;
	an_ws *server, *client;
	an_task *one, *two;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(echo, server, NULL, &one), 0);
	CHECK_EQUAL(an_spawn(receive_once, client, NULL, &two), 0);
	CHECK_EQUAL(an_ws_ping(client, &rtt), 0);
	CHECK(rtt >= 0);
	CHECK_EQUAL(an_ws_latency(client), rtt);
	CHECK_EQUAL(an_ws_ping(client, NULL), 0);
	an_cancel(two);
	CHECK_EQUAL(an_join(two, NULL), 0);
	CHECK_EQUAL(an_ws_shutdown(client, 1000, NULL), 0);
	an_ws_free(client);
	CHECK_EQUAL(an_join(one, NULL), 0);
	return 0;
}

static int ping_once(void *arg)
{
	return an_ws_ping(arg, NULL);
}

TASK_TEST(a_ping_ends_with_the_connection_and_can_be_cancelled)
{
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	an_task *pinger;
	an_timeout limit;
	int result;

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	an_timeout_begin(&limit, AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_ws_ping(server, NULL)), -ETIMEDOUT);
	CHECK_EQUAL(an_spawn(ping_once, server, NULL, &pinger), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_PONG, "\0\0\0\0\0\0\0\1", 8), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_PONG, "\0\0\0\0\0\0\0\3", 8), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_PONG, "unsolicited", 11), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_CLOSE, "", 0), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_close_code(server), 1005);
	CHECK_EQUAL(an_join(pinger, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	an_stream_close(peer);
	an_ws_free(server);
	return 0;
}

TASK_TEST(a_peer_that_falls_silent_is_given_up_after_interval_and_timeout)
{
	an_duration began = an_now();
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	unsigned opcode;
	char buf[200];

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), -ETIMEDOUT);
	CHECK_EQUAL(an_now() - began, 40 * AN_SECOND);
	CHECK_EQUAL(an_ws_recv(server, &m), -ETIMEDOUT);
	CHECK_EQUAL(an_ws_send(server, AN_WS_TEXT, "x", 1), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, NULL), -ETIMEDOUT);
	CHECK_EQUAL(an_ws_close_code(server), 1006);
	CHECK_EQUAL(peer_reads(peer, &opcode, buf, sizeof(buf)), 8);
	CHECK_EQUAL(opcode, AN__WS_OP_PING);
	an_ws_free(server);
	an_stream_close(peer);
	return 0;
}

TASK_TEST(a_peer_that_answers_stays)
{
	an_ws *server, *client;
	an_task *one, *two;
	int result;

	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(receive_once, server, NULL, &one), 0);
	CHECK_EQUAL(an_spawn(receive_once, client, NULL, &two), 0);
	CHECK_EQUAL(an_sleep(AN_HOUR), 0);
	CHECK(!an_done(one) && !an_done(two));
	an_cancel(one);
	CHECK_EQUAL(an_join(one, NULL), 0);
	CHECK_EQUAL(an_ws_shutdown(server, 1000, NULL), 0);
	CHECK_EQUAL(an_join(two, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	an_ws_free(client);
	an_ws_free(server);
	return 0;
}

/* Nobody receives, so no Pong can be seen; but what the peer sent lies there. */
TASK_TEST(unread_input_is_a_sign_of_life)
{
	an_ws *server;
	an_stream *peer;
	an_ws_message m;

	CHECK_EQUAL(make_scripted(&server, &peer, &defaults), 0);
	CHECK_EQUAL(peer_sends(peer, AN__WS_OP_TEXT, "hello", 5), 0);
	CHECK_EQUAL(an_sleep(10 * AN_MINUTE), 0);
	CHECK_EQUAL(an_ws_recv(server, &m), 0);
	CHECK_EQUAL(m.len, 5);
	an_ws_free(server);
	an_stream_close(peer);
	return 0;
}

TASK_TEST(keepalive_can_be_switched_off)
{
	static const an_ws_opts off = { .ping_interval = AN_FOREVER };
	an_ws *server;
	an_stream *peer;
	an_ws_message m;
	an_timeout limit;

	CHECK_EQUAL(make_scripted(&server, &peer, &off), 0);
	an_timeout_begin(&limit, AN_HOUR);
	CHECK_EQUAL(an_timeout_end(&limit, an_ws_recv(server, &m)), -ETIMEDOUT);
	CHECK(!an_stream_readable(peer));
	an_ws_free(server);
	an_stream_close(peer);
	return 0;
}

struct flood {
	an_stream *peer;
	int count;
};

static int send_pings(void *arg)
{
	struct flood *f = arg;
	char payload[100] = { 0 };
	int r = 0;

	for (int i = 1; i <= f->count && r == 0; i++) {
		memcpy(payload, &i, sizeof(i));
		r = peer_sends(f->peer, AN__WS_OP_PING, payload, sizeof(payload));
	}
	return r;
}

TASK_TEST(a_flood_of_pings_from_a_peer_that_does_not_read_is_bounded)
{
	struct flood flood = { .count = 20000 };
	an_task *receiver, *flooder;
	an_ws *server;
	unsigned opcode;
	char buf[200];
	int last = 0, n, result;

	CHECK_EQUAL(make_scripted(&server, &flood.peer, &defaults), 0);
	CHECK_EQUAL(an_spawn(receive_once, server, NULL, &receiver), 0);
	CHECK_EQUAL(an_spawn(send_pings, &flood, NULL, &flooder), 0);
	CHECK_EQUAL(an_join(flooder, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(an_ws_pending(server) <= 64 * 1024);
	CHECK(server->session.pong_withheld);
	while (last != flood.count) {
		n = peer_reads(flood.peer, &opcode, buf, sizeof(buf));
		CHECK_EQUAL(n, 100);
		CHECK_EQUAL(opcode, AN__WS_OP_PONG);
		memcpy(&n, buf, sizeof(n));
		CHECK(n > last);
		last = n;
	}
	an_cancel(receiver);
	CHECK_EQUAL(an_join(receiver, NULL), 0);
	an_stream_close(flood.peer);
	an_ws_free(server);
	return 0;
}

/* ---- memory --------------------------------------------------------------------- */

TASK_TEST(an_idle_connection_holds_no_buffer)
{
	an_ws *server, *client;
	an_task *task;
	an_ws_message m;
	char data[5000];

	memset(data, 'x', sizeof(data));
	CHECK_EQUAL(make_pair(&server, &client, &defaults), 0);
	CHECK_EQUAL(an_spawn(echo, server, NULL, &task), 0);
	CHECK_EQUAL(an_ws_send(client, AN_WS_TEXT, data, sizeof(data)), 0);
	CHECK_EQUAL(an_ws_recv(client, &m), 0);
	CHECK_EQUAL(an_sleep(30 * AN_SECOND), 0); /* a Ping goes each way */
	CHECK(!server->session.engine && !server->session.message &&
	      !server->session.output.data);
	CHECK(sizeof(an_ws) < 700);
	CHECK_EQUAL(an_ws_shutdown(client, 1000, NULL), 0);
	an_ws_free(client);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

/* ---- memory that fails ---------------------------------------------------------- */

/* A short life, any allocation of which may fail. Whatever comes of it, all is given
 * back. */
static int short_life(void)
{
	static char data[5000];
	an_stream *a = NULL, *b = NULL;
	an_ws *server = NULL, *client = NULL;
	an_task *task = NULL;
	an_ws_message m;
	int r = make_streams(&a, &b);

	if (r == 0)
		r = an__ws_new(a, false, "chat", &defaults, &server);
	if (r == 0)
		r = an__ws_new(b, true, "chat", &defaults, &client);
	if (r == 0)
		r = an_spawn(echo, server, NULL, &task);
	if (r == 0)
		r = an_ws_send(client, AN_WS_BINARY, data, sizeof(data));
	if (r == 0)
		r = an_ws_recv(client, &m);
	if (r == 0)
		r = an_ws_shutdown(client, 1000, "done");
	if (client)
		an_ws_free(client);
	else
		an_stream_close(b);
	if (task)
		an_ignore(an_join(task, NULL));
	else if (server)
		an_ws_free(server);
	else
		an_stream_close(a);
	return r;
}

static int failing_memory_task(void *arg)
{
	(void)arg;
	for (size_t n = 1; n < 200; n++) {
		bool failed;
		int r;

		an_testing_fail_allocation(n);
		r = short_life();
		failed = an_testing_allocation_failed();
		CHECK(r <= 0);
		if (!failed) {
			CHECK_EQUAL(r, 0);
			CHECK(n > 10);
			return 0;
		}
	}
	return CHECK_FAILED;
}

static void every_failed_allocation_is_survived(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(failing_memory_task, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(messages_of_all_sizes_come_back),
	cmocka_unit_test(messages_of_several_tasks_never_mix),
	cmocka_unit_test(a_cancelled_receive_loses_nothing),
	cmocka_unit_test(only_one_task_receives),
	cmocka_unit_test(a_cancelled_send_leaves_whole_frames),
	cmocka_unit_test(the_peers_close_is_answered_and_told),
	cmocka_unit_test(a_peer_that_never_answers_a_close_costs_ten_seconds),
	cmocka_unit_test(a_close_that_must_not_travel_sends_nothing),
	cmocka_unit_test(both_may_close_at_once),
	cmocka_unit_test(what_was_sent_before_goes_before_the_close),
	cmocka_unit_test(a_shutdown_leaves_receiving_to_the_task_that_does_it),
	cmocka_unit_test(a_shutdown_goes_on_when_the_receiver_is_cancelled),
	cmocka_unit_test(an_end_without_a_close_is_1006),
	cmocka_unit_test(a_violation_is_told_to_the_peer_who_sees_an_orderly_end),
	cmocka_unit_test(freeing_an_open_connection_says_going_away),
	cmocka_unit_test(a_ping_waits_for_its_pong),
	cmocka_unit_test(a_ping_ends_with_the_connection_and_can_be_cancelled),
	cmocka_unit_test(a_peer_that_falls_silent_is_given_up_after_interval_and_timeout),
	cmocka_unit_test(a_peer_that_answers_stays),
	cmocka_unit_test(unread_input_is_a_sign_of_life),
	cmocka_unit_test(keepalive_can_be_switched_off),
	cmocka_unit_test(a_flood_of_pings_from_a_peer_that_does_not_read_is_bounded),
	cmocka_unit_test(an_idle_connection_holds_no_buffer),
	cmocka_unit_test(every_failed_allocation_is_survived),
};

TEST_MAIN_WITH("ws/conn", tests, count_libevent, NULL)
