/* Received fields: storage, look-up, lists; character classes; percent-decoding.
 *
 * L4, sans-I/O. A set keeps offsets into text that somebody else owns. The public
 * accessors need the text to be adopted (names and values ended by NUL); the parser's own
 * look-ups do not.
 */
#include "http/headers.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- character classes ----------------------------------------------------------- */

#define T AN__C_TOKEN
#define V AN__C_VALUE
#define G AN__C_TARGET
#define X AN__C_HEX
#define N AN__C_HOST
#define L AN__C_LITERAL

/* clang-format off */
const uint8_t an__http_class[256] = {
	['\t'] = V,
	[' '] = V,
	['!'] = T|V|G, ['"'] = V|G, ['#'] = T|V, ['$'] = T|V|G, ['%'] = T|V|G|N,
	['&'] = T|V|G, ['\''] = T|V|G, ['('] = V|G, [')'] = V|G, ['*'] = T|V|G,
	['+'] = T|V|G, [','] = V|G, ['-'] = T|V|G|N, ['.'] = T|V|G|N|L, ['/'] = V|G,
	['0' ... '9'] = T|V|G|X|N|L, [':'] = V|G|L, [';'] = V|G, ['<'] = V|G,
	['='] = V|G, ['>'] = V|G, ['?'] = V|G, ['@'] = V|G, ['A' ... 'F'] = T|V|G|X|N|L,
	['G' ... 'Z'] = T|V|G|N, ['['] = V|G, ['\\'] = V|G, [']'] = V|G, ['^'] = T|V|G,
	['_'] = T|V|G|N, ['`'] = T|V|G, ['a' ... 'f'] = T|V|G|X|N|L,
	['g' ... 'z'] = T|V|G|N, ['{'] = V|G, ['|'] = T|V|G, ['}'] = V|G,
	['~'] = T|V|G|N,
	[0x80 ... 0xff] = V,
};
/* clang-format on */

bool an__http_all(const char *s, size_t len, int class)
{
	for (size_t i = 0; i < len; i++) {
		if (!an__http_is(s[i], class))
			return false;
	}
	return len > 0;
}

int an__http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool an__http_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len != b_len)
		return false;
	for (size_t i = 0; i < a_len; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return true;
}

ssize_t an__http_percent_decode(char *dst, const char *src, size_t len, bool plus)
{
	char *out = dst;

	for (size_t i = 0; i < len; i++) {
		char c = src[i];

		if (c == '%') {
			int high = len - i > 2 ? an__http_hex(src[i + 1]) : -1;
			int low = high >= 0 ? an__http_hex(src[i + 2]) : -1;

			if (low < 0 || (high | low) == 0)
				return AN_ERR_MALFORMED;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		*out++ = c;
	}
	return out - dst;
}

/* ---- the set --------------------------------------------------------------------- */

void an__http_headers_init(an_http_headers *h)
{
	h->base = NULL;
	h->field = h->fixed;
	h->count = 0;
	h->capacity = AN__HTTP_FIELDS_INLINE;
	h->terminated = false;
}

void an__http_headers_clear(an_http_headers *h)
{
	h->base = NULL;
	h->count = 0;
	h->terminated = false;
}

void an__http_headers_done(an_http_headers *h)
{
	if (h->field != h->fixed)
		free(h->field);
	an__http_headers_init(h);
}

static int grow(an_http_headers *h)
{
	size_t capacity = h->capacity > UINT16_MAX / 4 ? UINT16_MAX : h->capacity * 4u;
	an__http_field *field;

	if (h->capacity == UINT16_MAX)
		return -ENOMEM;
	field = an__malloc(capacity * sizeof(*field));
	if (!field)
		return -ENOMEM;
	memcpy(field, h->field, h->count * sizeof(*field));
	if (h->field != h->fixed)
		free(h->field);
	h->field = field;
	h->capacity = (uint16_t)capacity;
	return 0;
}

an__http_field *an__http_headers_add(an_http_headers *h)
{
	if (h->count == h->capacity && grow(h) < 0)
		return NULL;
	return &h->field[h->count++];
}

void an__http_headers_adopt(an_http_headers *h, char *copy)
{
	for (size_t i = 0; i < h->count; i++) {
		const an__http_field *f = &h->field[i];

		copy[f->name + f->name_len] = 0;
		copy[f->value + f->value_len] = 0;
	}
	h->base = copy;
	h->terminated = true;
}

const an__http_field *an__http_headers_find(const an_http_headers *h, enum an__http_id id)
{
	for (size_t i = 0; i < h->count; i++) {
		if (h->field[i].id == id)
			return &h->field[i];
	}
	return NULL;
}

enum an__http_id an__http_id_of(const char *name, size_t len)
{
	const char *known;
	enum an__http_id id;

	switch (len) {
	case 4:
		known = (name[0] | 0x20) == 'h' ? "host" : "date";
		id = *known == 'h' ? AN__H_HOST : AN__H_DATE;
		break;
	case 6:
		known = "expect";
		id = AN__H_EXPECT;
		break;
	case 7:
		known = "upgrade";
		id = AN__H_UPGRADE;
		break;
	case 10:
		known = (name[0] | 0x20) == 'c' ? "connection" : "keep-alive";
		id = *known == 'c' ? AN__H_CONNECTION : AN__H_KEEP_ALIVE;
		break;
	case 14:
		known = "content-length";
		id = AN__H_CONTENT_LENGTH;
		break;
	case 17:
		known = "transfer-encoding";
		id = AN__H_TRANSFER_ENCODING;
		break;
	default:
		return AN__H_OTHER;
	}
	return an__http_equal(name, len, known, len) ? id : AN__H_OTHER;
}

/* ---- lists ----------------------------------------------------------------------- */

bool an__http_list_next(const char *value, size_t len, size_t *pos, const char **ret,
			size_t *ret_len)
{
	size_t begin = *pos, end, next;
	bool quoted = false;

	if (begin > len)
		return false;
	for (end = begin; end < len && (quoted || value[end] != ','); end++) {
		if (value[end] == '"')
			quoted = !quoted;
		else if (quoted && value[end] == '\\' && end + 1 < len)
			end++;
	}
	next = end + 1;
	while (begin < end && (value[begin] == ' ' || value[begin] == '\t'))
		begin++;
	while (end > begin && (value[end - 1] == ' ' || value[end - 1] == '\t'))
		end--;
	*pos = next;
	*ret = value + begin;
	*ret_len = end - begin;
	return true;
}

/* ---- public ---------------------------------------------------------------------- */

static bool named(const an_http_headers *h, size_t i, const char *name, size_t len)
{
	const an__http_field *f = &h->field[i];

	return f->name_len == len && an__http_equal(h->base + f->name, len, name, len);
}

const char *an_http_headers_get(const an_http_headers *h, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < h->count; i++) {
		if (named(h, i, name, len))
			return h->base + h->field[i].value;
	}
	return NULL;
}

size_t an_http_headers_count(const an_http_headers *h)
{
	return h->count;
}

an_http_header an_http_headers_at(const an_http_headers *h, size_t index)
{
	if (index >= h->count)
		return (an_http_header){ NULL, NULL };
	return (an_http_header){ h->base + h->field[index].name,
				 h->base + h->field[index].value };
}

bool an_http_headers_has(const an_http_headers *h, const char *name, const char *token)
{
	size_t name_len = strlen(name), token_len = strlen(token);

	for (size_t i = 0; i < h->count; i++) {
		size_t pos = 0, len;
		const char *element;

		if (!named(h, i, name, name_len))
			continue;
		while (an__http_list_next(h->base + h->field[i].value,
					  h->field[i].value_len, &pos, &element, &len)) {
			if (an__http_equal(element, len, token, token_len))
				return true;
		}
	}
	return false;
}
