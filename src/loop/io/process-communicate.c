/* A child's input and its outputs, all at once. L3.
 *
 * A task for each pipe: a child that is blocked on its output does not read its input,
 * and the other way round. What they have done is noted in the process after each step,
 * so that a call that was cancelled can be made again and goes on there.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/process-private.h"

#include <asyncnet/sync.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	OUTPUT_LIMIT = 16 * 1024 * 1024,
	/* Grows from here; at least what a stream reads straight to its place. */
	OUTPUT_FIRST = 8 * 1024,
	/* Of the input in one write, which a cancellation may leave to the stream. */
	INPUT_PIECE = 64 * 1024,
};

/* One call. */
struct talk {
	an_process *p;
	const char *input;
	size_t length;
	unsigned open; /* pipes that are not done with */
	an_event done;
};

static int finish(struct talk *t, int r)
{
	if (--t->open == 0)
		an_event_set(&t->done);
	/* Closed by the owner, who does not want it any more; or with the process, which
	 * the caller will see. */
	return r == AN_ERR_CLOSED ? 0 : r;
}

/* ---- input ------------------------------------------------------------------------- */

static int feed_rest(struct talk *t, an_stream *s)
{
	an_process *p = t->p;

	while (p->fed < t->length) {
		size_t left = t->length - p->fed;
		size_t n = left < INPUT_PIECE ? left : INPUT_PIECE;
		int r = an_stream_write(s, t->input + p->fed, n);

		if (r < 0)
			return r;
		p->fed += n;
	}
	return an_stream_drain(s);
}

static int feed(void *arg)
{
	struct talk *t = arg;
	an_stream *s = t->p->streams[STDIN_FILENO];
	int r = s ? feed_rest(t, s) : AN_ERR_CLOSED;

	if (r == -EPIPE)
		r = 0;
	if (r == 0)
		an_process_stream_close(t->p, STDIN_FILENO);
	return finish(t, r);
}

/* ---- outputs ----------------------------------------------------------------------- */

/* Room for one byte at least, with a zero behind it. Returns 0; AN_ERR_LIMIT; -ENOMEM. */
static int make_room(an__output *o, size_t limit)
{
	size_t room = o->room ? o->room * 2 : OUTPUT_FIRST;
	char *data;

	if (o->length < o->room)
		return 0;
	if (o->length >= limit)
		return AN_ERR_LIMIT;
	if (room > limit || room < o->room)
		room = limit;
	data = an__realloc(o->data, room + 1);
	if (!data)
		return -ENOMEM;
	o->data = data;
	o->room = room;
	o->data[o->length] = '\0'; /* others may look at it before more has come */
	return 0;
}

/* Whether anything comes behind what is full. It stays in the stream. */
static int look_behind(an_stream *s)
{
	ssize_t n = an_stream_fill(s, 1);

	return n > 0 ? AN_ERR_LIMIT : (int)n;
}

static int collect_all(an_stream *s, an__output *o, size_t limit)
{
	for (;;) {
		int r = make_room(o, limit);
		ssize_t n;

		if (r == AN_ERR_LIMIT)
			return look_behind(s);
		if (r < 0)
			return r;
		n = an_stream_read(s, o->data + o->length, o->room - o->length);
		if (n > 0)
			o->length += (size_t)n;
		o->data[o->length] = '\0';
		if (n <= 0)
			return (int)n;
	}
}

static int collect(struct talk *t, int fd)
{
	an_process *p = t->p;
	an_stream *s = p->streams[fd];
	size_t limit = p->output_limit ? p->output_limit : OUTPUT_LIMIT;

	if (limit > SIZE_MAX / 2)
		limit = SIZE_MAX / 2;
	return finish(t, s ? collect_all(s, &p->outputs[fd - 1], limit) : AN_ERR_CLOSED);
}

static int collect_out(void *arg)
{
	return collect(arg, STDOUT_FILENO);
}

static int collect_err(void *arg)
{
	return collect(arg, STDERR_FILENO);
}

const char *an_process_output(const an_process *p, int fd, size_t *ret_len)
{
	static const an__output nothing;
	bool known = fd == STDOUT_FILENO || fd == STDERR_FILENO;
	const an__output *o = known ? &p->outputs[fd - 1] : &nothing;

	if (ret_len)
		*ret_len = o->length;
	return o->data ? o->data : "";
}

/* ---- all of it --------------------------------------------------------------------- */

static int spawn_each(struct talk *t, an_group *g)
{
	static const struct {
		an_task_fn fn;
		const char *name;
	} parts[] = {
		{ feed, "process stdin" },
		{ collect_out, "process stdout" },
		{ collect_err, "process stderr" },
	};

	for (int i = 0; i < 3; i++) {
		int r;

		if (!t->p->streams[i])
			continue;
		t->open++;
		r = an_group_spawn_with(g, parts[i].fn, t,
					&(an_task_opts){ .name = parts[i].name });
		if (r < 0)
			return r;
	}
	return 0;
}

/* The child ends; then those who have its pipes get a while. */
static void linger(struct talk *t, an_group *g)
{
	an_timeout limit;
	int r = an_process_wait(t->p, NULL);

	if (r < 0 && r != -ECHILD)
		return; /* cancelled; the group's end says by what */
	an_timeout_begin(&limit, t->p->linger);
	r = t->open ? an_event_wait(&t->done) : 0;
	if (an_timeout_end(&limit, r) == -ETIMEDOUT)
		an_group_cancel(g);
}

static int talk(struct talk *t)
{
	an_group g;
	int r;

	an_group_begin(&g);
	r = spawn_each(t, &g);
	an_group_fail(&g, r);
	if (r == 0 && t->p->linger > 0)
		linger(t, &g);
	return an_group_end(&g);
}

int an_process_communicate(an_process *p, const void *input, size_t len,
			   an_process_status *ret_status)
{
	struct talk t = { .p = p, .input = input, .length = len };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (p->closed)
		return AN_ERR_CLOSED;
	if (p->communicating)
		return -EBUSY;
	an__process_enter(p);
	p->communicating = true;
	an_event_init(&t.done);
	r = talk(&t);
	if (r == 0)
		r = an_process_wait(p, ret_status);
	p->communicating = false;
	return an__process_leave(p, r);
}
