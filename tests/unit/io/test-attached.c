/* A loop inside event_base_dispatch() of the caller's: tasks, timers, calls, streams,
 * signals, blocking work and messages of other threads, all at once. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

struct guest {
	struct event_base *base;
	an_loop *loop;
	an_event posted, called;
	int calls, result;
	char order[8];
};

/* ---- what the tasks do ------------------------------------------------------------- */

static int echoes(void *arg)
{
	an_stream *s = arg;
	char buf[16];
	ssize_t n;

	while ((n = an_stream_read(s, buf, sizeof buf)) > 0)
		CHECK_EQUAL(an_stream_write(s, buf, (size_t)n), 0);
	return (int)n;
}

static int talks_over_a_socketpair(void)
{
	an_stream *ours, *theirs;
	char answer[5];
	an_group group;
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &ours), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &theirs), 0);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, echoes, theirs), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_EQUAL(an_stream_write(ours, "hello", 5), 0);
		CHECK_EQUAL(an_stream_read_exactly(ours, answer, 5), 0);
		CHECK(memcmp(answer, "hello", 5) == 0);
	}
	ours = an_stream_close(ours);
	CHECK_EQUAL(an_group_end(&group), 0);
	an_stream_close(theirs);
	return 0;
}

static int waits_for_signals(void)
{
	const int set[] = { SIGUSR1, 0 };
	an_signal_watch *w;

	CHECK_EQUAL(an_signal_watch_new(set, &w), 0);
	raise(SIGUSR1);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	an_signal_watch_close(w);
	return 0;
}

static int returns_six(void *arg)
{
	(void)arg;
	return 6;
}

static void notes_call(void *arg)
{
	struct guest *g = arg;

	if (++g->calls == 2)
		an_event_set(&g->called);
}

static void never_called(void *arg)
{
	((struct guest *)arg)->calls = -100;
}

static void sets(void *arg)
{
	an_event_set(arg);
}

static void *posts(void *arg)
{
	struct guest *g = arg;

	return an_post(g->loop, sets, &g->posted) < 0 ? g : NULL;
}

static int hears_from_a_thread(struct guest *g)
{
	pthread_t thread;
	void *failed;

	CHECK_EQUAL(pthread_create(&thread, NULL, posts, g), 0);
	CHECK_EQUAL(an_event_wait(&g->posted), 0);
	pthread_join(thread, &failed);
	CHECK(!failed);
	return 0;
}

static int makes_calls(struct guest *g)
{
	an_call *call;

	CHECK_EQUAL(an_call_later(AN_MILLISECOND, notes_call, g, NULL), 0);
	CHECK_EQUAL(an_call_later(AN_HOUR, never_called, g, &call), 0);
	CHECK_EQUAL(an_call_soon(notes_call, g, NULL), 0);
	CHECK_EQUAL(an_event_wait(&g->called), 0);
	an_call_cancel(call);
	return 0;
}

static int does_it_all(void *arg)
{
	struct guest *g = arg;
	an_timeout limit;

	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_sleep(AN_FOREVER)), -ETIMEDOUT);
	CHECK_EQUAL(makes_calls(g), 0);
	CHECK_EQUAL(talks_over_a_socketpair(), 0);
	CHECK_EQUAL(waits_for_signals(), 0);
	CHECK_EQUAL(an_offload(returns_six, NULL, NULL), 6);
	CHECK_EQUAL(hears_from_a_thread(g), 0);
	g->result = 1;
	return 0;
}

static int then_breaks_the_dispatch(void *arg)
{
	struct guest *g = arg;
	int r = does_it_all(g);

	event_base_loopbreak(g->base);
	return r;
}

/* ---- the tests --------------------------------------------------------------------- */

static void attach(struct guest *g)
{
	*g = (struct guest){ .base = event_base_new() };
	assert_int_equal(an_loop_attach(g->base, NULL, &g->loop), 0);
}

static void detach(struct guest *g)
{
	assert_null(an_loop_detach(g->loop));
	assert_null(an_loop_current());
	event_base_free(g->base);
}

static void everything_works_inside_the_callers_dispatch(void **state)
{
	struct guest g;

	(void)state;
	attach(&g);
	assert_int_equal(an_spawn(then_breaks_the_dispatch, &g, NULL, NULL), 0);
	event_base_dispatch(g.base);
	assert_int_equal(g.result, 1);
	assert_int_equal(g.calls, 2);
	detach(&g);
}

static void on_host_event(evutil_socket_t fd, short events, void *arg)
{
	struct guest *g = arg;

	(void)fd;
	(void)events;
	if (an_spawn(then_breaks_the_dispatch, g, NULL, NULL) < 0)
		event_base_loopbreak(g->base);
}

static void the_hosts_callbacks_may_spawn(void **state)
{
	struct timeval soon = { 0, 1000 };
	struct guest g;

	(void)state;
	attach(&g);
	assert_int_equal(event_base_once(g.base, -1, EV_TIMEOUT, on_host_event, &g,
					 &soon),
			 0);
	event_base_dispatch(g.base);
	assert_int_equal(g.result, 1);
	detach(&g);
}

/* Between dispatches it keeps what it has, like any loop between runs. */
static void a_dispatch_that_is_broken_off_can_be_gone_on_with(void **state)
{
	struct guest g;

	(void)state;
	attach(&g);
	assert_int_equal(an_spawn(does_it_all, &g, NULL, NULL), 0);
	while (!g.result)
		event_base_loop(g.base, EVLOOP_ONCE);
	detach(&g);
}

static void *dispatches_its_own(void *arg)
{
	struct guest g;

	*(bool *)arg = false;
	g = (struct guest){ .base = event_base_new() };
	if (an_loop_attach(g.base, NULL, &g.loop) < 0 ||
	    an_spawn(then_breaks_the_dispatch, &g, NULL, NULL) < 0)
		return NULL;
	event_base_dispatch(g.base);
	*(bool *)arg = g.result == 1 && !an_loop_free(g.loop); /* the same as detach */
	event_base_free(g.base);
	return NULL;
}

/* One after the other: a signal has one watch in a process. */
static void each_thread_may_attach_a_loop(void **state)
{
	pthread_t thread;
	bool fine;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, dispatches_its_own, &fine), 0);
		pthread_join(thread, NULL);
		assert_true(fine);
	}
}

static void an_attached_loop_is_not_run_by_hand(void **state)
{
	struct guest g;
	an_task *task;

	(void)state;
	attach(&g);
	assert_int_equal(an_spawn(returns_six, NULL, NULL, &task), 0);
	assert_int_equal(an_loop_run(g.loop), AN_ERR_MISUSE);
	assert_int_equal(an_loop_run_until(g.loop, task, NULL), AN_ERR_MISUSE);
	an_loop_stop(g.loop);
	while (!an_done(task))
		event_base_loop(g.base, EVLOOP_ONCE);
	an_detach(task);
	detach(&g);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(everything_works_inside_the_callers_dispatch),
	cmocka_unit_test(the_hosts_callbacks_may_spawn),
	cmocka_unit_test(a_dispatch_that_is_broken_off_can_be_gone_on_with),
	cmocka_unit_test(each_thread_may_attach_a_loop),
	cmocka_unit_test(an_attached_loop_is_not_run_by_hand),
};
TEST_MAIN("attached", tests)
