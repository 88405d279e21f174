/* The barrier. */
#include "tests/support/run.h"

#include <errno.h>

static an_barrier barrier;
static int passed;
static unsigned indexes;

static int arrives(void *arg)
{
	size_t index;
	int r = an_barrier_wait(&barrier, &index);

	if (arg)
		*(int *)arg = r;
	if (r < 0)
		return r;
	passed++;
	indexes |= 1u << index;
	return 0;
}

static int spawn_arrivals(int n)
{
	passed = 0;
	indexes = 0;
	for (int i = 0; i < n; i++)
		CHECK_EQUAL(an_spawn(arrives, NULL, NULL, NULL), 0);
	return an_sleep(1);
}

TASK_TEST(all_pass_together_with_an_index_each)
{
	an_barrier_init(&barrier, 4);
	for (int round = 0; round < 3; round++) {
		CHECK_EQUAL(spawn_arrivals(3), 0);
		CHECK_EQUAL(passed, 0);
		CHECK_EQUAL(an_barrier_wait(&barrier, NULL), 0);
		CHECK_EQUAL(an_sleep(1), 0);
		CHECK_EQUAL(passed, 3);
		CHECK_EQUAL(__builtin_popcount(indexes), 3);
		CHECK(indexes < 16);
	}
	return 0;
}

/* asyncio semantics 26. */
TASK_TEST(a_cancelled_arrival_leaves_without_breaking_it)
{
	an_task *task;
	int r = 1;

	an_barrier_init(&barrier, 3);
	CHECK_EQUAL(an_spawn(arrives, &r, NULL, &task), 0);
	CHECK_EQUAL(spawn_arrivals(1), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK(!an_barrier_broken(&barrier));
	CHECK_EQUAL(an_spawn(arrives, NULL, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(passed, 0);
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(passed, 2);
	return 0;
}

/* asyncio semantics 26. */
TASK_TEST_IN_ORDER(an_abort_breaks_it_until_a_reset)
{
	an_task *task;
	int r = 1;

	an_barrier_init(&barrier, 2);
	CHECK_EQUAL(an_spawn(arrives, &r, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_barrier_abort(&barrier);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, AN_ERR_BROKEN);
	CHECK(an_barrier_broken(&barrier));
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), AN_ERR_BROKEN);
	an_barrier_reset(&barrier);
	CHECK_EQUAL(spawn_arrivals(2), 0);
	CHECK_EQUAL(passed, 2);
	return 0;
}

/* asyncio semantics 26. */
TASK_TEST_IN_ORDER(a_reset_breaks_those_who_wait_and_it_is_whole_again)
{
	an_task *task;
	int r = 1;

	an_barrier_init(&barrier, 2);
	CHECK_EQUAL(an_spawn(arrives, &r, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_barrier_reset(&barrier);
	CHECK(!an_barrier_broken(&barrier));
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, AN_ERR_BROKEN);
	CHECK_EQUAL(spawn_arrivals(2), 0);
	CHECK_EQUAL(passed, 2);
	return 0;
}

TASK_TEST(a_barrier_for_one_never_waits)
{
	size_t index = 7;

	an_barrier_init(&barrier, 1);
	CHECK_EQUAL(an_barrier_wait(&barrier, &index), 0);
	CHECK_EQUAL(index, 0);
	return 0;
}

TASK_TEST(a_barrier_of_none_is_one_of_one)
{
	an_barrier barrier = AN_BARRIER_INIT(0);
	size_t index = 9;

	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_barrier_wait(&barrier, &index), 0);
		CHECK_EQUAL(index, 0);
	}
	return 0;
}

/* asyncio semantics 26: there a new arrival waits until all have left; here the barrier
 * is empty from the moment it opens. In both it does not go through with them. */
TASK_TEST_IN_ORDER(who_comes_after_it_opened_is_of_the_next_round)
{
	an_task *early, *late;
	int r_early = 1, r_late = 1;

	an_barrier_init(&barrier, 2);
	CHECK_EQUAL(an_spawn(arrives, &r_early, NULL, &early), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_spawn(arrives, &r_late, NULL, &late), 0);
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), 0); /* opens; nobody has left yet */
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(r_early, 0);
	CHECK(!an_done(late));
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), 0);
	CHECK_EQUAL(an_join(late, NULL), 0);
	CHECK_EQUAL(r_late, 0);
	CHECK_EQUAL(an_join(early, NULL), 0);
	return 0;
}

/* asyncio semantics 26: asyncio breaks those who have not left yet, too; here they are
 * through. */
TASK_TEST_IN_ORDER(an_abort_does_not_reach_those_who_are_through)
{
	an_task *task;
	int r = 1;

	an_barrier_init(&barrier, 2);
	CHECK_EQUAL(an_spawn(arrives, &r, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), 0);
	an_barrier_abort(&barrier);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_barrier_wait(&barrier, NULL), AN_ERR_BROKEN);
	return 0;
}

/* asyncio semantics 26: asyncio's indexes repeat then. */
TASK_TEST(indexes_are_unique_after_a_cancellation)
{
	an_task *tasks[2];

	an_barrier_init(&barrier, 4);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(arrives, NULL, NULL, &tasks[i]), 0);
	CHECK_EQUAL(spawn_arrivals(1), 0);
	for (int i = 0; i < 2; i++) {
		an_cancel(tasks[i]);
		CHECK_EQUAL(an_join(tasks[i], NULL), 0);
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(arrives, NULL, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(passed, 4);
	CHECK_EQUAL(indexes, 15);
	return 0;
}

static int arrives_twice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		int r = an_barrier_wait(&barrier, NULL);

		if (r < 0)
			return r == AN_ERR_BROKEN ? 0 : r;
		passed++;
	}
	return 0;
}

static an_group peers;

static int starts_two(void *arg)
{
	(void)arg;
	an_barrier_init(&barrier, 3);
	passed = 0;
	an_group_begin(&peers);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_group_spawn(&peers, arrives_twice, NULL), 0);
	return 0;
}

/* Whoever passed did so with two others. */
static int finds_whole_rounds(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(passed % 3, 0);
	an_barrier_abort(&barrier);
	CHECK_EQUAL(an_group_end(&peers), 0);
	CHECK_EQUAL(barrier.arrived, 0);
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_leaves_whole_rounds, starts_two, arrives_twice,
	    finds_whole_rounds, NULL)

static void outside_a_task_nobody_can_arrive(void **state)
{
	an_barrier b = AN_BARRIER_INIT(1);
	size_t index = 9;

	(void)state;
	assert_int_equal(an_barrier_wait(&b, &index), AN_ERR_NO_TASK);
	assert_int_equal(index, 9);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_barrier_of_none_is_one_of_one),
	cmocka_unit_test(all_pass_together_with_an_index_each),
	cmocka_unit_test(a_cancelled_arrival_leaves_without_breaking_it),
	cmocka_unit_test(an_abort_breaks_it_until_a_reset),
	cmocka_unit_test(a_reset_breaks_those_who_wait_and_it_is_whole_again),
	cmocka_unit_test(a_barrier_for_one_never_waits),
	cmocka_unit_test(who_comes_after_it_opened_is_of_the_next_round),
	cmocka_unit_test(an_abort_does_not_reach_those_who_are_through),
	cmocka_unit_test(indexes_are_unique_after_a_cancellation),
	cmocka_unit_test(a_cancellation_at_any_step_leaves_whole_rounds),
	cmocka_unit_test(outside_a_task_nobody_can_arrive),
};
TEST_MAIN("barrier", tests)
