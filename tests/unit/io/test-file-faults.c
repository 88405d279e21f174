/* Bad days of files: each system call that a call makes failing once, interrupted once,
 * doing less than was asked for; no descriptors left; one worker; and every call that no
 * other test cancels at each step. */
#include "tests/support/file-faults.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define SIZE ((size_t)10000)

static char folder[] = "/tmp/asyncnet-faults-XXXXXX";
static char path[64], other[64], inner[64];
static char text[SIZE], new_text[SIZE];

static int make_folder(void **state)
{
	(void)state;
	/* Workers do it all, by this program's own system calls. */
	setenv("AN_IO_URING", "0", 1);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/a", folder);
	snprintf(other, sizeof other, "%s/b", folder);
	snprintf(inner, sizeof inner, "%s/inner", folder);
	for (size_t i = 0; i < SIZE; i++) {
		text[i] = (char)(i % 50 == 49 ? '\n' : 'a' + i * 31 / 7 % 26);
		new_text[i] = (char)('A' + i % 26);
	}
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

/* ---- help ------------------------------------------------------------------------ */

/* On this thread, which has no faults. */
static bool holds(const char *name, const char *data, size_t size)
{
	static char buf[SIZE + 1];
	int fd = open(name, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, sizeof buf, 0);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)size && !memcmp(buf, data, size);
}

static int count_in(const char *name)
{
	DIR *d = opendir(name);
	int n = -2;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* The state that each scenario begins with: one file. */
static int put_back(void)
{
	int fd;

	unlink(other);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, text, SIZE, 0) != (ssize_t)SIZE)
		return CHECK_FAILED;
	close(fd);
	CHECK_EQUAL(count_in(folder), 1);
	return 0;
}

/* ---- what is done ---------------------------------------------------------------- */

/* Each returns the first error, and CHECK_FAILED when it was told of a success that was
 * none. What it leaves, whatever happened, is `path` alone. */

static int reads_whole(void)
{
	char *data;
	size_t len;
	int r = an_path_read(path, 0, &data, &len);

	if (r < 0)
		return r;
	r = len == SIZE && !memcmp(data, text, SIZE) ? 0 : CHECK_FAILED;
	free(data);
	return r;
}

static int reads_pieces(void)
{
	static char buf[SIZE + 10];
	const char *line;
	size_t len, lines = 0;
	an_file *f;
	ssize_t n;
	int r = an_file_open(path, O_RDONLY, 0, &f);

	if (r < 0)
		return r;
	n = an_file_pread(f, buf, sizeof buf, 0);
	/* Less than all of it would say that the file ends there. */
	if (n >= 0 && (n != (ssize_t)SIZE || memcmp(buf, text, SIZE) != 0))
		n = CHECK_FAILED;
	r = n < 0 ? (int)n : 0;
	while (r == 0 && (r = an_file_read_line(f, 0, &line, &len)) == 0)
		r = len == 50 && !memcmp(line, text + 50 * lines++, 50) ? 0
									: CHECK_FAILED;
	if (r == AN_ERR_EOF)
		r = lines == SIZE / 50 ? 0 : CHECK_FAILED;
	an_file_close(f);
	return r;
}

static int writes_whole(const an_path_write_opts *opts)
{
	int r = an_path_write(path, new_text, SIZE, opts);

	if (r == 0 && !holds(path, new_text, SIZE))
		r = CHECK_FAILED;
	return r;
}

static int writes_in_place(void)
{
	return writes_whole(&(an_path_write_opts){ .sync = true });
}

static int writes_atomically(void)
{
	return writes_whole(&(an_path_write_opts){ .atomic = true });
}

/* As long as an error sticks, no flush and no sync says that all is well. */
static int writes_pieces(void)
{
	an_file *f;
	int r = an_file_open(path, O_RDWR, 0, &f), later;

	if (r < 0)
		return r;
	r = an_file_buffer(f, 4000);
	for (size_t at = 0; at < SIZE && r == 0; at += 1000)
		r = an_file_write(f, new_text + at, 1000);
	if (r == 0)
		r = an_file_pwrite(f, new_text, 500, 0);
	if (r == 0)
		r = an_file_sync(f);
	if (r == 0)
		r = an_file_datasync(f);
	later = an_file_sync(f);
	if (r == 0)
		r = later;
	if (r != -ENOMEM && (later != r || an_file_flush(f) != r))
		r = CHECK_FAILED;
	/* Seen: what is gathered still can be written. */
	if (r < 0 && r != -ENOMEM && an_file_clear_error(f) != r)
		r = CHECK_FAILED;
	if (an_file_flush(f) < 0)
		r = CHECK_FAILED;
	an_file_close(f);
	if (r == 0 && !holds(path, new_text, SIZE))
		r = CHECK_FAILED;
	return r;
}

static int changes_sizes(void)
{
	struct stat st;
	an_file *f;
	int r = an_file_open(path, O_RDWR, 0, &f);

	if (r < 0)
		return r;
	r = an_file_truncate(f, 77);
	if (r == 0)
		r = an_file_allocate(f, 500);
	if (r == -EOPNOTSUPP)
		r = 0;
	if (r == 0)
		r = an_file_stat(f, &st);
	if (r == 0 && st.st_size != 77 && st.st_size != 500)
		r = CHECK_FAILED;
	an_file_close(f);
	return r;
}

static int copies(void)
{
	int r = an_path_copy(path, other);

	/* The target was not there before. */
	if (r < 0 && access(other, F_OK) == 0)
		r = CHECK_FAILED;
	if (r == 0 && !holds(other, text, SIZE))
		r = CHECK_FAILED;
	if (r == 0)
		r = an_path_copy(path, other);
	unlink(other);
	return r;
}

static int makes_temporaries(void)
{
	char *name = NULL;
	an_file *f = NULL;
	int r = an_temp_open(folder, &f);

	an_file_close(f);
	f = NULL;
	if (r == 0)
		r = an_temp_file(folder, NULL, &name, &f);
	an_file_close(f);
	if (name)
		unlink(name);
	free(name);
	name = NULL;
	if (r == 0)
		r = an_temp_folder(folder, NULL, &name);
	if (name)
		rmdir(name);
	free(name);
	return r;
}

static int lists(void)
{
	an_dir_entry e;
	an_dir *d;
	int r = an_dir_open(folder, &d), count = 0;

	if (r < 0)
		return r;
	while ((r = an_dir_next(d, &e)) == 0)
		count++;
	an_dir_close(d);
	return r == AN_ERR_EOF ? count == 1 ? 0 : CHECK_FAILED : r;
}

static int makes_and_removes_a_tree(void)
{
	char name[96];
	int r, rest;

	snprintf(name, sizeof name, "%s/x/y", inner);
	r = an_path_mkdir_all(name, 0700);
	snprintf(name, sizeof name, "%s/x/f", inner);
	if (r == 0)
		r = an_path_write(name, "", 0, NULL);
	if (r == 0)
		r = an_path_remove_all(inner);
	if (r == 0 && access(inner, F_OK) == 0)
		r = CHECK_FAILED;
	rest = an_path_remove_all(inner);
	return r < 0 ? r : rest == -ENOENT ? 0 : rest;
}

static int moves(void)
{
	int r = an_path_rename(path, other);

	if (r == 0)
		r = an_path_sync(folder);
	if (r == 0)
		r = an_path_rename(other, path);
	if (access(other, F_OK) == 0 && rename(other, path) < 0)
		r = CHECK_FAILED;
	return r;
}

static const struct {
	const char *name;
	int (*fn)(void);
} works[] = {
	{ "reads whole", reads_whole },
	{ "reads pieces", reads_pieces },
	{ "writes in place", writes_in_place },
	{ "writes atomically", writes_atomically },
	{ "writes pieces", writes_pieces },
	{ "changes sizes", changes_sizes },
	{ "copies", copies },
	{ "makes temporaries", makes_temporaries },
	{ "lists", lists },
	{ "makes and removes a tree", makes_and_removes_a_tree },
	{ "moves", moves },
};

#define WORKS (sizeof works / sizeof *works)

/* ---- each system call failing once ----------------------------------------------- */

/* Where the library can do without the call, or it failed when all was done. */
static bool may_succeed(const char *call)
{
	return !strcmp(call, "close") || !strcmp(call, "fstat") || !strcmp(call, "mkdir");
}

static int fail_each(size_t i, int error, int kinds, bool must_work)
{
	int descriptors = count_in("/proc/self/fd");

	for (int n = 1;; n++) {
		bool right;
		int r;

		CHECK_EQUAL(put_back(), 0);
		faults_arm(n, error, kinds);
		r = works[i].fn();
		if (!faults_fired()) {
			CHECK_EQUAL(r, 0);
			return n > 1 || kinds != FAULT_ANY ? 0 : CHECK_FAILED;
		}
		right = must_work ? r == 0
				  : r == -error || (r == 0 && may_succeed(faults.call));
		if (!right)
			fprintf(stderr, "%s: call %d, %s, fails with %s: %s\n",
				works[i].name, n, faults.call, an_strerror(-error),
				an_strerror(r));
		CHECK(right);
		CHECK_EQUAL(count_in("/proc/self/fd"), descriptors);
		CHECK_EQUAL(count_in(folder), 1);
		if (works[i].fn == writes_atomically)
			CHECK(holds(path, text, SIZE) || holds(path, new_text, SIZE));
	}
}

static int with_each_work(int error, int kinds, bool must_work)
{
	/* The thread is there, and what it has open. */
	an_ignore(an_path_unlink("/no/such/file"));
	for (size_t i = 0; i < WORKS; i++)
		CHECK_EQUAL(fail_each(i, error, kinds, must_work), 0);
	return 0;
}

static int fails_with(void *arg)
{
	return with_each_work(*(int *)arg, FAULT_ANY, false);
}

/* One worker: what has come back is the last that was done. */
static const an_loop_opts one_worker = { .offload_threads = 1, .virtual_clock = true };

static void each_system_call_may_fail(void **state)
{
	int errors[] = { EIO, ENOSPC, EDQUOT };

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		assert_int_equal(an_run(fails_with, &errors[i], &one_worker), 0);
}

static int is_interrupted(void *arg)
{
	(void)arg;
	return with_each_work(EINTR, FAULT_SLOW, true);
}

static void each_system_call_may_be_interrupted(void **state)
{
	(void)state;
	assert_int_equal(an_run(is_interrupted, NULL, &one_worker), 0);
}

static int does_little_at_a_time(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < WORKS; i++) {
		CHECK_EQUAL(put_back(), 0);
		CHECK_EQUAL(works[i].fn(), 0);
	}
	return 0;
}

static void reads_and_writes_may_be_short(void **state)
{
	static const int caps[] = { 1, 7, 4096 };

	(void)state;
	for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
		faults.cap = caps[i];
		assert_int_equal(an_run(does_little_at_a_time, NULL, &one_worker), 0);
	}
	faults.cap = 0;
}

/* Short, and then failing: what an atomic write had done till then leaves no trace. */
static int fails_in_the_middle(void *arg)
{
	(void)arg;
	an_ignore(an_path_unlink("/no/such/file"));
	for (size_t i = 0; i < WORKS; i++)
		CHECK_EQUAL(fail_each(i, ENOSPC, FAULT_WRITE, false), 0);
	return 0;
}

static void a_write_may_fail_in_the_middle(void **state)
{
	(void)state;
	faults.cap = 999;
	assert_int_equal(an_run(fails_in_the_middle, NULL, &one_worker), 0);
	faults.cap = 0;
}

/* ---- no descriptors left --------------------------------------------------------- */

static int has_no_descriptors(void *arg)
{
	int (*const calls[])(void) = { reads_whole,	  reads_pieces,
				       writes_in_place,	  writes_atomically,
				       writes_pieces,	  changes_sizes,
				       copies,		  lists,
				       makes_temporaries, NULL };
	struct rlimit had, none;
	int next;

	(void)arg;
	an_ignore(an_path_unlink("/no/such/file"));
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = had;
	for (size_t i = 0; calls[i]; i++) {
		int r;

		CHECK_EQUAL(put_back(), 0);
		next = open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
		CHECK(next >= 0);
		close(next);
		none.rlim_cur = (rlim_t)next;
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
		r = calls[i]();
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &had), 0);
		CHECK_EQUAL(r, -EMFILE);
		CHECK(holds(path, text, SIZE));
		CHECK_EQUAL(count_in(folder), 1);
		CHECK_EQUAL(calls[i](), 0);
	}
	return 0;
}

static void without_descriptors_nothing_is_done(void **state)
{
	(void)state;
	assert_int_equal(an_run(has_no_descriptors, NULL, &one_worker), 0);
}

static int system_has_no_descriptors(void *arg)
{
	(void)arg;
	return with_each_work(ENFILE, FAULT_OPEN | FAULT_TEMP, false);
}

static void a_system_without_descriptors_is_told_of(void **state)
{
	(void)state;
	assert_int_equal(an_run(system_has_no_descriptors, NULL, &one_worker), 0);
}

/* ---- one worker ------------------------------------------------------------------ */

static int stats(void *arg)
{
	struct stat st;

	(void)arg;
	return an_path_stat(path, &st);
}

static int opens_fifo(void *arg)
{
	an_file *f;
	int r = an_file_open(other, O_RDONLY, 0, &f);

	(void)arg;
	if (r == 0)
		an_file_close(f);
	return r;
}

/* A hundred tasks wait behind a worker that is held; all of them are served. */
static int queues_behind_one_worker(void *arg)
{
	an_group group;
	int fd;

	(void)arg;
	CHECK_EQUAL(put_back(), 0);
	CHECK_EQUAL(mkfifo(other, 0600), 0);
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, opens_fifo, NULL));
	for (int i = 0; i < 100; i++)
		an_group_fail(&group, an_group_spawn(&group, stats, NULL));
	while ((fd = open(other, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0)) < 0)
		CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	close(fd);
	return does_little_at_a_time(NULL);
}

static void one_worker_serves_all(void **state)
{
	(void)state;
	assert_int_equal(an_run(queues_behind_one_worker, NULL, &one_worker), 0);
}

/* ---- cancelled, and out of memory ------------------------------------------------ */

static int begin(void *arg)
{
	(void)arg;
	rmdir(inner);
	return put_back();
}

/* Of file.h and path.h, what no other test has in a body that is cancelled. */
static int other_calls(void *arg)
{
	struct stat st;
	an_file *f;
	int r = an_file_open(path, O_RDWR, 0, &f);

	(void)arg;
	if (r < 0)
		return r;
	r = an_file_pwrite(f, text, SIZE, 0);
	if (r == 0)
		r = (int)an_file_pread(f, &(char){ 0 }, 1, 3);
	if (r >= 0)
		r = an_file_truncate(f, (off_t)SIZE);
	if (r == 0)
		r = an_file_allocate(f, (off_t)SIZE);
	if (r == 0 || r == -EOPNOTSUPP)
		r = an_file_stat(f, &st);
	if (r == 0)
		r = an_file_sync(f);
	if (r == 0)
		r = an_file_datasync(f);
	if (r == 0)
		r = an_file_flush(f);
	/* No cancellation sticks. */
	if (an_file_clear_error(f) != 0)
		r = CHECK_FAILED;
	an_file_close(f);
	if (r == 0)
		r = an_path_rename(path, path);
	if (r == 0)
		r = an_path_sync(folder);
	if (r == 0)
		r = an_path_mkdir(inner, 0700);
	if (r == 0)
		r = an_path_rmdir(inner);
	return r < 0 ? r : an_path_write(other, "x", 1, NULL);
}

static int all_is_whole(void *arg)
{
	(void)arg;
	an_ignore(an_path_rmdir(inner));
	CHECK(holds(path, text, SIZE));
	/* done, or not begun: it is the last of them */
	CHECK(access(other, F_OK) < 0 || holds(other, "x", 1));
	an_ignore(an_path_unlink(other));
	CHECK_EQUAL(count_in(folder), 1);
	return 0;
}

static int body_unlinks(void *arg)
{
	(void)arg;
	return an_path_unlink(path);
}

static int there_or_not(void *arg)
{
	(void)arg;
	CHECK_EQUAL(count_in(folder), holds(path, text, SIZE));
	return 0;
}

CANCEL_TEST(other_calls_happen_or_do_not, begin, other_calls, all_is_whole, NULL)
CANCEL_TEST(a_name_is_removed_or_not, begin, body_unlinks, there_or_not, NULL)

TASK_TEST(every_allocation_may_fail)
{
	int descriptors, r;

	an_ignore(an_path_unlink("/no/such/file"));
	descriptors = count_in("/proc/self/fd");
	for (size_t n = 1;; n++) {
		CHECK_EQUAL(begin(NULL), 0);
		an_testing_fail_allocation(n);
		r = other_calls(NULL);
		for (size_t i = 0; i < WORKS && r == 0; i++) {
			if (i)
				unlink(other);
			if (put_back() == 0)
				r = works[i].fn();
		}
		if (!an_testing_allocation_failed())
			break;
		/* One more thread is started where there is the memory for it. */
		CHECK(r == -ENOMEM || r == 0);
		an_ignore(an_path_remove_all(inner));
		CHECK_EQUAL(count_in("/proc/self/fd"), descriptors);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_system_call_may_fail),
	cmocka_unit_test(each_system_call_may_be_interrupted),
	cmocka_unit_test(reads_and_writes_may_be_short),
	cmocka_unit_test(a_write_may_fail_in_the_middle),
	cmocka_unit_test(without_descriptors_nothing_is_done),
	cmocka_unit_test(a_system_without_descriptors_is_told_of),
	cmocka_unit_test(one_worker_serves_all),
	cmocka_unit_test(other_calls_happen_or_do_not),
	cmocka_unit_test(a_name_is_removed_or_not),
	cmocka_unit_test(every_allocation_may_fail),
};

TEST_MAIN_WITH("file-faults", tests, make_folder, remove_folder)
