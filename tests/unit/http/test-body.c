/* The body decoder and the encoders: framings whole, byte by byte and cut at every
 * offset; what must be refused in chunk framing; trailers; what the head writer
 * refuses. */
#include "http/body.h"
#include "http/write.h"

#include "tests/support/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decoded {
	int result; /* AN__BODY_END, AN__BODY_MORE or an error */
	size_t used;
	size_t len;
	char data[4096];
};

/* Decodes what is given in steps of growing prefixes; bytes done with are dropped, as a
 * stream would. */
static void decode(an__http_body *b, const char *text, size_t len, const size_t *cuts,
		   size_t count, struct decoded *ret)
{
	*ret = (struct decoded){ 0 };
	for (size_t i = 0; i <= count; i++) {
		size_t visible = i < count ? cuts[i] : len;

		for (;;) {
			size_t n = visible - ret->used;
			char *block = malloc(n ? n : 1);
			an__http_piece piece;

			memcpy(block, text + ret->used, n);
			ret->result = an__http_body_next(b, block, n, &piece);
			if (ret->result >= 0) {
				memcpy(ret->data + ret->len, piece.data, piece.len);
				ret->len += piece.len;
				ret->used += piece.used;
			}
			free(block);
			if (ret->result != AN__BODY_DATA)
				break;
		}
		if (ret->result != AN__BODY_MORE)
			return;
	}
}

static void decode_all_ways(enum an__http_framing framing, uint64_t length,
			    const char *text, size_t len, struct decoded *ret)
{
	static struct decoded other;
	size_t *cuts = calloc(len + 1, sizeof(*cuts));
	an__http_head trailers;
	an__http_body b;

	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &an__http_server_limits);
	an__http_body_init(&b, framing, length, &trailers);
	decode(&b, text, len, NULL, 0, ret);
	for (size_t i = 0; i <= len; i++) {
		bool all = i == len;

		for (size_t k = 0; all && k < len; k++)
			cuts[k] = k;
		an__http_body_init(&b, framing, length, &trailers);
		decode(&b, text, len, all ? cuts : &i, all ? len : 1, &other);
		if (other.result != ret->result || other.len != ret->len ||
		    memcmp(other.data, ret->data, ret->len) != 0)
			if (ret->result >= 0 || other.result != ret->result)
				fail_msg("cut at %zu: %d and %d: %s", i, ret->result,
					 other.result, text);
	}
	free(cuts);
	an__http_head_done(&trailers);
}

struct chunk_case {
	const char *body; /* NULL: refused */
	const char *text;
	size_t len;
};

#define IS(body, text) \
	{ \
		body, text, sizeof(text) - 1 \
	}
#define BAD(text) \
	{ \
		NULL, text, sizeof(text) - 1 \
	}

static const struct chunk_case chunks[] = {
	IS("", "0\r\n\r\n"),
	IS("", "0000000000000000\r\n\r\n"),
	IS("hello", "5\r\nhello\r\n0\r\n\r\n"),
	IS("hello world", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
	IS("hello", "0000000000000005\r\nhello\r\n0\r\n\r\n"),
	IS("0123456789abcdef", "10\r\n0123456789abcdef\r\n000\r\n\r\n"),
	IS("0123456789", "a\r\n0123456789\r\n0\r\n\r\n"),
	IS("0123456789", "A\r\n0123456789\r\n0\r\n\r\n"),
	IS("a\r\n0\r\n", "6\r\na\r\n0\r\n\r\n0\r\n\r\n"),
	IS("hello", "5;a\r\nhello\r\n0;b\r\n\r\n"),
	IS("hello", "5;a=b\r\nhello\r\n0\r\n\r\n"),
	IS("hello", "5;a=b;c;d=\"e;\\\"\\\\ \t\xff\"\r\nhello\r\n0\r\n\r\n"),
	IS("hello", "5; a = b ; c\r\nhello\r\n0\r\n\r\n"),
	IS("hello", "5;a=\"\"\r\nhello\r\n0\r\n\r\n"),
	IS("", "0\r\nX: y\r\nZ: \r\n\r\n"),
	BAD("\r\nhello"),
	BAD("\n"),
	BAD("x\r\n"),
	BAD("-5\r\nhello\r\n0\r\n\r\n"),
	BAD("+5\r\nhello\r\n0\r\n\r\n"),
	BAD("0x5\r\nhello\r\n0\r\n\r\n"),
	BAD("5_0\r\n"),
	BAD(" 5\r\nhello\r\n0\r\n\r\n"),
	BAD("5 \r\nhello\r\n0\r\n\r\n"),
	BAD("5\t\r\nhello\r\n0\r\n\r\n"),
	BAD("5 ;a\r\nhello\r\n0\r\n\r\n"),
	BAD("5\nhello\r\n0\r\n\r\n"),
	BAD("5\rhello\r\n0\r\n\r\n"),
	BAD("5\r\rhello\r\n0\r\n\r\n"),
	BAD("5\r\nhello\n0\r\n\r\n"),
	BAD("5\r\nhello\r0\r\n\r\n"),
	BAD("5\r\nhelloXX0\r\n\r\n"),
	BAD("5\r\nhello0\r\n\r\n"),
	BAD("5\r\nhello!\r\n0\r\n\r\n"),
	BAD("5\r\nhello\r\n\r\n"),
	BAD("5\r\nhello\r\n0\n\r\n"),
	BAD("00000000000000005\r\nhello\r\n0\r\n\r\n"),
	BAD("8000000000000000\r\n"),
	BAD("ffffffffffffffff\r\n"),
	BAD("10000000000000005\r\nhello\r\n0\r\n\r\n"),
	BAD("5;\r\nhello\r\n0\r\n\r\n"),
	BAD("5;;a\r\nhello\r\n0\r\n\r\n"),
	BAD("5;=b\r\nhello\r\n0\r\n\r\n"),
	BAD("5;a=\r\nhello\r\n0\r\n\r\n"),
	BAD("5;a b\r\nhello\r\n0\r\n\r\n"),
	BAD("5;a \r\nhello\r\n0\r\n\r\n"),
	BAD("5;a=b \r\nhello\r\n0\r\n\r\n"),
	BAD("5;a=\"b\r\nhello\"\r\n0\r\n\r\n"),
	BAD("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"),
	BAD("5;a\nhello\r\n0\r\n\r\n"),
	BAD("5;a\r\r\nhello\r\n0\r\n\r\n"),
	BAD("5;a\0\r\nhello\r\n0\r\n\r\n"),
	BAD("5;\x80\r\nhello\r\n0\r\n\r\n"),
	BAD("0\r\n\n"),
	BAD("0\r\nX\r\n\r\n"),
	BAD("0\r\nX : y\r\n\r\n"),
	BAD("0\r\n X: y\r\n\r\n"),
	BAD("0\r\nX: y\r\n z\r\n\r\n"),
	BAD("0\r\nX: y\n\r\n"),
	BAD("0\r\nX: \x01\r\n\r\n"),
	BAD("0\r\nGET / HTTP/1.1\r\n\r\n"),
};

static void chunks_follow_the_grammar(void **state)
{
	static struct decoded d;

	(void)state;
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		const struct chunk_case *c = &chunks[i];

		decode_all_ways(AN__HTTP_CHUNKED_BODY, 0, c->text, c->len, &d);
		if (!c->body && d.result != AN_ERR_MALFORMED)
			fail_msg("%d, not refused: %s", d.result, c->text);
		if (!c->body)
			continue;
		if (d.result != AN__BODY_END || d.used != c->len)
			fail_msg("%d, %zu used: %s", d.result, d.used, c->text);
		assert_int_equal(d.len, strlen(c->body));
		assert_memory_equal(d.data, c->body, d.len);
	}
}

static void bytes_behind_the_body_stay(void **state)
{
	static struct decoded d;
	const char text[] = "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n";

	(void)state;
	decode_all_ways(AN__HTTP_CHUNKED_BODY, 0, text, strlen(text), &d);
	assert_int_equal(d.result, AN__BODY_END);
	assert_int_equal(d.used, strlen("1\r\nx\r\n0\r\n\r\n"));
	decode_all_ways(AN__HTTP_LENGTH, 3, "abcdef", 6, &d);
	assert_int_equal(d.result, AN__BODY_END);
	assert_int_equal(d.used, 3);
	decode_all_ways(AN__HTTP_NO_BODY, 0, "abc", 3, &d);
	assert_int_equal(d.result, AN__BODY_END);
	assert_int_equal(d.used, 0);
}

static void the_end_of_input_ends_only_what_goes_until_it(void **state)
{
	static struct decoded d;
	an__http_head trailers;
	an__http_body b;

	(void)state;
	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &an__http_server_limits);
	an__http_body_init(&b, AN__HTTP_UNTIL_CLOSE, 0, NULL);
	decode(&b, "abc", 3, NULL, 0, &d);
	assert_int_equal(d.result, AN__BODY_MORE);
	assert_int_equal(d.len, 3);
	assert_int_equal(an__http_body_direct(&b), UINT64_MAX);
	assert_int_equal(an__http_body_eof(&b), 0);
	assert_true(an__http_body_at_end(&b));
	an__http_body_init(&b, AN__HTTP_LENGTH, 4, NULL);
	decode(&b, "abc", 3, NULL, 0, &d);
	assert_int_equal(an__http_body_direct(&b), 1);
	assert_int_equal(an__http_body_eof(&b), AN_ERR_TRUNCATED);
	an__http_body_took(&b, 1);
	assert_int_equal(an__http_body_eof(&b), 0);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	decode(&b, "3\r\nabc\r\n0\r\n", 11, NULL, 0, &d);
	assert_int_equal(an__http_body_eof(&b), AN_ERR_TRUNCATED);
	an__http_head_done(&trailers);
}

static void trailers_are_kept_but_for_those_that_frame(void **state)
{
	char text[] = "0\r\nX: y\r\nContent-Length: 5\r\nhost: b\r\nTransfer-Encoding: "
		      "chunked\r\n"
		      "Authorization: z\r\n\r\n";
	an__http_head trailers;
	an__http_piece piece;
	an__http_body b;

	(void)state;
	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &an__http_server_limits);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	assert_int_equal(an__http_body_next(&b, text, strlen(text), &piece),
			 AN__BODY_END);
	assert_int_equal(piece.used, strlen(text));
	an__http_headers_adopt(&trailers.headers, text + 3);
	assert_int_equal(an_http_headers_count(&trailers.headers), 1);
	assert_string_equal(an_http_headers_get(&trailers.headers, "x"), "y");
	an__http_head_done(&trailers);
}

static void trailers_have_a_limit(void **state)
{
	const an__http_limits limits = { 20, 20, 2 };
	an__http_head trailers;
	an__http_piece piece;
	an__http_body b;

	(void)state;
	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &limits);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	assert_int_equal(
		an__http_body_next(&b, "0\r\nA: 8901234567890\r\n\r\n", 23, &piece),
		AN__BODY_END);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	assert_int_equal(
		an__http_body_next(&b, "0\r\nA: 89012345678901\r\n\r\n", 24, &piece),
		AN_ERR_LIMIT);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	assert_int_equal(an__http_body_next(&b, "0\r\na:b\r\nc:d\r\n\r\n", 15, &piece),
			 AN__BODY_END);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	assert_int_equal(
		an__http_body_next(&b, "0\r\na:\r\nb:\r\nc:\r\n\r\n", 17, &piece),
		AN_ERR_LIMIT);
	an__http_head_done(&trailers);
}

static int decode_extension(size_t len, size_t repeats)
{
	an__http_head trailers;
	an__http_piece piece;
	an__http_body b;
	char text[AN__HTTP_EXT_LIMIT + 32];
	int r = AN__BODY_MORE;

	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &an__http_server_limits);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	memset(text, 'e', sizeof(text));
	memcpy(text, "1;", 2);
	memcpy(text + 2 + len - 1, "\r\nx\r\n", 5);
	for (size_t i = 0; i < repeats && r >= 0; i++) {
		size_t at = 0, all = 2 + len - 1 + 5;

		while (at < all && r >= 0) {
			r = an__http_body_next(&b, text + at, all - at, &piece);
			at += piece.used;
		}
	}
	an__http_head_done(&trailers);
	return r;
}

static void extensions_have_a_limit(void **state)
{
	(void)state;
	/* The ';' begins it and is not counted; the CR that ends it is. */
	assert_int_equal(decode_extension(AN__HTTP_EXT_LIMIT, 1), AN__BODY_MORE);
	assert_int_equal(decode_extension(AN__HTTP_EXT_LIMIT + 1, 1), AN_ERR_MALFORMED);
	assert_int_equal(decode_extension(128, AN__HTTP_EXT_TOTAL / 128), AN__BODY_MORE);
	assert_int_equal(decode_extension(128, AN__HTTP_EXT_TOTAL / 128 + 1),
			 AN_ERR_MALFORMED);
}

/* ---- encoders -------------------------------------------------------------------- */

static void chunk_heads_are_written_in_hexadecimal(void **state)
{
	const size_t sizes[] = { 1, 15, 16, 255, 4096, 65536, 0x123456789abcdef };
	char buf[AN__HTTP_CHUNK_HEAD_MAX], expect[32];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t n = an__http_chunk_head(buf, sizes[i]);

		snprintf(expect, sizeof(expect), "%zx\r\n", sizes[i]);
		assert_int_equal(n, strlen(expect));
		assert_memory_equal(buf, expect, n);
	}
}

static int put_field(const char *name, const char *value)
{
	an__http_writer w;
	int r;

	an__http_writer_init(&w, NULL, 0);
	an__http_put_field(&w, name, value);
	r = w.error;
	if (r < 0)
		assert_int_equal(w.len, 0);
	an__http_writer_done(&w);
	return r;
}

static void fields_that_would_split_a_message_are_not_written(void **state)
{
	(void)state;
	assert_int_equal(put_field("x", "a\tb \xff"), 0);
	assert_int_equal(put_field("x", ""), 0);
	assert_int_equal(put_field("", "a"), -EINVAL);
	assert_int_equal(put_field("x:", "a"), -EINVAL);
	assert_int_equal(put_field("x ", "a"), -EINVAL);
	assert_int_equal(put_field("x\r\ny", "a"), -EINVAL);
	assert_int_equal(put_field("x", "a\r\nset-cookie: b"), -EINVAL);
	assert_int_equal(put_field("x", "a\nb"), -EINVAL);
	assert_int_equal(put_field("x", "a\rb"), -EINVAL);
	assert_int_equal(
		put_field("x", "a long value that ends with a control character \x01"),
		-EINVAL);
	assert_int_equal(put_field("x", "\x7f"), -EINVAL);
}

static int put_request_line(const char *method, const char *target)
{
	an__http_writer w;
	int r;

	an__http_writer_init(&w, NULL, 0);
	an__http_put_request_line(&w, method, target, strlen(target));
	r = w.error;
	an__http_writer_done(&w);
	return r;
}

static void request_lines_that_would_split_are_not_written(void **state)
{
	(void)state;
	assert_int_equal(put_request_line("GET", "/a?b"), 0);
	assert_int_equal(put_request_line("GET", "/a b"), -EINVAL);
	assert_int_equal(put_request_line("GET", "/a\r\nX: y"), -EINVAL);
	assert_int_equal(put_request_line("GET", ""), -EINVAL);
	assert_int_equal(put_request_line("GET ", "/"), -EINVAL);
	assert_int_equal(put_request_line("", "/"), -EINVAL);
}

static void a_writer_moves_to_the_heap_when_its_memory_is_full(void **state)
{
	char memory[16], value[300];
	an__http_writer w;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	an__http_writer_init(&w, memory, sizeof(memory));
	an__http_put_text(&w, "0123456789");
	assert_ptr_equal(w.data, memory);
	for (int i = 0; i < 20; i++)
		an__http_put_field(&w, "name", value);
	an__http_put_number(&w, UINT64_MAX);
	assert_int_equal(w.error, 0);
	assert_int_equal(w.len, 10 + 20 * (4 + 2 + 299 + 2) + 20);
	assert_memory_equal(w.data, "0123456789name: v", 17);
	assert_memory_equal(w.data + w.len - 22, "\r\n18446744073709551615", 22);
	an__http_writer_done(&w);
}

static void a_query_is_searched_and_decoded(void **state)
{
	const char *q = "a=1&b=x+y%21&&c&=d&%61b=2&e=%zz&f=%00&g=%4";
	char buf[8] = "kept";

	(void)state;
	assert_int_equal(an_http_query_get(q, "a", buf, sizeof(buf)), 1);
	assert_string_equal(buf, "1");
	assert_int_equal(an_http_query_get(q, "b", buf, 5), 4);
	assert_string_equal(buf, "x y!");
	assert_int_equal(an_http_query_get(q, "c", buf, 1), 0);
	assert_string_equal(buf, "");
	assert_int_equal(an_http_query_get(q, "ab", buf, sizeof(buf)), 1);
	strcpy(buf, "kept");
	assert_int_equal(an_http_query_get(q, "b", buf, 4), AN_ERR_LIMIT);
	assert_int_equal(an_http_query_get(q, "e", buf, sizeof(buf)), AN_ERR_MALFORMED);
	assert_int_equal(an_http_query_get(q, "f", buf, sizeof(buf)), AN_ERR_MALFORMED);
	assert_int_equal(an_http_query_get(q, "g", buf, sizeof(buf)), AN_ERR_MALFORMED);
	assert_int_equal(an_http_query_get(q, "h", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(an_http_query_get("", "h", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(an_http_query_get(NULL, "h", buf, sizeof(buf)), -ENOENT);
	assert_string_equal(buf, "kept");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(chunks_follow_the_grammar),
	cmocka_unit_test(bytes_behind_the_body_stay),
	cmocka_unit_test(the_end_of_input_ends_only_what_goes_until_it),
	cmocka_unit_test(trailers_are_kept_but_for_those_that_frame),
	cmocka_unit_test(trailers_have_a_limit),
	cmocka_unit_test(extensions_have_a_limit),
	cmocka_unit_test(chunk_heads_are_written_in_hexadecimal),
	cmocka_unit_test(fields_that_would_split_a_message_are_not_written),
	cmocka_unit_test(request_lines_that_would_split_are_not_written),
	cmocka_unit_test(a_writer_moves_to_the_heap_when_its_memory_is_full),
	cmocka_unit_test(a_query_is_searched_and_decoded),
};

TEST_MAIN("body", tests)
