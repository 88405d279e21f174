/* The end of a task: its callbacks, its result without a join, what is reported. */
#include "loop/core/stack.h"
#include "tests/support/messages.h"
#include "tests/support/run.h"

#include <asyncnet/testing.h>
#include <errno.h>

static int returns_arg(void *arg)
{
	return (int)(intptr_t)arg;
}

static int sleeps_a_second(void *arg)
{
	int r = an_sleep(AN_SECOND);

	return r < 0 ? r : (int)(intptr_t)arg;
}

static struct {
	char text[32];
	size_t length;
	int result, suspending, spawned;
	bool had_task;
} seen;

static void forget(void)
{
	memset(&seen, 0, sizeof seen);
}

static void note(void *arg, int result)
{
	seen.text[seen.length++] = *(const char *)arg;
	seen.result = result;
	seen.had_task |= an_current() != NULL;
}

static int joins_and_notes(void *arg)
{
	int result;

	CHECK_EQUAL(an_join(arg, &result), 0);
	note("j", result);
	return 0;
}

TASK_TEST(callbacks_are_called_in_order_before_the_joiner)
{
	an_task *task, *joiner;

	forget();
	CHECK_EQUAL(an_spawn(sleeps_a_second, (void *)7, NULL, &task), 0);
	CHECK_EQUAL(an_spawn(joins_and_notes, task, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (const char *c = "abc"; *c; c++)
		CHECK_EQUAL(an_task_on_done(task, note, (void *)c), 0);
	CHECK_EQUAL(an_join(joiner, NULL), 0);
	CHECK(strcmp(seen.text, "abcj") == 0);
	CHECK_EQUAL(seen.result, 7);
	return 0;
}

TASK_TEST_IN_ORDER(a_callback_for_an_ended_task_is_called_at_once)
{
	an_task *task;

	forget();
	CHECK_EQUAL(an_spawn(returns_arg, (void *)(intptr_t)-EIO, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_task_on_done(task, note, "x"), 0);
	CHECK(strcmp(seen.text, "x") == 0);
	CHECK_EQUAL(seen.result, -EIO);
	CHECK(!seen.had_task);
	CHECK(an_current() != NULL);
	CHECK(!an_task_off_done(task, note, "x"));
	return an_join(task, NULL);
}

TASK_TEST(a_callback_can_be_taken_back)
{
	const char *a = "a", *b = "b";
	an_task *task;

	forget();
	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_task_on_done(task, note, (void *)a), 0);
	CHECK_EQUAL(an_task_on_done(task, note, (void *)b), 0);
	CHECK_EQUAL(an_task_on_done(task, note, (void *)a), 0);
	CHECK(an_task_off_done(task, note, (void *)a)); /* the older of the two */
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(strcmp(seen.text, "ba") == 0);
	return 0;
}

static void suspends_and_spawns(void *arg, int result)
{
	(void)arg;
	(void)result;
	seen.suspending = an_sleep(AN_SECOND);
	seen.spawned = an_spawn(returns_arg, NULL, NULL, NULL);
	seen.had_task |= an_current() != NULL;
}

TASK_TEST(a_callback_cannot_suspend_but_may_spawn)
{
	an_task *task;

	forget();
	CHECK_EQUAL(an_spawn(sleeps_a_second, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_task_on_done(task, suspends_and_spawns, NULL), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(seen.suspending, AN_ERR_NO_TASK);
	CHECK_EQUAL(seen.spawned, 0);
	CHECK(!seen.had_task);
	return 0;
}

static void takes_the_others_back(void *arg, int result)
{
	(void)result;
	note("t", 0);
	an_task_off_done(arg, note, (void *)"never");
}

TASK_TEST(a_callback_may_take_another_back)
{
	an_task *task;

	forget();
	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_task_on_done(task, takes_the_others_back, task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(strcmp(seen.text, "t") == 0);
	return 0;
}

TASK_TEST(without_memory_there_is_no_callback)
{
	an_task *task;

	forget();
	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	an_testing_fail_allocation(1);
	CHECK_EQUAL(an_task_on_done(task, note, "n"), -ENOMEM);
	CHECK(an_testing_allocation_failed());
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(seen.length, 0);
	return 0;
}

static int detaches_with_a_callback(void *arg)
{
	an_task *task;

	CHECK_EQUAL(an_spawn(sleeps_a_second, arg, NULL, &task), 0);
	CHECK_EQUAL(an_task_on_done(task, note, "d"), 0);
	an_detach(task);
	return 0;
}

static void a_task_that_the_end_cancels_tells_its_callbacks(void **state)
{
	(void)state;
	forget();
	assert_int_equal(run_virtual(detaches_with_a_callback, NULL), 0);
	assert_int_equal(seen.length, 1);
	assert_int_equal(seen.result, -ECANCELED);
}

/* ---- results ----------------------------------------------------------------------- */

TASK_TEST(a_result_can_be_looked_at_without_a_join)
{
	an_task *task;
	int result = 99;

	CHECK_EQUAL(an_spawn(sleeps_a_second, (void *)5, NULL, &task), 0);
	CHECK_EQUAL(an_task_result(task, &result), -EAGAIN);
	CHECK_EQUAL(result, 99);
	CHECK(!an_task_cancelled(task));
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK_EQUAL(an_task_result(task, &result), 0);
	CHECK_EQUAL(result, 5);
	result = 0;
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, 5);
	return 0;
}

TASK_TEST_IN_ORDER(cancelled_is_who_was_asked_and_gave_in)
{
	an_task *asked, *by_itself, *gave_a_value;

	CHECK_EQUAL(an_spawn(sleeps_a_second, NULL, NULL, &asked), 0);
	CHECK_EQUAL(an_spawn(returns_arg, (void *)(intptr_t)-ECANCELED, NULL, &by_itself),
		    0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_spawn(returns_arg, (void *)3, &(an_task_opts){ .eager = true },
			     &gave_a_value),
		    0);
	CHECK(an_cancel(asked));
	CHECK(!an_cancel(gave_a_value));
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_task_cancelled(asked));
	CHECK(!an_task_cancelled(by_itself));
	CHECK(!an_task_cancelled(gave_a_value));
	CHECK_EQUAL(an_join(asked, NULL), 0);
	CHECK_EQUAL(an_join(by_itself, NULL), 0);
	CHECK_EQUAL(an_join(gave_a_value, NULL), 0);
	return 0;
}

/* ---- what is reported -------------------------------------------------------------- */

static void ignores(void *arg, int result)
{
	(void)arg;
	(void)result;
}

static an_task *ended_with(int result, const char *name)
{
	const an_task_opts opts = { .name = name, .eager = true };
	an_task *task;

	return an_spawn(returns_arg, (void *)(intptr_t)result, &opts, &task) < 0 ? NULL
										 : task;
}

static int leaves_failures(void *arg)
{
	an_task *task, *sleeper;
	int result;

	(void)arg;
	an_detach(ended_with(-EIO, "unseen"));
	ended_with(-EPIPE, "never-joined");
	ended_with(5, "fine");
	task = ended_with(-EIO, "looked-at");
	CHECK_EQUAL(an_task_result(task, &result), 0);
	an_detach(task);
	task = ended_with(-EIO, "called-back");
	CHECK_EQUAL(an_task_on_done(task, ignores, NULL), 0);
	an_detach(task);
	CHECK_EQUAL(an_join(ended_with(-EIO, "joined"), NULL), 0);
	CHECK_EQUAL(an_spawn(sleeps_a_second, NULL, NULL, &sleeper), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(sleeper);
	an_detach(sleeper);
	return an_sleep(AN_SECOND);
}

static void a_failure_that_nobody_looked_at_is_reported_once(void **state)
{
	(void)state;
	messages_begin();
	assert_int_equal(run_virtual(leaves_failures, NULL), 0);
	messages_end();
	assert_int_equal(messages_with("task unseen failed and nobody joined it"), 1);
	assert_int_equal(messages_with("task never-joined failed and nobody joined"), 1);
	assert_int_equal(an__test_message_count, 2);
}

/* ---- misuse ------------------------------------------------------------------------ */

TASK_TEST(a_handle_that_was_consumed_is_refused_while_that_can_be_told)
{
	an_task *task;

	/* There the task is gone at once, and they say so themselves. */
	if (an__stack_tools_watch())
		return 0;
	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(an_join(task, NULL), AN_ERR_MISUSE);
	CHECK(an_detach(task) == NULL);
	CHECK(!an_cancel(task));
	/* Nothing was spoilt. */
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
		CHECK_EQUAL(an_join(task, NULL), 0);
	}
	return 0;
}

/* ---- callbacks that let their task go ---------------------------------------------- */

static struct an_task *kept[4];

static void detaches(void *arg, int result)
{
	an_task **handle = arg;

	(void)result;
	*handle = an_detach(*handle);
	seen.length++;
	/* Not on the stack that this runs on. */
	seen.spawned |= an_spawn(returns_arg, NULL, NULL, NULL);
}

static int spawn_and_detach_when_done(size_t stack_size)
{
	const an_task_opts opts = { .stack_size = stack_size };

	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(an_spawn(sleeps_a_second, NULL, &opts, &kept[i]), 0);
		CHECK_EQUAL(an_task_on_done(kept[i], detaches, &kept[i]), 0);
	}
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

TASK_TEST(a_callback_may_detach_the_task_that_ends)
{
	an_task *a, *b;

	forget();
	CHECK_EQUAL(spawn_and_detach_when_done(0), 0);
	CHECK_EQUAL(spawn_and_detach_when_done(256 * 1024), 0);
	CHECK_EQUAL(seen.length, 8);
	CHECK_EQUAL(seen.spawned, 0);
	/* None went twice. */
	CHECK_EQUAL(an_spawn(returns_arg, (void *)1, NULL, &a), 0);
	CHECK_EQUAL(an_spawn(returns_arg, (void *)2, NULL, &b), 0);
	CHECK(a != b);
	CHECK_EQUAL(an_join(a, NULL), 0);
	return an_join(b, NULL);
}

TASK_TEST(a_callback_may_detach_a_task_that_had_ended)
{
	const an_task_opts opts = { .stack_size = 256 * 1024, .eager = true };

	forget();
	CHECK_EQUAL(an_spawn(returns_arg, NULL, &opts, &kept[0]), 0);
	CHECK_EQUAL(an_task_on_done(kept[0], detaches, &kept[0]), 0);
	CHECK(kept[0] == NULL);
	CHECK(an_current() != NULL);
	return an_sleep(1);
}

static void detaches_in_release(void *value)
{
	detaches(value, 0);
	seen.suspending = an_sleep(AN_SECOND);
}

static const an_local releasing = { .name = "releasing", .release = detaches_in_release };

static int binds(void *arg)
{
	return an_local_set(&releasing, arg);
}

TASK_TEST(the_release_of_a_value_may_detach_the_task_that_ends)
{
	forget();
	CHECK_EQUAL(an_spawn(binds, &kept[0], NULL, &kept[0]), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(seen.length, 1);
	CHECK_EQUAL(seen.suspending, AN_ERR_NO_TASK);
	CHECK(kept[0] == NULL);
	return spawn_and_detach_when_done(0);
}

static int waits_for_ever(void *arg)
{
	an_shield shield;
	int r;

	an_shield_begin(&shield, AN_FOREVER);
	r = an_event_wait(arg);
	return an_shield_end(&shield, r);
}

/* The first callback lets all tasks go, the others those that are left. */
static void detaches_all(void *arg, int result)
{
	(void)arg;
	for (int i = 0; i < 4; i++)
		kept[i] = an_detach(kept[i]);
	seen.length++;
	seen.result = result;
	seen.spawned = an_spawn(returns_arg, NULL, NULL, NULL);
}

static int leaves_tasks_that_never_end(void *arg)
{
	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(an_spawn(waits_for_ever, arg, NULL, &kept[i]), 0);
		CHECK_EQUAL(an_task_on_done(kept[i], detaches_all, NULL), 0);
	}
	return an_sleep(1);
}

static void callbacks_of_tasks_given_up_may_detach_and_cannot_spawn(void **state)
{
	an_event never = AN_EVENT_INIT;

	(void)state;
	forget();
	messages_begin();
	assert_int_equal(run_virtual(leaves_tasks_that_never_end, &never), 0);
	messages_end();
	assert_int_equal(seen.length, 4);
	assert_int_equal(seen.result, AN_ERR_STUCK);
	assert_int_equal(seen.spawned, AN_ERR_NO_TASK);
	assert_int_equal(messages_with("was given up"), 4);
	assert_int_equal(an__test_message_count, 4);
}

/* ---- handles that are borrowed ----------------------------------------------------- */

static int joins_arg(void *arg)
{
	return an_join(arg, NULL);
}

static an_task *itself;

static int tells_itself(void *arg)
{
	itself = an_current();
	return an_sleep((an_duration)(intptr_t)arg);
}

TASK_TEST(a_detached_task_cannot_be_joined)
{
	an_task *joiner;
	int result;

	CHECK_EQUAL(an_spawn(tells_itself, (void *)10, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(an_spawn(joins_arg, itself, NULL, &joiner), 0);
	CHECK_EQUAL(an_join(joiner, &result), 0);
	CHECK_EQUAL(result, AN_ERR_MISUSE);
	CHECK_EQUAL(an_gather(&itself, 1, false, NULL), -EBUSY);
	CHECK_EQUAL(an_wait_for(itself, 1, NULL), -EBUSY);
	return an_sleep(20);
}

static int joined_main;

static int joins_main(void *arg)
{
	joined_main = an_join(arg, NULL);
	return 0;
}

static int lets_itself_go(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_spawn(joins_main, an_current(), NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(an_detach(an_current()) == NULL);
	return 17;
}

static void the_main_task_is_the_runs_to_join(void **state)
{
	(void)state;
	joined_main = 0;
	assert_int_equal(run_virtual(lets_itself_go, NULL), 17);
	assert_int_equal(joined_main, -EBUSY);
}

static void a_run_refuses_a_task_that_is_nobodys(void **state)
{
	an_loop *loop;
	an_task *task;

	(void)state;
	assert_int_equal(an_loop_new(&(an_loop_opts){ .virtual_clock = true }, &loop), 0);
	assert_int_equal(an_spawn(returns_arg, NULL, NULL, &task), 0);
	an_detach(task);
	assert_int_equal(an_loop_run_until(loop, task, NULL), AN_ERR_MISUSE);
	assert_int_equal(an_spawn(returns_arg, (void *)3, NULL, &task), 0);
	assert_int_equal(an_loop_run_until(loop, task, NULL), 0);
	if (!an__stack_tools_watch())
		assert_int_equal(an_loop_run_until(loop, task, NULL), AN_ERR_MISUSE);
	assert_null(an_loop_free(loop));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(callbacks_are_called_in_order_before_the_joiner),
	cmocka_unit_test(a_callback_for_an_ended_task_is_called_at_once),
	cmocka_unit_test(a_callback_can_be_taken_back),
	cmocka_unit_test(a_callback_cannot_suspend_but_may_spawn),
	cmocka_unit_test(a_callback_may_take_another_back),
	cmocka_unit_test(without_memory_there_is_no_callback),
	cmocka_unit_test(a_task_that_the_end_cancels_tells_its_callbacks),
	cmocka_unit_test(a_result_can_be_looked_at_without_a_join),
	cmocka_unit_test(cancelled_is_who_was_asked_and_gave_in),
	cmocka_unit_test(a_failure_that_nobody_looked_at_is_reported_once),
	cmocka_unit_test(a_handle_that_was_consumed_is_refused_while_that_can_be_told),
	cmocka_unit_test(a_callback_may_detach_the_task_that_ends),
	cmocka_unit_test(a_callback_may_detach_a_task_that_had_ended),
	cmocka_unit_test(the_release_of_a_value_may_detach_the_task_that_ends),
	cmocka_unit_test(callbacks_of_tasks_given_up_may_detach_and_cannot_spawn),
	cmocka_unit_test(a_detached_task_cannot_be_joined),
	cmocka_unit_test(the_main_task_is_the_runs_to_join),
	cmocka_unit_test(a_run_refuses_a_task_that_is_nobodys),
};
TEST_MAIN("done", tests)
