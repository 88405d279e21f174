/* The fields that frame and route a message: Host, Content-Length, Transfer-Encoding,
 * Connection, Expect, Upgrade. L4, sans-I/O.
 *
 * Whatever two readers might understand differently is refused, since one of them may be
 * a proxy in front: RFC 9112 sections 3.2, 6.1, 6.3 and 11.2.
 */
#include "http/fields.h"

#include <string.h>

/* What the Transfer-Encoding fields listed, in `codings` of the head. */
enum {
	TE_SEEN = 1,	   /* there is such a field */
	TE_CHUNKED = 2,	   /* the last coding so far is "chunked" */
	TE_IDENTITY = 4,   /* "identity", which RFC 2616 had */
	TE_KNOWN = 8,	   /* gzip, deflate, compress: registered, and not implemented */
	TE_UNKNOWN = 16,   /* any other token */
	TE_MALFORMED = 32, /* no token, an empty element, "chunked" not last or twice */
};

/* ---- Host ------------------------------------------------------------------------ */

static bool port_valid(const char *s, size_t len)
{
	unsigned port = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s[i] - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

/* Length of the host part, without port; 0 when it is none. */
static size_t host_length(const char *s, size_t len)
{
	size_t n = 0;

	if (*s == '[') {
		const char *close = memchr(s, ']', len);

		n = close ? (size_t)(close - s) : 0;
		return n > 2 && an__http_all(s + 1, n - 1, AN__C_LITERAL) ? n + 1 : 0;
	}
	for (; n < len && an__http_is(s[n], AN__C_HOST); n++) {
		if (s[n] == '%' && (len - n <= 2 || an__http_hex(s[n + 1]) < 0 ||
				    an__http_hex(s[n + 2]) < 0))
			return 0;
	}
	return n;
}

bool an__http_host_valid(const char *s, size_t len)
{
	size_t n = len ? host_length(s, len) : 0;

	if (n == 0)
		return false;
	return n == len || (s[n] == ':' && port_valid(s + n + 1, len - n - 1));
}

/* Cuts off the port that the scheme implies, and an empty one. */
static size_t without_default_port(const char *s, size_t len, bool https)
{
	const char *port = https ? ":443" : ":80";
	size_t n = strlen(port);

	if (len > n && memcmp(s + len - n, port, n) == 0)
		return len - n;
	return len > 1 && s[len - 1] == ':' ? len - 1 : len;
}

/* RFC 9112 section 3.2.2 lets the authority of the target win over Host; a proxy that
 * reads it the other way would route elsewhere, so they must agree. */
static bool authority_is_host(const an__http_head *h, const char *data)
{
	const an__http_field *host = an__http_headers_find(&h->headers, AN__H_HOST);
	const char *a = data + h->authority.at;
	bool https = (data[h->target.at + 4] | 0x20) == 's';
	size_t a_len, host_len;

	if (!host)
		return true;
	if (h->form == AN__HTTP_AUTHORITY)
		return true; /* CONNECT: Host may name the proxy */
	a_len = without_default_port(a, h->authority.len, https);
	host_len = without_default_port(data + host->value, host->value_len, https);
	return an__http_equal(a, a_len, data + host->value, host_len);
}

/* ---- Content-Length, Transfer-Encoding ------------------------------------------- */

static int seen_content_length(an__http_head *h, const char *s, size_t len)
{
	uint64_t n = 0;

	if (len == 0)
		return an__http_fail(h, 400, "Content-Length is empty");
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned char)s[i] - '0';

		if (digit > 9)
			return an__http_fail(h, 400, "Content-Length is not a number");
		if (n > ((uint64_t)INT64_MAX - digit) / 10)
			return an__http_fail(h, 400, "Content-Length is too large");
		n = n * 10 + digit;
	}
	/* Servers in the field repeat the field, and browsers bear it when the values
	 * agree. */
	if (h->content_length >= 0 &&
	    (h->kind == AN__HTTP_REQUEST || h->content_length != (int64_t)n))
		return an__http_fail(h, 400, "Content-Length is repeated");
	h->content_length = (int64_t)n;
	return 0;
}

static bool is(const char *s, size_t len, const char *word)
{
	return an__http_equal(s, len, word, strlen(word));
}

static int coding_of(const char *s, size_t len)
{
	if (is(s, len, "chunked"))
		return TE_CHUNKED;
	if (is(s, len, "identity"))
		return TE_IDENTITY;
	if (is(s, len, "gzip") || is(s, len, "x-gzip") || is(s, len, "deflate") ||
	    is(s, len, "compress") || is(s, len, "x-compress"))
		return TE_KNOWN;
	return an__http_all(s, len, AN__C_TOKEN) ? TE_UNKNOWN : TE_MALFORMED;
}

static int seen_transfer_encoding(an__http_head *h, const char *value, size_t len)
{
	size_t pos = 0, n;
	const char *s;

	h->codings |= TE_SEEN;
	while (an__http_list_next(value, len, &pos, &s, &n)) {
		if (h->codings & TE_CHUNKED)
			h->codings |= TE_MALFORMED;
		h->codings |= (uint8_t)coding_of(s, n);
	}
	return 0;
}

/* Transfer-Encoding wins over nothing: with Content-Length beside it, or in HTTP/1.0,
 * whatever comes behind could be a second message to somebody else (RFC 9112 section
 * 6.1). */
static int check_codings(an__http_head *h)
{
	if (h->content_length >= 0)
		return an__http_fail(h, 400, "both Transfer-Encoding and Content-Length");
	if (h->minor == 0)
		return an__http_fail(h, 400, "Transfer-Encoding in HTTP/1.0");
	if (h->codings & TE_MALFORMED)
		return an__http_fail(h, 400, "Transfer-Encoding is not well formed");
	if (h->codings == (TE_SEEN | TE_CHUNKED)) {
		h->framing = AN__HTTP_CHUNKED_BODY;
		return 0;
	}
	if (h->kind == AN__HTTP_RESPONSE && h->codings == (TE_SEEN | TE_IDENTITY)) {
		h->framing = AN__HTTP_UNTIL_CLOSE;
		return 0;
	}
	if (h->codings & (TE_CHUNKED | TE_UNKNOWN))
		return an__http_fail(h, 501, "a transfer coding is not implemented");
	return an__http_fail(h, 400, "the last transfer coding is not chunked");
}

/* ---- Connection, Expect, Upgrade ------------------------------------------------- */

static int seen_connection(an__http_head *h, const char *value, size_t len)
{
	size_t pos = 0, n;
	const char *s;

	while (an__http_list_next(value, len, &pos, &s, &n)) {
		h->close_token |= is(s, n, "close");
		h->keep_alive_token |= is(s, n, "keep-alive");
		h->upgrade_token |= is(s, n, "upgrade");
	}
	return 0;
}

int an__http_field_seen(an__http_head *h, int id, const char *value, size_t len)
{
	switch (id) {
	case AN__H_HOST:
		if (h->kind != AN__HTTP_REQUEST)
			return 0;
		if (h->hosts++)
			return an__http_fail(h, 400, "Host is repeated");
		return an__http_host_valid(value, len)
			       ? 0
			       : an__http_fail(h, 400, "Host is not valid");
	case AN__H_CONNECTION:
		return seen_connection(h, value, len);
	case AN__H_CONTENT_LENGTH:
		return seen_content_length(h, value, len);
	case AN__H_TRANSFER_ENCODING:
		return seen_transfer_encoding(h, value, len);
	case AN__H_EXPECT:
		if (h->kind != AN__HTTP_REQUEST)
			return 0;
		if (!is(value, len, "100-continue"))
			return an__http_fail(h, 417, "the expectation cannot be met");
		h->expect_continue = true;
		return 0;
	case AN__H_UPGRADE:
		h->upgrade_field |= len > 0;
		return 0;
	}
	return 0;
}

/* ---- the end of the head --------------------------------------------------------- */

static void finish_connection(an__http_head *h)
{
	h->keep_alive = !h->close_token && (h->minor == 1 || h->keep_alive_token);
	h->upgrade = h->minor == 1 && h->upgrade_token && h->upgrade_field;
}

int an__http_finish_request(an__http_head *h, const char *data)
{
	finish_connection(h);
	if (h->minor == 1 && h->hosts == 0)
		return an__http_fail(h, 400, "Host is missing");
	if (h->authority.len && !authority_is_host(h, data))
		return an__http_fail(h, 400, "Host is not the authority of the target");
	if (h->minor == 0)
		h->expect_continue = false; /* RFC 9110 section 10.1.1 */
	if (h->codings)
		return check_codings(h);
	h->framing = h->content_length > 0 ? AN__HTTP_LENGTH : AN__HTTP_NO_BODY;
	return 0;
}

int an__http_finish_response(an__http_head *h)
{
	finish_connection(h);
	if (h->codings) {
		int r = check_codings(h);

		if (r < 0)
			return r;
	} else {
		h->framing = h->content_length > 0    ? AN__HTTP_LENGTH
			     : h->content_length == 0 ? AN__HTTP_NO_BODY
						      : AN__HTTP_UNTIL_CLOSE;
	}
	return 0;
}

enum an__http_framing an__http_response_framing(const an__http_head *h,
						const char *method)
{
	if (strcmp(method, "HEAD") == 0 || h->status < 200 || h->status == 204 ||
	    h->status == 304)
		return AN__HTTP_NO_BODY;
	if (strcmp(method, "CONNECT") == 0 && h->status < 300)
		return AN__HTTP_UNTIL_CLOSE;
	return (enum an__http_framing)h->framing;
}

bool an__http_trailer_forbidden(const char *name, size_t len)
{
	static const char *const list[] = {
		"content-length",
		"transfer-encoding",
		"host",
		"authorization",
		"trailer",
		"te",
		"connection",
		"keep-alive",
		"upgrade",
		"expect",
		"content-encoding",
		"content-type",
		"content-range",
		"max-forwards",
		"cache-control",
		"range",
		"www-authenticate",
		"set-cookie",
		"cookie",
		"proxy-authenticate",
		"proxy-authorization",
		"location",
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		if (an__http_equal(name, len, list[i], strlen(list[i])))
			return true;
	}
	return false;
}
