/* The connection: a session on a stream. L5. For the files of this folder alone.
 *
 * At most one task receives; it alone touches the stream's input and feeds the session.
 * Any task may send: messages go under the writer lock, which is held while a writer is
 * parked; control frames are put into the stream without it, where they follow a write
 * that is under way.
 */
#ifndef AN_WS_CONN_H
#define AN_WS_CONN_H

#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "ws/session.h"

#include <asyncnet/sync.h>
#include <asyncnet/ws.h>

struct an_ws {
	an_stream *stream; /* NULL once it was aborted */
	an__ws_session session;
	an_mutex writer;
	size_t borrowed; /* bytes of input that the message handed out lies in */
	int ended;	 /* 0, or why nothing more will be received */
	bool receiving;
	an__waiters enders; /* wait for the receiving task to leave; woken by it */

	/* keepalive.c */
	an__timer timer;
	an_duration ping_interval, ping_timeout;
	an_duration ping_due; /* when the next is sent */
	an_duration pong_due; /* when the peer is given up; AN_FOREVER: it owes nothing */
	an_duration ping_sent, latency;
	uint64_t ping_number; /* of the last Ping, and its payload */
	size_t ping_pending;  /* bytes that were unsent before it */
	bool heard;	      /* bytes came since the last Ping */
	an__waiters pingers;  /* struct ping; woken by Pongs and by the end */

	char *protocol; /* NULL: none */
};

/* What all connections of a loop share. */
typedef struct an__ws_shared {
	an__ws_random random;
	an__ws_spare spare;
	an_tls *tls; /* trusts the system's roots; made when it is first needed */
} an__ws_shared;

/* Returns 0; -ENOMEM. Lives as long as the loop. */
int an__ws_shared_get(an__ws_shared **ret);

/* Makes a connection. `stream` is its own on success; `protocol` is copied. Returns 0;
 * -ENOMEM. */
int an__ws_new(an_stream *stream, bool client, const char *protocol,
	       const an_ws_opts *opts, an_ws **ret);

/* Sets the clock of Pings up and begins. Returns 0; -ENOMEM. */
int an__ws_keepalive_start(an_ws *ws, const an_ws_opts *opts);
void an__ws_keepalive_stop(an_ws *ws);

/* The connection will receive nothing more, for the reason `error`: wakes all that wait
 * for the peer. Only the first reason counts. */
void an__ws_end(an_ws *ws, int error);

/* Puts what the session has put out into the stream. */
void an__ws_put_out(an_ws *ws);

/* How many bytes of Pongs the stream may take now. */
size_t an__ws_pong_room(const an_ws *ws);

/* Lets the session put out a Pong that it withheld, if there is room; else sees to it
 * later. */
void an__ws_put_pong(an_ws *ws);

/* A Pong came. */
void an__ws_on_pong(an_ws *ws, const uint8_t *data, size_t len);

/* As an_ws_recv(), for the task that has set `receiving`. */
AN_SUSPENDS int an__ws_receive(an_ws *ws, an_ws_message *ret);

/* Gives up the receiver's place. */
void an__ws_leave(an_ws *ws);

#endif
