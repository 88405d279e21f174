/* The end of child processes: closing, groups, loops that end, what runs short; and that
 * nothing is left of any of them. */
#include "tests/support/libevent-memory.h"
#include "tests/unit/io/children.h"

#include "loop/io/process-private.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* ---- closing ----------------------------------------------------------------------- */

/* A descriptor that the child has open: its end is that of the last who has it. */
struct leash {
	an_stream *end;
	int held;
};

static int make_leash(struct leash *l)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = an_stream_new(fds[0], NULL, &l->end);
	l->held = fds[1];
	return r;
}

/* Until the child, or its shell's `trap`, says that it is there. */
static int await_word(struct leash *l)
{
	char c;
	int r;

	r = an_stream_read_exactly(l->end, &c, 1);
	return r;
}

static int await_end(struct leash *l)
{
	char c;
	ssize_t n;

	close(l->held);
	n = an_stream_read(l->end, &c, 1);
	l->end = an_stream_close(l->end);
	return n < 0 ? (int)n : n == 0 ? 0 : CHECK_FAILED;
}

static int wait_for(void *arg)
{
	return an_process_wait(arg, NULL);
}

REAL_TEST(close_asks_a_child_to_end_and_wakes_who_waits)
{
	struct leash leash;
	an_process *p;
	an_task *task;
	int r;

	CHECK_EQUAL(make_leash(&leash), 0);
	CHECK_EQUAL(
		an_process_shell("echo; exec sleep 50",
				 &(an_process_opts){ .out = { AN_PROCESS_FD, leash.held },
						     .grace = AN_HOUR },
				 &p),
		0);
	CHECK_EQUAL(await_word(&leash), 0);
	CHECK_EQUAL(an_spawn(wait_for, p, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(!an_process_close(p));
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	CHECK_EQUAL(await_end(&leash), 0);
	return 0;
}

REAL_TEST(a_stopped_child_notices_its_end)
{
	an_process_opts opts = { .grace = AN_HOUR };
	struct leash leash;
	siginfo_t info;
	an_process *p;

	CHECK_EQUAL(make_leash(&leash), 0);
	opts.out = (an_process_io){ AN_PROCESS_FD, leash.held };
	CHECK_EQUAL(an_process_shell("kill -STOP $$", &opts, &p), 0);
	CHECK_EQUAL(waitid(P_PID, (id_t)an_process_pid(p), &info, WSTOPPED | WNOWAIT), 0);
	an_process_close(p);
	return await_end(&leash);
}

static const char stubborn[] = "trap '' TERM HUP; echo; while :; do sleep 1; done";

/* On the virtual clock the grace is over at once. */
TASK_TEST(a_child_that_does_not_listen_is_killed)
{
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(make_leash(&leash), 0);
	CHECK_EQUAL(
		an_process_shell(stubborn,
				 &(an_process_opts){ .out = { AN_PROCESS_FD, leash.held },
						     .new_group = true,
						     .grace = AN_MINUTE },
				 &p),
		0);
	CHECK_EQUAL(await_word(&leash), 0);
	an_process_close(p);
	return await_end(&leash);
}

REAL_TEST(a_negative_grace_kills_at_once_and_the_group_with_it)
{
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(make_leash(&leash), 0);
	CHECK_EQUAL(
		an_process_shell("trap '' TERM; (trap '' TERM; echo; sleep 50) & "
				 "sleep 50; wait",
				 &(an_process_opts){ .out = { AN_PROCESS_FD, leash.held },
						     .new_group = true,
						     .grace = -1 },
				 &p),
		0);
	CHECK_EQUAL(await_word(&leash), 0);
	an_process_close(p);
	return await_end(&leash);
}

/* The leader ends of the SIGTERM, its child does not listen. */
REAL_TEST(what_is_left_of_a_closed_group_is_killed)
{
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(make_leash(&leash), 0);
	CHECK_EQUAL(
		an_process_shell("sh -c \"trap '' TERM; echo; sleep 50; :\" & "
				 "wait",
				 &(an_process_opts){ .out = { AN_PROCESS_FD, leash.held },
						     .new_session = true,
						     .grace = AN_HOUR },
				 &p),
		0);
	CHECK_EQUAL(await_word(&leash), 0);
	an_process_close(p);
	return await_end(&leash);
}

/* The leader has ended long since, and stays a zombie, whose number is the group's. */
static int leave_behind(struct leash *leash, an_process **ret)
{
	an_process_opts opts = { .new_group = true, .grace = AN_HOUR };
	an_process_status status;

	CHECK_EQUAL(make_leash(leash), 0);
	opts.out = (an_process_io){ AN_PROCESS_FD, leash->held };
	CHECK_EQUAL(an_process_shell("(echo; exec sleep 50) & exit 3", &opts, ret), 0);
	CHECK_EQUAL(await_word(leash), 0);
	CHECK_EQUAL(an_process_wait(*ret, &status), 0);
	CHECK_EQUAL(status.code, 3);
	CHECK_EQUAL(an_process_poll(*ret, &status), 0);
	return 0;
}

REAL_TEST(what_a_leader_left_behind_is_killed_at_the_close)
{
	size_t before = open_descriptors();
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(leave_behind(&leash, &p), 0);
	an_process_close(p);
	CHECK(!has_children());
	CHECK_EQUAL(await_end(&leash), 0);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

REAL_TEST(what_a_leader_left_behind_gets_signals)
{
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(leave_behind(&leash, &p), 0);
	CHECK_EQUAL(an_process_terminate(p), 0);
	CHECK_EQUAL(await_end(&leash), 0);
	an_process_close(p);
	CHECK(!has_children());
	return 0;
}

/* Then its number may be anybody's. */
REAL_TEST(a_group_whose_leader_others_have_reaped_gets_no_signals)
{
	struct leash leash;
	an_process *p;
	pid_t pid;

	CHECK_EQUAL(leave_behind(&leash, &p), 0);
	pid = an_process_pid(p);
	CHECK_EQUAL(waitpid(-1, NULL, 0), pid);
	CHECK_EQUAL(an_process_kill(p), -ESRCH);
	an_process_close(p);
	CHECK_EQUAL(kill(-pid, SIGTERM), 0); /* is still there */
	return await_end(&leash);
}

REAL_TEST(signals_are_sent_to_the_child)
{
	an_process_status status;
	an_process *p;

	for (int i = 0; i < 3; i++) {
		static const int expected[] = { SIGTERM, SIGKILL, SIGUSR1 };

		CHECK_EQUAL(an_process_shell("exec sleep 50", NULL, &p), 0);
		CHECK_EQUAL(an_process_signal(p, 0), 0);
		CHECK_EQUAL(an_process_signal(p, 4711), -EINVAL);
		CHECK_EQUAL(i == 0   ? an_process_terminate(p)
			    : i == 1 ? an_process_kill(p)
				     : an_process_signal(p, SIGUSR1),
			    0);
		CHECK_EQUAL(an_process_wait(p, &status), 0);
		CHECK_EQUAL(status.signal, expected[i]);
		an_process_close(p);
	}
	return 0;
}

/* ---- loops that end ---------------------------------------------------------------- */

static int leave_open(void *arg)
{
	an_process *p;

	return an_process_shell("exec sleep 50", arg, &p);
}

static int leave_closed(void *arg)
{
	an_process *p;
	int r = an_process_shell("exec sleep 50", arg, &p);

	if (r == 0)
		an_process_close(p);
	return r;
}

static void the_end_of_a_loop_leaves_no_child(void **state)
{
	an_process_opts gentle = { .grace = AN_HOUR }, harsh = { .grace = -1 };
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(run_real(leave_closed, &gentle), 0);
	assert_false(has_children());
	assert_int_equal(run_real(leave_closed, &harsh), 0);
	assert_false(has_children());
	assert_int_equal(run_virtual(leave_closed, &gentle), 0);
	assert_false(has_children());
	assert_int_equal(open_descriptors(), before);
}

/* Its memory is the owner's mistake: here it is freed all the same. */
static void a_process_that_was_not_closed_is_closed_with_its_loop(void **state)
{
	an_process_opts gentle = { .grace = AN_HOUR, .out = { .to = AN_PROCESS_PIPE } };
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(run_real(leave_open, &gentle), 0);
	assert_false(has_children());
	assert_int_equal(open_descriptors(), before);
}

/* Leaves the reading end of the group's pipe. */
static int leave_a_group_open(void *arg)
{
	struct leash leash;
	an_process *p;

	CHECK_EQUAL(leave_behind(&leash, &p), 0);
	*(int *)arg = fcntl(an_stream_fd(leash.end), F_DUPFD_CLOEXEC, 3);
	an_stream_close(leash.end);
	close(leash.held);
	return 0;
}

static void the_end_of_a_loop_ends_what_a_leader_left_behind(void **state)
{
	size_t before = open_descriptors();
	char c;
	int fd;

	(void)state;
	assert_int_equal(run_real(leave_a_group_open, &fd), 0);
	assert_false(has_children());
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	assert_int_equal(open_descriptors(), before);
}

/* ---- many -------------------------------------------------------------------------- */

static int one_of_many(void *arg)
{
	static const char *const argv[] = { "true", NULL };
	an_process_status status;
	an_process *p;
	int r;

	r = an_process_spawn(argv,
			     &(an_process_opts){ .in = { .to = AN_PROCESS_PIPE },
						 .out = { .to = AN_PROCESS_PIPE } },
			     &p);
	if (r < 0)
		return r;
	r = an_process_communicate(p, "x", 1, &status);
	an_process_close(p);
	if (r == 0)
		++*(int *)arg;
	return r < 0 ? r : status.code;
}

static int ten_lines(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int r = one_of_many(arg);

		if (r)
			return r < 0 ? r : CHECK_FAILED;
	}
	return 0;
}

REAL_TEST(five_hundred_children_leave_nothing)
{
	size_t before;
	an_group group;
	int count = 0;

	CHECK_EQUAL(one_of_many(&count), 0);
	before = open_descriptors();
	an_group_begin(&group);
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_group_spawn(&group, ten_lines, &count), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(count, 501);
	CHECK(!has_children());
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

/* ---- what runs short --------------------------------------------------------------- */

/* A limit on descriptors that leaves room for 0, 1, 2 ... more. */
REAL_TEST(without_descriptors_nothing_is_started_nor_left)
{
	struct rlimit old, low;
	size_t before;
	int count = 0, r = -EMFILE, first;

	CHECK_EQUAL(one_of_many(&count), 0);
	before = open_descriptors();
	first = dup(STDERR_FILENO);
	close(first);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int more = 0; r == -EMFILE; more++) {
		CHECK(more < 20);
		low = old;
		low.rlim_cur = (rlim_t)(first + more);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = one_of_many(&count);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
		CHECK(r == 0 || r == -EMFILE);
		CHECK_EQUAL(open_descriptors(), before);
		CHECK(!has_children());
	}
	CHECK_EQUAL(count, 2);
	return 0;
}

static int with_all_there_is(void *arg)
{
	static const char *const argv[] = { "cat", NULL };
	static const char *const add[] = { "A=1", NULL };
	an_process *p;
	int r = an_process_spawn(argv,
				 &(an_process_opts){ .in = { .to = AN_PROCESS_PIPE },
						     .out = { .to = AN_PROCESS_PIPE },
						     .env_add = add },
				 &p);

	(void)arg;
	if (r < 0)
		return r;
	r = an_process_communicate(p, "hello", 5, NULL);
	/* What could not be done at first can be done later. */
	if (r == -ENOMEM) {
		CHECK_EQUAL(an_process_communicate(p, "hello", 5, NULL), 0);
		CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "hello") == 0);
	}
	an_process_close(p);
	return r;
}

REAL_TEST(each_allocation_fails_once)
{
	size_t before;
	int r;

	CHECK_EQUAL(with_all_there_is(NULL), 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = with_all_there_is(NULL);
		if (!an_testing_allocation_failed()) {
			CHECK(n > 1);
			break;
		}
		CHECK(r == 0 || r == -ENOMEM);
		CHECK_EQUAL(open_descriptors(), before);
		CHECK(!has_children());
	}
	return r;
}

/* ---- others and their children ----------------------------------------------------- */

REAL_TEST(the_children_of_others_are_left_alone)
{
	an_process_status status;
	int mine;
	an_process *p;
	pid_t pid = fork();

	if (pid == 0)
		_exit(42);
	CHECK(pid > 0);
	CHECK_EQUAL(an_process_shell("exit 1", NULL, &p), 0);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	CHECK_EQUAL(status.code, 1);
	an_process_close(p);
	CHECK_EQUAL(waitpid(pid, &mine, 0), pid);
	CHECK_EQUAL(WEXITSTATUS(mine), 42);
	return 0;
}

REAL_TEST(a_status_that_nobody_keeps_is_unknown)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	an_process_status status = { 17, 17 };
	an_process *p;

	signal(SIGCHLD, SIG_IGN);
	CHECK_EQUAL(an_process_shell("cat", &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, "x", 1, &status), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
	CHECK_EQUAL(status.code, 17);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x") == 0);
	CHECK_EQUAL(an_process_wait(p, &status), -ECHILD);
	CHECK_EQUAL(an_process_kill(p), -ESRCH);
	an_process_close(p);
	return 0;
}

/* ---- without pidfds ---------------------------------------------------------------- */

static int no_pidfd(pid_t pid)
{
	(void)pid;
	errno = ENOSYS;
	return -1;
}

static int use_no_pidfds(void **state)
{
	*state = (void *)an__pidfd_open;
	an__pidfd_open = no_pidfd;
	return 0;
}

static int use_pidfds(void **state)
{
	an__pidfd_open = (int (*)(pid_t)) * state;
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static int spawn_and_talk(void *arg)
{
	an_process *p;
	int r = an_process_shell("cat",
				 &(an_process_opts){ .in = { .to = AN_PROCESS_PIPE },
						     .out = { .to = AN_PROCESS_PIPE },
						     .grace = AN_HOUR },
				 &p);

	(void)arg;
	if (r < 0)
		return r;
	r = an_process_communicate(p, "x", 1, NULL);
	an_process_close(p);
	return r;
}

static void a_spawn_and_a_talk_are_cancelled_at_each_step(void **state)
{
	an_testing_scenario s = { NULL, spawn_and_talk, NULL, NULL };
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
	assert_int_equal(
		an_testing_cancel_at_each_step(&s, &(an_testing_opts){ .rounds = 3 }), 0);
	assert_int_equal(open_descriptors(), before);
	assert_false(has_children());
}

#define WITHOUT_PIDFDS(test) \
	cmocka_unit_test_setup_teardown(test, use_no_pidfds, use_pidfds)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(close_asks_a_child_to_end_and_wakes_who_waits),
	cmocka_unit_test(a_stopped_child_notices_its_end),
	cmocka_unit_test(a_child_that_does_not_listen_is_killed),
	cmocka_unit_test(a_negative_grace_kills_at_once_and_the_group_with_it),
	cmocka_unit_test(what_is_left_of_a_closed_group_is_killed),
	cmocka_unit_test(what_a_leader_left_behind_is_killed_at_the_close),
	cmocka_unit_test(what_a_leader_left_behind_gets_signals),
	cmocka_unit_test(a_group_whose_leader_others_have_reaped_gets_no_signals),
	cmocka_unit_test(signals_are_sent_to_the_child),
	cmocka_unit_test(the_end_of_a_loop_leaves_no_child),
	cmocka_unit_test(a_process_that_was_not_closed_is_closed_with_its_loop),
	cmocka_unit_test(the_end_of_a_loop_ends_what_a_leader_left_behind),
	cmocka_unit_test(five_hundred_children_leave_nothing),
	cmocka_unit_test(without_descriptors_nothing_is_started_nor_left),
	cmocka_unit_test(each_allocation_fails_once),
	cmocka_unit_test(the_children_of_others_are_left_alone),
	cmocka_unit_test(a_status_that_nobody_keeps_is_unknown),
	cmocka_unit_test(a_spawn_and_a_talk_are_cancelled_at_each_step),
	WITHOUT_PIDFDS(signals_are_sent_to_the_child),
	WITHOUT_PIDFDS(what_a_leader_left_behind_is_killed_at_the_close),
	WITHOUT_PIDFDS(a_group_whose_leader_others_have_reaped_gets_no_signals),
	WITHOUT_PIDFDS(a_child_that_does_not_listen_is_killed),
	WITHOUT_PIDFDS(the_end_of_a_loop_leaves_no_child),
	WITHOUT_PIDFDS(without_descriptors_nothing_is_started_nor_left),
};

TEST_MAIN_WITH("process-end", tests, count_libevent, NULL)
