/* The tour's fourth chapter: how work ends before it is done. Timeouts, shields,
 * cancellation and cleanup, and groups, which bring the failures of all together. */
#include "tour.h"

#include <errno.h>

/* ---- timeouts ---------------------------------------------------------------------- */

/* async with asyncio.timeout(0.02): one limit around any number of calls, so that none of
 * them needs a parameter for it. */
static int end_in_time(void *arg)
{
	static struct tour_work quick = { "quick", 10 * AN_MILLISECOND, 1 };
	static struct tour_work slow = { "slow", 50 * AN_MILLISECOND, 2 };
	an_timeout limit;
	int r;

	(void)arg;
	an_timeout_begin(&limit, 20 * AN_MILLISECOND);
	r = tour_work(&quick);
	if (r >= 0)
		r = tour_work(&slow);
	r = an_timeout_end(&limit, r); /* makes of its own -ECANCELED an -ETIMEDOUT */
	tour_say("after both: %s", tour_code(r));
	return r == -ETIMEDOUT ? 0 : r;
}

/* The tightest wins, and only the one that expired says -ETIMEDOUT: an inner limit that
 * ends leaves the outer one running, an outer one that ends goes through the inner. */
static int work_within(an_duration outer, an_duration inner)
{
	static struct tour_work work = { "work", 50 * AN_MILLISECOND, 0 };
	an_timeout outer_limit, inner_limit;
	int r;

	an_timeout_begin(&outer_limit, outer);
	an_timeout_begin(&inner_limit, inner);
	r = an_timeout_end(&inner_limit, tour_work(&work));
	tour_say("at the inner end: %s", tour_code(r));
	r = an_timeout_end(&outer_limit, r == -ETIMEDOUT ? an_check() : r);
	tour_say("at the outer end: %s", tour_code(r));
	return r == -ETIMEDOUT ? 0 : r;
}

static int nest_timeouts(void *arg)
{
	int r = work_within(40 * AN_MILLISECOND, 10 * AN_MILLISECOND);

	(void)arg;
	return r ? r : work_within(10 * AN_MILLISECOND, 40 * AN_MILLISECOND);
}

/* timeout.reschedule(when): a limit on silence, put off by each sign of life. */
static int reschedule_a_timeout(void *arg)
{
	static struct tour_work signs[] = {
		{ "first sign", 15 * AN_MILLISECOND, 0 },
		{ "second sign", 15 * AN_MILLISECOND, 0 },
		{ "third sign", 50 * AN_MILLISECOND, 0 },
	};
	an_timeout silence;
	int r = 0;

	(void)arg;
	an_timeout_begin(&silence, 20 * AN_MILLISECOND);
	for (size_t i = 0; i < 3 && !r; i++) {
		r = tour_work(&signs[i]);
		if (!r)
			r = an_timeout_reschedule(&silence,
						  an_now() + 20 * AN_MILLISECOND);
	}
	r = an_timeout_end(&silence, r);
	tour_say("%s", tour_code(r));
	return r == -ETIMEDOUT ? 0 : r;
}

/* ---- a limit on one task ----------------------------------------------------------- */

/* What is cancelled may still have to wait, to roll back or to say goodbye. Under the
 * cancellation every waiting call fails at once; a shield hides it, for a time of grace
 * that bounds the cleanup. */
static int transaction(void *arg)
{
	an_shield shield;
	int r;

	(void)arg;
	tour_say("BEGIN");
	r = an_sleep(50 * AN_MILLISECOND);
	if (!r) {
		tour_say("COMMIT");
		return 1;
	}
	tour_say("ROLLBACK, because of %s", tour_code(r));
	an_shield_begin(&shield, 100 * AN_MILLISECOND);
	if (!an_shield_end(&shield, an_sleep(5 * AN_MILLISECOND)))
		tour_say("rolled back");
	return r;
}

/* asyncio.wait_for(task, 0.02): cancels when the time is over, and then waits until the
 * task has really ended, its cleanup included. */
static int wait_for_a_task(void *arg)
{
	an_task *task;
	int result, r = an_spawn(transaction, NULL, NULL, &task);

	(void)arg;
	if (r)
		return r;
	r = an_wait_for(task, 20 * AN_MILLISECOND, &result);
	tour_say("within 20 ms: %s", tour_code(r));
	if (r != -ETIMEDOUT)
		return r;
	r = an_spawn(transaction, NULL, NULL, &task);
	if (r)
		return r;
	r = an_wait_for(task, 100 * AN_MILLISECOND, &result);
	if (!r)
		tour_say("within 100 ms: it returned %d", result);
	return r;
}

/* asyncio.shield(task): the waiting has a limit, the task has none. an_join() does that
 * by itself: it never passes a cancellation on. */
static int shield_a_task(void *arg)
{
	static struct tour_work order = { "order", 30 * AN_MILLISECOND, 5 };
	an_timeout limit;
	an_task *task;
	int result = 0, r = tour_spawn(&order, 1, &task);

	(void)arg;
	if (r)
		return r;
	an_timeout_begin(&limit, 10 * AN_MILLISECOND);
	r = an_timeout_end(&limit, an_join(task, &result));
	tour_say("the customer: %s; the order goes on", tour_code(r));
	if (r == -ETIMEDOUT)
		r = an_join(task, &result);
	if (r)
		an_detach(task);
	else
		tour_say("the order: %d", result);
	return r;
}

/* ---- cancellation ------------------------------------------------------------------ */

/* task.cancel(), and await task: the cleanup above runs, and -ECANCELED is the result. */
static int cancel_a_task(void *arg)
{
	an_task *task;
	bool first, second;
	int result, r = an_spawn(transaction, NULL, NULL, &task);

	(void)arg;
	if (r)
		return r;
	r = an_sleep(10 * AN_MILLISECOND);
	if (!r) {
		first = an_cancel(task);
		r = an_join(task, &result);
	}
	if (r) {
		an_detach(task);
		return r;
	}
	tour_say("asked: %s; result: %s", first ? "yes" : "no", tour_code(result));
	r = an_spawn(transaction, NULL, NULL, &task);
	if (r)
		return r;
	second = an_cancel(task); /* before its first step: it never says BEGIN */
	r = an_join(task, &result);
	if (!r)
		tour_say("asked: %s; result: %s", second ? "yes" : "no",
			 tour_code(result));
	return r;
}

/* asyncio delivers a cancellation once: code that swallows it has lost it. Here it stays
 * until the scope ends, so that one result nobody looked at does no harm. */
static int swallow(void *arg)
{
	(void)arg;
	for (int i = 1; i <= 3; i++)
		tour_say("attempt %d: %s", i, tour_code(an_sleep(20 * AN_MILLISECOND)));
	return an_check(); /* for long computations, too: does not wait */
}

static int cancelled_stays_cancelled(void *arg)
{
	an_task *task;
	int r = an_spawn(swallow, NULL, NULL, &task);

	(void)arg;
	if (r)
		return r;
	r = an_sleep(10 * AN_MILLISECOND);
	an_cancel(task);
	an_ignore(an_cancel_all(&task, 1));
	return r;
}

/* task.cancelling() and task.uncancel(): for one who takes a cancellation as a message
 * and has dealt with it. */
static int reload(void *arg)
{
	int r = an_sleep(50 * AN_MILLISECOND);

	(void)arg;
	if (r != -ECANCELED)
		return r;
	tour_say("requests to end: %d", an_cancelling());
	tour_say("one taken back, left: %d", an_uncancel());
	r = an_sleep(10 * AN_MILLISECOND);
	tour_say("it can wait again: %s", tour_code(r));
	return r ? r : 3;
}

static int take_a_cancellation_back(void *arg)
{
	an_task *task;
	int result, r = an_spawn(reload, NULL, NULL, &task);

	(void)arg;
	if (r)
		return r;
	r = an_sleep(10 * AN_MILLISECOND);
	an_cancel(task);
	if (!r)
		r = an_join(task, &result);
	if (r)
		an_detach(task);
	else
		tour_say("it returned %d all the same", result);
	return r;
}

/* ---- groups ------------------------------------------------------------------------ */

/* async with asyncio.TaskGroup(): children that end together. The first failure cancels
 * the siblings, the end waits for all. None can be left behind, so `works` may lie on
 * this very stack. */
static int end_together(void *arg)
{
	struct tour_work works[] = {
		{ "users", 30 * AN_MILLISECOND, 1 },
		{ "orders", 10 * AN_MILLISECOND, -ECONNREFUSED },
		{ "prices", 20 * AN_MILLISECOND, 3 },
	};
	an_group group;
	int r;

	(void)arg;
	an_group_begin(&group);
	for (size_t i = 0; i < 3; i++)
		an_group_fail(&group, an_group_spawn(&group, tour_work, &works[i]));
	r = an_group_end(&group);
	tour_say("the group: %s", tour_code(r));
	return r == -ECONNREFUSED ? 0 : r;
}

/* Its cleanup fails when it is cancelled: a second error, behind the first. */
static int flush(void *arg)
{
	int r = an_sleep(50 * AN_MILLISECOND);

	(void)arg;
	return r ? -ENOSPC : 0;
}

/* except* OSError as group: all errors, not only the first. */
static int collect_every_error(void *arg)
{
	struct tour_work orders = { "orders", 10 * AN_MILLISECOND, -ECONNREFUSED };
	an_group_error errors[4];
	an_group group;
	int r;

	(void)arg;
	an_group_begin(&group);
	an_group_collect(&group, errors, 4);
	an_group_fail(&group, an_group_spawn_with(&group, flush, NULL,
						  &(an_task_opts){ .name = "flush" }));
	an_group_fail(&group, an_group_spawn_with(&group, tour_work, &orders,
						  &(an_task_opts){ .name = "orders" }));
	r = an_group_end(&group);
	tour_say("the group: %s, %zu errors", tour_code(r), an_group_error_count(&group));
	for (size_t i = 0; i < an_group_error_count(&group) && i < 4; i++)
		tour_say("  %s: %s", errors[i].task, tour_code(errors[i].code));
	return r == -ECONNREFUSED ? 0 : r;
}

const struct tour_section tour_core_limits[] = {
	{ "A limit on time", .task = end_in_time },
	{ "Limits within limits", .task = nest_timeouts },
	{ "A limit that is put off", .task = reschedule_a_timeout },
	{ "A limit on one task, and its cleanup", .task = wait_for_a_task },
	{ "A limit on waiting alone", .task = shield_a_task },
	{ "A task is cancelled", .task = cancel_a_task },
	{ "Cancelled stays cancelled", .task = cancelled_stays_cancelled },
	{ "A cancellation is taken back", .task = take_a_cancellation_back },
	{ "A group ends together", .task = end_together },
	{ "A group collects every error", .task = collect_every_error },
	{ 0 },
};
