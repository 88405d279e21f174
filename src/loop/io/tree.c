/* A folder with all that is in it, removed by a worker. L3.
 *
 * Each folder is entered by its descriptor and its name, never through a link, so that
 * nobody who moves things about meanwhile can have something else removed.
 */
#include "config.h"

#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/io/errand.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct removal {
	an__errand errand;
	char path[];
};

static int remove_one(an__errand *e, int parent, const char *name);

/* All entries once. Returns whether it removed any; how folders behave whose entries
 * vanish while they are read is for the file system to say. */
static int empty_once(an__errand *e, DIR *d)
{
	struct dirent *entry;
	int count = 0;

	rewinddir(d);
	while ((errno = 0, entry = readdir(d))) {
		int r;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (an__errand_stopped(e))
			return -ECANCELED;
		r = remove_one(e, dirfd(d), entry->d_name);
		if (r == 0)
			count = 1;
		else if (r != -ENOENT)
			return r;
	}
	return errno ? -errno : count;
}

static int open_folder(int parent, const char *name)
{
	int fd;

	do
		fd = openat(parent, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int empty(an__errand *e, int parent, const char *name)
{
	int fd = open_folder(parent, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = -errno;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	do
		r = empty_once(e, d);
	while (r > 0);
	closedir(d);
	return r;
}

static int remove_one(an__errand *e, int parent, const char *name)
{
	int error, r;

	if (unlinkat(parent, name, 0) == 0)
		return 0;
	error = errno;
	/* POSIX has EPERM for a folder. */
	if (error != EISDIR && error != EPERM)
		return -error;
	r = empty(e, parent, name);
	if (r == -ENOTDIR || r == -ELOOP)
		return -error;
	if (r < 0)
		return r;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int do_remove(an__errand *e)
{
	return remove_one(e, AT_FDCWD, ((struct removal *)e)->path);
}

static void free_removal(an__errand *e)
{
	free(e);
}

int an_path_remove_all(const char *path)
{
	size_t size = strlen(path) + 1;
	struct removal *m = an__malloc(sizeof *m + size);
	int r;

	if (!m)
		return -ENOMEM;
	*m = (struct removal){ .errand = { .fn = do_remove, .free = free_removal } };
	memcpy(m->path, path, size);
	r = an__errand_run(&m->errand);
	an__errand_drop(&m->errand);
	return r;
}
