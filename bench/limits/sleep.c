/* The limit of tasks.sleep1m: the page of each stack that anything was written to. No
 * guard, no timer: address space and a list cost no memory. */
#include "bench/limits/fiber.h"
#include "bench/measure.h"

#define TASKS 1000000

static struct fibers asleep;

static void sleeps(void *arg)
{
	(void)arg;
	fibers_add(&asleep, current);
	fiber_park();
}

int main(void)
{
	double before = measure_resident();

	fiber_stacks(TASKS);
	for (int i = 0; i < TASKS; i++)
		fiber_spawn(sleeps, NULL);
	fiber_yield();
	printf("%.3f\n", (measure_resident() - before) / TASKS);
	return 0;
}
