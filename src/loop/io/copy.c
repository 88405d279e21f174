/* A file copied by a worker: inside the kernel where it can, else through a buffer. L3.
 *
 * copy_file_range(2) moves both descriptors on, so that the buffer goes on wherever it
 * gives up: between file systems of old kernels, or where a file system has none.
 */
#include "config.h"

#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/io/blocking.h"
#include "loop/io/errand.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Between two looks at whether anybody still wants it. */
#define PIECE ((size_t)16 << 20)
#define BUFFER ((size_t)128 << 10)

struct copying {
	an__errand errand;
	bool made; /* the target was not there before */
	const char *to;
	char from[];
};

static bool is_refusal(int error)
{
	return error == EXDEV || error == EINVAL || error == ENOSYS ||
	       error == EOPNOTSUPP || error == EPERM;
}

/* Returns 0; 1: the rest, if any, has to go through the buffer. */
static int copy_inside(an__errand *e, int in, int out)
{
	while (!an__errand_stopped(e)) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, PIECE, 0);

		/* The end; of files that are made as they are read (/proc) it may be
		 * told at the start. */
		if (n == 0 || (n < 0 && is_refusal(errno)))
			return 1;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return -ECANCELED;
}

static int copy_through(an__errand *e, int in, int out)
{
	char *buf = an__malloc(BUFFER);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0) {
		ssize_t n = read(in, buf, BUFFER);

		if (n == 0)
			break;
		if (n > 0)
			r = an__blocking_write(out, buf, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
		if (r == 0 && an__errand_stopped(e))
			r = -ECANCELED;
	}
	free(buf);
	return r;
}

/* Not truncated when it is opened: it might be the source. */
static int open_target(struct copying *c, const struct stat *source)
{
	struct stat st;
	int out = an__blocking_open(c->to, O_WRONLY | O_CREAT | O_EXCL,
				    source->st_mode & 0777);
	int r = 0;

	c->made = out >= 0;
	if (out != -EEXIST)
		return out;
	out = an__blocking_open(c->to, O_WRONLY | O_CREAT, source->st_mode & 0777);
	if (out < 0)
		return out;
	if (fstat(out, &st) < 0)
		r = -errno;
	else if (st.st_dev == source->st_dev && st.st_ino == source->st_ino)
		r = -EINVAL;
	else if (S_ISREG(st.st_mode))
		r = an__blocking_truncate(out, 0);
	if (r == 0)
		return out;
	close(out);
	return r;
}

static int copy_from(struct copying *c, int in)
{
	struct stat st;
	int out, r, closed;

	if (fstat(in, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	out = open_target(c, &st);
	if (out < 0)
		return out;
	r = copy_inside(&c->errand, in, out);
	if (r > 0)
		r = copy_through(&c->errand, in, out);
	closed = an__blocking_close(out);
	return r < 0 ? r : closed;
}

static void undo(an__errand *e)
{
	struct copying *c = (struct copying *)e;

	if (c->made)
		unlink(c->to);
}

static int do_copy(an__errand *e)
{
	struct copying *c = (struct copying *)e;
	int in = an__blocking_open(c->from, O_RDONLY, 0), r;

	if (in < 0)
		return in;
	r = copy_from(c, in);
	close(in);
	if (r < 0)
		undo(e);
	return r;
}

static void free_copying(an__errand *e)
{
	free(e);
}

int an_path_copy(const char *from, const char *to)
{
	size_t from_size = strlen(from) + 1, to_size = strlen(to) + 1;
	struct copying *c = an__malloc(sizeof *c + from_size + to_size);
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct copying){
		.errand = { .fn = do_copy, .undo = undo, .free = free_copying },
		.to = c->from + from_size
	};
	memcpy(c->from, from, from_size);
	memcpy(c->from + from_size, to, to_size);
	r = an__errand_run(&c->errand);
	an__errand_drop(&c->errand);
	return r;
}
