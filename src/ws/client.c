/* The client: connecting and its opening handshake. L5.
 *
 * The answer's head is read from the stream's buffer and consumed exactly, so that a
 * frame that came in the same segment is found behind it.
 */
#include "http/parse.h"
#include "http/url.h"
#include "http/write.h"
#include "loop/base/alloc.h"
#include "ws/conn.h"
#include "ws/handshake.h"

#include <asyncnet/error.h>
#include <asyncnet/task.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDSHAKE_LIMIT (10 * AN_SECOND)

typedef struct handshake {
	const an_ws_opts *opts;
	an__url url;
	char key[AN__WS_KEY_SIZE];
	const char *protocol; /* agreed on; an entry of opts->protocols */
	an_stream *stream;
} handshake;

/* Tells why in words; returns `error`. */
static int explain(const handshake *h, int error, const char *text)
{
	if (h->opts->error && h->opts->error_cap)
		snprintf(h->opts->error, h->opts->error_cap, "%s", text);
	return error;
}

/* ---- the request ---------------------------------------------------------------- */

static void put_protocols(an__http_writer *w, const char *const *protocols)
{
	if (!protocols || !*protocols)
		return;
	an__http_put(w, "Sec-WebSocket-Protocol: ", 24);
	for (size_t i = 0; protocols[i]; i++) {
		if (i)
			an__http_put(w, ", ", 2);
		an__http_put(w, protocols[i], strlen(protocols[i]));
	}
	an__http_put(w, "\r\n", 2);
}

static void put_request(an__http_writer *w, const handshake *h, const char *target,
			size_t target_len, const char *host)
{
	const an_http_header *more = h->opts->headers;

	an__http_put_request_line(w, "GET", target, target_len);
	an__http_put_field(w, "Host", host);
	an__http_put_field(w, "Upgrade", "websocket");
	an__http_put_field(w, "Connection", "Upgrade");
	an__http_put_field(w, "Sec-WebSocket-Key", h->key);
	an__http_put_field(w, "Sec-WebSocket-Version", "13");
	put_protocols(w, h->opts->protocols);
	for (; more && more->name; more++) {
		if (!an__ws_field_allowed(more->name)) {
			w->error = -EINVAL;
			return;
		}
		an__http_put_field(w, more->name, more->value);
	}
	an__http_put(w, "\r\n", 2);
}

/* Writes the request to *w, whose memory is the caller's. Returns 0; AN_ERR_URL; -EINVAL;
 * -ENOMEM. */
static int make_request(const handshake *h, an__http_writer *w)
{
	size_t target_cap = 3 * (h->url.path.len + h->url.query.len) + 3;
	size_t host_cap = h->url.host.len + 16, len;
	char *text = an__malloc(target_cap + host_cap);

	if (!text)
		return -ENOMEM;
	len = an__url_host(&h->url, text, host_cap - 1);
	if (len > host_cap - 1) {
		free(text);
		return AN_ERR_URL;
	}
	text[len] = '\0';
	len = an__url_target(&h->url, text + host_cap, target_cap);
	if (len > target_cap)
		w->error = AN_ERR_URL;
	else
		put_request(w, h, text + host_cap, len, text);
	free(text);
	return w->error;
}

static int send_request(handshake *h)
{
	char memory[1024];
	an__http_writer w;
	int r;

	an__http_writer_init(&w, memory, sizeof(memory));
	r = make_request(h, &w);
	if (r == 0)
		r = an_stream_write(h->stream, w.data, w.len);
	an__http_writer_done(&w);
	return r;
}

/* ---- the answer ----------------------------------------------------------------- */

static int judge(handshake *h, an__http_head *head)
{
	const char *why;
	char text[100];
	int r;

	if (h->opts->status)
		*h->opts->status = head->status;
	if (head->status != 101) {
		snprintf(text, sizeof(text), "the server answered %d %s",
			 (int)head->status, an_http_status_text(head->status));
		return explain(h, AN_ERR_WS_HANDSHAKE, text);
	}
	r = an__ws_response_check(head->status, &head->headers, h->key,
				  h->opts->protocols, &h->protocol, &why);
	return r < 0 ? explain(h, r, why) : 0;
}

/* Judges the head of `len` bytes at `data`. Returns 1 when it is the answer, 0 for an
 * interim one (RFC 9110 section 15.2); an error. */
static int take_head(handshake *h, an__http_head *head, const char *data, size_t len)
{
	char *copy;
	int r;

	if (head->status < 200 && head->status != 101) {
		an_stream_consume(h->stream, len);
		an__http_head_reset(head);
		return 0;
	}
	copy = an__malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	an__http_headers_adopt(&head->headers, copy);
	r = judge(h, head);
	an_stream_consume(h->stream, len);
	free(copy);
	return r < 0 ? r : 1;
}

static int refuse_head(const handshake *h, const an__http_head *head, int error)
{
	return explain(h, error == AN_ERR_MALFORMED ? AN_ERR_WS_HANDSHAKE : error,
		       head->reason_text ? head->reason_text : an_strerror(error));
}

static int read_head(handshake *h, an__http_head *head)
{
	for (;;) {
		const char *data;
		ssize_t len = an_stream_peek(h->stream, &data), n;
		int r;

		if (len < 0)
			return (int)len;
		n = len ? an__http_head_parse(head, data, (size_t)len) : 0;
		if (n < 0)
			return refuse_head(h, head, (int)n);
		if (n > 0) {
			r = take_head(h, head, data, (size_t)n);
			if (r)
				return r < 0 ? r : 0;
			continue;
		}
		n = an_stream_fill(h->stream, an__http_client_limits.head + 1);
		if (n == 0)
			return explain(h, AN_ERR_EOF,
				       "the server closed without an answer");
		if (n < 0)
			return (int)n;
	}
}

static int read_answer(handshake *h)
{
	an__http_head head;
	int r;

	an__http_head_init(&head, AN__HTTP_RESPONSE, &an__http_client_limits);
	r = read_head(h, &head);
	an__http_head_done(&head);
	return r;
}

/* ---- connecting ----------------------------------------------------------------- */

/* The context for wss: the caller's, or the loop's own. */
static int choose_tls(const handshake *h, an__ws_shared *shared, an_tls **ret)
{
	int r = 0;

	if (!h->opts->connect.tls && !shared->tls)
		r = an_tls_new(NULL, h->opts->error, h->opts->error_cap, &shared->tls);
	if (r == 0)
		*ret = h->opts->connect.tls ? h->opts->connect.tls : shared->tls;
	return r;
}

static int connect_stream(handshake *h, an__ws_shared *shared)
{
	an_connect_opts opts = h->opts->connect;
	char port[8], *host = an__strndup(h->url.host.data, h->url.host.len);
	int r = 0;

	if (!host)
		return -ENOMEM;
	snprintf(port, sizeof(port), "%u", h->url.port);
	opts.tls = NULL;
	if (h->url.tls)
		r = choose_tls(h, shared, &opts.tls);
	if (r == 0)
		r = an_connect(host, port, &opts, &h->stream);
	free(host);
	return r;
}

static int open_connection(handshake *h, an__ws_shared *shared, an_ws **ret)
{
	int r = connect_stream(h, shared);

	if (r < 0)
		return r;
	r = an__ws_key_make(&shared->random, h->key);
	if (r == 0)
		r = send_request(h);
	if (r == 0)
		r = read_answer(h);
	if (r == 0)
		r = an__ws_new(h->stream, true, h->protocol, h->opts, ret);
	if (r < 0)
		an_stream_close(h->stream);
	return r;
}

int an_ws_connect(const char *url, const an_ws_opts *opts, an_ws **ret)
{
	static const an_ws_opts defaults;
	handshake h = { .opts = opts ? opts : &defaults };
	an__ws_shared *shared;
	an_timeout limit;
	int r = an__wait_check();

	if (r == 0)
		r = an__ws_shared_get(&shared);
	if (r < 0)
		return r;
	if (h.opts->error && h.opts->error_cap)
		h.opts->error[0] = '\0';
	if (an__url_parse(url, strlen(url), &h.url) < 0 || !h.url.websocket ||
	    h.url.fragment.data)
		return explain(&h, AN_ERR_URL,
			       "not a ws or wss URL, or one with a fragment");
	if (!an__ws_protocols_valid(h.opts->protocols))
		return explain(&h, -EINVAL,
			       "a subprotocol is no token, or is named twice");
	an_timeout_begin(&limit, h.opts->handshake_timeout ? h.opts->handshake_timeout
							   : HANDSHAKE_LIMIT);
	r = an_timeout_end(&limit, open_connection(&h, shared, ret));
	if (r < 0 && h.opts->error && h.opts->error_cap && !h.opts->error[0])
		explain(&h, r, an_strerror(r));
	return r;
}
