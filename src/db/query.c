/* Connections by themselves, queries, rows in batches. L4.
 *
 * A query with parameters goes through the unnamed statement when it comes for the first
 * time, and is prepared when it comes again: one round trip for what is asked once, less
 * work for what is asked often.
 */
#include "config.h"

#include "db/conn.h"
#include "db/param.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- connections ------------------------------------------------------------------- */

static int connect_new(an__pg_settings *s, an_pg_error *error, an_pg_conn **ret)
{
	an_pg_conn *c;
	int r = an__pg_conn_new(s, &c);

	if (r < 0)
		return r;
	r = an__pg_connect(c);
	if (r < 0) {
		if (error)
			*error = c->error;
		an__pg_conn_unref(c);
		return r;
	}
	*ret = c;
	return 0;
}

int an_pg_connect(const an_pg_conn_opts *opts, an_pg_error *error, an_pg_conn **ret)
{
	an__pg_settings *s;
	int r = an__wait_check();

	if (error)
		*error = (an_pg_error){ 0 };
	if (!r)
		r = an__pg_settings_new(opts, error, &s);
	if (r < 0)
		return r;
	r = connect_new(s, error, ret);
	an__pg_settings_unref(s);
	if (r < 0 && error)
		error->code = r;
	return r;
}

an_pg_conn *an_pg_close(an_pg_conn *c)
{
	if (!c)
		return NULL;
	an__pg_conn_lose(c, "08003", "closed");
	c->user_closed = true;
	an__pg_conn_unref(c);
	return NULL;
}

const an_pg_error *an_pg_conn_error(const an_pg_conn *c)
{
	return &c->error;
}

bool an_pg_conn_alive(const an_pg_conn *c)
{
	return c->state == AN__PG_READY || c->state == AN__PG_BUSY ||
	       c->state == AN__PG_DRAINING;
}

int an_pg_conn_backend_pid(const an_pg_conn *c)
{
	return c->pg ? PQbackendPID(c->pg) : 0;
}

/* ---- statements -------------------------------------------------------------------- */

typedef struct query {
	const char *sql;
	an__pg_args args;
	an__pg_statement *statement; /* NULL: through the unnamed one */
	bool binary, keep, stream;
} query;

/* Drops what was pushed out of the cache. A failure in a transaction would abort it, so
 * it waits for its end.
 * Returns 1 when nothing is left; 0; -errno. */
static int deallocate(an_pg_conn *c)
{
	const char *name;
	char sql[64];
	int r;

	while ((name = an__pg_statements_dropped(&c->statements))) {
		if (PQtransactionStatus(c->pg) != PQTRANS_IDLE)
			return 0;
		snprintf(sql, sizeof(sql), "DEALLOCATE %s", name);
		r = an__pg_simple(c, sql);
		if (r < 0 && r != AN_ERR_SQL) /* that it is not there is fine */
			return r;
		an__pg_statements_deallocated(&c->statements);
	}
	return 1;
}

static int prepare(an_pg_conn *c, query *q)
{
	an__pg_statement *st = q->statement;
	int r = deallocate(c);

	if (r <= 0)
		return r;
	r = an__pg_exchange_start(
		c,
		PQsendPrepare(c->pg, st->name, q->sql, (int)q->args.count, q->args.types),
		false, false);
	if (!r)
		r = an__pg_exchange_wait(c);
	if (!r) {
		st->prepared = true;
	} else {
		/* Cancelled, it may be there or not: the name is not used again. */
		st->prepared = r != AN_ERR_SQL;
		an__pg_statements_renew(&c->statements, st, true);
	}
	return r;
}

static int send_query(an_pg_conn *c, const query *q)
{
	const an__pg_args *a = &q->args;

	if (q->statement && q->statement->prepared)
		return PQsendQueryPrepared(c->pg, q->statement->name, (int)a->count,
					   a->values, a->lengths, a->formats, q->binary);
	return PQsendQueryParams(c->pg, q->sql, (int)a->count, a->types, a->values,
				 a->lengths, a->formats, q->binary);
}

static int run_once(an_pg_conn *c, query *q)
{
	int r = 0;

	if (q->statement && q->statement->seen && !q->statement->prepared)
		r = prepare(c, q);
	if (!r)
		r = an__pg_exchange_start(c, send_query(c, q), q->keep, q->stream);
	if (!r)
		r = an__pg_exchange_wait(c);
	return r;
}

/* A schema that changed, or a DEALLOCATE ALL, costs one more round trip and no error. In
 * a transaction the error has aborted it already, and only its owner can run it again. */
static int run(an_pg_conn *c, query *q)
{
	bool idle = PQtransactionStatus(c->pg) == PQTRANS_IDLE;
	int r = run_once(c, q);

	if (r != AN_ERR_SQL || !c->x.stale || !q->statement || !q->statement->prepared)
		return r;
	an__pg_statements_renew(&c->statements, q->statement,
				strcmp(c->error.sqlstate, "26000") != 0);
	return idle ? run_once(c, q) : r;
}

static int run_params(an_pg_conn *c, const char *sql, const an_pg_params *params,
		      bool keep, bool stream)
{
	query q = { .sql = sql, .keep = keep, .stream = stream };
	int r = an__pg_args_init(&q.args, params);

	if (r < 0) {
		an__pg_error_set(&c->error, r, AN_PG_SENT_NO, "", an_strerror(r));
		return r;
	}
	if (params) {
		q.binary = params->binary_results;
		if (params->count && !params->once)
			q.statement = an__pg_statements_use(&c->statements, sql,
							    q.args.types, q.args.count);
	}
	r = run(c, &q);
	an__pg_args_done(&q.args);
	return r;
}

/* A statement without rows gives a result without columns. */
static int take(an_pg_conn *c, an_pg_result **ret)
{
	*ret = an__pg_exchange_take(c);
	return *ret ? 0 : -ENOMEM;
}

int an_pg_query(an_pg_conn *c, const char *sql, const an_pg_params *params,
		an_pg_result **ret)
{
	an_pg_result *result = NULL;
	int r = an__pg_call_begin(c);

	if (r < 0)
		return r;
	r = run_params(c, sql, params, ret != NULL, false);
	if (!r && ret)
		r = take(c, &result);
	if (!r && ret)
		*ret = result;
	return an__pg_call_end(c, r);
}

int an_pg_exec(an_pg_conn *c, const char *sql)
{
	int r = an__pg_call_begin(c);

	if (r < 0)
		return r;
	return an__pg_call_end(c, an__pg_simple(c, sql));
}

int an_pg_notify(an_pg_conn *c, const char *channel, const char *payload)
{
	return an_pg_query(
		c, "select pg_notify($1, $2)",
		AN_PG_PARAMS(an_pg_text(channel), an_pg_text(payload ? payload : "")),
		NULL);
}

/* ---- rows in batches --------------------------------------------------------------- */

/* The call stays open from begin to end, so nothing else can run in between. */
struct an_pg_rows {
	an_pg_conn *conn;
	bool first; /* the first batch lies ready since begin */
	int error;
};

int an_pg_rows_begin(an_pg_conn *c, const char *sql, const an_pg_params *params,
		     an_pg_rows **ret)
{
	an_pg_rows *rows = an__malloc(sizeof(*rows));
	int r;

	if (!rows)
		return -ENOMEM;
	r = an__pg_call_begin(c);
	if (r < 0) {
		free(rows);
		return r;
	}
	r = run_params(c, sql, params, true, true);
	if (r < 0) {
		free(rows);
		return an__pg_call_end(c, r);
	}
	*rows = (an_pg_rows){ .conn = c, .first = true };
	*ret = rows;
	return 0;
}

/* The next batch, or what is left at the end. */
static int advance(an_pg_rows *rows)
{
	an_pg_conn *c = rows->conn;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (rows->first) {
		rows->first = false;
		return 0;
	}
	if (!c->x.running) {
		if (c->x.result)
			an__pg_result_clear(c->x.result);
		return c->x.error;
	}
	an__pg_exchange_resume(c);
	return an__pg_exchange_wait(c);
}

int an_pg_rows_next(an_pg_rows *rows, an_pg_result **ret)
{
	an_pg_conn *c = rows->conn;

	if (rows->error)
		return rows->error;
	rows->error = advance(rows);
	if (rows->error)
		return rows->error;
	if (!c->x.result || !c->x.result->rows)
		return 0;
	*ret = c->x.result;
	return 1;
}

an_pg_rows *an_pg_rows_end(an_pg_rows *rows)
{
	an_pg_conn *c;

	if (!rows)
		return NULL;
	c = rows->conn;
	if (c->state == AN__PG_BUSY)
		an__pg_exchange_abandon(c);
	an_pg_result_free(an__pg_exchange_take(c));
	an__pg_call_end(c, 0);
	free(rows);
	return NULL;
}
