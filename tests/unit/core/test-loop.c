/* The loop itself: real time, messages from other threads, a base of the caller's,
 * SIGINT. */
#include "loop/core/loop.h"
#include "tests/support/run.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>

/* ---- messages ---------------------------------------------------------------------- */

#define SENDERS 4
#define EACH 10000

struct inbox {
	an_loop *loop;
	an_event all;
	int last[SENDERS];
	int count;
	bool in_order;
};

static struct inbox inbox;

static void receive(void *arg)
{
	int value = (int)(intptr_t)arg, sender = value / EACH, number = value % EACH;

	if (number != inbox.last[sender] + 1)
		inbox.in_order = false;
	inbox.last[sender] = number;
	if (++inbox.count == SENDERS * EACH)
		an_event_set(&inbox.all);
}

static void *send_many(void *arg)
{
	int sender = (int)(intptr_t)arg;

	for (int i = 0; i < EACH; i++)
		if (an_post(inbox.loop, receive, (void *)(intptr_t)(sender * EACH + i)) <
		    0)
			return (void *)1;
	return NULL;
}

static int receives_from_threads(void *arg)
{
	pthread_t threads[SENDERS];

	(void)arg;
	inbox = (struct inbox){ .loop = an_loop_current(), .in_order = true };
	for (int i = 0; i < SENDERS; i++) {
		inbox.last[i] = -1;
		CHECK_EQUAL(
			pthread_create(&threads[i], NULL, send_many, (void *)(intptr_t)i),
			0);
	}
	CHECK_EQUAL(an_event_wait(&inbox.all), 0);
	for (int i = 0; i < SENDERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		CHECK(!failed);
	}
	CHECK(inbox.in_order);
	return 0;
}

static void messages_of_other_threads_arrive_all_and_in_order(void **state)
{
	(void)state;
	assert_int_equal(an_run(receives_from_threads, NULL, NULL), 0);
}

static void sets_event(void *arg)
{
	an_event_set(arg);
}

static int posts_to_itself(void *arg)
{
	an_event event = AN_EVENT_INIT;

	(void)arg;
	CHECK_EQUAL(an_post(an_loop_current(), sets_event, &event), 0);
	return an_event_wait(&event);
}

static void a_message_on_its_way_keeps_a_virtual_loop_from_being_stuck(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(posts_to_itself, NULL), 0);
}

static struct {
	bool local_lives, late_ran, late_saw_local, hook_ran, hook_saw_local;
	int spawned;
} at_end;

static void destroys_local(void *value)
{
	*(bool *)value = false;
}

static void late_hook(an__turn_hook *hook)
{
	(void)hook;
	at_end.hook_ran = true;
	at_end.hook_saw_local = at_end.local_lives;
}

static int never_runs(void *arg)
{
	(void)arg;
	abort();
}

static void late_message(void *arg)
{
	at_end.late_ran = true;
	at_end.late_saw_local = at_end.local_lives;
	at_end.spawned = an_spawn(never_runs, NULL, NULL, NULL);
	an__loop_at_turn_end(an_loop_current(), arg);
}

static int posts_and_returns(void *arg)
{
	an_loop *loop = an_loop_current();

	at_end.local_lives = true;
	an__loop_set_local(loop, AN__LOCAL_LOG, &at_end.local_lives, destroys_local);
	CHECK_EQUAL(an_post(loop, late_message, arg), 0);
	return 4;
}

/* What an_post() took is run while streams and loggers still work. */
static void a_message_that_was_taken_runs_before_the_loop_is_taken_apart(void **state)
{
	an__turn_hook hook;

	(void)state;
	an__turn_hook_init(&hook, late_hook);
	assert_int_equal(an_run(posts_and_returns, &hook, NULL), 4);
	assert_true(at_end.late_ran);
	assert_true(at_end.late_saw_local);
	assert_true(at_end.hook_ran);
	assert_true(at_end.hook_saw_local);
	assert_int_equal(at_end.spawned, 0);
	assert_false(at_end.local_lives);
}

/* ---- real time --------------------------------------------------------------------- */

static int sleeps_really(void *arg)
{
	an_duration start = an_now_update();
	an_timeout limit;

	(void)arg;
	CHECK_EQUAL(an_sleep(3 * AN_MILLISECOND), 0);
	CHECK(an_now() - start >= 3 * AN_MILLISECOND);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_sleep(AN_FOREVER)), -ETIMEDOUT);
	return 0;
}

static void a_real_sleep_is_never_too_short(void **state)
{
	(void)state;
	assert_int_equal(an_run(sleeps_really, NULL, NULL), 0);
}

struct computation {
	int steps;
	bool enough;
};

static int computes_and_yields(void *arg)
{
	struct computation *c = arg;

	while (!c->enough) {
		an_duration start = an_now_update();

		while (an_now_update() - start < AN_MILLISECOND)
			;
		c->steps++;
		CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

static int waits_beside_a_computation(void *arg)
{
	struct computation c = { 0 };
	an_group group;
	int steps;

	(void)arg;
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, computes_and_yields, &c), 0);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	steps = c.steps;
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	steps = c.steps - steps;
	c.enough = true;
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK(steps < 10);
	return 0;
}

/* However slow the machine, the steps take a millisecond at least. */
static void tasks_that_compute_do_not_keep_the_loop_from_its_events(void **state)
{
	(void)state;
	assert_int_equal(an_run(waits_beside_a_computation, NULL, NULL), 0);
}

/* ---- an attached base -------------------------------------------------------------- */

struct attached {
	struct event_base *base;
	an_queue queue;
	int sum;
};

static int consumes(void *arg)
{
	struct attached *a = arg;
	void *item;

	while (an_queue_get(&a->queue, &item) == 0) {
		a->sum += (int)(intptr_t)item;
		an_ignore(an_sleep(AN_MILLISECOND));
	}
	event_base_loopbreak(a->base);
	return 0;
}

static int produces(void *arg)
{
	struct attached *a = arg;

	for (intptr_t i = 1; i <= 4; i++)
		CHECK_EQUAL(an_queue_put(&a->queue, (void *)i), 0);
	return 0;
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct attached *a = arg;

	(void)fd;
	(void)events;
	an_queue_tryput(&a->queue, (void *)100);
	an_queue_close(&a->queue);
}

static void tasks_run_inside_a_base_that_the_caller_dispatches(void **state)
{
	struct attached a = { .base = event_base_new() };
	struct timeval soon = { 0, 20000 };
	an_loop *loop, *second;

	(void)state;
	an_queue_init(&a.queue, 8);
	assert_int_equal(an_loop_attach(a.base, NULL, &loop), 0);
	assert_int_equal(an_loop_attach(a.base, NULL, &second), AN_ERR_MISUSE);
	assert_ptr_equal(an_loop_current(), loop);
	assert_ptr_equal(an_loop_base(loop), a.base);
	assert_int_equal(an_spawn(consumes, &a, NULL, NULL), 0);
	assert_int_equal(an_spawn(produces, &a, NULL, NULL), 0);
	assert_int_equal(event_base_once(a.base, -1, EV_TIMEOUT, on_timer, &a, &soon), 0);
	event_base_dispatch(a.base);
	assert_int_equal(a.sum, 110);
	assert_null(an_loop_detach(loop));
	assert_null(an_loop_detach(NULL));
	assert_null(an_loop_current());
	an_queue_done(&a.queue);
	event_base_free(a.base);
}

static int waits_and_says_so(void *arg)
{
	int r = an_sleep(AN_FOREVER);

	*(int *)arg = r;
	return r;
}

static void a_detached_loop_cancels_what_still_runs(void **state)
{
	struct event_base *base = event_base_new();
	an_loop *loop;
	int r = 0;

	(void)state;
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	assert_int_equal(an_spawn(waits_and_says_so, &r, NULL, NULL), 0);
	event_base_loop(base, EVLOOP_ONCE);
	an_loop_detach(loop);
	assert_int_equal(r, -ECANCELED);
	event_base_free(base);
}

static void detaches(evutil_socket_t fd, short events, void *arg)
{
	an_loop **loop = arg;

	(void)fd;
	(void)events;
	*loop = an_loop_detach(*loop);
	event_base_loopbreak(an_loop_base(*loop));
}

static an_loop *attached;

static void detaches_attached(void *arg)
{
	(void)arg;
	attached = an_loop_detach(attached);
}

static void adds_one(void *arg)
{
	++*(int *)arg;
}

static void a_message_may_detach_the_loop_and_those_behind_it_arrive(void **state)
{
	struct event_base *base = event_base_new();
	int arrived = 0;

	(void)state;
	assert_int_equal(an_loop_attach(base, NULL, &attached), 0);
	assert_int_equal(an_post(attached, adds_one, &arrived), 0);
	assert_int_equal(an_post(attached, detaches_attached, NULL), 0);
	assert_int_equal(an_post(attached, adds_one, &arrived), 0);
	assert_int_equal(an_post(attached, adds_one, &arrived), 0);
	event_base_loop(base, EVLOOP_ONCE);
	assert_null(attached);
	assert_null(an_loop_current());
	assert_int_equal(arrived, 3);
	event_base_free(base);
}

static int detaches_its_loop(void *arg)
{
	an_loop *loop = an_loop_current();

	(void)arg;
	CHECK(an_loop_detach(loop) == loop);
	event_base_loopbreak(an_loop_base(loop));
	return an_sleep(AN_FOREVER);
}

static void a_loop_cannot_be_detached_from_inside(void **state)
{
	struct event_base *base = event_base_new();
	struct timeval now = { 0, 0 };
	an_loop *loop;
	int r = 0;

	(void)state;
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	assert_int_equal(an_spawn(waits_and_says_so, &r, NULL, NULL), 0);
	assert_int_equal(an_spawn(detaches_its_loop, NULL, NULL, NULL), 0);
	event_base_dispatch(base);
	assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, detaches, &loop, &now), 0);
	event_base_dispatch(base);
	assert_non_null(loop);
	assert_ptr_equal(an_loop_current(), loop);
	assert_null(an_loop_detach(loop));
	assert_int_equal(r, -ECANCELED);
	event_base_free(base);
}

/* ---- SIGINT ------------------------------------------------------------------------ */

static int is_interrupted(void *arg)
{
	struct sigaction now;

	(void)arg;
	raise(SIGINT);
	CHECK_EQUAL(an_sleep(AN_FOREVER), -ECANCELED);
	CHECK_EQUAL(sigaction(SIGINT, NULL, &now), 0);
	CHECK(now.sa_handler == SIG_DFL); /* the second one ends the process */
	return 3;
}

static void the_first_interrupt_cancels_the_main_task(void **state)
{
	(void)state;
	assert_int_equal(an_run(is_interrupted, NULL, NULL), 3);
}

static int finds_the_default_action(void *arg)
{
	struct sigaction now;

	(void)arg;
	CHECK_EQUAL(sigaction(SIGINT, NULL, &now), 0);
	CHECK(now.sa_handler == SIG_DFL);
	return 0;
}

static void signals_are_left_alone_on_request(void **state)
{
	(void)state;
	assert_int_equal(an_run(finds_the_default_action, NULL,
				&(an_loop_opts){ .no_signals = true }),
			 0);
}

/* ---- a loop in each thread --------------------------------------------------------- */

static int sleeps_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	return 9;
}

static void *runs_a_loop(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)run_virtual(sleeps_often, NULL);
}

static void each_thread_may_have_a_loop(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, runs_a_loop, NULL), 0);
	for (int i = 0; i < 3; i++) {
		void *r;

		pthread_join(threads[i], &r);
		assert_int_equal((intptr_t)r, 9);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(messages_of_other_threads_arrive_all_and_in_order),
	cmocka_unit_test(a_message_on_its_way_keeps_a_virtual_loop_from_being_stuck),
	cmocka_unit_test(a_message_that_was_taken_runs_before_the_loop_is_taken_apart),
	cmocka_unit_test(a_real_sleep_is_never_too_short),
	cmocka_unit_test(tasks_that_compute_do_not_keep_the_loop_from_its_events),
	cmocka_unit_test(tasks_run_inside_a_base_that_the_caller_dispatches),
	cmocka_unit_test(a_detached_loop_cancels_what_still_runs),
	cmocka_unit_test(a_message_may_detach_the_loop_and_those_behind_it_arrive),
	cmocka_unit_test(a_loop_cannot_be_detached_from_inside),
	cmocka_unit_test(the_first_interrupt_cancels_the_main_task),
	cmocka_unit_test(signals_are_left_alone_on_request),
	cmocka_unit_test(each_thread_may_have_a_loop),
};
TEST_MAIN("loop", tests)
