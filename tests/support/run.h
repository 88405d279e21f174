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

/* Runs a task on a loop with the virtual clock. */
static inline int run_virtual(an_task_fn fn, void *arg)
{
	return an_run(fn, arg, &(an_loop_opts){ .virtual_clock = true });
}

/* A test whose task is `name`_task and must return 0. */
#define TASK_TEST(name) \
	static int name##_task(void *arg); \
	static void name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(run_virtual(name##_task, NULL), 0); \
	} \
	static int name##_task(void *arg __attribute__((unused)))

#endif
