/* The condition. */
#include "tests/support/run.h"

#include <errno.h>

static an_mutex mutex;
static an_condition condition;
static int value, woken;

static void start(void)
{
	an_mutex_init(&mutex);
	an_condition_init(&condition);
	value = woken = 0;
}

static int waits_once(void *arg)
{
	int r;

	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	r = an_condition_wait(&condition, &mutex);
	if (r == 0)
		woken++;
	if (arg)
		*(int *)arg = r;
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0); /* held in every case */
	return r;
}

TASK_TEST_IN_ORDER(a_notification_wakes_as_many_as_it_says)
{
	start();
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(an_spawn(waits_once, NULL, NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_condition_notify(&condition, 2), 2);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(woken, 2);
	CHECK_EQUAL(an_condition_notify_all(&condition), 3);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(woken, 5);
	CHECK_EQUAL(an_condition_notify(&condition, 1), 0);
	return 0;
}

static bool value_is_three(void *arg)
{
	return *(int *)arg == 3;
}

static int waits_for_three(void *arg)
{
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_condition_wait_for(&condition, &mutex, value_is_three, arg), 0);
	CHECK_EQUAL(value, 3);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	woken++;
	return 0;
}

TASK_TEST(a_wait_for_a_predicate_goes_on_until_it_holds)
{
	start();
	CHECK_EQUAL(an_spawn(waits_for_three, &value, NULL, NULL), 0);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQUAL(an_sleep(1), 0);
		CHECK_EQUAL(woken, 0);
		CHECK_EQUAL(an_mutex_lock(&mutex), 0);
		value = i;
		CHECK_EQUAL(an_condition_notify_all(&condition), 1);
		CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	}
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(woken, 1);
	return 0;
}

TASK_TEST(the_mutex_must_be_held)
{
	start();
	CHECK_EQUAL(an_condition_wait(&condition, &mutex), -EPERM);
	CHECK_EQUAL(an_condition_wait_for(&condition, &mutex, value_is_three, &value),
		    -EPERM);
	return 0;
}

/* asyncio semantics 24: the mutex is taken again before the cancellation is reported. */
TASK_TEST_IN_ORDER(a_cancelled_wait_holds_the_mutex_again)
{
	an_task *task;
	int r = 1;

	start();
	CHECK_EQUAL(an_spawn(waits_once, &r, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	an_cancel(task);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!an_done(task)); /* it waits for us to unlock */
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

/* asyncio semantics 24. */
TASK_TEST_IN_ORDER(no_notification_is_lost_on_a_cancelled_waiter)
{
	an_task *first, *second;
	int r_first = 1, r_second = 1;

	start();
	CHECK_EQUAL(an_spawn(waits_once, &r_first, NULL, &first), 0);
	CHECK_EQUAL(an_spawn(waits_once, &r_second, NULL, &second), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(first);
	CHECK_EQUAL(an_condition_notify(&condition, 1), 1);
	CHECK_EQUAL(an_join(first, NULL), 0);
	CHECK_EQUAL(an_join(second, NULL), 0);
	CHECK_EQUAL(r_first, -ECANCELED);
	CHECK_EQUAL(r_second, 0);
	return 0;
}

/* asyncio semantics 24: asyncio notifies another then. Here the one who was notified has
 * the notification, and the mutex, and meets the cancellation next. */
TASK_TEST_IN_ORDER(who_is_cancelled_after_the_notification_has_it)
{
	an_task *first, *second;
	int r_first = 1, r_second = 1;

	start();
	CHECK_EQUAL(an_spawn(waits_once, &r_first, NULL, &first), 0);
	CHECK_EQUAL(an_spawn(waits_once, &r_second, NULL, &second), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_condition_notify(&condition, 1), 1);
	an_cancel(first);
	CHECK_EQUAL(an_join(first, NULL), 0);
	CHECK_EQUAL(r_first, 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!an_done(second));
	CHECK_EQUAL(an_condition_notify(&condition, 1), 1);
	CHECK_EQUAL(an_join(second, NULL), 0);
	CHECK_EQUAL(r_second, 0);
	return 0;
}

/* asyncio semantics 24: while it takes the mutex again, more cancellations come. */
TASK_TEST_IN_ORDER(a_cancellation_while_it_locks_again_is_seen_later)
{
	an_task *notified, *cancelled;
	int r_notified = 1, r_cancelled = 1;

	start();
	CHECK_EQUAL(an_spawn(waits_once, &r_cancelled, NULL, &cancelled), 0);
	CHECK_EQUAL(an_spawn(waits_once, &r_notified, NULL, &notified), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	an_cancel(cancelled);
	CHECK_EQUAL(an_condition_notify(&condition, 1), 1);
	CHECK_EQUAL(an_sleep(1), 0); /* both wait for the mutex now */
	an_cancel(cancelled);
	an_cancel(notified);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(!an_done(cancelled) && !an_done(notified));
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_join(cancelled, NULL), 0);
	CHECK_EQUAL(an_join(notified, NULL), 0);
	CHECK_EQUAL(r_cancelled, -ECANCELED);
	CHECK_EQUAL(r_notified, 0);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

/* Each takes one of what the others make. */
static int takes_one(void *arg)
{
	int r;

	(void)arg;
	r = an_mutex_lock(&mutex);
	if (r < 0)
		return r;
	while (r == 0 && !value)
		r = an_condition_wait(&condition, &mutex);
	if (r == 0) {
		value--;
		woken++;
	}
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return r;
}

static int makes_three(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_mutex_lock(&mutex), 0);
		value++;
		an_condition_notify(&condition, 1);
		CHECK_EQUAL(an_yield(), 0);
		CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	}
	return 0;
}

static an_group peers;

static int starts_peers(void *arg)
{
	(void)arg;
	start();
	an_group_begin(&peers);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_group_spawn(&peers, takes_one, NULL), 0);
	return an_group_spawn(&peers, makes_three, NULL);
}

static int finds_nothing_lost(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_group_end(&peers), 0); /* the two have had theirs */
	CHECK_EQUAL(woken + value, 3);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_strands_nobody, starts_peers, takes_one,
	    finds_nothing_lost, NULL)

static void outside_a_task_the_mutex_is_nobody_s(void **state)
{
	(void)state;
	start();
	assert_int_equal(an_condition_wait(&condition, &mutex), -EPERM);
	assert_int_equal(an_condition_notify_all(&condition), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_notification_wakes_as_many_as_it_says),
	cmocka_unit_test(a_wait_for_a_predicate_goes_on_until_it_holds),
	cmocka_unit_test(the_mutex_must_be_held),
	cmocka_unit_test(a_cancelled_wait_holds_the_mutex_again),
	cmocka_unit_test(no_notification_is_lost_on_a_cancelled_waiter),
	cmocka_unit_test(who_is_cancelled_after_the_notification_has_it),
	cmocka_unit_test(a_cancellation_while_it_locks_again_is_seen_later),
	cmocka_unit_test(a_cancellation_at_any_step_strands_nobody),
	cmocka_unit_test(outside_a_task_the_mutex_is_nobody_s),
};
TEST_MAIN("condition", tests)
