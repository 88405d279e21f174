/* Tasks in the order in which they end. */
#include "tests/unit/combine/workers.h"

#define MANY 40 /* more than it has room for in one piece */

/* Takes the next and joins it. */
static int next_result(an_completed *c, int *ret_result)
{
	an_task *task;
	int r = an_completed_next(c, &task, NULL);

	if (r < 0)
		return r;
	CHECK(an_done(task));
	return an_join(task, ret_result);
}

TASK_TEST(tasks_are_returned_in_the_order_in_which_they_end)
{
	struct worker workers[] = {
		{ .takes = 30, .result = 3 },
		{ .takes = 10, .result = 1 },
		{ .takes = 20, .result = -EIO },
	};
	static const int expected[] = { 1, -EIO, 3 };
	an_duration began = an_now();
	an_task *tasks[3], *none = NULL;
	an_completed c;
	int result;

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 3), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(next_result(&c, &result), 0);
		CHECK_EQUAL(result, expected[i]);
		CHECK_EQUAL(an_now() - began, 10 * (i + 1));
	}
	CHECK_EQUAL(an_completed_next(&c, &none, NULL), AN_ERR_EOF);
	CHECK(!none);
	an_completed_end(&c);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

TASK_TEST(those_that_had_ended_come_first_and_in_their_order)
{
	struct worker workers[] = { { .takes = 10, .result = 3 },
				    { .yields = 1, .result = 1 },
				    { .result = 2 } };
	an_task *tasks[3];
	an_completed c;
	int result;

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 3), 0);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQUAL(next_result(&c, &result), 0);
		CHECK_EQUAL(result, i);
	}
	an_completed_end(&c);
	return 0;
}

TASK_TEST(an_iteration_over_nothing_is_over)
{
	an_task *task;
	an_completed c;

	CHECK_EQUAL(an_completed_begin(&c, NULL, 0), 0);
	CHECK_EQUAL(an_completed_next(&c, &task, NULL), AN_ERR_EOF);
	an_completed_end(&c);
	an_completed_end(&c);
	CHECK_EQUAL(an_completed_next(&c, &task, NULL), AN_ERR_MISUSE);
	return 0;
}

TASK_TEST(a_task_that_is_given_twice_is_returned_once)
{
	struct worker workers[] = { { .takes = 10 }, { 0 } };
	an_task *tasks[4], *task;
	an_completed c;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	tasks[2] = tasks[0];
	tasks[3] = tasks[1];
	CHECK_EQUAL(an_completed_begin(&c, tasks, 4), 0);
	CHECK_EQUAL(next_result(&c, NULL), 0);
	CHECK_EQUAL(next_result(&c, NULL), 0);
	CHECK_EQUAL(an_completed_next(&c, &task, NULL), AN_ERR_EOF);
	an_completed_end(&c);
	return 0;
}

/* asyncio semantics 19: when the time is over, every further call says so, and the tasks
 * run on. */
/* The memory of one that was joined is the next task's, which another iteration holds. */
TASK_TEST(what_was_returned_is_left_alone_by_the_end)
{
	struct worker workers[] = { { .result = 1 }, { .takes = 10 } };
	an_task *tasks[2], *next;
	an_completed first, second;

	CHECK_EQUAL(spawn_workers(workers, 1, tasks), 0);
	tasks[1] = tasks[0];
	CHECK_EQUAL(an_completed_begin(&first, tasks, 2), 0);
	CHECK_EQUAL(an_completed_next(&first, &next, NULL), 0);
	CHECK_EQUAL(an_join(next, NULL), 0);
	CHECK_EQUAL(spawn_workers(&workers[1], 1, tasks), 0);
	CHECK(tasks[0] == next);
	CHECK_EQUAL(an_completed_begin(&second, tasks, 1), 0);
	an_completed_end(&first);
	CHECK_EQUAL(an_join(tasks[0], NULL), -EBUSY);
	an_completed_end(&second);
	return end_workers(tasks, 1);
}

TASK_TEST(when_the_time_is_over_the_tasks_run_on)
{
	struct worker workers[] = { { .takes = 30, .result = 3 },
				    { .takes = 10, .result = 1 },
				    { .takes = 40, .result = 4 } };
	an_task *tasks[3], *task;
	an_timeout limit;
	an_completed c;
	int result, r;

	CHECK_EQUAL(spawn_workers(workers, 3, tasks), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 3), 0);
	an_timeout_begin(&limit, 20);
	CHECK_EQUAL(next_result(&c, &result), 0);
	CHECK_EQUAL(result, 1);
	r = an_completed_next(&c, &task, NULL);
	CHECK_EQUAL(an_completed_next(&c, &task, NULL), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	/* The iteration can go on, ... */
	CHECK_EQUAL(next_result(&c, &result), 0);
	CHECK_EQUAL(result, 3);
	CHECK(is_watched(tasks[2]));
	an_completed_end(&c);
	/* ... and end before its tasks. */
	CHECK(!is_watched(tasks[2]));
	CHECK_EQUAL(an_join(tasks[2], &result), 0);
	CHECK_EQUAL(result, 4);
	for (int i = 0; i < 3; i++)
		CHECK(!workers[i].cancelled);
	return 0;
}

/* ---- several that iterate ---------------------------------------------------------- */

struct taker {
	an_completed *c;
	int result, value, after;
};

static int takes_one(void *arg)
{
	struct taker *t = arg;

	t->result = next_result(t->c, &t->value);
	t->after = an_yield();
	return 0;
}

TASK_TEST_IN_ORDER(those_who_wait_are_served_in_their_order)
{
	struct worker workers[] = { { .takes = 20, .result = 2 },
				    { .takes = 10, .result = 1 } };
	an_task *tasks[2], *takers[4];
	struct taker t[4];
	an_completed c;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 2), 0);
	for (int i = 0; i < 4; i++) {
		t[i] = (struct taker){ .c = &c };
		CHECK_EQUAL(an_spawn(takes_one, &t[i], NULL, &takers[i]), 0);
		CHECK_EQUAL(an_testing_settle(), 0);
	}
	CHECK_EQUAL(join_workers(takers, 4), 0);
	CHECK_EQUAL(t[0].value, 1);
	CHECK_EQUAL(t[1].value, 2);
	CHECK_EQUAL(t[2].result, AN_ERR_EOF); /* nothing is left for these */
	CHECK_EQUAL(t[3].result, AN_ERR_EOF);
	an_completed_end(&c);
	return 0;
}

TASK_TEST_IN_ORDER(the_end_wakes_who_waits)
{
	struct worker worker = { .takes = 10 };
	struct taker t;
	an_task *task, *taker;
	an_completed c;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_completed_begin(&c, &task, 1), 0);
	t = (struct taker){ .c = &c };
	CHECK_EQUAL(an_spawn(takes_one, &t, NULL, &taker), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_completed_end(&c);
	CHECK_EQUAL(an_join(taker, NULL), 0);
	CHECK_EQUAL(t.result, AN_ERR_EOF);
	return an_join(task, NULL);
}

/* asyncio semantics 2: a task that ended before the cancellation is returned, and the
 * next call sees the cancellation. The iteration may be gone by then. */
TASK_TEST_IN_ORDER(a_task_that_was_assigned_beats_a_cancellation)
{
	struct worker worker = { .yields = 1, .result = 6 };
	an_task *task, *taker;
	struct taker t;
	an_completed c;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_completed_begin(&c, &task, 1), 0);
	t = (struct taker){ .c = &c };
	CHECK_EQUAL(an_spawn(takes_one, &t, NULL, &taker), 0);
	while (!worker.finished)
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(taker));
	an_cancel(taker);
	CHECK_EQUAL(an_join(task, NULL), -EBUSY); /* it is the taker's */
	an_completed_end(&c);
	CHECK_EQUAL(an_join(task, NULL), -EBUSY);
	CHECK_EQUAL(an_join(taker, NULL), 0);
	CHECK_EQUAL(t.result, -ECANCELED); /* of the join behind it */
	CHECK_EQUAL(t.after, -ECANCELED);
	CHECK_EQUAL(an_join(task, &t.value), 0);
	CHECK_EQUAL(t.value, 6);
	return 0;
}

/* ---- at each step ------------------------------------------------------------------ */

#define WORKERS 20

static struct torture {
	struct worker workers[WORKERS];
	an_task *tasks[WORKERS];
	an_completed c;
	int taken[WORKERS];
	size_t count;
} torture;

static int begins_torture(void *arg)
{
	(void)arg;
	for (int i = 0; i < WORKERS; i++)
		torture.workers[i] =
			(struct worker){ .yields = i * 7 % WORKERS, .result = i };
	torture.count = 0;
	CHECK_EQUAL(spawn_workers(torture.workers, WORKERS, torture.tasks), 0);
	return an_completed_begin(&torture.c, torture.tasks, WORKERS);
}

static int takes_all(void *arg)
{
	an_task *task;
	int r;

	(void)arg;
	while ((r = an_completed_next(&torture.c, &task, NULL)) == 0) {
		int value = -1;

		CHECK_EQUAL(an_task_result(task, &value), 0);
		torture.taken[torture.count++] = value;
	}
	return r;
}

/* Somebody else takes what the cancelled one left: each task comes once. */
static int ends_torture(void *arg)
{
	bool seen[WORKERS] = { false };

	CHECK_EQUAL(takes_all(arg), AN_ERR_EOF);
	CHECK_EQUAL(torture.count, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		CHECK(torture.taken[i] >= 0 && !seen[torture.taken[i]]);
		seen[torture.taken[i]] = true;
	}
	an_completed_end(&torture.c);
	return join_workers(torture.tasks, WORKERS);
}

static int takes_all_there_are(void *arg)
{
	int r = takes_all(arg);

	return r == AN_ERR_EOF ? 0 : r;
}

CANCEL_TEST(cancelled_at_each_step_it_skips_nobody, begins_torture, takes_all_there_are,
	    ends_torture, NULL)

/* ---- handles ----------------------------------------------------------------------- */

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

TASK_TEST_IN_ORDER(the_handles_are_held_until_they_are_returned)
{
	struct worker workers[] = { { .takes = 10 }, { .takes = 20 } };
	an_task *tasks[2], *task, *joiner;
	an_completed c, other;

	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	CHECK_EQUAL(an_spawn(joins, tasks[1], NULL, &joiner), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 2), -EBUSY);
	CHECK_EQUAL(an_completed_next(&c, &task, NULL), AN_ERR_MISUSE);
	an_completed_end(&c);
	an_cancel(joiner);
	CHECK_EQUAL(an_join(joiner, NULL), 0);
	CHECK_EQUAL(an_completed_begin(&c, tasks, 2), 0);
	CHECK_EQUAL(an_completed_begin(&other, tasks, 2), -EBUSY);
	CHECK_EQUAL(an_join(tasks[0], NULL), -EBUSY);
	CHECK(!an_detach(tasks[0]));
	CHECK_EQUAL(next_result(&c, NULL), 0);
	an_completed_end(&c);
	return an_join(tasks[1], NULL);
}

TASK_TEST(nobody_iterates_over_himself)
{
	an_task *self = an_current();
	an_completed c;

	CHECK_EQUAL(an_completed_begin(&c, &self, 1), -EDEADLK);
	an_completed_end(&c);
	return 0;
}

TASK_TEST(without_memory_it_does_not_begin)
{
	static struct worker workers[MANY];
	an_task *tasks[MANY];
	int failures = 0, r;
	an_completed c;

	CHECK_EQUAL(spawn_workers(workers, MANY, tasks), 0);
	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_completed_begin(&c, tasks, MANY);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		failures++;
	}
	CHECK_EQUAL(failures, 2);
	CHECK_EQUAL(r, 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(next_result(&c, NULL), 0);
	an_completed_end(&c);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(tasks_are_returned_in_the_order_in_which_they_end),
	cmocka_unit_test(those_that_had_ended_come_first_and_in_their_order),
	cmocka_unit_test(an_iteration_over_nothing_is_over),
	cmocka_unit_test(a_task_that_is_given_twice_is_returned_once),
	cmocka_unit_test(what_was_returned_is_left_alone_by_the_end),
	cmocka_unit_test(when_the_time_is_over_the_tasks_run_on),
	cmocka_unit_test(those_who_wait_are_served_in_their_order),
	cmocka_unit_test(the_end_wakes_who_waits),
	cmocka_unit_test(a_task_that_was_assigned_beats_a_cancellation),
	cmocka_unit_test(cancelled_at_each_step_it_skips_nobody),
	cmocka_unit_test(the_handles_are_held_until_they_are_returned),
	cmocka_unit_test(nobody_iterates_over_himself),
	cmocka_unit_test(without_memory_it_does_not_begin),
};

TEST_MAIN("completed", tests)
