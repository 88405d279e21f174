/* tasks.mutex: four tasks lock, yield and unlock. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 40
#define LOCKS 100000
#define TASKS 4

static an_mutex mutex = AN_MUTEX_INIT;

static int locks(void *arg)
{
	(void)arg;
	for (int i = 0; i < LOCKS / TASKS; i++) {
		int r = an_mutex_lock(&mutex);

		if (r < 0)
			return r;
		r = an_yield();
		an_mutex_unlock(&mutex);
		if (r < 0)
			return r;
	}
	return 0;
}

static int bench(void *arg)
{
	static struct measure measure;

	(void)arg;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		an_group group;
		int r;

		an_group_begin(&group);
		for (int j = 0; j < TASKS; j++)
			an_group_spawn(&group, locks, NULL);
		r = an_group_end(&group);
		if (r < 0)
			return r;
		measure_slice(&measure, LOCKS);
	}
	return measure_end(&measure);
}

int main(void)
{
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
