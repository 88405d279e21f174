/* Calls without a task: soon, later, at a point in time. L1.
 *
 * A call that is to be made is in one place: on `soon`, or in the loop's heap of timers.
 * A timer that is due puts its call on `soon`, behind what is there, and a turn makes the
 * calls that it found on it: what they add, also for a time that has come, waits for the
 * next turn, so that calls that follow each other cannot keep the loop from its tasks.
 *
 *	soon  <--due--  heap        made --> spare, or idle when it has an owner
 *	any   --cancelled--> spare
 *
 * Invariant: every call is on `soon`, in the heap, on `idle` (made but owned, or for
 * never) or on `spare`; that is how all are found when the loop ends. A spare call keeps
 * its room in the heap.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

/* How many are kept: a limit that is lifted and set anew costs no allocation, and what a
 * burst leaves behind is 18 KiB at most. */
#define SPARE 256

struct an_call {
	an__list node;
	an__timer timer;
	void (*fn)(void *arg);
	void *arg;
	bool owned; /* somebody has the handle */
};

static void free_call(an_call *call)
{
	an__timer_done(&call->timer);
	free(call);
}

static void release(an_call *call)
{
	struct an__calls *calls = &call->timer.loop->calls;

	if (calls->spare_count == SPARE) {
		free_call(call);
		return;
	}
	calls->spare_count++;
	an__list_push_front(&calls->spare, &call->node);
}

static void on_time(an__timer *timer)
{
	an_call *call = an__container(timer, an_call, timer);

	an__list_push(&timer->loop->calls.soon, &call->node);
}

static an_call *new_call(an_loop *loop)
{
	an__list *node = an__list_pop(&loop->calls.spare);
	an_call *call;

	if (node) {
		loop->calls.spare_count--;
		return an__container(node, an_call, node);
	}
	call = an__malloc(sizeof *call);
	if (!call)
		return NULL;
	if (an__timer_init(&call->timer, loop, on_time) < 0) {
		free(call);
		return NULL;
	}
	an__list_init(&call->node);
	return call;
}

static int get_call(void (*fn)(void *arg), void *arg, an_call **ret, an_call **ret_call)
{
	an_call *call;

	if (!an__current_loop)
		return AN_ERR_NO_TASK;
	call = new_call(an__current_loop);
	if (!call)
		return -ENOMEM;
	call->fn = fn;
	call->arg = arg;
	call->owned = ret != NULL;
	if (ret)
		*ret = call;
	*ret_call = call;
	return 0;
}

int an_call_soon(void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_call *call;
	an_loop *loop;
	int r = get_call(fn, arg, ret, &call);

	if (r < 0)
		return r;
	loop = call->timer.loop;
	an__list_push(&loop->calls.soon, &call->node);
	/* The turn ends with the running task's next suspension. Outside of tasks a turn
	 * is to come, and a budget of 0 would tell it that none of the time since the
	 * last was spent waiting. */
	if (loop->current)
		loop->budget = 0;
	an__wake_attached(loop);
	return 0;
}

int an_call_at(an_duration when, void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_call *call;
	int r = get_call(fn, arg, ret, &call);

	if (r < 0)
		return r;
	if (when == AN_FOREVER)
		an__list_push(&call->timer.loop->calls.idle, &call->node);
	else
		an__timer_arm(&call->timer, when);
	return 0;
}

int an_call_later(an_duration delay, void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_duration when = AN_FOREVER;

	if (delay != AN_FOREVER)
		when = an__duration_add(an_now(), delay > 0 ? delay : 0);
	return an_call_at(when, fn, arg, ret);
}

an_call *an_call_cancel(an_call *call)
{
	if (!call)
		return NULL;
	an__list_remove(&call->node);
	an__timer_disarm(&call->timer);
	release(call);
	return NULL;
}

void an__calls_init(an_loop *loop)
{
	an__list_init(&loop->calls.soon);
	an__list_init(&loop->calls.idle);
	an__list_init(&loop->calls.spare);
}

/* A call may cancel those behind it, which are then no longer on `now`. */
void an__calls_run(an_loop *loop)
{
	an__list now, *node;

	if (__builtin_expect(an__list_empty(&loop->calls.soon), 1))
		return;
	an__list_init(&now);
	an__list_splice(&now, &loop->calls.soon);
	while ((node = an__list_pop(&now))) {
		an_call *call = an__container(node, an_call, node);
		void (*fn)(void *arg) = call->fn;
		void *arg = call->arg;

		if (call->owned)
			an__list_push(&loop->calls.idle, &call->node);
		else
			release(call);
		fn(arg);
	}
}

static void free_list(an__list *list)
{
	an__list *node;

	while ((node = an__list_pop(list)))
		free_call(an__container(node, an_call, node));
}

void an__calls_done(an_loop *loop)
{
	an__timer *t;

	while ((t = an__first_timer(loop))) {
		an__timer_disarm(t);
		if (t->fn == on_time)
			free_call(an__container(t, an_call, timer));
	}
	free_list(&loop->calls.soon);
	free_list(&loop->calls.idle);
	free_list(&loop->calls.spare);
}
