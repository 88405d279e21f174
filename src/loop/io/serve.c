/* A task for each connection of a listener. L3.
 *
 * The caller's task accepts. Each connection's task is watched, and its end, however it
 * comes, also before the first step, gives the connection's memory and place back. The
 * serving lies on the caller's stack, which is left only when no connection is there.
 * What a connection is, the service says; an_serve() is the plain one, at the end.
 *
 * Not a group: a connection for which there is no memory must not end the others.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/trace.h"
#include "loop/io/listener.h"
#include "loop/io/serve.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <stdlib.h>

static const an__wait_kind for_room = { .what = "room for a connection" };
static const an__wait_kind for_the_last = { .what = "the last connection" };

enum { MAX_CONNECTIONS = 10000 };

#define DRAIN_TIMEOUT (30 * AN_SECOND)
#define CLOSE_TIMEOUT (10 * AN_SECOND)
#define OUT_OF_MEMORY_PAUSE (100 * AN_MILLISECOND)

/* ---- one connection ---------------------------------------------------------------- */

/* There is room: for whichever serving comes first. */
static void on_end(an__task_watch *watch, an_task *task)
{
	an__served *c = an__container(watch, an__served, watch);
	an__serving *v = c->serving;
	an__service *s = v->service;

	(void)task;
	an__list_remove(&c->node);
	s->unmake(c);
	v->count--;
	s->count--;
	for (an__list *n = s->servings.next; n != &s->servings; n = n->next) {
		an__waiter *w = an__container(n, an__serving, node)->for_room;

		if (w)
			an__wake(w, 0);
	}
	if (!v->count)
		an__wake_all(&v->gone, 0);
}

/* Takes the stream over. Without memory for it the connection is lost, and no other. */
static int start(an__serving *v, an_stream *stream)
{
	an__service *s = v->service;
	const an_task_opts opts = {
		.name = s->opts.name,
		.stack_size = s->opts.stack_size,
	};
	an__served *c = s->make(s, stream);
	int r;

	if (!c) {
		an_stream_close(stream);
		return -ENOMEM;
	}
	c->serving = v;
	r = an_spawn(s->run, c, &opts, &c->task);
	if (r < 0) {
		s->unmake(c);
		return r;
	}
	c->watch.fn = on_end;
	an__list_push(&v->connections, &c->node);
	v->count++;
	s->count++;
	an__task_watch_add(c->task, &c->watch);
	an_detach(c->task);
	return 0;
}

/* ---- all of them ------------------------------------------------------------------- */

static int wait_for_room(an__serving *v)
{
	an__waiter w;
	int r;

	v->for_room = &w;
	r = an__listener_wait(v->listener, &w, &for_room);
	v->for_room = NULL;
	return r;
}

static bool is_full(const an__service *s)
{
	return s->count >= s->opts.max_connections;
}

/* One that was accepted together with that of another listener, which took the last
 * place, waits for the next; without one it is lost, as those in the kernel are. */
static int start_when_room(an__serving *v, an_stream *stream)
{
	int r = 0;

	while (r == 0 && is_full(v->service))
		r = wait_for_room(v);
	if (r == 0)
		return start(v, stream);
	an_stream_close(stream);
	return r;
}

/* Until the listener is closed: AN_ERR_CLOSED; or an error. */
static int accept_all(an__serving *v)
{
	an_stream *stream;
	int r = an__wait_check();

	while (r == 0) {
		if (is_full(v->service)) {
			r = wait_for_room(v);
			continue;
		}
		r = an_accept(v->listener, &stream);
		if (r == 0)
			r = start_when_room(v, stream);
		if (r == -ENOMEM)
			r = an_sleep(OUT_OF_MEMORY_PAUSE); /* others may end meanwhile */
	}
	return r;
}

/* Returns 0; -ETIMEDOUT; -ECANCELED. */
static int drain(an__serving *v)
{
	an_timeout limit;
	an__waiter w;
	int r = 0;

	an_timeout_begin(&limit, v->service->opts.drain_timeout);
	if (v->count)
		r = an__wait(&w, &v->gone, &for_the_last);
	return an_timeout_end(&limit, r);
}

static void cancel_all(an__serving *v)
{
	an__waiter w;

	for (an__list *n = v->connections.next; n != &v->connections; n = n->next)
		an_cancel(an__container(n, an__served, node)->task);
	if (v->count)
		an__wait_uncancellable(&w, &v->gone, &for_the_last);
}

void an__service_init(an__service *s, const an_serve_opts *opts)
{
	*s = (an__service){ .opts = *opts };
	if (!s->opts.max_connections)
		s->opts.max_connections = MAX_CONNECTIONS;
	if (!s->opts.drain_timeout)
		s->opts.drain_timeout = DRAIN_TIMEOUT;
	if (!s->opts.name)
		s->opts.name = "connection";
	an__list_init(&s->servings);
}

int an__serve(an__service *s, an_listener *l)
{
	an__serving v = { .service = s, .listener = l };
	int r;

	an__list_init(&v.connections);
	an__list_push(&s->servings, &v.node);
	an__listener_hold(l);
	r = accept_all(&v);
	if (s->owns_listener)
		an_listener_close(l);
	if (r == AN_ERR_CLOSED)
		r = drain(&v);
	cancel_all(&v);
	an__listener_release(l);
	an__list_remove(&v.node);
	return r;
}

/* ---- the plain service ------------------------------------------------------------- */

struct plain {
	an__service service;
	an_serve_handler handler;
	void *arg;
};

struct connection {
	an__served served;
	struct plain *plain;
	an_stream *stream;
	bool in_mid_talk; /* the handler has begun, and the end has not been said */
};

/* Of TLS the stream knows more than the code says. */
static const char *reason(const an_stream *s, int error)
{
	bool of_tls = error == AN_ERR_TLS || error == AN_ERR_CERT;
	const char *text = of_tls ? an_stream_error_text(s) : "";

	return *text ? text : an_strerror(error);
}

/* What a peer does is no news; what the handler says for itself is. */
static void report(const an_stream *s, int error)
{
	an_log_level level = AN_LOG_WARN;
	char peer[128] = "?";

	switch (error) {
	case -ECANCELED:
		return;
	case -ECONNRESET:
	case -EPIPE:
	case -ENOTCONN:
	case -ETIMEDOUT:
	case AN_ERR_EOF:
	case AN_ERR_TRUNCATED:
	case AN_ERR_TLS:
	case AN_ERR_CERT:
		level = AN_LOG_DEBUG;
	}
	an_ignore(an_stream_peer_address(s, peer, sizeof peer));
	an__trace_message(level, "connection of %s: %s", peer, reason(s, error));
}

static int say_the_end(struct connection *c)
{
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, CLOSE_TIMEOUT);
	r = an_stream_shutdown(c->stream);
	if (r == 0) {
		c->in_mid_talk = false;
		r = an__stream_linger(c->stream);
	}
	return an_timeout_end(&limit, r);
}

static int run(void *arg)
{
	struct connection *c = arg;
	an_tls *tls = an_listener_tls(c->served.serving->listener);
	int r = 0;

	if (tls)
		r = an_stream_start_tls(c->stream, tls, NULL);
	if (r >= 0) {
		c->in_mid_talk = true;
		r = c->plain->handler(c->plain->arg, c->stream);
	}
	if (r >= 0)
		r = say_the_end(c);
	if (r < 0)
		report(c->stream, r);
	return 0;
}

static an__served *make(an__service *s, an_stream *stream)
{
	struct connection *c = an__calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->plain = an__container(s, struct plain, service);
	c->stream = stream;
	return &c->served;
}

static void unmake(an__served *served)
{
	struct connection *c = an__container(served, struct connection, served);

	/* An end would pass a part of what was to be said for the whole. */
	if (c->in_mid_talk)
		an_stream_abort(c->stream);
	else
		an_stream_close(c->stream);
	free(c);
}

int an_serve(an_listener *l, an_serve_handler handler, void *arg,
	     const an_serve_opts *opts)
{
	static const an_serve_opts defaults;
	struct plain p = { .handler = handler, .arg = arg };

	an__service_init(&p.service, opts ? opts : &defaults);
	p.service.make = make;
	p.service.run = run;
	p.service.unmake = unmake;
	return an__serve(&p.service, l);
}
