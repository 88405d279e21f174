/* What a burst of tasks leaves behind is given back by the loop when it is idle. */
#include "loop/core/loop-private.h"
#include "tests/support/run.h"

static int yields(void *arg)
{
	(void)arg;
	return an_yield();
}

static int burst(size_t tasks)
{
	an_group g;

	an_group_begin(&g);
	for (size_t i = 0; i < tasks; i++)
		an_group_fail(&g, an_group_spawn(&g, yields, NULL));
	CHECK_EQUAL(an_group_end(&g), 0);
	return an_sleep(1); /* back to the loop, which frees what has ended */
}

static bool watched(const an_loop *loop)
{
	return an__wheel_has(&loop->idle.timer.node);
}

/* A second passes: the timer is fired by hand, so that nobody waits for it. */
static int idle_round(an_loop *loop)
{
	CHECK(watched(loop));
	CHECK(an__wheel_deadline(&loop->idle.timer.node) > loop->now);
	do {
		an__timer_disarm(&loop->idle.timer);
		loop->idle.timer.fn(&loop->idle.timer);
	} while (loop->idle.in_round);
	return 0;
}

static int gives_back(void *arg)
{
	an_loop *loop = an_loop_current();

	(void)arg;
	CHECK(!watched(loop));
	for (int i = 0; i < 2; i++) {
		int rounds = 0;

		CHECK_EQUAL(burst(1000), 0);
		CHECK(an__stack_pool_stats(loop->stacks).warm + loop->spare_count > 990);
		for (; watched(loop); rounds++) {
			CHECK(rounds < 40);
			CHECK_EQUAL(idle_round(loop), 0);
		}
		CHECK(rounds > 2);
		CHECK_EQUAL(an__stack_pool_stats(loop->stacks).warm, 0);
		CHECK(loop->spare_count <= AN__SPARES_KEPT);
	}
	return burst(1000); /* and ends with the timer armed */
}

static void what_a_burst_left_is_given_back_by_a_timer(void **state)
{
	(void)state;
	assert_int_equal(an_run(gives_back, NULL, NULL), 0);
}

static int keeps_what_is_needed(void *arg)
{
	an_loop *loop = an_loop_current();
	an__stack_stats before;

	(void)arg;
	CHECK_EQUAL(burst(200), 0);
	if (loop->spare_max < 200) /* a sanitizer or valgrind watches */
		return 0;
	before = an__stack_pool_stats(loop->stacks);
	for (int i = 0; i < 10; i++) {
		CHECK_EQUAL(idle_round(loop), 0);
		CHECK_EQUAL(burst(200), 0);
	}
	CHECK_EQUAL(an__stack_pool_stats(loop->stacks).in_use, before.in_use);
	return 0;
}

static void tasks_that_are_spawned_again_and_again_keep_their_stacks(void **state)
{
	(void)state;
	assert_int_equal(an_run(keeps_what_is_needed, NULL, NULL), 0);
}

TASK_TEST(the_virtual_clock_is_not_moved_by_it)
{
	CHECK_EQUAL(burst(1000), 0);
	CHECK(!watched(an_loop_current()));
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_a_burst_left_is_given_back_by_a_timer),
	cmocka_unit_test(tasks_that_are_spawned_again_and_again_keep_their_stacks),
	cmocka_unit_test(the_virtual_clock_is_not_moved_by_it),
};
TEST_MAIN("idle", tests)
