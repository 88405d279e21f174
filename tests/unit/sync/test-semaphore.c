/* The semaphore. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static an_semaphore semaphore;
static int inside, most;

static int enters(void *arg)
{
	int r = an_semaphore_acquire(&semaphore);

	(void)arg;
	if (r < 0)
		return r;
	if (++inside > most)
		most = inside;
	r = an_sleep(AN_SECOND);
	inside--;
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	return r;
}

TASK_TEST(no_more_than_its_permits_are_inside)
{
	an_duration start = an_now();
	an_group group;

	inside = most = 0;
	an_semaphore_init(&semaphore, 3, 3);
	an_group_begin(&group);
	for (int i = 0; i < 9; i++)
		CHECK_EQUAL(an_group_spawn(&group, enters, NULL), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(most, 3);
	CHECK_EQUAL(an_now() - start, 3 * AN_SECOND);
	CHECK_EQUAL(an_semaphore_value(&semaphore), 3);
	return 0;
}

/* asyncio semantics 23. */
TASK_TEST(a_release_above_the_bound_is_refused)
{
	an_semaphore bounded = AN_SEMAPHORE_INIT(1, 1), open = AN_SEMAPHORE_INIT(0, 0);

	CHECK_EQUAL(an_semaphore_release(&bounded), -EOVERFLOW);
	CHECK_EQUAL(an_semaphore_tryacquire(&bounded), 0);
	CHECK_EQUAL(an_semaphore_tryacquire(&bounded), -EAGAIN);
	CHECK_EQUAL(an_semaphore_release(&bounded), 0);
	CHECK_EQUAL(an_semaphore_release(&open), 0);
	CHECK_EQUAL(an_semaphore_release(&open), 0);
	CHECK_EQUAL(an_semaphore_value(&open), 2);
	return 0;
}

static int acquires(void *arg)
{
	int r = an_semaphore_acquire(&semaphore);

	*(int *)arg = r;
	return r;
}

/* asyncio semantics 23: nobody overtakes a waiter to whom a permit was released. */
TASK_TEST_IN_ORDER(a_release_and_acquire_in_one_turn_cannot_overtake)
{
	an_task *waiter;
	int got = 1;

	an_semaphore_init(&semaphore, 0, 0);
	CHECK_EQUAL(an_spawn(acquires, &got, NULL, &waiter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	CHECK_EQUAL(an_semaphore_tryacquire(&semaphore), -EAGAIN);
	CHECK_EQUAL(an_join(waiter, NULL), 0);
	CHECK_EQUAL(got, 0);
	return 0;
}

/* asyncio semantics 23: asyncio gives the permit back at once; here its task has it, and
 * meets the cancellation next. */
TASK_TEST_IN_ORDER(a_permit_granted_before_the_cancellation_is_held)
{
	an_task *waiter;
	int got = 1;

	an_semaphore_init(&semaphore, 0, 0);
	CHECK_EQUAL(an_spawn(acquires, &got, NULL, &waiter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	an_cancel(waiter);
	CHECK_EQUAL(an_join(waiter, NULL), 0);
	CHECK_EQUAL(got, 0);
	return 0;
}

/* asyncio semantics 23. */
TASK_TEST_IN_ORDER(as_many_are_woken_as_permits_are_released)
{
	an_task *tasks[4];
	int got[4] = { 1, 1, 1, 1 };

	an_semaphore_init(&semaphore, 0, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(an_spawn(acquires, &got[i], NULL, &tasks[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(tasks[1]);
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(got[0], 0);
	CHECK_EQUAL(got[1], -ECANCELED);
	CHECK_EQUAL(got[2], 0);
	CHECK_EQUAL(got[3], 1);
	CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(an_join(tasks[i], NULL), 0);
	CHECK_EQUAL(got[3], 0);
	CHECK_EQUAL(an_semaphore_value(&semaphore), 0);
	return 0;
}

static int comes_and_goes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		int r = an_semaphore_acquire(&semaphore);

		if (r < 0)
			return r;
		CHECK(++inside <= 2);
		r = an_yield();
		inside--;
		CHECK_EQUAL(an_semaphore_release(&semaphore), 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static an_group rivals;

static int starts_rivals(void *arg)
{
	(void)arg;
	inside = 0;
	an_semaphore_init(&semaphore, 2, 2);
	an_group_begin(&rivals);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_group_spawn(&rivals, comes_and_goes, NULL), 0);
	return 0;
}

static int finds_all_permits(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_group_end(&rivals), 0);
	CHECK_EQUAL(an_semaphore_value(&semaphore), 2);
	CHECK_EQUAL(inside, 0);
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_loses_no_permit, starts_rivals, comes_and_goes,
	    finds_all_permits, NULL)

static void outside_a_task_nobody_can_wait(void **state)
{
	an_semaphore s = AN_SEMAPHORE_INIT(1, 1);

	(void)state;
	assert_int_equal(an_semaphore_acquire(&s), AN_ERR_NO_TASK);
	assert_int_equal(an_semaphore_tryacquire(&s), 0);
	assert_int_equal(an_semaphore_release(&s), 0);
	assert_int_equal(an_semaphore_release(&s), -EOVERFLOW);
}

TASK_TEST(the_count_of_permits_cannot_wrap)
{
	an_semaphore full = AN_SEMAPHORE_INIT(SIZE_MAX, 0);

	CHECK_EQUAL(an_semaphore_release(&full), -EOVERFLOW);
	CHECK_EQUAL(an_semaphore_value(&full), SIZE_MAX);
	CHECK_EQUAL(an_semaphore_acquire(&full), 0);
	CHECK_EQUAL(an_semaphore_release(&full), 0);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_count_of_permits_cannot_wrap),
	cmocka_unit_test(no_more_than_its_permits_are_inside),
	cmocka_unit_test(a_release_above_the_bound_is_refused),
	cmocka_unit_test(a_release_and_acquire_in_one_turn_cannot_overtake),
	cmocka_unit_test(a_permit_granted_before_the_cancellation_is_held),
	cmocka_unit_test(a_cancellation_at_any_step_loses_no_permit),
	cmocka_unit_test(as_many_are_woken_as_permits_are_released),
	cmocka_unit_test(outside_a_task_nobody_can_wait),
};
TEST_MAIN("semaphore", tests)
