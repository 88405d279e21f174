/* What each test program begins with: cmocka with the headers it needs, and a main().
 *
 *	static void an_empty_queue_has_no_items(void **state) { ... }
 *
 *	static const struct CMUnitTest tests[] = {
 *		cmocka_unit_test(an_empty_queue_has_no_items),
 *	};
 *	TEST_MAIN("queue", tests)
 *
 * Asserts are made on the main stack alone, where cmocka's longjmp is at home: a task
 * returns a code, and the test asserts what an_run() returned.
 */
#ifndef AN_TESTS_SUPPORT_PROGRAM_H
#define AN_TESTS_SUPPORT_PROGRAM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A program that hangs ends after a minute, in a slow surrounding (valgrind) after
 * five. */
static inline unsigned an__test_seconds(void)
{
	const char *factor = getenv("AN_TEST_SLOWNESS");

	return 60u * (factor && *factor ? (unsigned)*factor - '0' : 1u);
}

/* In a child, which does not inherit it. */
static inline void an__test_set_alarm(void)
{
	alarm(an__test_seconds());
}

/* AN_TEST='*wildcards*' in the environment picks tests by their names, by hand. */
static inline void an__test_begin(void)
{
	const char *chosen = getenv("AN_TEST");

	an__test_set_alarm();
	pthread_atfork(NULL, NULL, an__test_set_alarm);
	if (chosen)
		cmocka_set_test_filter(chosen);
}

#define TEST_MAIN(name, tests) TEST_MAIN_WITH(name, tests, NULL, NULL)

/* The same, with a set-up and a tear-down of the whole program (either may be NULL). */
#define TEST_MAIN_WITH(name, tests, set_up, tear_down) \
	int main(void) \
	{ \
		an__test_begin(); \
		return cmocka_run_group_tests_name(name, tests, set_up, tear_down); \
	}

#endif
