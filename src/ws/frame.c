/* The frame codec. L5, sans-I/O.
 *
 * Invariant: the decoder never reads behind `len`, and refuses with fewer bytes whatever
 * it would refuse with more.
 */
#include "ws/frame.h"

#include <asyncnet/error.h>
#include <string.h>

#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80

static uint64_t load_be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static bool first_byte_valid(uint8_t b)
{
	unsigned opcode = b & 15;

	if (b & RESERVED)
		return false;
	if (an__ws_is_control(opcode))
		return opcode <= AN__WS_OP_PONG && (b & FIN);
	return opcode <= AN__WS_OP_BINARY;
}

ssize_t an__ws_frame_decode(const uint8_t *data, size_t len, bool masked,
			    an__ws_frame *ret)
{
	an__ws_frame f = { 0 };
	size_t at = 2, extra;

	if (len < 1)
		return 0;
	if (!first_byte_valid(data[0]))
		return AN_ERR_MALFORMED;
	if (len < 2)
		return 0;
	f.fin = data[0] & FIN;
	f.opcode = data[0] & 15;
	f.length = data[1] & 127;
	if (!(data[1] & MASKED) == masked)
		return AN_ERR_MALFORMED;
	if (an__ws_is_control(f.opcode) && f.length > AN__WS_CONTROL_MAX)
		return AN_ERR_MALFORMED;
	extra = f.length == 126 ? 2 : f.length == 127 ? 8 : 0;
	if (extra) {
		if (extra == 8 && len > at && (data[at] & 0x80))
			return AN_ERR_MALFORMED;
		if (len < at + extra)
			return 0;
		f.length = load_be(data + at, extra);
		if (f.length < (extra == 2 ? 126u : 65536u))
			return AN_ERR_MALFORMED;
		at += extra;
	}
	if (masked) {
		if (len < at + 4)
			return 0;
		memcpy(f.key, data + at, 4);
		at += 4;
	}
	f.header = (uint8_t)at;
	*ret = f;
	return (ssize_t)at;
}

size_t an__ws_frame_encode(uint8_t out[AN__WS_HEADER_MAX], enum an__ws_opcode opcode,
			   uint64_t length, const uint8_t *key)
{
	size_t at = 2, extra = length < 126 ? 0 : length < 65536 ? 2 : 8;

	out[0] = (uint8_t)(FIN | opcode);
	out[1] = (uint8_t)(extra == 0 ? length : extra == 2 ? 126 : 127);
	for (size_t i = extra; i-- > 0;)
		out[at++] = (uint8_t)(length >> (8 * i));
	if (key) {
		out[1] |= MASKED;
		memcpy(out + at, key, 4);
		at += 4;
	}
	return at;
}

/* 16 bytes a step: SSE2 and NEON have it in one register, others split it. */
typedef uint64_t block __attribute__((vector_size(16)));

static block load_block(const uint8_t *p)
{
	block b;

	memcpy(&b, p, sizeof(b));
	return b;
}

static void store_block(uint8_t *p, block b)
{
	memcpy(p, &b, sizeof(b));
}

bool an__ws_mask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[4],
		 size_t phase)
{
	uint8_t turned[4];
	uint32_t k32;
	uint64_t k64, high = 0, word;
	block k, seen = { 0, 0 };
	size_t i = 0;

	for (size_t n = 0; n < 4; n++)
		turned[n] = key[(phase + n) & 3];
	memcpy(&k32, turned, 4);
	k64 = (uint64_t)k32 << 32 | k32;
	k = (block){ k64, k64 };
	for (; i + 64 <= len; i += 64) {
		block a = load_block(in + i) ^ k, b = load_block(in + i + 16) ^ k;
		block c = load_block(in + i + 32) ^ k, d = load_block(in + i + 48) ^ k;

		store_block(out + i, a);
		store_block(out + i + 16, b);
		store_block(out + i + 32, c);
		store_block(out + i + 48, d);
		seen |= a | b | c | d;
	}
	high = seen[0] | seen[1];
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, in + i, 8);
		word ^= k64;
		memcpy(out + i, &word, 8);
		high |= word;
	}
	for (; i < len; i++) {
		out[i] = in[i] ^ turned[i & 3];
		high |= out[i];
	}
	return !(high & 0x8080808080808080u);
}

bool an__ws_close_code_valid(unsigned code)
{
	if (code >= 3000)
		return code <= 4999;
	return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
	       code != 1006;
}
