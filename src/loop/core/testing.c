/* What tests of programs provoke: the public names of what lies in other files. Core, L1.
 *
 * Allocations: the count is loop/base/alloc.c's.
 */
#include "config.h"

#include "loop/base/alloc.h"

#include <asyncnet/testing.h>

/* ---- failing allocations ----------------------------------------------------------- */

void an_testing_fail_allocation(size_t nth)
{
	an__alloc_arm(nth);
}

bool an_testing_allocation_failed(void)
{
	bool failed = an__alloc_failed;

	an__alloc_arm(0);
	return failed;
}

bool an_testing_allocation_due(void)
{
	return an__alloc_fails();
}
