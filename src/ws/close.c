/* The end of a connection: politely, or at once. L5.
 *
 * RFC 6455 section 7.1.1: a server closes TCP first, a client waits for that. What still
 * comes is read until the end, because a socket that is closed with something unread
 * answers with a reset, which may destroy what the peer has not read yet, our Close among
 * it.
 */
#include "ws/conn.h"

#include <asyncnet/error.h>
#include <asyncnet/task.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_close = { .what = "a close handshake" };

#define CLOSE_LIMIT (10 * AN_SECOND)

/* Bytes of the stream's input that are dropped at a time. */
#define DROP (64 * 1024)

/* Waits until nothing more will be received; receives itself when no other task does.
 * Returns 0; -ECANCELED; -ENOMEM. */
static int await_end(an_ws *ws)
{
	an_ws_message dropped;
	an__waiter w;
	int r = 0;

	while (!ws->ended) {
		if (ws->receiving) {
			r = an__wait(&w, &ws->enders, &for_close);
		} else {
			ws->receiving = true;
			r = an__ws_receive(ws, &dropped);
			an__ws_leave(ws);
		}
		if (r == -ECANCELED || r == -ENOMEM)
			return r;
	}
	return 0;
}

/* Sends all that is kept; a server then says that it was the last. */
static int send_rest(an_ws *ws)
{
	int r = an_mutex_lock(&ws->writer);

	if (r < 0)
		return r;
	if (!ws->stream)
		r = AN_ERR_CLOSED;
	else if (ws->session.client)
		r = an_stream_drain(ws->stream);
	else
		r = an_stream_shutdown(ws->stream);
	an_mutex_unlock(&ws->writer);
	return r;
}

/* Reads and drops until the peer has closed, too. */
static int read_rest(an_ws *ws)
{
	ssize_t n = 1;

	while (n > 0 && ws->stream) {
		const char *data;
		ssize_t len = an_stream_peek(ws->stream, &data);

		if (len > 0)
			an_stream_consume(ws->stream, (size_t)len);
		n = an_stream_fill(ws->stream, DROP);
	}
	return (int)n;
}

static int finish(an_ws *ws)
{
	int r = await_end(ws);

	if (r < 0)
		return r;
	if (ws->session.state < AN__WS_CLOSED)
		return 0; /* the transport is at its end */
	r = send_rest(ws);
	if (r == 0)
		r = read_rest(ws);
	/* The closing handshake itself is over, whatever became of TCP. */
	return r == -ECANCELED ? r : 0;
}

int an_ws_shutdown(an_ws *ws, unsigned code, const char *reason)
{
	an_timeout limit;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!ws->ended) {
		r = an__ws_session_close(&ws->session, code, reason ? reason : "",
					 reason ? strlen(reason) : 0);
		if (r < 0)
			return r;
		an__ws_put_out(ws);
	}
	an_timeout_begin(&limit, CLOSE_LIMIT);
	r = an_timeout_end(&limit, finish(ws));
	if (r == -ETIMEDOUT && ws->session.state == AN__WS_CLOSED)
		r = 0;
	if (r < 0)
		return r;
	return ws->ended == AN_ERR_CLOSED ? 0 : ws->ended;
}

an_ws *an_ws_free(an_ws *ws)
{
	if (!ws)
		return NULL;
	if (ws->stream && !ws->ended && ws->session.state == AN__WS_OPEN) {
		an_ignore(an__ws_session_close(&ws->session, 1001, "", 0));
		an__ws_put_out(ws);
	}
	an__ws_keepalive_stop(ws);
	an_stream_close(ws->stream);
	an__ws_session_done(&ws->session);
	free(ws->protocol);
	free(ws);
	return NULL;
}
