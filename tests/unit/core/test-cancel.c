/* Cancellation by the numbers of asyncio's semantics: what is delivered, counted, taken
 * back, and what becomes of results. Where "grant beats cancel" has another outcome than
 * asyncio, the test says so. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

/* ---- a request, and what was granted ----------------------------------------------- */

static int gets_an_item(void *arg)
{
	void *item;
	int r = an_queue_get(arg, &item);

	if (r < 0)
		return r;
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_sleep(AN_SECOND), -ECANCELED);
	return (int)(intptr_t)item;
}

/* asyncio semantics 2: a cancellation between the completion of what is awaited and the
 * task's next step. asyncio raises, and the result stays in the future; here the grant
 * holds, and the next suspending call tells of the cancellation. */
TASK_TEST_IN_ORDER(what_was_granted_before_the_cancellation_is_had)
{
	an_queue queue;
	an_task *task;
	int result;

	an_queue_init(&queue, 1);
	CHECK_EQUAL(an_spawn(gets_an_item, &queue, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_queue_put(&queue, (void *)8), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 8);
	an_queue_done(&queue);
	return 0;
}

static int joins_another(void *arg)
{
	int result, r = an_join(arg, &result);

	return r < 0 ? r : result;
}

static int returns_arg(void *arg)
{
	return (int)(intptr_t)arg;
}

/* asyncio semantics 2, for a join. */
TASK_TEST_IN_ORDER(a_join_that_was_granted_consumes_the_handle)
{
	an_task *task, *joiner;
	int result;

	CHECK_EQUAL(an_spawn(returns_arg, (void *)9, NULL, &task), 0);
	CHECK_EQUAL(an_spawn(joins_another, task, &(an_task_opts){ .eager = true },
			     &joiner),
		    0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(joiner));
	CHECK(an_cancel(joiner));
	CHECK_EQUAL(an_join(joiner, &result), 0);
	CHECK_EQUAL(result, 9);
	return 0;
}

/* ---- the count --------------------------------------------------------------------- */

static int is_cancelled_while_it_cleans_up(void *arg)
{
	an_task **self = arg;
	an_shield shield;
	int r;

	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(an_cancelling(), 1);
	CHECK_EQUAL(an_sleep(AN_SECOND), -ECANCELED); /* unshielded cleanup cannot wait */
	an_shield_begin(&shield, AN_HOUR);
	CHECK(an_cancel(*self));
	r = an_sleep(AN_SECOND);
	CHECK_EQUAL(an_shield_end(&shield, r), 0); /* shielded cleanup is left alone */
	CHECK_EQUAL(an_cancelling(), 2);
	return -ECANCELED;
}

/* asyncio semantics 3: requests are counted. A second one interrupts the cleanup in
 * asyncio; here what is not behind a shield cannot wait from the first one on, and what
 * is behind one is not interrupted. */
TASK_TEST(requests_are_counted_and_cleanup_is_behind_a_shield)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(is_cancelled_while_it_cleans_up, &task, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK(!an_cancel(task)); /* it is done */
	CHECK(an_task_cancelled(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

static int takes_back_before_it_met_it(void *arg)
{
	an_task **self = arg;

	CHECK(an_cancel(*self));
	CHECK(an_cancel(*self));
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_uncancel(), 1);
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_uncancel(), 0);
	CHECK_EQUAL(an_check(), 0);
	CHECK_EQUAL(an_cancelling(), 0);
	CHECK_EQUAL(an_uncancel(), 0); /* not below */
	CHECK_EQUAL(an_cancelling(), 0);
	return an_sleep(AN_SECOND);
}

/* asyncio semantics 4: to take the last request back drops what was not delivered. */
TASK_TEST(a_request_that_was_taken_back_is_not_delivered)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(takes_back_before_it_met_it, &task, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

static int takes_back_under_scopes(void *arg)
{
	an_timeout limit, expired;
	an_task **self = arg;

	an_timeout_begin(&limit, AN_HOUR);
	an_timeout_begin(&expired, 0);
	CHECK(an_cancel(*self));
	CHECK_EQUAL(an_uncancel(), 0);
	CHECK_EQUAL(an_check(), -ECANCELED); /* the limit has expired all the same */
	CHECK_EQUAL(an_timeout_end(&expired, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_check(), 0);
	return an_timeout_end(&limit, an_sleep(AN_SECOND));
}

/* asyncio semantics 4. */
TASK_TEST(taking_back_leaves_other_reasons_alone)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(takes_back_under_scopes, &task, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

static int returns_without_having_met_it(void *arg)
{
	an_task **self = arg;

	CHECK(an_cancel(*self));
	return 6;
}

/* asyncio semantics 5: a task that returns with an undelivered request counts as
 * cancelled in asyncio, and its result is lost; here it keeps it. */
TASK_TEST_IN_ORDER(a_result_is_kept_whatever_was_asked_meanwhile)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(returns_without_having_met_it, &task, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_done(task));
	CHECK(!an_task_cancelled(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 6);
	return 0;
}

static int swallows(void *arg)
{
	(void)arg;
	an_ignore(an_sleep(AN_FOREVER));
	return 7;
}

/* asyncio semantics 5. */
TASK_TEST_IN_ORDER(who_swallows_a_cancellation_is_not_cancelled)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(swallows, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_task_cancelled(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 7);
	return 0;
}

static void outside_a_task_nothing_is_counted(void **state)
{
	(void)state;
	assert_int_equal(an_cancelling(), 0);
	assert_int_equal(an_uncancel(), 0);
	assert_false(an_cancel(NULL));
}

/* ---- limits ------------------------------------------------------------------------ */

/* asyncio semantics 10: only the limit that has expired converts. */
TASK_TEST(only_the_expired_limit_converts)
{
	an_timeout outer, middle, inner;

	an_timeout_begin(&outer, AN_HOUR);
	an_timeout_begin(&middle, AN_SECOND);
	an_timeout_begin(&inner, AN_MINUTE);
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&inner, -ECANCELED), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&middle, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_check(), 0);
	CHECK_EQUAL(an_timeout_end(&outer, -ETIMEDOUT), -ETIMEDOUT);
	CHECK(!an_timeout_expired(&inner));
	CHECK(!an_timeout_expired(&outer));
	return 0;
}

static int opens_a_limit_when_cancelled(void *arg)
{
	an_timeout limit;
	an_shield shield;
	int r;

	(void)arg;
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	/* It was cancelled before the limit began: that is not the limit's doing. */
	an_timeout_begin(&limit, AN_SECOND);
	r = an_sleep(AN_HOUR);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ECANCELED);
	/* In cleanup that may wait, a limit works as ever. */
	an_shield_begin(&shield, AN_HOUR);
	an_timeout_begin(&limit, AN_SECOND);
	r = an_timeout_end(&limit, an_sleep(AN_HOUR));
	CHECK_EQUAL(r, -ETIMEDOUT);
	CHECK_EQUAL(an_shield_end(&shield, 0), 0);
	return an_check();
}

/* asyncio semantics 10: compared with what was at the entry; limits in cleanup. */
TASK_TEST(a_limit_in_cancelled_cleanup_works)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(opens_a_limit_when_cancelled, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

/* asyncio semantics 10: another error passes, although the limit has expired. */
TASK_TEST(an_error_of_the_work_outranks_the_expiry)
{
	an_timeout limit;

	an_timeout_begin(&limit, AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, -EPIPE), -EPIPE);
	CHECK(an_timeout_expired(&limit));
	return 0;
}

static int is_cancelled_under_a_limit(void *arg)
{
	an_timeout limit;

	(void)arg;
	an_timeout_begin(&limit, AN_HOUR);
	CHECK_EQUAL(an_timeout_end(&limit, an_sleep(AN_FOREVER)), -ECANCELED);
	CHECK(!an_timeout_expired(&limit));
	/* A limit that is over can be begun again; one that is over cannot be moved. */
	CHECK_EQUAL(an_timeout_reschedule(&limit, an_now()), AN_ERR_MISUSE);
	CHECK_EQUAL(an_uncancel(), 0);
	an_timeout_begin(&limit, AN_SECOND);
	return an_timeout_end(&limit, an_sleep(AN_FOREVER));
}

/* asyncio semantics 11: a cancellation from outside stays one under a limit; what is over
 * is refused, and its struct can be begun anew. */
TASK_TEST_IN_ORDER(an_outside_cancellation_is_not_taken_for_an_expiry)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(is_cancelled_under_a_limit, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ETIMEDOUT);
	return 0;
}

/* asyncio semantics 11: moved to the past, it takes effect with the next call. */
TASK_TEST(a_limit_moved_to_the_past_takes_effect_at_once)
{
	an_duration start = an_now();
	an_timeout limit;

	an_timeout_begin(&limit, AN_HOUR);
	CHECK_EQUAL(an_timeout_reschedule(&limit, start - AN_SECOND), 0);
	CHECK_EQUAL(an_yield(), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_now(), start);
	return 0;
}

/* ---- groups ------------------------------------------------------------------------ */

static int fails(void *arg)
{
	return (int)(intptr_t)arg;
}

static int fails_when_cancelled(void *arg)
{
	an_ignore(an_sleep(AN_FOREVER));
	return (int)(intptr_t)arg;
}

static int gives_in(void *arg)
{
	(void)arg;
	return an_sleep(AN_FOREVER);
}

static int spawn_as(an_group *group, const char *name, an_task_fn fn, int arg)
{
	return an_group_spawn_with(group, fn, (void *)(intptr_t)arg,
				   &(an_task_opts){ .name = name });
}

/* asyncio semantics 12: all errors but cancellations, the body's included. */
TASK_TEST_IN_ORDER(a_group_collects_every_error)
{
	an_group_error errors[8];
	an_group group;

	an_group_begin(&group);
	an_group_collect(&group, errors, 8);
	CHECK_EQUAL(spawn_as(&group, "late", fails_when_cancelled, -EPIPE), 0);
	CHECK_EQUAL(spawn_as(&group, "meek", gives_in, 0), 0);
	CHECK_EQUAL(spawn_as(&group, "early", fails, -EIO), 0);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	an_group_fail(&group, -ENOENT);
	CHECK_EQUAL(an_group_end(&group), -EIO);
	CHECK_EQUAL(an_group_error_count(&group), 3);
	CHECK_EQUAL(errors[0].code, -EIO);
	CHECK(strcmp(errors[0].task, "early") == 0);
	/* Who was first, the body or the sibling, is a matter of the schedule. */
	CHECK_EQUAL(errors[1].code + errors[2].code, -EPIPE - ENOENT);
	for (int i = 1; i < 3; i++)
		CHECK(strcmp(errors[i].task, errors[i].code == -EPIPE ? "late" : "") ==
		      0);
	return 0;
}

/* asyncio semantics 12. */
TASK_TEST_IN_ORDER(more_errors_than_there_is_room_for_are_counted)
{
	an_group_error errors[3] = { { .code = 1 }, { .code = 1 }, { .code = 1 } };
	an_group group;

	an_group_begin(&group);
	an_group_collect(&group, errors, 2);
	for (int i = 1; i <= 5; i++)
		CHECK_EQUAL(spawn_as(&group, "a name that is longer than its room is",
				     fails_when_cancelled, -i),
			    0);
	CHECK_EQUAL(an_yield(), 0);
	an_group_cancel(&group);
	CHECK_EQUAL(an_group_end(&group), -1);
	CHECK_EQUAL(an_group_error_count(&group), 5);
	CHECK_EQUAL(errors[0].code, -1);
	CHECK_EQUAL(strlen(errors[0].task), 31);
	CHECK_EQUAL(errors[1].code, -2);
	CHECK_EQUAL(errors[2].code, 1);
	return 0;
}

static int owns_a_failing_group(void *arg)
{
	an_group_error errors[2];
	an_group group;
	int r;

	(void)arg;
	an_group_begin(&group);
	an_group_collect(&group, errors, 2);
	CHECK_EQUAL(spawn_as(&group, "child", fails_when_cancelled, -EIO), 0);
	r = an_group_end(&group);
	/* The error is returned, and the cancellation is not forgotten. */
	CHECK_EQUAL(r, -EIO);
	CHECK_EQUAL(an_group_error_count(&group), 1);
	CHECK_EQUAL(an_cancelling(), 1);
	CHECK_EQUAL(an_sleep(AN_SECOND), -ECANCELED);
	return r;
}

/* asyncio semantics 12 and 13: errors are kept when the group is cancelled from outside,
 * cancelling() stays 1, and the next wait is cancelled. */
TASK_TEST_IN_ORDER(errors_are_kept_when_the_owner_is_cancelled)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(owns_a_failing_group, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_cancel(task));
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -EIO);
	return 0;
}

/* asyncio semantics 13: an inner and an outer group that both fail. */
TASK_TEST_IN_ORDER(nested_groups_may_both_fail)
{
	an_group outer, inner;
	int r;

	an_group_begin(&outer);
	CHECK_EQUAL(spawn_as(&outer, "outer", fails, -ENOENT), 0);
	an_group_begin(&inner);
	CHECK_EQUAL(spawn_as(&inner, "inner", fails_when_cancelled, -EIO), 0);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	r = an_group_end(&inner);
	CHECK_EQUAL(r, -EIO);
	an_group_fail(&outer, r);
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_group_end(&outer), -ENOENT);
	CHECK_EQUAL(an_group_error_count(&outer), 2);
	CHECK_EQUAL(an_check(), 0);
	return 0;
}

/* asyncio semantics 16: before the begin there is nothing to call; when it is being
 * cancelled and when it is over, the group says so, and nothing happens. */
TASK_TEST(a_group_takes_no_task_when_it_is_cancelled_or_over)
{
	an_group_error errors[1] = { { .code = 1 } };
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, gives_in, NULL), 0);
	an_group_cancel(&group);
	CHECK_EQUAL(an_group_spawn(&group, fails, NULL), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_group_spawn(&group, fails, NULL), AN_ERR_MISUSE);
	an_group_cancel(&group);
	an_group_collect(&group, errors, 1);
	an_group_fail(&group, -EIO);
	CHECK_EQUAL(an_group_end(&group), AN_ERR_MISUSE);
	CHECK_EQUAL(an_check(), 0);
	return 0;
}

static int ends_anothers_group(void *arg)
{
	return an_group_end(arg);
}

/* asyncio semantics 16. */
TASK_TEST(only_its_owner_ends_a_group)
{
	an_group group;
	an_task *task;
	int result;

	an_group_begin(&group);
	CHECK_EQUAL(an_spawn(ends_anothers_group, &group, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, AN_ERR_MISUSE);
	CHECK_EQUAL(an_group_spawn(&group, returns_arg, NULL), 0);
	return an_group_end(&group);
}

static void outside_a_task_there_is_no_group(void **state)
{
	an_group group;

	(void)state;
	an_group_begin(&group);
	assert_int_equal(an_group_spawn(&group, returns_arg, NULL), AN_ERR_MISUSE);
	an_group_cancel(&group);
	assert_int_equal(an_group_end(&group), AN_ERR_MISUSE);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_was_granted_before_the_cancellation_is_had),
	cmocka_unit_test(a_join_that_was_granted_consumes_the_handle),
	cmocka_unit_test(requests_are_counted_and_cleanup_is_behind_a_shield),
	cmocka_unit_test(a_request_that_was_taken_back_is_not_delivered),
	cmocka_unit_test(taking_back_leaves_other_reasons_alone),
	cmocka_unit_test(a_result_is_kept_whatever_was_asked_meanwhile),
	cmocka_unit_test(who_swallows_a_cancellation_is_not_cancelled),
	cmocka_unit_test(outside_a_task_nothing_is_counted),
	cmocka_unit_test(only_the_expired_limit_converts),
	cmocka_unit_test(a_limit_in_cancelled_cleanup_works),
	cmocka_unit_test(an_error_of_the_work_outranks_the_expiry),
	cmocka_unit_test(an_outside_cancellation_is_not_taken_for_an_expiry),
	cmocka_unit_test(a_limit_moved_to_the_past_takes_effect_at_once),
	cmocka_unit_test(a_group_collects_every_error),
	cmocka_unit_test(more_errors_than_there_is_room_for_are_counted),
	cmocka_unit_test(errors_are_kept_when_the_owner_is_cancelled),
	cmocka_unit_test(nested_groups_may_both_fail),
	cmocka_unit_test(a_group_takes_no_task_when_it_is_cancelled_or_over),
	cmocka_unit_test(only_its_owner_ends_a_group),
	cmocka_unit_test(outside_a_task_there_is_no_group),
};
TEST_MAIN("cancel", tests)
