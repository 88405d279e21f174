/* The glue to wslay's event interface. L5, sans-I/O.
 *
 * Invariants: wslay's input is one header at a time, without payload, so its own buffer
 * is empty between calls; what it queues is put out before the call returns, so its
 * queues are empty, too.
 */
#include "ws/engine.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

struct an__ws_engine {
	wslay_event_context_ptr wslay;
	an__ws_output *output;
	an__ws_random *random;
	int error; /* why a callback failed */
	bool client;
	bool in_message;
	bool closing;	   /* a Close went in or out */
	uint8_t header[6]; /* on its way into wslay */
	uint8_t header_len, header_at;
};

int an__ws_output_append(an__ws_output *o, const void *data, size_t len)
{
	if (o->cap - o->len < len) {
		size_t cap = o->cap ? 2 * o->cap : 256;
		uint8_t *p;

		while (cap - o->len < len)
			cap *= 2;
		p = an__realloc(o->data, cap);
		if (!p)
			return -ENOMEM;
		o->data = p;
		o->cap = cap;
	}
	memcpy(o->data + o->len, data, len);
	o->len += len;
	return 0;
}

/* ---- wslay's callbacks ------------------------------------------------------------- */

static ssize_t give_header(wslay_event_context_ptr ctx, uint8_t *buf, size_t len,
			   int flags, void *arg)
{
	an__ws_engine *e = arg;
	size_t n = e->header_len - e->header_at;

	(void)flags;
	if (!n) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > len)
		n = len;
	memcpy(buf, e->header + e->header_at, n);
	e->header_at = (uint8_t)(e->header_at + n);
	return (ssize_t)n;
}

static ssize_t take_output(wslay_event_context_ptr ctx, const uint8_t *data, size_t len,
			   int flags, void *arg)
{
	an__ws_engine *e = arg;

	(void)flags;
	e->error = an__ws_output_append(e->output, data, len);
	if (!e->error)
		return (ssize_t)len;
	wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static int give_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *arg)
{
	an__ws_engine *e = arg;

	e->error = an__ws_random_bytes(e->random, buf, len);
	if (!e->error)
		return 0;
	wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void frame_begins(wslay_event_context_ptr ctx,
			 const struct wslay_event_on_frame_recv_start_arg *frame,
			 void *arg)
{
	an__ws_engine *e = arg;

	(void)ctx;
	if (!wslay_is_ctrl_frame(frame->opcode))
		e->in_message = !frame->fin;
}

static const struct wslay_event_callbacks callbacks = {
	.recv_callback = give_header,
	.send_callback = take_output,
	.genmask_callback = give_mask,
	.on_frame_recv_start_callback = frame_begins,
};

/* ---- the engine -------------------------------------------------------------------- */

int an__ws_engine_new(bool client, an__ws_output *output, an__ws_random *random,
		      an__ws_engine **ret)
{
	an__ws_engine *e = an__calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->output = output;
	e->random = random;
	e->client = client;
	r = client ? wslay_event_context_client_init(&e->wslay, &callbacks, e)
		   : wslay_event_context_server_init(&e->wslay, &callbacks, e);
	if (r < 0) {
		free(e);
		return -ENOMEM;
	}
	wslay_event_config_set_no_buffering(e->wslay, 1);
	*ret = e;
	return 0;
}

an__ws_engine *an__ws_engine_free(an__ws_engine *e)
{
	if (e) {
		wslay_event_context_free(e->wslay);
		free(e);
	}
	return NULL;
}

/* Puts out what wslay has queued. */
static int put_out(an__ws_engine *e)
{
	e->error = 0;
	if (wslay_event_send(e->wslay) == 0)
		return 0;
	return e->error ? e->error : -ENOMEM;
}

int an__ws_engine_frame(an__ws_engine *e, const an__ws_frame *f)
{
	int r;

	e->header[0] = (uint8_t)(f->fin << 7 | f->opcode);
	e->header[1] =
		e->client ? 0 : 0x80; /* no payload, and a key of zero from a client */
	e->header_len = e->client ? 2 : 6;
	e->header_at = 0;
	if (f->opcode == AN__WS_OP_CLOSE)
		e->closing = true;
	r = wslay_event_recv(e->wslay);
	if (r < 0)
		return -ENOMEM;
	r = put_out(e);
	if (r < 0)
		return r;
	if (wslay_event_get_read_enabled(e->wslay))
		return 0;
	e->closing = true;
	return wslay_event_get_close_received(e->wslay) ? 0 : AN_ERR_MALFORMED;
}

bool an__ws_engine_in_message(const an__ws_engine *e)
{
	return e->in_message;
}

static int queued(an__ws_engine *e, int r)
{
	if (r == WSLAY_ERR_NO_MORE_MSG)
		return AN_ERR_CLOSED;
	return r < 0 ? -ENOMEM : put_out(e);
}

int an__ws_engine_control(an__ws_engine *e, enum an__ws_opcode opcode, const void *data,
			  size_t len)
{
	struct wslay_event_msg msg = { (uint8_t)opcode, data, len };

	return queued(e, wslay_event_queue_msg(e->wslay, &msg));
}

int an__ws_engine_close(an__ws_engine *e, unsigned code, const void *reason, size_t len)
{
	/* wslay copies from `reason` even when there is nothing to copy. */
	const uint8_t *text = len ? reason : (const uint8_t *)"";

	e->closing = true;
	return queued(e, wslay_event_queue_close(e->wslay, (uint16_t)code, text, len));
}

bool an__ws_engine_idle(const an__ws_engine *e)
{
	return !e->in_message && !e->closing;
}
