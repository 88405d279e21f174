/* WebSocket, RFC 6455: client and server in straight-line code.
 *
 *	static int echo(an_http_exchange *x, void *arg)
 *	{
 *		an_ws *ws;
 *		an_ws_message m;
 *		int r = an_ws_accept(x, NULL, &ws);
 *
 *		if (r < 0)
 *			return r;
 *		while ((r = an_ws_recv(ws, &m)) == 0 &&
 *		       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
 *			;
 *		an_ignore(an_ws_shutdown(ws, 1000, NULL));
 *		an_ws_free(ws);
 *		return 0;
 *	}
 *
 * One task receives at a time; any task may send at any time: messages never mix. Pings
 * and the peer's Close are answered inside an_ws_recv(), so some task should always be in
 * it.
 *
 * Text is checked to be UTF-8 on arrival. There are no extensions, no compression among
 * them.
 */
#ifndef ASYNCNET_WS_H
#define ASYNCNET_WS_H

#include <asyncnet/api.h>
#include <asyncnet/http.h>
#include <asyncnet/net.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* One connection, after its opening handshake; opaque. */
typedef struct an_ws an_ws;

/* What a message is. */
typedef enum an_ws_kind {
	AN_WS_TEXT = 1, /* UTF-8 */
	AN_WS_BINARY = 2,
} an_ws_kind;

/* A received message. */
typedef struct an_ws_message {
	an_ws_kind kind;
	const void *data; /* never NULL; not terminated */
	size_t len;	  /* bytes */
} an_ws_message;

/* What may be chosen; zero is the default of each. */
typedef struct an_ws_opts {
	/* Bytes of a message that is received, its fragments together; more ends the
	 * connection with 1009. 0: 1 MiB, as common libraries have it: much for a
	 * message, little for a process with thousands of peers. */
	size_t max_message;

	/* Fragments of a message; more end the connection with 1008: empty ones would
	 * never reach the limit above. 0: 16384. */
	unsigned max_fragments;

	/* A Ping is sent each interval; when nothing at all has come from the peer by the
	 * timeout after it, the connection is aborted and an_ws_recv() returns
	 * -ETIMEDOUT. 0: 20 s each, below the minute after which middle boxes forget a
	 * connection. AN_FOREVER: never. */
	an_duration ping_interval, ping_timeout;

	/* Subprotocols, NULL-terminated. A client offers them in this order; a server
	 * takes the client's first that is among them, and none when no one is. NULL:
	 * none. */
	const char *const *protocols;

	/* Fields to be sent with the handshake's request or answer (Authorization,
	 * Cookie). NULL: none. */
	const an_http_header *headers;

	/* Server: the origins that are let in ("https://example.org", or "*" for all),
	 * NULL-terminated; others get 403. A request without an Origin field comes from
	 * no browser and is let in. NULL: the origin must have the host and port of the
	 * request's Host field. */
	const char *const *origins;

	/* Client: limit on resolving, connecting, TLS and the handshake together.
	 * 0: 10 s. */
	an_duration handshake_timeout;

	/* Client: the connection. connect.tls serves wss URLs; NULL: one that trusts the
	 * system's roots. */
	an_connect_opts connect;

	/* Client: where a failure is told in words, error_cap bytes with the final zero,
	 * and the status of an answer that was not 101. NULL: not wanted. */
	char *error;
	size_t error_cap;
	int *status;
} an_ws_opts;

/* ---- opening -------------------------------------------------------------------- */

/* Connects to a ws or wss URL and runs the opening handshake. Suspends. Redirects are not
 * followed. `opts` and what it points to are borrowed for the call.
 * Returns 0 and a connection that the caller frees; AN_ERR_URL (also for a fragment,
 * RFC 6455 section 3); -EINVAL for a field or subprotocol that must not be sent;
 * AN_ERR_WS_HANDSHAKE when the server refused or its answer is not valid; AN_ERR_LIMIT
 * for an answer with a head above 64 KiB; AN_ERR_EOF when the server hung up; -ETIMEDOUT;
 * -ECANCELED; -ENOMEM; as an_connect() and an_stream_start_tls(). */
AN_API AN_SUSPENDS int an_ws_connect(const char *url, const an_ws_opts *opts,
				     an_ws **ret);

/* Checks the handshake of a request (its route should be for GET), answers it, and takes
 * the connection over. Suspends. A request that is none, or is refused, has been answered
 * (400; 403 for its origin; 426 for another version or no upgrade at all): the handler
 * returns. The connection must be freed before the handler returns. `opts` as above.
 * Returns 0; AN_ERR_WS_HANDSHAKE after such an answer; -EINVAL for opts.headers; as
 * an_http_upgrade(); -ENOMEM. */
AN_API AN_SUSPENDS int an_ws_accept(an_http_exchange *x, const an_ws_opts *opts,
				    an_ws **ret);

/* ---- messages ------------------------------------------------------------------- */

/* Waits for the next message. Suspends. Answers Pings, collects Pongs and fragments, and
 * answers the peer's Close. ret->data is borrowed until the next call that receives (this
 * one, an_ws_shutdown(), an_ws_free()).
 * Returns 0 with a message; AN_ERR_CLOSED once the peer's Close has come
 * (an_ws_close_code()); AN_ERR_MALFORMED and AN_ERR_LIMIT when the peer broke the rules
 * or a limit, -ENOMEM without memory: it has been told in a Close; AN_ERR_EOF when the
 * connection ended without a Close (AN_ERR_TRUNCATED when TLS was cut short);
 * -ETIMEDOUT when the peer stopped answering; socket errors. All these stick;
 * an_ws_shutdown() then ends politely what is left to end. -ECANCELED (nothing was
 * lost); -EBUSY when another task is receiving. */
AN_API AN_SUSPENDS int an_ws_recv(an_ws *ws, an_ws_message *ret);

/* Sends a message in one frame. Waits for its turn among senders and while more than the
 * stream's high-water mark is unsent, else does not suspend. `data` may be what
 * an_ws_recv() lent. Text must be UTF-8, which is not checked here.
 * Returns 0 when it was taken whole (not yet received by the peer); -ECANCELED: nothing
 * of it was; AN_ERR_CLOSED after a Close in either direction or the end of the
 * connection; -EINVAL for the kind; -ENOMEM; socket errors. */
AN_API AN_SUSPENDS int an_ws_send(an_ws *ws, an_ws_kind kind, const void *data,
				  size_t len);

/* Sends a Ping and waits for its Pong, which comes in by an_ws_recv() in another task.
 * Suspends. *ret_rtt (may be NULL) is the time that it took.
 * Returns 0; AN_ERR_CLOSED when the connection ends before; -ECANCELED; -ENOMEM. */
AN_API AN_SUSPENDS int an_ws_ping(an_ws *ws, an_duration *ret_rtt);

/* ---- closing -------------------------------------------------------------------- */

/* Ends the connection politely: sends a Close behind what was sent before, receives and
 * drops what still comes until the peer's Close, and waits until the peer has all and has
 * closed, the server being the first to close TCP (RFC 6455 section 7.1.1). 10 s at most.
 * Suspends. After it only the questions below and an_ws_free() are of use. In a task that
 * was cancelled, call it in an an_shield. When a Close was sent or received already the
 * rest of the above is done.
 * `code`: 1000 to 4999 but those that RFC 6455 reserves; 0: a Close without one.
 * `reason`: UTF-8, at most 123 bytes; NULL: none.
 * Returns 0 when both sides' Close went over; -ETIMEDOUT; AN_ERR_EOF when the peer went
 * without; the error that had ended the connection before; -EINVAL and -ENOMEM (nothing
 * was sent); -ECANCELED. */
AN_API AN_SUSPENDS int an_ws_shutdown(an_ws *ws, unsigned code, const char *reason);

/* Closes at once and frees. When nobody has closed yet, a Close (1001, going away) is
 * sent without waiting. No task may be in a call with `ws`. Accepts NULL, never suspends,
 * returns NULL. */
AN_API an_ws *an_ws_free(an_ws *ws);

/* ---- about the connection ------------------------------------------------------- */
/* None of these suspends. */

/* The code of the peer's Close, 1005 when it had none; before any, or when the connection
 * ended without one, 1006; after an error in what the peer sent, the code that it was
 * told. */
AN_API unsigned an_ws_close_code(const an_ws *ws);

/* The reason of the peer's Close, "" for none. Borrowed from `ws`. */
AN_API const char *an_ws_close_reason(const an_ws *ws);

/* The subprotocol that was agreed on, or NULL. Borrowed from `ws`. */
AN_API const char *an_ws_protocol(const an_ws *ws);

/* The time of the last Ping's way there and back; 0 before the first. */
AN_API an_duration an_ws_latency(const an_ws *ws);

/* Bytes that were sent and wait in this process: for a sender who would rather skip a
 * message than wait. */
AN_API size_t an_ws_pending(const an_ws *ws);

/* The stream below, for its addresses and TLS; not to be read from, written to or closed.
 * Borrowed; NULL when the connection was aborted. */
AN_API an_stream *an_ws_stream(const an_ws *ws);

AN_END_DECLS

#endif
