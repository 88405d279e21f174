/* One connection: a task that reads heads, runs handlers and keeps the connection usable
 * between them. L4.
 *
 * Phases are drawn in server-private.h. The drain cancels the task of a connection that
 * is idle, and of one that was upgraded; a request that arrived all the same takes the
 * cancellation back and is answered.
 */
#include "http/server-private.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <string.h>

enum {
	/* Above the largest head; the parser stops at its own limit before. */
	FILL_LIMIT = 128 * 1024,
	BURST = 16, /* pipelined requests before other tasks have their turn */
	UNSENT_LIMIT = 64 * 1024, /* bytes of answers before the next request is read */
};

/* ---- reading a head ---------------------------------------------------------------- */

/* Waits for more bytes until a point in time. Returns the count; 0 at the end; an
 * error. */
static ssize_t fill_until(an__http_connection *c, an_duration deadline)
{
	an_timeout limit;
	ssize_t n;

	an_timeout_begin_at(&limit, deadline);
	n = an_stream_fill(c->stream, FILL_LIMIT);
	return an_timeout_end(&limit, (int)n);
}

/* Between requests. Returns the count of bytes; at most 0 when the connection is over:
 * nobody is waiting for an answer. */
static ssize_t await_first_byte(an__http_connection *c)
{
	an_http_server *srv = c->server;
	an_duration deadline =
		c->requests ? an__duration_add(an_now(), srv->opts.keep_alive)
			    : an__duration_add(c->opened, srv->opts.header_timeout);
	ssize_t n;

	if (srv->draining)
		return 0;
	c->phase = AN__CONN_IDLE;
	srv->stats.idle++;
	n = fill_until(c, deadline);
	srv->stats.idle--;
	c->phase = AN__CONN_READING;
	if (c->nudged) {
		c->nudged = false;
		an_uncancel();
	}
	return n;
}

/* The head is not complete: reads on, all of it within the header timeout. */
static ssize_t read_rest(an__http_connection *c, const char **ret_data)
{
	an_duration deadline = an__duration_add(an_now(), c->server->opts.header_timeout);
	ssize_t r = 0;

	while (r == 0) {
		ssize_t n = fill_until(c, deadline);

		if (n <= 0)
			return n < 0 ? n : AN_ERR_EOF;
		n = an_stream_peek(c->stream, ret_data);
		if (n < 0)
			return n;
		r = an__http_head_parse(&c->head, *ret_data, (size_t)n);
	}
	return r;
}

/* Returns the length of a head that lies in the stream's buffer; 0 when the connection is
 * over; the parser's errors, -ETIMEDOUT, and those of the stream. */
static ssize_t read_head(an__http_connection *c, const char **ret_data)
{
	ssize_t n, r;

	an__http_head_reset(&c->head);
	n = an_stream_peek(c->stream, ret_data);
	if (n == 0) {
		if (await_first_byte(c) <= 0)
			return 0;
		n = an_stream_peek(c->stream, ret_data);
	}
	if (n < 0)
		return n;
	c->phase = AN__CONN_READING;
	r = an__http_head_parse(&c->head, *ret_data, (size_t)n);
	return r ? r : read_rest(c, ret_data);
}

/* ---- an exchange ------------------------------------------------------------------- */

static void reset_exchange(an__http_connection *c)
{
	memset(&c->x, 0, sizeof(c->x));
	c->x.c = c;
	c->x.method = c->x.target = (char *)(uintptr_t) "-";
	c->x.query = "";
	c->x.began = an_now();
}

/* Copies the head out of the stream's buffer and ends its strings. */
static int take_head(an__http_connection *c, const char *data, size_t len)
{
	an_http_exchange *x = &c->x;
	an__http_head *h = &c->head;
	char *text = an__arena_alloc(&c->arena, len);

	if (!text) {
		an__http_headers_clear(&h->headers); /* a log must not see them */
		return -ENOMEM;
	}
	memcpy(text, data, len);
	an_stream_consume(c->stream, len);
	an__http_headers_adopt(&h->headers, text);
	text[h->method.at + h->method.len] = 0;
	text[h->target.at + h->target.len] = 0;
	x->text = text;
	x->method = text + h->method.at;
	x->target = text + h->target.at;
	if (h->query.at)
		x->query = text + h->query.at;
	if (h->path.len == 0)
		x->path =
			h->form == AN__HTTP_ABSOLUTE && strcmp(x->method, "OPTIONS") == 0
				? "*"
			: h->form == AN__HTTP_AUTHORITY ? ""
							: "/";
	return an__http_body_begin(x);
}

static void answer_allow(an_http_exchange *x, int status, const char *path, size_t len,
			 char *scratch)
{
	char methods[256];
	const an_http_header allow[] = { { "allow", methods }, { NULL, NULL } };

	an__router_allow(&x->c->server->router, path, len, scratch, methods,
			 sizeof(methods));
	an__http_answer(x, status, allow, false);
}

/* Finds the route and runs its handler. Returns what it returned, or 0 after an answer of
 * the server's own. */
static int dispatch(an_http_exchange *x)
{
	an__http_connection *c = x->c;
	const an__http_head *h = &c->head;
	const char *path = h->path.len ? x->text + h->path.at : x->path;
	size_t len = h->path.len ? h->path.len : strlen(x->path);
	char *scratch = an__arena_alloc(&c->arena, len + 1);
	int status;

	if (!scratch)
		return -ENOMEM;
	if (h->form == AN__HTTP_AUTHORITY) {
		an__http_answer(x, 501, NULL,
				true); /* no tunnels: RFC 9110 section 9.3.6 */
		return 0;
	}
	if (*path == '*') {
		answer_allow(x, 204, NULL, 0, NULL);
		return 0;
	}
	status = an__router_match(&c->server->router, x->method, path, len, scratch,
				  &x->route, &x->params);
	if (status == 0)
		return x->route->handler(x, x->route->arg);
	if (status == 405)
		answer_allow(x, strcmp(x->method, "OPTIONS") == 0 ? 204 : 405, path, len,
			     scratch);
	else
		an__http_answer(x, status, NULL, false);
	return 0;
}

/* The status for what a handler returned without an answer; 0 when nobody is there to
 * read it. */
static int status_of(const an_http_exchange *x, int result)
{
	if (x->fault)
		return x->fault_status;
	if (result >= 400 && result <= 599)
		return result;
	switch (result) {
	case -ENOENT:
		return 404;
	case -EACCES:
	case -EPERM:
		return 403;
	case -EINVAL:
		return 400;
	case -ENOMEM:
	case -EAGAIN:
	case -EBUSY:
	case -ECANCELED:
	case AN_ERR_CLOSED:
		return 503;
	case -ETIMEDOUT:
		return 504;
	default:
		return 500;
	}
}

static void log_exchange(an_http_exchange *x)
{
	an_http_server *srv = x->c->server;
	int group = x->out == AN__OUT_NONE ? 0 : x->status / 100;
	an_http_access entry;

	srv->stats.responses[group < 6 ? group : 0]++;
	srv->stats.sent += x->sent;
	if (!srv->opts.access_log)
		return;
	entry = (an_http_access){
		.peer = an__http_peer(x->c),
		.method = x->method,
		.target = x->target,
		.minor_version = x->c->head.minor,
		.status = x->status ? x->status : 499,
		.received = x->received,
		.sent = x->sent,
		.took = an_now() - x->began,
		.headers = &x->c->head.headers,
	};
	srv->opts.access_log(&entry, srv->opts.access_arg);
}

/* After the handler: an answer if it gave none, an end to the connection if it left one
 * open. */
static void settle(an_http_exchange *x, int result)
{
	an__http_connection *c = x->c;

	if (x->out == AN__OUT_NONE) {
		int status = status_of(x, result);

		if (status)
			an__http_answer(x, status, NULL,
					x->fault || result == -ECANCELED);
	}
	if (x->out != AN__OUT_DONE)
		c->keep = false;
	if (x->out == AN__OUT_BODY || x->out == AN__OUT_BROKEN) {
		c->server->stats.aborted++;
		c->stream = an_stream_abort(c->stream);
	}
	log_exchange(x);
}

static void run_exchange(an__http_connection *c, const char *data, size_t len)
{
	an_http_exchange *x = &c->x;
	an_http_server *srv = c->server;
	int r;

	c->phase = AN__CONN_HANDLING;
	c->keep = c->head.keep_alive;
	c->requests++;
	srv->stats.requests++;
	srv->stats.in_flight++;
	r = take_head(c, data, len);
	if (r == 0)
		r = dispatch(x);
	settle(x, r);
	if (c->stream && !an__http_body_skip(x)) {
		c->keep = false;
		c->unread = true;
	}
	an__http_body_done(x);
	srv->stats.in_flight--;
}

/* A head that could not be read. */
static void refuse(an__http_connection *c, int error)
{
	int status = c->head.answer;

	if (error == -ETIMEDOUT) {
		c->server->stats.timeouts++;
		status = 408;
	} else if (error == AN_ERR_EOF &&
		   an__http_head_begun(&c->head, c->head.scanned)) {
		status = 400; /* it may have closed its side alone */
	} else if (status) {
		c->server->stats.malformed++;
	}
	if (!status)
		return;
	c->unread = true;
	c->head.minor = 1;
	an__http_headers_clear(&c->head.headers); /* their text is nobody's to keep */
	an__http_answer(&c->x, status, NULL, true);
	log_exchange(&c->x);
}

/* ---- the connection ---------------------------------------------------------------- */

/* A handler's answers wait for the client to take them. The server's own do not, so a
 * client that asks on and on without reading is waited for here. Returns whether the
 * connection is still good. */
static bool let_out(an__http_connection *c)
{
	an_timeout limit;
	int r;

	if (an_stream_pending(c->stream) <= UNSENT_LIMIT)
		return true;
	an_timeout_begin(&limit, c->server->opts.write_timeout);
	r = an_timeout_end(&limit, an_stream_drain(c->stream));
	if (r == -ETIMEDOUT)
		c->server->stats.timeouts++;
	if (r < 0 && r != -ECANCELED)
		c->stream = an_stream_abort(c->stream);
	return r == 0;
}

/* Returns whether another request may follow. */
static bool serve_one(an__http_connection *c)
{
	const char *data;
	ssize_t n = read_head(c, &data);

	if (n == 0)
		return false;
	reset_exchange(c);
	if (n < 0) {
		c->keep = false;
		refuse(c, (int)n);
		return false;
	}
	run_exchange(c, data, (size_t)n);
	an__arena_reset(&c->arena);
	return c->keep && c->stream && let_out(c);
}

static void close_connection(an__http_connection *c)
{
	an_timeout limit;
	int r;

	c->phase = AN__CONN_CLOSING;
	if (!c->stream)
		return;
	an_timeout_begin(&limit, c->server->opts.write_timeout);
	r = an_timeout_end(&limit, an_stream_shutdown(c->stream));
	if (r == 0 && (c->unread || an_stream_readable(c->stream)))
		an_ignore(an__stream_linger(c->stream));
	/* A part must not pass for the whole. After a cancellation, which comes before
	 * the first attempt to send, the close makes it. */
	c->stream = r < 0 && r != -ECANCELED ? an_stream_abort(c->stream)
					     : an_stream_close(c->stream);
}

int an__http_connection_main(void *arg)
{
	an__http_connection *c = an__container(arg, an__http_connection, served);
	an_tls *tls = an_listener_tls(c->served.serving->listener);
	unsigned burst = 0;
	int r = 0;

	c->begun = true;
	if (tls && !c->server->draining)
		r = an_stream_start_tls(c->stream, tls, NULL);
	if (c->nudged) {
		c->nudged = false;
		an_uncancel();
	}
	while (r == 0 && serve_one(c)) {
		if (++burst % BURST == 0)
			an_ignore(an_yield());
	}
	if (r == 0)
		close_connection(c);
	return 0;
}
