/* Timeouts and shields: what cancels what, and who hears of it. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

TASK_TEST(a_timeout_becomes_etimedout_at_its_own_end)
{
	an_duration start = an_now();
	an_timeout limit;

	an_timeout_begin(&limit, 2 * AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_MINUTE), -ECANCELED);
	CHECK_EQUAL(an_now() - start, 2 * AN_SECOND);
	CHECK_EQUAL(an_sleep(1), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	CHECK(an_timeout_expired(&limit));
	CHECK_EQUAL(an_sleep(1), 0);
	return 0;
}

TASK_TEST(work_within_its_limit_is_not_touched)
{
	an_timeout limit;

	for (int i = 0; i < 100; i++) {
		an_timeout_begin(&limit, 2 * AN_SECOND);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK_EQUAL(an_timeout_end(&limit, i), i);
		CHECK(!an_timeout_expired(&limit));
	}
	return 0;
}

TASK_TEST(a_result_that_arrived_all_the_same_wins)
{
	an_timeout limit;

	an_timeout_begin(&limit, AN_SECOND);
	an_ignore(an_sleep(AN_MINUTE));
	CHECK_EQUAL(an_timeout_end(&limit, 17), 17);
	an_timeout_begin(&limit, AN_SECOND);
	an_ignore(an_sleep(AN_MINUTE));
	CHECK_EQUAL(an_timeout_end(&limit, -EIO), -EIO);
	return 0;
}

TASK_TEST(a_limit_of_nothing_has_expired_already)
{
	an_timeout limit;

	an_timeout_begin(&limit, 0);
	CHECK_EQUAL(an_yield(), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	an_timeout_begin(&limit, -AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, 0), 0);
	an_timeout_begin(&limit, AN_FOREVER);
	CHECK_EQUAL(an_sleep(1000 * AN_HOUR), 0);
	CHECK_EQUAL(an_timeout_end(&limit, 0), 0);
	return 0;
}

TASK_TEST(the_tightest_of_nested_limits_wins)
{
	an_timeout outer, inner;

	an_timeout_begin(&outer, 5 * AN_SECOND);
	an_timeout_begin(&inner, AN_MINUTE);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&inner, -ECANCELED), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&outer, -ECANCELED), -ETIMEDOUT);

	an_timeout_begin(&outer, AN_MINUTE);
	an_timeout_begin(&inner, 5 * AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&inner, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_timeout_end(&outer, 0), 0);
	return 0;
}

/* asyncio semantics 10. */
TASK_TEST(of_limits_that_expire_together_the_outer_one_reports)
{
	an_timeout outer, inner;

	an_timeout_begin(&outer, AN_SECOND);
	an_timeout_begin(&inner, AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&inner, -ECANCELED), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&outer, -ECANCELED), -ETIMEDOUT);
	return 0;
}

TASK_TEST(a_limit_can_be_moved_either_way)
{
	an_duration start = an_now();
	an_timeout limit;

	an_timeout_begin(&limit, AN_SECOND);
	CHECK_EQUAL(an_timeout_reschedule(&limit, start + 10 * AN_SECOND), 0);
	CHECK_EQUAL(an_sleep(5 * AN_SECOND), 0);
	CHECK_EQUAL(an_timeout_reschedule(&limit, start), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), -ECANCELED);
	CHECK_EQUAL(an_timeout_reschedule(&limit, start + AN_HOUR), AN_ERR_MISUSE);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_timeout_reschedule(&limit, start + AN_HOUR), AN_ERR_MISUSE);
	return 0;
}

static an_timeout *shared_limit;

static int shortens_the_limit(void *arg)
{
	(void)arg;
	return an_timeout_reschedule(shared_limit, an_now() + AN_SECOND);
}

TASK_TEST(another_task_can_move_a_limit_that_is_waited_under)
{
	an_duration start = an_now();
	an_timeout limit, inner;
	an_task *task;

	shared_limit = &limit;
	an_timeout_begin(&limit, AN_HOUR);
	an_timeout_begin(&inner, 2 * AN_HOUR);
	CHECK_EQUAL(an_spawn(shortens_the_limit, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(an_now() - start, AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&inner, -ECANCELED), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

static int ends_the_limit_early(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_timeout_end(shared_limit, 0), AN_ERR_MISUSE); /* not its own */
	return an_timeout_reschedule(shared_limit, 0);
}

TASK_TEST(a_limit_moved_to_the_past_does_not_turn_the_clock_back)
{
	an_timeout limit;
	an_task *task;
	int result;

	shared_limit = &limit;
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_timeout_begin(&limit, AN_HOUR);
	CHECK_EQUAL(an_spawn(ends_the_limit_early, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(an_now(), 2 * AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

static int lifts_the_limit(void *arg)
{
	(void)arg;
	return an_timeout_reschedule(shared_limit, AN_FOREVER);
}

static int waits_without_a_limit(void *arg)
{
	an_timeout limit;
	int r;

	(void)arg;
	shared_limit = &limit;
	an_timeout_begin(&limit, AN_HOUR);
	CHECK_EQUAL(an_spawn(lifts_the_limit, NULL, NULL, NULL), 0);
	r = an_sleep(AN_FOREVER);
	CHECK_EQUAL(an_now(), 0);
	return an_timeout_end(&limit, r);
}

static void a_limit_that_is_lifted_never_expires(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(waits_without_a_limit, NULL), AN_ERR_STUCK);
}

static int cleans_up_behind_a_shield(void *arg)
{
	int *steps = arg;
	an_shield shield;

	if (an_sleep(AN_HOUR) == -ECANCELED)
		(*steps)++;
	an_shield_begin(&shield, 10 * AN_SECOND);
	if (an_sleep(AN_SECOND) == 0)
		(*steps)++;
	if (an_shield_end(&shield, 0) == 0)
		(*steps)++;
	return an_sleep(1);
}

TASK_TEST_IN_ORDER(a_shield_lets_cleanup_wait)
{
	an_task *task;
	int steps = 0, result;

	CHECK_EQUAL(an_spawn(cleans_up_behind_a_shield, &steps, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(steps, 3);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

static int is_cancelled_behind_its_shield(void *arg)
{
	an_timeout inside;
	an_shield shield;
	int r;

	(void)arg;
	an_shield_begin(&shield, AN_FOREVER);
	an_timeout_begin(&inside, AN_HOUR);
	r = an_sleep(AN_MINUTE);
	r = an_timeout_end(&inside, r);
	r = an_shield_end(&shield, r);
	return r == 0 ? an_check() : CHECK_FAILED;
}

TASK_TEST(a_cancellation_waits_until_the_shield_ends)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(is_cancelled_behind_its_shield, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

TASK_TEST(a_shields_own_grace_runs_out)
{
	an_timeout outer;
	an_shield shield;

	an_timeout_begin(&outer, 0);
	an_shield_begin(&shield, AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_shield_end(&shield, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_timeout_end(&outer, -ECANCELED), -ETIMEDOUT);
	return 0;
}

TASK_TEST(a_deadline_that_passed_behind_a_shield_is_seen_after_it)
{
	an_timeout outer;
	an_shield shield;

	an_timeout_begin(&outer, AN_SECOND);
	an_shield_begin(&shield, AN_HOUR);
	CHECK_EQUAL(an_sleep(AN_MINUTE), 0);
	CHECK_EQUAL(an_shield_end(&shield, 0), 0);
	CHECK_EQUAL(an_sleep(1), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&outer, -ECANCELED), -ETIMEDOUT);
	return 0;
}

static int times_out_and_is_cancelled(void *arg)
{
	an_timeout limit;

	(void)arg;
	an_timeout_begin(&limit, AN_SECOND);
	return an_timeout_end(&limit, an_sleep(AN_HOUR));
}

/* asyncio semantics 8: an outside cancellation that comes with the deadline is kept. */
TASK_TEST_IN_ORDER(cancellation_outranks_a_timeout)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(times_out_and_is_cancelled, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

TASK_TEST(a_scope_that_is_not_open_cannot_be_ended)
{
	an_timeout outer, inner;

	an_timeout_begin(&outer, AN_SECOND);
	an_timeout_begin(&inner, AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&outer, 3), 3); /* takes the inner one with it */
	CHECK_EQUAL(an_timeout_reschedule(&inner, AN_HOUR), AN_ERR_MISUSE);
	CHECK_EQUAL(an_timeout_end(&inner, 3), AN_ERR_MISUSE);
	CHECK_EQUAL(an_timeout_end(&outer, 3), AN_ERR_MISUSE);
	CHECK_EQUAL(an_sleep(AN_HOUR), 0);
	return 0;
}

TASK_TEST(a_group_that_was_ended_with_an_outer_scope_can_still_fail)
{
	an_timeout outer;
	an_group group;

	an_timeout_begin(&outer, AN_SECOND);
	an_group_begin(&group);
	CHECK_EQUAL(an_timeout_end(&outer, 0), 0);
	an_group_fail(&group, -EIO);
	CHECK_EQUAL(an_check(), 0); /* no longer in the group */
	CHECK_EQUAL(an_group_end(&group), -EIO);
	CHECK_EQUAL(an_sleep(AN_HOUR), 0);
	return 0;
}

static int computes_under_a_limit(void *arg)
{
	an_duration start = an_now_update();
	an_timeout limit;
	int r;

	(void)arg;
	an_timeout_begin(&limit, AN_MILLISECOND);
	while ((r = an_check()) == 0)
		CHECK(an_now_update() - start < 20 * AN_SECOND);
	return an_timeout_end(&limit, r);
}

static int checks_alone(void *arg)
{
	an_timeout limit;
	int r = 0;

	(void)arg;
	an_timeout_begin(&limit, AN_MILLISECOND);
	for (long i = 0; i < 1000 * 1000 * 1000 && r == 0; i++)
		r = an_check();
	return an_timeout_end(&limit, r);
}

static void a_long_computation_sees_its_limit(void **state)
{
	(void)state;
	assert_int_equal(an_run(computes_under_a_limit, NULL, NULL), -ETIMEDOUT);
	assert_int_equal(an_run(checks_alone, NULL, NULL), -ETIMEDOUT);
}

static int forgets_its_scope(void *arg)
{
	an_timeout limit;

	(void)arg;
	an_timeout_begin(&limit, AN_HOUR);
	return 5;
}

static void counts_reports(void *arg, an_log_level level, const char *text, size_t len)
{
	(void)len;
	if (level == AN_LOG_ERROR && strstr(text, "task main ended without ending"))
		++*(int *)arg;
}

static void a_scope_left_open_is_reported(void **state)
{
	int reports = 0;
	an_trace_hooks hooks = { .message = counts_reports, .arg = &reports };

	(void)state;
	assert_int_equal(an_trace_set_hooks(&hooks), 0);
	assert_int_equal(run_virtual(forgets_its_scope, NULL), 5);
	assert_int_equal(reports, 1);
	an_trace_set_hooks(NULL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_timeout_becomes_etimedout_at_its_own_end),
	cmocka_unit_test(work_within_its_limit_is_not_touched),
	cmocka_unit_test(a_result_that_arrived_all_the_same_wins),
	cmocka_unit_test(a_limit_of_nothing_has_expired_already),
	cmocka_unit_test(the_tightest_of_nested_limits_wins),
	cmocka_unit_test(of_limits_that_expire_together_the_outer_one_reports),
	cmocka_unit_test(a_limit_can_be_moved_either_way),
	cmocka_unit_test(another_task_can_move_a_limit_that_is_waited_under),
	cmocka_unit_test(a_limit_moved_to_the_past_does_not_turn_the_clock_back),
	cmocka_unit_test(a_limit_that_is_lifted_never_expires),
	cmocka_unit_test(a_shield_lets_cleanup_wait),
	cmocka_unit_test(a_cancellation_waits_until_the_shield_ends),
	cmocka_unit_test(a_shields_own_grace_runs_out),
	cmocka_unit_test(a_deadline_that_passed_behind_a_shield_is_seen_after_it),
	cmocka_unit_test(cancellation_outranks_a_timeout),
	cmocka_unit_test(a_scope_that_is_not_open_cannot_be_ended),
	cmocka_unit_test(a_group_that_was_ended_with_an_outer_scope_can_still_fail),
	cmocka_unit_test(a_long_computation_sees_its_limit),
	cmocka_unit_test(a_scope_left_open_is_reported),
};
TEST_MAIN("scope", tests)
