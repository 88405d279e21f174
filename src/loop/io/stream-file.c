/* Streams over files: what epoll refuses is read and written by worker threads. L3.
 *
 * The stream's own descriptor is an eventfd that nothing happens to; the file's is kept
 * here. A read is a job that fills a buffer, from which the stream then takes; a write is
 * a job with a copy of all the output, which is dropped from the output when the file has
 * it, so that a drain means what it says.
 *
 *	idle --something to read or write--> busy --delivered on the loop--> idle
 *
 * Invariants: a busy side holds the loop; the struct lives until the stream is closed and
 * both sides are idle. What the stream has at its close goes behind the write that is
 * under way.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/stream-private.h"
#include "loop/io/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

struct side {
	an__work work;
	an__post_node delivery;
	bool busy;
	char *data;
	size_t begin, length; /* of the data: taken or written, and there */
	int result;	      /* of the last job: 0, or the error */
};

struct file {
	an__transport transport; /* the stream's */
	an_stream *stream;	 /* NULL: closed */
	an_loop *loop;
	int fd;
	an__workers workers;
	struct side in, out;
	bool at_end; /* the last read found it */
	bool last;   /* what is written now is all: the stream is about to be closed */
	char *rest;  /* to be written behind `out` */
	size_t rest_length;
};

static struct file *file_of(const an_stream *s)
{
	return (struct file *)an__container(s->transport, struct file, transport);
}

static void free_if_done(struct file *f)
{
	if (f->stream || f->in.busy || f->out.busy)
		return;
	an__workers_stop(&f->workers, true);
	pthread_mutex_destroy(&f->workers.lock);
	pthread_cond_destroy(&f->workers.work);
	close(f->fd);
	free(f->in.data);
	free(f->out.data);
	free(f->rest);
	free(f);
}

static int submit(struct file *f, struct side *side)
{
	int r;

	side->busy = true;
	an__loop_hold(f->loop);
	r = an__workers_submit(&f->workers, &side->work);
	if (r < 0) {
		side->busy = false;
		an__loop_release(f->loop);
	}
	return r;
}

static void idle(struct file *f, struct side *side)
{
	side->busy = false;
	an__loop_release(f->loop);
}

/* ---- reading ----------------------------------------------------------------------- */

/* On a worker. */
static void run_read(an__work *work)
{
	struct file *f = an__container(work, struct file, in.work);
	ssize_t n;

	do
		n = read(f->fd, f->in.data, READ_SIZE);
	while (n < 0 && errno == EINTR);
	f->in.result = n < 0 ? -errno : 0;
	f->in.begin = 0;
	f->in.length = n < 0 ? 0 : (size_t)n;
	f->at_end = n == 0;
	an__loop_post(f->loop, &f->in.delivery);
}

static void was_read(an__post_node *node)
{
	struct file *f = an__container(node, struct file, in.delivery);

	idle(f, &f->in);
	if (f->stream)
		an__stream_on_readable(f->stream->fd, EV_READ, f->stream);
	free_if_done(f);
}

static bool outcome_known(const struct file *f)
{
	return !f->in.busy && (f->in.begin < f->in.length || f->at_end || f->in.result);
}

static ssize_t take_read(struct file *f, void *buf, size_t cap)
{
	size_t n = f->in.length - f->in.begin;

	if (!n)
		return f->in.result;
	if (n > cap)
		n = cap;
	memcpy(buf, f->in.data + f->in.begin, n);
	f->in.begin += n;
	return (ssize_t)n;
}

/* What lies in the page cache is read at once. An end is left to the worker: Linux 5.9
 * and 5.10 may say so before it (preadv2(2), BUGS). */
static ssize_t file_read(an_stream *s, void *buf, size_t cap)
{
	struct file *f = file_of(s);
	struct iovec iov = { buf, cap };
	ssize_t n;
	int r;

	if (outcome_known(f))
		return take_read(f, buf, cap);
	s->drained = true;
	if (f->in.busy)
		return -EAGAIN;
	n = preadv2(f->fd, &iov, 1, -1, RWF_NOWAIT);
	if (n > 0) {
		s->drained = false;
		return n;
	}
	if (!f->in.data)
		f->in.data = an__malloc(READ_SIZE);
	r = f->in.data ? submit(f, &f->in) : -ENOMEM;
	return r < 0 ? r : -EAGAIN;
}

static bool file_buffered(const an_stream *s)
{
	return outcome_known(file_of(s));
}

static bool file_readable(an_stream *s)
{
	(void)s;
	return true;
}

/* ---- writing ----------------------------------------------------------------------- */

/* On a worker. */
static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static void run_write(an__work *work)
{
	struct file *f = an__container(work, struct file, out.work);

	f->out.result = write_all(f->fd, f->out.data, f->out.length);
	an__loop_post(f->loop, &f->out.delivery);
}

/* A copy of the output from `from` on, in one piece. */
static char *copy_output(const an_stream *s, size_t from, size_t *ret_length)
{
	size_t length = evbuffer_get_length(s->out) - from, at = 0;
	char *copy = an__malloc(length ? length : 1);
	struct evbuffer_ptr start;
	struct evbuffer_iovec piece;

	if (!copy)
		return NULL;
	while (at < length) {
		size_t n;

		evbuffer_ptr_set(s->out, &start, from + at, EVBUFFER_PTR_SET);
		evbuffer_peek(s->out, -1, &start, &piece, 1);
		n = piece.iov_len < length - at ? piece.iov_len : length - at;
		memcpy(copy + at, piece.iov_base, n);
		at += n;
	}
	*ret_length = length;
	return copy;
}

static int start_write(struct file *f, an_stream *s)
{
	f->out.data = copy_output(s, 0, &f->out.length);
	if (!f->out.data)
		return -ENOMEM;
	s->write_state = AN__WRITE_BLOCKED;
	return submit(f, &f->out);
}

/* While a write is under way only a close comes here with more. */
static int file_offer(an_stream *s)
{
	struct file *f = file_of(s);

	if (f->out.busy && f->last && !f->rest)
		f->rest = copy_output(s, f->out.length, &f->rest_length);
	if (f->out.busy || !evbuffer_get_length(s->out))
		return 0;
	return start_write(f, s);
}

/* Behind the close: nobody is left to hear of an error. */
static bool write_rest(struct file *f)
{
	if (f->out.result || !f->rest_length)
		return false;
	f->out.data = f->rest;
	f->out.length = f->rest_length;
	f->rest = NULL;
	f->rest_length = 0;
	return submit(f, &f->out) == 0;
}

static void tell_written(struct file *f, an_stream *s, size_t length)
{
	if (f->out.result) {
		an__stream_write_failed(s, f->out.result);
		return;
	}
	an__stream_output_drain(s, length);
	length = evbuffer_get_length(s->out);
	if (length && start_write(f, s) < 0)
		an__stream_write_failed(s, -ENOMEM);
	else if (length <= s->write_low)
		an__stream_on_written(s->bev, s);
}

static void was_written(an__post_node *node)
{
	struct file *f = an__container(node, struct file, out.delivery);
	size_t length = f->out.length;

	idle(f, &f->out);
	free(f->out.data);
	f->out.data = NULL;
	if (!f->stream)
		write_rest(f);
	else if (f->stream->write_state != AN__WRITE_FAILED)
		tell_written(f, f->stream, length);
	free_if_done(f);
}

/* Of a close, or of a shutdown, which lets nothing be written after it. */
static void file_finish(an_stream *s)
{
	file_of(s)->last = true;
}

/* ---- made and closed --------------------------------------------------------------- */

static void file_free(an_stream *s)
{
	struct file *f = file_of(s);

	f->stream = NULL;
	free_if_done(f);
}

static void init(struct file *f, int fd)
{
	f->transport = an__transport_plain;
	f->transport.read = file_read;
	f->transport.buffered = file_buffered;
	f->transport.readable = file_readable;
	f->transport.direct = false;
	f->transport.offer = file_offer;
	f->transport.finish = file_finish;
	f->transport.free = file_free;
	f->loop = an_loop_current();
	f->fd = fd;
	f->workers = (an__workers)AN__WORKERS_INIT(1, "an-stream-file");
	f->in.work.run = run_read;
	f->in.delivery.fn = was_read;
	f->out.work.run = run_write;
	f->out.delivery.fn = was_written;
	an__list_init(&f->in.work.node);
	an__list_init(&f->out.work.node);
}

int an__stream_new_file(int fd, const an_stream_opts *opts, an_stream **ret)
{
	struct file *f = an__calloc(1, sizeof *f);
	int never = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = never < 0 ? -errno : f ? 0 : -ENOMEM;

	if (r == 0)
		r = an_stream_new(never, opts, ret);
	if (r < 0) {
		if (never >= 0)
			close(never);
		free(f);
		return r;
	}
	init(f, fd);
	f->stream = *ret;
	(*ret)->transport = &f->transport;
	return 0;
}
