/* How long to wait before the next attempt. L4, no I/O. */
#include "db/pool.h"

#include <stdlib.h>
#include <time.h>

/* Not for secrets: it only has to differ between processes and calls. */
static uint64_t next_random(void)
{
	static _Thread_local uint64_t state;
	struct timespec t;

	if (!state) {
		clock_gettime(CLOCK_REALTIME, &t);
		state = ((uint64_t)t.tv_nsec << 20) ^ (uint64_t)t.tv_sec ^
			(uint64_t)(uintptr_t)&state;
		state |= 1;
	}
	/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift
	 * generators". */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

an_duration an__pg_jitter(an_duration d)
{
	double fraction = (double)(next_random() >> 11) / 9007199254740992.0;

	return d / 2 + (an_duration)((double)d * fraction);
}

an_duration an__pg_backoff(unsigned failures, an_duration min, an_duration max)
{
	an_duration d = min;

	for (unsigned i = 1; i < failures && d < max; i++)
		d = d > max / 2 ? max : d * 2;
	return d < max ? d : max;
}
