/* LISTEN and NOTIFY, over the loss of the connection; and pools of a TCP server that
 * stalls. */
#include "tests/integration/pg-support.h"

static const char *const channels[] = { "notes", "odd \"name\"", NULL };

static char listen_conninfo[320];

static int start_listening(const an_pg_listen_opts *opts, an_pg_listener **ret)
{
	snprintf(listen_conninfo, sizeof(listen_conninfo), "%s application_name=listener",
		 pg_conninfo);
	return an_pg_listen(&(an_pg_conn_opts){ .conninfo = listen_conninfo }, channels,
			    opts, NULL, ret);
}

static int expect(an_pg_listener *l, const char *channel, const char *payload)
{
	an_pg_notification n;
	int r = an_pg_listener_next(l, &n);

	if (r < 0)
		return r;
	return !n.gap && n.backend_pid && !strcmp(n.channel, channel) &&
			       !strcmp(n.payload, payload)
		       ? 0
		       : CHECK_FAILED;
}

static int expect_gap(an_pg_listener *l)
{
	an_pg_notification n;
	int r = an_pg_listener_next(l, &n);

	return r < 0 ? r : n.gap && !n.channel[0] && !n.payload[0] ? 0 : CHECK_FAILED;
}

PG_TEST(notifications_arrive_in_order_from_every_channel)
{
	an_pg_listener *l;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(start_listening(NULL, &l), 0);
	CHECK_EQUAL(an_pg_notify(c, "notes", "1"), 0);
	CHECK_EQUAL(an_pg_notify(c, "elsewhere", "2"), 0);
	CHECK_EQUAL(an_pg_notify(c, "odd \"name\"", NULL), 0);
	CHECK_EQUAL(an_pg_begin(c, NULL), 0);
	CHECK_EQUAL(an_pg_notify(c, "notes", "undone"), 0);
	CHECK_EQUAL(an_pg_rollback(c), 0);
	CHECK_EQUAL(an_pg_notify(c, "notes", "3"), 0);
	CHECK_EQUAL(expect(l, "notes", "1"), 0);
	CHECK_EQUAL(expect(l, "odd \"name\"", ""), 0);
	CHECK_EQUAL(expect(l, "notes", "3"), 0);
	an_pg_listener_close(l);
	an_pg_close(c);
	return 0;
}

PG_TEST(a_lost_connection_is_made_anew_and_shows_as_a_gap)
{
	an_pg_listener *l;
	an_pg_conn *c;

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(start_listening(&(an_pg_listen_opts){ .backoff_min = AN_MILLISECOND },
				    &l),
		    0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(
			an_pg_exec(
				c,
				"select pg_terminate_backend(pid) from "
				"pg_stat_activity where application_name = 'listener'"),
			0);
		CHECK_EQUAL(expect_gap(l), 0);
		CHECK_EQUAL(an_pg_notify(c, "notes", "after"), 0);
		CHECK_EQUAL(expect(l, "notes", "after"), 0);
	}
	an_pg_listener_close(l);
	an_pg_close(c);
	return 0;
}

PG_TEST(a_full_backlog_shows_as_a_gap_at_its_end)
{
	an_pg_listener *l;
	an_pg_conn *c;
	char payload[16];

	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(start_listening(&(an_pg_listen_opts){ .backlog = 3 }, &l), 0);
	CHECK_EQUAL(an_pg_exec(c, "select pg_notify('notes', i::text) from "
				  "generate_series(1, 9) i"),
		    0);
	/* The first one's arrival shows that all of them, sent by one commit, are
	 * here. */
	for (int i = 1; i <= 3; i++) {
		snprintf(payload, sizeof(payload), "%d", i);
		CHECK_EQUAL(expect(l, "notes", payload), 0);
	}
	CHECK_EQUAL(expect_gap(l), 0);
	CHECK_EQUAL(an_pg_notify(c, "notes", "next"), 0);
	CHECK_EQUAL(expect(l, "notes", "next"), 0);
	an_pg_listener_close(l);
	an_pg_close(c);
	return 0;
}

static int next_task(void *arg)
{
	an_pg_notification n;

	return an_pg_listener_next(arg, &n);
}

PG_TEST(a_waiting_reader_is_alone_and_told_of_the_close)
{
	an_pg_notification n;
	an_pg_listener *l;
	an_task *task;
	int r;

	CHECK_EQUAL(start_listening(NULL, &l), 0);
	CHECK_EQUAL(an_spawn(next_task, l, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_pg_listener_next(l, &n), -EBUSY);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_spawn(next_task, l, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_pg_listener_close(l));
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK(!an_pg_listener_close(NULL));
	return 0;
}

PG_TEST(a_listener_that_is_closed_at_once_leaks_nothing)
{
	an_pg_listener *l;

	CHECK_EQUAL(start_listening(NULL, &l), 0);
	an_pg_listener_close(l);
	return 0;
}

PG_TEST(a_failure_at_the_start_is_told)
{
	an_pg_listener *l;
	an_pg_error e;

	CHECK_EQUAL(an_pg_listen(&(an_pg_conn_opts){ .conninfo = "host=/nowhere" },
				 channels, NULL, &e, &l),
		    AN_ERR_PG_CONNECTION);
	CHECK(!strcmp(e.sqlstate, "08001"));
	return 0;
}

PG_TEST(pings_that_are_answered_change_nothing)
{
	an_pg_listener *l;
	an_pg_conn *c;

	/* Pings that are answered change nothing. */
	CHECK_EQUAL(pg_open(&c), 0);
	CHECK_EQUAL(start_listening(&(an_pg_listen_opts){ .ping = AN_MILLISECOND }, &l),
		    0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQUAL(an_pg_exec(c, "select pg_sleep(0.001)"), 0);
		CHECK_EQUAL(an_pg_notify(c, "notes", "x"), 0);
		CHECK_EQUAL(expect(l, "notes", "x"), 0);
	}
	an_pg_listener_close(l);
	an_pg_close(c);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(notifications_arrive_in_order_from_every_channel),
	cmocka_unit_test(a_lost_connection_is_made_anew_and_shows_as_a_gap),
	cmocka_unit_test(a_full_backlog_shows_as_a_gap_at_its_end),
	cmocka_unit_test(a_waiting_reader_is_alone_and_told_of_the_close),
	cmocka_unit_test(a_listener_that_is_closed_at_once_leaks_nothing),
	cmocka_unit_test(a_failure_at_the_start_is_told),
	cmocka_unit_test(pings_that_are_answered_change_nothing),
};
TEST_MAIN_WITH("pg-listen", tests, pg_set_up, pg_tear_down)
