/* The list of tasks, the use of stacks, the loop's figures. */
#include "loop/base/clock.h"
#include "loop/core/ctx.h" /* AN_CONTEXT_UCONTEXT */
#include "tests/support/run.h"

#include <event2/event.h>
#include <string.h>

static int sleeps(void *arg)
{
	(void)arg;
	return an_sleep(AN_FOREVER);
}

static int returns(void *arg)
{
	(void)arg;
	return 0;
}

/* ---- tasks ------------------------------------------------------------------------- */

TASK_TEST(tasks_are_listed_in_the_order_of_their_spawning)
{
	an_loop *loop = an_loop_current();
	an_task *made[3], *listed[5] = { NULL };

	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(sleeps, NULL, NULL, &made[i]), 0);
	CHECK_EQUAL(an_loop_tasks(loop, listed, 5), 4);
	CHECK(listed[0] == an_current());
	for (int i = 0; i < 3; i++)
		CHECK(listed[i + 1] == made[i]);
	CHECK(listed[4] == NULL);
	for (int i = 0; i < 3; i++)
		an_detach(made[i]);
	return 0;
}

TASK_TEST(tasks_for_which_there_is_no_room_are_counted)
{
	an_task *listed[2] = { NULL };

	CHECK_EQUAL(an_spawn(sleeps, NULL, NULL, NULL), 0);
	CHECK_EQUAL(an_loop_tasks(an_loop_current(), listed, 1), 2);
	CHECK(listed[0] == an_current());
	CHECK(listed[1] == NULL);
	CHECK_EQUAL(an_loop_tasks(an_loop_current(), NULL, 0), 2);
	return 0;
}

TASK_TEST_IN_ORDER(a_task_that_has_ended_is_not_listed)
{
	an_task *task, *listed[2] = { NULL };

	CHECK_EQUAL(an_spawn(returns, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(an_done(task));
	CHECK_EQUAL(an_loop_tasks(an_loop_current(), listed, 2), 1);
	CHECK(listed[0] == an_current());
	return an_join(task, NULL);
}

/* ---- stacks ------------------------------------------------------------------------ */

#define DEEP (40 * 1024)

/* Fills the array, so that the pages of the stack below it were used. */
static __attribute__((noinline)) int goes_deep(void *arg)
{
	volatile char array[DEEP];
	int r;

	for (size_t i = 0; i < sizeof array; i++)
		array[i] = (char)i;
	r = arg ? an_sleep(AN_FOREVER) : 0;
	return r + array[0];
}

TASK_TEST_IN_ORDER(a_parked_task_uses_the_stack_down_to_where_it_is_parked)
{
	an_task *task;
	an_stack_use use;

	CHECK_EQUAL(an_spawn(goes_deep, "and stays there",
			     &(an_task_opts){ .stack_size = 256 * 1024 }, &task),
		    0);
	use = an_task_stack_use(task);
	CHECK(use.size > 200 * 1024 && use.size <= 256 * 1024);
#ifndef AN_CONTEXT_UCONTEXT
	CHECK(use.now > 0 && use.now < DEEP);
#endif
	CHECK_EQUAL(an_yield(), 0);
	use = an_task_stack_use(task);
#ifdef AN_CONTEXT_UCONTEXT
	CHECK_EQUAL(use.now, 0);
#else
	CHECK(use.now >= DEEP && use.now < use.size);
#endif
	CHECK(use.peak >= DEEP && use.peak <= use.size);
	an_detach(task);
	return 0;
}

TASK_TEST(the_peak_of_a_stack_is_remembered)
{
	an_stack_use use = an_task_stack_use(an_current());

	CHECK(use.now > 0 && use.now < DEEP);
	CHECK(use.peak >= use.now && use.peak < DEEP);
	CHECK_EQUAL(goes_deep(NULL), 0);
	use = an_task_stack_use(an_current());
	CHECK(use.now < DEEP);
	CHECK(use.peak >= DEEP && use.peak <= use.size);
	return 0;
}

/* ---- figures ----------------------------------------------------------------------- */

TASK_TEST(the_figures_count_tasks_and_timers)
{
	an_loop *loop = an_loop_current();
	an_loop_metrics before, after;
	an_task *task;

	an_loop_get_metrics(loop, &before);
	CHECK_EQUAL(before.tasks, 1);
	CHECK_EQUAL(before.spawned, 1);
	CHECK_EQUAL(before.ready, 1);
	CHECK_EQUAL(before.stacks_used, 1);
	for (int i = 0; i < 10; i++) {
		CHECK_EQUAL(an_spawn(returns, NULL, NULL, &task), 0);
		an_loop_get_metrics(loop, &after);
		CHECK_EQUAL(after.ready, 2);
		CHECK_EQUAL(an_join(task, NULL), 0);
	}
	an_loop_get_metrics(loop, &after);
	CHECK_EQUAL(after.tasks, 1);
	CHECK_EQUAL(after.tasks_peak, 2);
	CHECK_EQUAL(after.spawned, 11);
	CHECK_EQUAL(after.stacks_used, 1);
	CHECK(after.stacks_free >= 1);
	CHECK_EQUAL(after.timers, 0);
	return an_sleep(1);
}

static int naps(void *arg)
{
	an_loop_metrics m;

	an_loop_get_metrics(an_loop_current(), &m);
	*(size_t *)arg = m.timers;
	return 0;
}

TASK_TEST(an_armed_timer_is_counted)
{
	size_t timers = 0;

	CHECK_EQUAL(an_spawn(naps, &timers, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(timers, 1);
	return 0;
}

/* The main task resumes once after each of its yields. */
static int switches_task(void *arg)
{
	an_loop *loop = an_loop_current();
	an_loop_metrics before, after;

	CHECK_EQUAL(an_spawn(returns, NULL, arg, NULL), 0);
	an_loop_get_metrics(loop, &before);
	for (int i = 0; i < 1000; i++)
		CHECK_EQUAL(an_yield(), 0);
	an_loop_get_metrics(loop, &after);
	CHECK_EQUAL(after.switches - before.switches, arg ? 1000 : 1001);
	CHECK(after.turns > before.turns);
	return 0;
}

static void each_resumption_is_counted(void **state)
{
	an_task_opts eager = { .eager = true };
	an_loop_opts virtual = { .virtual_clock = true };
	an_loop_opts debug = { .virtual_clock = true, .debug = true };

	(void)state;
	assert_int_equal(an_run(switches_task, NULL, &virtual), 0);
	assert_int_equal(an_run(switches_task, &eager, &virtual), 0);
	assert_int_equal(an_run(switches_task, NULL, &debug), 0);
	assert_int_equal(an_run(switches_task, &eager, &debug), 0);
}

/* ---- lag --------------------------------------------------------------------------- */

static uint64_t lags(const an_loop_metrics *m, size_t from)
{
	uint64_t n = 0;

	for (size_t i = from; i < AN_LAG_BUCKETS; i++)
		n += m->lag[i];
	return n;
}

static void compute(an_duration d)
{
	an_duration until = an__clock_monotonic() + d;

	while (an__clock_monotonic() < until)
		;
}

/* 2^11 us is above 2 ms. */
#define STEP (3 * AN_MILLISECOND)
#define BUCKET 11

static int lag_task(void *arg)
{
	an_loop *loop = an_loop_current();
	an_loop_metrics before, after;

	(void)arg;
	an_loop_get_metrics(loop, &before);
	compute(STEP);
	CHECK_EQUAL(an_sleep(1), 0); /* the loop waits */
	an_loop_get_metrics(loop, &after);
	CHECK_EQUAL(lags(&after, 0), after.turns - 1);
	CHECK(lags(&after, BUCKET) > lags(&before, BUCKET));
	CHECK(after.lag_max >= STEP);
	CHECK(after.busy - before.busy >= STEP);
	before = after;
	compute(2 * STEP);
	while (after.turns == before.turns) { /* the loop has work */
		CHECK_EQUAL(an_yield(), 0);
		an_loop_get_metrics(loop, &after);
	}
	CHECK_EQUAL(lags(&after, 0), after.turns - 1);
	CHECK(lags(&after, BUCKET) > lags(&before, BUCKET));
	CHECK(after.lag_max >= 2 * STEP);
	return 0;
}

static void a_turn_that_takes_long_is_in_the_histogram(void **state)
{
	(void)state;
	assert_int_equal(an_run(lag_task, NULL, NULL), 0);
}

static int breaks_after_lag(void *arg)
{
	int r = lag_task(NULL);

	event_base_loopbreak(arg);
	return r;
}

static void an_attached_loop_has_its_histogram(void **state)
{
	struct event_base *base = event_base_new();
	an_loop *loop;
	an_task *task;
	int result = -1;

	(void)state;
	assert_non_null(base);
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	assert_int_equal(an_spawn(breaks_after_lag, base, NULL, &task), 0);
	assert_int_equal(event_base_dispatch(base), 0);
	assert_int_equal(an_task_result(task, &result), 0);
	assert_int_equal(result, 0);
	an_detach(task);
	assert_null(an_loop_detach(loop));
	event_base_free(base);
}

TASK_TEST(a_clock_that_jumps_knows_no_lag)
{
	an_loop_metrics m;

	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_loop_get_metrics(an_loop_current(), &m);
	CHECK(m.turns >= 100);
	CHECK_EQUAL(lags(&m, 0), 0);
	CHECK_EQUAL(m.lag_max, 0);
	CHECK_EQUAL(m.busy, 0);
	return 0;
}

static uint64_t switches_seen;

static int spawns_eagerly_and_counts(void *arg)
{
	const an_task_opts eager = { .eager = true };
	an_loop_metrics m;
	int depth = (int)(intptr_t)arg;

	if (depth)
		return an_spawn(spawns_eagerly_and_counts, (void *)(intptr_t)(depth - 1),
				&eager, NULL);
	an_loop_get_metrics(an_loop_current(), &m);
	switches_seen = m.switches;
	return an_sleep(1);
}

TASK_TEST(resumptions_are_counted_inside_eager_children)
{
	switches_seen = 0;
	CHECK_EQUAL(spawns_eagerly_and_counts((void *)5), 0);
	CHECK(switches_seen >= 5 && switches_seen < 100);
	return an_sleep(2);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(tasks_are_listed_in_the_order_of_their_spawning),
	cmocka_unit_test(tasks_for_which_there_is_no_room_are_counted),
	cmocka_unit_test(a_task_that_has_ended_is_not_listed),
	cmocka_unit_test(a_parked_task_uses_the_stack_down_to_where_it_is_parked),
	cmocka_unit_test(the_peak_of_a_stack_is_remembered),
	cmocka_unit_test(the_figures_count_tasks_and_timers),
	cmocka_unit_test(an_armed_timer_is_counted),
	cmocka_unit_test(each_resumption_is_counted),
	cmocka_unit_test(a_turn_that_takes_long_is_in_the_histogram),
	cmocka_unit_test(an_attached_loop_has_its_histogram),
	cmocka_unit_test(a_clock_that_jumps_knows_no_lag),
	cmocka_unit_test(resumptions_are_counted_inside_eager_children),
};
TEST_MAIN("inspect", tests)
