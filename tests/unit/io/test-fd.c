/* Descriptors that others read and write. */
#include "config.h"

#include "tests/support/libevent-memory.h"
#include "tests/support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int make_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
}

static void close_pair(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* Writes to a socket until it takes no more. */
static void fill(int fd)
{
	static const char bytes[4096];

	while (write(fd, bytes, sizeof bytes) > 0)
		;
}

static void drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof buf) > 0)
		;
}

struct waiting {
	an_fd_watch *watch;
	int what, result;
};

static int wait_task(void *arg)
{
	struct waiting *w = arg;

	w->result = an_fd_wait(w->watch, w->what);
	return 0;
}

/* A task that is parked in the wait. */
static int park(struct waiting *w, an_task **ret)
{
	int r = an_spawn(wait_task, w, NULL, ret);

	w->result = 1000;
	return r < 0 ? r : an_testing_settle();
}

TASK_TEST(a_wait_ends_when_there_is_something_to_read)
{
	struct waiting w = { .what = AN_FD_READABLE };
	an_task *task;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &w.watch), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(park(&w, &task), 0);
		CHECK_EQUAL(w.result, 1000);
		CHECK_EQUAL(write(fds[1], "x", 1), 1);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(w.result, AN_FD_READABLE);
		drain(fds[0]);
	}
	an_fd_watch_close(w.watch);
	close_pair(fds);
	return 0;
}

TASK_TEST(what_is_left_unread_is_told_again)
{
	an_fd_watch *watch;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(write(fds[1], "x", 1), 1);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &watch), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_fd_wait(watch, AN_FD_READABLE), AN_FD_READABLE);
		/* Meanwhile it fires with nobody waiting. */
		CHECK_EQUAL(an_testing_settle(), 0);
	}
	an_fd_watch_close(watch);
	close_pair(fds);
	return 0;
}

TASK_TEST(a_wait_ends_when_there_is_room_to_write)
{
	struct waiting w = { .what = AN_FD_WRITABLE };
	an_task *task;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &w.watch), 0);
	CHECK_EQUAL(an_fd_wait(w.watch, AN_FD_WRITABLE), AN_FD_WRITABLE);
	fill(fds[0]);
	CHECK_EQUAL(park(&w, &task), 0);
	CHECK_EQUAL(w.result, 1000);
	drain(fds[1]);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, AN_FD_WRITABLE);
	an_fd_watch_close(w.watch);
	close_pair(fds);
	return 0;
}

TASK_TEST(either_of_the_two_ends_a_wait_for_both)
{
	struct waiting w = { .what = AN_FD_READABLE | AN_FD_WRITABLE };
	an_task *task;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &w.watch), 0);
	fill(fds[0]);
	CHECK_EQUAL(park(&w, &task), 0);
	CHECK_EQUAL(write(fds[1], "x", 1), 1);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, AN_FD_READABLE);
	drain(fds[0]);
	CHECK_EQUAL(park(&w, &task), 0);
	CHECK_EQUAL(w.result, 1000);
	drain(fds[1]);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, AN_FD_WRITABLE);
	an_fd_watch_close(w.watch);
	close_pair(fds);
	return 0;
}

TASK_TEST(a_hang_up_is_readiness_for_both)
{
	an_fd_watch *watch;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &watch), 0);
	fill(fds[0]);
	close(fds[1]);
	CHECK_EQUAL(an_fd_wait(watch, AN_FD_READABLE), AN_FD_READABLE);
	CHECK_EQUAL(an_fd_wait(watch, AN_FD_WRITABLE), AN_FD_WRITABLE);
	an_fd_watch_close(watch);
	close(fds[0]);
	return 0;
}

TASK_TEST(a_reader_and_a_writer_may_wait_a_second_of_either_not)
{
	struct waiting reads = { .what = AN_FD_READABLE };
	struct waiting writes = { .what = AN_FD_WRITABLE };
	an_task *reader, *writer;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	fill(fds[0]);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &reads.watch), 0);
	writes.watch = reads.watch;
	CHECK_EQUAL(park(&reads, &reader), 0);
	CHECK_EQUAL(park(&writes, &writer), 0);
	CHECK_EQUAL(an_fd_wait(reads.watch, AN_FD_READABLE), -EBUSY);
	CHECK_EQUAL(an_fd_wait(reads.watch, AN_FD_WRITABLE), -EBUSY);
	CHECK_EQUAL(an_fd_wait(reads.watch, AN_FD_READABLE | AN_FD_WRITABLE), -EBUSY);
	CHECK_EQUAL(write(fds[1], "x", 1), 1);
	CHECK_EQUAL(an_join(reader, NULL), 0);
	CHECK_EQUAL(reads.result, AN_FD_READABLE);
	CHECK_EQUAL(writes.result, 1000);
	drain(fds[1]);
	CHECK_EQUAL(an_join(writer, NULL), 0);
	CHECK_EQUAL(writes.result, AN_FD_WRITABLE);
	an_fd_watch_close(reads.watch);
	close_pair(fds);
	return 0;
}

TASK_TEST(a_close_wakes_who_waits_and_leaves_the_descriptor)
{
	struct waiting w = { .what = AN_FD_READABLE | AN_FD_WRITABLE };
	an_task *task;
	int fds[2];

	CHECK_EQUAL(make_pair(fds), 0);
	fill(fds[0]);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &w.watch), 0);
	CHECK_EQUAL(park(&w, &task), 0);
	CHECK(!an_fd_watch_close(w.watch));
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(w.result, AN_ERR_CLOSED);
	CHECK(fcntl(fds[0], F_GETFD) >= 0);
	CHECK(!an_fd_watch_close(NULL));
	close_pair(fds);
	return 0;
}

TASK_TEST(what_cannot_be_waited_for_is_refused)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int device = open("/dev/null", O_RDWR | O_CLOEXEC);
	an_fd_watch *watch;
	int fd = eventfd(0, EFD_CLOEXEC);

	CHECK(file >= 0 && device >= 0 && fd >= 0);
	CHECK_EQUAL(an_fd_watch_new(file, &watch), -EPERM);
	CHECK_EQUAL(an_fd_watch_new(device, &watch), -EPERM);
	CHECK_EQUAL(an_fd_watch_new(-1, &watch), -EBADF);
	CHECK_EQUAL(an_fd_watch_new(fd, &watch), 0);
	CHECK_EQUAL(an_fd_wait(watch, 0), -EINVAL);
	CHECK_EQUAL(an_fd_wait(watch, 4), -EINVAL);
	an_fd_watch_close(watch);
	close(device);
	close(file);
	close(fd);
	return 0;
}

/* On the real clock, which a timerfd has. */
static int wait_for_timer(void *arg)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	an_fd_watch *watch;
	uint64_t count = 0;

	(void)arg;
	CHECK(fd >= 0);
	CHECK_EQUAL(an_fd_watch_new(fd, &watch), 0);
	CHECK_EQUAL(timerfd_settime(fd, 0, &soon, NULL), 0);
	CHECK_EQUAL(an_fd_wait(watch, AN_FD_READABLE), AN_FD_READABLE);
	CHECK_EQUAL(read(fd, &count, sizeof count), sizeof count);
	CHECK_EQUAL(count, 1);
	an_fd_watch_close(watch);
	close(fd);
	return 0;
}

static void a_timerfd_is_waited_for(void **state)
{
	(void)state;
	assert_int_equal(an_run(wait_for_timer, NULL, NULL), 0);
}

/* On the real clock: the virtual one does not wait, and so does not turn. */
static int leave_alone(void *arg)
{
	an_loop_metrics before, after;
	an_fd_watch *watch;
	int fds[2];

	(void)arg;
	CHECK_EQUAL(make_pair(fds), 0);
	CHECK_EQUAL(an_fd_watch_new(fds[0], &watch), 0);
	CHECK_EQUAL(write(fds[1], "x", 1), 1);
	CHECK_EQUAL(an_fd_wait(watch, AN_FD_READABLE), AN_FD_READABLE);
	an_loop_get_metrics(an_loop_current(), &before);
	CHECK_EQUAL(an_sleep(20 * AN_MILLISECOND), 0);
	an_loop_get_metrics(an_loop_current(), &after);
	CHECK(after.turns - before.turns < 10);
	an_fd_watch_close(watch);
	close_pair(fds);
	return 0;
}

static void what_nobody_waits_for_does_not_turn_the_loop(void **state)
{
	(void)state;
	assert_int_equal(an_run(leave_alone, NULL, NULL), 0);
}

static void outside_of_a_loop_there_are_no_watches(void **state)
{
	an_fd_watch *watch;

	(void)state;
	assert_int_equal(an_fd_watch_new(0, &watch), AN_ERR_NO_TASK);
}

/* ---- cancelled, and without memory ------------------------------------------------- */

static int pair[2];

static int feed(void *arg)
{
	int r = 0;

	(void)arg;
	for (int i = 0; r == 0 && i < 3; i++) {
		r = an_sleep(AN_SECOND);
		if (r == 0 && write(pair[1], "x", 1) != 1)
			r = -errno;
	}
	return r;
}

static int prepare(void *arg)
{
	an_task *task;
	int r = make_pair(pair) < 0 ? -errno : an_spawn(feed, NULL, NULL, &task);

	(void)arg;
	if (r == 0)
		an_detach(task);
	return r;
}

static int read_three(void *arg)
{
	an_fd_watch *watch;
	char byte;
	int r = an_fd_watch_new(pair[0], &watch);

	(void)arg;
	fill(pair[0]);
	for (int i = 0; r >= 0 && i < 3; i++) {
		r = an_fd_wait(watch, i == 1 ? AN_FD_READABLE | AN_FD_WRITABLE
					     : AN_FD_READABLE);
		if (r > 0 && read(pair[0], &byte, 1) != 1)
			r = -errno;
	}
	an_fd_watch_close(watch);
	return r < 0 ? r : 0;
}

static int put_away(void *arg)
{
	(void)arg;
	close_pair(pair);
	return 0;
}

CANCEL_TEST(a_wait_may_be_cancelled_at_each_step, prepare, read_three, put_away, NULL)

static int use(int fd)
{
	an_fd_watch *watch;
	int r = an_fd_watch_new(fd, &watch);

	if (r < 0)
		return r;
	r = an_fd_wait(watch, AN_FD_READABLE | AN_FD_WRITABLE);
	an_fd_watch_close(watch);
	return r;
}

TASK_TEST(each_allocation_may_fail)
{
	int fds[2], r;

	CHECK_EQUAL(make_pair(fds), 0);
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = use(fds[0]);
		if (!an_testing_allocation_failed())
			break;
		CHECK(r == -ENOMEM || r > 0);
	}
	CHECK_EQUAL(r, AN_FD_WRITABLE);
	close_pair(fds);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_wait_ends_when_there_is_something_to_read),
	cmocka_unit_test(what_is_left_unread_is_told_again),
	cmocka_unit_test(a_wait_ends_when_there_is_room_to_write),
	cmocka_unit_test(either_of_the_two_ends_a_wait_for_both),
	cmocka_unit_test(a_hang_up_is_readiness_for_both),
	cmocka_unit_test(a_reader_and_a_writer_may_wait_a_second_of_either_not),
	cmocka_unit_test(a_close_wakes_who_waits_and_leaves_the_descriptor),
	cmocka_unit_test(what_cannot_be_waited_for_is_refused),
	cmocka_unit_test(a_timerfd_is_waited_for),
	cmocka_unit_test(what_nobody_waits_for_does_not_turn_the_loop),
	cmocka_unit_test(outside_of_a_loop_there_are_no_watches),
	cmocka_unit_test(a_wait_may_be_cancelled_at_each_step),
	cmocka_unit_test(each_allocation_may_fail),
};
TEST_MAIN_WITH("fd", tests, count_libevent, NULL)
