/* Stages joined by queues. Combine.
 *
 * A group runs the workers, so that the first failure ends all; this file adds what is
 * easily forgotten: when the last worker of a stage ends, the queue behind it is closed,
 * so that the next stage comes to its end, and the one before it is closed and emptied,
 * so that the stage before does not wait for ever.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <asyncnet/combine.h>
#include <asyncnet/error.h>

#include <errno.h>

struct stage {
	const an_stage *opts;
	struct stage *before; /* NULL: the first */
	bool last;
	size_t running; /* workers */
	an_queue out;
};

static void drop_rest(struct stage *s)
{
	an_queue_close_now(&s->out, s->opts->drop, s->opts->arg);
}

static void worker_ended(struct stage *s)
{
	if (--s->running)
		return;
	an_queue_close(&s->out);
	if (s->before)
		drop_rest(s->before);
}

static int work(void *arg)
{
	struct stage *s = arg;
	int r = s->opts->fn(s->before ? &s->before->out : NULL, s->last ? NULL : &s->out,
			    s->opts->arg);

	worker_ended(s);
	return r == AN_ERR_CLOSED ? 0 : r;
}

/* All workers count before the first one can end. */
static int spawn_workers(an_group *g, struct stage *s)
{
	const char *name = s->opts->name ? s->opts->name : "stage";
	int r = 0;

	s->running = s->opts->workers ? s->opts->workers : 1;
	for (size_t i = s->running; r == 0 && i; i--)
		r = an_group_spawn_with(g, work, s, &(an_task_opts){ .name = name });
	return r;
}

static int run(struct stage *all, size_t count)
{
	an_group g;
	int r = 0;

	an_group_begin(&g);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = spawn_workers(&g, &all[i]);
	an_group_fail(&g, r);
	return an_group_end(&g);
}

int an_pipeline(const an_stage *stages, size_t count)
{
	struct stage *all;
	int r = an__wait_check();

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (!stages[i].fn)
			return -EINVAL;
	if (!count)
		return -EINVAL;
	all = an__calloc(count, sizeof *all);
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		all[i].opts = &stages[i];
		all[i].before = i ? &all[i - 1] : NULL;
		all[i].last = i == count - 1;
		an_queue_init(&all[i].out, stages[i].capacity);
	}
	r = run(all, count);
	/* Workers that were cancelled before they began have not done it. */
	for (size_t i = 0; i < count; i++) {
		drop_rest(&all[i]);
		an_queue_done(&all[i].out);
	}
	free(all);
	return r;
}
