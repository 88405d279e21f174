/* The limit of tasks.rendezvous and tasks.queue64: a ring and two FIFOs of who waits; an
 * item goes straight to the getter that waits for it. Usage: queue CAPACITY */
#include "bench/limits/fiber.h"
#include "bench/measure.h"

#define SLICES 40
#define ITEMS 200000
#define RING 64

static struct {
	struct fibers getters, putters;
	void *ring[RING];
	unsigned head, count, capacity;
} queue;

FIBER_CALL void put(void *item)
{
	struct fiber *getter = fibers_take(&queue.getters);

	if (getter) {
		getter->item = item;
		fibers_add(&ready, getter);
	} else if (queue.count < queue.capacity) {
		queue.ring[(queue.head + queue.count++) % RING] = item;
	} else {
		current->item = item;
		fibers_add(&queue.putters, current);
		fiber_park();
	}
}

FIBER_CALL void *get(void)
{
	struct fiber *putter = fibers_take(&queue.putters);
	void *item;

	if (queue.count) {
		item = queue.ring[queue.head++ % RING];
		queue.count--;
		if (putter)
			queue.ring[(queue.head + queue.count++) % RING] = putter->item;
	} else if (putter) {
		item = putter->item;
	} else {
		fibers_add(&queue.getters, current);
		fiber_park();
		return current->item;
	}
	if (putter)
		fibers_add(&ready, putter);
	return item;
}

static void puts_all(void *arg)
{
	for (long i = 0; i < ITEMS; i++)
		put(arg);
}

static void gets_all(void *arg)
{
	for (long i = 0; i < ITEMS; i++) {
		if (get() != arg)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	static struct measure measure;

	if (argc < 2 || (queue.capacity = (unsigned)atoi(argv[1])) > RING)
		return 2;
	fiber_stacks(2);
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		struct fiber *getter = fiber_spawn(gets_all, &queue);
		struct fiber *putter = fiber_spawn(puts_all, &queue);

		fiber_join(getter);
		fiber_join(putter);
		measure_slice(&measure, ITEMS);
	}
	return measure_end(&measure);
}
