/* Fuzzes the message parser and the body decoder (libFuzzer: make fuzz).
 *
 * The first byte says what the rest is, the second where it is cut. The outcome must not
 * depend on the cut, spans must lie within the head, and what was decoded must not
 * either.
 */
#include "http/body.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

/* A prefix in memory of its own, so that reading beyond it is seen. */
static ssize_t parse_prefix(an__http_head *h, const uint8_t *data, size_t len)
{
	char *block = malloc(len ? len : 1);
	ssize_t r;

	memcpy(block, data, len);
	r = an__http_head_parse(h, block, len);
	free(block);
	return r;
}

static void check_span(an__http_span s, ssize_t len)
{
	REQUIRE(s.at <= (size_t)len && s.len <= (size_t)len - s.at);
}

static void check_head(const an__http_head *h, ssize_t len)
{
	check_span(h->method, len);
	check_span(h->target, len);
	check_span(h->path, len);
	check_span(h->query, len);
	check_span(h->authority, len);
	check_span(h->reason, len);
	for (size_t i = 0; i < h->headers.count; i++) {
		const an__http_field *f = &h->headers.field[i];

		REQUIRE(f->name_len > 0 && f->name + f->name_len < (size_t)len);
		REQUIRE(f->value + f->value_len < (size_t)len);
	}
}

static void fuzz_head(enum an__http_kind kind, size_t cut, const uint8_t *data,
		      size_t size)
{
	static const an__http_limits limits = { 4096, 1024, 20 };
	an__http_head whole, parts;
	ssize_t r, q;

	an__http_head_init(&whole, kind, &limits);
	an__http_head_init(&parts, kind, &limits);
	r = parse_prefix(&whole, data, size);
	q = parse_prefix(&parts, data, cut < size ? cut : size);
	if (q == 0)
		q = parse_prefix(&parts, data, size);
	REQUIRE(r == q && whole.answer == parts.answer && whole.framing == parts.framing);
	REQUIRE((r < 0) == (whole.answer != 0));
	if (r > 0)
		check_head(&whole, r);
	an__http_head_done(&whole);
	an__http_head_done(&parts);
}

/* Decodes with at most `step` new bytes at a time; the sum stands for the data. */
static int decode(const uint8_t *data, size_t size, size_t step, size_t *ret_sum,
		  size_t *ret_used)
{
	static const an__http_limits limits = { 512, 512, 8 };
	size_t used = 0, visible = 0, sum = 0;
	an__http_head trailers;
	an__http_body b;
	int r = AN__BODY_MORE;

	an__http_head_init(&trailers, AN__HTTP_TRAILERS, &limits);
	an__http_body_init(&b, AN__HTTP_CHUNKED_BODY, 0, &trailers);
	while (r == AN__BODY_DATA || (r == AN__BODY_MORE && visible < size)) {
		an__http_piece piece;

		if (r == AN__BODY_MORE)
			visible = size - visible < step ? size : visible + step;
		r = an__http_body_next(&b, (const char *)data + used, visible - used,
				       &piece);
		if (r < 0)
			break;
		REQUIRE(piece.used <= visible - used);
		for (size_t i = 0; i < piece.len; i++)
			sum = sum * 31 + (uint8_t)piece.data[i];
		used += piece.used;
	}
	an__http_head_done(&trailers);
	*ret_sum = sum;
	*ret_used = used;
	return r;
}

static void fuzz_body(size_t cut, const uint8_t *data, size_t size)
{
	size_t sum[2], used[2];
	int whole = decode(data, size, size ? size : 1, &sum[0], &used[0]);
	int parts = decode(data, size, cut + 1, &sum[1], &used[1]);

	REQUIRE(whole == parts);
	if (whole >= 0)
		REQUIRE(sum[0] == sum[1] && used[0] == used[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	switch (data[0] % 4) {
	case 0:
		fuzz_head(AN__HTTP_REQUEST, data[1], data + 2, size - 2);
		break;
	case 1:
		fuzz_head(AN__HTTP_RESPONSE, data[1], data + 2, size - 2);
		break;
	case 2:
		fuzz_head(AN__HTTP_TRAILERS, data[1], data + 2, size - 2);
		break;
	default:
		fuzz_body(data[1] % 7, data + 2, size - 2);
	}
	return 0;
}
