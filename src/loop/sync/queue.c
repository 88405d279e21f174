/* The queue. L2: written on wait.h and quick.h.
 *
 * Getters wait while there is nothing to take, putters while there is no room; the one
 * who changes that hands the item over, so that nobody can come between. A getter's
 * waiter says where its item goes (void **), a putter's is the item. Invariants: while
 * getters wait, the store is empty, no putter waits, and the queue is open; while putters
 * wait, the store is full. A push into room that was just made therefore needs no memory.
 *
 *	putters --(oldest moves up)--> store --(the first in the queue's order)--> getters
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/quick.h"
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
	q->open = 0;
}

/* ---- the store, by the order ------------------------------------------------------- */

static int push(an_queue *q, void *item)
{
	if (q->order == AN_QUEUE_PRIORITY)
		return an__least_push(&q->store, item, q->serial++, q->compare);
	return an__ring_push(&q->store, item);
}

static inline void *pop(an_queue *q)
{
	if (__builtin_expect(q->order == AN_QUEUE_FIFO, 1))
		return an__ring_shift(&q->store);
	if (q->order == AN_QUEUE_LIFO)
		return an__ring_pop(&q->store);
	return an__least_pop(&q->store, q->compare);
}

/* ---- putting ----------------------------------------------------------------------- */

static inline void hand_over(an__waiter *getter, void *item)
{
	*(void **)getter->item = item;
	an__quick_wake(getter, 0);
}

/* No getter waits, and the store may have to grow. */
static __attribute__((noinline)) int put_slowly(an_queue *q, void *item)
{
	if (q->closed)
		return AN_ERR_CLOSED;
	if (q->store.count >= q->capacity)
		return -EAGAIN;
	if (push(q, item) < 0)
		return -ENOMEM;
	q->unfinished++;
	if (q->order != AN_QUEUE_PRIORITY)
		q->open = q->store.room < q->capacity ? q->store.room : q->capacity;
	return 0;
}

/* `open` is how many a ring takes without growing, and 0 once the queue is closed: one
 * comparison says what is nearly always so. */
static inline int put_now(an_queue *q, void *item)
{
	an__waiter *getter = an__waiters_first(&q->getters);

	if (getter)
		hand_over(getter, item);
	else if (q->store.count < q->open)
		an__ring_add(&q->store, item);
	else
		return put_slowly(q, item);
	q->unfinished++;
	return 0;
}

int an_queue_tryput(an_queue *q, void *item)
{
	return put_now(q, item);
}

int an_queue_put(an_queue *q, void *item)
{
	an_task *self = an__quick_check();
	int r;

	if (!self)
		return an__wait_check();
	r = put_now(q, item);
	if (r != -EAGAIN)
		return r;
	return an__quick_wait(self, &q->putters, item, &for_room);
}

/* ---- taking ------------------------------------------------------------------------ */

/* Takes the oldest putter's item from its hands. */
static inline void *accept_putter(an_queue *q, an__waiter *putter)
{
	q->unfinished++;
	an__quick_wake(putter, 0);
	return putter->item;
}

static inline int get_now(an_queue *q, void **ret_item)
{
	an__waiter *putter = an__waiters_first(&q->putters);

	if (q->store.count) {
		*ret_item = pop(q);
		if (__builtin_expect(putter != NULL, 0))
			push(q, accept_putter(q, putter)); /* into the room just made */
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

int an_queue_get(an_queue *q, void **ret_item)
{
	an_task *self = an__quick_check();
	int r;

	if (!self)
		return an__wait_check();
	r = get_now(q, ret_item);
	if (r != -EAGAIN)
		return r;
	return an__quick_wait(self, &q->getters, ret_item, &for_item);
}

/* ---- closing and joining ----------------------------------------------------------- */

void an_queue_close(an_queue *q)
{
	q->closed = true;
	q->open = 0;
	an__wake_all(&q->putters, AN_ERR_CLOSED);
	an__wake_all(&q->getters, AN_ERR_CLOSED);
}

/* `n` items have been dealt with: some of those perhaps before they were taken. */
static void finish(an_queue *q, size_t n)
{
	q->unfinished -= n < q->unfinished ? n : q->unfinished;
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
