/* Error codes. Every call returns 0 or a count on success and a negative code on failure:
 * a negated errno value, or one of the library's own codes, which lie below AN_ERR_BASE.
 */
#ifndef ASYNCNET_ERROR_H
#define ASYNCNET_ERROR_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

#define AN_ERR_BASE (-4096)

/* X(name, text): the codes in their order; append only. */
#define AN_ERR_LIST(X) \
	X(AN_ERR_EOF, "the stream ended before what was asked for was complete") \
	X(AN_ERR_LIMIT, "a size limit was exceeded") \
	X(AN_ERR_MALFORMED, "the peer sent what its protocol does not allow") \
	X(AN_ERR_CLOSED, "the object is closed or shut down") \
	X(AN_ERR_NO_TASK, "the call must be made from a task of a running loop") \
	X(AN_ERR_MISUSE, "the call is not allowed in this state") \
	X(AN_ERR_BROKEN, "the barrier is broken") \
	X(AN_ERR_STUCK, "every task waits and nothing is left that could wake one") \
	X(AN_ERR_NAME, "the host name does not exist or has no address") \
	X(AN_ERR_NAME_AGAIN, "the host name could not be resolved for now") \
	X(AN_ERR_TLS, "TLS failed") \
	X(AN_ERR_CERT, "the peer's certificate is not trusted") \
	X(AN_ERR_CERT_HOST, "the peer's certificate is for another host") \
	X(AN_ERR_TRUNCATED, "the peer cut the data short") \
	X(AN_ERR_URL, "the URL is not valid") \
	X(AN_ERR_REDIRECT, "the redirect cannot be followed") \
	X(AN_ERR_WS_HANDSHAKE, "the WebSocket handshake was refused") \
	X(AN_ERR_SQL, "the database reported an error") \
	X(AN_ERR_PG_CONNECTION, "the database connection failed") \
	X(AN_ERR_PG_UNKNOWN, "the connection was lost before the outcome was known")

#define AN__ERR_ORDINAL(name, text) AN__ORD_##name,
#define AN__ERR_VALUE(name, text) name = AN_ERR_BASE - 1 - (AN__ORD_##name),
enum { AN_ERR_LIST(AN__ERR_ORDINAL) AN__ERR_COUNT };
enum { AN_ERR_LIST(AN__ERR_VALUE) AN__ERR_LAST = AN_ERR_BASE - 1 - AN__ERR_COUNT };
#undef AN__ERR_ORDINAL
#undef AN__ERR_VALUE

/* The text of a code; never suspends.
 * `code`: any result; 0 and counts give "success", a negated errno its system text.
 * Returns a string that is never NULL and stays valid in this thread until the next call
 * with an errno value. */
AN_API const char *an_strerror(int code);

/* The symbolic name of one of the library's own codes ("AN_ERR_EOF") or of a negated
 * errno ("ECANCELED"); "success" for 0 and counts; "unknown" for what has none. Never
 * suspends; the string is static. */
AN_API const char *an_error_name(int code);

AN_END_DECLS

#endif
