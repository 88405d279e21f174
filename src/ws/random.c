/* The pool of random bytes. L5, no loop. Invariant: no byte is given out twice. */
#include "ws/random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

int an__ws_random_bytes(an__ws_random *r, uint8_t *out, size_t len)
{
	uint8_t *from;

	if (len > sizeof(r->pool))
		return -EIO;
	if (r->left < len) {
		if (RAND_bytes(r->pool, sizeof(r->pool)) != 1)
			return -EIO;
		r->left = sizeof(r->pool);
	}
	from = r->pool + sizeof(r->pool) - r->left;
	memcpy(out, from, len);
	OPENSSL_cleanse(from, len);
	r->left -= len;
	return 0;
}
