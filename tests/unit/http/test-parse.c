/* The message parser: tables of heads that are accepted and refused, each fed whole, byte
 * by byte, and cut at every offset, with the same outcome; and the limits, exact and one
 * beyond. */
#include "http/parse.h"

#include "tests/support/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
	ssize_t result;
	int answer;
	int framing;
	size_t fields;
};

/* Feeds a growing prefix, each time in a block of exactly its size, so that a read beyond
 * it is seen by the sanitizers. */
static struct outcome feed(an__http_head *h, const char *text, size_t len,
			   const size_t *cuts, size_t count)
{
	ssize_t r = 0;

	an__http_head_reset(h);
	for (size_t i = 0; i <= count && r == 0; i++) {
		size_t n = i < count ? cuts[i] : len;
		char *block = malloc(n ? n : 1);

		memcpy(block, text, n);
		r = an__http_head_parse(h, block, n);
		free(block);
	}
	return (struct outcome){ r, h->answer, r > 0 ? h->framing : 0,
				 r > 0 ? h->headers.count : 0 };
}

static bool same(struct outcome a, struct outcome b)
{
	return a.result == b.result && a.answer == b.answer && a.framing == b.framing &&
	       a.fields == b.fields;
}

/* The outcome of all ways to cut the text; fails the test when they differ. */
static struct outcome parse_all_ways(enum an__http_kind kind,
				     const an__http_limits *limits, const char *text,
				     size_t len)
{
	size_t *cuts = calloc(len + 1, sizeof(*cuts));
	struct outcome whole, other;
	an__http_head h;

	an__http_head_init(&h, kind, limits);
	whole = feed(&h, text, len, NULL, 0);
	for (size_t i = 0; i < len; i++)
		cuts[i] = i;
	other = feed(&h, text, len, cuts, len);
	if (!same(whole, other))
		fail_msg("byte by byte differs: %zd/%d and %zd/%d: %s", whole.result,
			 whole.answer, other.result, other.answer, text);
	for (size_t i = 0; i < len && len < 4096; i++) {
		other = feed(&h, text, len, &i, 1);
		if (!same(whole, other))
			fail_msg("cut at %zu differs: %s", i, text);
	}
	free(cuts);
	an__http_head_done(&h);
	return whole;
}

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

struct request_case {
	int expect; /* 0: accepted; else the status to answer */
	int framing;
	const char *text;
	size_t len; /* 0: of the string */
};

#define OK(text) \
	{ \
		0, AN__HTTP_NO_BODY, text, sizeof(text) - 1 \
	}
#define LEN(text) \
	{ \
		0, AN__HTTP_LENGTH, text, sizeof(text) - 1 \
	}
#define CHUNKS(text) \
	{ \
		0, AN__HTTP_CHUNKED_BODY, text, sizeof(text) - 1 \
	}
#define NO(status, text) \
	{ \
		status, 0, text, sizeof(text) - 1 \
	}

static void check_requests(const struct request_case *c, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct outcome o = parse_all_ways(
			AN__HTTP_REQUEST, &an__http_server_limits, c[i].text, c[i].len);

		if (c[i].expect == 0 && (o.result <= 0 || (size_t)o.result != c[i].len))
			fail_msg("not accepted (%zd, %d): %s", o.result, o.answer,
				 c[i].text);
		if (c[i].expect != 0 && (o.result >= 0 || o.answer != c[i].expect))
			fail_msg("%zd, %d instead of %d: %s", o.result, o.answer,
				 c[i].expect, c[i].text);
		if (c[i].expect == 0 && o.framing != c[i].framing)
			fail_msg("framing %d instead of %d: %s", o.framing, c[i].framing,
				 c[i].text);
	}
}

static const struct request_case start_lines[] = {
	OK(GET HOST "\r\n"),
	OK("\r\n" GET HOST "\r\n"),
	OK("GET / HTTP/1.0\r\n\r\n"),
	OK("GET /a/b?c=d&e=[f]|{g} HTTP/1.1\r\n" HOST "\r\n"),
	OK("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\n" HOST "\r\n"),
	OK("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
	OK("GET http://a/ HTTP/1.1\r\n" HOST "\r\n"),
	OK("GET HTTP://A:80/x?y HTTP/1.1\r\n" HOST "\r\n"),
	OK("GET http://a HTTP/1.1\r\n" HOST "\r\n"),
	OK("GET https://a:443?x HTTP/1.1\r\nHost: A:\r\n\r\n"),
	OK("GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
	OK("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
	NO(400, "\r\n\r\n" GET HOST "\r\n"),
	NO(400, "\n" GET HOST "\r\n"),
	NO(400, " " GET HOST "\r\n"),
	NO(400, "GET  / HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /  HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/1.1 \r\n" HOST "\r\n"),
	NO(400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\tHTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /a b HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /#a HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\x80 HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\x7f HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\0 HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "G(T / HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET a HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET * HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "OPTIONS ** HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET http://b/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET http://a:81/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET https://a:80/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "CONNECT / HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "CONNECT a HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "CONNECT a: HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "CONNECT [::1] HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "GET /\r\n"),
	NO(400, "GET / \r\n\r\n"),
	NO(400, "GET\r\n\r\n"),
	NO(400, " / HTTP/1.1\r\n\r\n"),
	NO(400, "HTTP/1.1 200 OK\r\n\r\n"),
	NO(400, "GET / http/1.1\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/1.1x\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/11\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/1.10\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/01.1\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/1,1\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/ 1.1\r\n" HOST "\r\n"),
	NO(400, "GET / HTTP/+1.1\r\n" HOST "\r\n"),
	NO(400, "GET / HTP/1.1\r\n" HOST "\r\n"),
	NO(505, "GET / HTTP/1.2\r\n" HOST "\r\n"),
	NO(505, "GET / HTTP/0.9\r\n" HOST "\r\n"),
	NO(505, "GET / HTTP/2.0\r\n" HOST "\r\n"),
	NO(505, "PRI * HTTP/2.0\r\n\r\n"),
	NO(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
};

static const struct request_case line_ends[] = {
	NO(400, "GET / HTTP/1.1\n" HOST "\r\n"),
	NO(400, GET "Host: a\n\r\n"),
	NO(400, GET HOST "\n"),
	NO(400, GET HOST "X: a\rb\r\n\r\n"),
	NO(400, GET HOST "X: a\r\r\n\r\n"),
	NO(400, GET HOST "\r\r\n"),
	NO(400, GET HOST "\rX: y\r\n\r\n"),
	NO(400, "GET / HTTP/1.1\r" HOST "\r\n"),
	NO(400, "GET /\r HTTP/1.1\r\n" HOST "\r\n"),
	NO(400, "\r" GET HOST "\r\n"),
};

static const struct request_case field_lines[] = {
	OK(GET HOST "X:y\r\n\r\n"),
	OK(GET HOST "X: \t y \t \r\nEmpty:\r\nBlank:   \r\n\r\n"),
	OK(GET HOST "X: a\tb c\x80\xff\r\n\r\n"),
	OK(GET HOST "!#$%&'*+-.^_`|~0aZ: y\r\n\r\n"),
	OK(GET HOST "X: \"quoted, : ; text\"\r\n\r\n"),
	NO(400, GET HOST "X : y\r\n\r\n"),
	NO(400, GET HOST "X\t: y\r\n\r\n"),
	NO(400, GET "Host : a\r\n\r\n"),
	NO(400, GET HOST ": y\r\n\r\n"),
	NO(400, GET HOST "X\r\n\r\n"),
	NO(400, GET HOST "X y: z\r\n\r\n"),
	NO(400, GET HOST "X(: y\r\n\r\n"),
	NO(400, GET HOST "X\x80: y\r\n\r\n"),
	NO(400, GET HOST "X\": y\r\n\r\n"),
	NO(400, GET HOST "X: y\r\n z\r\n\r\n"),
	NO(400, GET HOST "X: y\r\n\tz\r\n\r\n"),
	NO(400, GET HOST "X: y\r\n \r\n\r\n"),
	NO(400, GET " " HOST "\r\n"),
	NO(400, GET "\t" HOST "\r\n"),
	NO(400, GET HOST "X: a\0b\r\n\r\n"),
	NO(400, GET HOST "X: a\x01\r\n\r\n"),
	NO(400, GET HOST "X: a\x0b\r\n\r\n"),
	NO(400, GET HOST "X: a\x1f\r\n\r\n"),
	NO(400, GET HOST "X: a\x7f\r\n\r\n"),
	NO(400, GET HOST "X\0Y: a\r\n\r\n"),
};

static const struct request_case hosts[] = {
	OK(GET "Host: example.com\r\n\r\n"),
	OK(GET "hOsT: example.com:8080\r\n\r\n"),
	OK(GET "Host: 127.0.0.1:1\r\n\r\n"),
	OK(GET "Host: [::1]\r\n\r\n"),
	OK(GET "Host: [2001:db8::1]:65535\r\n\r\n"),
	OK(GET "Host: a_b-c~d.%41\r\n\r\n"),
	OK(GET "Host: a:\r\n\r\n"),
	NO(400, GET "\r\n"),
	NO(400, GET "Host:\r\n\r\n"),
	NO(400, GET "Host: \t \r\n\r\n"),
	NO(400, GET HOST HOST "\r\n"),
	NO(400, GET HOST "Host: b\r\n\r\n"),
	NO(400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"),
	NO(400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
	NO(400, GET "Host: a b\r\n\r\n"),
	NO(400, GET "Host: a,b\r\n\r\n"),
	NO(400, GET "Host: a/b\r\n\r\n"),
	NO(400, GET "Host: u@a\r\n\r\n"),
	NO(400, GET "Host: a:b\r\n\r\n"),
	NO(400, GET "Host: a:65536\r\n\r\n"),
	NO(400, GET "Host: a:-1\r\n\r\n"),
	NO(400, GET "Host: a:1:2\r\n\r\n"),
	NO(400, GET "Host: :80\r\n\r\n"),
	NO(400, GET "Host: [::1\r\n\r\n"),
	NO(400, GET "Host: []\r\n\r\n"),
	NO(400, GET "Host: [g]\r\n\r\n"),
	NO(400, GET "Host: [::1]x\r\n\r\n"),
	NO(400, GET "Host: a%4\r\n\r\n"),
	NO(400, GET "Host: a%zz\r\n\r\n"),
	NO(400, GET "Host: \xc3\xa4\r\n\r\n"),
	NO(400, GET "Host: http://a\r\n\r\n"),
};

static const struct request_case lengths[] = {
	LEN(POST "Content-Length: 5\r\n\r\n"),
	LEN(POST "content-length:0005\r\n\r\n"),
	LEN(POST "Content-Length: 9223372036854775807\r\n\r\n"),
	LEN(GET HOST "Content-Length: 5\r\n\r\n"),
	LEN("HEAD / HTTP/1.1\r\n" HOST "Content-Length: 30\r\n\r\n"),
	LEN("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"),
	OK(POST "Content-Length: 0\r\n\r\n"),
	OK(POST "\r\n"),
	NO(400, POST "Content-Length: 9223372036854775808\r\n\r\n"),
	NO(400, POST "Content-Length: 18446744073709551616\r\n\r\n"),
	NO(400, POST "Content-Length: 99999999999999999999999999\r\n\r\n"),
	NO(400, POST "Content-Length:\r\n\r\n"),
	NO(400, POST "Content-Length: +5\r\n\r\n"),
	NO(400, POST "Content-Length: -0\r\n\r\n"),
	NO(400, POST "Content-Length: -5\r\n\r\n"),
	NO(400, POST "Content-Length: 0x5\r\n\r\n"),
	NO(400, POST "Content-Length: 5h\r\n\r\n"),
	NO(400, POST "Content-Length: 1_0\r\n\r\n"),
	NO(400, POST "Content-Length: 1 0\r\n\r\n"),
	NO(400, POST "Content-Length: 5.0\r\n\r\n"),
	NO(400, POST "Content-Length: 5,5\r\n\r\n"),
	NO(400, POST "Content-Length: 5, 6\r\n\r\n"),
	NO(400, POST "Content-Length: \"5\"\r\n\r\n"),
	NO(400, POST "Content-Length: 5;\r\n\r\n"),
	NO(400, POST "Content-Length: \xd9\xa5\r\n\r\n"),
	NO(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
	NO(400, POST "Content-Length: 5\r\nContent-Length: 10\r\n\r\n"),
	NO(400, POST "Content-Length: 0\r\ncontent-length: 0\r\n\r\n"),
};

static const struct request_case codings[] = {
	CHUNKS(POST "Transfer-Encoding: chunked\r\n\r\n"),
	CHUNKS(POST "transfer-encoding: \tCHUNKED\t\r\n\r\n"),
	CHUNKS(GET HOST "Transfer-Encoding: chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
	NO(400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO(400, POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO(400, POST "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n"),
	NO(400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding:\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: ,\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked,\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: ,chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked, identity\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked;a=b\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chun ked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: \x0b"
		     "chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding : chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding\r\n : chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: \r\n chunked\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: chunked\x80\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: gzip\r\n\r\n"),
	NO(400, POST "Transfer-Encoding: identity\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: identity, chunked\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: xchunked\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: cow\r\n\r\n"),
	NO(501, POST "Transfer-Encoding: cow, chunked\r\n\r\n"),
	NO(417, POST "Expect: 200-ok\r\n\r\n"),
	NO(417, POST "Expect:\r\n\r\n"),
	LEN(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
};

#define CHECK(table) check_requests(table, sizeof(table) / sizeof(*(table)))

static void start_lines_follow_the_grammar(void **state)
{
	(void)state;
	CHECK(start_lines);
}

static void lines_end_with_cr_lf_alone(void **state)
{
	(void)state;
	CHECK(line_ends);
}

static void field_lines_follow_the_grammar(void **state)
{
	(void)state;
	CHECK(field_lines);
}

static void exactly_one_valid_host_is_demanded(void **state)
{
	(void)state;
	CHECK(hosts);
}

static void content_length_is_one_plain_number(void **state)
{
	(void)state;
	CHECK(lengths);
}

static void transfer_encoding_is_chunked_alone(void **state)
{
	(void)state;
	CHECK(codings);
}

/* ---- what is read ---------------------------------------------------------------- */

static void parse_one(an__http_head *h, enum an__http_kind kind, char *text)
{
	an__http_head_init(h, kind, &an__http_client_limits);
	assert_int_equal(an__http_head_parse(h, text, strlen(text)), strlen(text));
	an__http_headers_adopt(&h->headers, text);
}

static void assert_span(const an__http_head *h, an__http_span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(an__http_span_text(h, s), text, s.len);
}

static void parts_of_a_request_are_found(void **state)
{
	char text[] = "\r\nGET http://a:80/p/q?r=s?t HTTP/1.1\r\nHost: a\r\nX:  one \r\n"
		      "x: two\r\nConnection: foo , Upgrade,\"bar,close\"\r\nUpgrade: "
		      "websocket\r\n\r\n";
	an__http_head h;

	(void)state;
	parse_one(&h, AN__HTTP_REQUEST, text);
	assert_span(&h, h.method, "GET");
	assert_span(&h, h.target, "http://a:80/p/q?r=s?t");
	assert_span(&h, h.authority, "a:80");
	assert_span(&h, h.path, "/p/q");
	assert_span(&h, h.query, "r=s?t");
	assert_true(h.keep_alive);
	assert_true(h.upgrade);
	assert_int_equal(an_http_headers_count(&h.headers), 5);
	assert_string_equal(an_http_headers_get(&h.headers, "x"), "one");
	assert_string_equal(an_http_headers_at(&h.headers, 2).value, "two");
	assert_null(an_http_headers_at(&h.headers, 5).name);
	assert_null(an_http_headers_get(&h.headers, "y"));
	assert_true(an_http_headers_has(&h.headers, "connection", "upgrade"));
	assert_false(an_http_headers_has(&h.headers, "connection", "close"));
	assert_false(an_http_headers_has(&h.headers, "connection", "bar"));
	an__http_head_done(&h);
}

static bool stays_open(const char *version, const char *connection)
{
	char text[200];
	an__http_head h;
	bool keep;

	snprintf(text, sizeof(text), "GET / %s\r\nHost: a\r\n%s%s\r\n", version,
		 connection, *connection ? "\r\n" : "");
	parse_one(&h, AN__HTTP_REQUEST, text);
	keep = h.keep_alive;
	an__http_head_done(&h);
	return keep;
}

static void keep_alive_follows_version_and_connection(void **state)
{
	(void)state;
	assert_true(stays_open("HTTP/1.1", ""));
	assert_false(stays_open("HTTP/1.1", "Connection: close"));
	assert_false(stays_open("HTTP/1.1", "Connection: x, CLOSE , y"));
	assert_false(
		stays_open("HTTP/1.1", "Connection: keep-alive\r\nConnection: close"));
	assert_true(stays_open("HTTP/1.1", "Connection: closed"));
	assert_false(stays_open("HTTP/1.0", ""));
	assert_true(stays_open("HTTP/1.0", "Connection: Keep-Alive"));
	assert_false(stays_open("HTTP/1.0", "Connection: keep-alive, close"));
}

/* ---- responses ------------------------------------------------------------------- */

struct response_case {
	bool good;
	int framing;
	const char *method, *text;
};

static const struct response_case responses[] = {
	{ true, AN__HTTP_LENGTH, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_LENGTH, "GET", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_LENGTH, "GET", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_LENGTH, "GET",
	  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_CHUNKED_BODY, "GET",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ true, AN__HTTP_UNTIL_CLOSE, "GET", "HTTP/1.1 200 OK\r\n\r\n" },
	{ true, AN__HTTP_UNTIL_CLOSE, "GET", "HTTP/1.0 999 \xe4 \t x\r\n\r\n" },
	{ true, AN__HTTP_UNTIL_CLOSE, "GET",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n" },
	{ true, AN__HTTP_NO_BODY, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
	{ true, AN__HTTP_NO_BODY, "HEAD",
	  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_NO_BODY, "GET", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_NO_BODY, "GET",
	  "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ true, AN__HTTP_NO_BODY, "GET", "HTTP/1.1 101 S\r\n\r\n" },
	{ true, AN__HTTP_UNTIL_CLOSE, "CONNECT",
	  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" },
	{ true, AN__HTTP_LENGTH, "CONNECT",
	  "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n" },
	{ false, 0, "GET", "\r\nHTTP/1.1 200 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 200 OK\n\n" },
	{ false, 0, "GET", "HTTP/1.1 20 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 2000 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 2x0 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 099 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1  200 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1\t200 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1\r\n\r\n" },
	{ false, 0, "GET", "HTTP/2.0 200 OK\r\n\r\n" },
	{ false, 0, "GET", "ICY 200 OK\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 200 O\x01K\r\n\r\n" },
	{ false, 0, "GET",
	  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n" },
	{ false, 0, "GET",
	  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ false, 0, "GET",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" },
	{ false, 0, "GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n" },
};

static void responses_follow_the_grammar(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(responses) / sizeof(*responses); i++) {
		const struct response_case *c = &responses[i];
		struct outcome o =
			parse_all_ways(AN__HTTP_RESPONSE, &an__http_client_limits,
				       c->text, strlen(c->text));
		an__http_head h;

		if (c->good != (o.result == (ssize_t)strlen(c->text)))
			fail_msg("%zd: %s", o.result, c->text);
		if (!c->good)
			continue;
		an__http_head_init(&h, AN__HTTP_RESPONSE, &an__http_client_limits);
		assert_true(an__http_head_parse(&h, c->text, strlen(c->text)) > 0);
		assert_int_equal(an__http_response_framing(&h, c->method), c->framing);
		an__http_head_done(&h);
	}
}

/* ---- limits ---------------------------------------------------------------------- */

/* A head of exactly `size` bytes with its filler in a field or in the target. */
static char *head_of_size(size_t size, bool in_target)
{
	const char *before = in_target ? "GET /" : GET HOST "X: ";
	const char *after = in_target ? " HTTP/1.1\r\n" HOST "\r\n" : "\r\n\r\n";
	size_t fixed = strlen(before) + strlen(after);
	char *text = malloc(size + 1);

	memcpy(text, before, strlen(before));
	memset(text + strlen(before), 'a', size - fixed);
	strcpy(text + size - strlen(after), after);
	return text;
}

static void check_size(const an__http_limits *limits, size_t size, bool in_target,
		       int answer)
{
	char *text = head_of_size(size, in_target);
	struct outcome o = parse_all_ways(AN__HTTP_REQUEST, limits, text, size);

	assert_int_equal(o.answer, answer);
	assert_int_equal(o.result, answer ? AN_ERR_LIMIT : (ssize_t)size);
	free(text);
}

static void head_limit_is_exact(void **state)
{
	const an__http_limits small = { 200, 200, 100 };

	(void)state;
	check_size(&small, 200, false, 0);
	check_size(&small, 201, false, 431);
	check_size(&small, 300, false, 431);
	check_size(&small, 200, true, 0);
	check_size(&small, 201, true, 431);
	check_size(&small, 300, true, 414);
	check_size(&an__http_server_limits, 16 * 1024, false, 0);
	check_size(&an__http_server_limits, 16 * 1024 + 1, false, 431);
}

static void line_limit_is_exact(void **state)
{
	const an__http_limits lines = { 1000, 100, 100 };
	const size_t around = strlen(GET HOST) + 2;

	(void)state;
	check_size(&lines, around + 100, false, 0);
	check_size(&lines, around + 101, false, 431);
}

static void field_limit_is_exact(void **state)
{
	(void)state;
	for (size_t count = 99; count <= 101; count++) {
		char text[4096] = GET HOST;
		struct outcome o;

		for (size_t i = 1; i < count; i++)
			strcat(text, "X: y\r\n");
		strcat(text, "\r\n");
		o = parse_all_ways(AN__HTTP_REQUEST, &an__http_server_limits, text,
				   strlen(text));
		assert_int_equal(o.answer, count <= 100 ? 0 : 431);
		assert_int_equal(o.fields, count <= 100 ? count : 0);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(start_lines_follow_the_grammar),
	cmocka_unit_test(lines_end_with_cr_lf_alone),
	cmocka_unit_test(field_lines_follow_the_grammar),
	cmocka_unit_test(exactly_one_valid_host_is_demanded),
	cmocka_unit_test(content_length_is_one_plain_number),
	cmocka_unit_test(transfer_encoding_is_chunked_alone),
	cmocka_unit_test(parts_of_a_request_are_found),
	cmocka_unit_test(keep_alive_follows_version_and_connection),
	cmocka_unit_test(responses_follow_the_grammar),
	cmocka_unit_test(head_limit_is_exact),
	cmocka_unit_test(line_limit_is_exact),
	cmocka_unit_test(field_limit_is_exact),
};

TEST_MAIN("parse", tests)
