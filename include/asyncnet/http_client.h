/* HTTP/1.1: the client.
 *
 * A client keeps connections and lends them to requests. A response is a head that has
 * arrived and a body that is read in pieces as it comes:
 *
 *	r = an_http_get(client, "https://example.org/", &response);
 *	while (!r && (n = an_http_response_read(response, buf, sizeof(buf))) > 0)
 *		...
 *	an_http_response_free(response);
 *
 * A status of 400 and above is a response like any other, not an error.
 *
 * Everything can be cancelled: a connection in the middle of something is then closed,
 * nothing is lost. A client belongs to the loop it was made in, and must be freed before
 * that loop ends.
 */
#ifndef ASYNCNET_HTTP_CLIENT_H
#define ASYNCNET_HTTP_CLIENT_H

#include <asyncnet/api.h>
#include <asyncnet/http.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>
#include <asyncnet/tls.h>

AN_BEGIN_DECLS

/* A client with its pool of connections, and one response; opaque. */
typedef struct an_http_client an_http_client;
typedef struct an_http_response an_http_response;

/* ---- what went wrong --------------------------------------------------------------- */

/* How far a request had come. */
typedef enum an_http_phase {
	AN_HTTP_PHASE_REQUEST,	  /* nothing was done: the request is not usable */
	AN_HTTP_PHASE_POOL,	  /* waiting for a free connection */
	AN_HTTP_PHASE_CONNECT,	  /* resolving the name and connecting */
	AN_HTTP_PHASE_TLS,	  /* the TLS context or handshake */
	AN_HTTP_PHASE_SEND,	  /* sending head and body */
	AN_HTTP_PHASE_FIRST_BYTE, /* waiting for the response to begin */
	AN_HTTP_PHASE_HEAD,	  /* receiving the response's head */
	AN_HTTP_PHASE_REDIRECT,	  /* following one */
	AN_HTTP_PHASE_BODY,	  /* receiving the response's body */
} an_http_phase;

/* The details of a failure. */
typedef struct an_http_error {
	int code; /* what the call returned; 0: nothing has failed */
	an_http_phase phase;
	char text[200]; /* in words, for people: "no first byte within 60 s" */
} an_http_error;

/* "connect", "first byte", ... Static. */
AN_API const char *an_http_phase_name(an_http_phase phase);

/* ---- the client -------------------------------------------------------------------- */

/* As a limit of redirects: 3xx responses are returned as they are. */
#define AN_HTTP_NO_REDIRECTS (-1)

/* How a client behaves; zeros are the defaults. */
typedef struct an_http_client_opts {
	/* The context for https; the client keeps a reference. NULL: one that verifies
	 * against the system's roots is made when it is first needed. */
	an_tls *tls;

	/* Connections lent at the same time, to one origin (scheme, host, port) and to
	 * all. Requests beyond that wait, first come, first served. */
	size_t max_per_host; /* 0: 16 */
	size_t max_total;    /* 0: 100 */

	/* Connections that are kept open unused, beside the lent ones, and for how long.
	 * A server's Keep-Alive: timeout is honoured, less a second. The last used is the
	 * first reused. */
	size_t max_idle;	  /* 0: 32 */
	an_duration idle_timeout; /* 0: 15 s; AN_FOREVER: as the server allows */

	/* Limits on time, each AN_FOREVER for none. */
	an_duration pool_timeout;	/* until a connection is lent; 0: 300 s */
	an_duration connect_timeout;	/* resolving and connecting; 0: 10 s */
	an_duration tls_timeout;	/* the handshake; 0: 10 s */
	an_duration first_byte_timeout; /* of the response, once all is sent; 0: 60 s */
	/* Receiving no byte, or sending less than 64 KiB of a body; 0: 60 s. */
	an_duration read_timeout;
	/* From the first connection lent to the body's end, redirects included;
	 * 0: 300 s. */
	an_duration total_timeout;

	int max_redirects;	/* 0: 10; AN_HTTP_NO_REDIRECTS */
	bool allow_downgrade;	/* follow redirects from https to http */
	bool no_retry;		/* send once, though a kept connection turns out dead */
	const char *user_agent; /* NULL: "libasyncnet/VERSION"; "": none sent. Copied */
	size_t head_limit;	/* bytes of a head; 0: 64 KiB, of 16 KiB a line */
} an_http_client_opts;

/* Makes a client. `opts` may be NULL and is copied. Never suspends.
 * Returns 0; -EINVAL for options that cannot be; -ENOMEM; AN_ERR_NO_TASK outside a
 * loop. */
AN_API int an_http_client_new(const an_http_client_opts *opts, an_http_client **ret);

/* Closes what is kept open and gives the client up. Requests in flight go on, and
 * responses stay usable; the memory goes with the last of them. Accepts NULL, never
 * suspends, returns NULL. */
AN_API an_http_client *an_http_client_free(an_http_client *client);

/* The details of the last an_http_send() that failed: to be looked at before the caller
 * next suspends, after which another task's failure may have replaced it. Borrowed. */
AN_API const an_http_error *an_http_client_error(const an_http_client *client);

/* Counters since the start. */
typedef struct an_http_client_stats {
	uint64_t requests;  /* sent, redirects and retries included */
	uint64_t connects;  /* connections opened */
	uint64_t reuses;    /* requests on a kept connection */
	uint64_t discarded; /* kept connections found dead, expired or too many */
	uint64_t retries;   /* requests sent again on a fresh connection */
	uint64_t redirects; /* followed */
	size_t lent;	    /* connections lent now */
	size_t idle;	    /* connections kept now */
	size_t waiting;	    /* requests waiting for a connection now */
} an_http_client_stats;

/* The counters as they are now. Never suspends. */
AN_API void an_http_client_get_stats(const an_http_client *client,
				     an_http_client_stats *ret);

/* ---- requests ---------------------------------------------------------------------- */

/* Gives the next bytes of a request's body: up to `cap` of them into `buf`. May suspend.
 * Returns the count, 0 at the end, or a negative code, which ends the request with it. */
typedef ssize_t (*an_http_body_fn)(void *arg, void *buf, size_t cap);

/* All of it is borrowed until an_http_send() returns. */
typedef struct an_http_request {
	const char *method; /* a token; NULL: GET, or POST with a body */
	const char *url;    /* http or https; at most 8192 bytes; no user information */

	/* Ends with a NULL name; may be NULL. Host may be given. Content-Length,
	 * Transfer-Encoding, Connection, Keep-Alive, Upgrade, TE and Trailer are the
	 * client's own (-EINVAL). On a redirect to another origin Authorization, Cookie,
	 * Proxy-Authorization and Host stay behind, with a method changed to GET
	 * Content-*, too. */
	const an_http_header *headers;

	/* The body, one of: */
	const void *body; /* in memory; can be sent again for a redirect or a retry */
	size_t body_len;
	an_http_body_fn read_body; /* read as it is sent; cannot be sent again */
	void *read_arg;
	uint64_t read_len; /* what read_body will give, exactly; 0: unknown, in chunks */

	/* Asks for another protocol ("websocket"): sends Connection: Upgrade and Upgrade,
	 * and 101 is then an acceptable answer. ws:// and wss:// URLs are taken with it.
	 * No body. NULL: no. */
	const char *upgrade;
} an_http_request;

/* Sends a request, follows redirects, and waits for the response's head; the body is
 * still to be read. Suspends.
 *
 * A request whose kept connection turns out to be dead before a byte of a response came
 * is sent once more, on a fresh one, if its method is idempotent (GET, HEAD, PUT, DELETE,
 * OPTIONS, TRACE) or it has an Idempotency-Key, and its body can be sent again.
 *
 * Returns 0 and a response that the caller frees. Otherwise there is none,
 * an_http_client_error() says more, and the code is one of: AN_ERR_URL; -EINVAL for a
 * method, field or body that must not be sent, or a read_body that gave more or less than
 * read_len; AN_ERR_REDIRECT for one too many, or that is refused; AN_ERR_MALFORMED or
 * AN_ERR_LIMIT for a response that is not HTTP or too long; AN_ERR_TRUNCATED or
 * AN_ERR_EOF for a server that hung up before or within the head; -ETIMEDOUT (the detail
 * tells the phase); -ECANCELED; -ENOMEM; those of an_connect() and an_stream_start_tls(),
 * and of read_body. */
AN_API AN_SUSPENDS int an_http_send(an_http_client *client,
				    const an_http_request *request,
				    an_http_response **ret);

/* an_http_send() of a plain GET. */
AN_API AN_SUSPENDS int an_http_get(an_http_client *client, const char *url,
				   an_http_response **ret);

/* ---- responses --------------------------------------------------------------------- */

/* Reads the next bytes of the body, without its framing, at most `cap`. Suspends.
 * Once the end has been reached, the connection goes back to the client at once.
 * Returns the count; 0 at the end (or for cap 0); AN_ERR_TRUNCATED when the server ended
 * the body early, on TLS also for a body until close without close_notify;
 * AN_ERR_MALFORMED; AN_ERR_LIMIT for trailers too long; -ETIMEDOUT; -ECANCELED (nothing
 * was lost: reading can go on); socket errors. All but -ECANCELED stick. */
AN_API AN_SUSPENDS ssize_t an_http_response_read(an_http_response *response, void *buf,
						 size_t cap);

/* Reads the rest of the body into memory of the response, with a NUL behind it. Suspends.
 * `limit`: the most it may have, in bytes; 0: 64 MiB. Called again after success it gives
 * the same.
 * Returns 0; AN_ERR_LIMIT when it is longer (the body is then given up); -ENOMEM; as
 * an_http_response_read(). */
AN_API AN_SUSPENDS int an_http_response_read_all(an_http_response *response, size_t limit,
						 const char **ret_data, size_t *ret_len);

/* Frees the response. A body that has been read, or whose rest is here already, leaves
 * the connection usable, and it goes back to the client; else it is closed. Accepts NULL,
 * never suspends, returns NULL. */
AN_API an_http_response *an_http_response_free(an_http_response *response);

/* For an answer of 101: hands the stream over, which is from then on the caller's, who
 * closes it. Bytes that came behind the head lie in its buffer. The response stays,
 * without a body, and is freed as always. Never suspends.
 * Returns 0; AN_ERR_MISUSE for another status or a second call. */
AN_API int an_http_response_take_stream(an_http_response *response, an_stream **ret);

/* The rest never suspends, and strings are borrowed until the response is freed. */

/* "200" as a number. */
AN_API int an_http_response_status(const an_http_response *response);

/* The reason phrase as the server sent it; may be "". */
AN_API const char *an_http_response_reason(const an_http_response *response);

/* 0 or 1: HTTP/1.0 or HTTP/1.1. */
AN_API int an_http_response_minor_version(const an_http_response *response);

/* The value of the first field of that name, or NULL. */
AN_API const char *an_http_response_header(const an_http_response *response,
					   const char *name);
AN_API const an_http_headers *an_http_response_headers(const an_http_response *response);

/* The fields after a chunked body, once it has been read to its end; NULL when there are
 * none. Those that frame, route or authenticate were dropped (RFC 9110
 * section 6.5.1). */
AN_API const an_http_headers *an_http_response_trailers(const an_http_response *response);

/* The body's length as announced, 0 when there is no body, -1 when it is unknown. The
 * answer to a HEAD gives the length that a GET would have. */
AN_API int64_t an_http_response_length(const an_http_response *response);

/* The URL that was answered, after redirects, with its fragment; and how many were
 * followed. */
AN_API const char *an_http_response_url(const an_http_response *response);
AN_API unsigned an_http_response_redirects(const an_http_response *response);

/* The details of what reading the body failed with. */
AN_API const an_http_error *an_http_response_error(const an_http_response *response);

AN_END_DECLS

#endif
