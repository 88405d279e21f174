/* Tasks: spawned, run, joined, detached, cancelled. */
#include "loop/core/stack.h"
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static int returns_arg(void *arg)
{
	return (int)(intptr_t)arg;
}

static int sleeps_for_ever(void *arg)
{
	int r = an_sleep(AN_FOREVER);

	if (arg)
		*(int *)arg = r;
	return r;
}

static int sets(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

TASK_TEST_IN_ORDER(a_join_returns_the_tasks_result)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(returns_arg, (void *)42, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 42);
	CHECK_EQUAL(an_spawn(returns_arg, (void *)(intptr_t)-EIO, NULL, &task), 0);
	CHECK(!an_done(task));
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_done(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -EIO);
	return 0;
}

TASK_TEST_IN_ORDER(a_detached_task_runs_and_is_freed)
{
	bool ran = false;
	an_task *task;

	CHECK_EQUAL(an_spawn(sets, &ran, NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(ran);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	ran = false;
	CHECK_EQUAL(an_spawn(sets, &ran, NULL, &task), 0);
	CHECK(an_detach(task) == NULL);
	CHECK(an_detach(NULL) == NULL);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(ran);
	return 0;
}

TASK_TEST(a_task_has_the_name_it_was_given)
{
	an_task *task;

	CHECK(strcmp(an_task_name(an_current()), "main") == 0);
	CHECK_EQUAL(
		an_spawn(returns_arg, NULL, &(an_task_opts){ .name = "worker" }, &task),
		0);
	CHECK(strcmp(an_task_name(task), "worker") == 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	CHECK(strncmp(an_task_name(task), "task-", 5) == 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(an_spawn(returns_arg, NULL,
			     &(an_task_opts){
				     .name = "a name that is longer than there is room" },
			     &task),
		    0);
	CHECK_EQUAL(strlen(an_task_name(task)), 31);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

TASK_TEST(a_task_cannot_join_itself)
{
	CHECK_EQUAL(an_join(an_current(), NULL), -EDEADLK);
	return 0;
}

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

TASK_TEST_IN_ORDER(a_second_joiner_is_refused)
{
	an_task *target, *joiner;
	int result;

	CHECK_EQUAL(an_spawn(sleeps_for_ever, NULL, NULL, &target), 0);
	CHECK_EQUAL(an_spawn(joins, target, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_join(target, NULL), -EBUSY);
	an_cancel(target);
	CHECK_EQUAL(an_join(joiner, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

/* The first joiner has been woken and has not run yet. */
TASK_TEST_IN_ORDER(a_second_joiner_is_refused_when_the_task_has_just_ended)
{
	an_task *target, *joiner;
	int result;

	CHECK_EQUAL(an_spawn(sleeps_for_ever, NULL, NULL, &target), 0);
	CHECK_EQUAL(an_spawn(joins, target, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(target);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_done(target));
	CHECK(!an_done(joiner));
	CHECK_EQUAL(an_join(target, NULL), -EBUSY);
	CHECK(an_detach(target) == NULL); /* no longer ours to give up */
	CHECK_EQUAL(an_join(joiner, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

TASK_TEST(a_cancelled_join_leaves_the_task_to_its_owner)
{
	an_task *target, *joiner;
	int result;

	CHECK_EQUAL(an_spawn(sleeps_for_ever, NULL, NULL, &target), 0);
	CHECK_EQUAL(an_spawn(joins, target, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(joiner);
	CHECK_EQUAL(an_join(joiner, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK(!an_done(target));
	an_cancel(target);
	CHECK_EQUAL(an_join(target, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

/* asyncio semantics 1: a task cancelled before its first step never
 * runs. */
TASK_TEST(a_task_cancelled_before_its_first_step_never_runs)
{
	bool ran = false;
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(sets, &ran, NULL, &task), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK(!ran);
	return 0;
}

static int ignores_cancel_and_returns_seven(void *arg)
{
	(void)arg;
	an_ignore(an_sleep(AN_FOREVER));
	return 7;
}

TASK_TEST_IN_ORDER(a_swallowed_cancellation_gives_a_normal_result)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(ignores_cancel_and_returns_seven, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 7);
	return 0;
}

static int counts_how_often_it_is_cancelled(void *arg)
{
	int *count = arg;

	for (int i = 0; i < 3; i++)
		if (an_sleep(AN_SECOND) == -ECANCELED)
			(*count)++;
	return 0;
}

TASK_TEST_IN_ORDER(cancelled_stays_cancelled)
{
	an_task *task;
	int count = 0;

	CHECK_EQUAL(an_spawn(counts_how_often_it_is_cancelled, &count, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(count, 3);
	return 0;
}

static int takes_the_cancellation_back(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(an_cancelling(), 2);
	CHECK_EQUAL(an_uncancel(), 1);
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_uncancel(), 0);
	CHECK_EQUAL(an_check(), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_uncancel(), 0);
	return 0;
}

TASK_TEST_IN_ORDER(a_cancellation_can_be_taken_back)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(takes_the_cancellation_back, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

TASK_TEST_IN_ORDER(cancelling_an_ended_task_does_nothing)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(returns_arg, (void *)3, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	an_cancel(NULL);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 3);
	return 0;
}

struct order {
	char text[64];
	size_t length;
};

static struct order order;

static int appends_twice(void *arg)
{
	order.text[order.length++] = *(const char *)arg;
	an_ignore(an_yield());
	order.text[order.length++] = *(const char *)arg;
	return 0;
}

TASK_TEST_IN_ORDER(ready_tasks_run_in_the_order_they_became_ready)
{
	order = (struct order){ 0 };
	for (const char *c = "abc"; *c; c++)
		CHECK_EQUAL(an_spawn(appends_twice, (void *)c, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(strcmp(order.text, "abcabc") == 0);
	return 0;
}

static int sleeps_then_appends(void *arg)
{
	const char *c = arg;

	CHECK_EQUAL(an_sleep(*c == 'z' ? 1 : 2 * AN_SECOND), 0);
	order.text[order.length++] = *c;
	return 0;
}

/* asyncio semantics 30: equal deadlines fire in order. */
TASK_TEST_IN_ORDER(equal_deadlines_fire_in_the_order_of_the_sleeps)
{
	order = (struct order){ 0 };
	for (const char *c = "mnz"; *c; c++)
		CHECK_EQUAL(an_spawn(sleeps_then_appends, (void *)c, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(3 * AN_SECOND), 0);
	CHECK(strcmp(order.text, "zmn") == 0);
	return 0;
}

TASK_TEST(a_virtual_sleep_takes_exactly_its_time)
{
	an_duration before = an_now();

	CHECK_EQUAL(an_sleep(3600 * AN_SECOND), 0);
	CHECK_EQUAL(an_now() - before, 3600 * AN_SECOND);
	CHECK_EQUAL(an_sleep(-5), 0);
	CHECK_EQUAL(an_now() - before, 3600 * AN_SECOND);
	return 0;
}

static void what_is_left_at_the_end_is_cancelled_and_awaited(void **state);

static int leaves_a_task(void *arg)
{
	CHECK_EQUAL(an_spawn(sleeps_for_ever, arg, NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	return 5;
}

static void what_is_left_at_the_end_is_cancelled_and_awaited(void **state)
{
	int seen = 0;

	(void)state;
	assert_int_equal(run_virtual(leaves_a_task, &seen), 5);
	assert_int_equal(seen, -ECANCELED);
}

static void calls_outside_a_task_are_refused(void **state)
{
	an_task *task = NULL;

	(void)state;
	assert_int_equal(an_spawn(returns_arg, NULL, NULL, &task), AN_ERR_NO_TASK);
	assert_null(task);
	assert_int_equal(an_yield(), AN_ERR_NO_TASK);
	assert_int_equal(an_sleep(AN_SECOND), AN_ERR_NO_TASK);
	assert_int_equal(an_check(), AN_ERR_NO_TASK);
	assert_null(an_current());
	assert_null(an_loop_current());
}

static int runs_a_loop_inside(void *arg)
{
	(void)arg;
	return an_run(returns_arg, NULL, NULL);
}

static void a_run_inside_a_run_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(runs_a_loop_inside, NULL), AN_ERR_MISUSE);
}

static void a_run_that_nothing_can_wake_ends_with_an_error(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(sleeps_for_ever, NULL), AN_ERR_STUCK);
}

#define MANY 100000

/* ThreadSanitizer has room for some 8,000 stacks; valgrind takes its time. */
#if defined(AN__STACK_TSAN)
#define SLOW 1
#else
#define SLOW 0
#endif

static int spawns_many(void *arg)
{
	static an_task *tasks[MANY];
	int result,
		many = SLOW || an__test_seconds() > 60 ? MANY / 100 : MANY;

	(void)arg;
	for (int i = 0; i < many; i++)
		CHECK_EQUAL(an_spawn(sleeps_for_ever, NULL, NULL, &tasks[i]), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), many + 1);
	for (int i = 0; i < many; i++)
		an_cancel(tasks[i]);
	for (int i = 0; i < many; i++) {
		CHECK_EQUAL(an_join(tasks[i], &result), 0);
		CHECK_EQUAL(result, -ECANCELED);
	}
	return 0;
}

static void a_hundred_thousand_tasks_can_be_parked(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(spawns_many, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_join_returns_the_tasks_result),
	cmocka_unit_test(a_detached_task_runs_and_is_freed),
	cmocka_unit_test(a_task_has_the_name_it_was_given),
	cmocka_unit_test(a_task_cannot_join_itself),
	cmocka_unit_test(a_second_joiner_is_refused),
	cmocka_unit_test(a_second_joiner_is_refused_when_the_task_has_just_ended),
	cmocka_unit_test(a_cancelled_join_leaves_the_task_to_its_owner),
	cmocka_unit_test(a_task_cancelled_before_its_first_step_never_runs),
	cmocka_unit_test(a_swallowed_cancellation_gives_a_normal_result),
	cmocka_unit_test(cancelled_stays_cancelled),
	cmocka_unit_test(a_cancellation_can_be_taken_back),
	cmocka_unit_test(cancelling_an_ended_task_does_nothing),
	cmocka_unit_test(ready_tasks_run_in_the_order_they_became_ready),
	cmocka_unit_test(equal_deadlines_fire_in_the_order_of_the_sleeps),
	cmocka_unit_test(a_virtual_sleep_takes_exactly_its_time),
	cmocka_unit_test(what_is_left_at_the_end_is_cancelled_and_awaited),
	cmocka_unit_test(calls_outside_a_task_are_refused),
	cmocka_unit_test(a_run_inside_a_run_is_refused),
	cmocka_unit_test(a_run_that_nothing_can_wake_ends_with_an_error),
	cmocka_unit_test(a_hundred_thousand_tasks_can_be_parked),
};
TEST_MAIN("task", tests)
