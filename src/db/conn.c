/* The driver of one connection: events, exchanges, loss and closing. L4.
 *
 * Invariants: the reading event is armed in READY, BUSY and DRAINING, except while a
 * batch of rows waits for its reader; the writing event is armed only while libpq has
 * something left to send; PQgetResult() is called only when it cannot block: libpq is not
 * busy, or the socket is gone.
 */
#include "config.h"

#include "db/conn.h"
#include "loop/base/alloc.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const an__wait_kind for_reset = { .what = "a database connection to be reset" };
static const an__wait_kind for_result = { .what = "a query" };

/* How long the server may take to close its side before it is taken for gone. */
#define CLOSE_GRACE (1 * AN_SECOND)

/* A batch of rows that a task is to read; as the public header says. */
#define BATCH_ROWS 1024
#define BATCH_BYTES (64 * 1024)

/* Rows of the usual width fit into an array on the stack. */
#define COLUMNS_FEW 32

static void close_timer_fired(an__timer *timer);

/* ---- made and freed ---------------------------------------------------------------- */

int an__pg_conn_new(an__pg_settings *settings, an_pg_conn **ret)
{
	an_loop *loop = an_loop_current();
	an__pg_local *local;
	an_pg_conn *c;

	if (!loop)
		return AN_ERR_NO_TASK;
	local = an__pg_local_get(loop);
	c = local ? an__calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return -ENOMEM;
	if (an__pg_statements_init(&c->statements, settings->opts.statement_cache) < 0)
		goto fail;
	if (an__timer_init(&c->timer, loop, close_timer_fired) < 0)
		goto fail;
	c->refs = 1;
	c->loop = loop;
	c->settings = an__pg_settings_ref(settings);
	an__list_init(&c->node);
	an__list_init(&c->all);
	an__list_push(&local->conns, &c->all);
	*ret = c;
	return 0;

fail:
	an__pg_statements_done(&c->statements);
	free(c);
	return -ENOMEM;
}

void an__pg_conn_ref(an_pg_conn *c)
{
	c->refs++;
}

static void stop_events(an_pg_conn *c)
{
	if (c->has_events) {
		event_del(&c->read);
		event_del(&c->write);
	}
}

void an__pg_conn_unref(an_pg_conn *c)
{
	if (--c->refs)
		return;
	stop_events(c);
	PQfinish(c->pg);
	an__timer_done(&c->timer);
	an__list_remove(&c->node);
	an__list_remove(&c->all);
	an__pg_statements_done(&c->statements);
	an_pg_result_free(c->x.result);
	an__pg_settings_unref(c->settings);
	free(c);
}

void an__pg_conn_move(an_pg_conn *c, an__pg_state state)
{
	c->state = state;
	if (state == AN__PG_BROKEN || state == AN__PG_CLOSING)
		an__wake_all(&c->clean, 0);
}

/* ---- notices ----------------------------------------------------------------------- */

/* A FATAL that comes while nothing is asked (57P01, the server shuts down) is only seen
 * here. */
void an__pg_notice(void *arg, const PGresult *res)
{
	an_pg_conn *c = arg;
	const an_pg_conn_opts *o = &c->settings->opts;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (!severity || !state || !message)
		return;
	if (!strcmp(severity, "FATAL") || !strcmp(severity, "PANIC")) {
		an__pg_text_copy(c->fatal_state, sizeof(c->fatal_state), state);
		an__pg_text_copy(c->fatal_message, sizeof(c->fatal_message), message);
	} else if (o->notice) {
		o->notice(severity, state, message, o->notice_arg);
	}
}

static void take_notifications(an_pg_conn *c)
{
	PGnotify *n;

	while ((n = PQnotifies(c->pg))) {
		if (c->owner && c->owner->notified)
			c->owner->notified(c, n);
		PQfreemem(n);
	}
}

/* ---- results ----------------------------------------------------------------------- */

static int make_result(an_pg_conn *c, const PGresult *res)
{
	an__pg_column few[COLUMNS_FEW], *columns = few;
	int n = PQnfields(res), r;

	if (n > COLUMNS_FEW) {
		columns = an__malloc((size_t)n * sizeof(*columns));
		if (!columns)
			return -ENOMEM;
	}
	for (int i = 0; i < n; i++)
		columns[i] = (an__pg_column){
			.name = PQfname(res, i),
			.type = PQftype(res, i),
			.binary = PQfformat(res, i) == 1,
		};
	r = an__pg_result_new(columns, (size_t)n, &c->x.result);
	if (columns != few)
		free(columns);
	return r;
}

static int append_rows(an_pg_conn *c, const PGresult *res)
{
	const an_pg_conn_opts *o = &c->settings->opts;
	int rows = PQntuples(res), columns = PQnfields(res), r = 0;

	if (!c->x.result)
		r = make_result(c, res);
	for (int i = 0; i < rows && !r; i++) {
		for (int j = 0; j < columns && !r; j++)
			r = an__pg_result_add(
				c->x.result, PQgetvalue(res, i, j),
				PQgetisnull(res, i, j) ? -1 : PQgetlength(res, i, j));
		an__pg_result_end_row(c->x.result);
	}
	if (!r && !c->x.stream &&
	    (c->x.result->rows > o->result_rows ||
	     an__pg_result_size(c->x.result) > o->result_bytes))
		r = AN_ERR_LIMIT;
	return r;
}

static void wake_waiter(an_pg_conn *c, int result)
{
	an__waiter *w = c->x.waiter;

	c->x.waiter = NULL;
	if (w)
		an__wake(w, result);
}

/* The answer cannot be kept. Its task is told at once, and abandons the exchange when it
 * runs. */
static void overflow(an_pg_conn *c, int code)
{
	c->x.over = true;
	c->x.keep = false;
	c->x.error = code;
	c->x.result = an_pg_result_free(c->x.result);
	an__pg_error_set(&c->error, code, AN_PG_SENT_UNKNOWN,
			 code == -ENOMEM ? "53200" : "54000",
			 code == -ENOMEM ? "no memory for the result"
					 : "the result is larger than result_rows or "
					   "result_bytes allows");
	wake_waiter(c, code);
}

static void take_rows(an_pg_conn *c, const PGresult *res)
{
	int r;

	if (!c->x.keep || c->x.error)
		return;
	r = append_rows(c, res);
	if (r) {
		overflow(c, r);
		return;
	}
	if (c->x.stream && (c->x.result->rows >= BATCH_ROWS ||
			    an__pg_result_size(c->x.result) >= BATCH_BYTES)) {
		c->x.paused = true;
		event_del(&c->read);
		wake_waiter(c, 0);
	}
}

static void take_end(an_pg_conn *c, PGresult *res)
{
	c->x.affected = strtoull(PQcmdTuples(res), NULL, 10);
	an__pg_text_copy(c->x.tag, sizeof(c->x.tag), PQcmdStatus(res));
	/* Without rows this is where the columns are seen. */
	take_rows(c, res);
}

static void take_error(an_pg_conn *c, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	if (c->x.error || (!state && PQstatus(c->pg) == CONNECTION_BAD))
		return; /* the loss is handled as such */
	c->x.error = AN_ERR_SQL;
	c->x.result = an_pg_result_free(c->x.result);
	if (!state)
		state = "";
	/* 0A000 says many things; this one comes from the check of a cached plan. */
	c->x.stale =
		!strcmp(state, "26000") || (!strcmp(state, "0A000") && function &&
					    !strcmp(function, "RevalidateCachedQuery"));
	/* The server was demoted: the pool is to look for the one that writes now. */
	if (c->settings->writable && !strcmp(state, "25006"))
		c->end_of_life = 0;
	if (c->state != AN__PG_DRAINING)
		an__pg_error_from_result(&c->error, AN_ERR_SQL, AN_PG_SENT_UNKNOWN, res,
					 "XX000");
}

static void take_result(an_pg_conn *c, PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_SINGLE_TUPLE:
		take_rows(c, res);
		break;
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		take_end(c, res);
		break;
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		/* Another protocol begins here, which nobody is ready for. */
		an__pg_conn_lose(c, "0A000", "COPY cannot be run by this call");
		break;
	case PGRES_BAD_RESPONSE:
	case PGRES_FATAL_ERROR:
		take_error(c, res);
		break;
	case PGRES_NONFATAL_ERROR: /* not made by PQgetResult() */
	case PGRES_PIPELINE_SYNC:  /* no pipelines here */
	case PGRES_PIPELINE_ABORTED:
		break;
	}
}

/* ReadyForQuery. */
static void end_exchange(an_pg_conn *c)
{
	an__waiter *drained = c->drained;

	c->x.running = false;
	if (c->x.result)
		c->x.result->affected = c->x.affected;
	if (c->state == AN__PG_BUSY)
		an__pg_conn_move(c, AN__PG_READY);
	wake_waiter(c, c->x.error);
	if (drained)
		an__wake(drained, 0);
}

/* Takes what libpq has parsed; `dead`: the socket is gone, so nothing can block any
 * more. */
static void take_results(an_pg_conn *c, bool dead)
{
	PGresult *res;

	while (c->x.running && !c->x.paused && c->pg && (dead || !PQisBusy(c->pg))) {
		res = PQgetResult(c->pg);
		if (!res) {
			if (PQstatus(c->pg) != CONNECTION_BAD)
				end_exchange(c);
			return;
		}
		take_result(c, res);
		PQclear(res);
	}
}

/* ---- events ------------------------------------------------------------------------ */

static bool flush(an_pg_conn *c)
{
	int r = PQflush(c->pg);

	if (r > 0)
		event_add(&c->write, NULL);
	else
		event_del(&c->write);
	return r >= 0;
}

/* Decrypted bytes may lie in OpenSSL while the descriptor is silent. */
static bool consume(an_pg_conn *c)
{
	SSL *ssl;

	if (!PQconsumeInput(c->pg))
		return false;
	ssl = PQsslInUse(c->pg) ? PQsslStruct(c->pg, "OpenSSL") : NULL;
	while (ssl && SSL_pending(ssl) > 0)
		if (!PQconsumeInput(c->pg))
			return false;
	return true;
}

static bool is_open(const an_pg_conn *c)
{
	return c->state == AN__PG_READY || c->state == AN__PG_BUSY ||
	       c->state == AN__PG_DRAINING;
}

static void on_read(evutil_socket_t fd, short events, void *arg)
{
	an_pg_conn *c = arg;
	bool alive;

	(void)fd;
	(void)events;
	an__pg_conn_ref(c);
	alive = consume(c);
	take_results(c, false);
	if (is_open(c))
		take_notifications(c);
	if (is_open(c) && c->fatal_state[0] && !c->x.running)
		alive = false; /* the socket's end follows, but a task may come first */
	if (is_open(c) && (!alive || PQstatus(c->pg) == CONNECTION_BAD)) {
		take_results(c, PQstatus(c->pg) == CONNECTION_BAD);
		an__pg_conn_lose(c, NULL, NULL);
	} else if (is_open(c) && c->x.running && !flush(c)) {
		an__pg_conn_lose(c, NULL, NULL);
	}
	an__pg_conn_unref(c);
}

static void on_write(evutil_socket_t fd, short events, void *arg)
{
	an_pg_conn *c = arg;

	(void)fd;
	(void)events;
	if (!flush(c))
		an__pg_conn_lose(c, NULL, NULL);
}

void an__pg_conn_ready(an_pg_conn *c)
{
	struct event_base *base = an_loop_base(c->loop);
	int fd = PQsocket(c->pg);

	PQsetnonblocking(c->pg, 1);
	PQsetErrorVerbosity(c->pg, PQERRORS_TERSE); /* the fields are read one by one */
	event_assign(&c->read, base, fd, EV_READ | EV_PERSIST, on_read, c);
	event_assign(&c->write, base, fd, EV_WRITE | EV_PERSIST, on_write, c);
	c->has_events = true;
	event_add(&c->read, NULL);
	an__pg_conn_move(c, AN__PG_READY);
}

/* ---- loss and closing -------------------------------------------------------------- */

static void explain_loss(an_pg_conn *c, const char *sqlstate, const char *message)
{
	an_pg_sent sent = c->x.running ? AN_PG_SENT_UNKNOWN : AN_PG_SENT_NO;

	if (c->x.running && c->x.error == AN_ERR_SQL) {
		/* The server said why (57P01) before it hung up. */
		c->error.code = AN_ERR_PG_CONNECTION;
		return;
	}
	if (!sqlstate && c->fatal_state[0]) {
		sqlstate = c->fatal_state;
		message = c->fatal_message;
	}
	an__pg_error_set(&c->error, AN_ERR_PG_CONNECTION, sent,
			 sqlstate ? sqlstate : "08006",
			 message ? message : PQerrorMessage(c->pg));
	if (c->fatal_state[0])
		strcpy(c->error.severity, "FATAL");
}

static void wake_for_loss(an_pg_conn *c)
{
	an__waiter *drained = c->drained;

	if (c->x.running) {
		c->x.running = c->x.paused = false;
		c->x.error = AN_ERR_PG_CONNECTION;
		c->x.result = an_pg_result_free(c->x.result);
	}
	wake_waiter(c, AN_ERR_PG_CONNECTION);
	if (drained)
		an__wake(drained, AN_ERR_PG_CONNECTION);
	an__wake_all(&c->activity, AN_ERR_PG_CONNECTION);
}

void an__pg_conn_lose(an_pg_conn *c, const char *sqlstate, const char *message)
{
	if (!is_open(c))
		return;
	an__pg_conn_ref(c);
	explain_loss(c, sqlstate, message);
	stop_events(c);
	/* So that a server that lives ends its backend now, not when the owner closes. */
	if (PQsocket(c->pg) >= 0)
		shutdown(PQsocket(c->pg), SHUT_WR);
	an__pg_conn_move(c, AN__PG_BROKEN);
	wake_for_loss(c);
	if (c->owner && c->owner->lost)
		c->owner->lost(c);
	an__pg_conn_unref(c);
}

static void close_done(an_pg_conn *c)
{
	stop_events(c);
	if (c->closing_fd > 0)
		close(c->closing_fd);
	c->closing_fd = 0;
	an__timer_disarm(&c->timer);
	if (c->owner && c->owner->closed)
		c->owner->closed(c);
}

static void close_timer_fired(an__timer *timer)
{
	close_done(an__container(timer, an_pg_conn, timer));
}

static void on_close_read(evutil_socket_t fd, short events, void *arg)
{
	char scratch[4096];
	ssize_t n;

	(void)events;
	n = recv((int)fd, scratch, sizeof(scratch), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	close_done(arg);
}

/* PQfinish() says goodbye and closes its descriptor. A second one to the same socket
 * shows when the server has closed its side: its backend has then left the server's
 * tables. */
void an__pg_conn_shut(an_pg_conn *c)
{
	int fd = c->pg ? PQsocket(c->pg) : -1;

	if (c->state == AN__PG_CLOSING)
		return;
	stop_events(c);
	fd = fd >= 0 ? dup(fd) : -1;
	PQfinish(c->pg);
	c->pg = NULL;
	an__pg_conn_move(c, AN__PG_CLOSING);
	wake_for_loss(c);
	if (fd < 0) {
		close_done(c);
		return;
	}
	shutdown(fd, SHUT_WR);
	c->closing_fd = fd;
	event_assign(&c->read, an_loop_base(c->loop), fd, EV_READ | EV_PERSIST,
		     on_close_read, c);
	event_add(&c->read, NULL);
	an__timer_arm(&c->timer, an_now() + CLOSE_GRACE);
}

/* ---- calls ------------------------------------------------------------------------- */

int an__pg_call_begin(an_pg_conn *c)
{
	an__waiter w;
	int r = an__wait_check();

	while (!r && is_open(c) && c->cleaning)
		r = an__wait(&w, &c->clean, &for_reset);
	if (r < 0) {
		an__pg_error_set(&c->error, r, AN_PG_SENT_NO, "", an_strerror(r));
		return r;
	}
	if (c->in_call)
		return -EBUSY;
	if (c->state != AN__PG_READY) {
		c->error.code = AN_ERR_PG_CONNECTION;
		c->error.sent = AN_PG_SENT_NO;
		return AN_ERR_PG_CONNECTION;
	}
	c->in_call = true;
	an__pg_conn_ref(c);
	return 0;
}

int an__pg_call_end(an_pg_conn *c, int result)
{
	c->in_call = false;
	an__pg_conn_unref(c);
	return result;
}

int an__pg_exchange_start(an_pg_conn *c, int sent, bool keep, bool stream)
{
	/* Lost right behind the exchange before it in the same call. libpq may not know
	 * yet, and nobody would hear of an answer. */
	if (c->state != AN__PG_READY)
		return AN_ERR_PG_CONNECTION;
	if (!sent) {
		/* libpq refuses for want of memory, or because the connection is gone. */
		if (PQstatus(c->pg) == CONNECTION_BAD) {
			an__pg_conn_lose(c, NULL, NULL);
			return AN_ERR_PG_CONNECTION;
		}
		an__pg_error_set(&c->error, -ENOMEM, AN_PG_SENT_NO, "53200",
				 PQerrorMessage(c->pg));
		return -ENOMEM;
	}
	an_pg_result_free(c->x.result);
	c->x = (an__pg_exchange){ .running = true, .keep = keep, .stream = stream };
	/* Row by row, whoever asks: what is not wanted is then dropped as it comes. */
	PQsetSingleRowMode(c->pg);
	an__pg_conn_move(c, AN__PG_BUSY);
	if (!flush(c)) {
		an__pg_conn_lose(c, NULL, NULL);
		return AN_ERR_PG_CONNECTION;
	}
	return 0;
}

int an__pg_exchange_wait_kept(an_pg_conn *c)
{
	an__waiter w;
	int r;

	if (!c->x.running || c->x.paused)
		return c->x.error;
	c->x.waiter = &w;
	r = an__wait(&w, NULL, &for_result);
	c->x.waiter = NULL;
	/* What arrived in the same turn as a cancellation has happened. */
	if (r < 0 && (!c->x.running || c->x.paused))
		return c->x.error;
	return r;
}

int an__pg_exchange_wait(an_pg_conn *c)
{
	int r = an__pg_exchange_wait_kept(c);

	if (r < 0 && c->x.running) {
		if (r == -ECANCELED)
			an__pg_error_set(&c->error, r, AN_PG_SENT_UNKNOWN, "57014",
					 "cancelled while the statement ran");
		an__pg_exchange_abandon(c);
	}
	return r;
}

void an__pg_exchange_resume(an_pg_conn *c)
{
	if (!c->x.paused)
		return;
	an__pg_result_clear(c->x.result);
	c->x.paused = false;
	take_results(c, false);
	if (c->x.running && !c->x.paused && is_open(c))
		event_add(&c->read, NULL);
	else if (!c->x.running && c->state == AN__PG_READY)
		event_add(&c->read, NULL);
}

void an__pg_exchange_abandon(an_pg_conn *c)
{
	if (!c->x.running)
		return;
	c->x.keep = c->x.stream = false;
	c->x.result = an_pg_result_free(c->x.result);
	an__pg_conn_move(c, AN__PG_DRAINING);
	if (c->owner && c->owner->cancelled)
		c->owner->cancelled(c);
	if (an__pg_clean_spawn(c) < 0) {
		an__pg_conn_lose(c, "53200",
				 "no memory to clean up after a cancelled query");
	} else if (c->x.paused) {
		c->x.paused = false;
		event_add(&c->read, NULL);
		take_results(c, false); /* all of it may have been read already */
	}
}

an_pg_result *an__pg_exchange_take(an_pg_conn *c)
{
	an_pg_result *r = c->x.result;

	c->x.result = NULL;
	return r;
}

int an__pg_simple(an_pg_conn *c, const char *sql)
{
	int r = an__pg_exchange_start(c, PQsendQuery(c->pg, sql), false, false);

	return r < 0 ? r : an__pg_exchange_wait(c);
}

int an__pg_simple_kept(an_pg_conn *c, const char *sql)
{
	int r = an__pg_exchange_start(c, PQsendQuery(c->pg, sql), false, false);

	return r < 0 ? r : an__pg_exchange_wait_kept(c);
}
