/* A task for each connection of a listener. L3.
 *
 * The caller's task accepts. Each connection's task is watched, and its end, however it
 * comes, also before the first step, gives the connection's memory and place back. The
 * serving lies on the caller's stack, which is left only when no connection is there.
 *
 * Not a group: a connection for which there is no memory must not end the others.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/trace.h"
#include "loop/core/wait.h"
#include "loop/io/listener.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <stdlib.h>

static const an__wait_kind for_room = { .what = "room for a connection" };
static const an__wait_kind for_the_last = { .what = "the last connection" };

enum { MAX_CONNECTIONS = 10000 };

#define DRAIN_TIMEOUT (30 * AN_SECOND)
#define CLOSE_TIMEOUT (10 * AN_SECOND)
#define OUT_OF_MEMORY_PAUSE (100 * AN_MILLISECOND)

struct serving {
	an_listener *listener;
	an_serve_handler handler;
	void *arg;
	an_serve_opts opts;
	an__list connections;
	size_t count;
	an__waiter *for_room; /* of the serving task; NULL: it does not wait for that */
	an__waiters gone;     /* the serving task, when it waits for the last one */
};

/* From its accept to the end of its task. */
struct connection {
	an__list node;
	an__task_watch watch;
	struct serving *serving;
	an_stream *stream;
	an_task *task;
};

/* ---- one connection ---------------------------------------------------------------- */

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
	an__trace_message(level, "connection of %s: %s", peer, an_strerror(error));
}

static int connection_main(void *arg)
{
	struct connection *c = arg;
	struct serving *v = c->serving;
	an_tls *tls = an_listener_tls(v->listener);
	an_timeout limit;
	int r = 0;

	if (tls)
		r = an_stream_start_tls(c->stream, tls, NULL);
	if (r >= 0)
		r = v->handler(v->arg, c->stream);
	if (r >= 0) {
		an_timeout_begin(&limit, CLOSE_TIMEOUT);
		r = an_stream_shutdown(c->stream);
		if (r == 0)
			r = an__stream_linger(c->stream);
		r = an_timeout_end(&limit, r);
	}
	if (r < 0)
		report(c->stream, r);
	return 0;
}

static void on_end(an__task_watch *watch, an_task *task)
{
	struct connection *c = an__container(watch, struct connection, watch);
	struct serving *v = c->serving;

	(void)task;
	an_stream_close(c->stream);
	an__list_remove(&c->node);
	free(c);
	v->count--;
	if (v->for_room)
		an__wake(v->for_room, 0);
	if (!v->count)
		an__wake_all(&v->gone, 0);
}

/* Takes the stream over. Without memory for it the connection is lost, and no other. */
static int start(struct serving *v, an_stream *stream)
{
	const an_task_opts opts = {
		.name = v->opts.name ? v->opts.name : "connection",
		.stack_size = v->opts.stack_size,
	};
	struct connection *c = an__calloc(1, sizeof *c);
	int r = c ? an_spawn(connection_main, c, &opts, &c->task) : -ENOMEM;

	if (r < 0) {
		free(c);
		an_stream_close(stream);
		return r;
	}
	c->serving = v;
	c->stream = stream;
	c->watch.fn = on_end;
	an__list_push(&v->connections, &c->node);
	v->count++;
	an__task_watch_add(c->task, &c->watch);
	an_detach(c->task);
	return 0;
}

/* ---- all of them ------------------------------------------------------------------- */

static int wait_for_room(struct serving *v)
{
	an__waiter w;
	int r;

	v->for_room = &w;
	r = an__listener_wait(v->listener, &w, &for_room);
	v->for_room = NULL;
	return r;
}

/* Until the listener is closed: AN_ERR_CLOSED; or an error. */
static int accept_all(struct serving *v)
{
	an_stream *stream;
	int r = 0;

	while (r == 0) {
		if (v->count >= v->opts.max_connections) {
			r = wait_for_room(v);
			continue;
		}
		r = an_accept(v->listener, &stream);
		if (r == 0)
			r = start(v, stream);
		if (r == -ENOMEM)
			r = an_sleep(OUT_OF_MEMORY_PAUSE); /* others may end meanwhile */
	}
	return r;
}

/* Returns 0; -ETIMEDOUT; -ECANCELED. */
static int drain(struct serving *v)
{
	an_timeout limit;
	an__waiter w;
	int r = 0;

	an_timeout_begin(&limit, v->opts.drain_timeout);
	if (v->count)
		r = an__wait(&w, &v->gone, &for_the_last);
	return an_timeout_end(&limit, r);
}

static void cancel_all(struct serving *v)
{
	an__waiter w;

	for (an__list *n = v->connections.next; n != &v->connections; n = n->next)
		an_cancel(an__container(n, struct connection, node)->task);
	if (v->count)
		an__wait_uncancellable(&w, &v->gone, &for_the_last);
}

int an_serve(an_listener *l, an_serve_handler handler, void *arg,
	     const an_serve_opts *opts)
{
	struct serving v = { .listener = l, .handler = handler, .arg = arg };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (opts)
		v.opts = *opts;
	if (!v.opts.max_connections)
		v.opts.max_connections = MAX_CONNECTIONS;
	if (!v.opts.drain_timeout)
		v.opts.drain_timeout = DRAIN_TIMEOUT;
	an__list_init(&v.connections);
	an__listener_hold(l);
	r = accept_all(&v);
	if (r == AN_ERR_CLOSED)
		r = drain(&v);
	cancel_all(&v);
	an__listener_release(l);
	return r;
}
