/* Names in the file system, on the offload pool. L3.
 *
 * The arguments stay the caller's: a call that has begun is seen through.
 */
#include "config.h"

#include <asyncnet/offload.h>
#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/core/wait.h"
#include "loop/io/blocking.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct path_call {
	const char *path, *to;
	mode_t mode;
	struct stat stat;
};

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int do_rename(void *arg)
{
	struct path_call *c = arg;

	return result(rename(c->path, c->to));
}

int an_path_rename(const char *from, const char *to)
{
	return an_offload(do_rename, &(struct path_call){ .path = from, .to = to }, NULL);
}

static int do_unlink(void *arg)
{
	struct path_call *c = arg;

	return result(unlink(c->path));
}

int an_path_unlink(const char *path)
{
	return an_offload(do_unlink, &(struct path_call){ .path = path }, NULL);
}

static int do_rmdir(void *arg)
{
	struct path_call *c = arg;

	return result(rmdir(c->path));
}

int an_path_rmdir(const char *path)
{
	return an_offload(do_rmdir, &(struct path_call){ .path = path }, NULL);
}

static int do_stat(void *arg)
{
	struct path_call *c = arg;

	return result(stat(c->path, &c->stat));
}

static int do_lstat(void *arg)
{
	struct path_call *c = arg;

	return result(lstat(c->path, &c->stat));
}

static int look(int (*fn)(void *arg), const char *path, struct stat *ret)
{
	struct path_call c = { .path = path };
	int r = an_offload(fn, &c, NULL);

	if (r == 0)
		*ret = c.stat;
	return r;
}

int an_path_stat(const char *path, struct stat *ret)
{
	return look(do_stat, path, ret);
}

int an_path_lstat(const char *path, struct stat *ret)
{
	return look(do_lstat, path, ret);
}

static int do_sync(void *arg)
{
	struct path_call *c = arg;

	return an__blocking_sync_folder(c->path);
}

int an_path_sync(const char *folder)
{
	return an_offload(do_sync, &(struct path_call){ .path = folder }, NULL);
}

/* ---- making folders -------------------------------------------------------------- */

static int do_mkdir(void *arg)
{
	struct path_call *c = arg;

	return result(mkdir(c->path, c->mode));
}

int an_path_mkdir(const char *path, mode_t mode)
{
	return an_offload(do_mkdir, &(struct path_call){ .path = path, .mode = mode },
			  NULL);
}

struct making {
	mode_t mode;
	char path[];
};

/* Those above it must let the caller in. Returns what the first of those that are missing
 * failed with: the folder itself then fails for want of it. */
static int make_parents(struct making *m)
{
	int error = 0;

	for (char *p = m->path; (p = strchr(p, '/')); p++) {
		if (p == m->path)
			continue;
		*p = 0;
		if (mkdir(m->path, m->mode | S_IWUSR | S_IXUSR) == 0 || errno == EEXIST)
			error = 0;
		else if (!error)
			error = errno;
		*p = '/';
	}
	return error;
}

static int do_mkdir_all(void *arg)
{
	struct making *m = arg;
	size_t len = strlen(m->path);
	struct stat st;
	int error;

	while (len > 1 && m->path[len - 1] == '/')
		m->path[--len] = 0;
	error = make_parents(m);
	if (mkdir(m->path, m->mode) == 0)
		return 0;
	if (errno == EEXIST)
		return stat(m->path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : -EEXIST;
	return errno == ENOENT && error ? -error : -errno;
}

int an_path_mkdir_all(const char *path, mode_t mode)
{
	size_t size = strlen(path) + 1;
	struct making *m;
	int r = an__wait_check();

	if (r < 0)
		return r;
	m = an__malloc(sizeof *m + size);
	if (!m)
		return -ENOMEM;
	m->mode = mode;
	memcpy(m->path, path, size);
	r = an_offload(do_mkdir_all, m, NULL);
	free(m);
	return r;
}
