/* Blocking calls on worker threads: results, bounds, cancellation at each stage. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

/* Work that tells when it has begun and ends when it is told. */
struct work {
	sem_t begun, go_on;
	pthread_t thread;
	atomic_int runs, disposals;
	int result;
};

static void work_init(struct work *w, int result)
{
	*w = (struct work){ .result = result };
	sem_init(&w->begun, 0, 0);
	sem_init(&w->go_on, 0, 0);
}

static int do_work(void *arg)
{
	struct work *w = arg;

	w->thread = pthread_self();
	atomic_fetch_add(&w->runs, 1);
	sem_post(&w->begun);
	while (sem_wait(&w->go_on) < 0)
		;
	return w->result;
}

static void dispose_work(void *arg)
{
	struct work *w = arg;

	w->thread = pthread_self();
	atomic_fetch_add(&w->disposals, 1);
}

static int offload_work(void *arg)
{
	return an_offload(do_work, arg, NULL);
}

static int offload_disposable(void *arg)
{
	return an_offload(do_work, arg, dispose_work);
}

TASK_TEST(a_call_runs_on_another_thread_and_its_result_comes_back)
{
	struct work w;

	work_init(&w, 42);
	sem_post(&w.go_on);
	CHECK_EQUAL(an_offload(do_work, &w, NULL), 42);
	CHECK(!pthread_equal(w.thread, pthread_self()));
	CHECK_EQUAL(w.runs, 1);
	w.result = -EIO;
	sem_post(&w.go_on);
	CHECK_EQUAL(an_offload(do_work, &w, dispose_work), -EIO);
	CHECK_EQUAL(w.disposals, 0);
	return 0;
}

static int signals_blocked(void *arg)
{
	sigset_t set;

	(void)arg;
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGINT) && sigismember(&set, SIGTERM) &&
	       sigismember(&set, SIGALRM);
}

TASK_TEST(workers_block_signals)
{
	CHECK_EQUAL(an_offload(signals_blocked, NULL, NULL), 1);
	return 0;
}

TASK_TEST(other_tasks_run_while_one_waits)
{
	struct work w;
	an_task *t;
	int result;

	work_init(&w, 1);
	CHECK_EQUAL(an_spawn(offload_work, &w, NULL, &t), 0);
	while (!atomic_load(&w.runs))
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(t));
	sem_post(&w.go_on);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 1);
	return 0;
}

static int bounded(void *arg)
{
	struct work w[3];
	an_task *t[3];
	int result;

	(void)arg;
	/* One worker, one place in the queue: the third waits for room. */
	for (int i = 0; i < 3; i++) {
		work_init(&w[i], i);
		CHECK_EQUAL(an_spawn(offload_work, &w[i], NULL, &t[i]), 0);
	}
	while (sem_trywait(&w[0].begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(w[1].runs + w[2].runs, 0);
	/* Cancelled in line and in the queue: neither ever runs. */
	an_cancel(t[2]);
	CHECK_EQUAL(an_join(t[2], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	an_cancel(t[1]);
	CHECK_EQUAL(an_join(t[1], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(w[1].runs + w[2].runs, 0);
	/* The room has come back. */
	CHECK_EQUAL(an_spawn(offload_work, &w[2], NULL, &t[2]), 0);
	sem_post(&w[2].go_on);
	sem_post(&w[0].go_on);
	CHECK_EQUAL(an_join(t[0], &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(an_join(t[2], &result), 0);
	CHECK_EQUAL(result, 2);
	return 0;
}

static void the_queue_is_bounded_and_gives_room_back(void **state)
{
	an_loop_opts opts = { .virtual_clock = true,
			      .offload_threads = 1,
			      .offload_queue = 1 };

	(void)state;
	assert_int_equal(an_run(bounded, NULL, &opts), 0);
}

TASK_TEST(a_running_call_without_dispose_cannot_be_cancelled)
{
	struct work w;
	an_task *t;
	int result;

	work_init(&w, 7);
	CHECK_EQUAL(an_spawn(offload_work, &w, NULL, &t), 0);
	while (sem_trywait(&w.begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_done(t));
	sem_post(&w.go_on);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 7);
	return 0;
}

/* The run ends before the work does: the loop waits for it. */
static struct work left_behind;

TASK_TEST(a_running_call_with_dispose_is_left_behind)
{
	pthread_t self = pthread_self();
	an_task *t;
	int result;

	work_init(&left_behind, 7);
	CHECK_EQUAL(an_spawn(offload_disposable, &left_behind, NULL, &t), 0);
	while (sem_trywait(&left_behind.begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(left_behind.disposals, 0);
	sem_post(&left_behind.go_on);
	while (!atomic_load(&left_behind.disposals))
		CHECK_EQUAL(an_yield(), 0);
	CHECK(!pthread_equal(left_behind.thread, self));
	return 0;
}

static int leave_unfinished(void *arg)
{
	an_task *t;
	int result;

	(void)arg;
	work_init(&left_behind, 7);
	CHECK_EQUAL(an_spawn(offload_disposable, &left_behind, NULL, &t), 0);
	while (sem_trywait(&left_behind.begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	/* The work needs until after the main task's end. */
	sem_post(&left_behind.go_on);
	return 0;
}

static void the_loop_outlives_work_that_was_left_behind(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(leave_unfinished, NULL), 0);
	assert_int_equal(left_behind.runs, 1);
	assert_int_equal(left_behind.disposals, 1);
}

static int fill_one_worker(void *arg)
{
	struct work first, second;
	an_task *t, *u;
	int result;

	(void)arg;
	work_init(&first, 1);
	work_init(&second, 2);
	CHECK_EQUAL(an_spawn(offload_work, &first, NULL, &t), 0);
	CHECK_EQUAL(an_spawn(offload_disposable, &second, NULL, &u), 0);
	while (sem_trywait(&first.begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(u);
	CHECK_EQUAL(an_join(u, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(second.runs, 0);
	CHECK_EQUAL(second.disposals, 1);
	CHECK(pthread_equal(second.thread, pthread_self()));
	sem_post(&first.go_on);
	CHECK_EQUAL(an_join(t, &result), 0);
	return 0;
}

static void work_that_never_began_is_disposed_of_at_once(void **state)
{
	an_loop_opts opts = { .virtual_clock = true, .offload_threads = 1 };

	(void)state;
	assert_int_equal(an_run(fill_one_worker, NULL, &opts), 0);
}

TASK_TEST(a_cancelled_task_disposes_without_running)
{
	struct work w;
	an_timeout over;

	work_init(&w, 1);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_timeout_end(&over, an_offload(do_work, &w, dispose_work)),
		    -ETIMEDOUT);
	CHECK_EQUAL(w.runs, 0);
	CHECK_EQUAL(w.disposals, 1);
	return 0;
}

static void outside_a_task_it_is_an_error(void **state)
{
	struct work w;

	(void)state;
	work_init(&w, 1);
	assert_int_equal(an_offload(do_work, &w, dispose_work), AN_ERR_NO_TASK);
	assert_int_equal(w.runs, 0);
	assert_int_equal(w.disposals, 1);
}

#define MANY 500

static int add(void *arg)
{
	atomic_int *sum = arg;

	atomic_fetch_add(sum, 1);
	return 1;
}

static int offload_add(void *arg)
{
	return an_offload(add, arg, NULL) == 1 ? 0 : CHECK_FAILED;
}

TASK_TEST(hundreds_of_calls_at_once_are_all_done)
{
	atomic_int sum = 0;
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(an_group_spawn(&group, offload_add, &sum), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(sum, MANY);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_call_runs_on_another_thread_and_its_result_comes_back),
	cmocka_unit_test(workers_block_signals),
	cmocka_unit_test(other_tasks_run_while_one_waits),
	cmocka_unit_test(the_queue_is_bounded_and_gives_room_back),
	cmocka_unit_test(a_running_call_without_dispose_cannot_be_cancelled),
	cmocka_unit_test(a_running_call_with_dispose_is_left_behind),
	cmocka_unit_test(the_loop_outlives_work_that_was_left_behind),
	cmocka_unit_test(work_that_never_began_is_disposed_of_at_once),
	cmocka_unit_test(a_cancelled_task_disposes_without_running),
	cmocka_unit_test(outside_a_task_it_is_an_error),
	cmocka_unit_test(hundreds_of_calls_at_once_are_all_done),
};

TEST_MAIN("offload", tests)
