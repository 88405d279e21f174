/* The mutex. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static an_mutex mutex;
static char order[32];

static int locks_and_appends(void *arg)
{
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	strncat(order, arg, 1);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return 0;
}

TASK_TEST_IN_ORDER(waiters_get_it_first_come_first_served)
{
	an_group group;

	order[0] = '\0';
	an_mutex_init(&mutex);
	an_group_begin(&group);
	for (const char *c = "abcd"; *c; c++)
		CHECK_EQUAL(an_group_spawn(&group, locks_and_appends, (void *)c), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK(strcmp(order, "abcd") == 0);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

TASK_TEST(what_is_not_held_cannot_be_unlocked)
{
	an_mutex m = AN_MUTEX_INIT;

	CHECK_EQUAL(an_mutex_unlock(&m), -EPERM);
	CHECK_EQUAL(an_mutex_lock(&m), 0);
	CHECK_EQUAL(an_mutex_lock(&m), -EDEADLK);
	CHECK_EQUAL(an_mutex_trylock(&m), -EBUSY);
	CHECK_EQUAL(an_mutex_unlock(&m), 0);
	CHECK_EQUAL(an_mutex_unlock(&m), -EPERM);
	CHECK_EQUAL(an_mutex_trylock(&m), 0);
	CHECK(an_mutex_locked(&m));
	CHECK_EQUAL(an_mutex_unlock(&m), 0);
	return 0;
}

static int tries_to_unlock(void *arg)
{
	return an_mutex_unlock(arg);
}

TASK_TEST(only_the_owner_can_unlock)
{
	an_task *task;
	int result;

	an_mutex_init(&mutex);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(tries_to_unlock, &mutex, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -EPERM);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return 0;
}

static int locks_then_checks(void *arg)
{
	int r = an_mutex_lock(&mutex);

	*(int *)arg = r;
	if (r < 0)
		return r;
	r = an_check();
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return r;
}

/* asyncio semantics 21: a hand-over that happened is kept, where asyncio passes it on at
 * once; the cancellation comes after. */
TASK_TEST_IN_ORDER(a_waiter_cancelled_after_the_hand_over_has_the_mutex)
{
	an_task *first, *second;
	int locked_first = 1, locked_second = 1, result;

	an_mutex_init(&mutex);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked_first, NULL, &first), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked_second, NULL, &second), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	an_cancel(first);
	CHECK_EQUAL(an_join(first, &result), 0);
	CHECK_EQUAL(locked_first, 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(an_join(second, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

/* asyncio semantics 21. */
TASK_TEST_IN_ORDER(a_waiter_cancelled_before_the_hand_over_is_passed_over)
{
	an_task *first, *second;
	int locked_first = 1, locked_second = 1, result;

	an_mutex_init(&mutex);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked_first, NULL, &first), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked_second, NULL, &second), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(first);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_join(first, &result), 0);
	CHECK_EQUAL(locked_first, -ECANCELED);
	CHECK_EQUAL(an_join(second, &result), 0);
	CHECK_EQUAL(locked_second, 0);
	return 0;
}

/* asyncio semantics 22. */
TASK_TEST_IN_ORDER(nobody_gets_in_before_a_waiter_unless_all_are_cancelled)
{
	an_task *waiter;
	int locked = 1;

	an_mutex_init(&mutex);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked, NULL, &waiter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_mutex_trylock(&mutex), -EBUSY); /* it is the waiter's already */
	CHECK_EQUAL(an_join(waiter, NULL), 0);
	CHECK_EQUAL(locked, 0);

	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(locks_then_checks, &locked, NULL, &waiter), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(waiter);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0); /* before the waiter has run */
	CHECK_EQUAL(an_join(waiter, NULL), 0);
	CHECK_EQUAL(locked, -ECANCELED);
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return 0;
}

static int contends(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		int r = an_mutex_lock(&mutex);

		if (r < 0)
			return r;
		r = an_yield();
		CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static an_group rivals;

static int starts_rivals(void *arg)
{
	(void)arg;
	an_mutex_init(&mutex);
	an_group_begin(&rivals);
	CHECK_EQUAL(an_group_spawn(&rivals, contends, NULL), 0);
	return an_group_spawn(&rivals, contends, NULL);
}

static int finds_it_free(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_group_end(&rivals), 0);
	CHECK(!an_mutex_locked(&mutex));
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_leaves_it_free, starts_rivals, contends,
	    finds_it_free, NULL)

static int complaints;

static void counts_complaints(void *arg, an_log_level level, const char *text, size_t len)
{
	(void)arg;
	(void)len;
	if (level == AN_LOG_ERROR && strstr(text, "task forgetful ended holding a lock"))
		complaints++;
}

static int takes_both(void *arg)
{
	static an_rwlock lock;

	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_rwlock_write(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	if (!arg)
		CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	return 0;
}

static int takes_a_lock_to_write(void *arg)
{
	return an_rwlock_write(arg);
}

/* Handed over at first, so that these count, too. */
TASK_TEST(an_end_without_an_unlock_is_reported)
{
	an_rwlock lock = AN_RWLOCK_INIT;
	an_task_opts name = { .name = "forgetful" };
	an_task *task;

	complaints = 0;
	CHECK_EQUAL(an_trace_set_hooks(&(an_trace_hooks){ .message = counts_complaints }),
		    0);
	for (int forgets = 0; forgets < 2; forgets++) {
		an_mutex_init(&mutex);
		CHECK_EQUAL(an_mutex_lock(&mutex), 0);
		CHECK_EQUAL(an_spawn(takes_both, forgets ? &lock : NULL, &name, &task),
			    0);
		CHECK_EQUAL(an_sleep(1), 0);
		CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(complaints, forgets);
	}
	CHECK_EQUAL(an_spawn(takes_a_lock_to_write, &lock, &name, &task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(complaints, 2);
	return an_trace_set_hooks(NULL);
}

static void outside_a_task_there_is_no_owner_to_be(void **state)
{
	an_mutex m = AN_MUTEX_INIT;

	(void)state;
	assert_int_equal(an_mutex_trylock(&m), AN_ERR_NO_TASK);
	assert_int_equal(an_mutex_lock(&m), AN_ERR_NO_TASK);
	assert_int_equal(an_mutex_unlock(&m), -EPERM);
	assert_false(an_mutex_locked(&m));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(waiters_get_it_first_come_first_served),
	cmocka_unit_test(what_is_not_held_cannot_be_unlocked),
	cmocka_unit_test(only_the_owner_can_unlock),
	cmocka_unit_test(a_waiter_cancelled_after_the_hand_over_has_the_mutex),
	cmocka_unit_test(a_waiter_cancelled_before_the_hand_over_is_passed_over),
	cmocka_unit_test(a_cancellation_at_any_step_leaves_it_free),
	cmocka_unit_test(outside_a_task_there_is_no_owner_to_be),
	cmocka_unit_test(nobody_gets_in_before_a_waiter_unless_all_are_cancelled),
	cmocka_unit_test(an_end_without_an_unlock_is_reported),
};
TEST_MAIN("mutex", tests)
