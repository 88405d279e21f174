/* Stack overflows in tasks: the report names the right one in each thread, and what is
 * not a task's overflow dies as it would without the library. */
#include "loop/core/stack.h"
#include "tests/support/child.h"
#include "tests/support/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static volatile size_t depth_reached;

__attribute__((noinline)) static int recurse(int n)
{
	volatile char frame[512];

	frame[0] = (char)n;
	depth_reached++;
	if (depth_reached == SIZE_MAX)
		return 0;
	return recurse(n + 1) + frame[0];
}

static int overflows(void *arg)
{
	(void)arg;
	return recurse(0);
}

static void run_real(an_task_fn fn, void *arg)
{
	an_run(fn, arg, &(an_loop_opts){ .no_signals = true });
	_exit(3); /* no test comes back from there */
}

/* A child's way to say that all went well: valgrind, which counts the faults as errors,
 * puts an exit code of its own in place of others. */
static void succeed(void)
{
	kill(getpid(), SIGUSR1);
	for (;;) /* another thread may be the one to take it */
		pause();
}

static void assert_succeeded(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGUSR1);
}

static void assert_died(int status)
{
	if (SANITIZED) /* their handlers may end the process with exit */
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	else
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- tasks ----------------------------------------------------------------------- */

static int spawns_one_that_overflows(void *arg)
{
	an_task *task;
	int r = an_spawn(overflows, NULL, &(an_task_opts){ .name = arg }, &task);

	return r < 0 ? r : an_join(task, &r);
}

static void one_task(void *arg)
{
	run_real(spawns_one_that_overflows, arg);
}

static void an_overflow_names_the_task_and_kills(void **state)
{
	char said[4096];
	int status = in_child(one_task, "the culprit", said, sizeof said);

	(void)state;
	assert_died(status);
	assert_non_null(
		strstr(said, "libasyncnet: stack overflow in task the culprit\n"));
}

static atomic_int faults;
static pthread_barrier_t together;

/* The first to overflow waits for the other one. */
static void on_fault(int sig)
{
	(void)sig;
	if (atomic_fetch_add(&faults, 1) == 1)
		succeed();
	for (;;)
		pause();
}

static int overflows_with_the_other(void *arg)
{
	pthread_barrier_wait(&together);
	return spawns_one_that_overflows(arg);
}

static void *thread_with_a_loop(void *arg)
{
	run_real(overflows_with_the_other, arg);
	return NULL;
}

static void two_loops(void *arg)
{
	pthread_t thread;

	(void)arg;
	signal(SIGSEGV, on_fault);
	pthread_barrier_init(&together, NULL, 2);
	if (pthread_create(&thread, NULL, thread_with_a_loop, "the other"))
		_exit(4);
	run_real(overflows_with_the_other, "the one");
}

static void two_loops_in_two_threads_name_their_own_tasks(void **state)
{
	char said[4096];
	int status = in_child(two_loops, NULL, said, sizeof said);

	(void)state;
	assert_succeeded(status);
	assert_non_null(strstr(said, "stack overflow in task the one\n"));
	assert_non_null(strstr(said, "stack overflow in task the other\n"));
}

/* ---- what is not a task's -------------------------------------------------------- */

static void overflow_here(void *arg)
{
	overflows(arg);
}

static int overflows_on_the_loops_own_stack(void *arg)
{
	int r = an_post(an_loop_current(), overflow_here, arg);

	return r < 0 ? r : an_sleep(AN_FOREVER);
}

static void main_stack(void *arg)
{
	run_real(overflows_on_the_loops_own_stack, arg);
}

static void *thread_that_overflows(void *arg)
{
	overflow_here(arg);
	return NULL;
}

static int waits_for_a_thread_that_overflows(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_that_overflows, arg))
		_exit(4);
	pthread_join(thread, NULL);
	return 0;
}

static void foreign_thread(void *arg)
{
	run_real(waits_for_a_thread_that_overflows, arg);
}

static void other_stacks_overflow_as_they_would_without_the_library(void **state)
{
	static void (*const fns[])(void *) = { main_stack, foreign_thread };
	char said[4096];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int status = in_child(fns[i], NULL, said, sizeof said);

		assert_died(status);
		assert_null(strstr(said, "libasyncnet"));
	}
}

static char *volatile nowhere = (char *)16;

static void on_fault_at(int sig, siginfo_t *info, void *context)
{
	if (sig == SIGSEGV && info->si_addr == nowhere && context)
		succeed();
	_exit(5);
}

static void *thread_that_faults(void *arg)
{
	*nowhere = 1;
	return arg;
}

static int waits_for_a_thread_that_faults(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_that_faults, arg))
		_exit(4);
	pthread_join(thread, NULL);
	return 0;
}

static void fault_in_a_thread(void *arg)
{
	struct sigaction sa = { .sa_sigaction = on_fault_at, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	run_real(waits_for_a_thread_that_faults, arg);
}

static void a_fault_elsewhere_reaches_the_programs_own_handler_whole(void **state)
{
	char said[4096];
	int status = in_child(fault_in_a_thread, NULL, said, sizeof said);

	(void)state;
	assert_succeeded(status);
	assert_string_equal(said, "");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_overflow_names_the_task_and_kills),
	cmocka_unit_test(two_loops_in_two_threads_name_their_own_tasks),
	cmocka_unit_test(other_stacks_overflow_as_they_would_without_the_library),
	cmocka_unit_test(a_fault_elsewhere_reaches_the_programs_own_handler_whole),
};
TEST_MAIN("overflow", tests)
