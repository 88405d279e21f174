/* The limit of tasks.spawn_join: a fibre from the list of unused ones, run once, given
 * back by its joiner. */
#include "bench/limits/fiber.h"
#include "bench/measure.h"

#define SLICES 40
#define BATCHES 100
#define BATCH 1000

static void nothing(void *arg)
{
	(void)arg;
}

int main(void)
{
	static struct measure measure;
	static struct fiber *fibers[BATCH];

	fiber_stacks(BATCH);
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < BATCHES; j++) {
			for (int k = 0; k < BATCH; k++)
				fibers[k] = fiber_spawn(nothing, NULL);
			for (int k = 0; k < BATCH; k++)
				fiber_join(fibers[k]);
		}
		measure_slice(&measure, BATCHES * BATCH);
	}
	return measure_end(&measure);
}
