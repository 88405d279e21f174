/* The UTF-8 check. L5, sans-I/O.
 *
 * ASCII is passed over 16 bytes at a time. Beyond it, each lead byte gives how many bytes
 * follow and the range of the first of them (RFC 3629 §4), which is where overlong forms,
 * surrogates and values above U+10FFFF show; the others are 80 to BF.
 */
#include "ws/utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

/* How many bytes from `data` on are ASCII, at the least: stops within 16 of the first
 * that is not. */
static size_t skip_ascii(const uint8_t *data, size_t len)
{
	size_t i = 0;
	uint64_t a, b;

	for (; i + 16 <= len; i += 16) {
		memcpy(&a, data + i, 8);
		memcpy(&b, data + i + 8, 8);
		if ((a | b) & HIGH_BITS)
			break;
	}
	return i;
}

static bool open_character(an__utf8 *u, uint8_t lead)
{
	if (lead < 0xC2 || lead > 0xF4)
		return false;
	u->low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	u->high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	u->need = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
	return true;
}

bool an__utf8_feed(an__utf8 *u, const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint8_t b = data[i];

		if (u->need) {
			if (b < u->low || b > u->high)
				return false;
			u->low = 0x80;
			u->high = 0xBF;
			u->need--;
		} else if (b < 0x80) {
			size_t n = skip_ascii(data + i, len - i);

			if (n) {
				i += n;
				continue;
			}
		} else if (!open_character(u, b)) {
			return false;
		}
		i++;
	}
	return true;
}
