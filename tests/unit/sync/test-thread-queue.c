/* The queue between threads. Runs under ThreadSanitizer, too: make check-threads. */
#include "tests/support/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static an_thread_queue *queue;

static void *number(intptr_t n)
{
	return (void *)n;
}

static int start(size_t capacity)
{
	return an_thread_queue_new(capacity, &queue);
}

static void finish(void)
{
	queue = an_thread_queue_unref(queue);
}

/* ---- one thread -------------------------------------------------------------------- */

static void a_thread_without_a_loop_puts_and_takes(void **state)
{
	void *item = number(9);

	(void)state;
	assert_int_equal(an_thread_queue_new(0, &queue), -EINVAL);
	assert_int_equal(start(2), 0);
	assert_int_equal(an_thread_queue_tryget(queue, &item), -EAGAIN);
	assert_ptr_equal(item, number(9));
	assert_int_equal(an_thread_queue_put(queue, number(1)), 0);
	assert_int_equal(an_thread_queue_tryput(queue, number(2)), 0);
	assert_int_equal(an_thread_queue_tryput(queue, number(3)), -EAGAIN);
	assert_int_equal(an_thread_queue_get(queue, &item), 0);
	assert_ptr_equal(item, number(1));
	an_thread_queue_close(queue);
	assert_int_equal(an_thread_queue_put(queue, number(3)), AN_ERR_CLOSED);
	assert_int_equal(an_thread_queue_tryput(queue, number(3)), AN_ERR_CLOSED);
	assert_int_equal(an_thread_queue_get(queue, &item), 0);
	assert_ptr_equal(item, number(2));
	assert_int_equal(an_thread_queue_get(queue, &item), AN_ERR_CLOSED);
	assert_int_equal(an_thread_queue_tryget(queue, &item), AN_ERR_CLOSED);
	assert_ptr_equal(item, number(2));
	assert_ptr_equal(an_thread_queue_ref(queue), queue);
	assert_null(an_thread_queue_unref(queue));
	finish();
	assert_null(an_thread_queue_unref(NULL));
}

static void without_memory_nothing_is_put(void **state)
{
	void *item;

	(void)state;
	an_testing_fail_allocation(1);
	assert_int_equal(start(4), -ENOMEM);
	assert_int_equal(start(4), 0);
	an_testing_fail_allocation(1);
	assert_int_equal(an_thread_queue_put(queue, number(1)), -ENOMEM);
	assert_true(an_testing_allocation_failed());
	assert_int_equal(an_thread_queue_tryget(queue, &item), -EAGAIN);
	assert_int_equal(an_thread_queue_put(queue, number(1)), 0);
	finish();
}

static int in_callback;

static void puts_in_a_callback(void *arg)
{
	(void)arg;
	in_callback = an_thread_queue_put(queue, number(1));
}

TASK_TEST(on_a_loop_s_thread_only_tasks_can_wait)
{
	void *item;

	CHECK_EQUAL(start(1), 0);
	CHECK_EQUAL(an_call_soon(puts_in_a_callback, NULL, NULL), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(in_callback, AN_ERR_NO_TASK);
	CHECK_EQUAL(an_thread_queue_tryget(queue, &item), -EAGAIN);
	finish();
	return 0;
}

static int puts_one(void *arg)
{
	return an_thread_queue_put(queue, arg);
}

static int gets_one(void *arg)
{
	return an_thread_queue_get(queue, arg);
}

TASK_TEST_IN_ORDER(waiters_are_served_first_come_first_served)
{
	void *items[3] = { NULL };
	an_group group;

	CHECK_EQUAL(start(1), 0);
	an_group_begin(&group);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_group_spawn(&group, gets_one, &items[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (intptr_t i = 1; i <= 3; i++)
		CHECK_EQUAL(an_thread_queue_tryput(queue, number(i)), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	for (intptr_t i = 0; i < 3; i++)
		CHECK_EQUAL((intptr_t)items[i], i + 1);

	an_group_begin(&group);
	for (intptr_t i = 1; i <= 3; i++)
		CHECK_EQUAL(an_group_spawn(&group, puts_one, number(i)), 0);
	CHECK_EQUAL(an_yield(), 0);
	for (intptr_t i = 1; i <= 3; i++) {
		CHECK_EQUAL(an_thread_queue_tryput(queue, number(9)), -EAGAIN);
		CHECK_EQUAL(an_thread_queue_tryget(queue, &items[0]), 0);
		CHECK_EQUAL((intptr_t)items[0], i);
	}
	CHECK_EQUAL(an_group_end(&group), 0);
	finish();
	return 0;
}

TASK_TEST(a_limit_ends_a_wait_on_the_virtual_clock)
{
	an_timeout limit;
	void *item;

	CHECK_EQUAL(start(1), 0);
	an_timeout_begin(&limit, 5 * AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_thread_queue_get(queue, &item)),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_now(), 5 * AN_SECOND);
	CHECK_EQUAL(an_thread_queue_put(queue, number(1)), 0);
	an_timeout_begin(&limit, 5 * AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_thread_queue_put(queue, number(2))),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_thread_queue_tryget(queue, &item), 0);
	CHECK_EQUAL(an_thread_queue_tryget(queue, &item), -EAGAIN);
	finish();
	return 0;
}

static intptr_t put_sum, got_sum;
static an_group peers;

static int puts_and_counts(void *arg)
{
	(void)arg;
	for (intptr_t i = 1; i <= 6; i++) {
		int r = an_thread_queue_put(queue, number(i));

		if (r < 0)
			return r == AN_ERR_CLOSED ? 0 : r;
		put_sum += i;
	}
	return 0;
}

static int gets_and_counts(void *arg)
{
	void *item;
	int r;

	(void)arg;
	while ((r = an_thread_queue_get(queue, &item)) == 0)
		got_sum += (intptr_t)item;
	return r == AN_ERR_CLOSED ? 0 : r;
}

static int starts_peers(void *arg)
{
	put_sum = got_sum = 0;
	CHECK_EQUAL(start(1), 0);
	an_group_begin(&peers);
	CHECK_EQUAL(an_group_spawn(&peers, puts_and_counts, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&peers, arg ? puts_and_counts : gets_and_counts, NULL),
		    0);
	return 0;
}

static int finds_all_items(void *arg)
{
	void *item;

	(void)arg;
	CHECK_EQUAL(an_sleep(1), 0);
	an_thread_queue_close(queue);
	CHECK_EQUAL(an_group_end(&peers), 0);
	while (an_thread_queue_tryget(queue, &item) == 0)
		got_sum += (intptr_t)item;
	CHECK_EQUAL(got_sum, put_sum);
	finish();
	return 0;
}

static int gets_three(void *arg)
{
	void *item;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		int r = an_thread_queue_get(queue, &item);

		if (r < 0)
			return r;
		got_sum += (intptr_t)item;
	}
	return 0;
}

CANCEL_TEST(a_cancelled_putter_loses_no_item, starts_peers, puts_and_counts,
	    finds_all_items, NULL)
CANCEL_TEST(a_cancelled_getter_loses_no_item, starts_peers, gets_three, finds_all_items,
	    number(1))

/* ---- a hand-over from another thread, and a cancellation --------------------------- */

static void *thread_puts(void *arg)
{
	return number(an_thread_queue_put(queue, arg));
}

static void *thread_gets(void *arg)
{
	return number(an_thread_queue_get(queue, arg));
}

/* On another thread, to its end, while this one stands still. Returns its result. */
static int on_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *r;

	CHECK_EQUAL(pthread_create(&thread, NULL, fn, arg), 0);
	CHECK_EQUAL(pthread_join(thread, &r), 0);
	return (int)(intptr_t)r;
}

static int meets_a_cancellation(bool cancelled_first)
{
	an_task *getter, *putter;
	void *item = NULL, *other = NULL;
	int r = 1;

	CHECK_EQUAL(start(1), 0);
	CHECK_EQUAL(an_spawn(gets_one, &item, NULL, &getter), 0);
	CHECK_EQUAL(an_yield(), 0);
	if (cancelled_first)
		an_cancel(getter);
	CHECK_EQUAL(on_a_thread(thread_puts, number(5)), 0);
	if (!cancelled_first)
		an_cancel(getter);
	CHECK_EQUAL(an_join(getter, &r), 0);
	CHECK_EQUAL(r, 0); /* what was given is kept */
	CHECK_EQUAL((intptr_t)item, 5);

	CHECK_EQUAL(an_thread_queue_put(queue, number(6)), 0);
	CHECK_EQUAL(an_spawn(puts_one, number(7), NULL, &putter), 0);
	CHECK_EQUAL(an_yield(), 0);
	if (cancelled_first)
		an_cancel(putter);
	CHECK_EQUAL(on_a_thread(thread_gets, &other), 0);
	if (!cancelled_first)
		an_cancel(putter);
	CHECK_EQUAL((intptr_t)other, 6);
	CHECK_EQUAL(an_join(putter, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_thread_queue_get(queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 7);
	finish();
	return 0;
}

/* asyncio semantics 27, across threads. */
TASK_TEST_IN_ORDER(what_another_thread_handed_over_outlasts_a_cancellation)
{
	CHECK_EQUAL(meets_a_cancellation(false), 0);
	return meets_a_cancellation(true);
}

TASK_TEST_IN_ORDER(a_cancelled_getter_leaves_the_item_to_others)
{
	an_task *getter;
	void *item = NULL;
	int r = 1;

	CHECK_EQUAL(start(1), 0);
	CHECK_EQUAL(an_spawn(gets_one, &item, NULL, &getter), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(getter);
	CHECK_EQUAL(an_join(getter, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(on_a_thread(thread_puts, number(5)), 0);
	CHECK_EQUAL(an_thread_queue_tryget(queue, &item), 0);
	CHECK_EQUAL((intptr_t)item, 5);
	finish();
	return 0;
}

static int leaves_a_getter_behind(void *arg)
{
	CHECK_EQUAL(an_spawn(gets_one, arg, NULL, NULL), 0);
	return an_yield();
}

static void the_end_of_a_run_ends_its_waits(void **state)
{
	void *item = number(3);

	(void)state;
	assert_int_equal(start(1), 0);
	assert_int_equal(an_run(leaves_a_getter_behind, &item, NULL), 0);
	assert_int_equal(run_virtual(leaves_a_getter_behind, &item), 0);
	assert_int_equal(an_thread_queue_tryput(queue, number(1)), 0);
	assert_ptr_equal(item, number(3));
	assert_int_equal(an_thread_queue_tryget(queue, &item), 0);
	finish();
}

/* ---- many threads and loops -------------------------------------------------------- */

#define ITEMS 500
#define THREADS 2 /* of each kind on each side, beside loops of as many tasks */
#define TASKS 3

static atomic_long produced, consumed;

static int produces(void *arg)
{
	(void)arg;
	for (intptr_t i = 1; i <= ITEMS; i++) {
		CHECK_EQUAL(an_thread_queue_put(queue, number(i)), 0);
		atomic_fetch_add(&produced, i);
	}
	return 0;
}

static int consumes(void *arg)
{
	void *item;
	int r;

	(void)arg;
	while ((r = an_thread_queue_get(queue, &item)) == 0)
		atomic_fetch_add(&consumed, (intptr_t)item);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	return 0;
}

/* The task function at `arg`, several times at once. */
static int several(void *arg)
{
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < TASKS; i++)
		CHECK_EQUAL(an_group_spawn(&group, *(an_task_fn *)arg, NULL), 0);
	return an_group_end(&group);
}

static void *plain_thread(void *arg)
{
	return number((*(an_task_fn *)arg)(NULL));
}

static void *loop_thread(void *arg)
{
	return number(an_run(several, arg, NULL));
}

static void begin_threads(pthread_t *threads, an_task_fn *fn)
{
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(threads++, NULL, plain_thread, fn), 0);
		assert_int_equal(pthread_create(threads++, NULL, loop_thread, fn), 0);
	}
}

static void end_threads(const pthread_t *threads)
{
	for (int i = 0; i < 2 * THREADS; i++) {
		void *r;

		assert_int_equal(pthread_join(threads[i], &r), 0);
		assert_null(r);
	}
}

static void items_cross_between_threads_and_loops(void **state)
{
	static const size_t capacities[] = { 1, 7, AN_QUEUE_UNBOUNDED };
	an_task_fn put = produces, get = consumes;
	pthread_t producers[2 * THREADS], consumers[2 * THREADS];

	(void)state;
	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
		atomic_store(&produced, 0);
		atomic_store(&consumed, 0);
		assert_int_equal(start(capacities[i]), 0);
		begin_threads(consumers, &get);
		begin_threads(producers, &put);
		end_threads(producers);
		an_thread_queue_close(queue);
		end_threads(consumers);
		assert_int_equal(atomic_load(&produced), atomic_load(&consumed));
		assert_int_equal(atomic_load(&produced),
				 (long)THREADS * (1 + TASKS) * ITEMS * (ITEMS + 1) / 2);
		finish();
	}
}

/* ---- cancelled at any moment ------------------------------------------------------- */

static int takes_one(void *arg)
{
	void *item;
	int r = an_thread_queue_get(queue, &item);

	(void)arg;
	if (r == 0)
		atomic_fetch_add(&consumed, (intptr_t)item);
	return r;
}

static int gives_one(void *arg)
{
	int r = an_thread_queue_put(queue, arg);

	if (r == 0)
		atomic_fetch_add(&produced, (intptr_t)arg);
	return r;
}

/* Each turn of the loop looks for messages; a number of them pass before the task is
 * cancelled, and other threads do what they do meanwhile. */
static int is_fickle(an_task_fn fn)
{
	for (intptr_t i = 1; i <= 300; i++) {
		an_task *task;
		int r;

		CHECK_EQUAL(an_spawn(fn, number(i), NULL, &task), 0);
		for (intptr_t j = 0; j < i % 7; j++)
			CHECK_EQUAL(an_yield(), 0);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &r), 0);
		CHECK(r == 0 || r == -ECANCELED || r == AN_ERR_CLOSED);
	}
	return 0;
}

static int takes_fickly(void *arg)
{
	(void)arg;
	return is_fickle(takes_one);
}

static int gives_fickly(void *arg)
{
	(void)arg;
	return is_fickle(gives_one);
}

static void a_cancellation_races_with_other_threads_and_nothing_is_lost(void **state)
{
	an_task_fn put = gives_fickly, get = takes_fickly, rest = consumes;
	pthread_t getters[2], putters[2], last;
	void *r;

	(void)state;
	atomic_store(&produced, 0);
	atomic_store(&consumed, 0);
	assert_int_equal(start(2), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&getters[i], NULL, loop_thread, &get), 0);
		assert_int_equal(pthread_create(&putters[i], NULL, loop_thread, &put), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(getters[i], &r), 0);
		assert_null(r);
		assert_int_equal(pthread_join(putters[i], &r), 0);
		assert_null(r);
	}
	an_thread_queue_close(queue);
	assert_int_equal(pthread_create(&last, NULL, plain_thread, &rest), 0);
	assert_int_equal(pthread_join(last, &r), 0);
	assert_null(r);
	assert_int_equal(atomic_load(&produced), atomic_load(&consumed));
	finish();
}

static void closing_wakes_whoever_waits(void **state)
{
	an_task_fn get = consumes;
	pthread_t consumers[2 * THREADS];

	(void)state;
	assert_int_equal(start(1), 0);
	begin_threads(consumers, &get);
	an_thread_queue_close(queue);
	end_threads(consumers);
	finish();
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_thread_without_a_loop_puts_and_takes),
	cmocka_unit_test(without_memory_nothing_is_put),
	cmocka_unit_test(on_a_loop_s_thread_only_tasks_can_wait),
	cmocka_unit_test(waiters_are_served_first_come_first_served),
	cmocka_unit_test(a_limit_ends_a_wait_on_the_virtual_clock),
	cmocka_unit_test(a_cancelled_putter_loses_no_item),
	cmocka_unit_test(a_cancelled_getter_loses_no_item),
	cmocka_unit_test(what_another_thread_handed_over_outlasts_a_cancellation),
	cmocka_unit_test(a_cancelled_getter_leaves_the_item_to_others),
	cmocka_unit_test(the_end_of_a_run_ends_its_waits),
	cmocka_unit_test(items_cross_between_threads_and_loops),
	cmocka_unit_test(a_cancellation_races_with_other_threads_and_nothing_is_lost),
	cmocka_unit_test(closing_wakes_whoever_waits),
};
TEST_MAIN("thread-queue", tests)
