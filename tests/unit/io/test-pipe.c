/* Pipes, and streams over descriptors that others have, too. */
#include "tests/support/child.h"
#include "tests/support/libevent-memory.h"
#include "tests/unit/io/children.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

/* ---- pipes ------------------------------------------------------------------------- */

TASK_TEST(a_pipe_carries_bytes_and_its_end)
{
	an_stream *reader, *writer;
	char buf[8];

	CHECK_EQUAL(an_pipe(NULL, &reader, &writer), 0);
	CHECK_EQUAL(an_stream_write(writer, "hello", 5), 0);
	CHECK_EQUAL(an_stream_read(reader, buf, sizeof buf), 5);
	CHECK(memcmp(buf, "hello", 5) == 0);
	an_stream_close(writer);
	CHECK_EQUAL(an_stream_read(reader, buf, sizeof buf), 0);
	CHECK(an_stream_at_eof(reader));
	an_stream_close(reader);
	return 0;
}

TASK_TEST(a_pipe_without_a_reader_is_an_error_and_no_signal)
{
	an_stream *reader, *writer;

	CHECK_EQUAL(an_pipe(NULL, &reader, &writer), 0);
	an_stream_close(reader);
	CHECK_EQUAL(an_stream_write(writer, "x", 1), 0);
	CHECK_EQUAL(an_stream_drain(writer), -EPIPE);
	an_stream_close(writer);
	return 0;
}

static int make_pipe(void *arg)
{
	an_stream *reader, *writer;
	int r = an_pipe(NULL, &reader, &writer);

	(void)arg;
	if (r == 0) {
		an_stream_close(reader);
		an_stream_close(writer);
	}
	return r;
}

/* ---- what others have -------------------------------------------------------------- */

static bool nonblocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

TASK_TEST(a_borrowed_pipe_stays_blocking_and_open)
{
	an_stream *reader, *writer;
	int fds[2];
	char c;

	CHECK_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	CHECK_EQUAL(an_stream_borrow(fds[0], NULL, &reader), 0);
	CHECK_EQUAL(an_stream_borrow(fds[1], NULL, &writer), 0);
	CHECK(nonblocking(an_stream_fd(reader)));
	CHECK(!nonblocking(fds[0]));
	CHECK(!nonblocking(fds[1]));
	CHECK_EQUAL(an_stream_write(writer, "x", 1), 0);
	CHECK_EQUAL(an_stream_read(reader, &c, 1), 1);
	CHECK_EQUAL(c, 'x');
	an_stream_close(writer);
	an_stream_close(reader);
	CHECK_EQUAL(write(fds[1], "y", 1), 1);
	CHECK_EQUAL(read(fds[0], &c, 1), 1);
	CHECK_EQUAL(c, 'y');
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static int open_pty(int *ret_master, int *ret_slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	CHECK(master >= 0);
	CHECK_EQUAL(grantpt(master), 0);
	CHECK_EQUAL(unlockpt(master), 0);
	*ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(*ret_slave >= 0);
	*ret_master = master;
	return 0;
}

TASK_TEST(a_borrowed_terminal_stays_blocking)
{
	const char *line;
	int master, slave;
	size_t length;
	an_stream *s;
	char buf[8];

	CHECK_EQUAL(open_pty(&master, &slave), 0);
	CHECK_EQUAL(an_stream_borrow(slave, NULL, &s), 0);
	CHECK(!nonblocking(slave));
	CHECK_EQUAL(write(master, "hi\n", 3), 3);
	CHECK_EQUAL(an_stream_read_line(s, &line, &length), 0);
	CHECK_EQUAL(length, 3);
	CHECK_EQUAL(read(master, buf, sizeof buf), 4); /* its echo, "hi\r\n" */
	CHECK_EQUAL(an_stream_write(s, "yes", 3), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(read(master, buf, sizeof buf), 3);
	an_stream_close(s);
	close(slave);
	close(master);
	return 0;
}

TASK_TEST(a_borrowed_socket_is_blocking_again_after_the_last_close)
{
	an_stream *one, *two;
	int fds[2], again;
	char c;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	again = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	CHECK_EQUAL(an_stream_borrow(fds[0], NULL, &one), 0);
	CHECK_EQUAL(an_stream_borrow(again, NULL, &two), 0);
	CHECK(nonblocking(fds[0]));
	CHECK_EQUAL(an_stream_write(one, "x", 1), 0);
	CHECK_EQUAL(an_stream_drain(one), 0);
	CHECK_EQUAL(read(fds[1], &c, 1), 1);
	CHECK_EQUAL(write(fds[1], "y", 1), 1);
	CHECK_EQUAL(an_stream_read(two, &c, 1), 1);
	an_stream_close(one);
	CHECK(nonblocking(fds[0]));
	an_stream_close(two);
	CHECK(!nonblocking(fds[0]));
	close(again);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

/* Its name opened anew would be that of another terminal. */
TASK_TEST(the_other_end_of_a_terminal_is_borrowed_itself)
{
	int master, slave;
	const char *line;
	size_t length;
	an_stream *s;

	CHECK_EQUAL(open_pty(&master, &slave), 0);
	CHECK_EQUAL(an_stream_borrow(master, NULL, &s), 0);
	CHECK_EQUAL(write(slave, "hi\n", 3), 3);
	CHECK_EQUAL(an_stream_read_line(s, &line, &length), 0);
	CHECK_EQUAL(length, 4); /* "hi\r\n" */
	an_stream_close(s);
	CHECK(!nonblocking(master));
	close(slave);
	close(master);
	return 0;
}

/* All files of the kind have one inode. */
TASK_TEST(each_of_several_nameless_files_is_blocking_again)
{
	an_stream *s[2];
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = eventfd(1, EFD_CLOEXEC);
		CHECK_EQUAL(an_stream_borrow(fds[i], NULL, &s[i]), 0);
		CHECK(nonblocking(fds[i]));
	}
	for (int i = 0; i < 2; i++) {
		an_stream_close(s[i]);
		CHECK(!nonblocking(fds[i]));
		close(fds[i]);
	}
	return 0;
}

static int fork_and_exit(void *arg)
{
	int fd = *(int *)arg, status;
	an_stream *s;
	pid_t pid;

	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	pid = fork();
	if (pid == 0)
		exit(0);
	CHECK_EQUAL(waitpid(pid, &status, 0), pid);
	CHECK(nonblocking(fd));
	an_stream_close(s);
	CHECK(!nonblocking(fd));
	return 0;
}

static void a_forked_childs_exit_leaves_the_parents_socket_alone(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(run_virtual(fork_and_exit, &fds[0]), 0);
	close(fds[0]);
	close(fds[1]);
}

/* Says that it came so far: what its status is, sanitizers have a say in. */
static int borrow_and_exit(void *arg)
{
	an_stream *s;
	int r = an_stream_borrow(*(int *)arg, NULL, &s);

	if (r == 0 && nonblocking(*(int *)arg))
		fputs("borrowed", stderr);
	exit(0);
}

static void exit_with_a_loop(void *arg)
{
	an_run(borrow_and_exit, arg, NULL);
}

static void a_borrowed_socket_is_blocking_again_after_exit(void **state)
{
	char said[256];
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	in_child(exit_with_a_loop, &fds[0], said, sizeof said);
	assert_memory_equal(said, "borrowed", strlen("borrowed"));
	assert_false(nonblocking(fds[0]));
	close(fds[0]);
	close(fds[1]);
}

/* ---- files ------------------------------------------------------------------------- */

enum { MIB = 1 << 20 };

static char data[MIB], got[MIB + 1];

static void fill(void)
{
	for (int i = 0; i < MIB; i++)
		data[i] = (char)(i * 13 + i / 257);
}

/* An open file without a name. */
static int scratch(void)
{
	char name[] = "/tmp/asyncnet-pipe-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	if (fd >= 0)
		unlink(name);
	return fd;
}

static int read_to_end(an_stream *s)
{
	ssize_t n;
	size_t have = 0;

	while ((n = an_stream_read(s, got + have, sizeof got - have)) > 0)
		have += (size_t)n;
	if (n < 0)
		return (int)n;
	CHECK_EQUAL(have, MIB);
	CHECK(memcmp(got, data, MIB) == 0);
	return 0;
}

TASK_TEST(a_file_is_read_to_its_end)
{
	int fd = scratch();
	an_stream *s;

	fill();
	CHECK_EQUAL(write(fd, data, MIB), MIB);
	CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	CHECK_EQUAL(read_to_end(s), 0);
	CHECK(an_stream_at_eof(s));
	an_stream_close(s);
	close(fd);
	return 0;
}

/* What has no page cache, so that every read is a worker's. */
TASK_TEST(a_file_without_a_cache_is_read_by_a_worker)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	const char *line;
	size_t length;
	an_stream *s;
	int lines = 0, r;

	CHECK(fd >= 0);
	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	while ((r = an_stream_read_line(s, &line, &length)) == 0)
		lines++;
	CHECK_EQUAL(r, AN_ERR_EOF);
	CHECK(lines > 10);
	an_stream_close(s);
	close(fd);
	return 0;
}

static int check_contents(int fd, size_t length)
{
	CHECK_EQUAL(pread(fd, got, sizeof got, 0), length);
	CHECK(memcmp(got, data, length) == 0);
	return 0;
}

TASK_TEST(a_file_is_written_and_a_drain_means_it)
{
	int fd = scratch();
	an_stream *s;

	fill();
	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	for (size_t at = 0; at < MIB; at += MIB / 64)
		CHECK_EQUAL(an_stream_write(s, data + at, MIB / 64), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(an_stream_pending(s), 0);
	CHECK_EQUAL(check_contents(fd, MIB), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_stream_write(s, "x", 1), AN_ERR_CLOSED);
	an_stream_close(s);
	close(fd);
	return 0;
}

static int write_and_close(void *arg)
{
	int fd = *(int *)arg;
	an_stream *s;

	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	CHECK_EQUAL(an_stream_write_nowait(s, data, 100000), 0); /* under way */
	CHECK_EQUAL(an_stream_write_nowait(s, data + 100000, 200000), 0);
	an_stream_close(s);
	return 0;
}

static void what_was_written_before_a_close_is_seen_through(void **state)
{
	size_t before = open_descriptors();
	int fd = scratch();

	(void)state;
	fill();
	assert_int_equal(run_real(write_and_close, &fd), 0);
	assert_int_equal(check_contents(fd, 300000), 0);
	close(fd);
	assert_int_equal(open_descriptors(), before);
}

TASK_TEST(a_full_disk_is_told_and_sticks)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	an_stream *s;

	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	CHECK_EQUAL(an_stream_write(s, "x", 1), 0);
	CHECK_EQUAL(an_stream_drain(s), -ENOSPC);
	CHECK_EQUAL(an_stream_write(s, "x", 1), -ENOSPC);
	CHECK_EQUAL(an_stream_drain(s), -ENOSPC);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(dev_null_is_empty_and_takes_everything)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	an_stream *s;
	char c;

	CHECK_EQUAL(an_stream_borrow(fd, NULL, &s), 0);
	CHECK_EQUAL(an_stream_write(s, data, MIB), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(an_stream_read(s, &c, 1), 0);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- what cannot be ---------------------------------------------------------------- */

TASK_TEST(what_is_not_open_is_not_borrowed)
{
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	an_stream *s;
	char c;

	CHECK_EQUAL(an_stream_borrow(-1, NULL, &s), -EBADF);
	CHECK_EQUAL(an_stream_borrow(folder, NULL, &s), 0);
	CHECK_EQUAL(an_stream_read(s, &c, 1), -EISDIR);
	CHECK_EQUAL(an_stream_read(s, &c, 1), -EISDIR);
	an_stream_close(s);
	close(folder);
	return 0;
}

static void without_a_loop_nothing_is_made(void **state)
{
	an_stream *s, *t;
	size_t before = open_descriptors();

	(void)state;
	assert_int_equal(an_stream_borrow(0, NULL, &s), AN_ERR_NO_TASK);
	assert_int_equal(an_pipe(NULL, &s, &t), AN_ERR_NO_TASK);
	assert_int_equal(open_descriptors(), before);
}

static int borrow_and_write(void *arg)
{
	an_stream *s;
	int r = an_stream_borrow(*(int *)arg, NULL, &s);

	if (r < 0)
		return r;
	r = an_stream_write(s, "x", 1);
	if (r == 0)
		r = an_stream_drain(s);
	an_stream_close(s);
	return r;
}

/* A file that has an end. */
static int borrow_and_use(void *arg)
{
	an_stream *s;
	char buf[16];
	int r = an_stream_borrow(*(int *)arg, NULL, &s);
	ssize_t n;

	if (r < 0)
		return r;
	r = an_stream_write(s, "x", 1);
	if (r == 0)
		r = an_stream_drain(s);
	n = r < 0 ? r : an_stream_read(s, buf, sizeof buf);
	an_stream_close(s);
	return n < 0 ? (int)n : 0;
}

static int fail_each(an_task_fn attempt, void *arg)
{
	size_t before;
	int r = attempt(arg);

	CHECK_EQUAL(r, 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = attempt(arg);
		if (!an_testing_allocation_failed()) {
			CHECK(n > 1);
			break;
		}
		CHECK(r == -ENOMEM || r == 0);
		/* A close does not wait for its worker. */
		for (int i = 0; open_descriptors() != before && i < 1000; i++)
			CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
		CHECK_EQUAL(open_descriptors(), before);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

TASK_TEST(each_allocation_fails_once)
{
	int file = scratch(), fds[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_EQUAL(fail_each(make_pipe, NULL), 0);
	CHECK_EQUAL(fail_each(borrow_and_write, &fds[0]), 0);
	CHECK_EQUAL(fail_each(borrow_and_use, &file), 0);
	CHECK(!nonblocking(fds[0]));
	close(fds[0]);
	close(fds[1]);
	close(file);
	return 0;
}

static int scratch_fd;

static void a_file_is_cancelled_at_each_step(void **state)
{
	an_testing_scenario s = { NULL, borrow_and_use, NULL, &scratch_fd };
	size_t before;

	(void)state;
	scratch_fd = scratch();
	before = open_descriptors();
	assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
	assert_int_equal(open_descriptors(), before);
	close(scratch_fd);
}

/* ---- a pipe cancelled at each step ------------------------------------------------- */

enum { PIECE = 50000 };

/* Both ends of one pipe; what is taken at one comes out at the other. */
static struct {
	an_stream *reader, *writer;
	size_t taken, got;
} ends;

static int read_it_all(void *arg)
{
	char buf[4096];
	ssize_t n;

	(void)arg;
	while ((n = an_stream_read(ends.reader, buf, sizeof buf)) > 0) {
		ends.got += (size_t)n;
		CHECK_EQUAL(an_yield(), 0);
	}
	ends.reader = an_stream_close(ends.reader);
	return (int)n;
}

static int make_ends(void *arg)
{
	(void)arg;
	ends.taken = ends.got = 0;
	CHECK_EQUAL(an_pipe(NULL, &ends.reader, &ends.writer), 0);
	return an_spawn(read_it_all, NULL, NULL, NULL);
}

static int write_pieces(void *arg)
{
	(void)arg;
	while (ends.taken < 4 * PIECE) {
		int r = an_stream_write(ends.writer, data, PIECE);

		if (r < 0)
			return r;
		ends.taken += PIECE;
	}
	return an_stream_drain(ends.writer);
}

static int all_that_was_taken_came(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_stream_drain(ends.writer), 0);
	an_stream_close(ends.writer);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK(!ends.reader);
	CHECK_EQUAL(ends.got, ends.taken);
	return 0;
}

CANCEL_TEST(a_cancelled_write_to_a_pipe_is_whole_or_nothing, make_ends, write_pieces,
	    all_that_was_taken_came, NULL)

static int read_pieces(void *arg)
{
	char buf[3000];
	ssize_t n;

	(void)arg;
	while ((n = an_stream_read(ends.reader, buf, sizeof buf)) > 0)
		ends.got += (size_t)n;
	return (int)n;
}

static int write_and_end(void *arg)
{
	int r = write_pieces(arg);

	ends.writer = an_stream_close(ends.writer);
	return r;
}

static int make_ends_and_write(void *arg)
{
	(void)arg;
	ends.taken = ends.got = 0;
	CHECK_EQUAL(an_pipe(NULL, &ends.reader, &ends.writer), 0);
	return an_spawn(write_and_end, NULL, NULL, NULL);
}

static int the_rest_is_there(void *arg)
{
	CHECK_EQUAL(read_pieces(arg), 0);
	CHECK_EQUAL(ends.got, 4 * PIECE);
	an_stream_close(ends.reader);
	return 0;
}

CANCEL_TEST(a_cancelled_read_of_a_pipe_loses_nothing, make_ends_and_write, read_pieces,
	    the_rest_is_there, NULL)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_pipe_carries_bytes_and_its_end),
	cmocka_unit_test(a_pipe_without_a_reader_is_an_error_and_no_signal),
	cmocka_unit_test(a_borrowed_pipe_stays_blocking_and_open),
	cmocka_unit_test(a_borrowed_terminal_stays_blocking),
	cmocka_unit_test(a_borrowed_socket_is_blocking_again_after_the_last_close),
	cmocka_unit_test(a_borrowed_socket_is_blocking_again_after_exit),
	cmocka_unit_test(the_other_end_of_a_terminal_is_borrowed_itself),
	cmocka_unit_test(each_of_several_nameless_files_is_blocking_again),
	cmocka_unit_test(a_forked_childs_exit_leaves_the_parents_socket_alone),
	cmocka_unit_test(a_file_is_read_to_its_end),
	cmocka_unit_test(a_file_without_a_cache_is_read_by_a_worker),
	cmocka_unit_test(a_file_is_written_and_a_drain_means_it),
	cmocka_unit_test(what_was_written_before_a_close_is_seen_through),
	cmocka_unit_test(a_full_disk_is_told_and_sticks),
	cmocka_unit_test(dev_null_is_empty_and_takes_everything),
	cmocka_unit_test(what_is_not_open_is_not_borrowed),
	cmocka_unit_test(without_a_loop_nothing_is_made),
	cmocka_unit_test(each_allocation_fails_once),
	cmocka_unit_test(a_file_is_cancelled_at_each_step),
	cmocka_unit_test(a_cancelled_write_to_a_pipe_is_whole_or_nothing),
	cmocka_unit_test(a_cancelled_read_of_a_pipe_loses_nothing),
};

TEST_MAIN_WITH("pipe", tests, count_libevent, NULL)
