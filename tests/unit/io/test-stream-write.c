/* Writes by reference: in order with others, released once on whatever way they end, and
 * never a byte too early. Writes in pieces; marks; what the other side can do to them. */
#include "config.h"

#include "tests/support/libevent-memory.h"
#include "tests/support/pairs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>

enum { LARGE = 4 << 20, MIDDLE = 10000, VICTIM_KEEPS = 1 << 20 };

static char large[LARGE], received[LARGE + 65536];

static int released;

static void release(void *arg)
{
	++*(int *)arg;
}

/* Reads what is there; the other tasks have their turns meanwhile. */
static int receive(int fd, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, received + got, sizeof received - got);

		CHECK(n > 0 || (n < 0 && errno == EAGAIN));
		if (n > 0)
			got += (size_t)n;
		CHECK_EQUAL(an_yield(), 0);
	}
	CHECK_EQUAL(got, len);
	return 0;
}

TASK_TEST(headers_and_a_body_by_reference_leave_together)
{
	an_stream *s;
	int fd;

	released = 0;
	fill_pattern(large, LARGE, 5);
	CHECK_EQUAL(socket_pair(SOCK_SEQPACKET, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, MIDDLE, release, &released), 0);
	CHECK_EQUAL(an_stream_write(s, "tail", 4), 0);
	CHECK_EQUAL(released, 0);
	CHECK_EQUAL(an_stream_pending(s), MIDDLE + 8);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(released, 1);
	CHECK_EQUAL(read(fd, received, sizeof received), MIDDLE + 8);
	CHECK(memcmp(received, "head", 4) == 0);
	CHECK(memcmp(received + 4, large, MIDDLE) == 0);
	CHECK(memcmp(received + 4 + MIDDLE, "tail", 4) == 0);

	/* What fills the gathering goes at once. */
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, 100000, release, &released), 0);
	CHECK_EQUAL(released, 2);
	CHECK_EQUAL(read(fd, received, sizeof received), 100004);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(small_data_is_copied_and_released_at_once)
{
	char buf[100];
	an_stream *s;
	int fd;

	released = 0;
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	memcpy(buf, "small", 5);
	CHECK_EQUAL(an_stream_write_ref(s, buf, 5, release, &released), 0);
	CHECK_EQUAL(released, 1);
	memcpy(buf, "XXXXX", 5);
	CHECK_EQUAL(an_stream_write_ref(s, "", 0, release, &released), 0);
	CHECK_EQUAL(released, 2);
	CHECK_EQUAL(an_stream_write_ref(s, "static", 6, NULL, NULL), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(read(fd, buf, sizeof buf), 11);
	CHECK(memcmp(buf, "smallstatic", 11) == 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(what_the_kernel_refuses_is_referred_to_and_not_copied)
{
	an_stream *s;
	int fd;

	released = 0;
	fill_pattern(large, LARGE, 6);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, LARGE, release, &released), 0);
	CHECK_EQUAL(released, 0);
	CHECK(an_stream_pending(s) > 1 << 20);
	CHECK_EQUAL(an_stream_write_nowait(s, "PONG", 4), 0);
	/* The last bytes are read from where they are. */
	large[LARGE - 1] = 'Z';
	CHECK_EQUAL(receive(fd, LARGE + 4), 0);
	CHECK_EQUAL(released, 1);
	CHECK(memcmp(received, large, LARGE) == 0);
	CHECK(memcmp(received + LARGE, "PONG", 4) == 0);
	CHECK_EQUAL(an_stream_pending(s), 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

struct writer {
	an_stream *s;
	size_t len;
	int result, released;
	bool done;
};

static int write_by_reference(void *arg)
{
	struct writer *w = arg;

	w->result = an_stream_write_ref(w->s, large, w->len, release, &w->released);
	w->done = true;
	return 0;
}

/* A stream that has more than it may keep, and a writer that waits in it. */
static int park_writer(struct writer *w, int *ret_fd, an_task **ret_task)
{
	released = 0;
	*w = (struct writer){ .len = MIDDLE };
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &w->s, ret_fd), 0);
	CHECK_EQUAL(an_stream_write_ref(w->s, large, LARGE, release, &released), 0);
	CHECK_EQUAL(an_spawn(write_by_reference, w, NULL, ret_task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!w->done && !w->released && !released);
	return 0;
}

TASK_TEST(a_reference_above_the_high_water_mark_waits_its_turn)
{
	struct writer w;
	an_task *task;
	int fd;

	CHECK_EQUAL(park_writer(&w, &fd, &task), 0);
	CHECK_EQUAL(an_stream_write_ref(w.s, "x", 1, release, &released), -EBUSY);
	CHECK_EQUAL(released, 1);
	/* Nothing of the parked one is taken: this comes before it. */
	CHECK_EQUAL(an_stream_write_nowait(w.s, "PONG", 4), 0);
	CHECK_EQUAL(receive(fd, LARGE + 4 + MIDDLE), 0);
	CHECK(memcmp(received + LARGE, "PONG", 4) == 0);
	CHECK(memcmp(received + LARGE + 4, large, MIDDLE) == 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, 0);
	CHECK_EQUAL(w.released, 1);
	CHECK_EQUAL(released, 2);
	an_stream_close(w.s);
	close(fd);
	return 0;
}

TASK_TEST(a_close_releases_what_is_kept_and_what_waits)
{
	struct writer w;
	an_task *task;
	int fd;

	for (int how = 0; how < 2; how++) {
		CHECK_EQUAL(park_writer(&w, &fd, &task), 0);
		if (how)
			an_stream_abort(w.s);
		else
			an_stream_close(w.s);
		CHECK_EQUAL(released, 1);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(w.result, AN_ERR_CLOSED);
		CHECK_EQUAL(w.released, 1);
		close(fd);
	}
	return 0;
}

TASK_TEST(a_close_offers_what_is_referred_to_once_more)
{
	an_stream *s;
	int fd;

	released = 0;
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, MIDDLE, release, &released), 0);
	CHECK_EQUAL(released, 0);
	an_stream_close(s);
	CHECK_EQUAL(released, 1);
	CHECK_EQUAL(read(fd, received, sizeof received), MIDDLE);
	close(fd);
	return 0;
}

TASK_TEST(a_lost_peer_releases_what_is_kept_and_what_waits)
{
	struct writer w;
	an_task *task;
	int fd;

	CHECK_EQUAL(park_writer(&w, &fd, &task), 0);
	close(fd);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(w.result == -EPIPE || w.result == -ECONNRESET);
	CHECK_EQUAL(w.released, 1);
	CHECK_EQUAL(released, 1);
	CHECK_EQUAL(an_stream_write_ref(w.s, large, MIDDLE, release, &released),
		    w.result);
	CHECK_EQUAL(released, 2);
	an_stream_close(w.s);

	/* Found by the very write. */
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &w.s, &fd), 0);
	close(fd);
	CHECK_EQUAL(an_stream_write_ref(w.s, large, LARGE, release, &released), -EPIPE);
	CHECK_EQUAL(released, 3);
	an_stream_close(w.s);
	return 0;
}

TASK_TEST(after_a_shutdown_and_in_a_cancelled_scope_it_is_released_at_once)
{
	an_timeout t;
	an_stream *s;
	int fd;

	released = 0;
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	an_timeout_begin(&t, 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, MIDDLE, release, &released),
		    -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&t, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(released, 1);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, MIDDLE, release, &released),
		    AN_ERR_CLOSED);
	CHECK_EQUAL(an_stream_write_ref(s, large, 1, release, &released), AN_ERR_CLOSED);
	CHECK_EQUAL(released, 3);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- pieces, marks, resets --------------------------------------------------------- */

struct pieces {
	an_stream *s;
	struct iovec iov[64];
	size_t total;
	int result;
	bool done;
};

/* Of all sizes: none, a few bytes, more than is gathered. */
static void cut_into_pieces(struct pieces *p)
{
	p->total = 0;
	for (size_t i = 0; i < 64; i++) {
		size_t len = i % 9 == 8 ? 0 : i * i * i / 5;

		p->iov[i] = (struct iovec){ large + p->total, len };
		p->total += len;
	}
}

static int write_pieces(void *arg)
{
	struct pieces *p = arg;

	p->result = an_stream_writev(p->s, p->iov, 64);
	p->done = true;
	return 0;
}

TASK_TEST(pieces_arrive_in_order_also_when_it_is_cancelled_amid_them)
{
	for (int cancel = 0; cancel < 2; cancel++) {
		struct pieces p = { 0 };
		an_task *task;
		int fd;

		cut_into_pieces(&p);
		fill_pattern(large, LARGE, 8);
		CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &p.s, &fd), 0);
		CHECK_EQUAL(an_spawn(write_pieces, &p, NULL, &task), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK(!p.done);
		if (cancel)
			an_cancel(task);
		CHECK_EQUAL(receive(fd, p.total), 0);
		CHECK(memcmp(received, large, p.total) == 0);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(p.result, 0);
		CHECK_EQUAL(an_stream_pending(p.s), 0);
		an_stream_close(p.s);
		close(fd);
	}
	return 0;
}

/* Behind the stream's back, so that nothing it has fits. Returns how much that was. */
static size_t fill_kernel(const an_stream *s)
{
	size_t sent = 0;
	ssize_t n;

	while ((n = send(an_stream_fd(s), large, 1000, MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	return sent;
}

static int write_a_byte(void *arg)
{
	struct writer *w = arg;

	w->result = an_stream_write(w->s, "x", 1);
	w->done = true;
	return 0;
}

TASK_TEST(the_high_water_mark_is_met_exactly)
{
	struct writer w = { 0 };
	an_task *task;
	size_t filled;
	int fd;

	CHECK_EQUAL(
		socket_pair(SOCK_STREAM,
			    &(an_stream_opts){ .write_high = 10000, .write_low = 5000 },
			    &w.s, &fd),
		0);
	filled = fill_kernel(w.s);
	CHECK_EQUAL(an_stream_write(w.s, large, 1), 0);
	CHECK_EQUAL(an_sleep(1), 0); /* refused */
	CHECK_EQUAL(an_stream_write(w.s, large + 1, 3999), 0);
	CHECK_EQUAL(an_stream_write_ref(w.s, large + 4000, 6000, NULL, NULL), 0);
	CHECK_EQUAL(an_stream_pending(w.s), 10000);
	CHECK_EQUAL(an_spawn(write_a_byte, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!w.done);
	CHECK_EQUAL(an_stream_pending(w.s), 10000);
	CHECK_EQUAL(receive(fd, filled + 10001), 0);
	CHECK(memcmp(received + filled, large, 10000) == 0);
	CHECK_EQUAL(received[filled + 10000], 'x');
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, 0);
	an_stream_close(w.s);
	close(fd);
	return 0;
}

TASK_TEST(the_high_water_mark_of_a_reference_is_met_exactly)
{
	for (size_t more = 0; more < 2; more++) {
		struct writer w = { .len = 6000 };
		an_task *task;
		size_t filled;
		int fd;

		CHECK_EQUAL(socket_pair(SOCK_STREAM,
					&(an_stream_opts){ .write_high = 10000 }, &w.s,
					&fd),
			    0);
		filled = fill_kernel(w.s);
		CHECK_EQUAL(an_stream_write(w.s, large, 4000 + more), 0);
		CHECK_EQUAL(an_sleep(1), 0); /* refused */
		CHECK_EQUAL(an_spawn(write_by_reference, &w, NULL, &task), 0);
		CHECK_EQUAL(an_sleep(AN_SECOND), 0);
		CHECK_EQUAL(w.done, !more);
		CHECK_EQUAL(receive(fd, filled + 10000 + more), 0);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(w.result, 0);
		CHECK_EQUAL(w.released, 1);
		an_stream_close(w.s);
		close(fd);
	}
	return 0;
}

static int drain_it(void *arg)
{
	struct writer *w = arg;

	w->result = an_stream_drain(w->s);
	w->done = true;
	return 0;
}

TASK_TEST(a_reset_in_mid_drain_is_told_to_the_drain_and_to_reads)
{
	struct writer w = { 0 };
	an_task *task;
	char byte;
	int fd;

	CHECK_EQUAL(tcp_pair(&w.s, &fd), 0);
	while (an_stream_pending(w.s) == 0)
		CHECK_EQUAL(an_stream_write_nowait(w.s, large, LARGE), 0);
	CHECK_EQUAL(an_spawn(drain_it, &w, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!w.done);
	reset(fd);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, -ECONNRESET);
	CHECK_EQUAL(an_stream_read(w.s, &byte, 1), -ECONNRESET);
	an_stream_close(w.s);
	return 0;
}

TASK_TEST(who_does_not_read_takes_nothing_in)
{
	an_stream *s;
	size_t sent = 0;
	char byte;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(write(fd, "x", 1), 1);
	CHECK_EQUAL(an_stream_read(s, &byte, 1), 1);
	for (int i = 0; i < 100; i++) {
		ssize_t n = write(fd, large, LARGE);

		sent += n > 0 ? (size_t)n : 0;
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	}
	/* What the kernel keeps, and not a byte of the stream's own. */
	CHECK(sent > 0 && sent < 1 << 20);
	CHECK_EQUAL(an_stream_peek(s, &(const char *){ NULL }), 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static struct writer victim;
static an_stream *victims_peer;

static int prepare_victim(void *arg)
{
	int fd;

	(void)arg;
	released = 0;
	victim = (struct writer){ .len = MIDDLE };
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &victim.s, &fd), 0);
	CHECK_EQUAL(an_stream_new(fd, NULL, &victims_peer), 0);
	return an_stream_write_ref(victim.s, large, VICTIM_KEEPS, release, &released);
}

static int read_for_victim(void *arg)
{
	ssize_t n = 1;

	(void)arg;
	while (n > 0)
		n = an_stream_read(victims_peer, received, sizeof received);
	return 0;
}

static int be_victim(void *arg)
{
	an_group g;
	int r;

	(void)arg;
	an_group_begin(&g);
	r = an_group_spawn(&g, read_for_victim, NULL);
	if (r == 0)
		r = an_stream_write_ref(victim.s, large, MIDDLE, release,
					&victim.released);
	else
		victim.released++;
	an_group_cancel(&g);
	an_ignore(an_group_end(&g));
	return r;
}

static int check_victim(void *arg)
{
	(void)arg;
	an_stream_close(victim.s);
	an_stream_close(victims_peer);
	CHECK_EQUAL(released, 1);
	CHECK(victim.released <= 1); /* 0: cancelled before its first step */
	return 0;
}

CANCEL_TEST(a_cancellation_at_each_step_releases_once, prepare_victim, be_victim,
	    check_victim, NULL)

/* ---- memory ------------------------------------------------------------------------ */

TASK_TEST(every_lack_of_memory_releases_once)
{
	bool failed = true;
	size_t rounds = 0;

	for (size_t i = 1; failed; i++) {
		an_stream *s;
		int fd, r;

		released = 0;
		CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
		an_testing_fail_allocation(i);
		r = an_stream_write_ref(s, large, MIDDLE, release, &released);
		if (r == 0)
			r = an_stream_write(s, "tail", 4);
		failed = an_testing_allocation_failed();
		rounds += failed;
		CHECK_EQUAL(r, failed ? -ENOMEM : 0);
		an_stream_close(s);
		CHECK_EQUAL(released, 1);
		close(fd);
	}
	CHECK_EQUAL(rounds, 3);
	return 0;
}

static size_t largest_allocation;

static void *watched_malloc(size_t size)
{
	if (size > largest_allocation)
		largest_allocation = size;
	return an__test_libevent_malloc(size);
}

TASK_TEST(what_follows_a_reference_takes_memory_for_itself_alone)
{
	an_stream *s;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write_ref(s, large, LARGE, NULL, NULL), 0);
	largest_allocation = 0;
	CHECK_EQUAL(an_stream_write_nowait(s, "tail", 4), 0);
	CHECK_EQUAL(an_stream_write_nowait(s, large, 2000), 0);
	CHECK(largest_allocation > 0 && largest_allocation <= 8192);
	CHECK_EQUAL(receive(fd, LARGE + 2004), 0);
	CHECK(memcmp(received + LARGE, "tail", 4) == 0);
	CHECK(memcmp(received + LARGE + 4, large, 2000) == 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

static int watch_libevent(void **state)
{
	int r = count_libevent(state);

	event_set_mem_functions(watched_malloc, an__test_libevent_realloc, free);
	return r;
}

static void outside_a_task_it_is_released(void **state)
{
	(void)state;
	released = 0;
	assert_int_equal(an_stream_write_ref(NULL, large, MIDDLE, release, &released),
			 AN_ERR_NO_TASK);
	assert_int_equal(released, 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(headers_and_a_body_by_reference_leave_together),
	cmocka_unit_test(small_data_is_copied_and_released_at_once),
	cmocka_unit_test(what_the_kernel_refuses_is_referred_to_and_not_copied),
	cmocka_unit_test(a_reference_above_the_high_water_mark_waits_its_turn),
	cmocka_unit_test(a_close_releases_what_is_kept_and_what_waits),
	cmocka_unit_test(a_close_offers_what_is_referred_to_once_more),
	cmocka_unit_test(a_lost_peer_releases_what_is_kept_and_what_waits),
	cmocka_unit_test(
		after_a_shutdown_and_in_a_cancelled_scope_it_is_released_at_once),
	cmocka_unit_test(pieces_arrive_in_order_also_when_it_is_cancelled_amid_them),
	cmocka_unit_test(the_high_water_mark_is_met_exactly),
	cmocka_unit_test(the_high_water_mark_of_a_reference_is_met_exactly),
	cmocka_unit_test(a_reset_in_mid_drain_is_told_to_the_drain_and_to_reads),
	cmocka_unit_test(who_does_not_read_takes_nothing_in),
	cmocka_unit_test(a_cancellation_at_each_step_releases_once),
	cmocka_unit_test(every_lack_of_memory_releases_once),
	cmocka_unit_test(what_follows_a_reference_takes_memory_for_itself_alone),
	cmocka_unit_test(outside_a_task_it_is_released),
};

TEST_MAIN_WITH("stream-write", tests, watch_libevent, NULL)
