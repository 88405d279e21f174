/* The wait primitive of wait.h, inlined: for the few calls that cost little more than a
 * switch. L1, and used by sync.
 *
 * Two things make the difference. Nothing is called on the way to the switch. And the
 * switch is the last thing that the function does: an__quick_wait() does not come back
 * into it but returns, with the waker's result, to its caller, by an indirect jump. A
 * `ret` there would be mispredicted whenever the task that was left and the one that is
 * resumed had suspended in different functions, a putter and a getter, say; that costs as
 * much as three switches. So:
 *
 *	return an__quick_wait(self, &q->getters, ret_item, &for_item);
 *
 * and nothing may be left to be done after it: what is handed over, the waker puts where
 * `item` says. The waiter lies in the task, not on the stack that is left.
 */
#ifndef AN_LOOP_CORE_QUICK_H
#define AN_LOOP_CORE_QUICK_H

#include "loop/core/loop-private.h"

#define AN__QUICK static inline __attribute__((always_inline))

/* The current task, or NULL: then the suspending call returns an__wait_check(), which is
 * an error. */
AN__QUICK an_task *an__quick_check(void)
{
	an_loop *loop = an__current_loop;
	an_task *self = loop ? loop->current : NULL;

	return self && self->limit > loop->now ? self : NULL;
}

/* The current task, or NULL. */
AN__QUICK an_task *an__quick_current(void)
{
	return an__current_loop ? an__current_loop->current : NULL;
}

/* To the next task, from one that is parked or ready. Returns self->own.result when the
 * task goes on. */
AN__QUICK int an__quick_leave(an_loop *loop, an_task *self, an_task *next)
{
#ifdef AN__CTX_HAS_LEAVE
	loop->current = next;
	return an__ctx_leave(&self->ctx, next ? &next->ctx : &loop->main_ctx);
#else
	if (next != self)
		an__switch_to(loop, self, next);
	return self->own.result;
#endif
}

/* The same wait for a task under a deadline, where more is to be done. */
int an__wait_limited(an_task *self, an__waiters *queue, void *item,
		     const an__wait_kind *kind);

/* As an__wait_checked() with a waiter whose item is `item`. To be returned at once. */
AN__QUICK int an__quick_wait(an_task *self, an__waiters *queue, void *item,
			     const an__wait_kind *kind)
{
	an_loop *loop = self->loop;
	an__waiter *w = &self->own;

	if (__builtin_expect(self->limit != AN_FOREVER, 0))
		return an__wait_limited(self, queue, item, kind);
	w->kind = kind;
	w->special = NULL;
	w->item = item;
	w->result = AN__PARKED;
	an__waiters_push(queue, w);
	self->waiter = w;
	self->parked_at = loop->now;
	self->state = AN__TASK_PARKED;
	return an__quick_leave(loop, self, an__next_ready(loop));
}

/* an__wake() of the first of a queue, which is parked. */
AN__QUICK void an__quick_wake(an__waiter *w, int result)
{
	an_task *task = w->task;

	if (__builtin_expect(w->special != NULL, 0)) {
		an__wake(w, result);
		return;
	}
	w->result = result;
	an__waiters_remove(w);
	task->waiter = NULL;
	an__ready(task);
}

#endif
