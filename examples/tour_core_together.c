/* The tour's third chapter: several tasks at once. All of them, in the order in which
 * they were given; the first that ends; each as it ends; tasks beside queues, timers. */
#include "tour.h"

#include <errno.h>

/* ---- gather ------------------------------------------------------------------------ */

/* The guides say: gather, not a loop that awaits one after the other. This is the loop:
 * it takes as long as all the work together. */
static int one_after_the_other(void *arg)
{
	static struct tour_work works[] = {
		{ "users", 30 * AN_MILLISECOND, 1 },
		{ "orders", 10 * AN_MILLISECOND, 2 },
		{ "prices", 20 * AN_MILLISECOND, 3 },
	};

	(void)arg;
	for (size_t i = 0; i < 3; i++) {
		int r = tour_work(&works[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* await asyncio.gather(...): as long as the longest. The results are in the order of the
 * arguments, whichever ended first. On 0 the handles are consumed. */
static int gather_in_order(void *arg)
{
	static struct tour_work works[] = {
		{ "users", 30 * AN_MILLISECOND, 1 },
		{ "orders", 10 * AN_MILLISECOND, 2 },
		{ "prices", 20 * AN_MILLISECOND, 3 },
	};
	an_task *tasks[3];
	int results[3], r = tour_spawn(works, 3, tasks);

	(void)arg;
	if (r)
		return r;
	r = an_gather(tasks, 3, false, results);
	if (r) {
		an_ignore(an_cancel_all(tasks, 3));
		return r;
	}
	tour_say("results: %d %d %d", results[0], results[1], results[2]);
	return 0;
}

static struct tour_work with_a_failure[] = {
	{ "users", 30 * AN_MILLISECOND, 1 },
	{ "orders", 10 * AN_MILLISECOND, -ECONNREFUSED },
	{ "prices", 20 * AN_MILLISECOND, 3 },
};

/* The first failure ends the gather; its siblings run on, here as in asyncio, where that
 * surprises many. All handles are still ours: what is not wanted must be ended. (A group
 * does that by itself: see the next chapter.) */
static int gather_fails_at_the_first(void *arg)
{
	an_task *tasks[3];
	int r = tour_spawn(with_a_failure, 3, tasks);

	(void)arg;
	if (r)
		return r;
	r = an_gather(tasks, 3, false, NULL);
	tour_say("gather: %s; prices done: %s", tour_code(r),
		 an_done(tasks[2]) ? "yes" : "no");
	if (r)
		an_ignore(an_cancel_all(tasks, 3));
	return r == -ECANCELED ? r : 0;
}

/* gather(..., return_exceptions=True): an error is a result like any other. */
static int gather_returns_errors(void *arg)
{
	an_task *tasks[3];
	int results[3], r = tour_spawn(with_a_failure, 3, tasks);

	(void)arg;
	if (r)
		return r;
	r = an_gather(tasks, 3, true, results);
	if (r) {
		an_ignore(an_cancel_all(tasks, 3));
		return r;
	}
	for (size_t i = 0; i < 3; i++)
		tour_say("%s: %s", with_a_failure[i].name, tour_code(results[i]));
	return 0;
}

/* ---- wait -------------------------------------------------------------------------- */

/* asyncio.wait() returns two sets, done and pending. an_wait() returns how many are done,
 * and puts those first. */
static void say_done_and_pending(an_task **tasks, ssize_t done, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++)
		tour_say("  %s: %s", i < done ? "done" : "pending",
			 an_task_name(tasks[i]));
}

/* Waits in one of the three ways. It cancels nothing and takes nothing, so that the tasks
 * have to be ended afterwards. */
static int wait_until(an_wait_until until, an_duration limit)
{
	an_task *tasks[3];
	ssize_t done;
	int r = tour_spawn(with_a_failure, 3, tasks);

	if (r)
		return r;
	done = an_wait(tasks, 3, until, limit);
	if (done >= 0) {
		tour_say("an_wait() returned %zd", done);
		say_done_and_pending(tasks, done, 3);
	}
	an_ignore(an_cancel_all(tasks, 3));
	return done < 0 ? (int)done : 0;
}

static int wait_for_the_first(void *arg)
{
	(void)arg;
	return wait_until(AN_FIRST_COMPLETED, AN_FOREVER);
}

/* The one that fails takes longer than one that does not, this time. */
static int wait_for_the_first_failure(void *arg)
{
	static struct tour_work works[] = {
		{ "users", 10 * AN_MILLISECOND, 1 },
		{ "orders", 20 * AN_MILLISECOND, -ECONNREFUSED },
		{ "prices", 30 * AN_MILLISECOND, 3 },
	};
	an_task *tasks[3];
	ssize_t done;
	int r = tour_spawn(works, 3, tasks);

	(void)arg;
	if (r)
		return r;
	done = an_wait(tasks, 3, AN_FIRST_EXCEPTION, AN_FOREVER);
	if (done >= 0)
		say_done_and_pending(tasks, done, 3);
	an_ignore(an_cancel_all(tasks, 3));
	return done < 0 ? (int)done : 0;
}

static int wait_for_all(void *arg)
{
	(void)arg;
	return wait_until(AN_ALL_COMPLETED, AN_FOREVER);
}

/* A limit that is over is no error, and cancels nothing: it is a look at the state of
 * things after 15 ms. */
static int wait_for_some_time(void *arg)
{
	(void)arg;
	return wait_until(AN_ALL_COMPLETED, 15 * AN_MILLISECOND);
}

/* ---- as completed ------------------------------------------------------------------ */

/* for task in asyncio.as_completed(...): the tasks as they end. Each is its owner's again
 * once it is returned; to join it does not wait then. */
static int say_each_as_it_ends(an_completed *completed)
{
	an_task *task;
	int result, r;

	while (!(r = an_completed_next(completed, &task, NULL))) {
		if (an_task_result(task, &result))
			continue;
		tour_say("%s ended: %s", an_task_name(task), tour_code(result));
	}
	return r == AN_ERR_EOF ? 0 : r;
}

static int as_completed(void *arg)
{
	an_completed completed;
	an_task *tasks[3];
	int r = tour_spawn(with_a_failure, 3, tasks);

	(void)arg;
	if (r)
		return r;
	r = an_completed_begin(&completed, tasks, 3);
	if (!r) {
		r = say_each_as_it_ends(&completed);
		an_completed_end(&completed);
	}
	an_ignore(an_cancel_all(tasks, 3));
	return r;
}

/* ---- select ------------------------------------------------------------------------ */

struct feed {
	an_queue items;
	struct tour_work job;
};

static int produce(void *arg)
{
	static char apple[] = "an apple", pear[] = "a pear";
	struct feed *feed = arg;
	int r = an_sleep(10 * AN_MILLISECOND);

	if (!r)
		r = an_queue_put(&feed->items, apple);
	if (!r)
		r = an_sleep(10 * AN_MILLISECOND);
	return r ? r : an_queue_put(&feed->items, pear);
}

/* Exactly one case happens in each call: an item that was taken is never lost because the
 * task ended in the same moment. asyncio has no such thing; there one waits for the tasks
 * of several get() and has to put back what came too much. */
static int serve_three(struct feed *feed, an_task *job)
{
	an_duration deadline = an_now() + 40 * AN_MILLISECOND;

	for (;;) {
		void *item;
		const an_select_case cases[] = {
			AN_ON_GET(&feed->items, &item),
			AN_ON_DONE(job),
			AN_ON_TIME(deadline),
		};
		int result, r = an_select(cases, 3, &result);

		switch (r) {
		case 0:
			tour_say("an item: %s", result ? "none" : (char *)item);
			break;
		case 1:
			tour_say("the job is done");
			job = NULL; /* switches its case off */
			break;
		case 2:
			tour_say("the time is over");
			return 0;
		default:
			return r;
		}
	}
}

static int select_among_three(void *arg)
{
	struct feed feed = { .job = { "job", 15 * AN_MILLISECOND, 0 } };
	an_task *tasks[2];
	int r = tour_spawn(&feed.job, 1, &tasks[0]);

	(void)arg;
	if (r)
		return r;
	an_queue_init(&feed.items, 1);
	r = an_spawn(produce, &feed, NULL, &tasks[1]);
	if (!r) {
		r = serve_three(&feed, tasks[0]);
		an_ignore(an_cancel_all(&tasks[1], 1));
	}
	an_ignore(an_cancel_all(&tasks[0], 1));
	an_queue_done(&feed.items);
	return r;
}

const struct tour_section tour_core_together[] = {
	{ "One after the other", .task = one_after_the_other },
	{ "Gather: together, results in order", .task = gather_in_order },
	{ "Gather: the first failure", .task = gather_fails_at_the_first },
	{ "Gather: errors are results", .task = gather_returns_errors },
	{ "Wait for the first to end", .task = wait_for_the_first },
	{ "Wait for the first failure", .task = wait_for_the_first_failure },
	{ "Wait for all", .task = wait_for_all },
	{ "Wait for all, but not longer than 15 ms", .task = wait_for_some_time },
	{ "As completed", .task = as_completed },
	{ "Select: a queue, a task and a timer", .task = select_among_three },
	{ 0 },
};
