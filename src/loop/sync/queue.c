/* The queue. L2: written on wait.h alone.
 *
 * Getters wait while there is nothing to take, putters while there is no room; the one
 * who changes that hands the item over, so that nobody can come between. Invariants:
 * while getters wait, the ring is empty and no putter waits; while putters wait, the ring
 * is full.
 *
 *	putters --(oldest moves up)--> ring [head .. head+count) --(oldest)--> getters
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/core/wait.h"
#include "loop/sync/queue.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_room = { .what = "room in a queue" };
static const an__wait_kind for_item = { .what = "an item of a queue" };
static const an__wait_kind for_done = { .what = "the items of a queue to be done" };

void an_queue_init(an_queue *q, size_t capacity)
{
	*q = (an_queue){ .capacity = capacity };
}

void an_queue_done(an_queue *q)
{
	free(q->ring);
	q->ring = NULL;
	q->room = q->count = 0;
}

/* ---- the ring ---------------------------------------------------------------------- */

static int grow(an_queue *q)
{
	size_t room = q->room ? q->room * 2 : 16;
	void **ring;

	if (room > q->capacity)
		room = q->capacity;
	ring = an__calloc(room, sizeof *ring);
	if (!ring)
		return -ENOMEM;
	for (size_t i = 0; i < q->count; i++)
		ring[i] = q->ring[(q->head + i) % q->room];
	free(q->ring);
	q->ring = ring;
	q->room = room;
	q->head = 0;
	return 0;
}

static int push(an_queue *q, void *item)
{
	size_t at;

	if (q->count == q->room && grow(q) < 0)
		return -ENOMEM;
	at = q->head + q->count++;
	q->ring[at >= q->room ? at - q->room : at] = item;
	return 0;
}

static void *pop(an_queue *q)
{
	void *item = q->ring[q->head];

	if (++q->head == q->room)
		q->head = 0;
	q->count--;
	return item;
}

/* ---- putting ----------------------------------------------------------------------- */

static struct an__queue_party *first_party(an__waiters *waiters)
{
	an__waiter *w = an__waiters_first(waiters);

	return w ? an__container(w, struct an__queue_party, waiter) : NULL;
}

int an_queue_tryput(an_queue *q, void *item)
{
	struct an__queue_party *getter = first_party(&q->getters);

	if (q->closed)
		return AN_ERR_CLOSED;
	if (getter) {
		getter->item = item;
		an__wake(&getter->waiter, 0);
	} else if (q->count >= q->capacity) {
		return -EAGAIN;
	} else if (push(q, item) < 0) {
		return -ENOMEM;
	}
	q->unfinished++;
	return 0;
}

int an_queue_put(an_queue *q, void *item)
{
	struct an__queue_party putter = { .item = item };
	int r = an__wait_check();

	if (r < 0)
		return r;
	r = an_queue_tryput(q, item);
	if (r != -EAGAIN)
		return r;
	return an__wait(&putter.waiter, &q->putters, &for_room);
}

/* ---- taking ------------------------------------------------------------------------ */

/* Takes the oldest putter's item from its hands. */
static void *accept_putter(an_queue *q, struct an__queue_party *putter)
{
	q->unfinished++;
	an__wake(&putter->waiter, 0);
	return putter->item;
}

int an_queue_tryget(an_queue *q, void **ret_item)
{
	struct an__queue_party *putter = first_party(&q->putters);

	if (q->count) {
		*ret_item = pop(q);
		if (putter)
			push(q, accept_putter(q, putter)); /* into the room just made */
		return 0;
	}
	if (putter) {
		*ret_item = accept_putter(q, putter);
		return 0;
	}
	return q->closed ? AN_ERR_CLOSED : -EAGAIN;
}

int an_queue_get(an_queue *q, void **ret_item)
{
	struct an__queue_party getter = { .item = NULL };
	int r = an__wait_check();

	if (r < 0)
		return r;
	r = an_queue_tryget(q, ret_item);
	if (r != -EAGAIN)
		return r;
	r = an__wait(&getter.waiter, &q->getters, &for_item);
	if (r == 0)
		*ret_item = getter.item;
	return r;
}

/* ---- closing and joining ----------------------------------------------------------- */

void an_queue_close(an_queue *q)
{
	q->closed = true;
	an__wake_all(&q->putters, AN_ERR_CLOSED);
	an__wake_all(&q->getters, AN_ERR_CLOSED);
}

int an_queue_task_done(an_queue *q)
{
	if (!q->unfinished)
		return AN_ERR_MISUSE;
	if (!--q->unfinished)
		an__wake_all(&q->joiners, 0);
	return 0;
}

int an_queue_join(an_queue *q)
{
	an__waiter w;

	return q->unfinished ? an__wait(&w, &q->joiners, &for_done) : an__wait_check();
}

size_t an_queue_count(const an_queue *q)
{
	return q->count;
}
