/* Streams read to their end in one call. */
#include "config.h"

#include "tests/support/libevent-memory.h"
#include "tests/support/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int make_pair(an_stream **ret, int *ret_fd)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	r = an_stream_new(fds[0], NULL, ret);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
	}
	*ret_fd = fds[1];
	return r;
}

struct feed {
	int fd;
	size_t len, piece;
};

static char byte_at(size_t i)
{
	return (char)(i * 31 >> 3);
}

/* Sends so many bytes in pieces and then the end. */
static int send_feed(void *arg)
{
	struct feed *f = arg;
	char piece[4096];

	for (size_t at = 0; at < f->len;) {
		size_t n = f->piece < f->len - at ? f->piece : f->len - at;

		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		CHECK_EQUAL(write(f->fd, piece, n), n);
		at += n;
		CHECK_EQUAL(an_testing_settle(), 0);
	}
	close(f->fd);
	return 0;
}

static int read_feed(size_t len, size_t piece, size_t limit, int expected)
{
	struct feed f = { .len = len, .piece = piece };
	char *data = NULL;
	an_task *task;
	an_stream *s;
	size_t n = 0;

	CHECK_EQUAL(make_pair(&s, &f.fd), 0);
	CHECK_EQUAL(an_spawn(send_feed, &f, NULL, &task), 0);
	CHECK_EQUAL(an_stream_read_all(s, limit, &data, &n), expected);
	CHECK_EQUAL(an_join(task, NULL), 0);
	if (expected == 0) {
		CHECK_EQUAL(n, len);
		for (size_t i = 0; i < n; i++)
			CHECK_EQUAL(data[i], byte_at(i));
		CHECK_EQUAL(data[n], 0);
		CHECK(an_stream_at_eof(s));
	} else {
		CHECK(!data);
	}
	free(data);
	an_stream_close(s);
	return 0;
}

TASK_TEST(all_comes_in_one_piece_however_it_was_sent)
{
	CHECK_EQUAL(read_feed(0, 1, 0, 0), 0);
	CHECK_EQUAL(read_feed(1, 1, 0, 0), 0);
	CHECK_EQUAL(read_feed(100, 1, 0, 0), 0);
	CHECK_EQUAL(read_feed(100000, 4096, 0, 0), 0);
	return 0;
}

TASK_TEST(the_limit_is_exact)
{
	CHECK_EQUAL(read_feed(5000, 1000, 5000, 0), 0);
	CHECK_EQUAL(read_feed(5001, 1000, 5000, AN_ERR_LIMIT), 0);
	CHECK_EQUAL(read_feed(10, 1, SIZE_MAX, -EINVAL), 0);
	return 0;
}

TASK_TEST(what_was_read_before_a_failure_is_kept)
{
	char *data = NULL, buf[20];
	an_stream *s;
	size_t len;
	int fd;

	CHECK_EQUAL(make_pair(&s, &fd), 0);
	CHECK_EQUAL(write(fd, "0123456789", 10), 10);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 2), 0);
	CHECK_EQUAL(an_stream_read_all(s, 5, &data, &len), AN_ERR_LIMIT);
	close(fd);
	CHECK_EQUAL(an_stream_read_all(s, 8, &data, &len), 0);
	CHECK_EQUAL(len, 8);
	CHECK(memcmp(data, "23456789", 9) == 0);
	free(data);
	CHECK_EQUAL(an_stream_read_all(s, 0, &data, &len), 0);
	CHECK_EQUAL(len, 0);
	free(data);
	an_stream_close(s);
	return 0;
}

/* ---- cancelled, and without memory ------------------------------------------------- */

static struct feed victim_feed;
static an_stream *victim_stream;
static bool whole; /* the victim has read it all */

static int prepare(void *arg)
{
	an_task *task;
	int r;

	(void)arg;
	victim_feed = (struct feed){ .len = 30, .piece = 10 };
	whole = false;
	r = make_pair(&victim_stream, &victim_feed.fd);
	if (r == 0)
		r = an_spawn(send_feed, &victim_feed, NULL, &task);
	if (r == 0)
		an_detach(task);
	return r;
}

static int read_all(void *arg)
{
	char *data = NULL;
	size_t len;
	int r = an_stream_read_all(victim_stream, 0, &data, &len);

	(void)arg;
	whole = r == 0 && len == 30;
	free(data);
	return r;
}

/* What the victim has not taken is all there. */
static int read_the_rest(void *arg)
{
	char *data = NULL;
	size_t len;

	(void)arg;
	CHECK_EQUAL(an_stream_read_all(victim_stream, 0, &data, &len), 0);
	CHECK_EQUAL(len, whole ? 0 : 30);
	free(data);
	an_stream_close(victim_stream);
	return 0;
}

CANCEL_TEST(cancelled_at_any_step_it_takes_all_or_nothing, prepare, read_all,
	    read_the_rest, NULL)

TASK_TEST(each_allocation_may_fail)
{
	for (size_t n = 1;; n++) {
		char *data = NULL;
		an_stream *s;
		size_t len = 0;
		int fd, r;

		CHECK_EQUAL(make_pair(&s, &fd), 0);
		CHECK_EQUAL(write(fd, "0123456789", 10), 10);
		close(fd);
		an_testing_fail_allocation(n);
		r = an_stream_read_all(s, 0, &data, &len);
		if (!an_testing_allocation_failed()) {
			CHECK(n > 1);
			CHECK_EQUAL(r, 0);
			free(data);
			an_stream_close(s);
			return 0;
		}
		CHECK_EQUAL(r, -ENOMEM);
		CHECK_EQUAL(an_stream_read_all(s, 0, &data, &len), 0);
		CHECK_EQUAL(len, 10);
		free(data);
		an_stream_close(s);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(all_comes_in_one_piece_however_it_was_sent),
	cmocka_unit_test(the_limit_is_exact),
	cmocka_unit_test(what_was_read_before_a_failure_is_kept),
	cmocka_unit_test(cancelled_at_any_step_it_takes_all_or_nothing),
	cmocka_unit_test(each_allocation_may_fail),
};
TEST_MAIN_WITH("stream-all", tests, count_libevent, NULL)
