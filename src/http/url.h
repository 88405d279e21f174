/* URLs: a strict parser for those that HTTP can fetch, reference resolution,
 * serialisation. L4, sans-I/O, no allocation.
 *
 * Parsed parts are slices of the text that was parsed: nothing is copied, and the text
 * must outlive the struct. The grammar is RFC 3986 with these choices:
 *  - schemes are http, https, ws and wss, in any case;
 *  - user information is refused (RFC 9110 §4.2.4: it disguises the host);
 *  - a host is a DNS name in ASCII (an international name in its xn-- form), or an
 *    address; no percent-encoding, no zone, no IPvFuture;
 *  - a port is 1 to 65535; an empty one is the scheme's;
 *  - control characters and spaces are refused everywhere. Other bytes that RFC 3986
 *    does not allow (above ASCII, and "<>\^`{|}) may stand in path, query and fragment
 *    and are percent-encoded when they are sent: they cannot mean anything else there.
 */
#ifndef AN_HTTP_URL_H
#define AN_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

/* Longest URL taken or made, in bytes: what servers accept as a request line with room to
 * spare. */
#define AN__URL_MAX 8192

typedef struct an__url_part {
	/* NULL: the part is not there, which is not the same as empty */
	const char *data;
	size_t len;
} an__url_part;

typedef struct an__url {
	an__url_part host;     /* without the brackets of an IPv6 address */
	an__url_part path;     /* may be empty: means "/" */
	an__url_part query;    /* without '?' */
	an__url_part fragment; /* without '#' */
	unsigned port;	       /* the effective one */
	bool tls;	       /* https, wss */
	bool websocket;	       /* ws, wss */
	bool ipv6;	       /* host is an IPv6 address */
	bool default_port;     /* `port` is the scheme's */
} an__url;

/* Parses an absolute URL. Returns 0; AN_ERR_URL. */
int an__url_parse(const char *text, size_t len, an__url *ret);

/* Resolves `ref` against the absolute `base` (RFC 3986 §5.2) and writes the result to
 * `buf`, terminated. A fragment is the reference's, or else the base's (RFC 9110
 * §10.2.2). `ref` may hold spaces, which are percent-encoded as browsers do; the result's
 * path and query are always pure ASCII.
 * Returns the length; AN_ERR_URL; AN_ERR_LIMIT when it does not fit. */
long an__url_resolve(const char *base, size_t base_len, const char *ref, size_t ref_len,
		     char *buf, size_t cap);

/* Writes what stands in a request line: path and query, encoded, "/" at least. Returns
 * the length, or what it would have been when that is above `cap` (then nothing useful
 * was written). */
size_t an__url_target(const an__url *u, char *buf, size_t cap);

/* Writes a Host value: the host in lower case, brackets, the port unless it is the
 * scheme's. Returns as above. */
size_t an__url_host(const an__url *u, char *buf, size_t cap);

/* Whether both have the same origin: scheme, host and port (RFC 6454 §5). */
bool an__url_same_origin(const an__url *a, const an__url *b);

#endif
