/* Worker threads with a queue of work, for whatever blocks. L3.
 *
 * Threads are started when there is more work than idle threads, up to a limit, and end
 * when the pool is stopped. They block all signals. Work lies in the submitter's
 * memory.
 */
#ifndef AN_LOOP_IO_WORKERS_H
#define AN_LOOP_IO_WORKERS_H

#include "loop/base/list.h"

#include <pthread.h>

typedef struct an__work {
	an__list node;
	void (*run)(struct an__work
			    *work); /* on a worker; the memory is its own from then on */
	bool queued;
} an__work;

typedef struct an__workers {
	pthread_mutex_t lock;
	pthread_cond_t work;
	an__list queue, threads;
	unsigned limit, count, idle, queued;
	unsigned long generation; /* threads of an older one end */
	const char *name;	  /* of the threads, at most 15 bytes */
	bool ready;
} an__workers;

/* For one with static storage. */
#define AN__WORKERS_INIT(limit_, name_) \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, \
		.limit = (limit_), .name = (name_) \
	}

/* Queues the work; in the order of submission. From any thread.
 * Returns 0; -EAGAIN when there is no thread and none could be started; -ENOMEM
 * likewise. */
int an__workers_submit(an__workers *w, an__work *work);

/* Takes work back that no thread has begun. Returns whether that was so. */
bool an__workers_recall(an__workers *w, an__work *work);

/* Ends the threads. With `wait` for all of them, after the queue has been worked off;
 * without it those that are busy are left to end by themselves, in which case the
 * pool's memory must stay. The pool can be used again. */
void an__workers_stop(an__workers *w, bool wait);

#endif
