/* The server: options, connections, the shutdown, counters. L4.
 *
 * Accepting, the limit and the drain are those of every server (loop/io/serve.h): no
 * connection outlives its an_http_serve(). A shutdown closes the listeners, which ends
 * the accepting, and the connections that nobody waits for.
 */
#include "http/server-private.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- connections ------------------------------------------------------------------- */

static an__served *make_connection(an__service *service, an_stream *stream)
{
	an_http_server *srv = an__container(service, an_http_server, service);
	an__http_connection *c = an__malloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, offsetof(an__http_connection, arena));
	c->peer[0] = 0;
	c->server = srv;
	c->stream = stream;
	c->opened = an_now();
	an__http_head_init(&c->head, AN__HTTP_REQUEST, &srv->limits);
	an__arena_init(&c->arena);
	srv->stats.accepted++;
	return &c->served;
}

static void unmake_connection(an__served *served)
{
	an__http_connection *c = an__container(served, an__http_connection, served);

	an_stream_close(c->stream);
	an__http_head_done(&c->head);
	an__arena_reset(&c->arena);
	free(c);
}

static void init_service(an_http_server *srv)
{
	const an_serve_opts opts = {
		.max_connections = srv->opts.max_connections,
		.drain_timeout = srv->opts.drain_timeout,
		.name = "http connection",
		.stack_size = srv->opts.stack_size,
	};

	an__service_init(&srv->service, &opts);
	srv->service.make = make_connection;
	srv->service.run = an__http_connection_main;
	srv->service.unmake = unmake_connection;
	srv->service.owns_listener = true;
}

/* ---- making ------------------------------------------------------------------------ */

static an_duration or_default(an_duration value, an_duration fallback)
{
	return value ? value : fallback;
}

static int check_opts(const an_http_server_opts *o)
{
	if (o->header_timeout < 0 || o->body_timeout < 0 || o->keep_alive < 0 ||
	    o->write_timeout < 0 || o->drain_timeout < 0 || o->head_limit > 64 * 1024 ||
	    o->max_headers > 1000)
		return -EINVAL;
	if (o->server_name && *o->server_name &&
	    !an__http_all(o->server_name, strlen(o->server_name), AN__C_VALUE))
		return -EINVAL;
	return 0;
}

static void set_opts(an_http_server *srv, const an_http_server_opts *given)
{
	an_http_server_opts *o = &srv->opts;

	*o = *given;
	o->max_requests = o->max_requests ? o->max_requests : 1000;
	o->body_limit = o->body_limit ? o->body_limit : 1024 * 1024;
	o->header_timeout = or_default(o->header_timeout, 10 * AN_SECOND);
	o->body_timeout = or_default(o->body_timeout, 30 * AN_SECOND);
	o->keep_alive = or_default(o->keep_alive, 65 * AN_SECOND);
	o->write_timeout = or_default(o->write_timeout, 30 * AN_SECOND);
	srv->limits = an__http_server_limits;
	if (o->head_limit)
		srv->limits.head = srv->limits.line = (uint32_t)o->head_limit;
	if (o->max_headers)
		srv->limits.headers = (uint16_t)o->max_headers;
}

int an_http_server_new(const an_http_server_opts *opts, an_http_server **ret)
{
	static const an_http_server_opts none;
	an_http_server *srv;
	int r = check_opts(opts ? opts : &none);

	if (r < 0)
		return r;
	srv = an__calloc(1, sizeof(*srv));
	if (!srv)
		return -ENOMEM;
	an__router_init(&srv->router);
	set_opts(srv, opts ? opts : &none);
	init_service(srv);
	if (opts && opts->server_name) {
		srv->server_name = an__strdup(opts->server_name);
		if (!srv->server_name) {
			free(srv);
			return -ENOMEM;
		}
	}
	*ret = srv;
	return 0;
}

an_http_server *an_http_server_free(an_http_server *srv)
{
	if (srv) {
		an__router_done(&srv->router);
		free(srv->server_name);
		free(srv);
	}
	return NULL;
}

int an_http_route(an_http_server *srv, const char *method, const char *pattern,
		  an_http_handler handler, void *arg)
{
	return an__router_add(&srv->router, method, pattern, handler, arg);
}

/* ---- serving ----------------------------------------------------------------------- */

int an_http_serve(an_http_server *srv, an_listener *listener)
{
	int r;

	if (srv->draining) {
		an_listener_close(listener);
		return 0;
	}
	r = an__serve(&srv->service, listener);
	return r == -ETIMEDOUT ? 0 : r;
}

/* ---- shutting down ----------------------------------------------------------------- */

/* Closes those that nobody waits for. */
static void nudge_idle(const an__serving *v)
{
	for (an__list *n = v->connections.next; n != &v->connections; n = n->next) {
		an__http_connection *c =
			an__container(n, an__http_connection, served.node);

		if (!c->begun || c->nudged)
			continue;
		if (c->phase == AN__CONN_IDLE || c->phase == AN__CONN_OPENING ||
		    c->phase == AN__CONN_UPGRADED) {
			c->nudged = true;
			an_cancel(c->served.task);
		}
	}
}

void an_http_server_shutdown(an_http_server *srv)
{
	an__list *servings;

	if (!srv || srv->draining)
		return;
	srv->draining = true;
	servings = &srv->service.servings;
	for (an__list *n = servings->next; n != servings; n = n->next) {
		an__serving *v = an__container(n, an__serving, node);

		an_listener_close(v->listener);
		nudge_idle(v);
	}
}

bool an_http_server_draining(const an_http_server *srv)
{
	return srv->draining;
}

void an_http_server_get_stats(const an_http_server *srv, an_http_server_stats *ret)
{
	*ret = srv->stats;
	ret->connections = srv->service.count;
}

/* ---- the Date field ---------------------------------------------------------------- */

/* Written once for each second: RFC 9110 section 6.6.1, in the form of section 5.6.7. */
const char *an__http_date_field(an_http_server *srv, size_t *ret_len)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != srv->date_second && gmtime_r(&now.tv_sec, &tm)) {
		srv->date_len = (size_t)snprintf(
			srv->date, sizeof(srv->date),
			"date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
			days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
			tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		srv->date_second = now.tv_sec;
	}
	*ret_len = srv->date_len;
	return srv->date;
}
