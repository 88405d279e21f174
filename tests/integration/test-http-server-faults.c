/* The HTTP server without memory and cancelled at every step; clients that close their
 * side early. */
#include "tests/integration/http-server.h"
#include "tests/support/libevent-memory.h"

#define H "host: a\r\n"
#define END "connection: close\r\n\r\n"

static char reply[64 * 1024];

static int hello(an_http_exchange *x, void *arg)
{
	struct world *w = arg;

	w->calls++;
	return an_http_respond(
		x, 200, (an_http_header[]){ { "x", an_http_path(x) }, { NULL, NULL } },
		"hello", 5);
}

static int read_body(an_http_exchange *x, void *arg)
{
	const char *data;
	size_t len;
	int r = an_http_body_read_all(x, &data, &len);

	(void)arg;
	return r < 0 ? r : an_http_respond(x, 200, NULL, data, len);
}

static int add_routes(struct world *w)
{
	int r = an_http_route(w->server, "GET", "/a/{b}/{c...}", hello, w);

	return r < 0 ? r : an_http_route(w->server, "POST", "/body", read_body, w);
}

#define REQUESTS \
	"GET /a/1/2/3?q HTTP/1.1\r\n" H "\r\n" \
	"POST /body HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n\r\n" \
	"3\r\nabc\r\n0\r\nX-Y: z\r\n\r\n" \
	"PUT /body HTTP/1.1\r\n" H END

/* ---- clients that close their side --------------------------------------------------
 * */

static int say_and_close_side(struct world *w, const char *text)
{
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, text), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	an_stream_close(s);
	return 0;
}

TASK_TEST(a_client_that_closes_its_side_is_still_answered)
{
	struct world w = { 0 };

	CHECK_EQUAL(an_http_server_new(NULL, &w.server), 0);
	CHECK_EQUAL(add_routes(&w), 0);
	CHECK_EQUAL(world_start(&w), 0);
	CHECK_EQUAL(say_and_close_side(&w, "GET /a/1/ HTTP/1.1\r\n" H "\r\n"), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 200 OK\r\nx: /a/1/\r\n");
	CHECK_EQUAL(say_and_close_side(&w, "GET /a/1/ HTTP/1.1\r\n" H), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 400 Bad Request\r\n");
	CHECK_EQUAL(say_and_close_side(&w, "POST /body HTTP/1.1\r\n" H
					   "content-length: 4\r\n\r\nabc"),
		    0);
	CHECK_BEGINS(reply, "HTTP/1.1 400 Bad Request\r\n");
	CHECK_EQUAL(say_and_close_side(&w, "POST /body HTTP/1.1\r\n" H
					   "transfer-encoding: chunked\r\n\r\n3\r\nab"),
		    0);
	CHECK_BEGINS(reply, "HTTP/1.1 400 Bad Request\r\n");
	CHECK_EQUAL(say_and_close_side(&w, ""), 0);
	CHECK_TEXT(reply, "");
	CHECK_EQUAL(say_and_close_side(&w, "\r\n"), 0);
	CHECK_TEXT(reply, "");
	return world_stop(&w);
}

/* ---- without memory -----------------------------------------------------------------
 * */

TASK_TEST(making_a_server_survives_every_allocation_failure)
{
	struct world w = { 0 };
	int r = 0;

	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_http_server_new(&(an_http_server_opts){ .server_name = "me" },
				       &w.server);
		if (r == 0)
			r = add_routes(&w);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		w.server = an_http_server_free(w.server);
	}
	CHECK_EQUAL(r, 0);
	an_http_server_free(w.server);
	return 0;
}

TASK_TEST(serving_survives_every_allocation_failure)
{
	const char text[] = REQUESTS;
	struct world w = { 0 };
	bool failed = true;

	CHECK_EQUAL(an_http_server_new(NULL, &w.server), 0);
	CHECK_EQUAL(add_routes(&w), 0);
	CHECK_EQUAL(world_start(&w), 0);
	for (size_t n = 1; failed; n++) {
		an_http_server_stats stats;

		an_testing_fail_allocation(n);
		an_ignore(talk(&w, text, sizeof(text) - 1, reply, sizeof(reply)));
		failed = an_testing_allocation_failed();
		CHECK_EQUAL(talk(&w, text, sizeof(text) - 1, reply, sizeof(reply)), 0);
		CHECK_BEGINS(reply, "HTTP/1.1 200 OK\r\nx: /a/1/2/3\r\n");
		CHECK(strstr(reply, "405 Method Not Allowed"));
		CHECK_EQUAL(an_sleep(AN_MINUTE), 0);
		an_http_server_get_stats(w.server, &stats);
		CHECK_EQUAL(stats.connections, 0);
		CHECK_EQUAL(stats.in_flight, 0);
	}
	return world_stop(&w);
}

/* ---- cancelled ----------------------------------------------------------------------
 * */

static int client_task(void *arg)
{
	static char text[64 * 1024];
	struct world *w = arg;

	an_ignore(talk(w, REQUESTS, sizeof(REQUESTS) - 1, text, sizeof(text)));
	an_http_server_shutdown(w->server);
	return 0;
}

static int serve_one_client(void *arg)
{
	struct world *w = arg;
	an_task *client;
	an_shield shield;
	int r;

	r = an_spawn(client_task, w, NULL, &client);
	if (r < 0)
		return r;
	r = an_http_serve(w->server, w->listener);
	an_shield_begin(&shield, AN_MINUTE);
	an_ignore(an_join(client, NULL));
	an_ignore(an_shield_end(&shield, 0));
	return r;
}

static int prepare(void *arg)
{
	struct world *w = arg;
	int r = an_http_server_new(NULL, &w->server);

	if (r == 0)
		r = add_routes(w);
	if (r == 0)
		r = an_listen("127.0.0.1", "0", NULL, &w->listener);
	if (r == 0)
		snprintf(w->port, sizeof(w->port), "%u", an_listener_port(w->listener));
	return r;
}

static int check_and_free(void *arg)
{
	struct world *w = arg;
	an_http_server_stats stats;

	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.connections, 0);
	CHECK_EQUAL(stats.in_flight, 0);
	CHECK_EQUAL(stats.idle, 0);
	w->server = an_http_server_free(w->server);
	return 0;
}

TASK_TEST(a_server_that_is_not_cancelled_answers_all_and_ends)
{
	struct world w = { 0 };
	an_duration began = an_now();

	CHECK_EQUAL(prepare(&w), 0);
	CHECK_EQUAL(serve_one_client(&w), 0);
	CHECK(an_now() - began < AN_SECOND);
	CHECK_EQUAL(w.calls, 1);
	return check_and_free(&w);
}

/* Serves, and is cancelled after so many turns. Returns 1 when it had ended before. */
static int cancel_after(struct world *w, int turns)
{
	bool finished;
	an_task *task;
	int result;

	CHECK_EQUAL(prepare(w), 0);
	CHECK_EQUAL(an_spawn(serve_one_client, w, NULL, &task), 0);
	for (int i = 0; i < turns; i++)
		CHECK_EQUAL(an_yield(), 0);
	finished = an_done(task);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK(result == 0 || result == -ECANCELED);
	if (turns == 0)
		an_listener_close(w->listener); /* it had not begun: still ours */
	CHECK_EQUAL(check_and_free(w), 0);
	return finished;
}

/* Events are looked at once in many turns while tasks are ready: a stride that shares
 * no divisor with that number sees the steps on both sides of it. */
TASK_TEST(serving_can_be_cancelled_at_every_step)
{
	int finished = 0;

	for (int turns = 0; !finished; turns += turns < 40 ? 1 : 13) {
		struct world w = { 0 };

		finished = cancel_after(&w, turns);
		if (finished < 0)
			fprintf(stderr, "cancelled after %d turns\n", turns);
		CHECK(finished >= 0 && turns < 20000);
	}
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_client_that_closes_its_side_is_still_answered),
	cmocka_unit_test(making_a_server_survives_every_allocation_failure),
	cmocka_unit_test(serving_survives_every_allocation_failure),
	cmocka_unit_test(a_server_that_is_not_cancelled_answers_all_and_ends),
	cmocka_unit_test(serving_can_be_cancelled_at_every_step),
};

TEST_MAIN_WITH("http server faults", tests, count_libevent, NULL)
