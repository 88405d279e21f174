/* The head of a message: one strict parser for requests, responses and trailers. L4,
 * sans-I/O.
 *
 * Works on one contiguous buffer that begins at the message and grows behind; it goes
 * line by line and remembers how far it got, so that feeding bytes one by one costs no
 * more than all at once, and gives the same result. Nothing is allocated but fields
 * beyond AN__HTTP_FIELDS_INLINE.
 *
 * Life of a parser:   init --parse--> more ... --> done      (bytes of the head)
 *                                          `--> failed       (error, `answer`)
 * A parser that is done or failed is used again after an__http_head_reset().
 */
#ifndef AN_HTTP_PARSE_H
#define AN_HTTP_PARSE_H

#include "http/headers.h"

enum an__http_kind { AN__HTTP_REQUEST, AN__HTTP_RESPONSE, AN__HTTP_TRAILERS };

/* How the body that follows is delimited, RFC 9112 section 6.3. */
enum an__http_framing {
	AN__HTTP_NO_BODY,
	AN__HTTP_LENGTH,
	AN__HTTP_CHUNKED_BODY,
	AN__HTTP_UNTIL_CLOSE,
};

enum an__http_target_form {
	AN__HTTP_ORIGIN,    /* "/path?query" */
	AN__HTTP_ABSOLUTE,  /* "http://host/path" */
	AN__HTTP_AUTHORITY, /* "host:port", CONNECT alone */
	AN__HTTP_ASTERISK,  /* "*", OPTIONS alone */
};

/* A piece of the head's text: an offset, as a field's. */
typedef struct an__http_span {
	uint32_t at, len;
} an__http_span;

typedef struct an__http_limits {
	uint32_t head;	  /* bytes, the empty line at the end included; at most 1 GiB */
	uint32_t line;	  /* bytes of a line with its CRLF */
	uint16_t headers; /* fields */
} an__http_limits;

extern const an__http_limits an__http_server_limits; /* 16 KiB, 16 KiB, 100 */
extern const an__http_limits an__http_client_limits; /* 64 KiB, 16 KiB, 128 */

typedef struct an__http_head {
	an_http_headers headers;

	/* What was read; valid once it is done. */
	an__http_span method, target; /* request */
	an__http_span path, query;    /* parts of the target; query without '?' */
	an__http_span authority;      /* of absolute and authority form */
	an__http_span reason;	      /* response */
	int64_t content_length;	      /* -1: not given */
	uint16_t status;	      /* response */
	uint8_t minor;		      /* HTTP/1.x */
	uint8_t form;		      /* enum an__http_target_form */
	uint8_t framing; /* of a response as if it answered a GET, see below */
	bool keep_alive; /* by version and Connection; not after a body to the close */
	bool expect_continue;
	bool upgrade; /* Connection: upgrade and an Upgrade field */

	/* What went wrong. */
	uint16_t answer; /* the status a server sends: 400, 414, 431, 501, 505, 417 */
	const char *reason_text; /* why, in English; static */

	/* How far it got. */
	an__http_limits limits;
	uint32_t line;	  /* where the current line begins */
	uint32_t scanned; /* up to here the current line holds no control character */
	uint8_t kind;	  /* enum an__http_kind */
	uint8_t state;
	bool blank_seen; /* the empty line that is allowed before a request */

	/* What the fields said, for the checks at the end. */
	uint8_t hosts;
	uint8_t codings; /* flags, see parse.c */
	bool close_token, keep_alive_token, upgrade_token, upgrade_field;
} an__http_head;

/* `limits` is copied. */
void an__http_head_init(an__http_head *h, enum an__http_kind kind,
			const an__http_limits *limits);

/* Makes it ready for the next message, keeping limits and memory. */
void an__http_head_reset(an__http_head *h);

void an__http_head_done(an__http_head *h);

/* Parses on. `data` is the message's first byte, at the same or another address than
 * before, `len` all that there is by now. Returns the length of the whole head, > 0; 0:
 * more is needed; AN_ERR_MALFORMED; AN_ERR_LIMIT; -ENOMEM. After an error `answer` and
 * `reason_text` are set. */
ssize_t an__http_head_parse(an__http_head *h, const char *data, size_t len);

/* Whether any byte of a message has been seen (an empty line before a request is none).
 */
bool an__http_head_begun(const an__http_head *h, size_t len);

/* How the body of a response is delimited given the request it answers: HEAD, 1xx, 204,
 * 304 have none; 2xx to CONNECT is a tunnel, given as AN__HTTP_UNTIL_CLOSE with both
 * fields ignored. */
enum an__http_framing an__http_response_framing(const an__http_head *h,
						const char *method);

/* As a string, after an__http_headers_adopt() of h->headers: not terminated, see `len`.
 */
static inline const char *an__http_span_text(const an__http_head *h, an__http_span s)
{
	return h->headers.base + s.at;
}

/* Whether `s` is a valid Host value: name or address, and a port or not (RFC 9112
 * section 3.2). */
bool an__http_host_valid(const char *s, size_t len);

#endif
