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

TASK_TEST(an_abort_breaks_it_until_a_reset)
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

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_barrier_of_none_is_one_of_one),
	cmocka_unit_test(all_pass_together_with_an_index_each),
	cmocka_unit_test(a_cancelled_arrival_leaves_without_breaking_it),
	cmocka_unit_test(an_abort_breaks_it_until_a_reset),
	cmocka_unit_test(a_reset_breaks_those_who_wait_and_it_is_whole_again),
	cmocka_unit_test(a_barrier_for_one_never_waits),
};
TEST_MAIN("barrier", tests)
