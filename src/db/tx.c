/* Transactions and savepoints. L4.
 *
 * conn->depth counts what was begun here: 1 is the transaction, more are savepoints named
 * an_2, an_3 and so on.
 */
#include "config.h"

#include "db/conn.h"
#include "db/pool.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- begin ------------------------------------------------------------------------- */

static const char *const isolation[] = {
	[AN_PG_ISOLATION_DEFAULT] = "",
	[AN_PG_READ_COMMITTED] = " ISOLATION LEVEL READ COMMITTED",
	[AN_PG_REPEATABLE_READ] = " ISOLATION LEVEL REPEATABLE READ",
	[AN_PG_SERIALIZABLE] = " ISOLATION LEVEL SERIALIZABLE",
};

static int begin_outer(an_pg_conn *c, const an_pg_tx_opts *o)
{
	char sql[128];
	int r;

	snprintf(sql, sizeof(sql), "BEGIN%s%s%s", isolation[o->isolation],
		 o->read_only ? " READ ONLY" : "", o->deferrable ? " DEFERRABLE" : "");
	r = an__pg_simple(c, sql);
	if (c->state == AN__PG_DRAINING)
		c->undo_begin = true;
	return r;
}

static int begin_inner(an_pg_conn *c)
{
	char sql[64];

	/* One that was cancelled may be there: a later one of that name hides it. */
	snprintf(sql, sizeof(sql), "SAVEPOINT an_%u", c->depth + 1);
	return an__pg_simple(c, sql);
}

int an_pg_begin(an_pg_conn *c, const an_pg_tx_opts *opts)
{
	static const an_pg_tx_opts none;
	const an_pg_tx_opts *o = opts ? opts : &none;
	int r;

	if ((unsigned)o->isolation > AN_PG_SERIALIZABLE)
		return -EINVAL;
	if (c->depth && (o->isolation || o->read_only || o->deferrable))
		return -EINVAL;
	r = an__pg_call_begin(c);
	if (r < 0)
		return r;
	r = c->depth ? begin_inner(c) : begin_outer(c, o);
	if (!r)
		c->depth++;
	return an__pg_call_end(c, r);
}

/* ---- commit ------------------------------------------------------------------------ */

/* Once it was sent, only its answer tells what happened, so it is waited for even when
 * the task was cancelled, within the budget. */
static int wait_commit(an_pg_conn *c)
{
	an_shield shield;
	int r = an__pg_exchange_wait_kept(c);

	if (!c->x.running)
		return r;
	an_shield_begin(&shield, c->settings->opts.cancel_budget);
	r = an__pg_exchange_wait_kept(c);
	an_ignore(an_shield_end(&shield, r));
	if (c->x.running)
		an__pg_conn_lose(c, "08007",
				 "no answer to the COMMIT within cancel_budget");
	return c->x.error;
}

static int commit_outer(an_pg_conn *c)
{
	int r = an__pg_exchange_start(c, PQsendQuery(c->pg, "COMMIT"), false, false);

	if (r == -ENOMEM)
		return r; /* not sent; the transaction is open */
	if (!r)
		r = wait_commit(c);
	c->depth = 0;
	if (r == AN_ERR_PG_CONNECTION) {
		r = AN_ERR_PG_UNKNOWN;
		c->error.code = r;
		c->error.sent = AN_PG_SENT_UNKNOWN;
		strcpy(c->error.sqlstate, "08007");
	} else if (!r && !strcmp(c->x.tag, "ROLLBACK")) {
		r = AN_ERR_SQL;
		an__pg_error_set(&c->error, r, AN_PG_SENT_UNKNOWN, "25P02",
				 "the transaction had failed and was rolled back");
	}
	return r;
}

static int roll_back_inner(an_pg_conn *c)
{
	char sql[96];

	snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT an_%u; RELEASE SAVEPOINT an_%u",
		 c->depth, c->depth);
	return an__pg_simple(c, sql);
}

static int commit_inner(an_pg_conn *c)
{
	an_pg_error error;
	char sql[64];
	int r;

	snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT an_%u", c->depth);
	r = an__pg_simple(c, sql);
	if (r == AN_ERR_SQL) {
		error = c->error;
		if (roll_back_inner(c) == 0)
			c->error = error;
	}
	c->depth--;
	return r;
}

int an_pg_commit(an_pg_conn *c)
{
	int r = an__pg_call_begin(c);

	if (r < 0)
		return r;
	if (!c->depth)
		r = AN_ERR_MISUSE;
	else
		r = c->depth > 1 ? commit_inner(c) : commit_outer(c);
	return an__pg_call_end(c, r);
}

/* ---- rollback ---------------------------------------------------------------------- */

static int roll_back(an_pg_conn *c)
{
	int r = an__pg_call_begin(c);

	if (r < 0)
		return r;
	if (c->depth > 1)
		r = roll_back_inner(c);
	else if (c->depth)
		r = an__pg_simple(c, "ROLLBACK");
	return an__pg_call_end(c, r);
}

int an_pg_rollback(an_pg_conn *c)
{
	an_shield shield;
	int r;

	if (!c->depth)
		return an_pg_conn_alive(c) ? 0 : AN_ERR_PG_CONNECTION;
	/* One budget for the cancelled query before it, one for the command itself. */
	an_shield_begin(&shield, 2 * c->settings->opts.cancel_budget);
	r = an_shield_end(&shield, roll_back(c));
	if (r < 0 && r != -EBUSY) {
		/* Whatever is left of the transaction goes with the connection. */
		an__pg_conn_lose(c, "08006", "the ROLLBACK did not succeed");
		r = AN_ERR_PG_CONNECTION;
	}
	if (r != -EBUSY)
		c->depth--;
	return r;
}

/* ---- the whole --------------------------------------------------------------------- */

typedef struct work {
	an_pg_pool *pool;
	int (*fn)(an_pg_conn *conn, void *arg);
	void *arg;
	const an_pg_tx_opts *opts;
	bool again; /* the failure is one that goes away by itself */
} work;

static int run_body(work *w, an_pg_conn *c)
{
	an_pg_error error;
	int value, r;

	r = an_pg_begin(c, w->opts);
	if (r < 0) {
		/* Nothing has happened yet; a restarted server is met here. */
		w->again = r == AN_ERR_PG_CONNECTION;
		return r;
	}
	value = w->fn(c, w->arg);
	if (value >= 0 && c->depth == 1) {
		r = an_pg_commit(c);
		w->again = r == AN_ERR_SQL && an__pg_error_retryable(&c->error);
		value = r < 0 ? r : value;
	} else if (value >= 0) {
		/* fn left a savepoint open, or ended what it did not begin. */
		value = AN_ERR_MISUSE;
		an__pg_error_set(
			&c->error, value, AN_PG_SENT_UNKNOWN, "25000",
			"begin and commit do not match in the transaction's function");
	} else {
		w->again = value == AN_ERR_SQL && an__pg_error_retryable(&c->error);
	}
	if (c->depth) {
		c->depth = 1; /* savepoints go with the transaction */
		error = c->error;
		if (!an_pg_rollback(c))
			c->error = error;
	}
	return value;
}

static int run_work(work *w)
{
	an_pg_conn *c;
	int r = an_pg_acquire(w->pool, &c);

	w->again = false;
	if (r < 0)
		return r;
	r = run_body(w, c);
	if (r < 0)
		an__pg_pool_note(w->pool, &c->error);
	an_pg_release(c);
	return r;
}

int an_pg_transaction(an_pg_pool *pool, int (*fn)(an_pg_conn *conn, void *arg), void *arg,
		      const an_pg_tx_opts *opts)
{
	work w = { .pool = pool, .fn = fn, .arg = arg, .opts = opts };
	unsigned attempts = opts && opts->attempts ? opts->attempts : 5;
	an_duration backoff =
		opts && opts->backoff > 0 ? opts->backoff : 10 * AN_MILLISECOND;
	int r, slept;

	for (unsigned n = 1;; n++) {
		r = run_work(&w);
		if (r >= 0 || !w.again || n >= attempts)
			return r;
		slept = an_sleep(an__pg_jitter(backoff));
		if (slept < 0)
			return slept;
		if (backoff < AN_SECOND)
			backoff *= 2;
	}
}
