/* What the files of the server share. L4.
 *
 * server.c             the server: accepting, draining, counters
 * server-connection.c  one connection: the loop over its requests
 * exchange.c           one request: what a handler asks for
 * exchange-body.c      its body
 * exchange-respond.c   its answer
 */
#ifndef AN_HTTP_SERVER_PRIVATE_H
#define AN_HTTP_SERVER_PRIVATE_H

#include "http/arena.h"
#include "http/body.h"
#include "http/parse.h"
#include "http/router.h"
#include "http/write.h"
#include "loop/base/clock.h"
#include "loop/base/list.h"
#include "loop/core/wait.h"
#include "loop/io/serve.h"

#include <asyncnet/http.h>

struct an_http_server {
	an__service service; /* the connections, and who accepts them */
	an__router router;
	an_http_server_opts opts;
	an__http_limits limits;
	char *server_name;
	an_http_server_stats stats;
	bool draining;
	int64_t date_second; /* of `date` */
	char date[40];	     /* "date: Mon, 23 Nov 2026 12:00:00 GMT CRLF" */
	size_t date_len;
};

/* How far the answer has come.
 *
 *	NONE --respond_begin--> BODY --respond_end--> DONE
 *	 |  `------respond----------------------------^
 *	 +--upgrade--> UPGRADED
 *	 `--(a write fails)--> BROKEN <--(likewise)-- BODY
 */
enum an__http_out {
	AN__OUT_NONE,
	AN__OUT_BODY,
	AN__OUT_DONE,
	AN__OUT_UPGRADED,
	AN__OUT_BROKEN,
};

struct an__http_connection;

struct an_http_exchange {
	struct an__http_connection *c;
	const an__route *route;
	an__route_params params;
	char *text;   /* the head, in the arena */
	char *method; /* pieces of it, ended by NUL */
	char *target;
	const char *query;
	const char *path; /* NULL: not asked for yet */
	an_duration began;

	/* The request's body. */
	an__http_body body;
	an__http_head *trailers; /* in the arena; NULL: none can come */
	uint64_t limit, received;
	size_t piece;	    /* bytes of the body at the head of the stream's buffer */
	an_duration waited; /* for the client to send it */
	int fault;	    /* what reading it failed with; sticks */
	uint16_t fault_status;
	bool continued; /* 100 Continue was sent, or is not wanted */
	char *whole;	/* of an_http_body_read_all() */

	/* The answer. */
	enum an__http_out out;
	int status;
	bool head_only; /* no body is sent */
	bool chunked;
	uint64_t left, sent; /* bytes of the body */
};

/* What a connection is doing.
 *
 *	OPENING --handshake--> IDLE --first byte--> READING --head--> HANDLING --> IDLE
 *	                                                                 `--> UPGRADED
 *	any --> CLOSING
 */
enum an__http_phase {
	AN__CONN_OPENING,
	AN__CONN_IDLE,
	AN__CONN_READING,
	AN__CONN_HANDLING,
	AN__CONN_UPGRADED,
	AN__CONN_CLOSING,
};

typedef struct an__http_connection {
	an__served served;
	an_http_server *server;
	an_stream *stream;
	enum an__http_phase phase;
	bool begun;  /* its task runs */
	bool nudged; /* cancelled by the drain, not by anybody else */
	bool keep;   /* another request may follow */
	bool unread; /* the client sent what nobody will read */
	size_t requests;
	an_duration opened;
	an__http_head head;
	an_http_exchange x;
	an__arena arena;
	char peer[112];
} an__http_connection;

/* server.c */
const char *an__http_date_field(an_http_server *srv, size_t *ret_len);

/* server-connection.c */
int an__http_connection_main(void *arg);

/* exchange.c */
const char *an__http_peer(an__http_connection *c);

/* exchange-body.c: sets the reading of the body up; reads away what the handler left,
 * returns whether the connection is at the next request. */
int an__http_body_begin(an_http_exchange *x);
void an__http_body_done(an_http_exchange *x);
AN_SUSPENDS bool an__http_body_skip(an_http_exchange *x);

/* Whether the rest of the body is not worth reading: the connection is closed after the
 * answer. */
bool an__http_body_too_long_to_skip(const an_http_exchange *x);

/* exchange-respond.c: a short text answer of the server's own, which does not suspend.
 * Closes the connection if `close`. */
void an__http_answer(an_http_exchange *x, int status, const an_http_header *headers,
		     bool close);

#endif
