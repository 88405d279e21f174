/* Streams over socket pairs, loopback TCP and pipes. The other end is a bare descriptor,
 * so that the test decides what is sent when. */
#include "config.h"

#include "tests/support/libevent-memory.h"
#include "tests/support/pairs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* Sends `text` in two parts, the second when the reader has had to wait. */
struct halves {
	int fd;
	const char *text;
	size_t len, cut;
};

static int send_halves(void *arg)
{
	struct halves *h = arg;

	if (h->cut)
		CHECK_EQUAL(write(h->fd, h->text, h->cut), h->cut);
	CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	if (h->len > h->cut)
		CHECK_EQUAL(write(h->fd, h->text + h->cut, h->len - h->cut),
			    h->len - h->cut);
	return 0;
}

/* ---- reading ----------------------------------------------------------------------- */

TASK_TEST(a_read_returns_what_is_there_and_waits_for_no_more)
{
	an_stream *s;
	char buf[9000];
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(write(fd, "hello", 5), 5);
	CHECK_EQUAL(an_stream_read(s, buf, 3), 3);
	CHECK_EQUAL(an_stream_read(s, buf + 3, sizeof buf - 3), 2);
	CHECK(memcmp(buf, "hello", 5) == 0);
	CHECK_EQUAL(an_stream_read(s, buf, 0), 0);
	CHECK_EQUAL(write(fd, "again", 5), 5);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 5);
	close(fd);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 0);
	CHECK_EQUAL(an_stream_read(s, buf, 1), 0);
	CHECK(an_stream_at_eof(s));
	CHECK(an_stream_close(s) == NULL);
	return 0;
}

TASK_TEST(a_separator_is_found_wherever_it_is_split)
{
	static const char text[] = "alpha\r\nbeta\r\n";
	const size_t len = sizeof text - 1;

	for (size_t cut = 0; cut <= len; cut++) {
		struct halves h = { -1, text, len, cut };
		const char *data;
		an_stream *s;
		an_task *t;
		size_t n;
		int r;

		CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &h.fd), 0);
		CHECK_EQUAL(an_spawn(send_halves, &h, NULL, &t), 0);
		CHECK_EQUAL(an_stream_read_until(s, "\r\n", 2, &data, &n), 0);
		CHECK_EQUAL(n, 7);
		CHECK(memcmp(data, "alpha\r\n", 7) == 0);
		CHECK_EQUAL(an_stream_read_until(s, "a\r\n", 3, &data, &n), 0);
		CHECK_EQUAL(n, 6);
		CHECK(memcmp(data, "beta\r\n", 6) == 0);
		CHECK_EQUAL(an_join(t, &r), 0);
		CHECK_EQUAL(r, 0);
		an_stream_close(s);
		close(h.fd);
	}
	return 0;
}

static int dribble(void *arg)
{
	struct halves *h = arg;

	for (size_t i = 0; i < h->len; i++) {
		CHECK_EQUAL(write(h->fd, h->text + i, 1), 1);
		CHECK_EQUAL(an_sleep(1), 0);
	}
	close(h->fd);
	return 0;
}

TASK_TEST(lines_come_whole_from_single_bytes)
{
	static const char text[] = "one\n\ntwo words\nlast";
	struct halves h = { -1, text, sizeof text - 1, 0 };
	const char *data;
	an_stream *s;
	size_t n;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &h.fd), 0);
	CHECK_EQUAL(an_spawn(dribble, &h, NULL, NULL), 0);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 4 && !memcmp(data, "one\n", 4));
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 1 && !memcmp(data, "\n", 1));
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 10 && !memcmp(data, "two words\n", 10));
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), 0);
	CHECK(n == 4 && !memcmp(data, "last", 4));
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), AN_ERR_EOF);
	CHECK(an_stream_at_eof(s));
	an_stream_close(s);
	return 0;
}

/* `before` bytes, then the separator. */
static int until_with(size_t before, size_t sep_len, int expected)
{
	an_stream_opts opts = { .read_limit = 1000 };
	char text[1100], rest[1100];
	const char *data = NULL;
	an_stream *s;
	size_t n = 0;
	int fd;

	memset(text, 'x', sizeof text);
	memset(text + before, '|', sep_len);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, &opts, &s, &fd), 0);
	CHECK_EQUAL(write(fd, text, before + sep_len), before + sep_len);
	CHECK_EQUAL(an_stream_read_until(s, "||||", sep_len, &data, &n), expected);
	if (expected == 0) {
		CHECK_EQUAL(n, before + sep_len);
	} else {
		/* Untouched on failure, and nothing is lost. */
		CHECK(data == NULL && n == 0);
		CHECK_EQUAL(an_stream_read_exactly(s, rest, before + sep_len), 0);
		CHECK(memcmp(rest, text, before + sep_len) == 0);
	}
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(the_read_limit_counts_the_bytes_before_the_separator)
{
	for (size_t sep_len = 1; sep_len <= 4; sep_len += 3) {
		CHECK_EQUAL(until_with(0, sep_len, 0), 0);
		CHECK_EQUAL(until_with(999, sep_len, 0), 0);
		CHECK_EQUAL(until_with(1000, sep_len, 0), 0);
		CHECK_EQUAL(until_with(1001, sep_len, AN_ERR_LIMIT), 0);
		CHECK_EQUAL(until_with(1050, sep_len, AN_ERR_LIMIT), 0);
	}
	return 0;
}

TASK_TEST(a_line_that_never_ends_is_refused_with_bounded_memory)
{
	an_stream_opts opts = { .read_limit = 100 };
	const char *data;
	char flood[5000];
	an_stream *s;
	size_t n;
	int fd;

	memset(flood, 'x', sizeof flood);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, &opts, &s, &fd), 0);
	CHECK_EQUAL(write(fd, flood, sizeof flood), sizeof flood);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), AN_ERR_LIMIT);
	CHECK_EQUAL(an_stream_peek(s, &data), 101);
	CHECK_EQUAL(an_stream_read_line(s, &data, &n), AN_ERR_LIMIT);
	CHECK_EQUAL(an_stream_peek(s, &data), 101);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(an_early_end_leaves_what_there_was_readable)
{
	const char *data;
	char buf[100];
	an_stream *s;
	size_t n;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(write(fd, "partial", 7), 7);
	close(fd);
	CHECK_EQUAL(an_stream_read_until(s, "|", 1, &data, &n), AN_ERR_EOF);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 8), AN_ERR_EOF);
	CHECK(!an_stream_at_eof(s));
	CHECK_EQUAL(an_stream_fill(s, 100), 0);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 4), 0);
	CHECK_EQUAL(an_stream_read(s, buf + 4, sizeof buf - 4), 3);
	CHECK(memcmp(buf, "partial", 7) == 0);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 0), 0);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 1), AN_ERR_EOF);
	CHECK(an_stream_at_eof(s));
	an_stream_close(s);
	return 0;
}

TASK_TEST(a_large_exact_read_that_fails_gives_everything_back)
{
	static char sent[150000], buf[200000];
	an_stream *s;
	int fd;

	fill_pattern(sent, sizeof sent, 7);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(write(fd, sent, sizeof sent), sizeof sent);
	close(fd);
	CHECK_EQUAL(an_stream_fill(s, 10), 10);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, sizeof buf), AN_ERR_EOF);
	memset(buf, 0, sizeof buf);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, sizeof sent), 0);
	CHECK(memcmp(buf, sent, sizeof sent) == 0);
	an_stream_close(s);
	return 0;
}

TASK_TEST(fill_stops_at_its_limit_and_consume_makes_room)
{
	const char *data;
	an_stream *s;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_peek(s, &data), 0);
	CHECK(data == NULL);
	CHECK_EQUAL(write(fd, "0123456789", 10), 10);
	CHECK_EQUAL(an_stream_fill(s, 4), 4);
	CHECK_EQUAL(an_stream_fill(s, 4), AN_ERR_LIMIT);
	CHECK_EQUAL(an_stream_fill(s, 6), 2);
	CHECK_EQUAL(an_stream_peek(s, &data), 6);
	CHECK(memcmp(data, "012345", 6) == 0);
	an_stream_consume(s, 5);
	CHECK_EQUAL(an_stream_fill(s, 100), 4);
	CHECK_EQUAL(an_stream_peek(s, &data), 5);
	CHECK(memcmp(data, "56789", 5) == 0);
	an_stream_consume(s, 1000);
	CHECK_EQUAL(an_stream_peek(s, &data), 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(a_reset_is_an_error_of_the_read_and_sticks)
{
	char buf[10000];
	an_stream *s;
	int fd;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK_EQUAL(write(fd, "x", 1), 1);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 1);
	CHECK(strcmp(an_stream_error_text(s), "") == 0);
	reset(fd);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), -ECONNRESET);
	CHECK_EQUAL(an_stream_read(s, buf, 1), -ECONNRESET);
	CHECK(strcmp(an_stream_error_text(s), an_strerror(-ECONNRESET)) == 0);
	CHECK(!an_stream_at_eof(s));
	an_stream_close(s);
	return 0;
}

static int reset_later(void *arg)
{
	int r = an_sleep(AN_MILLISECOND);

	reset(*(int *)arg);
	return r;
}

/* The system tells of a reset once: when a write has heard of it, a read finds what came
 * before and then an end that is none. */
TASK_TEST(a_reset_that_a_write_found_is_no_end_for_the_reader)
{
	for (int park = 0; park < 2; park++) {
		static char bulk[8 << 20];
		an_stream *s;
		char buf[10];
		int fd;

		CHECK_EQUAL(tcp_pair(&s, &fd), 0);
		CHECK_EQUAL(write(fd, "half", 4), 4);
		if (park) {
			an_task *t;

			CHECK_EQUAL(an_spawn(reset_later, &fd, NULL, &t), 0);
			CHECK_EQUAL(an_stream_write(s, bulk, sizeof bulk), -ECONNRESET);
			CHECK_EQUAL(an_join(t, NULL), 0);
		} else {
			reset(fd);
			CHECK_EQUAL(an_stream_write(s, bulk, sizeof bulk), -ECONNRESET);
		}
		CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 4);
		CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), -ECONNRESET);
		CHECK(!an_stream_at_eof(s));
		an_stream_close(s);
	}
	return 0;
}

/* The peer had said its end before: what it wrote is complete. */
TASK_TEST(an_end_before_a_failed_write_is_an_end)
{
	an_stream *s;
	char buf[10];
	int fd, r = 0;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK_EQUAL(write(fd, "whole", 5), 5);
	close(fd);
	for (int i = 0; i < 100 && r == 0; i++) {
		r = an_stream_write(s, "x", 1);
		if (r == 0)
			r = an_stream_drain(s);
	}
	CHECK_EQUAL(r, -EPIPE);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 5);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 0);
	an_stream_close(s);
	return 0;
}

TASK_TEST(an_abort_resets_the_peer)
{
	char byte;
	an_stream *s;
	int fd;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "dropped", 7), 0);
	CHECK(an_stream_abort(s) == NULL);
	CHECK_EQUAL(read(fd, &byte, 1), -1);
	CHECK_EQUAL(errno, ECONNRESET);
	close(fd);
	return 0;
}

TASK_TEST(an_idle_stream_knows_when_it_must_not_be_used_again)
{
	char buf[10];
	an_stream *s;
	int fd;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK(!an_stream_readable(s));
	CHECK_EQUAL(write(fd, "ab", 2), 2);
	CHECK(an_stream_readable(s));
	CHECK_EQUAL(an_stream_read(s, buf, 1), 1);
	CHECK(an_stream_readable(s));
	CHECK_EQUAL(an_stream_read(s, buf, 1), 1);
	CHECK(!an_stream_readable(s));
	/* The event that was armed by a wait fires with nobody reading. */
	close(fd);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(an_stream_readable(s));
	an_stream_close(s);
	return 0;
}

static int set_flag(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

TASK_TEST(an_endless_source_does_not_starve_other_tasks)
{
	static char buf[65536];
	bool ran = false;
	an_stream *s;
	int rounds = 0;

	CHECK_EQUAL(an_stream_new(open("/dev/zero", O_RDONLY), NULL, &s), 0);
	CHECK_EQUAL(an_spawn(set_flag, &ran, NULL, NULL), 0);
	while (!ran && rounds < 1000) {
		CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), sizeof buf);
		rounds++;
	}
	CHECK(ran && rounds < 1000);
	an_stream_close(s);

	ran = false;
	CHECK_EQUAL(an_stream_new(open("/dev/null", O_WRONLY), NULL, &s), 0);
	CHECK_EQUAL(an_spawn(set_flag, &ran, NULL, NULL), 0);
	for (rounds = 0; !ran && rounds < 1000; rounds++)
		CHECK_EQUAL(an_stream_write(s, buf, sizeof buf), 0);
	CHECK(ran && rounds < 1000);
	an_stream_close(s);
	return 0;
}

/* ---- writing ----------------------------------------------------------------------- */

TASK_TEST(what_is_written_in_one_turn_is_one_system_call)
{
	char buf[100];
	an_stream *s;
	int fd;

	/* A socket that keeps messages apart shows what was sent together. */
	CHECK_EQUAL(socket_pair(SOCK_SEQPACKET, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "one ", 4), 0);
	CHECK_EQUAL(an_stream_write_nowait(s, "two ", 4), 0);
	CHECK_EQUAL(
		an_stream_writev(
			s, (struct iovec[]){ { "th", 2 }, { "", 0 }, { "ree", 3 } }, 3),
		0);
	CHECK_EQUAL(an_stream_pending(s), 13);
	CHECK_EQUAL(read(fd, buf, sizeof buf), -1);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(an_stream_pending(s), 0);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 13);
	CHECK(memcmp(buf, "one two three", 13) == 0);
	CHECK_EQUAL(an_stream_write(s, "x", 1), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 1);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(a_large_write_takes_along_what_was_gathered_before)
{
	static char large[50000], buf[60000];
	an_stream *s;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_SEQPACKET, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_write(s, large, sizeof large), 0);
	CHECK_EQUAL(an_stream_pending(s), 0);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 4 + sizeof large);
	CHECK(memcmp(buf, "head", 4) == 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

struct transfer {
	an_stream *s;
	char *data;
	size_t len, piece;
	int result;
	bool done;
};

static int write_transfer(void *arg)
{
	struct transfer *t = arg;

	t->result = 0;
	for (size_t at = 0; at < t->len && !t->result; at += t->piece)
		t->result =
			an_stream_write(t->s, t->data + at,
					t->len - at < t->piece ? t->len - at : t->piece);
	t->done = true;
	return 0;
}

TASK_TEST(a_reader_that_stops_stops_the_writer)
{
	struct transfer t = { .len = 16 << 20, .piece = 1000 };
	static char buf[1 << 16];
	size_t got = 0;
	int fd;

	for (; t.piece <= 16 << 20; t.piece *= 128) {
		an_task *task;

		t.data = malloc(t.len);
		CHECK(t.data != NULL);
		fill_pattern(t.data, t.len, (unsigned)t.piece);
		t.done = false;
		CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &t.s, &fd), 0);
		CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK(!t.done);
		CHECK(an_stream_pending(t.s) > 0);
		CHECK(an_stream_pending(t.s) <= 65536);

		for (got = 0; got < t.len;) {
			ssize_t n = read(fd, buf, sizeof buf);

			if (n < 0) {
				CHECK_EQUAL(errno, EAGAIN);
				CHECK_EQUAL(an_yield(), 0);
				continue;
			}
			CHECK(n > 0 && memcmp(buf, t.data + got, (size_t)n) == 0);
			got += (size_t)n;
		}
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(t.result, 0);
		CHECK_EQUAL(an_stream_pending(t.s), 0);
		an_stream_close(t.s);
		close(fd);
		free(t.data);
	}
	return 0;
}

TASK_TEST(a_reset_ends_a_parked_writer_and_sticks)
{
	struct transfer t = { .len = 64 << 20, .piece = 64 << 20 };
	an_task *task;
	int fd;

	t.data = calloc(1, t.len);
	CHECK_EQUAL(tcp_pair(&t.s, &fd), 0);
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!t.done);
	reset(fd);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(t.result, -ECONNRESET);
	CHECK_EQUAL(an_stream_write(t.s, "x", 1), -ECONNRESET);
	CHECK_EQUAL(an_stream_write_nowait(t.s, "x", 1), -ECONNRESET);
	CHECK_EQUAL(an_stream_drain(t.s), -ECONNRESET);
	CHECK_EQUAL(an_stream_shutdown(t.s), -ECONNRESET);
	CHECK_EQUAL(an_stream_pending(t.s), 0);
	an_stream_close(t.s);
	free(t.data);
	return 0;
}

TASK_TEST(after_a_shutdown_reading_goes_on_and_writing_does_not)
{
	char buf[10];
	an_stream *s;
	int fd;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "bye", 3), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_stream_write(s, "x", 1), AN_ERR_CLOSED);
	CHECK_EQUAL(an_stream_write_nowait(s, "x", 1), AN_ERR_CLOSED);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 3);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 0);
	CHECK_EQUAL(write(fd, "answer", 6), 6);
	CHECK_EQUAL(an_stream_read(s, buf, sizeof buf), 6);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(a_close_offers_what_was_written_to_the_kernel)
{
	char buf[10];
	an_stream *s;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "last", 4), 0);
	an_stream_close(s);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 4);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 0);
	close(fd);
	return 0;
}

TASK_TEST(a_few_bytes_never_land_within_a_parked_write)
{
	struct transfer t = { .len = 4 << 20, .piece = 4 << 20 };
	static char buf[(4 << 20) + 4];
	an_task *task;
	size_t got = 0;
	int fd;

	t.data = malloc(t.len);
	CHECK(t.data != NULL);
	fill_pattern(t.data, t.len, 3);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &t.s, &fd), 0);
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_stream_write(t.s, "x", 1), -EBUSY);
	CHECK_EQUAL(an_stream_drain(t.s), -EBUSY);
	CHECK_EQUAL(an_stream_shutdown(t.s), -EBUSY);
	CHECK_EQUAL(an_stream_write_nowait(t.s, "PONG", 4), 0);
	while (got < sizeof buf) {
		ssize_t n = read(fd, buf + got, sizeof buf - got);

		if (n > 0)
			got += (size_t)n;
		CHECK_EQUAL(an_yield(), 0);
	}
	CHECK(memcmp(buf, t.data, t.len) == 0);
	CHECK(memcmp(buf + t.len, "PONG", 4) == 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(t.result, 0);
	an_stream_close(t.s);
	close(fd);
	free(t.data);
	return 0;
}

TASK_TEST(a_cancelled_write_is_taken_whole_or_not_at_all)
{
	struct transfer t = { .len = 4 << 20, .piece = 4 << 20 };
	struct transfer small = { .data = "y", .len = 1, .piece = 1 };
	static char buf[(4 << 20) + 4];
	an_task *task, *other;
	size_t got = 0;
	int fd;

	t.data = malloc(t.len);
	CHECK(t.data != NULL);
	fill_pattern(t.data, t.len, 3);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &t.s, &fd), 0);
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(t.result, 0);
	CHECK(an_stream_pending(t.s) > 1 << 20);

	/* Nothing of this one is taken: far more than the mark is kept. */
	small.s = t.s;
	CHECK_EQUAL(an_spawn(write_transfer, &small, NULL, &other), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!small.done);
	an_cancel(other);
	CHECK_EQUAL(an_join(other, NULL), 0);
	CHECK_EQUAL(small.result, -ECANCELED);

	while (got < t.len) {
		ssize_t n = read(fd, buf + got, sizeof buf - got);

		if (n > 0)
			got += (size_t)n;
		CHECK_EQUAL(an_yield(), 0);
	}
	CHECK_EQUAL(got, t.len);
	CHECK(memcmp(buf, t.data, t.len) == 0);
	CHECK_EQUAL(an_stream_drain(t.s), 0);
	CHECK_EQUAL(read(fd, buf, 1), -1);
	an_stream_close(t.s);
	close(fd);
	free(t.data);
	return 0;
}

/* ---- cancelling and closing -------------------------------------------------------- */

enum call {
	READ,
	READ_DIRECT,
	EXACTLY,
	EXACTLY_LARGE,
	UNTIL,
	LINE,
	FILL,
	DRAIN,
	SHUTDOWN,
	CALLS
};

struct parked {
	an_stream *s;
	enum call call;
	ssize_t result;
	bool done;
};

static char parked_buf[200000];

static int park(void *arg)
{
	struct parked *p = arg;
	const char *data;
	size_t n;

	switch (p->call) {
	case READ:
		p->result = an_stream_read(p->s, parked_buf, 1);
		break;
	case READ_DIRECT:
		p->result = an_stream_read(p->s, parked_buf, sizeof parked_buf);
		break;
	case EXACTLY:
		p->result = an_stream_read_exactly(p->s, parked_buf, 10);
		break;
	case EXACTLY_LARGE:
		p->result = an_stream_read_exactly(p->s, parked_buf, sizeof parked_buf);
		break;
	case UNTIL:
		p->result = an_stream_read_until(p->s, "||", 2, &data, &n);
		break;
	case LINE:
		p->result = an_stream_read_line(p->s, &data, &n);
		break;
	case FILL:
		p->result = an_stream_fill(p->s, 1000);
		break;
	case DRAIN:
		p->result = an_stream_drain(p->s);
		break;
	case SHUTDOWN:
		p->result = an_stream_shutdown(p->s);
		break;
	case CALLS:
		break;
	}
	p->done = true;
	return 0;
}

/* A stream on which `call` has to wait; the reading ones have seen 3 bytes first. */
static int prepare(struct parked *p, int *ret_fd)
{
	p->done = false;
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &p->s, ret_fd), 0);
	if (p->call == DRAIN || p->call == SHUTDOWN) {
		static char large[1 << 20];

		CHECK_EQUAL(an_stream_write_nowait(p->s, large, sizeof large), 0);
		CHECK(an_stream_pending(p->s) > 0);
	} else if (p->call == EXACTLY || p->call == EXACTLY_LARGE || p->call == UNTIL ||
		   p->call == LINE) {
		CHECK_EQUAL(write(*ret_fd, "abc", 3), 3);
	}
	return 0;
}

TASK_TEST(every_wait_can_be_cancelled_and_loses_nothing)
{
	for (enum call c = 0; c < CALLS; c++) {
		struct parked p = { .call = c };
		an_task *task;
		char buf[10];
		int fd;

		CHECK_EQUAL(prepare(&p, &fd), 0);
		CHECK_EQUAL(an_spawn(park, &p, NULL, &task), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK(!p.done);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(p.result, -ECANCELED);
		if (c < DRAIN) {
			bool had = c == EXACTLY || c == EXACTLY_LARGE || c == UNTIL ||
				   c == LINE;

			CHECK_EQUAL(write(fd, "def", 3), 3);
			CHECK_EQUAL(an_stream_read_exactly(p.s, buf, had ? 6 : 3), 0);
			CHECK(memcmp(buf, had ? "abcdef" : "def", had ? 6 : 3) == 0);
		}
		an_stream_close(p.s);
		close(fd);
	}
	return 0;
}

TASK_TEST(a_close_wakes_whoever_is_parked)
{
	for (enum call c = 0; c < CALLS; c++) {
		for (int abort = 0; abort < 2; abort++) {
			struct parked p = { .call = c };
			an_task *task;
			int fd;

			CHECK_EQUAL(prepare(&p, &fd), 0);
			CHECK_EQUAL(an_spawn(park, &p, NULL, &task), 0);
			CHECK_EQUAL(an_sleep(AN_SECOND), 0);
			CHECK(!p.done);
			if (abort)
				an_stream_abort(p.s);
			else
				an_stream_close(p.s);
			CHECK_EQUAL(an_join(task, NULL), 0);
			CHECK_EQUAL(p.result, AN_ERR_CLOSED);
			close(fd);
		}
	}
	return 0;
}

TASK_TEST(a_close_in_the_turn_of_the_wake_up_is_safe)
{
	struct parked p = { .call = READ };
	an_task *task;
	int fd;

	CHECK_EQUAL(prepare(&p, &fd), 0);
	CHECK_EQUAL(an_spawn(park, &p, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	/* Both wake in the turn after this one: this task first, as it is ready first. */
	CHECK_EQUAL(write(fd, "x", 1), 1);
	while (!p.done && an_stream_fd(p.s) >= 0) {
		CHECK_EQUAL(an_yield(), 0);
		if (!p.done) {
			an_stream_close(p.s);
			break;
		}
	}
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(p.result == AN_ERR_CLOSED || p.result == 1);
	if (p.result == 1)
		an_stream_close(p.s);
	close(fd);
	return 0;
}

TASK_TEST(a_parked_writer_is_woken_by_a_close)
{
	struct transfer t = { .len = 4 << 20, .piece = 4 << 20 };
	an_task *task;
	int fd;

	t.data = calloc(1, t.len);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &t.s, &fd), 0);
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	an_stream_close(t.s);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(t.result, AN_ERR_CLOSED);
	close(fd);
	free(t.data);
	return 0;
}

TASK_TEST(a_second_reader_is_refused)
{
	struct parked p = { .call = READ };
	const char *data;
	an_task *task;
	char byte;
	size_t n;
	int fd;

	CHECK_EQUAL(prepare(&p, &fd), 0);
	CHECK_EQUAL(an_spawn(park, &p, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_stream_read(p.s, &byte, 1), -EBUSY);
	CHECK_EQUAL(an_stream_fill(p.s, 1), -EBUSY);
	CHECK_EQUAL(an_stream_read_line(p.s, &data, &n), -EBUSY);
	CHECK_EQUAL(write(fd, "x", 1), 1);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(p.result, 1);
	an_stream_close(p.s);
	close(fd);
	return 0;
}

static int in_cancelled_scope(void *arg)
{
	struct parked *p = arg;
	char byte;

	an_cancel(an_current());
	p->result = an_stream_read(p->s, &byte, 1);
	if (p->result == -ECANCELED)
		p->result = an_stream_write(p->s, "x", 1);
	p->done = true;
	return 0;
}

TASK_TEST(in_a_cancelled_scope_nothing_is_read_or_written)
{
	struct parked p = { .call = READ };
	an_task *task;
	char byte;
	int fd;

	CHECK_EQUAL(prepare(&p, &fd), 0);
	CHECK_EQUAL(write(fd, "z", 1), 1);
	CHECK_EQUAL(an_spawn(in_cancelled_scope, &p, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(p.result, -ECANCELED);
	CHECK_EQUAL(an_stream_pending(p.s), 0);
	CHECK_EQUAL(an_stream_read(p.s, &byte, 1), 1);
	an_stream_close(p.s);
	close(fd);
	return 0;
}

/* ---- pipes, addresses, misuse ------------------------------------------------------ */

TASK_TEST(pipes_are_streams_of_one_direction)
{
	static char large[200000], buf[200000];
	struct transfer t = { .data = large, .len = sizeof large, .piece = sizeof large };
	an_stream *r, *w;
	an_task *task;
	int fd[2];

	fill_pattern(large, sizeof large, 1);
	CHECK_EQUAL(pipe(fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &r), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &w), 0);
	t.s = w;
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_stream_read_exactly(r, buf, sizeof buf), 0);
	CHECK(memcmp(buf, large, sizeof buf) == 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(an_stream_shutdown(w), 0);
	an_stream_close(w);
	CHECK_EQUAL(an_stream_read(r, buf, 1), 0);
	CHECK_EQUAL(an_stream_peer_address(r, buf, sizeof buf), -ENOTSOCK);
	an_stream_close(r);
	return 0;
}

TASK_TEST(a_pipe_without_a_reader_is_an_error_and_no_signal)
{
	an_stream *w;
	int fd[2];

	CHECK_EQUAL(pipe(fd), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &w), 0);
	close(fd[0]);
	CHECK_EQUAL(an_stream_write(w, "x", 1), 0);
	CHECK_EQUAL(an_stream_drain(w), -EPIPE);
	CHECK_EQUAL(an_stream_write(w, "x", 1), -EPIPE);
	an_stream_close(w);
	return 0;
}

TASK_TEST(a_parked_pipe_writer_sees_the_reader_go)
{
	static char large[200000];
	struct transfer t = { .data = large, .len = sizeof large, .piece = sizeof large };
	an_task *task;
	int fd[2];

	CHECK_EQUAL(pipe(fd), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &t.s), 0);
	CHECK_EQUAL(an_spawn(write_transfer, &t, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!t.done);
	close(fd[0]);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(t.result, -EPIPE);
	an_stream_close(t.s);
	return 0;
}

TASK_TEST(addresses_are_written_and_cut)
{
	char peer[64], local[64], cut[8];
	struct sockaddr_in at;
	socklen_t len = sizeof at;
	an_stream *s;
	int fd;

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	CHECK_EQUAL(getsockname(fd, (void *)&at, &len), 0);
	snprintf(local, sizeof local, "127.0.0.1:%u", ntohs(at.sin_port));
	CHECK_EQUAL(an_stream_peer_address(s, peer, sizeof peer), 0);
	CHECK(strcmp(peer, local) == 0);
	CHECK_EQUAL(an_stream_local_address(s, local, sizeof local), 0);
	CHECK(strncmp(local, "127.0.0.1:", 10) == 0 && strcmp(peer, local) != 0);
	CHECK_EQUAL(an_stream_local_address(s, cut, sizeof cut), 0);
	CHECK(strcmp(cut, "127.0.0") == 0);
	an_stream_close(s);
	close(fd);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_peer_address(s, peer, sizeof peer), 0);
	CHECK(strcmp(peer, "unix:") == 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(what_is_no_descriptor_makes_no_stream)
{
	an_stream *s = (an_stream *)1;
	const char *data;
	size_t n;
	int fd;

	CHECK_EQUAL(an_stream_new(-1, NULL, &s), -EBADF);
	CHECK(s == (an_stream *)1);
	CHECK(an_stream_close(NULL) == NULL);
	CHECK(an_stream_abort(NULL) == NULL);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_read_until(s, "", 0, &data, &n), -EINVAL);
	CHECK_EQUAL(an_stream_writev(s, NULL, 65), -EINVAL);
	CHECK_EQUAL(an_stream_writev(s, NULL, -1), -EINVAL);
	CHECK_EQUAL(an_stream_writev(s, NULL, 0), 0);
	CHECK_EQUAL(an_stream_write(s, "", 0), 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- lack of memory ---------------------------------------------------------------- */

/* A conversation in which the n-th allocation fails, libevent's included. Whatever
 * failed, nothing that was taken is lost and nothing that was refused was done. */
static int converse(an_stream *s, int fd)
{
	const char *data;
	char buf[100];
	size_t n;
	int r;

	r = an_stream_write(s, "request\n", 8);
	if (!r)
		r = an_stream_drain(s);
	if (r) {
		CHECK_EQUAL(read(fd, buf, sizeof buf), -1);
		return r;
	}
	CHECK_EQUAL(read(fd, buf, sizeof buf), 8);
	CHECK_EQUAL(write(fd, "first\nrest", 10), 10);
	r = an_stream_read_line(s, &data, &n);
	if (r == -ENOMEM)
		r = an_stream_read_line(s, &data, &n);
	if (r)
		return r;
	CHECK(n == 6 && memcmp(data, "first\n", 6) == 0);
	/* Here it has to wait for what comes. */
	struct halves h = { fd, "more", 4, 0 };
	r = an_spawn(send_halves, &h, NULL, NULL);
	if (r)
		return r;
	r = an_stream_read_exactly(s, buf, 8);
	if (r == -ENOMEM)
		r = an_stream_read_exactly(s, buf, 8);
	if (r)
		return r;
	CHECK(memcmp(buf, "restmore", 8) == 0);
	return 0;
}

TASK_TEST(every_lack_of_memory_is_survived)
{
	bool failed = true;
	size_t rounds = 0;

	for (size_t i = 1; failed && i < 1000; i++) {
		an_stream *s = NULL;
		int fd = -1, r;

		an_testing_fail_allocation(i);
		r = socket_pair(SOCK_STREAM, NULL, &s, &fd);
		if (!r)
			r = converse(s, fd);
		failed = an_testing_allocation_failed();
		rounds += failed;
		CHECK(r == 0 || r == -ENOMEM);
		CHECK(failed || r == 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		an_stream_close(s);
		close(fd);
	}
	fprintf(stderr, "# %zu allocations failed in turn\n", rounds);
	CHECK(!failed && rounds >= 7);
	return 0;
}

static void outside_a_loop_there_are_no_streams(void **state)
{
	an_stream *s = NULL;

	(void)state;
	assert_int_equal(an_stream_new(0, NULL, &s), AN_ERR_NO_TASK);
	assert_null(s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_read_returns_what_is_there_and_waits_for_no_more),
	cmocka_unit_test(a_separator_is_found_wherever_it_is_split),
	cmocka_unit_test(lines_come_whole_from_single_bytes),
	cmocka_unit_test(the_read_limit_counts_the_bytes_before_the_separator),
	cmocka_unit_test(a_line_that_never_ends_is_refused_with_bounded_memory),
	cmocka_unit_test(an_early_end_leaves_what_there_was_readable),
	cmocka_unit_test(a_large_exact_read_that_fails_gives_everything_back),
	cmocka_unit_test(fill_stops_at_its_limit_and_consume_makes_room),
	cmocka_unit_test(a_reset_is_an_error_of_the_read_and_sticks),
	cmocka_unit_test(a_reset_that_a_write_found_is_no_end_for_the_reader),
	cmocka_unit_test(an_end_before_a_failed_write_is_an_end),
	cmocka_unit_test(an_abort_resets_the_peer),
	cmocka_unit_test(an_idle_stream_knows_when_it_must_not_be_used_again),
	cmocka_unit_test(an_endless_source_does_not_starve_other_tasks),
	cmocka_unit_test(what_is_written_in_one_turn_is_one_system_call),
	cmocka_unit_test(a_large_write_takes_along_what_was_gathered_before),
	cmocka_unit_test(a_reader_that_stops_stops_the_writer),
	cmocka_unit_test(a_reset_ends_a_parked_writer_and_sticks),
	cmocka_unit_test(after_a_shutdown_reading_goes_on_and_writing_does_not),
	cmocka_unit_test(a_close_offers_what_was_written_to_the_kernel),
	cmocka_unit_test(a_few_bytes_never_land_within_a_parked_write),
	cmocka_unit_test(a_cancelled_write_is_taken_whole_or_not_at_all),
	cmocka_unit_test(every_wait_can_be_cancelled_and_loses_nothing),
	cmocka_unit_test(a_close_wakes_whoever_is_parked),
	cmocka_unit_test(a_close_in_the_turn_of_the_wake_up_is_safe),
	cmocka_unit_test(a_parked_writer_is_woken_by_a_close),
	cmocka_unit_test(a_second_reader_is_refused),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_read_or_written),
	cmocka_unit_test(pipes_are_streams_of_one_direction),
	cmocka_unit_test(a_pipe_without_a_reader_is_an_error_and_no_signal),
	cmocka_unit_test(a_parked_pipe_writer_sees_the_reader_go),
	cmocka_unit_test(addresses_are_written_and_cut),
	cmocka_unit_test(what_is_no_descriptor_makes_no_stream),
	cmocka_unit_test(every_lack_of_memory_is_survived),
	cmocka_unit_test(outside_a_loop_there_are_no_streams),
};

TEST_MAIN_WITH("stream", tests, count_libevent, NULL)
