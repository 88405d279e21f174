/* tasks.spawn_join: an_spawn() of a task that does nothing, and its an_join(), a thousand
 * at a time. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 40
#define BATCHES 100
#define BATCH 1000

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int batch(void)
{
	static an_task *tasks[BATCH];

	for (int i = 0; i < BATCH; i++) {
		int r = an_spawn(nothing, NULL, NULL, &tasks[i]);

		if (r < 0)
			return r;
	}
	for (int i = 0; i < BATCH; i++) {
		int r = an_join(tasks[i], NULL);

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
		for (int j = 0; j < BATCHES; j++) {
			int r = batch();

			if (r < 0)
				return r;
		}
		measure_slice(&measure, BATCHES * BATCH);
	}
	return measure_end(&measure);
}

int main(void)
{
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
