/* Writing a request: what may be sent, the head, the body. L4.
 *
 * The head is put together in one piece on the stack and leaves with a body in memory in
 * one system call. Nothing is sent that an__http_call_check() has not seen: the fields
 * that frame a message are written here alone.
 */
#include "http/client-private.h"
#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	HEAD_ON_STACK = 2048,	/* bytes of a head before it moves to the heap */
	TARGET_ON_STACK = 1024, /* likewise of a request target */
	UPLOAD_PIECE = 65536, /* bytes of a body sent, or asked of read_body, at a time */
};

/* ---- checks ------------------------------------------------------------------------ */

static int refuse(an__http_call *c, int code, const char *text)
{
	return an__http_error_set(&c->error, code, AN_HTTP_PHASE_REQUEST, text);
}

static bool is_word(const char *name, size_t len, const char *word)
{
	return an__http_equal(name, len, word, strlen(word));
}

/* Fields that say how the message is framed or what becomes of the connection. */
static bool is_ours(const char *name, size_t len)
{
	switch (an__http_id_of(name, len)) {
	case AN__H_CONNECTION:
	case AN__H_CONTENT_LENGTH:
	case AN__H_TRANSFER_ENCODING:
	case AN__H_UPGRADE:
	case AN__H_KEEP_ALIVE:
		return true;
	default:
		return is_word(name, len, "TE") || is_word(name, len, "Trailer");
	}
}

static int check_field(an__http_call *c, const an_http_header *h)
{
	size_t name_len = strlen(h->name), value_len = h->value ? strlen(h->value) : 0;

	if (!an__http_all(h->name, name_len, AN__C_TOKEN) || !h->value ||
	    (value_len && !an__http_all(h->value, value_len, AN__C_VALUE)))
		return refuse(c, -EINVAL, "a field is not valid");
	if (is_ours(h->name, name_len))
		return refuse(c, -EINVAL, "a field was given that the client sets");
	if (is_word(h->name, name_len, "Host") &&
	    !an__http_host_valid(h->value, value_len))
		return refuse(c, -EINVAL, "the Host field is not valid");
	return 0;
}

int an__http_call_check(an__http_call *c)
{
	const an_http_request *q = c->request;
	bool body = q->body_len || q->read_body;

	if (!an__http_all(c->method, strlen(c->method), AN__C_TOKEN) ||
	    !strcmp(c->method, "CONNECT"))
		return refuse(c, -EINVAL, "the method is not usable");
	if ((q->body_len && (!q->body || q->read_body)) || (q->read_len && !q->read_body))
		return refuse(c, -EINVAL, "the body must be given in one way");
	if (q->upgrade &&
	    (body || !an__http_all(q->upgrade, strlen(q->upgrade), AN__C_TOKEN)))
		return refuse(c, -EINVAL, "the upgrade is not usable");
	for (const an_http_header *h = q->headers; h && h->name; h++) {
		int r = check_field(c, h);

		if (r)
			return r;
	}
	return 0;
}

bool an__http_call_replayable(const an__http_call *c)
{
	return c->to_get || !c->request->read_body;
}

/* ---- the head ---------------------------------------------------------------------- */

static int put_request_line(an__http_call *c, an__http_writer *w)
{
	char stack[TARGET_ON_STACK], *target = stack;
	size_t len = an__url_target(&c->url, stack, sizeof(stack));

	if (len > sizeof(stack)) {
		target = an__malloc(len);
		if (!target)
			return -ENOMEM;
		an__url_target(&c->url, target, len);
	}
	an__http_put_request_line(w, c->method, target, len);
	if (target != stack)
		free(target);
	return 0;
}

/* Host and User-Agent come ready from the origin unless the request has its own. */
static void put_fields(an__http_call *c, an__http_writer *w)
{
	const an__http_host *host = c->host;
	const an_http_header *own_host = NULL, *own_agent = NULL, *h;

	for (h = c->request->headers; h && h->name; h++) {
		size_t len = strlen(h->name);

		if (is_word(h->name, len, "Host") &&
		    an__redirect_keeps(h->name, len, c->to_get, c->crossed))
			own_host = h;
		else if (is_word(h->name, len, "User-Agent"))
			own_agent = h;
	}
	if (own_host)
		an__http_put_field(w, "Host", own_host->value);
	else
		an__http_put(w, host->fields, host->host_len);
	if (!own_agent)
		an__http_put(w, host->fields + host->host_len,
			     host->fields_len - host->host_len);
	for (h = c->request->headers; h && h->name; h++) {
		size_t len = strlen(h->name);

		if (is_word(h->name, len, "Host") ||
		    !an__redirect_keeps(h->name, len, c->to_get, c->crossed))
			continue;
		an__http_put_field(w, h->name, h->value);
	}
}

#define PUT(w, literal) an__http_put(w, literal, sizeof(literal) - 1)

/* A body announces itself; so does its absence where a method usually has one (RFC 9110
 * §8.6). */
static void put_framing(an__http_call *c, an__http_writer *w)
{
	const an_http_request *q = c->request;
	bool body = !c->to_get && (q->body_len || q->read_body);

	if (body && q->read_body && !q->read_len) {
		PUT(w, "Transfer-Encoding: chunked\r\n");
	} else if (body || !strcmp(c->method, "POST") || !strcmp(c->method, "PUT") ||
		   !strcmp(c->method, "PATCH")) {
		PUT(w, "Content-Length: ");
		an__http_put_number(w, !body	      ? 0
				       : q->read_body ? q->read_len
						      : q->body_len);
		PUT(w, "\r\n");
	}
	if (q->upgrade) {
		PUT(w, "Connection: Upgrade\r\n");
		an__http_put_field(w, "Upgrade", q->upgrade);
	}
	PUT(w, "\r\n");
}

static int put_head(an__http_call *c, an__http_writer *w)
{
	int r = put_request_line(c, w);

	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_REQUEST, NULL);
	put_fields(c, w);
	put_framing(c, w);
	if (w->error)
		return refuse(c, w->error,
			      w->error == -EINVAL ? "a field is not valid" : NULL);
	return 0;
}

/* ---- sending ----------------------------------------------------------------------- */

/* Writes within the limit on progress. */
static int write_pieces(an__http_call *c, const struct iovec *iov, int count)
{
	an_duration limit = c->client->opts.read_timeout;
	an_stream *s = c->conn->stream;
	an_timeout t;
	int r;

	an_timeout_begin(&t, limit);
	r = an_stream_writev(s, iov, count);
	r = an_timeout_end(&t, r);
	/* A write that was cut short by the limit is taken, and says so at the next call
	 * only. */
	if (!r && an_timeout_expired(&t))
		r = -ETIMEDOUT;
	if (!r)
		return 0;
	if (r == -ETIMEDOUT && an_timeout_expired(&t))
		return an__http_error_limit(&c->error, AN_HTTP_PHASE_SEND,
					    "the server took nothing", limit);
	return an__http_error_set(&c->error, r, AN_HTTP_PHASE_SEND,
				  an_stream_error_text(s));
}

static int write_chunk(an__http_call *c, char *data, size_t len)
{
	char head[AN__HTTP_CHUNK_HEAD_MAX];
	struct iovec iov[3];

	if (!c->request->read_len) {
		if (!len)
			return write_pieces(c, &(struct iovec){ "0\r\n\r\n", 5 }, 1);
		iov[0] = (struct iovec){ head, an__http_chunk_head(head, len) };
		iov[1] = (struct iovec){ data, len };
		iov[2] = (struct iovec){ "\r\n", 2 };
		return write_pieces(c, iov, 3);
	}
	return len ? write_pieces(c, &(struct iovec){ data, len }, 1) : 0;
}

/* Between two pieces of the body: whether something came. A server that has refused the
 * request (413) does not want the rest; one that answers as it reads does. Returns 1:
 * stop sending. */
static int look_at_answer(an__http_call *c)
{
	int r;

	if (c->head_done || !an_stream_readable(c->conn->stream))
		return 0;
	r = an__http_call_read_some(c);
	if (r <= 0)
		return r;
	return c->response->head.status >= 300;
}

/* Asks the request's own function for a piece and checks what it gives against what was
 * announced. */
static ssize_t next_piece(an__http_call *c, char *buf, uint64_t left)
{
	const an_http_request *q = c->request;
	size_t cap = UPLOAD_PIECE;
	ssize_t n;

	if (q->read_len && !left)
		return 0;
	if (q->read_len && left < cap)
		cap = (size_t)left;
	n = q->read_body(q->read_arg, buf, cap);
	if (n < 0)
		return an__http_error_set(&c->error, (int)n, AN_HTTP_PHASE_SEND,
					  "the request's body could not be read");
	if ((size_t)n > cap || (!n && q->read_len))
		return an__http_error_set(
			&c->error, -EINVAL, AN_HTTP_PHASE_SEND,
			"the request's body is not as long as announced");
	return n;
}

static int upload(an__http_call *c)
{
	uint64_t left = c->request->read_len;
	char *buf = an__malloc(UPLOAD_PIECE);
	ssize_t n;
	int r;

	if (!buf)
		return an__http_error_set(&c->error, -ENOMEM, AN_HTTP_PHASE_SEND, NULL);
	do {
		r = 0;
		n = next_piece(c, buf, left);
		if (n < 0)
			r = (int)n;
		if (!r)
			r = write_chunk(c, buf, (size_t)n);
		if (!r && n)
			r = look_at_answer(c);
		left -= n > 0 && left ? (uint64_t)n : 0;
	} while (!r && n);
	free(buf);
	c->sent = !r;
	return r < 0 ? r : 0;
}

/* The head, and a body in memory: in pieces, the first with the head, so that the limit
 * on progress holds for each and an answer that comes early is seen. */
static int write_memory(an__http_call *c, const an__http_writer *head)
{
	const an_http_request *q = c->request;
	const char *body = q->body;
	size_t left = c->to_get ? 0 : q->body_len;
	size_t n = left < UPLOAD_PIECE ? left : UPLOAD_PIECE;
	struct iovec iov[2] = { { head->data, head->len },
				{ (char *)(uintptr_t)body, n } };
	int r = write_pieces(c, iov, n ? 2 : 1);

	while (!r && (left -= n)) {
		body += n;
		n = left < UPLOAD_PIECE ? left : UPLOAD_PIECE;
		r = look_at_answer(c);
		iov[1] = (struct iovec){ (char *)(uintptr_t)body, n };
		if (!r)
			r = write_pieces(c, &iov[1], 1);
	}
	c->sent = !r;
	return r < 0 ? r : 0;
}

int an__http_call_write(an__http_call *c)
{
	const an_http_request *q = c->request;
	char memory[HEAD_ON_STACK];
	an__http_writer w;
	int r;

	an__http_writer_init(&w, memory, sizeof(memory));
	r = put_head(c, &w);
	if (!r)
		r = write_memory(c, &w);
	an__http_writer_done(&w);
	if (!r && q->read_body && !c->to_get)
		r = upload(c);
	return r;
}
