/* Signals: counted, in order, from any thread, given back. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int two[] = { SIGUSR1, SIGUSR2, 0 };

TASK_TEST(a_signal_that_came_before_the_wait_is_not_missed)
{
	an_signal_watch *w;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR2);
	CHECK(!an_signal_watch_close(w));
	CHECK(!an_signal_watch_close(NULL));
	return 0;
}

static int wait_task(void *arg)
{
	return an_signal_wait(arg);
}

TASK_TEST_IN_ORDER(tasks_that_wait_are_served_in_order)
{
	an_signal_watch *w;
	an_task *t[3];
	int result;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_spawn(wait_task, w, NULL, &t[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(t[1]);
	raise(SIGUSR2);
	CHECK_EQUAL(an_join(t[0], &result), 0);
	CHECK_EQUAL(result, SIGUSR2);
	CHECK_EQUAL(an_join(t[1], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	raise(SIGUSR1);
	CHECK_EQUAL(an_join(t[2], &result), 0);
	CHECK_EQUAL(result, SIGUSR1);
	an_signal_watch_close(w);
	return 0;
}

TASK_TEST(a_close_wakes_those_that_wait)
{
	an_signal_watch *w;
	an_task *t;
	int result;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	CHECK_EQUAL(an_spawn(wait_task, w, NULL, &t), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_signal_watch_close(w);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	return 0;
}

static void *raise_here(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
	return NULL;
}

TASK_TEST(a_signal_may_come_to_any_thread)
{
	an_signal_watch *w;
	pthread_t thread;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	CHECK_EQUAL(pthread_create(&thread, NULL, raise_here, NULL), 0);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	pthread_join(thread, NULL);
	an_signal_watch_close(w);
	return 0;
}

TASK_TEST(a_signal_has_one_watch)
{
	static const int second[] = { SIGHUP, SIGUSR2, 0 }, other[] = { SIGHUP, 0 };
	an_signal_watch *w, *v = NULL;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	CHECK_EQUAL(an_signal_watch_new(second, &v), -EBUSY);
	CHECK(!v);
	CHECK_EQUAL(an_signal_watch_new(other, &v), 0);
	raise(SIGHUP);
	CHECK_EQUAL(an_signal_wait(v), SIGHUP);
	an_signal_watch_close(v);
	an_signal_watch_close(w);
	CHECK_EQUAL(an_signal_watch_new(second, &v), 0);
	an_signal_watch_close(v);
	return 0;
}

TASK_TEST(what_cannot_be_watched_is_refused)
{
	static const int sets[][3] = {
		{ 0 },	   { SIGKILL, 0 }, { SIGSTOP, 0 },	 { SIGSEGV, 0 },
		{ -1, 0 }, { 4711, 0 },	   { SIGHUP, SIGHUP, 0 }
	};
	an_signal_watch *w = NULL;

	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
		CHECK_EQUAL(an_signal_watch_new(sets[i], &w), -EINVAL);
	CHECK_EQUAL(an_signal_watch_new(NULL, &w), -EINVAL);
	/* glibc's own; what came before it in the set is given back */
	CHECK_EQUAL(an_signal_watch_new((const int[]){ SIGUSR1, 32, 0 }, &w), -EINVAL);
	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	an_signal_watch_close(w);
	return 0;
}

static volatile sig_atomic_t former_calls;

static void former(int number)
{
	(void)number;
	former_calls++;
}

TASK_TEST(the_former_action_is_restored)
{
	struct sigaction old, now;
	an_signal_watch *w;

	signal(SIGUSR1, former);
	sigaction(SIGUSR1, NULL, &old);
	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	raise(SIGUSR1);
	CHECK_EQUAL(former_calls, 0);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	an_signal_watch_close(w);
	sigaction(SIGUSR1, NULL, &now);
	CHECK(old.sa_handler == now.sa_handler);
	raise(SIGUSR1);
	CHECK_EQUAL(former_calls, 1);
	return 0;
}

/* Another thread can have been sent into the handler just before the close. */
TASK_TEST(a_handler_that_comes_late_writes_to_no_descriptor)
{
	struct sigaction handler;
	an_signal_watch *w;
	uint64_t count;
	int fd;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	CHECK_EQUAL(sigaction(SIGUSR1, NULL, &handler), 0);
	an_signal_watch_close(w);
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); /* has the number that is free now */
	handler.sa_handler(SIGUSR1);
	CHECK_EQUAL(read(fd, &count, sizeof count), -1);
	CHECK_EQUAL(errno, EAGAIN);
	close(fd);
	return 0;
}

TASK_TEST(in_a_cancelled_scope_nothing_is_taken)
{
	an_signal_watch *w;
	an_timeout over;

	CHECK_EQUAL(an_signal_watch_new(two, &w), 0);
	raise(SIGUSR1);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_timeout_end(&over, an_signal_wait(w)), -ETIMEDOUT);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	an_signal_watch_close(w);
	return 0;
}

/* Each signal that is raised is waited for once. */
struct account {
	an_signal_watch *watch;
	int raised, taken;
};

static struct account account;

static int raise_some(void *arg)
{
	struct account *a = arg;

	while (a->raised < 3) {
		a->raised++;
		raise(a->raised % 2 ? SIGUSR1 : SIGUSR2);
		CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

static int watch_and_raise(void *arg)
{
	struct account *a = arg;

	*a = (struct account){ 0 };
	CHECK_EQUAL(an_signal_watch_new(two, &a->watch), 0);
	return an_spawn(raise_some, a, NULL, NULL);
}

static int wait_for_some(void *arg)
{
	struct account *a = arg;

	while (a->taken < 3) {
		int r = an_signal_wait(a->watch);

		if (r < 0)
			return r;
		a->taken++;
	}
	return 0;
}

static int none_was_lost(void *arg)
{
	struct account *a = arg;

	for (; a->taken < 3; a->taken++)
		CHECK(an_signal_wait(a->watch) > 0);
	an_signal_watch_close(a->watch);
	return 0;
}

CANCEL_TEST(a_cancelled_wait_takes_no_signal, watch_and_raise, wait_for_some,
	    none_was_lost, &account)

static int interrupted(void *arg)
{
	static const int set[] = { SIGINT, 0 };
	an_signal_watch *w;

	(void)arg;
	CHECK_EQUAL(an_signal_watch_new(set, &w), 0);
	raise(SIGINT);
	CHECK_EQUAL(an_signal_wait(w), SIGINT);
	CHECK_EQUAL(an_check(), 0);
	an_signal_watch_close(w);
	/* and the loop's again */
	raise(SIGINT);
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	return -ECANCELED;
}

static void a_watch_of_sigint_takes_it_over_from_the_run(void **state)
{
	struct sigaction now;

	(void)state;
	assert_int_equal(an_run(interrupted, NULL, NULL), -ECANCELED);
	sigaction(SIGINT, NULL, &now);
	assert_true(now.sa_handler == SIG_DFL);
}

static void outside_a_loop_it_is_an_error(void **state)
{
	an_signal_watch *w;

	(void)state;
	assert_int_equal(an_signal_watch_new(two, &w), AN_ERR_NO_TASK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_signal_that_came_before_the_wait_is_not_missed),
	cmocka_unit_test(tasks_that_wait_are_served_in_order),
	cmocka_unit_test(a_close_wakes_those_that_wait),
	cmocka_unit_test(a_signal_may_come_to_any_thread),
	cmocka_unit_test(a_signal_has_one_watch),
	cmocka_unit_test(what_cannot_be_watched_is_refused),
	cmocka_unit_test(the_former_action_is_restored),
	cmocka_unit_test(a_handler_that_comes_late_writes_to_no_descriptor),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_taken),
	cmocka_unit_test(a_cancelled_wait_takes_no_signal),
	cmocka_unit_test(a_watch_of_sigint_takes_it_over_from_the_run),
	cmocka_unit_test(outside_a_loop_it_is_an_error),
};

TEST_MAIN("signal", tests)
