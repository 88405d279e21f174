/* The tree of tasks as text: what it says of each, and when it may be made. */
#include "loop/core/ctx.h" /* AN_CONTEXT_UCONTEXT */
#include "tests/support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
#define NAMES 1
#else
#define NAMES 0
#endif
#if NAMES && !defined(AN_CONTEXT_UCONTEXT)
#define NAMES_OF_PARKED 1
#else
#define NAMES_OF_PARKED 0
#endif

/* The program is linked with -rdynamic: the names of these are known. */
#define EXPORTED __attribute__((noinline, visibility("default")))
EXPORTED int dump_sleeps(void *arg);
EXPORTED int dump_descends(void *arg);
EXPORTED int dump_here(int fd);
EXPORTED void dump_spawns(an_task_fn fn, void *arg, const char *name);

/* ---- a dump that is read ----------------------------------------------------------- */

static char text[PIPE_BUF * 8];

static int ends[2];

static int open_pipe(void **state)
{
	(void)state;
	return pipe2(ends, O_NONBLOCK | O_CLOEXEC);
}

static int close_pipe(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static int read_text(void)
{
	ssize_t n = read(ends[0], text, sizeof text - 1);

	CHECK(n > 0);
	text[n] = '\0';
	return 0;
}

static int dump(void)
{
	CHECK_EQUAL(an_dump_tasks(ends[1]), 0);
	return read_text();
}

/* What is said of one task: from its name to the next one's. */
static const char *about(const char *name)
{
	static char part[4096];
	char *at = strstr(text, name), *end;

	if (!at)
		return "";
	snprintf(part, sizeof part, "%s", at);
	for (end = part; (end = strchr(end, '\n')); end++)
		if (!strstr(end, "    ") || strstr(end, "|- ") == end + 1)
			break;
	end = strstr(part, "|- ");
	if (end)
		*end = '\0';
	return part;
}

static bool says(const char *name, const char *what)
{
	if (strstr(about(name), what))
		return true;
	fprintf(stderr, "of %s, not \"%s\":%s\n", name, what, text);
	return false;
}

/* ---- tasks ------------------------------------------------------------------------- */

int dump_sleeps(void *arg)
{
	int r = an_sleep(AN_FOREVER);

	return arg ? 0 : r;
}

void dump_spawns(an_task_fn fn, void *arg, const char *name)
{
	an_ignore(an_spawn(fn, arg, &(an_task_opts){ .name = name }, NULL));
}

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

TASK_TEST(each_task_is_listed_with_its_state)
{
	an_task *sleeper;

	CHECK_EQUAL(an_spawn(dump_sleeps, NULL, &(an_task_opts){ .name = "sleeper" },
			     &sleeper),
		    0);
	dump_spawns(joins, sleeper, "joiner");
	CHECK_EQUAL(an_sleep(90 * AN_SECOND + 500 * AN_MILLISECOND), 0);
	dump_spawns(dump_sleeps, NULL, "fresh");
	CHECK_EQUAL(dump(), 0);
	CHECK(strncmp(text, "4 tasks\n", 8) == 0);
	CHECK(says("main", "main  running\n"));
	CHECK(says("sleeper", "parked 90.5 s: time to pass\n"));
	CHECK(says("joiner", "parked 90.5 s: a task, depends on sleeper\n"));
	CHECK(says("fresh", "not begun\n"));
	an_cancel(sleeper);
	CHECK_EQUAL(dump(), 0);
	CHECK(says("sleeper", "ready (cancelled)\n"));
	return 0;
}

static int spawns_and_sleeps(void *arg)
{
	dump_spawns(dump_sleeps, NULL, "grandchild");
	return arg ? an_yield() : an_sleep(AN_FOREVER);
}

TASK_TEST(tasks_stand_under_those_that_spawned_them)
{
	dump_spawns(spawns_and_sleeps, NULL, "child");
	dump_spawns(dump_sleeps, NULL, "sibling");
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(strstr(text, "\nmain "));
	CHECK(strstr(text, "\n |- child "));
	CHECK(strstr(text, "\n |   |- grandchild "));
	CHECK(strstr(text, "\n |- sibling "));
	CHECK(strstr(text, "grandchild ") < strstr(text, "sibling "));
	return 0;
}

TASK_TEST(a_task_whose_parent_is_gone_stands_alone)
{
	dump_spawns(spawns_and_sleeps, "ends", "child");
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(!strstr(text, "- child"));
	CHECK(strstr(text, "\ngrandchild "));
	/* Somebody else has its stack. */
	dump_spawns(dump_sleeps, NULL, "heir");
	CHECK_EQUAL(dump(), 0);
	CHECK(strstr(text, "\ngrandchild "));
	CHECK(strstr(text, "\n |- heir "));
	return 0;
}

static int waits_for_mutex(void *arg)
{
	int r = an_mutex_lock(arg);

	return r < 0 ? r : an_mutex_unlock(arg);
}

TASK_TEST(whoever_waits_for_a_mutex_depends_on_its_owner)
{
	an_mutex mutex = AN_MUTEX_INIT;

	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	dump_spawns(waits_for_mutex, &mutex, "waiter");
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(says("waiter", ": a mutex, depends on main\n"));
	an_mutex_unlock(&mutex);
	return an_yield(); /* to the waiter, which unlocks it */
}

static int waits_for_a_task(void *arg)
{
	int result, r = an_wait_for(arg, AN_FOREVER, &result);

	return r < 0 ? r : result;
}

TASK_TEST(whoever_waits_for_a_task_with_a_limit_depends_on_it)
{
	an_task *target;

	CHECK_EQUAL(an_spawn(dump_sleeps, NULL, &(an_task_opts){ .name = "target" },
			     &target),
		    0);
	dump_spawns(waits_for_a_task, target, "waiter");
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(says("waiter", ": a task, depends on target\n"));
	an_cancel(target);
	return an_sleep(1);
}

/* ---- places ------------------------------------------------------------------------ */

TASK_TEST(the_place_of_the_spawning_is_named)
{
	dump_spawns(dump_sleeps, NULL, "task");
	CHECK_EQUAL(dump(), 0);
	CHECK(says("task ", NAMES ? "spawned at dump_spawns+0x" : "spawned at 0x"));
	return 0;
}

#define DESCENT 5

/* The count of frames is in the text, so no call is to be made into a jump or a loop. */
int dump_descends(void *arg)
{
	volatile intptr_t depth = (intptr_t)arg;
	int r = depth ? dump_descends((void *)(depth - 1)) : an_sleep(AN_FOREVER);

	return r + (int)(depth - depth);
}

static int occurrences(const char *in, const char *what)
{
	int n = 0;

	for (in = strstr(in, what); in; in = strstr(in + 1, what))
		n++;
	return n;
}

TASK_TEST_IN_ORDER(a_parked_task_has_a_backtrace)
{
	const char *said;

	dump_spawns(dump_sleeps, NULL, "sleeper");
	dump_spawns(dump_descends, (void *)(intptr_t)(DESCENT - 1), "deep");
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(dump(), 0);
	if (!NAMES_OF_PARKED)
		return 0;
	CHECK(says("sleeper", ", dump_sleeps+0x"));
	said = about("deep");
	CHECK_EQUAL(occurrences(said, "dump_descends+0x"), DESCENT);
	/* That is where it ends. */
	CHECK(!strchr(strrchr(said, ','), '.'));
	return 0;
}

TASK_TEST_IN_ORDER(a_long_backtrace_is_cut)
{
	dump_spawns(dump_descends, (void *)(intptr_t)100, "deep");
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(!NAMES_OF_PARKED || says("deep", ", ...\n"));
	return 0;
}

/* Runs on until it has all it wants of the stack. */
static int fills_stack(void *arg)
{
	char array[48 * 1024 + 8 * 1024];
	int r;

	__asm__ volatile("" : : "r"(array) : "memory");
	r = dump_sleeps(arg);
	__asm__ volatile("" : : "r"(array) : "memory");
	return r;
}

TASK_TEST_IN_ORDER(a_stack_without_room_is_left_alone)
{
	dump_spawns(fills_stack, NULL, "full");
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(dump(), 0);
	CHECK(says("full", "(no backtrace)\n"));
	return 0;
}

TASK_TEST(a_dump_does_not_disturb_those_it_lists)
{
	an_task *tasks[10];
	int result;

	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_spawn(dump_descends, (void *)(intptr_t)i, NULL, &tasks[i]),
			    0);
	CHECK_EQUAL(an_yield(), 0);
	for (int i = 0; i < 10; i++) {
		CHECK_EQUAL(dump(), 0);
		an_cancel(tasks[i]);
		CHECK_EQUAL(an_join(tasks[i], &result), 0);
		CHECK_EQUAL(result, -ECANCELED);
	}
	return 0;
}

int dump_here(int fd)
{
	int r = an_dump_tasks(fd);

	CHECK_EQUAL(r, 0);
	return 0;
}

TASK_TEST(the_running_task_has_a_backtrace)
{
	CHECK_EQUAL(dump_here(ends[1]), 0);
	CHECK_EQUAL(read_text(), 0);
	CHECK(says("main", NAMES ? "at dump_here+0x" : "at 0x"));
	return 0;
}

static void calls_dump(void *arg)
{
	*(int *)arg = dump_here(ends[1]);
}

TASK_TEST(a_callback_of_the_loop_may_dump)
{
	int r = -1;

	CHECK_EQUAL(an_call_soon(calls_dump, &r, NULL), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(read_text(), 0);
	CHECK(strstr(text, NAMES ? "1 task\n    at dump_here+0x" : "1 task\n    at 0x"));
	CHECK(says("main", "parked 0.0 ms: time to pass\n"));
	return 0;
}

static int dumps_in_release(void *arg)
{
	(void)arg;
	return 0;
}

static void dumps_when_done(void *arg, int result)
{
	(void)result;
	*(int *)arg = dump_here(ends[1]);
}

TASK_TEST(a_task_that_is_ending_is_not_listed)
{
	an_task *task;
	int r = -1;

	CHECK_EQUAL(an_spawn(dumps_in_release, NULL, &(an_task_opts){ .name = "ending" },
			     &task),
		    0);
	CHECK_EQUAL(an_task_on_done(task, dumps_when_done, &r), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(read_text(), 0);
	CHECK(!strstr(text, "ending"));
	CHECK(strstr(text, NAMES ? "1 task\n    at dump_here+0x" : "1 task\n    at 0x"));
	return 0;
}

/* ---- errors ------------------------------------------------------------------------ */

static void a_thread_without_a_loop_has_nothing_to_dump(void **state)
{
	(void)state;
	assert_int_equal(an_dump_tasks(ends[1]), AN_ERR_NO_TASK);
}

TASK_TEST(a_write_that_fails_is_an_error)
{
	CHECK_EQUAL(an_dump_tasks(-1), -EBADF);
	return 0;
}

/* ---- signals ----------------------------------------------------------------------- */

static volatile sig_atomic_t dumped, failed;

static void on_signal(int number)
{
	int r;

	(void)number;
	errno = 4711;
	r = an_dump_tasks(ends[1]);
	if (r < 0 || errno != 4711)
		failed = r < 0 ? r : 1;
	dumped++;
}

/* valgrind loses track of stacks when a handler that has one of its own visits others. */
static void handle(int number, bool alternate_stack)
{
	struct sigaction sa = { .sa_handler = on_signal };

	if (alternate_stack && !RUNNING_ON_VALGRIND)
		sa.sa_flags = SA_ONSTACK;
	dumped = failed = 0;
	sigaction(number, &sa, NULL);
}

static int dumps_by_signal(bool alternate_stack)
{
	dump_spawns(dump_sleeps, NULL, "sleeper");
	CHECK_EQUAL(an_yield(), 0);
	handle(SIGUSR1, alternate_stack);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	CHECK_EQUAL(dumped, 1);
	CHECK_EQUAL(failed, 0);
	CHECK_EQUAL(read_text(), 0);
	CHECK(says("main", "running\n"));
	CHECK(!NAMES_OF_PARKED || says("sleeper", ", dump_sleeps+0x"));
	return 0;
}

TASK_TEST_IN_ORDER(a_handler_on_the_tasks_stack_may_dump)
{
	return dumps_by_signal(false);
}

TASK_TEST_IN_ORDER(a_handler_on_an_alternate_stack_may_dump)
{
	CHECK_EQUAL(dumps_by_signal(true), 0);
	/* The frames lead from there to the task's own stack. */
	CHECK(!NAMES || strstr(about("main"), "raise+0x") ||
	      strstr(about("main"), "libc.so"));
	return 0;
}

/* Tasks that do nothing but switch, spawn and end, interrupted at arbitrary points. The
 * test is that the program survives, and that each dump is whole. */
struct storm {
	an_mutex mutex;
	int wanted, seen;
};

/* The next signal is asked for by a task that has seen the last: a machine that is too
 * slow for a regular beat would do nothing but dump. The moments differ. */
static void ask_for_a_signal(struct storm *s)
{
	struct itimerval soon = { .it_value.tv_usec = 1 + dumped * 37 % 300 };

	if (s->seen == dumped)
		return;
	s->seen = dumped;
	setitimer(ITIMER_REAL, &soon, NULL);
}

static int hurries(void *arg)
{
	struct storm *s = arg;

	while (dumped < s->wanted && !failed) {
		CHECK_EQUAL(an_mutex_lock(&s->mutex), 0);
		CHECK_EQUAL(an_yield(), 0);
		CHECK_EQUAL(an_mutex_unlock(&s->mutex), 0);
		CHECK_EQUAL(an_yield(), 0);
		CHECK_EQUAL(an_sleep(1), 0);
	}
	return 0;
}

static int storm_task(void *arg)
{
	struct storm s = { .mutex = AN_MUTEX_INIT, .wanted = 500, .seen = -1 };
	an_group group;
	int r;

	if (getenv("AN_TEST_SLOWNESS"))
		s.wanted = 20;
	close_pipe(NULL);
	ends[0] = -1;
	ends[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	handle(SIGALRM, arg != NULL);
	an_group_begin(&group);
	for (int i = 0; i < 4; i++)
		an_group_fail(&group, an_group_spawn(&group, hurries, &s));
	while (dumped < s.wanted && !failed) {
		ask_for_a_signal(&s);
		dump_spawns(dumps_in_release, NULL, NULL);
		an_group_fail(&group, an_yield());
	}
	r = an_group_end(&group);
	alarm(an__test_seconds());
	CHECK_EQUAL(failed, 0);
	return r;
}

static void dumps_may_come_at_any_moment(void **state)
{
	(void)state;
	assert_int_equal(an_run(storm_task, NULL, NULL), 0);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(an_run(storm_task, "alternate stack", NULL), 0);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(run_virtual(storm_task, NULL), 0);
	signal(SIGALRM, SIG_DFL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pipe, close_pipe)

static const struct CMUnitTest tests[] = {
	TEST(each_task_is_listed_with_its_state),
	TEST(tasks_stand_under_those_that_spawned_them),
	TEST(a_task_whose_parent_is_gone_stands_alone),
	TEST(whoever_waits_for_a_mutex_depends_on_its_owner),
	TEST(whoever_waits_for_a_task_with_a_limit_depends_on_it),
	TEST(the_place_of_the_spawning_is_named),
	TEST(a_parked_task_has_a_backtrace),
	TEST(a_long_backtrace_is_cut),
	TEST(a_stack_without_room_is_left_alone),
	TEST(a_dump_does_not_disturb_those_it_lists),
	TEST(the_running_task_has_a_backtrace),
	TEST(a_callback_of_the_loop_may_dump),
	TEST(a_task_that_is_ending_is_not_listed),
	TEST(a_thread_without_a_loop_has_nothing_to_dump),
	TEST(a_write_that_fails_is_an_error),
	TEST(a_handler_on_the_tasks_stack_may_dump),
	TEST(a_handler_on_an_alternate_stack_may_dump),
	TEST(dumps_may_come_at_any_moment),
};
TEST_MAIN("dump", tests)
