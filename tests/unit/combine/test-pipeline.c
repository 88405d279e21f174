/* Stages that hand items to each other through queues. */
#include "tests/support/run.h"

#include <errno.h>

/* What goes through is counted: no item may be lost or seen twice. */
struct line {
	int count;  /* items that the first stage makes */
	int wanted; /* that the last stage takes before it returns; 0: all */
	int fails;  /* the middle stage fails at this item; 0: never */
	int made, kept, dropped, taken, sum, most;
};

static int token; /* an item is &token + its number, never looked into */

static void *item_of(int n)
{
	return (char *)&token + n;
}

static int number_of(const void *item)
{
	return (int)((const char *)item - (const char *)&token);
}

static void drop(void *arg, void *item)
{
	struct line *l = arg;

	(void)item;
	l->dropped++;
}

static void note_most(struct line *l)
{
	int between = l->made - l->kept - l->dropped - l->taken;

	if (between > l->most)
		l->most = between;
}

static int make(an_queue *in, an_queue *out, void *arg)
{
	struct line *l = arg;
	int r = 0;

	CHECK(!in);
	while (r == 0 && l->made < l->count) {
		r = an_queue_put(out, item_of(++l->made));
		if (r < 0)
			l->kept++;
		note_most(l);
	}
	return r;
}

static int pass_on(an_queue *in, an_queue *out, void *arg)
{
	struct line *l = arg;
	void *item;
	int r;

	while ((r = an_queue_get(in, &item)) == 0) {
		r = number_of(item) == l->fails ? -EIO : an_yield();
		if (r == 0)
			r = an_queue_put(out, item);
		if (r < 0) {
			l->kept++;
			break;
		}
	}
	return r;
}

static int take(an_queue *in, an_queue *out, void *arg)
{
	struct line *l = arg;
	void *item;
	int r;

	CHECK(!out);
	while ((!l->wanted || l->taken < l->wanted) &&
	       (r = an_queue_get(in, &item)) == 0) {
		l->taken++;
		l->sum += number_of(item);
	}
	return 0;
}

static int leave_at_once(an_queue *in, an_queue *out, void *arg)
{
	(void)in;
	(void)out;
	(void)arg;
	return 0;
}

static int run_line(struct line *l, size_t capacity, size_t workers)
{
	const an_stage stages[] = {
		{ .fn = make, .arg = l, .capacity = capacity, .drop = drop },
		{ .fn = pass_on,
		  .arg = l,
		  .capacity = capacity,
		  .drop = drop,
		  .workers = workers,
		  .name = "pass" },
		{ .fn = take, .arg = l },
	};

	return an_pipeline(stages, 3);
}

TASK_TEST(every_item_goes_through_all_stages)
{
	for (size_t capacity = 0; capacity < 4; capacity++) {
		for (size_t workers = 0; workers < 4; workers++) {
			struct line l = { .count = 20 };

			CHECK_EQUAL(run_line(&l, capacity, workers), 0);
			CHECK_EQUAL(l.taken, 20);
			CHECK_EQUAL(l.sum, 210);
			CHECK_EQUAL(l.kept + l.dropped, 0);
		}
	}
	return 0;
}

/* Two queues of two, one in the hands of each of the first two stages. */
TASK_TEST(a_fast_stage_waits_for_a_slow_one)
{
	struct line l = { .count = 100 };

	CHECK_EQUAL(run_line(&l, 2, 1), 0);
	CHECK(l.most >= 2);
	CHECK(l.most <= 6);
	return 0;
}

TASK_TEST(a_last_stage_that_has_enough_ends_the_ones_before)
{
	struct line l = { .count = 1000000, .wanted = 10 };

	CHECK_EQUAL(run_line(&l, 3, 2), 0);
	CHECK_EQUAL(l.taken, 10);
	CHECK(l.made < 30);
	CHECK_EQUAL(l.made, l.taken + l.kept + l.dropped);
	return 0;
}

TASK_TEST(one_failure_ends_all_and_nothing_lies_around)
{
	for (size_t capacity = 0; capacity < 5; capacity++) {
		struct line l = { .count = 1000000, .fails = 10 };

		CHECK_EQUAL(run_line(&l, capacity, 2), -EIO);
		CHECK(l.taken < 30);
		CHECK_EQUAL(l.made, l.taken + l.kept + l.dropped);
	}
	return 0;
}

static int alone(an_queue *in, an_queue *out, void *arg)
{
	++*(int *)arg;
	return in || out ? CHECK_FAILED : 0;
}

TASK_TEST(a_pipeline_has_a_stage_and_each_a_function)
{
	int runs = 0;
	const an_stage stages[] = { { .fn = alone, .arg = &runs, .workers = 3 },
				    { .arg = &runs } };

	CHECK_EQUAL(an_pipeline(stages, 0), -EINVAL);
	CHECK_EQUAL(an_pipeline(stages, 2), -EINVAL);
	CHECK_EQUAL(runs, 0);
	CHECK_EQUAL(an_pipeline(stages, 1), 0);
	CHECK_EQUAL(runs, 3);
	return 0;
}

TASK_TEST(each_allocation_fails_once)
{
	size_t tried;
	int r;

	for (tried = 1;; tried++) {
		struct line l = { .count = 20 };

		an_testing_fail_allocation(tried);
		r = run_line(&l, 4, 2);
		CHECK_EQUAL(l.made, l.taken + l.kept + l.dropped);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
	}
	CHECK(tried > 3);
	return r;
}

TASK_TEST(in_a_cancelled_scope_no_stage_runs)
{
	struct line l = { .count = 20 };
	an_timeout over;

	an_timeout_begin(&over, 0);
	CHECK_EQUAL(run_line(&l, 1, 1), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK_EQUAL(l.made, 0);
	return 0;
}

TASK_TEST(any_stage_may_end_before_the_others)
{
	for (int early = 0; early < 5; early++) {
		struct line l = { .count = 1000000 };
		an_stage stages[5];

		for (int i = 0; i < 5; i++)
			stages[i] = (an_stage){ .fn = i == 0   ? make
						      : i == 4 ? take
							       : pass_on,
						.arg = &l,
						.capacity = (size_t)i,
						.drop = drop };
		stages[early].fn = leave_at_once;
		CHECK_EQUAL(an_pipeline(stages, 5), 0);
		CHECK_EQUAL(l.made, l.taken + l.kept + l.dropped);
		CHECK(l.made < 30);
	}
	return 0;
}

static struct line cancelled_line;

static int fresh_line(void *arg)
{
	*(struct line *)arg = (struct line){ .count = 6 };
	return 0;
}

static int whole_line(void *arg)
{
	return run_line(arg, 1, 2);
}

static int nothing_lost(void *arg)
{
	struct line *l = arg;

	CHECK_EQUAL(l->made, l->taken + l->kept + l->dropped);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

CANCEL_TEST(a_cancelled_pipeline_loses_no_item, fresh_line, whole_line, nothing_lost,
	    &cancelled_line)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_item_goes_through_all_stages),
	cmocka_unit_test(a_fast_stage_waits_for_a_slow_one),
	cmocka_unit_test(a_last_stage_that_has_enough_ends_the_ones_before),
	cmocka_unit_test(one_failure_ends_all_and_nothing_lies_around),
	cmocka_unit_test(a_pipeline_has_a_stage_and_each_a_function),
	cmocka_unit_test(each_allocation_fails_once),
	cmocka_unit_test(in_a_cancelled_scope_no_stage_runs),
	cmocka_unit_test(any_stage_may_end_before_the_others),
	cmocka_unit_test(a_cancelled_pipeline_loses_no_item),
};

TEST_MAIN("pipeline", tests)
