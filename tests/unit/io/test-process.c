/* Child processes: what they are started with, how they end, and talking to them. The
 * children are /bin/sh and what every system has. */
#include "tests/support/child.h"
#include "tests/unit/io/children.h"

#include "loop/io/process-private.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char said[4096];

/* ---- how it ends ------------------------------------------------------------------- */

static int status_of(const char *command, an_process_status *ret)
{
	an_process *p;
	int r = an_process_shell(command, NULL, &p);

	if (r < 0)
		return r;
	r = an_process_wait(p, ret);
	an_process_close(p);
	return r;
}

REAL_TEST(the_status_is_the_exit_code_or_the_signal)
{
	an_process_status status;

	CHECK_EQUAL(status_of("exit 0", &status), 0);
	CHECK_EQUAL(status.code, 0);
	CHECK_EQUAL(status.signal, 0);
	CHECK_EQUAL(status_of("exit 255", &status), 0);
	CHECK_EQUAL(status.code, 255);
	CHECK_EQUAL(status_of("kill -9 $$", &status), 0);
	CHECK_EQUAL(status.code, -1);
	CHECK_EQUAL(status.signal, SIGKILL);
	return 0;
}

static int wait_and_tell(void *arg)
{
	an_process_status status;
	int r = an_process_wait(arg, &status);

	return r < 0 ? r : status.code;
}

REAL_TEST(several_tasks_wait_and_again_later)
{
	an_process_status status = { 0 };
	an_task *tasks[2];
	int results[2];
	an_process *p;

	CHECK_EQUAL(an_process_shell(
			    "read line; exit 4",
			    &(an_process_opts){ .in = { .to = AN_PROCESS_PIPE } }, &p),
		    0);
	CHECK(an_process_pid(p) > 0);
	CHECK_EQUAL(an_process_poll(p, &status), -EAGAIN);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(wait_and_tell, p, NULL, &tasks[i]), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_process_stream_close(p, STDIN_FILENO);
	CHECK_EQUAL(an_gather(tasks, 2, true, results), 0);
	CHECK_EQUAL(results[0], 4);
	CHECK_EQUAL(results[1], 4);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	CHECK_EQUAL(status.code, 4);
	CHECK_EQUAL(an_process_poll(p, NULL), 0);
	CHECK_EQUAL(an_process_kill(p), -ESRCH);
	an_process_close(p);
	return 0;
}

/* ---- what cannot be started -------------------------------------------------------- */

static int try(const char *program, const an_process_opts *opts)
{
	const char *const argv[] = { program, NULL };
	an_process *p;
	int r = an_process_spawn(argv, opts, &p);

	if (r == 0)
		an_process_close(p);
	return r;
}

REAL_TEST(a_failed_start_says_why)
{
	char name[64];
	int fd, unused = 1000;

	CHECK_EQUAL(try("/no/such/program", NULL), -ENOENT);
	CHECK_EQUAL(try("no-such-program-anywhere", NULL), -ENOENT);
	CHECK_EQUAL(try("/bin/sh/x", NULL), -ENOTDIR);
	CHECK_EQUAL(try("/", NULL), -EACCES);
	CHECK_EQUAL(try("true", &(an_process_opts){ .directory = "/no/such" }), -ENOENT);
	CHECK_EQUAL(
		try("true", &(an_process_opts){ .pass_fds = &unused, .pass_count = 1 }),
		-EBADF);
	CHECK_EQUAL(try("true", &(an_process_opts){ .out = { AN_PROCESS_FD, 1000 } }),
		    -EBADF);
	CHECK_EQUAL(try("true", &(an_process_opts){ .out = { AN_PROCESS_FD, -1 } }),
		    -EINVAL);
	CHECK_EQUAL(try("true", &(an_process_opts){ .out = { .to = AN_PROCESS_STDOUT } }),
		    -EINVAL);
	CHECK_EQUAL(try("", NULL), -EINVAL);

	snprintf(name, sizeof name, "/tmp/asyncnet-process-%d", (int)getpid());
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0700);
	CHECK(fd >= 0);
	CHECK_EQUAL(write(fd, "exit 0\n", 7), 7);
	close(fd);
	CHECK_EQUAL(try(name, NULL), -ENOEXEC);
	unlink(name);
	CHECK(!has_children());
	return 0;
}

/* ---- argv, environment, folder ----------------------------------------------------- */

REAL_TEST(arguments_see_no_shell_and_a_command_does)
{
	static const char *const argv[] = { "printf", "%s|", "$HOME; x", "*", "", NULL };
	an_process_status status;
	an_process *p;
	size_t length;

	CHECK_EQUAL(
		an_process_spawn(
			argv, &(an_process_opts){ .out = { .to = AN_PROCESS_PIPE } }, &p),
		0);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, &status), 0);
	CHECK_EQUAL(status.code, 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, &length), "$HOME; x|*||") == 0);
	CHECK_EQUAL(length, 12);
	CHECK(strcmp(an_process_output(p, STDERR_FILENO, NULL), "") == 0);
	an_process_close(p);
	CHECK_EQUAL(shell("printf %s \"$((1 + 1))\"", NULL, said, sizeof said), 0);
	CHECK(strcmp(said, "2") == 0);
	return 0;
}

REAL_TEST(the_environment_is_added_to_or_replaced)
{
	static const char *const whole[] = { "A=1", "B=2", NULL };
	static const char *const add[] = { "B=3", "C=4=5", "A", "C=6", NULL };
	an_process_opts opts = { .env = whole };

	CHECK_EQUAL(shell("echo ${A-none} $B ${HOME-none}", &opts, said, sizeof said), 0);
	CHECK(strcmp(said, "1 2 none\n") == 0);
	opts.env_add = add;
	CHECK_EQUAL(shell("echo ${A-none} $B $C", &opts, said, sizeof said), 0);
	CHECK(strcmp(said, "none 3 6\n") == 0);
	setenv("AN_TEST_INHERITED", "yes", 1);
	opts.env = NULL;
	CHECK_EQUAL(shell("echo $AN_TEST_INHERITED $B", &opts, said, sizeof said), 0);
	CHECK(strcmp(said, "yes 3\n") == 0);
	return 0;
}

REAL_TEST(a_program_is_looked_for_in_the_childs_path_and_folder)
{
	static const char *const none[] = { "PATH=/no/such:/dev/null", NULL };
	static const char *const here[] = { "PATH=/no/such:", NULL };
	static char long_path[6000];
	const char *const too_long[] = { long_path, NULL };

	CHECK_EQUAL(try("true", &(an_process_opts){ .env_add = none }), -ENOENT);
	CHECK_EQUAL(try("sh", &(an_process_opts){ .env_add = here, .directory = "/bin" }),
		    0);
	CHECK_EQUAL(try("./sh", &(an_process_opts){ .directory = "/bin" }), 0);
	memset(long_path, 'x', 5000);
	memcpy(long_path, "PATH=/", 6);
	strcpy(long_path + 5000, ":/bin");
	CHECK_EQUAL(try("sh", &(an_process_opts){ .env_add = too_long }), 0);
	CHECK_EQUAL(try(long_path, NULL), -ENAMETOOLONG);
	CHECK_EQUAL(
		shell("pwd", &(an_process_opts){ .directory = "/" }, said, sizeof said),
		0);
	CHECK(strcmp(said, "/\n") == 0);
	return 0;
}

/* ---- descriptors ------------------------------------------------------------------- */

REAL_TEST(no_descriptor_is_inherited_by_accident)
{
	int careless = dup(STDERR_FILENO), passed;
	char expected[64];

	CHECK(careless > 2);
	CHECK_EQUAL(shell("exec ls /proc/self/fd", NULL, said, sizeof said), 0);
	CHECK(strcmp(said, "0\n1\n2\n3\n") == 0); /* 3: the folder */

	passed = fcntl(careless, F_DUPFD_CLOEXEC, 9);
	snprintf(expected, sizeof expected, "0\n1\n2\n3\n%d\n", passed);
	CHECK_EQUAL(shell("exec ls /proc/self/fd",
			  &(an_process_opts){ .pass_fds = &passed, .pass_count = 1 },
			  said, sizeof said),
		    0);
	CHECK(strcmp(said, expected) == 0 || passed > 9);
	CHECK(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	close(passed);
	close(careless);
	return 0;
}

/* Has the system calls fail from here on, in what is started, too. */
static int deny(const unsigned calls[2])
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[0], 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[1], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? -errno : 0;
}

static int inherit_nothing(void *arg)
{
	char command[96];
	int careless = dup(STDERR_FILENO);

	CHECK_EQUAL(deny(arg), 0);
	snprintf(command, sizeof command, "test ! -e /proc/self/fd/%d && exit 3",
		 careless);
	CHECK_EQUAL(shell("test -e /proc/self/fd/1 && exit 3", NULL, said, sizeof said),
		    3);
	CHECK_EQUAL(shell(command, NULL, said, sizeof said), 3);
	return 0;
}

static void exit_with_it(void *arg)
{
	_exit(run_real(inherit_nothing, arg) ? 1 : 0);
}

/* First the list of /proc has to do, then not even that is there. */
static void an_old_kernel_lets_nothing_through_either(void **state)
{
	static const unsigned denied[][2] = {
		{ SYS_close_range, SYS_pidfd_open },
		{ SYS_close_range, SYS_getdents64 },
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char text[512];

		if (in_child(exit_with_it, (void *)denied[i], text, sizeof text))
			fail_msg("%s", text);
	}
}

REAL_TEST(stderr_goes_where_stdout_goes_and_stdin_is_nothing)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_NULL },
				 .err = { .to = AN_PROCESS_STDOUT } };

	CHECK_EQUAL(shell("cat; echo a; echo b >&2; echo c", &opts, said, sizeof said),
		    0);
	CHECK(strcmp(said, "a\nb\nc\n") == 0);
	return 0;
}

/* Its 0, 1 and 2 are the parent's 1, 2 and 0, in the order in which each overwrites what
 * the next one needs. */
static int turn_in_a_circle(void *arg)
{
	const char *const argv[] = { "/bin/sh", "-c",
				     "exec readlink /proc/$$/fd/0 /proc/$$/fd/1 "
				     "/proc/$$/fd/2 >/proc/self/fd/9",
				     NULL };
	int nine = 9;
	an_process_status status;
	an_process *p;

	(void)arg;
	CHECK_EQUAL(an_process_spawn(argv,
				     &(an_process_opts){ .in = { AN_PROCESS_FD, 1 },
							 .out = { AN_PROCESS_FD, 2 },
							 .err = { AN_PROCESS_FD, 0 },
							 .pass_fds = &nine,
							 .pass_count = 1 },
				     &p),
		    0);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	an_process_close(p);
	return status.code;
}

static void stdio_may_change_places(void **state)
{
	static const char *const names[] = { "/dev/zero", "/dev/null", "/dev/full" };
	char got[256] = { 0 };
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 9);
		for (int i = 0; i < 3; i++) {
			close(i);
			if (open(names[i], O_RDWR) != i)
				_exit(1);
		}
		_exit(run_real(turn_in_a_circle, NULL) != 0);
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(read(fds[0], got, sizeof got - 1) > 0);
	/* 1 was opened anew for the listing by the shell */
	assert_non_null(strstr(got, "/dev/null\n"));
	assert_memory_equal(got, "/dev/null\n", 10);
	assert_non_null(strstr(got, "/dev/zero\n"));
	close(fds[0]);
}

/* Of a child: what it blocks and ignores, as masks. */
static int signals_of_a_child(unsigned long long *ret_blocked,
			      unsigned long long *ret_ignored)
{
	int r = shell("exec grep -E '^Sig(Blk|Ign)' /proc/self/status", NULL, said,
		      sizeof said);

	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(sscanf(said, "SigBlk: %llx SigIgn: %llx", ret_blocked, ret_ignored),
		    2);
	return 0;
}

/* Whoever runs the test may ignore SIGHUP, SIGINT and SIGQUIT already, and the two that
 * libc keeps to itself, 32 and 33. */
REAL_TEST(signals_begin_at_their_defaults)
{
	const unsigned long long left_alone = 1ull << (SIGHUP - 1) |
					      1ull << (SIGINT - 1) |
					      1ull << (SIGQUIT - 1) | 3ull << 31;
	unsigned long long blocked, ignored;
	void (*former)(int) = signal(SIGUSR2, SIG_IGN), (*hangup)(int);
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	CHECK_EQUAL(signals_of_a_child(&blocked, &ignored), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR2, former);
	CHECK_EQUAL(blocked, 0);
	CHECK_EQUAL(ignored & ~left_alone, 0);

	hangup = signal(SIGHUP, SIG_IGN);
	CHECK_EQUAL(signals_of_a_child(&blocked, &ignored), 0);
	signal(SIGHUP, hangup);
	CHECK(ignored & 1 << (SIGHUP - 1));
	return 0;
}

REAL_TEST(a_group_or_a_session_of_its_own)
{
	const char *command = "read p name state parent g s rest </proc/$$/stat; "
			      "test $p = $g && echo g; test $p = $s && echo s; exit 0";

	CHECK_EQUAL(shell(command, NULL, said, sizeof said), 0);
	CHECK(strcmp(said, "") == 0);
	CHECK_EQUAL(shell(command, &(an_process_opts){ .new_group = true }, said,
			  sizeof said),
		    0);
	CHECK(strcmp(said, "g\n") == 0);
	CHECK_EQUAL(shell(command, &(an_process_opts){ .new_session = true }, said,
			  sizeof said),
		    0);
	CHECK(strcmp(said, "g\ns\n") == 0);
	return 0;
}

/* ---- streams and communicate ------------------------------------------------------- */

REAL_TEST(lines_go_to_and_fro)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	const char *line;
	an_process *p;
	size_t length;

	CHECK_EQUAL(an_process_shell("while read l; do echo \"<$l>\"; done", &opts, &p),
		    0);
	for (int i = 0; i < 3; i++) {
		an_stream *in = an_process_stream(p, STDIN_FILENO);
		an_stream *out = an_process_stream(p, STDOUT_FILENO);

		CHECK_EQUAL(an_stream_write(in, "hello\n", 6), 0);
		CHECK_EQUAL(an_stream_read_line(out, &line, &length), 0);
		CHECK_EQUAL(length, 8);
		CHECK(memcmp(line, "<hello>\n", 8) == 0);
	}
	CHECK(!an_process_stream(p, STDERR_FILENO));
	an_process_stream_close(p, STDIN_FILENO);
	CHECK(!an_process_stream(p, STDIN_FILENO));
	CHECK_EQUAL(an_process_wait(p, NULL), 0);
	an_process_close(p);
	return 0;
}

enum { MIB = 1 << 20 };

static char *pattern(void)
{
	static char data[MIB];

	for (int i = 0; i < MIB; i++)
		data[i] = (char)(i * 7 + i / 251);
	return data;
}

REAL_TEST(a_mebibyte_goes_both_ways_at_once)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE },
				 .err = { .to = AN_PROCESS_PIPE } };
	char *data = pattern();
	an_process *p;
	size_t length;

	CHECK_EQUAL(an_process_shell("tee /dev/stderr", &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, data, MIB, NULL), 0);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		CHECK(memcmp(an_process_output(p, fd, &length), data, MIB) == 0);
		CHECK_EQUAL(length, MIB);
	}
	an_process_close(p);
	return 0;
}

REAL_TEST(a_child_need_not_read_nor_keep_its_output_open)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	an_process_status status;
	an_process *p;

	CHECK_EQUAL(an_process_shell("exit 5", &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, pattern(), MIB, &status), 0);
	CHECK_EQUAL(status.code, 5);
	an_process_close(p);

	CHECK_EQUAL(
		an_process_shell("echo x; exec >&-; cat >/dev/null; exit 6", &opts, &p),
		0);
	CHECK_EQUAL(an_process_communicate(p, pattern(), MIB, &status), 0);
	CHECK_EQUAL(status.code, 6);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x\n") == 0);
	an_process_close(p);
	return 0;
}

/* The grandchild holds the pipe until a byte arrives on the descriptor that it has. */
REAL_TEST(a_grandchild_that_holds_the_pipe_is_lingered_for)
{
	an_process_opts opts = { .out = { .to = AN_PROCESS_PIPE },
				 .linger = 20 * AN_MILLISECOND };
	char command[96];
	an_process_status status;
	an_process *p;
	int fds[2];

	CHECK_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	opts.pass_fds = fds;
	opts.pass_count = 1;
	snprintf(command, sizeof command,
		 "echo x; { read l </proc/self/fd/%d; echo y; } & exit 2", fds[0]);
	CHECK_EQUAL(an_process_shell(command, &opts, &p), 0);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, &status), 0);
	CHECK_EQUAL(status.code, 2);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x\n") == 0);
	CHECK(!an_stream_at_eof(an_process_stream(p, STDOUT_FILENO)));

	/* It is there to be read later. */
	CHECK_EQUAL(write(fds[1], "\n", 1), 1);
	close(fds[1]);
	p->linger = 0;
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, &status), 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, NULL), "x\ny\n") == 0);
	an_process_close(p);
	close(fds[0]);
	return 0;
}

static int limited(const char *command, size_t limit, an_process **ret)
{
	int r = an_process_shell(command,
				 &(an_process_opts){ .out = { .to = AN_PROCESS_PIPE },
						     .output_limit = limit },
				 ret);

	return r < 0 ? r : an_process_communicate(*ret, NULL, 0, NULL);
}

REAL_TEST(the_limit_of_an_output_is_exact)
{
	an_process *p;
	size_t length;
	char rest[8];

	CHECK_EQUAL(limited("printf 12345", 5, &p), 0);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, &length), "12345") == 0);
	CHECK_EQUAL(length, 5);
	an_process_close(p);

	CHECK_EQUAL(limited("printf 123456", 5, &p), AN_ERR_LIMIT);
	CHECK(strcmp(an_process_output(p, STDOUT_FILENO, &length), "12345") == 0);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), AN_ERR_LIMIT);
	CHECK_EQUAL(an_stream_read(an_process_stream(p, STDOUT_FILENO), rest, 8), 1);
	CHECK_EQUAL(rest[0], '6');
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), 0);
	an_process_close(p);

	CHECK_EQUAL(limited("yes", 100000, &p), AN_ERR_LIMIT);
	an_process_output(p, STDOUT_FILENO, &length);
	CHECK_EQUAL(length, 100000);
	an_process_close(p);
	return 0;
}

static int communicate(void *arg)
{
	return an_process_communicate(arg, NULL, 0, NULL);
}

REAL_TEST(one_task_at_a_time_communicates)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	an_process *p;
	an_task *task;
	int r;

	CHECK_EQUAL(an_process_shell("kill -STOP $$; cat", &opts, &p), 0);
	CHECK_EQUAL(an_spawn(communicate, p, NULL, &task), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_process_communicate(p, NULL, 0, NULL), -EBUSY);
	an_process_close(p);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, AN_ERR_CLOSED);
	return 0;
}

/* Cancelled after each step, over and over: what was sent and received is not lost, nor
 * is it sent twice. */
REAL_TEST(a_cancelled_communicate_goes_on_later)
{
	an_process_opts opts = { .in = { .to = AN_PROCESS_PIPE },
				 .out = { .to = AN_PROCESS_PIPE } };
	char *data = pattern();
	an_process_status status;
	an_process *p;
	size_t length;
	int r, rounds = 0;

	CHECK_EQUAL(an_process_shell("cat; exit 9", &opts, &p), 0);
	do {
		an_timeout limit;

		an_timeout_begin(&limit, ++rounds * 20 * AN_MICROSECOND);
		r = an_process_communicate(p, data, MIB, &status);
		r = an_timeout_end(&limit, r);
	} while (r == -ETIMEDOUT);
	CHECK_EQUAL(r, 0);
	CHECK(rounds > 1);
	CHECK_EQUAL(status.code, 9);
	CHECK(memcmp(an_process_output(p, STDOUT_FILENO, &length), data, MIB) == 0);
	CHECK_EQUAL(length, MIB);
	an_process_close(p);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_status_is_the_exit_code_or_the_signal),
	cmocka_unit_test(several_tasks_wait_and_again_later),
	cmocka_unit_test(a_failed_start_says_why),
	cmocka_unit_test(arguments_see_no_shell_and_a_command_does),
	cmocka_unit_test(the_environment_is_added_to_or_replaced),
	cmocka_unit_test(a_program_is_looked_for_in_the_childs_path_and_folder),
	cmocka_unit_test(no_descriptor_is_inherited_by_accident),
	cmocka_unit_test(an_old_kernel_lets_nothing_through_either),
	cmocka_unit_test(stderr_goes_where_stdout_goes_and_stdin_is_nothing),
	cmocka_unit_test(stdio_may_change_places),
	cmocka_unit_test(signals_begin_at_their_defaults),
	cmocka_unit_test(a_group_or_a_session_of_its_own),
	cmocka_unit_test(lines_go_to_and_fro),
	cmocka_unit_test(a_mebibyte_goes_both_ways_at_once),
	cmocka_unit_test(a_child_need_not_read_nor_keep_its_output_open),
	cmocka_unit_test(a_grandchild_that_holds_the_pipe_is_lingered_for),
	cmocka_unit_test(the_limit_of_an_output_is_exact),
	cmocka_unit_test(one_task_at_a_time_communicates),
	cmocka_unit_test(a_cancelled_communicate_goes_on_later),
};

TEST_MAIN("process", tests)
