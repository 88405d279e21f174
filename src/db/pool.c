/* The pool. L4.
 *
 * A slot is a permit of `slots`, held by a connection from the start of connecting until
 * the server has closed it, whatever happens to it in between: so there are never more
 * backends than slots.
 *
 * Each connection is in one place, which names the list it is on; move() is the only one
 * that moves it:
 *
 *	(connector) --connected--> IDLE | LENT
 *	IDLE --acquired--> LENT --released clean--> IDLE | LENT (to the next in line)
 *	LENT --released dirty--> CLEANING --clean--> IDLE | LENT
 *	IDLE, LENT, CLEANING --dead, too old, too many, shut--> CLOSING
 *	CLOSING --closed by the server--> gone
 *
 * `waiters`: tasks in an_pg_acquire(), oldest first; woken by give(), with a connection,
 * or by fail_waiters(). While there are any, nothing is idle. A connection is handed over
 * by writing it into the waiter: a waiter that was cancelled before is not on the list
 * any more, one that is cancelled after has it.
 */
#include "config.h"

#include "db/pool.h"
#include "loop/base/alloc.h"

#include "db/conn.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_permit = { .what = "a connection of a pool" };
static const an__wait_kind for_last = { .what = "the last connection of a pool" };

enum place { IDLE, LENT, CLEANING, CLOSING, PLACES };

typedef struct connector {
	an__list node;
	an_pg_pool *pool;
	an_task *task; /* NULL: has not begun */
} connector;

struct an_pg_pool {
	unsigned refs; /* the user, each connection, connector and waiter */
	bool shut;
	bool freed; /* by the user */
	an_loop *loop;
	an__list in_loop;
	an__pg_settings *settings;
	an_pg_pool_opts opts;
	char *reset;
	an_semaphore slots;
	an__list places[PLACES]; /* IDLE: the most recently used first */
	unsigned counts[PLACES];
	an__list connectors;
	unsigned connecting;
	an__waiters waiters;
	unsigned waiting;
	an__waiters empty; /* an_pg_pool_shutdown() */
	unsigned failures; /* to connect, in a row */
	an_duration retry_at;
	an_pg_error connect_error;
	an_pg_error error;
	an__timer timer; /* the next attempt, or the next idle connection to end */
	an_pg_pool_stats stats;
};

typedef struct claim {
	an__waiter waiter;
	an_pg_pool *pool;
	an_pg_conn *conn;
} claim;

static const an__pg_owner owner;

static void fill(an_pg_pool *p);
static void settle(an_pg_pool *p);
static void start_cleaning(an_pg_conn *c);

/* ---- places ------------------------------------------------------------------------ */

static an_pg_pool *pool_of(const an_pg_conn *c)
{
	return c->owner_data;
}

static void enter(an_pg_conn *c, enum place place)
{
	an_pg_pool *p = pool_of(c);

	c->place = place;
	c->since = an_now();
	an__list_push_front(&p->places[place], &c->node);
	p->counts[place]++;
}

static void leave(an_pg_conn *c)
{
	an__list_remove(&c->node);
	pool_of(c)->counts[c->place]--;
}

static void move(an_pg_conn *c, enum place place)
{
	leave(c);
	enter(c, place);
}

/* Connections that can come back to be lent. */
static unsigned usable(const an_pg_pool *p)
{
	return p->counts[IDLE] + p->counts[LENT] + p->counts[CLEANING];
}

static unsigned total(const an_pg_pool *p)
{
	return usable(p) + p->counts[CLOSING] + p->connecting;
}

static void pool_unref(an_pg_pool *p)
{
	if (--p->refs)
		return;
	an__timer_done(&p->timer);
	an__list_remove(&p->in_loop);
	an__pg_settings_unref(p->settings);
	free(p->reset);
	free(p);
}

/* ---- closing ----------------------------------------------------------------------- */

static void retire(an_pg_conn *c)
{
	move(c, CLOSING);
	an__pg_conn_shut(c);
}

static void slot_free(an_pg_pool *p)
{
	an_semaphore_release(&p->slots);
	if (!total(p))
		an__wake_all(&p->empty, 0);
	settle(p);
}

static void on_closed(an_pg_conn *c)
{
	an_pg_pool *p = pool_of(c);

	leave(c);
	c->owner = NULL;
	an__pg_conn_unref(c);
	slot_free(p);
	pool_unref(p);
}

static void on_lost(an_pg_conn *c)
{
	an_pg_pool *p = pool_of(c);

	p->stats.died++;
	if (c->place == IDLE)
		retire(c);
}

static void on_cancelled(an_pg_conn *c)
{
	pool_of(c)->stats.cancelled++;
}

/* ---- lending ----------------------------------------------------------------------- */

static void lend(an_pg_conn *c, const char *holder)
{
	an_pg_pool *p = pool_of(c);

	c->released = false;
	an__pg_text_copy(c->holder, sizeof(c->holder), holder);
	p->stats.acquired++;
}

/* A clean connection is free: to the first in line, or to the idle ones. It is on no
 * list. */
static void give(an_pg_conn *c)
{
	an_pg_pool *p = pool_of(c);
	an__waiter *w = an__waiters_first(&p->waiters);
	claim *claimed;

	if (p->shut || !an_pg_conn_alive(c) || an_now() >= c->end_of_life) {
		if (!p->shut && an_pg_conn_alive(c))
			p->stats.expired++;
		enter(c, CLOSING);
		an__pg_conn_shut(c);
		return;
	}
	if (!w) {
		enter(c, IDLE);
		settle(p);
		return;
	}
	enter(c, LENT);
	claimed = an__container(w, claim, waiter);
	claimed->conn = c;
	p->waiting--;
	an__wake(w, 0);
}

static void fail_waiters(an_pg_pool *p, int code)
{
	p->waiting = 0;
	an__wake_all(&p->waiters, code);
}

static void waiter_cancelled(an__waiter *w)
{
	an__container(w, claim, waiter)->pool->waiting--;
}

/* Nobody can be expected to bring a connection before the backoff is over. */
static bool is_down(const an_pg_pool *p)
{
	return p->failures && !p->connecting && !usable(p) && an_now() < p->retry_at;
}

static int wait_for_turn(an_pg_pool *p, an_pg_conn **ret)
{
	claim c = { .pool = p };
	an_duration began = an_now();
	int r;

	p->waiting++;
	fill(p);
	if (is_down(p)) { /* not even a task could be made */
		p->waiting--;
		return p->connect_error.code;
	}
	p->stats.acquire_waits++;
	p->refs++;
	r = an__wait_with(&c.waiter, &p->waiters, AN_FOREVER, waiter_cancelled,
			  &for_permit);
	p->stats.acquire_waited += an_now() - began;
	pool_unref(p);
	if (!r)
		*ret = c.conn;
	return r;
}

static int acquire(an_pg_pool *p, an_pg_conn **ret)
{
	an__list *n = p->places[IDLE].next;

	if (p->shut)
		return AN_ERR_CLOSED;
	if (n != &p->places[IDLE]) {
		*ret = an__container(n, an_pg_conn, node);
		move(*ret, LENT);
		return 0;
	}
	if (p->waiting >= p->opts.max_waiting) {
		p->stats.rejected++;
		return -EAGAIN;
	}
	if (is_down(p))
		return p->connect_error.code;
	return wait_for_turn(p, ret);
}

int an_pg_acquire(an_pg_pool *p, an_pg_conn **ret)
{
	an_pg_conn *c = NULL;
	int r = an__wait_check();

	if (r < 0)
		return r;
	p->refs++;
	r = acquire(p, &c);
	if (!r) {
		lend(c, an_task_name(an_current()));
		*ret = c;
	} else if (r == p->connect_error.code) {
		p->error = p->connect_error;
	} else {
		an__pg_error_set(&p->error, r, AN_PG_SENT_NO, "", an_strerror(r));
	}
	pool_unref(p);
	return r;
}

an_pg_conn *an_pg_release(an_pg_conn *c)
{
	if (!c)
		return NULL;
	if (!c->owner)
		return an_pg_close(c);
	if (c->in_call) /* of another task, or rows that were not ended */
		an__pg_conn_lose(c, "08003", "released while a call was running on it");
	c->depth = 0;
	if (c->state == AN__PG_BROKEN) {
		retire(c);
	} else if (c->cleaning) {
		c->released = true;
		move(c, CLEANING);
	} else if (PQtransactionStatus(c->pg) != PQTRANS_IDLE || pool_of(c)->reset) {
		start_cleaning(c);
	} else {
		leave(c);
		give(c);
	}
	return NULL;
}

/* ---- cleaning ---------------------------------------------------------------------- */

static int reset(an_pg_conn *c)
{
	const an_pg_pool *p = pool_of(c);
	int r = 0;

	if (PQtransactionStatus(c->pg) != PQTRANS_IDLE)
		r = an__pg_simple_kept(c, "ROLLBACK");
	if (!r && p->reset)
		r = an__pg_simple_kept(c, p->reset);
	if (!r && c->state == AN__PG_READY && PQtransactionStatus(c->pg) != PQTRANS_IDLE)
		r = AN_ERR_MISUSE; /* opts.reset began a transaction */
	return r;
}

/* In a task that works for a released connection. */
static void on_cleaned(an_pg_conn *c)
{
	an_timeout budget;
	int r = 0;

	c->cleaning = true;
	an_timeout_begin(&budget, c->settings->opts.cancel_budget);
	if (c->state == AN__PG_READY)
		r = reset(c);
	r = an_timeout_end(&budget, r);
	c->cleaning = false;
	if (c->place != CLEANING)
		return; /* closed meanwhile */
	if (r < 0 || c->state != AN__PG_READY) {
		retire(c);
		return;
	}
	pool_of(c)->stats.cleaned++;
	leave(c);
	give(c);
}

static int clean_task(void *arg)
{
	an_pg_conn *c = arg;

	on_cleaned(c);
	an__pg_conn_unref(c);
	return 0;
}

static void start_cleaning(an_pg_conn *c)
{
	an__pg_conn_ref(c);
	c->cleaning = c->released = true;
	move(c, CLEANING);
	if (an_spawn(clean_task, c, &(an_task_opts){ .name = "pg-reset" }, NULL) < 0) {
		c->cleaning = false;
		retire(c);
		an__pg_conn_unref(c);
	}
}

/* ---- connecting -------------------------------------------------------------------- */

static void connect_failed(an_pg_pool *p, const an_pg_error *error, int code)
{
	p->failures++;
	p->stats.connect_failures++;
	p->retry_at =
		an_now() + an__pg_jitter(an__pg_backoff(p->failures, p->opts.backoff_min,
							p->opts.backoff_max));
	p->connect_error = *error;
	p->connect_error.code = code;
}

static void connected(an_pg_pool *p, an_pg_conn *c)
{
	an_duration life = p->opts.max_lifetime;

	p->failures = 0;
	p->stats.connects++;
	c->end_of_life = AN_FOREVER;
	if (life != AN_FOREVER)
		c->end_of_life = an_now() + life - an__pg_jitter(life / 15);
	c->owner = &owner;
	c->owner_data = p;
	p->refs++;
	give(c);
}

static void connector_done(connector *n)
{
	an__list_remove(&n->node);
	n->pool->connecting--;
	free(n);
}

static int connect_one(an_pg_pool *p, an_pg_conn **ret, an_pg_error *error)
{
	an_pg_conn *c;
	int r = p->shut ? AN_ERR_CLOSED : an__pg_conn_new(p->settings, &c);

	if (r < 0)
		return r;
	r = an__pg_connect(c);
	if (r < 0) {
		*error = c->error;
		an__pg_conn_unref(c);
	} else {
		*ret = c;
	}
	return r;
}

static int connector_task(void *arg)
{
	connector *n = arg;
	an_pg_pool *p = n->pool;
	an_pg_error error = { 0 };
	an_pg_conn *c = NULL;
	int r;

	n->task = an_current();
	r = connect_one(p, &c, &error);
	connector_done(n);
	if (!r) {
		connected(p, c);
		settle(p);
	} else {
		connect_failed(p, &error, r);
		slot_free(p);
	}
	pool_unref(p);
	return 0;
}

static int start_connector(an_pg_pool *p)
{
	connector *n = an__malloc(sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	*n = (connector){ .pool = p };
	an__list_push(&p->connectors, &n->node);
	p->connecting++;
	p->refs++;
	r = an_spawn(connector_task, n, &(an_task_opts){ .name = "pg-connect" }, NULL);
	if (r < 0) {
		connector_done(n);
		p->refs--;
	}
	return r;
}

static bool wants_more(const an_pg_pool *p)
{
	unsigned limit = p->failures ? 1 : p->opts.max_connecting;

	if (p->shut || p->connecting >= limit)
		return false;
	return p->waiting > p->connecting || usable(p) + p->connecting < p->opts.min_size;
}

/* Opens connections as long as somebody wants them and the server is not known to
 * refuse. */
static void fill(an_pg_pool *p)
{
	an_pg_error error;
	int r;

	while (wants_more(p) && !(p->failures && an_now() < p->retry_at)) {
		if (an_semaphore_tryacquire(&p->slots) < 0)
			return;
		r = start_connector(p);
		if (r < 0) {
			an_semaphore_release(&p->slots);
			an__pg_error_set(&error, r, AN_PG_SENT_NO, "53200",
					 an_strerror(r));
			connect_failed(p, &error, r);
		}
	}
}

/* ---- time -------------------------------------------------------------------------- */

/* When an idle connection has to end. */
static an_duration end_of_idling(const an_pg_pool *p, const an_pg_conn *c)
{
	an_duration end = AN_FOREVER;

	if (p->opts.idle_timeout != AN_FOREVER && usable(p) > p->opts.min_size)
		end = c->since + p->opts.idle_timeout;
	return end < c->end_of_life ? end : c->end_of_life;
}

static void arm_timer(an_pg_pool *p)
{
	an_duration at = AN_FOREVER, end;
	const an__list *head = &p->places[IDLE];

	for (const an__list *n = head->next; n != head; n = n->next) {
		end = end_of_idling(p, an__container(n, an_pg_conn, node));
		at = end < at ? end : at;
	}
	if (p->failures && wants_more(p) && p->retry_at < at)
		at = p->retry_at;
	if (at == AN_FOREVER)
		an__timer_disarm(&p->timer);
	else
		an__timer_arm(&p->timer, at);
}

static void on_timer(an__timer *timer)
{
	an_pg_pool *p = an__container(timer, an_pg_pool, timer);
	an__list *head = &p->places[IDLE], *n, *before;
	an_duration now = an_now();

	p->refs++;
	for (n = head->prev; n != head; n = before) {
		an_pg_conn *c = an__container(n, an_pg_conn, node);

		before = n->prev;
		if (end_of_idling(p, c) <= now) {
			p->stats.expired++;
			retire(c);
		}
	}
	settle(p);
	pool_unref(p);
}

/* After each change: opens what is wanted, tells those whose wait has become hopeless,
 * sets the timer. */
static void settle(an_pg_pool *p)
{
	fill(p);
	if (p->waiting && is_down(p))
		fail_waiters(p, p->connect_error.code);
	if (!p->shut)
		arm_timer(p);
}

/* ---- made and freed ---------------------------------------------------------------- */

static const an__pg_owner owner = {
	.lost = on_lost,
	.closed = on_closed,
	.cancelled = on_cancelled,
	.cleaned = on_cleaned,
};

static void fill_defaults(an_pg_pool_opts *o)
{
	if (!o->max_size)
		o->max_size = 10;
	if (!o->max_waiting)
		o->max_waiting = 1024;
	if (!o->max_connecting)
		o->max_connecting = 2;
	if (o->idle_timeout <= 0)
		o->idle_timeout = 5 * AN_MINUTE;
	if (o->max_lifetime <= 0)
		o->max_lifetime = AN_HOUR;
	if (o->backoff_min <= 0)
		o->backoff_min = 100 * AN_MILLISECOND;
	if (o->backoff_max <= 0)
		o->backoff_max = 5 * AN_SECOND;
}

static int pool_init(an_pg_pool *p, an__pg_local *local)
{
	if (p->opts.reset) {
		p->reset = an__strdup(p->opts.reset);
		if (!p->reset)
			return -ENOMEM;
	}
	if (an__timer_init(&p->timer, p->loop, on_timer) < 0) {
		free(p->reset);
		return -ENOMEM;
	}
	p->refs = 1;
	an_semaphore_init(&p->slots, p->opts.max_size, p->opts.max_size);
	for (int i = 0; i < PLACES; i++)
		an__list_init(&p->places[i]);
	an__list_init(&p->connectors);
	an__list_init(&p->in_loop);
	an__list_push(&local->pools, &p->in_loop);
	return 0;
}

int an_pg_pool_new(const an_pg_pool_opts *opts, an_pg_pool **ret)
{
	an_loop *loop = an_loop_current();
	an__pg_local *local = loop ? an__pg_local_get(loop) : NULL;
	an_pg_pool *p;
	int r;

	if (!loop)
		return AN_ERR_NO_TASK;
	p = local ? an__calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return -ENOMEM;
	p->loop = loop;
	if (opts)
		p->opts = *opts;
	fill_defaults(&p->opts);
	r = p->opts.min_size > p->opts.max_size ? -EINVAL : 0;
	if (!r)
		r = an__pg_settings_new(&p->opts.conn, NULL, &p->settings);
	if (!r)
		r = pool_init(p, local);
	if (r < 0) {
		an__pg_settings_unref(p->settings);
		free(p);
		return r;
	}
	settle(p);
	*ret = p;
	return 0;
}

/* What is lent stays; all else ends. */
static void shut(an_pg_pool *p)
{
	an__list *n, *next;

	p->shut = true;
	an__timer_disarm(&p->timer);
	fail_waiters(p, AN_ERR_CLOSED);
	while ((n = p->places[IDLE].next) != &p->places[IDLE])
		retire(an__container(n, an_pg_conn, node));
	for (n = p->connectors.next; n != &p->connectors; n = next) {
		next = n->next;
		/* One that has not begun sees that the pool is shut; cancelled, it would
		 * not even begin, and its slot would be lost. */
		an_cancel(an__container(n, connector, node)->task);
	}
}

an_pg_pool *an_pg_pool_free(an_pg_pool *p)
{
	if (!p)
		return NULL;
	if (!p->shut)
		shut(p);
	p->freed = true;
	pool_unref(p);
	return NULL;
}

int an_pg_pool_shutdown(an_pg_pool *p)
{
	an__waiter w;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!p->shut)
		shut(p);
	if (!total(p))
		return 0;
	return an__wait(&w, &p->empty, &for_last);
}

/* Connections in CLEANING and CLOSING, and connectors: their tasks and events are no
 * more. */
void an__pg_pool_loop_ends(an__list *node)
{
	an_pg_pool *p = an__container(node, an_pg_pool, in_loop);
	an__list *n;

	p->shut = true;
	p->refs++;
	while ((n = p->connectors.next) != &p->connectors) {
		connector_done(an__container(n, connector, node));
		p->refs--;
	}
	for (int place = CLEANING; place <= CLOSING; place++) {
		while ((n = p->places[place].next) != &p->places[place]) {
			an_pg_conn *c = an__container(n, an_pg_conn, node);

			leave(c);
			c->refs = 1;
			an__pg_conn_unref(c);
			p->refs--;
		}
	}
	an__list_remove(&p->in_loop);
	pool_unref(p);
}

/* ---- the rest ---------------------------------------------------------------------- */

void an__pg_pool_note(an_pg_pool *p, const an_pg_error *error)
{
	p->error = *error;
}

const an_pg_error *an_pg_pool_error(const an_pg_pool *p)
{
	return &p->error;
}

int an_pg_pool_query(an_pg_pool *p, const char *sql, const an_pg_params *params,
		     an_pg_result **ret)
{
	unsigned tries = p->opts.max_size + 1; /* all of them may have died at once */
	an_pg_conn *c;
	bool again;
	int r;

	do {
		r = an_pg_acquire(p, &c);
		if (r < 0)
			return r;
		r = an_pg_query(c, sql, params, ret);
		again = r == AN_ERR_PG_CONNECTION && c->error.sent == AN_PG_SENT_NO;
		if (r < 0)
			p->error = c->error;
		an_pg_release(c);
	} while (again && --tries);
	return r;
}

void an_pg_pool_get_stats(const an_pg_pool *p, an_pg_pool_stats *ret)
{
	const an__list *oldest = p->places[LENT].prev;
	an_pg_pool_stats s = p->stats;

	s.max_size = p->opts.max_size;
	s.lent = p->counts[LENT];
	s.idle = p->counts[IDLE];
	s.connecting = p->connecting;
	s.cleaning = p->counts[CLEANING];
	s.closing = p->counts[CLOSING];
	s.waiting = p->waiting;
	s.failing = p->failures != 0;
	if (oldest != &p->places[LENT]) {
		const an_pg_conn *c = an__container(oldest, an_pg_conn, node);

		an__pg_text_copy(s.oldest_holder, sizeof(s.oldest_holder), c->holder);
		s.oldest_held = an_now() - c->since;
	}
	*ret = s;
}
