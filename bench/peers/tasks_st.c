/* The tasks gauges with State Threads. Usage: tasks_st GAUGE
 *
 * There are no queues: a ring with two conditions stands in, one of a single slot for the
 * rendezvous. There are no timers and no scopes without a thread, so not these gauges. A
 * quarter of a million threads sleep; the figure is for one of them. */
#include "bench/measure.h"

#include <st.h>
#include <string.h>

#define SLICES 20
#define YIELDS 40000
#define BATCH 1000
#define BATCHES 20
#define ITEMS 100000
#define RING 64
#define LOCKS 20000
#define LOCKERS 4
#define SLEEPERS 250000

static struct measure measure;
static int tasks;

static void together(void *(*fn)(void *), int count)
{
	static st_thread_t threads[BATCH];

	for (int i = 0; i < count; i++)
		threads[i] = st_thread_create(fn, NULL, 1, 0);
	for (int i = 0; i < count; i++)
		st_thread_join(threads[i], NULL);
}

static int slices(void *(*fn)(void *), int count, int operations)
{
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		together(fn, count);
		measure_slice(&measure, operations);
	}
	return measure_end(&measure);
}

static void *nothing(void *arg)
{
	return arg;
}

static int spawn_join(void)
{
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < BATCHES; j++)
			together(nothing, BATCH);
		measure_slice(&measure, BATCHES * BATCH);
	}
	return measure_end(&measure);
}

static void *yields(void *arg)
{
	for (int i = 0; i < YIELDS / tasks; i++)
		st_usleep(0); /* the packaged version has no st_thread_yield() */
	return arg;
}

static int yield(int count)
{
	tasks = count;
	return slices(yields, count, YIELDS);
}

/* ---- queues --------------------------------------------------------------------- */

static struct {
	st_cond_t room, items;
	void *ring[RING];
	int head, count, capacity;
} queue;

static void *puts_all(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		while (queue.count == queue.capacity)
			st_cond_wait(queue.room);
		queue.ring[(queue.head + queue.count++) % RING] = &queue;
		st_cond_signal(queue.items);
	}
	return arg;
}

static void *gets_all(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		while (!queue.count)
			st_cond_wait(queue.items);
		if (queue.ring[queue.head] != &queue)
			exit(1);
		queue.head = (queue.head + 1) % RING;
		queue.count--;
		st_cond_signal(queue.room);
	}
	return arg;
}

static int messages(int capacity)
{
	queue.room = st_cond_new();
	queue.items = st_cond_new();
	queue.capacity = capacity;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		st_thread_t getter = st_thread_create(gets_all, NULL, 1, 0);
		st_thread_t putter = st_thread_create(puts_all, NULL, 1, 0);

		st_thread_join(getter, NULL);
		st_thread_join(putter, NULL);
		measure_slice(&measure, ITEMS);
	}
	return measure_end(&measure);
}

/* ---- the rest ------------------------------------------------------------------- */

static st_mutex_t mutex;

static void *locks(void *arg)
{
	for (int i = 0; i < LOCKS / LOCKERS; i++) {
		st_mutex_lock(mutex);
		st_usleep(0);
		st_mutex_unlock(mutex);
	}
	return arg;
}

static void *sleeps(void *arg)
{
	tasks++;
	st_sleep(3600);
	return arg;
}

static int sleep_all(void)
{
	double before = measure_resident();

	for (int i = 0; i < SLEEPERS; i++) {
		if (!st_thread_create(sleeps, NULL, 0, 0))
			return 1;
	}
	while (tasks < SLEEPERS)
		st_usleep(0);
	printf("%.3f\n", (measure_resident() - before) / SLEEPERS);
	return 0;
}

int main(int argc, char **argv)
{
	const char *gauge = argc > 1 ? argv[1] : "";

	if (st_init() < 0)
		return 1;
	mutex = st_mutex_new();
	if (!strcmp(gauge, "yield"))
		return yield(2);
	if (!strcmp(gauge, "yield1000"))
		return yield(1000);
	if (!strcmp(gauge, "spawn_join"))
		return spawn_join();
	if (!strcmp(gauge, "rendezvous"))
		return messages(1);
	if (!strcmp(gauge, "queue64"))
		return messages(RING);
	if (!strcmp(gauge, "mutex"))
		return slices(locks, LOCKERS, LOCKS);
	if (!strcmp(gauge, "sleep1m"))
		return sleep_all();
	return 2;
}
