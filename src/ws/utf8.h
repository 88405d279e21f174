/* UTF-8 checked as it comes. L5, sans-I/O.
 *
 * RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. A text that is cut
 * anywhere can be checked piece by piece; an error is seen at its first byte.
 */
#ifndef AN_WS_UTF8_H
#define AN_WS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero at the start of a text, and wherever a character has ended. */
typedef struct an__utf8 {
	uint8_t need;	   /* bytes that the open character still lacks */
	uint8_t low, high; /* what the next of them may be */
} an__utf8;

/* Takes the next piece. Returns false when the text cannot be valid any more. */
bool an__utf8_feed(an__utf8 *u, const uint8_t *data, size_t len);

/* Whether the text may end here. */
static inline bool an__utf8_complete(const an__utf8 *u)
{
	return u->need == 0;
}

#endif
