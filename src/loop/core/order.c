/* A seeded loop's order: which of the ready tasks runs next is drawn by lot. L1.
 *
 * The lot is drawn from `drawn`, into which the ready queue is emptied before each draw:
 * a ready task is in either of the two. Each has the same chance at each draw, and so
 * none is passed over for ever.
 *
 * The numbers are splitmix64's: the same on every machine.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

void an__order_init(an_loop *loop)
{
	loop->order = (struct an__order){ .state = loop->opts.seed };
}

void an__order_done(an_loop *loop)
{
	free(loop->order.drawn);
}

static uint64_t next_number(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t n)
{
	return (size_t)(((next_number(state) >> 32) * n) >> 32);
}

static bool has_room(struct an__order *o)
{
	size_t room = o->room ? o->room * 2 : 64;
	an_task **drawn;

	if (o->count < o->room)
		return true;
	drawn = an__reallocarray(o->drawn, room, sizeof(an_task *));
	if (!drawn)
		return false;
	o->drawn = drawn;
	o->room = room;
	return true;
}

/* Without memory the rest of the queue waits for the next draw. */
an_task *an__order_take(an_loop *loop)
{
	struct an__order *o = &loop->order;
	an_task *task;
	size_t i;

	while (loop->ready.first && has_room(o))
		o->drawn[o->count++] = an__ready_pop(&loop->ready);
	if (!o->count)
		return loop->ready.first ? an__ready_pop(&loop->ready) : NULL;
	i = below(&o->state, o->count);
	task = o->drawn[i];
	o->drawn[i] = o->drawn[--o->count];
	return task;
}
