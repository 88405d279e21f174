/* Children with a terminal of their own. */
#include "tests/support/libevent-memory.h"
#include "tests/unit/io/children.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

static const an_process_io terminal = { .to = AN_PROCESS_TERMINAL };

static char text[512];

/* All that comes from the terminal, without the carriage returns. */
static int read_all(an_process *p)
{
	an_stream *s = an_process_stream(p, STDOUT_FILENO);
	size_t length = 0;
	char c;
	ssize_t n;

	while ((n = an_stream_read(s, &c, 1)) > 0)
		if (c != '\r' && length < sizeof text - 1)
			text[length++] = c;
	text[length] = '\0';
	return (int)n;
}

static int says(const char *command, const an_process_opts *opts, const char *expected)
{
	an_process_status status;
	an_process *p;

	CHECK_EQUAL(an_process_shell(command, opts, &p), 0);
	CHECK_EQUAL(read_all(p), 0);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	CHECK_EQUAL(status.code, 0);
	an_process_close(p);
	if (strcmp(text, expected))
		fprintf(stderr, "%s: %s", command, text);
	CHECK(strcmp(text, expected) == 0);
	return 0;
}

REAL_TEST(a_child_has_a_terminal_and_its_session)
{
	an_process_opts opts = { .in = terminal, .out = terminal, .err = terminal };

	CHECK_EQUAL(
		says("test -t 0 && test -t 1 && test -t 2 && echo yes", &opts, "yes\n"),
		0);
	CHECK_EQUAL(says("stty size; echo there >/dev/tty", &opts, "24 80\nthere\n"), 0);
	opts.terminal_rows = 50;
	opts.terminal_columns = 132;
	CHECK_EQUAL(says("stty size; echo err >&2", &opts, "50 132\nerr\n"), 0);
	opts.err.to = AN_PROCESS_STDOUT;
	opts.in.to = AN_PROCESS_NULL;
	CHECK_EQUAL(says("test -t 0 || test -t 2 && echo err >&2", &opts, "err\n"), 0);
	return 0;
}

/* Until the child says so. */
static int await_line(an_process *p, const char *expected)
{
	const char *line;
	size_t length;

	do
		CHECK_EQUAL(an_stream_read_line(an_process_stream(p, STDOUT_FILENO),
						&line, &length),
			    0);
	while (length < strlen(expected) || memcmp(line, expected, strlen(expected)));
	return 0;
}

static int type(an_process *p, const char *keys)
{
	an_stream *s = an_process_stream(p, STDIN_FILENO);
	int r = an_stream_write(s, keys, strlen(keys));

	return r < 0 ? r : an_stream_drain(s);
}

REAL_TEST(what_is_typed_is_read_echoed_and_interrupts)
{
	an_process_opts opts = { .in = terminal, .out = terminal, .err = terminal };
	an_process_status status;
	an_process *p;

	CHECK_EQUAL(an_process_shell("read x; echo \"<$x>\"; exec sleep 50", &opts, &p),
		    0);
	CHECK(an_process_stream(p, 0) &&
	      an_process_stream(p, 0) == an_process_stream(p, 1));
	CHECK_EQUAL(type(p, "hi\n"), 0);
	CHECK_EQUAL(await_line(p, "hi\r\n"), 0); /* the echo */
	CHECK_EQUAL(await_line(p, "<hi>\r\n"), 0);
	CHECK_EQUAL(type(p, "\3"), 0);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	CHECK_EQUAL(status.signal, SIGINT);
	an_process_close(p);
	return 0;
}

REAL_TEST(a_terminal_changes_its_size)
{
	an_process_opts opts = { .in = terminal, .out = terminal };
	an_process *p;

	CHECK_EQUAL(an_process_shell("read x; stty size", &opts, &p), 0);
	CHECK_EQUAL(an_process_resize(p, 10, 20), 0);
	CHECK_EQUAL(an_process_resize(p, -1, 20), -EINVAL);
	CHECK_EQUAL(an_process_resize(p, 1, 65536), -EINVAL);
	CHECK_EQUAL(type(p, "\n"), 0);
	CHECK_EQUAL(await_line(p, "10 20\r\n"), 0);
	an_process_stream_close(p, STDOUT_FILENO);
	CHECK(!an_process_stream(p, STDIN_FILENO));
	CHECK_EQUAL(an_process_resize(p, 10, 20), -ENOTTY);
	an_process_close(p);
	CHECK_EQUAL(an_process_shell("exit 0", NULL, &p), 0);
	CHECK_EQUAL(an_process_resize(p, 10, 20), -ENOTTY);
	an_process_close(p);
	return 0;
}

REAL_TEST(a_child_is_hung_up_on)
{
	an_process_opts opts = { .in = terminal, .out = terminal, .grace = AN_HOUR };
	an_process_status status;
	an_process *p;

	CHECK_EQUAL(an_process_shell("echo go; exec sleep 50", &opts, &p), 0);
	CHECK_EQUAL(await_line(p, "go\r\n"), 0);
	an_process_stream_close(p, STDIN_FILENO);
	CHECK_EQUAL(an_process_wait(p, &status), 0);
	CHECK_EQUAL(status.signal, SIGHUP);
	an_process_close(p);
	return 0;
}

REAL_TEST(what_cannot_be_is_refused)
{
	an_process *p;

	CHECK_EQUAL(an_process_shell(
			    "exit 0",
			    &(an_process_opts){ .in = terminal, .process_group = 5 }, &p),
		    -EINVAL);
	CHECK_EQUAL(an_process_shell(
			    "exit 0",
			    &(an_process_opts){ .in = terminal, .terminal_rows = -1 },
			    &p),
		    -EINVAL);
	return 0;
}

static int use_a_terminal(void *arg)
{
	an_process_opts opts = { .in = terminal, .out = terminal, .grace = -1 };
	an_process *p;
	int r = an_process_shell("echo x", &opts, &p);

	(void)arg;
	if (r < 0)
		return r;
	r = read_all(p);
	if (r == 0)
		r = an_process_wait(p, NULL);
	an_process_close(p);
	return r;
}

REAL_TEST(each_allocation_fails_once)
{
	size_t before;
	int r;

	CHECK_EQUAL(use_a_terminal(NULL), 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = use_a_terminal(NULL);
		if (!an_testing_allocation_failed())
			break;
		CHECK(r == 0 || r == -ENOMEM);
		while (open_descriptors() != before) /* it is reaped in the background */
			CHECK_EQUAL(an_yield(), 0);
	}
	return r;
}

/* A limit that leaves room for 0, 1, 2 ... more. */
REAL_TEST(without_descriptors_nothing_is_started_nor_left)
{
	size_t before;
	struct rlimit old, low;
	int first, r = -EMFILE;

	CHECK_EQUAL(use_a_terminal(NULL), 0);
	before = open_descriptors();
	first = dup(STDERR_FILENO);
	close(first);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int more = 0; r == -EMFILE; more++) {
		CHECK(more < 20);
		low = old;
		low.rlim_cur = (rlim_t)(first + more);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = use_a_terminal(NULL);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
		CHECK_EQUAL(open_descriptors(), before);
		CHECK(!has_children());
	}
	return r;
}

static void it_is_cancelled_at_each_step(void **state)
{
	an_testing_scenario s = { NULL, use_a_terminal, NULL, NULL };
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
	assert_int_equal(open_descriptors(), before);
	assert_false(has_children());
}

/* What the runner of the tests ignores, children would, too. */
static int set_up(void **state)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	return count_libevent(state);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_child_has_a_terminal_and_its_session),
	cmocka_unit_test(what_is_typed_is_read_echoed_and_interrupts),
	cmocka_unit_test(a_terminal_changes_its_size),
	cmocka_unit_test(a_child_is_hung_up_on),
	cmocka_unit_test(what_cannot_be_is_refused),
	cmocka_unit_test(each_allocation_fails_once),
	cmocka_unit_test(without_descriptors_nothing_is_started_nor_left),
	cmocka_unit_test(it_is_cancelled_at_each_step),
};

TEST_MAIN_WITH("terminal", tests, set_up, NULL)
