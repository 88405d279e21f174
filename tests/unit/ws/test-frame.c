/* The frame codec: headers, masks, close codes. */
#include "tests/support/program.h"
#include "ws/frame.h"

#include <asyncnet/error.h>
#include <stdio.h>
#include <string.h>

static ssize_t decode(const char *bytes, size_t len, bool masked, an__ws_frame *f)
{
	/* An exact copy on the heap: a sanitizer sees a read behind its end. */
	uint8_t *copy = malloc(len ? len : 1);
	ssize_t r;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	r = an__ws_frame_decode(copy, len, masked, f);
	free(copy);
	return r;
}

#define DECODE(literal, masked, f) decode(literal, sizeof(literal) - 1, masked, f)

static void every_length_form_survives_a_round_trip(void **state)
{
	static const uint64_t lengths[] = { 0,	   1,	  125,	      126,	127,
					    65535, 65536, 0xffffffff, INT64_MAX };
	static const uint8_t key[4] = { 1, 2, 3, 4 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (int masked = 0; masked < 2; masked++) {
			uint8_t out[AN__WS_HEADER_MAX];
			an__ws_frame f;
			size_t n = an__ws_frame_encode(out, AN__WS_OP_BINARY, lengths[i],
						       masked ? key : NULL);

			for (size_t cut = 0; cut < n; cut++)
				assert_int_equal(decode((char *)out, cut, masked, &f), 0);
			assert_int_equal(decode((char *)out, n, masked, &f), n);
			assert_true(f.length == lengths[i] && f.fin);
			assert_int_equal(f.opcode, AN__WS_OP_BINARY);
			assert_int_equal(f.header, n);
			assert_int_equal(f.key[2], masked ? 3 : 0);
		}
	}
}

static void lengths_not_in_their_shortest_form_are_refused(void **state)
{
	an__ws_frame f;

	(void)state;
	assert_int_equal(DECODE("\x82\x7e\x00\x7d", false, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x82\x7e\x00\x7e", false, &f), 4);
	assert_int_equal(DECODE("\x82\x7f\0\0\0\0\0\0\xff\xff", false, &f),
			 AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x82\x7f\0\0\0\0\0\1\0\0", false, &f), 10);
}

static void the_highest_bit_of_a_length_is_refused_at_once(void **state)
{
	an__ws_frame f;

	(void)state;
	assert_int_equal(DECODE("\x82\x7f\x80", false, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x82\x7f\x7f", false, &f), 0);
}

static void reserved_bits_and_opcodes_are_refused_by_the_first_byte(void **state)
{
	an__ws_frame f;

	(void)state;
	for (int b = 0; b < 256; b++) {
		char byte = (char)b;
		int op = b & 15;
		bool known = op <= 2 || (op >= 8 && op <= 10 && (b & 0x80));

		assert_int_equal(decode(&byte, 1, true, &f),
				 known && !(b & 0x70) ? 0 : AN_ERR_MALFORMED);
	}
}

static void a_control_frame_is_whole_and_short(void **state)
{
	an__ws_frame f;

	(void)state;
	assert_int_equal(DECODE("\x89\x7d", false, &f), 2);
	assert_int_equal(DECODE("\x89\x7e", false, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x89\x7f", false, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x09", false, &f), AN_ERR_MALFORMED);
}

static void the_direction_decides_about_masks(void **state)
{
	an__ws_frame f;

	(void)state;
	assert_int_equal(DECODE("\x81\x05", true, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x81\x85", false, &f), AN_ERR_MALFORMED);
	assert_int_equal(DECODE("\x81\x85\1\2\3\4", true, &f), 6);
}

static void masks_agree_with_the_definition(void **state)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t in[300], out[300];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + 3);
	for (size_t at = 0; at < 9; at++) {
		for (size_t len = 0; len < 270; len++) {
			size_t phase = (at + len) % 5;

			memset(out, 0xee, sizeof(out));
			an__ws_mask(out + at, in + at, len, key, phase);
			for (size_t i = 0; i < len; i++)
				assert_int_equal(out[at + i],
						 in[at + i] ^ key[(phase + i) % 4]);
			assert_int_equal(out[at + len], 0xee);
		}
	}
}

static void masks_tell_whether_the_result_is_ascii(void **state)
{
	static const uint8_t key[4] = { 0xff, 0x80, 0, 0x7f };
	uint8_t text[200], wire[200], out[200];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t len = 0; len < sizeof(text); len++) {
		an__ws_mask(wire, text, len, key, 1);
		assert_true(an__ws_mask(out, wire, len, key, 1));
		for (size_t i = 0; i < len; i++) {
			wire[i] ^= 0x80;
			assert_false(an__ws_mask(out, wire, len, key, 1));
			wire[i] ^= 0x80;
		}
	}
}

static void only_the_close_codes_that_may_travel_are_valid(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 65536; code++) {
		bool valid = (code >= 1000 && code <= 1003) ||
			     (code >= 1007 && code <= 1014) ||
			     (code >= 3000 && code <= 4999);

		assert_int_equal(an__ws_close_code_valid(code), valid);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_length_form_survives_a_round_trip),
	cmocka_unit_test(lengths_not_in_their_shortest_form_are_refused),
	cmocka_unit_test(the_highest_bit_of_a_length_is_refused_at_once),
	cmocka_unit_test(reserved_bits_and_opcodes_are_refused_by_the_first_byte),
	cmocka_unit_test(a_control_frame_is_whole_and_short),
	cmocka_unit_test(the_direction_decides_about_masks),
	cmocka_unit_test(masks_agree_with_the_definition),
	cmocka_unit_test(masks_tell_whether_the_result_is_ascii),
	cmocka_unit_test(only_the_close_codes_that_may_travel_are_valid),
};

TEST_MAIN("ws/frame", tests)
