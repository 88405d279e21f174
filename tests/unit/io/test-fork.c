/* fork() inside a loop: the child is let go of it, may have one of its own, and the
 * parent does not notice. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static bool sigaction_is(int number, void (*handler)(int))
{
	struct sigaction now;

	return sigaction(number, NULL, &now) == 0 && now.sa_handler == handler;
}

static int returns_six(void *arg)
{
	(void)arg;
	return 6;
}

static int streams_talk(void)
{
	an_stream *a, *b;
	char answer[4];
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &a), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &b), 0);
	CHECK_EQUAL(an_stream_write(a, "ping", 4), 0);
	CHECK_EQUAL(an_stream_read_exactly(b, answer, 4), 0);
	an_stream_close(a);
	an_stream_close(b);
	return 0;
}

static const int usr1[] = { SIGUSR1, 0 };

/* All that needs more than memory: timers, workers, streams, signals, names. */
static int uses_everything(void *arg)
{
	an_signal_watch *w;
	an_addresses *found;

	(void)arg;
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	CHECK_EQUAL(an_offload(returns_six, NULL, NULL), 6);
	CHECK_EQUAL(streams_talk(), 0);
	CHECK_EQUAL(an_signal_watch_new(usr1, &w), 0);
	raise(SIGUSR1);
	CHECK_EQUAL(an_signal_wait(w), SIGUSR1);
	an_signal_watch_close(w);
	if (an_resolve("localhost", "80", &found) == 0)
		an_addresses_free(found);
	return 0;
}

/* ---- a child that goes on ---------------------------------------------------------- */

static int child_has_no_loop(void)
{
	CHECK(!an_loop_current());
	CHECK(!an_current());
	CHECK_EQUAL(an_sleep(1), AN_ERR_NO_TASK);
	CHECK_EQUAL(an_spawn(returns_six, NULL, NULL, NULL), AN_ERR_NO_TASK);
	CHECK_EQUAL(an_run(returns_six, NULL, NULL), AN_ERR_MISUSE);
	CHECK(sigaction_is(SIGINT, SIG_DFL));
	CHECK(sigaction_is(SIGUSR1, SIG_IGN)); /* what the parent had before */
	return 0;
}

static int child_has_a_loop_of_its_own(void)
{
	CHECK_EQUAL(child_has_no_loop(), 0);
	an_after_fork_child();
	an_after_fork_child();
	CHECK_EQUAL(an_run(uses_everything, NULL, NULL), 0);
	CHECK(sigaction_is(SIGINT, SIG_DFL));
	CHECK_EQUAL(an_run(uses_everything, NULL, NULL), 0);
	return 0;
}

struct parent {
	an_stream *stream; /* a task reads from it while the fork happens */
	int peer;
	an_signal_watch *watch;
	pid_t child;
	int until_exit; /* its other end is the child's, and ends with it */
	an_event forked;
	bool read, signalled;
	int ticks;
};

static void forks(void *arg)
{
	struct parent *p = arg;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	p->child = fork();
	if (!p->child)
		_exit(child_has_a_loop_of_its_own() ? 1 : 0);
	close(ends[1]);
	p->until_exit = ends[0];
	an_event_set(&p->forked);
}

static int forks_in_a_task(void *arg)
{
	forks(arg);
	return 0;
}

static int ticks(void *arg)
{
	struct parent *p = arg;

	while (an_sleep(AN_MILLISECOND / 4) == 0)
		p->ticks++;
	return -ECANCELED;
}

static int reads(void *arg)
{
	struct parent *p = arg;
	char byte;

	CHECK_EQUAL(an_stream_read(p->stream, &byte, 1), 1);
	p->read = byte == 'x';
	return 0;
}

static int is_signalled(void *arg)
{
	struct parent *p = arg;

	CHECK_EQUAL(an_signal_wait(p->watch), SIGUSR1);
	p->signalled = true;
	return 0;
}

static int wait_for_exit(struct parent *p)
{
	an_stream *until_exit;
	char byte;
	int status;

	CHECK_EQUAL(an_event_wait(&p->forked), 0);
	CHECK(p->child > 0);
	CHECK_EQUAL(an_stream_new(p->until_exit, NULL, &until_exit), 0);
	CHECK_EQUAL(an_stream_read(until_exit, &byte, 1), 0);
	an_stream_close(until_exit);
	CHECK_EQUAL(waitpid(p->child, &status, 0), p->child);
	CHECK(WIFEXITED(status));
	CHECK_EQUAL(WEXITSTATUS(status), 0);
	return 0;
}

static int goes_on_after_a_fork(struct parent *p, bool in_task)
{
	an_task *ticker;
	an_group group;

	CHECK_EQUAL(an_offload(returns_six, NULL, NULL), 6);
	CHECK_EQUAL(an_spawn(ticks, p, NULL, &ticker), 0);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, reads, p), 0);
	CHECK_EQUAL(an_group_spawn(&group, is_signalled, p), 0);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	if (in_task)
		CHECK_EQUAL(an_group_spawn(&group, forks_in_a_task, p), 0);
	else
		CHECK_EQUAL(an_call_soon(forks, p, NULL), 0);
	CHECK_EQUAL(wait_for_exit(p), 0);
	/* The child had SIGUSR1s of its own; none came here, nor was anything read. */
	CHECK(!p->read && !p->signalled);
	CHECK_EQUAL(write(p->peer, "x", 1), 1);
	raise(SIGUSR1);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK(p->read && p->signalled);
	CHECK_EQUAL(an_offload(returns_six, NULL, NULL), 6);
	p->ticks = 0;
	while (p->ticks < 2)
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	an_cancel(ticker);
	CHECK_EQUAL(an_join(ticker, NULL), 0);
	return streams_talk();
}

static int has_all_open(bool in_task)
{
	struct parent p = { .forked = AN_EVENT_INIT };
	int fd[2], r;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	p.peer = fd[1];
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &p.stream), 0);
	CHECK_EQUAL(an_signal_watch_new(usr1, &p.watch), 0);
	r = goes_on_after_a_fork(&p, in_task);
	an_signal_watch_close(p.watch);
	an_stream_close(p.stream);
	close(p.peer);
	return r;
}

static int forks_from_a_task(void *arg)
{
	(void)arg;
	return has_all_open(true);
}

static int forks_from_a_callback(void *arg)
{
	(void)arg;
	return has_all_open(false);
}

static void the_child_of_a_task_may_have_a_loop_of_its_own(void **state)
{
	(void)state;
	signal(SIGUSR1, SIG_IGN);
	assert_int_equal(an_run(forks_from_a_task, NULL, NULL), 0);
}

static void the_child_of_a_callback_may_have_a_loop_of_its_own(void **state)
{
	(void)state;
	signal(SIGUSR1, SIG_IGN);
	assert_int_equal(an_run(forks_from_a_callback, NULL, NULL), 0);
}

/* ---- a child that comes back out of the run ---------------------------------------- */

static struct {
	pid_t pid; /* 0: this is the child */
	bool others_ran, released, told;
	an_stream *stream;
	an_event forked;
} back;

static void forks_and_returns(void *arg)
{
	(void)arg;
	back.pid = fork();
	an_event_set(&back.forked);
}

static void on_event(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	forks_and_returns(arg);
}

static void release(void *value)
{
	(void)value;
	back.released = true;
}

static const an_local owned = { .release = release };

static int child_body(void *arg)
{
	if (an_local_set(&owned, &back) < 0)
		return CHECK_FAILED;
	forks_and_returns(arg);
	return 0;
}

static void tell(void *arg, int result)
{
	(void)arg;
	(void)result;
	back.told = true;
}

static void forks_at_end(void *arg, int result)
{
	(void)result;
	forks_and_returns(arg);
}

static void runs_later(void *arg)
{
	(void)arg;
	back.others_ran = true;
}

enum way { BY_TASK, BY_CALL, BY_TIMER, BY_MESSAGE, BY_EVENT, BY_END, WAYS };

static int start(enum way way)
{
	struct timeval now = { 0, 0 };
	an_task *task;

	switch (way) {
	case BY_TASK:
		CHECK_EQUAL(an_spawn(child_body, NULL, NULL, &task), 0);
		CHECK_EQUAL(an_task_on_done(task, tell, NULL), 0);
		an_detach(task);
		break;
	case BY_CALL:
		CHECK_EQUAL(an_call_soon(forks_and_returns, NULL, NULL), 0);
		CHECK_EQUAL(an_call_soon(runs_later, NULL, NULL), 0);
		break;
	case BY_TIMER:
		CHECK_EQUAL(an_call_later(1, forks_and_returns, NULL, NULL), 0);
		CHECK_EQUAL(an_call_later(2, runs_later, NULL, NULL), 0);
		break;
	case BY_MESSAGE:
		CHECK_EQUAL(an_post(an_loop_current(), forks_and_returns, NULL), 0);
		CHECK_EQUAL(an_post(an_loop_current(), runs_later, NULL), 0);
		break;
	case BY_END:
		CHECK_EQUAL(an_spawn(returns_six, NULL, NULL, &task), 0);
		CHECK_EQUAL(an_task_on_done(task, forks_at_end, NULL), 0);
		CHECK_EQUAL(an_task_on_done(task, tell, NULL), 0);
		an_detach(task);
		break;
	default:
		CHECK_EQUAL(event_base_once(an_loop_base(an_loop_current()), -1,
					    EV_TIMEOUT, on_event, NULL, &now),
			    0);
	}
	return 0;
}

static int goes_on_where_it_was(void *arg)
{
	char got[8];
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &back.stream), 0);
	/* It leaves at the end of the turn: the child must not send it, too. */
	CHECK_EQUAL(an_stream_write(back.stream, "one", 3), 0);
	CHECK_EQUAL(start(*(enum way *)arg), 0);
	CHECK_EQUAL(an_event_wait(&back.forked), 0);
	back.others_ran |= !back.pid; /* no task goes on in the child */
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	CHECK_EQUAL(waitpid(back.pid, (int *)arg, 0), back.pid);
	CHECK_EQUAL(recv(fd[1], got, sizeof got, MSG_DONTWAIT), 3);
	an_stream_close(back.stream);
	close(fd[1]);
	return 5;
}

static void a_child_that_returns_comes_out_of_the_run(void **state)
{
	(void)state;
	for (enum way way = 0; way < WAYS; way++) {
		int status = (int)way, r;

		memset(&back, 0, sizeof back);
		back.pid = -1;
		r = an_run(goes_on_where_it_was, &status, NULL);
		if (!back.pid)
			_exit(r != AN_ERR_NO_TASK || back.others_ran || back.released ||
			      back.told || an_loop_current());
		assert_int_equal(r, 5);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void a_child_comes_out_of_the_callers_dispatch(void **state)
{
	struct event_base *base = event_base_new();
	struct timeval now = { 0, 0 };
	an_loop *loop;
	int status;

	(void)state;
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	memset(&back, 0, sizeof back);
	assert_int_equal(an_spawn(child_body, NULL, NULL, NULL), 0);
	assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, on_event, NULL, &now), 0);
	event_base_loop(base, EVLOOP_ONCE);
	if (!back.pid)
		_exit(an_loop_current() != NULL || an_loop_detach(loop) != loop);
	assert_int_equal(waitpid(-1, &status, 0) > 0, 1);
	assert_int_equal(status, 0);
	while (waitpid(-1, &status, 0) > 0)
		assert_int_equal(status, 0);
	assert_null(an_loop_detach(loop));
	event_base_free(base);
}

/* ---- exec -------------------------------------------------------------------------- */

/* What a program has open that is started here, one a line. */
static size_t list_inherited(char *text, size_t cap)
{
	size_t length = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return 0;
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/ls", "ls", "/proc/self/fd", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + length, cap - 1 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	text[length] = '\0';
	return length;
}

static int lists_with_everything_open(void *arg)
{
	an_listener *listener;
	an_signal_watch *w;

	CHECK_EQUAL(uses_everything(NULL), 0);
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	CHECK_EQUAL(an_signal_watch_new(usr1, &w), 0);
	CHECK(list_inherited(arg, 256) > 0);
	an_signal_watch_close(w);
	an_listener_close(listener);
	return 0;
}

static void a_started_program_inherits_no_descriptor(void **state)
{
	char before[256], inside[256];

	(void)state;
	assert_true(list_inherited(before, sizeof before) > 0);
	assert_int_equal(an_run(lists_with_everything_open, inside, NULL), 0);
	assert_string_equal(inside, before);
}

/* ---- elsewhere --------------------------------------------------------------------- */

static void after_fork_does_nothing_where_nothing_was_forked(void **state)
{
	an_loop *loop;

	(void)state;
	an_after_fork_child();
	assert_int_equal(an_loop_new(NULL, &loop), 0);
	an_after_fork_child();
	assert_ptr_equal(an_loop_current(), loop);
	assert_null(an_loop_free(loop));
}

static void a_fork_between_runs_takes_the_loop_from_the_child(void **state)
{
	an_loop *loop;
	an_task *task;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(an_loop_new(NULL, &loop), 0);
	assert_int_equal(an_spawn(uses_everything, NULL, NULL, &task), 0);
	pid = fork();
	if (!pid) {
		bool refused = an_loop_run(loop) == AN_ERR_MISUSE &&
			       an_loop_free(loop) == loop && !an_cancel(task);

		an_after_fork_child();
		_exit(!refused || an_run(uses_everything, NULL, NULL) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(an_loop_run_until(loop, task, NULL), 0);
	assert_null(an_loop_free(loop));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_started_program_inherits_no_descriptor),
	cmocka_unit_test(the_child_of_a_task_may_have_a_loop_of_its_own),
	cmocka_unit_test(the_child_of_a_callback_may_have_a_loop_of_its_own),
	cmocka_unit_test(a_child_that_returns_comes_out_of_the_run),
	cmocka_unit_test(a_child_comes_out_of_the_callers_dispatch),
	cmocka_unit_test(after_fork_does_nothing_where_nothing_was_forked),
	cmocka_unit_test(a_fork_between_runs_takes_the_loop_from_the_child),
};
TEST_MAIN("fork", tests)
