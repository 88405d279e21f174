/* Task-local variables: inherited, apart from each other, released once. */
#include "tests/support/run.h"

#include <asyncnet/testing.h>
#include <errno.h>

static void counts_releases(void *value)
{
	++*(int *)value;
}

static const an_local borrowed = { .name = "borrowed" };
static const an_local owned = { .name = "owned", .release = counts_releases };
static const an_local second = { .name = "second", .release = counts_releases };

static int a, b;

TASK_TEST(a_variable_that_nobody_set_is_null)
{
	CHECK(!an_local_get(&borrowed));
	CHECK_EQUAL(an_local_set(&borrowed, &a), 0);
	CHECK(an_local_get(&borrowed) == &a);
	CHECK(!an_local_get(&owned));
	CHECK_EQUAL(an_local_set(&borrowed, NULL), 0);
	CHECK(!an_local_get(&borrowed));
	return 0;
}

static int sees_a_and_sets_b(void *arg)
{
	(void)arg;
	CHECK(an_local_get(&borrowed) == &a);
	CHECK_EQUAL(an_local_set(&borrowed, &b), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_local_get(&borrowed) == &b);
	return 0;
}

TASK_TEST(a_child_inherits_and_what_it_sets_stays_with_it)
{
	an_task *child;
	int result, c;

	CHECK_EQUAL(an_local_set(&borrowed, &a), 0);
	CHECK_EQUAL(an_spawn(sees_a_and_sets_b, NULL, NULL, &child), 0);
	/* From the spawn on, what the parent sets is its own, too. */
	CHECK_EQUAL(an_local_set(&borrowed, &c), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_local_get(&borrowed) == &c);
	CHECK_EQUAL(an_join(child, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK(an_local_get(&borrowed) == &c);
	return 0;
}

static int has_a_grandchild(void *arg)
{
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, sees_a_and_sets_b, arg), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK(an_local_get(&borrowed) == &a);
	return 0;
}

TASK_TEST(a_group_hands_its_variables_down)
{
	an_group group;

	CHECK_EQUAL(an_local_set(&borrowed, &a), 0);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, has_a_grandchild, NULL), 0);
	CHECK_EQUAL(an_group_spawn_with(&group, has_a_grandchild, NULL,
					&(an_task_opts){ .eager = true }),
		    0);
	return an_group_end(&group);
}

static int holds_it_for_a_second(void *arg)
{
	CHECK(an_local_get(&owned) == arg);
	return an_sleep(AN_SECOND);
}

static int sets_and_leaves(void *arg)
{
	CHECK_EQUAL(an_local_set(&owned, arg), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(holds_it_for_a_second, arg, NULL, NULL), 0);
	return 0;
}

TASK_TEST(a_value_is_released_once_when_its_last_task_has_ended)
{
	an_task *task;
	int released = 0, result;

	CHECK_EQUAL(an_spawn(sets_and_leaves, &released, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(released, 0);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK_EQUAL(released, 1);
	return 0;
}

TASK_TEST(setting_anew_releases_what_nobody_else_sees)
{
	int first = 0, next = 0;

	CHECK_EQUAL(an_local_set(&owned, &first), 0);
	CHECK_EQUAL(an_local_set(&second, &next), 0);
	CHECK_EQUAL(an_local_set(&owned, NULL), 0);
	CHECK_EQUAL(first, 1);
	CHECK_EQUAL(next, 0);
	CHECK_EQUAL(an_local_set(&second, NULL), 0);
	CHECK_EQUAL(next, 1);
	return 0;
}

static int released_with_main;

static int sets_and_ends(void *arg)
{
	return an_local_set(&owned, arg);
}

static void the_main_tasks_values_are_released_too(void **state)
{
	(void)state;
	released_with_main = 0;
	assert_int_equal(run_virtual(sets_and_ends, &released_with_main), 0);
	assert_int_equal(released_with_main, 1);
}

static int is_never_run(void *arg)
{
	(void)arg;
	return CHECK_FAILED;
}

/* The child that is cancelled before its first step has its share all the same. */
TASK_TEST(a_child_that_never_runs_gives_its_share_back)
{
	an_task *child;
	int released = 0;

	CHECK_EQUAL(an_local_set(&owned, &released), 0);
	CHECK_EQUAL(an_spawn(is_never_run, NULL, NULL, &child), 0);
	CHECK_EQUAL(an_local_set(&owned, NULL), 0);
	CHECK_EQUAL(released, 0); /* the child still sees it */
	an_cancel(child);
	CHECK_EQUAL(an_join(child, NULL), 0);
	CHECK_EQUAL(released, 1);
	return 0;
}

/* A failing allocation is the measure: there is none to fail. */
TASK_TEST(a_variable_set_in_a_loop_does_not_grow)
{
	int counts[2] = { 0 };

	CHECK_EQUAL(an_local_set(&owned, &counts[0]), 0);
	CHECK_EQUAL(an_local_set(&second, &counts[1]), 0);
	an_testing_fail_allocation(1);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQUAL(an_local_set(&owned, &counts[0]), 0);
		CHECK_EQUAL(an_local_set(&second, &counts[1]), 0);
	}
	CHECK(!an_testing_allocation_failed());
	CHECK_EQUAL(counts[0], 1000);
	CHECK_EQUAL(counts[1], 1000);
	CHECK_EQUAL(an_local_set(&owned, NULL), 0); /* they end here */
	return an_local_set(&second, NULL);
}

static int sleeps_a_second(void *arg)
{
	CHECK(an_local_get(&owned) == arg);
	return an_sleep(AN_SECOND);
}

/* As a server has it: each child still runs when the variables are set for the next one.
 * What a round leaves is what its child holds; the parent's chain stays as long as there
 * are variables. */
TASK_TEST(a_variable_set_anew_for_each_child_does_not_grow)
{
	static int values[1000], other;
	int total = 0;

	CHECK_EQUAL(an_local_set(&borrowed, &a), 0);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQUAL(an_local_set(&owned, &values[i]), 0);
		CHECK_EQUAL(an_local_set(&second, &other), 0);
		CHECK_EQUAL(an_spawn(sleeps_a_second, &values[i], NULL, NULL), 0);
	}
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	for (int i = 0; i < 1000; i++)
		total += values[i];
	CHECK_EQUAL(total, 999);
	CHECK_EQUAL(other, 999);
	CHECK_EQUAL(values[999], 0);
	CHECK(an_local_get(&owned) == &values[999]);
	CHECK(an_local_get(&borrowed) == &a);
	return 0;
}

/* Links that were copied share their value. */
TASK_TEST(a_copied_value_is_released_once)
{
	int first = 0, next = 0;
	an_task *child;

	CHECK_EQUAL(an_local_set(&second, &first), 0);
	CHECK_EQUAL(an_local_set(&owned, &next), 0);
	CHECK_EQUAL(an_spawn(sleeps_a_second, &next, NULL, &child), 0);
	CHECK_EQUAL(an_local_set(&second, NULL), 0); /* copies the link of `owned` */
	CHECK_EQUAL(first, 0);
	CHECK(an_local_get(&owned) == &next);
	CHECK_EQUAL(an_local_set(&owned, NULL), 0);
	CHECK_EQUAL(next, 0); /* the child has it still */
	CHECK_EQUAL(an_join(child, NULL), 0);
	CHECK_EQUAL(first, 1);
	CHECK_EQUAL(next, 1);
	return 0;
}

static int only_yields(void *arg)
{
	(void)arg;
	return an_yield();
}

TASK_TEST(each_allocation_of_a_set_may_fail)
{
	int first = 0, next = 0, third = 0, r;
	an_task *child;
	size_t n;

	CHECK_EQUAL(an_local_set(&second, &first), 0);
	CHECK_EQUAL(an_local_set(&owned, &next), 0);
	CHECK_EQUAL(an_spawn(only_yields, NULL, NULL, &child), 0);
	for (n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_local_set(&second, &third);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		CHECK(an_local_get(&second) == &first);
		CHECK(an_local_get(&owned) == &next);
	}
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(n, 4);
	CHECK_EQUAL(first + next, 0);
	CHECK_EQUAL(an_join(child, NULL), 0);
	CHECK_EQUAL(first, 1);
	CHECK_EQUAL(an_local_set(&owned, NULL), 0);
	CHECK_EQUAL(next, 1);
	return an_local_set(&second, NULL);
}

TASK_TEST(without_memory_a_variable_keeps_its_value)
{
	int value = 0;

	an_testing_fail_allocation(1);
	CHECK_EQUAL(an_local_set(&owned, &value), -ENOMEM);
	CHECK(an_testing_allocation_failed());
	CHECK(!an_local_get(&owned));
	CHECK_EQUAL(value, 0); /* still the caller's */
	CHECK_EQUAL(an_local_set(&owned, &value), 0);
	CHECK(an_local_get(&owned) == &value);
	return an_local_set(&owned, NULL);
}

static void outside_a_task_there_are_no_variables(void **state)
{
	(void)state;
	assert_int_equal(an_local_set(&borrowed, &a), AN_ERR_NO_TASK);
	assert_null(an_local_get(&borrowed));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_variable_that_nobody_set_is_null),
	cmocka_unit_test(a_child_inherits_and_what_it_sets_stays_with_it),
	cmocka_unit_test(a_group_hands_its_variables_down),
	cmocka_unit_test(a_value_is_released_once_when_its_last_task_has_ended),
	cmocka_unit_test(setting_anew_releases_what_nobody_else_sees),
	cmocka_unit_test(the_main_tasks_values_are_released_too),
	cmocka_unit_test(a_child_that_never_runs_gives_its_share_back),
	cmocka_unit_test(a_variable_set_in_a_loop_does_not_grow),
	cmocka_unit_test(a_variable_set_anew_for_each_child_does_not_grow),
	cmocka_unit_test(a_copied_value_is_released_once),
	cmocka_unit_test(each_allocation_of_a_set_may_fail),
	cmocka_unit_test(without_memory_a_variable_keeps_its_value),
	cmocka_unit_test(outside_a_task_there_are_no_variables),
};
TEST_MAIN("local", tests)
