/* The body of a request: read in pieces, limited in size and in time. L4.
 *
 * Bytes that were read ahead lie in the stream's buffer; `piece` of them, at its head,
 * are known to be the body's. When the buffer is empty, data goes from the socket
 * straight to the handler's memory.
 *
 * Invariant: a failure of the body sticks (`fault`), since nobody knows where the next
 * request begins.
 */
#include "http/server-private.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SKIP_LIMIT = 64 * 1024,	 /* read away after an answer rather than close */
	FILL_LIMIT = 128 * 1024, /* above the limits of trailers and of a chunk's line */
	BYTES_A_SECOND = 500,	 /* slower clients use up the body timeout */
	FIRST_ALLOCATION = 64 * 1024,
};

int an__http_body_begin(an_http_exchange *x)
{
	an__http_connection *c = x->c;
	const an__http_head *h = &c->head;

	if (h->framing == AN__HTTP_CHUNKED_BODY) {
		x->trailers = an__arena_alloc(&c->arena, sizeof(*x->trailers));
		if (!x->trailers)
			return -ENOMEM;
		an__http_head_init(x->trailers, AN__HTTP_TRAILERS, &c->server->limits);
	}
	an__http_body_init(&x->body, (enum an__http_framing)h->framing,
			   h->content_length > 0 ? (uint64_t)h->content_length : 0,
			   x->trailers);
	x->limit = c->server->opts.body_limit;
	x->continued = !h->expect_continue;
	return 0;
}

void an__http_body_done(an_http_exchange *x)
{
	if (x->trailers)
		an__http_head_done(x->trailers);
	x->trailers = NULL;
	free(x->whole);
	x->whole = NULL;
}

void an_http_body_limit(an_http_exchange *x, uint64_t limit)
{
	x->limit = limit;
}

static int fault(an_http_exchange *x, int error, int status)
{
	if (error == -ECANCELED || error == -ENOMEM)
		return error;
	if (error == -ETIMEDOUT)
		x->c->server->stats.timeouts++;
	x->fault = error;
	x->fault_status = (uint16_t)status;
	return error;
}

/* ---- waiting for bytes ------------------------------------------------------------- */

/* How long the next read may take: the body timeout, and in all no more than that and a
 * second for each 500 bytes that came, so that a client cannot hold a task by a byte now
 * and then. */
static an_duration patience(const an_http_exchange *x)
{
	an_duration timeout = x->c->server->opts.body_timeout;
	an_duration granted = (an_duration)(x->received / BYTES_A_SECOND) * AN_SECOND;
	an_duration left = an__duration_add(timeout - x->waited, granted);

	return left < timeout ? left : timeout;
}

/* Reads into `buf`, or with NULL into the stream's buffer. Returns the count, above 0; an
 * error. */
static ssize_t receive(an_http_exchange *x, void *buf, size_t cap)
{
	an_stream *stream = x->c->stream;
	an_duration began = an_now();
	an_timeout limit;
	ssize_t n;

	an_timeout_begin(&limit, patience(x));
	n = buf ? an_stream_read(stream, buf, cap) : an_stream_fill(stream, FILL_LIMIT);
	n = an_timeout_end(&limit, (int)n);
	x->waited += an_now() - began;
	if (n == 0)
		return fault(x, AN_ERR_EOF, 400); /* it may still read */
	if (n < 0)
		return fault(x, (int)n, n == -ETIMEDOUT ? 408 : 0);
	return n;
}

/* ---- the pieces -------------------------------------------------------------------- */

/* Keeps the trailers before their bytes go. */
static int keep_trailers(an_http_exchange *x)
{
	an__http_head *t = x->trailers;
	char *copy;

	if (!t || !t->headers.count)
		return 0;
	copy = an__arena_alloc(&x->c->arena, t->line);
	if (!copy) {
		an__http_headers_clear(&t->headers);
		return -ENOMEM;
	}
	memcpy(copy, t->headers.base, t->line);
	an__http_headers_adopt(&t->headers, copy);
	return 0;
}

static int status_of_broken_body(const an_http_exchange *x)
{
	return x->trailers && x->trailers->answer ? x->trailers->answer : 400;
}

/* Finds the next piece of the body in the stream's buffer, reading more as needed.
 * Returns 1; 0 at the end; an error. */
static int find_piece(an_http_exchange *x)
{
	an_stream *stream = x->c->stream;

	while (x->piece == 0) {
		an__http_piece piece;
		const char *data;
		ssize_t n = an_stream_peek(stream, &data);
		int step;

		if (n < 0)
			return (int)n;
		step = an__http_body_next(&x->body, data, (size_t)n, &piece);
		if (step < 0)
			return fault(x, step, status_of_broken_body(x));
		if (step == AN__BODY_END) {
			int r = keep_trailers(x);

			an_stream_consume(stream, piece.used);
			return r;
		}
		an_stream_consume(stream, piece.used - piece.len);
		x->piece = piece.len;
		if (step == AN__BODY_MORE) {
			ssize_t r = receive(x, NULL, 0);

			if (r < 0)
				return (int)r;
		}
	}
	return 1;
}

static size_t take(an_http_exchange *x, void *buf, size_t cap)
{
	an_stream *stream = x->c->stream;
	size_t n = cap < x->piece ? cap : x->piece;
	const char *data;

	if (buf && an_stream_peek(stream, &data) > 0)
		memcpy(buf, data, n);
	an_stream_consume(stream, n);
	x->piece -= n;
	return n;
}

/* Reads from the socket to the handler's memory. Returns 0 when that is not possible
 * now. */
static ssize_t read_directly(an_http_exchange *x, void *buf, size_t cap)
{
	uint64_t direct = an__http_body_direct(&x->body);
	const char *data;
	ssize_t n;

	if (direct == 0 || x->piece || an_stream_peek(x->c->stream, &data) != 0)
		return 0;
	n = receive(x, buf, direct < cap ? (size_t)direct : cap);
	if (n > 0)
		an__http_body_took(&x->body, (uint64_t)n);
	return n;
}

/* Asks a client that waits for it to send the body (RFC 9110 section 10.1.1); not when
 * the body is on its way already, nor behind an answer. */
static int send_continue(an_http_exchange *x)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *data;

	if (x->continued)
		return 0;
	x->continued = true;
	if (x->out != AN__OUT_NONE || an_stream_peek(x->c->stream, &data) > 0)
		return 0;
	return an_stream_write_nowait(x->c->stream, text, sizeof(text) - 1);
}

static int check_limit(an_http_exchange *x)
{
	bool announced = x->body.framing == AN__HTTP_LENGTH &&
			 (uint64_t)x->c->head.content_length > x->limit;

	return announced || x->received > x->limit ? fault(x, AN_ERR_LIMIT, 413) : 0;
}

ssize_t an_http_body_read(an_http_exchange *x, void *buf, size_t cap)
{
	ssize_t n;
	int r = x->fault ? x->fault : an_check();

	if (r < 0)
		return r;
	if (cap == 0 || (x->piece == 0 && an__http_body_at_end(&x->body)))
		return 0;
	r = check_limit(x);
	if (r == 0)
		r = send_continue(x);
	if (r < 0)
		return r;
	n = read_directly(x, buf, cap);
	if (n == 0) {
		r = find_piece(x);
		n = r > 0 ? (ssize_t)take(x, buf, cap) : r;
	}
	if (n <= 0)
		return n;
	x->received += (uint64_t)n;
	x->c->server->stats.received += (uint64_t)n;
	r = check_limit(x);
	return r < 0 ? r : n;
}

/* ---- the whole body ---------------------------------------------------------------- */

/* Room for one byte more than the body, for the NUL and to see that it is at its end. */
static int grow(char **data, size_t *capacity)
{
	size_t wanted = *capacity ? *capacity * 2 : FIRST_ALLOCATION;
	char *grown = an__realloc(*data, wanted);

	if (!grown)
		return -ENOMEM;
	*data = grown;
	*capacity = wanted;
	return 0;
}

int an_http_body_read_all(an_http_exchange *x, const char **ret_data, size_t *ret_len)
{
	int64_t announced = an_http_request_length(x);
	size_t len = 0, capacity = 0;
	ssize_t n = 1;

	free(x->whole);
	x->whole = NULL;
	if (announced >= 0 && announced < FIRST_ALLOCATION) {
		capacity = (size_t)announced + 1;
		x->whole = an__malloc(capacity);
		if (!x->whole)
			return -ENOMEM;
	}
	while (n > 0) {
		if (len + 1 >= capacity &&
		    !(x->piece == 0 && an__http_body_at_end(&x->body))) {
			int r = grow(&x->whole, &capacity);

			if (r < 0)
				return r;
		}
		n = an_http_body_read(x, x->whole + len, capacity - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return (int)n;
	x->whole[len] = 0;
	*ret_data = x->whole;
	*ret_len = len;
	return 0;
}

const an_http_headers *an_http_request_trailers(const an_http_exchange *x)
{
	if (!x->trailers || !an__http_body_at_end(&x->body) ||
	    !x->trailers->headers.count)
		return NULL;
	return &x->trailers->headers;
}

/* ---- what is left ------------------------------------------------------------------ */

bool an__http_body_too_long_to_skip(const an_http_exchange *x)
{
	if (x->piece == 0 && an__http_body_at_end(&x->body))
		return false;
	if (x->fault || !x->continued)
		return true;
	return x->body.framing == AN__HTTP_LENGTH && x->body.left + x->piece > SKIP_LIMIT;
}

bool an__http_body_skip(an_http_exchange *x)
{
	size_t skipped = 0;
	int r = 1;

	if (x->piece == 0 && an__http_body_at_end(&x->body))
		return true;
	if (an__http_body_too_long_to_skip(x))
		return false;
	while (r > 0 && skipped <= SKIP_LIMIT) {
		r = find_piece(x);
		if (r > 0)
			skipped += take(x, NULL, x->piece);
	}
	return r == 0;
}
