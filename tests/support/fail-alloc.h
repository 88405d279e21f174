/* Allocations that fail on purpose. The program is linked with
 * `..._LDFLAGS = $(FAIL_ALLOC)`, which turns the library's calls of malloc and
 * its kin towards fail-alloc.c; without it nothing ever fails here.
 *
 *	for (size_t n = 1;; n++) {
 *		an__test_fail_allocation(n);
 *		r = the_thing_under_test();
 *		if (!an__test_allocation_failed())
 *			break;                  all of its allocations have had their turn
 *		assert_int_equal(r, -ENOMEM);
 *	}
 *
 * Counts and fails on the calling thread alone, so that a worker cannot take the failure.
 */
#ifndef AN_TESTS_SUPPORT_FAIL_ALLOC_H
#define AN_TESTS_SUPPORT_FAIL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now on fails, once; 0 lets all pass. */
void an__test_fail_allocation(size_t n);

/* Whether it has come to that; and lets all pass from here on. */
bool an__test_allocation_failed(void);

#endif
