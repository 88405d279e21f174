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

/* Short, because programs have very many: its lists go through the link of the timer,
 * which does not need it meanwhile, and whether somebody has the handle is told by the
 * timer's function. */
struct an_call {
	an__timer timer;
	void (*fn)(void *arg);
	void *arg;
};

static an__list *link_of(an_call *call)
{
	return &call->timer.node.link;
}

static an_call *call_of(an__list *link)
{
	return an__container(link, an_call, timer.node.link);
}

static void free_call(an_call *call)
{
	an__timer_done(&call->timer);
	free(call);
}

static void release(an_loop *loop, an_call *call)
{
	struct an__calls *calls = &loop->calls;

	if (calls->spare_count == SPARE) {
		free_call(call);
		return;
	}
	calls->spare_count++;
	link_of(call)->next = calls->spare;
	calls->spare = link_of(call);
}

static void on_time(an__timer *timer)
{
	an__list_push(&timer->loop->calls.soon, &timer->node.link);
}

static void on_time_owned(an__timer *timer)
{
	on_time(timer);
}

static an_call *new_call(an_loop *loop)
{
	an__list *link = loop->calls.spare;
	an_call *call;

	if (link) {
		loop->calls.spare_count--;
		loop->calls.spare = link->next;
		link->next = NULL;
		return call_of(link);
	}
	call = an__malloc(sizeof *call);
	if (!call)
		return NULL;
	if (an__timer_init(&call->timer, loop, on_time) < 0) {
		free(call);
		return NULL;
	}
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
	call->timer.fn = ret ? on_time_owned : on_time;
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
	an__list_push(&loop->calls.soon, link_of(call));
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
		an__list_push(&call->timer.loop->calls.idle, link_of(call));
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
	/* Not by the call, which has been out of the cache for long: what is done to the
	 * loop need not wait for it. */
	an_loop *loop = an__current_loop;

	if (!call)
		return NULL;
	an__wheel_remove(&loop->timers, &call->timer.node); /* off any list, too */
	release(loop, call);
	return NULL;
}

void an__calls_init(an_loop *loop)
{
	an__list_init(&loop->calls.soon);
	an__list_init(&loop->calls.idle);
}

/* A call may cancel those behind it, which are then no longer on `now`. */
void an__calls_run(an_loop *loop)
{
	an__list now, *link;

	if (__builtin_expect(an__list_empty(&loop->calls.soon), 1))
		return;
	an__list_init(&now);
	an__list_splice(&now, &loop->calls.soon);
	while (loop == an__current_loop && (link = an__list_pop(&now))) {
		an_call *call = call_of(link);
		void (*fn)(void *arg) = call->fn;
		void *arg = call->arg;

		if (call->timer.fn == on_time_owned)
			an__list_push(&loop->calls.idle, link);
		else
			release(loop, call);
		fn(arg);
	}
}

static void free_list(an__list *list)
{
	an__list *link;

	while ((link = an__list_pop(list)))
		free_call(call_of(link));
}

void an__calls_done(an_loop *loop)
{
	an__list *link;
	an__timer *t;

	while ((t = an__first_timer(loop))) {
		an__timer_disarm(t);
		if (t->fn == on_time || t->fn == on_time_owned)
			free_call(an__container(t, an_call, timer));
	}
	free_list(&loop->calls.soon);
	free_list(&loop->calls.idle);
	while ((link = loop->calls.spare)) {
		loop->calls.spare = link->next;
		link->next = NULL;
		free_call(call_of(link));
	}
}
