/* io_uring: what goes through it, that all is right without it, before and in mid-flight,
 * cancellation, fork() and the end of the loop with operations under way.
 *
 * Operations on pipes, which no an_file has done by a ring, are how a test has one fly
 * for as long as it likes.
 */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include "loop/io/uring.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define SIZE (300 * 1024)

static char folder[] = "/tmp/asyncnet-uring-XXXXXX";
static char path[64];
static char text[SIZE];
static bool available; /* the kernel lets this program have a ring */

static const an_loop_opts on = { .io_uring = AN_IO_URING_ON };
static const an_loop_opts on_virtual = { .io_uring = AN_IO_URING_ON,
					 .virtual_clock = true };

/* ---- the system's calls ---------------------------------------------------------- */

/* Nothing is ever cached, and workers' reads are counted. */
static atomic_int nowaits, worker_reads, worker_syncs;

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	(void)fd, (void)iov, (void)count, (void)offset, (void)flags;
	nowaits++;
	errno = EAGAIN;
	return -1;
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	worker_reads++;
	return syscall(SYS_pread64, fd, buf, len, offset);
}

int fsync(int fd)
{
	worker_syncs++;
	return (int)syscall(SYS_fsync, fd);
}

/* Has the system call answer with `error` in this process from now on. */
static int deny(int number, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? -errno : 0;
}

/* ---- help ------------------------------------------------------------------------ */

static bool ring_is_there(void)
{
	return an__uring_done(an_loop_current()) >= 0;
}

static int try_ring(void *arg)
{
	an_file *f;
	int r = an_file_open(path, O_RDONLY, 0, &f);
	char byte;

	(void)arg;
	if (r < 0)
		return r;
	r = (int)an_file_pread(f, &byte, 1, 0);
	available = ring_is_there();
	an_file_close(f);
	return r;
}

static int set_up(void **state)
{
	FILE *f;

	(void)state;
	unsetenv("AN_IO_URING");
	for (size_t i = 0; i < SIZE; i++)
		text[i] = (char)(i % 50 == 49 ? '\n' : 'a' + i * 31 / 7 % 26);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/a", folder);
	f = fopen(path, "w");
	if (!f || fwrite(text, 1, SIZE, f) != SIZE || fclose(f))
		return -1;
	if (an_run(try_ring, NULL, &on) != 1)
		return -1;
	if (!available)
		print_message("no io_uring: not built in, or the kernel refuses it\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void needs_ring(void)
{
	if (!available)
		skip();
}

/* Runs fn in a child process. Returns what it did. */
static int in_child(an_task_fn fn, int (*before)(void), const an_loop_opts *opts)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		int r;

		alarm(an__test_seconds());
		r = before ? before() : 0;

		if (r < 0)
			_exit(77);
		_exit(an_run(fn, NULL, opts) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void set_event(void *arg)
{
	an_event_set(arg);
}

/* All that were ready have run, and a turn has ended since: what they have queued is with
 * the kernel. */
static int next_turn(void)
{
	for (int i = 0; i < 2; i++) {
		an_event there = AN_EVENT_INIT;
		int r = an_call_soon(set_event, &there, NULL);

		if (r == 0)
			r = an_event_wait(&there);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what goes through it -------------------------------------------------------- */

static int lines_are_right(an_file *f)
{
	const char *line;
	size_t len, at = 0;
	int r;

	while ((r = an_file_read_line(f, 0, &line, &len)) == 0) {
		CHECK(at + len <= SIZE && !memcmp(line, text + at, len));
		at += len;
	}
	CHECK_EQUAL(r, AN_ERR_EOF);
	CHECK_EQUAL(at, SIZE);
	return 0;
}

/* All that may go through the ring, right wherever it goes. */
static int reads_and_writes(void *arg)
{
	static char buf[SIZE + 10];
	an_file *f;

	(void)arg;
	CHECK_EQUAL(an_file_open(path, O_RDWR, 0, &f), 0);
	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, 0), SIZE);
	CHECK(!memcmp(buf, text, SIZE));
	CHECK_EQUAL(an_file_pread(f, buf, 5000, 777), 5000);
	CHECK(!memcmp(buf, text + 777, 5000));
	CHECK_EQUAL(an_file_pread(f, buf, 5000, SIZE - 10), 10);
	CHECK_EQUAL(an_file_pread(f, buf, 5000, SIZE), 0);
	CHECK_EQUAL(lines_are_right(f), 0);
	CHECK_EQUAL(an_file_seek(f, 100, SEEK_SET, NULL), 0);
	CHECK_EQUAL(an_file_read(f, buf, 20000), 20000);
	CHECK(!memcmp(buf, text + 100, 20000));
	CHECK_EQUAL(an_file_write(f, text + 20100, 10), 0);
	CHECK_EQUAL(an_file_sync(f), 0);
	CHECK_EQUAL(an_file_datasync(f), 0);
	CHECK_EQUAL(an_file_read(f, buf, 10), 10);
	CHECK(!memcmp(buf, text + 20110, 10));
	an_file_close(f);
	CHECK_EQUAL(an_file_open(path, O_WRONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_pread(f, buf, 10, 0), -EBADF);
	an_file_close(f);
	return 0;
}

static int the_ring_does_it(void *arg)
{
	worker_reads = worker_syncs = 0;
	CHECK_EQUAL(reads_and_writes(arg), 0);
	CHECK(an__uring_done(an_loop_current()) > 8);
	CHECK_EQUAL(worker_reads, 0);
	return 0;
}

static void what_is_not_cached_goes_through_the_ring(void **state)
{
	(void)state;
	needs_ring();
	assert_int_equal(an_run(the_ring_does_it, NULL, &on), 0);
	assert_int_equal(an_run(the_ring_does_it, NULL, &on_virtual), 0);
}

/* Aligned to what any disk asks for. */
static _Alignas(4096) char aligned[8192];

static int reads_past_the_cache(void *arg)
{
	an_file *f;
	int r = an_file_open(path, O_RDWR | O_DIRECT, 0, &f);
	long before;

	if (r == -EINVAL)
		return 0; /* a file system without */
	CHECK_EQUAL(r, 0);
	nowaits = 0;
	CHECK_EQUAL(an_file_pread(f, aligned, sizeof aligned, 4096), sizeof aligned);
	CHECK(!memcmp(aligned, text + 4096, sizeof aligned));
	before = an__uring_done(an_loop_current());
	CHECK_EQUAL(an_file_pwrite(f, aligned, sizeof aligned, 4096), 0);
	CHECK_EQUAL(an_file_write(f, text, 0), 0);
	CHECK_EQUAL(an_file_read(f, aligned, 4096), 4096);
	CHECK(!memcmp(aligned, text, 4096));
	/* Half a sector cannot be written, whoever does it; nor is it lost quietly. */
	CHECK_EQUAL(an_file_pwrite(f, aligned, 100, 1), -EINVAL);
	CHECK_EQUAL(an_file_sync(f), -EINVAL);
	CHECK_EQUAL(nowaits, 0);
	if (arg)
		CHECK(an__uring_done(an_loop_current()) >= before + 2);
	an_file_close(f);
	return 0;
}

static int goes_on_past_the_cache(void *arg)
{
	char name[80];
	an_file *f;
	int r;

	(void)arg;
	snprintf(name, sizeof name, "%s/own", folder);
	r = an_file_open(name, O_RDWR | O_CREAT | O_DIRECT, 0600, &f);
	if (r == -EINVAL)
		return an_path_unlink(name);
	CHECK_EQUAL(r, 0);
	for (int i = 0; i < 4; i++) {
		memset(aligned, 'a' + i, 4096);
		CHECK_EQUAL(an_file_write(f, aligned, 4096), 0);
	}
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_SET, NULL), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(an_file_read(f, aligned, 4096), 4096);
		CHECK(aligned[0] == 'a' + i && aligned[4095] == 'a' + i);
	}
	CHECK_EQUAL(an_file_read(f, aligned, 4096), 0);
	an_file_close(f);
	CHECK_EQUAL(an_file_open(name, O_WRONLY | O_APPEND | O_DIRECT, 0, &f), 0);
	CHECK_EQUAL(an_file_write(f, aligned, 4096), 0);
	CHECK_EQUAL(an_file_write(f, aligned, 4096), 0);
	CHECK_EQUAL(lseek(an_file_fd(f), 0, SEEK_CUR), 6 * 4096);
	an_file_close(f);
	return an_path_unlink(name);
}

/* The kernel does not move it on when a disk is waited for. */
static void the_files_own_position_moves_on_past_the_cache(void **state)
{
	(void)state;
	assert_int_equal(an_run(goes_on_past_the_cache, NULL, NULL), 0);
	assert_int_equal(an_run(goes_on_past_the_cache, NULL, &on), 0);
}

/* With RWF_NOWAIT the loop would wait for the disk all the same. */
static void direct_reads_are_not_tried_on_the_loop(void **state)
{
	(void)state;
	assert_int_equal(an_run(reads_past_the_cache, NULL, NULL), 0);
	assert_int_equal(an_run(reads_past_the_cache, available ? text : NULL, &on), 0);
}

static int read_at_some_place(void *arg)
{
	static int place;
	an_file *f = arg;
	char buf[4096];
	off_t at = place++ * 777 % (SIZE - 4096);

	CHECK_EQUAL(an_file_pread(f, buf, sizeof buf, at), sizeof buf);
	CHECK(!memcmp(buf, text + at, sizeof buf));
	return 0;
}

static int reads_a_lot_at_once(void *arg)
{
	an_group group;
	an_file *f;
	int r;

	(void)arg;
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &f), 0);
	an_group_begin(&group);
	for (int i = 0; i < 500; i++)
		an_group_fail(&group, an_group_spawn(&group, read_at_some_place, f));
	r = an_group_end(&group);
	an_file_close(f);
	return r;
}

static void more_reads_than_the_ring_has_room_for_are_all_done(void **state)
{
	(void)state;
	assert_int_equal(an_run(reads_a_lot_at_once, NULL, &on), 0);
}

/* ---- whether it is used ---------------------------------------------------------- */

static int tells_whether_used(void *arg)
{
	bool *used = arg;
	int r = try_ring(NULL);

	*used = available;
	return r < 0 ? r : 0;
}

static bool is_used(an_io_uring option, const char *word)
{
	bool had = available, used = false;

	if (word)
		setenv("AN_IO_URING", word, 1);
	assert_int_equal(an_run(tells_whether_used, &used,
				&(an_loop_opts){ .io_uring = option }),
			 0);
	unsetenv("AN_IO_URING");
	available = had;
	return used;
}

static void the_options_and_the_environment_switch_it(void **state)
{
	(void)state;
	needs_ring();
	assert_true(is_used(AN_IO_URING_ON, NULL));
	assert_true(is_used(AN_IO_URING_ON, ""));
	assert_false(is_used(AN_IO_URING_ON, "0"));
	assert_false(is_used(AN_IO_URING_OFF, NULL));
	assert_false(is_used(AN_IO_URING_OFF, "1"));
	assert_true(is_used(AN_IO_URING_DEFAULT, "1"));
	assert_false(is_used(AN_IO_URING_DEFAULT, "0"));
}

/* ---- a kernel that refuses ------------------------------------------------------- */

static int refused_number, refused_error;

static int deny_one(void)
{
	return deny(refused_number, refused_error);
}

static int works_without(void *arg)
{
	CHECK_EQUAL(reads_and_writes(arg), 0);
	CHECK(!ring_is_there());
	return reads_a_lot_at_once(arg);
}

static void a_kernel_that_refuses_leaves_it_to_the_workers(void **state)
{
	static const int errors[] = { EPERM, ENOSYS, ENOMEM, EACCES };
	static const int numbers[] = { SYS_io_uring_setup, SYS_io_uring_register,
				       SYS_io_uring_enter };

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		for (size_t k = 0; k < sizeof errors / sizeof *errors; k++) {
			int r;

			refused_number = numbers[i];
			refused_error = errors[k];
			r = in_child(works_without, deny_one, &on);
			if (r == 77)
				skip(); /* no seccomp in this kernel */
			assert_int_equal(r, 0);
		}
	}
}

static int no_locked_memory(void)
{
	struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_MEMLOCK, &none) < 0 ? -errno : 0;
}

static void a_limit_on_locked_memory_is_survived(void **state)
{
	(void)state;
	assert_int_equal(in_child(reads_and_writes, no_locked_memory, &on), 0);
}

static int ends[2]; /* of a pipe */

static int reads_pipe(void *arg)
{
	ssize_t n = 0;
	char byte;
	int r = an__uring_read(ends[0], &byte, 1, -1, &n);

	if (arg)
		*(int *)arg = r == 1 ? (int)n : r;
	return r < 0 ? r : 0;
}

/* One operation flies, some wait for the turn's end, some come later. */
static int is_refused_in_mid_flight(void *arg)
{
	an_group group;
	an_file *f;
	int got = -1;

	(void)arg;
	CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &f), 0);
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, reads_pipe, &got));
	CHECK_EQUAL(next_turn(), 0);
	CHECK(ring_is_there());
	CHECK_EQUAL(an__uring_done(an_loop_current()), 0);
	/* Before any other is asked for: the kernel could have done it by now. */
	CHECK_EQUAL(deny(SYS_io_uring_enter, EPERM), 0);
	for (int i = 0; i < 20; i++)
		an_group_fail(&group, an_group_spawn(&group, read_at_some_place, f));
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(next_turn(), 0);
	CHECK(!ring_is_there());
	for (int i = 0; i < 20; i++)
		an_group_fail(&group, an_group_spawn(&group, read_at_some_place, f));
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(write(ends[1], "x", 1), 1);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(got, 1);
	an_file_close(f);
	return reads_and_writes(NULL);
}

static void a_refusal_in_mid_flight_loses_nothing(void **state)
{
	(void)state;
	needs_ring();
	assert_int_equal(in_child(is_refused_in_mid_flight, NULL, &on), 0);
}

static int child_reads_all(void *arg)
{
	(void)arg;
	return reads_and_writes(NULL);
}

static int never_comes(void *arg)
{
	an_event never = AN_EVENT_INIT;
	int r = child_reads_all(arg);

	return r < 0 ? r : an_event_wait(&never);
}

/* The ring's own event is nothing that a task waits for. */
static void an_idle_ring_hides_no_run_that_is_stuck(void **state)
{
	(void)state;
	assert_int_equal(an_run(never_comes, NULL, &on_virtual), AN_ERR_STUCK);
}

/* ---- cancelled ------------------------------------------------------------------- */

static int victim(void *arg)
{
	char buf[4096];
	an_file *f;
	int r = an_file_open(path, O_RDWR, 0, &f);

	(void)arg;
	if (r < 0)
		return r;
	r = (int)an_file_pread(f, buf, sizeof buf, 4096);
	if (r >= 0 && memcmp(buf, text + 4096, sizeof buf) != 0)
		r = CHECK_FAILED;
	if (r >= 0)
		r = (int)an_file_read(f, buf, 100);
	if (r >= 0)
		r = an_file_sync(f);
	if (r >= 0)
		r = an_file_clear_error(f);
	an_file_close(f);
	return r;
}

static int direct_victim(void *arg)
{
	an_file *f;
	int r = an_file_open(path, O_RDWR | O_DIRECT, 0, &f);

	(void)arg;
	if (r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	memcpy(aligned, text, sizeof aligned);
	r = an_file_pwrite(f, aligned, sizeof aligned, 0);
	if (r == 0)
		r = (int)an_file_pread(f, aligned, sizeof aligned, 0);
	CHECK_EQUAL(an_file_clear_error(f), 0);
	an_file_close(f);
	return r < 0 ? r : 0;
}

static int nothing_has_changed(void *arg)
{
	return child_reads_all(arg);
}

static void operations_can_be_cancelled_at_each_step(void **state)
{
	an_testing_scenario scenarios[] = {
		{ NULL, victim, nothing_has_changed, NULL },
		{ NULL, direct_victim, nothing_has_changed, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		assert_int_equal(
			an_testing_cancel_at_each_step(
				&scenarios[i],
				&(an_testing_opts){ .loop = &on, .rounds = 3 }),
			0);
}

/* Queued still: it is taken back. With the kernel: it is awaited. */
static int cancels_before_and_in_flight(void *arg)
{
	int got = -1, result;
	an_task *t;
	char byte;

	(void)arg;
	CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
	CHECK_EQUAL(an_spawn(reads_pipe, &got, NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(write(ends[1], "y", 1), 1);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(next_turn(), 0);
	CHECK_EQUAL(read(ends[0], &byte, 1), 1);
	CHECK_EQUAL(an_spawn(reads_pipe, &got, NULL, &t), 0);
	CHECK_EQUAL(next_turn(), 0);
	an_cancel(t);
	CHECK_EQUAL(next_turn(), 0);
	CHECK(!an_done(t));
	CHECK_EQUAL(write(ends[1], "z", 1), 1);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(got, 1);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void a_cancelled_operation_is_taken_back_or_awaited(void **state)
{
	(void)state;
	needs_ring();
	assert_int_equal(an_run(cancels_before_and_in_flight, NULL, &on_virtual), 0);
}

/* ---- the end, and fork() --------------------------------------------------------- */

static sem_t left;

static void *write_when_left(void *arg)
{
	(void)arg;
	while (sem_wait(&left) < 0)
		;
	return write(ends[1], "x", 1) == 1 ? NULL : (void *)1;
}

static int leaves_a_read(void *arg)
{
	CHECK_EQUAL(an_spawn(reads_pipe, arg, NULL, NULL), 0);
	CHECK_EQUAL(next_turn(), 0);
	sem_post(&left);
	return 0;
}

static void a_loop_outlives_what_is_under_way(void **state)
{
	pthread_t writer;
	void *failed;
	int got = -1;

	(void)state;
	needs_ring();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(sem_init(&left, 0, 0), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_when_left, NULL), 0);
	assert_int_equal(an_run(leaves_a_read, &got, &on), 0);
	assert_int_equal(got, 1);
	pthread_join(writer, &failed);
	assert_null(failed);
	close(ends[0]);
	close(ends[1]);
}

static int rings_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	while (d && (entry = readdir(d))) {
		char target[64] = "";

		if (readlinkat(dirfd(d), entry->d_name, target, sizeof target - 1) > 0)
			count += !strcmp(target, "anon_inode:[io_uring]");
	}
	closedir(d);
	return count;
}

static int child_of_a_fork(void)
{
	if (rings_open())
		return 2;
	an_after_fork_child();
	if (an_run(the_ring_does_it, NULL, &on))
		return 3;
	return 0;
}

static int forks_with_a_read_under_way(void *arg)
{
	int got = -1, result, status;
	an_task *t;
	pid_t child;

	(void)arg;
	CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
	CHECK_EQUAL(an_spawn(reads_pipe, &got, NULL, &t), 0);
	CHECK_EQUAL(next_turn(), 0);
	child = fork();
	if (child == 0) {
		alarm(an__test_seconds());
		_exit(child_of_a_fork());
	}
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
	CHECK_EQUAL(got, -1);
	CHECK_EQUAL(write(ends[1], "x", 1), 1);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(got, 1);
	close(ends[0]);
	close(ends[1]);
	return the_ring_does_it(NULL);
}

static void a_child_has_a_ring_of_its_own_or_none(void **state)
{
	(void)state;
	needs_ring();
	assert_int_equal(an_run(forks_with_a_read_under_way, NULL, &on), 0);
	assert_int_equal(rings_open(), 0);
}

static int tells_its_result(void *arg)
{
	*(int *)arg = reads_and_writes(NULL);
	return 0;
}

static void an_attached_loop_has_one_too(void **state)
{
	struct event_base *base = event_base_new();
	an_loop *loop;

	(void)state;
	assert_int_equal(an_loop_attach(base, &on, &loop), 0);
	for (int i = 0; i < 2; i++) {
		int result = 1;

		assert_int_equal(an_spawn(tells_its_result, &result, NULL, NULL), 0);
		while (result > 0)
			assert_int_not_equal(event_base_loop(base, EVLOOP_ONCE), -1);
		assert_int_equal(result, 0);
	}
	assert_int_equal(ring_is_there(), available);
	assert_null(an_loop_detach(loop));
	assert_int_equal(rings_open(), 0);
	assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(base);
}

/* ---- out of memory --------------------------------------------------------------- */

static void every_allocation_may_fail(void **state)
{
	int r;

	(void)state;
	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_run(victim, NULL, &on);
		if (!an_testing_allocation_failed())
			break;
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_int_equal(r, 0);
	assert_int_equal(rings_open(), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_is_not_cached_goes_through_the_ring),
	cmocka_unit_test(direct_reads_are_not_tried_on_the_loop),
	cmocka_unit_test(the_files_own_position_moves_on_past_the_cache),
	cmocka_unit_test(more_reads_than_the_ring_has_room_for_are_all_done),
	cmocka_unit_test(the_options_and_the_environment_switch_it),
	cmocka_unit_test(a_kernel_that_refuses_leaves_it_to_the_workers),
	cmocka_unit_test(a_limit_on_locked_memory_is_survived),
	cmocka_unit_test(a_refusal_in_mid_flight_loses_nothing),
	cmocka_unit_test(an_idle_ring_hides_no_run_that_is_stuck),
	cmocka_unit_test(operations_can_be_cancelled_at_each_step),
	cmocka_unit_test(a_cancelled_operation_is_taken_back_or_awaited),
	cmocka_unit_test(a_loop_outlives_what_is_under_way),
	cmocka_unit_test(a_child_has_a_ring_of_its_own_or_none),
	cmocka_unit_test(an_attached_loop_has_one_too),
	cmocka_unit_test(every_allocation_may_fail),
};

TEST_MAIN_WITH("uring", tests, set_up, tear_down)
