/* Every allocation of the library and of libevent fails once: the call says so, and
 * nothing is lost. */
#include "tests/integration/pg-support.h"
#include "tests/support/libevent-memory.h"

/* Runs fn(arg) with the first, second, ... allocation failing, until one passes
 * without. */
static int fail_each(int (*fn)(void *arg), void *arg, size_t least)
{
	size_t n;
	int r;

	for (n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = fn(arg);
		if (!an_testing_allocation_failed())
			break;
		/* 0: a task of the pool's, tried again, or a cache's entry. */
		if (r != -ENOMEM && r != 0) {
			fprintf(stderr, "allocation %zu: %d\n", n, r);
			return CHECK_FAILED;
		}
	}
	if (n <= least) {
		fprintf(stderr, "only %zu allocations\n", n);
		return CHECK_FAILED;
	}
	return r;
}

static int connect_and_query(void *arg)
{
	an_pg_result *result;
	an_pg_conn *c;
	int r;

	(void)arg;
	r = pg_open(&c);
	for (int i = 0; i < 3 && r == 0; i++) {
		r = an_pg_query(c, "select $1::int8, repeat('x', 2000)",
				AN_PG_PARAMS(an_pg_int8(1)), &result);
		if (r == 0)
			an_pg_result_free(result);
		if (r < 0)
			an_pg_close(c);
	}
	if (r == 0)
		an_pg_close(c);
	return r;
}

PG_TEST(connecting_and_querying_survive_a_failing_allocation)
{
	return fail_each(connect_and_query, NULL, 8);
}

static int use_pool(void *arg)
{
	an_pg_pool *pool;
	int r;

	(void)arg;
	r = an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = pg_conninfo,
					       .max_size = 2,
					       .min_size = 1,
					       .reset = "reset all" },
			   &pool);
	if (r < 0)
		return r;
	r = an_pg_pool_query(pool, "select 1", NULL, NULL);
	if (r == 0)
		r = an_pg_pool_shutdown(pool);
	an_pg_pool_free(pool);
	return r;
}

PG_TEST(a_pool_survives_a_failing_allocation)
{
	return fail_each(use_pool, NULL, 8);
}

static int listen_once(void *arg)
{
	static const char *const channels[] = { "a", "b", NULL };
	an_pg_listener *l;
	int r;

	(void)arg;
	r = an_pg_listen(&(an_pg_conn_opts){ .conninfo = pg_conninfo }, channels, NULL,
			 NULL, &l);
	if (r == 0)
		an_pg_listener_close(l);
	return r;
}

PG_TEST(a_listener_survives_a_failing_allocation)
{
	return fail_each(listen_once, NULL, 6);
}

static int cancel_and_go_on(void *arg)
{
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, AN_MILLISECOND);
	r = an_timeout_end(&limit, an_pg_exec(arg, "select pg_sleep(1000)"));
	if (r != -ETIMEDOUT)
		return r;
	/* Without memory for the cleaner the connection is given up. */
	r = an_pg_exec(arg, "select 1");
	return r == AN_ERR_PG_CONNECTION ? -ENOMEM : r;
}

static int cancel_on_new(void *arg)
{
	an_pg_conn *c;
	int r = pg_open(&c);

	(void)arg;
	if (r < 0)
		return r;
	r = cancel_and_go_on(c);
	an_pg_close(c);
	return r;
}

PG_TEST(a_cancelled_query_survives_a_failing_allocation)
{
	return fail_each(cancel_on_new, NULL, 8);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(connecting_and_querying_survive_a_failing_allocation),
	cmocka_unit_test(a_pool_survives_a_failing_allocation),
	cmocka_unit_test(a_listener_survives_a_failing_allocation),
	cmocka_unit_test(a_cancelled_query_survives_a_failing_allocation),
};

static int set_up(void **state)
{
	count_libevent(state);
	return pg_set_up(state);
}

TEST_MAIN_WITH("pg-alloc", tests, set_up, pg_tear_down)
