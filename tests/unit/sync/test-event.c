/* The event. */
#include "tests/support/run.h"

#include <errno.h>

static an_event event;
static int woken;

static int waits(void *arg)
{
	int r = an_event_wait(&event);

	(void)arg;
	if (r == 0)
		woken++;
	return r;
}

static int spawn_waiters(int n)
{
	an_event_init(&event);
	woken = 0;
	for (int i = 0; i < n; i++)
		CHECK_EQUAL(an_spawn(waits, NULL, NULL, NULL), 0);
	return an_yield();
}

TASK_TEST_IN_ORDER(a_set_wakes_all_and_later_waits_pass)
{
	CHECK_EQUAL(spawn_waiters(5), 0);
	CHECK_EQUAL(woken, 0);
	an_event_set(&event);
	CHECK(an_event_is_set(&event));
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(woken, 5);
	CHECK_EQUAL(an_event_wait(&event), 0);
	return 0;
}

/* asyncio semantics 25. */
TASK_TEST_IN_ORDER(a_set_that_is_cleared_at_once_still_wakes_who_waits)
{
	CHECK_EQUAL(spawn_waiters(3), 0);
	an_event_set(&event);
	an_event_clear(&event);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(woken, 3);
	CHECK(!an_event_is_set(&event));
	return 0;
}

TASK_TEST(a_wait_can_be_limited)
{
	an_event never = AN_EVENT_INIT;
	an_timeout limit;

	an_timeout_begin(&limit, AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_event_wait(&never)), -ETIMEDOUT);
	an_event_set(&never);
	an_timeout_begin(&limit, 0);
	CHECK_EQUAL(an_event_wait(&never), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, 0), 0);
	return 0;
}

/* The set comes before the cancellation: it was woken. */
TASK_TEST_IN_ORDER(a_waiter_woken_before_its_cancellation_has_seen_the_event)
{
	an_task *task;
	int r = 1;

	CHECK_EQUAL(spawn_waiters(0), 0);
	CHECK_EQUAL(an_spawn(waits, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_event_set(&event);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	return 0;
}

static an_task *setter;

static int sets_later(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_yield(), 0);
	an_event_set(&event);
	return 0;
}

static int starts_three(void *arg)
{
	(void)arg;
	CHECK_EQUAL(spawn_waiters(3), 0);
	return an_spawn(sets_later, NULL, NULL, &setter);
}

static int finds_three_woken(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_join(setter, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(woken == 3 || woken == 4);
	CHECK(!event.waiters.first);
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_leaves_the_others_waiting, starts_three, waits,
	    finds_three_woken, NULL)

static void outside_a_task_nobody_can_wait(void **state)
{
	an_event e = AN_EVENT_INIT;

	(void)state;
	assert_int_equal(an_event_wait(&e), AN_ERR_NO_TASK);
	an_event_set(&e);
	assert_int_equal(an_event_wait(&e), AN_ERR_NO_TASK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_set_wakes_all_and_later_waits_pass),
	cmocka_unit_test(a_set_that_is_cleared_at_once_still_wakes_who_waits),
	cmocka_unit_test(a_wait_can_be_limited),
	cmocka_unit_test(a_waiter_woken_before_its_cancellation_has_seen_the_event),
	cmocka_unit_test(a_cancellation_at_any_step_leaves_the_others_waiting),
	cmocka_unit_test(outside_a_task_nobody_can_wait),
};
TEST_MAIN("event", tests)
