/* The logger with a function as its sink, with several threads, and short of memory. */
#include "tests/unit/log/log-file.h"

#include <asyncnet/testing.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

/* What arrived, and a gate that a test can shut. */
struct seen {
	an_logger *log;
	unsigned lines, notices, warnings;
	uint64_t dropped; /* as the notices say */
	unsigned next[8]; /* for "source number" messages: the number expected */
	bool in_order, stamped_in_order;
	char last_stamp[28];
	bool gated;
	sem_t gate, entered;
};

static void take(void *arg, an_log_level level, const char *line, size_t len)
{
	struct seen *s = arg;
	unsigned source, number;
	char text[256];

	if (s->gated) {
		sem_post(&s->entered);
		sem_wait(&s->gate);
		s->gated = false;
	}
	if (!len || len >= sizeof text || line[len - 1] != '\n')
		abort();
	memcpy(text, line, len);
	text[len - 1] = '\0';
	s->stamped_in_order &= strncmp(s->last_stamp, text, 27) <= 0;
	memcpy(s->last_stamp, text, 27);
	s->lines++;
	s->warnings += level == AN_LOG_WARN;
	char *message = strstr(text, "] ") + 2;
	if (strstr(message, " records dropped")) {
		s->notices++;
		s->dropped += strtoul(message, NULL, 10);
	} else if ((message = strstr(message, "source ")) &&
		   sscanf(message, "source %u %u", &source, &number) == 2) {
		s->in_order &= source < 8 && number == s->next[source];
		s->next[source] = number + 1;
	}
}

static an_logger *function_logger(struct seen *s, const an_log_opts *opts)
{
	an_log_opts o = opts ? *opts : (an_log_opts){ 0 };

	memset(s, 0, sizeof *s);
	s->in_order = s->stamped_in_order = true;
	sem_init(&s->gate, 0, 0);
	sem_init(&s->entered, 0, 0);
	o.sink = take;
	o.sink_arg = s;
	if (an_log_new(&o, &s->log) < 0)
		abort();
	return s->log;
}

/* ---- a function ------------------------------------------------------------------ */

static int log_levels(void *arg)
{
	an_info(arg, "one");
	an_warn(arg, "two");
	return an_log_flush(arg);
}

static void a_function_gets_each_line_with_its_level(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	an_warn(log, "before the loop");
	assert_int_equal(s.lines, 1);
	assert_int_equal(run_virtual(log_levels, log), 0);
	assert_int_equal(s.lines, 3);
	assert_int_equal(s.warnings, 2);
	an_log_free(log);
}

static void log_from_sink(void *arg, an_log_level level, const char *line, size_t len)
{
	struct seen *s = arg;

	(void)level;
	(void)line;
	(void)len;
	s->lines++;
	an_error(s->log, "each line makes the next");
}

static void a_function_that_logs_makes_no_circle(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(
		an_log_new(&(an_log_opts){ .sink = log_from_sink, .sink_arg = &s },
			   &s.log),
		0);
	an_info(s.log, "without a loop");
	assert_int_equal(run_virtual(log_levels, s.log), 0);
	assert_int_equal(s.lines, 3);
	assert_int_equal(log_stats(s.log).records, 3);
	assert_int_equal(log_stats(s.log).dropped, 3);
	an_log_free(s.log);
}

/* ---- waiting --------------------------------------------------------------------- */

static int flush(void *arg)
{
	return an_log_flush(arg);
}

static int stop(void *arg)
{
	return an_log_stop(arg);
}

static int cancel_waiters(void *arg)
{
	struct seen *s = arg;
	an_task *flusher, *other, *stopper;
	int r;

	an_warn(s->log, "source 0 0");
	CHECK_EQUAL(an_spawn(flush, s->log, NULL, &flusher), 0);
	CHECK_EQUAL(an_spawn(flush, s->log, NULL, &other), 0);
	CHECK_EQUAL(an_spawn(stop, s->log, NULL, &stopper), 0);
	while (sem_trywait(&s->entered) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(flusher);
	an_cancel(stopper);
	CHECK_EQUAL(an_join(flusher, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_join(stopper, &r), 0);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK(!an_done(other));
	sem_post(&s->gate);
	CHECK_EQUAL(an_join(other, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(s->next[0], 1);
	CHECK_EQUAL(an_log_stop(s->log), 0);
	return 0;
}

static void who_waits_for_the_log_can_be_cancelled(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	s.gated = true;
	assert_int_equal(run_virtual(cancel_waiters, &s), 0);
	an_log_free(log);
}

static int flush_cancelled(void *arg)
{
	struct seen *s = arg;
	an_timeout t;

	an_info(s->log, "source 0 0");
	an_timeout_begin(&t, 0);
	CHECK_EQUAL(an_log_flush(s->log), -ECANCELED);
	CHECK_EQUAL(an_log_stop(s->log), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&t, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(s->lines, 0);
	CHECK_EQUAL(an_log_flush(s->log), 0);
	return s->lines == 1 ? 0 : CHECK_FAILED;
}

static void in_a_cancelled_scope_nothing_is_done(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	assert_int_equal(run_virtual(flush_cancelled, &s), 0);
	an_log_free(log);
}

static int fill_behind_slow_sink(void *arg)
{
	struct seen *s = arg;

	an_warn(s->log, "source 0 0");
	while (sem_trywait(&s->entered) < 0)
		CHECK_EQUAL(an_yield(), 0);
	/* The writer hangs; nothing here does, not even the end of the logger's task. */
	for (unsigned i = 0; i < 10000; i++)
		an_info(s->log, "behind it");
	sem_post(&s->gate);
	return an_log_stop(s->log);
}

static void stop_is_not_stuck_behind_a_full_ring(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, &(an_log_opts){ .ring_size = 32768 });
	an_log_stats m;

	(void)state;
	s.gated = true;
	assert_int_equal(run_virtual(fill_behind_slow_sink, &s), 0);
	m = log_stats(log);
	assert_int_equal(m.records + m.dropped, 10001);
	assert_int_equal(m.records, m.written);
	assert_int_equal(s.lines, m.written + s.notices);
	assert_int_equal(s.dropped, m.dropped);
	an_log_free(log);
}

/* ---- many lines ------------------------------------------------------------------ */

static unsigned burst_size(void)
{
	return getenv("AN_TEST_SLOWNESS") ? 20000 : 1000000;
}

static int burst(void *arg)
{
	struct seen *s = arg;
	unsigned n = burst_size();

	for (unsigned i = 0; i < n; i++) {
		an_info(s->log, "burst of %u lines", n);
		if (i % 1000 == 0)
			CHECK_EQUAL(an_yield(), 0);
	}
	return an_log_flush(s->log);
}

static void a_burst_of_a_million_lines_keeps_to_its_memory_and_is_accounted_for(
	void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);
	struct rusage before, after;
	an_log_stats m;

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	assert_int_equal(an_run(burst, &s, NULL), 0);
	getrusage(RUSAGE_SELF, &after);
	m = log_stats(log);
	assert_int_equal(m.records + m.dropped, burst_size());
	assert_int_equal(m.written, m.records);
	assert_int_equal(s.lines, m.written + s.notices);
	assert_int_equal(s.dropped, m.dropped);
	/* The ring, the batch, the stacks; with sanitizers their shadow, too. KiB. */
	assert_true(after.ru_maxrss - before.ru_maxrss < 32 * 1024);
	an_log_free(log);
}

/* ---- threads --------------------------------------------------------------------- */

#define EACH 3000

struct talker {
	an_logger *log;
	unsigned source;
};

static void *talk(void *arg)
{
	struct talker *t = arg;

	for (unsigned i = 0; i < EACH; i++)
		an_info(t->log, "source %u %u", t->source, i);
	return NULL;
}

static int talk_as_task(void *arg)
{
	struct talker *t = arg;

	for (unsigned i = 0; i < EACH; i++) {
		an_info(t->log, "source %u %u", t->source, i);
		if (i % 100 == 0)
			CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

static void *talk_in_loop(void *arg)
{
	return (void *)(intptr_t)an_run(talk_as_task, arg,
					&(an_loop_opts){ .no_signals = true });
}

static void threads_and_loops_share_a_logger(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);
	struct talker talkers[5];
	pthread_t threads[5];
	void *result;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		talkers[i] = (struct talker){ log, i };
		if (i > 0)
			assert_int_equal(pthread_create(&threads[i], NULL,
							i < 3 ? talk : talk_in_loop,
							&talkers[i]),
					 0);
	}
	assert_int_equal(an_run(talk_as_task, &talkers[0], NULL), 0);
	for (unsigned i = 1; i < 5; i++) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_true(s.in_order);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(s.next[i], EACH);
	assert_int_equal(log_stats(log).written, 5 * EACH);
	an_log_free(log);
}

static int talk_while_thread_talks(void *arg)
{
	struct seen *s = arg;
	struct talker other = { s->log, 1 };
	pthread_t thread;

	for (unsigned i = 0; i < 10; i++)
		an_info(s->log, "source 0 %u", i);
	CHECK_EQUAL(pthread_create(&thread, NULL, talk, &other), 0);
	pthread_join(thread, NULL);
	CHECK_EQUAL(s->next[0], 10); /* they came first, and so left first */
	CHECK_EQUAL(s->next[1], EACH);
	CHECK(s->stamped_in_order);
	return 0;
}

static void lines_of_several_threads_leave_in_the_order_of_their_times(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	assert_int_equal(run_virtual(talk_while_thread_talks, &s), 0);
	assert_true(s.in_order);
	an_log_free(log);
}

static int log_on_worker(void *arg)
{
	an_info(arg, "source 0 0");
	return 0;
}

static int offload_a_line(void *arg)
{
	struct seen *s = arg;

	CHECK_EQUAL(an_offload(log_on_worker, s->log, NULL), 0);
	CHECK_EQUAL(s->next[0], 1);
	return 0;
}

static void offloaded_work_may_log(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	assert_int_equal(run_virtual(offload_a_line, &s), 0);
	an_log_free(log);
}

static void log_in_callback(void *arg)
{
	an_info(arg, "source 0 0");
}

static int post_and_flush(void *arg)
{
	struct seen *s = arg;

	CHECK_EQUAL(an_post(an_loop_current(), log_in_callback, s->log), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(s->next[0], 1);
	return 0;
}

static void callbacks_of_the_loop_may_log(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	assert_int_equal(run_virtual(post_and_flush, &s), 0);
	an_log_free(log);
}

/* ---- several loggers and loops --------------------------------------------------- */

static int use_two(void *arg)
{
	struct seen *s = arg;

	for (unsigned i = 0; i < 100; i++) {
		an_info(s[0].log, "source 0 %u", i);
		an_info(s[1].log, "source 1 %u", i);
	}
	CHECK_EQUAL(an_log_flush(s[0].log), 0);
	CHECK_EQUAL(s[0].next[0], 100);
	CHECK_EQUAL(an_log_stop(s[1].log), 0);
	CHECK_EQUAL(s[1].next[1], 100);
	return 0;
}

static void loggers_are_independent_and_outlive_loops(void **state)
{
	struct seen s[2];

	(void)state;
	function_logger(&s[0], NULL);
	function_logger(&s[1], NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_virtual(use_two, s), 0);
		s[0].next[0] = s[1].next[1] = 0;
	}
	assert_true(s[0].in_order && s[1].in_order);
	an_log_free(s[0].log);
	an_log_free(s[1].log);
}

/* ---- memory ---------------------------------------------------------------------- */

static void without_memory_no_logger_is_made(void **state)
{
	struct seen s;
	an_logger *log = NULL;
	size_t n;
	int r;

	(void)state;
	memset(&s, 0, sizeof s);
	for (n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_log_new(&(an_log_opts){ .path = log_path }, &log);
		if (!an_testing_allocation_failed())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(log);
	}
	assert_int_equal(r, 0);
	assert_true(n > 5);
	an_log_free(log);
}

static int log_without_memory(void *arg)
{
	struct seen *s = arg;
	unsigned direct = 0;

	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		an_info(s->log, "source 0 %u", direct);
		if (!an_testing_allocation_failed())
			break;
		direct++;
		CHECK_EQUAL(s->lines, direct); /* written at once, lost never */
	}
	CHECK(direct > 3);
	return an_log_flush(s->log);
}

static void without_memory_for_a_ring_lines_are_written_by_their_calls(void **state)
{
	struct seen s;
	an_logger *log = function_logger(&s, NULL);

	(void)state;
	assert_int_equal(run_virtual(log_without_memory, &s), 0);
	assert_true(s.in_order);
	an_log_free(log);
}

/* ---- descriptors ----------------------------------------------------------------- */

struct reader {
	int fd;
	size_t lines, bytes;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	char buf[1000];
	ssize_t n;

	while ((n = read(r->fd, buf, sizeof buf)) > 0) {
		r->bytes += (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			r->lines += buf[i] == '\n';
	}
	return NULL;
}

static void a_non_blocking_pipe_gets_every_line(void **state)
{
	int fds[2];
	struct reader reader;
	pthread_t thread;
	an_logger *log;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	reader = (struct reader){ .fd = fds[0] };
	assert_int_equal(an_log_new(&(an_log_opts){ .fd = fds[1] }, &log), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
	assert_int_equal(run_virtual(talk_as_task, &(struct talker){ log, 0 }), 0);
	assert_int_equal(log_stats(log).written, EACH);
	assert_int_equal(log_stats(log).dropped, 0);
	uint64_t bytes = log_stats(log).bytes;
	an_log_free(log);
	close(fds[1]); /* still ours */
	pthread_join(thread, NULL);
	assert_int_equal(reader.lines, EACH);
	assert_int_equal(reader.bytes, bytes);
	close(fds[0]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_function_gets_each_line_with_its_level),
	cmocka_unit_test(a_function_that_logs_makes_no_circle),
	cmocka_unit_test(who_waits_for_the_log_can_be_cancelled),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_done),
	cmocka_unit_test(stop_is_not_stuck_behind_a_full_ring),
	cmocka_unit_test(
		a_burst_of_a_million_lines_keeps_to_its_memory_and_is_accounted_for),
	cmocka_unit_test(threads_and_loops_share_a_logger),
	cmocka_unit_test(lines_of_several_threads_leave_in_the_order_of_their_times),
	cmocka_unit_test(offloaded_work_may_log),
	cmocka_unit_test(callbacks_of_the_loop_may_log),
	cmocka_unit_test(loggers_are_independent_and_outlive_loops),
	cmocka_unit_test(without_memory_no_logger_is_made),
	cmocka_unit_test(without_memory_for_a_ring_lines_are_written_by_their_calls),
	cmocka_unit_test(a_non_blocking_pipe_gets_every_line),
};
TEST_MAIN_WITH("log sink", tests, log_file_set_up, log_file_tear_down)
