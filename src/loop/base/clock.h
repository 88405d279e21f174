/* The system's monotonic clock. L0. */
#ifndef AN_LOOP_BASE_CLOCK_H
#define AN_LOOP_BASE_CLOCK_H

#include <asyncnet/time.h>

#include <time.h>

static inline an_duration an__clock_monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * AN_SECOND + ts.tv_nsec;
}

/* a + b, staying at the ends of the range instead of wrapping. */
static inline an_duration an__duration_add(an_duration a, an_duration b)
{
	an_duration sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a > 0 ? AN_FOREVER : INT64_MIN;
	return sum;
}

#endif
