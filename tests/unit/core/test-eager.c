/* Eager spawns: the child runs inside the spawning call up to its first wait. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static const an_task_opts eager = { .eager = true };

static struct {
	char text[64];
	size_t length;
} trail;

static void note(char c)
{
	if (trail.length < sizeof trail.text - 1)
		trail.text[trail.length++] = c;
}

static void forget_trail(void)
{
	memset(&trail, 0, sizeof trail);
}

static int notes_twice(void *arg)
{
	const char *c = arg;

	note(c[0]);
	CHECK_EQUAL(an_yield(), 0);
	note(c[1]);
	return 0;
}

static int notes_and_ends(void *arg)
{
	note(*(const char *)arg);
	return 4;
}

/* asyncio semantics 1: an eager task runs to its first block; nobody comes in between. */
TASK_TEST_IN_ORDER(an_eager_child_runs_up_to_its_first_wait)
{
	an_task *lazy, *child;

	forget_trail();
	CHECK_EQUAL(an_spawn(notes_twice, (void *)"lm", NULL, &lazy), 0);
	note('1');
	CHECK_EQUAL(an_spawn(notes_twice, (void *)"ab", &eager, &child), 0);
	note('2');
	CHECK(!an_done(child));
	CHECK_EQUAL(an_join(child, NULL), 0);
	CHECK_EQUAL(an_join(lazy, NULL), 0);
	CHECK(strcmp(trail.text, "1a2lbm") == 0);
	return 0;
}

TASK_TEST(an_eager_child_that_never_waits_has_ended_after_the_spawn)
{
	an_task *child;
	int result;

	forget_trail();
	CHECK_EQUAL(an_spawn(notes_and_ends, (void *)"x", &eager, &child), 0);
	CHECK(an_done(child));
	CHECK_EQUAL(an_join(child, &result), 0);
	CHECK_EQUAL(result, 4);
	for (int i = 0; i < 1000; i++) {
		trail.length = 0;
		CHECK_EQUAL(an_spawn(notes_and_ends, (void *)"y", &eager, NULL), 0);
		CHECK_EQUAL(trail.length, 1);
	}
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

static int nests(void *arg)
{
	const char *rest = arg;
	int r = 0;

	note(rest[0]);
	if (rest[1])
		r = an_spawn(nests, (void *)(rest + 1), &eager, NULL);
	note(rest[0]);
	CHECK_EQUAL(an_yield(), 0);
	note('.');
	return r;
}

TASK_TEST(eager_spawns_nest)
{
	forget_trail();
	CHECK_EQUAL(an_spawn(nests, (void *)"abcd", &eager, NULL), 0);
	note('|');
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(strcmp(trail.text, "abcddcba|....") == 0);
	return 0;
}

static int spawns_all_the_time(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		forget_trail();
		CHECK_EQUAL(an_spawn(notes_twice, (void *)"ab", &eager, NULL), 0);
		CHECK_EQUAL(trail.length, 1);
		CHECK_EQUAL(trail.text[0], 'a');
		if (arg)
			CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

/* The budget of a turn runs out in the middle of it. */
TASK_TEST(nobody_comes_in_between_however_many_are_spawned)
{
	CHECK_EQUAL(spawns_all_the_time(NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	return spawns_all_the_time(&trail);
}

static int wakes_and_waits(void *arg)
{
	an_event_set(arg);
	note('w');
	return an_sleep(AN_SECOND);
}

static int waits_for_event(void *arg)
{
	CHECK_EQUAL(an_event_wait(arg), 0);
	note('e');
	return 0;
}

TASK_TEST(those_that_an_eager_child_wakes_run_after_its_parent)
{
	an_event event = AN_EVENT_INIT;

	forget_trail();
	CHECK_EQUAL(an_spawn(waits_for_event, &event, &eager, NULL), 0);
	CHECK_EQUAL(an_spawn(wakes_and_waits, &event, &eager, NULL), 0);
	note('p');
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK(strcmp(trail.text, "wpe") == 0);
	return 0;
}

static int fails(void *arg)
{
	(void)arg;
	return -EIO;
}

static int sleeps(void *arg)
{
	(void)arg;
	return an_sleep(AN_HOUR);
}

/* asyncio semantics 15: it fails before the body has waited for anything. */
TASK_TEST(an_eager_child_may_fail_its_group_at_once)
{
	an_duration start = an_now();
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, sleeps, NULL), 0);
	CHECK_EQUAL(an_group_spawn_with(&group, fails, NULL, &eager), 0);
	CHECK_EQUAL(an_check(), -ECANCELED);
	CHECK_EQUAL(an_group_spawn_with(&group, sleeps, NULL, &eager), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), -EIO);
	CHECK_EQUAL(an_now(), start);
	return an_check();
}

static int cancels_its_group(void *arg)
{
	an_group_cancel(arg);
	return an_sleep(AN_HOUR);
}

/* asyncio semantics 15. */
TASK_TEST(an_eager_child_may_cancel_its_group_at_once)
{
	an_duration start = an_now();
	an_group group;

	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, sleeps, NULL), 0);
	CHECK_EQUAL(an_group_spawn_with(&group, cancels_its_group, &group, &eager), 0);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_now(), start);
	return an_check();
}

static int cancels_its_parent(void *arg)
{
	an_cancel(arg);
	return an_check();
}

static int is_cancelled_by_its_child(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_spawn(cancels_its_parent, an_current(), &eager, NULL), 0);
	CHECK_EQUAL(an_check(), -ECANCELED);
	return an_sleep(1);
}

TASK_TEST(an_eager_child_may_cancel_its_parent)
{
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(is_cancelled_by_its_child, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

/* The child does not inherit its parent's scopes, only the group's are passed on. */
TASK_TEST(an_eager_child_does_not_see_its_parents_limit)
{
	an_timeout limit;
	an_task *child;
	int result;

	an_timeout_begin(&limit, 0);
	CHECK_EQUAL(an_spawn(notes_twice, (void *)"ab", &eager, &child), 0);
	CHECK_EQUAL(an_timeout_end(&limit, an_check()), -ETIMEDOUT);
	CHECK_EQUAL(an_join(child, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

static void outside_a_task_a_spawn_is_never_eager(void **state)
{
	an_loop *loop;
	an_task *task;

	(void)state;
	forget_trail();
	assert_int_equal(an_loop_new(&(an_loop_opts){ .virtual_clock = true }, &loop), 0);
	assert_int_equal(an_spawn(notes_and_ends, (void *)"z", &eager, &task), 0);
	assert_int_equal(trail.length, 0);
	assert_int_equal(an_loop_run_until(loop, task, NULL), 0);
	assert_int_equal(trail.length, 1);
	assert_null(an_loop_free(loop));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_eager_child_runs_up_to_its_first_wait),
	cmocka_unit_test(an_eager_child_that_never_waits_has_ended_after_the_spawn),
	cmocka_unit_test(eager_spawns_nest),
	cmocka_unit_test(nobody_comes_in_between_however_many_are_spawned),
	cmocka_unit_test(those_that_an_eager_child_wakes_run_after_its_parent),
	cmocka_unit_test(an_eager_child_may_fail_its_group_at_once),
	cmocka_unit_test(an_eager_child_may_cancel_its_group_at_once),
	cmocka_unit_test(an_eager_child_may_cancel_its_parent),
	cmocka_unit_test(an_eager_child_does_not_see_its_parents_limit),
	cmocka_unit_test(outside_a_task_a_spawn_is_never_eager),
};
TEST_MAIN("eager", tests)
