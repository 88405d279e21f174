/* As much of cmocka as test-ctx.c needs, for a foreign architecture where cmocka is not
 * installed: TAP on stdout, the first failed assert ends the program. */
#ifndef AN_TEST_CROSS_CMOCKA_H
#define AN_TEST_CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
	const char *name;
	void (*fn)(void **state);
};

#define cmocka_unit_test(f) { #f, f }

#define cross_assert(condition)                                                   \
	do {                                                                      \
		if (!(condition)) {                                               \
			printf("not ok - %s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                  \
		}                                                                 \
	} while (0)

#define assert_true(c) cross_assert(c)
#define assert_int_equal(a, b) cross_assert((long long)(a) == (long long)(b))

#define cmocka_run_group_tests(tests, setup, teardown) \
	cross_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

static inline int cross_run(const struct CMUnitTest *tests, size_t count,
			    int (*setup)(void **), int (*teardown)(void **))
{
	void *state = NULL;

	printf("1..%zu\n", count);
	cross_assert(!setup || !setup(&state));
	for (size_t i = 0; i < count; i++) {
		tests[i].fn(&state);
		printf("ok %zu - %s\n", i + 1, tests[i].name);
	}
	cross_assert(!teardown || !teardown(&state));
	return 0;
}

#endif
