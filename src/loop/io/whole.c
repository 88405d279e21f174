/* Whole files, read and written in one hop to a worker. L3.
 *
 * Reading owns its buffer and can be left behind. Writing uses the caller's data, and is
 * seen through once it has begun. The atomic way: a temporary file beside the target,
 * written, synced and renamed, then the folder synced; whatever fails before the rename,
 * the target is as it was and the temporary file is gone.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>
#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/core/wait.h"
#include "loop/io/blocking.h"
#include "loop/io/errand.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define READ_LIMIT ((size_t)64 << 20)

/* Between two looks at whether anybody still wants it. */
#define PIECE ((size_t)16 << 20)

/* ---- reading --------------------------------------------------------------------- */

struct reading {
	an__errand errand;
	size_t limit, len, size;
	char *data; /* `size` bytes, `len` of them read */
	char path[];
};

/* Room for one byte more than was read: to see the end, and for the NUL. */
static int make_room(struct reading *o)
{
	size_t size = o->size < o->limit / 2 ? 2 * o->size : o->limit + 1;
	char *data;

	if (o->len < o->size)
		return 0;
	if (o->len > o->limit)
		return AN_ERR_LIMIT;
	data = an__realloc(o->data, size);
	if (!data)
		return -ENOMEM;
	o->data = data;
	o->size = size;
	return 0;
}

/* The size that the system tells of is a guess: /proc says 0, files grow. */
static int first_room(struct reading *o, int fd)
{
	struct stat st;
	size_t guess;

	if (fstat(fd, &st) < 0)
		return -errno;
	guess = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
	if (guess > o->limit)
		return AN_ERR_LIMIT;
	o->size = guess < 4096 && o->limit >= 4096 ? 4096 : guess + 1;
	o->data = an__malloc(o->size);
	return o->data ? 0 : -ENOMEM;
}

static int read_all(struct reading *o, int fd)
{
	int r = first_room(o, fd);

	while (r == 0) {
		size_t left = o->size - o->len;
		ssize_t n = read(fd, o->data + o->len, left < PIECE ? left : PIECE);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			o->len += (size_t)n;
		r = an__errand_stopped(&o->errand) ? -ECANCELED : make_room(o);
	}
	if (r == 0)
		o->data[o->len] = 0;
	return r;
}

static int do_read(an__errand *e)
{
	struct reading *o = (struct reading *)e;
	int fd = an__blocking_open(o->path, O_RDONLY, 0), r;

	if (fd < 0)
		return fd;
	r = read_all(o, fd);
	close(fd);
	return r;
}

static void free_reading(an__errand *e)
{
	struct reading *o = (struct reading *)e;

	free(o->data);
	free(o);
}

int an_path_read(const char *path, size_t limit, char **ret_data, size_t *ret_len)
{
	size_t size = strlen(path) + 1;
	struct reading *o;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (limit >= SSIZE_MAX)
		return -EINVAL;
	o = an__malloc(sizeof *o + size);
	if (!o)
		return -ENOMEM;
	*o = (struct reading){ .errand = { .fn = do_read, .free = free_reading },
			       .limit = limit ? limit : READ_LIMIT };
	memcpy(o->path, path, size);
	r = an__errand_run(&o->errand);
	if (r == 0) {
		*ret_data = o->data;
		*ret_len = o->len;
		o->data = NULL;
	}
	an__errand_drop(&o->errand);
	return r;
}

/* ---- writing --------------------------------------------------------------------- */

struct writing {
	const char *path, *data;
	size_t len;
	an_path_write_opts opts;
};

static int write_and_close(int fd, const struct writing *w, bool sync)
{
	int r = an__blocking_write(fd, w->data, w->len), closed;

	if (r == 0 && sync)
		r = an__blocking_sync(fd, false);
	closed = an__blocking_close(fd);
	return r < 0 ? r : closed;
}

static int write_in_place(const struct writing *w)
{
	int flags = O_WRONLY | O_CREAT | (w->opts.append ? O_APPEND : O_TRUNC);
	int fd = an__blocking_open(w->path, flags, w->opts.mode), r;

	if (fd < 0)
		return fd;
	r = write_and_close(fd, w, w->opts.sync);
	/* The file's name may be new. */
	return r == 0 && w->opts.sync ? an__blocking_sync_parent(w->path) : r;
}

/* A file with a name that nobody has, in the folder of `path`; *ret_name to be freed. */
static int make_beside(const char *path, mode_t mode, char **ret_name)
{
	int fd = -EEXIST;
	uint64_t lot;

	for (int i = 0; i < 100 && fd == -EEXIST; i++) {
		char *name;

		if (getrandom(&lot, sizeof lot, 0) != sizeof lot)
			return -EIO;
		name = an__asprintf("%.*s.an-%016llx", (int)an__folder_length(path), path,
				    (unsigned long long)lot);
		if (!name)
			return -ENOMEM;
		fd = an__blocking_open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
		if (fd >= 0)
			*ret_name = name;
		else
			free(name);
	}
	return fd;
}

/* `old` is what the new file takes the place of, or NULL. The owner can be kept by a
 * privileged process alone; others own what they write. */
static int keep_mode(int fd, const struct stat *old)
{
	if (!old)
		return 0;
	if (fchown(fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
		return -errno;
	return fchmod(fd, old->st_mode & 07777) < 0 ? -errno : 0;
}

static int replace(const struct writing *w, const char *target, const struct stat *old)
{
	char *name = NULL;
	int fd = make_beside(target, w->opts.mode, &name), r;

	if (fd < 0)
		return fd;
	r = keep_mode(fd, old);
	if (r < 0)
		close(fd);
	else
		r = write_and_close(fd, w, true);
	if (r == 0 && rename(name, target) < 0)
		r = -errno;
	if (r < 0)
		unlink(name);
	free(name);
	return r < 0 ? r : an__blocking_sync_parent(target);
}

static int write_atomically(const struct writing *w)
{
	struct stat old;
	char *target;
	int r;

	if (stat(w->path, &old) < 0)
		return errno == ENOENT ? replace(w, w->path, NULL) : -errno;
	if (!S_ISREG(old.st_mode))
		return S_ISDIR(old.st_mode) ? -EISDIR : -EINVAL;
	/* What a link leads to is replaced, not the link. */
	target = realpath(w->path, NULL);
	if (!target)
		return -errno;
	r = replace(w, target, &old);
	free(target);
	return r;
}

static int do_write(void *arg)
{
	const struct writing *w = arg;

	return w->opts.atomic ? write_atomically(w) : write_in_place(w);
}

int an_path_write(const char *path, const void *data, size_t len,
		  const an_path_write_opts *opts)
{
	struct writing w = { .path = path, .data = data, .len = len };

	if (opts)
		w.opts = *opts;
	if (!w.opts.mode)
		w.opts.mode = 0666;
	if (w.opts.atomic && w.opts.append)
		return -EINVAL;
	return an_offload(do_write, &w, NULL);
}
