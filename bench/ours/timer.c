/* tasks.timer100k: with 100,000 calls asked for, a random one is cancelled and asked for
 * again at another time. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 20
#define TIMERS 100000
#define MOVES 100000

static an_call *calls[TIMERS];
static an_duration start;

static void nothing(void *arg)
{
	(void)arg;
}

static int move_calls(void)
{
	for (int i = 0; i < MOVES; i++) {
		an_call **c = &calls[measure_random() % TIMERS];
		int r;

		*c = an_call_cancel(*c);
		r = an_call_at(start + measure_delay(), nothing, NULL, c);
		if (r < 0)
			return r;
	}
	return 0;
}

static int bench(void *arg)
{
	static struct measure measure;
	int r = 0;

	(void)arg;
	start = an_now();
	for (int i = 0; i < TIMERS && r == 0; i++)
		r = an_call_at(start + measure_delay(), nothing, NULL, &calls[i]);
	measure_begin(&measure);
	for (int i = 0; i < SLICES && r == 0; i++) {
		r = move_calls();
		measure_slice(&measure, MOVES);
	}
	for (int i = 0; i < TIMERS; i++)
		an_call_cancel(calls[i]);
	return r < 0 ? r : measure_end(&measure);
}

int main(void)
{
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
