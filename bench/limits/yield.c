/* The limit of tasks.yield and tasks.yield1000. Usage: yield TASKS */
#include "bench/limits/fiber.h"
#include "bench/measure.h"

#define SLICES 40
#define YIELDS 250000

static long tasks;

static void yields(void *arg)
{
	(void)arg;
	for (long i = 0; i < YIELDS / tasks; i++)
		fiber_yield();
}

int main(int argc, char **argv)
{
	static struct measure measure;
	static struct fiber *fibers[1000];

	if (argc < 2 || (tasks = atol(argv[1])) < 1 || tasks > 1000)
		return 2;
	fiber_stacks((size_t)tasks);
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (long j = 0; j < tasks; j++)
			fibers[j] = fiber_spawn(yields, NULL);
		for (long j = 0; j < tasks; j++)
			fiber_join(fibers[j]);
		measure_slice(&measure, YIELDS);
	}
	return measure_end(&measure);
}
