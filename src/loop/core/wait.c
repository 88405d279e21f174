/* The suspend/wake/cancel primitive. L1; see wait.h for the contract. */
#include "config.h"

#include "loop/core/quick.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <limits.h>

int an__wait_check(void)
{
	return an__check_current();
}

/* The nearest of the scopes' deadlines, where they can end the wait, and its own. */
an_duration an__wait_deadline(const an_task *task)
{
	const an__wait_special *special = task->waiter->special;

	if (!special)
		return task->scope->deadline;
	if (special->uncancellable || task->scope->deadline > special->deadline)
		return special->deadline;
	return task->scope->deadline;
}

/* The timer is left alone when it is armed for something earlier: it then finds, when it
 * fires, that the deadline has moved, and moves itself. A limit that is opened and closed
 * around a quick call therefore never touches the wheel. */
void an__wait_arm(an_task *task)
{
	an_duration deadline = an__wait_deadline(task);

	if (deadline == AN_FOREVER)
		return;
	task->timed = true;
	if (!an__wheel_has(&task->timer.node) ||
	    an__wheel_deadline(&task->timer.node) > deadline)
		an__timer_arm(&task->timer, deadline);
}

static inline void prepare(an_task *task, an__waiter *w, an__waiters *queue,
			   const an__wait_kind *kind, const an__wait_special *special)
{
	w->task = task;
	w->kind = kind;
	w->special = special;
	w->result = AN__PARKED;
	w->queue = NULL;
	if (queue)
		an__waiters_push(queue, w);
}

static inline __attribute__((always_inline)) void park(an_task *task, an__waiter *w)
{
	an_loop *loop = task->loop;

	task->waiter = w;
	task->parked_at = loop->now;
	task->state = AN__TASK_PARKED;
	if (w->special || task->limit != AN_FOREVER)
		an__wait_arm(task);
	an__switch_away(loop, task);
}

int an__wait_checked(an__waiter *w, an__waiters *queue, const an__wait_kind *kind)
{
	an_task *task = an__current_loop->current;

	prepare(task, w, queue, kind, NULL);
	park(task, w);
	return w->result;
}

int an__wait(an__waiter *w, an__waiters *queue, const an__wait_kind *kind)
{
	int r = an__check_current();

	return r < 0 ? r : an__wait_checked(w, queue, kind);
}

int an__wait_limited(an_task *self, an__waiters *queue, void *item,
		     const an__wait_kind *kind)
{
	an__waiter *w = &self->own;

	w->item = item;
	prepare(self, w, queue, kind, NULL);
	park(self, w);
	return w->result;
}

static int wait_specially(an__waiter *w, an__waiters *queue, const an__wait_kind *kind,
			  const an__wait_special *special)
{
	an_task *task = an__current_loop->current;

	prepare(task, w, queue, kind, special);
	park(task, w);
	return w->result;
}

int an__wait_with(an__waiter *w, an__waiters *queue, an_duration deadline,
		  void (*cancelled)(an__waiter *w), const an__wait_kind *kind)
{
	int r = an__check_current();

	if (r < 0)
		return r;
	return wait_specially(w, queue, kind,
			      &(an__wait_special){ .deadline = deadline,
						   .cancelled = cancelled });
}

int an__wait_until(an__waiter *w, an__waiters *queue, an_duration deadline,
		   const an__wait_kind *kind)
{
	return an__wait_with(w, queue, deadline, NULL, kind);
}

int an__wait_uncancellable(an__waiter *w, an__waiters *queue, const an__wait_kind *kind)
{
	an_loop *loop = an__current_loop;

	if (!loop || !loop->current)
		return AN_ERR_NO_TASK;
	return wait_specially(w, queue, kind,
			      &(an__wait_special){ .deadline = AN_FOREVER,
						   .uncancellable = true });
}

/* ---- several at once --------------------------------------------------------------- */

/* The result of those that were not it; no code of anybody's. */
#define LOST INT_MAX

int an__wait_many(an__waiter *const *ws, size_t count, an_duration deadline,
		  const an__wait_kind *kind)
{
	an__wait_special special[count];
	int r = an__check_current();
	an_task *task;

	if (r < 0)
		return r;
	task = an__current_loop->current;
	for (size_t i = 0; i < count; i++) {
		special[i] = (an__wait_special){
			.deadline = deadline,
			.sibling = ws[i + 1 < count ? i + 1 : 0],
		};
		prepare(task, ws[i], ws[i]->queue, kind, &special[i]);
	}
	park(task, ws[0]);
	/* The waker's result may be the same code. */
	if (task->wait_ended < 0)
		return task->wait_ended;
	for (size_t i = 0; i < count; i++)
		if (ws[i]->result != LOST)
			return (int)i;
	__builtin_unreachable();
}

/* ---- waking ------------------------------------------------------------------------ */

static void part_siblings(an__waiter *w)
{
	an__waiter *s;

	w->task->wait_ended = 0;
	for (s = w->special->sibling; s && s != w; s = s->special->sibling) {
		s->result = LOST;
		if (s->queue)
			an__waiters_remove(s);
	}
}

bool an__wake(an__waiter *w, int result)
{
	an_task *task = w->task;

	if (w->result != AN__PARKED)
		return false;
	w->result = result;
	if (w->queue)
		an__waiters_remove(w);
	if (__builtin_expect(w->special != NULL, 0))
		part_siblings(w);
	task->waiter = NULL;
	an__ready(task);
	return true;
}

size_t an__wake_all(an__waiters *q, int result)
{
	size_t n = 0;

	while (q->first) {
		an__wake(q->first, result);
		n++;
	}
	return n;
}

void an__wait_cancel(an_task *task, int result)
{
	an__waiter *w = task->waiter;

	an__wake(w, result);
	task->wait_ended = result;
	if (w->special && w->special->cancelled)
		w->special->cancelled(w);
}
