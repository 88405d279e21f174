/* For the tests of programs that use the library: what is rare is made to happen here.
 *
 * asyncnet.h leaves this header out; a test includes it itself. The functions are part of
 * the installed library, so that a program is tested as it is built, with no link flags
 * and no other build of the library. As long as nothing is armed they cost nothing that
 * could be measured.
 */
#ifndef ASYNCNET_TESTING_H
#define ASYNCNET_TESTING_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* ---- failing allocations ----------------------------------------------------------- */

/* The `nth` allocation of this thread from now on fails, once; 0: none does. What was
 * armed before is forgotten, and so is whether it came to that. Works with a loop and
 * without. Never suspends.
 *
 * Every allocation of the library can be made to fail: a test does the same thing with
 * the first, the second, ... failing, until it is over before the turn has come. With a
 * failing allocation it returns -ENOMEM, or 0 where the library can do without what the
 * memory was for (an entry of a cache, the buffer of a line that is then logged at once).
 * Nothing is leaked, and the same call works afterwards.
 *
 *	for (size_t n = 1;; n++) {
 *		an_testing_fail_allocation(n);
 *		r = the_thing_under_test();
 *		if (!an_testing_allocation_failed())
 *			break;
 *		assert(r == -ENOMEM);
 *	}
 *	assert(r == 0);
 *
 * The count is the calling thread's. All of its tasks share it; allocations of other
 * threads, such as the library's workers, neither count nor fail. The n-th allocation is
 * the same one each time only if the same is done each time: where threads or peers
 * decide on the order, some may never have their turn.
 *
 * What counts is what the library itself takes from malloc() and its kin. Not covered
 * are stacks of tasks, which come from mmap(), and allocations by others:
 *
 * libevent's, for events, buffers and bases. event_set_mem_functions(), called before
 * anything of libevent's is made, hands them to functions of the test's, which can ask
 * an_testing_allocation_due().
 *
 * OpenSSL's and libpq's. CRYPTO_set_mem_functions() does the same for OpenSSL, whose own
 * ways with a failure are then tested, too; libpq has no such thing.
 *
 * libwslay's, and libc's own inside of its functions, such as getaddrinfo().
 *
 * The program's own, unless it asks an_testing_allocation_due(). */
AN_API void an_testing_fail_allocation(size_t nth);

/* Whether the allocation that was armed last has failed. Disarms: all allocations pass
 * from here on, and a second call returns false. Never suspends. */
AN_API bool an_testing_allocation_failed(void);

/* For allocators of the program, so that one count goes through them and the library:
 *
 *	void *my_alloc(size_t size)
 *	{
 *		return an_testing_allocation_due() ? NULL : malloc(size);
 *	}
 *
 * Counts one allocation of this thread. Returns true if that is the one that has to fail,
 * with errno ENOMEM; else false, errno untouched. To be called once for each allocation,
 * from any thread. Never suspends. */
AN_API bool an_testing_allocation_due(void);

AN_END_DECLS

#endif
