/* The echo server over TCP, case by case in the order of RFC 6455: what must come back,
 * in which order, and that the end is orderly: the answers to all that was good, one
 * Close, and the end of the stream instead of a reset, also when the peer goes on
 * sending. Each case is sent at once and byte by byte. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <string.h>

/* ---- the server ----------------------------------------------------------------- */

struct site {
	an_http_server *server;
	an_listener *listener;
};

static int echo(an_http_exchange *x, void *arg)
{
	an_ws_message m;
	an_ws *ws;
	int r = an_ws_accept(x, NULL, &ws);

	(void)arg;
	if (r < 0)
		return r;
	while ((r = an_ws_recv(ws, &m)) == 0 &&
	       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
		;
	an_ignore(an_ws_shutdown(ws, 1000, NULL));
	an_ws_free(ws);
	return 0;
}

static int serve(void *arg)
{
	struct site *s = arg;

	return an_http_serve(s->server, s->listener);
}

/* ---- cases ---------------------------------------------------------------------- */

typedef struct frame {
	unsigned char first; /* FIN, reserved bits, opcode; 0: the end of the list */
	const char *payload;
	size_t len;
} frame;

/* CONT without FIN begins with a zero byte, too: it carries this mark instead. */
#define MORE 0x40

typedef struct test_case {
	const char *name;
	frame frames[9];
	const char *expected;
} test_case;

#define F(first, literal) \
	{ \
		(first), (literal), sizeof(literal) - 1 \
	}
#define TEXT(s) F(0x81, s)
#define BINARY(s) F(0x82, s)
#define TEXT_PART(s) F(0x01, s)
#define PART(s) F(MORE, s)
#define LAST(s) F(0x80, s)
#define PING(s) F(0x89, s)
#define PONG(s) F(0x8a, s)
#define CLOSE(s) F(0x88, s)
#define BYE CLOSE("\x03\xe8")

static char long_payload[65536];
#define LONG(first, len) \
	{ \
		(first), long_payload, (len) \
	}

static const test_case cases[] = {
	/* section 5.6: data */
	{ "an empty text", { TEXT(""), BYE }, "text() close(1000)" },
	{ "text of 125", { LONG(0x81, 125), BYE }, "text(125 bytes) close(1000)" },
	{ "text of 126", { LONG(0x81, 126), BYE }, "text(126 bytes) close(1000)" },
	{ "text of 65535", { LONG(0x81, 65535), BYE }, "text(65535 bytes) close(1000)" },
	{ "binary of 65536",
	  { LONG(0x82, 65536), BYE },
	  "binary(65536 bytes) close(1000)" },

	/* section 5.5: control */
	{ "an empty ping", { PING(""), BYE }, "pong() close(1000)" },
	{ "a binary ping",
	  { PING("\x00\xff\xfe"), BYE },
	  "pong(\\00\\ff\\fe) close(1000)" },
	{ "a ping of 125", { LONG(0x89, 125), BYE }, "pong(125 bytes) close(1000)" },
	{ "a ping of 126", { LONG(0x89, 126), PING("") }, "close(1002)" },
	{ "a pong nobody asked for",
	  { PONG("x"), PING("y"), BYE },
	  "pong(y) close(1000)" },
	{ "pings in a row",
	  { PING("1"), PING("2"), PING("3"), PING("4"), BYE },
	  "pong(1) pong(2) pong(3) pong(4) close(1000)" },
	{ "a fragmented ping",
	  { TEXT("a"), F(0x09, "b"), LAST("c") },
	  "text(a) close(1002)" },

	/* section 5.2: reserved bits and opcodes, behind a good message */
	{ "RSV1", { TEXT("a"), F(0xc1, "b"), PING("") }, "text(a) close(1002)" },
	{ "RSV2", { TEXT("a"), F(0xa2, "b"), PING("") }, "text(a) close(1002)" },
	{ "RSV3 on a close", { F(0x98, "\x03\xe8") }, "close(1002)" },
	{ "opcode 3", { TEXT("a"), F(0x83, ""), PING("") }, "text(a) close(1002)" },
	{ "opcode 7", { TEXT("a"), F(0x87, "x"), PING("") }, "text(a) close(1002)" },
	{ "opcode 11", { TEXT("a"), F(0x8b, ""), PING("") }, "text(a) close(1002)" },
	{ "opcode 15", { TEXT("a"), F(0x8f, "x"), PING("") }, "text(a) close(1002)" },

	/* section 5.4: fragments */
	{ "two fragments", { TEXT_PART("a"), LAST("b"), BYE }, "text(ab) close(1000)" },
	{ "a ping between",
	  { TEXT_PART("a"), PING("p"), PART("b"), PING("q"), LAST("c"), BYE },
	  "pong(p) pong(q) text(abc) close(1000)" },
	{ "the end of nothing", { LAST("x"), TEXT("a") }, "close(1002)" },
	{ "the middle of nothing", { PART("x"), LAST("y") }, "close(1002)" },
	{ "the end of nothing behind a message",
	  { TEXT_PART("a"), LAST("b"), PART("c"), TEXT("d") },
	  "text(ab) close(1002)" },
	{ "text inside text", { TEXT_PART("a"), TEXT("b"), LAST("c") }, "close(1002)" },
	{ "empty fragments",
	  { TEXT_PART(""), PART(""), LAST(""), BYE },
	  "text() close(1000)" },

	/* section 8.1: UTF-8 */
	{ "good UTF-8",
	  { TEXT("\xce\xba\xe1\xbd\xb9\xcf\x83"), BYE },
	  "text(\\ce\\ba\\e1\\bd\\b9\\cf\\83) close(1000)" },
	{ "a character in two fragments",
	  { TEXT_PART("\xce"), LAST("\xba"), BYE },
	  "text(\\ce\\ba) close(1000)" },
	{ "a surrogate",
	  { TEXT("a"), TEXT("\xed\xa0\x80"), TEXT("b") },
	  "text(a) close(1007)" },
	{ "bad UTF-8 before the message's end",
	  { TEXT_PART("\xce\xba"), PART("\xf4\x90\x80\x80") },
	  "close(1007)" },
	{ "half a character", { TEXT("\xce"), PING("") }, "close(1007)" },
	{ "no UTF-8 in binary", { BINARY("\xce"), BYE }, "binary(\\ce) close(1000)" },

	/* sections 5.5.1 and 7: close */
	{ "close without a code", { CLOSE("") }, "close()" },
	{ "close of one byte", { CLOSE("\x03") }, "close(1002)" },
	{ "close with a reason",
	  { CLOSE("\x03\xe9"
		  "bye") },
	  "close(1001)" },
	{ "close with a long reason", { LONG(0x88, 126) }, "close(1002)" },
	{ "close with a bad reason", { CLOSE("\x03\xe8\xce") }, "close(1007)" },
	{ "close 999", { CLOSE("\x03\xe7") }, "close(1002)" },
	{ "close 1004", { CLOSE("\x03\xec") }, "close(1002)" },
	{ "close 1005", { CLOSE("\x03\xed") }, "close(1002)" },
	{ "close 1006", { CLOSE("\x03\xee") }, "close(1002)" },
	{ "close 1012", { CLOSE("\x03\xf4") }, "close(1012)" },
	{ "close 1014", { CLOSE("\x03\xf6") }, "close(1014)" },
	{ "close 1015", { CLOSE("\x03\xf7") }, "close(1002)" },
	{ "close 2999", { CLOSE("\x0b\xb7") }, "close(1002)" },
	{ "close 3000", { CLOSE("\x0b\xb8") }, "close(3000)" },
	{ "close 4999", { CLOSE("\x13\x87") }, "close(4999)" },
	{ "close 5000", { CLOSE("\x13\x88") }, "close(1002)" },
	{ "two closes", { BYE, BYE, PING("") }, "close(1000)" },
	{ "text behind a close", { BYE, TEXT("x"), PING("") }, "close(1000)" },
	{ "close between fragments", { TEXT_PART("a"), BYE, LAST("b") }, "close(1000)" },
};

/* ---- the client ----------------------------------------------------------------- */

static size_t write_frame(char *out, const frame *f)
{
	static const unsigned char key[4] = { 0x12, 0x34, 0x56, 0x78 };
	size_t n = 2;

	out[0] = (char)(f->first == MORE ? 0 : f->first);
	if (f->len < 126) {
		out[1] = (char)(0x80 | f->len);
	} else {
		out[1] = (char)(f->len < 65536 ? 0xfe : 0xff);
		for (int shift = f->len < 65536 ? 8 : 56; shift >= 0; shift -= 8)
			out[n++] = (char)(f->len >> shift);
	}
	memcpy(out + n, key, 4);
	n += 4;
	for (size_t i = 0; i < f->len; i++)
		out[n++] = (char)(f->payload[i] ^ key[i & 3]);
	return n;
}

static int say_frame(char *out, size_t cap, unsigned opcode, const unsigned char *data,
		     size_t len)
{
	static const char *const names[16] = {
		[1] = "text", [2] = "binary", [8] = "close", [10] = "pong"
	};
	int n = snprintf(out, cap, "%s(", names[opcode] ? names[opcode] : "?");

	if (opcode == 8 && len == 2)
		return n +
		       snprintf(out + n, cap - (size_t)n, "%u) ", data[0] << 8 | data[1]);
	if (len > 40)
		return n + snprintf(out + n, cap - (size_t)n, "%zu bytes) ", len);
	for (size_t i = 0; i < len; i++)
		n += snprintf(out + n, cap - (size_t)n,
			      data[i] >= ' ' && data[i] < 127 ? "%c" : "\\%02x", data[i]);
	return n + snprintf(out + n, cap - (size_t)n, ") ");
}

/* Reads frames until the server has closed, and says what they were. */
static int hear_all(an_stream *s, char *out, size_t cap)
{
	static unsigned char data[65536];
	unsigned char head[10];
	size_t at = 0, len;

	out[0] = '\0';
	for (;;) {
		int r = an_stream_read_exactly(s, head, 2);

		if (r == AN_ERR_EOF)
			break;
		CHECK_EQUAL(r, 0);
		len = head[1];
		if (len > 125) {
			size_t more = len == 126 ? 2 : 8;

			CHECK_EQUAL(an_stream_read_exactly(s, head + 2, more), 0);
			for (size_t i = len = 0; i < more; i++)
				len = len << 8 | head[2 + i];
		}
		CHECK(len <= sizeof(data));
		CHECK_EQUAL(an_stream_read_exactly(s, data, len), 0);
		at += (size_t)say_frame(out + at, cap - at, head[0] & 15, data, len);
	}
	if (at)
		out[at - 1] = '\0';
	return 0;
}

static int open_raw(unsigned port, an_stream **ret)
{
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char service[8];
	const char *data;
	size_t len;

	snprintf(service, sizeof(service), "%u", port);
	CHECK_EQUAL(an_connect("127.0.0.1", service, NULL, ret), 0);
	CHECK_EQUAL(an_stream_write(*ret, request, sizeof(request) - 1), 0);
	CHECK_EQUAL(an_stream_read_until(*ret, "\r\n\r\n", 4, &data, &len), 0);
	CHECK(len > 12 && memcmp(data, "HTTP/1.1 101", 12) == 0);
	return 0;
}

/* Sends in pieces of `step`, each in a segment of its own as far as the kernel lets
 * it. */
static int send_in_pieces(an_stream *s, const char *data, size_t len, size_t step)
{
	for (size_t at = 0; at < len; at += step) {
		size_t n = step < len - at ? step : len - at;
		int r = an_stream_write(s, data + at, n);

		if (r == 0)
			r = an_stream_drain(s);
		if (r == 0)
			r = an_sleep(1);
		if (r == -EPIPE || r == -ECONNRESET)
			return 0; /* closed: what it said is read all the same */
		CHECK_EQUAL(r, 0);
	}
	return 0;
}

static int run_case(const test_case *c, unsigned port, size_t step)
{
	static char wire[200000], heard[1000];
	an_stream *s;
	size_t len = 0;

	for (const frame *f = c->frames; f->first; f++)
		len += write_frame(wire + len, f);
	CHECK_EQUAL(open_raw(port, &s), 0);
	CHECK_EQUAL(
		send_in_pieces(s, wire, len, step == 1 && len > 1000 ? len / 50 : step),
		0);
	CHECK_EQUAL(hear_all(s, heard, sizeof(heard)), 0);
	an_stream_close(s);
	if (strcmp(heard, c->expected) == 0)
		return 0;
	fprintf(stderr, "%s, in pieces of %zu: %s\n", c->name, step, heard);
	return CHECK_FAILED;
}

static int all_cases(void *arg)
{
	size_t step = *(size_t *)arg;
	struct site s;
	an_task *task;
	int r = 0;

	memset(long_payload, 'x', sizeof(long_payload));
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &s.listener), 0);
	CHECK_EQUAL(an_http_server_new(NULL, &s.server), 0);
	CHECK_EQUAL(an_http_route(s.server, "GET", "/", echo, NULL), 0);
	CHECK_EQUAL(an_spawn(serve, &s, NULL, &task), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int failed = run_case(&cases[i], an_listener_port(s.listener), step);

		r = failed ? failed : r;
	}
	an_http_server_shutdown(s.server);
	CHECK_EQUAL(an_join(task, NULL), 0);
	an_http_server_free(s.server);
	return r;
}

static void every_case_sent_at_once(void **state)
{
	size_t step = SIZE_MAX;

	(void)state;
	assert_int_equal(an_run(all_cases, &step, NULL), 0);
}

static void every_case_sent_byte_by_byte(void **state)
{
	size_t step = 1;

	(void)state;
	assert_int_equal(an_run(all_cases, &step, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_case_sent_at_once),
	cmocka_unit_test(every_case_sent_byte_by_byte),
};

TEST_MAIN("ws-conformance", tests)
