/* The counted allocations, and what tests of programs arm them with. */
#include "tests/support/program.h"

#include "loop/base/alloc.h"

#include <asyncnet/testing.h>
#include <errno.h>
#include <pthread.h>

/* ---- each counts as one ------------------------------------------------------------ */

static void *by_malloc(void)
{
	return an__malloc(10);
}

static void *by_calloc(void)
{
	return an__calloc(2, 5);
}

static void *by_realloc(void)
{
	return an__realloc(NULL, 10);
}

static void *by_reallocarray(void)
{
	return an__reallocarray(NULL, 2, 5);
}

static void *by_strdup(void)
{
	return an__strdup("text");
}

static void *by_strndup(void)
{
	return an__strndup("text", 2);
}

static void *by_asprintf(void)
{
	return an__asprintf("%d", 7);
}

static void *by_aligned(void)
{
	return an__aligned(64, 10);
}

static void *(*const ways[])(void) = {
	by_malloc, by_calloc,  by_realloc,  by_reallocarray,
	by_strdup, by_strndup, by_asprintf, by_aligned,
};
#define WAYS (sizeof ways / sizeof ways[0])

/* Allocates in every way. Returns a bit for each that failed. */
static unsigned allocate_all(void)
{
	unsigned failed = 0;

	for (size_t i = 0; i < WAYS; i++) {
		void *p;

		errno = 0;
		p = ways[i]();
		if (!p) {
			failed |= 1u << i;
			assert_int_equal(errno, ENOMEM);
		}
		free(p);
	}
	return failed;
}

static void the_nth_allocation_fails_in_whichever_way_it_is_made(void **state)
{
	(void)state;
	for (size_t n = 1; n <= WAYS; n++) {
		an_testing_fail_allocation(n);
		assert_int_equal(allocate_all(), 1u << (n - 1));
		assert_int_equal(allocate_all(), 0); /* once */
		assert_true(an_testing_allocation_failed());
		assert_false(an_testing_allocation_failed());
	}
}

static void nothing_armed_fails_nothing(void **state)
{
	(void)state;
	an_testing_fail_allocation(0);
	assert_int_equal(allocate_all(), 0);
	assert_false(an_testing_allocation_failed());
	assert_false(an_testing_allocation_due());
}

static void to_ask_whether_it_failed_disarms(void **state)
{
	(void)state;
	an_testing_fail_allocation(WAYS + 1);
	assert_int_equal(allocate_all(), 0);
	assert_false(an_testing_allocation_failed());
	assert_int_equal(allocate_all(), 0);
}

static void arming_anew_forgets_the_past(void **state)
{
	(void)state;
	an_testing_fail_allocation(1);
	assert_int_equal(allocate_all(), 1);
	an_testing_fail_allocation(WAYS + 1);
	assert_int_equal(allocate_all(), 0);
	assert_false(an_testing_allocation_failed());
	an_testing_fail_allocation(3);
	an_testing_fail_allocation(0);
	assert_int_equal(allocate_all(), 0);
	assert_false(an_testing_allocation_failed());
}

/* ---- what they give ---------------------------------------------------------------- */

static void a_failed_growth_leaves_the_old_memory(void **state)
{
	char *old = an__strdup("still there"), *grown;

	(void)state;
	an_testing_fail_allocation(1);
	assert_null(an__realloc(old, 4000));
	assert_true(an_testing_allocation_failed());
	an_testing_fail_allocation(1);
	assert_null(an__reallocarray(old, 10, 400));
	assert_true(an_testing_allocation_failed());
	assert_string_equal(old, "still there");
	grown = an__realloc(old, 4000);
	assert_string_equal(grown, "still there");
	free(grown);
}

static void the_memory_is_what_libc_gives(void **state)
{
	static const char zeros[24];
	char *p;

	(void)state;
	p = an__calloc(3, 8);
	assert_memory_equal(p, zeros, 24);
	free(p);
	p = an__strndup("text", 2);
	assert_string_equal(p, "te");
	free(p);
	p = an__asprintf("%s-%d", "a", -7);
	assert_string_equal(p, "a--7");
	free(p);
	p = an__aligned(256, 1);
	assert_int_equal((uintptr_t)p % 256, 0);
	free(p);
}

/* ---- whose count it is ------------------------------------------------------------- */

static void *allocate_elsewhere(void *arg)
{
	*(unsigned *)arg = allocate_all();
	an_testing_fail_allocation(2);
	*(unsigned *)arg |= allocate_all() << WAYS;
	return NULL;
}

static void threads_count_for_themselves(void **state)
{
	unsigned failed = ~0u;
	pthread_t thread;

	(void)state;
	an_testing_fail_allocation(3);
	assert_int_equal(pthread_create(&thread, NULL, allocate_elsewhere, &failed), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(failed, 2u << WAYS);
	assert_int_equal(allocate_all(), 1u << 2);
	assert_true(an_testing_allocation_failed());
}

static void allocators_of_the_program_share_the_count(void **state)
{
	(void)state;
	an_testing_fail_allocation(3);
	errno = EDOM;
	assert_false(an_testing_allocation_due());
	assert_int_equal(errno, EDOM);
	free(an__malloc(1));
	assert_true(an_testing_allocation_due());
	assert_int_equal(errno, ENOMEM);
	assert_false(an_testing_allocation_due());
	assert_true(an_testing_allocation_failed());
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_nth_allocation_fails_in_whichever_way_it_is_made),
	cmocka_unit_test(nothing_armed_fails_nothing),
	cmocka_unit_test(to_ask_whether_it_failed_disarms),
	cmocka_unit_test(arming_anew_forgets_the_past),
	cmocka_unit_test(a_failed_growth_leaves_the_old_memory),
	cmocka_unit_test(the_memory_is_what_libc_gives),
	cmocka_unit_test(threads_count_for_themselves),
	cmocka_unit_test(allocators_of_the_program_share_the_count),
};

TEST_MAIN("alloc", tests)
