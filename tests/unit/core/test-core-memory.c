/* Each allocation of a loop's life fails once, the library's own and libevent's: -ENOMEM
 * comes back, nothing leaks, and the same call works afterwards. */
#include "tests/support/libevent-memory.h"
#include "tests/support/run.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the loop ---------------------------------------------------------------------- */

/* Whatever could not be had, SIGINT cancels; with `no_signals` it is left alone. */
static int sleeps_until_interrupted(void *arg)
{
	struct sigaction now;

	(void)arg;
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(sigaction(SIGINT, NULL, &now), 0);
	if (now.sa_handler == SIG_DFL)
		return 7;
	raise(SIGINT);
	CHECK_EQUAL(an_sleep(AN_HOUR), -ECANCELED);
	return 8;
}

/* Runs it with each allocation failing in turn. Most are refused; some can be done
 * without: libevent then polls without epoll. Returns the number of runs that were
 * neither refused nor as they should be. */
static size_t fail_each_of_a_run(const an_loop_opts *opts)
{
	size_t before = open_descriptors(), refused = 0, without = 0;
	int expected = opts->no_signals ? 7 : 8;

	for (size_t n = 1;; n++) {
		int r;

		assert_true(n < 200);
		an_testing_fail_allocation(n);
		r = an_run(sleeps_until_interrupted, NULL, opts);
		assert_null(an_loop_current());
		assert_int_equal(open_descriptors(), before);
		if (!an_testing_allocation_failed()) {
			assert_int_equal(r, expected);
			assert_true(refused >= 8);
			return without;
		}
		refused += r == -ENOMEM;
		without += r != -ENOMEM && r != expected;
		assert_true(r == -ENOMEM || r == expected);
	}
}

static void every_allocation_of_a_run_may_fail(void **state)
{
	const an_loop_opts opts = { .no_signals = true };

	(void)state;
	assert_int_equal(fail_each_of_a_run(&opts), 0);
}

static void sigint_is_answered_however_little_memory_there_is(void **state)
{
	const an_loop_opts opts = { .virtual_clock = true };
	struct sigaction now;

	(void)state;
	assert_int_equal(fail_each_of_a_run(&opts), 0);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
}

static int stops_the_dispatch(void *arg)
{
	int r = an_sleep(1);

	event_base_loopbreak(arg);
	return r;
}

/* On a base that has a loop for the first time, so that it has to grow. */
static int use_attached(struct event_base *base)
{
	an_loop *loop = NULL;
	int r = an_loop_attach(base, NULL, &loop);

	if (r < 0) {
		assert_null(loop);
		return r;
	}
	r = an_spawn(stops_the_dispatch, base, NULL, NULL);
	if (r == 0)
		event_base_dispatch(base);
	assert_null(an_loop_detach(loop));
	return r;
}

static void every_allocation_of_an_attached_loop_may_fail(void **state)
{
	size_t n;

	(void)state;
	for (n = 1;; n++) {
		struct event_base *base = event_base_new();
		size_t before = open_descriptors();
		bool failed;
		int r;

		assert_true(n < 100);
		an_testing_fail_allocation(n);
		r = use_attached(base);
		failed = an_testing_allocation_failed();
		assert_int_equal(r, failed ? -ENOMEM : 0);
		assert_int_equal(open_descriptors(), before);
		/* What is refused once works on the same base afterwards. */
		assert_int_equal(use_attached(base), 0);
		event_base_free(base);
		if (!failed)
			break;
	}
	assert_true(n > 6);
}

/* ---- tasks and messages ------------------------------------------------------------ */

#define MANY 600 /* more than a slab of stacks, and several times the room for timers */

static int waits(void *arg)
{
	(void)arg;
	return an_sleep(AN_HOUR);
}

TASK_TEST(every_allocation_of_a_spawn_may_fail)
{
	static an_task *tasks[MANY];
	int failures = 0, result;

	for (int i = 0; i < MANY; i++) {
		int r;

		tasks[i] = NULL;
		an_testing_fail_allocation(1);
		r = an_spawn(waits, NULL, NULL, &tasks[i]);
		if (an_testing_allocation_failed()) {
			CHECK_EQUAL(r, -ENOMEM);
			CHECK(!tasks[i]);
			failures++;
			r = an_spawn(waits, NULL, NULL, &tasks[i]);
		}
		CHECK_EQUAL(r, 0);
		CHECK_EQUAL(an_loop_task_count(an_loop_current()), i + 2);
	}
	CHECK(failures >= 4);
	CHECK_EQUAL(an_sleep(1), 0);
	for (int i = 0; i < MANY; i++)
		an_cancel(tasks[i]);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQUAL(an_join(tasks[i], &result), 0);
		CHECK_EQUAL(result, -ECANCELED);
	}
	return 0;
}

TASK_TEST(a_group_outlives_a_failing_spawn)
{
	int failures = 0;
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < MANY; i++) {
		int r;

		an_testing_fail_allocation(1);
		r = an_group_spawn(&group, waits, NULL);
		if (an_testing_allocation_failed()) {
			CHECK_EQUAL(r, -ENOMEM);
			failures++;
			r = an_group_spawn(&group, waits, NULL);
		}
		CHECK_EQUAL(r, 0);
	}
	CHECK(failures >= 4);
	CHECK_EQUAL(group.count, MANY);
	CHECK_EQUAL(an_group_end(&group), 0);
	return 0;
}

static void counts(void *arg)
{
	++*(int *)arg;
}

TASK_TEST(a_message_without_memory_is_refused)
{
	an_loop *loop = an_loop_current();
	int count = 0;

	an_testing_fail_allocation(1);
	CHECK_EQUAL(an_post(loop, counts, &count), -ENOMEM);
	CHECK(an_testing_allocation_failed());
	CHECK_EQUAL(an_post(loop, counts, &count), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(count, 1);
	return 0;
}

/* ---- the queue --------------------------------------------------------------------- */

TASK_TEST(an_item_without_memory_is_not_put)
{
	int failures = 0;
	an_queue queue;
	void *item;

	an_queue_init(&queue, AN_QUEUE_UNBOUNDED);
	for (intptr_t i = 0; i < 100; i++) {
		int r;

		an_testing_fail_allocation(1);
		r = i & 1 ? an_queue_put(&queue, (void *)i)
			  : an_queue_tryput(&queue, (void *)i);
		if (an_testing_allocation_failed()) {
			CHECK_EQUAL(r, -ENOMEM);
			CHECK_EQUAL(an_queue_count(&queue), i);
			failures++;
			r = an_queue_tryput(&queue, (void *)i);
		}
		CHECK_EQUAL(r, 0);
	}
	CHECK(failures >= 3);
	for (intptr_t i = 0; i < 100; i++) {
		CHECK_EQUAL(an_queue_get(&queue, &item), 0);
		CHECK_EQUAL((intptr_t)item, i);
		CHECK_EQUAL(an_queue_task_done(&queue), 0);
	}
	CHECK_EQUAL(an_queue_task_done(&queue), AN_ERR_MISUSE);
	CHECK_EQUAL(an_queue_join(&queue), 0);
	an_queue_done(&queue);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_allocation_of_a_run_may_fail),
	cmocka_unit_test(sigint_is_answered_however_little_memory_there_is),
	cmocka_unit_test(every_allocation_of_an_attached_loop_may_fail),
	cmocka_unit_test(every_allocation_of_a_spawn_may_fail),
	cmocka_unit_test(a_group_outlives_a_failing_spawn),
	cmocka_unit_test(a_message_without_memory_is_refused),
	cmocka_unit_test(an_item_without_memory_is_not_put),
};

TEST_MAIN_WITH("core-memory", tests, count_libevent, NULL)
