/* HTTP/1.1: what client and server share, and the server.
 *
 * The parser is strict (RFC 9112): what two implementations could read differently is
 * refused with 400 and the connection closed, never repaired. The client is in
 * http_client.h.
 *
 * A server connection is one task. It reads a head, runs the handler of the route, which
 * reads the body and answers in straight-line code, and goes on to the next request.
 * Answers to pipelined requests leave together in one system call.
 */
#ifndef ASYNCNET_HTTP_H
#define ASYNCNET_HTTP_H

#include <asyncnet/api.h>
#include <asyncnet/error.h>
#include <asyncnet/net.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* ---- header fields --------------------------------------------------------------- */

/* One field. A list to be sent is an array that ends with a NULL name:
 *
 *	(an_http_header[]){ { "content-type", "text/plain" }, { NULL, NULL } }
 *
 * Names must be tokens; values must hold no CR, LF, NUL or other control character but
 * HTAB. Whatever else is refused with -EINVAL before anything is sent. */
typedef struct an_http_header {
	const char *name;
	const char *value;
} an_http_header;

/* The fields of a received message, in their order. Read-only, borrowed from the
 * message. */
typedef struct an_http_headers an_http_headers;

/* The value of the first field of that name (case does not matter), or NULL. Borrowed for
 * as long as the message lives. Never suspends. */
AN_API const char *an_http_headers_get(const an_http_headers *h, const char *name);

/* How many fields there are. */
AN_API size_t an_http_headers_count(const an_http_headers *h);

/* The field at `index` < count; both strings are borrowed as above. { NULL, NULL } beyond
 * the end. */
AN_API an_http_header an_http_headers_at(const an_http_headers *h, size_t index);

/* Whether one of the fields of that name is a comma-separated list (RFC 9110
 * section 5.6.1) with `token` in it, compared without case: an_http_headers_has(h,
 * "connection", "upgrade"). */
AN_API bool an_http_headers_has(const an_http_headers *h, const char *name,
				const char *token);

/* The reason phrase of a status: "Not Found"; "Unknown" for what is not registered.
 * Static. */
AN_API const char *an_http_status_text(int status);

/* ---- query strings --------------------------------------------------------------- */

/* Finds `name` in a query string ("a=1&b=x+y") and decodes its first value as HTML forms
 * do ('+' is a space, %XX a byte) into `buf`, NUL-terminated. The name is compared
 * decoded. `query` may be NULL. Never suspends.
 * Returns the value's length; -ENOENT when it is not there; AN_ERR_LIMIT when it does not
 * fit in `cap` with its NUL; AN_ERR_MALFORMED for a broken %XX or a NUL byte in it. */
AN_API ssize_t an_http_query_get(const char *query, const char *name, char *buf,
				 size_t cap);

/* ---- the server ------------------------------------------------------------------ */

/* A server: its routes, its limits and its connections; opaque. */
typedef struct an_http_server an_http_server;

/* One request and its answer; lives while its handler runs. */
typedef struct an_http_exchange an_http_exchange;

/* Answers a request. Runs in the connection's task and may suspend; cancelled when the
 * server is.
 *
 * Returns 0 after an answer was sent. Without one, 400 to 599 is sent as that status with
 * a short text, and a negative value as the status that fits: what the request's body
 * failed with (400, 408, 413), else -ENOENT 404, -EACCES and -EPERM 403, -EINVAL 400,
 * -ENOMEM, -EAGAIN, -EBUSY, AN_ERR_CLOSED and -ECANCELED 503, -ETIMEDOUT 504, all others
 * and 0 500. When an answer had begun but was not ended, the connection is aborted, so
 * that the client sees a failure and not a short body. */
typedef int (*an_http_handler)(an_http_exchange *x, void *arg);

/* One line of an access log. All strings are borrowed for the call. */
typedef struct an_http_access {
	const char *peer;   /* "127.0.0.1:4711" */
	const char *method; /* "-" when the request could not be read */
	const char *target; /* as received; "-" likewise */
	int minor_version;  /* 0 or 1: HTTP/1.0 or HTTP/1.1 */
	int status;	    /* sent; 499 when the connection was lost before an answer */
	uint64_t received;  /* bytes of the request's body */
	uint64_t sent;	    /* bytes of the answer's body, without framing */
	an_duration took;   /* from the end of the head to the end of the answer */
	/* of the request; none of one that could not be read */
	const an_http_headers *headers;
} an_http_access;

/* Of an_http_server_new(). */
typedef struct an_http_server_opts {
	size_t max_connections; /* more wait in the kernel's queue; 0: 10000 */
	/* For each connection; 0: 1000, which spreads the load anew behind balancers. */
	size_t max_requests;

	/* What a request may have; what is above is answered with the status. */
	size_t head_limit;   /* bytes of its head, up to 64 KiB; 0: 16 KiB; 431, 414 */
	size_t max_headers;  /* fields of its head, up to 1000; 0: 100; 431 */
	uint64_t body_limit; /* bytes of its body; 0: 1 MiB; UINT64_MAX: none; 413 */

	/* Limits on time, each AN_FOREVER for none.
	 *
	 * From the first to the last byte of a head; 0: 10 s; 408. */
	an_duration header_timeout;
	/* Waiting for bytes of a body; each 500 that came grant a second more; 0: 30 s;
	 * 408. */
	an_duration body_timeout;
	/* Between requests; 0: 65 s, above the 60 s of common balancers. */
	an_duration keep_alive;
	/* For a client to take some 64 KiB of an answer; 0: 30 s, which cuts those below
	 * 2 KiB/s. */
	an_duration write_timeout;
	an_duration drain_timeout; /* for requests in flight at a shutdown; 0: 30 s */

	/* Of a connection's task, in which handlers run; 0: the loop's default, 64 KiB.
	 * A parser that recurses as deep as its input says needs a limit of its own. */
	size_t stack_size;
	const char *server_name; /* value of a Server field; NULL: none is sent. Copied */
	/* Called after each answer, in the connection's task; must not suspend. NULL:
	 * none. */
	void (*access_log)(const an_http_access *entry, void *arg);
	void *access_arg;
} an_http_server_opts;

/* Makes a server without routes, for one thread's loop. `opts` may be NULL and is copied.
 * Never suspends.
 * Returns 0; -EINVAL for options that cannot be; -ENOMEM. */
AN_API int an_http_server_new(const an_http_server_opts *opts, an_http_server **ret);

/* Frees the server. No an_http_serve() of it may be running. Accepts NULL, never
 * suspends, returns NULL. */
AN_API an_http_server *an_http_server_free(an_http_server *srv);

/* Adds a route. A pattern is a path: literal segments, "{name}" for one segment that is
 * not empty, and at the end "{name...}" for all the rest, slashes included, which may be
 * empty. More literal wins: "/notes/new" before "/notes/{id}" before "/{rest...}".
 * `method` is a token; NULL takes any. GET answers HEAD, too, unless HEAD has a route of
 * its own; OPTIONS is answered with Allow unless it has one. Strings are copied; `arg` is
 * borrowed for as long as the server lives. Never suspends.
 *
 * Paths are split at '/' first and decoded once, segment by segment: "%2F" in a segment
 * is data, not a separator. Refused with 400: a broken %XX, %00, and the segments "." and
 * ".." in any spelling, so no handler sees them. Empty segments are kept: "//a" is not
 * "/a". Nothing is redirected.
 *
 * Returns 0; -EINVAL for a pattern or method that is not well formed; -EEXIST when there
 * is such a route; -ENOMEM. */
AN_API int an_http_route(an_http_server *srv, const char *method, const char *pattern,
			 an_http_handler handler, void *arg);

/* Accepts and serves connections, each in a task of its own, until the calling task is
 * cancelled, the listener fails, or an_http_server_shutdown() was called and the
 * connections are gone. With a listener that has a TLS context, connections speak TLS.
 * Several listeners may be served by several tasks at once. Suspends. The listener is the
 * server's from the call on, in every case: it is closed as soon as no more connections
 * are wanted, which is before the drain.
 * Returns 0 after a shutdown; -ECANCELED; the listener's error; -ENOMEM. */
AN_API AN_SUSPENDS int an_http_serve(an_http_server *srv, an_listener *listener);

/* Begins the drain: no more connections, idle ones are closed, requests in flight are
 * finished and answered with "connection: close", upgraded connections are cancelled at
 * once (a WebSocket says goodbye under a shield); what is left after the drain timeout is
 * cancelled. an_http_serve() returns when it is done. To be called on the loop's thread,
 * from a task or a callback; again is no effect. Accepts NULL. Never suspends. */
AN_API void an_http_server_shutdown(an_http_server *srv);

/* Whether a drain has begun: for handlers that stream without end. */
AN_API bool an_http_server_draining(const an_http_server *srv);

/* Counters since the start. */
typedef struct an_http_server_stats {
	uint64_t accepted;     /* connections */
	uint64_t connections;  /* now open */
	uint64_t idle;	       /* now waiting for a request's first byte */
	uint64_t requests;     /* heads read and understood */
	uint64_t in_flight;    /* now in a handler */
	uint64_t responses[6]; /* by hundreds: [2] is 2xx; [0] lost before an answer */
	uint64_t malformed;    /* refused by the parser: 400, 414, 431, 501, 505 */
	uint64_t timeouts;     /* heads, bodies and writes that were too slow */
	uint64_t aborted;      /* connections cut in the middle of an answer */
	uint64_t upgraded;     /* connections that went over to another protocol */
	uint64_t received;     /* bytes of requests' bodies, without framing */
	uint64_t sent;	       /* the same of answers' */
} an_http_server_stats;

/* The counters as they are now. Never suspends. */
AN_API void an_http_server_get_stats(const an_http_server *srv,
				     an_http_server_stats *ret);

/* ---- the request ----------------------------------------------------------------- */
/* None of these suspends; all strings are borrowed until the handler returns. */

/* "GET". Case matters. */
AN_API const char *an_http_method(const an_http_exchange *x);

/* The target as received: "/notes/a%20b?x=1", "*" or "http://host/path". */
AN_API const char *an_http_target(const an_http_exchange *x);

/* The path alone, not decoded, without the query: "/notes/a%20b"; "*" for OPTIONS *. */
AN_API const char *an_http_path(const an_http_exchange *x);

/* What follows the first '?', not decoded; "" when there is none. For
 * an_http_query_get(). */
AN_API const char *an_http_query(const an_http_exchange *x);

/* The part of the path that {name} stood for, decoded; NULL when the route has none of
 * that name. That of {name...} keeps its slashes; a decoded "%2F" cannot be told from
 * them in it. */
AN_API const char *an_http_param(const an_http_exchange *x, const char *name);

/* The value of the first field of that name, or NULL. */
AN_API const char *an_http_request_header(const an_http_exchange *x, const char *name);
AN_API const an_http_headers *an_http_request_headers(const an_http_exchange *x);

/* 0 or 1: HTTP/1.0 or HTTP/1.1. */
AN_API int an_http_minor_version(const an_http_exchange *x);

/* The body's length as announced; 0 for none; -1 for a chunked one. */
AN_API int64_t an_http_request_length(const an_http_exchange *x);

/* The peer's address, as an_stream_peer_address(). */
AN_API const char *an_http_peer(an_http_exchange *x);

/* Memory that is freed when the handler has returned: for small strings that must live as
 * long as the exchange. Aligned for any type. NULL when there is none left. */
AN_API void *an_http_alloc(an_http_exchange *x, size_t size);

/* ---- the request's body ---------------------------------------------------------- */

/* Replaces the server's body limit for this request; before the first read. UINT64_MAX:
 * none. */
AN_API void an_http_body_limit(an_http_exchange *x, uint64_t limit);

/* Reads the next bytes of the body, at most `cap`. Suspends. The first call sends "100
 * Continue" to a client that waits for it. What the handler leaves unread is read and
 * dropped after the answer, up to 64 KiB; beyond that the connection is closed.
 * Returns the count; 0 at the end of the body (or for cap 0); AN_ERR_LIMIT above the body
 * limit; AN_ERR_MALFORMED for broken chunks; AN_ERR_EOF or a socket error when the client
 * left; -ETIMEDOUT for a client too slow; -ECANCELED. All but the last stick. */
AN_API AN_SUSPENDS ssize_t an_http_body_read(an_http_exchange *x, void *buf, size_t cap);

/* Reads the rest of the body into memory that is freed when the handler has returned,
 * with a NUL behind it. Suspends.
 * Returns 0; -ENOMEM; as an_http_body_read(). */
AN_API AN_SUSPENDS int an_http_body_read_all(an_http_exchange *x, const char **ret_data,
					     size_t *ret_len);

/* The fields after a chunked body, once the body has been read to its end; NULL when
 * there are none or the body is not at its end. Content-Length, Transfer-Encoding, Host,
 * Authorization and others that frame, route or authenticate were dropped (RFC 9110
 * section 6.5.1). */
AN_API const an_http_headers *an_http_request_trailers(const an_http_exchange *x);

/* ---- the answer ------------------------------------------------------------------ */

/* Answers in one go. Date, Content-Length and Connection are added; giving one of
 * Content-Length, Transfer-Encoding, Connection and Keep-Alive is -EINVAL. To HEAD, and
 * with 204 and 304, no body is sent. `headers` may be NULL; all is copied. Suspends only
 * when the client does not read.
 * Returns 0; -EINVAL; AN_ERR_MISUSE when an answer has begun; -ENOMEM; -ECANCELED;
 * -ETIMEDOUT when the client took nothing for the write timeout; socket errors. */
AN_API AN_SUSPENDS int an_http_respond(an_http_exchange *x, int status,
				       const an_http_header *headers, const void *body,
				       size_t len);

/* As a length: unknown. HTTP/1.1 gets chunks, HTTP/1.0 a body that ends with the
 * connection. */
#define AN_HTTP_CHUNKED (-1)

/* Begins an answer whose body follows by an_http_write(): exactly `length` bytes, or
 * AN_HTTP_CHUNKED. Suspends and returns as an_http_respond(). A 1xx status other than 101
 * is an interim answer (103 Early Hints): the real one still has to follow. */
AN_API AN_SUSPENDS int an_http_respond_begin(an_http_exchange *x, int status,
					     const an_http_header *headers,
					     int64_t length);

/* Sends a piece of the body; `len` 0 sends nothing. Parks while more than the stream's
 * high-water mark is unsent. -ECANCELED means that nothing of it went, but for a piece of
 * more than 64 KiB, where the answer can then only be abandoned.
 * Returns 0; AN_ERR_MISUSE outside an answer or beyond its length; as
 * an_http_respond(). */
AN_API AN_SUSPENDS int an_http_write(an_http_exchange *x, const void *data, size_t len);

/* Ends the answer. Returns 0; AN_ERR_MISUSE when the body is shorter than announced; as
 * an_http_respond(). */
AN_API AN_SUSPENDS int an_http_respond_end(an_http_exchange *x);

/* Answers 101 with "upgrade: protocol" and `headers`, and hands the stream over: from
 * then on it is the caller's, who closes it, at the latest before the handler returns
 * (the connection's task goes on inside the handler). Bytes that came behind the head lie
 * in the stream's buffer. No time limit of the server holds any more. The request must
 * have asked for an upgrade (Connection: upgrade) and have no body. Suspends.
 * Returns 0; AN_ERR_MISUSE when an answer has begun or none of that was asked; as
 * an_http_respond(). */
AN_API AN_SUSPENDS int an_http_upgrade(an_http_exchange *x, const char *protocol,
				       const an_http_header *headers, an_stream **ret);

AN_END_DECLS

#endif
