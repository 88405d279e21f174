/* The inside of wait.h, inlined. L1.
 *
 * A task that comes back from a switch returns through frames whose return addresses the
 * processor no longer remembers, and each of them costs about as much as the switch. The
 * primitives that hand over most often (mutex, queue) therefore park right in their own
 * functions, with what is here; all others use wait.h, which says what it means.
 */
#ifndef AN_LOOP_CORE_PARK_H
#define AN_LOOP_CORE_PARK_H

#include "loop/core/loop-private.h"

#define AN__INLINE static inline __attribute__((always_inline))

/* The running task, or NULL: an_current(). */
AN__INLINE an_task *an__current_task(void)
{
	an_loop *loop = an__current_loop;

	return loop ? loop->current : NULL;
}

AN__INLINE void an__waiter_enqueue(an__waiters *q, an__waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	w->queue = q;
	if (q->last)
		q->last->next = w;
	else
		q->first = w;
	q->last = w;
}

AN__INLINE void an__waiter_dequeue(an__waiter *w)
{
	an__waiters *q = w->queue;

	if (!q)
		return;
	if (w->prev)
		w->prev->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->queue = NULL;
}

AN__INLINE void an__waiter_prepare(an_task *task, an__waiter *w, an__waiters *queue,
				   const an__wait_kind *kind,
				   const an__wait_special *special)
{
	w->task = task;
	w->kind = kind;
	w->special = special;
	w->result = AN__PARKED;
	w->queue = NULL;
	if (queue)
		an__waiter_enqueue(queue, w);
}

/* Suspends the current task, whose waiter (or first of several) this is. */
AN__INLINE void an__park(an_task *task, an__waiter *w)
{
	an_loop *loop = task->loop;

	task->waiter = w;
	task->parked_at = loop->now;
	task->state = AN__TASK_PARKED;
	if (w->special || task->limit != AN_FOREVER)
		an__wait_arm(task);
	an__switch_away(loop, task);
}

/* an__wait_checked(). gcc, which sees the caller's local variable here, must not warn
 * that a queue keeps its address: the wait ends with the waiter off the queue. */
AN__INLINE int an__wait_here(an__waiter *w, an__waiters *queue, const an__wait_kind *kind)
{
	an_task *task = an__current_loop->current;

	__asm__("" : "+r"(w));
	an__waiter_prepare(task, w, queue, kind, NULL);
	an__park(task, w);
	return w->result;
}

/* an__wake(), of one that is parked, as all are that are on a queue. */
AN__INLINE void an__wake_parked(an__waiter *w, int result)
{
	an_task *task = w->task;

	w->result = result;
	an__waiter_dequeue(w);
	if (__builtin_expect(w->special != NULL, 0))
		an__part_siblings(w);
	task->waiter = NULL;
	an__ready(task);
}

#endif
