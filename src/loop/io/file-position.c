/* Files at their own position: reading, writing, lines, and the buffers of these. L3.
 *
 * Both buffers are the task's side of the pool: a hop to a worker is paid for what fills
 * one, not for each line. Data in `out` is not dropped before the system has it: after an
 * error the rest stays there, to be written by the flush after an_file_clear_error().
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>

#include "loop/base/alloc.h"
#include "loop/core/wait.h"
#include "loop/io/file-private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define IN_SIZE ((size_t)64 << 10)
/* Reads of less than this go through the buffer, of a regular file. */
#define SMALL ((size_t)16 << 10)

#define LINE_LIMIT ((size_t)64 << 10)

static int begin_sequential(an_file *f)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (f->sequential)
		return -EBUSY;
	an__file_enter(f);
	f->sequential = true;
	return 0;
}

static ssize_t end_sequential(an_file *f, ssize_t r)
{
	f->sequential = false;
	return an__file_leave(f, r);
}

static void consume(struct file_buffer *b, size_t len)
{
	b->len -= len;
	b->start = b->len ? b->start + len : 0;
}

/* ---- writing --------------------------------------------------------------------- */

/* Hands over what was gathered. */
static int flush(an_file *f)
{
	size_t done = 0;
	int r;

	if (f->error)
		return f->error;
	if (!f->out.len)
		return 0;
	r = an__file_write(f, f->out.data + f->out.start, f->out.len, &done);
	consume(&f->out, done);
	return r;
}

int an_file_flush(an_file *f)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!f->out.len)
		return f->error;
	r = begin_sequential(f);
	return r < 0 ? r : (int)end_sequential(f, flush(f));
}

/* What was read ahead of the caller is read again; of a pipe it is kept. */
static void read_back(an_file *f)
{
	if (f->in.len && lseek(f->fd, -(off_t)f->in.len, SEEK_CUR) >= 0)
		consume(&f->in, f->in.len);
}

static int write_through(an_file *f, const void *data, size_t len)
{
	size_t done;

	return an__file_write(f, data, len, &done);
}

static int gather(an_file *f, const void *data, size_t len)
{
	struct file_buffer *b = &f->out;
	int r = f->error;

	if (r == 0 && len > b->size - b->start - b->len)
		r = flush(f);
	if (r < 0)
		return r;
	if (len >= b->size)
		return write_through(f, data, len);
	if (len)
		memcpy(b->data + b->start + b->len, data, len);
	b->len += len;
	return 0;
}

int an_file_write(an_file *f, const void *data, size_t len)
{
	int r = begin_sequential(f);

	if (r < 0)
		return r;
	read_back(f);
	r = f->out.size ? gather(f, data, len) : write_through(f, data, len);
	return (int)end_sequential(f, r);
}

int an_file_buffer(an_file *f, size_t size)
{
	char *data = NULL;

	if (f->sequential || f->out.len)
		return -EBUSY;
	if (size > SSIZE_MAX)
		return -EINVAL;
	if (size) {
		data = an__malloc(size);
		if (!data)
			return -ENOMEM;
	}
	free(f->out.data);
	f->out = (struct file_buffer){ .data = data, .size = size };
	return 0;
}

/* ---- reading --------------------------------------------------------------------- */

/* Makes room behind what lies in the buffer, which has less than `want` bytes. */
static int make_room(struct file_buffer *b, size_t want)
{
	size_t size = b->size;
	char *data;

	if (b->start) {
		memmove(b->data, b->data + b->start, b->len);
		b->start = 0;
	}
	if (b->len < b->size)
		return 0;
	size = size ? 2 * size : IN_SIZE;
	if (size > want && want > IN_SIZE)
		size = want;
	data = an__realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

/* Reads more ahead: what one read gives, so that a line typed is a line read. */
static ssize_t fill(an_file *f, size_t want)
{
	struct file_buffer *b = &f->in;
	ssize_t n = make_room(b, want);

	if (n < 0)
		return n;
	n = an__file_read(f, b->data + b->len, b->size - b->len, true);
	if (n > 0)
		b->len += (size_t)n;
	return n;
}

static size_t take(struct file_buffer *b, char *buf, size_t cap)
{
	size_t len = b->len < cap ? b->len : cap;

	if (len) {
		memcpy(buf, b->data + b->start, len);
		consume(b, len);
	}
	return len;
}

static ssize_t read_own(an_file *f, char *buf, size_t cap)
{
	size_t had = take(&f->in, buf, cap);
	ssize_t n = 1;

	while (had < cap && n > 0) {
		if (f->ahead && cap - had < SMALL) {
			n = fill(f, IN_SIZE);
			had += take(&f->in, buf + had, cap - had);
			continue;
		}
		n = an__file_read(f, buf + had, cap - had, false);
		return n < 0 && had ? (ssize_t)had : n < 0 ? n : (ssize_t)had + n;
	}
	return n < 0 && !had ? n : (ssize_t)had;
}

/* Before any reading: what was gathered is written, what is outdated read again. */
static int prepare_to_read(an_file *f)
{
	if (f->out.len) {
		int r = flush(f);

		if (r < 0)
			return r;
	}
	if (f->stale)
		read_back(f);
	f->stale = false;
	return 0;
}

ssize_t an_file_read(an_file *f, void *buf, size_t cap)
{
	int r = begin_sequential(f);

	if (r < 0)
		return r;
	r = cap > SSIZE_MAX ? -EINVAL : prepare_to_read(f);
	return end_sequential(f, r < 0 ? r : read_own(f, buf, cap));
}

/* The length of the next line with its newline, 0: not all of it is there. `seen` bytes
 * have none. */
static size_t line_in(const struct file_buffer *b, size_t seen, size_t limit)
{
	size_t most = b->len <= limit ? b->len : limit + 1;
	const char *start = b->data + b->start, *end;

	if (most <= seen)
		return 0;
	end = memchr(start + seen, '\n', most - seen);
	return end ? (size_t)(end - start) + 1 : 0;
}

static int read_line(an_file *f, size_t limit, const char **ret_line, size_t *ret_len)
{
	struct file_buffer *b = &f->in;
	size_t seen = 0, len;
	ssize_t n;

	while (!(len = b->len ? line_in(b, seen, limit) : 0)) {
		if (b->len > limit)
			return AN_ERR_LIMIT;
		seen = b->len;
		n = fill(f, limit + 1);
		if (n < 0)
			return (int)n;
		if (n == 0 && !seen)
			return AN_ERR_EOF;
		if (n == 0) {
			len = seen;
			break;
		}
	}
	*ret_line = b->data + b->start;
	*ret_len = len;
	consume(b, len);
	return 0;
}

int an_file_read_line(an_file *f, size_t limit, const char **ret_line, size_t *ret_len)
{
	int r = begin_sequential(f);

	if (r < 0)
		return r;
	if (!limit)
		limit = LINE_LIMIT;
	r = limit < SSIZE_MAX ? prepare_to_read(f) : -EINVAL;
	if (r == 0)
		r = read_line(f, limit, ret_line, ret_len);
	return (int)end_sequential(f, r);
}

/* ---- moving ---------------------------------------------------------------------- */

struct seeking {
	int fd, whence;
	off_t offset;
};

static int do_seek(void *arg)
{
	struct seeking *s = arg;

	s->offset = lseek(s->fd, s->offset, s->whence);
	return s->offset < 0 ? -errno : 0;
}

static int seek(an_file *f, off_t offset, int whence, off_t *ret_position)
{
	struct seeking s = { f->fd, whence, offset };
	int r = f->out.len ? flush(f) : 0;

	if (r < 0)
		return r;
	if (whence == SEEK_CUR &&
	    __builtin_sub_overflow(offset, (off_t)f->in.len, &s.offset))
		return -EOVERFLOW;
	/* The others ask the file system. */
	if (whence == SEEK_SET || whence == SEEK_CUR)
		r = do_seek(&s);
	else
		r = an_offload(do_seek, &s, NULL);
	if (r < 0)
		return r;
	consume(&f->in, f->in.len);
	if (ret_position)
		*ret_position = s.offset;
	return 0;
}

int an_file_seek(an_file *f, off_t offset, int whence, off_t *ret_position)
{
	int r = begin_sequential(f);

	return r < 0 ? r : (int)end_sequential(f, seek(f, offset, whence, ret_position));
}
