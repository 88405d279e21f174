/* What a child is given beside its descriptors and its environment: whom it runs as, its
 * group, limits, and a signal at its parent's end. */
#include "tests/support/child.h"
#include "tests/unit/io/children.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static char said[4096];

#define SAYS(command, opts, expected) \
	do { \
		CHECK_EQUAL(shell(command, opts, said, sizeof said), 0); \
		if (strcmp(said, expected)) { \
			fprintf(stderr, "%s: %s", command, said); \
			return CHECK_FAILED; \
		} \
	} while (0)

static int fails(const an_process_opts *opts)
{
	an_process *p;
	int r = an_process_shell("exit 0", opts, &p);

	if (r == 0)
		an_process_close(p);
	return r;
}

REAL_TEST(the_file_that_is_run_may_have_another_name)
{
	static const char *const argv[] = { "-odd", "-c", "echo $0", NULL };
	an_process_opts opts = { .program = "sh", .out = { .to = AN_PROCESS_PIPE } };
	an_process *p;

	CHECK_EQUAL(an_process_spawn(argv, &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "-odd\n") == 0);
	an_process_close(p);
	opts.program = "";
	CHECK_EQUAL(an_process_spawn(argv, &opts, &p), -EINVAL);
	opts.program = "/no/such";
	CHECK_EQUAL(an_process_spawn(argv, &opts, &p), -ENOENT);
	return 0;
}

REAL_TEST(mask_priority_and_limits_are_the_childs_alone)
{
	const an_process_limit limits[] = {
		{ RLIMIT_NOFILE, { 37, 37 } },
		{ RLIMIT_CORE, { 0, 0 } },
	};
	const an_process_opts opts = {
		.umask = &(mode_t){ 0027 }, .nice = 3, .limits = limits, .limit_count = 2
	};
	int nice_before = getpriority(PRIO_PROCESS, 0);
	mode_t before = umask(0022);
	char nicer[16];
	struct rlimit now;

	SAYS("umask; ulimit -n; ulimit -c", &opts, "0027\n37\n0\n");
	snprintf(nicer, sizeof nicer, "%d\n", nice_before < 16 ? nice_before + 3 : 19);
	SAYS("exec nice", &opts, nicer);
	SAYS("umask", NULL, "0022\n");
	CHECK_EQUAL(umask(before), 0022);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &now), 0);
	CHECK(now.rlim_cur > 37);
	CHECK_EQUAL(getpriority(PRIO_PROCESS, 0), nice_before);
	return 0;
}

REAL_TEST(what_the_kernel_refuses_is_told)
{
	const an_process_limit none = { 4711, { 1, 1 } },
			       crossed = { RLIMIT_NOFILE, { 2, 1 } };
	an_process_opts opts = { .limits = &none, .limit_count = 1 };

	CHECK_EQUAL(fails(&opts), -EINVAL);
	opts.limits = &crossed;
	CHECK_EQUAL(fails(&opts), -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .parent_death_signal = 4711 }), -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .parent_death_signal = -1 }), -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .process_group = -1 }), -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .process_group = 5, .new_group = true }),
		    -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .process_group = 1 }), -EPERM);
	CHECK(!has_children());
	return 0;
}

/* ---- whom it runs as --------------------------------------------------------------- */

enum { NOBODY = 65534 };

static int run_as_others(void *arg)
{
	const gid_t groups[] = { 7, 8 };
	an_process_opts opts = { .user = &(uid_t){ NOBODY } };

	(void)arg;
	SAYS("id -u; id -g; id -G", &opts, "65534\n0\n0\n");
	opts.group = &(gid_t){ 9 };
	SAYS("id -u; id -g; id -G", &opts, "65534\n9\n9\n");
	opts.groups = groups;
	opts.group_count = 2;
	SAYS("id -u; id -g; id -G", &opts, "65534\n9\n9 7 8\n");
	/* No way back. */
	SAYS("grep -E '^[UG]id' /proc/self/status", &opts,
	     "Uid:\t65534\t65534\t65534\t65534\nGid:\t9\t9\t9\t9\n");
	opts.directory = "/no/such";
	CHECK_EQUAL(fails(&opts), -ENOENT);
	CHECK_EQUAL(getuid(), 0);
	CHECK_EQUAL(prctl(PR_GET_DUMPABLE), 1);
	return 0;
}

REAL_TEST(nobody_is_minus_one)
{
	CHECK_EQUAL(fails(&(an_process_opts){ .user = &(uid_t){ -1 } }), -EINVAL);
	CHECK_EQUAL(fails(&(an_process_opts){ .group = &(gid_t){ -1 } }), -EINVAL);
	return 0;
}

static void a_child_may_run_as_another_user(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(run_real(run_as_others, NULL), 0);
}

static int may_not(void *arg)
{
	const struct rlimit few = { 0, 0 };

	(void)arg;
	CHECK_EQUAL(fails(&(an_process_opts){ .user = &(uid_t){ 0 } }), -EPERM);
	CHECK_EQUAL(fails(&(an_process_opts){ .group = &(gid_t){ 0 } }), -EPERM);
	CHECK_EQUAL(fails(&(an_process_opts){ .groups = &(gid_t){ 0 } }), -EPERM);
	CHECK_EQUAL(fails(&(an_process_opts){ .nice = -1 }), -EACCES);
	CHECK_EQUAL(fails(&(an_process_opts){ .user = &(uid_t){ NOBODY } }), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_NPROC, &few), 0);
	CHECK_EQUAL(fails(NULL), -EAGAIN);
	return 0;
}

static void be_nobody(void *arg)
{
	(void)arg;
	if (setgid(NOBODY) || setuid(NOBODY) || run_real(may_not, NULL) || has_children())
		_exit(1);
}

static void who_is_nobody_stays_that_and_runs_into_limits(void **state)
{
	char text[512];

	(void)state;
	if (getuid() != 0)
		skip();
	if (in_child(be_nobody, NULL, text, sizeof text))
		fail_msg("%s", text);
}

/* ---- groups ------------------------------------------------------------------------ */

REAL_TEST(a_child_joins_the_group_of_another)
{
	an_process_opts opts = { .new_group = true, .in = { .to = AN_PROCESS_PIPE } };
	an_process_status status;
	an_process *first, *second;

	CHECK_EQUAL(an_process_shell("exit 0", &opts, &first), 0);
	CHECK_EQUAL(an_process_wait(first, NULL), 0);
	/* Its number is still the group's. */
	opts.new_group = false;
	opts.process_group = an_process_pid(first);
	CHECK_EQUAL(fails(&opts), 0);
	an_process_close(first);

	opts = (an_process_opts){ .new_group = true, .in = { .to = AN_PROCESS_PIPE } };
	CHECK_EQUAL(an_process_shell("read x", &opts, &first), 0);
	opts.new_group = false;
	opts.process_group = an_process_pid(first);
	CHECK_EQUAL(an_process_shell("exec sleep 50", &opts, &second), 0);
	CHECK_EQUAL(an_process_kill(first), 0);
	CHECK_EQUAL(an_process_wait(second, &status), 0);
	CHECK_EQUAL(status.signal, SIGKILL);
	an_process_close(second);
	an_process_close(first);
	return 0;
}

/* ---- the parent's end -------------------------------------------------------------- */

static int spawn_and_die(void *arg)
{
	an_process_opts opts = { .parent_death_signal = SIGKILL,
				 .out = { AN_PROCESS_FD, *(int *)arg } };
	an_process *p;

	CHECK_EQUAL(an_process_shell("exec sleep 50", &opts, &p), 0);
	kill(getpid(), SIGKILL);
	return 0;
}

static void spawn_in_a_loop(void *arg)
{
	run_real(spawn_and_die, arg);
}

static void a_child_ends_with_a_parent_that_was_killed(void **state)
{
	char text[512], c;
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	status = in_child(spawn_in_a_loop, &fds[1], text, sizeof text);
	assert_string_equal(text, "");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_file_that_is_run_may_have_another_name),
	cmocka_unit_test(mask_priority_and_limits_are_the_childs_alone),
	cmocka_unit_test(what_the_kernel_refuses_is_told),
	cmocka_unit_test(nobody_is_minus_one),
	cmocka_unit_test(a_child_may_run_as_another_user),
	cmocka_unit_test(who_is_nobody_stays_that_and_runs_into_limits),
	cmocka_unit_test(a_child_joins_the_group_of_another),
	cmocka_unit_test(a_child_ends_with_a_parent_that_was_killed),
};

TEST_MAIN("process-attributes", tests)
