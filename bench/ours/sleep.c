/* tasks.sleep1m: what the process holds in RAM while a million tasks sleep, for each. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define TASKS 1000000

static int asleep;

static int sleeps(void *arg)
{
	(void)arg;
	asleep++;
	return an_sleep(3600 * AN_SECOND);
}

static int bench(void *arg)
{
	double before = measure_resident();

	(void)arg;
	for (int i = 0; i < TASKS; i++) {
		int r = an_spawn(sleeps, NULL, NULL, NULL);

		if (r < 0)
			return r;
	}
	while (asleep < TASKS) {
		int r = an_yield();

		if (r < 0)
			return r;
	}
	printf("%.3f\n", (measure_resident() - before) / TASKS);
	fflush(stdout);
	_exit(0); /* to end them one by one is not what is measured */
}

int main(void)
{
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
