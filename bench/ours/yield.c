/* tasks.yield and tasks.yield1000: tasks that yield to each other. Usage: yield TASKS */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 40
#define YIELDS 250000

static struct measure measure;
static long tasks;

static int yields(void *arg)
{
	(void)arg;
	for (long i = 0; i < YIELDS / tasks; i++) {
		int r = an_yield();

		if (r < 0)
			return r;
	}
	return 0;
}

static int bench(void *arg)
{
	(void)arg;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		an_group group;
		int r;

		an_group_begin(&group);
		for (long j = 0; j < tasks; j++)
			an_group_spawn(&group, yields, NULL);
		r = an_group_end(&group);
		if (r < 0)
			return r;
		measure_slice(&measure, YIELDS);
	}
	return measure_end(&measure);
}

int main(int argc, char **argv)
{
	if (argc < 2 || (tasks = atol(argv[1])) < 1)
		return 2;
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
