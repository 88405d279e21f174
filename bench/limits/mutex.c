/* The limit of tasks.mutex: an owner and a FIFO of those who wait to be it. */
#include "bench/limits/fiber.h"
#include "bench/measure.h"

#define SLICES 40
#define LOCKS 100000
#define TASKS 4

static struct {
	struct fiber *owner;
	struct fibers waiters;
} mutex;

FIBER_CALL void lock(void)
{
	if (!mutex.owner) {
		mutex.owner = current;
		return;
	}
	fibers_add(&mutex.waiters, current);
	fiber_park();
}

FIBER_CALL void unlock(void)
{
	mutex.owner = fibers_take(&mutex.waiters);
	if (mutex.owner)
		fibers_add(&ready, mutex.owner);
}

static void locks(void *arg)
{
	(void)arg;
	for (int i = 0; i < LOCKS / TASKS; i++) {
		lock();
		fiber_yield();
		unlock();
	}
}

int main(void)
{
	static struct measure measure;

	fiber_stacks(TASKS);
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		struct fiber *fibers[TASKS];

		for (int j = 0; j < TASKS; j++)
			fibers[j] = fiber_spawn(locks, NULL);
		for (int j = 0; j < TASKS; j++)
			fiber_join(fibers[j]);
		measure_slice(&measure, LOCKS);
	}
	return measure_end(&measure);
}
