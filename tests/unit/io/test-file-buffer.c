/* Files at their own position: lines, gathered writes, seeking, and errors that stick. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char folder[] = "/tmp/asyncnet-buffer-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	/* Workers do it all, by this program's own system calls. */
	setenv("AN_IO_URING", "0", 1);
	snprintf(path, sizeof path, "%s/a", mkdtemp(folder));
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

/* ---- the system's calls, which can be made to fail -------------------------------- */

/* The library's calls to these are this program's; workers are the only other callers. */
static atomic_int reads, writes, write_cap, write_error, sync_error;
static atomic_int write_error_after; /* calls that still pass */
static atomic_int watched = -1;	     /* the file that all this is about */
static atomic_int nowaits, nowait_error, read_error;
static atomic_bool nothing_cached;

static void system_works(void)
{
	reads = writes = write_cap = write_error = write_error_after = sync_error = 0;
	nowaits = nowait_error = read_error = 0;
	nothing_cached = false;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	nowaits++;
	if (nothing_cached) {
		errno = nowait_error ? nowait_error : EAGAIN;
		return -1;
	}
	return syscall(SYS_preadv2, fd, iov, count, offset, (off_t)0, flags);
}

ssize_t read(int fd, void *buf, size_t len)
{
	if (fd == watched) {
		reads++;
		if (read_error) {
			errno = atomic_exchange(&read_error, 0);
			return -1;
		}
	}
	return syscall(SYS_read, fd, buf, len);
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (fd != watched)
		return syscall(SYS_write, fd, data, len);
	writes++;
	if (write_error && write_error_after-- <= 0) {
		errno = write_error;
		write_error = write_error == EINTR ? 0 : (int)write_error;
		return -1;
	}
	if (write_cap && len > (size_t)write_cap)
		len = (size_t)write_cap;
	return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
	if (sync_error) {
		errno = atomic_exchange(&sync_error, 0);
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

/* ---- help ------------------------------------------------------------------------- */

static int write_file(const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(data, 1, len, f) != len)
		return -EIO;
	return fclose(f);
}

static size_t read_file(char *buf, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n = fread(buf, 1, cap, f);

	fclose(f);
	return n;
}

static bool file_is(const char *text)
{
	char buf[256];
	size_t n = read_file(buf, sizeof buf);

	return n == strlen(text) && !memcmp(buf, text, n);
}

static an_file *opened(int flags)
{
	an_file *f = NULL;

	system_works();
	if (an_file_open(path, flags, 0600, &f) == 0)
		watched = an_file_fd(f);
	return f;
}

static bool next_is(an_file *f, const char *text, size_t text_len)
{
	const char *line;
	size_t len;

	return an_file_read_line(f, 0, &line, &len) == 0 && len == text_len &&
	       !memcmp(line, text, len);
}

static int next(an_file *f, size_t limit)
{
	const char *line = NULL;
	size_t len;
	int r = an_file_read_line(f, limit, &line, &len);

	return r < 0 && line ? CHECK_FAILED : r;
}

/* ---- lines ------------------------------------------------------------------------ */

TASK_TEST(lines_end_with_a_newline_or_the_file)
{
	static const char text[] = "one\n\ntw\0o\nlast";
	an_file *f;

	CHECK_EQUAL(write_file(text, sizeof text - 1), 0);
	f = opened(O_RDONLY);
	CHECK(next_is(f, "one\n", 4));
	CHECK(next_is(f, "\n", 1));
	CHECK(next_is(f, "tw\0o\n", 5));
	CHECK(next_is(f, "last", 4));
	CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
	CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
	an_file_close(f);
	CHECK_EQUAL(write_file("", 0), 0);
	f = opened(O_RDONLY);
	CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
	/* a file that grows meanwhile */
	CHECK_EQUAL(write_file("more\n", 5), 0);
	CHECK(next_is(f, "more\n", 5));
	an_file_close(f);
	return 0;
}

TASK_TEST(a_thousand_lines_cost_one_hop)
{
	an_file *f = opened(O_RDWR | O_CREAT | O_TRUNC);
	char line[32];

	CHECK_EQUAL(an_file_buffer(f, 64 << 10), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof line, "line %04d\n", i);
		CHECK_EQUAL(an_file_write(f, line, 10), 0);
	}
	CHECK_EQUAL(an_file_flush(f), 0);
	CHECK_EQUAL(writes, 1);
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_SET, NULL), 0);
	nothing_cached = true;
	reads = 0;
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof line, "line %04d\n", i);
		CHECK(next_is(f, line, 10));
	}
	CHECK_EQUAL(reads, 1);
	CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
	CHECK_EQUAL(reads, 2);
	an_file_close(f);
	return 0;
}

/* Lines of all lengths, so that buffers end at each of a line's bytes. */
TASK_TEST(lines_are_whole_wherever_a_buffer_ends)
{
	static char text[400000];
	size_t len = 0, count = 0;
	an_file *f;

	for (; len < 300000; count++) {
		size_t n = count * 7 % 997;

		memset(text + len, 'a' + (int)(count % 26), n);
		text[len + n] = '\n';
		len += n + 1;
	}
	CHECK_EQUAL(write_file(text, len), 0);
	for (int cached = 0; cached < 2; cached++) {
		size_t at = 0;

		f = opened(O_RDONLY);
		nothing_cached = !cached;
		for (size_t i = 0; i < count; i++) {
			size_t n = i * 7 % 997 + 1;

			CHECK(next_is(f, text + at, n));
			at += n;
		}
		CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
		an_file_close(f);
	}
	return 0;
}

TASK_TEST(a_line_beyond_the_limit_stays_to_be_read)
{
	static char text[200000];
	char buf[8];
	an_file *f;

	memset(text, 'x', sizeof text);
	memcpy(text, "12345\n123456\n", 13);
	text[13 + 65536] = '\n';	 /* exactly the default limit */
	text[13 + 65537 + 65537] = '\n'; /* one more */
	CHECK_EQUAL(write_file(text, 13 + 65537 + 65538), 0);
	f = opened(O_RDONLY);
	CHECK_EQUAL(next(f, 4), AN_ERR_LIMIT);
	CHECK_EQUAL(next(f, 5), 0);
	CHECK_EQUAL(next(f, 5), AN_ERR_LIMIT);
	CHECK_EQUAL(next(f, 5), AN_ERR_LIMIT);
	CHECK_EQUAL(an_file_read(f, buf, 3), 3);
	CHECK(!memcmp(buf, "123", 3));
	CHECK(next_is(f, "456\n", 4));
	CHECK(next_is(f, text + 13, 65537));
	CHECK_EQUAL(next(f, 0), AN_ERR_LIMIT);
	CHECK_EQUAL(next(f, 65536), AN_ERR_LIMIT);
	CHECK_EQUAL(next(f, 65537), 0);
	CHECK_EQUAL(next(f, 1), AN_ERR_EOF);
	CHECK_EQUAL(next(f, SIZE_MAX), -EINVAL);
	an_file_close(f);
	/* The rest without a newline counts, too. */
	CHECK_EQUAL(write_file("123456", 6), 0);
	f = opened(O_RDONLY);
	CHECK_EQUAL(next(f, 5), AN_ERR_LIMIT);
	CHECK_EQUAL(next(f, 6), 0);
	an_file_close(f);
	return 0;
}

TASK_TEST(a_pipe_gives_a_line_as_soon_as_it_is_there)
{
	char name[64];
	an_file *f;
	int fds[2];

	CHECK_EQUAL(pipe(fds), 0);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fds[0]);
	CHECK_EQUAL(an_file_open(name, O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(write(fds[1], "one\ntwo\nth", 10), 10);
	CHECK(next_is(f, "one\n", 4));
	CHECK(next_is(f, "two\n", 4));
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_CUR, NULL), -ESPIPE);
	CHECK_EQUAL(write(fds[1], "ree", 3), 3);
	close(fds[1]);
	CHECK(next_is(f, "three", 5));
	CHECK_EQUAL(next(f, 0), AN_ERR_EOF);
	close(fds[0]);
	an_file_close(f);
	return 0;
}

TASK_TEST(an_error_of_reading_is_told_and_nothing_is_lost)
{
	an_file *f;
	char buf[8];

	CHECK_EQUAL(write_file("one\ntwo", 7), 0);
	f = opened(O_RDONLY);
	nothing_cached = true;
	read_error = EIO;
	CHECK_EQUAL(next(f, 0), -EIO);
	CHECK(next_is(f, "one\n", 4));
	read_error = EIO;
	CHECK_EQUAL(next(f, 0), -EIO);
	/* what there is comes before the error behind it */
	read_error = EIO;
	CHECK_EQUAL(an_file_read(f, buf, 8), 3);
	CHECK(!memcmp(buf, "two", 3));
	CHECK_EQUAL(an_file_read(f, buf, 8), 0);
	an_file_close(f);
	return 0;
}

/* tmpfs is such a file system. */
TASK_TEST(a_file_system_without_reads_that_do_not_wait_is_asked_once)
{
	an_file *f;
	char buf[1];

	CHECK_EQUAL(write_file("one", 3), 0);
	f = opened(O_RDONLY);
	nothing_cached = true;
	CHECK_EQUAL(an_file_pread(f, buf, 1, 0), 1);
	CHECK_EQUAL(an_file_pread(f, buf, 1, 0), 1);
	CHECK_EQUAL(nowaits, 2);
	nowait_error = EOPNOTSUPP;
	CHECK_EQUAL(an_file_pread(f, buf, 1, 0), 1);
	CHECK_EQUAL(an_file_pread(f, buf, 1, 1), 1);
	CHECK_EQUAL(nowaits, 3);
	CHECK_EQUAL(buf[0], 'n');
	an_file_close(f);
	return 0;
}

/* ---- positions -------------------------------------------------------------------- */

TASK_TEST(the_position_is_the_callers_whatever_lies_in_buffers)
{
	an_file *f;
	char buf[8];
	off_t at;

	CHECK_EQUAL(write_file("one\ntwo\nthree\n", 14), 0);
	f = opened(O_RDWR);
	CHECK(next_is(f, "one\n", 4));
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_CUR, &at), 0);
	CHECK_EQUAL(at, 4);
	CHECK(next_is(f, "two\n", 4));
	CHECK_EQUAL(an_file_write(f, "THR", 3), 0);
	CHECK(next_is(f, "ee\n", 3));
	CHECK_EQUAL(an_file_seek(f, -4, SEEK_CUR, &at), 0);
	CHECK_EQUAL(at, 10);
	CHECK_EQUAL(an_file_buffer(f, 16), 0);
	CHECK_EQUAL(an_file_read(f, buf, 1), 1);
	CHECK_EQUAL(an_file_write(f, "EE", 2), 0);
	CHECK(file_is("one\ntwo\nTHRee\n"));
	CHECK_EQUAL(an_file_buffer(f, 0), -EBUSY);
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_END, &at), 0);
	CHECK_EQUAL(at, 14);
	CHECK(file_is("one\ntwo\nTHREE\n"));
	CHECK_EQUAL(an_file_write(f, "four", 4), 0);
	CHECK_EQUAL(an_file_read(f, buf, 4), 0);
	CHECK(file_is("one\ntwo\nTHREE\nfour"));
	at = -7;
	CHECK_EQUAL(an_file_seek(f, -1, SEEK_SET, &at), -EINVAL);
	CHECK_EQUAL(an_file_seek(f, 0, 99, &at), -EINVAL);
	CHECK_EQUAL(at, -7);
	CHECK_EQUAL(an_file_seek(f, 4, SEEK_SET, NULL), 0);
	CHECK(next_is(f, "two\n", 4));
	CHECK_EQUAL(an_file_read(f, buf, 8), 8);
	CHECK(!memcmp(buf, "THREE\nfo", 8));
	an_file_close(f);
	return 0;
}

TASK_TEST(small_reads_share_a_hop_and_see_what_was_written)
{
	static char text[40000], buf[40000];
	an_file *f = opened(O_RDWR | O_CREAT | O_TRUNC);

	memset(text, 'x', sizeof text);
	CHECK_EQUAL(an_file_pwrite(f, text, sizeof text, 0), 0);
	nothing_cached = true;
	for (int i = 0; i < 10; i++)
		CHECK_EQUAL(an_file_read(f, buf, 1000), 1000);
	CHECK_EQUAL(reads, 1);
	CHECK_EQUAL(an_file_pwrite(f, "new", 3, 10000), 0);
	CHECK_EQUAL(an_file_read(f, buf, 4), 4);
	CHECK(!memcmp(buf, "newx", 4));
	CHECK_EQUAL(an_file_truncate(f, 20000), 0);
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), 20000 - 10004);
	CHECK_EQUAL(an_file_read(f, buf, 1), 0);
	/* more than is read ahead goes straight to the caller */
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_SET, NULL), 0);
	CHECK_EQUAL(an_file_pwrite(f, text, sizeof text, 0), 0);
	CHECK_EQUAL(an_file_read(f, buf, 10), 10);
	CHECK_EQUAL(an_file_read(f, buf, sizeof buf), sizeof buf - 10);
	CHECK(!memcmp(buf, text, sizeof buf - 10));
	an_file_close(f);
	return 0;
}

/* ---- gathered writes --------------------------------------------------------------- */

TASK_TEST(writes_are_gathered_until_the_buffer_is_full)
{
	an_file *f = opened(O_WRONLY | O_CREAT | O_TRUNC);

	CHECK_EQUAL(an_file_buffer(f, 8), 0);
	CHECK_EQUAL(an_file_write(f, "12345", 5), 0);
	CHECK_EQUAL(an_file_write(f, "678", 3), 0);
	CHECK(file_is(""));
	CHECK_EQUAL(an_file_write(f, "9", 1), 0);
	CHECK(file_is("12345678"));
	CHECK_EQUAL(an_file_write(f, "abcdefgh", 8), 0);
	CHECK(file_is("123456789abcdefgh"));
	CHECK_EQUAL(an_file_write(f, "", 0), 0);
	CHECK_EQUAL(an_file_flush(f), 0);
	CHECK_EQUAL(an_file_buffer(f, 0), 0);
	CHECK_EQUAL(an_file_write(f, "i", 1), 0);
	CHECK(file_is("123456789abcdefghi"));
	CHECK_EQUAL(an_file_buffer(f, 8), 0);
	CHECK_EQUAL(an_file_write(f, "j", 1), 0);
	CHECK_EQUAL(an_file_sync(f), 0);
	CHECK(file_is("123456789abcdefghij"));
	CHECK_EQUAL(an_file_buffer(f, SIZE_MAX), -EINVAL);
	an_file_close(f);
	return 0;
}

TASK_TEST(short_writes_go_on_where_they_ended)
{
	an_file *f = opened(O_WRONLY | O_CREAT | O_TRUNC);

	write_cap = 1;
	write_error = EINTR;
	CHECK_EQUAL(an_file_buffer(f, 16), 0);
	CHECK_EQUAL(an_file_write(f, "abc", 3), 0);
	CHECK_EQUAL(an_file_flush(f), 0);
	CHECK_EQUAL(an_file_write(f, "one by one, and long", 20), 0);
	CHECK_EQUAL(writes, 24);
	CHECK(file_is("abcone by one, and long"));
	an_file_close(f);
	return 0;
}

TASK_TEST(after_a_lost_write_no_flush_says_ok)
{
	an_file *f = opened(O_WRONLY | O_CREAT | O_TRUNC);

	CHECK_EQUAL(an_file_buffer(f, 16), 0);
	CHECK_EQUAL(an_file_write(f, "abcdef", 6), 0);
	write_cap = 2;
	write_error = EIO;
	write_error_after = 1;
	CHECK_EQUAL(an_file_flush(f), -EIO);
	write_error = 0;
	CHECK_EQUAL(an_file_flush(f), -EIO);
	CHECK_EQUAL(an_file_flush(f), -EIO);
	CHECK_EQUAL(an_file_sync(f), -EIO);
	CHECK_EQUAL(an_file_write(f, "g", 1), -EIO);
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_SET, NULL), -EIO);
	CHECK(file_is("ab"));
	/* who has seen it goes on, with nothing lost and nothing twice */
	CHECK_EQUAL(an_file_clear_error(f), -EIO);
	CHECK_EQUAL(an_file_clear_error(f), 0);
	CHECK_EQUAL(an_file_write(f, "g", 1), 0);
	CHECK_EQUAL(an_file_sync(f), 0);
	CHECK(file_is("abcdefg"));
	sync_error = EIO;
	CHECK_EQUAL(an_file_sync(f), -EIO);
	CHECK_EQUAL(an_file_sync(f), -EIO);
	CHECK_EQUAL(an_file_flush(f), -EIO);
	an_file_close(f);
	return 0;
}

TASK_TEST(a_full_device_sticks_with_gathered_writes_too)
{
	an_file *f;

	system_works();
	CHECK_EQUAL(an_file_open("/dev/full", O_WRONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_buffer(f, 4), 0);
	CHECK_EQUAL(an_file_write(f, "abc", 3), 0);
	CHECK_EQUAL(an_file_write(f, "def", 3), -ENOSPC);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	CHECK_EQUAL(an_file_clear_error(f), -ENOSPC);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	/* write-through, too */
	CHECK_EQUAL(an_file_pwrite(f, "x", 1, 0), -ENOSPC);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	an_file_close(f);
	return 0;
}

static int write_and_close(void *arg)
{
	an_file *f = opened(O_WRONLY | O_CREAT | O_TRUNC);

	(void)arg;
	CHECK_EQUAL(an_file_buffer(f, 16), 0);
	CHECK_EQUAL(an_file_write(f, "the rest", 8), 0);
	an_file_close(f);
	return 0;
}

static void a_close_writes_what_is_gathered(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(write_and_close, NULL), 0);
	assert_true(file_is("the rest"));
}

static int complaints;

static void complain(void *arg, an_log_level level, const char *text, size_t len)
{
	static const char expected[] = "a file was closed with 3 bytes not written: ";

	(void)arg, (void)len;
	complaints +=
		level == AN_LOG_ERROR && !strncmp(text, expected, sizeof expected - 1);
}

static int close_what_cannot_be_written(void *arg)
{
	an_file *f;

	CHECK_EQUAL(an_file_open("/dev/full", O_WRONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_buffer(f, 16), 0);
	CHECK_EQUAL(an_file_write(f, "abc", 3), 0);
	if (arg)
		CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	an_file_close(f);
	return 0;
}

static void a_close_that_cannot_write_complains(void **state)
{
	(void)state;
	complaints = 0;
	an_trace_set_hooks(&(an_trace_hooks){ .message = complain });
	assert_int_equal(run_virtual(close_what_cannot_be_written, NULL), 0);
	assert_int_equal(complaints, 1);
	assert_int_equal(run_virtual(close_what_cannot_be_written, ""), 0);
	assert_int_equal(complaints, 2);
	an_trace_set_hooks(NULL);
}

/* ---- cancelled, and out of memory ------------------------------------------------- */

static an_file *shared;
static size_t taken;

static int prepare(void *arg)
{
	(void)arg;
	taken = 0;
	shared = opened(O_RDWR | O_CREAT | O_TRUNC);
	nothing_cached = true;
	return shared ? an_file_buffer(shared, 4) : -EIO;
}

/* What was taken is written, and only that. */
static int writer(void *arg)
{
	int r = 0;

	(void)arg;
	for (int i = 0; i < 5 && r == 0; i++) {
		r = an_file_write(shared, "abc", 3);
		if (r == 0)
			taken += 3;
	}
	return r < 0 ? r : an_file_sync(shared);
}

static int check_written(void *arg)
{
	char buf[32];
	size_t n;

	(void)arg;
	CHECK_EQUAL(an_file_flush(shared), 0);
	n = read_file(buf, sizeof buf);
	CHECK_EQUAL(n, taken);
	CHECK(!memcmp(buf, "abcabcabcabcabc", n));
	shared = an_file_close(shared);
	return 0;
}

CANCEL_TEST(a_cancelled_writer_loses_nothing, prepare, writer, check_written, NULL)

static int prepare_lines(void *arg)
{
	int r = prepare(arg);

	if (r == 0)
		r = an_file_pwrite(shared, "1\n2\n3\n4\n", 8, 0);
	return r;
}

static int reader(void *arg)
{
	int r;

	(void)arg;
	while ((r = next(shared, 0)) == 0) {
		taken++;
		r = an_yield();
		if (r < 0)
			return r;
	}
	return r == AN_ERR_EOF ? 0 : r;
}

static int check_read(void *arg)
{
	static const char text[] = "1\n2\n3\n4\n";

	(void)arg;
	for (; taken < 4; taken++)
		CHECK(next_is(shared, text + 2 * taken, 2));
	CHECK_EQUAL(next(shared, 0), AN_ERR_EOF);
	shared = an_file_close(shared);
	return 0;
}

CANCEL_TEST(a_cancelled_reader_loses_nothing, prepare_lines, reader, check_read, NULL)

static int check_position(void *arg)
{
	off_t at;
	int r = an_file_seek(shared, 0, SEEK_CUR, &at);

	(void)arg;
	shared = an_file_close(shared);
	return r < 0 ? r : at == 0 || at == 8 ? 0 : CHECK_FAILED;
}

static int seeker(void *arg)
{
	(void)arg;
	return an_file_seek(shared, 0, SEEK_END, NULL);
}

CANCEL_TEST(a_seek_happens_or_not, prepare_lines, seeker, check_position, NULL)

static int read_and_write(void)
{
	int r = an_file_buffer(shared, 4);

	if (r == 0)
		r = an_file_seek(shared, 0, SEEK_END, NULL);
	if (r == 0)
		r = an_file_write(shared, "5\n", 2);
	if (r == 0)
		r = an_file_seek(shared, 0, SEEK_SET, NULL);
	for (int i = 0; i < 5 && r == 0; i++)
		r = next(shared, 0);
	return r;
}

TASK_TEST(every_allocation_may_fail)
{
	int r;

	for (size_t n = 1;; n++) {
		CHECK_EQUAL(prepare_lines(NULL), 0);
		an_testing_fail_allocation(n);
		r = read_and_write();
		if (!an_testing_allocation_failed())
			break;
		/* One more thread is started where there is the memory for it. */
		CHECK(r == -ENOMEM || r == 0);
		CHECK_EQUAL(read_and_write(), 0);
		an_file_close(shared);
	}
	CHECK_EQUAL(r, 0);
	/* the close's own: what is gathered is written by the loop's thread */
	CHECK_EQUAL(an_file_write(shared, "6\n", 2), 0);
	an_testing_fail_allocation(1);
	an_file_close(shared);
	CHECK(an_testing_allocation_failed());
	CHECK(file_is("1\n2\n3\n4\n5\n6\n"));
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(lines_end_with_a_newline_or_the_file),
	cmocka_unit_test(a_thousand_lines_cost_one_hop),
	cmocka_unit_test(lines_are_whole_wherever_a_buffer_ends),
	cmocka_unit_test(a_line_beyond_the_limit_stays_to_be_read),
	cmocka_unit_test(a_pipe_gives_a_line_as_soon_as_it_is_there),
	cmocka_unit_test(an_error_of_reading_is_told_and_nothing_is_lost),
	cmocka_unit_test(a_file_system_without_reads_that_do_not_wait_is_asked_once),
	cmocka_unit_test(the_position_is_the_callers_whatever_lies_in_buffers),
	cmocka_unit_test(small_reads_share_a_hop_and_see_what_was_written),
	cmocka_unit_test(writes_are_gathered_until_the_buffer_is_full),
	cmocka_unit_test(short_writes_go_on_where_they_ended),
	cmocka_unit_test(after_a_lost_write_no_flush_says_ok),
	cmocka_unit_test(a_full_device_sticks_with_gathered_writes_too),
	cmocka_unit_test(a_close_writes_what_is_gathered),
	cmocka_unit_test(a_close_that_cannot_write_complains),
	cmocka_unit_test(a_cancelled_writer_loses_nothing),
	cmocka_unit_test(a_cancelled_reader_loses_nothing),
	cmocka_unit_test(a_seek_happens_or_not),
	cmocka_unit_test(every_allocation_may_fail),
};

TEST_MAIN_WITH("file-buffer", tests, make_folder, remove_folder)
