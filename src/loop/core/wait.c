/* The suspend/wake/cancel primitive. L1; see wait.h for the contract. */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <limits.h>

static void enqueue(an__waiters *q, an__waiter *w)
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

static void dequeue(an__waiter *w)
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

int an__wait_check(void)
{
	return an__check_current();
}

an_duration an__wait_deadline(const an_task *task)
{
	const an__waiter *w = task->waiter;

	if (w->uncancellable || task->scope->deadline > w->deadline)
		return w->deadline;
	return task->scope->deadline;
}

/* The timer is left alone when it is armed for something earlier: it then finds, when it
 * fires, that the deadline has moved, and moves itself. A limit that is opened and closed
 * around a quick call therefore never touches the heap. */
void an__wait_arm(an_task *task)
{
	an_duration deadline = an__wait_deadline(task);

	if (deadline == AN_FOREVER)
		return;
	if (!task->timer.node.place || task->timer.node.deadline > deadline)
		an__timer_arm(&task->timer, deadline);
}

static inline void prepare(an_task *task, an__waiter *w, an__waiters *queue,
			   const an__wait_kind *kind)
{
	w->task = task;
	w->kind = kind;
	w->sibling = NULL;
	w->result = 0;
	w->parked = true;
	w->queue = NULL;
	if (queue)
		enqueue(queue, w);
}

static inline __attribute__((always_inline)) void park(an_task *task, an__waiter *w)
{
	an_loop *loop = task->loop;

	task->waiter = w;
	task->parked_at = loop->now;
	task->state = AN__TASK_PARKED;
	if (w->deadline != AN_FOREVER || task->limit != AN_FOREVER)
		an__wait_arm(task);
	an__switch_away(loop, task);
}

int an__wait_with(an__waiter *w, an__waiters *queue, an_duration deadline,
		  void (*cancelled)(an__waiter *w), const an__wait_kind *kind)
{
	int r = an__check_current();
	an_task *task;

	if (r < 0)
		return r;
	task = an__current_loop->current;
	w->deadline = deadline;
	w->uncancellable = false;
	w->cancelled = cancelled;
	prepare(task, w, queue, kind);
	park(task, w);
	return w->result;
}

int an__wait(an__waiter *w, an__waiters *queue, const an__wait_kind *kind)
{
	return an__wait_with(w, queue, AN_FOREVER, NULL, kind);
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
	w->deadline = AN_FOREVER;
	w->uncancellable = true;
	w->cancelled = NULL;
	prepare(loop->current, w, queue, kind);
	park(loop->current, w);
	return w->result;
}

/* ---- several at once --------------------------------------------------------------- */

/* The result of those that were not it; no code of anybody's. */
#define LOST INT_MAX

int an__wait_many(an__waiter *const *ws, size_t count, an_duration deadline,
		  const an__wait_kind *kind)
{
	int r = an__check_current();
	an_task *task;

	if (r < 0)
		return r;
	task = an__current_loop->current;
	for (size_t i = 0; i < count; i++) {
		ws[i]->deadline = deadline;
		ws[i]->uncancellable = false;
		ws[i]->cancelled = NULL;
		prepare(task, ws[i], ws[i]->queue, kind);
		ws[i]->sibling = ws[i + 1 < count ? i + 1 : 0];
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
	for (s = w->sibling; s != w; s = s->sibling) {
		s->parked = false;
		s->result = LOST;
		dequeue(s);
	}
}

bool an__wake(an__waiter *w, int result)
{
	if (!w->parked)
		return false;
	w->parked = false;
	w->result = result;
	dequeue(w);
	if (__builtin_expect(w->sibling != NULL, 0))
		part_siblings(w);
	w->task->waiter = NULL;
	an__ready(w->task);
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
	if (w->cancelled)
		w->cancelled(w);
}
