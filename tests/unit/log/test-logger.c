/* The logger on a loop and without one. */
#include "tests/unit/log/log-file.h"

#include "loop/core/loop.h"
#include "loop/core/trace.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

static an_logger *file_logger(const an_log_opts *opts)
{
	an_log_opts o = opts ? *opts : (an_log_opts){ 0 };
	an_logger *log = NULL;

	o.path = log_path;
	if (an_log_new(&o, &log) < 0)
		abort();
	return log;
}

/* ---- levels ---------------------------------------------------------------------- */

static void lines_below_the_limit_are_not_logged_nor_their_arguments_evaluated(
	void **state)
{
	an_logger *log = file_logger(NULL), *none = NULL;
	int evaluated = 0;

	(void)state;
	an_debug(log, "hidden %d", ++evaluated);
	an_info(log, "shown %d", ++evaluated);
	assert_int_equal(evaluated, 1);
	assert_int_equal(an_log_set_level(log, AN_LOG_TRACE), AN_LOG_INFO);
	an_trace(log, "shown %d", ++evaluated);
	assert_int_equal(an_log_set_level(log, AN_LOG_OFF), AN_LOG_TRACE);
	an_fatal(log, "hidden %d", ++evaluated);
	an_info(none, "hidden %d", ++evaluated);
	assert_int_equal(evaluated, 2);
	assert_null(an_log_free(log));
	assert_int_equal(log_count(log_path, "shown"), 2);
	assert_int_equal(log_count(log_path, "\n"), 2);
}

static void options_outside_the_limits_are_refused(void **state)
{
	an_logger *log = NULL;

	(void)state;
	assert_int_equal(an_log_new(&(an_log_opts){ .level = 99 }, &log), -EINVAL);
	assert_int_equal(an_log_new(&(an_log_opts){ .fd = -1 }, &log), -EINVAL);
	assert_int_equal(an_log_new(&(an_log_opts){ .max_message = 63 }, &log), -EINVAL);
	assert_int_equal(an_log_new(&(an_log_opts){ .max_message = 32769 }, &log),
			 -EINVAL);
	assert_int_equal(an_log_new(&(an_log_opts){ .delay = -1 }, &log), -EINVAL);
	assert_int_equal(an_log_new(&(an_log_opts){ .path = "/nonexistent/x" }, &log),
			 -ENOENT);
	assert_null(log);
	assert_null(an_log_free(NULL));
}

/* ---- without a loop -------------------------------------------------------------- */

static void without_a_loop_a_line_is_written_by_its_call(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	an_info(log, "line 0");
	assert_true(log_has_sequence(log_path, "line ", 1));
	assert_int_equal(log_count(log_path, "[-] test-logger.c:"), 1);
	errno = EACCES;
	an_info(log, "%m");
	assert_int_equal(errno, EACCES);
	assert_int_equal(log_count(log_path, strerror(EACCES)), 1);
	an_log_free(log);
}

/* ---- on a loop ------------------------------------------------------------------- */

static int log_then_flush(void *arg)
{
	an_logger *log = arg;
	struct stat st;

	for (int i = 0; i < 1000; i++)
		an_info(log, "line %d", i);
	CHECK_EQUAL(stat(log_path, &st), 0);
	CHECK_EQUAL(st.st_size, 0); /* not on this thread */
	CHECK_EQUAL(an_log_flush(log), 0);
	CHECK(log_has_sequence(log_path, "line ", 1000));
	CHECK_EQUAL(log_stats(log).written, 1000);
	CHECK_EQUAL(log_stats(log).queued, 0);
	CHECK(log_stats(log).batches < 10);
	CHECK_EQUAL(an_log_flush(log), 0);
	return 0;
}

static void in_a_task_lines_are_written_by_a_worker_and_flush_waits_for_it(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(log_then_flush, log), 0);
	assert_int_equal(log_count(log_path, "[main]"), 1000);
	an_log_free(log);
}

static int log_and_sleep(void *arg)
{
	an_info(arg, "line 0");
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_info(arg, "line 1");
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	return log_stats(arg).batches == 2 ? 0 : CHECK_FAILED;
}

static void a_line_leaves_without_being_asked(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(log_and_sleep, log), 0);
	assert_true(log_has_sequence(log_path, "line ", 2));
	an_log_free(log);
}

static int log_only(void *arg)
{
	for (int i = 0; i < 5000; i++)
		an_info(arg, "line %d", i);
	return 0;
}

static void the_end_of_the_loop_loses_nothing(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(log_only, log), 0);
	assert_true(log_has_sequence(log_path, "line ", 5000));
	an_info(log, "line 5000"); /* and after it */
	assert_true(log_has_sequence(log_path, "line ", 5001));
	an_log_free(log);
}

static int log_in_cleanup(void *arg)
{
	int r = an_sleep(AN_FOREVER);

	an_info(arg, "line 2");
	return r;
}

static int spawn_and_return(void *arg)
{
	an_info(arg, "line 0");
	CHECK_EQUAL(an_spawn(log_in_cleanup, arg, NULL, NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_info(arg, "line 1");
	return 0;
}

static void lines_of_tasks_that_the_end_of_the_loop_cancels_are_written(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(spawn_and_return, log), 0);
	assert_true(log_has_sequence(log_path, "line ", 3));
	an_log_free(log);
}

static int log_first_in_cleanup(void *arg)
{
	int r = an_sleep(AN_FOREVER);

	an_info(arg, "line 0"); /* the logger's task will not even begin */
	return r;
}

static int spawn_only(void *arg)
{
	CHECK_EQUAL(an_spawn(log_first_in_cleanup, arg, NULL, NULL), 0);
	return an_yield();
}

static void a_first_line_while_the_loop_ends_is_written(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(spawn_only, log), 0);
	assert_true(log_has_sequence(log_path, "line ", 1));
	an_log_free(log);
}

static void log_last(void *arg)
{
	an_info(arg, "line 1");
}

static int have_lower_layer_log(void *arg)
{
	an__loop_set_local(an_loop_current(), AN__LOCAL_SIGNAL, arg, log_last);
	an_info(arg, "line 0");
	return 0;
}

static void layers_that_end_after_the_logger_can_log(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(have_lower_layer_log, log), 0);
	assert_true(log_has_sequence(log_path, "line ", 2));
	assert_int_equal(log_stats(log).written, 2);
	an_log_free(log);
}

static int log_in_one_instant(void *arg)
{
	/* No time passes here, so it is not the delay that sends the lines off. */
	for (int i = 0; i < 2000; i++) {
		an_info(arg, "line %d", i);
		if (i < 3) /* the logger's task begins to wait */
			CHECK_EQUAL(an_yield(), 0);
		while (log_stats(arg).queued > 40000)
			CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

static void a_ring_that_is_half_full_does_not_wait(void **state)
{
	an_logger *log = file_logger(&(an_log_opts){ .ring_size = 65536 });

	(void)state;
	assert_int_equal(run_virtual(log_in_one_instant, log), 0);
	assert_int_equal(log_stats(log).dropped, 0);
	assert_true(log_has_sequence(log_path, "line ", 2000));
	an_log_free(log);
}

static int stop_twice(void *arg)
{
	size_t tasks = an_loop_task_count(an_loop_current());

	for (int i = 0; i < 3000; i++)
		an_info(arg, "line %d", i);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), tasks + 1);
	CHECK_EQUAL(an_log_stop(arg), 0);
	CHECK(log_has_sequence(log_path, "line ", 3000));
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), tasks);
	an_info(arg, "line 3000");
	CHECK(log_has_sequence(log_path, "line ", 3001));
	CHECK_EQUAL(an_log_flush(arg), 0);
	return an_log_stop(arg);
}

static void stop_writes_all_and_ends_the_task(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(stop_twice, log), 0);
	an_log_free(log);
}

static int free_in_task(void *arg)
{
	an_info(arg, "line 0");
	CHECK_EQUAL(an_yield(), 0);
	an_info(arg, "line 1");
	an_log_free(arg);
	CHECK(log_has_sequence(log_path, "line ", 2));
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

static void a_logger_can_be_freed_while_its_task_lives(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(free_in_task, file_logger(NULL)), 0);
}

static int log_fatal(void *arg)
{
	an_info(arg, "line 0");
	an_fatal(arg, "line 1");
	CHECK(log_has_sequence(log_path, "line ", 2));
	return 0;
}

static void a_fatal_line_is_written_when_the_call_returns(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(log_fatal, log), 0);
	an_log_free(log);
}

static int get_stuck(void *arg)
{
	an_event never;

	an_info(arg, "line 0");
	an_event_init(&never);
	return an_event_wait(&never);
}

static void a_waiting_logger_does_not_hide_that_all_tasks_are_stuck(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(get_stuck, log), AN_ERR_STUCK);
	assert_true(log_has_sequence(log_path, "line ", 1));
	an_log_free(log);
}

static void nothing_suspends_outside_a_task(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(an_log_flush(log), AN_ERR_NO_TASK);
	assert_int_equal(an_log_stop(log), AN_ERR_NO_TASK);
	an_log_free(log);
}

/* ---- a full ring ----------------------------------------------------------------- */

#define FLOOD 20000

static int flood(void *arg)
{
	for (int i = 0; i < FLOOD; i++)
		an_info(arg, "flood %d", i);
	an_warn(arg, "still heard");
	CHECK_EQUAL(an_log_flush(arg), 0);
	an_info(arg, "afterwards");
	return 0;
}

static void what_does_not_fit_is_dropped_and_counted_and_the_log_says_so(void **state)
{
	an_logger *log = file_logger(&(an_log_opts){ .ring_size = 65536 });
	char *text, *notice;
	an_log_stats m;

	(void)state;
	assert_int_equal(run_virtual(flood, log), 0);
	m = log_stats(log);
	assert_int_equal(m.records + m.dropped, FLOOD + 2);
	assert_int_equal(m.records, m.written);
	assert_true(m.dropped > FLOOD / 2);
	assert_int_equal(log_count(log_path, "flood"), m.written - 2);
	assert_int_equal(log_count(log_path, "still heard"), 1);
	assert_int_equal(log_count(log_path, "afterwards"), 1);
	text = log_read(log_path);
	notice = strstr(text, " records dropped");
	assert_non_null(notice);
	assert_true(notice < strstr(text, "still heard"));
	while (notice[-1] != ' ')
		notice--;
	assert_int_equal(strtoul(notice, NULL, 10), m.dropped);
	assert_null(strstr(notice + 20, " records dropped"));
	free(text);
	an_log_free(log);
}

static int flood_and_end(void *arg)
{
	for (int i = 0; i < FLOOD; i++)
		an_info(arg, "flood %d", i);
	return 0;
}

static void drops_without_a_line_after_them_are_told_as_well(void **state)
{
	an_logger *log = file_logger(&(an_log_opts){ .ring_size = 65536 });

	(void)state;
	assert_int_equal(run_virtual(flood_and_end, log), 0);
	assert_int_equal(log_count(log_path, " records dropped"), 1);
	an_log_free(log);
}

static int flood_and_free(void *arg)
{
	an_logger *log = arg;

	flood_and_end(log);
	CHECK_EQUAL(an_log_flush(log), 0);
	an_log_free(log);
	return 0;
}

static void drops_are_told_by_a_logger_that_is_freed_in_the_loop(void **state)
{
	an_logger *log = file_logger(&(an_log_opts){ .ring_size = 65536 });

	(void)state;
	assert_int_equal(run_virtual(flood_and_free, log), 0);
	assert_int_equal(log_count(log_path, " records dropped"), 1);
}

static int flood_of_warnings(void *arg)
{
	for (int i = 0; i < FLOOD; i++)
		an_warn(arg, "line %d", i);
	return 0;
}

static void with_block_warnings_are_written_and_none_is_dropped(void **state)
{
	an_logger *log = file_logger(
		&(an_log_opts){ .ring_size = 65536, .overflow = AN_LOG_BLOCK });

	(void)state;
	assert_int_equal(run_virtual(flood_of_warnings, log), 0);
	assert_int_equal(log_stats(log).dropped, 0);
	assert_true(log_has_sequence(log_path, "line ", FLOOD));
	an_log_free(log);
}

/* ---- failing writes -------------------------------------------------------------- */

static void limit_files(rlim_t size)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = size;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static int outgrow_the_disk(void *arg)
{
	for (int i = 0; i < 100; i++)
		an_info(arg, "line %d", i);
	limit_files(1000); /* in the middle of a line */
	int r = an_log_flush(arg);
	limit_files(RLIM_INFINITY);
	CHECK_EQUAL(r, -EFBIG);
	CHECK_EQUAL(log_stats(arg).errors, 1);
	for (int i = 100; i < 200; i++)
		an_info(arg, "line %d", i);
	CHECK_EQUAL(an_log_flush(arg), 0);
	CHECK(log_has_sequence(log_path, "line ", 200));
	CHECK_EQUAL(log_count(log_path, "writing this log failed 1 times"), 1);
	return 0;
}

static void after_a_full_disk_no_line_is_lost_torn_or_doubled(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(run_virtual(outgrow_the_disk, log), 0);
	assert_int_equal(log_stats(log).written, 200);
	an_log_free(log);
}

static int fail_for_long(void *arg)
{
	limit_files(0);
	for (int i = 0; i < 300; i++) {
		an_info(arg, "%0900d flood", i);
		if (i % 10 == 0)
			CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	}
	limit_files(RLIM_INFINITY);
	CHECK(log_stats(arg).errors > 5);
	CHECK(log_stats(arg).dropped > 100);
	CHECK_EQUAL(an_sleep(AN_MINUTE), 0); /* it recovers without a new line */
	CHECK_EQUAL(log_stats(arg).queued, 0);
	return 0;
}

static void while_writes_fail_the_rest_is_dropped_and_counted(void **state)
{
	an_logger *log = file_logger(&(an_log_opts){ .ring_size = 65536 });
	an_log_stats m;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(run_virtual(fail_for_long, log), 0);
	m = log_stats(log);
	assert_int_equal(m.records + m.dropped, 300);
	assert_int_equal(m.records, m.written);
	assert_int_equal(log_count(log_path, "flood"), m.written);
	assert_int_equal(log_count(log_path, "records dropped"), 1);
	assert_int_equal(log_count(log_path, "writing this log failed"), 1);
	an_log_free(log);
}

static int use_full_device(void *arg)
{
	an_info(arg, "into nothing");
	CHECK_EQUAL(an_log_flush(arg), -ENOSPC);
	CHECK_EQUAL(an_log_stop(arg), -ENOSPC);
	an_info(arg, "into nothing");
	return 0;
}

static void a_device_that_stays_full_blocks_nobody(void **state)
{
	an_logger *log;

	(void)state;
	assert_int_equal(an_log_new(&(an_log_opts){ .path = "/dev/full" }, &log), 0);
	assert_int_equal(run_virtual(use_full_device, log), 0);
	assert_int_equal(log_stats(log).written, 0);
	an_log_free(log); /* says so on stderr */
}

static int leave_unwritten(void *arg)
{
	limit_files(0);
	for (int i = 0; i < 100; i++)
		an_info(arg, "line %d", i);
	return 0;
}

static void lines_that_a_loop_leaves_behind_are_written_when_that_is_possible(
	void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(run_virtual(leave_unwritten, log), 0);
	limit_files(RLIM_INFINITY);
	assert_int_equal(log_count(log_path, "line"), 0);
	assert_true(log_stats(log).queued > 0);
	an_info(log, "line 100");
	assert_true(log_has_sequence(log_path, "line ", 101));
	assert_int_equal(log_stats(log).queued, 0);
	assert_int_equal(log_stats(log).records, 101);
	an_log_free(log);
}

static void a_file_that_is_removed_or_renamed_is_made_anew(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	an_info(log, "old 0");
	assert_int_equal(rename(log_path, log_old_path), 0);
	an_info(log, "new 0");
	assert_true(log_has_sequence(log_old_path, "old ", 1));
	assert_true(log_has_sequence(log_path, "new ", 1));
	assert_int_equal(unlink(log_path), 0);
	an_info(log, "third 0");
	assert_true(log_has_sequence(log_path, "third ", 1));
	assert_int_equal(log_stats(log).reopens, 2);
	an_log_reopen(log);
	an_info(log, "third 1");
	assert_true(log_has_sequence(log_path, "third ", 2));
	assert_int_equal(log_stats(log).reopens, 3);
	an_log_free(log);
}

static int rotate_in_mid_line(void *arg)
{
	for (int i = 0; i < 100; i++)
		an_info(arg, "line %d", i);
	limit_files(1000);
	int r = an_log_flush(arg);
	limit_files(RLIM_INFINITY);
	CHECK_EQUAL(r, -EFBIG);
	CHECK_EQUAL(rename(log_path, log_old_path), 0);
	CHECK_EQUAL(an_log_flush(arg), 0);
	return 0;
}

static void a_line_that_was_begun_in_the_old_file_is_whole_in_the_new_one(void **state)
{
	an_logger *log = file_logger(NULL);
	char *text;
	size_t before;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(run_virtual(rotate_in_mid_line, log), 0);
	before = log_count(log_old_path, "\n");
	assert_true(before > 5);
	text = log_read(log_path);
	assert_int_equal(text[0], '2');
	assert_int_equal(strtoul(strstr(text, "line ") + 5, NULL, 10), before);
	free(text);
	assert_int_equal(before + log_count(log_path, "line "), 100);
	an_log_free(log);
}

/* ---- processes ------------------------------------------------------------------- */

static int fork_in_task(void *arg)
{
	int status;

	for (int i = 0; i < 10; i++)
		an_info(arg, "line %d", i);
	pid_t pid = fork();
	if (pid == 0) {
		an_info(arg, "child");
		an_log_stats m = log_stats(arg);
		_exit(m.queued != 0 || m.records != 1 || m.written != 1);
	}
	CHECK_EQUAL(waitpid(pid, &status, 0), pid);
	CHECK_EQUAL(status, 0);
	CHECK_EQUAL(log_count(log_path, "child"), 1);
	CHECK_EQUAL(log_count(log_path, "line"), 0);
	CHECK_EQUAL(an_log_flush(arg), 0);
	CHECK(log_has_sequence(log_path, "line ", 10));
	return 0;
}

static void a_forked_child_writes_its_own_lines_alone(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(run_virtual(fork_in_task, log), 0);
	an_log_free(log);
}

static int log_and_exit(void *arg)
{
	for (int i = 0; i < 10; i++)
		an_info(arg, "line %d", i);
	exit(0);
}

static void exit_in_a_task_loses_nothing(void **state)
{
	an_logger *log = file_logger(NULL);
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		fclose(stdout); /* what cmocka has written there is not the child's */
		run_virtual(log_and_exit, log);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(
		WIFEXITED(status)); /* a leak checker may object to an exit like that */
	assert_true(log_has_sequence(log_path, "line ", 10));
	an_log_free(log);
}

/* ---- messages of the library ----------------------------------------------------- */

static void messages_of_the_library_can_be_sent_to_a_logger(void **state)
{
	an_logger *log = file_logger(NULL);

	(void)state;
	assert_int_equal(an_log_install_trace(log), 0);
	an__trace_message(AN_LOG_WARN, "line %d", 0);
	an__trace_message(AN_LOG_DEBUG, "too quiet");
	assert_true(log_has_sequence(log_path, "WARN  [-] line ", 1));
	assert_int_equal(log_count(log_path, "quiet"), 0);
	an_log_free(log);
	an__trace_message(AN_LOG_DEBUG, "goes nowhere");
}

#define TEST(name) cmocka_unit_test_setup(name, log_file_clear)
static const struct CMUnitTest tests[] = {
	TEST(lines_below_the_limit_are_not_logged_nor_their_arguments_evaluated),
	TEST(options_outside_the_limits_are_refused),
	TEST(without_a_loop_a_line_is_written_by_its_call),
	TEST(in_a_task_lines_are_written_by_a_worker_and_flush_waits_for_it),
	TEST(a_line_leaves_without_being_asked),
	TEST(the_end_of_the_loop_loses_nothing),
	TEST(lines_of_tasks_that_the_end_of_the_loop_cancels_are_written),
	TEST(a_first_line_while_the_loop_ends_is_written),
	TEST(layers_that_end_after_the_logger_can_log),
	TEST(a_ring_that_is_half_full_does_not_wait),
	TEST(stop_writes_all_and_ends_the_task),
	TEST(a_logger_can_be_freed_while_its_task_lives),
	TEST(a_fatal_line_is_written_when_the_call_returns),
	TEST(a_waiting_logger_does_not_hide_that_all_tasks_are_stuck),
	TEST(nothing_suspends_outside_a_task),
	TEST(what_does_not_fit_is_dropped_and_counted_and_the_log_says_so),
	TEST(drops_without_a_line_after_them_are_told_as_well),
	TEST(drops_are_told_by_a_logger_that_is_freed_in_the_loop),
	TEST(with_block_warnings_are_written_and_none_is_dropped),
	TEST(after_a_full_disk_no_line_is_lost_torn_or_doubled),
	TEST(while_writes_fail_the_rest_is_dropped_and_counted),
	TEST(a_device_that_stays_full_blocks_nobody),
	TEST(lines_that_a_loop_leaves_behind_are_written_when_that_is_possible),
	TEST(a_file_that_is_removed_or_renamed_is_made_anew),
	TEST(a_line_that_was_begun_in_the_old_file_is_whole_in_the_new_one),
	TEST(a_forked_child_writes_its_own_lines_alone),
	TEST(exit_in_a_task_loses_nothing),
	TEST(messages_of_the_library_can_be_sent_to_a_logger),
};
TEST_MAIN_WITH("logger", tests, log_file_set_up, log_file_tear_down)
