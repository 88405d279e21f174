/* What happens to a connection whose query nobody waits for any more. L4.
 *
 * A task asks the server to stop (PQcancel() on a worker: in libpq 15 there is no other
 * way, and it blocks until the server has closed the cancelling connection), then waits
 * for the query's own end. Both must have been seen before the connection is used again:
 * otherwise the late cancellation would hit the next query. All of it has a budget; then
 * the connection is closed.
 */
#include "config.h"

#include "db/conn.h"
#include "db/pool.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>

#include <errno.h>
#include <stdlib.h>

static const an__wait_kind for_reset = { .what = "a database connection to be reset" };

/* PQcancel() hangs as long as the server's postmaster does. Few may, so that workers are
 * left for others. */
#define CANCELS_MAX 2

/* How long a cancelled query may take to end before it is cancelled once more; then
 * doubled. */
#define FIRST_PATIENCE (20 * AN_MILLISECOND)

struct request {
	an__post_node node;
	an_loop *loop;
	PGcancel *cancel;
};

/* ---- for each loop ----------------------------------------------------------------- */

/* Connections that tasks worked for which will not run any more. */
static void local_destroy(void *value)
{
	an__pg_local *local = value;
	an__list *n, *next;

	for (n = local->listeners.next; n != &local->listeners; n = next) {
		next = n->next;
		an__pg_listener_loop_ends(n);
	}
	for (n = local->pools.next; n != &local->pools; n = next) {
		next = n->next;
		an__pg_pool_loop_ends(n);
	}
	for (n = local->conns.next; n != &local->conns; n = next) {
		an_pg_conn *c = an__container(n, an_pg_conn, all);

		next = n->next;
		if (c->user_closed) {
			c->refs = 1;
			an__pg_conn_unref(c);
		} else {
			an__list_remove(&c->all);
		}
	}
	free(local);
}

an__pg_local *an__pg_local_get(an_loop *loop)
{
	an__pg_local *local = an__loop_local(loop, AN__LOCAL_DB);

	if (local)
		return local;
	local = an__calloc(1, sizeof(*local));
	if (!local)
		return NULL;
	an_semaphore_init(&local->cancels, CANCELS_MAX, CANCELS_MAX);
	an__list_init(&local->conns);
	an__list_init(&local->pools);
	an__list_init(&local->listeners);
	an__loop_set_local(loop, AN__LOCAL_DB, local, local_destroy);
	return local;
}

/* ---- the request ------------------------------------------------------------------- */

static int send_cancel(void *arg)
{
	struct request *q = arg;
	char text[256];

	/* Whether it could be sent makes no difference: the query is waited for in any
	 * case. Negative results are an_offload()'s own. */
	PQcancel(q->cancel, text, sizeof(text));
	return 0;
}

static void request_done(struct request *q)
{
	an__pg_local *local = an__loop_local(q->loop, AN__LOCAL_DB);

	an_semaphore_release(&local->cancels);
	an__loop_release(q->loop);
	PQfreeCancel(q->cancel);
	free(q);
}

static void posted(an__post_node *node)
{
	request_done(an__container(node, struct request, node));
}

/* The task went away before the worker came back. */
static void dispose(void *arg)
{
	struct request *q = arg;

	q->node.fn = posted;
	an__loop_post(q->loop, &q->node);
}

/* Returns 0 when no cancellation is under way any more: it was dealt with, or could not
 * be sent. */
static int request_cancel(an_pg_conn *c)
{
	an__pg_local *local = an__pg_local_get(c->loop);
	struct request *q;
	int r;

	r = an_semaphore_acquire(&local->cancels);
	if (r < 0)
		return r;
	/* It may have ended by itself meanwhile. */
	q = c->x.running ? an__malloc(sizeof(*q)) : NULL;
	if (!q || !(q->cancel = PQgetCancel(c->pg))) {
		free(q);
		an_semaphore_release(&local->cancels);
		return 0;
	}
	q->loop = c->loop;
	an__loop_hold(c->loop);
	r = an_offload(send_cancel, q, dispose);
	if (!r)
		request_done(q);
	/* Other failures than this mean that it never began. */
	return r == -ECANCELED ? r : 0;
}

static int wait_drained(an_pg_conn *c, an_duration deadline)
{
	an__waiter w;
	int r = 0;

	if (!c->x.running)
		return 0;
	c->drained = &w;
	r = an__wait_until(&w, NULL, deadline, &for_reset);
	c->drained = NULL;
	return c->x.running ? r : 0;
}

/* A cancellation that reaches a backend before it has read the query is lost on it, so it
 * is repeated until the query has ended; each is over before the next. */
static int stop_query(an_pg_conn *c)
{
	an_duration patience = FIRST_PATIENCE;
	int r;

	do {
		r = request_cancel(c);
		if (!r)
			r = wait_drained(c, an_now() + patience);
		patience *= 2;
	} while (r == -ETIMEDOUT);
	return r;
}

/* A BEGIN that was cancelled may have been carried out. */
static int undo_begin(an_pg_conn *c)
{
	if (!c->undo_begin || PQtransactionStatus(c->pg) == PQTRANS_IDLE)
		return 0;
	return an__pg_simple_kept(c, "ROLLBACK");
}

static int clean(void *arg)
{
	an_pg_conn *c = arg;
	an_timeout budget;
	int r;

	an_timeout_begin(&budget, c->settings->opts.cancel_budget);
	r = stop_query(c);
	if (c->state == AN__PG_DRAINING && !c->x.running)
		an__pg_conn_move(c, AN__PG_READY);
	if (!r)
		r = undo_begin(c);
	r = an_timeout_end(&budget, r);
	if (r < 0)
		an__pg_conn_lose(
			c, "08006",
			"a cancelled query could not be brought to its end in time");
	c->cleaning = c->undo_begin = false;
	an__wake_all(&c->clean, 0);
	if (c->released && c->owner && c->owner->cleaned)
		c->owner->cleaned(c);
	an__pg_conn_unref(c);
	return 0;
}

int an__pg_clean_spawn(an_pg_conn *c)
{
	int r;

	an__pg_conn_ref(c);
	c->cleaning = true;
	r = an_spawn(clean, c, &(an_task_opts){ .name = "pg-clean" }, NULL);
	if (r < 0) {
		c->cleaning = false;
		an__pg_conn_unref(c);
	}
	return r;
}
