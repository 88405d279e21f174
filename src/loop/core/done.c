/* Callbacks for the end of a task: watches with the user's function. L1. */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

#include <errno.h>
#include <stdlib.h>

struct callback {
	an__task_watch watch;
	void (*fn)(void *arg, int result);
	void *arg;
};

static void call(an__task_watch *watch, an_task *task)
{
	struct callback *c = an__container(watch, struct callback, watch);

	task->retrieved = true;
	c->fn(c->arg, task->result);
	free(c);
}

/* It may detach the task, which is then gone. */
static void call_at_once(an_loop *loop, void (*fn)(void *arg, int result), void *arg,
			 int result)
{
	an_task *self = loop->current;

	loop->current = NULL;
	fn(arg, result);
	loop->current = self;
}

int an_task_on_done(an_task *task, void (*fn)(void *arg, int result), void *arg)
{
	struct callback *c;

	if (task->state == AN__TASK_DONE) {
		task->retrieved = true;
		call_at_once(task->loop, fn, arg, task->result);
		return 0;
	}
	c = an__malloc(sizeof *c);
	if (!c)
		return -ENOMEM;
	*c = (struct callback){ { .fn = call }, fn, arg };
	an__task_watch_add(task, &c->watch);
	return 0;
}

bool an_task_off_done(an_task *task, void (*fn)(void *arg, int result), void *arg)
{
	for (an__task_watch *w = task->watches; w; w = w->next) {
		struct callback *c = an__container(w, struct callback, watch);

		if (w->fn == call && c->fn == fn && c->arg == arg) {
			an__task_watch_remove(w);
			free(c);
			return true;
		}
	}
	return false;
}
