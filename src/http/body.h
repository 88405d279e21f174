/* Bodies: the decoder of the three framings. L4, sans-I/O.
 *
 * A pull decoder over a contiguous buffer of received bytes. Each step says how many
 *bytes of the buffer are done with and which of them are the body's; nothing is copied.
 *
 *	length:      data ... --> end
 *	chunked:     size --> extension* --> data --> CRLF --> size ... --> trailers -->
 *end until close: data ... --eof--> end
 */
#ifndef AN_HTTP_BODY_H
#define AN_HTTP_BODY_H

#include "http/parse.h"

enum {
	AN__HTTP_EXT_LIMIT = 256,	/* bytes of one chunk's extensions */
	AN__HTTP_EXT_TOTAL = 16 * 1024, /* of all extensions of a body */
};

enum an__http_body_step {
	AN__BODY_MORE, /* the buffer is used up as far as it goes: read more */
	AN__BODY_DATA, /* a piece was found */
	AN__BODY_END,
};

typedef struct an__http_body {
	uint64_t left; /* bytes until the end of the body or of the chunk */
	uint32_t ext;  /* bytes of extensions of this chunk */
	uint32_t ext_total;
	uint8_t framing; /* enum an__http_framing */
	uint8_t state;	 /* see body.c */
	uint8_t digits;
	an__http_head *trailers; /* parses what follows the last chunk */
} an__http_body;

typedef struct an__http_piece {
	size_t used;	  /* bytes of the input done with, the piece included */
	const char *data; /* within the input */
	size_t len;
} an__http_piece;

/* `trailers` is borrowed, initialised as AN__HTTP_TRAILERS, and is reset here; needed for
 * a chunked body alone. `length` for AN__HTTP_LENGTH alone. */
void an__http_body_init(an__http_body *b, enum an__http_framing framing, uint64_t length,
			an__http_head *trailers);

/* Takes the next step over `len` bytes at `data`. Returns a step and fills *ret;
 * AN_ERR_MALFORMED; AN_ERR_LIMIT for trailers beyond their limits; -ENOMEM. With
 * AN__BODY_MORE, `ret->used` bytes are done with and the rest must be given again with
 * more behind it. With AN__BODY_END after trailers, the fields of b->trailers point into
 * `data`: adopt them before the bytes go. */
int an__http_body_next(an__http_body *b, const char *data, size_t len,
		       an__http_piece *ret);

/* The bytes that follow in the input and are certainly the body's, so that they may be
 * read directly to where they are wanted; the caller says how many it took. 0: ask
 * an__http_body_next(). UINT64_MAX: until the connection closes. */
uint64_t an__http_body_direct(const an__http_body *b);
void an__http_body_took(an__http_body *b, uint64_t count);

/* The input ended. Returns 0 when that ends the body well (it was at its end, or goes
 * until the close); AN_ERR_TRUNCATED. */
int an__http_body_eof(an__http_body *b);

bool an__http_body_at_end(const an__http_body *b);

/* ---- encoding -------------------------------------------------------------------- */

enum { AN__HTTP_CHUNK_HEAD_MAX = 18 };

/* Writes "SIZE CRLF" to `buf`; the data, and CRLF, follow. Returns its length. len > 0.
 */
size_t an__http_chunk_head(char buf[AN__HTTP_CHUNK_HEAD_MAX], size_t len);

#endif
