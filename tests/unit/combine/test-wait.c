/* an_wait(), an_wait_for(), and what a join shields from. */
#include "tests/unit/combine/workers.h"

#include <event2/event.h>
#include <string.h>

#define MANY 40 /* more than it has room for on the stack */

/* Three that end after 30, 10 and 20, the last two with a result each. */
static int spawn_three(struct worker *workers, an_task **tasks, int second, int third)
{
	workers[0] = (struct worker){ .takes = 30 };
	workers[1] = (struct worker){ .takes = 10, .result = second };
	workers[2] = (struct worker){ .takes = 20, .result = third };
	return spawn_workers(workers, 3, tasks);
}

/* ---- an_wait() --------------------------------------------------------------------- */

TASK_TEST(all_completed_waits_for_the_last)
{
	struct worker workers[3];
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_three(workers, tasks, -EIO, 0), 0);
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, AN_FOREVER), 3);
	CHECK_EQUAL(an_now() - began, 30);
	return join_workers(tasks, 3);
}

TASK_TEST(first_completed_puts_what_has_ended_first)
{
	struct worker workers[3];
	an_task *tasks[3], *given[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_three(workers, tasks, 0, 0), 0);
	memcpy(given, tasks, sizeof given);
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_COMPLETED, AN_FOREVER), 1);
	CHECK_EQUAL(an_now() - began, 10);
	CHECK(tasks[0] == given[1] && tasks[1] == given[0] && tasks[2] == given[2]);
	CHECK_EQUAL(an_wait(tasks + 1, 2, AN_FIRST_COMPLETED, AN_FOREVER), 1);
	CHECK_EQUAL(an_now() - began, 20);
	CHECK(tasks[1] == given[2] && tasks[2] == given[0]);
	return join_workers(tasks, 3);
}

/* Those that end in the same turn are all there. */
TASK_TEST_IN_ORDER(two_that_end_together_are_both_counted)
{
	struct worker workers[] = { { .takes = 20 }, { .takes = 10 }, { .takes = 10 } };
	an_task *tasks[3], *last;

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	last = tasks[0];
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_COMPLETED, AN_FOREVER), 2);
	CHECK(tasks[2] == last);
	return join_workers(tasks, 3);
}

TASK_TEST(first_exception_waits_for_a_failure)
{
	struct worker workers[3];
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_three(workers, tasks, 5, -EIO), 0);
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_EXCEPTION, AN_FOREVER), 2);
	CHECK_EQUAL(an_now() - began, 20);
	/* It has failed already. */
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_EXCEPTION, AN_FOREVER), 2);
	CHECK_EQUAL(an_now() - began, 20);
	return join_workers(tasks, 3);
}

/* asyncio semantics 18: a cancelled child is no first exception. */
TASK_TEST(a_cancelled_task_is_no_first_exception)
{
	struct worker workers[3];
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_three(workers, tasks, 0, 0), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(tasks[1]);
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_EXCEPTION, AN_FOREVER), 3);
	CHECK_EQUAL(an_now() - began, 30);
	return join_workers(tasks, 3);
}

/* asyncio semantics 18: a limit cancels nothing and is no error (bpo-23859). */
TASK_TEST(the_end_of_its_time_cancels_nothing)
{
	struct worker workers[3];
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_three(workers, tasks, 0, 0), 0);
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, 5), 0);
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, 10), 1);
	CHECK_EQUAL(an_now() - began, 15);
	CHECK(!is_watched(tasks[1]) && !is_watched(tasks[2]));
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, 0), 1);
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, -1), 1);
	CHECK_EQUAL(an_now() - began, 15);
	CHECK_EQUAL(an_wait(tasks, 3, AN_ALL_COMPLETED, INT64_MAX - 1), 3);
	for (int i = 0; i < 3; i++)
		CHECK(workers[i].finished && !workers[i].cancelled);
	return join_workers(tasks, 3);
}

/* asyncio semantics 18: nothing to wait for is an error. */
TASK_TEST(an_empty_wait_is_an_error)
{
	an_task *task = NULL;

	CHECK_EQUAL(an_wait(NULL, 0, AN_ALL_COMPLETED, AN_FOREVER), -EINVAL);
	CHECK_EQUAL(an_wait(&task, 1, (an_wait_until)3, AN_FOREVER), -EINVAL);
	return 0;
}

TASK_TEST(nobody_waits_for_himself)
{
	an_task *self = an_current();

	CHECK_EQUAL(an_wait(&self, 1, AN_ALL_COMPLETED, AN_FOREVER), -EDEADLK);
	CHECK_EQUAL(an_wait_for(self, AN_FOREVER, NULL), -EDEADLK);
	return 0;
}

TASK_TEST(a_task_waited_for_twice_counts_twice)
{
	struct worker workers[] = { { .takes = 10 }, { .takes = 20 } };
	an_task *tasks[2], *list[4];

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	list[0] = list[2] = tasks[1];
	list[1] = list[3] = tasks[0];
	CHECK_EQUAL(an_wait(list, 4, AN_FIRST_COMPLETED, AN_FOREVER), 2);
	CHECK(list[0] == tasks[0] && list[1] == tasks[0]);
	CHECK(list[2] == tasks[1] && list[3] == tasks[1]);
	return join_workers(tasks, 2);
}

struct waiter {
	an_task **tasks;
	size_t count;
	an_duration limit;
	ssize_t result;
	int after, value;
};

static int waits(void *arg)
{
	struct waiter *w = arg;

	w->result = an_wait(w->tasks, w->count, AN_ALL_COMPLETED, AN_FOREVER);
	w->after = an_yield();
	return 0;
}

/* asyncio semantics 18: it never cancels, not even when it is cancelled. */
TASK_TEST(a_cancelled_wait_cancels_nothing)
{
	struct worker workers[3];
	an_task *tasks[3], *given[3], *task;
	struct waiter w = { .tasks = tasks, .count = 3 };

	CHECK_EQUAL(spawn_three(workers, tasks, 0, 0), 0);
	memcpy(given, tasks, sizeof given);
	CHECK_EQUAL(an_spawn(waits, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(15), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, -ECANCELED);
	CHECK_EQUAL(memcmp(tasks, given, sizeof given), 0);
	for (int i = 0; i < 3; i++)
		CHECK(!is_watched(tasks[i]));
	CHECK_EQUAL(join_workers(tasks, 3), 0);
	for (int i = 0; i < 3; i++)
		CHECK(!workers[i].cancelled);
	return 0;
}

/* asyncio semantics 2: what was complete before the cancellation is returned, and the
 * next call sees the cancellation; asyncio raises at once. */
TASK_TEST_IN_ORDER(a_wait_that_is_over_beats_a_cancellation)
{
	struct worker worker = { .yields = 1 };
	an_task *tasks[1], *task;
	struct waiter w = { .tasks = tasks, .count = 1 };

	CHECK_EQUAL(spawn_workers(&worker, 1, tasks), 0);
	CHECK_EQUAL(an_spawn(waits, &w, NULL, &task), 0);
	while (!worker.finished)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, 1);
	CHECK_EQUAL(w.after, -ECANCELED);
	return join_workers(tasks, 1);
}

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

/* Their owners join them meanwhile, and new ones take their memory. */
TASK_TEST(tasks_may_be_joined_while_they_are_waited_for)
{
	struct worker workers[3], next[3] = { { .takes = AN_HOUR } };
	an_task *tasks[3], *others[3], *again[3];
	int complete;

	CHECK_EQUAL(spawn_three(workers, tasks, 0, 0), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(joins, tasks[i], NULL, &others[i]), 0);
	complete = (int)an_wait(tasks, 3, AN_ALL_COMPLETED, AN_FOREVER);
	CHECK_EQUAL(complete, 3);
	next[1] = next[2] = next[0];
	CHECK_EQUAL(spawn_workers(next, 3, again), 0);
	CHECK_EQUAL(join_workers(others, 3), 0);
	return end_workers(again, 3);
}

TASK_TEST(a_failure_that_was_waited_for_is_not_reported)
{
	struct worker workers[3];
	an_task *tasks[3];

	CHECK_EQUAL(listen_to_complaints(), 0);
	CHECK_EQUAL(spawn_three(workers, tasks, -EIO, -EPIPE), 0);
	CHECK_EQUAL(an_wait(tasks, 3, AN_FIRST_COMPLETED, AN_FOREVER), 1);
	an_detach(tasks[0]);
	CHECK_EQUAL(complaints, 0);
	an_detach(tasks[1]);
	an_detach(tasks[2]);
	CHECK_EQUAL(an_sleep(40), 0);
	CHECK_EQUAL(complaints, 1);
	return an_trace_set_hooks(NULL);
}

TASK_TEST(without_memory_nothing_is_waited_for)
{
	static struct worker workers[MANY];
	an_task *tasks[MANY];
	int failures = 0;
	ssize_t r;

	for (int i = 0; i < MANY; i++)
		workers[i] = (struct worker){ .takes = i };
	CHECK_EQUAL(spawn_workers(workers, MANY, tasks), 0);
	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_wait(tasks, MANY, AN_ALL_COMPLETED, AN_FOREVER);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		failures++;
	}
	CHECK_EQUAL(failures, 1);
	CHECK_EQUAL(r, MANY);
	return join_workers(tasks, MANY);
}

/* ---- at each step ------------------------------------------------------------------ */

struct torture {
	struct worker workers[20];
	an_task *tasks[20];
	struct waiter waiter;
};

static int begins_torture(void *arg)
{
	struct torture *t = arg;

	for (size_t i = 0; i < COUNT(t->workers); i++)
		t->workers[i] = (struct worker){ .yields = (int)(i * 7 % 20) };
	t->waiter = (struct waiter){ .tasks = t->tasks,
				     .count = COUNT(t->tasks),
				     .result = -ECANCELED };
	return spawn_workers(t->workers, COUNT(t->tasks), t->tasks);
}

static int waits_in_torture(void *arg)
{
	return waits(&((struct torture *)arg)->waiter);
}

static int ends_torture(void *arg)
{
	struct torture *t = arg;

	CHECK(t->waiter.result == -ECANCELED || t->waiter.result == COUNT(t->tasks));
	CHECK_EQUAL(join_workers(t->tasks, COUNT(t->tasks)), 0);
	for (size_t i = 0; i < COUNT(t->workers); i++)
		CHECK(t->workers[i].finished && !t->workers[i].cancelled);
	return 0;
}

static struct torture torture;

CANCEL_TEST(a_wait_cancelled_at_each_step_leaves_the_tasks_alone, begins_torture,
	    waits_in_torture, ends_torture, &torture)

/* ---- an_wait_for() ----------------------------------------------------------------- */

TASK_TEST(wait_for_returns_what_the_task_returned)
{
	struct worker workers[] = { { .takes = 10, .result = 5 }, { .result = -EIO } };
	an_task *tasks[2];
	int result;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_wait_for(tasks[0], 20, &result), 0);
	CHECK_EQUAL(result, 5);
	CHECK_EQUAL(an_wait_for(tasks[1], AN_FOREVER, &result), 0);
	CHECK_EQUAL(result, -EIO);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

/* asyncio semantics 7: it cancels, and waits for the cleanup (bpo-32751). */
TASK_TEST(wait_for_waits_for_the_cleanup)
{
	struct worker worker = { .takes = 100, .cleanup = 50 };
	an_task *task;
	an_duration began = an_now();
	int result = 77;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_wait_for(task, 20, &result), -ETIMEDOUT);
	CHECK_EQUAL(an_now() - began, 70);
	CHECK(worker.finished);
	CHECK_EQUAL(result, 77);
	CHECK_EQUAL(an_testing_settle(), 0);
	return 0;
}

/* asyncio semantics 7: an error of the task comes through (bpo-40607). */
TASK_TEST(wait_for_passes_an_error_of_the_cleanup_on)
{
	struct worker worker = { .takes = 100, .cleanup = 50, .when_cancelled = -EIO };
	an_task *task;
	int result;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_wait_for(task, 20, &result), 0);
	CHECK_EQUAL(result, -EIO);
	return 0;
}

/* asyncio semantics 7: a value that came in spite of the cancellation wins
 * (bpo-37658). */
TASK_TEST(wait_for_returns_a_value_that_came_all_the_same)
{
	struct worker worker = { .takes = 100, .refuses = true, .result = 9 };
	an_task *task;
	int result;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_wait_for(task, 20, &result), 0);
	CHECK_EQUAL(result, 9);
	CHECK(worker.cancelled);
	return 0;
}

TASK_TEST(the_value_wins_when_both_are_due_at_once)
{
	struct worker worker = { .takes = 20, .result = 9 };
	an_task *task;
	int result;

	CHECK_EQUAL(an_spawn(works, &worker, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_wait_for(task, 20, &result), 0);
	CHECK_EQUAL(result, 9);
	CHECK(!worker.cancelled);
	return 0;
}

static int waits_for_one(void *arg)
{
	struct waiter *w = arg;

	w->result = an_wait_for(w->tasks[0], w->limit, &w->value);
	w->after = an_yield();
	return 0;
}

/* asyncio semantics 6: the caller's cancellation is forwarded to the task, ... */
TASK_TEST(wait_for_passes_a_cancellation_on)
{
	struct worker worker = { .takes = 100, .cleanup = 50 };
	an_task *inner, *task;
	struct waiter w = { .tasks = &inner, .limit = AN_FOREVER };
	an_duration began = an_now();

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	CHECK_EQUAL(an_spawn(waits_for_one, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(10), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, -ECANCELED);
	CHECK_EQUAL(an_now() - began, 60);
	CHECK(worker.cancelled && worker.finished);
	return 0;
}

/* ... which may refuse it; the caller's is not lost by that (semantics 8). */
TASK_TEST(a_task_may_refuse_a_cancellation_that_is_passed_on)
{
	struct worker worker = { .takes = 100, .refuses = true, .result = 3 };
	an_task *inner, *task;
	struct waiter w = { .tasks = &inner, .limit = AN_FOREVER };

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	CHECK_EQUAL(an_spawn(waits_for_one, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(10), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, 0);
	CHECK_EQUAL(w.value, 3);
	CHECK_EQUAL(w.after, -ECANCELED);
	return 0;
}

/* asyncio semantics 8: a cancellation that races with the end is never swallowed
 * (#86296). The value is returned and the next call sees it; asyncio raises at once. */
TASK_TEST_IN_ORDER(wait_for_never_swallows_a_cancellation)
{
	struct worker worker = { .yields = 1, .result = 4 };
	an_task *inner, *task;
	struct waiter w = { .tasks = &inner, .limit = AN_FOREVER };

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	CHECK_EQUAL(an_spawn(waits_for_one, &w, NULL, &task), 0);
	while (!worker.finished)
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(task));
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, 0);
	CHECK_EQUAL(w.value, 4);
	CHECK_EQUAL(w.after, -ECANCELED);
	return 0;
}

/* asyncio semantics 8: nor one that comes while it waits for the cleanup (#87555): it
 * outranks the limit. */
TASK_TEST(a_cancellation_during_the_cleanup_outranks_the_limit)
{
	struct worker worker = { .takes = 100, .cleanup = 50 };
	an_task *inner, *task;
	struct waiter w = { .tasks = &inner, .limit = 20 };

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	CHECK_EQUAL(an_spawn(waits_for_one, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(40), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(worker.finished);
	CHECK_EQUAL(w.result, -ECANCELED);
	CHECK_EQUAL(w.after, -ECANCELED);
	return 0;
}

/* asyncio semantics 9: a limit that is over: what has ended is returned, ... */
TASK_TEST_IN_ORDER(with_no_time_left_a_result_is_returned)
{
	struct worker workers[] = { { .result = 6 }, { .result = 7 } };
	an_task *tasks[2];
	int result;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_wait_for(tasks[0], 0, &result), 0);
	CHECK_EQUAL(result, 6);
	CHECK_EQUAL(an_wait_for(tasks[1], -5, &result), 0);
	CHECK_EQUAL(result, 7);
	return 0;
}

/* ... and what has not begun never does. */
TASK_TEST(with_no_time_left_a_task_never_starts)
{
	struct worker worker = { 0 };
	an_task *task;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_wait_for(task, 0, NULL), -ETIMEDOUT);
	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_wait_for(task, -5, NULL), -ETIMEDOUT);
	CHECK(!worker.started);
	return 0;
}

TASK_TEST(a_task_that_others_cancelled_has_ended_by_itself)
{
	struct worker worker = { .takes = 100 };
	an_task *task;
	int result;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(task);
	CHECK_EQUAL(an_wait_for(task, 20, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

TASK_TEST_IN_ORDER(a_cancelled_caller_gets_a_result_that_is_there)
{
	struct worker workers[] = { { .result = 6 }, { .takes = 10 } };
	an_task *tasks[2];
	an_timeout over;
	int result;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_wait_for(tasks[0], AN_FOREVER, &result), 0);
	CHECK_EQUAL(result, 6);
	CHECK_EQUAL(an_wait_for(tasks[1], AN_FOREVER, NULL), -ECANCELED);
	CHECK(workers[1].cancelled);
	CHECK_EQUAL(an_timeout_end(&over, -ECANCELED), -ETIMEDOUT);
	return 0;
}

TASK_TEST_IN_ORDER(what_is_waited_for_cannot_be_joined)
{
	struct worker worker = { .takes = 10, .result = 1 };
	an_task *inner, *task;
	struct waiter w = { .tasks = &inner, .limit = AN_FOREVER };

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	CHECK_EQUAL(an_spawn(waits_for_one, &w, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_join(inner, NULL), -EBUSY);
	CHECK_EQUAL(an_wait_for(inner, AN_FOREVER, NULL), -EBUSY);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.value, 1);
	return 0;
}

struct chase {
	struct worker worker;
	an_task *inner;
	struct waiter waiter;
};

static int begins_chase(void *arg)
{
	struct chase *c = arg;

	c->worker = (struct worker){ .yields = 5, .result = 2 };
	c->waiter = (struct waiter){
		.tasks = &c->inner, .limit = AN_FOREVER, .result = 1, .value = -1
	};
	return spawn_workers(&c->worker, 1, &c->inner);
}

static int waits_in_chase(void *arg)
{
	return waits_for_one(&((struct chase *)arg)->waiter);
}

/* The result is there or the task was cancelled; when it was never waited for it has been
 * left alone. */
static int ends_chase(void *arg)
{
	struct chase *c = arg;

	if (c->waiter.result == 1) {
		CHECK_EQUAL(an_join(c->inner, &c->waiter.value), 0);
		c->waiter.result = 0;
	}
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	/* A task that was cancelled before it began has not seen it. */
	if (c->worker.cancelled)
		CHECK_EQUAL(c->waiter.result, -ECANCELED);
	if (c->waiter.result != -ECANCELED)
		CHECK_EQUAL(c->waiter.result, 0);
	CHECK_EQUAL(c->waiter.value, c->waiter.result < 0 ? -1 : 2);
	return 0;
}

static struct chase chase;

CANCEL_TEST(wait_for_cancelled_at_each_step_loses_no_result, begins_chase, waits_in_chase,
	    ends_chase, &chase)

/* ---- a join is a shield ------------------------------------------------------------ */

/* asyncio semantics 20: the inner task survives the cancellation of who awaits it, and
 * nothing is left on it (bpo-35125): it can be awaited again and again. */
TASK_TEST(a_task_outlives_its_cancelled_joiners)
{
	struct worker worker = { .takes = 100, .result = 5 };
	an_task *inner, *joiner;
	int r;

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_spawn(joins, inner, NULL, &joiner), 0);
		CHECK_EQUAL(an_sleep(10), 0);
		an_cancel(joiner);
		CHECK_EQUAL(an_join(joiner, &r), 0);
		CHECK_EQUAL(r, -ECANCELED);
	}
	CHECK_EQUAL(an_join(inner, &r), 0);
	CHECK_EQUAL(r, 5);
	CHECK(!worker.cancelled);
	return 0;
}

static int fails_behind_a_joiner(an_task **ret_inner, struct worker *worker)
{
	an_task *joiner;
	int r;

	*worker = (struct worker){ .takes = 20, .result = -EIO };
	CHECK_EQUAL(spawn_workers(worker, 1, ret_inner), 0);
	CHECK_EQUAL(an_spawn(joins, *ret_inner, NULL, &joiner), 0);
	CHECK_EQUAL(an_sleep(10), 0);
	an_cancel(joiner);
	CHECK_EQUAL(an_join(joiner, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_sleep(20), 0);
	CHECK(worker->finished);
	return 0;
}

/* asyncio semantics 20: its error is reported once (#86802), not if it is later awaited
 * (#156321). */
TASK_TEST(a_failure_behind_a_cancelled_joiner_is_reported_once_or_seen)
{
	struct worker worker;
	an_task *inner;
	int r;

	CHECK_EQUAL(listen_to_complaints(), 0);
	CHECK_EQUAL(fails_behind_a_joiner(&inner, &worker), 0);
	CHECK_EQUAL(complaints, 0);
	an_detach(inner);
	CHECK_EQUAL(complaints, 1);
	CHECK_EQUAL(fails_behind_a_joiner(&inner, &worker), 0);
	CHECK_EQUAL(an_join(inner, &r), 0);
	CHECK_EQUAL(r, -EIO);
	CHECK_EQUAL(complaints, 1);
	return an_trace_set_hooks(NULL);
}

/* ---- all cancelled ----------------------------------------------------------------- */

TASK_TEST(all_are_cancelled_and_their_cleanup_is_awaited)
{
	struct worker workers[] = { { .takes = 10, .cleanup = 5 },
				    { .takes = 10, .cleanup = 7 },
				    { .takes = 10, .cleanup = 2 } };
	an_task *tasks[3];

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_cancel_all(tasks, 3), 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(workers[i].cancelled && workers[i].finished);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	CHECK_EQUAL(an_cancel_all(NULL, 0), 0);
	return 0;
}

TASK_TEST(a_task_that_is_cancelled_twice_is_consumed_once)
{
	struct worker workers[] = { { .takes = 10, .cleanup = 5 }, { .takes = 10 } };
	an_task *tasks[4], *next;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	tasks[2] = tasks[0];
	tasks[3] = tasks[1];
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_cancel_all(tasks, 4), 0);
	CHECK(workers[0].finished && workers[1].finished);
	/* What was freed twice would be given to both of them. */
	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	next = tasks[0];
	CHECK(next != tasks[1]);
	return an_cancel_all(tasks, 2);
}

static int joins_it(void *arg)
{
	return an_join(*(an_task **)arg, NULL);
}

/* The joiner frees the task while the others still clean up. */
TASK_TEST_IN_ORDER(what_another_joins_is_cancelled_and_awaited)
{
	struct worker workers[] = { { .takes = 10, .cleanup = 5 },
				    { .takes = 10, .cleanup = 2 } };
	an_task *tasks[2], *joiner;
	int result = 1;

	for (int longer = 0; longer < 2; longer++) {
		workers[longer].cleanup = 9;
		CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
		CHECK_EQUAL(an_spawn(joins_it, &tasks[1], NULL, &joiner), 0);
		CHECK_EQUAL(an_testing_settle(), 0);
		workers[0].finished = workers[1].finished = false;
		CHECK_EQUAL(an_cancel_all(tasks, 2), 0);
		CHECK(workers[0].finished && workers[1].finished);
		CHECK_EQUAL(an_join(joiner, &result), 0);
		CHECK_EQUAL(result, 0);
		CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	}
	return 0;
}

TASK_TEST(a_cancelled_caller_sees_all_of_them_end)
{
	struct worker workers[] = { { .takes = 10, .cleanup = 5 },
				    { .takes = 10, .cleanup = 7 } };
	an_task *tasks[2];
	an_timeout over;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_timeout_begin(&over, 3);
	CHECK_EQUAL(an_cancel_all(tasks, 2), -ECANCELED);
	CHECK(workers[0].finished && workers[1].finished);
	CHECK_EQUAL(an_timeout_end(&over, -ECANCELED), -ETIMEDOUT);
	return 0;
}

static int cancels_the_other(void *arg)
{
	an_task **other = arg;
	int r = an_sleep(10);

	an_cancel(*other);
	return r;
}

TASK_TEST(tasks_that_cancel_each_other_all_end)
{
	an_task *tasks[2];

	CHECK_EQUAL(an_spawn(cancels_the_other, &tasks[1], NULL, &tasks[0]), 0);
	CHECK_EQUAL(an_spawn(cancels_the_other, &tasks[0], NULL, &tasks[1]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_cancel_all(tasks, 2), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

TASK_TEST(nothing_is_cancelled_without_memory_or_with_the_caller)
{
	struct worker workers[17];
	an_task *tasks[18];

	for (int i = 0; i < 17; i++)
		workers[i] = (struct worker){ .takes = 10 };
	CHECK_EQUAL(spawn_workers(workers, 17, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	tasks[17] = an_current();
	CHECK_EQUAL(an_cancel_all(tasks, 18), -EDEADLK);
	an_testing_fail_allocation(1);
	CHECK_EQUAL(an_cancel_all(tasks, 17), -ENOMEM);
	CHECK(an_testing_allocation_failed());
	CHECK_EQUAL(an_check(), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (int i = 0; i < 17; i++)
		CHECK(!workers[i].finished);
	CHECK_EQUAL(an_cancel_all(tasks, 17), 0);
	for (int i = 0; i < 17; i++)
		CHECK(workers[i].cancelled);
	return 0;
}

/* On a loop that does not run just now. */
static void outside_a_task_they_refuse(void **state)
{
	struct event_base *base = event_base_new();
	struct worker worker = { 0 };
	an_loop *loop = NULL;
	an_task *task;

	(void)state;
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	assert_int_equal(an_spawn(works, &worker, NULL, &task), 0);
	assert_int_equal(an_wait(&task, 1, AN_ALL_COMPLETED, 0), AN_ERR_NO_TASK);
	assert_int_equal(an_wait_for(task, 0, NULL), AN_ERR_NO_TASK);
	assert_int_equal(an_gather(&task, 1, false, NULL), AN_ERR_NO_TASK);
	assert_int_equal(an_cancel_all(&task, 1), AN_ERR_NO_TASK);
	an_cancel(task);
	an_detach(task);
	assert_null(an_loop_detach(loop));
	event_base_free(base);
	assert_false(worker.started);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(all_completed_waits_for_the_last),
	cmocka_unit_test(first_completed_puts_what_has_ended_first),
	cmocka_unit_test(two_that_end_together_are_both_counted),
	cmocka_unit_test(first_exception_waits_for_a_failure),
	cmocka_unit_test(a_cancelled_task_is_no_first_exception),
	cmocka_unit_test(the_end_of_its_time_cancels_nothing),
	cmocka_unit_test(an_empty_wait_is_an_error),
	cmocka_unit_test(nobody_waits_for_himself),
	cmocka_unit_test(a_task_waited_for_twice_counts_twice),
	cmocka_unit_test(a_cancelled_wait_cancels_nothing),
	cmocka_unit_test(a_wait_that_is_over_beats_a_cancellation),
	cmocka_unit_test(tasks_may_be_joined_while_they_are_waited_for),
	cmocka_unit_test(a_failure_that_was_waited_for_is_not_reported),
	cmocka_unit_test(without_memory_nothing_is_waited_for),
	cmocka_unit_test(a_wait_cancelled_at_each_step_leaves_the_tasks_alone),
	cmocka_unit_test(wait_for_returns_what_the_task_returned),
	cmocka_unit_test(wait_for_waits_for_the_cleanup),
	cmocka_unit_test(wait_for_passes_an_error_of_the_cleanup_on),
	cmocka_unit_test(wait_for_returns_a_value_that_came_all_the_same),
	cmocka_unit_test(the_value_wins_when_both_are_due_at_once),
	cmocka_unit_test(wait_for_passes_a_cancellation_on),
	cmocka_unit_test(a_task_may_refuse_a_cancellation_that_is_passed_on),
	cmocka_unit_test(wait_for_never_swallows_a_cancellation),
	cmocka_unit_test(a_cancellation_during_the_cleanup_outranks_the_limit),
	cmocka_unit_test(with_no_time_left_a_result_is_returned),
	cmocka_unit_test(with_no_time_left_a_task_never_starts),
	cmocka_unit_test(a_task_that_others_cancelled_has_ended_by_itself),
	cmocka_unit_test(a_cancelled_caller_gets_a_result_that_is_there),
	cmocka_unit_test(what_is_waited_for_cannot_be_joined),
	cmocka_unit_test(wait_for_cancelled_at_each_step_loses_no_result),
	cmocka_unit_test(a_task_outlives_its_cancelled_joiners),
	cmocka_unit_test(a_failure_behind_a_cancelled_joiner_is_reported_once_or_seen),
	cmocka_unit_test(all_are_cancelled_and_their_cleanup_is_awaited),
	cmocka_unit_test(a_task_that_is_cancelled_twice_is_consumed_once),
	cmocka_unit_test(what_another_joins_is_cancelled_and_awaited),
	cmocka_unit_test(a_cancelled_caller_sees_all_of_them_end),
	cmocka_unit_test(tasks_that_cancel_each_other_all_end),
	cmocka_unit_test(nothing_is_cancelled_without_memory_or_with_the_caller),
	cmocka_unit_test(outside_a_task_they_refuse),
};

TEST_MAIN("wait", tests)
