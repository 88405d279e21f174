/* Permissions, owners and times, by name and of open files, on the offload pool. L3.
 *
 * The arguments stay the caller's: a call that has begun is seen through.
 */
#include "config.h"

#include <asyncnet/offload.h>
#include <asyncnet/path.h>

#include "loop/io/file-private.h"

#include <errno.h>
#include <unistd.h>

struct attribute_call {
	const char *path; /* NULL: of the descriptor */
	int fd;
	mode_t mode;
	uid_t owner;
	gid_t group;
	const struct timespec *times; /* two, or NULL */
};

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int do_access(void *arg)
{
	const struct attribute_call *c = arg;

	return result(access(c->path, (int)c->mode));
}

static int do_chmod(void *arg)
{
	const struct attribute_call *c = arg;

	return result(c->path ? chmod(c->path, c->mode) : fchmod(c->fd, c->mode));
}

static int do_chown(void *arg)
{
	const struct attribute_call *c = arg;

	return result(c->path ? chown(c->path, c->owner, c->group)
			      : fchown(c->fd, c->owner, c->group));
}

static int do_utimes(void *arg)
{
	const struct attribute_call *c = arg;

	return result(c->path ? utimensat(AT_FDCWD, c->path, c->times, 0)
			      : futimens(c->fd, c->times));
}

int an_path_access(const char *path, int mode)
{
	struct attribute_call c = { .path = path, .mode = (mode_t)mode };

	return an_offload(do_access, &c, NULL);
}

int an_path_chmod(const char *path, mode_t mode)
{
	struct attribute_call c = { .path = path, .mode = mode };

	return an_offload(do_chmod, &c, NULL);
}

int an_path_chown(const char *path, uid_t owner, gid_t group)
{
	struct attribute_call c = { .path = path, .owner = owner, .group = group };

	return an_offload(do_chown, &c, NULL);
}

int an_path_utimes(const char *path, const struct timespec times[2])
{
	struct attribute_call c = { .path = path, .times = times };

	return an_offload(do_utimes, &c, NULL);
}

/* ---- of open files ----------------------------------------------------------------- */

static int call(an_file *f, int (*fn)(void *arg), struct attribute_call *c)
{
	c->fd = f->fd;
	an__file_enter(f);
	return (int)an__file_leave(f, an_offload(fn, c, NULL));
}

int an_file_chmod(an_file *f, mode_t mode)
{
	return call(f, do_chmod, &(struct attribute_call){ .mode = mode });
}

int an_file_chown(an_file *f, uid_t owner, gid_t group)
{
	return call(f, do_chown,
		    &(struct attribute_call){ .owner = owner, .group = group });
}

int an_file_utimes(an_file *f, const struct timespec times[2])
{
	return call(f, do_utimes, &(struct attribute_call){ .times = times });
}
