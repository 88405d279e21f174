/* Random bytes for masks and keys, fetched from OpenSSL in portions. L5, no loop.
 *
 * RFC 6455 §10.3: a mask must come from a strong source, or a script could choose what
 * stands on the wire and poison a proxy's cache. One call of RAND_bytes() serves 128
 * masks.
 */
#ifndef AN_WS_RANDOM_H
#define AN_WS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Zero to begin with. Bytes that were given out are wiped here. */
typedef struct an__ws_random {
	uint8_t pool[512];
	size_t left; /* the last `left` bytes of the pool are fresh */
} an__ws_random;

/* Up to 512 bytes. Returns 0; -EIO when the source fails. */
int an__ws_random_bytes(an__ws_random *r, uint8_t *out, size_t len);

#endif
