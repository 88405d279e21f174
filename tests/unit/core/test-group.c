/* Groups: children that end together. */
#include "tests/support/messages.h"
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static int ended;

static int sleeps_a_second(void *arg)
{
	int r = an_sleep(AN_SECOND);

	(void)arg;
	ended++;
	return r;
}

static int fails_at_once(void *arg)
{
	return (int)(intptr_t)arg;
}

static int cleans_up_slowly(void *arg)
{
	an_shield shield;

	(void)arg;
	an_ignore(an_sleep(AN_FOREVER));
	an_shield_begin(&shield, AN_MINUTE);
	an_ignore(an_shield_end(&shield, an_sleep(AN_SECOND)));
	ended++;
	return -ECANCELED;
}

static int returns_its_cancellation(void *arg)
{
	(void)arg;
	return an_sleep(AN_FOREVER);
}

TASK_TEST(the_end_waits_for_every_child)
{
	an_duration start = an_now();
	an_group group;

	ended = 0;
	an_group_begin(&group);
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_group_spawn(&group, sleeps_a_second, NULL), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(ended, 10);
	CHECK_EQUAL(an_now() - start, AN_SECOND);
	return 0;
}

TASK_TEST(an_empty_group_ends_at_once)
{
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_group_end(&group), AN_ERR_MISUSE);
	CHECK_EQUAL(an_group_spawn(&group, fails_at_once, NULL), AN_ERR_MISUSE);
	return 0;
}

/* asyncio semantics 12. */
TASK_TEST_IN_ORDER(the_first_error_cancels_the_rest_and_is_returned)
{
	an_duration start = an_now();
	an_group group;

	ended = 0;
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, cleans_up_slowly, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&group, sleeps_a_second, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_group_spawn(&group, fails_at_once, (void *)(intptr_t)-EIO), 0);
	CHECK_EQUAL(an_group_spawn(&group, fails_at_once, (void *)(intptr_t)-EPIPE), 0);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED); /* the body, too */
	CHECK_EQUAL(an_group_spawn(&group, fails_at_once, NULL), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), -EIO);
	CHECK_EQUAL(ended, 2);
	CHECK_EQUAL(an_now() - start, AN_SECOND);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0); /* the cancellation ended with the group */
	return 0;
}

TASK_TEST_IN_ORDER(a_failing_body_cancels_the_children)
{
	an_group group;

	ended = 0;
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, cleans_up_slowly, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_group_fail(&group, 5);
	CHECK_EQUAL(an_check(), 0);
	an_group_fail(&group, -ENOENT);
	an_group_fail(&group, -EIO);
	CHECK_EQUAL(an_group_end(&group), -ENOENT);
	CHECK_EQUAL(ended, 1);
	return 0;
}

TASK_TEST(a_cancelled_group_without_an_error_ends_well)
{
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, returns_its_cancellation, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_group_cancel(&group);
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_check(), 0);
	return 0;
}

static int has_a_group(void *arg)
{
	an_group group;
	int r;

	an_group_begin(&group);
	r = an_group_spawn(&group, arg ? fails_at_once : cleans_up_slowly, arg);
	if (r < 0)
		return r;
	r = an_group_spawn(&group, cleans_up_slowly, NULL);
	if (r < 0)
		return r;
	return an_group_end(&group);
}

TASK_TEST(a_cancelled_owner_cancels_its_children_and_waits_for_them)
{
	an_duration start = an_now();
	an_task *task;
	int result;

	ended = 0;
	CHECK_EQUAL(an_spawn(has_a_group, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(ended, 2);
	CHECK_EQUAL(an_now() - start, 2 * AN_SECOND);
	return 0;
}

/* asyncio semantics 13: an error is kept when the owner is cancelled as well. */
TASK_TEST_IN_ORDER(an_error_outranks_the_owners_cancellation)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(has_a_group, (void *)(intptr_t)-EIO, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -EIO);
	return 0;
}

TASK_TEST(a_timeout_around_a_group_cancels_it)
{
	an_timeout limit;
	an_group group;
	int r;

	ended = 0;
	an_timeout_begin(&limit, AN_SECOND);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, cleans_up_slowly, NULL), 0);
	r = an_group_end(&group);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	CHECK_EQUAL(ended, 1);
	return 0;
}

/* asyncio semantics 14: the group cancelled itself, and then its surroundings are
 * cancelled while the children clean up. */
TASK_TEST_IN_ORDER(a_timeout_during_the_cleanup_of_a_cancelled_group_is_passed_on)
{
	an_timeout limit;
	an_group group;
	int r;

	ended = 0;
	an_timeout_begin(&limit, AN_SECOND / 2);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, cleans_up_slowly, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_group_cancel(&group);
	r = an_group_end(&group);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(ended, 1);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	return 0;
}

static an_group shared_group;

static int owns_the_shared_group(void *arg)
{
	(void)arg;
	an_group_begin(&shared_group);
	CHECK_EQUAL(an_group_spawn(&shared_group, fails_at_once, NULL), 0);
	return an_group_end(&shared_group);
}

/* Its last child has ended, its owner has been woken and has not run yet. */
TASK_TEST_IN_ORDER(a_child_that_comes_at_the_last_moment_is_waited_for_and_cancelled)
{
	an_task *owner;
	int result;

	CHECK_EQUAL(an_spawn(owns_the_shared_group, NULL, NULL, &owner), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(owner));
	CHECK_EQUAL(shared_group.count, 0);
	CHECK_EQUAL(an_group_spawn(&shared_group, returns_its_cancellation, NULL), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!an_done(owner));
	an_cancel(owner);
	CHECK_EQUAL(an_join(owner, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

static int spawns_a_sibling(void *arg)
{
	return an_group_spawn(arg, sleeps_a_second, NULL);
}

TASK_TEST(a_child_may_spawn_siblings)
{
	an_group group;

	ended = 0;
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, spawns_a_sibling, &group), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(ended, 1);
	return 0;
}

static int forgets_its_group(void *arg)
{
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_group_spawn(&group, sleeps_a_second, NULL), 0);
	return 0;
}

/* Others use the stack that the group was on. */
static int fills_its_stack(void *arg)
{
	volatile char filling[16 * 1024];

	(void)arg;
	memset((char *)filling, 0x5a, sizeof filling);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	for (size_t i = 0; i < sizeof filling; i++)
		CHECK_EQUAL(filling[i], 0x5a);
	return 0;
}

TASK_TEST(children_of_a_group_that_was_not_ended_go_on_without_it)
{
	an_task *task;
	int result;

	ended = 0;
	messages_begin();
	CHECK_EQUAL(an_spawn(forgets_its_group, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	messages_end();
	CHECK_EQUAL(messages_with("ended without ending a scope"), 1);
	CHECK_EQUAL(an_spawn(fills_its_stack, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(ended, 3);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_end_waits_for_every_child),
	cmocka_unit_test(an_empty_group_ends_at_once),
	cmocka_unit_test(the_first_error_cancels_the_rest_and_is_returned),
	cmocka_unit_test(a_failing_body_cancels_the_children),
	cmocka_unit_test(a_cancelled_group_without_an_error_ends_well),
	cmocka_unit_test(a_cancelled_owner_cancels_its_children_and_waits_for_them),
	cmocka_unit_test(an_error_outranks_the_owners_cancellation),
	cmocka_unit_test(a_timeout_around_a_group_cancels_it),
	cmocka_unit_test(a_timeout_during_the_cleanup_of_a_cancelled_group_is_passed_on),
	cmocka_unit_test(
		a_child_that_comes_at_the_last_moment_is_waited_for_and_cancelled),
	cmocka_unit_test(a_child_may_spawn_siblings),
	cmocka_unit_test(children_of_a_group_that_was_not_ended_go_on_without_it),
};
TEST_MAIN("group", tests)
