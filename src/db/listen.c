/* LISTEN on a connection of its own, which a task makes anew whenever it is lost. L4.
 *
 * What arrives is queued, with a limit. Where something may be missing, after a loss or
 * when the queue was full, there is a gap: one node that moves to the end of the queue,
 * since a reader that reads the state anew there has made up for all gaps before.
 */
#include "config.h"

#include "db/conn.h"
#include "db/pool.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_notification = { .what = "a notification" };
static const an__wait_kind for_activity = { .what = "a database server to speak" };

/* How long the server may take to answer a ping or a LISTEN. */
#define ANSWER_LIMIT (10 * AN_SECOND)

typedef struct item {
	an__list node;
	int backend_pid;
	const char *payload;
	char channel[]; /* and the payload behind it */
} item;

struct an_pg_listener {
	unsigned refs; /* the user, the task */
	bool closed;
	an__list in_loop;
	an__pg_settings *settings;
	an_pg_listen_opts opts;
	char **channels; /* NULL-terminated, in one block with their names */
	an_pg_conn *conn;
	an_task *task; /* NULL: has not begun, or has ended */
	an__list queue;
	size_t count;
	an__list gap;  /* in the queue, or alone */
	item *current; /* lent to the reader */
	an__waiters readers;
};

/* ---- the queue --------------------------------------------------------------------- */

static void wake_reader(an_pg_listener *l)
{
	an__waiter *w = an__waiters_first(&l->readers);

	if (w)
		an__wake(w, 0);
}

static void put_gap(an_pg_listener *l)
{
	an__list_remove(&l->gap);
	an__list_push(&l->queue, &l->gap);
	wake_reader(l);
}

static item *item_new(const PGnotify *n)
{
	size_t channel = strlen(n->relname) + 1, payload = strlen(n->extra) + 1;
	item *i = an__malloc(sizeof(*i) + channel + payload);

	if (!i)
		return NULL;
	i->backend_pid = n->be_pid;
	memcpy(i->channel, n->relname, channel);
	i->payload = memcpy(i->channel + channel, n->extra, payload);
	return i;
}

static void on_notified(an_pg_conn *c, const PGnotify *n)
{
	an_pg_listener *l = c->owner_data;
	item *i = l->count < l->opts.backlog ? item_new(n) : NULL;

	if (!i) {
		put_gap(l);
		return;
	}
	an__list_push(&l->queue, &i->node);
	l->count++;
	wake_reader(l);
}

static const an__pg_owner owner = { .notified = on_notified };

static void take(an_pg_listener *l, an__list *n, an_pg_notification *ret)
{
	if (n == &l->gap) {
		*ret = (an_pg_notification){ .channel = "", .payload = "", .gap = true };
		return;
	}
	l->current = an__container(n, item, node);
	l->count--;
	*ret = (an_pg_notification){
		.channel = l->current->channel,
		.payload = l->current->payload,
		.backend_pid = l->current->backend_pid,
	};
}

int an_pg_listener_next(an_pg_listener *l, an_pg_notification *ret)
{
	an__waiter w;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!an__waiters_empty(&l->readers))
		return -EBUSY;
	free(l->current);
	l->current = NULL;
	if (an__list_empty(&l->queue)) {
		r = an__wait(&w, &l->readers, &for_notification);
		if (r < 0)
			return r;
	}
	take(l, an__list_pop(&l->queue), ret);
	return 0;
}

/* ---- the connection ---------------------------------------------------------------- */

static void drop_conn(an_pg_listener *l)
{
	an_pg_conn *c = l->conn;

	l->conn = NULL;
	if (c) {
		c->owner = NULL;
		an_pg_close(c);
	}
}

static int listen_to(an_pg_conn *c, const char *channel)
{
	char *name = PQescapeIdentifier(c->pg, channel, strlen(channel)), *sql;
	int r = -ENOMEM;

	if (!name)
		return -EINVAL; /* not valid in the connection's encoding */
	sql = an__asprintf("LISTEN %s", name);
	if (sql) {
		r = an_pg_exec(c, sql);
		free(sql);
	}
	PQfreemem(name);
	return r;
}

static int open_conn(an_pg_listener *l, an_pg_error *error)
{
	an_timeout limit;
	an_pg_conn *c;
	int r = an__pg_conn_new(l->settings, &c);

	if (r < 0)
		return r;
	r = an__pg_connect(c);
	if (!r) {
		c->owner = &owner;
		c->owner_data = l;
		an_timeout_begin(&limit, ANSWER_LIMIT);
		for (char **name = l->channels; !r && *name; name++)
			r = listen_to(c, *name);
		r = an_timeout_end(&limit, r);
	}
	if (r < 0) {
		if (error)
			*error = c->error;
		c->owner = NULL;
		an_pg_close(c);
		return r;
	}
	l->conn = c;
	return 0;
}

/* A connection that is silent may be dead without anybody having said so. */
static int ping(an_pg_conn *c)
{
	an_timeout limit;

	an_timeout_begin(&limit, ANSWER_LIMIT);
	return an_timeout_end(&limit, an_pg_exec(c, ""));
}

/* Returns when the connection is lost, or the task cancelled. */
static int watch(an_pg_listener *l)
{
	an__waiter w;
	int r = 0;

	while (!r && an_pg_conn_alive(l->conn)) {
		an_duration until = AN_FOREVER;

		if (l->opts.ping != AN_FOREVER)
			until = an_now() + l->opts.ping;
		r = an__wait_until(&w, &l->conn->activity, until,
				   &for_activity);
		if (r == -ETIMEDOUT)
			r = ping(l->conn);
	}
	return r;
}

static int open_again(an_pg_listener *l)
{
	unsigned failures = 0;
	int r;

	do {
		r = an_sleep(an__pg_jitter(an__pg_backoff(++failures, l->opts.backoff_min,
							  l->opts.backoff_max)));
		if (!r)
			r = open_conn(l, NULL);
	} while (r < 0 && r != -ECANCELED);
	return r;
}

/* ---- made and freed ---------------------------------------------------------------- */

static void listener_unref(an_pg_listener *l)
{
	an__list *n;

	if (--l->refs)
		return;
	drop_conn(l);
	an__list_remove(&l->gap);
	while ((n = an__list_pop(&l->queue)))
		free(an__container(n, item, node));
	free(l->current);
	an__list_remove(&l->in_loop);
	an__pg_settings_unref(l->settings);
	free(l->channels);
	free(l);
}

static int listen_task(void *arg)
{
	an_pg_listener *l = arg;
	int r = 0;

	l->task = an_current();
	while (!l->closed && r != -ECANCELED) {
		r = watch(l);
		if (l->closed || r == -ECANCELED)
			break;
		drop_conn(l);
		r = open_again(l);
		if (!r)
			put_gap(l);
	}
	l->task = NULL;
	listener_unref(l);
	return 0;
}

static char **copy_channels(const char *const *channels)
{
	size_t count = 0, bytes = 0;
	char **copy, *p;

	for (; channels[count]; count++)
		bytes += strlen(channels[count]) + 1;
	copy = an__malloc((count + 1) * sizeof(*copy) + bytes);
	if (!copy)
		return NULL;
	p = (char *)(copy + count + 1);
	for (size_t i = 0; i < count; i++) {
		copy[i] = p;
		p = stpcpy(p, channels[i]) + 1;
	}
	copy[count] = NULL;
	return copy;
}

static int listener_new(const an_pg_conn_opts *conn, const char *const *channels,
			const an_pg_listen_opts *opts, an_pg_error *error,
			an_pg_listener **ret)
{
	an__pg_local *local = an__pg_local_get(an_loop_current());
	an_pg_listener *l = local ? an__calloc(1, sizeof(*l)) : NULL;
	int r;

	if (!l)
		return -ENOMEM;
	l->refs = 1;
	an__list_init(&l->in_loop);
	an__list_init(&l->queue);
	an__list_init(&l->gap);
	if (opts)
		l->opts = *opts;
	if (!l->opts.backlog)
		l->opts.backlog = 1024;
	if (l->opts.backoff_min <= 0)
		l->opts.backoff_min = 100 * AN_MILLISECOND;
	if (l->opts.backoff_max <= 0)
		l->opts.backoff_max = 5 * AN_SECOND;
	if (l->opts.ping <= 0)
		l->opts.ping = 30 * AN_SECOND;
	l->channels = copy_channels(channels);
	r = l->channels ? an__pg_settings_new(conn, error, &l->settings) : -ENOMEM;
	if (r < 0) {
		listener_unref(l);
		return r;
	}
	an__list_push(&local->listeners, &l->in_loop);
	*ret = l;
	return 0;
}

int an_pg_listen(const an_pg_conn_opts *conn, const char *const *channels,
		 const an_pg_listen_opts *opts, an_pg_error *error, an_pg_listener **ret)
{
	an_pg_listener *l = NULL;
	int r = an__wait_check();

	if (error)
		*error = (an_pg_error){ 0 };
	if (!r)
		r = listener_new(conn, channels, opts, error, &l);
	if (r < 0)
		return r;
	r = open_conn(l, error);
	if (!r) {
		l->refs++;
		r = an_spawn(listen_task, l, &(an_task_opts){ .name = "pg-listen" },
			     NULL);
		if (r < 0)
			l->refs--;
	}
	if (r < 0) {
		listener_unref(l);
		if (error)
			error->code = r;
		return r;
	}
	*ret = l;
	return 0;
}

an_pg_listener *an_pg_listener_close(an_pg_listener *l)
{
	if (!l)
		return NULL;
	l->closed = true;
	an__wake_all(&l->readers, AN_ERR_CLOSED);
	an_cancel(l->task); /* one that has not begun sees `closed` */
	listener_unref(l);
	return NULL;
}

void an__pg_listener_loop_ends(an__list *node)
{
	an_pg_listener *l = an__container(node, an_pg_listener, in_loop);

	an__list_remove(&l->in_loop);
	if (!l->closed)
		return; /* the user's still */
	l->refs = 1;
	listener_unref(l);
}
