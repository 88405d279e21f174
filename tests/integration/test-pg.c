/* Queries, types, statements, transactions and rows in batches, against a real server. */
#include "tests/integration/pg-support.h"

PG_TEST(values_of_each_type_make_the_round_trip)
{
	static const bool formats[] = { false, true };
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	for (int i = 0; i < 2; i++) {
		an_pg_params params = *AN_PG_PARAMS(
			an_pg_int8(INT64_MIN), an_pg_int4(-7), an_pg_float8(0.1),
			an_pg_bool(true), an_pg_text("h\xc3\xa9llo"),
			an_pg_bytea("\0\xff\\", 3), an_pg_null(),
			an_pg_timestamptz(INT64_C(1700000000123456)),
			an_pg_textn("abc", 2));
		an_pg_result *r;
		const void *data;
		size_t length;
		int64_t n;
		double d;
		bool b;

		params.binary_results = formats[i];
		CHECK_EQUAL(an_pg_query(c,
					"select $1::int8 a, $2::int4 b, $3::float8 c, "
					"$4::bool d, "
					"$5::text e, $6::bytea f, $7::text g, "
					"$8::timestamptz h, $9::text i",
					&params, &r),
			    0);
		CHECK_EQUAL(an_pg_result_rows(r), 1);
		CHECK_EQUAL(an_pg_result_columns(r), 9);
		CHECK_EQUAL(an_pg_result_affected(r), 1);
		CHECK_EQUAL(an_pg_result_column(r, "f"), 5);
		CHECK_EQUAL(an_pg_result_int8(r, 0, 0, &n), 0);
		CHECK(n == INT64_MIN);
		CHECK_EQUAL(an_pg_result_int8(r, 0, 1, &n), 0);
		CHECK_EQUAL(n, -7);
		CHECK_EQUAL(an_pg_result_float8(r, 0, 2, &d), 0);
		CHECK(d == 0.1);
		CHECK_EQUAL(an_pg_result_bool(r, 0, 3, &b), 0);
		CHECK(b);
		CHECK(!strcmp(an_pg_result_text(r, 0, 4), "h\xc3\xa9llo"));
		CHECK_EQUAL(an_pg_result_bytea(r, 0, 5, &data, &length), 0);
		CHECK(length == 3 && !memcmp(data, "\0\xff\\", 3));
		CHECK(an_pg_result_is_null(r, 0, 6));
		if (formats[i]) {
			CHECK_EQUAL(an_pg_result_timestamptz(r, 0, 7, &n), 0);
			CHECK(n == INT64_C(1700000000123456));
		}
		CHECK(!strcmp(an_pg_result_text(r, 0, 8), "ab"));
		an_pg_result_free(r);
	}
	an_pg_close(c);
	return 0;
}

PG_TEST(rows_and_columns_of_all_sizes_arrive_whole)
{
	an_pg_result *r;
	an_pg_conn *c;
	int64_t n;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(
		an_pg_query(c, "select i, repeat('x', i) from generate_series(0, 3000) i",
			    NULL, &r),
		0);
	CHECK_EQUAL(an_pg_result_rows(r), 3001);
	for (size_t i = 0; i <= 3000; i++) {
		CHECK_EQUAL(an_pg_result_int8(r, i, 0, &n), 0);
		CHECK_EQUAL(n, i);
		CHECK_EQUAL(an_pg_result_length(r, i, 1), i);
	}
	an_pg_result_free(r);
	CHECK_EQUAL(an_pg_query(c, "select 1 where false", NULL, &r), 0);
	CHECK_EQUAL(an_pg_result_rows(r), 0);
	CHECK_EQUAL(an_pg_result_columns(r), 1);
	an_pg_result_free(r);
	CHECK_EQUAL(an_pg_query(c, "", NULL, &r), 0);
	CHECK_EQUAL(an_pg_result_columns(r), 0);
	an_pg_result_free(r);
	an_pg_close(c);
	return 0;
}

PG_TEST(an_error_of_the_server_is_told_in_detail)
{
	const an_pg_error *e;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_exec(c, "create temp table t (id int constraint positive check "
				  "(id > 0))"),
		    0);
	CHECK_EQUAL(an_pg_query(c, "insert into t values ($1)",
				AN_PG_PARAMS(an_pg_int4(-1)), NULL),
		    AN_ERR_SQL);
	e = an_pg_conn_error(c);
	CHECK(!strcmp(e->sqlstate, "23514"));
	CHECK(!strcmp(e->severity, "ERROR"));
	CHECK(!strcmp(e->constraint, "positive"));
	CHECK(!strcmp(e->table, "t"));
	CHECK(e->detail[0]);
	CHECK_EQUAL(e->code, AN_ERR_SQL);
	CHECK_EQUAL(an_pg_query(c, "selekt 1", NULL, NULL), AN_ERR_SQL);
	CHECK(!strcmp(e->sqlstate, "42601"));
	CHECK_EQUAL(e->position, 1);
	CHECK_EQUAL(pg_number(c, "select 5", NULL), 5);
	an_pg_close(c);
	return 0;
}

PG_TEST(one_query_is_one_statement_and_exec_runs_several)
{
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_query(c, "select 1; select 2", NULL, NULL), AN_ERR_SQL);
	CHECK_EQUAL(
		an_pg_exec(c,
			   "create temp table t (i int); insert into t values (1), (2)"),
		0);
	CHECK_EQUAL(
		an_pg_exec(
			c,
			"insert into t values (3); select 1/0; insert into t values (4)"),
		AN_ERR_SQL);
	CHECK_EQUAL(pg_number(c, "select count(*) from t", NULL), 2);
	an_pg_close(c);
	return 0;
}

PG_TEST(copy_is_refused_and_costs_the_connection)
{
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_exec(c, "copy (select 1) to stdout"), AN_ERR_PG_CONNECTION);
	CHECK(!an_pg_conn_alive(c));
	CHECK_EQUAL(pg_number(c, "select 1", NULL), AN_ERR_PG_CONNECTION);
	an_pg_close(c);
	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_exec(c, "copy pg_class from stdin"), AN_ERR_PG_CONNECTION);
	an_pg_close(c);
	return 0;
}

/* ---- prepared statements ----------------------------------------------------------- */

PG_TEST(a_statement_is_prepared_when_it_comes_again)
{
	an_pg_conn *c;
	char sql[64];

	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						      .statement_cache = 4 },
				  NULL, &c),
		    0);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 4; i++) {
			snprintf(sql, sizeof(sql), "select $1::int8 + %d", i);
			CHECK_EQUAL(pg_number(c, sql, AN_PG_PARAMS(an_pg_int8(10))),
				    10 + i);
		}
	CHECK_EQUAL(pg_number(c, "select count(*) from pg_prepared_statements", NULL), 4);
	for (int i = 4; i < 50; i++)
		for (int twice = 0; twice < 2; twice++) {
			snprintf(sql, sizeof(sql), "select $1::int8 + %d", i);
			CHECK_EQUAL(pg_number(c, sql, AN_PG_PARAMS(an_pg_int8(10))),
				    10 + i);
		}
	CHECK_EQUAL(pg_number(c, "select count(*) from pg_prepared_statements", NULL), 4);
	an_pg_close(c);
	return 0;
}

static int read_t(an_pg_conn *c, size_t *columns)
{
	an_pg_result *result;
	int r = an_pg_query(c, "select * from t where i = $1",
			    AN_PG_PARAMS(an_pg_int4(1)), &result);

	if (r < 0)
		return r;
	*columns = an_pg_result_columns(result);
	an_pg_result_free(result);
	return 0;
}

PG_TEST(a_stale_plan_is_renewed_outside_a_transaction)
{
	an_pg_conn *c, *other;
	size_t columns;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(pg_open(&other), 0);
	CHECK_EQUAL(an_pg_exec(other, "create table t (i int); insert into t values (1)"),
		    0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(read_t(c, &columns), 0);
	CHECK_EQUAL(columns, 1);
	CHECK_EQUAL(an_pg_exec(other, "alter table t add j int"), 0);
	CHECK_EQUAL(read_t(c, &columns), 0);
	CHECK_EQUAL(columns, 2);

	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(other, "alter table t add k int"), 0);
	CHECK_EQUAL(read_t(c, &columns), AN_ERR_SQL);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "0A000"));
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(read_t(c, &columns), 0);
	CHECK_EQUAL(columns, 3);

	CHECK_EQUAL(an_pg_exec(c, "deallocate all"), 0);
	CHECK_EQUAL(read_t(c, &columns), 0);
	CHECK_EQUAL(an_pg_exec(other, "drop table t"), 0);
	an_pg_close(c);
	an_pg_close(other);
	return 0;
}

PG_TEST(nothing_is_prepared_when_told_so)
{
	an_pg_params once = { .list = (an_pg_param[]){ an_pg_int8(1) },
			      .count = 1,
			      .once = true };
	an_pg_conn *c;

	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						      .no_prepare = true },
				  NULL, &c),
		    0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(pg_number(c, "select $1", AN_PG_PARAMS(an_pg_int8(1))), 1);
	CHECK_EQUAL(pg_number(c, "select count(*) from pg_prepared_statements", NULL), 0);
	an_pg_close(c);
	CHECK_EQUAL(pg_open(&c), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(pg_number(c, "select $1", &once), 1);
	CHECK_EQUAL(pg_number(c, "select count(*) from pg_prepared_statements", NULL), 0);
	an_pg_close(c);
	return 0;
}

/* ---- limits, batches --------------------------------------------------------------- */

PG_TEST(a_result_above_the_limit_fails_and_the_connection_goes_on)
{
	an_pg_conn *c;

	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						      .result_rows = 100,
						      .result_bytes = 1 << 20 },
				  NULL, &c),
		    0);
	for (int i = 0; i < 3; i++) {
		an_pg_result *r = NULL;

		CHECK_EQUAL(
			an_pg_query(c, "select generate_series(1, 10000000)", NULL, &r),
			AN_ERR_LIMIT);
		CHECK(!r);
		CHECK_EQUAL(an_pg_query(c, "select repeat('x', 2000000)", NULL, &r),
			    AN_ERR_LIMIT);
		CHECK_EQUAL(pg_number(c, "select count(*) from generate_series(1, 100)",
				      NULL),
			    100);
	}
	an_pg_close(c);
	return 0;
}

PG_TEST(rows_in_batches_arrive_in_order_and_completely)
{
	an_pg_result *batch;
	an_pg_rows *rows;
	an_pg_conn *c;
	int64_t n, expected = 1;
	int r;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_rows_begin(c, "select generate_series(1, $1::int8)",
				     AN_PG_PARAMS(an_pg_int8(200000)), &rows),
		    0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), -EBUSY);
	while ((r = an_pg_rows_next(rows, &batch)) == 1) {
		CHECK(an_pg_result_rows(batch) >= 1 && an_pg_result_rows(batch) <= 1024);
		for (size_t i = 0; i < an_pg_result_rows(batch); i++) {
			CHECK_EQUAL(an_pg_result_int8(batch, i, 0, &n), 0);
			CHECK_EQUAL(n, expected++);
		}
	}
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(expected, 200001);
	CHECK_EQUAL(an_pg_rows_next(rows, &batch), 0);
	an_pg_rows_end(rows);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_close(c);
	return 0;
}

PG_TEST(rows_that_nobody_reads_are_cancelled)
{
	an_pg_result *batch;
	an_pg_rows *rows;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	for (int read = 0; read < 3; read++) {
		CHECK_EQUAL(an_pg_rows_begin(c, "select generate_series(1, 1000000000)",
					     NULL, &rows),
			    0);
		for (int i = 0; i < read; i++)
			CHECK_EQUAL(an_pg_rows_next(rows, &batch), 1);
		an_pg_rows_end(rows);
		CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	}
	CHECK_EQUAL(an_pg_rows_begin(c,
				     "select 1/(5000-i) from generate_series(1, 9000) i",
				     NULL, &rows),
		    0);
	while (an_pg_rows_next(rows, &batch) == 1)
		;
	CHECK_EQUAL(an_pg_rows_next(rows, &batch), AN_ERR_SQL);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "22012"));
	an_pg_rows_end(rows);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_close(c);
	return 0;
}

static int use_busy_connection(void *arg)
{
	return (int)pg_number(arg, "select 1", NULL);
}

PG_TEST(a_second_task_is_told_that_the_connection_is_busy)
{
	an_pg_conn *c;
	an_task *task;
	int r;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_spawn(use_busy_connection, c, NULL, &task), 0);
	CHECK_EQUAL(pg_number(c, "select 2", NULL), 2);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, -EBUSY);
	an_pg_close(c);
	return 0;
}

/* ---- transactions ------------------------------------------------------------------ */

PG_TEST(savepoints_nest_in_transactions)
{
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_exec(c, "create temp table t (i int)"), 0);
	CHECK_EQUAL(an_pg_commit(c), AN_ERR_MISUSE);
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(an_pg_begin(c, &(an_pg_tx_opts){ .isolation = AN_PG_SERIALIZABLE }),
		    0);
	CHECK_EQUAL(an_pg_exec(c, "insert into t values (1)"), 0);
	CHECK_EQUAL(an_pg_begin(c, &(an_pg_tx_opts){ .read_only = true }), -EINVAL);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "insert into t values (2)"), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "insert into t values (3)"), 0);
	CHECK_EQUAL(an_pg_exec(c, "select 1/0"), AN_ERR_SQL);
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(an_pg_commit(c), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "insert into t values (4); select 1/0"), AN_ERR_SQL);
	CHECK_EQUAL(an_pg_commit(c), AN_ERR_SQL);
	CHECK_EQUAL(an_pg_commit(c), 0);
	CHECK_EQUAL(pg_number(c, "select sum(i) from t", NULL), 3);
	an_pg_close(c);
	return 0;
}

PG_TEST(the_commit_of_a_failed_transaction_is_a_failure)
{
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_exec(c, "select 1/0"), AN_ERR_SQL);
	CHECK_EQUAL(an_pg_commit(c), AN_ERR_SQL);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "25P02"));
	CHECK_EQUAL(an_pg_begin(c, &(an_pg_tx_opts){ .read_only = true }), 0);
	CHECK_EQUAL(an_pg_exec(c, "create table nope (i int)"), AN_ERR_SQL);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "25006"));
	CHECK_EQUAL(an_pg_rollback(c), 0);
	an_pg_close(c);
	return 0;
}

struct transfer {
	int runs;
	int fail; /* how many runs fail with 40001 */
};

static int add_one(an_pg_conn *c, void *arg)
{
	struct transfer *t = arg;
	int64_t n;

	n = pg_number(c, "select i from counter", NULL);
	if (n < 0)
		return (int)n;
	if (t->runs++ < t->fail)
		return an_pg_exec(c, "do $$ begin raise sqlstate '40001'; end $$");
	return an_pg_query(c, "update counter set i = $1",
			   AN_PG_PARAMS(an_pg_int8(n + 1)), NULL);
}

static int increment_task(void *arg)
{
	struct transfer t = { 0 };

	return an_pg_transaction(arg, add_one, &t,
				 &(an_pg_tx_opts){ .isolation = AN_PG_SERIALIZABLE,
						   .attempts = 1000,
						   .backoff = AN_MILLISECOND });
}

PG_TEST(colliding_transactions_are_run_again_until_they_succeed)
{
	struct transfer t = { .fail = 2 };
	an_pg_pool *pool;
	an_group group;
	an_pg_conn *c;

	CHECK_EQUAL(an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = pg_conninfo,
						       .max_size = 4 },
				   &pool),
		    0);
	CHECK_EQUAL(an_pg_pool_query(pool, "create table counter as select 0::int8 as i",
				     NULL, NULL),
		    0);
	an_group_begin(&group);
	for (int i = 0; i < 8; i++)
		CHECK_EQUAL(an_group_spawn(&group, increment_task, pool), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_pg_transaction(pool, add_one, &t, NULL), 0);
	CHECK_EQUAL(t.runs, 3);
	t = (struct transfer){ .fail = 10 };
	CHECK_EQUAL(
		an_pg_transaction(pool, add_one, &t, &(an_pg_tx_opts){ .attempts = 2 }),
		AN_ERR_SQL);
	CHECK_EQUAL(t.runs, 2);
	CHECK(!strcmp(an_pg_pool_error(pool)->sqlstate, "40001"));
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c, "select i from counter", NULL), 9);
	CHECK_EQUAL(an_pg_exec(c, "drop table counter"), 0);
	an_pg_release(c);
	an_pg_pool_free(pool);
	return 0;
}

static int leave_savepoint(an_pg_conn *c, void *arg)
{
	(void)arg;
	return an_pg_begin(c, NULL);
}

PG_TEST(a_function_that_leaves_a_savepoint_open_is_rolled_back)
{
	an_pg_pool *pool;

	CHECK_EQUAL(
		an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = pg_conninfo }, &pool),
		0);
	CHECK_EQUAL(an_pg_transaction(pool, leave_savepoint, NULL, NULL), AN_ERR_MISUSE);
	CHECK_EQUAL(an_pg_pool_shutdown(pool), 0);
	an_pg_pool_free(pool);
	return 0;
}

/* ---- notices ----------------------------------------------------------------------- */

static void remember(const char *severity, const char *sqlstate, const char *message,
		     void *arg)
{
	snprintf(arg, 64, "%s %s %s", severity, sqlstate, message);
}

PG_TEST(notices_reach_their_function)
{
	char text[64] = "";
	an_pg_conn *c;

	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						      .notice = remember,
						      .notice_arg = text },
				  NULL, &c),
		    0);
	CHECK_EQUAL(an_pg_exec(c, "do $$ begin raise warning 'take care'; end $$"), 0);
	CHECK(!strcmp(text, "WARNING 01000 take care"));
	an_pg_close(c);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(values_of_each_type_make_the_round_trip),
	cmocka_unit_test(rows_and_columns_of_all_sizes_arrive_whole),
	cmocka_unit_test(an_error_of_the_server_is_told_in_detail),
	cmocka_unit_test(one_query_is_one_statement_and_exec_runs_several),
	cmocka_unit_test(copy_is_refused_and_costs_the_connection),
	cmocka_unit_test(a_statement_is_prepared_when_it_comes_again),
	cmocka_unit_test(a_stale_plan_is_renewed_outside_a_transaction),
	cmocka_unit_test(nothing_is_prepared_when_told_so),
	cmocka_unit_test(a_result_above_the_limit_fails_and_the_connection_goes_on),
	cmocka_unit_test(rows_in_batches_arrive_in_order_and_completely),
	cmocka_unit_test(rows_that_nobody_reads_are_cancelled),
	cmocka_unit_test(a_second_task_is_told_that_the_connection_is_busy),
	cmocka_unit_test(savepoints_nest_in_transactions),
	cmocka_unit_test(the_commit_of_a_failed_transaction_is_a_failure),
	cmocka_unit_test(colliding_transactions_are_run_again_until_they_succeed),
	cmocka_unit_test(a_function_that_leaves_a_savepoint_open_is_rolled_back),
	cmocka_unit_test(notices_reach_their_function),
};
TEST_MAIN_WITH("pg", tests, pg_set_up, pg_tear_down)
