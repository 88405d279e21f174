/* Received fields, and the character classes of RFC 9110. L4, sans-I/O.
 *
 * A field is four offsets into the text of its head, so that the text can be moved (out
 * of a stream's buffer, into an arena) by changing one pointer.
 */
#ifndef AN_HTTP_HEADERS_H
#define AN_HTTP_HEADERS_H

#include <asyncnet/http.h>

/* Fields that the library itself looks at. */
enum an__http_id {
	AN__H_OTHER,
	AN__H_HOST,
	AN__H_CONNECTION,
	AN__H_CONTENT_LENGTH,
	AN__H_TRANSFER_ENCODING,
	AN__H_EXPECT,
	AN__H_UPGRADE,
	AN__H_KEEP_ALIVE,
	AN__H_DATE,
};

typedef struct an__http_field {
	uint32_t name;	/* offset of the first byte */
	uint32_t value; /* likewise, after the leading white space */
	uint32_t value_len;
	uint16_t name_len;
	uint8_t id; /* enum an__http_id */
} an__http_field;

enum { AN__HTTP_FIELDS_INLINE = 32 };

/* Zero is an empty set. Must not be copied: `field` may point into it. */
struct an_http_headers {
	const char *base; /* the head's text; the offsets count from here */
	an__http_field *field;
	uint16_t count, capacity;
	bool terminated; /* names and values are followed by a NUL in `base` */
	an__http_field fixed[AN__HTTP_FIELDS_INLINE];
};

void an__http_headers_init(an_http_headers *h);
void an__http_headers_clear(an_http_headers *h); /* keeps memory it has grown to */
void an__http_headers_done(an_http_headers *h);

/* Room for one more, or NULL without memory (or at 65535 fields). */
an__http_field *an__http_headers_add(an_http_headers *h);

/* Moves the set onto `copy`, which holds the same bytes as its text did, is writable, and
 * lives as long as the set: ends each name and each value with a NUL there (over the ':'
 * and the white space or CR behind it), which makes the public accessors usable. */
void an__http_headers_adopt(an_http_headers *h, char *copy);

/* The first field of a known kind, or NULL. */
const an__http_field *an__http_headers_find(const an_http_headers *h,
					    enum an__http_id id);

/* What a name is; `name` in any case. */
enum an__http_id an__http_id_of(const char *name, size_t len);

/* Case-insensitive comparison of ASCII text. */
bool an__http_equal(const char *a, size_t a_len, const char *b, size_t b_len);

/* Walks the elements of a comma-separated list, without the white space around them.
 * `*pos` begins at 0. Returns false at the end. An empty element is returned with
 * *ret_len 0. */
bool an__http_list_next(const char *value, size_t len, size_t *pos, const char **ret,
			size_t *ret_len);

/* ---- character classes ----------------------------------------------------------- */

enum {
	AN__C_TOKEN = 1,  /* tchar */
	AN__C_VALUE = 2,  /* HTAB, SP, VCHAR, obs-text */
	AN__C_TARGET = 4, /* VCHAR without '#' */
	AN__C_HEX = 8,
	AN__C_HOST = 16,    /* unreserved, and '%' */
	AN__C_LITERAL = 32, /* what an IP literal holds between its brackets */
};

extern const uint8_t an__http_class[256];

static inline bool an__http_is(char c, int class)
{
	return an__http_class[(unsigned char)c] & class;
}

/* Whether all of it is of the class; false for nothing. */
bool an__http_all(const char *s, size_t len, int class);

/* The value of a hexadecimal digit, or -1. */
int an__http_hex(char c);

/* Decodes %XX in `len` bytes of `src` to `dst` (which may be `src`); `plus`: '+' is a
 * space. No NUL is added. Returns the length; AN_ERR_MALFORMED for a broken %XX or a
 * decoded NUL. */
ssize_t an__http_percent_decode(char *dst, const char *src, size_t len, bool plus);

#endif
