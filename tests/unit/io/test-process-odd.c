/* Child processes on bad days: parents without standard descriptors, thieves of statuses,
 * limits that are hit, children that do not play along. */
#include "tests/support/child.h"
#include "tests/support/libevent-memory.h"
#include "tests/unit/io/children.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* ---- parents without 0, 1 and 2 ---------------------------------------------------- */

static const char list_stdio[] =
	"for f in 0 1 2; do test -e /proc/self/fd/$f && has=$has$f; done; "
	"printf \"$has\" >/proc/self/fd/15";

/* Which of 0, 1 and 2 a child has whose parent has none. */
static int which_has(const an_process_opts *opts, const char *expected)
{
	an_process_opts o = *opts;
	int target = 15, ends[2];
	char got[8] = "";
	an_process *p;

	CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
	CHECK_EQUAL(dup3(ends[1], 15, O_CLOEXEC), 15);
	o.pass_fds = &target;
	o.pass_count = 1;
	CHECK_EQUAL(an_process_shell(list_stdio, &o, &p), 0);
	close(15);
	close(ends[1]);
	CHECK_EQUAL(an_process_wait(p, NULL), 0);
	an_process_close(p);
	CHECK(read(ends[0], got, sizeof got - 1) >= 0);
	close(ends[0]);
	CHECK(strcmp(got, expected) == 0);
	return 0;
}

static int spawn_without_stdio(void *arg)
{
	const an_process_io to_pipe = { .to = AN_PROCESS_PIPE };

	(void)arg;
	CHECK_EQUAL(which_has(&(an_process_opts){ .in = to_pipe }, "0"), 0);
	CHECK_EQUAL(which_has(&(an_process_opts){ .out = to_pipe }, "1"), 0);
	CHECK_EQUAL(which_has(&(an_process_opts){ .err = to_pipe }, "2"), 0);
	CHECK_EQUAL(which_has(&(an_process_opts){ .in = to_pipe, .err = to_pipe }, "02"),
		    0);
	CHECK_EQUAL(which_has(&(an_process_opts){ .in = { .to = AN_PROCESS_NULL } }, "0"),
		    0);
	return which_has(&(an_process_opts){ 0 }, "");
}

static void close_stdio_and_spawn(void *arg)
{
	int said = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 20);

	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (run_real(spawn_without_stdio, NULL)) {
		dup2(said, STDERR_FILENO);
		run_real(spawn_without_stdio, NULL);
		dprintf(said, "failed\n");
	}
}

static void a_parent_without_stdio_passes_on_nothing_else(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(in_child(close_stdio_and_spawn, NULL, said, sizeof said), 0);
	assert_string_equal(said, "");
}

/* ---- options that cannot be -------------------------------------------------------- */

REAL_TEST(a_number_that_is_not_open_is_told_whatever_takes_it)
{
	static const char *const argv[] = { "true", NULL };
	int first = dup(STDERR_FILENO);
	an_process *p;

	close(first);
	for (int fd = first; fd < first + 8; fd++) {
		an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
					 .pass_fds = &fd,
					 .pass_count = 1 };

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		CHECK_EQUAL(an_process_spawn(argv, &opts, &p), -EBADF);
		opts.pass_count = 0;
		opts.out = (an_process_io){ AN_PROCESS_FD, fd };
		CHECK_EQUAL(an_process_spawn(argv, &opts, &p), -EBADF);
	}
	return 0;
}

REAL_TEST(without_a_program_nothing_is_started)
{
	static const char *const none[] = { NULL };
	an_process *p;

	CHECK_EQUAL(an_process_spawn(NULL, NULL, &p), -EINVAL);
	CHECK_EQUAL(an_process_spawn(none, NULL, &p), -EINVAL);
	CHECK_EQUAL(an_process_shell(NULL, NULL, &p), -EINVAL);
	return 0;
}

/* ---- children that do not play along ----------------------------------------------- */

enum { MIB = 1 << 20 };

static char data[MIB];

/* To anybody who writes into a pipe that nobody reads. */
REAL_TEST(a_child_that_closes_its_stdin_is_no_signal)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	int r = 0;
	an_process *p;

	CHECK_EQUAL(an_process_shell("exec <&-; echo 1; echo 2", &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, data, MIB, NULL), 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "1\n2\n") == 0);
	an_process_close(p);

	CHECK_EQUAL(an_process_shell("exec <&-; exec sleep 50", &opts, &p), 0);
	while (r == 0)
		r = an_stream_write(an_process_stream(p, STDIN_FILENO), data, MIB);
	CHECK_EQUAL(r, -EPIPE);
	an_process_close(p);
	return 0;
}

static int feed_it(void *arg)
{
	return an_process_communicate(arg, data, MIB, NULL);
}

REAL_TEST(a_child_killed_in_mid_talk_is_told_by_its_status)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE },
				 .err = { .to = AN_PROCESS_PIPE } };
	an_process_status status;
	const char *line;
	size_t length;
	an_process *p;
	an_task *talk;
	int r;

	CHECK_EQUAL(
		an_process_shell("head -c 1000; echo x >&2; exec sleep 50", &opts, &p),
		0);
	CHECK_EQUAL(an_spawn(feed_it, p, NULL, &talk), 0);
	do
		CHECK_EQUAL(an_yield(), 0);
	while (!*an_process_output(p, STDERR_FILENO, NULL));
	CHECK_EQUAL(an_process_kill(p), 0);
	CHECK_EQUAL(an_join(talk, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_process_communicate(p, data, MIB, &status), 0);
	CHECK_EQUAL(status.signal, SIGKILL);
	line = an_process_output(p, STDOUT_FILENO, &length);
	CHECK_EQUAL(length, 1000);
	CHECK(memcmp(line, data, length) == 0);
	an_process_close(p);
	return 0;
}

/* The memory is there before the output is. */
REAL_TEST(what_is_looked_at_in_mid_talk_ends_with_a_zero)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	an_process *p;
	an_task *talk;
	size_t length;

	mallopt(M_PERTURB, 0x55);
	CHECK_EQUAL(an_process_shell("exec sleep 50", &opts, &p), 0);
	CHECK_EQUAL(an_spawn(feed_it, p, NULL, &talk), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(*an_process_output(p, STDOUT_FILENO, &length), '\0');
	CHECK_EQUAL(length, 0);
	mallopt(M_PERTURB, 0);
	an_process_close(p);
	return an_join(talk, NULL);
}

/* ---- limits of the kernel's -------------------------------------------------------- */

REAL_TEST(what_is_too_much_for_an_exec_is_told)
{
	enum { LONG = 200000 };
	const char *argv[] = { "true", NULL, NULL }, *env[] = { NULL, NULL };
	char *text = malloc(LONG);
	an_process *p;

	memset(text, 'x', LONG - 1);
	text[LONG - 1] = '\0';
	argv[1] = text;
	CHECK_EQUAL(an_process_spawn(argv, NULL, &p), -E2BIG);
	argv[1] = NULL;
	text[1] = '=';
	env[0] = text;
	CHECK_EQUAL(an_process_spawn(argv, &(an_process_opts){ .env_add = env }, &p),
		    -E2BIG);
	free(text);
	CHECK(!has_children());
	return 0;
}

/* ---- others who spawn and wait ----------------------------------------------------- */

/* A `cat` that some other child has the stdin of does not end. */
static int talk_to_cats(void *arg)
{
	static const char *const argv[] = { "cat", NULL };
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };

	(void)arg;
	for (int i = 0; i < 20; i++) {
		an_process *p;
		size_t length;

		CHECK_EQUAL(an_process_spawn(argv, &opts, &p), 0);
		CHECK_EQUAL(an_process_communicate(p, data, 100000, NULL), 0);
		an_process_output(p, STDOUT_FILENO, &length);
		CHECK_EQUAL(length, 100000);
		an_process_close(p);
	}
	return 0;
}

static void *talk_in_a_loop(void *arg)
{
	*(int *)arg = run_real(talk_to_cats, NULL);
	return NULL;
}

static void loops_of_several_threads_spawn_at_once(void **state)
{
	pthread_t threads[3];
	int results[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, talk_in_a_loop, &results[i]),
			0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(results[i], 0);
	}
	assert_false(has_children());
}

static _Atomic bool enough;

static void *reap_everything(void *arg)
{
	while (!enough)
		waitpid(-1, NULL, WNOHANG);
	return arg;
}

static int talk_to_all(void *arg)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };

	(void)arg;
	for (int i = 0; i < 30; i++) {
		an_process_status status = { .code = 3 };
		an_process *p;
		int r;

		opts.new_group = i % 2;
		CHECK_EQUAL(an_process_shell("cat; exit 3", &opts, &p), 0);
		r = an_process_communicate(p, "x", 1, &status);
		CHECK(r == 0 || r == -ECHILD);
		CHECK_EQUAL(status.code, 3);
		CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x") == 0);
		an_process_close(p);
	}
	return 0;
}

static void who_steals_a_status_harms_nothing_else(void **state)
{
	pthread_t thief;

	(void)state;
	enough = false;
	assert_int_equal(pthread_create(&thief, NULL, reap_everything, NULL), 0);
	assert_int_equal(run_real(talk_to_all, NULL), 0);
	enough = true;
	pthread_join(thief, NULL);
}

/* ---- cancelled --------------------------------------------------------------------- */

REAL_TEST(in_a_cancelled_scope_nothing_is_begun)
{
	an_process_opts opts = { .out = { .to = AN_PROCESS_PIPE } };
	an_process *p = NULL, *q = NULL;
	an_timeout over;

	CHECK_EQUAL(an_process_shell("echo x", &opts, &p), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_process_shell("exit 0", NULL, &q), -ECANCELED);
	CHECK_EQUAL(an_process_wait(p, NULL), -ECANCELED);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK(!q);
	CHECK(!*an_process_output(p, STDOUT_FILENO, NULL));
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x\n") == 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_process_wait(p, NULL), -ECANCELED); /* that it has ended, too */
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	an_process_close(p);
	return 0;
}

/* All that one can wait for: both outputs, who lingers, the end of a group. */
static int talk_and_linger(void *arg)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE },
				 .err = { .to = AN_PROCESS_PIPE },
				 .new_group = true,
				 .grace = -1,
				 .linger = 1 };
	an_process *p;
	int r = an_process_shell("sleep 50 & cat; echo y >&2", &opts, &p);

	(void)arg;
	if (r < 0)
		return r;
	r = an_process_communicate(p, "x", 1, NULL);
	if (r == 0)
		r = an_process_wait(p, NULL);
	if (r == 0) {
		CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x") == 0);
		CHECK(strcmp(an_process_output(p, STDERR_FILENO, NULL), "y\n") == 0);
	}
	an_process_close(p);
	return r;
}

static void a_talk_that_lingers_is_cancelled_at_each_step(void **state)
{
	an_testing_scenario s = { NULL, talk_and_linger, NULL, NULL };
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
	assert_int_equal(open_descriptors(), before);
	assert_false(has_children());
}

REAL_TEST(each_allocation_of_such_a_talk_fails_once)
{
	size_t before;
	int r;

	CHECK_EQUAL(talk_and_linger(NULL), 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		CHECK(n < 200);
		an_testing_fail_allocation(n);
		r = talk_and_linger(NULL);
		if (!an_testing_allocation_failed())
			break;
		CHECK(r == 0 || r == -ENOMEM);
		while (open_descriptors() != before) /* it is reaped in the background */
			CHECK_EQUAL(an_yield(), 0);
	}
	return r;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_parent_without_stdio_passes_on_nothing_else),
	cmocka_unit_test(a_number_that_is_not_open_is_told_whatever_takes_it),
	cmocka_unit_test(without_a_program_nothing_is_started),
	cmocka_unit_test(a_child_that_closes_its_stdin_is_no_signal),
	cmocka_unit_test(a_child_killed_in_mid_talk_is_told_by_its_status),
	cmocka_unit_test(what_is_looked_at_in_mid_talk_ends_with_a_zero),
	cmocka_unit_test(what_is_too_much_for_an_exec_is_told),
	cmocka_unit_test(loops_of_several_threads_spawn_at_once),
	cmocka_unit_test(who_steals_a_status_harms_nothing_else),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_begun),
	cmocka_unit_test(a_talk_that_lingers_is_cancelled_at_each_step),
	cmocka_unit_test(each_allocation_of_such_a_talk_fails_once),
};

TEST_MAIN_WITH("process-odd", tests, count_libevent, NULL)
