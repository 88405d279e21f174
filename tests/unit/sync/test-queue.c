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

TASK_TEST(a_closed_queue_is_drained_and_then_refuses)
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

static int starts_peers(void *arg)
{
	put_sum = got_sum = 0;
	an_queue_init(&queue, (size_t)(intptr_t)arg);
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

CANCEL_TEST(no_item_is_lost_when_a_putter_is_cancelled, starts_peers, puts_and_counts,
	    finds_all_items, (void *)2)
CANCEL_TEST(no_item_is_lost_when_a_putter_of_a_rendezvous_is_cancelled, starts_peers,
	    puts_and_counts, finds_all_items, (void *)0)

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
	an_queue_init(&queue, (size_t)(intptr_t)arg);
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

CANCEL_TEST(no_item_is_lost_when_a_getter_is_cancelled, starts_a_putter, gets_three,
	    finds_the_rest, (void *)2)
CANCEL_TEST(no_item_is_lost_when_a_getter_of_a_rendezvous_is_cancelled, starts_a_putter,
	    gets_three, finds_the_rest, (void *)0)

static int puts_once(void *arg)
{
	return an_queue_put(arg, &queue);
}

TASK_TEST(a_rendezvous_that_is_closed_refuses_those_who_wait)
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
	cmocka_unit_test(no_item_is_lost_when_a_putter_of_a_rendezvous_is_cancelled),
	cmocka_unit_test(no_item_is_lost_when_a_getter_is_cancelled),
	cmocka_unit_test(no_item_is_lost_when_a_getter_of_a_rendezvous_is_cancelled),
};
TEST_MAIN("queue", tests)
