/* The hooks for the library's own messages. */
#include "tests/support/program.h"

#include "loop/core/trace.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct heard {
	unsigned count;
	an_log_level level;
	char text[600];
	int misuse;
};

static void hear(void *arg, an_log_level level, const char *text, size_t len)
{
	struct heard *h = arg;

	h->count++;
	h->level = level;
	memcpy(h->text, text, len + 1);
	errno = EIO;
}

static void hear_and_answer(void *arg, an_log_level level, const char *text, size_t len)
{
	struct heard *h = arg;

	hear(arg, level, text, len);
	an__trace_message(AN_LOG_WARN, "inside");
	h->misuse = an_trace_set_hooks(NULL);
}

/* What two messages, one quiet and one not, put on stderr. */
static size_t stderr_of_messages(char *buf, size_t cap)
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	an__trace_message(AN_LOG_INFO, "quiet");
	an__trace_message(AN_LOG_WARN, "loud %d", 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], buf, cap - 1);
	close(fds[0]);
	assert_true(n >= 0);
	buf[n] = '\0';
	return (size_t)n;
}

static void without_hooks_warnings_go_to_stderr(void **state)
{
	char buf[100];

	(void)state;
	stderr_of_messages(buf, sizeof buf);
	assert_string_equal(buf, "loud 1\n");
}

static void a_hook_gets_every_message_and_errno_stays(void **state)
{
	struct heard h = { 0 };
	char buf[100];

	(void)state;
	assert_int_equal(
		an_trace_set_hooks(&(an_trace_hooks){ .message = hear, .arg = &h }), 0);
	errno = ENOENT;
	an__trace_message(AN_LOG_ERROR, "failed: %s", "why");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(h.level, AN_LOG_ERROR);
	assert_string_equal(h.text, "failed: why");
	assert_int_equal(stderr_of_messages(buf, sizeof buf), 0);
	assert_int_equal(h.count, 3);
	assert_int_equal(an_trace_clear_hooks(&buf), 0); /* not its owner */
	an__trace_message(AN_LOG_ERROR, "again");
	assert_int_equal(h.count, 4);
	assert_int_equal(an_trace_clear_hooks(&h), 0);
	an__trace_message(AN_LOG_INFO, "nobody");
	assert_int_equal(h.count, 4);
}

static void a_message_is_cut_at_511_bytes(void **state)
{
	struct heard h = { 0 };

	(void)state;
	an_trace_set_hooks(&(an_trace_hooks){ .message = hear, .arg = &h });
	an__trace_message(AN_LOG_INFO, "%600d", 1);
	assert_int_equal(strlen(h.text), 511);
	an_trace_set_hooks(NULL);
}

static void a_message_inside_a_hook_goes_to_stderr(void **state)
{
	struct heard h = { 0 };
	char buf[100];

	(void)state;
	an_trace_set_hooks(&(an_trace_hooks){ .message = hear_and_answer, .arg = &h });
	stderr_of_messages(buf, sizeof buf);
	assert_string_equal(buf, "inside\ninside\n");
	assert_int_equal(h.count, 2);
	assert_int_equal(h.misuse, AN_ERR_MISUSE);
	assert_int_equal(an_trace_set_hooks(NULL), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(without_hooks_warnings_go_to_stderr),
	cmocka_unit_test(a_hook_gets_every_message_and_errno_stays),
	cmocka_unit_test(a_message_is_cut_at_511_bytes),
	cmocka_unit_test(a_message_inside_a_hook_goes_to_stderr),
};
TEST_MAIN("trace", tests)
