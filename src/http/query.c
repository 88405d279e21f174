/* Query strings as HTML forms write them. L4, sans-I/O. */
#include "http/headers.h"

#include <errno.h>
#include <string.h>

/* Whether the encoded name at `s` decodes to `name`; broken escapes equal nothing. */
static bool name_equals(const char *s, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++, name++) {
		char c = s[i];

		if (c == '+')
			c = ' ';
		if (c == '%') {
			int high = len - i > 2 ? an__http_hex(s[i + 1]) : -1;
			int low = high >= 0 ? an__http_hex(s[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c || *name != c)
			return false;
	}
	return !*name;
}

/* The length once decoded, which is all that can be asked before anything is written. */
static size_t decoded_length(const char *s, size_t len)
{
	size_t n = len;

	for (size_t i = 0; i < len; i++)
		n -= s[i] == '%' ? 2 : 0;
	return n;
}

static ssize_t decode_value(const char *s, size_t len, char *buf, size_t cap)
{
	char scratch[1];
	ssize_t n;

	/* Checked first: the output is untouched on failure, and n below cannot wrap. */
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '%')
			continue;
		if (len - i <= 2 || an__http_percent_decode(scratch, s + i, 3, false) < 0)
			return AN_ERR_MALFORMED;
	}
	if (decoded_length(s, len) >= cap)
		return AN_ERR_LIMIT;
	n = an__http_percent_decode(buf, s, len, true);
	buf[n] = 0;
	return n;
}

ssize_t an_http_query_get(const char *query, const char *name, char *buf, size_t cap)
{
	while (query && *query) {
		size_t len = strcspn(query, "&");
		const char *equals = memchr(query, '=', len);
		size_t name_len = equals ? (size_t)(equals - query) : len;

		if (len && name_equals(query, name_len, name)) {
			size_t value_len = equals ? len - name_len - 1 : 0;

			return decode_value(equals ? equals + 1 : query + len, value_len,
					    buf, cap);
		}
		query += len + (query[len] == '&');
	}
	return -ENOENT;
}
