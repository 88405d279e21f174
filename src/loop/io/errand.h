/* Blocking work that its task can leave behind. L3.
 *
 * An errand owns all that it needs, on the heap: a cancelled task returns at once, the
 * worker sees `stop` when it looks, and what it has made is undone there. Two hold the
 * record, the task and the worker; the last to drop it frees it.
 */
#ifndef AN_LOOP_IO_ERRAND_H
#define AN_LOOP_IO_ERRAND_H

#include <asyncnet/api.h>
#include <stdatomic.h>

/* The first member of the record. `fn`, `undo` and `free` are set by its owner. */
typedef struct an__errand {
	int (*fn)(struct an__errand *e); /* on a worker; 0 or an error */
	/* On a worker, when `fn` returned 0 and nobody wants it; NULL: nothing to do. */
	void (*undo)(struct an__errand *e);
	void (*free)(struct an__errand *e); /* the record with all it has */
	atomic_bool stop;		    /* fn may end with -ECANCELED */
	atomic_int holders;
	bool done;
	int result;
} an__errand;

/* Suspends. The caller drops the record afterwards, having taken out what it wants if the
 * result is 0: nobody else touches it then. Returns what fn returned; as an_offload(). */
AN_SUSPENDS int an__errand_run(an__errand *e);

void an__errand_drop(an__errand *e);

static inline bool an__errand_stopped(an__errand *e)
{
	return atomic_load_explicit(&e->stop, memory_order_relaxed);
}

#endif
