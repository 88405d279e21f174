/* The client's own structs, shared by client*.c. L4.
 *
 * A request passes through three files: client.c leases and connects, follows and
 * repeats; client-request.c writes it; client-response.c reads what comes back.
 */
#ifndef AN_HTTP_CLIENT_PRIVATE_H
#define AN_HTTP_CLIENT_PRIVATE_H

#include "http/body.h"
#include "http/connpool.h"
#include "http/parse.h"
#include "http/redirect.h"
#include "http/write.h"
#include "loop/base/clock.h"

#include <asyncnet/http_client.h>

enum {
	AN__CLIENT_SPARES = 32,	      /* responses kept for reuse, with their memory */
	AN__CLIENT_SPARE_MAX = 65536, /* bytes of one buffer that is kept so */
	AN__CLIENT_INTERIM = 10,      /* 1xx answers before one response */
};

struct an_http_client {
	an_http_client_opts opts; /* no zeros left; strings are the client's */
	an__http_limits limits;	  /* of a head */
	an__http_pool pool;
	an_tls *tls;	 /* that of the options, or made when first needed */
	size_t holds;	 /* the user's, calls of an_http_send, responses */
	bool closed;	 /* the user's is gone */
	an__list spares; /* an_http_response.node */
	size_t spare_count;
	an_http_error error;
	uint64_t requests, connects, reuses, retries, redirects;
};

/* Memory that grows and is used again. */
typedef struct an__http_buf {
	char *data;
	size_t len, capacity;
} an__http_buf;

/* Room for `capacity` bytes; what is there is kept. Returns 0; -ENOMEM. */
int an__http_buf_reserve(an__http_buf *b, size_t capacity);

/* A response's connection and body:
 *
 *	open --> ended      the body's end: the connection went back, or was closed
 *	   \---> failed     `error` sticks, the connection was closed
 *	    \--> taken      the stream was handed over
 */
enum an__response_state {
	AN__RESPONSE_OPEN,
	AN__RESPONSE_ENDED,
	AN__RESPONSE_FAILED,
	AN__RESPONSE_TAKEN,
};

struct an_http_response {
	an__list node; /* on client->spares when it is not in use */
	an_http_client *client;
	an__http_conn *conn; /* with its lease; NULL unless open */
	enum an__response_state state;
	bool reusable;	      /* the connection, once the body has been read */
	bool trailers_come;   /* trailers were received and adopted */
	int64_t length;	      /* as the user is told */
	an_duration deadline; /* of the whole request */
	unsigned redirects;
	/* Body bytes at the front of the stream's buffer that the decoder is done with
	 * and the reader had no room for. */
	size_t held;
	an__http_body body;
	an__http_buf url, text, all; /* terminated; head's text; what read_all read */
	an__http_buf trailer_text;
	an_http_error error;
	an__http_head head, trailers;
};

/* One call of an_http_send(). */
typedef struct an__http_call {
	an_http_client *client;
	const an_http_request *request;
	an_http_response *response; /* where the head is read to */
	const char *method;
	an__url url;	      /* slices of response->url */
	an__http_host *host;  /* the lease; NULL: none */
	an__http_conn *conn;  /* NULL: none */
	bool to_get, crossed; /* by a redirect: without body; to another origin */
	bool sent;	      /* the request has left in whole */
	bool answered;	      /* a byte of a response came */
	bool head_done;	      /* its head is complete */
	unsigned interim;     /* 1xx answers so far */
	an_http_error error;
} an__http_call;

/* ---- client.c ---------------------------------------------------------------------- */

/* Fills in an error and returns its code. `text` may be NULL: the code's own. */
int an__http_error_set(an_http_error *e, int code, an_http_phase phase, const char *text);

/* The same for a limit that was reached: "no first byte within 60 s". */
int an__http_error_limit(an_http_error *e, an_http_phase phase, const char *what,
			 an_duration limit);

void an__http_client_drop(an_http_client *client);

/* ---- client-request.c -------------------------------------------------------------- */

/* Checks what can be checked before anything is done. Returns 0; -EINVAL, with the call's
 * error. */
int an__http_call_check(an__http_call *c);

/* Whether the body can be sent (again) at this point. */
bool an__http_call_replayable(const an__http_call *c);

/* Sends head and body; stops early when a final answer of 300 or above arrived meanwhile.
 * Suspends.
 * Returns 0; the error, with the call's error. */
AN_SUSPENDS int an__http_call_write(an__http_call *c);

/* ---- client-response.c ------------------------------------------------------------- */

/* A response of the client, out of its spares or new. Holds the client. Returns 0;
 * -ENOMEM. */
int an__http_response_new(an_http_client *client, an_http_response **ret);

/* Frees those that are kept for reuse. */
void an__http_client_drop_spares(an_http_client *client);

/* Reads once, and parses. Suspends when nothing is there. Returns 1 when a final head is
 * complete; 0: not yet; AN_ERR_EOF before a head's first byte; AN_ERR_TRUNCATED within
 * one; as an_stream_fill(). */
AN_SUSPENDS int an__http_call_read_some(an__http_call *c);

/* Reads until a final head is complete, in the limits for it. Returns 0; as above. */
AN_SUSPENDS int an__http_call_read_head(an__http_call *c);

/* The head is complete: takes connection and lease over from the call and begins the
 * body. */
void an__http_response_begin(an__http_call *c);

/* Gives up the connection and the rest of the body; reuses the one if the other is here
 * already. */
void an__http_response_finish(an_http_response *resp);

#endif
