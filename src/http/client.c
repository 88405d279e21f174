/* The HTTP client: from a request to the head of its response. L4.
 *
 * A call goes through
 *
 *	check --> lease --> connect or take a kept one --> write --> read head --> done
 *	            ^                 ^-- a dead one: again, fresh --'      |
 *	            '------------------------ redirect --------------------'
 *
 * An an__http_call on the caller's stack owns the lease and the connection until the head
 * is complete; then the response does. Whatever fails in between, call_end() closes the
 * one and gives back the other.
 */
#include "http/client-private.h"
#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- errors ------------------------------------------------------------------------ */

const char *an_http_phase_name(an_http_phase phase)
{
	static const char *const names[] = {
		[AN_HTTP_PHASE_REQUEST] = "request",
		[AN_HTTP_PHASE_POOL] = "pool",
		[AN_HTTP_PHASE_CONNECT] = "connect",
		[AN_HTTP_PHASE_TLS] = "TLS",
		[AN_HTTP_PHASE_SEND] = "send",
		[AN_HTTP_PHASE_FIRST_BYTE] = "first byte",
		[AN_HTTP_PHASE_HEAD] = "head",
		[AN_HTTP_PHASE_REDIRECT] = "redirect",
		[AN_HTTP_PHASE_BODY] = "body",
	};

	return (size_t)phase < sizeof(names) / sizeof(*names) ? names[phase] : "unknown";
}

int an__http_error_set(an_http_error *e, int code, an_http_phase phase, const char *text)
{
	if (!text || !*text)
		text = an_strerror(code);
	if (text != e->text)
		snprintf(e->text, sizeof(e->text), "%s", text);
	e->code = code;
	e->phase = phase;
	return code;
}

int an__http_error_limit(an_http_error *e, an_http_phase phase, const char *what,
			 an_duration limit)
{
	snprintf(e->text, sizeof(e->text), "%s within %g s", what,
		 (double)limit / (double)AN_SECOND);
	return an__http_error_set(e, -ETIMEDOUT, phase, e->text);
}

/* ---- the client -------------------------------------------------------------------- */

static void duration_default(an_duration *d, int seconds)
{
	if (!*d)
		*d = seconds * AN_SECOND;
}

static void size_default(size_t *n, size_t value)
{
	if (!*n)
		*n = value;
}

static void fill_defaults(an_http_client_opts *o)
{
	size_default(&o->max_per_host, 16);
	size_default(&o->max_total, 100);
	size_default(&o->max_idle, 32);
	size_default(&o->head_limit, an__http_client_limits.head);
	duration_default(&o->idle_timeout, 15);
	duration_default(&o->pool_timeout, 300);
	duration_default(&o->connect_timeout, 10);
	duration_default(&o->tls_timeout, 10);
	duration_default(&o->first_byte_timeout, 60);
	duration_default(&o->read_timeout, 60);
	duration_default(&o->total_timeout, 300);
	if (!o->max_redirects)
		o->max_redirects = 10;
	if (!o->user_agent)
		o->user_agent = "libasyncnet/" PACKAGE_VERSION;
}

static bool opts_valid(const an_http_client_opts *o)
{
	const char *agent = o->user_agent;

	return o->idle_timeout > 0 && o->pool_timeout > 0 && o->connect_timeout > 0 &&
	       o->tls_timeout > 0 && o->first_byte_timeout > 0 && o->read_timeout > 0 &&
	       o->total_timeout > 0 && o->max_redirects >= AN_HTTP_NO_REDIRECTS &&
	       o->head_limit <= 1 << 30 &&
	       (!*agent || an__http_all(agent, strlen(agent), AN__C_VALUE));
}

static void client_delete(an_http_client *client)
{
	an__http_client_drop_spares(client);
	an__http_pool_done(&client->pool);
	an_tls_free(client->tls);
	free((char *)(uintptr_t)client->opts.user_agent);
	free(client);
}

int an_http_client_new(const an_http_client_opts *opts, an_http_client **ret)
{
	an_loop *loop = an_loop_current();
	an_http_client_opts o = opts ? *opts : (an_http_client_opts){ 0 };
	an_http_client *client;
	int r;

	if (!loop)
		return AN_ERR_NO_TASK;
	fill_defaults(&o);
	if (!opts_valid(&o))
		return -EINVAL;
	o.user_agent = an__strdup(o.user_agent);
	client = an__calloc(1, sizeof(*client));
	r = o.user_agent && client ? an__http_pool_init(&client->pool, loop, o.max_total)
				   : -ENOMEM;
	if (r) {
		free((char *)(uintptr_t)o.user_agent);
		free(client);
		return r;
	}
	client->opts = o;
	client->tls = an_tls_ref(o.tls);
	client->limits = an__http_client_limits;
	client->limits.head = (uint32_t)o.head_limit;
	client->pool.max_per_host = o.max_per_host;
	client->pool.max_kept = o.max_idle;
	client->pool.keep_time = o.idle_timeout;
	client->pool.user_agent = o.user_agent;
	an__list_init(&client->spares);
	client->holds = 1;
	*ret = client;
	return 0;
}

void an__http_client_drop(an_http_client *client)
{
	if (--client->holds == 0)
		client_delete(client);
}

an_http_client *an_http_client_free(an_http_client *client)
{
	if (!client)
		return NULL;
	client->closed = true;
	client->pool.max_kept = 0; /* what comes back is closed */
	an__http_pool_drop_kept(&client->pool);
	an__http_client_drop_spares(client);
	an__http_client_drop(client);
	return NULL;
}

const an_http_error *an_http_client_error(const an_http_client *client)
{
	return &client->error;
}

void an_http_client_get_stats(const an_http_client *client, an_http_client_stats *ret)
{
	*ret = (an_http_client_stats){
		.requests = client->requests,
		.connects = client->connects,
		.reuses = client->reuses,
		.discarded = client->pool.discarded,
		.retries = client->retries,
		.redirects = client->redirects,
		.lent = client->pool.lent,
		.idle = client->pool.kept_count,
		.waiting = client->pool.waiting,
	};
}

/* ---- connecting -------------------------------------------------------------------- */

static int client_tls(an__http_call *c, an_tls **ret)
{
	an_http_client *client = c->client;
	char reason[sizeof(c->error.text)] = "";
	int r;

	if (client->tls) {
		*ret = client->tls;
		return 0;
	}
	r = an_tls_new(&(an_tls_opts){ .handshake_timeout = client->opts.tls_timeout },
		       reason, sizeof(reason), &client->tls);
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_TLS, reason);
	*ret = client->tls;
	return 0;
}

static int secure(an__http_call *c, an_stream *stream)
{
	an_duration limit = c->client->opts.tls_timeout;
	an_timeout t;
	an_tls *tls;
	int r;

	r = client_tls(c, &tls);
	if (r)
		return r;
	an_timeout_begin(&t, limit);
	r = an_stream_start_tls(stream, tls, c->host->name);
	r = an_timeout_end(&t, r);
	if (!r)
		return 0;
	if (r == -ETIMEDOUT)
		return an__http_error_limit(&c->error, AN_HTTP_PHASE_TLS,
					    "no TLS handshake", limit);
	return an__http_error_set(&c->error, r, AN_HTTP_PHASE_TLS,
				  an_stream_error_text(stream));
}

static int dial(an__http_call *c)
{
	const an_http_client_opts *opts = &c->client->opts;
	an_connect_opts how = { .timeout = opts->connect_timeout };
	an_stream *stream;
	int r;

	/* A head may lie in the buffer as a whole. */
	how.stream.read_limit = opts->head_limit;
	r = an_connect(c->host->name, c->host->service, &how, &stream);
	if (r == -ETIMEDOUT)
		return an__http_error_limit(&c->error, AN_HTTP_PHASE_CONNECT,
					    "no connection", opts->connect_timeout);
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_CONNECT, NULL);
	if (c->host->tls)
		r = secure(c, stream);
	if (!r)
		r = an__http_host_adopt(c->host, stream, &c->conn);
	if (r) {
		an_stream_close(stream);
		return r;
	}
	c->client->connects++;
	return 0;
}

/* A connection for the lease: a kept one, or (always, when `fresh`) a new one. */
static int get_connection(an__http_call *c, bool fresh)
{
	if (!fresh)
		c->conn = an__http_host_take(c->host);
	if (!c->conn)
		return dial(c);
	c->client->reuses++;
	return 0;
}

/* ---- one exchange ------------------------------------------------------------------ */

static bool peer_is_gone(int r)
{
	return r == AN_ERR_EOF || r == AN_ERR_TRUNCATED || r == -ECONNRESET ||
	       r == -EPIPE;
}

static bool idempotent(const an__http_call *c)
{
	static const char *const methods[] = { "GET",	 "HEAD",    "PUT",
					       "DELETE", "OPTIONS", "TRACE" };
	const an_http_header *h;

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (!strcmp(c->method, methods[i]))
			return true;
	for (h = c->request->headers; h && h->name; h++)
		if (!strcasecmp(h->name, "Idempotency-Key"))
			return true;
	return false;
}

/* Whether a failure means only that the server closed a kept connection as it was being
 * reused. */
static bool was_stale(const an__http_call *c, int r)
{
	return c->conn && c->conn->reused && !c->answered && peer_is_gone(r) &&
	       !c->client->opts.no_retry && idempotent(c) && an__http_call_replayable(c);
}

static int exchange_once(an__http_call *c)
{
	bool body = !c->to_get && (c->request->read_body || c->request->body_len);
	int r;

	c->sent = c->answered = c->head_done = false;
	c->interim = 0;
	c->client->requests++;
	an__http_head_reset(&c->response->head);
	r = an__http_call_write(c);
	/* A server that refuses a body may close before it has read it: its answer may be
	 * here. */
	if (r && !peer_is_gone(r))
		return r;
	if (r && body && (c->head_done || an_stream_readable(c->conn->stream)))
		r = 0;
	return r ? r : an__http_call_read_head(c);
}

/* Sends the request as it is now and reads the head of its answer. */
static int exchange(an__http_call *c)
{
	int r;

	r = get_connection(c, false);
	if (r)
		return r;
	r = exchange_once(c);
	if (!r || !was_stale(c, r))
		return r;
	c->conn = an__http_conn_close(c->conn);
	c->client->retries++;
	r = get_connection(c, true);
	return r ? r : exchange_once(c);
}

/* ---- the call ---------------------------------------------------------------------- */

static int set_url(an__http_call *c, const char *url, size_t len)
{
	an__http_buf *b = &c->response->url;

	if (an__http_buf_reserve(b, len + 1))
		return -ENOMEM;
	memcpy(b->data, url, len);
	b->data[len] = 0;
	b->len = len;
	return an__url_parse(b->data, len, &c->url);
}

static int lease(an__http_call *c)
{
	an_duration limit = c->client->opts.pool_timeout;
	an_timeout t;
	int r;

	an_timeout_begin(&t, limit);
	r = an__http_pool_lease(&c->client->pool, &c->url, &c->host);
	r = an_timeout_end(&t, r);
	if (r == -ETIMEDOUT)
		return an__http_error_limit(&c->error, AN_HTTP_PHASE_POOL,
					    "no connection became free", limit);
	return r ? an__http_error_set(&c->error, r, AN_HTTP_PHASE_POOL, NULL) : 0;
}

/* The head is complete. Returns 1 when the call goes on somewhere else; 0; the error. */
static int follow(an__http_call *c)
{
	an_http_response *resp = c->response;
	an__http_buf *text = &resp->all; /* not in use before the body is */
	const char *location, *why;
	an__redirect to;
	int r;

	if (!an__redirect_status(resp->head.status) ||
	    c->client->opts.max_redirects == AN_HTTP_NO_REDIRECTS)
		return 0;
	location = an_http_response_header(resp, "Location");
	if (!location)
		return 0;
	if (resp->redirects >= (unsigned)c->client->opts.max_redirects)
		return an__http_error_set(&c->error, AN_ERR_REDIRECT,
					  AN_HTTP_PHASE_REDIRECT,
					  "there are too many redirects");
	r = an__http_buf_reserve(text, AN__URL_MAX + 1);
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_REDIRECT, NULL);
	r = an__redirect_plan(
		&(an__redirect_from){ .url = resp->url.data,
				      .url_len = resp->url.len,
				      .parts = &c->url,
				      .status = resp->head.status,
				      .head = !strcmp(c->method, "HEAD"),
				      .post = !strcmp(c->method, "POST"),
				      .replayable = an__http_call_replayable(c),
				      .downgrade = c->client->opts.allow_downgrade },
		location, strlen(location), text->data, text->capacity, &to, &why);
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_REDIRECT, why);
	an__http_response_finish(resp); /* the text of Location goes with the head */
	r = set_url(c, text->data, to.url_len);
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_REDIRECT, NULL);
	c->crossed |= to.cross_origin;
	c->to_get |= to.to_get;
	if (to.to_get)
		c->method = "GET";
	resp->redirects++;
	c->client->redirects++;
	return 1;
}

static int run(an__http_call *c)
{
	int r;

	for (;;) {
		r = exchange(c);
		if (r)
			return r;
		an__http_response_begin(c);
		r = follow(c);
		if (r <= 0)
			return r;
		r = lease(c);
		if (r)
			return r;
	}
}

/* The total limit counts from the first lease: time in the queue is bounded by its
 * own. */
static int run_in_time(an__http_call *c)
{
	an_duration limit = c->client->opts.total_timeout;
	an_timeout t;
	int r;

	c->response->deadline = an__duration_add(an_now(), limit);
	an_timeout_begin_at(&t, c->response->deadline);
	r = run(c);
	r = an_timeout_end(&t, r);
	if (r == -ETIMEDOUT && an_timeout_expired(&t) && c->error.code == -ECANCELED)
		an__http_error_limit(&c->error, c->error.phase,
				     "the request was not done", limit);
	return r;
}

static int call_begin(an__http_call *c)
{
	const an_http_request *q = c->request;
	int r;

	if (!c->method)
		c->method = q->body_len || q->read_body ? "POST" : "GET";
	r = an__http_call_check(c);
	if (r)
		return r;
	r = set_url(c, q->url ? q->url : "", q->url ? strlen(q->url) : 0);
	if (!r && c->url.websocket && !q->upgrade)
		r = AN_ERR_URL;
	if (r)
		return an__http_error_set(&c->error, r, AN_HTTP_PHASE_REQUEST, NULL);
	return lease(c);
}

/* What the call still owns goes back. */
static void call_fail(an__http_call *c, int r)
{
	c->error.code = r;
	c->client->error = c->error;
	an__http_conn_close(c->conn);
	if (c->host)
		an__http_host_release(c->host);
	an_http_response_free(c->response);
}

int an_http_send(an_http_client *client, const an_http_request *request,
		 an_http_response **ret)
{
	an__http_call c = { .client = client,
			    .request = request,
			    .method = request->method };
	int r = an__wait_check();

	if (r)
		return an__http_error_set(&client->error, r, AN_HTTP_PHASE_REQUEST, NULL);
	r = an__http_response_new(client, &c.response);
	if (r)
		return an__http_error_set(&client->error, r, AN_HTTP_PHASE_REQUEST, NULL);
	c.response->state = AN__RESPONSE_ENDED; /* nothing to give up yet */
	r = call_begin(&c);
	if (!r)
		r = run_in_time(&c);
	if (r) {
		call_fail(&c, r);
		return r;
	}
	*ret = c.response;
	return 0;
}

int an_http_get(an_http_client *client, const char *url, an_http_response **ret)
{
	return an_http_send(client, &(an_http_request){ .url = url }, ret);
}
