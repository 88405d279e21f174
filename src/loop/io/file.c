/* Files on the offload pool: opening, closing, and what has an offset of its own. L3.
 *
 * A call is a record on the task's stack that a worker fills in: it is waited for to
 * the end once it has begun, so that neither the record nor the caller's buffer can be
 * gone. Reads try the page cache first (RWF_NOWAIT): 0.5 instead of 9 microseconds.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>
#include <asyncnet/task.h>

#include "loop/base/alloc.h"
#include "loop/core/trace.h"
#include "loop/core/wait.h"
#include "loop/io/blocking.h"
#include "loop/io/file-private.h"
#include "loop/io/offload.h"
#include "loop/io/uring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* So many bytes from the page cache without waiting, then other tasks have their turn. */
#define BURST ((size_t)1 << 20)

/* read(2) and write(2) transfer less than 2 GiB at once. */
#define PIECE_MAX ((size_t)1 << 30)

/* ---- a call on a file ------------------------------------------------------------ */

struct file_call {
	int fd;
	char *buf;
	size_t len, done;
	off_t offset;
	bool once;	/* what one read gives will do */
	bool data_only; /* a sync of what reading needs */
	bool begun;
	struct stat stat;
};

void an__file_enter(an_file *f)
{
	f->calls++;
}

ssize_t an__file_leave(an_file *f, ssize_t r)
{
	if (--f->calls == 0 && f->closed)
		an__file_destroy(f);
	return r;
}

an_file *an_file_close(an_file *f)
{
	if (!f)
		return NULL;
	an__file_enter(f);
	f->closed = true;
	an__file_leave(f, 0);
	return NULL;
}

static int call(an_file *f, int (*fn)(void *arg), struct file_call *c)
{
	c->fd = f->fd;
	return an_offload(fn, c, NULL);
}

/* For what must not fail unseen. */
static int writing_result(an_file *f, const struct file_call *c, int r)
{
	f->stale = true;
	if (r < 0 && c->begun && !f->error)
		f->error = r;
	return r;
}

static int writing_call(an_file *f, int (*fn)(void *arg), struct file_call *c)
{
	return writing_result(f, c, call(f, fn, c));
}

/* ---- reading --------------------------------------------------------------------- */

static size_t piece(const struct file_call *c)
{
	size_t left = c->len - c->done;

	return left < PIECE_MAX ? left : PIECE_MAX;
}

/* Reads until the end or an error. */
static int do_read(void *arg)
{
	struct file_call *c = arg;

	while (c->done < c->len) {
		ssize_t n = c->offset == OWN_POSITION
				    ? read(c->fd, c->buf + c->done, piece(c))
				    : pread(c->fd, c->buf + c->done, piece(c),
					    c->offset + (off_t)c->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		c->done += (size_t)n;
		if (c->once)
			break;
	}
	return 0;
}

/* What the page cache has. Returns whether that settles the call. An end does not: Linux
 * 5.9 and 5.10 may say so before it (preadv2(2), BUGS). */
static bool read_cached(an_file *f, struct file_call *c)
{
	struct iovec iov = { c->buf, piece(c) };
	ssize_t n;

	/* A direct read would wait for the disk in spite of the flag. */
	if (f->uncached || f->direct)
		return false;
	n = preadv2(f->fd, &iov, 1, c->offset, RWF_NOWAIT);
	if (n < 0) {
		f->uncached = errno == EOPNOTSUPP || errno == ENOSYS;
		return false;
	}
	c->done = (size_t)n;
	f->burst += (size_t)n;
	return c->done == c->len || (c->once && n > 0);
}

/* Where the ring is to go on; negative: nowhere. Never OWN_POSITION: where the disk is
 * waited for, the kernel does not move that on. Appending does so from the end. */
static off_t ring_position(an_file *f, const struct file_call *c, bool writing)
{
	if (c->offset != OWN_POSITION)
		return c->offset + (off_t)c->done;
	if (writing && (fcntl(f->fd, F_GETFL) & O_APPEND))
		return -1;
	return lseek(f->fd, 0, SEEK_CUR);
}

/* The ring has done `n` bytes. */
static void ring_moved(an_file *f, struct file_call *c, ssize_t n)
{
	c->done += (size_t)n;
	if (c->offset == OWN_POSITION)
		lseek(f->fd, n, SEEK_CUR);
}

/* The rest by io_uring. Returns whether that settles the call. */
static bool read_by_ring(an_file *f, struct file_call *c, int *ret)
{
	ssize_t n = 1;

	if (!f->direct && (!f->ahead || f->uncached))
		return false;
	*ret = 0;
	while (c->done < c->len && n > 0) {
		off_t at = ring_position(f, c, false);
		int r = at < 0 ? 0
			       : an__uring_read(f->fd, c->buf + c->done, c->len - c->done,
						at, &n);

		if (r == 0)
			return false;
		if (r < 0 || n < 0) {
			*ret = r < 0 ? r : (int)n;
			return true;
		}
		ring_moved(f, c, n);
		if (c->once)
			break;
	}
	return true;
}

static ssize_t read_at(an_file *f, struct file_call *c)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (c->len > SSIZE_MAX)
		return -EINVAL;
	if (f->burst >= BURST) {
		f->burst = 0;
		r = an_yield();
		if (r < 0)
			return r;
	}
	if (c->len == 0 || read_cached(f, c))
		return (ssize_t)c->done;
	f->burst = 0;
	if (!read_by_ring(f, c, &r))
		r = call(f, do_read, c);
	/* Less than was asked for says that the file ends there: not so where the rest
	 * failed, or was cancelled. But the position has moved on, and what was read
	 * before that is told first. */
	return r < 0 && !(c->done && c->offset == OWN_POSITION) ? r : (ssize_t)c->done;
}

ssize_t an_file_pread(an_file *f, void *buf, size_t cap, off_t offset)
{
	struct file_call c = { .buf = buf, .len = cap, .offset = offset };

	if (offset < 0)
		return -EINVAL;
	an__file_enter(f);
	return an__file_leave(f, read_at(f, &c));
}

ssize_t an__file_read(an_file *f, void *buf, size_t cap, bool once)
{
	struct file_call c = {
		.buf = buf, .len = cap, .offset = OWN_POSITION, .once = once
	};

	return read_at(f, &c);
}

/* ---- writing --------------------------------------------------------------------- */

static int do_write(void *arg)
{
	struct file_call *c = arg;

	c->begun = true;
	while (c->done < c->len) {
		ssize_t n = c->offset == OWN_POSITION
				    ? write(c->fd, c->buf + c->done, piece(c))
				    : pwrite(c->fd, c->buf + c->done, piece(c),
					     c->offset + (off_t)c->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		c->done += (size_t)n;
	}
	return 0;
}

/* A direct write waits for the disk and nothing else. Returns whether the ring has done
 * all of it, or has failed. */
static bool write_by_ring(an_file *f, struct file_call *c, int *ret)
{
	ssize_t n;
	off_t at;
	int r;

	if (!f->direct || c->len == 0)
		return false;
	at = ring_position(f, c, true);
	r = at < 0 ? 0 : an__uring_write(f->fd, c->buf, c->len, at, &n);
	if (r == 0)
		return false;
	*ret = r < 0 ? r : n < 0 ? (int)n : 0;
	c->begun = r > 0;
	if (r > 0 && n > 0)
		ring_moved(f, c, n);
	return *ret < 0 || c->done == c->len;
}

/* What the ring has begun a worker ends, be the task cancelled or not. */
static int write_at(an_file *f, struct file_call *c)
{
	an_shield until_the_end;
	int r;

	if (write_by_ring(f, c, &r))
		return writing_result(f, c, r);
	if (!c->done)
		return writing_call(f, do_write, c);
	an_shield_begin(&until_the_end, AN_FOREVER);
	return an_shield_end(&until_the_end, writing_call(f, do_write, c));
}

int an_file_pwrite(an_file *f, const void *data, size_t len, off_t offset)
{
	/* The worker does not write to it. */
	struct file_call c = { .buf = (char *)data, .len = len, .offset = offset };

	if (offset < 0)
		return -EINVAL;
	an__file_enter(f);
	return (int)an__file_leave(f, write_at(f, &c));
}

int an__file_write(an_file *f, const void *data, size_t len, size_t *ret_done)
{
	struct file_call c = { .buf = (char *)data, .len = len, .offset = OWN_POSITION };
	int r = write_at(f, &c);

	*ret_done = c.done;
	return r;
}

static int do_truncate(void *arg)
{
	struct file_call *c = arg;

	return an__blocking_truncate(c->fd, c->offset);
}

int an_file_truncate(an_file *f, off_t size)
{
	struct file_call c = { .offset = size };

	an__file_enter(f);
	f->stale = true;
	return (int)an__file_leave(f, call(f, do_truncate, &c));
}

static int do_allocate(void *arg)
{
	struct file_call *c = arg;
	int r;

	/* Not posix_fallocate, which writes zeros where the file system cannot. */
	do
		r = fallocate(c->fd, 0, 0, c->offset);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int an_file_allocate(an_file *f, off_t size)
{
	struct file_call c = { .offset = size };

	an__file_enter(f);
	return (int)an__file_leave(f, call(f, do_allocate, &c));
}

static int do_sync(void *arg)
{
	struct file_call *c = arg;

	c->begun = true;
	return an__blocking_sync(c->fd, c->data_only);
}

static int sync_file(an_file *f, bool data_only)
{
	struct file_call c = { .data_only = data_only };
	ssize_t synced = 0;
	int r;

	an__file_enter(f);
	/* What the buffer has goes first; it also tells of an error that was before. */
	r = an_file_flush(f);
	if (r == 0)
		r = an__uring_sync(f->fd, data_only, &synced);
	if (r > 0) {
		c.begun = true;
		r = writing_result(f, &c, (int)synced);
	} else if (r == 0) {
		r = writing_call(f, do_sync, &c);
	}
	return (int)an__file_leave(f, r);
}

int an_file_sync(an_file *f)
{
	return sync_file(f, false);
}

int an_file_datasync(an_file *f)
{
	return sync_file(f, true);
}

static int do_stat(void *arg)
{
	struct file_call *c = arg;

	return fstat(c->fd, &c->stat) < 0 ? -errno : 0;
}

int an_file_stat(an_file *f, struct stat *ret)
{
	struct file_call c = { 0 };
	int r;

	an__file_enter(f);
	r = (int)an__file_leave(f, call(f, do_stat, &c));
	if (r == 0)
		*ret = c.stat;
	return r;
}

int an_file_fd(const an_file *f)
{
	return f->fd;
}

int an_file_clear_error(an_file *f)
{
	int r = f->error;

	f->error = 0;
	return r;
}

/* ---- the end of a file ----------------------------------------------------------- */

/* On a worker, or on the loop's thread if there is none: nobody waits. */
static int do_destroy(void *arg)
{
	an_file *f = arg;
	struct file_call rest = { .fd = f->fd,
				  .buf = f->out.data + f->out.start,
				  .len = f->out.len,
				  .offset = OWN_POSITION };
	int r = f->error ? f->error : do_write(&rest);

	if (r < 0)
		an__trace_message(AN_LOG_ERROR,
				  "a file was closed with %zu bytes not written: %s",
				  rest.len - rest.done, an_strerror(r));
	close(f->fd);
	free(f->in.data);
	free(f->out.data);
	free(f);
	return 0;
}

void an__file_destroy(an_file *f)
{
	if (f->out.len && !f->error && an__offload_detached(do_destroy, f) == 0)
		return;
	if (!f->out.len)
		f->error = 0;
	do_destroy(f);
}

/* ---- opening --------------------------------------------------------------------- */

/* On the heap: it may outlive the task that asked. The outcome is in `error`, so that a
 * result of 0 says whose the record is. */
struct opening {
	an_file *file;
	int flags, error;
	mode_t mode;
	char path[];
};

static int do_open(void *arg)
{
	struct opening *o = arg;
	struct stat st;
	int fd = an__blocking_open(o->path, o->flags, o->mode);

	o->error = fd < 0 ? fd : 0;
	o->file->fd = fd;
	/* O_DIRECT has rules for the memory that is read to. */
	if (fd >= 0 && fstat(fd, &st) == 0) {
		o->file->direct = (o->flags & O_DIRECT) &&
				  (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
		o->file->ahead = S_ISREG(st.st_mode) && !o->file->direct;
	}
	return 0;
}

static void dispose_opening(void *arg)
{
	struct opening *o = arg;

	if (o->file && o->file->fd >= 0)
		close(o->file->fd);
	free(o->file);
	free(o);
}

int an_file_open(const char *path, int flags, mode_t mode, an_file **ret)
{
	size_t size = strlen(path) + 1;
	struct opening *o = an__malloc(sizeof *o + size);
	int r;

	if (!o)
		return -ENOMEM;
	*o = (struct opening){ .flags = flags, .mode = mode };
	memcpy(o->path, path, size);
	o->file = an__calloc(1, sizeof *o->file);
	if (!o->file) {
		free(o);
		return -ENOMEM;
	}
	o->file->fd = -1;
	r = an_offload(do_open, o, dispose_opening);
	if (r < 0)
		return r;
	r = o->error;
	if (r == 0) {
		*ret = o->file;
		o->file = NULL;
	}
	dispose_opening(o);
	return r;
}
