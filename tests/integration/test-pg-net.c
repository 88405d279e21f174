/* Connections over TCP, with a proxy in between that can stop forwarding: servers that
 * accept and say nothing, networks that swallow everything.
 */
#include "tests/integration/pg-support.h"

/* ---- the proxy --------------------------------------------------------------------- */

struct proxy {
	an_listener *listener;
	an_task *task;
	an_group group;
	bool stalled; /* forwards nothing any more */
	unsigned accepted;
	char conninfo[128];
};

struct link {
	struct proxy *proxy;
	an_stream *from, *to;
};

static int forward(void *arg)
{
	struct link *l = arg;
	char buf[4096];
	ssize_t n;
	int r;

	while ((n = an_stream_read(l->from, buf, sizeof(buf))) > 0) {
		if (l->proxy->stalled)
			return an_sleep(AN_FOREVER);
		r = an_stream_write(l->to, buf, (size_t)n);
		if (r < 0)
			return 0;
	}
	return n == -ECANCELED ? -ECANCELED : 0;
}

/* Both ways, until one of them ends. */
static int serve(void *arg)
{
	struct link up = *(struct link *)arg, down;
	char path[128];
	an_task *task;
	int r;

	free(arg);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", pg_dir);
	r = up.proxy->stalled ? an_sleep(AN_FOREVER)
			      : an_connect_unix(path, NULL, &up.to);
	if (r == 0) {
		down = (struct link){ up.proxy, up.to, up.from };
		r = an_spawn(forward, &down, NULL, &task);
		if (r == 0) {
			r = forward(&up);
			an_cancel(task);
			an_stream_close(up.to);
			/* It ends with its streams. */
			an_shield shield;
			an_shield_begin(&shield, AN_FOREVER);
			an_ignore(an_shield_end(&shield, an_join(task, NULL)));
		}
	}
	an_stream_close(up.from);
	return r == -ECANCELED ? r : 0;
}

static int accept_all(void *arg)
{
	struct proxy *p = arg;
	an_stream *s;
	int r;

	an_group_begin(&p->group);
	while ((r = an_accept(p->listener, &s)) == 0) {
		struct link *l = malloc(sizeof(*l));

		p->accepted++;
		*l = (struct link){ p, s, NULL };
		r = an_group_spawn(&p->group, serve, l);
		if (r < 0)
			break;
	}
	an_group_cancel(&p->group);
	an_ignore(an_group_end(&p->group));
	return r;
}

static int proxy_start(struct proxy *p)
{
	int r = an_listen("127.0.0.1", "0", NULL, &p->listener);

	if (r < 0)
		return r;
	p->stalled = false;
	p->accepted = 0;
	snprintf(p->conninfo, sizeof(p->conninfo),
		 "host=localhost port=%u user=postgres dbname=postgres sslmode=disable",
		 an_listener_port(p->listener));
	return an_spawn(accept_all, p, NULL, &p->task);
}

static int proxy_stop(struct proxy *p)
{
	int r;

	an_cancel(p->task);
	r = an_join(p->task, NULL);
	an_listener_close(p->listener);
	return r;
}

/* ---- tests ------------------------------------------------------------------------- */

PG_TEST(a_name_is_resolved_and_connected_to)
{
	struct proxy p;
	an_pg_conn *c;

	CHECK_EQUAL(proxy_start(&p), 0);
	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = p.conninfo }, NULL, &c),
		    0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_close(c);
	return proxy_stop(&p);
}

PG_TEST(a_name_without_an_address_is_told)
{
	an_pg_error e;
	an_pg_conn *c;
	int r;

	r = an_pg_connect(&(an_pg_conn_opts){ .conninfo = "host=nowhere.invalid" }, &e,
			  &c);
	CHECK(r == AN_ERR_NAME || r == AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(e.code, r);
	return 0;
}

PG_TEST(a_server_that_says_nothing_is_given_up_for_the_next)
{
	char conninfo[400];
	struct proxy p;
	an_pg_error e;
	an_pg_conn *c;

	CHECK_EQUAL(proxy_start(&p), 0);
	p.stalled = true;
	CHECK_EQUAL(an_pg_connect(
			    &(an_pg_conn_opts){ .conninfo = p.conninfo,
						.connect_timeout = 20 * AN_MILLISECOND },
			    &e, &c),
		    AN_ERR_PG_CONNECTION);
	CHECK(!strcmp(e.sqlstate, "08001"));
	CHECK_EQUAL(e.sent, AN_PG_SENT_NO);
	snprintf(conninfo, sizeof(conninfo),
		 "host=127.0.0.1,%s port=%u,5432 user=postgres dbname=postgres", pg_dir,
		 an_listener_port(p.listener));
	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = conninfo,
						      .connect_timeout = AN_SECOND },
				  &e, &c),
		    0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	CHECK(p.accepted >= 2);
	an_pg_close(c);
	return proxy_stop(&p);
}

PG_TEST(connecting_can_be_cancelled_at_any_time)
{
	an_timeout limit;
	struct proxy p;
	an_pg_conn *c;
	int r;

	CHECK_EQUAL(proxy_start(&p), 0);
	for (int i = 0; i < 20; i++) {
		an_timeout_begin(&limit, i * 200 * AN_MICROSECOND);
		r = an_pg_connect(&(an_pg_conn_opts){ .conninfo = p.conninfo }, NULL, &c);
		r = an_timeout_end(&limit, r);
		CHECK(r == 0 || r == -ETIMEDOUT);
		if (r == 0)
			an_pg_close(c);
	}
	return proxy_stop(&p);
}

PG_TEST(a_silent_network_costs_a_slot_for_the_budget_alone)
{
	an_pg_pool_stats stats;
	an_pg_conn *c, *other;
	an_timeout limit;
	an_pg_pool *pool;
	struct proxy p;
	int r;

	CHECK_EQUAL(proxy_start(&p), 0);
	CHECK_EQUAL(an_pg_pool_new(
			    &(an_pg_pool_opts){ .conn.conninfo = p.conninfo,
						.conn.cancel_budget = 20 * AN_MILLISECOND,
						.max_size = 1 },
			    &pool),
		    0);
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	p.stalled = true;
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select 1")), -ETIMEDOUT);
	/* The cancellation cannot get through either. */
	CHECK_EQUAL(an_pg_exec(c, "select 1"), AN_ERR_PG_CONNECTION);
	CHECK_EQUAL(an_pg_conn_error(c)->sent, AN_PG_SENT_NO);
	an_pg_release(c);
	an_timeout_begin(&limit, 100 * AN_MILLISECOND);
	r = an_timeout_end(&limit, an_pg_acquire(pool, &other));
	CHECK(r == -ETIMEDOUT);
	p.stalled = false;
	CHECK_EQUAL(an_pg_acquire(pool, &c), 0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_release(c);
	an_pg_pool_get_stats(pool, &stats);
	CHECK_EQUAL(stats.cancelled, 1);
	CHECK_EQUAL(an_pg_pool_shutdown(pool), 0);
	an_pg_pool_free(pool);
	return proxy_stop(&p);
}

/* ---- a server that says what it is told to ----------------------------------------- */

#define READY_FOR_QUERY "Z\0\0\0\005I"

/* Takes messages up to a Sync. */
static int skip_to_sync(an_stream *s)
{
	unsigned char head[5];
	char body[512];
	size_t len;
	int r;

	do {
		r = an_stream_read_exactly(s, head, sizeof(head));
		len = (size_t)head[3] << 8 | head[4];
		if (r >= 0 && len > 4)
			r = an_stream_read_exactly(s, body, len - 4);
		if (r < 0)
			return r;
	} while (head[0] != 'S');
	return 0;
}

/* Answers a query, prepares a statement, and in the same breath says that it goes; but
 * does not close. */
static int leave_after_prepare(void *arg)
{
	static const char welcome[] = "R\0\0\0\010\0\0\0\0" READY_FOR_QUERY;
	static const char answer[] = "1\0\0\0\0042\0\0\0\004n\0\0\0\004C\0\0\0\017INSERT "
				     "0 1\0" READY_FOR_QUERY;
	static const char prepared[] =
		"1\0\0\0\004" READY_FOR_QUERY "E\0\0\0\037SFATAL\0VFATAL\0C57P01\0Mbye\0";
	unsigned char start[4];
	char rest[512];
	an_stream *s;
	int r = an_accept(arg, &s);

	if (r < 0)
		return r;
	r = an_stream_read_exactly(s, start, sizeof(start));
	if (r >= 0)
		r = an_stream_read_exactly(s, rest,
					   (size_t)start[2] * 256 + start[3] - 4);
	if (r >= 0)
		r = an_stream_write(s, welcome, sizeof(welcome) - 1);
	if (r >= 0)
		r = skip_to_sync(s);
	if (r >= 0)
		r = an_stream_write(s, answer, sizeof(answer) - 1);
	if (r >= 0)
		r = skip_to_sync(s);
	if (r >= 0)
		r = an_stream_write(s, prepared, sizeof(prepared)); /* and its own end */
	if (r >= 0)
		r = an_sleep(AN_FOREVER);
	an_stream_close(s);
	return r;
}

PG_TEST(a_server_that_leaves_between_prepare_and_execute_is_noticed)
{
	an_listener *listener;
	an_timeout limit;
	an_task *server;
	an_pg_conn *c;
	char conninfo[128];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	CHECK_EQUAL(an_spawn(leave_after_prepare, listener, NULL, &server), 0);
	snprintf(conninfo, sizeof(conninfo),
		 "host=127.0.0.1 port=%u user=x dbname=x sslmode=disable",
		 an_listener_port(listener));
	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = conninfo }, NULL, &c),
		    0);
	CHECK_EQUAL(an_pg_query(c, "insert into t values ($1)",
				AN_PG_PARAMS(an_pg_int4(1)), NULL),
		    0);
	an_timeout_begin(&limit, 5 * AN_SECOND);
	CHECK_EQUAL(
		an_timeout_end(&limit, an_pg_query(c, "insert into t values ($1)",
						   AN_PG_PARAMS(an_pg_int4(2)), NULL)),
		AN_ERR_PG_CONNECTION);
	CHECK(!strcmp(an_pg_conn_error(c)->sqlstate, "57P01"));
	CHECK_EQUAL(an_pg_conn_error(c)->sent, AN_PG_SENT_NO);
	CHECK(!an_pg_conn_alive(c));
	an_pg_close(c);
	an_cancel(server);
	CHECK_EQUAL(an_join(server, NULL), 0);
	an_listener_close(listener);
	return 0;
}

PG_TEST(for_ever_is_a_limit)
{
	an_timeout limit;
	an_pg_conn *c;

	CHECK_EQUAL(an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo,
						      .connect_timeout = AN_FOREVER,
						      .cancel_budget = AN_FOREVER },
				  NULL, &c),
		    0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_pg_exec(c, "select pg_sleep(60)")),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(pg_number(c, "select 1", NULL), 1);
	an_pg_close(c);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_name_is_resolved_and_connected_to),
	cmocka_unit_test(a_name_without_an_address_is_told),
	cmocka_unit_test(a_server_that_says_nothing_is_given_up_for_the_next),
	cmocka_unit_test(connecting_can_be_cancelled_at_any_time),
	cmocka_unit_test(a_silent_network_costs_a_slot_for_the_budget_alone),
	cmocka_unit_test(a_server_that_leaves_between_prepare_and_execute_is_noticed),
	cmocka_unit_test(for_ever_is_a_limit),
};
TEST_MAIN_WITH("pg-net", tests, pg_set_up, pg_tear_down)
