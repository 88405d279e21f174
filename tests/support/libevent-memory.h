/* libevent's allocations counted with the library's own, so that a test that makes one
 * fail (asyncnet/testing.h) has those of libevent in turn, too:
 *
 *	TEST_MAIN_WITH("stream", tests, count_libevent, NULL)
 *
 * libevent takes other allocators only before it has made anything, hence at the
 * beginning of the program. What it logs about its failures is kept quiet.
 */
#ifndef AN_TESTS_SUPPORT_LIBEVENT_MEMORY_H
#define AN_TESTS_SUPPORT_LIBEVENT_MEMORY_H

#include <asyncnet/testing.h>
#include <event2/event.h>
#include <stdlib.h>

static inline void *an__test_libevent_malloc(size_t size)
{
	return an_testing_allocation_due() ? NULL : malloc(size);
}

static inline void *an__test_libevent_realloc(void *old, size_t size)
{
	return an_testing_allocation_due() ? NULL : realloc(old, size);
}

static inline void an__test_keep_quiet(int severity, const char *message)
{
	(void)severity;
	(void)message;
}

static inline int count_libevent(void **state)
{
	(void)state;
	event_set_mem_functions(an__test_libevent_malloc, an__test_libevent_realloc,
				free);
	event_set_log_callback(an__test_keep_quiet);
	return 0;
}

#endif
