/* Reading a response: the head, the body, what becomes of the connection. L4.
 *
 * The head is parsed where it lies in the stream's buffer, then copied once into the
 * response's own memory. The body is decoded where it lies, too; a long one is read past
 * the buffer into the caller's. Responses are used again with their memory, so that one
 * costs no allocation.
 */
#include "http/client-private.h"
#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALL_LIMIT = 64 << 20, /* of read_all, when none is given */
	ALL_FIRST = 4096,     /* room that read_all begins with */
	ALL_TRUST = 1 << 20, /* the most that is reserved because a server announced it */
};

/* ---- memory ------------------------------------------------------------------------ */

int an__http_buf_reserve(an__http_buf *b, size_t capacity)
{
	char *data;

	if (capacity <= b->capacity)
		return 0;
	data = an__realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

static void buf_done(an__http_buf *b)
{
	free(b->data);
	*b = (an__http_buf){ 0 };
}

static void buf_reset(an__http_buf *b)
{
	b->len = 0;
	if (b->capacity > AN__CLIENT_SPARE_MAX)
		buf_done(b);
}

int an__http_response_new(an_http_client *client, an_http_response **ret)
{
	an__list *spare = an__list_pop(&client->spares);
	an_http_response *resp;

	if (spare) {
		client->spare_count--;
		resp = an__container(spare, an_http_response, node);
	} else {
		resp = an__calloc(1, sizeof(*resp));
		if (!resp)
			return -ENOMEM;
		an__list_init(&resp->node);
		resp->client = client;
		an__http_head_init(&resp->head, AN__HTTP_RESPONSE, &client->limits);
		an__http_head_init(&resp->trailers, AN__HTTP_TRAILERS, &client->limits);
	}
	client->holds++;
	*ret = resp;
	return 0;
}

static void response_delete(an_http_response *resp)
{
	an__http_head_done(&resp->head);
	an__http_head_done(&resp->trailers);
	buf_done(&resp->url);
	buf_done(&resp->text);
	buf_done(&resp->all);
	buf_done(&resp->trailer_text);
	free(resp);
}

an_http_response *an_http_response_free(an_http_response *resp)
{
	an_http_client *client;

	if (!resp)
		return NULL;
	client = resp->client;
	an__http_response_finish(resp);
	if (client->closed || client->spare_count >= AN__CLIENT_SPARES) {
		response_delete(resp);
	} else {
		buf_reset(&resp->url);
		buf_reset(&resp->text);
		buf_reset(&resp->all);
		buf_reset(&resp->trailer_text);
		an__http_head_reset(&resp->head);
		resp->error.code = 0;
		resp->redirects = 0;
		an__list_push_front(&client->spares, &resp->node);
		client->spare_count++;
	}
	an__http_client_drop(client);
	return NULL;
}

void an__http_client_drop_spares(an_http_client *client)
{
	an__list *n;

	while ((n = an__list_pop(&client->spares)))
		response_delete(an__container(n, an_http_response, node));
	client->spare_count = 0;
}

/* ---- the head ---------------------------------------------------------------------- */

static int head_failed(an__http_call *c, int code)
{
	return an__http_error_set(&c->error, code, AN_HTTP_PHASE_HEAD,
				  c->response->head.reason_text);
}

/* An interim answer: dropped, within reason. 101 is final. */
static bool is_interim(const an__http_head *head)
{
	return head->status < 200 && head->status != 101;
}

/* Parses what lies in the stream's buffer. Returns 1: a final head is complete and out of
 * the buffer; 0: more is needed; the error. */
static int parse_buffered(an__http_call *c)
{
	an__http_head *head = &c->response->head;
	an_stream *s = c->conn->stream;
	an__http_buf *text = &c->response->text;
	const char *data;
	ssize_t len, n;

	for (;;) {
		len = an_stream_peek(s, &data);
		if (len <= 0)
			return len < 0 ? head_failed(c, (int)len) : 0;
		c->answered = true;
		n = an__http_head_parse(head, data, (size_t)len);
		if (n <= 0)
			return n < 0 ? head_failed(c, (int)n) : 0;
		if (!is_interim(head))
			break;
		if (++c->interim > AN__CLIENT_INTERIM) {
			head->reason_text = "there are too many interim answers";
			return head_failed(c, AN_ERR_LIMIT);
		}
		an_stream_consume(s, (size_t)n);
		an__http_head_reset(head);
	}
	if (an__http_buf_reserve(text, (size_t)n))
		return head_failed(c, -ENOMEM);
	memcpy(text->data, data, (size_t)n);
	an_stream_consume(s, (size_t)n);
	an__http_headers_adopt(&head->headers, text->data);
	c->head_done = true;
	return 1;
}

int an__http_call_read_some(an__http_call *c)
{
	an_http_phase phase = c->answered ? AN_HTTP_PHASE_HEAD : AN_HTTP_PHASE_FIRST_BYTE;
	an_stream *s = c->conn->stream;
	ssize_t n = an_stream_fill(s, (size_t)c->client->limits.head + 1);

	if (n < 0)
		return an__http_error_set(&c->error, (int)n, phase,
					  an_stream_error_text(s));
	if (!n && !c->answered)
		return an__http_error_set(&c->error, AN_ERR_EOF, phase,
					  "the server hung up without an answer");
	if (!n)
		return an__http_error_set(&c->error, AN_ERR_TRUNCATED, phase,
					  "the server hung up within the answer's head");
	return parse_buffered(c);
}

/* One read in the limit that holds at this point. */
static int read_in_time(an__http_call *c)
{
	const an_http_client_opts *opts = &c->client->opts;
	bool first = !c->answered;
	an_duration limit = first ? opts->first_byte_timeout : opts->read_timeout;
	an_timeout t;
	int r;

	an_timeout_begin(&t, limit);
	r = an__http_call_read_some(c);
	r = an_timeout_end(&t, r);
	if (r != -ETIMEDOUT || !an_timeout_expired(&t))
		return r;
	return an__http_error_limit(
		&c->error, first ? AN_HTTP_PHASE_FIRST_BYTE : AN_HTTP_PHASE_HEAD,
		first ? "no first byte" : "no more of the head", limit);
}

int an__http_call_read_head(an__http_call *c)
{
	const an_http_request *q = c->request;
	int r = c->head_done;

	while (!r)
		r = read_in_time(c);
	if (r < 0)
		return r;
	if (c->response->head.status == 101 && !(q->upgrade && c->response->head.upgrade))
		return an__http_error_set(&c->error, AN_ERR_MALFORMED, AN_HTTP_PHASE_HEAD,
					  "101 without having been asked for");
	return 0;
}

/* ---- from head to body ------------------------------------------------------------- */

/* Keep-Alive: timeout=5 asks to be quicker than the server's own limit, so a second is
 * taken off. */
static an_duration keep_age(const an_http_response *resp)
{
	const an__http_field *f =
		an__http_headers_find(&resp->head.headers, AN__H_KEEP_ALIVE);
	const char *value, *item;
	size_t pos = 0, len;

	if (!f)
		return AN_FOREVER;
	value = resp->head.headers.base + f->value;
	while (an__http_list_next(value, f->value_len, &pos, &item, &len)) {
		unsigned long seconds = 0;
		size_t i = 8;

		if (len <= 8 || !an__http_equal(item, 8, "timeout=", 8))
			continue;
		for (; i < len && item[i] >= '0' && item[i] <= '9' && seconds < 100000;
		     i++)
			seconds = seconds * 10 + (unsigned long)(item[i] - '0');
		return ((an_duration)seconds - 1) * AN_SECOND;
	}
	return AN_FOREVER;
}

/* The end of the body, good or bad. What lies in the buffer now was not asked for. */
static void let_go(an_http_response *resp, bool reuse)
{
	an__http_conn *conn = resp->conn;
	an__http_host *host = conn->host;
	const char *rest;

	resp->conn = NULL;
	if (reuse && resp->reusable && an_stream_peek(conn->stream, &rest) == 0) {
		an__http_conn_keep(conn, keep_age(resp));
		return;
	}
	an__http_conn_close(conn);
	an__http_host_release(host);
}

static void ended(an_http_response *resp, bool reuse)
{
	resp->state = AN__RESPONSE_ENDED;
	let_go(resp, reuse);
}

static ssize_t failed(an_http_response *resp, int code, const char *text)
{
	an__http_error_set(&resp->error, code, AN_HTTP_PHASE_BODY, text);
	resp->state = AN__RESPONSE_FAILED;
	let_go(resp, false);
	return code;
}

void an__http_response_begin(an__http_call *c)
{
	an_http_response *resp = c->response;
	an__http_head *head = &resp->head;
	enum an__http_framing framing = an__http_response_framing(head, c->method);

	resp->state = AN__RESPONSE_OPEN;
	resp->conn = c->conn;
	resp->held = 0;
	resp->trailers_come = false;
	c->conn = NULL;
	c->host = NULL;	      /* the lease goes with the connection */
	if (head->reason.len) /* over its CR */
		resp->text.data[head->reason.at + head->reason.len] = 0;
	an__http_body_init(&resp->body, framing,
			   head->content_length > 0 ? (uint64_t)head->content_length : 0,
			   &resp->trailers);
	resp->reusable = head->keep_alive && c->sent && head->status != 101 &&
			 framing != AN__HTTP_UNTIL_CLOSE;
	resp->length = framing == AN__HTTP_LENGTH ? head->content_length : -1;
	if (framing == AN__HTTP_NO_BODY)
		resp->length = head->content_length > 0 && !strcmp(c->method, "HEAD")
				       ? head->content_length
				       : 0;
	if (head->status != 101 && an__http_body_at_end(&resp->body))
		ended(resp, true);
}

/* ---- the body ---------------------------------------------------------------------- */

/* The trailers are in the stream's buffer, up to `end`. */
static int adopt_trailers(an_http_response *resp, const char *end)
{
	const char *begin = resp->trailers.headers.base;
	size_t len;

	if (resp->body.framing != AN__HTTP_CHUNKED_BODY || !resp->trailers.headers.count)
		return 0;
	len = (size_t)(end - begin);
	if (an__http_buf_reserve(&resp->trailer_text, len))
		return -ENOMEM;
	memcpy(resp->trailer_text.data, begin, len);
	an__http_headers_adopt(&resp->trailers.headers, resp->trailer_text.data);
	resp->trailers_come = true;
	return 0;
}

/* Decodes framing at the front of the buffer. Returns 1: body bytes are held there; 0:
 * the body has ended; -EAGAIN: more must be read; the error. */
static int decode(an_http_response *resp, const char *data, size_t len)
{
	an__http_piece piece;
	int step = an__http_body_next(&resp->body, data, len, &piece), r;

	if (step < 0)
		return step;
	r = step == AN__BODY_END ? adopt_trailers(resp, data + piece.used) : 0;
	if (r)
		return r;
	an_stream_consume(resp->conn->stream, piece.used - piece.len);
	resp->held = piece.len;
	return step == AN__BODY_DATA ? 1 : step == AN__BODY_END ? 0 : -EAGAIN;
}

/* Takes body bytes out of the buffer, without waiting. Returns the count; 0: the end;
 * -EAGAIN: nothing is there; the error. */
static ssize_t take_buffered(an_http_response *resp, void *buf, size_t cap)
{
	an_stream *s = resp->conn->stream;
	const char *data;
	ssize_t there;
	size_t n;
	int r;

	for (;;) {
		if (an__http_body_at_end(&resp->body) && !resp->held)
			return 0;
		there = an_stream_peek(s, &data);
		if (there <= 0)
			return there < 0 ? there : -EAGAIN;
		if (resp->held) {
			n = resp->held < cap ? resp->held : cap;
			resp->held -= n;
			break;
		}
		n = (size_t)there < cap ? (size_t)there : cap;
		if (an__http_body_direct(&resp->body)) {
			if (n > an__http_body_direct(&resp->body))
				n = (size_t)an__http_body_direct(&resp->body);
			an__http_body_took(&resp->body, n);
			break;
		}
		r = decode(resp, data, (size_t)there);
		if (r <= 0)
			return r;
	}
	memcpy(buf, data, n);
	an_stream_consume(s, n);
	return (ssize_t)n;
}

/* Reads on: into `buf` when the next bytes are the body's, else into the stream's buffer.
 * Returns the count in `buf` (0: none yet, look again); the error. */
static ssize_t read_on(an_http_response *resp, void *buf, size_t cap)
{
	an_stream *s = resp->conn->stream;
	uint64_t direct = an__http_body_direct(&resp->body);
	ssize_t n;
	int r;

	if (direct)
		n = an_stream_read(s, buf, direct < cap ? (size_t)direct : cap);
	else
		n = an_stream_fill(s, (size_t)resp->client->limits.head + 1);
	if (n < 0)
		return n;
	if (n == 0) {
		r = an__http_body_eof(&resp->body);
		return r;
	}
	if (!direct)
		return 0;
	an__http_body_took(&resp->body, (uint64_t)n);
	return n;
}

/* The same in the limits on time. */
static ssize_t read_on_in_time(an_http_response *resp, void *buf, size_t cap)
{
	an_duration limit = resp->client->opts.read_timeout;
	an_duration idle = an__duration_add(an_now(), limit);
	bool total = resp->deadline <= idle;
	an_timeout t;
	ssize_t n;

	an_timeout_begin_at(&t, total ? resp->deadline : idle);
	n = read_on(resp, buf, cap);
	if (an_timeout_end(&t, n < 0 ? (int)n : 0) != -ETIMEDOUT ||
	    !an_timeout_expired(&t))
		return n;
	an__http_error_limit(&resp->error, AN_HTTP_PHASE_BODY,
			     total ? "the request was not done" : "no more of the body",
			     total ? resp->client->opts.total_timeout : limit);
	return -ETIMEDOUT;
}

ssize_t an_http_response_read(an_http_response *resp, void *buf, size_t cap)
{
	ssize_t n = an__wait_check();

	if (n || !cap)
		return n;
	if (resp->state == AN__RESPONSE_FAILED)
		return resp->error.code;
	if (resp->state != AN__RESPONSE_OPEN || resp->head.status == 101)
		return 0;
	if (cap > INT_MAX)
		cap = INT_MAX;
	do {
		n = take_buffered(resp, buf, cap);
		if (n == -EAGAIN)
			n = read_on_in_time(resp, buf, cap);
		else if (n == 0)
			break;
	} while (n == 0 && !an__http_body_at_end(&resp->body));
	if (n == -ECANCELED)
		return n;
	if (n < 0)
		return failed(resp, (int)n,
			      n == -ETIMEDOUT ? resp->error.text
					      : an_stream_error_text(resp->conn->stream));
	if (an__http_body_at_end(&resp->body) && !resp->held)
		ended(resp, true);
	return n;
}

static int all_make_room(an_http_response *resp, size_t limit)
{
	an__http_buf *all = &resp->all;
	size_t room = all->capacity ? all->capacity * 2 : ALL_FIRST;

	if (!all->len && resp->length > 0 && resp->length <= ALL_TRUST)
		room = (size_t)resp->length + 2;
	if (room > limit + 2) /* one byte above shows that it is too long; a NUL */
		room = limit + 2;
	return an__http_buf_reserve(all, room);
}

int an_http_response_read_all(an_http_response *resp, size_t limit, const char **ret_data,
			      size_t *ret_len)
{
	an__http_buf *all = &resp->all;
	ssize_t n = 1;
	int r;

	if (!limit)
		limit = ALL_LIMIT;
	if (limit > SSIZE_MAX - 2)
		limit = SSIZE_MAX - 2;
	while (n > 0) {
		r = all->len + 2 > all->capacity ? all_make_room(resp, limit) : 0;
		if (r)
			return r;
		if (resp->state == AN__RESPONSE_ENDED)
			break;
		n = an_http_response_read(resp, all->data + all->len,
					  all->capacity - all->len - 1);
		if (n < 0)
			return (int)n;
		all->len += (size_t)n;
		if (all->len > limit)
			break;
	}
	if (all->len > limit)
		return resp->state == AN__RESPONSE_OPEN
			       ? (int)failed(resp, AN_ERR_LIMIT, NULL)
			       : AN_ERR_LIMIT;
	all->data[all->len] = 0;
	*ret_data = all->data;
	*ret_len = all->len;
	return 0;
}

/* Drops what is left of the body as far as it is here already. */
void an__http_response_finish(an_http_response *resp)
{
	char scratch[1024];
	ssize_t n;

	if (resp->state != AN__RESPONSE_OPEN || !resp->conn)
		return;
	if (resp->reusable) {
		do
			n = take_buffered(resp, scratch, sizeof(scratch));
		while (n > 0);
	}
	ended(resp, an__http_body_at_end(&resp->body) && !resp->held);
}

int an_http_response_take_stream(an_http_response *resp, an_stream **ret)
{
	an__http_host *host;

	if (resp->state != AN__RESPONSE_OPEN || resp->head.status != 101)
		return AN_ERR_MISUSE;
	host = resp->conn->host;
	*ret = an__http_conn_detach(resp->conn);
	resp->conn = NULL;
	resp->state = AN__RESPONSE_TAKEN;
	an__http_host_release(host);
	return 0;
}

/* ---- what the user sees ------------------------------------------------------------ */

int an_http_response_status(const an_http_response *resp)
{
	return resp->head.status;
}

int an_http_response_minor_version(const an_http_response *resp)
{
	return resp->head.minor;
}

const char *an_http_response_reason(const an_http_response *resp)
{
	const an__http_head *head = &resp->head;

	return head->reason.len ? an__http_span_text(head, head->reason) : "";
}

const an_http_headers *an_http_response_headers(const an_http_response *resp)
{
	return &resp->head.headers;
}

const char *an_http_response_header(const an_http_response *resp, const char *name)
{
	return an_http_headers_get(&resp->head.headers, name);
}

const an_http_headers *an_http_response_trailers(const an_http_response *resp)
{
	return resp->trailers_come ? &resp->trailers.headers : NULL;
}

int64_t an_http_response_length(const an_http_response *resp)
{
	return resp->length;
}

const char *an_http_response_url(const an_http_response *resp)
{
	return resp->url.data;
}

unsigned an_http_response_redirects(const an_http_response *resp)
{
	return resp->redirects;
}

const an_http_error *an_http_response_error(const an_http_response *resp)
{
	return &resp->error;
}
