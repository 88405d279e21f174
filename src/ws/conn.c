/* Receiving and sending. L5.
 *
 * Invariants: bytes of the stream's input are consumed only when the message that lies in
 * them has been given back; what the session puts out is in the stream before anyone
 * waits; `ended` is set once.
 */
#include "ws/conn.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>
#include <asyncnet/task.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_MAX = 1 << 20,
	FRAGMENTS_MAX = 16384,

	/* The stream's input: a frame that fits is handed out where it lies. */
	INPUT_MAX = 256 * 1024,

	/* A payload of which this much is to come is read straight into the message. */
	READ_DIRECT = 32 * 1024,

	/* A masked frame up to this size is built on the stack. */
	SMALL_FRAME = 2048,
};

/* ---- making one ----------------------------------------------------------------- */

static void free_shared(void *arg)
{
	an__ws_shared *shared = arg;

	an_tls_free(shared->tls);
	free(shared->spare.data);
	free(shared);
}

int an__ws_shared_get(an__ws_shared **ret)
{
	an_loop *loop = an_loop_current();
	an__ws_shared *shared;

	if (!loop)
		return AN_ERR_NO_TASK;
	shared = an__loop_local(loop, AN__LOCAL_WS);
	if (!shared) {
		shared = an__calloc(1, sizeof(*shared));
		if (!shared)
			return -ENOMEM;
		an__loop_set_local(loop, AN__LOCAL_WS, shared, free_shared);
	}
	*ret = shared;
	return 0;
}

static void take_limits(const an_ws_opts *opts, an__ws_limits *ret)
{
	ret->message = opts->max_message ? opts->max_message : MESSAGE_MAX;
	ret->fragments = opts->max_fragments ? opts->max_fragments : FRAGMENTS_MAX;
}

int an__ws_new(an_stream *stream, bool client, const char *protocol,
	       const an_ws_opts *opts, an_ws **ret)
{
	an__ws_limits limits;
	an__ws_shared *shared;
	an_ws *ws = NULL;
	int r = an__ws_shared_get(&shared);

	if (r < 0)
		return r;
	ws = an__calloc(1, sizeof(*ws));
	if (!ws)
		return -ENOMEM;
	if (protocol) {
		ws->protocol = an__strdup(protocol);
		if (!ws->protocol) {
			r = -ENOMEM;
			goto fail;
		}
	}
	take_limits(opts, &limits);
	an__ws_session_init(&ws->session, client, &limits, &shared->random);
	ws->session.spare = &shared->spare;
	an_mutex_init(&ws->writer);
	r = an__ws_keepalive_start(ws, opts);
	if (r < 0)
		goto fail;
	ws->stream = stream;
	*ret = ws;
	return 0;
fail:
	free(ws->protocol);
	free(ws);
	return r;
}

/* ---- receiving ------------------------------------------------------------------ */

void an__ws_end(an_ws *ws, int error)
{
	if (ws->ended)
		return;
	ws->ended = error;
	an__wake_all(&ws->enders, 0);
	an__wake_all(&ws->pingers, AN_ERR_CLOSED);
}

void an__ws_put_out(an_ws *ws)
{
	an__ws_output *out = &ws->session.output;

	/* A failure sticks to the stream: the next writer sees it, and the reader what
	 * becomes of the connection. */
	if (out->len && ws->stream)
		an_ignore(an_stream_write_nowait(ws->stream, out->data, out->len));
	out->len = 0;
}

/* Deals with what feeding gave. Returns whether it was a message. */
static bool on_event(an_ws *ws, int r, const an__ws_event *e, an_ws_message *ret)
{
	if (r == AN__WS_MESSAGE) {
		ret->kind = e->text ? AN_WS_TEXT : AN_WS_BINARY;
		ret->data = e->data;
		ret->len = e->len;
	} else if (r == AN__WS_PONG) {
		an__ws_on_pong(ws, e->data, e->len);
	}
	if (ws->session.output.len)
		an__ws_put_out(ws);
	if (ws->session.pong_withheld)
		an__ws_put_pong(ws);
	if (r == AN__WS_CLOSE)
		an__ws_end(ws, AN_ERR_CLOSED);
	else if (r < 0)
		an__ws_end(ws, r);
	return r == AN__WS_MESSAGE;
}

/* Gives back what the last message lay in. */
static void release_message(an_ws *ws)
{
	if (ws->borrowed && ws->stream)
		an_stream_consume(ws->stream, ws->borrowed);
	ws->borrowed = 0;
}

/* Feeds what lies in the stream's input. *ret_starved: nothing more can be made of it.
 * Returns 1 for a message; 0; -ENOMEM. */
static int feed_input(an_ws *ws, an_ws_message *ret, bool *ret_starved)
{
	const char *data;
	ssize_t len = an_stream_peek(ws->stream, &data);
	an__ws_event e;
	size_t used;
	bool message;
	int r;

	*ret_starved = len <= 0;
	if (len <= 0)
		return (int)len;
	ws->heard = true;
	ws->session.pong_room = an__ws_pong_room(ws);
	/* The input is the session's to unmask in place; the stream never looks at it. */
	r = an__ws_session_feed(&ws->session, (uint8_t *)data, (size_t)len, &used, &e);
	message = on_event(ws, r, &e, ret);
	if (message && e.in_place)
		ws->borrowed = used;
	else if (used)
		an_stream_consume(ws->stream, used);
	*ret_starved = r == AN__WS_NONE;
	return message;
}

/* Reads the next bytes of a long payload into its place. *ret_room: how much was asked
 * for, 0 when there is no such payload. Returns 1 for a message; 0; an error. */
static int read_payload(an_ws *ws, an_ws_message *ret, bool *ret_read)
{
	uint8_t *room;
	size_t cap;
	ssize_t n = an__ws_session_room(&ws->session, READ_DIRECT, &room, &cap);
	an__ws_event e;

	*ret_read = n < 0 || cap;
	if (n < 0)
		return on_event(ws, (int)n, NULL, ret);
	if (!cap)
		return 0;
	n = an_stream_read(ws->stream, room, cap);
	if (n <= 0)
		return n < 0 ? (int)n : AN_ERR_EOF;
	ws->heard = true;
	return on_event(ws, an__ws_session_received(&ws->session, (size_t)n, &e), &e,
			ret);
}

/* Waits for more bytes. Returns as read_payload(). */
static int read_more(an_ws *ws, an_ws_message *ret)
{
	bool done;
	ssize_t n;
	int r;

	an__ws_session_trim(&ws->session);
	r = read_payload(ws, ret, &done);
	if (done)
		return r;
	n = an_stream_fill(ws->stream, INPUT_MAX);
	return n > 0 ? 0 : n < 0 ? (int)n : AN_ERR_EOF;
}

int an__ws_receive(an_ws *ws, an_ws_message *ret)
{
	bool starved;
	int r = an__wait_check();

	if (r < 0)
		return r;
	release_message(ws);
	for (;;) {
		if (ws->ended)
			return ws->ended;
		r = feed_input(ws, ret, &starved);
		if (r == 0 && starved)
			r = read_more(ws, ret);
		if (r > 0)
			return 0;
		if (r == -ECANCELED || r == -ENOMEM)
			return r;
		if (r < 0)
			an__ws_end(ws, r);
	}
}

void an__ws_leave(an_ws *ws)
{
	ws->receiving = false;
	an__wake_all(&ws->enders, 0);
}

int an_ws_recv(an_ws *ws, an_ws_message *ret)
{
	int r;

	if (ws->receiving)
		return -EBUSY;
	ws->receiving = true;
	r = an__ws_receive(ws, ret);
	an__ws_leave(ws);
	return r;
}

/* ---- sending -------------------------------------------------------------------- */

/* A client's frame: the payload is masked on its way into a copy. */
static int send_masked(an_ws *ws, const uint8_t *header, size_t header_len,
		       const uint8_t key[4], const void *data, size_t len)
{
	uint8_t small[SMALL_FRAME], *frame = small;
	int r;

	if (header_len + len > sizeof(small)) {
		frame = an__malloc(header_len + len);
		if (!frame)
			return -ENOMEM;
	}
	memcpy(frame, header, header_len);
	an__ws_mask(frame + header_len, data, len, key, 0);
	r = an_stream_write(ws->stream, frame, header_len + len);
	if (frame != small)
		free(frame);
	return r;
}

static int send_frame(an_ws *ws, bool text, const void *data, size_t len)
{
	uint8_t header[AN__WS_HEADER_MAX], key[4];
	struct iovec pieces[2];
	ssize_t n;

	if (ws->ended)
		return AN_ERR_CLOSED;
	n = an__ws_session_header(&ws->session, text, len, header, key);
	if (n < 0)
		return (int)n;
	if (ws->session.client)
		return send_masked(ws, header, (size_t)n, key, data, len);
	pieces[0] = (struct iovec){ header, (size_t)n };
	pieces[1] = (struct iovec){ (void *)data, len };
	return an_stream_writev(ws->stream, pieces, len ? 2 : 1);
}

int an_ws_send(an_ws *ws, an_ws_kind kind, const void *data, size_t len)
{
	int r;

	if (kind != AN_WS_TEXT && kind != AN_WS_BINARY)
		return -EINVAL;
	r = an_mutex_lock(&ws->writer);
	if (r < 0)
		return r;
	r = send_frame(ws, kind == AN_WS_TEXT, data, len);
	an_mutex_unlock(&ws->writer);
	if (ws->session.pong_withheld)
		an__ws_put_pong(ws);
	return r;
}

/* ---- about the connection ------------------------------------------------------- */

unsigned an_ws_close_code(const an_ws *ws)
{
	return ws->session.close_code;
}

const char *an_ws_close_reason(const an_ws *ws)
{
	return ws->session.close_reason ? ws->session.close_reason : "";
}

const char *an_ws_protocol(const an_ws *ws)
{
	return ws->protocol;
}

an_duration an_ws_latency(const an_ws *ws)
{
	return ws->latency;
}

size_t an_ws_pending(const an_ws *ws)
{
	return ws->stream ? an_stream_pending(ws->stream) : 0;
}

an_stream *an_ws_stream(const an_ws *ws)
{
	return ws->stream;
}
