/* Child processes on bad days: parents without standard descriptors, thieves of statuses,
 * limits that are hit, children that do not play along. */
#include "tests/support/child.h"
#include "tests/unit/io/children.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

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

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_parent_without_stdio_passes_on_nothing_else),
	cmocka_unit_test(a_number_that_is_not_open_is_told_whatever_takes_it),
	cmocka_unit_test(without_a_program_nothing_is_started),
};

TEST_MAIN("process-odd", tests)
