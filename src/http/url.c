/* URLs: parsing, reference resolution, serialisation. See url.h. L4, sans-I/O.
 *
 * Invariant: what an__url_parse() accepted holds no byte that could end a request line or
 * a header field, and no percent sign that does not begin a valid triplet.
 */
#include "http/url.h"

#include <arpa/inet.h>
#include <asyncnet/error.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ---- bytes ------------------------------------------------------------------------- */

enum {
	URL_OK = 1,	/* may stand in path, query and fragment as it is */
	URL_ENCODE = 2, /* there, too, but is sent as a triplet */
	URL_NAME = 4,	/* in a DNS name */
	URL_SCHEME = 8, /* in a scheme, behind the first letter */
	URL_HEX = 16,
	ENDS_AUTHORITY = 32,
	ENDS_PATH = 64,
};

#define ALNUM (URL_OK | URL_NAME | URL_SCHEME)

/* A byte without a class may stand nowhere. */
static const uint8_t byte_class[256] = {
	['0' ... '9'] = ALNUM | URL_HEX,
	['a' ... 'f'] = ALNUM | URL_HEX,
	['A' ... 'F'] = ALNUM | URL_HEX,
	['g' ... 'z'] = ALNUM,
	['G' ... 'Z'] = ALNUM,
	['-'] = ALNUM,
	['.'] = ALNUM,
	['_'] = URL_OK | URL_NAME,
	['+'] = URL_OK | URL_SCHEME,
	['~'] = URL_OK,
	['!'] = URL_OK,
	['$'] = URL_OK,
	['&'] = URL_OK,
	['\''] = URL_OK,
	['('] = URL_OK,
	[')'] = URL_OK,
	['*'] = URL_OK,
	[','] = URL_OK,
	[';'] = URL_OK,
	['='] = URL_OK,
	[':'] = URL_OK,
	['@'] = URL_OK,
	['/'] = URL_OK | ENDS_AUTHORITY,
	['?'] = URL_OK | ENDS_AUTHORITY | ENDS_PATH,
	['#'] = ENDS_AUTHORITY | ENDS_PATH,
	['%'] = URL_OK,
	/* Not in RFC 3986's path or query, but sent as they are by every browser. */
	['['] = URL_OK,
	[']'] = URL_OK,
	['"'] = URL_ENCODE,
	['<'] = URL_ENCODE,
	['>'] = URL_ENCODE,
	['\\'] = URL_ENCODE,
	['^'] = URL_ENCODE,
	['`'] = URL_ENCODE,
	['{'] = URL_ENCODE,
	['|'] = URL_ENCODE,
	['}'] = URL_ENCODE,
	[0x80 ... 0xff] = URL_ENCODE,
};

static bool is(char c, unsigned class)
{
	return byte_class[(unsigned char)c] & class;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether every byte may stand somewhere, and each percent sign begins a triplet.
 * `spaces`: those may stand, too. */
static bool bytes_valid(const char *text, size_t len, bool spaces)
{
	for (size_t i = 0; i < len; i++) {
		if (!byte_class[(unsigned char)text[i]] && !(spaces && text[i] == ' '))
			return false;
		if (text[i] == '%' && !(i + 2 < len && is(text[i + 1], URL_HEX) &&
					is(text[i + 2], URL_HEX)))
			return false;
	}
	return true;
}

/* ---- writing ----------------------------------------------------------------------- */

/* What is written is counted even when it does not fit, so that a caller can tell. */
struct out {
	char *buf;
	size_t cap, len;
};

static void put(struct out *o, const char *data, size_t len)
{
	if (len && o->len <= o->cap && len <= o->cap - o->len)
		memcpy(o->buf + o->len, data, len);
	o->len += len;
}

static void put_char(struct out *o, char c)
{
	put(o, &c, 1);
}

static void put_encoded(struct out *o, an__url_part p)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t done = 0;

	for (size_t i = 0; i < p.len; i++) {
		unsigned char c = (unsigned char)p.data[i];

		if (byte_class[c] & URL_OK)
			continue;
		put(o, p.data + done, i - done);
		put(o, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
		done = i + 1;
	}
	put(o, p.data + done, p.len - done);
}

/* ---- splitting --------------------------------------------------------------------- */

/* The first byte of the class, or the end. */
static const char *find(const char *from, const char *end, unsigned class)
{
	while (from < end && !is(*from, class))
		from++;
	return from;
}

static bool is_alpha(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

/* The length of the scheme at the front, without its colon; 0: there is none. */
static size_t scheme_length(const char *text, const char *end)
{
	const char *p = text;

	if (p == end || !is_alpha(*p))
		return 0;
	while (p < end && is(*p, URL_SCHEME))
		p++;
	return p < end && *p == ':' ? (size_t)(p - text) : 0;
}

/* The five parts of a reference, RFC 3986 appendix B. `path` is always there. */
typedef struct url_ref {
	an__url_part scheme, authority, path, query, fragment;
} url_ref;

/* Checks every byte, but not what stands in the authority. */
static int split(const char *text, size_t len, bool spaces, url_ref *ret)
{
	const char *p = text, *end = text + len, *stop;
	url_ref r = { 0 };
	size_t scheme;

	if (len > AN__URL_MAX || !bytes_valid(text, len, spaces))
		return AN_ERR_URL;
	scheme = scheme_length(p, end);
	if (scheme) {
		r.scheme = (an__url_part){ p, scheme };
		p += scheme + 1;
	}
	if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
		p += 2;
		stop = find(p, end, ENDS_AUTHORITY);
		r.authority = (an__url_part){ p, (size_t)(stop - p) };
		p = stop;
	}
	stop = find(p, end, ENDS_PATH);
	r.path = (an__url_part){ p, (size_t)(stop - p) };
	p = stop;
	if (p < end && *p == '?') {
		p++;
		stop = memchr(p, '#', (size_t)(end - p));
		if (!stop)
			stop = end;
		r.query = (an__url_part){ p, (size_t)(stop - p) };
		p = stop;
	}
	if (p < end) /* at '#' */
		r.fragment = (an__url_part){ p + 1, (size_t)(end - p - 1) };
	if (r.fragment.len && memchr(r.fragment.data, '#', r.fragment.len))
		return AN_ERR_URL;
	/* No space is a part of a host, whoever asks. */
	if (spaces && r.authority.len && memchr(r.authority.data, ' ', r.authority.len))
		return AN_ERR_URL;
	*ret = r;
	return 0;
}

/* ---- parsing ----------------------------------------------------------------------- */

enum { HOST_MAX = 255 };

static bool part_is(an__url_part p, const char *word)
{
	return p.len == strlen(word) && !strncasecmp(p.data, word, p.len);
}

static int parse_scheme(an__url_part scheme, an__url *u)
{
	u->tls = part_is(scheme, "https") || part_is(scheme, "wss");
	u->websocket = part_is(scheme, "ws") || part_is(scheme, "wss");
	if (!u->tls && !u->websocket && !part_is(scheme, "http"))
		return AN_ERR_URL;
	u->port = u->tls ? 443 : 80;
	u->default_port = true;
	return 0;
}

static int parse_port(const char *p, const char *end, an__url *u)
{
	unsigned port = 0;

	if (p == end) /* "http://host:/": RFC 3986 §3.2.3 */
		return 0;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return AN_ERR_URL;
		port = port * 10 + (unsigned)(*p - '0');
		if (port > 65535)
			return AN_ERR_URL;
	}
	if (!port)
		return AN_ERR_URL;
	u->default_port = port == (u->tls ? 443u : 80u);
	u->port = port;
	return 0;
}

static bool ipv6_valid(an__url_part host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.data, host.len);
	text[host.len] = 0;
	return inet_pton(AF_INET6, text, &address) == 1;
}

static int parse_authority(an__url_part authority, an__url *u)
{
	const char *p = authority.data, *end = p + authority.len, *stop;

	if (p < end && *p == '[') {
		stop = memchr(p, ']', authority.len);
		if (!stop)
			return AN_ERR_URL;
		u->host = (an__url_part){ p + 1, (size_t)(stop - p - 1) };
		u->ipv6 = true;
		if (!ipv6_valid(u->host))
			return AN_ERR_URL;
		stop++;
	} else {
		/* An '@' is no byte of a name: user information ends here. */
		for (stop = p; stop < end && is(*stop, URL_NAME); stop++)
			;
		u->host = (an__url_part){ p, (size_t)(stop - p) };
		if (!u->host.len || u->host.len > HOST_MAX)
			return AN_ERR_URL;
	}
	if (stop == end)
		return 0;
	return *stop == ':' ? parse_port(stop + 1, end, u) : AN_ERR_URL;
}

int an__url_parse(const char *text, size_t len, an__url *ret)
{
	an__url u = { 0 };
	url_ref r;

	if (split(text, len, false, &r) || !r.scheme.data || !r.authority.data)
		return AN_ERR_URL;
	if (parse_scheme(r.scheme, &u) || parse_authority(r.authority, &u))
		return AN_ERR_URL;
	u.path = r.path;
	u.query = r.query;
	u.fragment = r.fragment;
	*ret = u;
	return 0;
}

/* ---- resolution, RFC 3986 §5.2 ----------------------------------------------------- */

static bool starts(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - p) >= len && !memcmp(p, word, len);
}

/* RFC 3986 §5.2.4, in place: the output never gets ahead of the input. Returns the new
 * length. */
static size_t remove_dot_segments(char *path, size_t len)
{
	char *in = path, *end = path + len, *out = path;

	while (in < end) {
		if (starts(in, end, "../")) {
			in += 3;
		} else if (starts(in, end, "./") || starts(in, end, "/./")) {
			in += 2;
		} else if (end - in == 2 && starts(in, end, "/.")) {
			*++in = '/';
		} else if (starts(in, end, "/../") ||
			   (end - in == 3 && starts(in, end, "/.."))) {
			in += end - in == 3 ? 2 : 3;
			*in = '/';
			while (out > path && *--out != '/')
				;
		} else if ((end - in == 1 && *in == '.') ||
			   (end - in == 2 && starts(in, end, ".."))) {
			in = end;
		} else {
			do
				*out++ = *in++;
			while (in < end && *in != '/');
		}
	}
	return (size_t)(out - path);
}

/* RFC 3986 §5.2.3: the base's path up to its last slash, then the reference's. */
static void put_merged(struct out *o, const url_ref *base, an__url_part path)
{
	size_t keep = base->path.len;

	if (base->authority.data && !keep) {
		put_char(o, '/');
	} else {
		while (keep && base->path.data[keep - 1] != '/')
			keep--;
		put_encoded(o, (an__url_part){ base->path.data, keep });
	}
	put_encoded(o, path);
}

static void put_path(struct out *o, const url_ref *base, const url_ref *ref,
		     bool own_authority)
{
	size_t start = o->len;

	if (!own_authority && !ref->path.len) { /* the base's own, not normalised */
		put_encoded(o, base->path);
		return;
	}
	if (own_authority || ref->path.data[0] == '/')
		put_encoded(o, ref->path);
	else
		put_merged(o, base, ref->path);
	if (o->len <= o->cap)
		o->len = start + remove_dot_segments(o->buf + start, o->len - start);
}

long an__url_resolve(const char *base_text, size_t base_len, const char *ref_text,
		     size_t ref_len, char *buf, size_t cap)
{
	struct out o = { buf, cap ? cap - 1 : 0, 0 };
	an__url_part authority, query, fragment;
	url_ref base, ref;
	bool own;

	if (split(base_text, base_len, false, &base) || !base.scheme.data ||
	    split(ref_text, ref_len, true, &ref))
		return AN_ERR_URL;
	own = ref.scheme.data || ref.authority.data;
	authority = own ? ref.authority : base.authority;
	query = own || ref.path.len || ref.query.data ? ref.query : base.query;
	fragment = ref.fragment.data ? ref.fragment : base.fragment;

	put(&o, ref.scheme.data ? ref.scheme.data : base.scheme.data,
	    ref.scheme.data ? ref.scheme.len : base.scheme.len);
	put_char(&o, ':');
	if (authority.data) {
		put(&o, "//", 2);
		put(&o, authority.data, authority.len);
	}
	put_path(&o, &base, &ref, own);
	if (query.data) {
		put_char(&o, '?');
		put_encoded(&o, query);
	}
	if (fragment.data) {
		put_char(&o, '#');
		put_encoded(&o, fragment);
	}
	if (!cap || o.len > o.cap || o.len > AN__URL_MAX)
		return AN_ERR_LIMIT;
	buf[o.len] = 0;
	return (long)o.len;
}

/* ---- serialisation ----------------------------------------------------------------- */

size_t an__url_target(const an__url *u, char *buf, size_t cap)
{
	struct out o = { buf, cap, 0 };

	if (!u->path.len)
		put_char(&o, '/');
	put_encoded(&o, u->path);
	if (u->query.data) {
		put_char(&o, '?');
		put_encoded(&o, u->query);
	}
	return o.len;
}

static void put_number(struct out *o, unsigned n)
{
	char digits[10], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	put(o, p, (size_t)(digits + sizeof(digits) - p));
}

size_t an__url_host(const an__url *u, char *buf, size_t cap)
{
	struct out o = { buf, cap, 0 };

	if (u->ipv6)
		put_char(&o, '[');
	for (size_t i = 0; i < u->host.len; i++)
		put_char(&o, lower(u->host.data[i]));
	if (u->ipv6)
		put_char(&o, ']');
	if (!u->default_port) {
		put_char(&o, ':');
		put_number(&o, u->port);
	}
	return o.len;
}

bool an__url_same_origin(const an__url *a, const an__url *b)
{
	return a->tls == b->tls && a->port == b->port && a->host.len == b->host.len &&
	       !strncasecmp(a->host.data, b->host.data, a->host.len);
}
