/* tasks.rendezvous and tasks.queue64: one task puts, one gets. Usage: queue CAPACITY */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 40
#define ITEMS 200000

static an_queue queue;

static int puts_all(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		int r = an_queue_put(&queue, arg);

		if (r < 0)
			return r;
	}
	return 0;
}

static int gets_all(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		void *item;
		int r = an_queue_get(&queue, &item);

		if (r < 0)
			return r;
		if (item != arg)
			return AN_ERR_MISUSE;
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
		an_group_spawn(&group, gets_all, &queue);
		an_group_spawn(&group, puts_all, &queue);
		r = an_group_end(&group);
		if (r < 0)
			return r;
		measure_slice(&measure, ITEMS);
	}
	an_queue_done(&queue);
	return measure_end(&measure);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	an_queue_init(&queue, (size_t)atol(argv[1]));
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
