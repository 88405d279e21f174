/* The session: scripted bytes, whole, one by one, and cut at every offset, must give the
 * same events and the same replies. */
#include "tests/support/program.h"
#include "ws/session.h"

#include <asyncnet/error.h>
#include <asyncnet/testing.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIN 0x80
#define CONT AN__WS_CONTINUATION
#define TEXT AN__WS_OP_TEXT
#define BINARY AN__WS_OP_BINARY
#define CLOSE AN__WS_OP_CLOSE
#define PING AN__WS_OP_PING
#define PONG AN__WS_OP_PONG

static const an__ws_limits limits = { .message = 1000, .fragments = 8 };

/* ---- scripts ----------------------------------------------------------------------- */

typedef struct script {
	uint8_t bytes[1 << 16];
	size_t len;
	bool client; /* we are the client, so the peer does not mask */
} script;

static script the_script;

static script *begin(bool client)
{
	the_script.len = 0;
	the_script.client = client;
	return &the_script;
}

/* A frame's header with any length. */
static void add_header(script *s, unsigned first, uint64_t len, const uint8_t *key)
{
	size_t n = an__ws_frame_encode(s->bytes + s->len, 0, len, key);

	s->bytes[s->len] = (uint8_t)first;
	s->len += n;
}

static void add(script *s, unsigned first, const char *payload, size_t len)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };

	add_header(s, first, len, s->client ? NULL : key);
	for (size_t i = 0; i < len; i++) {
		uint8_t mask = s->client ? 0 : key[i & 3];

		s->bytes[s->len++] = (uint8_t)payload[i] ^ mask;
	}
}

#define ADD(s, first, literal) add(s, first, literal, sizeof(literal) - 1)

static void add_raw(script *s, const char *bytes, size_t len)
{
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

/* ---- transcripts ------------------------------------------------------------------- */

typedef struct transcript {
	char text[8192];
	size_t len;
} transcript;

static void say(transcript *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->text + t->len, sizeof(t->text) - t->len, fmt, ap);
	va_end(ap);
	assert_true(t->len < sizeof(t->text));
}

static void say_bytes(transcript *t, const char *what, const uint8_t *data, size_t len)
{
	say(t, "%s(", what);
	if (len > 40)
		say(t, "%zu bytes", len);
	for (size_t i = 0; i < len && len <= 40; i++)
		say(t, data[i] >= ' ' && data[i] < 127 ? "%c" : "\\%02x", data[i]);
	say(t, ") ");
}

static void say_event(transcript *t, const an__ws_session *s, int r,
		      const an__ws_event *e)
{
	switch (r) {
	case AN__WS_NONE:
		return;
	case AN__WS_MESSAGE:
		say_bytes(t, e->text ? "text" : "binary", e->data, e->len);
		return;
	case AN__WS_PONG:
		say_bytes(t, "pong", e->data, e->len);
		return;
	case AN__WS_CLOSE:
		say(t, "close(%u %s) ", s->close_code,
		    s->close_reason ? s->close_reason : "");
		return;
	}
	say(t, "%s(%u) ", an_error_name(r), s->close_code);
}

/* What the session put out, frame by frame. */
static void say_output(transcript *t, an__ws_session *s)
{
	static const char *const names[16] = {
		[TEXT] = "text", [CLOSE] = "close", [PING] = "ping", [PONG] = "pong"
	};
	uint8_t *at = s->output.data;
	size_t left = s->output.len;
	an__ws_frame f;

	say(t, "|");
	while (left) {
		ssize_t n = an__ws_frame_decode(at, left, s->client, &f);

		assert_true(n > 0 && left - (size_t)n >= f.length);
		an__ws_mask(at + n, at + n, (size_t)f.length, f.key, 0);
		say(t, " %s", names[f.opcode]);
		if (f.opcode == CLOSE && f.length >= 2)
			say(t, " %u", (unsigned)at[n] << 8 | at[n + 1]);
		else
			say_bytes(t, "", at + n, (size_t)f.length);
		at += (size_t)n + f.length;
		left -= (size_t)n + f.length;
	}
}

/* ---- running a script -------------------------------------------------------------- */

/* What holds the unread bytes between pieces, as a stream's buffer does. */
typedef struct feeder {
	an__ws_session session;
	uint8_t *unread;
	size_t len;
	transcript *t;
} feeder;

static void feed(feeder *f, const uint8_t *bytes, size_t len)
{
	/* Exactly as long as it must be, so that a sanitizer sees every byte too far. */
	uint8_t *all = malloc(f->len + len + 1);
	size_t at = 0, total = f->len + len, used;
	an__ws_event e;
	int r;

	assert_non_null(all);
	memcpy(all, f->unread, f->len);
	memcpy(all + f->len, bytes, len);
	free(f->unread);
	do {
		r = an__ws_session_feed(&f->session, all + at, total - at, &used, &e);
		at += used;
		say_event(f->t, &f->session, r, &e);
	} while (r > 0);
	f->len = total - at;
	assert_true(f->len < AN__WS_HEADER_MAX + AN__WS_CONTROL_MAX);
	f->unread = malloc(f->len + 1);
	assert_non_null(f->unread);
	memcpy(f->unread, all + at, f->len);
	free(all);
}

static void open_feeder(feeder *f, transcript *t, bool client, an__ws_random *random)
{
	memset(f, 0, sizeof(*f));
	memset(t, 0, sizeof(*t));
	f->t = t;
	f->unread = malloc(1);
	an__ws_session_init(&f->session, client, &limits, random);
}

static void close_feeder(feeder *f)
{
	say_output(f->t, &f->session);
	an__ws_session_done(&f->session);
	free(f->unread);
}

/* step: bytes of a piece after the first, which has `cut`. */
static void run_cut(const script *s, size_t cut, size_t step, transcript *t)
{
	static an__ws_random random;
	feeder f;

	open_feeder(&f, t, s->client, &random);
	for (size_t at = 0, n = cut; at < s->len; at += n, n = step) {
		if (n > s->len - at)
			n = s->len - at;
		feed(&f, s->bytes + at, n);
		an__ws_session_trim(&f.session);
	}
	close_feeder(&f);
}

static void expect(const script *s, const char *expected)
{
	static transcript t;

	run_cut(s, s->len, s->len, &t);
	assert_string_equal(t.text, expected);
	for (size_t step = 1; step < 10; step++) {
		run_cut(s, step, step, &t);
		assert_string_equal(t.text, expected);
	}
	for (size_t cut = 1; cut < s->len; cut++) {
		run_cut(s, cut, s->len, &t);
		assert_string_equal(t.text, expected);
	}
}

/* ---- messages ---------------------------------------------------------------------- */

static void whole_messages_arrive_in_their_order(void **state)
{
	for (int client = 0; client < 2; client++) {
		script *s = begin(client);

		ADD(s, FIN | TEXT, "Hello");
		ADD(s, FIN | BINARY, "\1\2\xff");
		ADD(s, FIN | TEXT, "");
		ADD(s, FIN | TEXT, "caf\xc3\xa9");
		expect(s, "text(Hello) binary(\\01\\02\\ff) text() text(caf\\c3\\a9) |");
	}
	(void)state;
}

static void fragments_make_one_message(void **state)
{
	for (int client = 0; client < 2; client++) {
		script *s = begin(client);

		ADD(s, TEXT, "Hel");
		ADD(s, CONT, "");
		ADD(s, CONT, "lo, w");
		ADD(s, FIN | CONT, "orld");
		ADD(s, BINARY, "");
		ADD(s, FIN | CONT, "");
		ADD(s, FIN | BINARY, "x");
		expect(s, "text(Hello, world) binary() binary(x) |");
	}
	(void)state;
}

static void control_frames_may_stand_between_fragments(void **state)
{
	for (int client = 0; client < 2; client++) {
		script *s = begin(client);

		ADD(s, TEXT, "Hel");
		ADD(s, FIN | PING, "one");
		ADD(s, CONT, "l");
		ADD(s, FIN | PONG, "un");
		ADD(s, FIN | PING, "");
		ADD(s, FIN | CONT, "o");
		expect(s, "pong(un) text(Hello) | pong(one)  pong() ");
	}
	(void)state;
}

static void characters_may_be_cut_between_fragments(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, TEXT, "\xf0\x9f");
	ADD(s, CONT, "\x8e");
	ADD(s, FIN | CONT, "\x89");
	expect(s, "text(\\f0\\9f\\8e\\89) |");
}

static void a_long_message_keeps_the_phase_of_its_mask(void **state)
{
	char text[1000];
	script *s = begin(false);

	(void)state;
	memset(text, 'm', sizeof(text));
	add(s, FIN | TEXT, text, sizeof(text));
	add(s, BINARY, text, 333);
	add(s, FIN | CONT, text, 334);
	expect(s, "text(1000 bytes) binary(667 bytes) |");
}

/* ---- violations -------------------------------------------------------------------- */

static void a_continuation_of_nothing_is_1002(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | TEXT, "a");
	ADD(s, FIN | CONT, "b");
	ADD(s, FIN | TEXT, "c");
	expect(s, "text(a) AN_ERR_MALFORMED(1002) | close 1002");
}

static void a_new_message_inside_another_is_1002(void **state)
{
	for (int client = 0; client < 2; client++) {
		script *s = begin(client);

		ADD(s, TEXT, "a");
		ADD(s, FIN | TEXT, "b");
		expect(s, "AN_ERR_MALFORMED(1002) | close 1002");
	}
	(void)state;
}

static void bad_headers_are_1002(void **state)
{
	static const char *const headers[] = {
		"\xc1\x80",	    /* RSV1 */
		"\x83\x80",	    /* a reserved opcode */
		"\x81\x05",	    /* not masked */
		"\x09\x80",	    /* a fragmented Ping */
		"\x89\xfe",	    /* a long Ping */
		"\x82\xfe\x00\x01", /* a length not in its shortest form */
		"\x82\xff\x80",	    /* bit 63 of a length */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		script *s = begin(false);

		ADD(s, FIN | PING, "1");
		add_raw(s, headers[i], 2);
		if (headers[i][1] & 0x7e && (headers[i][0] & 15) == 2)
			add_raw(s, headers[i] + 2, headers[i][1] & 1 ? 1 : 2);
		expect(s, "AN_ERR_MALFORMED(1002) | pong(1)  close 1002");
	}
}

static void a_masked_frame_from_a_server_is_1002(void **state)
{
	script *s = begin(true);

	(void)state;
	add_raw(s, "\x81\x81\1\2\3\4x", 7);
	expect(s, "AN_ERR_MALFORMED(1002) | close 1002");
}

static void text_that_is_not_utf8_is_1007(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | TEXT, "a\xed\xa0\x80");
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
	s = begin(false);
	ADD(s, FIN | TEXT, "cut \xe2\x82");
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
	s = begin(false);
	ADD(s, TEXT, "cut \xe2\x82");
	ADD(s, FIN | CONT, "");
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
	s = begin(false);
	ADD(s, FIN | BINARY, "a\xed\xa0\x80");
	expect(s, "binary(a\\ed\\a0\\80) |");
}

static void bad_text_is_refused_before_its_frame_is_whole(void **state)
{
	static const uint8_t key[4];
	script *s = begin(false);

	(void)state;
	add_header(s, FIN | TEXT, 900, key);
	add_raw(s, "abc\xff", 4);
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
	s = begin(false);
	ADD(s, TEXT, "abc\xff");
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
}

/* ---- limits ------------------------------------------------------------------------ */

static void a_message_of_the_limit_passes_and_one_byte_more_is_1009(void **state)
{
	static char data[1001];
	script *s = begin(false);

	(void)state;
	memset(data, 'd', sizeof(data));
	add(s, FIN | BINARY, data, 1000);
	expect(s, "binary(1000 bytes) |");
	s = begin(false);
	add(s, FIN | BINARY, data, 1001);
	expect(s, "AN_ERR_LIMIT(1009) | close 1009");
}

static void the_limit_is_for_all_fragments_together(void **state)
{
	static char data[600];
	script *s = begin(false);

	(void)state;
	memset(data, 'd', sizeof(data));
	add(s, BINARY, data, 600);
	add(s, FIN | CONT, data, 400);
	expect(s, "binary(1000 bytes) |");
	s = begin(false);
	add(s, BINARY, data, 600);
	ADD(s, CONT, "");
	add(s, FIN | CONT, data, 401);
	expect(s, "AN_ERR_LIMIT(1009) | close 1009");
}

static void an_announced_length_above_the_limit_is_refused_without_its_bytes(void **state)
{
	static const uint8_t key[4];
	script *s = begin(false);

	(void)state;
	add_header(s, FIN | BINARY, INT64_MAX, key);
	expect(s, "AN_ERR_LIMIT(1009) | close 1009");
	s = begin(false);
	ADD(s, BINARY, "x");
	add_header(s, FIN | CONT, INT64_MAX, key);
	expect(s, "AN_ERR_LIMIT(1009) | close 1009");
}

static void endless_fragments_are_1008(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, BINARY, "");
	for (int i = 0; i < 7; i++)
		ADD(s, CONT, "");
	ADD(s, CONT, "");
	expect(s, "AN_ERR_LIMIT(1008) | close 1008");
}

static void memory_follows_what_was_received(void **state)
{
	static const an__ws_limits large = { .message = 1 << 30, .fragments = 8 };
	static an__ws_random random;
	an__ws_session session;
	an__ws_event e;
	uint8_t bytes[15] = { 0x82, 0xff, 0, 0, 0, 0, 0x3f };
	size_t used;

	(void)state;
	an__ws_session_init(&session, false, &large, &random);
	assert_int_equal(an__ws_session_feed(&session, bytes, sizeof(bytes), &used, &e),
			 AN__WS_NONE);
	assert_int_equal(session.len, 1);
	assert_in_range(session.cap, 1, 4096);
	an__ws_session_done(&session);
}

/* Takes one binary message of `len` bytes of `letter` and looks at it. */
static void take_large(an__ws_session *session, size_t len, char letter)
{
	static uint8_t bytes[300000];
	an__ws_event e;
	size_t n = an__ws_frame_encode(bytes, AN__WS_OP_BINARY, len,
				       (const uint8_t *)"\0\0\0");
	size_t used;

	memset(bytes + n, letter, len);
	assert_int_equal(an__ws_session_feed(session, bytes, n + len / 2, &used, &e),
			 AN__WS_NONE);
	assert_int_equal(used, n + len / 2);
	assert_int_equal(
		an__ws_session_feed(session, bytes + used, len - len / 2, &used, &e),
		AN__WS_MESSAGE);
	assert_int_equal(e.len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(e.data[i], letter);
	an__ws_session_trim(session);
	assert_null(session->message);
}

static void one_large_buffer_is_kept_for_all(void **state)
{
	static const an__ws_limits large = { .message = 1 << 20, .fragments = 8 };
	static an__ws_random random;
	an__ws_session one, two;
	an__ws_spare spare = { 0 };
	uint8_t *kept;

	(void)state;
	an__ws_session_init(&one, false, &large, &random);
	an__ws_session_init(&two, false, &large, &random);
	one.spare = two.spare = &spare;
	take_large(&one, 60000, 'a');
	assert_null(spare.data);
	take_large(&one, 200000, 'b');
	kept = spare.data;
	assert_non_null(kept);
	take_large(&two, 150000, 'c');
	assert_ptr_equal(spare.data, kept);
	take_large(&two, 290000, 'd');
	assert_true(spare.cap >= 290000);
	an__ws_session_done(&one);
	an__ws_session_done(&two);
	free(spare.data);
}

static void an_idle_session_holds_nothing(void **state)
{
	static an__ws_random random;
	static char data[900];
	transcript t;
	feeder f;
	script *s = begin(false);

	(void)state;
	ADD(s, TEXT, "a");
	ADD(s, FIN | PING, "a");
	add(s, FIN | CONT, data, sizeof(data));
	open_feeder(&f, &t, false, &random);
	for (size_t i = 0; i < s->len; i++)
		feed(&f, s->bytes + i, 1);
	f.session.output.len = 0;
	an__ws_session_trim(&f.session);
	assert_null(f.session.engine);
	assert_null(f.session.message);
	assert_null(f.session.output.data);
	close_feeder(&f);
}

static void a_long_payload_can_be_read_into_its_place(void **state)
{
	static an__ws_random random;
	static char data[1000];
	transcript t;
	feeder f;
	an__ws_event e;
	uint8_t *room;
	size_t n, at = 20, total;
	int r = AN__WS_NONE;
	script *s = begin(false);

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)('a' + i % 26);
	add(s, FIN | TEXT, data, sizeof(data));
	open_feeder(&f, &t, false, &random);
	assert_int_equal(an__ws_session_room(&f.session, 100, &room, &n), 0);
	assert_int_equal(n, 0);
	feed(&f, s->bytes, at);
	for (total = s->len; r == AN__WS_NONE && at < total; at += n) {
		assert_int_equal(an__ws_session_room(&f.session, 1, &room, &n), 0);
		assert_true(n > 0);
		if (n > 77)
			n = 77;
		memcpy(room, s->bytes + at, n);
		r = an__ws_session_received(&f.session, n, &e);
	}
	assert_int_equal(r, AN__WS_MESSAGE);
	assert_int_equal(at, total);
	assert_int_equal(e.len, sizeof(data));
	assert_memory_equal(e.data, data, sizeof(data));
	close_feeder(&f);
}

/* ---- pings ------------------------------------------------------------------------- */

static void a_long_ping_is_answered_with_all_of_it(void **state)
{
	static char data[125];
	script *s = begin(false);

	(void)state;
	add(s, FIN | PING, data, sizeof(data));
	expect(s, "| pong(125 bytes) ");
}

static void without_room_only_the_latest_pong_is_kept(void **state)
{
	static an__ws_random random;
	transcript t;
	feeder f;
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | PING, "1");
	ADD(s, FIN | PING, "2");
	ADD(s, FIN | PING, "3");
	open_feeder(&f, &t, false, &random);
	an__ws_session_pong_room(&f.session, 4);
	feed(&f, s->bytes, s->len);
	assert_int_equal(f.session.output.len, 3);
	assert_int_equal(an__ws_session_pong_room(&f.session, 2), 0);
	assert_int_equal(f.session.output.len, 3);
	assert_int_equal(an__ws_session_pong_room(&f.session, 100), 0);
	assert_int_equal(an__ws_session_pong_room(&f.session, 100), 0);
	close_feeder(&f);
	assert_string_equal(t.text, "| pong(1)  pong(3) ");
}

static void our_ping_goes_out_with_its_payload(void **state)
{
	static an__ws_random random;

	(void)state;
	for (int client = 0; client < 2; client++) {
		transcript t;
		feeder f;

		open_feeder(&f, &t, client, &random);
		assert_int_equal(an__ws_session_ping(&f.session, "12345678", 8), 0);
		close_feeder(&f);
		assert_string_equal(t.text, "| ping(12345678) ");
	}
}

/* ---- closing ----------------------------------------------------------------------- */

static void every_valid_close_code_is_echoed(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 65536;
	     code += code < 1020 || code > 2990 ? 1 : 97) {
		char payload[2] = { (char)(code >> 8), (char)code };
		char expected[80];
		transcript t;
		script *s = begin(code & 1);
		bool valid = an__ws_close_code_valid(code);

		if (code > 5010)
			break;
		add(s, FIN | CLOSE, payload, 2);
		run_cut(s, s->len, s->len, &t);
		if (valid)
			snprintf(expected, sizeof(expected), "close(%u ) | close %u",
				 code, code);
		else
			snprintf(expected, sizeof(expected),
				 "AN_ERR_MALFORMED(1002) | close 1002");
		assert_string_equal(t.text, expected);
	}
}

static void a_close_without_code_is_1005(void **state)
{
	for (int client = 0; client < 2; client++) {
		script *s = begin(client);

		ADD(s, FIN | CLOSE, "");
		expect(s, "close(1005 ) | close() ");
	}
	(void)state;
}

static void a_close_of_one_byte_is_1002(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | CLOSE, "\x03");
	expect(s, "AN_ERR_MALFORMED(1002) | close 1002");
}

static void a_reason_may_come_in_pieces(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | CLOSE, "\x03\xe8gr\xc3\xbc\xc3\x9f dich");
	expect(s, "close(1000 gr\xc3\xbc\xc3\x9f dich) | close 1000");
}

static void a_reason_of_123_bytes_is_taken_whole(void **state)
{
	char payload[125] = "\x03\xe9", expected[200];
	script *s = begin(false);

	(void)state;
	memset(payload + 2, 'r', 123);
	add(s, FIN | CLOSE, payload, 125);
	snprintf(expected, sizeof(expected), "close(1001 %.123s) | close 1001",
		 payload + 2);
	expect(s, expected);
}

static void a_reason_that_is_not_utf8_is_1007(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | CLOSE, "\x03\xe8\xe2\x82");
	expect(s, "AN_ERR_MALFORMED(1007) | close 1007");
}

static void data_after_a_close_is_ignored(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, FIN | TEXT, "a");
	ADD(s, FIN | CLOSE, "\x03\xe8");
	ADD(s, FIN | TEXT, "b");
	ADD(s, FIN | PING, "b");
	add_raw(s, "\xff\xff\xff", 3);
	expect(s, "text(a) close(1000 ) | close 1000");
}

static void a_close_inside_a_fragmented_message_closes(void **state)
{
	script *s = begin(false);

	(void)state;
	ADD(s, TEXT, "a");
	ADD(s, FIN | CLOSE, "\x03\xe8");
	ADD(s, FIN | CONT, "b");
	expect(s, "close(1000 ) | close 1000");
}

/* After our Close: messages still come, Pings are not answered, the peer's Close is not
 * echoed, and a violation gets no second Close. */
static void our_close_is_the_last_that_we_send(void **state)
{
	static an__ws_random random;
	static const char *const ends[] = { "close(4000 bye) | close 1000",
					    "AN_ERR_MALFORMED(1002) | close 1000" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		transcript t;
		feeder f;
		char expected[100];
		uint8_t header[AN__WS_HEADER_MAX], key[4];
		script *s = begin(i & 2);

		open_feeder(&f, &t, s->client, &random);
		assert_int_equal(an__ws_session_close(&f.session, 1000, "done", 4), 0);
		assert_int_equal(an__ws_session_close(&f.session, 1001, "", 0), 0);
		assert_int_equal(f.session.state, AN__WS_CLOSE_SENT);
		assert_int_equal(an__ws_session_header(&f.session, true, 1, header, key),
				 AN_ERR_CLOSED);
		assert_int_equal(an__ws_session_ping(&f.session, "", 0), AN_ERR_CLOSED);
		ADD(s, TEXT, "la");
		ADD(s, FIN | PING, "?");
		ADD(s, FIN | CONT, "te");
		if (i & 1)
			add_raw(s, "\xff", 1);
		else
			ADD(s, FIN | CLOSE,
			    "\x0f\xa0"
			    "bye");
		feed(&f, s->bytes, s->len);
		assert_int_equal(f.session.state, i & 1 ? AN__WS_FAILED : AN__WS_CLOSED);
		close_feeder(&f);
		snprintf(expected, sizeof(expected), "text(late) %s", ends[i & 1]);
		assert_string_equal(t.text, expected);
	}
}

static void a_close_that_must_not_travel_is_not_sent(void **state)
{
	static an__ws_random random;
	an__ws_session s;
	char reason[124];

	(void)state;
	memset(reason, 'r', sizeof(reason));
	an__ws_session_init(&s, false, &limits, &random);
	assert_int_equal(an__ws_session_close(&s, 1005, "", 0), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 1006, "", 0), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 999, "", 0), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 5000, "", 0), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 1000, "\xff", 1), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 1000, reason, 124), -EINVAL);
	assert_int_equal(an__ws_session_close(&s, 0, "x", 1), -EINVAL);
	assert_int_equal(s.state, AN__WS_OPEN);
	assert_int_equal(an__ws_session_close(&s, 1012, reason, 123), 0);
	assert_int_equal(s.output.len, 127);
	an__ws_session_done(&s);
}

/* ---- sending ----------------------------------------------------------------------- */

static void a_client_masks_with_a_fresh_key_each_time(void **state)
{
	static an__ws_random random;
	uint8_t header[AN__WS_HEADER_MAX], key[4], last[4] = { 0 };
	an__ws_session s;
	int same = 0;

	(void)state;
	an__ws_session_init(&s, true, &limits, &random);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(an__ws_session_header(&s, true, 5, header, key), 6);
		assert_memory_equal(header, "\x81\x85", 2);
		assert_memory_equal(header + 2, key, 4);
		same += !memcmp(key, last, 4);
		memcpy(last, key, 4);
	}
	assert_in_range(same, 0, 2);
	an__ws_session_done(&s);
}

/* ---- memory that fails ------------------------------------------------------------- */

/* Feeds a script one byte at a time, all in static memory. Returns the first error. */
static int feed_slowly(an__ws_session *session, const script *s)
{
	static uint8_t work[sizeof(s->bytes)];
	size_t at = 0, used;
	an__ws_event e;
	int r = 0;

	memcpy(work, s->bytes, s->len);
	for (size_t end = 1; end <= s->len && r >= 0; end++) {
		do {
			r = an__ws_session_feed(session, work + at, end - at, &used, &e);
			at += used;
		} while (r > 0);
	}
	return r;
}

static void every_failed_allocation_ends_the_session_and_leaks_nothing(void **state)
{
	static an__ws_random random;
	static char data[900];
	script *s = begin(false);
	size_t n;

	(void)state;
	ADD(s, FIN | PING, "ping");
	add(s, BINARY, data, sizeof(data));
	ADD(s, FIN | PING, "ping");
	ADD(s, FIN | CONT, "end");
	ADD(s, FIN | CLOSE, "\x03\xe8reason");
	for (n = 1;; n++) {
		an__ws_session session;
		bool failed;
		int r;

		an__ws_session_init(&session, false, &limits, &random);
		an_testing_fail_allocation(n);
		r = feed_slowly(&session, s);
		failed = an_testing_allocation_failed();
		if (failed && r == 0) /* only a reason was lost */
			assert_null(session.close_reason);
		else if (failed)
			assert_int_equal(r, -ENOMEM);
		assert_int_equal(session.state, r < 0 ? AN__WS_FAILED : AN__WS_CLOSED);
		an__ws_session_done(&session);
		if (!failed)
			break;
	}
	assert_in_range(n, 4, 20);
}

/* ---- random bytes ------------------------------------------------------------------ */

/* Nothing that is fed makes the session misbehave; a sanitizer watches. */
static void garbage_ends_in_an_error_or_in_messages(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		transcript t;
		script *s = begin(round & 1);

		while (s->len < 120) {
			static const uint8_t firsts[] = { 0x81, 0x82, 0x01, 0x02, 0x80,
							  0x00, 0x88, 0x89, 0x8a };
			seed = seed * 1103515245 + 12345;
			if (seed >> 28) {
				char payload[8];
				size_t n = (seed >> 20) & 7;

				for (size_t i = 0; i < n; i++)
					payload[i] = (char)(seed >> (8 + i));
				add(s, firsts[(seed >> 16) % sizeof(firsts)], payload, n);
			} else {
				s->bytes[s->len++] = (uint8_t)(seed >> 16);
			}
		}
		run_cut(s, s->len, s->len, &t);
		expect(s, t.text);
		if (round > 200) /* once all cuts, then only this much */
			round += 10;
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(whole_messages_arrive_in_their_order),
	cmocka_unit_test(fragments_make_one_message),
	cmocka_unit_test(control_frames_may_stand_between_fragments),
	cmocka_unit_test(characters_may_be_cut_between_fragments),
	cmocka_unit_test(a_long_message_keeps_the_phase_of_its_mask),
	cmocka_unit_test(a_continuation_of_nothing_is_1002),
	cmocka_unit_test(a_new_message_inside_another_is_1002),
	cmocka_unit_test(bad_headers_are_1002),
	cmocka_unit_test(a_masked_frame_from_a_server_is_1002),
	cmocka_unit_test(text_that_is_not_utf8_is_1007),
	cmocka_unit_test(bad_text_is_refused_before_its_frame_is_whole),
	cmocka_unit_test(a_message_of_the_limit_passes_and_one_byte_more_is_1009),
	cmocka_unit_test(the_limit_is_for_all_fragments_together),
	cmocka_unit_test(
		an_announced_length_above_the_limit_is_refused_without_its_bytes),
	cmocka_unit_test(endless_fragments_are_1008),
	cmocka_unit_test(memory_follows_what_was_received),
	cmocka_unit_test(one_large_buffer_is_kept_for_all),
	cmocka_unit_test(an_idle_session_holds_nothing),
	cmocka_unit_test(a_long_payload_can_be_read_into_its_place),
	cmocka_unit_test(a_long_ping_is_answered_with_all_of_it),
	cmocka_unit_test(without_room_only_the_latest_pong_is_kept),
	cmocka_unit_test(our_ping_goes_out_with_its_payload),
	cmocka_unit_test(every_valid_close_code_is_echoed),
	cmocka_unit_test(a_close_without_code_is_1005),
	cmocka_unit_test(a_close_of_one_byte_is_1002),
	cmocka_unit_test(a_reason_may_come_in_pieces),
	cmocka_unit_test(a_reason_of_123_bytes_is_taken_whole),
	cmocka_unit_test(a_reason_that_is_not_utf8_is_1007),
	cmocka_unit_test(data_after_a_close_is_ignored),
	cmocka_unit_test(a_close_inside_a_fragmented_message_closes),
	cmocka_unit_test(our_close_is_the_last_that_we_send),
	cmocka_unit_test(a_close_that_must_not_travel_is_not_sent),
	cmocka_unit_test(a_client_masks_with_a_fresh_key_each_time),
	cmocka_unit_test(every_failed_allocation_ends_the_session_and_leaks_nothing),
	cmocka_unit_test(garbage_ends_in_an_error_or_in_messages),
};

TEST_MAIN("ws/session", tests)
