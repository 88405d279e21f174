/* The head of a message: lines, start line, and the checks that need the whole head.
 *
 * L4, sans-I/O. Lines end with CRLF alone; a bare CR or LF, and any control character but
 * HTAB, is an error wherever it comes (RFC 9112 sections 2.2 and 11). What single fields
 * mean for the framing is in fields.c.
 *
 *	START --start line--> FIELDS --empty line--> COMPLETE
 *	  |                     |
 *	  +---------------------+--> FAILED
 *
 * A verdict depends on the bytes alone and not on how they were cut: lines are judged in
 * their order, each as a whole, and no byte beyond a limit is looked at.
 */
#include "http/parse.h"

#include "http/fields.h"
#include "http/scan.h"

#include <errno.h>
#include <string.h>

enum { START, FIELDS, COMPLETE, FAILED };

const an__http_limits an__http_server_limits = { 16 * 1024, 16 * 1024, 100 };
const an__http_limits an__http_client_limits = { 64 * 1024, 16 * 1024, 128 };

void an__http_head_init(an__http_head *h, enum an__http_kind kind,
			const an__http_limits *limits)
{
	an__http_headers_init(&h->headers);
	h->limits = *limits;
	h->kind = (uint8_t)kind;
	an__http_head_reset(h);
}

void an__http_head_reset(an__http_head *h)
{
	const size_t from = offsetof(an__http_head, method);
	const an__http_limits limits = h->limits;
	const uint8_t kind = h->kind;

	an__http_headers_clear(&h->headers);
	memset((char *)h + from, 0, sizeof(*h) - from);
	h->content_length = -1;
	h->limits = limits;
	h->kind = kind;
	h->state = kind == AN__HTTP_TRAILERS ? FIELDS : START;
}

void an__http_head_done(an__http_head *h)
{
	an__http_headers_done(&h->headers);
}

bool an__http_head_begun(const an__http_head *h, size_t len)
{
	return len > (h->blank_seen ? 2 : 0);
}

int an__http_fail(an__http_head *h, int answer, const char *why)
{
	h->answer = (uint16_t)answer;
	h->reason_text = why;
	return AN_ERR_MALFORMED;
}

/* ---- start lines ----------------------------------------------------------------- */

/* "HTTP/1.0" or "HTTP/1.1". */
static int parse_version(an__http_head *h, const char *s, size_t len)
{
	if (len != 8 || memcmp(s, "HTTP/", 5) != 0 || s[6] != '.' || s[5] < '0' ||
	    s[5] > '9' || s[7] < '0' || s[7] > '9')
		return an__http_fail(h, 400, "the start line is not well formed");
	if (s[5] != '1' || s[7] > '1')
		return an__http_fail(h, 505, "the version is not HTTP/1.0 or HTTP/1.1");
	h->minor = s[7] == '1';
	return 0;
}

static void split_path(an__http_head *h, const char *data, an__http_span all)
{
	const char *question = memchr(data + all.at, '?', all.len);
	uint32_t path_len = question ? (uint32_t)(question - data) - all.at : all.len;

	h->path = (an__http_span){ all.at, path_len };
	if (question)
		h->query =
			(an__http_span){ all.at + path_len + 1, all.len - path_len - 1 };
}

/* "http://host/path?query": a scheme of ours, an authority without user information. */
static int parse_absolute(an__http_head *h, const char *data)
{
	const char *t = data + h->target.at;
	uint32_t len = h->target.len, skip, end;

	if (len > 7 && an__http_equal(t, 7, "http://", 7))
		skip = 7;
	else if (len > 8 && an__http_equal(t, 8, "https://", 8))
		skip = 8;
	else
		return an__http_fail(h, 400,
				     "the request target has no form that is allowed");
	for (end = skip; end < len && t[end] != '/' && t[end] != '?'; end++)
		;
	h->form = AN__HTTP_ABSOLUTE;
	h->authority = (an__http_span){ h->target.at + skip, end - skip };
	if (!an__http_host_valid(t + skip, end - skip))
		return an__http_fail(h, 400,
				     "the authority of the request target is not valid");
	split_path(h, data, (an__http_span){ h->target.at + end, len - end });
	return 0;
}

/* "host:port", the port not left out. */
static int parse_authority(an__http_head *h, const char *data)
{
	const char *t = data + h->target.at;

	h->form = AN__HTTP_AUTHORITY;
	h->authority = h->target;
	if (!an__http_host_valid(t, h->target.len) || t[h->target.len - 1] == ']' ||
	    t[h->target.len - 1] == ':' || !memchr(t, ':', h->target.len))
		return an__http_fail(h, 400, "CONNECT needs host:port as its target");
	return 0;
}

static int parse_target(an__http_head *h, const char *data)
{
	const char *method = data + h->method.at;
	const char *t = data + h->target.at;

	if (h->method.len == 7 && memcmp(method, "CONNECT", 7) == 0)
		return parse_authority(h, data);
	if (*t == '/') {
		h->form = AN__HTTP_ORIGIN;
		split_path(h, data, h->target);
		return 0;
	}
	if (*t == '*' && h->target.len == 1 && h->method.len == 7 &&
	    memcmp(method, "OPTIONS", 7) == 0) {
		h->form = AN__HTTP_ASTERISK;
		h->path = h->target;
		return 0;
	}
	return parse_absolute(h, data);
}

/* method SP request-target SP HTTP-version, one space each (RFC 9112 section 3). */
static int parse_request_line(an__http_head *h, const char *data, uint32_t at,
			      uint32_t end)
{
	uint32_t p = at;
	int r;

	while (p < end && an__http_is(data[p], AN__C_TOKEN))
		p++;
	h->method = (an__http_span){ at, p - at };
	if (p == at || p == end || data[p] != ' ')
		return an__http_fail(h, 400, "the method is not a token");
	at = ++p;
	while (p < end && an__http_is(data[p], AN__C_TARGET))
		p++;
	h->target = (an__http_span){ at, p - at };
	if (p == at || p == end || data[p] != ' ')
		return an__http_fail(h, 400, "the request target is not well formed");
	p++;
	r = parse_version(h, data + p, end - p);
	return r < 0 ? r : parse_target(h, data);
}

/* HTTP-version SP 3DIGIT SP [reason]; the second space is often left out with the reason,
 * and no reader can mistake that. */
static int parse_status_line(an__http_head *h, const char *data, uint32_t at,
			     uint32_t end)
{
	const char *s = data + at;
	uint32_t len = end - at;
	int r;

	if (len < 12 || s[8] != ' ')
		return an__http_fail(h, 400, "the status line is not well formed");
	r = parse_version(h, s, 8);
	if (r < 0)
		return r;
	for (int i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return an__http_fail(h, 400, "the status is not three digits");
		h->status = (uint16_t)(h->status * 10 + (s[i] - '0'));
	}
	if (h->status < 100 || (len > 12 && s[12] != ' '))
		return an__http_fail(h, 400, "the status is not three digits");
	if (len > 13)
		h->reason = (an__http_span){ at + 13, len - 13 };
	return 0;
}

static int parse_start(an__http_head *h, const char *data, uint32_t at, uint32_t end)
{
	int r;

	if (h->kind == AN__HTTP_REQUEST && at == end && !h->blank_seen) {
		h->blank_seen = true; /* RFC 9112 section 2.2 */
		return 0;
	}
	r = h->kind == AN__HTTP_REQUEST ? parse_request_line(h, data, at, end)
					: parse_status_line(h, data, at, end);
	if (r == 0)
		h->state = FIELDS;
	return r;
}

/* ---- field lines ----------------------------------------------------------------- */

static int parse_field(an__http_head *h, const char *data, uint32_t at, uint32_t end)
{
	an__http_field *f;
	uint32_t p = at, value, value_end = end;

	while (p < end && an__http_is(data[p], AN__C_TOKEN))
		p++;
	if (p == at || p == end || data[p] != ':')
		return an__http_fail(h, 400,
				     *(data + at) == ' ' || *(data + at) == '\t'
					     ? "a field is folded over several lines"
					     : "a field's name is not a token");
	for (value = p + 1; value < end && (data[value] == ' ' || data[value] == '\t');
	     value++)
		;
	while (value_end > value &&
	       (data[value_end - 1] == ' ' || data[value_end - 1] == '\t'))
		value_end--;
	if (p - at > UINT16_MAX || h->headers.count >= h->limits.headers) {
		an__http_fail(h, 431, "there are too many fields");
		return AN_ERR_LIMIT;
	}
	if (h->kind == AN__HTTP_TRAILERS && an__http_trailer_forbidden(data + at, p - at))
		return 0;
	f = an__http_headers_add(&h->headers);
	if (!f) {
		an__http_fail(h, 503, "out of memory");
		return -ENOMEM;
	}
	f->name = at;
	f->name_len = (uint16_t)(p - at);
	f->value = value;
	f->value_len = value_end - value;
	f->id = (uint8_t)an__http_id_of(data + at, p - at);
	if (f->id == AN__H_OTHER || h->kind == AN__HTTP_TRAILERS)
		return 0;
	return an__http_field_seen(h, f->id, data + value, f->value_len);
}

/* ---- the whole head -------------------------------------------------------------- */

static int finish(an__http_head *h, const char *data)
{
	int r = 0;

	h->headers.base = data;
	if (h->kind == AN__HTTP_REQUEST)
		r = an__http_finish_request(h, data);
	else if (h->kind == AN__HTTP_RESPONSE)
		r = an__http_finish_response(h);
	if (r == 0)
		h->state = COMPLETE;
	return r;
}

/* Judges the line [at, end). Returns 1 when that was the last one; 0; a negative code. */
static int parse_line(an__http_head *h, const char *data, uint32_t at, uint32_t end)
{
	int r;

	if (h->state == START)
		return parse_start(h, data, at, end);
	if (at != end)
		return parse_field(h, data, at, end);
	r = finish(h, data);
	return r < 0 ? r : 1;
}

/* Looks for the end of the current line. Returns 1 and its end (where its CR is); 0: more
 * is needed; a negative code. */
static int find_line(an__http_head *h, const char *data, size_t len, uint32_t *ret_end)
{
	size_t visible = len < h->limits.head ? len : h->limits.head;
	size_t line_max = (size_t)h->line + h->limits.line;
	size_t stop = visible < line_max ? visible : line_max;
	const char *p = an__scan_control(data + h->scanned, data + stop);
	size_t at = (size_t)(p - data);

	if (at + 1 < stop && p[0] == '\r' && p[1] == '\n') {
		*ret_end = (uint32_t)at;
		return 1;
	}
	if (at < stop && (*p != '\r' || at + 1 < stop))
		return an__http_fail(h, 400,
				     *p == '\r' || *p == '\n'
					     ? "a line does not end with CR LF"
					     : "there is a control character");
	h->scanned = (uint32_t)at;
	if (stop == h->limits.head || stop == line_max) {
		an__http_fail(h, h->state == START ? 414 : 431, "the head is too large");
		return AN_ERR_LIMIT;
	}
	return 0;
}

ssize_t an__http_head_parse(an__http_head *h, const char *data, size_t len)
{
	uint32_t end;
	int r;

	if (h->state >= COMPLETE)
		return AN_ERR_MISUSE;
	while ((r = find_line(h, data, len, &end)) > 0) {
		r = parse_line(h, data, h->line, end);
		h->line = h->scanned = end + 2;
		if (r > 0)
			return h->line;
		if (r < 0)
			break;
	}
	if (r < 0)
		h->state = FAILED;
	return r;
}
