/* Loops made, run, stopped, run again and freed by hand; what is left at the end;
 * SIGINT. */
#include "tests/support/messages.h"
#include "tests/support/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded 0
#endif

static const an_loop_opts virtual = { .virtual_clock = true };

static int returns_arg(void *arg)
{
	return (int)(intptr_t)arg;
}

static int sleeps_for_ever(void *arg)
{
	(void)arg;
	return an_sleep(AN_FOREVER);
}

static int sleeps_three_seconds(void *arg)
{
	(void)arg;
	return an_sleep(3 * AN_SECOND);
}

static an_task *spawned(an_task_fn fn, void *arg)
{
	an_task *task = NULL;

	assert_int_equal(an_spawn(fn, arg, NULL, &task), 0);
	return task;
}

/* ---- runs -------------------------------------------------------------------------- */

static void a_loop_runs_one_task_after_another(void **state)
{
	an_loop *loop;
	int result = -1;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	assert_ptr_equal(an_loop_current(), loop);
	for (intptr_t i = 1; i < 4; i++) {
		an_task *task = spawned(returns_arg, (void *)i);

		assert_int_equal(an_loop_run_until(loop, task, &result), 0);
		assert_int_equal(result, i);
	}
	assert_int_equal(an_loop_run_until(loop, spawned(returns_arg, NULL), NULL), 0);
	assert_int_equal(an_loop_task_count(loop), 0);
	assert_null(an_loop_free(loop));
	assert_null(an_loop_free(NULL));
	assert_null(an_loop_current());
}

static int ticks(void *arg)
{
	while (an_sleep(AN_SECOND) == 0)
		++*(int *)arg;
	return -ECANCELED;
}

static void counts(void *arg)
{
	++*(int *)arg;
}

static void between_runs_tasks_and_timers_stay_as_they_are(void **state)
{
	int count = 0, calls = 0;
	an_loop *loop;
	an_task *ticker;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	ticker = spawned(ticks, &count);
	assert_int_equal(an_call_later(4 * AN_SECOND, counts, &calls, NULL), 0);
	assert_int_equal(an_loop_run_until(loop, spawned(sleeps_three_seconds, NULL),
					   NULL),
			 0);
	assert_int_equal(calls, 0);
	assert_in_range(count, 2, 3);
	assert_int_equal(an_loop_run_until(loop, spawned(sleeps_three_seconds, NULL),
					   NULL),
			 0);
	assert_int_equal(calls, 1);
	assert_in_range(count, 5, 6);
	assert_false(an_done(ticker));
	assert_null(an_loop_free(loop));
}

static int stops(void *arg)
{
	an_loop_stop(an_loop_current());
	++*(int *)arg;
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_loop_stop(an_loop_current());
	++*(int *)arg;
	return 0;
}

static void a_stopped_loop_can_be_run_again(void **state)
{
	int steps = 0;
	an_loop *loop;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	assert_int_equal(an_spawn(stops, &steps, NULL, NULL), 0);
	assert_int_equal(an_loop_run(loop), 0);
	assert_int_equal(steps, 1);
	assert_int_equal(an_loop_run(loop), 0);
	assert_int_equal(steps, 2);
	assert_int_equal(an_loop_task_count(loop), 0);
	assert_int_equal(an_loop_run(loop), AN_ERR_STUCK);
	assert_null(an_loop_free(loop));
}

static int yields_often(void *arg)
{
	for (;;) {
		++*(int *)arg;
		if (an_sleep(1) < 0)
			return -ECANCELED;
	}
}

static void a_stop_before_the_run_lets_it_do_one_turn(void **state)
{
	int steps = 0;
	an_loop *loop;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	assert_int_equal(an_spawn(yields_often, &steps, NULL, NULL), 0);
	an_loop_stop(loop);
	assert_int_equal(an_loop_run(loop), 0);
	assert_int_equal(steps, 1);
	assert_null(an_loop_free(loop));
}

static void a_stop_leaves_the_task_to_its_owner(void **state)
{
	int steps = 0, result = -1;
	an_loop *loop;
	an_task *task;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	assert_int_equal(an_spawn(stops, &steps, NULL, NULL), 0);
	task = spawned(sleeps_three_seconds, NULL);
	assert_int_equal(an_loop_run_until(loop, task, &result), AN_ERR_CLOSED);
	assert_int_equal(an_loop_run_until(loop, task, &result), AN_ERR_CLOSED);
	assert_int_equal(result, -1);
	assert_int_equal(an_loop_run_until(loop, task, &result), 0);
	assert_int_equal(result, 0);
	assert_null(an_loop_free(loop));
}

static int stops_its_run(void *arg)
{
	(void)arg;
	an_loop_stop(an_loop_current());
	return an_sleep(AN_SECOND) == 0 ? 6 : CHECK_FAILED;
}

static void an_run_is_not_stopped(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(stops_its_run, NULL), 6);
}

/* ---- what can be told to go on for ever -------------------------------------------- */

static void run_that_nothing_can_wake(const an_loop_opts *opts)
{
	an_loop *loop;
	an_task *task;

	assert_int_equal(an_loop_new(opts, &loop), 0);
	task = spawned(sleeps_for_ever, NULL);
	assert_int_equal(an_loop_run_until(loop, task, NULL), AN_ERR_STUCK);
	assert_true(an_cancel(task));
	assert_int_equal(an_loop_run_until(loop, task, NULL), 0);
	assert_null(an_loop_free(loop));
}

static void a_run_that_nothing_can_wake_ends(void **state)
{
	(void)state;
	run_that_nothing_can_wake(&virtual);
}

/* To be run before the program has threads; some sanitizers are one. */
static void on_the_real_clock_it_ends_where_there_is_one_thread(void **state)
{
	(void)state;
	if (!__libc_single_threaded)
		skip();
	run_that_nothing_can_wake(NULL);
	assert_int_equal(an_run(sleeps_for_ever, NULL,
				&(an_loop_opts){ .no_signals = true }),
			 AN_ERR_STUCK);
}

/* ---- misuse ------------------------------------------------------------------------ */

static int misuses_its_loop(void *arg)
{
	an_loop *loop = an_loop_current(), *second;
	an_task *task;

	CHECK_EQUAL(an_spawn(returns_arg, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_loop_run(loop), AN_ERR_MISUSE);
	CHECK_EQUAL(an_loop_run_until(loop, task, NULL), AN_ERR_MISUSE);
	CHECK_EQUAL(an_loop_new(NULL, &second), AN_ERR_MISUSE);
	CHECK_EQUAL(an_run(returns_arg, arg, NULL), AN_ERR_MISUSE);
	CHECK(an_loop_free(loop) == loop);
	CHECK(an_loop_detach(loop) == loop);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

static void a_loop_cannot_be_run_or_freed_from_inside(void **state)
{
	an_loop *loop, *second;
	int result = -1;
	an_task *task;

	(void)state;
	assert_int_equal(run_virtual(misuses_its_loop, NULL), 0);
	assert_int_equal(an_loop_new(&virtual, &loop), 0);
	assert_int_equal(an_loop_new(&virtual, &second), AN_ERR_MISUSE);
	assert_int_equal(an_run(returns_arg, NULL, NULL), AN_ERR_MISUSE);
	assert_int_equal(
		an_loop_run_until(loop, spawned(misuses_its_loop, NULL), &result), 0);
	assert_int_equal(result, 0);
	assert_ptr_equal(an_loop_detach(loop), loop);

	task = spawned(sleeps_for_ever, NULL);
	assert_int_equal(an_spawn(joins, task, NULL, NULL), 0);
	an_loop_stop(loop);
	assert_int_equal(an_loop_run(loop), 0);
	assert_int_equal(an_loop_run_until(loop, task, NULL), -EBUSY);
	assert_null(an_loop_free(loop));
}

struct foreign {
	an_loop *loop;
	an_task *task;
	int run, until, join;
	bool cancelled, freed;
};

static int joins_a_foreign_task(void *arg)
{
	struct foreign *f = arg;

	f->join = an_join(f->task, NULL);
	f->cancelled = an_cancel(f->task);
	an_detach(f->task);
	return 0;
}

static void *misuses_a_foreign_loop(void *arg)
{
	struct foreign *f = arg;

	f->run = an_loop_run(f->loop);
	f->until = an_loop_run_until(f->loop, f->task, NULL);
	f->freed = an_loop_free(f->loop) == NULL;
	an_run(joins_a_foreign_task, f, &virtual);
	return NULL;
}

static void another_thread_cannot_use_a_loop_or_its_tasks(void **state)
{
	struct foreign f = { 0 };
	pthread_t thread;
	int result = -1;

	(void)state;
	assert_int_equal(an_loop_new(&virtual, &f.loop), 0);
	f.task = spawned(returns_arg, (void *)5);
	messages_begin();
	assert_int_equal(pthread_create(&thread, NULL, misuses_a_foreign_loop, &f), 0);
	pthread_join(thread, NULL);
	assert_int_equal(messages_with("an_cancel() of a task that is not"), 1);
	assert_int_equal(messages_with("an_detach() of a task that is not"), 1);
	messages_end();
	assert_int_equal(f.run, AN_ERR_MISUSE);
	assert_int_equal(f.until, AN_ERR_MISUSE);
	assert_int_equal(f.join, AN_ERR_MISUSE);
	assert_false(f.cancelled);
	assert_false(f.freed);
	assert_int_equal(an_loop_run_until(f.loop, f.task, &result), 0);
	assert_int_equal(result, 5);
	assert_null(an_loop_free(f.loop));
}

/* ---- what is left at the end (asyncio semantics 29) -------------------------------- */

static int takes_it_back_and_goes_on(void *arg)
{
	an_ignore(an_sleep(AN_FOREVER));
	an_uncancel();
	CHECK_EQUAL(an_sleep(AN_MINUTE), 0);
	*(bool *)arg = true;
	return 0;
}

static int fails_when_cancelled(void *arg)
{
	(void)arg;
	an_ignore(an_sleep(AN_FOREVER));
	return -EIO;
}

static int leaves_tasks(void *arg)
{
	const an_task_opts stubborn = { .name = "stubborn" }, failing = { .name = "bad" },
			   forgotten = { .name = "forgotten" };
	an_task *handle;

	CHECK_EQUAL(an_spawn(takes_it_back_and_goes_on, arg, &stubborn, NULL), 0);
	CHECK_EQUAL(an_spawn(fails_when_cancelled, NULL, &failing, NULL), 0);
	CHECK_EQUAL(an_spawn(fails_when_cancelled, NULL, &forgotten, &handle), 0);
	CHECK_EQUAL(an_spawn(sleeps_for_ever, NULL, NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	return 3;
}

static void leftovers_are_cancelled_awaited_and_their_errors_reported(void **state)
{
	bool ended = false;

	(void)state;
	messages_begin();
	assert_int_equal(run_virtual(leaves_tasks, &ended), 3);
	messages_end();
	assert_true(ended);
	assert_int_equal(messages_with("task stubborn was cancelled 5 s ago"), 1);
	assert_int_equal(messages_with("it waits for time to pass"), 1);
	assert_int_equal(messages_with("task bad failed and nobody joined it"), 1);
	assert_int_equal(messages_with("task forgotten failed and nobody joined it"), 1);
	assert_int_equal(an__test_message_count, 3);
}

static an_event never = AN_EVENT_INIT;

static int waits_behind_a_shield(void *arg)
{
	an_shield shield;

	(void)arg;
	an_shield_begin(&shield, AN_FOREVER);
	return an_shield_end(&shield, an_event_wait(&never));
}

static void notes(void *arg, int result)
{
	*(int *)arg = result;
}

static int leaves_one_that_never_ends(void *arg)
{
	const an_task_opts opts = { .name = "walled" };
	an_task *task;

	CHECK_EQUAL(an_spawn(waits_behind_a_shield, NULL, &opts, &task), 0);
	CHECK_EQUAL(an_task_on_done(task, notes, arg), 0);
	CHECK_EQUAL(an_yield(), 0);
	return 3;
}

static void what_can_never_end_is_named_and_given_up(void **state)
{
	int result = 0;

	(void)state;
	messages_begin();
	assert_int_equal(run_virtual(leaves_one_that_never_ends, &result), 3);
	messages_end();
	assert_int_equal(result, AN_ERR_STUCK);
	assert_int_equal(messages_with("task walled was given up"), 1);
	assert_int_equal(messages_with("it waits for an event"), 1);
	an_event_set(&never); /* nobody waits there any more */
}

/* ---- SIGINT ------------------------------------------------------------------------ */

static int survives_the_first_interrupt(void *arg)
{
	raise(SIGINT);
	if (arg) { /* it suspends in between */
		CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
		CHECK_EQUAL(an_cancelling(), 1);
	}
	raise(SIGINT);
	return 0;
}

static void two_interrupts_end_a_process(bool suspends)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		an_run(survives_the_first_interrupt, suspends ? &child : NULL, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGINT);
}

/* asyncio semantics 29: the first cancels the main task, the second ends it all. */
static void the_second_interrupt_ends_the_process(void **state)
{
	(void)state;
	two_interrupts_end_a_process(true);
}

static void it_does_so_even_while_no_task_suspends(void **state)
{
	(void)state;
	two_interrupts_end_a_process(false);
}

/* ---- a loop in each of two threads ------------------------------------------------- */

#define ROUNDS 1000

struct player {
	an_loop *loop;
	struct player *other;
	int hits;
	bool failed; /* cmocka asserts on the main thread alone */
};

static struct player players[2];

static void hit(void *arg)
{
	struct player *p = arg, *other = p->other;

	p->hits++;
	if (p->hits < ROUNDS || p == &players[0])
		p->failed |= an_post(other->loop, hit, other) < 0;
	if (p->hits == ROUNDS)
		an_loop_stop(p->loop);
}

static pthread_barrier_t both_ready, both_done;

static void *plays(void *arg)
{
	struct player *p = arg;

	p->failed = an_loop_new(NULL, &p->loop) < 0;
	pthread_barrier_wait(&both_ready);
	if (p == &players[0])
		p->failed |= an_post(p->loop, hit, p) < 0;
	p->failed |= an_loop_run(p->loop) < 0;
	pthread_barrier_wait(&both_done);
	p->failed |= an_loop_free(p->loop) != NULL;
	return NULL;
}

static void loops_of_two_threads_post_to_each_other(void **state)
{
	pthread_t second;

	(void)state;
	players[0] = (struct player){ .other = &players[1] };
	players[1] = (struct player){ .other = &players[0] };
	pthread_barrier_init(&both_ready, NULL, 2);
	pthread_barrier_init(&both_done, NULL, 2);
	assert_int_equal(pthread_create(&second, NULL, plays, &players[1]), 0);
	plays(&players[0]);
	pthread_join(second, NULL);
	pthread_barrier_destroy(&both_ready);
	pthread_barrier_destroy(&both_done);
	assert_int_equal(players[0].hits, ROUNDS);
	assert_int_equal(players[1].hits, ROUNDS);
	assert_false(players[0].failed || players[1].failed);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(on_the_real_clock_it_ends_where_there_is_one_thread),
	cmocka_unit_test(a_loop_runs_one_task_after_another),
	cmocka_unit_test(between_runs_tasks_and_timers_stay_as_they_are),
	cmocka_unit_test(a_stopped_loop_can_be_run_again),
	cmocka_unit_test(a_stop_before_the_run_lets_it_do_one_turn),
	cmocka_unit_test(a_stop_leaves_the_task_to_its_owner),
	cmocka_unit_test(an_run_is_not_stopped),
	cmocka_unit_test(a_run_that_nothing_can_wake_ends),
	cmocka_unit_test(a_loop_cannot_be_run_or_freed_from_inside),
	cmocka_unit_test(another_thread_cannot_use_a_loop_or_its_tasks),
	cmocka_unit_test(leftovers_are_cancelled_awaited_and_their_errors_reported),
	cmocka_unit_test(what_can_never_end_is_named_and_given_up),
	cmocka_unit_test(the_second_interrupt_ends_the_process),
	cmocka_unit_test(it_does_so_even_while_no_task_suspends),
	cmocka_unit_test(loops_of_two_threads_post_to_each_other),
};
TEST_MAIN("run", tests)
