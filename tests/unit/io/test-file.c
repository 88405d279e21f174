/* Files: data, positions, errors that stick, cancellation, closing under way. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/file.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char folder[] = "/tmp/asyncnet-file-XXXXXX";
static char path[64], other[64], fifo[64];

static int make_folder(void **state)
{
	(void)state;
	/* Workers do it all, by this program's own system calls. */
	setenv("AN_IO_URING", "0", 1);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/a", folder);
	snprintf(other, sizeof other, "%s/b", folder);
	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	unlink(fifo);
	return rmdir(folder);
}

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* In the place of the system's: Linux 5.9 and 5.10 may say 0 to RWF_NOWAIT before the
 * end (preadv2(2), BUGS). */
static bool nothing_cached;

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return nothing_cached
		       ? 0
		       : syscall(SYS_preadv2, fd, iov, count, offset, (off_t)0, flags);
}

TASK_TEST(an_end_is_believed_to_a_read_that_may_wait_alone)
{
	char buf[16];
	an_file *f;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	CHECK_EQUAL(an_file_pwrite(f, "all of it", 9, 0), 0);
	nothing_cached = true;
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 0), 9);
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 9);
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 0);
	nothing_cached = false;
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 0);
	an_file_close(f);
	return 0;
}

TASK_TEST(what_was_written_is_read)
{
	char buf[16] = "";
	struct stat st;
	an_file *f;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	CHECK(fcntl(an_file_fd(f), F_GETFD) & FD_CLOEXEC);
	CHECK_EQUAL(an_file_pwrite(f, "world", 5, 6), 0);
	CHECK_EQUAL(an_file_pwrite(f, "hello ", 6, 0), 0);
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 0), 11);
	CHECK(!memcmp(buf, "hello world", 11));
	CHECK_EQUAL(an_file_pread(f, buf, 3, 4), 3);
	CHECK(!memcmp(buf, "o w", 3));
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 11), 0);
	CHECK_EQUAL(an_file_sync(f), 0);
	CHECK_EQUAL(an_file_stat(f, &st), 0);
	CHECK_EQUAL(st.st_size, 11);
	CHECK_EQUAL(st.st_mode & 07777, 0600);
	CHECK_EQUAL(an_file_truncate(f, 5), 0);
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK_EQUAL(st.st_size, 5);
	CHECK(!an_file_close(f));
	CHECK(!an_file_close(NULL));
	return 0;
}

TASK_TEST(the_position_moves_on)
{
	char buf[8];
	an_file *f;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	CHECK_EQUAL(an_file_write(f, "abc", 3), 0);
	CHECK_EQUAL(an_file_write(f, "def", 3), 0);
	an_file_close(f);
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_read(f, buf, 4), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 2);
	CHECK(!memcmp(buf, "ef", 2));
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 0);
	an_file_close(f);
	CHECK_EQUAL(an_file_open(path, O_WRONLY | O_APPEND, 0, &f), 0);
	CHECK_EQUAL(an_file_write(f, "gh", 2), 0);
	CHECK_EQUAL(an_file_pread(f, buf, 1, 0), -EBADF);
	an_file_close(f);
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 0), 8);
	CHECK(!memcmp(buf, "abcdefgh", 8));
	an_file_close(f);
	return 0;
}

TASK_TEST(errors_of_the_system_are_told)
{
	char buf[8];
	an_file *f = NULL;
	struct stat st;

	CHECK_EQUAL(an_file_open("/no/such/file", O_RDONLY, 0, &f), -ENOENT);
	CHECK(!f);
	CHECK_EQUAL(an_file_open(folder, O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 0), -EISDIR);
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, -1), -EINVAL);
	CHECK_EQUAL(an_file_pwrite(f, buf, 1, -1), -EINVAL);
	an_file_close(f);
	CHECK_EQUAL(an_path_unlink("/no/such/file"), -ENOENT);
	CHECK_EQUAL(an_path_rename("/no/such/file", other), -ENOENT);
	CHECK_EQUAL(an_path_stat("/no/such/file", &st), -ENOENT);
	CHECK_EQUAL(an_path_mkdir(folder, 0700), -EEXIST);
	CHECK_EQUAL(an_path_sync(path), -ENOTDIR);
	return 0;
}

TASK_TEST(names_are_made_moved_and_removed)
{
	char inner[80];
	struct stat st;
	an_file *f;

	CHECK_EQUAL(an_file_open(path, O_WRONLY | O_CREAT, 0600, &f), 0);
	an_file_close(f);
	CHECK_EQUAL(an_path_rename(path, other), 0);
	CHECK_EQUAL(an_path_sync(folder), 0);
	CHECK_EQUAL(an_path_stat(path, &st), -ENOENT);
	CHECK_EQUAL(an_path_stat(other, &st), 0);
	CHECK_EQUAL(an_path_unlink(other), 0);
	CHECK_EQUAL(an_path_stat(other, &st), -ENOENT);
	snprintf(inner, sizeof inner, "%s/inner", folder);
	CHECK_EQUAL(an_path_mkdir(inner, 0700), 0);
	CHECK_EQUAL(an_path_stat(inner, &st), 0);
	CHECK(S_ISDIR(st.st_mode));
	CHECK_EQUAL(rmdir(inner), 0);
	return 0;
}

TASK_TEST(a_full_disk_is_an_error_that_sticks)
{
	an_file *f;

	CHECK_EQUAL(an_file_open("/dev/full", O_WRONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_write(f, "x", 1), -ENOSPC);
	CHECK_EQUAL(an_file_sync(f), -ENOSPC);
	CHECK_EQUAL(an_file_sync(f), -ENOSPC);
	an_file_close(f);
	return 0;
}

/* A write past the limit is short first, and fails then. */
TASK_TEST(a_file_that_may_not_grow_is_an_error_after_a_part)
{
	struct rlimit old, small;
	char buf[150];
	struct stat st;
	an_file *f;
	int r;

	memset(buf, 'x', sizeof buf);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100;
	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = an_file_pwrite(f, buf, sizeof buf, 0);
	CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK_EQUAL(r, -EFBIG);
	CHECK_EQUAL(an_file_stat(f, &st), 0);
	CHECK_EQUAL(st.st_size, 100);
	CHECK_EQUAL(an_file_sync(f), -EFBIG);
	an_file_close(f);
	return 0;
}

TASK_TEST(space_can_be_reserved)
{
	struct stat st;
	an_file *f;
	int r;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	r = an_file_allocate(f, 1 << 20);
	CHECK(r == 0 || r == -EOPNOTSUPP);
	CHECK_EQUAL(an_file_stat(f, &st), 0);
	CHECK_EQUAL(st.st_size, r ? 0 : 1 << 20);
	an_file_close(f);
	return 0;
}

/* ---- cancellation ---------------------------------------------------------------- */

TASK_TEST(in_a_cancelled_scope_nothing_is_done)
{
	size_t before;
	an_timeout over;
	an_file *f, *g = NULL;
	char buf[4];
	struct stat st;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	before = open_descriptors();
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_file_pwrite(f, "x", 1, 0), -ECANCELED);
	CHECK_EQUAL(an_file_pread(f, buf, 1, 0), -ECANCELED);
	CHECK_EQUAL(an_file_read(f, buf, 1), -ECANCELED);
	CHECK_EQUAL(an_file_write(f, buf, 1), -ECANCELED);
	CHECK_EQUAL(an_file_sync(f), -ECANCELED);
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &g), -ECANCELED);
	CHECK_EQUAL(an_path_unlink(path), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK(!g);
	CHECK_EQUAL(an_file_stat(f, &st), 0);
	CHECK_EQUAL(st.st_size, 0);
	CHECK_EQUAL(an_file_sync(f), 0); /* a cancellation does not stick */
	CHECK_EQUAL(open_descriptors(), before);
	an_file_close(f);
	return 0;
}

static int open_fifo(void *arg)
{
	an_file *f;
	int r = an_file_open(fifo, O_RDONLY, 0, &f);

	(void)arg;
	if (r == 0)
		an_file_close(f);
	return r;
}

/* Opening a FIFO blocks until a writer comes: the task leaves it, and what comes of it
 * is closed. */
TASK_TEST(a_blocked_opening_is_left_behind_and_closed)
{
	size_t before;
	an_task *t;
	int fd, result;

	/* the threads are there, and with them what they have open */
	CHECK_EQUAL(an_path_unlink("/no/such/file"), -ENOENT);
	before = open_descriptors();
	CHECK_EQUAL(mkfifo(fifo, 0600), 0);
	CHECK_EQUAL(an_spawn(open_fifo, NULL, NULL, &t), 0);
	/* A writer that does not wait finds a reader as soon as the worker is in
	 * open(). */
	while ((fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && !an_done(t)) {
		CHECK_EQUAL(errno, ENXIO);
		CHECK_EQUAL(an_yield(), 0);
	}
	CHECK(fd >= 0);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	close(fd);
	/* and now one that is left */
	CHECK_EQUAL(an_spawn(open_fifo, NULL, NULL, &t), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	/* Both ends at once: the worker, if it got as far, comes free. */
	fd = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	CHECK(fd >= 0);
	/* With one worker's word the others have come by: wait for the count. */
	while (open_descriptors() > before + 1)
		CHECK_EQUAL(an_yield(), 0);
	close(fd);
	return 0;
}

static int pread_fully(void *arg)
{
	char buf[4096];
	ssize_t n = an_file_pread(arg, buf, sizeof buf, 0);

	return n == 3 && !memcmp(buf, "abc", 3) ? 0 : CHECK_FAILED;
}

/* The file is closed while another task waits in it: its call is seen through. */
TASK_TEST_IN_ORDER(a_close_lets_calls_under_way_end)
{
	an_task *t;
	an_file *f;
	int result;

	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f), 0);
	CHECK_EQUAL(an_file_write(f, "abc", 3), 0);
	CHECK_EQUAL(an_spawn(pread_fully, f, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_file_close(f);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

static int read_once(void *arg)
{
	char buf[1];
	ssize_t n = an_file_read(arg, buf, 1);

	return n < 0 ? (int)n : 0;
}

TASK_TEST_IN_ORDER(two_calls_cannot_move_the_position_at_once)
{
	an_task *t;
	an_file *f;
	int fd, result;

	unlink(fifo);
	CHECK_EQUAL(mkfifo(fifo, 0600), 0);
	CHECK_EQUAL(an_file_open(fifo, O_RDWR, 0, &f), 0);
	fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK_EQUAL(an_spawn(read_once, f, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(read_once(f), -EBUSY);
	CHECK_EQUAL(write(fd, "x", 1), 1);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	close(fd);
	an_file_close(f);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_end_is_believed_to_a_read_that_may_wait_alone),
	cmocka_unit_test(what_was_written_is_read),
	cmocka_unit_test(the_position_moves_on),
	cmocka_unit_test(errors_of_the_system_are_told),
	cmocka_unit_test(names_are_made_moved_and_removed),
	cmocka_unit_test(a_full_disk_is_an_error_that_sticks),
	cmocka_unit_test(a_file_that_may_not_grow_is_an_error_after_a_part),
	cmocka_unit_test(space_can_be_reserved),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_done),
	cmocka_unit_test(a_blocked_opening_is_left_behind_and_closed),
	cmocka_unit_test(a_close_lets_calls_under_way_end),
	cmocka_unit_test(two_calls_cannot_move_the_position_at_once),
};

TEST_MAIN_WITH("file", tests, make_folder, remove_folder)
