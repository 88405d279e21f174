/* The pool: lending, limits, cancellation, faults of the server. */
#include "tests/integration/pg-support.h"

/* Backends of the pools under test; the statement's own connection is another
 * application. */
#define BACKENDS "select count(*) from pg_stat_activity where application_name = 'pool'"

static char pool_conninfo[320];

static int new_pool(an_pg_pool_opts opts, an_pg_pool **ret)
{
	snprintf(pool_conninfo, sizeof(pool_conninfo), "%s application_name=pool",
		 pg_conninfo);
	opts.conn.conninfo = pool_conninfo;
	/* A machine that is busy must not make a difference. */
	if (!opts.conn.cancel_budget)
		opts.conn.cancel_budget = 30 * AN_SECOND;
	return an_pg_pool_new(&opts, ret);
}

static an_pg_pool_stats stats_of(const an_pg_pool *pool)
{
	an_pg_pool_stats s;

	an_pg_pool_get_stats(pool, &s);
	return s;
}

/* All slots are free once the pool is shut: nothing was lost on the way. */
static int end_pool(an_pg_pool *pool)
{
	int r = an_pg_pool_shutdown(pool);
	an_pg_pool_stats s = stats_of(pool);

	an_pg_pool_free(pool);
	if (s.lent || s.idle || s.connecting || s.cleaning || s.closing || s.waiting)
		return CHECK_FAILED;
	return r;
}

/* ---- lending ----------------------------------------------------------------------- */

PG_TEST(connections_are_opened_when_needed_and_reused)
{
	an_pg_conn *a, *b, *c;
	an_pg_pool *pool;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 3 }, &pool), 0);
	CHECK_EQUAL(stats_of(pool).connects, 0);
	CHECK_EQUAL(an_pg_acquire(pool, &a), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &b), 0);
	CHECK_EQUAL(stats_of(pool).lent, 2);
	CHECK(!strcmp(stats_of(pool).oldest_holder, "main"));
	an_pg_release(a);
	an_pg_release(b);
	CHECK_EQUAL(stats_of(pool).idle, 2);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK(c == b);
	an_pg_release(c);
	CHECK_EQUAL(stats_of(pool).connects, 2);
	CHECK(!an_pg_release(NULL));
	return end_pool(pool);
}

struct turn {
	an_pg_pool *pool;
	int *next;
	int number;
};

static int take_turn(void *arg)
{
	struct turn *t = arg;
	an_pg_conn *c;
	int r = an_pg_acquire(t->pool, &c);

	if (r < 0)
		return r;
	r = (*t->next)++ == t->number ? 0 : CHECK_FAILED;
	if (!r)
		r = (int)pg_number(c, "select 0", NULL);
	an_pg_release(c);
	return r;
}

PG_TEST(waiting_tasks_are_served_in_their_order)
{
	struct turn turns[20];
	an_pg_pool *pool;
	an_group group;
	int next = 0;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	an_group_begin(&group);
	for (int i = 0; i < 20; i++) {
		turns[i] = (struct turn){ pool, &next, i };
		CHECK_EQUAL(an_group_spawn(&group, take_turn, &turns[i]), 0);
	}
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(stats_of(pool).connects, 1);
	CHECK_EQUAL(stats_of(pool).acquired, 20);
	return end_pool(pool);
}

PG_TEST(too_many_waiting_tasks_are_turned_away)
{
	an_pg_conn *a, *b;
	an_pg_pool *pool;
	an_task *task;
	struct turn t;
	int next = 0, r;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1, .max_waiting = 1 }, &pool),
		    0);
	CHECK_EQUAL(an_pg_acquire(pool, &a), 0);
	t = (struct turn){ pool, &next, 0 };
	CHECK_EQUAL(an_spawn(take_turn, &t, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &b), -EAGAIN);
	CHECK_EQUAL(stats_of(pool).rejected, 1);
	an_pg_release(a);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	return end_pool(pool);
}

PG_TEST(the_minimum_is_opened_in_the_background)
{
	an_pg_pool *pool;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1, .min_size = 2 }, &pool),
		    -EINVAL);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .min_size = 5 }, &pool), 0);
	CHECK_EQUAL(pg_await(c, BACKENDS, 5), 0);
	CHECK_EQUAL(end_pool(pool), 0);
	CHECK_EQUAL(pg_number(c, BACKENDS, NULL), 0);
	an_pg_close(c);
	return 0;
}

PG_TEST(idle_and_old_connections_end)
{
	an_pg_conn *admin, *c;
	an_pg_pool *pool;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .idle_timeout = AN_MILLISECOND }, &pool),
		    0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	an_pg_release(c);
	CHECK_EQUAL(pg_await(admin, BACKENDS, 0), 0);
	CHECK_EQUAL(stats_of(pool).expired, 1);
	CHECK_EQUAL(end_pool(pool), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_lifetime = AN_MILLISECOND }, &pool),
		    0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c, "select 1 from pg_sleep(0.002)", NULL), 1);
	an_pg_release(c);
	CHECK_EQUAL(stats_of(pool).expired, 1);
	CHECK_EQUAL(pg_await(admin, BACKENDS, 0), 0);
	an_pg_close(admin);
	return end_pool(pool);
}

PG_TEST(what_was_left_open_is_rolled_back_before_the_next_user)
{
	an_pg_pool *pool;
	an_pg_conn *c;

	CHECK_EQUAL(
		new_pool((an_pg_pool_opts){ .max_size = 1, .reset = "reset all" }, &pool),
		0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(an_pg_exec(c, "set work_mem = '7MB'"), 0);
	CHECK_EQUAL(an_pg_exec(c, "begin; create table left_open (i int)"), 0);
	an_pg_release(c);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c,
			      "select count(*) from pg_class where relname = 'left_open'",
			      NULL),
		    0);
	CHECK_EQUAL(
		pg_number(c, "select (current_setting('work_mem') = '7MB')::int", NULL),
		0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "select 1/0"), AN_ERR_SQL);
	an_pg_release(c);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_release(c);
	CHECK_EQUAL(stats_of(pool).connects, 1);
	return end_pool(pool);
}

PG_TEST(a_pool_that_is_freed_fails_its_waiters_and_leaves_the_lent)
{
	struct turn t;
	an_pg_pool *pool;
	an_pg_conn *c;
	an_task *task;
	int next = 0, r;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	t = (struct turn){ pool, &next, 0 };
	CHECK_EQUAL(an_spawn(take_turn, &t, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_pg_pool_free(pool);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK_EQUAL(pg_number(c, "select 3", NULL), 3);
	an_pg_release(c);
	return 0;
}

/* ---- cancellation ------------------------------------------------------------------ */

PG_TEST(a_cancelled_query_returns_and_its_connection_is_saved)
{
	an_pg_pool *pool;
	an_timeout limit;
	an_pg_conn *c;
	int pid;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	pid = an_pg_conn_backend_pid(c);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select pg_sleep(1000)")),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_pg_conn_error(c)->sent, AN_PG_SENT_UNKNOWN);
	CHECK_EQUAL(pg_number(c, "select 7", NULL), 7);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select pg_sleep(1000)")),
		    -ETIMEDOUT);
	an_pg_release(c);
	CHECK_EQUAL(stats_of(pool).cleaning, 1);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(an_pg_conn_backend_pid(c), pid);
	CHECK_EQUAL(pg_number(c, "select 8", NULL), 8);
	an_pg_release(c);
	CHECK_EQUAL(stats_of(pool).cancelled, 2);
	CHECK_EQUAL(stats_of(pool).cleaned, 1);
	return end_pool(pool);
}

PG_TEST(a_cancellation_that_comes_before_its_query_is_repeated)
{
	an_pg_conn *admin, *c;
	an_pg_pool *pool;
	an_timeout limit;
	int pid;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	pid = an_pg_conn_backend_pid(c);
	kill(pid, SIGSTOP);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select pg_sleep(1000)")),
		    -ETIMEDOUT);
	/* Gives the first one time to get there; the test holds without, too. */
	CHECK_EQUAL(pg_number(admin, "select 1 from pg_sleep(0.01)", NULL), 1);
	kill(pid, SIGCONT);
	CHECK_EQUAL(pg_number(c, "select 9", NULL), 9);
	CHECK_EQUAL(an_pg_conn_backend_pid(c), pid);
	an_pg_release(c);
	an_pg_close(admin);
	return end_pool(pool);
}

PG_TEST(a_transaction_can_be_rolled_back_in_a_cancelled_scope)
{
	an_pg_pool *pool;
	an_timeout limit;
	an_pg_conn *c;
	int r;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "create table in_tx (i int)"), 0);
	an_timeout_begin(&limit, AN_MILLISECOND);
	r = an_pg_exec(c, "select pg_sleep(1000)");
	CHECK_EQUAL(an_pg_commit(c), -ECANCELED);
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	CHECK_EQUAL(pg_number(c, "select count(*) from pg_class where relname = 'in_tx'",
			      NULL),
		    0);
	an_pg_release(c);
	return end_pool(pool);
}

struct storm {
	an_pg_pool *pool;
	unsigned stray; /* queries that someone else's cancellation hit */
	unsigned timeouts;
	unsigned rounds;
	an_pg_conn *watcher;
	unsigned samples; /* of the number of backends */
	int64_t most;
};

static int storm_round(struct storm *s, unsigned seed)
{
	an_timeout limit;
	an_pg_conn *c;
	int r;

	an_timeout_begin(&limit, (seed * 7919u % 40) * 100 * AN_MICROSECOND);
	r = an_pg_acquire(s->pool, &c);
	if (r == 0) {
		r = an_pg_exec(c, seed % 3 ? "select pg_sleep(0.002)"
					   : "begin; select pg_sleep(0)");
		if (r == AN_ERR_SQL && !strcmp(an_pg_conn_error(c)->sqlstate, "57014"))
			s->stray++;
		an_pg_release(c);
	}
	r = an_timeout_end(&limit, r);
	s->timeouts += r == -ETIMEDOUT;
	s->rounds++;
	return r == -ETIMEDOUT ? 0 : r;
}

static int storm_task(void *arg)
{
	struct storm *s = arg;
	unsigned seed = s->rounds;
	int r = 0;

	for (unsigned i = 0; (i < 3 || s->samples < 10) && !r; i++)
		r = storm_round(s, seed + i * 13 + (unsigned)(an_now() / 1000 % 100));
	return r;
}

static int watch_backends(void *arg)
{
	struct storm *s = arg;
	int64_t n;

	while (s->samples < 10) {
		n = pg_number(s->watcher, BACKENDS, NULL);
		if (n < 0)
			return (int)n;
		s->most = n > s->most ? n : s->most;
		s->samples++;
	}
	return 0;
}

PG_TEST(a_storm_of_cancellations_hits_no_other_query)
{
	struct storm s = { 0 };
	an_group group;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&s.watcher), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 6 }, &s.pool), 0);
	an_group_begin(&group);
	for (int i = 0; i < 200; i++)
		CHECK_EQUAL(an_group_spawn(&group, storm_task, &s), 0);
	CHECK_EQUAL(an_group_spawn(&group, watch_backends, &s), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	for (int i = 0; i < 50; i++) {
		CHECK_EQUAL(an_pg_acquire(s.pool, &c), 0);
		CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
		an_pg_release(c);
	}
	CHECK_EQUAL(s.stray, 0);
	CHECK(s.most <= 6);
	CHECK(s.rounds >= 600 && s.timeouts > 50);
	an_pg_close(s.watcher);
	return end_pool(s.pool);
}

static int acquire_and_release(void *arg)
{
	an_pg_conn *c;
	int r = an_pg_acquire(arg, &c);

	if (r == 0)
		an_pg_release(c);
	return r;
}

PG_TEST(a_connection_handed_to_a_cancelled_task_is_not_lost)
{
	an_pg_pool *pool;
	an_pg_conn *c;
	an_task *task;
	int r;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(an_spawn(acquire_and_release, pool, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_pg_release(c); /* handed over */
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(stats_of(pool).idle, 1);

	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(an_spawn(acquire_and_release, pool, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	an_pg_release(c);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(stats_of(pool).idle, 1);
	return end_pool(pool);
}

static int begin_and_stop(void *arg)
{
	return an_pg_begin(arg, NULL);
}

PG_TEST(a_begin_that_is_cancelled_leaves_no_transaction)
{
	an_pg_conn *c;
	an_task *task;
	int r;

	CHECK_EQUAL(pg_open(&c), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQUAL(an_spawn(begin_and_stop, c, NULL, &task), 0);
		CHECK_EQUAL(an_yield(), 0);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &r), 0);
		CHECK_EQUAL(r, -ECANCELED);
		/* Refused in a transaction. */
		CHECK_EQUAL(an_pg_exec(c, "vacuum pg_am"), 0);
	}
	an_pg_close(c);
	return 0;
}

static int commit_task(void *arg)
{
	return an_pg_commit(arg);
}

PG_TEST(a_commit_that_is_cancelled_still_tells_its_outcome)
{
	an_pg_conn *c, *admin;
	an_task *task;
	int r;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "create table committed (i int)"), 0);
	CHECK_EQUAL(an_spawn(commit_task, c, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_pg_exec(admin, "drop table committed"), 0);
	an_pg_close(admin);
	an_pg_close(c);
	return 0;
}

static int insert_and_look(an_pg_conn *c, void *arg)
{
	int r = an_pg_query(c, "insert into cut values ($1)", AN_PG_PARAMS(an_pg_int8(1)),
			    NULL);

	(void)arg;
	if (!r)
		r = an_pg_begin(c, NULL);
	if (!r)
		r = an_pg_exec(c, "select pg_sleep(0.0005)");
	if (!r)
		r = an_pg_commit(c);
	return r;
}

static int transaction_task(void *arg)
{
	return an_pg_transaction(arg, insert_and_look, NULL, NULL);
}

PG_TEST(a_cancelled_transaction_happens_wholly_or_not_at_all)
{
	unsigned happened = 0, cancelled = 0;
	an_pg_pool *pool;
	an_pg_conn *c;

	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 2 }, &pool), 0);
	CHECK_EQUAL(an_pg_pool_query(pool, "create table cut (i int8)", NULL, NULL), 0);
	/* Later and later, until it was quick enough ten times. */
	for (int i = 0; i < 100 || (happened < 10 && i < 10000); i++) {
		an_timeout limit;
		int r;

		an_timeout_begin(&limit, i * 40 * AN_MICROSECOND);
		r = an_timeout_end(&limit, transaction_task(pool));
		CHECK(r == 0 || r == -ETIMEDOUT);
		happened += r == 0;
		cancelled += r != 0;
	}
	CHECK(happened >= 10 && cancelled >= 1);
	CHECK_EQUAL(stats_of(pool).lent, 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c, "select count(*) from cut", NULL), happened);
	CHECK_EQUAL(an_pg_exec(c, "drop table cut"), 0);
	an_pg_release(c);
	return end_pool(pool);
}

/* ---- faults ------------------------------------------------------------------------ */

PG_TEST(an_idle_connection_that_dies_is_never_lent)
{
	an_pg_conn *admin, *c;
	an_pg_pool *pool;
	int pid;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 2 }, &pool), 0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	pid = an_pg_conn_backend_pid(c);
	an_pg_release(c);
	CHECK_EQUAL(an_pg_query(admin, "select pg_terminate_backend($1)",
				AN_PG_PARAMS(an_pg_int4(pid)), NULL),
		    0);
	CHECK_EQUAL(pg_await(admin, BACKENDS, 0), 0);
	CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL), 0);
	CHECK_EQUAL(stats_of(pool).died, 1);
	CHECK_EQUAL(stats_of(pool).connects, 2);
	an_pg_close(admin);
	return end_pool(pool);
}

static int sleep_on_server(void *arg)
{
	int r = an_pg_pool_query(arg, "select pg_sleep(1000)", NULL, NULL);
	const an_pg_error *e = an_pg_pool_error(arg);

	if (r != AN_ERR_PG_CONNECTION || e->sent != AN_PG_SENT_UNKNOWN)
		return CHECK_FAILED;
	return !strcmp(e->sqlstate, "57P01") || !strcmp(e->sqlstate, "57P02") ||
			       !strcmp(e->sqlstate, "08006")
		       ? 0
		       : CHECK_FAILED;
}

PG_TEST(a_connection_that_dies_in_a_query_has_an_unknown_outcome)
{
	an_pg_pool *pool;
	an_pg_conn *admin;
	an_task *task;
	int r;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 1 }, &pool), 0);
	CHECK_EQUAL(an_spawn(sleep_on_server, pool, NULL, &task), 0);
	CHECK_EQUAL(pg_await(admin, BACKENDS " and wait_event = 'PgSleep'", 1), 0);
	CHECK_EQUAL(an_pg_exec(admin,
			       "select pg_terminate_backend(pid) from pg_stat_activity "
			       "where application_name = 'pool'"),
		    0);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL), 0);
	an_pg_close(admin);
	return end_pool(pool);
}

static int commit_into_the_void(void *arg)
{
	an_pg_conn *c = arg;
	int r = an_pg_begin(c, NULL);

	if (!r)
		r = an_pg_exec(c, "insert into slow values (1)");
	return r ? r : an_pg_commit(c);
}

PG_TEST(a_commit_whose_connection_is_lost_has_an_unknown_outcome)
{
	an_pg_conn *admin, *c;
	an_task *task;
	int r;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(pg_open(&c), 0);
	/* A deferred trigger makes the COMMIT take its time. */
	CHECK_EQUAL(
		an_pg_exec(admin,
			   "create table slow (i int);"
			   "create function nap() returns trigger language plpgsql as "
			   "'begin perform pg_sleep(1000); return null; end';"
			   "create constraint trigger nap after insert on slow "
			   "deferrable initially deferred for each row "
			   "execute function nap()"),
		0);
	CHECK_EQUAL(an_spawn(commit_into_the_void, c, NULL, &task), 0);
	CHECK_EQUAL(pg_await(admin,
			     "select count(*) from pg_stat_activity where "
			     "wait_event = 'PgSleep' and query = 'COMMIT'",
			     1),
		    0);
	CHECK_EQUAL(an_pg_query(admin, "select pg_terminate_backend($1)",
				AN_PG_PARAMS(an_pg_int4(an_pg_conn_backend_pid(c))),
				NULL),
		    0);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_PG_UNKNOWN);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "08007"));
	an_pg_close(c);
	CHECK_EQUAL(an_pg_exec(admin, "drop table slow; drop function nap"), 0);
	an_pg_close(admin);
	return 0;
}

PG_TEST(a_commit_without_an_answer_has_an_unknown_outcome)
{
	an_pg_conn *admin, *c;
	an_timeout limit;
	an_task *task;
	int r, pid;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(
		an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						  .cancel_budget = 20 * AN_MILLISECOND },
			      NULL, &c),
		0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	pid = an_pg_conn_backend_pid(c);
	kill(pid, SIGSTOP);
	CHECK_EQUAL(an_spawn(commit_task, c, NULL, &task), 0);
	an_timeout_begin(&limit, AN_MILLISECOND);
	r = an_timeout_end(&limit, an_sleep(AN_FOREVER));
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &r), 0);
	kill(pid, SIGCONT);
	CHECK_EQUAL(r, AN_ERR_PG_UNKNOWN);
	an_pg_close(c);
	an_pg_close(admin);
	return 0;
}

PG_TEST(a_silent_server_costs_a_slot_no_longer_than_the_budget)
{
	an_pg_conn *c, *again;
	an_pg_pool *pool;
	an_timeout limit;
	int pid;

	CHECK_EQUAL(
		new_pool((an_pg_pool_opts){ .max_size = 1,
					    .conn.cancel_budget = 20 * AN_MILLISECOND },
			 &pool),
		0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	pid = an_pg_conn_backend_pid(c);
	kill(pid, SIGSTOP);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select 1")), -ETIMEDOUT);
	an_pg_release(c);
	CHECK_EQUAL(an_pg_acquire(pool, &again), 0);
	CHECK(an_pg_conn_backend_pid(again) != pid);
	an_pg_release(again);
	kill(pid, SIGCONT);
	return end_pool(pool);
}

PG_TEST(a_server_that_stopped_writing_is_left)
{
	an_pg_pool *pool;
	an_pg_conn *c;
	char conninfo[400];
	int pid;

	snprintf(conninfo, sizeof(conninfo), "%s target_session_attrs=read-write",
		 pg_conninfo);
	CHECK_EQUAL(
		an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = conninfo }, &pool),
		0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	pid = an_pg_conn_backend_pid(c);
	CHECK_EQUAL(an_pg_exec(c, "set default_transaction_read_only = on"), 0);
	CHECK_EQUAL(an_pg_exec(c, "create table nope (i int)"), AN_ERR_SQL);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "25006"));
	an_pg_release(c);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK(an_pg_conn_backend_pid(c) != pid);
	an_pg_release(c);
	return end_pool(pool);
}

/* ---- failing to connect ------------------------------------------------------------ */

PG_TEST(a_wrong_password_is_told_and_not_tried_again_at_once)
{
	an_pg_pool *pool;
	an_pg_conn *c;
	char conninfo[400];

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_exec(c, "create role password_only; create role bob login "
				  "password 'right' "
				  "in role password_only"),
		    0);
	snprintf(conninfo, sizeof(conninfo), "%s user=bob password=wrong", pg_conninfo);
	CHECK_EQUAL(an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = conninfo,
						       .backoff_min = AN_HOUR,
						       .backoff_max = AN_HOUR },
				   &pool),
		    0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL),
			    AN_ERR_PG_CONNECTION);
		CHECK(!strcmp(an_pg_pool_error(pool)->sqlstate, "28P01"));
		CHECK_EQUAL(an_pg_pool_error(pool)->sent, AN_PG_SENT_NO);
	}
	CHECK_EQUAL(stats_of(pool).connect_failures, 1);
	CHECK(stats_of(pool).failing);
	CHECK_EQUAL(end_pool(pool), 0);
	snprintf(conninfo, sizeof(conninfo), "%s user=bob password=right", pg_conninfo);
	CHECK_EQUAL(
		an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = conninfo }, &pool),
		0);
	CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL), 0);
	an_pg_close(c);
	return end_pool(pool);
}

PG_TEST(a_server_without_room_leaves_the_waiters_what_there_is)
{
	an_pg_conn *admin;
	an_pg_pool *pool;
	an_group group;
	char conninfo[400];

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(an_pg_exec(admin, "create role carl login connection limit 2"), 0);
	snprintf(conninfo, sizeof(conninfo), "%s user=carl", pg_conninfo);
	CHECK_EQUAL(an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = conninfo,
						       .max_size = 8 },
				   &pool),
		    0);
	an_group_begin(&group);
	for (int i = 0; i < 40; i++)
		CHECK_EQUAL(an_group_spawn(&group, acquire_and_release, pool), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK(stats_of(pool).connects <= 2);
	CHECK_EQUAL(stats_of(pool).acquired, 40);
	an_pg_close(admin);
	return end_pool(pool);
}

PG_TEST(a_refused_connection_reports_the_state_that_is_in_the_text)
{
	char conninfo[400];
	an_pg_error e;
	an_pg_conn *c;

	snprintf(conninfo, sizeof(conninfo), "%s dbname=nowhere", pg_conninfo);
	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = conninfo }, &e, &c),
		    AN_ERR_PG_CONNECTION);
	CHECK(!strcmp(e.sqlstate, "3D000"));
	CHECK_EQUAL(e.code, AN_ERR_PG_CONNECTION);
	CHECK_EQUAL(
		an_pg_connect(&(an_pg_conn_opts){ .conninfo = "host=/nowhere" }, &e, &c),
		AN_ERR_PG_CONNECTION);
	CHECK(!strcmp(e.sqlstate, "08001"));
	CHECK(e.message[0]);
	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = "nonsense" }, &e, &c),
		    -EINVAL);
	return 0;
}

PG_TEST(after_a_restart_each_query_failed_once_and_the_pool_recovers)
{
	an_task *tasks[5];
	an_pg_conn *admin;
	an_pg_pool *pool;
	int r;

	CHECK_EQUAL(pg_open(&admin), 0);
	CHECK_EQUAL(new_pool((an_pg_pool_opts){ .max_size = 5,
						.backoff_min = AN_HOUR,
						.backoff_max = AN_HOUR },
			     &pool),
		    0);
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(an_spawn(sleep_on_server, pool, NULL, &tasks[i]), 0);
	CHECK_EQUAL(pg_await(admin, BACKENDS " and wait_event = 'PgSleep'", 5), 0);
	CHECK_EQUAL(pg_cluster("stop"), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQUAL(an_join(tasks[i], &r), 0);
		CHECK_EQUAL(r, 0);
	}
	an_pg_close(admin);
	/* The breaker: one attempt, then its error for all. */
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL),
			    AN_ERR_PG_CONNECTION);
	CHECK_EQUAL(stats_of(pool).connect_failures, 1);
	CHECK_EQUAL(pg_cluster("start"), 0);
	CHECK_EQUAL(end_pool(pool), 0);
	CHECK_EQUAL(
		new_pool((an_pg_pool_opts){ .backoff_min = 1, .backoff_max = 1 }, &pool),
		0);
	CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL), 0);
	CHECK_EQUAL(pg_cluster("stop"), 0);
	CHECK_EQUAL(an_pg_pool_query(pool, "select 1", NULL, NULL), AN_ERR_PG_CONNECTION);
	CHECK_EQUAL(pg_cluster("start"), 0);
	do
		r = an_pg_pool_query(pool, "select 1", NULL, NULL);
	while (r == AN_ERR_PG_CONNECTION);
	CHECK_EQUAL(r, 0);
	return end_pool(pool);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(connections_are_opened_when_needed_and_reused),
	cmocka_unit_test(waiting_tasks_are_served_in_their_order),
	cmocka_unit_test(too_many_waiting_tasks_are_turned_away),
	cmocka_unit_test(the_minimum_is_opened_in_the_background),
	cmocka_unit_test(idle_and_old_connections_end),
	cmocka_unit_test(what_was_left_open_is_rolled_back_before_the_next_user),
	cmocka_unit_test(a_pool_that_is_freed_fails_its_waiters_and_leaves_the_lent),
	cmocka_unit_test(a_cancelled_query_returns_and_its_connection_is_saved),
	cmocka_unit_test(a_cancellation_that_comes_before_its_query_is_repeated),
	cmocka_unit_test(a_transaction_can_be_rolled_back_in_a_cancelled_scope),
	cmocka_unit_test(a_storm_of_cancellations_hits_no_other_query),
	cmocka_unit_test(a_connection_handed_to_a_cancelled_task_is_not_lost),
	cmocka_unit_test(a_begin_that_is_cancelled_leaves_no_transaction),
	cmocka_unit_test(a_commit_that_is_cancelled_still_tells_its_outcome),
	cmocka_unit_test(a_cancelled_transaction_happens_wholly_or_not_at_all),
	cmocka_unit_test(an_idle_connection_that_dies_is_never_lent),
	cmocka_unit_test(a_connection_that_dies_in_a_query_has_an_unknown_outcome),
	cmocka_unit_test(a_commit_whose_connection_is_lost_has_an_unknown_outcome),
	cmocka_unit_test(a_commit_without_an_answer_has_an_unknown_outcome),
	cmocka_unit_test(a_silent_server_costs_a_slot_no_longer_than_the_budget),
	cmocka_unit_test(a_server_that_stopped_writing_is_left),
	cmocka_unit_test(a_wrong_password_is_told_and_not_tried_again_at_once),
	cmocka_unit_test(a_server_without_room_leaves_the_waiters_what_there_is),
	cmocka_unit_test(a_refused_connection_reports_the_state_that_is_in_the_text),
	cmocka_unit_test(after_a_restart_each_query_failed_once_and_the_pool_recovers),
};
TEST_MAIN_WITH("pg-pool", tests, pg_set_up, pg_tear_down)
