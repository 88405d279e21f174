/* Debug mode: what it reports, and what it ends the program for. */
#include "tests/support/run.h"

#include <asyncnet/trace.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define HOUR (3600 * AN_SECOND)

/* ---- what is reported -------------------------------------------------------------- */

static char said[4096];

static void note(void *arg, an_log_level level, const char *text, size_t len)
{
	size_t used = strlen(said);

	(void)arg;
	(void)len;
	if (level >= AN_LOG_WARN)
		snprintf(said + used, sizeof said - used, "%s\n", text);
}

static int listen_in(void **state)
{
	(void)state;
	said[0] = '\0';
	unsetenv("AN_DEBUG");
	return an_trace_set_hooks(&(an_trace_hooks){ .message = note });
}

static int stop_listening(void **state)
{
	(void)state;
	return an_trace_set_hooks(NULL);
}

static int returns(void *arg)
{
	(void)arg;
	return 0;
}

static int runs_a_worker(void *arg)
{
	an_task *task;

	(void)arg;
	CHECK_EQUAL(an_spawn(returns, NULL, &(an_task_opts){ .name = "worker" }, &task),
		    0);
	return an_join(task, NULL);
}

/* Every step takes longer than a nanosecond, and none an hour. */
static void run_worker(bool debug, an_duration slow)
{
	an_loop_opts opts = { .virtual_clock = true, .debug = debug, .slow_step = slow };

	assert_int_equal(an_run(runs_a_worker, NULL, &opts), 0);
}

static void a_slow_step_is_reported_with_name_and_spawn_site(void **state)
{
	(void)state;
	run_worker(true, 1);
	assert_non_null(strstr(said, "task main, spawned at "));
	assert_non_null(strstr(said, "task worker, spawned at "));
	assert_non_null(strstr(said, ", held the loop up for "));
}

static void a_quick_step_is_not_reported(void **state)
{
	(void)state;
	run_worker(true, HOUR);
	assert_string_equal(said, "");
}

static void without_debug_mode_nothing_is_reported(void **state)
{
	(void)state;
	run_worker(false, 1);
	assert_string_equal(said, "");
}

static void the_environment_switches_debug_mode_on(void **state)
{
	(void)state;
	setenv("AN_DEBUG", "0", 1);
	run_worker(false, 1);
	assert_string_equal(said, "");
	setenv("AN_DEBUG", "1", 1);
	run_worker(false, 1);
	assert_non_null(strstr(said, "held the loop up"));
}

/* ---- the order of steps ------------------------------------------------------------ */

static char order[32];

static int writes(void *arg)
{
	strcat(order, arg);
	an_ignore(an_yield());
	strcat(order, arg);
	return 0;
}

static int orders_task(void *arg)
{
	an_task_opts eager = { .eager = true };

	(void)arg;
	order[0] = '\0';
	CHECK_EQUAL(an_spawn(writes, "a", NULL, NULL), 0);
	CHECK_EQUAL(an_spawn(writes, "e", &eager, NULL), 0);
	strcat(order, "m");
	CHECK_EQUAL(an_spawn(writes, "b", NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_yield(), 0);
	return strcmp(order, "emaebab") == 0 ? 0 : 1;
}

static void tasks_run_in_the_same_order_as_without(void **state)
{
	(void)state;
	assert_int_equal(run_in_order(orders_task, NULL), 0);
	assert_int_equal(an_run(orders_task, NULL,
				&(an_loop_opts){ .virtual_clock = true, .debug = true }),
			 0);
}

/* ---- runs that are stuck ----------------------------------------------------------- */

static int locks(void *arg)
{
	return an_mutex_lock(arg);
}

static int gets_stuck(void *arg)
{
	an_mutex mutex = AN_MUTEX_INIT;
	an_task *task;
	int r;

	(void)arg;
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	CHECK_EQUAL(an_spawn(locks, &mutex, &(an_task_opts){ .name = "locker" }, &task),
		    0);
	r = an_join(task, NULL);
	an_mutex_unlock(&mutex);
	an_detach(task);
	return r;
}

static void a_run_that_is_stuck_says_what_each_task_waits_for(void **state)
{
	an_loop_opts opts = { .virtual_clock = true, .debug = true, .slow_step = HOUR };

	(void)state;
	assert_int_equal(an_run(gets_stuck, NULL, &opts), AN_ERR_STUCK);
	assert_non_null(strstr(said, "nothing can wake task main, spawned at "));
	assert_non_null(
		strstr(said, "; it waits for a task, which depends on locker\n"));
	assert_non_null(strstr(said, "nothing can wake task locker, spawned at "));
	assert_non_null(strstr(said, "; it waits for a mutex, which depends on main\n"));
}

static int ends_with_a_lock(void *arg)
{
	return an_mutex_lock(arg);
}

static int waits_for_one_that_is_gone(void *arg)
{
	an_task_opts name = { .name = "forgetful" };
	an_task *task;

	CHECK_EQUAL(an_spawn(ends_with_a_lock, arg, &name, &task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return an_mutex_lock(arg);
}

static void a_lock_of_a_task_that_has_ended_is_said_to_be_that(void **state)
{
	an_loop_opts opts = { .virtual_clock = true, .debug = true, .slow_step = HOUR };
	an_mutex mutex = AN_MUTEX_INIT;

	(void)state;
	assert_int_equal(an_run(waits_for_one_that_is_gone, &mutex, &opts), AN_ERR_STUCK);
	assert_non_null(strstr(said, "which depends on a task that has ended\n"));
}

/* ---- scopes ------------------------------------------------------------------------ */

/* Runs fn in debug mode in a process of its own. Returns how that ended; what it wrote to
 * stderr is in `said`. */
static int run_child(an_task_fn fn)
{
	an_loop_opts opts = { .virtual_clock = true, .debug = true, .slow_step = HOUR };
	struct rlimit no_core = { 0, 0 };
	int ends[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		an_trace_set_hooks(NULL);
		dup2(ends[1], STDERR_FILENO);
		_exit(an_run(fn, NULL, &opts) == 0 ? 0 : 1);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + used, sizeof said - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static an_timeout outer;
static an_shield inner;

static int ends_the_outer_scope_first(void *arg)
{
	(void)arg;
	an_timeout_begin(&outer, AN_SECOND);
	an_shield_begin(&inner, AN_SECOND);
	an_timeout_end(&outer, 0);
	return 0;
}

static int ends_its_own_first(void *arg)
{
	an_timeout t;
	an_group g;
	an_shield s;

	(void)arg;
	an_timeout_begin(&t, AN_SECOND);
	an_group_begin(&g);
	an_shield_begin(&s, AN_SECOND);
	return an_timeout_end(&t, 0);
}

static void a_scope_ended_out_of_order_ends_the_program(void **state)
{
	int status;

	(void)state;
	status = run_child(ends_its_own_first);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "task main, spawned at "));
	assert_non_null(strstr(said, ", ends a timeout while scopes inside it are open: "
				     "shield, group\n"));
	status = run_child(ends_the_outer_scope_first);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, ", ends a timeout while scopes inside it are"));
}

static int leaves_scopes_open(void *arg)
{
	an_timeout t;
	an_group g;

	(void)arg;
	an_timeout_begin(&t, AN_SECOND);
	an_group_begin(&g);
	return 0;
}

static void a_scope_left_open_ends_the_program(void **state)
{
	int status;

	(void)state;
	status = run_child(leaves_scopes_open);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "task main, spawned at "));
	assert_non_null(strstr(said, ", returned with scopes open: "));
}

static int ends_all(void *arg)
{
	an_timeout t;
	an_group g;
	an_shield s;
	int r;

	(void)arg;
	an_timeout_begin(&t, AN_SECOND);
	an_group_begin(&g);
	an_shield_begin(&s, AN_SECOND);
	r = an_shield_end(&s, 0);
	r = r < 0 ? r : an_group_end(&g);
	return an_timeout_end(&t, r);
}

static void scopes_ended_in_order_are_no_mistake(void **state)
{
	(void)state;
	assert_int_equal(run_child(ends_all), 0);
	assert_string_equal(said, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listen_in, stop_listening)

static const struct CMUnitTest tests[] = {
	TEST(a_slow_step_is_reported_with_name_and_spawn_site),
	TEST(a_quick_step_is_not_reported),
	TEST(without_debug_mode_nothing_is_reported),
	TEST(the_environment_switches_debug_mode_on),
	TEST(tasks_run_in_the_same_order_as_without),
	TEST(a_run_that_is_stuck_says_what_each_task_waits_for),
	TEST(a_lock_of_a_task_that_has_ended_is_said_to_be_that),
	TEST(a_scope_ended_out_of_order_ends_the_program),
	TEST(a_scope_left_open_ends_the_program),
	TEST(scopes_ended_in_order_are_no_mistake),
};
TEST_MAIN("debug", tests)
