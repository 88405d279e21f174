/* Each allocation of a loop's life fails once, the library's own and libevent's: -ENOMEM
 * comes back, nothing leaks, and the same call works afterwards. */
#include "tests/support/run.h"

#include <asyncnet/testing.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- libevent's allocations -------------------------------------------------------- */

static bool libevent_counts; /* its allocations may be the one that fails */

static void *libevent_malloc(size_t size)
{
	return libevent_counts && an_testing_allocation_due() ? NULL : malloc(size);
}

static void *libevent_realloc(void *old, size_t size)
{
	return libevent_counts && an_testing_allocation_due() ? NULL : realloc(old, size);
}

static void keep_quiet(int severity, const char *message)
{
	(void)severity;
	(void)message;
}

/* ---- the loop ---------------------------------------------------------------------- */

static int sleeps_a_little(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_sleep(1), 0);
	return 7;
}

static void every_allocation_of_a_run_may_fail(void **state)
{
	size_t before = open_descriptors(), n;

	(void)state;
	for (n = 1;; n++) {
		int r;

		assert_true(n < 100);
		an_testing_fail_allocation(n);
		r = an_run(sleeps_a_little, NULL, NULL);
		if (!an_testing_allocation_failed()) {
			assert_int_equal(r, 7);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		assert_null(an_loop_current());
		assert_int_equal(open_descriptors(), before);
	}
	assert_true(n > 3);
}

static void every_allocation_of_libevent_in_a_run_may_fail(void **state)
{
	size_t before = open_descriptors(), n;

	(void)state;
	for (n = 1;; n++) {
		int r;

		assert_true(n < 100);
		libevent_counts = true;
		an_testing_fail_allocation(n);
		r = an_run(sleeps_a_little, NULL, NULL);
		libevent_counts = false;
		if (!an_testing_allocation_failed()) {
			assert_int_equal(r, 7);
			break;
		}
		/* Some are for SIGINT, which a loop can do without. */
		assert_true(r == -ENOMEM || r == 7);
		assert_null(an_loop_current());
		assert_int_equal(open_descriptors(), before);
	}
	assert_true(n > 3);
}

static void every_allocation_of_an_attachment_may_fail(void **state)
{
	struct event_base *base = event_base_new();
	size_t before = open_descriptors(), n;
	an_loop *loop;

	(void)state;
	for (n = 1;; n++) {
		int r;

		assert_true(n < 100);
		an_testing_fail_allocation(n);
		loop = NULL;
		r = an_loop_attach(base, NULL, &loop);
		if (!an_testing_allocation_failed()) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		assert_null(loop);
		assert_int_equal(open_descriptors(), before);
	}
	assert_null(an_loop_detach(loop));
	assert_int_equal(open_descriptors(), before);
	event_base_free(base);
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
	cmocka_unit_test(every_allocation_of_libevent_in_a_run_may_fail),
	cmocka_unit_test(every_allocation_of_an_attachment_may_fail),
	cmocka_unit_test(every_allocation_of_a_spawn_may_fail),
	cmocka_unit_test(a_group_outlives_a_failing_spawn),
	cmocka_unit_test(a_message_without_memory_is_refused),
	cmocka_unit_test(an_item_without_memory_is_not_put),
};

/* libevent takes other allocators only before it has made anything. */
int main(void)
{
	event_set_mem_functions(libevent_malloc, libevent_realloc, free);
	event_set_log_callback(keep_quiet);
	an__test_begin();
	return cmocka_run_group_tests_name("core-memory", tests, NULL, NULL);
}
