/* The queue between threads. L2: a ring and two lines of who waits, under one lock.
 *
 * Getters wait while the ring is empty, putters while it is full, as in queue.c; who
 * changes that hands the item over. A party lies on the stack of who waits: a task, of
 * any loop, or a thread without a loop, which blocks on a semaphore in its party.
 *
 * Who gets what is decided under the lock, once for each party, and stands:
 *
 *	IN LINE --somebody decides--> DECIDED --is told--> returns the result
 *	   \------its task is cancelled: it leaves-------> returns -ECANCELED
 *
 * Both arrows need the lock, so an item is never given to who has left, and who was given
 * one keeps it: grant beats cancel. Between "decided" and "told" the one who decided, on
 * another thread and no longer under the lock, still holds a pointer to the party. So a
 * party must not return before it is told, even when its task is cancelled meanwhile:
 * the task then waits, for the moment that takes, without regard to cancellation. To be
 * told is to have the message run on the loop's own thread (an__loop_post(), whose
 * sender does not touch the node once it was sent), or the semaphore posted (which
 * sem_post() does not touch any more, either).
 *
 * The loop of a party is there when it is told, since the task is. While a task is only
 * in line, nobody may ever come: the loop expects that, but is not held.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/sync/store.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static const an__wait_kind for_room = { .what = "room in a queue between threads" };
static const an__wait_kind for_item = { .what = "an item of a queue between threads" };

struct an_thread_queue {
	pthread_mutex_t lock;
	struct an__store store;
	size_t capacity;
	an__list getters, putters; /* parties, in the order they came */
	bool closed;
	atomic_size_t references;
};

struct party {
	an__list node;
	void *item;    /* a putter's to hand over, a getter's when the result is 0 */
	int result;    /* once it is decided */
	bool decided;  /* under the lock */
	bool told;     /* a task's; its loop's thread */
	an_loop *loop; /* NULL: a thread that blocks */
	an__waiter waiter;
	an__post_node message;
	sem_t semaphore; /* a thread's */
};

int an_thread_queue_new(size_t capacity, an_thread_queue **ret)
{
	an_thread_queue *q;

	if (!capacity)
		return -EINVAL;
	q = an__calloc(1, sizeof *q);
	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	an__list_init(&q->getters);
	an__list_init(&q->putters);
	q->capacity = capacity;
	atomic_init(&q->references, 1);
	*ret = q;
	return 0;
}

an_thread_queue *an_thread_queue_ref(an_thread_queue *q)
{
	atomic_fetch_add_explicit(&q->references, 1, memory_order_relaxed);
	return q;
}

an_thread_queue *an_thread_queue_unref(an_thread_queue *q)
{
	if (!q || atomic_fetch_sub(&q->references, 1) > 1)
		return NULL;
	pthread_mutex_destroy(&q->lock);
	free(q->store.ring);
	free(q);
	return NULL;
}

/* ---- deciding and telling ---------------------------------------------------------- */

static struct party *first(an__list *line)
{
	return an__list_empty(line) ? NULL
				    : an__container(line->next, struct party, node);
}

/* Under the lock; to be told when that is given up. */
static void decide(struct party *p, int result, an__list *tell)
{
	p->result = result;
	p->decided = true;
	an__list_remove(&p->node);
	an__list_push(tell, &p->node);
}

/* On the loop's thread. A task that was cancelled meanwhile is ready already, and finds
 * that it was told, or waits for nothing but this. */
static void deliver(an__post_node *message)
{
	struct party *p = an__container(message, struct party, message);

	p->told = true;
	an__wake(&p->waiter, 0);
}

/* Each party may be gone as soon as it is told. */
static void tell_all(an__list *tell)
{
	an__list *node;

	while ((node = an__list_pop(tell))) {
		struct party *p = an__container(node, struct party, node);

		if (!p->loop)
			sem_post(&p->semaphore);
		else if (p->loop == an_loop_current())
			deliver(&p->message);
		else
			an__loop_post(p->loop, &p->message);
	}
}

/* ---- waiting ----------------------------------------------------------------------- */

/* Whether the caller may wait: as a task, or as a thread that has no loop. */
static int begin(struct party *p)
{
	int r = an__wait_check();

	p->loop = an_loop_current();
	p->message.fn = deliver;
	return r == AN_ERR_NO_TASK && !p->loop ? 0 : r;
}

/* Under the lock. */
static void stand_in_line(an__list *line, struct party *p)
{
	if (!p->loop)
		sem_init(&p->semaphore, 0, 0);
	an__list_push(line, &p->node);
}

/* False: it is decided already. */
static bool leave(an_thread_queue *q, struct party *p)
{
	bool waiting;

	pthread_mutex_lock(&q->lock);
	waiting = !p->decided;
	if (waiting)
		an__list_remove(&p->node);
	pthread_mutex_unlock(&q->lock);
	return waiting;
}

static int suspend(an_thread_queue *q, struct party *p, const an__wait_kind *kind)
{
	int r;

	an__loop_expect(p->loop);
	r = an__wait_checked(&p->waiter, NULL, kind);
	an__loop_expect_no_more(p->loop);
	if (p->told)
		return p->result;
	if (leave(q, p))
		return r;
	an__loop_hold(p->loop);
	an_ignore(an__wait_uncancellable(&p->waiter, NULL, kind));
	an__loop_release(p->loop);
	return p->result;
}

/* A thread that was cancelled in between would leave its party behind. */
static int block(struct party *p)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (sem_wait(&p->semaphore) < 0)
		; /* a signal came */
	pthread_setcancelstate(state, NULL);
	sem_destroy(&p->semaphore);
	return p->result;
}

static int await(an_thread_queue *q, struct party *p, const an__wait_kind *kind)
{
	return p->loop ? suspend(q, p, kind) : block(p);
}

/* ---- putting ----------------------------------------------------------------------- */

/* Under the lock. */
static int put_now(an_thread_queue *q, void *item, an__list *tell)
{
	struct party *getter = first(&q->getters);

	if (q->closed)
		return AN_ERR_CLOSED;
	if (getter) {
		getter->item = item;
		decide(getter, 0, tell);
		return 0;
	}
	if (q->store.count >= q->capacity)
		return -EAGAIN;
	return an__ring_push(&q->store, item);
}

/* With a party, which joins the line unless that is not needed. */
static int put(an_thread_queue *q, void *item, struct party *p)
{
	an__list tell;
	int r;

	an__list_init(&tell);
	pthread_mutex_lock(&q->lock);
	r = put_now(q, item, &tell);
	if (r == -EAGAIN && p)
		stand_in_line(&q->putters, p);
	pthread_mutex_unlock(&q->lock);
	tell_all(&tell);
	return r;
}

int an_thread_queue_tryput(an_thread_queue *q, void *item)
{
	return put(q, item, NULL);
}

int an_thread_queue_put(an_thread_queue *q, void *item)
{
	struct party p = { .item = item };
	int r = begin(&p);

	if (r < 0)
		return r;
	r = put(q, item, &p);
	return r == -EAGAIN ? await(q, &p, &for_room) : r;
}

/* ---- taking ------------------------------------------------------------------------ */

/* Under the lock. Putters wait only where the ring is full, so it has something then. */
static int get_now(an_thread_queue *q, void **ret_item, an__list *tell)
{
	struct party *putter = first(&q->putters);

	if (!q->store.count)
		return q->closed ? AN_ERR_CLOSED : -EAGAIN;
	*ret_item = an__ring_shift(&q->store);
	if (putter) {
		an__ring_push(&q->store, putter->item); /* into the room just made */
		decide(putter, 0, tell);
	}
	return 0;
}

static int get(an_thread_queue *q, void **ret_item, struct party *p)
{
	an__list tell;
	int r;

	an__list_init(&tell);
	pthread_mutex_lock(&q->lock);
	r = get_now(q, ret_item, &tell);
	if (r == -EAGAIN && p)
		stand_in_line(&q->getters, p);
	pthread_mutex_unlock(&q->lock);
	tell_all(&tell);
	return r;
}

int an_thread_queue_tryget(an_thread_queue *q, void **ret_item)
{
	return get(q, ret_item, NULL);
}

int an_thread_queue_get(an_thread_queue *q, void **ret_item)
{
	struct party p = { .item = NULL };
	int r = begin(&p);

	if (r < 0)
		return r;
	r = get(q, ret_item, &p);
	if (r != -EAGAIN)
		return r;
	r = await(q, &p, &for_item);
	if (r == 0)
		*ret_item = p.item;
	return r;
}

/* ---- closing ----------------------------------------------------------------------- */

void an_thread_queue_close(an_thread_queue *q)
{
	struct party *p;
	an__list tell;

	an__list_init(&tell);
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	while ((p = first(&q->putters)) || (p = first(&q->getters)))
		decide(p, AN_ERR_CLOSED, &tell);
	pthread_mutex_unlock(&q->lock);
	tell_all(&tell);
}
