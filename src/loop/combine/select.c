/* Select: one of several things that may happen. Combine.
 *
 * First each case is tried in its order. When none can happen the task parks on all of
 * them at once by an__wait_many(): with a waiter in the line of each queue and event, as
 * if it were a plain get, put or wait, and a watch on each task. Whoever wakes one of the
 * waiters takes the others out of their lines in the same moment; so one case happens,
 * and never two. A watch is told in vain when its waiter was not the one.
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/combine.h>

#include <errno.h>

/* A case that is waited for. A queue's waiter has as its item where to put it or what to
 * hand over: see queue.c. */
struct slot {
	an__waiter waiter;
	an__task_watch watch;
	size_t index; /* of the case */
};

static const an__wait_kind for_any = { .what = "the first of several things" };

static bool is_off(const an_select_case *c)
{
	switch (c->kind) {
	case AN_SELECT_GET:
	case AN_SELECT_PUT:
		return !c->queue;
	case AN_SELECT_TASK:
		return !c->task;
	case AN_SELECT_EVENT:
		return !c->event;
	case AN_SELECT_TIME:
		return c->when == AN_FOREVER;
	}
	return true;
}

static int check_cases(const an_select_case *cases, size_t count)
{
	an_task *self = an_current();
	bool all_off = true;

	if (!count || count > AN_SELECT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (cases[i].kind > AN_SELECT_TIME)
			return -EINVAL;
		if (is_off(&cases[i]))
			continue;
		if (cases[i].kind == AN_SELECT_TASK && cases[i].task == self)
			return -EDEADLK;
		all_off = false;
	}
	return all_off ? -EDEADLK : 0;
}

/* The code of a case that happens now; -EAGAIN: it cannot. */
static int happen(const an_select_case *c)
{
	int ignored;

	switch (c->kind) {
	case AN_SELECT_GET:
		return an_queue_tryget(c->queue, c->ret_item);
	case AN_SELECT_PUT:
		return an_queue_tryput(c->queue, c->item);
	case AN_SELECT_TASK:
		return an_task_result(c->task, &ignored);
	case AN_SELECT_EVENT:
		return an_event_is_set(c->event) ? 0 : -EAGAIN;
	case AN_SELECT_TIME:
		return c->when <= an_now() ? 0 : -EAGAIN;
	}
	return -EAGAIN;
}

/* Returns the index of the first that can, or -EAGAIN. */
static int try_cases(const an_select_case *cases, size_t count, int *ret_code)
{
	for (size_t i = 0; i < count; i++) {
		int r = is_off(&cases[i]) ? -EAGAIN : happen(&cases[i]);

		if (r == -EAGAIN)
			continue;
		*ret_code = r;
		return (int)i;
	}
	return -EAGAIN;
}

static void task_ended(an__task_watch *watch, an_task *task)
{
	int ignored;

	if (an__wake(&an__container(watch, struct slot, watch)->waiter, 0))
		an_task_result(task, &ignored);
}

/* What a waiter of the case is to be woken by. */
static void line_up(struct slot *s, const an_select_case *c)
{
	s->waiter = (an__waiter){ 0 };
	s->watch = (an__task_watch){ .fn = task_ended };
	switch (c->kind) {
	case AN_SELECT_GET:
		s->waiter.queue = &c->queue->getters;
		s->waiter.item = c->ret_item;
		break;
	case AN_SELECT_PUT:
		s->waiter.queue = &c->queue->putters;
		s->waiter.item = c->item;
		break;
	case AN_SELECT_TASK:
		an__task_watch_add(c->task, &s->watch);
		break;
	case AN_SELECT_EVENT:
		s->waiter.queue = &c->event->waiters;
		break;
	case AN_SELECT_TIME:
		break; /* its waiter is woken by nobody: the deadline ends the wait */
	}
}

static an_duration nearest_time(const an_select_case *cases, size_t count)
{
	an_duration nearest = AN_FOREVER;

	for (size_t i = 0; i < count; i++)
		if (cases[i].kind == AN_SELECT_TIME && cases[i].when < nearest)
			nearest = cases[i].when;
	return nearest;
}

/* The first whose time has come; where the loop is late, more than one has. */
static int first_due(const an_select_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cases[i].kind == AN_SELECT_TIME && cases[i].when <= an_now())
			return (int)i;
	__builtin_unreachable();
}

/* None can happen now. */
static int wait_for_one(const an_select_case *cases, size_t count, int *ret_code)
{
	struct slot slots[count];
	an__waiter *waiters[count];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		if (is_off(&cases[i]))
			continue;
		line_up(&slots[n], &cases[i]);
		slots[n].index = i;
		waiters[n] = &slots[n].waiter;
		n++;
	}
	r = an__wait_many(waiters, n, nearest_time(cases, count), &for_any);
	for (size_t i = 0; i < n; i++)
		an__task_watch_remove(&slots[i].watch);
	if (r >= 0) {
		*ret_code = waiters[r]->result;
		return (int)slots[r].index;
	}
	if (r != -ETIMEDOUT)
		return r;
	*ret_code = 0;
	return first_due(cases, count);
}

int an_select(const an_select_case *cases, size_t count, int *ret_code)
{
	int r = check_cases(cases, count), result = 0;

	if (r == 0)
		r = an__wait_check();
	if (r < 0)
		return r;
	r = try_cases(cases, count, &result);
	if (r == -EAGAIN)
		r = wait_for_one(cases, count, &result);
	if (r >= 0 && ret_code)
		*ret_code = result;
	return r;
}
