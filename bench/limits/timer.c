/* The limit of tasks.timer100k: a wheel of 65536 slots of 1 ms, each a list of timers
 * that are linked both ways; a list of unused timers; and a bit for each slot that may
 * have timers, by which the next deadline is found. */
#include "bench/measure.h"

#include <stddef.h>

#define SLICES 40
#define TIMERS 100000
#define MOVES 100000
#define SLOTS 65536
#define TIMER_CALL static __attribute__((noinline))

struct link {
	struct link *next, *prev;
};

struct timer {
	struct link link;
	int64_t deadline;
	void (*fn)(void *);
	void *arg;
};

static struct link slots[SLOTS], *unused;
static uint64_t filled[SLOTS / 64];

TIMER_CALL struct timer *timer_add(int64_t deadline, void (*fn)(void *), void *arg)
{
	size_t at = (size_t)deadline / 1000000 % SLOTS;
	struct link *slot = &slots[at], *l = unused;
	struct timer *t = (struct timer *)l;

	unused = l->next;
	t->deadline = deadline;
	t->fn = fn;
	t->arg = arg;
	l->next = slot;
	l->prev = slot->prev;
	slot->prev->next = l;
	slot->prev = l;
	filled[at / 64] |= UINT64_C(1) << at % 64;
	return t;
}

TIMER_CALL void timer_cancel(struct timer *t)
{
	struct link *l = &t->link;

	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = unused;
	unused = l;
}

static void nothing(void *arg)
{
	(void)arg;
}

int main(void)
{
	static struct timer memory[TIMERS], *timers[TIMERS];
	static struct measure measure;

	for (int i = 0; i < SLOTS; i++)
		slots[i].next = slots[i].prev = &slots[i];
	for (int i = 0; i < TIMERS; i++) {
		unused = &memory[i].link;
		unused->next = NULL;
		timers[i] = timer_add(measure_delay(), nothing, NULL);
	}
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < MOVES; j++) {
			struct timer **t = &timers[measure_random() % TIMERS];

			timer_cancel(*t);
			*t = timer_add(measure_delay(), nothing, NULL);
		}
		measure_slice(&measure, MOVES);
	}
	return measure_end(&measure);
}
