/* The HTTP server and difficult clients: slow ones, silent ones, those that leave; the
 * drain, the limits on connections, cancellation, TLS, the access log. Time is virtual.
 */
#include "http/server-private.h"
#include "tests/integration/http-server.h"
#include "tests/support/certs.h"

#define H "host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H "\r\n"
#define HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"

static char reply[64 * 1024];
static an_event started, go_on;

static int hello(an_http_exchange *x, void *arg)
{
	struct world *w = arg;

	w->calls++;
	return an_http_respond(x, 200, NULL, "hello", 5);
}

/* Waits to be let go. */
static int wait_for_go(an_http_exchange *x, void *arg)
{
	int r;

	an_event_set(&started);
	r = an_event_wait(&go_on);
	return r < 0 ? r : hello(x, arg);
}

static int forever(an_http_exchange *x, void *arg)
{
	int r;

	(void)x;
	(void)arg;
	an_event_set(&started);
	r = an_sleep(AN_FOREVER);
	return r;
}

static int read_body(an_http_exchange *x, void *arg)
{
	struct world *w = arg;
	const char *data;
	size_t len;
	int r = an_http_body_read_all(x, &data, &len);

	w->calls = r;
	return r < 0 ? r : an_http_respond(x, 200, NULL, data, len);
}

/* More than any socket buffer takes. */
static int flood(an_http_exchange *x, void *arg)
{
	static const char block[128 * 1024];
	struct world *w = arg;
	int r = an_http_respond_begin(x, 200, NULL, AN_HTTP_CHUNKED);

	for (int i = 0; r == 0 && i < 1000; i++)
		r = an_http_write(x, block, sizeof(block));
	w->calls = r;
	return r;
}

/* Ends its answer when the client has stopped taking it, with a rest kept. */
static int fill_up(an_http_exchange *x, void *arg)
{
	static const char block[8 * 1024];
	int r = an_http_respond_begin(x, 200, NULL, AN_HTTP_CHUNKED);

	(void)arg;
	while (r == 0 && an_stream_pending(x->c->stream) < 5 * sizeof(block)) {
		r = an_http_write(x, block, sizeof(block));
		r = r < 0 ? r : an_sleep(AN_MILLISECOND);
	}
	return r < 0 ? r : an_http_respond_end(x);
}

static int make(struct world *w, const an_http_server_opts *opts)
{
	int r = an_http_server_new(opts, &w->server);

	an_event_init(&started);
	an_event_init(&go_on);
	if (r == 0)
		r = an_http_route(w->server, "GET", "/", hello, w);
	if (r == 0)
		r = an_http_route(w->server, "GET", "/wait", wait_for_go, w);
	if (r == 0)
		r = an_http_route(w->server, "GET", "/forever", forever, w);
	if (r == 0)
		r = an_http_route(w->server, "POST", "/body", read_body, w);
	if (r == 0)
		r = an_http_route(w->server, "GET", "/flood", flood, w);
	if (r == 0)
		r = an_http_route(w->server, "GET", "/fill", fill_up, w);
	return r < 0 ? r : world_start(w);
}

#define SERVER_TEST_WITH(name, opts) \
	static int name##_body(struct world *w); \
	TASK_TEST(name) \
	{ \
		struct world w = { 0 }; \
		int r; \
\
		CHECK_EQUAL(make(&w, opts), 0); \
		r = name##_body(&w); \
		CHECK_EQUAL(world_stop(&w), 0); \
		return r; \
	} \
	static int name##_body(struct world *w)

#define SERVER_TEST(name) SERVER_TEST_WITH(name, NULL)

/* ---- slow clients ------------------------------------------------------------------ */

SERVER_TEST(a_client_that_says_nothing_is_let_go_after_the_header_timeout)
{
	an_duration began = an_now();
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, "");
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 10);
	an_stream_close(s);
	return 0;
}

SERVER_TEST(a_head_that_trickles_in_gets_408_at_an_absolute_deadline)
{
	const char head[] = "GET / HTTP/1.1\r\nhost: a\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyy";
	an_duration began = an_now();
	an_http_server_stats stats;
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	for (size_t i = 0; i < sizeof(head) - 1 && !an_stream_readable(s); i++) {
		CHECK_EQUAL(an_stream_write(s, head + i, 1), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	}
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 408 Request Timeout\r\n");
	CHECK((an_now() - began) / AN_SECOND <= 14);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.timeouts, 1);
	an_stream_close(s);
	return 0;
}

SERVER_TEST(an_idle_connection_is_closed_after_the_keep_alive_time)
{
	an_duration began;
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, GET), 0);
	CHECK(hear(s, "hello", reply, sizeof(reply)) > 0);
	began = an_now();
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, "");
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 65);
	an_stream_close(s);
	return 0;
}

SERVER_TEST(a_body_that_stops_gets_408)
{
	an_duration began = an_now();
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "POST /body HTTP/1.1\r\n" H "content-length: 10\r\n\r\nabc"),
		    0);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 408 Request Timeout\r\n");
	CHECK_EQUAL(w->calls, -ETIMEDOUT);
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 30);
	an_stream_close(s);
	return 0;
}

SERVER_TEST(a_body_that_trickles_in_uses_up_its_time)
{
	an_duration began = an_now();
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "POST /body HTTP/1.1\r\n" H "content-length: 500\r\n\r\n"), 0);
	for (int i = 0; i < 100 && !an_stream_readable(s); i++) {
		CHECK_EQUAL(say(s, "x"), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	}
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 408 Request Timeout\r\n");
	CHECK((an_now() - began) / AN_SECOND <= 33);
	an_stream_close(s);
	return 0;
}

SERVER_TEST_WITH(limits_on_time_can_be_switched_off,
		 (&(an_http_server_opts){ .header_timeout = AN_FOREVER,
					  .body_timeout = AN_FOREVER,
					  .keep_alive = AN_FOREVER,
					  .write_timeout = AN_FOREVER,
					  .drain_timeout = AN_FOREVER }))
{
	static const char *const pieces[] = { "GET / HT", "TP/1.1\r\n" H "\r\n",
					      "POST /body HTTP/1.0\r\n",
					      "content-length: 5\r\n\r\nab", "cde" };
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		CHECK_EQUAL(an_sleep(AN_HOUR), 0);
		CHECK_EQUAL(say(s, pieces[i]), 0);
	}
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO "\r\nhello" HELLO "connection: close\r\n\r\nabcde");
	an_stream_close(s);
	return 0;
}

SERVER_TEST(a_client_that_does_not_read_is_cut_off)
{
	an_duration began = an_now();
	an_http_server_stats stats;
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "GET /flood HTTP/1.1\r\n" H "\r\n"), 0);
	do {
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		an_http_server_get_stats(w->server, &stats);
	} while (!stats.aborted && an_now() - began < AN_HOUR);
	CHECK_EQUAL(w->calls, -ETIMEDOUT);
	CHECK((an_now() - began) / AN_SECOND <= 35);
	an_stream_close(s);
	return 0;
}

/* An answer that ends with the connection: only a reset tells that a part is missing. */
SERVER_TEST(an_end_that_is_not_taken_in_time_is_a_reset)
{
	an_stream *s;
	ssize_t n;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "GET /fill HTTP/1.0\r\n\r\n"), 0);
	CHECK_EQUAL(an_sleep(40 * AN_SECOND), 0);
	do
		n = an_stream_read(s, reply, sizeof(reply));
	while (n > 0);
	CHECK_EQUAL(n, -ECONNRESET);
	an_stream_close(s);
	return 0;
}

/* A client that asks and asks and reads nothing: what the server itself answers must not
 * gather in its memory either. */
SERVER_TEST_WITH(answers_that_nobody_reads_do_not_pile_up,
		 (&(an_http_server_opts){ .max_requests = 1000 * 1000 }))
{
	static const char ask[] = "GET /no HTTP/1.1\r\n" H "\r\n";
	an_http_server_stats stats = { .requests = 0 };
	static char many[1000 * (sizeof(ask) - 1)];
	an_stream *s;
	int r = 0;

	for (size_t i = 0; i < 1000; i++)
		memcpy(many + i * (sizeof(ask) - 1), ask, sizeof(ask) - 1);
	CHECK_EQUAL(world_connect(w, &s), 0);
	while (r == 0 && stats.requests < 400 * 1000) {
		an_timeout limit;

		an_timeout_begin(&limit, 10 * AN_SECOND);
		r = an_stream_write(s, many, sizeof(many));
		r = an_timeout_end(&limit, r);
		if (r == 0 && an_timeout_expired(&limit))
			r = -ETIMEDOUT;
		an_http_server_get_stats(w->server, &stats);
	}
	CHECK_EQUAL(r, -ETIMEDOUT); /* it does not read on either */
	CHECK_EQUAL(an_sleep(30 * AN_SECOND), 0);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.timeouts, 1);
	an_stream_close(s);
	return 0;
}

/* ---- clients that leave ------------------------------------------------------------ */

SERVER_TEST(clients_that_leave_at_any_point_do_no_harm)
{
	const char text[] =
		"POST /body HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\nX: y\r\n\r\n";
	an_http_server_stats stats;

	for (size_t cut = 0; cut <= sizeof(text) - 1; cut++) {
		an_stream *s;

		CHECK_EQUAL(world_connect(w, &s), 0);
		CHECK_EQUAL(an_stream_write(s, text, cut), 0);
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
		if (cut % 2)
			an_stream_abort(s);
		else
			an_stream_close(s);
	}
	CHECK_EQUAL(talk(w, "GET / HTTP/1.0\r\n\r\n", 18, reply, sizeof(reply)), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.connections, 0);
	CHECK_EQUAL(stats.in_flight, 0);
	CHECK_EQUAL(stats.idle, 0);
	return 0;
}

SERVER_TEST(a_client_that_leaves_in_an_answer_ends_the_handler)
{
	an_http_server_stats stats;
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "GET /flood HTTP/1.1\r\n" H "\r\n"), 0);
	CHECK(an_stream_read(s, reply, 100) > 0);
	an_stream_abort(s);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(w->calls == -ECONNRESET || w->calls == -EPIPE);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.aborted, 1);
	CHECK_EQUAL(stats.connections, 0);
	return 0;
}

/* ---- the drain --------------------------------------------------------------------- */

SERVER_TEST(a_drain_finishes_requests_and_closes_idle_connections)
{
	an_duration began = an_now();
	an_stream *idle, *fresh, *busy;

	CHECK_EQUAL(world_connect(w, &idle), 0);
	CHECK_EQUAL(say(idle, GET), 0);
	CHECK(hear(idle, "hello", reply, sizeof(reply)) > 0);
	CHECK_EQUAL(world_connect(w, &fresh), 0);
	CHECK_EQUAL(world_connect(w, &busy), 0);
	CHECK_EQUAL(say(busy, "GET /wait HTTP/1.1\r\n" H "\r\n"), 0);
	CHECK_EQUAL(an_event_wait(&started), 0);
	CHECK(!an_http_server_draining(w->server));
	an_http_server_shutdown(w->server);
	an_http_server_shutdown(w->server);
	CHECK(an_http_server_draining(w->server));
	CHECK_EQUAL(hear(idle, NULL, reply, sizeof(reply)), 0);
	CHECK_EQUAL(hear(fresh, NULL, reply, sizeof(reply)), 0);
	CHECK_EQUAL(talk(w, GET, strlen(GET), reply, sizeof(reply)), -ECONNREFUSED);
	an_event_set(&go_on);
	CHECK_EQUAL(hear(busy, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO "connection: close\r\n\r\nhello");
	CHECK(an_now() - began < AN_SECOND);
	an_stream_close(idle);
	an_stream_close(fresh);
	an_stream_close(busy);
	return 0;
}

SERVER_TEST(a_drain_cancels_what_takes_too_long)
{
	an_duration began = an_now();
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "GET /forever HTTP/1.1\r\n" H "\r\n"), 0);
	CHECK_EQUAL(an_event_wait(&started), 0);
	an_http_server_shutdown(w->server);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 503 Service Unavailable\r\n");
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 30);
	an_stream_close(s);
	return 0;
}

SERVER_TEST(a_request_that_arrives_with_the_drain_is_answered)
{
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, GET), 0);
	CHECK(hear(s, "hello", reply, sizeof(reply)) > 0);
	/* Enough turns for the bytes to be there and the task to be ready, in some
	 * round. */
	for (int turns = 0; turns < 1; turns++) {
		CHECK_EQUAL(say(s, GET), 0);
		CHECK_EQUAL(an_yield(), 0);
	}
	an_http_server_shutdown(w->server);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	/* Either it was too late for it, or it has the whole answer. */
	if (*reply)
		CHECK_TEXT(reply, HELLO "connection: close\r\n\r\nhello");
	an_stream_close(s);
	return 0;
}

TASK_TEST(a_cancelled_server_ends_with_all_its_connections)
{
	struct world w = { 0 };
	an_stream *idle, *busy, *body;
	int r = 0;

	CHECK_EQUAL(make(&w, NULL), 0);
	CHECK_EQUAL(world_connect(&w, &idle), 0);
	CHECK_EQUAL(world_connect(&w, &busy), 0);
	CHECK_EQUAL(world_connect(&w, &body), 0);
	CHECK_EQUAL(
		say(body, "POST /body HTTP/1.1\r\n" H "content-length: 10\r\n\r\nabc"),
		0);
	CHECK_EQUAL(say(busy, "GET /forever HTTP/1.1\r\n" H "\r\n"), 0);
	CHECK_EQUAL(an_event_wait(&started), 0);
	an_cancel(w.task);
	CHECK_EQUAL(an_join(w.task, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	an_http_server_free(w.server);
	an_stream_close(idle);
	an_stream_close(busy);
	an_stream_close(body);
	return 0;
}

TASK_TEST(a_server_that_was_shut_down_serves_no_more)
{
	struct world w = { 0 };

	CHECK_EQUAL(make(&w, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_http_server_shutdown(w.server);
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &w.listener), 0);
	CHECK_EQUAL(an_http_serve(w.server, w.listener), 0);
	return world_stop(&w);
}

/* ---- limits ------------------------------------------------------------------------ */

#define TWO (&(an_http_server_opts){ .max_connections = 2, .max_requests = 2 })

SERVER_TEST_WITH(more_connections_than_allowed_wait_for_their_turn, TWO)
{
	an_http_server_stats stats;
	an_stream *s[3];

	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(world_connect(w, &s[i]), 0);
		CHECK_EQUAL(say(s[i], GET), 0);
	}
	CHECK(hear(s[0], "hello", reply, sizeof(reply)) > 0);
	CHECK(hear(s[1], "hello", reply, sizeof(reply)) > 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.connections, 2);
	CHECK_EQUAL(w->calls, 2);
	an_stream_close(s[0]);
	CHECK(hear(s[2], "hello", reply, sizeof(reply)) > 0);
	an_stream_close(s[1]);
	an_stream_close(s[2]);
	return 0;
}

SERVER_TEST_WITH(a_connection_ends_after_its_last_request, TWO)
{
	CHECK_EQUAL(talk(w, GET GET GET, 3 * strlen(GET), reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO "\r\nhello" HELLO "connection: close\r\n\r\nhello");
	CHECK_EQUAL(w->calls, 2);
	return 0;
}

static void options_that_cannot_be_are_refused(void **state)
{
	an_http_server *srv = NULL;

	(void)state;
	assert_int_equal(
		an_http_server_new(&(an_http_server_opts){ .keep_alive = -1 }, &srv),
		-EINVAL);
	assert_int_equal(
		an_http_server_new(&(an_http_server_opts){ .head_limit = 1 << 20 }, &srv),
		-EINVAL);
	assert_int_equal(
		an_http_server_new(&(an_http_server_opts){ .server_name = "a\r\nb: c" },
				   &srv),
		-EINVAL);
	assert_null(srv);
	assert_null(an_http_server_free(NULL));
	an_http_server_shutdown(NULL);
}

/* ---- the log ----------------------------------------------------------------------- */

static char log_lines[1000];

static void note_access(const an_http_access *e, void *arg)
{
	size_t len = strlen(log_lines);

	(void)arg;
	snprintf(log_lines + len, sizeof(log_lines) - len, "%d %s %s 1.%d %d %d %d %s|",
		 strncmp(e->peer, "127.0.0.1:", 10) == 0, e->method, e->target,
		 e->minor_version, e->status, (int)e->received, (int)e->sent,
		 an_http_headers_get(e->headers, "x") ? "x" : "-");
}

SERVER_TEST_WITH(each_answer_is_logged_and_counted,
		 (&(an_http_server_opts){ .access_log = note_access,
					  .server_name = "me" }))
{
	an_http_server_stats stats;

	log_lines[0] = 0;
	CHECK_EQUAL(talk(w, "GET /?q HTTP/1.0\r\nx: y\r\n\r\n", 26, reply, sizeof(reply)),
		    0);
	CHECK_TEXT(reply, "HTTP/1.1 200 OK\r\nserver: me\r\ncontent-length: 5\r\n"
			  "connection: close\r\n\r\nhello");
	CHECK_EQUAL(talk(w, "POST /body HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc", 45,
			 reply, sizeof(reply)),
		    0);
	CHECK_EQUAL(talk(w, "GET /no HTTP/1.0\r\n\r\n", 20, reply, sizeof(reply)), 0);
	CHECK_EQUAL(talk(w, "bad\r\n", 5, reply, sizeof(reply)), 0);
	CHECK_TEXT(log_lines, "1 GET /?q 1.0 200 0 5 x|1 POST /body 1.0 200 3 3 -|"
			      "1 GET /no 1.0 404 0 10 -|1 - - 1.1 400 0 12 -|");
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.accepted, 4);
	CHECK_EQUAL(stats.requests, 3);
	CHECK_EQUAL(stats.responses[2], 2);
	CHECK_EQUAL(stats.responses[4], 2);
	CHECK_EQUAL(stats.malformed, 1);
	CHECK_EQUAL(stats.received, 3);
	CHECK_EQUAL(stats.sent, 5 + 3 + 10 + 12);
	return 0;
}

/* What a log makes of the fields of requests that were refused: none are shown. */
static void note_fields(const an_http_access *e, void *arg)
{
	char *seen = arg;
	const char *agent = an_http_headers_get(e->headers, "x-agent");

	snprintf(seen + strlen(seen), 100 - strlen(seen), "%d %d %s|", e->status,
		 (int)an_http_headers_count(e->headers), agent ? agent : "-");
}

static char fields_seen[100];

SERVER_TEST_WITH(the_log_can_look_at_the_fields_of_a_refused_request,
		 (&(an_http_server_opts){ .access_log = note_fields,
					  .access_arg = fields_seen }))
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n" H "x-agent: 1\r\nbad field\r\n\r\n",
		"GET / HTTP/1.1\r\nx-agent: 2\r\n\r\n", /* without Host */
	};

	fields_seen[0] = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQUAL(talk(w, bad[i], strlen(bad[i]), reply, sizeof(reply)), 0);
	CHECK_TEXT(fields_seen, "400 0 -|400 0 -|");
	return 0;
}

/* ---- TLS --------------------------------------------------------------------------- */

static int over_tls(struct world *w, const test_certs *certs)
{
	an_tls *tls;
	an_stream *s, *silent;
	int r;

	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .ca_file = certs->ca }, NULL, 0, &tls), 0);
	/* One that never begins its handshake holds up nobody. */
	CHECK_EQUAL(world_connect(w, &silent), 0);
	r = an_connect("localhost", w->port, &(an_connect_opts){ .tls = tls }, &s);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(say(s, GET "GET / HTTP/1.1\r\n" H "connection: close\r\n\r\n"), 0);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO "\r\nhello" HELLO "connection: close\r\n\r\nhello");
	an_stream_close(s);
	an_stream_close(silent);
	/* Plain text to a TLS port. */
	CHECK(talk(w, GET, strlen(GET), reply, sizeof(reply)) <= 0);
	CHECK_EQUAL(w->calls, 2);
	an_tls_free(tls);
	return 0;
}

static int tls_task(void *arg)
{
	const test_certs *certs = arg;
	struct world w = { 0 };
	int r;

	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .server = true,
					       .cert_file = certs->server,
					       .key_file = certs->server },
			       NULL, 0, &w.tls),
		    0);
	CHECK_EQUAL(make(&w, NULL), 0);
	r = over_tls(&w, certs);
	CHECK_EQUAL(world_stop(&w), 0);
	an_tls_free(w.tls);
	return r;
}

static void requests_come_over_tls_as_well(void **state)
{
	test_certs certs;

	(void)state;
	assert_int_equal(test_certs_make(&certs), 0);
	assert_int_equal(an_run(tls_task, &certs, NULL), 0);
	test_certs_remove(&certs);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_client_that_says_nothing_is_let_go_after_the_header_timeout),
	cmocka_unit_test(a_head_that_trickles_in_gets_408_at_an_absolute_deadline),
	cmocka_unit_test(an_idle_connection_is_closed_after_the_keep_alive_time),
	cmocka_unit_test(a_body_that_stops_gets_408),
	cmocka_unit_test(a_body_that_trickles_in_uses_up_its_time),
	cmocka_unit_test(limits_on_time_can_be_switched_off),
	cmocka_unit_test(a_client_that_does_not_read_is_cut_off),
	cmocka_unit_test(an_end_that_is_not_taken_in_time_is_a_reset),
	cmocka_unit_test(answers_that_nobody_reads_do_not_pile_up),
	cmocka_unit_test(clients_that_leave_at_any_point_do_no_harm),
	cmocka_unit_test(a_client_that_leaves_in_an_answer_ends_the_handler),
	cmocka_unit_test(a_drain_finishes_requests_and_closes_idle_connections),
	cmocka_unit_test(a_drain_cancels_what_takes_too_long),
	cmocka_unit_test(a_request_that_arrives_with_the_drain_is_answered),
	cmocka_unit_test(a_cancelled_server_ends_with_all_its_connections),
	cmocka_unit_test(a_server_that_was_shut_down_serves_no_more),
	cmocka_unit_test(more_connections_than_allowed_wait_for_their_turn),
	cmocka_unit_test(a_connection_ends_after_its_last_request),
	cmocka_unit_test(options_that_cannot_be_are_refused),
	cmocka_unit_test(each_answer_is_logged_and_counted),
	cmocka_unit_test(the_log_can_look_at_the_fields_of_a_refused_request),
	cmocka_unit_test(requests_come_over_tls_as_well),
};

TEST_MAIN("http server limits", tests)
