/* Links, where they lead, permissions, owners and times, by name and of open files. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

static char folder[] = "/tmp/asyncnet-attributes-XXXXXX";
static char path[64], other[64], through[80];

static int make_folder(void **state)
{
	(void)state;
	/* Workers do it all, by this program's own system calls. */
	setenv("AN_IO_URING", "0", 1);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/a", folder);
	snprintf(other, sizeof other, "%s/b", folder);
	snprintf(through, sizeof through, "%s/../%s/./b", folder, strrchr(folder, '/'));
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

static int sync_error, data_syncs, chown_error;

int fdatasync(int fd)
{
	data_syncs++;
	if (sync_error) {
		errno = sync_error;
		sync_error = 0;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int chown(const char *name, uid_t owner, gid_t group)
{
	if (chown_error) {
		errno = chown_error;
		return -1;
	}
	return (int)syscall(SYS_fchownat, AT_FDCWD, name, owner, group, 0);
}

/* ---- links ------------------------------------------------------------------------ */

static int begin(void *arg)
{
	(void)arg;
	unlink(other);
	return an_path_write(path, "text", 4, NULL);
}

TASK_TEST(a_file_can_have_two_names)
{
	struct stat st, same;

	CHECK_EQUAL(begin(NULL), 0);
	CHECK_EQUAL(an_path_link(path, other), 0);
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK_EQUAL(an_path_stat(other, &same), 0);
	CHECK_EQUAL(st.st_ino, same.st_ino);
	CHECK_EQUAL(st.st_nlink, 2);
	CHECK_EQUAL(an_path_link(path, other), -EEXIST);
	CHECK_EQUAL(an_path_link("/no/such", other), -ENOENT);
	CHECK_EQUAL(an_path_link(folder, "/tmp/no-such-link"), -EPERM);
	return an_path_unlink(other);
}

TASK_TEST(a_symbolic_link_has_a_text_and_leads_somewhere)
{
	char *text = NULL, *data;
	size_t len;

	CHECK_EQUAL(begin(NULL), 0);
	CHECK_EQUAL(an_path_symlink("./a", other), 0);
	CHECK_EQUAL(an_path_symlink("./a", other), -EEXIST);
	CHECK_EQUAL(an_path_readlink(other, &text), 0);
	CHECK(!strcmp(text, "./a"));
	free(text);
	CHECK_EQUAL(an_path_read(other, 0, &data, &len), 0);
	CHECK(len == 4 && !memcmp(data, "text", 4));
	free(data);
	CHECK_EQUAL(an_path_realpath(through, &text), 0);
	CHECK(!strcmp(text, path));
	free(text);
	text = NULL;
	CHECK_EQUAL(an_path_readlink(path, &text), -EINVAL);
	CHECK_EQUAL(an_path_readlink("/no/such", &text), -ENOENT);
	CHECK_EQUAL(an_path_unlink(path), 0);
	CHECK_EQUAL(an_path_realpath(other, &text), -ENOENT);
	CHECK_EQUAL(an_path_unlink(other), 0);
	CHECK_EQUAL(an_path_symlink("b", other), 0);
	CHECK_EQUAL(an_path_realpath(other, &text), -ELOOP);
	CHECK_EQUAL(an_path_symlink("", path), -ENOENT);
	CHECK(!text);
	return an_path_unlink(other);
}

TASK_TEST(the_longest_text_of_a_link_is_whole)
{
	char target[PATH_MAX + 1];
	char *text = NULL;

	memset(target, 'x', sizeof target);
	target[PATH_MAX] = 0;
	unlink(other);
	CHECK_EQUAL(an_path_symlink(target, other), -ENAMETOOLONG);
	target[PATH_MAX - 1] = 0;
	CHECK_EQUAL(an_path_symlink(target, other), 0);
	CHECK_EQUAL(an_path_readlink(other, &text), 0);
	CHECK(!strcmp(text, target));
	free(text);
	return an_path_unlink(other);
}

/* ---- attributes ------------------------------------------------------------------- */

static const struct timespec times[2] = { { 1000000, 5 }, { 2000000, 7 } };

TASK_TEST(permissions_owners_and_times_are_set)
{
	struct timespec only_written[2] = { { 0, UTIME_OMIT }, { 3000000, 0 } };
	struct stat st;

	CHECK_EQUAL(begin(NULL), 0);
	CHECK_EQUAL(an_path_symlink("a", other), 0);
	CHECK_EQUAL(an_path_chmod(other, 0640), 0);
	CHECK_EQUAL(an_path_utimes(other, times), 0);
	CHECK_EQUAL(an_path_chown(other, getuid(), (gid_t)-1), 0);
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0640);
	CHECK_EQUAL(st.st_uid, getuid());
	CHECK(st.st_atim.tv_sec == 1000000 && st.st_mtim.tv_sec == 2000000);
	CHECK_EQUAL(an_path_utimes(path, only_written), 0);
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK(st.st_atim.tv_sec == 1000000 && st.st_mtim.tv_sec == 3000000);
	CHECK_EQUAL(an_path_utimes(path, NULL), 0);
	CHECK_EQUAL(an_path_stat(path, &st), 0);
	CHECK(st.st_mtim.tv_sec > 3000000);
	CHECK_EQUAL(an_path_access(path, F_OK), 0);
	CHECK_EQUAL(an_path_access(path, R_OK | W_OK), 0);
	CHECK_EQUAL(an_path_access(path, X_OK), -EACCES);
	CHECK_EQUAL(an_path_access(path, 1 << 10), -EINVAL);
	CHECK_EQUAL(an_path_access("/no/such", F_OK), -ENOENT);
	CHECK_EQUAL(an_path_chmod("/no/such", 0600), -ENOENT);
	CHECK_EQUAL(an_path_chown("/no/such", 0, 0), -ENOENT);
	CHECK_EQUAL(an_path_utimes("/no/such", NULL), -ENOENT);
	chown_error = EPERM;
	CHECK_EQUAL(an_path_chown(path, 0, 0), -EPERM);
	chown_error = 0;
	return an_path_unlink(other);
}

TASK_TEST(an_open_file_has_them_whatever_its_name_leads_to)
{
	an_file *f;
	struct stat st;

	CHECK_EQUAL(begin(NULL), 0);
	CHECK_EQUAL(an_file_open(path, O_RDWR, 0, &f), 0);
	CHECK_EQUAL(an_path_unlink(path), 0);
	CHECK_EQUAL(an_file_chmod(f, 0604), 0);
	CHECK_EQUAL(an_file_utimes(f, times), 0);
	CHECK_EQUAL(an_file_chown(f, (uid_t)-1, getgid()), 0);
	CHECK_EQUAL(an_file_stat(f, &st), 0);
	CHECK_EQUAL(st.st_mode & 07777, 0604);
	CHECK_EQUAL(st.st_gid, getgid());
	CHECK(st.st_atim.tv_sec == 1000000 && st.st_mtim.tv_sec == 2000000);
	an_file_close(f);
	return 0;
}

TASK_TEST(a_sync_of_the_data_alone_tells_of_lost_data_like_any_other)
{
	an_file *f;

	data_syncs = 0;
	CHECK_EQUAL(an_file_open(path, O_RDWR | O_CREAT, 0600, &f), 0);
	CHECK_EQUAL(an_file_buffer(f, 100), 0);
	CHECK_EQUAL(an_file_write(f, "x", 1), 0);
	sync_error = EINTR;
	CHECK_EQUAL(an_file_datasync(f), 0);
	CHECK_EQUAL(data_syncs, 2);
	CHECK_EQUAL(lseek(an_file_fd(f), 0, SEEK_CUR), 1);
	sync_error = EIO;
	CHECK_EQUAL(an_file_datasync(f), -EIO);
	CHECK_EQUAL(an_file_datasync(f), -EIO);
	CHECK_EQUAL(an_file_sync(f), -EIO);
	CHECK_EQUAL(an_file_flush(f), -EIO);
	CHECK_EQUAL(an_file_clear_error(f), -EIO);
	CHECK_EQUAL(an_file_datasync(f), 0);
	an_file_close(f);
	return 0;
}

/* ---- cancelled, and out of memory -------------------------------------------------- */

static int links(void *arg)
{
	char *text = NULL;
	int r = an_path_symlink("a", other);

	(void)arg;
	if (r == 0)
		r = an_path_readlink(other, &text);
	free(text);
	text = NULL;
	if (r == 0)
		r = an_path_realpath(other, &text);
	free(text);
	if (r == 0)
		r = an_path_unlink(other);
	return r < 0 ? r : an_path_link(path, other);
}

static int attributes(void *arg)
{
	int r = an_path_access(path, R_OK);

	(void)arg;
	if (r == 0)
		r = an_path_chmod(path, 0600);
	if (r == 0)
		r = an_path_chown(path, (uid_t)-1, (gid_t)-1);
	return r < 0 ? r : an_path_utimes(path, times);
}

static int attributes_of_file(void *arg)
{
	an_file *f;
	int r = an_file_open(path, O_RDWR, 0, &f);

	(void)arg;
	if (r < 0)
		return r;
	r = an_file_chmod(f, 0600);
	if (r == 0)
		r = an_file_chown(f, (uid_t)-1, (gid_t)-1);
	if (r == 0)
		r = an_file_utimes(f, times);
	if (r == 0)
		r = an_file_datasync(f);
	an_file_close(f);
	return r;
}

static int all_is_there(void *arg)
{
	struct stat st;
	int r = an_path_stat(path, &st);

	(void)arg;
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(st.st_size, 4);
	return 0;
}

CANCEL_TEST(links_are_made_or_not, begin, links, all_is_there, NULL)
CANCEL_TEST(attributes_are_set_or_not, begin, attributes, all_is_there, NULL)
CANCEL_TEST(those_of_open_files_are_set_or_not, begin, attributes_of_file, all_is_there,
	    NULL)

TASK_TEST(in_a_cancelled_scope_nothing_is_done)
{
	char *text = NULL;
	an_timeout over;

	CHECK_EQUAL(begin(NULL), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_path_symlink("a", other), -ECANCELED);
	CHECK_EQUAL(an_path_link(path, other), -ECANCELED);
	CHECK_EQUAL(an_path_readlink(other, &text), -ECANCELED);
	CHECK_EQUAL(an_path_realpath(path, &text), -ECANCELED);
	CHECK_EQUAL(attributes(NULL), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, 0), 0);
	CHECK(!text);
	CHECK_EQUAL(an_path_access(other, F_OK), -ENOENT);
	return 0;
}

TASK_TEST(every_allocation_may_fail)
{
	int r;

	for (size_t n = 1;; n++) {
		CHECK_EQUAL(begin(NULL), 0);
		an_testing_fail_allocation(n);
		r = links(NULL);
		if (r == 0)
			r = attributes(NULL);
		if (r == 0)
			r = attributes_of_file(NULL);
		if (!an_testing_allocation_failed())
			break;
		/* Where no more memory was wanted, but less of it, all went well. */
		CHECK(r == -ENOMEM || r == 0);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_file_can_have_two_names),
	cmocka_unit_test(a_symbolic_link_has_a_text_and_leads_somewhere),
	cmocka_unit_test(the_longest_text_of_a_link_is_whole),
	cmocka_unit_test(permissions_owners_and_times_are_set),
	cmocka_unit_test(an_open_file_has_them_whatever_its_name_leads_to),
	cmocka_unit_test(a_sync_of_the_data_alone_tells_of_lost_data_like_any_other),
	cmocka_unit_test(links_are_made_or_not),
	cmocka_unit_test(attributes_are_set_or_not),
	cmocka_unit_test(those_of_open_files_are_set_or_not),
	cmocka_unit_test(in_a_cancelled_scope_nothing_is_done),
	cmocka_unit_test(every_allocation_may_fail),
};

TEST_MAIN_WITH("attributes", tests, make_folder, remove_folder)
