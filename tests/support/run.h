/* How tests run tasks.
 *
 * cmocka's asserts jump off the stack they are made on, so they are made on the main
 * stack alone: a task says CHECK(...), which returns a failure code from it, and the test
 * asserts that the run returned 0. Loops of tests have the virtual clock: nothing waits.
 */
#ifndef TESTS_SUPPORT_RUN_H
#define TESTS_SUPPORT_RUN_H

#include "tests/support/program.h"

#include <asyncnet/asyncnet.h>
#include <asyncnet/testing.h>
#include <stdio.h>

/* Below every real code, so that it cannot be taken for one. */
#define CHECK_FAILED (-99999)

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, \
				#condition); \
			return CHECK_FAILED; \
		} \
	} while (0)

#define CHECK_EQUAL(value, expected) \
	do { \
		long long value_ = (long long)(value), \
			  expected_ = (long long)(expected); \
		if (value_ != expected_) { \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, \
				__LINE__, #value, value_, expected_); \
			return CHECK_FAILED; \
		} \
	} while (0)

/* Runs a task on a loop with the virtual clock. `AN_SEED=7 make check-core` has all tests
 * run with the order of their tasks drawn from that seed. */
static inline int run_virtual(an_task_fn fn, void *arg)
{
	return an_run(
		fn, arg,
		&(an_loop_opts){ .virtual_clock = true, .seed = an_testing_seed() });
}

/* The same for what is about the order, in which no seed has a say. */
static inline int run_in_order(an_task_fn fn, void *arg)
{
	return an_run(fn, arg, &(an_loop_opts){ .virtual_clock = true });
}

#define AN__TASK_TEST(name, run) \
	static int name##_task(void *arg); \
	static void name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(run(name##_task, NULL), 0); \
	} \
	static int name##_task(void *arg __attribute__((unused)))

/* A test whose task is `name`_task and must return 0. */
#define TASK_TEST(name) AN__TASK_TEST(name, run_virtual)

/* The same when it relies on the order in which tasks run: that an an_yield() lets all
 * others go first, or who of several writes first. */
#define TASK_TEST_IN_ORDER(name) AN__TASK_TEST(name, run_in_order)

/* A test in which a body is cancelled at each of its steps, in the order in which tasks
 * become ready and in some others; see an_testing_cancel_at_each_step(). `prepare` and
 * `check` may be NULL. */
#define CANCEL_TEST(name, prepare, body, check, arg) \
	static void name(void **state) \
	{ \
		an_testing_scenario s = { prepare, body, check, arg }; \
		(void)state; \
		assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0); \
		assert_int_equal(an_testing_cancel_at_each_step( \
					 &s, &(an_testing_opts){ .rounds = 10 }), \
				 0); \
	}

#endif
