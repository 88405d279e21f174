/* A task that yields items, and its reader. */
#include "tests/support/run.h"

#include <errno.h>

struct numbers {
	int next, last;
	int result;   /* what fn returns at the end */
	int ended;    /* how the last yield ended */
	int cleanups; /* that suspended */
	bool stubborn;
};

/* Yields &next while it counts it up to `last`. */
static int count_up(an_generator *g, void *arg)
{
	struct numbers *n = arg;
	an_shield shield;
	int r = 0;

	while (r == 0 && n->next < n->last) {
		n->next++;
		r = an_generator_yield(g, n);
	}
	n->ended = r;
	an_shield_begin(&shield, AN_FOREVER);
	if (an_sleep(AN_SECOND) == 0)
		n->cleanups++;
	an_shield_end(&shield, 0);
	return r < 0 && !n->stubborn ? r : n->result;
}

TASK_TEST(items_come_in_order_and_then_the_end)
{
	struct numbers n = { .last = 3, .result = 7 };
	an_generator g;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(n.next, 0);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQUAL(an_generator_next(&g, &item), 0);
		CHECK(item == &n);
	}
	item = NULL;
	CHECK_EQUAL(an_generator_next(&g, &item), AN_ERR_EOF);
	CHECK_EQUAL(an_generator_next(&g, &item), AN_ERR_EOF);
	CHECK(!item);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), AN_ERR_MISUSE);
	CHECK_EQUAL(n.cleanups, 1);
	return 0;
}

/* Its items are lent: &n, as it was when it was yielded. */
TASK_TEST(it_goes_on_when_the_next_item_is_asked_for)
{
	struct numbers n = { .last = 100 }, *lent;
	an_generator g;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	for (int i = 1; i < 10; i++) {
		CHECK_EQUAL(an_generator_next(&g, &item), 0);
		lent = item;
		CHECK_EQUAL(lent->next, i);
		CHECK_EQUAL(an_testing_settle(), 0);
		CHECK_EQUAL(lent->next, i);
	}
	return an_generator_end(&g);
}

TASK_TEST(a_reader_that_gave_up_leaves_it_one_item_ahead)
{
	struct numbers n = { .last = 100 };
	an_generator g;
	an_timeout over;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_generator_next(&g, &item), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(n.next, 1); /* it had not asked */
	for (int i = 2; i < 5; i++) {
		CHECK_EQUAL(an_generator_next(&g, &item), 0);
		CHECK_EQUAL(n.next, i);
	}
	return an_generator_end(&g);
}

/* Two tasks of the generator yield; each rests until the reader asks again. */
static int yield_three(void *arg)
{
	struct numbers own = { 0 };
	int r = 0;

	while (r == 0 && own.next < 3) {
		own.next++;
		r = an_generator_yield(arg, &own);
	}
	return r;
}

static int yield_by_two(an_generator *g, void *arg)
{
	an_group group;

	(void)arg;
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, yield_three, g));
	an_group_fail(&group, an_group_spawn(&group, yield_three, g));
	return an_group_end(&group);
}

TASK_TEST(several_tasks_yield_and_each_item_is_whole)
{
	an_generator g;
	int sum = 0;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, yield_by_two, NULL), 0);
	for (int i = 0; i < 6; i++) {
		int before;

		CHECK_EQUAL(an_generator_next(&g, &item), 0);
		before = ((struct numbers *)item)->next;
		CHECK_EQUAL(an_testing_settle(), 0);
		CHECK_EQUAL(((struct numbers *)item)->next, before);
		sum += before;
	}
	CHECK_EQUAL(an_generator_next(&g, &item), AN_ERR_EOF);
	CHECK_EQUAL(sum, 12);
	return an_generator_end(&g);
}

TASK_TEST(the_readers_end_cancels_it_and_waits_for_its_cleanup)
{
	struct numbers n = { .last = 100 };
	an_generator g;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(n.ended, -ECANCELED);
	CHECK_EQUAL(n.cleanups, 1);

	/* Before it has begun. */
	n = (struct numbers){ .last = 100 };
	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(n.cleanups, 0);
	return 0;
}

TASK_TEST(the_end_waits_in_a_cancelled_scope_too)
{
	struct numbers n = { .last = 100 };
	an_generator g;
	an_timeout over;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_generator_next(&g, &item), -ECANCELED);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK_EQUAL(n.cleanups, 1);
	return 0;
}

TASK_TEST(its_failure_reaches_the_reader_after_the_items)
{
	struct numbers n = { .last = 1, .result = -EIO };
	an_generator g;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), -EIO);
	CHECK_EQUAL(an_generator_next(&g, &item), -EIO);
	CHECK_EQUAL(an_generator_end(&g), 0); /* has been told */
	return 0;
}

TASK_TEST(a_failure_that_no_reader_saw_is_told_at_the_end)
{
	struct numbers n = { .last = 1, .result = -EIO, .stubborn = true };
	an_generator g;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, count_up, &n), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	CHECK_EQUAL(an_generator_end(&g), -EIO);
	return 0;
}

/* Takes its cancellation back and goes on yielding. */
static int never_ends(an_generator *g, void *arg)
{
	int r = 0, *refused = arg;

	while (r != AN_ERR_CLOSED) {
		r = an_generator_yield(g, arg);
		if (r < 0)
			++*refused;
		an_uncancel();
	}
	return r;
}

TASK_TEST(one_that_ignores_its_cancellation_finds_no_reader)
{
	an_generator g;
	int refused = 0;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, never_ends, &refused), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), 0);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK(refused >= 1);
	return 0;
}

static int read_one(void *arg)
{
	void *item;

	return an_generator_next(arg, &item);
}

/* Yields once, and waits. */
static int stall(an_generator *g, void *arg)
{
	int r = an_generator_yield(g, arg);

	return r < 0 ? r : an_sleep(AN_FOREVER);
}

TASK_TEST(several_readers_share_and_learn_of_the_end)
{
	an_generator g;
	an_task *tasks[3];
	int results[3], sum = 0;

	CHECK_EQUAL(an_generator_begin(&g, stall, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(read_one, &g, NULL, &tasks[i]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_generator_end(&g), 0);
	CHECK_EQUAL(an_gather(tasks, 3, true, results), 0);
	for (int i = 0; i < 3; i++)
		sum += results[i];
	CHECK_EQUAL(sum, 2 * AN_ERR_EOF);
	return 0;
}

static int end_myself(an_generator *g, void *arg)
{
	*(int *)arg = an_generator_end(g);
	return 0;
}

TASK_TEST(it_cannot_end_itself)
{
	an_generator g;
	int r = 0;
	void *item;

	CHECK_EQUAL(an_generator_begin(&g, end_myself, &r), 0);
	CHECK_EQUAL(an_generator_next(&g, &item), AN_ERR_EOF);
	CHECK_EQUAL(r, AN_ERR_MISUSE);
	return an_generator_end(&g);
}

TASK_TEST(without_memory_nothing_is_begun)
{
	struct numbers n = { .last = 1 };
	an_generator g;
	size_t tried;
	int r;

	for (tried = 1;; tried++) {
		an_testing_fail_allocation(tried);
		r = an_generator_begin(&g, count_up, &n);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		CHECK_EQUAL(an_generator_end(&g), 0);
	}
	CHECK(tried > 1);
	CHECK_EQUAL(r, 0);
	return an_generator_end(&g);
}

/* ---- cancelled at each step -------------------------------------------------------- */

/* Each item that is made is taken, or is its maker's still. */
struct account {
	int made, taken, kept;
};

static int make_items(an_generator *g, void *arg)
{
	struct account *a = arg;
	int r = 0;

	while (r == 0 && a->made < 5) {
		a->made++;
		r = an_generator_yield(g, a);
		if (r < 0)
			a->kept++;
	}
	return r;
}

static int reset(void *arg)
{
	*(struct account *)arg = (struct account){ 0 };
	return 0;
}

static int read_all(void *arg)
{
	struct account *a = arg;
	an_generator g;
	void *item;
	int r = an_generator_begin(&g, make_items, a), end;

	while (r == 0 && (r = an_generator_next(&g, &item)) == 0) {
		a->taken++;
		if (a->taken % 2)
			r = an_yield();
	}
	end = an_generator_end(&g);
	CHECK_EQUAL(end, 0);
	return r == AN_ERR_EOF ? 0 : r;
}

static int balanced(void *arg)
{
	struct account *a = arg;

	CHECK_EQUAL(a->made, a->taken + a->kept);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

static struct account account;

CANCEL_TEST(no_item_is_lost_when_the_reader_is_cancelled, reset, read_all, balanced,
	    &account)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(items_come_in_order_and_then_the_end),
	cmocka_unit_test(it_goes_on_when_the_next_item_is_asked_for),
	cmocka_unit_test(a_reader_that_gave_up_leaves_it_one_item_ahead),
	cmocka_unit_test(several_tasks_yield_and_each_item_is_whole),
	cmocka_unit_test(the_readers_end_cancels_it_and_waits_for_its_cleanup),
	cmocka_unit_test(the_end_waits_in_a_cancelled_scope_too),
	cmocka_unit_test(its_failure_reaches_the_reader_after_the_items),
	cmocka_unit_test(a_failure_that_no_reader_saw_is_told_at_the_end),
	cmocka_unit_test(one_that_ignores_its_cancellation_finds_no_reader),
	cmocka_unit_test(several_readers_share_and_learn_of_the_end),
	cmocka_unit_test(it_cannot_end_itself),
	cmocka_unit_test(without_memory_nothing_is_begun),
	cmocka_unit_test(no_item_is_lost_when_the_reader_is_cancelled),
};

TEST_MAIN("generator", tests)
