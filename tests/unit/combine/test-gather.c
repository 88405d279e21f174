/* an_gather(). */
#include "tests/unit/combine/workers.h"

#define MANY 40 /* more than it has room for on the stack */

/* asyncio semantics 17: the results come in the order of the arguments. */
TASK_TEST(results_are_in_the_order_of_the_arguments)
{
	struct worker workers[] = {
		{ .takes = 30, .result = 1 },
		{ .takes = 10, .result = 2 },
		{ .takes = 20, .result = 3 },
	};
	int results[3] = { 0 };
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_gather(tasks, 3, false, results), 0);
	CHECK_EQUAL(an_now() - began, 30);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(results[i], i + 1);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

TASK_TEST(nothing_to_gather_is_complete)
{
	CHECK_EQUAL(an_gather(NULL, 0, false, NULL), 0);
	CHECK_EQUAL(an_gather(NULL, 0, true, NULL), 0);
	return 0;
}

/* asyncio semantics 17: a task that is given twice is run once and stands in the results
 * twice. */
TASK_TEST(a_task_may_be_given_more_than_once)
{
	struct worker workers[] = { { .takes = 10, .result = 1 }, { .result = 2 } };
	an_task *tasks[2], *list[5];
	int results[5] = { 0 };

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	for (int i = 0; i < 5; i++)
		list[i] = tasks[i & 1];
	CHECK_EQUAL(an_gather(list, 5, false, results), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(results[i], 1 + (i & 1));
	return 0;
}

TASK_TEST(a_failing_task_given_twice_is_the_callers_once)
{
	struct worker worker = { .takes = 10, .result = -EIO };
	an_task *tasks[3];

	CHECK_EQUAL(spawn_workers(&worker, 1, tasks), 0);
	tasks[1] = tasks[2] = tasks[0];
	CHECK_EQUAL(an_gather(tasks, 3, false, NULL), -EIO);
	CHECK_EQUAL(join_workers(tasks, 1), 0);
	return 0;
}

/* asyncio semantics 17: the first failure is returned at once, siblings run on. */
TASK_TEST(the_first_failure_ends_it_and_the_siblings_run_on)
{
	struct worker workers[] = {
		{ .takes = 30, .result = 7 },
		{ .takes = 20, .result = -EPIPE },
		{ .takes = 10, .result = -EIO },
	};
	int results[3] = { 5, 5, 5 };
	an_task *tasks[3];
	an_duration began = an_now();

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_gather(tasks, 3, false, results), -EIO);
	CHECK_EQUAL(an_now() - began, 10);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(results[i], 5);
	CHECK(!an_done(tasks[0]) && !an_done(tasks[1]) && an_done(tasks[2]));
	CHECK(!is_watched(tasks[0]) && !is_watched(tasks[1]));
	CHECK_EQUAL(an_join(tasks[0], &results[0]), 0);
	CHECK_EQUAL(results[0], 7);
	CHECK(!workers[0].cancelled);
	CHECK_EQUAL(join_workers(tasks + 1, 2), 0);
	return 0;
}

/* Of those that have failed in one turn, too. */
TASK_TEST_IN_ORDER(the_failure_that_came_first_is_the_one)
{
	struct worker workers[] = {
		{ .yields = 1, .result = -EPIPE },
		{ .result = -EIO },
		{ .result = -EBADF },
	};
	an_task *tasks[3];

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_gather(tasks, 3, false, NULL), -EIO);
	CHECK_EQUAL(join_workers(tasks, 3), 0);
	return 0;
}

TASK_TEST(with_return_errors_a_failure_is_a_result)
{
	struct worker workers[] = {
		{ .takes = 10, .result = -EIO },
		{ .takes = 20, .result = 4 },
		{ .result = -EPIPE },
	};
	an_task *tasks[3];
	int results[3];

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_gather(tasks, 3, true, results), 0);
	CHECK_EQUAL(results[0], -EIO);
	CHECK_EQUAL(results[1], 4);
	CHECK_EQUAL(results[2], -EPIPE);
	return 0;
}

/* asyncio semantics 17: tasks that have ended before are as good as others
 * (bpo-46672). */
TASK_TEST_IN_ORDER(tasks_that_have_ended_already_need_no_wait)
{
	struct worker workers[] = { { .result = 1 },
				    { .result = -EIO },
				    { .result = -EPIPE } };
	an_task *tasks[3];
	int results[3];

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_gather(tasks, 3, false, NULL), -EIO);
	CHECK_EQUAL(an_gather(tasks, 3, true, results), 0);
	CHECK_EQUAL(results[0], 1);
	CHECK_EQUAL(results[1], -EIO);
	CHECK_EQUAL(results[2], -EPIPE);
	return 0;
}

/* ---- cancellation ------------------------------------------------------------------ */

struct gatherer {
	an_task *tasks[MANY];
	size_t count;
	bool return_errors, goes_on;
	int results[MANY];
	int result, after; /* of the gather and of the next suspending call */
};

static int gathers(void *arg)
{
	struct gatherer *g = arg;

	g->result = an_gather(g->tasks, g->count, g->return_errors, g->results);
	g->after = an_yield();
	return g->result;
}

/* asyncio semantics 17: a cancellation reaches all children, with return_errors, too
 * (bpo-32684). asyncio semantics 6: it is forwarded, and a child may refuse. */
static int cancels_the_children(bool return_errors)
{
	struct worker workers[] = {
		{ .takes = 30, .cleanup = 100 },
		{ .takes = 20, .when_cancelled = -EIO },
		{ .takes = 10, .refuses = true, .result = 3 },
		{ 0 },
	};
	struct gatherer g = { .count = 4, .return_errors = return_errors };
	an_duration began = an_now();
	an_task *gatherer;
	int r;

	CHECK_EQUAL(spawn_workers(workers, 4, g.tasks), 0);
	CHECK_EQUAL(an_spawn(gathers, &g, NULL, &gatherer), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(gatherer);
	CHECK_EQUAL(an_join(gatherer, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_now() - began, 0); /* it does not wait for the cleanup */
	CHECK(!an_done(g.tasks[0]));
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(an_join(g.tasks[i], &g.results[i]), 0);
	CHECK_EQUAL(an_now() - began, 100);
	CHECK_EQUAL(g.results[0], -ECANCELED);
	CHECK_EQUAL(g.results[1], -EIO);
	CHECK_EQUAL(g.results[2], 3); /* it refused */
	CHECK(workers[2].cancelled);
	CHECK_EQUAL(g.results[3], 0); /* had ended */
	return 0;
}

TASK_TEST_IN_ORDER(a_cancellation_reaches_all_children)
{
	CHECK_EQUAL(cancels_the_children(false), 0);
	CHECK_EQUAL(cancels_the_children(true), 0);
	return 0;
}

TASK_TEST(a_caller_that_is_cancelled_already_passes_that_on)
{
	struct worker workers[] = { { .takes = 30 }, { 0 } };
	an_task *tasks[2];
	an_timeout over;
	int results[2];

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_gather(tasks, 2, false, NULL), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_gather(tasks, 2, true, results), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(results[i], -ECANCELED);
		CHECK(!workers[i].started);
	}
	return 0;
}

/* asyncio semantics 17: a child that was cancelled is not a gather that was. */
TASK_TEST(a_cancelled_child_is_no_cancelled_gather)
{
	struct worker workers[] = { { .takes = 30, .result = 1 }, { .takes = 20 } };
	struct gatherer g = { .count = 2 };
	an_task *gatherer;

	CHECK_EQUAL(spawn_workers(workers, 2, g.tasks), 0);
	CHECK_EQUAL(an_spawn(gathers, &g, NULL, &gatherer), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(g.tasks[1]);
	CHECK_EQUAL(an_join(gatherer, NULL), 0);
	CHECK_EQUAL(g.result, -ECANCELED);
	CHECK_EQUAL(g.after, 0); /* the gatherer itself is not */
	CHECK(!an_done(g.tasks[0]));
	CHECK_EQUAL(an_gather(g.tasks, 2, true, g.results), 0);
	CHECK_EQUAL(g.results[0], 1);
	CHECK_EQUAL(g.results[1], -ECANCELED);
	CHECK(!workers[0].cancelled);
	return 0;
}

/* asyncio semantics 2: the cancellation comes after the last result and before the
 * gatherer runs. asyncio raises CancelledError and keeps the results in the future; here
 * they are returned, and the next call sees the cancellation. */
TASK_TEST_IN_ORDER(results_that_are_complete_beat_a_cancellation)
{
	struct worker worker = { .yields = 1, .result = 8 };
	struct gatherer g = { .count = 1 };
	an_task *gatherer;

	CHECK_EQUAL(an_spawn(works, &worker, NULL, &g.tasks[0]), 0);
	CHECK_EQUAL(an_spawn(gathers, &g, NULL, &gatherer), 0);
	while (!worker.finished)
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(gatherer));
	an_cancel(gatherer);
	CHECK_EQUAL(an_join(gatherer, NULL), 0);
	CHECK_EQUAL(g.result, 0);
	CHECK_EQUAL(g.results[0], 8);
	CHECK_EQUAL(g.after, -ECANCELED);
	return 0;
}

TASK_TEST(a_limit_around_it_cancels_the_children)
{
	struct worker workers[] = { { .takes = 30 }, { .takes = 10, .result = -EIO } };
	an_task *tasks[2];
	int results[2];
	an_timeout limit;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	an_timeout_begin(&limit, 20);
	CHECK_EQUAL(an_timeout_end(&limit, an_gather(tasks, 2, true, results)),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_gather(tasks, 2, true, results), 0);
	CHECK_EQUAL(results[0], -ECANCELED);
	CHECK_EQUAL(results[1], -EIO);
	return 0;
}

static int gathers_one(void *arg)
{
	an_task **next = arg;

	return an_gather(next, 1, false, NULL);
}

/* Each gathers the one before it; they hold their handles in `tasks`. */
TASK_TEST_IN_ORDER(a_cancellation_goes_down_a_long_chain)
{
	static an_task *tasks[1000];
	struct worker worker = { .takes = AN_HOUR };
	int r;

	CHECK_EQUAL(an_spawn(works, &worker, NULL, &tasks[0]), 0);
	for (size_t i = 1; i < COUNT(tasks); i++)
		CHECK_EQUAL(an_spawn(gathers_one, &tasks[i - 1], NULL, &tasks[i]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(tasks[COUNT(tasks) - 1]);
	for (size_t i = COUNT(tasks); i--;) {
		CHECK_EQUAL(an_join(tasks[i], &r), 0);
		CHECK_EQUAL(r, -ECANCELED);
	}
	CHECK(worker.cancelled);
	return 0;
}

/* ---- at each step ------------------------------------------------------------------ */

struct torture {
	struct worker workers[20];
	struct gatherer g;
};

static int begins_torture(void *arg)
{
	struct torture *t = arg;

	for (size_t i = 0; i < COUNT(t->workers); i++)
		t->workers[i] =
			(struct worker){ .yields = (int)(i * 7 % 20), .result = (int)i };
	t->g.count = COUNT(t->workers);
	return spawn_workers(t->workers, t->g.count, t->g.tasks);
}

static int gathers_in_torture(void *arg)
{
	return gathers(&((struct torture *)arg)->g);
}

/* Either all is gathered, or every handle is the caller's. A gather that had not begun
 * has cancelled nothing. */
static int ends_torture(void *arg)
{
	struct torture *t = arg;

	for (size_t i = 0; i < t->g.count; i++) {
		if (t->g.result < 0)
			CHECK_EQUAL(an_join(t->g.tasks[i], &t->g.results[i]), 0);
		if (!t->workers[i].finished || t->workers[i].cancelled)
			CHECK_EQUAL(t->g.results[i], -ECANCELED);
		else
			CHECK_EQUAL(t->g.results[i], i);
	}
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	t->g.result = -ECANCELED; /* should the next never start */
	return 0;
}

static struct torture plain = { .g.result = -ECANCELED };
static struct torture tolerant = { .g.result = -ECANCELED, .g.return_errors = true };

CANCEL_TEST(cancelled_at_each_step_it_loses_no_handle, begins_torture, gathers_in_torture,
	    ends_torture, &plain)
CANCEL_TEST(nor_when_errors_are_results, begins_torture, gathers_in_torture, ends_torture,
	    &tolerant)

/* ---- handles ----------------------------------------------------------------------- */

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

TASK_TEST_IN_ORDER(what_is_joined_elsewhere_cannot_be_gathered)
{
	struct worker workers[] = { { .takes = 10 }, { .takes = 10 } };
	an_task *tasks[2], *joiner;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_spawn(joins, tasks[1], NULL, &joiner), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_gather(tasks, 2, false, NULL), -EBUSY);
	CHECK_EQUAL(an_join(joiner, NULL), 0);
	CHECK_EQUAL(an_gather(tasks, 1, false, NULL), 0);
	return 0;
}

TASK_TEST_IN_ORDER(what_is_being_gathered_cannot_be_joined_or_detached)
{
	struct worker worker = { .takes = 10 };
	struct gatherer g = { .count = 1 };
	an_task *gatherer;

	CHECK_EQUAL(spawn_workers(&worker, 1, g.tasks), 0);
	CHECK_EQUAL(an_spawn(gathers, &g, NULL, &gatherer), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_join(g.tasks[0], NULL), -EBUSY);
	CHECK_EQUAL(an_gather(g.tasks, 1, false, NULL), -EBUSY);
	CHECK(!an_detach(g.tasks[0]));
	CHECK_EQUAL(an_join(gatherer, NULL), 0);
	CHECK_EQUAL(g.result, 0);
	return 0;
}

TASK_TEST(nobody_gathers_himself)
{
	struct worker worker = { .takes = 10 };
	an_task *tasks[2];

	CHECK_EQUAL(spawn_workers(&worker, 1, tasks), 0);
	tasks[1] = an_current();
	CHECK_EQUAL(an_gather(tasks, 2, false, NULL), -EDEADLK);
	CHECK_EQUAL(an_gather(tasks, 1, false, NULL), 0);
	return 0;
}

TASK_TEST_IN_ORDER(a_failure_that_was_gathered_is_not_reported)
{
	struct worker workers[] = { { .result = -EIO },
				    { .result = -EPIPE },
				    { .takes = 10, .result = -EIO } };
	an_task *tasks[3];

	CHECK_EQUAL(listen_to_complaints(), 0);
	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_gather(tasks, 3, false, NULL), -EIO);
	an_detach(tasks[0]);
	an_detach(tasks[1]);
	CHECK_EQUAL(complaints, 0);
	an_detach(tasks[2]); /* nobody is looking when this one fails */
	CHECK_EQUAL(an_sleep(20), 0);
	CHECK_EQUAL(complaints, 1);
	return an_trace_set_hooks(NULL);
}

TASK_TEST(without_memory_nothing_has_happened)
{
	static struct worker workers[MANY];
	an_task *tasks[MANY];
	int results[MANY], failures = 0, r;

	for (int i = 0; i < MANY; i++)
		workers[i] = (struct worker){ .takes = i, .result = i };
	CHECK_EQUAL(spawn_workers(workers, MANY, tasks), 0);
	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_gather(tasks, MANY, false, results);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		failures++;
	}
	CHECK_EQUAL(failures, 1);
	CHECK_EQUAL(r, 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(results[i], i);
	return 0;
}

static void outside_a_task_it_refuses(void **state)
{
	(void)state;
	assert_int_equal(an_gather(NULL, 0, false, NULL), AN_ERR_NO_TASK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(results_are_in_the_order_of_the_arguments),
	cmocka_unit_test(nothing_to_gather_is_complete),
	cmocka_unit_test(a_task_may_be_given_more_than_once),
	cmocka_unit_test(a_failing_task_given_twice_is_the_callers_once),
	cmocka_unit_test(the_first_failure_ends_it_and_the_siblings_run_on),
	cmocka_unit_test(the_failure_that_came_first_is_the_one),
	cmocka_unit_test(with_return_errors_a_failure_is_a_result),
	cmocka_unit_test(tasks_that_have_ended_already_need_no_wait),
	cmocka_unit_test(a_cancellation_reaches_all_children),
	cmocka_unit_test(a_caller_that_is_cancelled_already_passes_that_on),
	cmocka_unit_test(a_cancelled_child_is_no_cancelled_gather),
	cmocka_unit_test(results_that_are_complete_beat_a_cancellation),
	cmocka_unit_test(a_limit_around_it_cancels_the_children),
	cmocka_unit_test(a_cancellation_goes_down_a_long_chain),
	cmocka_unit_test(cancelled_at_each_step_it_loses_no_handle),
	cmocka_unit_test(nor_when_errors_are_results),
	cmocka_unit_test(what_is_joined_elsewhere_cannot_be_gathered),
	cmocka_unit_test(what_is_being_gathered_cannot_be_joined_or_detached),
	cmocka_unit_test(nobody_gathers_himself),
	cmocka_unit_test(a_failure_that_was_gathered_is_not_reported),
	cmocka_unit_test(without_memory_nothing_has_happened),
	cmocka_unit_test(outside_a_task_it_refuses),
};

TEST_MAIN("gather", tests)
