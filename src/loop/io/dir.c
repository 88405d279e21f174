/* Folders, iterated on the offload pool. L3.
 *
 * What one system call gives of a folder, some hundreds of names, is one hop to a worker;
 * the entries are then handed out from it. The first batch comes with the opening.
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
#include <string.h>
#include <unistd.h>

#define BATCH ((size_t)32 << 10)

struct an_dir {
	int fd;
	bool waiting; /* a task, for the next batch */
	bool closed;  /* meanwhile: the task destroys it */
	size_t at, len;
	_Alignas(struct dirent64) char batch[BATCH];
};

static void destroy(an_dir *d)
{
	if (d && d->fd >= 0)
		close(d->fd);
	free(d);
}

an_dir *an_dir_close(an_dir *d)
{
	if (d && d->waiting)
		d->closed = true;
	else
		destroy(d);
	return NULL;
}

static int do_batch(void *arg)
{
	an_dir *d = arg;
	ssize_t n = getdents64(d->fd, d->batch, sizeof d->batch);

	d->at = 0;
	d->len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -errno : 0;
}

/* ---- opening --------------------------------------------------------------------- */

struct opening {
	an__errand errand;
	an_dir *dir;
	char path[];
};

static int do_open(an__errand *e)
{
	struct opening *o = (struct opening *)e;

	o->dir->fd = an__blocking_open(o->path, O_RDONLY | O_DIRECTORY, 0);
	return o->dir->fd < 0 ? o->dir->fd : do_batch(o->dir);
}

static void free_opening(an__errand *e)
{
	struct opening *o = (struct opening *)e;

	destroy(o->dir);
	free(o);
}

int an_dir_open(const char *path, an_dir **ret)
{
	size_t size = strlen(path) + 1;
	struct opening *o = an__malloc(sizeof *o + size);
	int r;

	if (!o)
		return -ENOMEM;
	*o = (struct opening){ .errand = { .fn = do_open, .free = free_opening } };
	memcpy(o->path, path, size);
	o->dir = an__malloc(sizeof *o->dir);
	if (!o->dir) {
		free(o);
		return -ENOMEM;
	}
	o->dir->fd = -1;
	o->dir->waiting = o->dir->closed = false;
	r = an__errand_run(&o->errand);
	if (r == 0) {
		*ret = o->dir;
		o->dir = NULL;
	}
	an__errand_drop(&o->errand);
	return r;
}

/* ---- the entries ----------------------------------------------------------------- */

static int next_batch(an_dir *d)
{
	int r;

	d->waiting = true;
	r = an_offload(do_batch, d, NULL);
	d->waiting = false;
	if (!d->closed)
		return r < 0 ? r : d->len ? 0 : AN_ERR_EOF;
	destroy(d);
	return AN_ERR_CLOSED;
}

static bool is_itself_or_parent(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

int an_dir_next(an_dir *d, an_dir_entry *ret)
{
	const struct dirent64 *entry;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (d->waiting)
		return -EBUSY;
	do {
		if (d->at >= d->len) {
			r = next_batch(d);
			if (r < 0)
				return r;
		}
		entry = (const void *)(d->batch + d->at);
		d->at += entry->d_reclen;
	} while (is_itself_or_parent(entry->d_name));
	*ret = (an_dir_entry){ entry->d_name, entry->d_type, entry->d_ino };
	return 0;
}
