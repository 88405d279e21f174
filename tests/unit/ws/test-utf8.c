/* The incremental UTF-8 check, against the definition of RFC 3629. */
#include "tests/support/program.h"
#include "ws/utf8.h"

#include <stdio.h>
#include <string.h>

/* The definition, slowly: decode, and compare with the shortest encoding. Returns the
 * length of the character at `s`, or 0. */
static size_t one_character(const uint8_t *s, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc0 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
				 : 4;
	uint32_t c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

	if (!n || s[0] >= 0xf8 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static bool valid_by_definition(const uint8_t *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = one_character(s + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

static bool valid(const uint8_t *s, size_t len)
{
	an__utf8 u = { 0 };

	return an__utf8_feed(&u, s, len) && an__utf8_complete(&u);
}

static void every_sequence_of_three_bytes_is_judged_as_defined(void **state)
{
	uint8_t s[3];

	(void)state;
	for (unsigned v = 0; v < 1u << 24; v++) {
		s[0] = (uint8_t)(v >> 16);
		s[1] = (uint8_t)(v >> 8);
		s[2] = (uint8_t)v;
		if (valid(s, 3) != valid_by_definition(s, 3))
			fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
	}
}

static void every_sequence_of_four_from_the_edges_is_judged_as_defined(void **state)
{
	static const uint8_t edge[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef,
					0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xfe, 0xff };
	enum { N = sizeof(edge) };
	uint8_t s[4];

	(void)state;
	for (unsigned v = 0; v < N * N * N * N; v++) {
		s[0] = edge[v % N];
		s[1] = edge[v / N % N];
		s[2] = edge[v / (N * N) % N];
		s[3] = edge[v / (N * N * N)];
		assert_int_equal(valid(s, 4), valid_by_definition(s, 4));
	}
}

static void a_text_may_be_cut_anywhere(void **state)
{
	static const char *const texts[] = { "caf\xc3\xa9", "\xe2\x82\xac 5",
					     "\xf0\x9f\x8e\x89!", "\xf4\x8f\xbf\xbf" };

	(void)state;
	for (size_t pad = 0; pad < 70; pad++) {
		for (size_t t = 0; t < 4; t++) {
			uint8_t s[100];
			size_t len = pad + strlen(texts[t]);

			memset(s, 'a', pad);
			memcpy(s + pad, texts[t], len - pad);
			for (size_t cut = 0; cut <= len; cut++) {
				an__utf8 u = { 0 };

				assert_true(an__utf8_feed(&u, s, cut));
				assert_true(an__utf8_feed(&u, s + cut, len - cut));
				assert_true(an__utf8_complete(&u));
			}
			assert_false(valid(s, len - 1) && t == 3);
		}
	}
}

static void an_error_shows_at_its_first_byte(void **state)
{
	an__utf8 u = { 0 };

	(void)state;
	assert_true(an__utf8_feed(&u, (const uint8_t *)"\xf4", 1));
	assert_false(an__utf8_complete(&u));
	assert_false(an__utf8_feed(&u, (const uint8_t *)"\x90", 1));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_sequence_of_three_bytes_is_judged_as_defined),
	cmocka_unit_test(every_sequence_of_four_from_the_edges_is_judged_as_defined),
	cmocka_unit_test(a_text_may_be_cut_anywhere),
	cmocka_unit_test(an_error_shows_at_its_first_byte),
};

TEST_MAIN("ws/utf8", tests)
