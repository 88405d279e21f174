/* The fourth chapter of tour_io: PostgreSQL, through a pool. asyncpg and aiosqlite are
 * the counterparts.
 *
 * The guides have a task sleep for a query; here are a real server, what it refuses, and
 * what becomes of a query that nobody waits for any more.
 */
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- a pool and a table ------------------------------------------------------------ */

/* What the server said is on the pool. */
static void say_error(const an_pg_pool *pool, int r)
{
	const an_pg_error *error = an_pg_pool_error(pool);

	tour_say("%s %s: %s", tour_code(r), error->sqlstate, error->message);
}

/* async with asyncpg.create_pool(dsn, max_size=N) as pool. Its end waits until the
 * connections have come back and are closed, for some time at most, also when this task
 * was cancelled. */
static int with_pool(unsigned connections, int (*work)(an_pg_pool *pool))
{
	an_shield shield;
	an_pg_pool *pool;
	int r = an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = tour_database,
						   .max_size = connections },
			       &pool);

	if (r)
		return r;
	r = work(pool);
	if (r == AN_ERR_SQL || r == AN_ERR_PG_CONNECTION)
		say_error(pool, r);
	an_shield_begin(&shield, 5 * AN_SECOND);
	an_ignore(an_shield_end(&shield, an_pg_pool_shutdown(pool)));
	an_pg_pool_free(pool);
	return r;
}

static int run(an_pg_pool *pool, const char *sql)
{
	return an_pg_pool_query(pool, sql, NULL, NULL);
}

/* A table of the name is there while work(pool) runs. */
static int with_table(an_pg_pool *pool, int (*work)(an_pg_pool *pool))
{
	an_shield shield;
	int dropped, r = run(pool, "drop table if exists libasyncnet_tour");

	if (!r)
		r = run(pool, "create table libasyncnet_tour ("
			      "	owner text primary key, note text,"
			      "	amount int8 not null check (amount >= 0))");
	if (r)
		return r;
	r = work(pool);
	an_shield_begin(&shield, 5 * AN_SECOND);
	dropped = an_shield_end(&shield, run(pool, "drop table libasyncnet_tour"));
	return r ? r : dropped;
}

/* ---- queries and their parameters -------------------------------------------------- */

/* Values never become part of the statement: the server gets them beside it. */
static int insert(an_pg_pool *pool, const char *owner, const char *note, int64_t amount)
{
	return an_pg_pool_query(
		pool, "insert into libasyncnet_tour values ($1, $2, $3)",
		AN_PG_PARAMS(an_pg_text(owner), an_pg_text(note), an_pg_int8(amount)),
		NULL);
}

/* await pool.fetch("select ...") */
static int say_rows(an_pg_pool *pool)
{
	an_pg_result *rows;
	int r = an_pg_pool_query(pool,
				 "select owner, note, amount from libasyncnet_tour "
				 "order by owner",
				 NULL, &rows);

	if (r)
		return r;
	for (size_t i = 0; i < an_pg_result_rows(rows) && !r; i++) {
		const char *note = an_pg_result_text(rows, i, 1);
		int64_t amount;

		r = an_pg_result_int8(rows, i, 2, &amount);
		if (!r)
			tour_say("%s: %lld, %s", an_pg_result_text(rows, i, 0),
				 (long long)amount, note ? note : "no note");
	}
	an_pg_result_free(rows);
	return r;
}

static int insert_and_select(an_pg_pool *pool)
{
	int r = insert(pool, "Ann", "the first", 100);

	if (!r)
		r = insert(pool, "Robert'); drop table students; --", NULL, 7);
	return r ? r : say_rows(pool);
}

static int make_table_and_query(an_pg_pool *pool)
{
	return with_table(pool, insert_and_select);
}

static int parameters(void *arg)
{
	(void)arg;
	return with_pool(1, make_table_and_query);
}

/* ---- several tasks, two connections ------------------------------------------------ */

struct client {
	an_pg_pool *pool;
	int number;
};

static int insert_one(void *arg)
{
	struct client *client = arg;
	char owner[16];

	snprintf(owner, sizeof(owner), "client %d", client->number);
	return insert(client->pool, owner, NULL, client->number);
}

/* async with pool.acquire() as connection, in five tasks: three of them wait until a
 * connection comes back. */
static int insert_five(an_pg_pool *pool)
{
	struct client clients[5];
	an_pg_pool_stats stats;
	an_group group;
	int r;

	an_group_begin(&group);
	for (int i = 0; i < 5; i++) {
		clients[i] = (struct client){ pool, i + 1 };
		an_group_fail(&group, an_group_spawn(&group, insert_one, &clients[i]));
	}
	r = an_group_end(&group);
	an_pg_pool_get_stats(pool, &stats);
	tour_say("connections: %s", stats.connects <= 2 ? "two at most" : "too many");
	return r ? r : say_rows(pool);
}

static int make_table_for_five(an_pg_pool *pool)
{
	return with_table(pool, insert_five);
}

static int five_clients(void *arg)
{
	(void)arg;
	return with_pool(2, make_table_for_five);
}

/* ---- what the server refuses ------------------------------------------------------- */

/* except asyncpg.UniqueViolationError: the code says that the server refused, SQLSTATE
 * what and why; the names are there for a message to people. */
static int insert_twice(an_pg_pool *pool)
{
	const an_pg_error *error = an_pg_pool_error(pool);
	int r = insert(pool, "Ann", NULL, 1);

	if (!r)
		r = insert(pool, "Ann", NULL, 2);
	if (r == AN_ERR_SQL && !strcmp(error->sqlstate, "23505")) {
		tour_say("there is one already: %s", error->constraint);
		r = run(pool, "selekt 1");
	}
	if (r == AN_ERR_SQL && !strcmp(error->sqlstate, "42601")) {
		tour_say("at %d: %s", error->position, error->message);
		r = 0;
	}
	return r;
}

static int make_table_and_fail(an_pg_pool *pool)
{
	return with_table(pool, insert_twice);
}

static int refusals(void *arg)
{
	(void)arg;
	return with_pool(1, make_table_and_fail);
}

/* ---- transactions ------------------------------------------------------------------ */

struct transfer {
	const char *from, *to;
	int64_t amount;
};

static int add(an_pg_conn *conn, const char *owner, int64_t amount)
{
	return an_pg_query(
		conn, "update libasyncnet_tour set amount = amount + $1 where owner = $2",
		AN_PG_PARAMS(an_pg_int8(amount), an_pg_text(owner)), NULL);
}

/* Runs again from the start when the server could not keep two of them apart: so it has
 * no effect but that in the database. */
static int transfer(an_pg_conn *conn, void *arg)
{
	struct transfer *t = arg;
	int r = add(conn, t->to, t->amount);

	return r ? r : add(conn, t->from, -t->amount);
}

/* async with connection.transaction(): committed when it ends well, else rolled back, in
 * a task that was cancelled, too. */
static int transfer_twice(an_pg_pool *pool)
{
	struct transfer fair = { "Ann", "Bob", 30 }, greedy = { "Ann", "Bob", 300 };
	int r = insert(pool, "Ann", NULL, 100);

	if (!r)
		r = insert(pool, "Bob", NULL, 0);
	if (!r)
		r = an_pg_transaction(pool, transfer, &fair, NULL);
	if (!r)
		r = an_pg_transaction(pool, transfer, &greedy, NULL);
	if (r == AN_ERR_SQL) {
		tour_say("not so much: %s", an_pg_pool_error(pool)->constraint);
		r = 0;
	}
	return r ? r : say_rows(pool);
}

static int make_table_and_transfer(an_pg_pool *pool)
{
	return with_table(pool, transfer_twice);
}

static int transactions(void *arg)
{
	(void)arg;
	return with_pool(1, make_table_and_transfer);
}

/* ---- a limit on time --------------------------------------------------------------- */

/* The task has its answer at once. The pool asks the server to stop, and lends the
 * connection again when it is clean: there is only this one. */
static int sleep_too_long(an_pg_pool *pool)
{
	an_pg_result *answer;
	an_timeout limit;
	int r = run(pool, "select 1"); /* so that the limit is not for connecting */

	if (r)
		return r;
	an_timeout_begin(&limit, 20 * AN_MILLISECOND);
	r = an_timeout_end(&limit, run(pool, "select pg_sleep(3600)"));
	tour_say("pg_sleep(3600): %s", tour_code(r));
	if (r != -ETIMEDOUT)
		return r;
	r = an_pg_pool_query(pool, "select 'still here'", NULL, &answer);
	if (r)
		return r;
	tour_say("and then: %s", an_pg_result_text(answer, 0, 0));
	an_pg_result_free(answer);
	return 0;
}

static int a_limit(void *arg)
{
	(void)arg;
	return with_pool(1, sleep_too_long);
}

/* ---- many rows --------------------------------------------------------------------- */

/* async for row in connection.cursor(...): a batch at a time is in memory. */
static int add_batches(an_pg_rows *rows)
{
	int64_t number, count = 0, sum = 0;
	an_pg_result *batch;
	int r;

	while ((r = an_pg_rows_next(rows, &batch)) > 0)
		for (size_t i = 0; i < an_pg_result_rows(batch); i++)
			if (!an_pg_result_int8(batch, i, 0, &number)) {
				sum += number;
				count++;
			}
	if (!r)
		tour_say("%lld rows, their sum is %lld", (long long)count,
			 (long long)sum);
	return r;
}

static int read_many_rows(an_pg_pool *pool)
{
	an_pg_conn *conn;
	an_pg_rows *rows;
	int r = an_pg_acquire(pool, &conn);

	if (r)
		return r;
	r = an_pg_rows_begin(conn, "select generate_series(1, 100000)", NULL, &rows);
	if (!r) {
		r = add_batches(rows);
		an_pg_rows_end(rows);
	}
	an_pg_release(conn);
	return r;
}

static int many_rows(void *arg)
{
	(void)arg;
	return with_pool(1, read_many_rows);
}

/* ---- notifications ----------------------------------------------------------------- */

static int notify(an_pg_pool *pool, const char *payload)
{
	an_pg_conn *conn;
	int r = an_pg_acquire(pool, &conn);

	if (r)
		return r;
	r = an_pg_notify(conn, "libasyncnet_tour", payload);
	an_pg_release(conn);
	return r;
}

/* A gap says that the connection was lost and is back: some may have been missed, and the
 * program reads its state anew. */
static int hear(an_pg_listener *listener)
{
	an_pg_notification news;
	int r = an_pg_listener_next(listener, &news);

	if (!r)
		tour_say("%s", news.gap ? "read everything anew" : news.payload);
	return r;
}

/* await connection.add_listener("channel", callback) */
static int notify_and_hear(an_pg_pool *pool)
{
	static const char *const channels[] = { "libasyncnet_tour", NULL };
	an_pg_listener *listener;
	int r = an_pg_listen(&(an_pg_conn_opts){ .conninfo = tour_database }, channels,
			     NULL, NULL, &listener);

	if (r)
		return r;
	r = notify(pool, "something is new");
	if (!r)
		r = notify(pool, "and something else");
	if (!r)
		r = hear(listener);
	if (!r)
		r = hear(listener);
	an_pg_listener_close(listener);
	return r;
}

static int notifications(void *arg)
{
	(void)arg;
	return with_pool(1, notify_and_hear);
}

const struct tour_section tour_io_db[] = {
	{ "Parameters and rows", .task = parameters },
	{ "Five tasks, two connections", .task = five_clients },
	{ "What the server refuses", .task = refusals },
	{ "Transactions", .task = transactions },
	{ "A limit on time", .task = a_limit },
	{ "Many rows, a batch at a time", .task = many_rows },
	{ "Notifications", .task = notifications },
	{ 0 },
};

/* ---- without a database ------------------------------------------------------------ */

static int say_how(void)
{
	tour_say("examples/tour_io --database \"host=/run/postgresql dbname=test\"");
	return 0;
}

const struct tour_section tour_io_no_db[] = {
	{ "Left out: it needs a PostgreSQL", .by_hand = say_how },
	{ 0 },
};
