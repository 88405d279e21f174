/* Sending a file to a stream. L3.
 *
 * A piece goes from the page cache to the socket by sendfile(2), when the output is
 * empty and the cache is seen to have it. All else is copied, through an_file_pread(),
 * which has a worker read what the cache lacks, and written as any data is: small files,
 * which leave with what was gathered before; TLS; what sendfile refuses; and a little
 * when the socket is full, so that the stream is blocked as after every other write and
 * the bufferevent finds out when there is room.
 *
 * Invariants: whatever of the file has been passed, by the socket or the output, is in
 * `done`; the rest begins at `at`.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/file-private.h"
#include "loop/io/stream-private.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum {
	COPY = 64 * 1024,
	COPY_BLOCKED = AN__WRITE_DIRECT, /* the least that is offered at once */

	/* By one sendfile(): after as much others have their turn. Each has a cost of its
	 * own, so pieces of 256 KiB took 6 % more. */
	PIECE = AN__STREAM_BURST,

	/* The cache is asked at each, by a read of some 0.6 us; as much is read ahead at
	 * once. */
	PROBE = 128 * 1024,
};

struct sending {
	an_stream *s;
	an_file *f;
	off_t at;
	size_t left, done;
	char *buf;	/* COPY bytes; NULL: not needed yet */
	bool by_copy;	/* all of it */
	bool in_memory; /* the file system has no disk */
	bool full;	/* the socket took less than it was offered */
};

/* ---- by the kernel ----------------------------------------------------------------- */

static bool has_no_disk(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC);
}

static bool is_cached(struct sending *g, off_t at)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	ssize_t n;

	if (g->in_memory)
		return true;
	n = preadv2(g->f->fd, &iov, 1, at, RWF_NOWAIT);
	if (n == 1)
		return true;
	/* A file system that has no such reads. */
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		g->in_memory = has_no_disk(g->f->fd);
		g->by_copy = !g->in_memory;
	}
	return g->in_memory;
}

/* What of the next piece may be sent without waiting for a disk. Never beyond the end:
 * older kernels hold the last segment back when they were promised more. */
static size_t sendable(struct sending *g)
{
	size_t max = g->left < PIECE ? g->left : PIECE, n = 0;
	struct stat st;

	if (fstat(g->f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		g->by_copy = true;
		return 0;
	}
	if (st.st_size <= g->at)
		return 0; /* the end, or one of those files in /proc: a read will tell */
	if ((uintmax_t)(st.st_size - g->at) < max)
		max = (size_t)(st.st_size - g->at);
	while (n < max && is_cached(g, g->at + (off_t)n))
		n += PROBE;
	return n < max ? n : max;
}

/* Others may be the file's. */
static bool is_of_connection(int error)
{
	switch (error) {
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
		return true;
	default:
		return false;
	}
}

/* The end as it is now, so that what is small is known to be. */
static void clip_to_end(struct sending *g)
{
	struct stat st;

	if (fstat(g->f->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > g->at &&
	    (uintmax_t)(st.st_size - g->at) < g->left)
		g->left = (size_t)(st.st_size - g->at);
}

/* Returns the count; 0: not this way, or not now; an error of the stream. */
static ssize_t send_directly(struct sending *g)
{
	an_stream *s = g->s;
	size_t len = sendable(g);
	off_t at = g->at;
	ssize_t n;

	if (!len)
		return 0;
	/* There is no MSG_NOSIGNAL for it: SIGPIPE is ignored since the first stream. */
	do
		n = sendfile(s->fd, g->f->fd, &at, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		s->write_burst += (size_t)n;
		g->full = (size_t)n < len;
		return n;
	}
	if (is_of_connection(errno)) {
		int error = -errno;

		an__stream_write_failed(s, error);
		return error;
	}
	g->full = errno == EAGAIN;
	g->by_copy = !g->full;
	return 0;
}

/* ---- by copy ----------------------------------------------------------------------- */

/* Returns the count; 0 at the end of the file; an error. */
static ssize_t send_copy(struct sending *g, size_t max)
{
	struct iovec iov;
	an__write w = { .iov = &iov };
	ssize_t n;
	int r;

	if (!g->buf)
		g->buf = an__malloc(COPY);
	if (!g->buf)
		return -ENOMEM;
	n = an_file_pread(g->f, g->buf, g->left < max ? g->left : max, g->at);
	if (n <= 0)
		return n;
	r = an__stream_write_check(g->s);
	if (r < 0)
		return r;
	iov = (struct iovec){ g->buf, (size_t)n };
	w.left = w.total = (size_t)n;
	r = an__stream_write_all(g->s, &w);
	return r < 0 ? r : n;
}

/* ---- all of it --------------------------------------------------------------------- */

static int let_others_run(an_stream *s)
{
	int r = 0;

	if (s->write_burst >= AN__STREAM_BURST) {
		s->write_burst = 0;
		r = an_yield();
	}
	return r < 0 ? r : an__stream_write_check(s);
}

/* What is left of a file, or all of a small one, is gathered with what was written. */
static ssize_t send_piece(struct sending *g)
{
	bool full = g->full;
	ssize_t n = let_others_run(g->s);

	if (n < 0)
		return n;
	if (g->by_copy || g->left < AN__WRITE_DIRECT)
		return send_copy(g, COPY);
	n = an__stream_write_out(g->s);
	if (n < 0)
		return n;
	g->full = false;
	n = full ? 0 : send_directly(g);
	return n ? n : send_copy(g, full || g->full ? COPY_BLOCKED : COPY);
}

static ssize_t send_all(struct sending *g)
{
	ssize_t n = 1;

	clip_to_end(g);
	while (g->left && n > 0) {
		n = send_piece(g);
		if (n > 0) {
			g->at += n;
			g->left -= (size_t)n;
			g->done += (size_t)n;
		}
	}
	if (g->s->closed)
		return AN_ERR_CLOSED;
	an__stream_flush_later(g->s);
	return g->done ? (ssize_t)g->done : n < 0 ? n : 0;
}

ssize_t an_stream_send_file(an_stream *s, an_file *f, off_t offset, size_t len)
{
	struct sending g = {
		.s = s,
		.f = f,
		.at = offset,
		.left = len < SSIZE_MAX ? len : SSIZE_MAX,
	};
	ssize_t n;
	int r;

	if (offset < 0)
		return -EINVAL;
	an__file_enter(f); /* the next call may suspend */
	r = an__stream_write_begin(s);
	if (r < 0)
		return an__file_leave(f, r);
	s->sending_file = true;
	g.by_copy = !s->transport->direct;
	n = s->shut ? AN_ERR_CLOSED : send_all(&g);
	s->sending_file = false;
	free(g.buf);
	an__file_leave(f, 0);
	an__stream_write_end(s, 0);
	return n;
}
