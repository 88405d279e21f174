/* Finds the first control character in a run of bytes, 16 at a time where SSE2 is there,
 * 8 elsewhere.
 *
 * This is the parser's inner loop: the end of a line and every byte that a line must not
 * hold are found in one pass, so nothing looks at the bytes of a value again. L4,
 * sans-I/O.
 */
#ifndef AN_HTTP_SCAN_H
#define AN_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool an__scan_is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

#if !defined(__SSE2__)
#define AN__REPEAT8(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes may be a control character: HTAB and what follows a borrow
 * are false alarms, which the caller looks at one by one. */
static inline bool an__scan_suspect8(const char *p)
{
	uint64_t v, low, del;

	memcpy(&v, p, 8);
	low = (v - AN__REPEAT8(0x20)) & ~v;
	del = v ^ AN__REPEAT8(0x7f);
	del = (del - AN__REPEAT8(0x01)) & ~del;
	return (low | del) & AN__REPEAT8(0x80);
}
#endif

/* The first byte in [p, end) below SP, other than HTAB, or DEL; `end` when there is none.
 * Reads no byte at or beyond `end`. */
static inline const char *an__scan_control(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(0x1f);
	const __m128i tab = _mm_set1_epi8('\t');
	const __m128i del = _mm_set1_epi8(0x7f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(v, low), v);
		__m128i bad =
			_mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), below),
				     _mm_cmpeq_epi8(v, del));
		unsigned mask = (unsigned)_mm_movemask_epi8(bad);

		if (mask)
			return p + __builtin_ctz(mask);
	}
#else
	for (; end - p >= 8; p += 8) {
		if (!an__scan_suspect8(p))
			continue;
		for (int i = 0; i < 8; i++) {
			if (an__scan_is_control((unsigned char)p[i]))
				return p + i;
		}
	}
#endif
	while (p < end && !an__scan_is_control((unsigned char)*p))
		p++;
	return p;
}

#endif
