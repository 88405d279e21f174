/* Names: whole files, copies, folders, temporary files, and what fails of them. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char folder[] = "/tmp/asyncnet-path-XXXXXX";
static char path[64], other[64], inner[64];

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
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(folder);
}

/* ---- the system's calls, which can be made to fail -------------------------------- */

/* Calls that pass before one fails, and with what; the library's calls to these are this
 * program's. */
struct fault {
	atomic_int error, after;
};

static struct fault on_write, on_fsync, on_copy, on_rename;
static atomic_int batches, inside, cap_write;
static atomic_bool hold_batches, hold_copies, hold_temporary;

static void system_works(void)
{
	on_write.error = on_fsync.error = on_copy.error = on_rename.error = 0;
	on_write.after = on_fsync.after = on_copy.after = on_rename.after = 0;
	batches = inside = cap_write = 0;
}

static bool fails(struct fault *f)
{
	int error = f->error;

	if (!error || f->after-- > 0)
		return false;
	errno = error;
	return true;
}

ssize_t write(int fd, const void *data, size_t len)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return syscall(SYS_write, fd, data, len);
	if (fails(&on_write))
		return -1;
	if (cap_write && len > (size_t)cap_write)
		len = (size_t)cap_write;
	return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
	return fails(&on_fsync) ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
			unsigned flags)
{
	if (fails(&on_copy))
		return -1;
	inside++;
	while (hold_copies)
		sched_yield();
	return syscall(SYS_copy_file_range, in, in_at, out, out_at, len, flags);
}

int rename(const char *from, const char *to)
{
	return fails(&on_rename)
		       ? -1
		       : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkostemp(char *name, int flags)
{
	int fd = mkostemps(name, 0, flags);

	inside++;
	while (hold_temporary)
		sched_yield();
	return fd;
}

ssize_t getdents64(int fd, void *buf, size_t len)
{
	batches++;
	while (hold_batches)
		sched_yield();
	return syscall(SYS_getdents64, fd, buf, len);
}

/* ---- help ------------------------------------------------------------------------- */

/* The entries of a folder, without what the library has to do with it. */
static int count_in(const char *name)
{
	struct dirent **list;
	int n = scandir(name, &list, NULL, NULL);

	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return n - 2;
}

static bool file_is(const char *name, const char *text)
{
	char *data;
	size_t len;
	bool same;

	if (an_path_read(name, 0, &data, &len) < 0)
		return false;
	same = len == strlen(text) && !memcmp(data, text, len + 1);
	free(data);
	return same;
}

static size_t open_descriptors(void)
{
	return (size_t)count_in("/proc/self/fd");
}

/* One worker: when a call has come back, all before it have ended. */
static const an_loop_opts one_worker = { .offload_threads = 1 };

static int cancel_at_each_step(an_testing_scenario s)
{
	return an_testing_cancel_at_each_step(
		&s, &(an_testing_opts){ .loop = &one_worker, .rounds = 3 });
}

static int settle_workers(void)
{
	struct stat st;

	return an_path_stat("/", &st);
}

/* ---- whole files ------------------------------------------------------------------ */

TASK_TEST(a_file_is_written_and_read_in_one_call)
{
	struct stat st;
	mode_t mask = umask(022);
	size_t len;
	char *data;

	CHECK_EQUAL(an_path_write(path, "hello", 5, NULL), 0);
	umask(mask);
	CHECK(file_is(path, "hello"));
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0644);
	CHECK_EQUAL(an_path_write(path, "you", 3, &(an_path_write_opts){ .sync = true }),
		    0);
	CHECK(file_is(path, "you"));
	CHECK_EQUAL(
		an_path_write(path, " there", 6, &(an_path_write_opts){ .append = true }),
		0);
	CHECK(file_is(path, "you there"));
	CHECK_EQUAL(an_path_write(path, NULL, 0, NULL), 0);
	CHECK(file_is(path, ""));
	/* A file that has no size. */
	CHECK_EQUAL(an_path_read("/proc/self/status", 0, &data, &len), 0);
	CHECK(len > 100 && !memcmp(data, "Name:", 5) && strlen(data) == len);
	free(data);
	return 0;
}

TASK_TEST(a_file_larger_than_the_limit_is_not_read)
{
	static char text[100000];
	size_t len = 7, big = sizeof text;
	char *data = NULL;

	memset(text, 'x', sizeof text);
	CHECK_EQUAL(an_path_write(path, text, big, NULL), 0);
	CHECK_EQUAL(an_path_read(path, big - 1, &data, &len), AN_ERR_LIMIT);
	CHECK(!data && len == 7);
	CHECK_EQUAL(an_path_read(path, big, &data, &len), 0);
	CHECK(len == big && !memcmp(data, text, big) && !data[len]);
	free(data);
	data = NULL;
	CHECK_EQUAL(an_path_read("/proc/self/status", 10, &data, &len), AN_ERR_LIMIT);
	CHECK_EQUAL(an_path_read("/dev/zero", 100000, &data, &len), AN_ERR_LIMIT);
	CHECK_EQUAL(an_path_read(path, SIZE_MAX, &data, &len), -EINVAL);
	CHECK_EQUAL(an_path_read(folder, 0, &data, &len), -EISDIR);
	CHECK_EQUAL(an_path_read("/no/such", 0, &data, &len), -ENOENT);
	CHECK(!data);
	return 0;
}

static const an_path_write_opts atomically = { .atomic = true };

TASK_TEST(an_atomic_write_replaces_the_file_and_keeps_its_mode)
{
	struct stat before, after;

	unlink(path);
	CHECK_EQUAL(an_path_write(path, "one", 3,
				  &(an_path_write_opts){ .atomic = true, .mode = 0600 }),
		    0);
	CHECK_EQUAL(an_path_stat(path, &before), 0);
	CHECK_EQUAL(before.st_mode & 07777, 0600);
	CHECK_EQUAL(chmod(path, 0640), 0);
	CHECK_EQUAL(an_path_write(path, "two", 3, &atomically), 0);
	CHECK(file_is(path, "two"));
	CHECK_EQUAL(an_path_stat(path, &after), 0);
	CHECK(before.st_ino != after.st_ino);
	CHECK_EQUAL(after.st_mode & 07777, 0640);
	/* through a link */
	unlink(other);
	CHECK_EQUAL(symlink("a", other), 0);
	CHECK_EQUAL(an_path_write(other, "three", 5, &atomically), 0);
	CHECK(file_is(path, "three"));
	CHECK_EQUAL(an_path_lstat(other, &after), 0);
	CHECK(S_ISLNK(after.st_mode));
	CHECK_EQUAL(unlink(other), 0);
	CHECK_EQUAL(count_in(folder), 1);
	CHECK_EQUAL(an_path_write(folder, "x", 1, &atomically), -EISDIR);
	CHECK_EQUAL(an_path_write("/dev/null", "x", 1, &atomically), -EINVAL);
	CHECK_EQUAL(an_path_write("/no/such/folder", "x", 1, &atomically), -ENOENT);
	CHECK_EQUAL(
		an_path_write(path, "x", 1,
			      &(an_path_write_opts){ .atomic = true, .append = true }),
		-EINVAL);
	return 0;
}

TASK_TEST(an_atomic_write_that_fails_leaves_the_old_file)
{
	struct {
		struct fault *fault;
		int after, error;
	} cases[] = { { &on_write, 0, ENOSPC },
		      { &on_write, 1, EIO },
		      { &on_fsync, 0, EIO },
		      { &on_rename, 0, EACCES } };

	CHECK_EQUAL(an_path_write(path, "old", 3, NULL), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		system_works();
		cap_write = 1;
		cases[i].fault->after = cases[i].after;
		cases[i].fault->error = cases[i].error;
		CHECK_EQUAL(an_path_write(path, "new", 3, &atomically), -cases[i].error);
		system_works();
		CHECK(file_is(path, "old"));
		CHECK_EQUAL(count_in(folder), 1);
	}
	/* The folder's sync comes last: told, but the file is there. */
	on_fsync.after = 1;
	on_fsync.error = EIO;
	CHECK_EQUAL(an_path_write(path, "new", 3, &atomically), -EIO);
	system_works();
	CHECK(file_is(path, "new"));
	cap_write = 1;
	CHECK_EQUAL(an_path_write(path, "byte by byte", 12, NULL), 0);
	CHECK(file_is(path, "byte by byte"));
	system_works();
	CHECK_EQUAL(an_path_write("/dev/full", "x", 1, NULL), -ENOSPC);
	return 0;
}

/* ---- copies ----------------------------------------------------------------------- */

TASK_TEST(a_copy_has_the_data_and_the_mode)
{
	static char text[300000];
	struct stat st;
	char *data;
	size_t len;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 31 >> 3);
	unlink(other);
	CHECK_EQUAL(an_path_write(path, text, sizeof text, NULL), 0);
	CHECK_EQUAL(chmod(path, 0700), 0);
	for (int i = 0; i < 4; i++) {
		system_works();
		on_copy.error = (int[]){ 0, EXDEV, EINVAL, EOPNOTSUPP }[i];
		on_copy.after = i == 3; /* in the middle of it */
		CHECK_EQUAL(an_path_copy(path, other), 0);
		CHECK_EQUAL(an_path_read(other, 0, &data, &len), 0);
		CHECK(len == sizeof text && !memcmp(data, text, len));
		free(data);
	}
	CHECK_EQUAL(an_path_stat(other, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0700);
	system_works();
	/* a shorter one over a longer one; one that is made as it is read */
	CHECK_EQUAL(an_path_write(path, "short", 5, NULL), 0);
	CHECK_EQUAL(an_path_copy(path, other), 0);
	CHECK(file_is(other, "short"));
	CHECK_EQUAL(an_path_copy("/proc/self/status", other), 0);
	CHECK_EQUAL(an_path_stat(other, &st), 0);
	CHECK(st.st_size > 100);
	return 0;
}

TASK_TEST(a_copy_that_fails_leaves_no_new_file)
{
	CHECK_EQUAL(an_path_write(path, "text", 4, NULL), 0);
	unlink(other);
	system_works();
	CHECK_EQUAL(an_path_copy(path, path), -EINVAL);
	CHECK(file_is(path, "text"));
	CHECK_EQUAL(an_path_copy(folder, other), -EISDIR);
	CHECK_EQUAL(an_path_copy(path, folder), -EISDIR);
	CHECK_EQUAL(an_path_copy("/no/such", other), -ENOENT);
	CHECK_EQUAL(an_path_copy(path, "/no/such/file"), -ENOENT);
	CHECK_EQUAL(an_path_copy(path, "/dev/full"), -ENOSPC);
	on_copy.error = EIO;
	CHECK_EQUAL(an_path_copy(path, other), -EIO);
	on_copy.error = EXDEV;
	on_write.error = ENOSPC;
	CHECK_EQUAL(an_path_copy(path, other), -ENOSPC);
	system_works();
	CHECK_EQUAL(access(other, F_OK), -1);
	return 0;
}

/* ---- folders ---------------------------------------------------------------------- */

TASK_TEST(folders_are_made_with_those_above_them)
{
	char deep[96], blocked[96];
	struct stat st;

	snprintf(deep, sizeof deep, "%s//x/y/", inner);
	CHECK_EQUAL(an_path_mkdir(deep, 0700), -ENOENT);
	CHECK_EQUAL(an_path_mkdir_all(deep, 0500), 0);
	CHECK_EQUAL(an_path_mkdir_all(deep, 0700), 0);
	CHECK_EQUAL(an_path_stat(deep, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0500);
	CHECK_EQUAL(an_path_rmdir(inner), -ENOTEMPTY);
	CHECK_EQUAL(an_path_rmdir(deep), 0);
	snprintf(blocked, sizeof blocked, "%s/x/f", inner);
	CHECK_EQUAL(an_path_write(blocked, "", 0, NULL), 0);
	CHECK_EQUAL(an_path_mkdir_all(blocked, 0700), -EEXIST);
	snprintf(blocked, sizeof blocked, "%s/x/f/g", inner);
	CHECK_EQUAL(an_path_mkdir_all(blocked, 0700), -ENOTDIR);
	snprintf(blocked, sizeof blocked, "%s/x/nowhere", inner);
	CHECK_EQUAL(an_path_symlink("where/nobody/is", blocked), 0);
	CHECK_EQUAL(an_path_mkdir_all(blocked, 0700), -EEXIST);
	CHECK_EQUAL(an_path_mkdir_all("/", 0700), 0);
	CHECK_EQUAL(an_path_mkdir_all("", 0700), -ENOENT);
	CHECK_EQUAL(an_path_remove_all(inner), 0);
	CHECK_EQUAL(an_path_remove_all(inner), -ENOENT);
	return 0;
}

#define MANY 3000

static int make_many(void)
{
	char name[80];
	int r = an_path_mkdir(inner, 0700);

	for (int i = 0; i < MANY && r == 0; i++) {
		snprintf(name, sizeof name, "%s/%04d", inner, i);
		r = mknod(name, S_IFREG | 0600, 0) < 0 ? -errno : 0;
	}
	return r;
}

TASK_TEST(a_large_folder_is_read_in_batches)
{
	static bool seen[MANY];
	an_dir_entry e = { .name = NULL };
	an_dir *d;
	int count = 0, r;

	system_works();
	CHECK_EQUAL(make_many(), 0);
	CHECK_EQUAL(an_dir_open(inner, &d), 0);
	while ((r = an_dir_next(d, &e)) == 0) {
		int i = atoi(e.name);

		CHECK(strlen(e.name) == 4 && !seen[i]);
		CHECK(e.type == DT_REG || e.type == DT_UNKNOWN);
		seen[i] = true;
		count++;
	}
	CHECK_EQUAL(r, AN_ERR_EOF);
	CHECK_EQUAL(an_dir_next(d, &e), AN_ERR_EOF);
	CHECK_EQUAL(count, MANY);
	CHECK(batches < 10);
	CHECK(!an_dir_close(d));
	CHECK(!an_dir_close(NULL));
	d = NULL;
	CHECK_EQUAL(an_path_remove_all(inner), 0);
	CHECK_EQUAL(an_dir_open(inner, &d), -ENOENT);
	CHECK_EQUAL(an_dir_open("/dev/null", &d), -ENOTDIR);
	CHECK(!d);
	return 0;
}

static an_dir *shared;
static an_dir_entry shared_entry;

static int to_the_end(void *arg)
{
	int r;

	(void)arg;
	do
		r = an_dir_next(shared, &shared_entry);
	while (r == 0);
	return r;
}

TASK_TEST(a_folder_closed_under_a_task_tells_it_so)
{
	an_task *t;
	int result;

	system_works();
	CHECK_EQUAL(an_dir_open(folder, &shared), 0);
	hold_batches = true;
	CHECK_EQUAL(an_spawn(to_the_end, NULL, NULL, &t), 0);
	while (batches < 2)
		CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_dir_next(shared, &shared_entry), -EBUSY);
	an_dir_close(shared);
	hold_batches = false;
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	return 0;
}

TASK_TEST(a_tree_is_removed_and_links_are_not_followed)
{
	char name[128];

	CHECK_EQUAL(an_path_write(path, "keep", 4, NULL), 0);
	snprintf(name, sizeof name, "%s/x/y/z", inner);
	CHECK_EQUAL(an_path_mkdir_all(name, 0700), 0);
	snprintf(name, sizeof name, "%s/x/up", inner);
	CHECK_EQUAL(symlink(folder, name), 0);
	snprintf(name, sizeof name, "%s/x/y/file", inner);
	CHECK_EQUAL(an_path_write(name, "", 0, NULL), 0);
	CHECK_EQUAL(an_path_remove_all(inner), 0);
	CHECK(file_is(path, "keep"));
	/* a link, and a file */
	CHECK_EQUAL(an_path_mkdir(inner, 0700), 0);
	unlink(other);
	CHECK_EQUAL(symlink(inner, other), 0);
	CHECK_EQUAL(an_path_remove_all(other), 0);
	CHECK_EQUAL(an_path_rmdir(inner), 0);
	CHECK_EQUAL(an_path_remove_all(path), 0);
	CHECK_EQUAL(count_in(folder), 0);
	CHECK_EQUAL(an_path_remove_all("/proc/self/no"), -ENOENT);
	return 0;
}

/* ---- temporary -------------------------------------------------------------------- */

TASK_TEST(temporary_files_and_folders_are_the_users_alone)
{
	char *name = NULL, buf[4];
	struct stat st;
	an_file *f = NULL;

	CHECK_EQUAL(an_temp_open(folder, &f), 0);
	CHECK_EQUAL(count_in(folder), 0);
	CHECK_EQUAL(an_file_pwrite(f, "text", 4, 0), 0);
	CHECK_EQUAL(an_file_pread(f, buf, 4, 0), 4);
	an_file_close(f);
	CHECK_EQUAL(an_temp_file(folder, "x.", &name, &f), 0);
	CHECK(!strncmp(name, folder, strlen(folder)));
	CHECK(!strncmp(name + strlen(folder), "/x.", 3));
	CHECK_EQUAL(an_file_write(f, "text", 4), 0);
	CHECK(file_is(name, "text"));
	CHECK(fcntl(an_file_fd(f), F_GETFD) & FD_CLOEXEC);
	an_file_close(f);
	CHECK_EQUAL(an_path_stat(name, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0600);
	CHECK_EQUAL(an_path_unlink(name), 0);
	free(name);
	CHECK_EQUAL(an_temp_folder(folder, NULL, &name), 0);
	CHECK_EQUAL(an_path_stat(name, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0700);
	CHECK_EQUAL(an_path_rmdir(name), 0);
	free(name);
	name = NULL;
	CHECK_EQUAL(an_temp_folder("/no/such", NULL, &name), -ENOENT);
	CHECK_EQUAL(an_temp_file(folder, "a/b", &name, &f), -EINVAL);
	CHECK_EQUAL(an_temp_open("/no/such", &f), -ENOENT);
	CHECK(!name);
	setenv("TMPDIR", folder, 1);
	CHECK_EQUAL(an_temp_folder(NULL, NULL, &name), 0);
	unsetenv("TMPDIR");
	CHECK_EQUAL(count_in(folder), 1);
	CHECK_EQUAL(an_path_remove_all(name), 0);
	free(name);
	return 0;
}

/* ---- a full file system ------------------------------------------------------------ */

static int fill_small_disk(void *arg)
{
	static char text[10000];
	char small[80];
	an_file *f;

	(void)arg;
	memset(text, 'x', sizeof text);
	snprintf(small, sizeof small, "%s/f", inner);
	CHECK_EQUAL(an_path_write(small, "old", 3, NULL), 0);
	CHECK_EQUAL(an_path_write(small, text, sizeof text, &atomically), -ENOSPC);
	CHECK(file_is(small, "old"));
	CHECK_EQUAL(count_in(inner), 1);
	CHECK_EQUAL(an_file_open(small, O_RDWR | O_TRUNC, 0, &f), 0);
	CHECK_EQUAL(an_file_buffer(f, sizeof text), 0);
	CHECK_EQUAL(an_file_write(f, text, sizeof text - 1), 0);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	CHECK_EQUAL(an_file_sync(f), -ENOSPC);
	/* Room is made: what was kept is written, and all of it is there. */
	CHECK_EQUAL(mount(NULL, inner, NULL, MS_REMOUNT, "size=64k"), 0);
	CHECK_EQUAL(an_file_flush(f), -ENOSPC);
	CHECK_EQUAL(an_file_clear_error(f), -ENOSPC);
	CHECK_EQUAL(an_file_flush(f), 0);
	CHECK_EQUAL(an_file_seek(f, 0, SEEK_SET, NULL), 0);
	CHECK_EQUAL(an_file_read(f, text, sizeof text), sizeof text - 1);
	an_file_close(f);
	return 0;
}

static bool put(const char *name, const char *line)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && syscall(SYS_write, fd, line, strlen(line)) > 0;

	close(fd);
	return done;
}

/* Root of a namespace of users, where this user and its group are who they were. */
static bool become_root_of_users(void)
{
	char users[64], groups[64];

	snprintf(users, sizeof users, "%u %u 1", geteuid(), geteuid());
	snprintf(groups, sizeof groups, "%u %u 1", getegid(), getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       put("/proc/self/uid_map", users) && put("/proc/self/setgroups", "deny") &&
	       put("/proc/self/gid_map", groups);
}

static bool mount_small_disk(void)
{
	if (unshare(CLONE_NEWNS) < 0 && !become_root_of_users())
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", inner, "tmpfs", 0, "size=8k") == 0;
}

/* In a process, and so in a mount namespace, of its own. */
static void a_full_disk_loses_nothing_that_was_there(void **state)
{
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(mkdir(inner, 0700), 0);
	child = fork();
	if (child == 0) {
		alarm(an__test_seconds());
		if (!mount_small_disk())
			_exit(77);
		_exit(run_virtual(fill_small_disk, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	rmdir(inner);
	if (status == 77 << 8) {
		print_message("neither root nor namespaces of users: nothing mounted\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* ---- cancelled -------------------------------------------------------------------- */

static int write_old(void *arg)
{
	(void)arg;
	system_works();
	unlink(other);
	return an_path_write(path, "old", 3, NULL);
}

static int write_new(void *arg)
{
	return an_path_write(path, "newer", 5, arg);
}

static int old_or_new(void *arg)
{
	(void)arg;
	CHECK(file_is(path, "old") || file_is(path, "newer"));
	CHECK_EQUAL(count_in(folder), 1);
	return 0;
}

static int copy(void *arg)
{
	(void)arg;
	return an_path_copy(path, other);
}

/* Left behind, or done: never a part. */
static int copied_or_not(void *arg)
{
	(void)arg;
	CHECK_EQUAL(settle_workers(), 0);
	CHECK(access(other, F_OK) < 0 || file_is(other, "old"));
	return 0;
}

static int read_it(void *arg)
{
	char *data = NULL;
	size_t len;
	int r = an_path_read(path, 0, &data, &len);

	(void)arg;
	CHECK(r == 0 ? len == 3 : !data);
	free(data);
	return r;
}

static int make_temporaries(void *arg)
{
	char *name = NULL;
	an_file *f = NULL;
	int r = an_temp_open(folder, &f);

	(void)arg;
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

static int nothing_left(void *arg)
{
	(void)arg;
	CHECK_EQUAL(settle_workers(), 0);
	CHECK_EQUAL(count_in(folder), 1);
	return 0;
}

static int make_tree(void *arg)
{
	char name[96];
	int r = write_old(arg);

	snprintf(name, sizeof name, "%s/x/y", inner);
	return r < 0 ? r : an_path_mkdir_all(name, 0700);
}

static int remove_tree(void *arg)
{
	(void)arg;
	return an_path_remove_all(inner);
}

static int tree_can_be_removed(void *arg)
{
	int r = an_path_remove_all(inner);

	CHECK(r == 0 || r == -ENOENT);
	return nothing_left(arg);
}

static int iterate(void *arg)
{
	an_dir_entry e;
	an_dir *d;
	int r = an_dir_open(folder, &d);

	(void)arg;
	if (r < 0)
		return r;
	while ((r = an_dir_next(d, &e)) == 0)
		CHECK(!strcmp(e.name, "a"));
	an_dir_close(d);
	return r == AN_ERR_EOF ? 0 : r;
}

static int names(void *arg)
{
	char name[96];
	struct stat st;
	int r;

	(void)arg;
	snprintf(name, sizeof name, "%s/x", inner);
	r = an_path_mkdir_all(name, 0700);
	if (r == 0)
		r = an_path_stat(name, &st);
	if (r == 0)
		r = an_path_lstat(name, &st);
	if (r == 0)
		r = an_path_rmdir(name);
	return r < 0 ? r : an_path_rmdir(inner);
}

static void each_call_can_be_cancelled_at_each_step(void **state)
{
	static const an_testing_scenario scenarios[] = {
		{ write_old, write_new, old_or_new, (void *)&atomically },
		{ write_old, copy, copied_or_not, NULL },
		{ write_old, read_it, nothing_left, NULL },
		{ write_old, make_temporaries, nothing_left, NULL },
		{ make_tree, remove_tree, tree_can_be_removed, NULL },
		{ write_old, iterate, nothing_left, NULL },
		{ write_old, names, tree_can_be_removed, NULL },
	};
	size_t before;

	(void)state;
	unlink(other);
	before = open_descriptors();
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		assert_int_equal(cancel_at_each_step(scenarios[i]), 0);
	assert_int_equal(open_descriptors(), before);
}

/* The task goes while the worker is in the middle of it. */
static int leave_a_copy(void *arg)
{
	an_task *t;
	int result;

	(void)arg;
	CHECK_EQUAL(write_old(NULL), 0);
	hold_copies = true;
	CHECK_EQUAL(an_spawn(copy, NULL, NULL, &t), 0);
	while (!inside)
		CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(access(other, F_OK), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	CHECK_EQUAL(access(other, F_OK), 0);
	hold_copies = false;
	CHECK_EQUAL(settle_workers(), 0);
	CHECK_EQUAL(access(other, F_OK), -1);
	return 0;
}

static void a_copy_left_behind_is_taken_back(void **state)
{
	(void)state;
	assert_int_equal(an_run(leave_a_copy, NULL, &one_worker), 0);
}

static int make_temporary(void *arg)
{
	char *name = arg;
	an_file *f;

	return an_temp_file(folder, NULL, &name, &f);
}

/* It is made all right, but nobody wants it any more. */
static int leave_a_temporary_file(void *arg)
{
	size_t before = open_descriptors();
	int files = count_in(folder), result;
	an_task *t;

	(void)arg;
	system_works();
	hold_temporary = true;
	CHECK_EQUAL(an_spawn(make_temporary, NULL, NULL, &t), 0);
	while (!inside)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	hold_temporary = false;
	CHECK_EQUAL(settle_workers(), 0);
	CHECK_EQUAL(count_in(folder), files);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

static void a_temporary_file_left_behind_is_removed(void **state)
{
	(void)state;
	assert_int_equal(an_run(leave_a_temporary_file, NULL, &one_worker), 0);
}

static int read_other(void *arg)
{
	char *data = arg;
	size_t len;

	return an_path_read(other, 0, &data, &len);
}

/* A FIFO whose writer does not write holds the worker, not the task. */
TASK_TEST(a_read_that_blocks_is_left_behind)
{
	an_task *t;
	int fd, result;

	unlink(other);
	CHECK_EQUAL(mkfifo(other, 0600), 0);
	CHECK_EQUAL(an_spawn(read_other, NULL, NULL, &t), 0);
	/* There is a reader as soon as the worker is in open(). */
	while ((fd = open(other, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
		CHECK_EQUAL(errno, ENXIO);
		CHECK_EQUAL(an_yield(), 0);
	}
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	close(fd);
	return an_path_unlink(other);
}

/* ---- out of memory ---------------------------------------------------------------- */

static int everything(void)
{
	int (*const calls[])(void *) = { make_temporaries, iterate, copy,
					 read_it,	   names,   NULL };
	int r = an_path_write(path, "old", 3, &atomically);

	for (size_t i = 0; calls[i] && r == 0; i++)
		r = calls[i](NULL);
	return r;
}

TASK_TEST(every_allocation_may_fail)
{
	size_t before;
	int r;

	CHECK_EQUAL(write_old(NULL), 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		an_ignore(an_path_remove_all(inner));
		unlink(other);
		an_testing_fail_allocation(n);
		r = everything();
		if (!an_testing_allocation_failed())
			break;
		/* One more thread is started where there is the memory for it. */
		CHECK(r == -ENOMEM || r == 0);
		unlink(other);
		CHECK(count_in(folder) <= 2);
		CHECK_EQUAL(open_descriptors(), before);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_file_is_written_and_read_in_one_call),
	cmocka_unit_test(a_file_larger_than_the_limit_is_not_read),
	cmocka_unit_test(an_atomic_write_replaces_the_file_and_keeps_its_mode),
	cmocka_unit_test(an_atomic_write_that_fails_leaves_the_old_file),
	cmocka_unit_test(a_copy_has_the_data_and_the_mode),
	cmocka_unit_test(a_copy_that_fails_leaves_no_new_file),
	cmocka_unit_test(folders_are_made_with_those_above_them),
	cmocka_unit_test(a_large_folder_is_read_in_batches),
	cmocka_unit_test(a_folder_closed_under_a_task_tells_it_so),
	cmocka_unit_test(a_tree_is_removed_and_links_are_not_followed),
	cmocka_unit_test(temporary_files_and_folders_are_the_users_alone),
	cmocka_unit_test(a_full_disk_loses_nothing_that_was_there),
	cmocka_unit_test(each_call_can_be_cancelled_at_each_step),
	cmocka_unit_test(a_copy_left_behind_is_taken_back),
	cmocka_unit_test(a_temporary_file_left_behind_is_removed),
	cmocka_unit_test(a_read_that_blocks_is_left_behind),
	cmocka_unit_test(every_allocation_may_fail),
};

TEST_MAIN_WITH("path", tests, make_folder, remove_folder)
