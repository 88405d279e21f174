/* The session: which bytes go which way. L5, sans-I/O.
 *
 * Every header is decoded here. A whole message in one frame needs no judge, so its
 * payload is unmasked and handed on; any other data frame is shown to wslay first, which
 * rules on the order of fragments. Control frames are waited for until they are whole and
 * acted on at once.
 *
 * Invariants: `message` holds len bytes of the open message, at most limits.message;
 * between frames, without an open message and before any Close, the engine may be freed
 * at any time.
 */
#include "ws/session.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MAX 65536	    /* a larger buffer is freed with its message */
#define SPARE_MAX (4 << 20) /* a larger one is not kept as the spare */
#define FIRST_ROOM 4096	    /* the least that a buffer begins with */

static const uint8_t nothing[1];

void an__ws_session_init(an__ws_session *s, bool client, const an__ws_limits *limits,
			 an__ws_random *random)
{
	memset(s, 0, sizeof(*s));
	s->client = client;
	s->limits = *limits;
	s->random = random;
	s->close_code = 1006;
	s->pong_room = SIZE_MAX;
}

static void free_message(an__ws_session *s)
{
	an__ws_spare *spare = s->spare;

	if (spare && s->cap > KEEP_MAX && s->cap <= SPARE_MAX && s->cap > spare->cap) {
		free(spare->data);
		*spare = (an__ws_spare){ s->message, s->cap };
	} else {
		free(s->message);
	}
	s->message = NULL;
	s->len = s->cap = 0;
	s->delivered = false;
}

void an__ws_session_done(an__ws_session *s)
{
	free_message(s);
	free(s->output.data);
	free(s->close_reason);
	s->engine = an__ws_engine_free(s->engine);
	memset(s, 0, sizeof(*s));
	s->state = AN__WS_FAILED;
}

static bool in_message(const an__ws_session *s)
{
	return s->engine && an__ws_engine_in_message(s->engine);
}

static int need_engine(an__ws_session *s)
{
	if (s->engine)
		return 0;
	return an__ws_engine_new(s->client, &s->output, s->random, &s->engine);
}

/* Legal moves are drawn in the header. */
static void set_state(an__ws_session *s, enum an__ws_state state)
{
	if (s->state == AN__WS_OPEN ||
	    (s->state == AN__WS_CLOSE_SENT && state != AN__WS_OPEN))
		s->state = state;
}

/* Ends the session for a reason of ours. Returns `error`. */
static int fail(an__ws_session *s, unsigned code, int error)
{
	if (s->state == AN__WS_OPEN && need_engine(s) == 0)
		an__ws_engine_close(s->engine, code, NULL, 0);
	set_state(s, AN__WS_FAILED);
	s->close_code = code;
	s->in_frame = false;
	s->pong_withheld = false;
	free_message(s);
	return error;
}

/* For the errors of the engine, which has put its Close out for a violation. */
static int fail_with(an__ws_session *s, int error)
{
	return fail(s, error == AN_ERR_MALFORMED ? 1002 : 1011, error);
}

/* ---- control frames ---------------------------------------------------------------- */

static int put_pong(an__ws_session *s, const uint8_t *data, size_t len)
{
	int r = need_engine(s);

	if (r == 0)
		r = an__ws_engine_control(s->engine, AN__WS_OP_PONG, data, len);
	return r == AN_ERR_CLOSED ? 0 : r;
}

static int on_ping(an__ws_session *s, const uint8_t *data, size_t len)
{
	size_t size = len + 2 + (s->client ? 4 : 0);
	int r;

	if (s->state != AN__WS_OPEN)
		return 0;
	if (size > s->pong_room) {
		memcpy(s->pong, data, len);
		s->pong_len = (uint8_t)len;
		s->pong_withheld = true;
		return 0;
	}
	s->pong_room -= size;
	s->pong_withheld = false; /* answering the later one answers both */
	r = put_pong(s, data, len);
	return r < 0 ? fail_with(s, r) : 0;
}

static void keep_reason(an__ws_session *s, const uint8_t *data, size_t len)
{
	if (!len)
		return;
	s->close_reason = an__malloc(len + 1);
	if (!s->close_reason)
		return; /* the code is what matters */
	memcpy(s->close_reason, data, len);
	s->close_reason[len] = '\0';
}

static int on_close(an__ws_session *s, const an__ws_frame *f, const uint8_t *data)
{
	an__utf8 text = { 0 };
	size_t len = (size_t)f->length;
	unsigned code = len >= 2 ? (unsigned)data[0] << 8 | data[1] : 0;
	int r;

	if (len == 1 || (len && !an__ws_close_code_valid(code)))
		return fail(s, 1002, AN_ERR_MALFORMED);
	if (len > 2 &&
	    !(an__utf8_feed(&text, data + 2, len - 2) && an__utf8_complete(&text)))
		return fail(s, 1007, AN_ERR_MALFORMED);
	r = need_engine(s);
	if (r == 0) {
		r = an__ws_engine_close(s->engine, code, NULL, 0);
		if (r == 0 || r == AN_ERR_CLOSED)
			r = an__ws_engine_frame(s->engine, f);
	}
	if (r < 0)
		return fail_with(s, r);
	s->close_code = code ? code : 1005;
	if (len > 2)
		keep_reason(s, data + 2, len - 2);
	set_state(s, AN__WS_CLOSED);
	s->pong_withheld = false;
	free_message(s);
	return AN__WS_CLOSE;
}

static int on_control(an__ws_session *s, const an__ws_frame *f, uint8_t *data,
		      an__ws_event *ret)
{
	size_t len = (size_t)f->length;

	an__ws_mask(data, data, len, f->key, 0);
	switch ((enum an__ws_opcode)f->opcode) {
	case AN__WS_OP_PING:
		return on_ping(s, data, len);
	case AN__WS_OP_PONG:
		*ret = (an__ws_event){ .data = data, .len = len, .in_place = true };
		return AN__WS_PONG;
	case AN__WS_OP_CLOSE:
		return on_close(s, f, data);
	case AN__WS_CONTINUATION:
	case AN__WS_OP_TEXT:
	case AN__WS_OP_BINARY:
		break;
	}
	return 0;
}

/* ---- data frames ------------------------------------------------------------------- */

static bool text_goes_on(an__ws_session *s, const uint8_t *data, size_t len, bool ascii)
{
	if (!s->text || (ascii && an__utf8_complete(&s->utf8)))
		return true;
	return an__utf8_feed(&s->utf8, data, len);
}

static void start_message(an__ws_session *s, const an__ws_frame *f)
{
	s->text = f->opcode == AN__WS_OP_TEXT;
	s->fragments = 0;
	s->len = 0;
	s->utf8 = (an__utf8){ 0 };
}

/* Rules on a data frame by its header. */
static int on_data_header(an__ws_session *s, const an__ws_frame *f)
{
	bool whole = f->fin && f->opcode != AN__WS_CONTINUATION && !in_message(s);
	int r;

	if (!whole) {
		r = need_engine(s);
		if (r == 0)
			r = an__ws_engine_frame(s->engine, f);
		if (r < 0)
			return fail_with(s, r);
	}
	if (f->opcode != AN__WS_CONTINUATION)
		start_message(s, f);
	if (f->length > s->limits.message - s->len)
		return fail(s, 1009, AN_ERR_LIMIT);
	if (++s->fragments > s->limits.fragments)
		return fail(s, 1008, AN_ERR_LIMIT);
	s->frame = *f;
	s->left = f->length;
	s->in_frame = true;
	return 0;
}

/* A whole message where it lies. */
static int on_whole(an__ws_session *s, uint8_t *data, an__ws_event *ret)
{
	size_t len = (size_t)s->frame.length;
	bool ascii = an__ws_mask(data, data, len, s->frame.key, 0);

	if (s->text && !ascii &&
	    !(an__utf8_feed(&s->utf8, data, len) && an__utf8_complete(&s->utf8)))
		return fail(s, 1007, AN_ERR_MALFORMED);
	s->in_frame = false;
	*ret = (an__ws_event){
		.data = data, .len = len, .text = s->text, .in_place = true
	};
	return AN__WS_MESSAGE;
}

/* Goes on in the spare buffer, if there is one that is large enough and worth it. */
static bool take_spare(an__ws_session *s, size_t need)
{
	an__ws_spare *spare = s->spare;

	if (!spare || need <= KEEP_MAX || spare->cap < need)
		return false;
	if (s->len)
		memcpy(spare->data, s->message, s->len);
	free(s->message);
	s->message = spare->data;
	s->cap = spare->cap;
	*spare = (an__ws_spare){ 0 };
	return true;
}

/* Room for `more` bytes of the open frame. A buffer is at most twice what was received,
 * or FIRST_ROOM; and never larger than the message is known to become. */
static int reserve(an__ws_session *s, size_t more)
{
	size_t need = s->len + more, cap = 2 * need;
	uint64_t most = s->frame.fin ? s->len + s->left : s->limits.message;
	uint8_t *p;

	if (need <= s->cap || take_spare(s, need))
		return 0;
	if (cap < FIRST_ROOM)
		cap = FIRST_ROOM;
	if (cap > most)
		cap = (size_t)most;
	p = an__realloc(s->message, cap);
	if (!p)
		return -ENOMEM;
	s->message = p;
	s->cap = cap;
	return 0;
}

/* The end of a frame, and perhaps of its message. */
static int end_frame(an__ws_session *s, an__ws_event *ret)
{
	s->in_frame = false;
	if (!s->frame.fin)
		return 0;
	if (s->text && !an__utf8_complete(&s->utf8))
		return fail(s, 1007, AN_ERR_MALFORMED);
	s->delivered = true;
	*ret = (an__ws_event){
		.data = s->len ? s->message : nothing,
		.len = s->len,
		.text = s->text,
	};
	return AN__WS_MESSAGE;
}

/* The next `len` bytes of the open frame's payload, at `in`, into the message. */
static int on_payload(an__ws_session *s, const uint8_t *in, size_t len, an__ws_event *ret)
{
	uint8_t *to;
	bool ascii;

	if (len) {
		if (reserve(s, len) < 0)
			return fail(s, 1011, -ENOMEM);
		to = s->message + s->len;
		ascii = an__ws_mask(to, in, len, s->frame.key,
				    (size_t)((s->frame.length - s->left) & 3));
		if (!text_goes_on(s, to, len, ascii))
			return fail(s, 1007, AN_ERR_MALFORMED);
		s->len += len;
		s->left -= len;
	}
	return s->left ? 0 : end_frame(s, ret);
}

/* ---- feeding ----------------------------------------------------------------------- */

/* The handed out message is over. */
static void forget_delivered(an__ws_session *s)
{
	if (!s->delivered)
		return;
	s->delivered = false;
	s->len = 0;
	if (s->cap > KEEP_MAX)
		free_message(s);
}

/* Deals with what begins at `data`; *ret_used 0 and AN__WS_NONE when there is too little
 * of it. */
static int feed_one(an__ws_session *s, uint8_t *data, size_t len, size_t *ret_used,
		    an__ws_event *ret)
{
	an__ws_frame f;
	ssize_t n;
	int r;

	if (s->in_frame) {
		n = (ssize_t)(s->left < len ? s->left : len);
		*ret_used = (size_t)n;
		return on_payload(s, data, (size_t)n, ret);
	}
	n = an__ws_frame_decode(data, len, !s->client, &f);
	if (n < 0)
		return fail(s, 1002, AN_ERR_MALFORMED);
	*ret_used = 0;
	if (n == 0)
		return AN__WS_NONE;
	if (an__ws_is_control(f.opcode)) {
		if (len - (size_t)n < f.length)
			return AN__WS_NONE;
		*ret_used = (size_t)n + (size_t)f.length;
		return on_control(s, &f, data + n, ret);
	}
	*ret_used = (size_t)n;
	r = on_data_header(s, &f);
	if (r < 0)
		return r;
	if (s->fragments == 1 && f.fin && len - (size_t)n >= f.length) {
		*ret_used += (size_t)f.length;
		return on_whole(s, data + n, ret);
	}
	return f.length ? AN__WS_NONE : on_payload(s, data + n, 0, ret);
}

int an__ws_session_feed(an__ws_session *s, uint8_t *data, size_t len, size_t *ret_used,
			an__ws_event *ret)
{
	size_t at = 0, used = 0;
	int r = 0;

	forget_delivered(s);
	while (at < len) {
		if (s->state >= AN__WS_CLOSED) {
			at = len;
			break;
		}
		r = feed_one(s, data + at, len - at, &used, ret);
		if (r < 0) {
			at = len;
			break;
		}
		at += used;
		if (r != AN__WS_NONE || !used)
			break;
	}
	*ret_used = at;
	return r;
}

int an__ws_session_room(an__ws_session *s, size_t least, uint8_t **ret, size_t *ret_room)
{
	size_t room;

	*ret_room = 0;
	if (!s->in_frame || s->left < least)
		return 0;
	if (s->cap - s->len < least && reserve(s, least) < 0)
		return fail(s, 1011, -ENOMEM);
	room = s->cap - s->len;
	*ret = s->message + s->len;
	*ret_room = room < s->left ? room : (size_t)s->left;
	return 0;
}

int an__ws_session_received(an__ws_session *s, size_t len, an__ws_event *ret)
{
	return on_payload(s, s->message + s->len, len, ret);
}

void an__ws_session_trim(an__ws_session *s)
{
	forget_delivered(s);
	if (!s->in_frame && !in_message(s))
		free_message(s);
	if (!s->output.len && s->output.cap) {
		free(s->output.data);
		s->output = (an__ws_output){ 0 };
	}
	if (s->engine && an__ws_engine_idle(s->engine))
		s->engine = an__ws_engine_free(s->engine);
}

/* ---- what we send ------------------------------------------------------------------ */

int an__ws_session_pong_room(an__ws_session *s, size_t room)
{
	size_t size = s->pong_len + 2u + (s->client ? 4 : 0);
	int r;

	s->pong_room = room;
	if (!s->pong_withheld || s->state != AN__WS_OPEN || size > room)
		return 0;
	r = put_pong(s, s->pong, s->pong_len);
	if (r < 0)
		return r;
	s->pong_room -= size;
	s->pong_withheld = false;
	return 0;
}

int an__ws_session_ping(an__ws_session *s, const void *data, size_t len)
{
	int r;

	if (s->state != AN__WS_OPEN)
		return AN_ERR_CLOSED;
	r = need_engine(s);
	return r < 0 ? r : an__ws_engine_control(s->engine, AN__WS_OP_PING, data, len);
}

int an__ws_session_close(an__ws_session *s, unsigned code, const char *reason, size_t len)
{
	an__utf8 text = { 0 };
	int r;

	if ((code && !an__ws_close_code_valid(code)) || (!code && len) ||
	    len > AN__WS_CONTROL_MAX - 2)
		return -EINVAL;
	if (!an__utf8_feed(&text, (const uint8_t *)reason, len) ||
	    !an__utf8_complete(&text))
		return -EINVAL;
	if (s->state != AN__WS_OPEN)
		return 0;
	r = need_engine(s);
	if (r == 0)
		r = an__ws_engine_close(s->engine, code, reason, len);
	if (r < 0)
		return r;
	s->pong_withheld = false;
	set_state(s, AN__WS_CLOSE_SENT);
	return 0;
}

ssize_t an__ws_session_header(an__ws_session *s, bool text, uint64_t len,
			      uint8_t out[AN__WS_HEADER_MAX], uint8_t key[4])
{
	int r;

	if (s->state != AN__WS_OPEN)
		return AN_ERR_CLOSED;
	if (s->client) {
		r = an__ws_random_bytes(s->random, key, 4);
		if (r < 0)
			return r;
	}
	return (ssize_t)an__ws_frame_encode(out, text ? AN__WS_OP_TEXT : AN__WS_OP_BINARY,
					    len, s->client ? key : NULL);
}
