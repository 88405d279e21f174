/* The suspend/wake/cancel primitive. L1; see wait.h for the contract. */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>

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

static int park(an_task *task, an__waiter *w, an__waiters *queue)
{
	w->task = task;
	w->result = 0;
	w->parked = true;
	w->queue = NULL;
	if (queue)
		enqueue(queue, w);
	task->waiter = w;
	task->state = AN__TASK_PARKED;
	an__wait_arm(task);
	an__switch_away(task->loop);
	return w->result;
}

int an__wait_with(an__waiter *w, an__waiters *queue, an_duration deadline,
		  void (*cancelled)(an__waiter *w))
{
	int r = an__check_current();

	if (r < 0)
		return r;
	w->deadline = deadline;
	w->uncancellable = false;
	w->cancelled = cancelled;
	return park(an__current_loop->current, w, queue);
}

int an__wait(an__waiter *w, an__waiters *queue)
{
	return an__wait_with(w, queue, AN_FOREVER, NULL);
}

int an__wait_until(an__waiter *w, an__waiters *queue, an_duration deadline)
{
	return an__wait_with(w, queue, deadline, NULL);
}

int an__wait_uncancellable(an__waiter *w, an__waiters *queue)
{
	an_loop *loop = an__current_loop;

	if (!loop || !loop->current)
		return AN_ERR_NO_TASK;
	w->deadline = AN_FOREVER;
	w->uncancellable = true;
	w->cancelled = NULL;
	return park(loop->current, w, queue);
}

bool an__wake(an__waiter *w, int result)
{
	if (!w->parked)
		return false;
	w->parked = false;
	w->result = result;
	dequeue(w);
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
	if (w->cancelled)
		w->cancelled(w);
}
