/* Names in the file system, on the offload pool. L3.
 *
 * The arguments stay the caller's: a call that has begun is seen through.
 */
#include "config.h"

#include <asyncnet/file.h>
#include <asyncnet/offload.h>

#include <errno.h>
#include <stdio.h>
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

static int do_stat(void *arg)
{
	struct path_call *c = arg;

	return result(stat(c->path, &c->stat));
}

int an_path_stat(const char *path, struct stat *ret)
{
	struct path_call c = { .path = path };
	int r = an_offload(do_stat, &c, NULL);

	if (r == 0)
		*ret = c.stat;
	return r;
}

static int do_sync(void *arg)
{
	struct path_call *c = arg;
	int fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = result(fsync(fd));
	close(fd);
	return r;
}

int an_path_sync(const char *folder)
{
	return an_offload(do_sync, &(struct path_call){ .path = folder }, NULL);
}
