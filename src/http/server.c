/* The server: accepting, limits, the drain, counters. L4.
 *
 * an_http_serve() accepts in the calling task and runs each connection in a task of a
 * group, which it awaits before it returns, so no connection outlives it. A shutdown
 * closes the listeners, which ends the accepting.
 *
 * Lists: server.servings has each running an_http_serve(); serving.connections each
 * connection from its accept to the end of its task.
 */
#include "http/server-private.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const an__wait_kind for_room = { .what = "room for a connection" };
static const an__wait_kind for_connections = { .what = "the last connection" };

#define OUT_OF_MEMORY_PAUSE (100 * AN_MILLISECOND)

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
	o->max_connections = o->max_connections ? o->max_connections : 10000;
	o->max_requests = o->max_requests ? o->max_requests : 1000;
	o->body_limit = o->body_limit ? o->body_limit : 1024 * 1024;
	o->header_timeout = or_default(o->header_timeout, 10 * AN_SECOND);
	o->body_timeout = or_default(o->body_timeout, 30 * AN_SECOND);
	o->keep_alive = or_default(o->keep_alive, 65 * AN_SECOND);
	o->write_timeout = or_default(o->write_timeout, 30 * AN_SECOND);
	o->drain_timeout = or_default(o->drain_timeout, 30 * AN_SECOND);
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
	an__list_init(&srv->servings);
	set_opts(srv, opts ? opts : &none);
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

/* ---- connections ------------------------------------------------------------------- */

static an__http_connection *new_connection(an__http_serving *v, an_stream *stream)
{
	an__http_connection *c = an__malloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, offsetof(an__http_connection, arena));
	c->peer[0] = 0;
	c->serving = v;
	c->server = v->server;
	c->stream = stream;
	c->opened = an_now();
	an__http_head_init(&c->head, AN__HTTP_REQUEST, &v->server->limits);
	an__arena_init(&c->arena);
	an__list_push(&v->connections, &c->node);
	v->count++;
	v->server->stats.connections++;
	v->server->stats.accepted++;
	return c;
}

void an__http_connection_gone(an__http_connection *c)
{
	an__http_serving *v = c->serving;

	an__list_remove(&c->node);
	v->count--;
	v->server->stats.connections--;
	if (v->count == 0)
		an__wake_all(&v->gone, 0);
	/* All of them: the first may have been cancelled in this turn. */
	an__wake_all(&v->server->room, 0);
	an_stream_close(c->stream);
	an__http_head_done(&c->head);
	an__arena_reset(&c->arena);
	free(c);
}

/* ---- serving ----------------------------------------------------------------------- */

static int start_connection(an__http_serving *v, an_stream *stream)
{
	const an_task_opts opts = {
		.name = "http connection",
		.stack_size = v->server->opts.stack_size,
	};
	an__http_connection *c = new_connection(v, stream);
	int r;

	if (!c) {
		an_stream_close(stream);
		return 0; /* out of memory for one connection: others may end */
	}
	r = an_group_spawn_with(&v->group, an__http_connection_main, c, &opts);
	if (r < 0)
		an__http_connection_gone(c);
	return r == -ENOMEM ? 0 : r;
}

/* Returns 0 after a shutdown; an error. */
static int accept_loop(an__http_serving *v)
{
	an_http_server *srv = v->server;
	an_stream *stream;
	int r = 0;

	while (r == 0 && !srv->draining) {
		if (srv->stats.connections >= srv->opts.max_connections) {
			an__waiter w;

			r = an__wait(&w, &srv->room, &for_room);
			continue;
		}
		r = an_accept(v->listener, &stream);
		if (r == 0)
			r = start_connection(v, stream);
		else if (r == -ENOMEM)
			r = an_sleep(OUT_OF_MEMORY_PAUSE); /* others may end meanwhile */
	}
	return srv->draining && r == AN_ERR_CLOSED ? 0 : r;
}

/* Closes those that nobody waits for. */
static void nudge_idle(an__http_serving *v)
{
	for (an__list *n = v->connections.next; n != &v->connections; n = n->next) {
		an__http_connection *c = an__container(n, an__http_connection, node);

		if (!c->task || c->nudged)
			continue;
		if (c->phase == AN__CONN_IDLE || c->phase == AN__CONN_OPENING ||
		    c->phase == AN__CONN_UPGRADED) {
			c->nudged = true;
			an_cancel(c->task);
		}
	}
}

static void drain(an__http_serving *v)
{
	an_timeout limit;
	int r = 0;

	an_timeout_begin(&limit, v->server->opts.drain_timeout);
	while (r == 0 && v->count) {
		an__waiter w;

		r = an__wait(&w, &v->gone, &for_connections);
	}
	an_ignore(an_timeout_end(&limit, r));
}

/* Tasks that were cancelled before their first step have left theirs behind. */
static void sweep(an__http_serving *v)
{
	while (!an__list_empty(&v->connections))
		an__http_connection_gone(
			an__container(v->connections.next, an__http_connection, node));
}

int an_http_serve(an_http_server *srv, an_listener *listener)
{
	an__http_serving v = { .server = srv, .listener = listener };
	int r, e;

	v.tls = an_tls_ref(an_listener_tls(listener));
	an__list_init(&v.connections);
	an__list_push(&srv->servings, &v.node);
	an_group_begin(&v.group);
	r = accept_loop(&v);
	v.listener = an_listener_close(v.listener);
	if (r == 0)
		drain(&v);
	an_group_cancel(&v.group);
	e = an_group_end(&v.group);
	sweep(&v);
	an__list_remove(&v.node);
	an_tls_free(v.tls);
	return r < 0 ? r : e;
}

/* ---- shutting down ----------------------------------------------------------------- */

void an_http_server_shutdown(an_http_server *srv)
{
	if (!srv || srv->draining)
		return;
	srv->draining = true;
	an__wake_all(&srv->room, 0);
	for (an__list *n = srv->servings.next; n != &srv->servings; n = n->next) {
		an__http_serving *v = an__container(n, an__http_serving, node);

		v->listener = an_listener_close(v->listener);
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
