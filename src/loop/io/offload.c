/* Blocking calls on worker threads, awaited by tasks. L3.
 *
 * A pool for each loop, made with its first call. `room` counts the calls that may
 * still be handed over; whoever finds none waits in line. A call that can be left
 * behind by its task (one with `dispose`) lies on the heap, the others on the task's
 * stack.
 *
 * The life of a call, whose `state` the worker and the loop's thread race on:
 *
 *	PENDING --worker has run fn------> FINISHED    the poster delivers the result
 *	PENDING --task was cancelled-----> ABANDONED   the worker disposes of the argument
 *
 * Invariants: from hand-over to delivery the loop is held and a unit of room is taken.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>
#include <asyncnet/sync.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/offload.h"
#include "loop/io/workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static const an__wait_kind for_call = { .what = "a call on a worker thread" };

#define DEFAULT_THREADS 4
#define DEFAULT_QUEUE 1024

enum call_state {
	CALL_PENDING,
	CALL_FINISHED,
	CALL_ABANDONED,
};

struct pool {
	an__workers workers;
	an_semaphore room;
	an_loop *loop;
};

struct call {
	an__work work;
	an__post_node delivery;
	an__waiter waiter;
	struct pool *pool;
	int (*fn)(void *arg);
	void *arg;
	void (*dispose)(void *arg);
	int result;
	_Atomic(int) state;
	bool awaited;	/* the task is still there; loop's thread */
	bool delivered; /* likewise */
};

/* ---- the pool -------------------------------------------------------------------- */
static void pool_free(void *value)
{
	struct pool *p = value;

	an__workers_stop(&p->workers, true);
	pthread_mutex_destroy(&p->workers.lock);
	pthread_cond_destroy(&p->workers.work);
	free(p);
}

static struct pool *pool_of(an_loop *loop)
{
	const an_loop_opts *opts = an__loop_opts(loop);
	struct pool *p = an__loop_local(loop, AN__LOCAL_OFFLOAD);
	unsigned threads =
		opts->offload_threads ? opts->offload_threads : DEFAULT_THREADS;
	unsigned queue = opts->offload_queue ? opts->offload_queue : DEFAULT_QUEUE;

	if (p)
		return p;
	p = an__malloc(sizeof *p);
	if (!p)
		return NULL;
	*p = (struct pool){ .workers = AN__WORKERS_INIT(threads, "an-offload"),
			    .loop = loop };
	an_semaphore_init(&p->room, (size_t)threads + queue, 0);
	an__loop_set_local(loop, AN__LOCAL_OFFLOAD, p, pool_free);
	return p;
}

/* ---- a call ---------------------------------------------------------------------- */
/* The loop may end and room may be taken again: the worker has done with the call. */
static void give_back(struct pool *p)
{
	an_semaphore_release(&p->room);
	an__loop_release(p->loop);
}

static void deliver(an__post_node *node)
{
	struct call *c = an__container(node, struct call, delivery);

	give_back(c->pool);
	c->delivered = true;
	if (c->awaited)
		an__wake(&c->waiter,
			 0); /* unless a cancellation did: the task is ready then */
	else
		free(c);
}

static void run(an__work *work)
{
	struct call *c = an__container(work, struct call, work);
	int pending = CALL_PENDING;

	c->result = c->fn(c->arg);
	if (!atomic_compare_exchange_strong(&c->state, &pending, CALL_FINISHED))
		c->dispose(c->arg);
	an__loop_post(c->pool->loop, &c->delivery);
}

enum outcome {
	RAN,	  /* c->result is the call's; c is the caller's */
	RAN_LATE, /* likewise, but delivery will free c: it was cancelled just too late */
	NOT_BEGUN, /* taken back from the queue; c is the caller's */
	LEFT,	   /* the worker goes on alone; c and its argument are gone */
};

static enum outcome await(struct call *c, int *ret_error)
{
	int pending = CALL_PENDING;

	*ret_error = an__wait(&c->waiter, NULL, &for_call);
	if (c->delivered)
		return RAN;
	if (an__workers_recall(&c->pool->workers, &c->work)) {
		give_back(c->pool);
		return NOT_BEGUN;
	}
	if (!c->dispose) {
		while (!c->delivered)
			*ret_error = an__wait_uncancellable(&c->waiter, NULL, &for_call);
		return RAN;
	}
	c->awaited = false;
	if (atomic_compare_exchange_strong(&c->state, &pending, CALL_ABANDONED))
		return LEFT;
	return RAN_LATE;
}

/* Hands over and waits; room has been acquired. Whatever becomes of `c`, it is not the
 * caller's any more if it lies on the heap. Sets *ret_dispose when fn has not run and
 * never will. */
static int perform(struct call *c, bool *ret_dispose)
{
	struct pool *p = c->pool;
	struct call *heap = c->dispose ? c : NULL;
	int r;

	/* Before the hand-over: the worker may be done before it returns. */
	an__loop_hold(p->loop);
	r = an__workers_submit(&p->workers, &c->work);
	if (r < 0) {
		give_back(p);
		*ret_dispose = true;
		free(heap);
		return r;
	}
	switch (await(c, &r)) {
	case RAN:
		r = c->result;
		free(heap);
		break;
	case RAN_LATE:
		r = c->result;
		break;
	case NOT_BEGUN:
		*ret_dispose = true;
		free(heap);
		break;
	case LEFT:
		break;
	}
	return r;
}

static int offload(int (*fn)(void *arg), void *arg, void (*dispose)(void *arg),
		   bool *ret_dispose)
{
	struct call on_stack, *c = &on_stack;
	struct pool *p;
	int r = an__wait_check();

	*ret_dispose = true;
	if (r < 0)
		return r;
	p = pool_of(an_loop_current());
	if (!p)
		return -ENOMEM;
	r = an_semaphore_acquire(&p->room);
	if (r < 0)
		return r;
	if (dispose)
		c = an__malloc(sizeof *c);
	if (!c) {
		an_semaphore_release(&p->room);
		return -ENOMEM;
	}
	*c = (struct call){ .work.run = run,
			    .delivery.fn = deliver,
			    .pool = p,
			    .fn = fn,
			    .arg = arg,
			    .dispose = dispose,
			    .awaited = true };
	an__list_init(&c->work.node);
	*ret_dispose = false;
	return perform(c, ret_dispose);
}

int an_offload(int (*fn)(void *arg), void *arg, void (*dispose)(void *arg))
{
	bool not_run;
	int r = offload(fn, arg, dispose, &not_run);

	if (not_run && dispose)
		dispose(arg);
	return r;
}

int an__offload_detached(int (*fn)(void *arg), void *arg)
{
	an_loop *loop = an_loop_current();
	struct pool *p = loop ? pool_of(loop) : NULL;
	struct call *c;
	int r;

	if (!p)
		return loop ? -ENOMEM : AN_ERR_NO_TASK;
	if (an_semaphore_tryacquire(&p->room) < 0)
		return -EAGAIN;
	c = an__malloc(sizeof *c);
	if (!c) {
		an_semaphore_release(&p->room);
		return -ENOMEM;
	}
	*c = (struct call){
		.work.run = run, .delivery.fn = deliver, .pool = p, .fn = fn, .arg = arg
	};
	an__list_init(&c->work.node);
	an__loop_hold(loop);
	r = an__workers_submit(&p->workers, &c->work);
	if (r < 0) {
		give_back(p);
		free(c);
	}
	return r;
}
