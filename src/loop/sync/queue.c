/* The queue. L2: written on wait.h, whose inside it inlines where a task parks.
 *
 * Getters wait while there is nothing to take, putters while there is no room; the one
 * who changes that hands the item over, so that nobody can come between. Invariants:
 * while getters wait, the store is empty and no putter waits; while putters wait, the
 * store is full. A push into room that was just made therefore needs no memory.
 *
 *	putters --(oldest moves up)--> store --(the first in the queue's order)--> getters
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/park.h"
#include "loop/sync/queue.h"
#include "loop/sync/store.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

#include <errno.h>
#include <stdlib.h>

static const an__wait_kind for_room = { .what = "room in a queue" };
static const an__wait_kind for_item = { .what = "an item of a queue" };
static const an__wait_kind for_done = { .what = "the items of a queue to be done" };

void an_queue_init(an_queue *q, size_t capacity)
{
	*q = (an_queue){ .capacity = capacity };
}

int an_queue_init_with(an_queue *q, const an_queue_opts *opts)
{
	static const an_queue_opts none;

	if (!opts)
		opts = &none;
	if (opts->order > AN_QUEUE_PRIORITY)
		return -EINVAL;
	if (opts->order == AN_QUEUE_PRIORITY && !opts->compare)
		return -EINVAL;
	*q = (an_queue){
		.capacity = opts->capacity,
		.compare = opts->compare,
		.order = opts->order,
	};
	return 0;
}

void an_queue_done(an_queue *q)
{
	free(q->store.ring);
	q->store = (struct an__store){ 0 };
}

/* ---- the store, by the order ------------------------------------------------------- */

AN__INLINE int push(an_queue *q, void *item)
{
	if (__builtin_expect(q->order != AN_QUEUE_PRIORITY, 1))
		return an__ring_push(&q->store, item);
	return an__least_push(&q->store, item, q->serial++, q->compare);
}

AN__INLINE void *pop(an_queue *q)
{
	if (__builtin_expect(q->order == AN_QUEUE_FIFO, 1))
		return an__ring_shift(&q->store);
	if (q->order == AN_QUEUE_LIFO)
		return an__ring_pop(&q->store);
	return an__least_pop(&q->store, q->compare);
}

/* ---- putting ----------------------------------------------------------------------- */

static inline struct an__queue_party *party_of(an__waiter *w)
{
	return an__container(w, struct an__queue_party, waiter);
}

AN__INLINE int put_now(an_queue *q, void *item)
{
	an__waiter *getter = an__waiters_first(&q->getters);

	if (q->closed)
		return AN_ERR_CLOSED;
	if (getter) {
		party_of(getter)->item = item;
		an__wake_parked(getter, 0);
	} else if (q->store.count >= q->capacity) {
		return -EAGAIN;
	} else if (push(q, item) < 0) {
		return -ENOMEM;
	}
	q->unfinished++;
	return 0;
}

int an_queue_tryput(an_queue *q, void *item)
{
	return put_now(q, item);
}

/* Apart from its caller, whose last call it is: only who waits pays for a frame. */
static __attribute__((noinline)) int wait_for_room(an_queue *q, void *item)
{
	struct an__queue_party putter;

	putter.item = item;
	return an__wait_here(&putter.waiter, &q->putters, &for_room);
}

int an_queue_put(an_queue *q, void *item)
{
	int r = an__check_current();

	if (r < 0)
		return r;
	r = put_now(q, item);
	return r == -EAGAIN ? wait_for_room(q, item) : r;
}

/* ---- taking ------------------------------------------------------------------------ */

/* Takes the oldest putter's item from its hands. */
AN__INLINE void *accept_putter(an_queue *q, an__waiter *putter)
{
	q->unfinished++;
	an__wake_parked(putter, 0);
	return party_of(putter)->item;
}

AN__INLINE int get_now(an_queue *q, void **ret_item)
{
	an__waiter *putter = an__waiters_first(&q->putters);

	if (q->store.count) {
		*ret_item = pop(q);
		if (putter)
			push(q, accept_putter(q, putter));
		return 0;
	}
	if (putter) {
		*ret_item = accept_putter(q, putter);
		return 0;
	}
	return q->closed ? AN_ERR_CLOSED : -EAGAIN;
}

int an_queue_tryget(an_queue *q, void **ret_item)
{
	return get_now(q, ret_item);
}

static __attribute__((noinline)) int wait_for_item(an_queue *q, void **ret_item)
{
	struct an__queue_party getter;
	int r = an__wait_here(&getter.waiter, &q->getters, &for_item);

	if (r == 0)
		*ret_item = getter.item;
	return r;
}

int an_queue_get(an_queue *q, void **ret_item)
{
	int r = an__check_current();

	if (r < 0)
		return r;
	r = get_now(q, ret_item);
	return r == -EAGAIN ? wait_for_item(q, ret_item) : r;
}

/* ---- closing and joining ----------------------------------------------------------- */

void an_queue_close(an_queue *q)
{
	q->closed = true;
	an__wake_all(&q->putters, AN_ERR_CLOSED);
	an__wake_all(&q->getters, AN_ERR_CLOSED);
}

/* `n` items have been dealt with. */
static void finish(an_queue *q, size_t n)
{
	q->unfinished -= n;
	if (!q->unfinished)
		an__wake_all(&q->joiners, 0);
}

void an_queue_close_now(an_queue *q, void (*drop)(void *arg, void *item), void *arg)
{
	size_t dropped = q->store.count;

	an_queue_close(q);
	while (q->store.count) {
		void *item = pop(q);

		if (drop)
			drop(arg, item);
	}
	finish(q, dropped);
}

int an_queue_task_done(an_queue *q)
{
	if (!q->unfinished)
		return AN_ERR_MISUSE;
	finish(q, 1);
	return 0;
}

int an_queue_join(an_queue *q)
{
	an__waiter w;

	return q->unfinished ? an__wait(&w, &q->joiners, &for_done) : an__wait_check();
}

size_t an_queue_count(const an_queue *q)
{
	return q->store.count;
}
