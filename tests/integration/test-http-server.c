/* The HTTP server over loopback: requests and answers, framing, errors, limits,
 * smuggling. */
#include "tests/integration/http-server.h"

#define H "host: a\r\n"
#define END "connection: close\r\n\r\n"

static char reply[256 * 1024];

/* ---- handlers ---------------------------------------------------------------------- */

static int hello(an_http_exchange *x, void *arg)
{
	struct world *w = arg;

	w->calls++;
	return an_http_respond(x, 200, NULL, "hello", 5);
}

static int echo(an_http_exchange *x, void *arg)
{
	struct world *w = arg;
	char buf[1000];
	ssize_t n;
	int r;

	w->calls++;
	n = an_http_body_read(x, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	r = an_http_respond_begin(x, 200, NULL, an_http_request_length(x));
	while (r == 0 && n > 0) {
		r = an_http_write(x, buf, (size_t)n);
		if (r == 0)
			n = an_http_body_read(x, buf, sizeof(buf));
	}
	return r < 0 ? r : n < 0 ? (int)n : an_http_respond_end(x);
}

static int read_all(an_http_exchange *x, void *arg)
{
	const char *data;
	size_t len;
	int r = an_http_body_read_all(x, &data, &len);

	(void)arg;
	if (r < 0)
		return r;
	if (data[len] != 0)
		return -EIO;
	return an_http_respond(x, 200, NULL, data, len);
}

static int show_trailers(an_http_exchange *x, void *arg)
{
	const char *data;
	size_t len;
	const an_http_headers *t;
	int r = an_http_request_trailers(x) ? -EIO
					    : an_http_body_read_all(x, &data, &len);

	(void)arg;
	if (r < 0)
		return r;
	t = an_http_request_trailers(x);
	data = t ? an_http_headers_get(t, "x-sum") : NULL;
	if (!data || an_http_headers_count(t) != 1 || an_http_request_header(x, "x-sum"))
		return -EIO;
	return an_http_respond(x, 200, NULL, data, strlen(data));
}

static int show_request(an_http_exchange *x, void *arg)
{
	char text[1000];
	int n = snprintf(text, sizeof(text), "%s|%s|%s|%s|%s|%s|1.%d", an_http_method(x),
			 an_http_target(x), an_http_path(x), an_http_query(x),
			 an_http_param(x, "id"), an_http_param(x, "none") ? "?" : "-",
			 an_http_minor_version(x));

	(void)arg;
	return an_http_respond(x, 200, NULL, text, (size_t)n);
}

static int stream_out(an_http_exchange *x, void *arg)
{
	int r = an_http_respond_begin(x, 200,
				      (an_http_header[]){ { "x", "y" }, { NULL, NULL } },
				      AN_HTTP_CHUNKED);

	(void)arg;
	for (int i = 0; r == 0 && i < 3; i++)
		r = an_http_write(x, "abcde", (size_t)i);
	return r < 0 ? r : an_http_respond_end(x);
}

static int give_status(an_http_exchange *x, void *arg)
{
	(void)arg;
	return atoi(an_http_param(x, "code"));
}

static int no_content(an_http_exchange *x, void *arg)
{
	(void)arg;
	return an_http_respond(x, 204, NULL, "ignored", 7);
}

static int short_body(an_http_exchange *x, void *arg)
{
	int r = an_http_respond_begin(x, 200, NULL, 10);

	(void)arg;
	return r < 0 ? r : an_http_write(x, "short", 5);
}

static int hints(an_http_exchange *x, void *arg)
{
	int r = an_http_respond_begin(
		x, 103, (an_http_header[]){ { "link", "</a>" }, { NULL, NULL } }, 0);

	return r < 0 ? r : hello(x, arg);
}

/* What an application must not be able to send. Answers 200 when all was refused. */
static int misuse(an_http_exchange *x, void *arg)
{
	static const an_http_header bad[][2] = {
		{ { "x", "a\r\nset-cookie: b" }, { NULL, NULL } },
		{ { "x\r\ny", "a" }, { NULL, NULL } },
		{ { "", "a" }, { NULL, NULL } },
		{ { "Content-Length", "5" }, { NULL, NULL } },
		{ { "transfer-encoding", "chunked" }, { NULL, NULL } },
		{ { "CONNECTION", "close" }, { NULL, NULL } },
	};
	an_stream *stream = NULL;

	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQUAL(an_http_respond(x, 200, bad[i], "", 0), -EINVAL);
	CHECK_EQUAL(an_http_respond(x, 99, NULL, "", 0), -EINVAL);
	CHECK_EQUAL(an_http_respond(x, 600, NULL, "", 0), -EINVAL);
	CHECK_EQUAL(an_http_respond(x, 101, NULL, "", 0), -EINVAL);
	CHECK_EQUAL(an_http_respond_begin(x, 101, NULL, 0), -EINVAL);
	CHECK_EQUAL(an_http_respond_begin(x, 200, NULL, -2), -EINVAL);
	CHECK_EQUAL(an_http_write(x, "a", 1), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_respond_end(x), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_upgrade(x, "websocket", NULL, &stream), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_respond_begin(x, 200, NULL, 3), 0);
	CHECK_EQUAL(an_http_respond(x, 200, NULL, "", 0), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_write(x, "abcd", 4), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_write(x, "ab", 2), 0);
	CHECK_EQUAL(an_http_respond_end(x), AN_ERR_MISUSE);
	CHECK_EQUAL(an_http_write(x, "c", 1), 0);
	CHECK_EQUAL(an_http_respond_end(x), 0);
	CHECK_EQUAL(an_http_respond_end(x), AN_ERR_MISUSE);
	return 0;
}

/* Sends back what comes after the upgrade. */
static int upgrade(an_http_exchange *x, void *arg)
{
	an_stream *s;
	char buf[100];
	ssize_t n;
	int r = an_http_upgrade(x, "mirror", NULL, &s);

	(void)arg;
	if (r < 0)
		return r;
	while ((n = an_stream_read(s, buf, sizeof(buf))) > 0 && r == 0)
		r = an_stream_write(s, buf, (size_t)n);
	if (n < 0) {
		an_shield shield;

		an_shield_begin(&shield, AN_SECOND);
		r = an_stream_write(s, "bye", 3);
		r = an_shield_end(&shield, r);
	}
	an_stream_close(s);
	return (int)n;
}

static int add_routes(struct world *w)
{
	static const struct {
		const char *method, *pattern;
		an_http_handler handler;
	} routes[] = {
		{ "GET", "/", hello },
		{ "POST", "/", hello },
		{ NULL, "/echo", echo },
		{ "POST", "/all", read_all },
		{ "POST", "/trailers", show_trailers },
		{ "GET", "/show/{id}", show_request },
		{ "GET", "/chunks", stream_out },
		{ "GET", "/status/{code}", give_status },
		{ "GET", "/empty", no_content },
		{ "GET", "/short", short_body },
		{ "GET", "/hints", hints },
		{ "GET", "/misuse", misuse },
		{ "GET", "/upgrade", upgrade },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(routes) / sizeof(*routes); i++)
		r = an_http_route(w->server, routes[i].method, routes[i].pattern,
				  routes[i].handler, w);
	return r;
}

/* A test with a server of the default options, which must end well. */
#define SERVER_TEST(name) \
	static int name##_body(struct world *w); \
	TASK_TEST(name) \
	{ \
		struct world w = { 0 }; \
		int r; \
\
		CHECK_EQUAL(an_http_server_new(NULL, &w.server), 0); \
		CHECK_EQUAL(add_routes(&w), 0); \
		CHECK_EQUAL(world_start(&w), 0); \
		r = name##_body(&w); \
		CHECK_EQUAL(world_stop(&w), 0); \
		return r; \
	} \
	static int name##_body(struct world *w)

/* Sends the literal, reads until the end, compares the whole. */
#define TALK(text, expected) \
	do { \
		CHECK_EQUAL(talk(w, text, sizeof(text) - 1, reply, sizeof(reply)), 0); \
		CHECK_TEXT(reply, expected); \
	} while (0)

/* The same, comparing the beginning. */
#define TALK_BEGINS(text, expected) \
	do { \
		CHECK_EQUAL(talk(w, text, sizeof(text) - 1, reply, sizeof(reply)), 0); \
		CHECK_BEGINS(reply, expected); \
	} while (0)

#define HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"

/* ---- requests and answers ---------------------------------------------------------- */

SERVER_TEST(a_request_is_answered_and_the_connection_closed_when_asked)
{
	TALK("GET / HTTP/1.1\r\n" H END, HELLO END "hello");
	return 0;
}

SERVER_TEST(a_connection_serves_one_request_after_another)
{
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_EQUAL(say(s, "GET / HTTP/1.1\r\n" H "\r\n"), 0);
		CHECK(hear(s, "hello", reply, sizeof(reply)) > 0);
		CHECK_TEXT(reply, HELLO "\r\nhello");
	}
	an_stream_close(s);
	CHECK_EQUAL(w->calls, 100);
	return 0;
}

SERVER_TEST(pipelined_requests_are_answered_in_their_order)
{
	static char text[8192], expected[8192];

	text[0] = expected[0] = 0;
	for (int i = 0; i < 50; i++) {
		sprintf(text + strlen(text), "GET /show/%02d HTTP/1.1\r\n" H "%s\r\n", i,
			i == 49 ? "connection: close\r\n" : "");
		sprintf(expected + strlen(expected),
			"HTTP/1.1 200 OK\r\ncontent-length: "
			"31\r\n%s\r\nGET|/show/%02d|/show/%02d||%02d|-|1.1",
			i == 49 ? "connection: close\r\n" : "", i, i, i);
	}
	CHECK_EQUAL(talk(w, text, strlen(text), reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, expected);
	return 0;
}

SERVER_TEST(a_head_may_come_byte_by_byte)
{
	const char text[] = "\r\nGET / HTTP/1.1\r\n" H END;
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		CHECK_EQUAL(an_stream_write(s, text + i, 1), 0);
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	}
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO END "hello");
	an_stream_close(s);
	return 0;
}

SERVER_TEST(handlers_see_the_parts_of_the_request)
{
	TALK("GET /show/a%20b?x=1&y HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\ncontent-length: 49\r\n" END
	     "GET|/show/a%20b?x=1&y|/show/a%20b|x=1&y|a b|-|1.1");
	return 0;
}

SERVER_TEST(absolute_targets_are_routed_by_their_path)
{
	TALK_BEGINS("GET http://a/show/7?q HTTP/1.1\r\n" H END, "HTTP/1.1 200 OK\r\n");
	CHECK(strstr(reply, "GET|http://a/show/7?q|/show/7|q|7|-|1.1"));
	TALK("GET http://a HTTP/1.1\r\n" H END, HELLO END "hello");
	return 0;
}

SERVER_TEST(answers_without_a_body_have_none)
{
	TALK("HEAD / HTTP/1.1\r\n" H END, HELLO END);
	TALK("HEAD /chunks HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n" END);
	TALK("GET /empty HTTP/1.1\r\n" H END, "HTTP/1.1 204 No Content\r\n" END);
	TALK("HEAD /nothing HTTP/1.1\r\n" H END,
	     "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: "
	     "10\r\n" END);
	return 0;
}

SERVER_TEST(a_body_of_unknown_length_is_chunked)
{
	TALK("GET /chunks HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n" END
	     "1\r\na\r\n2\r\nab\r\n0\r\n\r\n");
	return 0;
}

SERVER_TEST(http_1_0_gets_no_chunks_and_asks_for_keep_alive)
{
	TALK("GET / HTTP/1.0\r\n\r\n", HELLO END "hello");
	TALK("GET /chunks HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
	     "HTTP/1.1 200 OK\r\nx: y\r\n" END "aab");
	TALK("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	     HELLO "connection: keep-alive\r\n\r\nhello" HELLO END "hello");
	TALK("GET /hints HTTP/1.0\r\n\r\n", HELLO END "hello");
	return 0;
}

SERVER_TEST(interim_answers_come_before_the_final_one)
{
	TALK("GET /hints HTTP/1.1\r\n" H END,
	     "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" HELLO END "hello");
	return 0;
}

SERVER_TEST(what_has_no_route_is_told_so)
{
	TALK_BEGINS("GET /nothing HTTP/1.1\r\n" H END, "HTTP/1.1 404 Not Found\r\n");
	TALK_BEGINS("PUT / HTTP/1.1\r\n" H END,
		    "HTTP/1.1 405 Method Not Allowed\r\nallow: ");
	CHECK(strstr(reply, "GET, HEAD") && strstr(reply, "POST") &&
	      strstr(reply, "OPTIONS"));
	TALK_BEGINS("OPTIONS / HTTP/1.1\r\n" H END, "HTTP/1.1 204 No Content\r\nallow: ");
	TALK_BEGINS("OPTIONS * HTTP/1.1\r\n" H END, "HTTP/1.1 204 No Content\r\nallow: ");
	TALK_BEGINS("OPTIONS http://a HTTP/1.1\r\n" H END,
		    "HTTP/1.1 204 No Content\r\nallow: ");
	TALK_BEGINS("CONNECT a:443 HTTP/1.1\r\n" H END,
		    "HTTP/1.1 501 Not Implemented\r\n");
	TALK_BEGINS("GET /show/%2e%2e HTTP/1.1\r\n" H END,
		    "HTTP/1.1 400 Bad Request\r\n");
	TALK_BEGINS("GET /show/%zz HTTP/1.1\r\n" H END, "HTTP/1.1 400 Bad Request\r\n");
	return 0;
}

SERVER_TEST(a_handler_that_does_not_answer_has_a_status_sent)
{
	TALK_BEGINS("GET /status/404 HTTP/1.1\r\n" H END, "HTTP/1.1 404 Not Found\r\n");
	TALK_BEGINS("GET /status/0 HTTP/1.1\r\n" H END,
		    "HTTP/1.1 500 Internal Server Error\r\n");
	TALK_BEGINS("GET /status/200 HTTP/1.1\r\n" H END, "HTTP/1.1 500 ");
	TALK_BEGINS("GET /status/-2 HTTP/1.1\r\n" H END, "HTTP/1.1 404 ");  /* ENOENT */
	TALK_BEGINS("GET /status/-13 HTTP/1.1\r\n" H END, "HTTP/1.1 403 "); /* EACCES */
	TALK_BEGINS("GET /status/-12 HTTP/1.1\r\n" H END, "HTTP/1.1 503 "); /* ENOMEM */
	TALK_BEGINS("GET /status/-110 HTTP/1.1\r\n" H END,
		    "HTTP/1.1 504 "); /* ETIMEDOUT */
	TALK_BEGINS("GET /status/-5000 HTTP/1.1\r\n" H END, "HTTP/1.1 500 ");
	/* The connection goes on. */
	TALK_BEGINS("GET /status/500 HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H END,
		    "HTTP/1.1 500 ");
	CHECK(strstr(reply, "hello"));
	return 0;
}

SERVER_TEST(an_answer_left_open_resets_the_connection)
{
	CHECK_EQUAL(talk(w, "GET /short HTTP/1.1\r\n" H "\r\n", 33, reply, sizeof(reply)),
		    -ECONNRESET);
	return 0;
}

SERVER_TEST(what_would_break_the_framing_is_refused)
{
	TALK("GET /misuse HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n" END "abc");
	return 0;
}

/* ---- bodies ------------------------------------------------------------------------ */

SERVER_TEST(bodies_are_streamed_both_ways)
{
	TALK("POST /echo HTTP/1.1\r\n" H "content-length: 5\r\n" END "hello",
	     HELLO END "hello");
	TALK("POST /echo HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n" END
	     "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
	     "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" END
	     "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
	TALK("POST /echo HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" END);
	TALK("GET /echo HTTP/1.1\r\n" H
	     "content-length: 2\r\n\r\nhiGET / HTTP/1.1\r\n" H END,
	     "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi" HELLO END "hello");
	return 0;
}

SERVER_TEST(a_body_of_a_megabyte_comes_back_whole)
{
	enum { SIZE = 1024 * 1024 };
	static char body[SIZE + 200], back[SIZE + 200];
	int head = sprintf(body, "POST /all HTTP/1.1\r\n" H "content-length: %d\r\n" END,
			   SIZE);

	for (int i = 0; i < SIZE; i++)
		body[head + i] = (char)(1 + i % 251);
	CHECK_EQUAL(talk(w, body, (size_t)head + SIZE, back, sizeof(back)), 0);
	CHECK_BEGINS(back, "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n" END);
	CHECK_EQUAL(memcmp(strstr(back, "\r\n\r\n") + 4, body + head, SIZE), 0);
	return 0;
}

SERVER_TEST(trailers_are_apart_and_those_that_frame_are_dropped)
{
	TALK("POST /trailers HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n" END
	     "1\r\nx\r\n0\r\nX-Sum: abc\r\nContent-Length: 7\r\nHost: b\r\n\r\n",
	     "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n" END "abc");
	return 0;
}

SERVER_TEST(a_client_that_waits_is_told_to_continue)
{
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, "POST /all HTTP/1.1\r\n" H "expect: 100-continue\r\n"
			   "content-length: 5\r\n" END),
		    0);
	CHECK(hear(s, "\r\n\r\n", reply, sizeof(reply)) > 0);
	CHECK_TEXT(reply, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK_EQUAL(say(s, "hello"), 0);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO END "hello");
	an_stream_close(s);
	/* Not when the body is there, and not when it is not wanted: then the connection
	 * ends. */
	TALK("POST /all HTTP/1.1\r\n" H
	     "expect: 100-continue\r\ncontent-length: 5\r\n" END "hello",
	     HELLO END "hello");
	TALK("POST / HTTP/1.1\r\n" H "expect: 100-continue\r\ncontent-length: 5\r\n\r\n",
	     HELLO END "hello");
	return 0;
}

SERVER_TEST(a_small_body_left_unread_is_skipped_and_a_large_one_ends_the_connection)
{
	static char text[200 * 1024];
	int n;

	TALK("POST / HTTP/1.1\r\n" H
	     "content-length: 6\r\n\r\nGET / GET / HTTP/1.1\r\n" H END,
	     HELLO "\r\nhello" HELLO END "hello");
	TALK("POST / HTTP/1.1\r\n" H
	     "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	     "GET / HTTP/1.1\r\n" H END,
	     HELLO "\r\nhello" HELLO END "hello");
	n = sprintf(text, "POST / HTTP/1.1\r\n" H "content-length: 102400\r\n\r\n");
	memset(text + n, 'x', 102400);
	CHECK_EQUAL(talk(w, text, (size_t)n + 102400, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO END "hello");
	/* A chunked one only shows its length as it comes. */
	n = sprintf(text, "POST / HTTP/1.1\r\n" H
			  "transfer-encoding: chunked\r\n\r\n19000\r\n");
	memset(text + n, 'x', 0x19000);
	CHECK_EQUAL(talk(w, text, (size_t)n + 0x19000, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, HELLO "\r\nhello");
	return 0;
}

SERVER_TEST(bodies_above_the_limit_get_413)
{
	static char text[1100 * 1024], large[1100 * 1024];
	int n;

	TALK_BEGINS("POST /all HTTP/1.1\r\n" H "content-length: 1048577\r\n\r\nx",
		    "HTTP/1.1 413 Content Too Large\r\n");
	TALK_BEGINS("POST /all HTTP/1.1\r\n" H
		    "content-length: 9223372036854775807\r\n\r\nx",
		    "HTTP/1.1 413 Content Too Large\r\n");
	n = sprintf(text, "POST /all HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n" END
			  "100000\r\n");
	memset(text + n, 'x', 0x100000);
	strcpy(text + n + 0x100000, "\r\n0\r\n\r\n");
	CHECK_EQUAL(talk(w, text, (size_t)n + 0x100000 + 7, large, sizeof(large)), 0);
	CHECK_BEGINS(large, "HTTP/1.1 200 OK\r\n");
	strcpy(text + n + 0x100000, "\r\n1\r\nx\r\n0\r\n\r\n");
	CHECK_EQUAL(talk(w, text, (size_t)n + 0x100000 + 13, reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 413 Content Too Large\r\n");
	return 0;
}

SERVER_TEST(broken_chunks_get_400_and_end_the_connection)
{
	static const char *const bad[] = { "5\nhello\r\n0\r\n\r\n",
					   "0x5\r\nhello\r\n0\r\n\r\n",
					   "5 \r\nhello\r\n0\r\n\r\n",
					   "5\r\nhelloX\r\n0\r\n\r\n",
					   "\r\n",
					   "5\r\nhello\r\n0\r\nX : y\r\n\r\n" };
	char text[500];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int n = snprintf(text, sizeof(text),
				 "POST /all HTTP/1.1\r\n" H
				 "transfer-encoding: chunked\r\n\r\n%s"
				 "GET / HTTP/1.1\r\n" H END,
				 bad[i]);

		CHECK_EQUAL(talk(w, text, (size_t)n, reply, sizeof(reply)), 0);
		CHECK_BEGINS(reply, "HTTP/1.1 400 Bad Request\r\n");
		CHECK(!strstr(reply, "hello"));
	}
	CHECK_EQUAL(w->calls, 0);
	return 0;
}

/* ---- requests that must not be executed -------------------------------------------- */

SERVER_TEST(malformed_requests_are_answered_once_and_end_the_connection)
{
	static const struct {
		const char *text, *status;
	} bad[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\n" H H "\r\n", "400" },
		{ "GET / HTTP/1.1\n" H "\n", "400" },
		{ "GET / HTTP/2.0\r\n\r\n", "505" },
		{ "GET  / HTTP/1.1\r\n" H "\r\n", "400" },
		{ "GET / HTTP/1.1\r\n" H "x : y\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\n" H "x: y\r\n z\r\n\r\n", "400" },
		{ "POST / HTTP/1.1\r\n" H
		  "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST / HTTP/1.1\r\n" H
		  "content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
		  "400" },
		{ "POST / HTTP/1.1\r\n" H "content-length: +3\r\n\r\nabc", "400" },
		{ "POST / HTTP/1.1\r\n" H "transfer-encoding: cow\r\n\r\n", "501" },
		{ "POST / HTTP/1.1\r\n" H "transfer-encoding: chunked, identity\r\n\r\n",
		  "400" },
		{ "POST / HTTP/1.0\r\n" H "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST / HTTP/1.1\r\n" H "expect: something\r\n\r\n", "417" },
		{ "\x16\x03\x01\x02", "400" },
	};
	char text[600], status[32];
	an_http_server_stats stats;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int n = snprintf(text, sizeof(text), "%sGET / HTTP/1.1\r\n" H END,
				 bad[i].text);

		snprintf(status, sizeof(status), "HTTP/1.1 %s ", bad[i].status);
		CHECK_EQUAL(talk(w, text, (size_t)n, reply, sizeof(reply)), 0);
		CHECK_BEGINS(reply, status);
		CHECK(!strstr(reply, "hello"));
		CHECK(strstr(reply, "connection: close\r\n"));
	}
	CHECK_EQUAL(w->calls, 0);
	an_http_server_get_stats(w->server, &stats);
	CHECK_EQUAL(stats.malformed, sizeof(bad) / sizeof(*bad));
	return 0;
}

SERVER_TEST(a_body_is_never_taken_for_a_request)
{
	TALK("HEAD / HTTP/1.1\r\n" H "content-length: 34\r\n\r\n"
	     "GET /status/500 HTTP/1.1\r\nhost:a\r\n"
	     "GET / HTTP/1.1\r\n" H END,
	     HELLO "\r\n" HELLO END "hello");
	CHECK_EQUAL(w->calls, 2);
	return 0;
}

SERVER_TEST(heads_above_the_limits_get_414_or_431)
{
	static char text[20 * 1024];
	int n = sprintf(text, "GET /");

	memset(text + n, 'a', 17000);
	strcpy(text + n + 17000, " HTTP/1.1\r\n" H "\r\n");
	CHECK_EQUAL(talk(w, text, strlen(text), reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 414 URI Too Long\r\n");
	n = sprintf(text, "GET / HTTP/1.1\r\n" H "x: ");
	memset(text + n, 'a', 17000);
	strcpy(text + n + 17000, "\r\n\r\n");
	CHECK_EQUAL(talk(w, text, strlen(text), reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
	n = sprintf(text, "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < 100; i++)
		n += sprintf(text + n, "x: y\r\n");
	strcpy(text + n, "\r\n");
	CHECK_EQUAL(talk(w, text, strlen(text), reply, sizeof(reply)), 0);
	CHECK_BEGINS(reply, "HTTP/1.1 431 ");
	CHECK_EQUAL(w->calls, 0);
	return 0;
}

/* ---- upgrades ---------------------------------------------------------------------- */

#define UPGRADE \
	"GET /upgrade HTTP/1.1\r\n" H "connection: upgrade\r\nupgrade: mirror\r\n\r\n"

SERVER_TEST(an_upgrade_hands_the_stream_over_with_what_was_read_ahead)
{
	an_stream *s;

	CHECK_EQUAL(world_connect(w, &s), 0);
	CHECK_EQUAL(say(s, UPGRADE "abc"), 0);
	CHECK(hear(s, "abc", reply, sizeof(reply)) > 0);
	CHECK_TEXT(reply, "HTTP/1.1 101 Switching Protocols\r\nupgrade: mirror\r\n"
			  "connection: upgrade\r\n\r\nabc");
	CHECK_EQUAL(an_sleep(AN_HOUR), 0); /* no limit of the server holds */
	CHECK_EQUAL(say(s, "def"), 0);
	CHECK(hear(s, "def", reply, sizeof(reply)) > 0);
	an_http_server_shutdown(w->server);
	CHECK_EQUAL(hear(s, NULL, reply, sizeof(reply)), 0);
	CHECK_TEXT(reply, "bye");
	an_stream_close(s);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_request_is_answered_and_the_connection_closed_when_asked),
	cmocka_unit_test(a_connection_serves_one_request_after_another),
	cmocka_unit_test(pipelined_requests_are_answered_in_their_order),
	cmocka_unit_test(a_head_may_come_byte_by_byte),
	cmocka_unit_test(handlers_see_the_parts_of_the_request),
	cmocka_unit_test(absolute_targets_are_routed_by_their_path),
	cmocka_unit_test(answers_without_a_body_have_none),
	cmocka_unit_test(a_body_of_unknown_length_is_chunked),
	cmocka_unit_test(http_1_0_gets_no_chunks_and_asks_for_keep_alive),
	cmocka_unit_test(interim_answers_come_before_the_final_one),
	cmocka_unit_test(what_has_no_route_is_told_so),
	cmocka_unit_test(a_handler_that_does_not_answer_has_a_status_sent),
	cmocka_unit_test(an_answer_left_open_resets_the_connection),
	cmocka_unit_test(what_would_break_the_framing_is_refused),
	cmocka_unit_test(bodies_are_streamed_both_ways),
	cmocka_unit_test(a_body_of_a_megabyte_comes_back_whole),
	cmocka_unit_test(trailers_are_apart_and_those_that_frame_are_dropped),
	cmocka_unit_test(a_client_that_waits_is_told_to_continue),
	cmocka_unit_test(
		a_small_body_left_unread_is_skipped_and_a_large_one_ends_the_connection),
	cmocka_unit_test(bodies_above_the_limit_get_413),
	cmocka_unit_test(broken_chunks_get_400_and_end_the_connection),
	cmocka_unit_test(malformed_requests_are_answered_once_and_end_the_connection),
	cmocka_unit_test(a_body_is_never_taken_for_a_request),
	cmocka_unit_test(heads_above_the_limits_get_414_or_431),
	cmocka_unit_test(an_upgrade_hands_the_stream_over_with_what_was_read_ahead),
};

TEST_MAIN("http server", tests)
