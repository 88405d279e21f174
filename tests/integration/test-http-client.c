/* The HTTP client beside a peer that sends exactly what it is told: responses, uploads,
 * upgrades. */
#include "tests/integration/http-client.h"

#include <strings.h>

/* ---- helpers ----------------------------------------------------------------------- */

static bool has_line(const char *head, const char *line)
{
	const char *at = strstr(head, line);
	size_t len = strlen(line);

	return at && (at == head || at[-1] == '\n') && !strncmp(at + len, "\r\n", 2);
}

static bool has_field(const char *head, const char *name)
{
	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
		if (!strncasecmp(p + 2, name, strlen(name)) && p[2 + strlen(name)] == ':')
			return true;
	return false;
}

/* ---- plain exchanges --------------------------------------------------------------- */

static const struct step hello[] = { EXPECT, OK("hello", 5), END };
static const struct step hello_twice[] = { EXPECT, OK("hello", 5), EXPECT, OK("again", 5),
					   END };

PEER_TEST(a_get_gives_status_headers_and_body, hello)
{
	an_http_client *client;
	an_http_response *response;
	const char *data;
	char url[100];
	size_t len;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	snprintf(url, sizeof(url), "%s/a?b=%%20#c", p->url);
	CHECK_EQUAL(an_http_get(client, url, &response), 0);
	CHECK_EQUAL(an_http_response_status(response), 200);
	CHECK(!strcmp(an_http_response_reason(response), "OK"));
	CHECK_EQUAL(an_http_response_minor_version(response), 1);
	CHECK_EQUAL(an_http_response_length(response), 5);
	CHECK(!strcmp(an_http_response_header(response, "content-length"), "5"));
	CHECK(!an_http_response_header(response, "etag"));
	CHECK(!strcmp(an_http_response_url(response), url));
	CHECK_EQUAL(an_http_response_redirects(response), 0);
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), 0);
	CHECK_EQUAL(len, 5);
	CHECK(!strcmp(data, "hello"));
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), 0);
	CHECK_EQUAL(len, 5);
	an_http_response_free(response);
	an_http_client_free(client);

	snprintf(url, sizeof(url), "Host: 127.0.0.1:%u", p->port);
	CHECK(has_line(p->heads[0], "GET /a?b=%20 HTTP/1.1"));
	CHECK(has_line(p->heads[0], url));
	CHECK(has_field(p->heads[0], "User-Agent"));
	CHECK(!has_field(p->heads[0], "Accept-Encoding"));
	CHECK(!has_field(p->heads[0], "Content-Length"));
	return 0;
}

static const struct step big_then_hello[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nand no more"), END
};

PEER_TEST(a_response_freed_early_closes_its_connection, big_then_hello, hello)
{
	an_http_client *client;
	an_http_response *response;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(stats_of(client).lent, 1);
	an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_response_freed_with_its_rest_here_keeps_its_connection, hello_twice)
{
	an_http_client *client;
	an_http_response *response;
	char two[2];

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(an_http_response_read(response, two, 2), 2);
	an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).idle, 1);
	CHECK_EQUAL(expect_body(client, p->url, "again"), 0);
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_client_freed_with_a_response_open_lets_it_be_read, hello)
{
	an_http_client *client;
	an_http_response *response;
	const char *data;
	size_t len;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	an_http_client_free(client);
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), 0);
	CHECK(!strcmp(data, "hello"));
	an_http_response_free(response);
	return 0;
}

/* ---- framings ---------------------------------------------------------------------- */

static const struct step no_bodies[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"),
	EXPECT, SEND("HTTP/1.1 204 No Content\r\n\r\n"),
	EXPECT, SEND("HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n"),
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	END,
};

PEER_TEST(answers_without_a_body_keep_the_connection, no_bodies)
{
	static const char *const methods[] = { "HEAD", "GET", "GET", "GET" };
	static const int lengths[] = { 70, 0, 0, 0 };
	an_http_client *client;
	an_http_response *response;
	char byte;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	for (size_t i = 0; i < 4; i++) {
		CHECK_EQUAL(an_http_send(client,
					 &(an_http_request){ .method = methods[i],
							     .url = p->url },
					 &response),
			    0);
		CHECK_EQUAL(an_http_response_length(response), lengths[i]);
		CHECK_EQUAL(an_http_response_read(response, &byte, 1), 0);
		an_http_response_free(response);
	}
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

static const struct step chunked[] = {
	EXPECT,
	SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
	WAIT(1),
	SEND("00004;x=\"y\"\r\nde"),
	WAIT(1),
	SEND("fg\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r"),
	WAIT(1),
	SEND("\n"),
	EXPECT,
	OK("again", 5),
	END,
};

static int read_by(an_http_response *response, size_t cap, char *buf)
{
	ssize_t n;

	while ((n = an_http_response_read(response, buf, cap)) > 0)
		buf += n;
	*buf = 0;
	return (int)n;
}

PEER_TEST(a_chunked_body_is_decoded_in_any_pieces, chunked, chunked, chunked)
{
	static const size_t caps[] = { 1, 2, 100 };
	char buf[200];

	for (size_t i = 0; i < 3; i++) {
		const an_http_headers *trailers;
		an_http_response *response;
		an_http_client *client;

		CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
		CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
		CHECK_EQUAL(an_http_response_length(response), -1);
		CHECK(!an_http_response_trailers(response));
		CHECK_EQUAL(read_by(response, caps[i], buf), 0);
		CHECK(!strcmp(buf, "abcdefg"));
		trailers = an_http_response_trailers(response);
		CHECK(trailers);
		CHECK_EQUAL(an_http_headers_count(trailers), 1);
		CHECK(!strcmp(an_http_headers_get(trailers, "x-sum"), "7"));
		an_http_response_free(response);
		CHECK_EQUAL(expect_body(client, p->url, "again"), 0);
		an_http_client_free(client);
	}
	CHECK_EQUAL(p->connections, 3);
	return 0;
}

static const struct step until_close[] = { EXPECT,  SEND("HTTP/1.1 200 OK\r\n\r\nabc"),
					   WAIT(1), SEND("def"),
					   CLOSE,   END };

PEER_TEST(a_body_may_go_on_until_the_close, until_close)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "abcdef"), 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step short_length[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), CLOSE, END
};
static const struct step short_chunk[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
	CLOSE, END
};
static const struct step no_last_chunk[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
	CLOSE, END
};

PEER_TEST(a_body_cut_short_is_an_error_that_sticks, short_length, short_chunk,
	  no_last_chunk)
{
	an_http_response *response;
	an_http_client *client;
	char buf[20];

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	for (size_t i = 0; i < 3; i++) {
		CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
		CHECK_EQUAL(read_by(response, sizeof(buf), buf), AN_ERR_TRUNCATED);
		CHECK_EQUAL(an_http_response_read(response, buf, 1), AN_ERR_TRUNCATED);
		CHECK_EQUAL(an_http_response_error(response)->phase, AN_HTTP_PHASE_BODY);
		CHECK_EQUAL(an_http_response_error(response)->code, AN_ERR_TRUNCATED);
		an_http_response_free(response);
	}
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step ten_bytes[] = { EXPECT, OK("0123456789", 10), END };

PEER_TEST(read_all_takes_no_more_than_its_limit, ten_bytes, ten_bytes)
{
	an_http_response *response;
	an_http_client *client;
	const char *data = NULL;
	size_t len;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_http_response_read_all(response, 9, &data, &len),
			    AN_ERR_LIMIT);
	CHECK(!data);
	an_http_response_free(response);
	an_http_client_free(client);

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(an_http_response_read_all(response, 10, &data, &len), 0);
	CHECK_EQUAL(len, 10);
	an_http_response_free(response);
	an_http_client_free(client);
	return 0;
}

/* ---- malformed answers ------------------------------------------------------------- */

struct bad_answer {
	const char *bytes;
	int code; /* of the send, or else of the body */
};

static int bad_answer_body(struct peer *p, void *arg)
{
	an_http_response *response;
	an_http_client *client;
	char buf[1024];
	int r;

	(void)arg;
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	r = an_http_get(client, p->url, &response);
	if (!r) {
		r = read_by(response, 100, buf);
		an_http_response_free(response);
	} else {
		CHECK_EQUAL(an_http_client_error(client)->code, r);
		CHECK(*an_http_client_error(client)->text);
	}
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	return r;
}

static int bad_answer_task(void *arg)
{
	const struct bad_answer *bad = arg;
	struct step steps[] = {
		EXPECT, { PEER_SEND, bad->bytes, strlen(bad->bytes) }, CLOSE, END
	};

	return with_peer((const struct step *const[]){ steps, NULL }, bad_answer_body,
			 arg);
}

static void malformed_answers_are_errors(void **state)
{
	static struct bad_answer cases[] = {
		{ "", AN_ERR_EOF },
		{ "HTTP/1.1 200 OK\r\nContent-Le", AN_ERR_TRUNCATED },
		{ "HTTP/2.0 200 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.2 200 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "ICY 200 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "\r\nHTTP/1.1 200 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 20 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 2000 OK\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\n\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\n: b\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na", AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
		  AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		  AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
		  AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		  AN_ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n1\na\r\n0\r\n\r\n",
		  AN_ERR_MALFORMED },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "
		  "upgrade\r\n\r\n",
		  AN_ERR_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int r = run_virtual(bad_answer_task, &cases[i]);

		if (r != cases[i].code)
			fail_msg("%d, not %d, for \"%s\"", r, cases[i].code,
				 cases[i].bytes);
	}
}

static void a_head_without_end_is_a_limit_error(void **state)
{
	static char bytes[90000];
	struct bad_answer endless = { bytes, 0 };
	size_t n = (size_t)sprintf(bytes, "HTTP/1.1 200 OK\r\n");

	(void)state;
	while (n < sizeof(bytes) - 100)
		n += (size_t)sprintf(bytes + n, "A: %060d\r\n", 0);
	assert_int_equal(run_virtual(bad_answer_task, &endless), AN_ERR_LIMIT);
}

/* ---- interim answers, upgrades ----------------------------------------------------- */

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
static const struct step interim[] = {
	EXPECT,
	SEND(CONTINUE "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 O"),
	WAIT(1), SEND("K\r\nContent-Length: 2\r\n\r\nhi"), END
};
static const struct step too_many_interim[] = {
	EXPECT,
	SEND(CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE
		     CONTINUE CONTINUE CONTINUE),
	OK("", 0), END
};

PEER_TEST(interim_answers_are_passed_over_within_reason, interim, too_many_interim)
{
	an_http_client *client;
	an_http_response *response;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hi"), 0);
	an_http_client_free(client);
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), AN_ERR_LIMIT);
	an_http_client_free(client);
	return 0;
}

static const struct step upgrade[] = {
	EXPECT,
	SEND("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
	     "Upgrade: websocket\r\n\r\nframe"),
	END
};

PEER_TEST(an_upgrade_hands_the_stream_over_with_what_came_behind, upgrade, hello)
{
	an_http_client *client;
	an_http_response *response;
	an_stream *stream, *again;
	char buf[5], url[80];

	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .max_total = 1 }, &client),
		    0);
	snprintf(url, sizeof(url), "ws://127.0.0.1:%u/chat", p->port);
	CHECK_EQUAL(an_http_get(client, url, &response), AN_ERR_URL);
	CHECK_EQUAL(an_http_send(client,
				 &(an_http_request){ .url = url, .upgrade = "websocket" },
				 &response),
		    0);
	CHECK_EQUAL(an_http_response_status(response), 101);
	CHECK_EQUAL(an_http_response_take_stream(response, &stream), 0);
	CHECK_EQUAL(an_http_response_take_stream(response, &again), AN_ERR_MISUSE);
	CHECK(!strcmp(an_http_response_header(response, "upgrade"), "websocket"));
	CHECK_EQUAL(an_http_response_read(response, buf, 5), 0);
	an_http_response_free(response);
	CHECK_EQUAL(an_stream_read_exactly(stream, buf, 5), 0);
	CHECK(!memcmp(buf, "frame", 5));
	CHECK_EQUAL(stats_of(client).lent, 0); /* the stream needs no permit */
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	an_stream_close(stream);
	an_http_client_free(client);
	CHECK(has_line(p->heads[0], "Connection: Upgrade"));
	CHECK(has_line(p->heads[0], "Upgrade: websocket"));
	return 0;
}

PEER_TEST(an_upgraded_connection_that_nobody_takes_is_closed, upgrade, hello)
{
	an_http_client *client;
	an_http_response *response;
	const char *data;
	size_t len;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		an_http_send(client,
			     &(an_http_request){ .url = p->url, .upgrade = "websocket" },
			     &response),
		0);
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), 0);
	CHECK_EQUAL(len, 0);
	CHECK_EQUAL(stats_of(client).lent, 1);
	an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_server_may_decline_an_upgrade, hello)
{
	an_http_client *client;
	an_http_response *response;
	an_stream *stream = NULL;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		an_http_send(client,
			     &(an_http_request){ .url = p->url, .upgrade = "websocket" },
			     &response),
		0);
	CHECK_EQUAL(an_http_response_status(response), 200);
	CHECK_EQUAL(an_http_response_take_stream(response, &stream), AN_ERR_MISUSE);
	CHECK(!stream);
	an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).idle, 1);
	an_http_client_free(client);
	return 0;
}

/* ---- request bodies ---------------------------------------------------------------- */

static const struct step take_5[] = { EXPECT, BODY(5), OK("done", 4),
				      EXPECT, BODY(5), OK("done", 4),
				      END };
static const struct step take_chunks[] = { EXPECT, BODY(32), OK("done", 4), END };

/* Gives "ab", "cd", ... `left` bytes in all, waiting before each piece. */
static ssize_t give_pairs(void *arg, void *buf, size_t cap)
{
	int *left = arg;
	int n = *left < 2 ? *left : 2, r = an_sleep(AN_SECOND);

	if (r)
		return r;
	if (!n || !cap)
		return 0;
	memcpy(buf, "ab", (size_t)n);
	*left -= n;
	return n;
}

static int post(an_http_client *client, const an_http_request *request)
{
	an_http_response *response;
	int r = an_http_send(client, request, &response);

	if (r)
		return r;
	r = an_http_response_status(response);
	an_http_response_free(response);
	return r;
}

PEER_TEST(bodies_of_known_length_are_sent_with_it, take_5)
{
	an_http_client *client;
	int left = 5;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		post(client,
		     &(an_http_request){ .url = p->url, .body = "12345", .body_len = 5 }),
		200);
	CHECK(!strcmp(p->body, "12345"));
	CHECK(has_line(p->heads[0], "POST / HTTP/1.1"));
	CHECK(has_line(p->heads[0], "Content-Length: 5"));
	CHECK_EQUAL(post(client, &(an_http_request){ .method = "PUT",
						     .url = p->url,
						     .read_body = give_pairs,
						     .read_arg = &left,
						     .read_len = 5 }),
		    200);
	CHECK(!strcmp(p->body, "ababa"));
	CHECK(has_line(p->heads[1], "PUT / HTTP/1.1"));
	CHECK(has_line(p->heads[1], "Content-Length: 5"));
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_body_of_unknown_length_is_sent_in_chunks, take_chunks)
{
	an_http_client *client;
	int left = 7;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(post(client, &(an_http_request){ .url = p->url,
						     .read_body = give_pairs,
						     .read_arg = &left }),
		    200);
	CHECK(has_line(p->heads[0], "Transfer-Encoding: chunked"));
	CHECK(!has_field(p->heads[0], "Content-Length"));
	CHECK(!strcmp(p->body, "2\r\nab\r\n2\r\nab\r\n2\r\nab\r\n1\r\na\r\n0\r\n\r\n"));
	an_http_client_free(client);
	return 0;
}

static const struct step take_any[] = { EXPECT, END };

PEER_TEST(a_body_that_is_not_as_long_as_announced_is_an_error, take_any)
{
	an_http_client *client;
	int left = 3;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(post(client, &(an_http_request){ .url = p->url,
						     .read_body = give_pairs,
						     .read_arg = &left,
						     .read_len = 5 }),
		    -EINVAL);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_SEND);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step refuse_upload[] = {
	EXPECT, WAIT(2),
	SEND("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"), END
};

PEER_TEST(an_upload_stops_when_the_server_refuses_it, refuse_upload)
{
	an_http_client *client;
	int left = 1000;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(post(client, &(an_http_request){ .url = p->url,
						     .read_body = give_pairs,
						     .read_arg = &left }),
		    413);
	CHECK(left > 900);
	CHECK_EQUAL(stats_of(client).idle, 0); /* in the middle of a request */
	an_http_client_free(client);
	return 0;
}

enum { LONG = 32 << 20 }; /* more than any socket buffer takes */

static const struct step refuse_and_close[] = {
	EXPECT, SEND("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"),
	CLOSE, END
};
PEER_TEST(a_long_body_in_memory_stops_when_the_server_refuses_it, refuse_and_close)
{
	an_http_client *client;
	char *body = calloc(1, LONG);
	an_duration began = an_now();

	CHECK(body);
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		post(client,
		     &(an_http_request){ .url = p->url, .body = body, .body_len = LONG }),
		413);
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	free(body);
	return 0;
}

PEER_TEST(a_long_body_that_nobody_takes_runs_into_the_idle_limit, take_any)
{
	an_http_client *client;
	char *body = calloc(1, LONG);
	an_duration began = an_now();

	CHECK(body);
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		post(client,
		     &(an_http_request){ .url = p->url, .body = body, .body_len = LONG }),
		-ETIMEDOUT);
	CHECK_EQUAL((an_now() - began) / AN_SECOND, 60);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_SEND);
	an_http_client_free(client);
	free(body);
	return 0;
}

/* Takes two MiB every 20 s, and answers when it has LONG bytes. What the kernel keeps of
 * them is a third at most, which it takes within 200 s. */
static int take_slowly(void *arg)
{
	an_stream *s;
	char *buf = malloc(2 << 20);
	size_t took = 0;
	static const char done[] = "HTTP/1.1 204 Done\r\n\r\n";
	int r = buf ? an_accept(arg, &s) : -ENOMEM;

	if (r) {
		free(buf);
		return r;
	}
	while (!r && took < LONG) {
		took += 2 << 20;
		r = an_sleep(20 * AN_SECOND);
		if (!r)
			r = an_stream_read_exactly(s, buf, 2 << 20);
	}
	if (!r)
		r = an_stream_write(s, done, sizeof(done) - 1);
	if (!r)
		r = an_stream_drain(s);
	an_stream_close(s);
	free(buf);
	return r;
}

TASK_TEST(a_long_body_may_take_longer_than_the_idle_limit)
{
	/* A buffer that does not grow never overflows: TCP would send again what was
	 * lost, after a time in which the clock here has long jumped. */
	const an_listen_opts listens = { .socket.receive_buffer = 256 * 1024 };
	an_http_client *client;
	an_listener *listener;
	an_task *server;
	char *body = calloc(1, LONG), url[64];
	int result;

	CHECK(body);
	CHECK_EQUAL(an_listen("127.0.0.1", "0", &listens, &listener), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", an_listener_port(listener));
	CHECK_EQUAL(an_spawn(take_slowly, listener, NULL, &server), 0);
	CHECK_EQUAL(
		an_http_client_new(
			&(an_http_client_opts){ .total_timeout = AN_FOREVER,
						.first_byte_timeout = 200 * AN_SECOND },
			&client),
		0);
	CHECK_EQUAL(
		post(client,
		     &(an_http_request){ .url = url, .body = body, .body_len = LONG }),
		204);
	CHECK_EQUAL(an_join(server, &result), 0);
	CHECK_EQUAL(result, 0);
	an_http_client_free(client);
	an_listener_close(listener);
	free(body);
	return 0;
}

/* ---- requests that must not be sent ------------------------------------------------ */

TASK_TEST(requests_that_must_not_be_sent_are_refused)
{
	static const an_http_header bad_headers[][2] = {
		{ { "A", "b\r\nC: d" }, { NULL, NULL } },
		{ { "A", "b\nC: d" }, { NULL, NULL } },
		{ { "A b", "c" }, { NULL, NULL } },
		{ { "", "c" }, { NULL, NULL } },
		{ { "A:", "c" }, { NULL, NULL } },
		{ { "Host", "a b" }, { NULL, NULL } },
		{ { "Content-Length", "3" }, { NULL, NULL } },
		{ { "transfer-encoding", "chunked" }, { NULL, NULL } },
		{ { "Connection", "close" }, { NULL, NULL } },
		{ { "TE", "trailers" }, { NULL, NULL } },
		{ { "upgrade", "x" }, { NULL, NULL } },
	};
	static const char *const bad_methods[] = { "", "GE T", "GET\r\n", "CONNECT" };
	static const char *const bad_urls[] = {
		"", "x", "ftp://h/", "http://u@h/", "http://h/\r\nA: b", "ws://h/"
	};
	an_http_client *client;
	an_http_response *response = NULL;
	/* Nothing listens there; none of these gets as far. */
	const char *url = "http://127.0.0.1:1/";

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	for (size_t i = 0; i < sizeof(bad_headers) / sizeof(*bad_headers); i++) {
		CHECK_EQUAL(an_http_send(client,
					 &(an_http_request){ .url = url,
							     .headers = bad_headers[i] },
					 &response),
			    -EINVAL);
	}
	for (size_t i = 0; i < sizeof(bad_methods) / sizeof(*bad_methods); i++) {
		CHECK_EQUAL(an_http_send(client,
					 &(an_http_request){ .url = url,
							     .method = bad_methods[i] },
					 &response),
			    -EINVAL);
		CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_REQUEST);
	}
	for (size_t i = 0; i < sizeof(bad_urls) / sizeof(*bad_urls); i++)
		CHECK_EQUAL(an_http_get(client, bad_urls[i], &response), AN_ERR_URL);
	CHECK_EQUAL(an_http_send(client, &(an_http_request){ .url = url, .read_len = 3 },
				 &response),
		    -EINVAL);
	CHECK(!response);
	CHECK_EQUAL(stats_of(client).requests, 0);
	an_http_client_free(client);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_get_gives_status_headers_and_body),
	cmocka_unit_test(a_response_freed_early_closes_its_connection),
	cmocka_unit_test(a_response_freed_with_its_rest_here_keeps_its_connection),
	cmocka_unit_test(a_client_freed_with_a_response_open_lets_it_be_read),
	cmocka_unit_test(answers_without_a_body_keep_the_connection),
	cmocka_unit_test(a_chunked_body_is_decoded_in_any_pieces),
	cmocka_unit_test(a_body_may_go_on_until_the_close),
	cmocka_unit_test(a_body_cut_short_is_an_error_that_sticks),
	cmocka_unit_test(read_all_takes_no_more_than_its_limit),
	cmocka_unit_test(malformed_answers_are_errors),
	cmocka_unit_test(a_head_without_end_is_a_limit_error),
	cmocka_unit_test(interim_answers_are_passed_over_within_reason),
	cmocka_unit_test(an_upgrade_hands_the_stream_over_with_what_came_behind),
	cmocka_unit_test(an_upgraded_connection_that_nobody_takes_is_closed),
	cmocka_unit_test(a_server_may_decline_an_upgrade),
	cmocka_unit_test(bodies_of_known_length_are_sent_with_it),
	cmocka_unit_test(a_body_of_unknown_length_is_sent_in_chunks),
	cmocka_unit_test(a_body_that_is_not_as_long_as_announced_is_an_error),
	cmocka_unit_test(an_upload_stops_when_the_server_refuses_it),
	cmocka_unit_test(a_long_body_in_memory_stops_when_the_server_refuses_it),
	cmocka_unit_test(a_long_body_that_nobody_takes_runs_into_the_idle_limit),
	cmocka_unit_test(a_long_body_may_take_longer_than_the_idle_limit),
	cmocka_unit_test(requests_that_must_not_be_sent_are_refused),
};

int main(void)
{
	alarm(60);
	return cmocka_run_group_tests_name("http client", tests, NULL, NULL);
}
