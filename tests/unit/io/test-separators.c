/* Reading up to one of several separators, and putting bytes back: against a plain model,
 * with the text cut at every offset and fed byte by byte. */
#include "tests/support/libevent-memory.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { LIMIT = 6 };

static const struct iovec seps[] = {
	{ (void *)"\r\n", 2 },
	{ (void *)"\n", 1 },
	{ (void *)"abab", 4 },
	{ (void *)"bb", 2 },
};

enum { COUNT = sizeof seps / sizeof *seps };

static int pair(an_stream **ret_s, int *ret_fd)
{
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	*ret_fd = fd[1];
	return an_stream_new(fd[0], &(an_stream_opts){ .read_limit = LIMIT }, ret_s);
}

/* What a call says of `text`: the length, or an error. */
static int model(const char *text, size_t len, int *ret_which)
{
	for (size_t end = 1; end <= len; end++) {
		int best = -1;

		for (int i = 0; i < COUNT; i++)
			if (seps[i].iov_len <= end &&
			    !memcmp(text + end - seps[i].iov_len, seps[i].iov_base,
				    seps[i].iov_len) &&
			    (best < 0 || seps[i].iov_len < seps[best].iov_len))
				best = i;
		if (best < 0)
			continue;
		*ret_which = best;
		return end - seps[best].iov_len > LIMIT ? AN_ERR_LIMIT : (int)end;
	}
	return len >= LIMIT + 4 ? AN_ERR_LIMIT : AN_ERR_EOF;
}

struct feed {
	int fd;
	const char *text;
	size_t len, cut; /* cut: the first part; 0: byte by byte */
};

static int feed(void *arg)
{
	struct feed *f = arg;

	for (size_t i = 0; i < f->len;) {
		size_t n = !f->cut ? 1 : i ? f->len - i : f->cut;

		CHECK_EQUAL(write(f->fd, f->text + i, n), n);
		CHECK_EQUAL(an_sleep(1), 0);
		i += n;
	}
	close(f->fd);
	return 0;
}

/* All pieces of a text that is fed in one way. */
static int agrees(const char *text, size_t len, size_t cut)
{
	struct feed f = { -1, text, len, cut };
	an_stream *s;
	an_task *t;
	size_t at = 0;
	int r, result;

	CHECK_EQUAL(pair(&s, &f.fd), 0);
	CHECK_EQUAL(an_spawn(feed, &f, NULL, &t), 0);
	do {
		const char *data;
		size_t n;
		int which = -1, expected_which = -1;
		int expected = model(text + at, len - at, &expected_which);

		r = an_stream_read_until_any(s, seps, COUNT, &data, &n, &which);
		CHECK_EQUAL(r < 0 ? r : (int)n, expected);
		if (r == 0) {
			CHECK_EQUAL(which, expected_which);
			CHECK(!memcmp(data, text + at, n));
			at += n;
		}
	} while (r == 0);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	an_stream_close(s);
	return 0;
}

TASK_TEST(the_separator_that_ends_first_is_found_however_the_text_is_cut)
{
	uint32_t random = 1;
	char text[24];

	for (int round = 0; round < 60; round++) {
		for (size_t i = 0; i < sizeof text; i++) {
			random = random * 1664525u + 1013904223u;
			text[i] = "aabbab\r\n"[random >> 29];
		}
		for (size_t cut = 0; cut <= sizeof text; cut++)
			CHECK_EQUAL(agrees(text, sizeof text, cut), 0);
	}
	return 0;
}

TASK_TEST(the_limit_counts_what_is_before_the_separator_that_was_found)
{
	CHECK_EQUAL(agrees("xxxxxx\r\n", 8, 0), 0);
	CHECK_EQUAL(agrees("xxxxxxx\r\n", 9, 0), 0);
	CHECK_EQUAL(agrees("xxxxxx\n", 7, 0), 0);
	CHECK_EQUAL(agrees("xxxxxxabab", 10, 0), 0);
	CHECK_EQUAL(agrees("xxxxxxxabab", 11, 0), 0);
	CHECK_EQUAL(agrees("xxxxxxxxx", 9, 0), 0);
	CHECK_EQUAL(agrees("xxxxxxxxxx", 10, 0), 0);
	return 0;
}

TASK_TEST(separators_that_cannot_be_are_refused)
{
	struct iovec many[17];
	const char *data;
	an_stream *s;
	size_t n;
	int fd;

	for (int i = 0; i < 17; i++)
		many[i] = seps[1];
	CHECK_EQUAL(pair(&s, &fd), 0);
	CHECK_EQUAL(an_stream_read_until_any(s, seps, 0, &data, &n, NULL), -EINVAL);
	CHECK_EQUAL(an_stream_read_until_any(s, many, 17, &data, &n, NULL), -EINVAL);
	CHECK_EQUAL(write(fd, "\n", 1), 1);
	CHECK_EQUAL(an_stream_read_until_any(s, many, 16, &data, &n, NULL), 0);
	many[15].iov_len = 0;
	CHECK_EQUAL(an_stream_read_until_any(s, many, 16, &data, &n, NULL), -EINVAL);
	many[15].iov_len = 1025;
	CHECK_EQUAL(an_stream_read_until_any(s, many, 16, &data, &n, NULL), -EINVAL);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- putting back ------------------------------------------------------------------ */

TASK_TEST(what_was_put_back_is_read_first)
{
	const char *data;
	an_stream *s;
	char buf[16];
	size_t n;
	int fd;

	CHECK_EQUAL(pair(&s, &fd), 0);
	CHECK_EQUAL(write(fd, "a b\nrest", 8), 8);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	/* A piece of what was lent, which is gone as soon as it is put back. */
	CHECK_EQUAL(an_stream_unread(s, data + 2, n - 2), 0);
	CHECK_EQUAL(an_stream_unread(s, "", 0), 0);
	CHECK_EQUAL(an_stream_unread(s, "<", 1), 0);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 3 && !memcmp(data, "<b\n", 3));
	close(fd);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 4), 0);
	CHECK_EQUAL(an_stream_read(s, buf, 1), 0);
	CHECK(an_stream_at_eof(s));
	CHECK_EQUAL(an_stream_unread(s, "late", 4), 0);
	CHECK(!an_stream_at_eof(s));
	CHECK(an_stream_readable(s));
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 4);
	CHECK_EQUAL(an_stream_read(s, buf, 1), 0);
	an_stream_close(s);
	return 0;
}

static int read_one(void *arg)
{
	char c;

	return (int)an_stream_read(arg, &c, 1);
}

TASK_TEST(nothing_is_put_back_below_a_reader)
{
	an_stream *s;
	an_task *t;
	int fd, result;

	CHECK_EQUAL(pair(&s, &fd), 0);
	CHECK_EQUAL(an_spawn(read_one, s, NULL, &t), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_stream_unread(s, "x", 1), -EBUSY);
	CHECK_EQUAL(write(fd, "y", 1), 1);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 1);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(without_memory_what_was_lent_stays)
{
	const char *data;
	an_stream *s;
	size_t n;
	int fd;

	CHECK_EQUAL(pair(&s, &fd), 0);
	CHECK_EQUAL(write(fd, "lent\nrest\n", 10), 10);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	for (size_t nth = 1;; nth++) {
		int r;

		an_testing_fail_allocation(nth);
		r = an_stream_unread(s, data, n);
		if (!an_testing_allocation_failed()) {
			CHECK_EQUAL(r, 0);
			CHECK(nth > 1);
			break;
		}
		CHECK_EQUAL(r, -ENOMEM);
		CHECK(!memcmp(data, "lent\n", 5));
	}
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 5 && !memcmp(data, "lent\n", 5));
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 5 && !memcmp(data, "rest\n", 5));
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static an_stream *stream;
static struct feed whole = { -1, "one\r\ntwo\nend", 12, 0 };
static char taken[32];
static size_t took;

static int prepare(void *arg)
{
	(void)arg;
	took = 0;
	CHECK_EQUAL(pair(&stream, &whole.fd), 0);
	return an_spawn(feed, &whole, NULL, NULL);
}

static int take_lines(void *arg)
{
	const char *data;
	size_t n;
	int r;

	(void)arg;
	while ((r = an_stream_read_until_any(stream, seps, 2, &data, &n, NULL)) == 0) {
		memcpy(taken + took, data, n);
		took += n;
	}
	return r == AN_ERR_EOF ? 0 : r;
}

static int the_rest_is_there(void *arg)
{
	ssize_t n;

	(void)arg;
	while ((n = an_stream_read(stream, taken + took, sizeof taken - took)) > 0)
		took += (size_t)n;
	CHECK_EQUAL(n, 0);
	CHECK(took == 12 && !memcmp(taken, whole.text, 12));
	stream = an_stream_close(stream);
	return 0;
}

CANCEL_TEST(a_cancelled_search_loses_no_byte, prepare, take_lines, the_rest_is_there,
	    NULL)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_separator_that_ends_first_is_found_however_the_text_is_cut),
	cmocka_unit_test(the_limit_counts_what_is_before_the_separator_that_was_found),
	cmocka_unit_test(separators_that_cannot_be_are_refused),
	cmocka_unit_test(what_was_put_back_is_read_first),
	cmocka_unit_test(nothing_is_put_back_below_a_reader),
	cmocka_unit_test(without_memory_what_was_lent_stays),
	cmocka_unit_test(a_cancelled_search_loses_no_byte),
};
TEST_MAIN_WITH("separators", tests, count_libevent, NULL)
