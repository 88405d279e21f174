/* Worker threads. L3.
 *
 * Invariants, under the lock: `count` threads of this generation exist, `idle` of them
 * wait on the condition, `queued` is the length of the queue. A thread's record is
 * freed by whoever joins it, or by itself once it has been detached.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct thread {
	an__list node; /* in workers->threads */
	an__workers *workers;
	pthread_t id;
	unsigned long generation;
	bool busy, detached;
};

/* The first use of a pool that has static storage; under the lock. */
static void make_ready(an__workers *w)
{
	if (w->ready)
		return;
	an__list_init(&w->queue);
	an__list_init(&w->threads);
	w->ready = true;
}

/* The next work, waiting for it; NULL: the thread is to end. Under the lock. */
static an__work *next_work(an__workers *w, const struct thread *self)
{
	an__work *work;

	while (an__list_empty(&w->queue)) {
		if (self->generation != w->generation)
			return NULL;
		w->idle++;
		pthread_cond_wait(&w->work, &w->lock);
		/* A new generation has set the count to 0. */
		if (self->generation == w->generation)
			w->idle--;
	}
	work = an__container(an__list_pop(&w->queue), an__work, node);
	work->queued = false;
	w->queued--;
	return work;
}

static void *worker(void *arg)
{
	struct thread *self = arg;
	an__workers *w = self->workers;
	an__work *work;
	bool detached;

	pthread_mutex_lock(&w->lock);
	while ((work = next_work(w, self))) {
		self->busy = true;
		pthread_mutex_unlock(&w->lock);
		work->run(work);
		pthread_mutex_lock(&w->lock);
		self->busy = false;
	}
	detached = self->detached;
	pthread_mutex_unlock(&w->lock);
	if (detached)
		free(self);
	return NULL;
}

/* Under the lock. */
static int start_thread(an__workers *w)
{
	struct thread *t = an__calloc(1, sizeof *t);
	sigset_t all, old;
	int r;

	if (!t)
		return -ENOMEM;
	t->workers = w;
	t->generation = w->generation;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->id, NULL, worker, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		free(t);
		return -r;
	}
	pthread_setname_np(t->id, w->name);
	an__list_push(&w->threads, &t->node);
	w->count++;
	return 0;
}

int an__workers_submit(an__workers *w, an__work *work)
{
	int r = 0;

	pthread_mutex_lock(&w->lock);
	make_ready(w);
	if (w->queued >= w->idle && w->count < w->limit) {
		r = start_thread(w);
		if (w->count)
			r = 0; /* it will have to wait for one of them */
	}
	if (r == 0) {
		work->queued = true;
		an__list_push(&w->queue, &work->node);
		w->queued++;
		pthread_cond_signal(&w->work);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

bool an__workers_recall(an__workers *w, an__work *work)
{
	bool was_queued;

	pthread_mutex_lock(&w->lock);
	was_queued = work->queued;
	if (was_queued) {
		an__list_remove(&work->node);
		work->queued = false;
		w->queued--;
	}
	pthread_mutex_unlock(&w->lock);
	return was_queued;
}

void an__workers_stop(an__workers *w, bool wait)
{
	an__list leaving, *n;

	an__list_init(&leaving);
	pthread_mutex_lock(&w->lock);
	make_ready(w);
	an__list_splice(&leaving, &w->threads);
	w->generation++;
	w->count = w->idle = 0;
	pthread_cond_broadcast(&w->work);
	for (n = leaving.next; n != &leaving;) {
		struct thread *t = an__container(n, struct thread, node);

		n = n->next;
		if (wait || !t->busy)
			continue;
		an__list_remove(&t->node);
		t->detached = true;
		pthread_detach(t->id);
	}
	pthread_mutex_unlock(&w->lock);
	while ((n = an__list_pop(&leaving))) {
		struct thread *t = an__container(n, struct thread, node);

		pthread_join(t->id, NULL);
		free(t);
	}
}
