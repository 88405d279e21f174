/* Waiting for several tasks without consuming them, and for one within a limit.
 * Combine. */
#include "config.h"

#include "loop/base/clock.h"
#include "loop/base/list.h"
#include "loop/combine/several.h"

#include <asyncnet/combine.h>
#include <asyncnet/error.h>

#include <errno.h>

static an_duration deadline_of(an_duration limit)
{
	return limit == AN_FOREVER ? AN_FOREVER : an__duration_add(an_now(), limit);
}

/* ---- several ----------------------------------------------------------------------- */

struct wait {
	an__several several;
	an_wait_until until;
	size_t failed;
};

static bool satisfied(const struct wait *w)
{
	const an__several *s = &w->several;

	return !s->running || (w->until == AN_FIRST_COMPLETED && s->running < s->count) ||
	       (w->until == AN_FIRST_EXCEPTION && w->failed);
}

static void task_ended(an__several *s, struct an__one *one, int result)
{
	struct wait *w = an__container(s, struct wait, several);

	w->failed += result < 0 && !an_task_cancelled(one->task);
	if (satisfied(w))
		an__wake(&s->waiter, 0);
}

/* Writes the ended ones first. The tasks themselves may be gone. */
static ssize_t reorder(const an__several *s, an_task **tasks)
{
	size_t ended = 0, at;

	for (size_t i = 0; i < s->count; i++)
		if (s->ones[i].ended)
			tasks[ended++] = s->ones[i].task;
	at = ended;
	for (size_t i = 0; i < s->count; i++)
		if (!s->ones[i].ended)
			tasks[at++] = s->ones[i].task;
	return (ssize_t)ended;
}

static int await(struct wait *w, an_duration limit)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	an__several_watch(&w->several);
	if (satisfied(w) || limit <= 0)
		return 0;
	r = an__wait_until(&w->several.waiter, NULL, deadline_of(limit),
			   &an__for_several);
	return r == -ETIMEDOUT ? 0 : r;
}

ssize_t an_wait(an_task **tasks, size_t count, an_wait_until until, an_duration limit)
{
	struct wait w;
	ssize_t r;

	if (!count || until > AN_FIRST_EXCEPTION)
		return -EINVAL;
	r = an__several_begin(&w.several, tasks, count, task_ended);
	if (r < 0)
		return r;
	w.until = until;
	w.failed = 0;
	r = await(&w, limit);
	if (r == 0)
		r = reorder(&w.several, tasks);
	an__several_end(&w.several);
	return r;
}

/* ---- one --------------------------------------------------------------------------- */

struct wait_for {
	an__waiter waiter;
	an__task_watch watch;
	an_task *task; /* claimed */
};

static an_task *task_of(const an__waiter *w)
{
	return an__container(w, struct wait_for, waiter)->task;
}

static const an__wait_kind for_one = { "a task", task_of };

static void one_ended(an__task_watch *watch, an_task *task)
{
	(void)task;
	an__wake(&an__container(watch, struct wait_for, watch)->waiter, 0);
}

/* The wait that a limit or the caller's cancellation ends: 0 when the task ended. */
static int await_one(struct wait_for *w, an_duration limit)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	return limit <= 0
		       ? -ETIMEDOUT
		       : an__wait_until(&w->waiter, NULL, deadline_of(limit), &for_one);
}

/* Returns 0 when the task ended by itself, or the reason why it was cancelled here. A
 * cancellation of the caller outranks the limit, even when it came later. */
static int see_it_end(struct wait_for *w, an_duration limit)
{
	int r = await_one(w, limit);
	bool asked;

	if (r == AN_ERR_NO_TASK)
		return r;
	asked = r < 0 && an_cancel(w->task);
	while (!an_done(w->task))
		an_ignore(an__wait_uncancellable(&w->waiter, NULL, &for_one));
	if (!asked || !an_task_cancelled(w->task))
		return 0;
	return an__wait_check() < 0 ? -ECANCELED : r;
}

int an_wait_for(an_task *task, an_duration limit, int *ret_result)
{
	struct wait_for w = { .watch.fn = one_ended, .task = task };
	int r = 0, result = 0;

	if (task == an_current())
		return -EDEADLK;
	if (an__task_claimed(task))
		return -EBUSY;
	an__task_claim(task);
	if (!an_done(task)) {
		an__task_watch_add(task, &w.watch);
		r = see_it_end(&w, limit);
		an__task_watch_remove(&w.watch);
	}
	if (!an_done(task)) { /* outside a task: nobody could wait */
		an__task_unclaim(task);
		return r;
	}
	an_task_result(task, &result);
	an__task_consume(task);
	if (r == 0 && ret_result)
		*ret_result = result;
	return r;
}
