/* The answer to a request. L4.
 *
 * A head is written to memory on the stack and given to the stream together with the
 * body, or its first piece, in one call; the stream sends what one turn of the loop has
 * brought together. Large bodies go in pieces, each with the write timeout of its own: a
 * client may be slow, but must take something.
 *
 * Invariant: a head never leaves with a framing that the body behind it could break; what
 * an application gives for Content-Length, Transfer-Encoding or Connection is refused.
 */
#include "http/server-private.h"

#include <errno.h>
#include <string.h>

enum {
	HEAD_MEMORY = 1024, /* on the stack; larger heads move to the heap */
	PIECE = 64 * 1024,  /* of a body, at once */
};

/* ---- sending ----------------------------------------------------------------------- */

static int send_pieces(an_http_exchange *x, const struct iovec *iov, int count)
{
	an_http_server *srv = x->c->server;
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, srv->opts.write_timeout);
	r = an_stream_writev(x->c->stream, iov, count);
	r = an_timeout_end(&limit, r);
	/* A write that was cut short by the limit is taken, and says so at the next call
	 * only. */
	if (r == 0 && an_timeout_expired(&limit))
		r = -ETIMEDOUT;
	if (r == -ETIMEDOUT)
		srv->stats.timeouts++;
	if (r < 0 && r != -ECANCELED)
		x->out = AN__OUT_BROKEN;
	return r;
}

static struct iovec piece_of(const void *data, size_t len)
{
	return (struct iovec){ (void *)(uintptr_t)data, len };
}

/* ---- heads ------------------------------------------------------------------------- */

static bool has_no_body(int status)
{
	return status == 204 || status == 304;
}

/* The application's own fields. */
static void put_fields(an__http_writer *w, const an_http_header *headers, bool *ret_date)
{
	*ret_date = false;
	for (; headers && headers->name; headers++) {
		switch (an__http_id_of(headers->name, strlen(headers->name))) {
		case AN__H_CONTENT_LENGTH:
		case AN__H_TRANSFER_ENCODING:
		case AN__H_CONNECTION:
		case AN__H_KEEP_ALIVE:
			w->error = w->error ? w->error : -EINVAL;
			return;
		case AN__H_DATE:
			*ret_date = true;
			break;
		default:
			break;
		}
		an__http_put_field(w, headers->name,
				   headers->value ? headers->value : "");
	}
}

static void put_date(an__http_writer *w, an_http_server *srv)
{
	size_t len;
	const char *field = an__http_date_field(srv, &len);

	an__http_put(w, field, len);
}

/* Decides whether the connection stays open, and says so where the version does not. */
static void put_connection(an_http_exchange *x, an__http_writer *w, bool until_close)
{
	an__http_connection *c = x->c;
	an_http_server *srv = c->server;

	if (until_close || srv->draining || c->requests >= srv->opts.max_requests ||
	    an__http_body_too_long_to_skip(x))
		c->keep = false;
	if (!c->keep)
		an__http_put(w, "connection: close\r\n", 19);
	else if (c->head.minor == 0)
		an__http_put(w, "connection: keep-alive\r\n", 24);
}

static void put_framing(an_http_exchange *x, an__http_writer *w, int status,
			int64_t length)
{
	x->chunked = false;
	if (has_no_body(status))
		return;
	if (length >= 0) {
		an__http_put(w, "content-length: ", 16);
		an__http_put_number(w, (uint64_t)length);
		an__http_put(w, "\r\n", 2);
	} else if (x->c->head.minor == 1) {
		an__http_put(w, "transfer-encoding: chunked\r\n", 28);
		x->chunked = true;
	}
}

static void put_head(an_http_exchange *x, an__http_writer *w, int status,
		     const an_http_header *headers, int64_t length)
{
	an_http_server *srv = x->c->server;
	bool dated;

	an__http_put_status_line(w, status);
	put_fields(w, headers, &dated);
	if (!dated)
		put_date(w, srv);
	if (srv->server_name)
		an__http_put_field(w, "server", srv->server_name);
	put_framing(x, w, status, length);
	put_connection(x, w, length < 0 && x->c->head.minor == 0 && !has_no_body(status));
	an__http_put(w, "\r\n", 2);
}

static void begin(an_http_exchange *x, int status, int64_t length)
{
	x->out = AN__OUT_BODY;
	x->status = status;
	x->head_only = has_no_body(status) || strcmp(x->method, "HEAD") == 0;
	x->left = length >= 0 ? (uint64_t)length : UINT64_MAX;
}

static int check_begin(const an_http_exchange *x, int status)
{
	if (x->out == AN__OUT_BROKEN)
		return -EPIPE;
	if (x->out != AN__OUT_NONE)
		return AN_ERR_MISUSE;
	return status < 200 || status > 599 ? -EINVAL : an_check();
}

/* ---- in one go --------------------------------------------------------------------- */

static int write_body(an_http_exchange *x, const char *data, size_t len)
{
	int r = 0;

	while (len && r == 0) {
		size_t n = len < PIECE ? len : PIECE;
		struct iovec iov = piece_of(data, n);

		r = send_pieces(x, &iov, 1);
		data += n;
		len -= n;
		x->sent += r == 0 ? n : 0;
	}
	return r;
}

/* Sends a head and as much of the body as makes up a piece. */
static int send_head(an_http_exchange *x, const an__http_writer *w, const void *body,
		     size_t len)
{
	struct iovec iov[2] = { piece_of(w->data, w->len), piece_of(body, len) };
	int r = send_pieces(x, iov, len ? 2 : 1);

	if (r == -ECANCELED) { /* nothing was taken */
		x->out = AN__OUT_NONE;
		x->status = 0;
	}
	if (r == 0)
		x->sent += len;
	return r;
}

int an_http_respond(an_http_exchange *x, int status, const an_http_header *headers,
		    const void *body, size_t len)
{
	char memory[HEAD_MEMORY];
	an__http_writer w;
	size_t first;
	int r = check_begin(x, status);

	if (r < 0)
		return r;
	an__http_writer_init(&w, memory, sizeof(memory));
	put_head(x, &w, status, headers, (int64_t)len);
	r = w.error;
	if (r == 0) {
		begin(x, status, (int64_t)len);
		if (x->head_only)
			len = 0;
		first = len < PIECE ? len : PIECE;
		r = send_head(x, &w, body, first);
		if (r == 0)
			r = write_body(x, (const char *)body + first, len - first);
		if (r == 0)
			x->out = AN__OUT_DONE;
	}
	an__http_writer_done(&w);
	return r;
}

/* ---- in pieces --------------------------------------------------------------------- */

/* 103 and the like; HTTP/1.0 knows none. */
static int send_interim(an_http_exchange *x, int status, const an_http_header *headers)
{
	char memory[HEAD_MEMORY];
	an__http_writer w;
	bool dated;
	int r;

	if (x->out != AN__OUT_NONE)
		return AN_ERR_MISUSE;
	if (status == 101)
		return -EINVAL;
	an__http_writer_init(&w, memory, sizeof(memory));
	an__http_put_status_line(&w, status);
	put_fields(&w, headers, &dated);
	an__http_put(&w, "\r\n", 2);
	r = w.error;
	if (r == 0 && x->c->head.minor == 1) {
		struct iovec iov = piece_of(w.data, w.len);

		r = send_pieces(x, &iov, 1);
	}
	an__http_writer_done(&w);
	return r;
}

int an_http_respond_begin(an_http_exchange *x, int status, const an_http_header *headers,
			  int64_t length)
{
	char memory[HEAD_MEMORY];
	an__http_writer w;
	int r;

	if (status >= 100 && status < 200)
		return send_interim(x, status, headers);
	r = check_begin(x, status);
	if (r < 0)
		return r;
	if (length < AN_HTTP_CHUNKED)
		return -EINVAL;
	an__http_writer_init(&w, memory, sizeof(memory));
	put_head(x, &w, status, headers, length);
	r = w.error;
	if (r == 0) {
		begin(x, status, length);
		r = send_head(x, &w, NULL, 0);
	}
	an__http_writer_done(&w);
	return r;
}

static int write_chunk(an_http_exchange *x, const char *data, size_t len)
{
	char head[AN__HTTP_CHUNK_HEAD_MAX];
	struct iovec iov[3] = {
		piece_of(head, an__http_chunk_head(head, len)),
		piece_of(data, len),
		piece_of("\r\n", 2),
	};
	int r = send_pieces(x, iov, 3);

	if (r == 0)
		x->sent += len;
	return r;
}

static int write_pieces(an_http_exchange *x, const char *data, size_t len)
{
	int r = 0;

	if (!x->chunked)
		return write_body(x, data, len);
	while (len && r == 0) {
		size_t n = len < PIECE ? len : PIECE;

		r = write_chunk(x, data, n);
		data += n;
		len -= n;
	}
	return r;
}

int an_http_write(an_http_exchange *x, const void *data, size_t len)
{
	const uint64_t before = x->sent;
	int r = an_check();

	if (x->out == AN__OUT_BROKEN)
		return -EPIPE;
	if (x->out != AN__OUT_BODY || len > x->left)
		return AN_ERR_MISUSE;
	if (r < 0)
		return r;
	if (!x->head_only)
		r = write_pieces(x, data, len);
	/* Cancelled in the middle, nobody knows any more what has gone. */
	if (r == -ECANCELED && x->sent != before)
		x->out = AN__OUT_BROKEN;
	if (r == 0 && x->left != UINT64_MAX)
		x->left -= len;
	return r;
}

int an_http_respond_end(an_http_exchange *x)
{
	int r = 0;

	if (x->out == AN__OUT_BROKEN)
		return -EPIPE;
	if (x->out != AN__OUT_BODY || (x->left && x->left != UINT64_MAX))
		return AN_ERR_MISUSE;
	if (x->chunked && !x->head_only) {
		struct iovec iov = piece_of("0\r\n\r\n", 5);

		r = send_pieces(x, &iov, 1);
	}
	if (r == 0)
		x->out = AN__OUT_DONE;
	return r;
}

/* ---- the server's own answers ------------------------------------------------------ */

void an__http_answer(an_http_exchange *x, int status, const an_http_header *headers,
		     bool close)
{
	static const an_http_header plain[] = { { "content-type", "text/plain" },
						{ NULL, NULL } };
	const char *text = has_no_body(status) ? "" : an_http_status_text(status);
	size_t len = *text ? strlen(text) + 1 : 0;
	char memory[HEAD_MEMORY];
	an__http_writer w;

	if (x->out != AN__OUT_NONE)
		return;
	if (close)
		x->c->keep = false;
	an__http_writer_init(&w, memory, sizeof(memory));
	put_head(x, &w, status, headers ? headers : plain, (int64_t)len);
	begin(x, status, (int64_t)len);
	if (len && !x->head_only) {
		an__http_put_text(&w, text);
		an__http_put(&w, "\n", 1);
		x->sent += len;
	}
	if (w.error || an_stream_write_nowait(x->c->stream, w.data, w.len) < 0)
		x->out = AN__OUT_BROKEN;
	else
		x->out = AN__OUT_DONE;
	an__http_writer_done(&w);
}

/* ---- handing the stream over ------------------------------------------------------- */

int an_http_upgrade(an_http_exchange *x, const char *protocol,
		    const an_http_header *headers, an_stream **ret)
{
	an__http_connection *c = x->c;
	char memory[HEAD_MEMORY];
	an__http_writer w;
	bool dated;
	int r;

	if (x->out != AN__OUT_NONE || !c->head.upgrade ||
	    c->head.framing != AN__HTTP_NO_BODY)
		return AN_ERR_MISUSE;
	if (c->server->draining)
		return AN_ERR_CLOSED;
	an__http_writer_init(&w, memory, sizeof(memory));
	an__http_put_status_line(&w, 101);
	an__http_put_field(&w, "upgrade", protocol);
	an__http_put_text(&w, "connection: upgrade\r\n");
	put_fields(&w, headers, &dated);
	an__http_put(&w, "\r\n", 2);
	r = w.error;
	if (r == 0) {
		struct iovec iov = piece_of(w.data, w.len);

		r = send_pieces(x, &iov, 1);
	}
	an__http_writer_done(&w);
	if (r < 0)
		return r;
	an__http_peer(c);
	x->out = AN__OUT_UPGRADED;
	x->status = 101;
	c->phase = AN__CONN_UPGRADED;
	c->server->stats.upgraded++;
	*ret = c->stream;
	c->stream = NULL;
	return 0;
}
