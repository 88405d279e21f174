/* The queue. */
#include "tests/support/run.h"

#include <errno.h>

static an_queue queue;

static void *number(intptr_t n)
{
	return (void *)n;
}

static int puts_to(intptr_t from, intptr_t to)
{
	for (intptr_t i = from; i <= to; i++) {
		int r = an_queue_put(&queue, number(i));

		if (r < 0)
			return r;
	}
	return 0;
}

static int puts_a_hundred(void *arg)
{
	(void)arg;
	return puts_to(1, 100);
}

static int gets_a_hundred(void *arg)
{
	void *item;

	(void)arg;
	for (intptr_t i = 1; i <= 100; i++) {
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, i);
	}
	return 0;
}

static int passes_a_hundred(size_t capacity)
{
	an_group group;

	an_queue_init(&queue, capacity);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, puts_a_hundred, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&group, gets_a_hundred, NULL), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(an_queue_count(&queue), 0);
	an_queue_done(&queue);
	return 0;
}

TASK_TEST(items_arrive_in_order_at_any_capacity)
{
	static const size_t capacities[] = { 0, 1, 2, 3, 16, 17, 64, AN_QUEUE_UNBOUNDED };

	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
		CHECK_EQUAL(passes_a_hundred(capacities[i]), 0);
	return 0;
}

static int takes_in_turn(intptr_t from, intptr_t to)
{
	void *item;

	for (intptr_t i = from; i != to; i += from < to ? 1 : -1) {
		CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, i);
	}
	return 0;
}

/* What is in the ring lies around its end when it grows. */
TASK_TEST(growing_keeps_the_order)
{
	for (intptr_t taken = 0; taken < 40; taken++) {
		an_queue_init(&queue, AN_QUEUE_UNBOUNDED);
		CHECK_EQUAL(puts_to(1, taken), 0);
		CHECK_EQUAL(takes_in_turn(1, taken + 1), 0);
		CHECK_EQUAL(puts_to(1, 100), 0);
		CHECK_EQUAL(takes_in_turn(1, 101), 0);
		an_queue_done(&queue);

		an_queue_init_with(&queue,
				   &(an_queue_opts){ .capacity = AN_QUEUE_UNBOUNDED,
						     .order = AN_QUEUE_LIFO });
		CHECK_EQUAL(puts_to(1, taken + 5), 0);
		CHECK_EQUAL(takes_in_turn(taken + 5, 5), 0);
		CHECK_EQUAL(puts_to(6, 100), 0);
		CHECK_EQUAL(takes_in_turn(100, 0), 0);
		an_queue_done(&queue);
	}
	return 0;
}

TASK_TEST(a_full_queue_refuses_without_waiting)
{
	void *item = number(9);

	an_queue_init(&queue, 2);
	CHECK_EQUAL(an_queue_tryget(&queue, &item), -EAGAIN);
	CHECK_EQUAL((intptr_t)item, 9);
	CHECK_EQUAL(an_queue_tryput(&queue, number(1)), 0);
	CHECK_EQUAL(an_queue_tryput(&queue, number(2)), 0);
	CHECK_EQUAL(an_queue_tryput(&queue, number(3)), -EAGAIN);
	CHECK_EQUAL(an_queue_count(&queue), 2);
	CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 1);
	an_queue_done(&queue);
	return 0;
}

static int puts_one(void *arg)
{
	return an_queue_put(&queue, arg);
}

/* asyncio semantics 27: asyncio's put_nowait() may overtake; nobody does here. */
TASK_TEST_IN_ORDER(a_waiting_putter_is_before_a_newcomer)
{
	an_task *putter;
	void *item;

	an_queue_init(&queue, 1);
	CHECK_EQUAL(an_queue_put(&queue, number(1)), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(2), NULL, &putter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
	CHECK_EQUAL(an_queue_tryput(&queue, number(3)), -EAGAIN); /* 2 has the room */
	CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 2);
	CHECK_EQUAL(an_join(putter, NULL), 0);
	an_queue_done(&queue);
	return 0;
}

static int gets_one(void *arg)
{
	return an_queue_get(&queue, arg);
}

/* asyncio semantics 27: an item delivered to a getter that is then cancelled is not
 * lost. */
TASK_TEST_IN_ORDER(an_item_delivered_before_the_cancellation_is_received)
{
	void *item = NULL;
	an_task *getter;
	int result;

	an_queue_init(&queue, 4);
	CHECK_EQUAL(an_spawn(gets_one, &item, NULL, &getter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_queue_tryput(&queue, number(5)), 0);
	an_cancel(getter);
	CHECK_EQUAL(an_join(getter, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL((intptr_t)item, 5);
	an_queue_done(&queue);
	return 0;
}

/* asyncio semantics 27: asyncio wakes the next getter then; here the first has it. */
TASK_TEST_IN_ORDER(nobody_takes_what_was_delivered_to_another)
{
	void *first = NULL, *second = NULL, *item;
	an_task *getters[2];

	an_queue_init(&queue, 4);
	CHECK_EQUAL(an_spawn(gets_one, &first, NULL, &getters[0]), 0);
	CHECK_EQUAL(an_spawn(gets_one, &second, NULL, &getters[1]), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_queue_tryput(&queue, number(5)), 0);
	CHECK_EQUAL(an_queue_tryget(&queue, &item), -EAGAIN);
	CHECK_EQUAL(an_queue_tryput(&queue, number(6)), 0);
	an_cancel(getters[0]);
	CHECK_EQUAL(an_join(getters[0], NULL), 0);
	CHECK_EQUAL(an_join(getters[1], NULL), 0);
	CHECK_EQUAL((intptr_t)first, 5);
	CHECK_EQUAL((intptr_t)second, 6);
	an_queue_done(&queue);
	return 0;
}

/* asyncio semantics 27. */
TASK_TEST_IN_ORDER(a_getter_cancelled_before_the_delivery_is_passed_over)
{
	void *first = number(9), *second = NULL;
	an_task *getters[2];
	int r = 1;

	an_queue_init(&queue, 4);
	CHECK_EQUAL(an_spawn(gets_one, &first, NULL, &getters[0]), 0);
	CHECK_EQUAL(an_spawn(gets_one, &second, NULL, &getters[1]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(getters[0]);
	CHECK_EQUAL(an_queue_tryput(&queue, number(5)), 0);
	CHECK_EQUAL(an_join(getters[0], &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL((intptr_t)first, 9);
	CHECK_EQUAL(an_join(getters[1], NULL), 0);
	CHECK_EQUAL((intptr_t)second, 5);
	an_queue_done(&queue);
	return 0;
}

/* asyncio semantics 27: asyncio takes the item back then, and wakes the next putter. */
TASK_TEST_IN_ORDER(a_putter_whose_item_was_taken_before_its_end_has_put_it)
{
	an_task *putters[2];
	void *item;
	int r = 1;

	for (size_t capacity = 0; capacity < 2; capacity++) {
		an_queue_init(&queue, capacity);
		if (capacity)
			CHECK_EQUAL(an_queue_put(&queue, number(1)), 0);
		CHECK_EQUAL(an_spawn(puts_one, number(2), NULL, &putters[0]), 0);
		CHECK_EQUAL(an_spawn(puts_one, number(3), NULL, &putters[1]), 0);
		CHECK_EQUAL(an_yield(), 0);
		CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
		an_cancel(putters[0]);
		CHECK_EQUAL(an_join(putters[0], &r), 0);
		CHECK_EQUAL(r, 0);
		if (capacity)
			CHECK_EQUAL(an_queue_tryget(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, 2);
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, 3);
		CHECK_EQUAL(an_join(putters[1], NULL), 0);
		an_queue_done(&queue);
	}
	return 0;
}

/* asyncio semantics 28. */
TASK_TEST_IN_ORDER(a_closed_queue_is_drained_and_then_refuses)
{
	an_task *putter, *getter;
	void *item;
	int result;

	an_queue_init(&queue, 1);
	CHECK_EQUAL(an_queue_put(&queue, number(1)), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(2), NULL, &putter), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close(&queue);
	CHECK_EQUAL(an_join(putter, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	CHECK_EQUAL(an_queue_put(&queue, number(3)), AN_ERR_CLOSED);
	CHECK_EQUAL(an_queue_get(&queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 1);
	CHECK_EQUAL(an_queue_get(&queue, &item), AN_ERR_CLOSED);
	an_queue_done(&queue);

	an_queue_init(&queue, 1);
	CHECK_EQUAL(an_spawn(gets_one, &item, NULL, &getter), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close(&queue);
	CHECK_EQUAL(an_join(getter, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	an_queue_done(&queue);
	return 0;
}

static int works(void *arg)
{
	void *item;

	(void)arg;
	while (an_queue_get(&queue, &item) == 0) {
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK_EQUAL(an_queue_task_done(&queue), 0);
	}
	return 0;
}

/* asyncio semantics 28. */
TASK_TEST(a_join_waits_until_all_is_dealt_with)
{
	an_duration start = an_now();
	an_group group;

	an_queue_init(&queue, 4);
	CHECK_EQUAL(an_queue_join(&queue), 0);
	CHECK_EQUAL(an_queue_task_done(&queue), AN_ERR_MISUSE);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, works, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&group, works, NULL), 0);
	CHECK_EQUAL(puts_to(1, 10), 0);
	CHECK_EQUAL(an_queue_join(&queue), 0);
	CHECK_EQUAL(an_now() - start, 5 * AN_SECOND);
	an_queue_close(&queue);
	CHECK_EQUAL(an_group_end(&group), 0);
	an_queue_done(&queue);
	return 0;
}

static intptr_t dropped;

static void drops(void *arg, void *item)
{
	*(intptr_t *)arg = *(intptr_t *)arg * 10 + (intptr_t)item;
}

static int joins(void *arg)
{
	(void)arg;
	return an_queue_join(&queue);
}

/* asyncio semantics 28: what was taken still has to be dealt with. */
TASK_TEST_IN_ORDER(closed_at_once_it_drops_its_items_and_joins_wait_for_the_rest)
{
	an_task *putter, *joiner;
	void *item;
	int r = 1;

	dropped = 0;
	an_queue_init(&queue, 3);
	CHECK_EQUAL(puts_to(1, 3), 0);
	CHECK_EQUAL(an_queue_get(&queue, &item), 0);
	CHECK_EQUAL(an_queue_put(&queue, number(4)), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(5), NULL, &putter), 0);
	CHECK_EQUAL(an_spawn(joins, NULL, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close_now(&queue, drops, &dropped);
	CHECK_EQUAL(dropped, 234);
	CHECK_EQUAL(an_queue_count(&queue), 0);
	CHECK_EQUAL(an_queue_get(&queue, &item), AN_ERR_CLOSED);
	CHECK_EQUAL(an_queue_tryput(&queue, number(6)), AN_ERR_CLOSED);
	CHECK_EQUAL(an_join(putter, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!an_done(joiner)); /* item 1 is in our hands */
	CHECK_EQUAL(an_queue_task_done(&queue), 0);
	CHECK_EQUAL(an_join(joiner, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_queue_task_done(&queue), AN_ERR_MISUSE);
	an_queue_close_now(&queue, drops, &dropped); /* again: nothing to drop */
	CHECK_EQUAL(dropped, 234);
	an_queue_done(&queue);
	return 0;
}

/* asyncio semantics 28. */
TASK_TEST_IN_ORDER(closed_at_once_with_nothing_taken_it_ends_joins_and_gets)
{
	an_task *joiner, *getter;
	void *item = number(9);
	int r = 1;

	an_queue_init(&queue, 3);
	CHECK_EQUAL(puts_to(1, 3), 0);
	CHECK_EQUAL(an_spawn(joins, NULL, NULL, &joiner), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close_now(&queue, NULL, NULL);
	CHECK_EQUAL(an_join(joiner, &r), 0);
	CHECK_EQUAL(r, 0);
	an_queue_done(&queue);

	an_queue_init(&queue, 3);
	CHECK_EQUAL(an_spawn(gets_one, &item, NULL, &getter), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close_now(&queue, NULL, NULL);
	CHECK_EQUAL(an_join(getter, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK_EQUAL((intptr_t)item, 9);
	an_queue_done(&queue);
	return 0;
}

/* An item that is called done before it is taken, and then dropped, is no debt. */
TASK_TEST(what_was_done_too_early_is_not_counted_twice)
{
	an_queue_init(&queue, 3);
	CHECK_EQUAL(puts_to(1, 2), 0);
	CHECK_EQUAL(an_queue_task_done(&queue), 0);
	an_queue_close_now(&queue, NULL, NULL);
	CHECK_EQUAL(an_queue_task_done(&queue), AN_ERR_MISUSE);
	CHECK_EQUAL(an_queue_join(&queue), 0);
	an_queue_done(&queue);
	return 0;
}

/* ---- orders ------------------------------------------------------------------------ */

/* Items are a key times 1000 and something by which equal ones are told apart. */
static int by_key(const void *a, const void *b)
{
	intptr_t x = (intptr_t)a / 1000, y = (intptr_t)b / 1000;

	return (x > y) - (x < y);
}

TASK_TEST_IN_ORDER(the_newest_comes_first_out_of_a_lifo)
{
	an_task *putter;
	void *item;

	CHECK_EQUAL(
		an_queue_init_with(&queue, &(an_queue_opts){ .capacity = 20,
							     .order = AN_QUEUE_LIFO }),
		0);
	CHECK_EQUAL(puts_to(1, 20), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(21), NULL, &putter), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_queue_get(&queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 20);
	for (intptr_t i = 21; i; i -= i == 21 ? 2 : 1) {
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, i);
	}
	CHECK_EQUAL(an_join(putter, NULL), 0);
	an_queue_done(&queue);
	return 0;
}

static int init_by_priority(size_t capacity)
{
	return an_queue_init_with(&queue, &(an_queue_opts){ .capacity = capacity,
							    .order = AN_QUEUE_PRIORITY,
							    .compare = by_key });
}

TASK_TEST(the_least_comes_first_and_of_equal_ones_the_oldest)
{
	void *item, *last = NULL;
	uint32_t random = 1;

	CHECK_EQUAL(init_by_priority(AN_QUEUE_UNBOUNDED), 0);
	for (intptr_t i = 0; i < 500; i++) {
		random = random * 1664525 + 1013904223;
		CHECK_EQUAL(an_queue_put(&queue, number((random >> 28) * 1000 + i)), 0);
		if (i % 5 == 4)
			CHECK_EQUAL(an_queue_get(&queue, &item), 0);
	}
	CHECK_EQUAL(an_queue_count(&queue), 400);
	for (int i = 0; i < 400; i++) {
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK((intptr_t)last < (intptr_t)item);
		last = item;
	}
	an_queue_done(&queue);
	return 0;
}

TASK_TEST_IN_ORDER(a_full_queue_by_priority_lets_the_next_putter_in)
{
	an_task *putter;
	void *item;

	CHECK_EQUAL(init_by_priority(2), 0);
	CHECK_EQUAL(an_queue_put(&queue, number(2000)), 0);
	CHECK_EQUAL(an_queue_put(&queue, number(3000)), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(1000), NULL, &putter), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (intptr_t i = 2000; i; i = i == 2000 ? 1000 : i == 1000 ? 3000 : 0) {
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, i); /* 1000 was not in it at first */
	}
	CHECK_EQUAL(an_join(putter, NULL), 0);
	dropped = 0;
	CHECK_EQUAL(an_queue_put(&queue, number(3)), 0);
	CHECK_EQUAL(an_queue_put(&queue, number(2)), 0);
	an_queue_close_now(&queue, drops, &dropped);
	CHECK_EQUAL(dropped, 32); /* equal by their keys */
	an_queue_done(&queue);
	return 0;
}

static void an_order_that_is_none_is_refused(void **state)
{
	an_queue q;

	(void)state;
	assert_int_equal(
		an_queue_init_with(&q, &(an_queue_opts){ .order = AN_QUEUE_PRIORITY }),
		-EINVAL);
	assert_int_equal(an_queue_init_with(&q, &(an_queue_opts){ .order = 7 }), -EINVAL);
	assert_int_equal(an_queue_init_with(&q, NULL), 0);
	assert_int_equal(an_queue_tryput(&q, &q), -EAGAIN); /* a rendezvous */
	an_queue_done(&q);
}

static void without_memory_nothing_is_put(void **state)
{
	void *item;

	(void)state;
	for (int order = AN_QUEUE_FIFO; order <= AN_QUEUE_PRIORITY; order++) {
		intptr_t put = 0, got = 0, failures = 0;

		assert_int_equal(
			an_queue_init_with(&queue, &(an_queue_opts){ .capacity = 100,
								     .order = order,
								     .compare = by_key }),
			0);
		for (intptr_t i = 1; i <= 100; i++) {
			an_testing_fail_allocation(1);
			if (an_queue_tryput(&queue, number(i)) == 0)
				continue;
			assert_true(an_testing_allocation_failed());
			assert_int_equal(an_queue_count(&queue), i - 1);
			assert_int_equal(an_queue_tryput(&queue, number(i)), 0);
			failures++;
		}
		an_testing_fail_allocation(0);
		assert_true(failures > 0);
		assert_int_equal(an_queue_tryput(&queue, number(1)), -EAGAIN);
		for (; an_queue_tryget(&queue, &item) == 0; got += (intptr_t)item)
			put++;
		assert_int_equal(put, 100);
		assert_int_equal(got, 5050);
		an_queue_done(&queue);
	}
}

static void outside_a_task_nobody_can_wait(void **state)
{
	void *item = number(9);

	(void)state;
	an_queue_init(&queue, 1);
	assert_int_equal(an_queue_put(&queue, number(1)), AN_ERR_NO_TASK);
	assert_int_equal(an_queue_tryput(&queue, number(1)), 0);
	assert_int_equal(an_queue_get(&queue, &item), AN_ERR_NO_TASK);
	assert_int_equal(an_queue_join(&queue), AN_ERR_NO_TASK);
	assert_ptr_equal(item, number(9));
	assert_int_equal(an_queue_tryget(&queue, &item), 0);
	assert_int_equal(an_queue_task_done(&queue), 0);
	an_queue_done(&queue);
}

/* ---- nothing is lost, wherever a putter or a getter is cancelled ------------------- */

static intptr_t put_sum, got_sum;
static an_group peers;

static int puts_and_counts(void *arg)
{
	(void)arg;
	for (intptr_t i = 1; i <= 6; i++) {
		int r = an_queue_put(&queue, number(i));

		if (r < 0)
			return r;
		put_sum += i;
	}
	return 0;
}

static int puts_until_closed(void *arg)
{
	int r = puts_and_counts(arg);

	return r == AN_ERR_CLOSED ? 0 : r;
}

static int gets_and_counts(void *arg)
{
	void *item;
	int r;

	(void)arg;
	while ((r = an_queue_get(&queue, &item)) == 0)
		got_sum += (intptr_t)item;
	return r == AN_ERR_CLOSED ? 0 : r;
}

/* A capacity, and a hundred times an order. */
static int init_for_round(void *arg)
{
	return an_queue_init_with(
		&queue, &(an_queue_opts){ .capacity = (size_t)(intptr_t)arg % 100,
					  .order = (an_queue_order)((intptr_t)arg / 100),
					  .compare = by_key });
}

static int starts_peers(void *arg)
{
	put_sum = got_sum = 0;
	CHECK_EQUAL(init_for_round(arg), 0);
	an_group_begin(&peers);
	CHECK_EQUAL(an_group_spawn(&peers, puts_and_counts, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&peers, gets_and_counts, NULL), 0);
	return 0;
}

static int finds_all_items(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_sleep(1), 0);
	an_queue_close(&queue);
	CHECK_EQUAL(an_group_end(&peers), 0);
	CHECK_EQUAL(got_sum, put_sum);
	an_queue_done(&queue);
	return 0;
}

/* At each of its steps, in the order in which tasks become ready and in some others. */
static void cancels_at_each_step(an_task_fn prepare, an_task_fn body, an_task_fn check)
{
	static const an_testing_opts shuffled = { .rounds = 5 };

	for (intptr_t i = 0; i < 9; i++) {
		an_testing_scenario s = { prepare, body, check,
					  number(i / 3 * 100 + i % 3) };

		assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
		assert_int_equal(an_testing_cancel_at_each_step(&s, &shuffled), 0);
	}
}

static void no_item_is_lost_when_a_putter_is_cancelled(void **state)
{
	(void)state;
	cancels_at_each_step(starts_peers, puts_and_counts, finds_all_items);
}

static int gets_three(void *arg)
{
	void *item;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		int r = an_queue_get(&queue, &item);

		if (r < 0)
			return r;
		got_sum += (intptr_t)item;
	}
	return 0;
}

static int starts_a_putter(void *arg)
{
	put_sum = got_sum = 0;
	CHECK_EQUAL(init_for_round(arg), 0);
	an_group_begin(&peers);
	return an_group_spawn(&peers, puts_until_closed, NULL);
}

static int finds_the_rest(void *arg)
{
	void *item;

	(void)arg;
	an_queue_close(&queue);
	CHECK_EQUAL(an_group_end(&peers), 0);
	while (an_queue_tryget(&queue, &item) == 0)
		got_sum += (intptr_t)item;
	CHECK_EQUAL(got_sum, put_sum);
	an_queue_done(&queue);
	return 0;
}

static void no_item_is_lost_when_a_getter_is_cancelled(void **state)
{
	(void)state;
	cancels_at_each_step(starts_a_putter, gets_three, finds_the_rest);
}

static int deals_with_it_later(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_yield(), 0);
	return an_queue_task_done(&queue);
}

static int starts_with_one_taken(void *arg)
{
	void *item;

	(void)arg;
	an_queue_init(&queue, 1);
	CHECK_EQUAL(an_queue_put(&queue, number(1)), 0);
	CHECK_EQUAL(an_queue_get(&queue, &item), 0);
	an_group_begin(&peers);
	return an_group_spawn(&peers, deals_with_it_later, NULL);
}

static int ends_with_none_left(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_queue_join(&queue), 0);
	CHECK_EQUAL(an_group_end(&peers), 0);
	CHECK_EQUAL(an_queue_task_done(&queue), AN_ERR_MISUSE);
	an_queue_done(&queue);
	return 0;
}

CANCEL_TEST(a_join_can_be_cancelled_at_any_step, starts_with_one_taken, joins,
	    ends_with_none_left, NULL)

static int puts_once(void *arg)
{
	return an_queue_put(arg, &queue);
}

TASK_TEST_IN_ORDER(a_rendezvous_that_is_closed_refuses_those_who_wait)
{
	an_queue meeting;
	an_task *putters[2];
	void *item;
	int result;

	an_queue_init(&meeting, 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(puts_once, &meeting, NULL, &putters[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_queue_close(&meeting);
	CHECK_EQUAL(an_queue_get(&meeting, &item), AN_ERR_CLOSED);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_join(putters[i], &result), 0);
		CHECK_EQUAL(result, AN_ERR_CLOSED);
	}
	CHECK_EQUAL(an_queue_join(&meeting), 0); /* nothing was put */
	an_queue_done(&meeting);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_rendezvous_that_is_closed_refuses_those_who_wait),
	cmocka_unit_test(items_arrive_in_order_at_any_capacity),
	cmocka_unit_test(a_full_queue_refuses_without_waiting),
	cmocka_unit_test(a_waiting_putter_is_before_a_newcomer),
	cmocka_unit_test(an_item_delivered_before_the_cancellation_is_received),
	cmocka_unit_test(a_closed_queue_is_drained_and_then_refuses),
	cmocka_unit_test(a_join_waits_until_all_is_dealt_with),
	cmocka_unit_test(no_item_is_lost_when_a_putter_is_cancelled),
	cmocka_unit_test(no_item_is_lost_when_a_getter_is_cancelled),
	cmocka_unit_test(nobody_takes_what_was_delivered_to_another),
	cmocka_unit_test(a_getter_cancelled_before_the_delivery_is_passed_over),
	cmocka_unit_test(a_putter_whose_item_was_taken_before_its_end_has_put_it),
	cmocka_unit_test(closed_at_once_it_drops_its_items_and_joins_wait_for_the_rest),
	cmocka_unit_test(closed_at_once_with_nothing_taken_it_ends_joins_and_gets),
	cmocka_unit_test(what_was_done_too_early_is_not_counted_twice),
	cmocka_unit_test(the_newest_comes_first_out_of_a_lifo),
	cmocka_unit_test(the_least_comes_first_and_of_equal_ones_the_oldest),
	cmocka_unit_test(a_full_queue_by_priority_lets_the_next_putter_in),
	cmocka_unit_test(an_order_that_is_none_is_refused),
	cmocka_unit_test(without_memory_nothing_is_put),
	cmocka_unit_test(outside_a_task_nobody_can_wait),
	cmocka_unit_test(a_join_can_be_cancelled_at_any_step),
	cmocka_unit_test(growing_keeps_the_order),
};
TEST_MAIN("queue", tests)
