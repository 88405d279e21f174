/* A task that yields items to its reader. Combine.
 *
 * Between the two is a queue without room: an item goes from hand to hand, so that none
 * is ever left behind when either side goes. The task's end closes the queue, and it is
 * then that a reader looks at how it ended.
 *
 * Who has yielded an item that was taken goes on when a reader asks again: until then
 * the item, which often lies on its stack, is as it was. So the calls of readers that are
 * still unanswered are counted, by `asking`; who hands an item over has answered one.
 *
 *	open --fn returns--> done --an_generator_end()--> freed
 *	open --an_generator_end(): cancelled, closed--> done --> freed
 *
 * Readers that are in a call when the generator is ended keep the state until they have
 * left.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/combine.h>
#include <asyncnet/error.h>

#include <errno.h>

struct an__generator {
	an_queue queue;
	an__task_watch watch;
	an_generator *handle;
	an_generator_fn fn;
	void *arg;
	an_task *task;
	int result;
	bool done, told; /* told: a reader has seen the failure */
	bool ended;	 /* by its owner: what fn returns is of no interest to readers */
	unsigned users;	 /* readers in a call, and the owner until the end */
	unsigned asking; /* readers' calls that have got no item yet */
	an__waiters resting; /* yields whose item was taken, until a reader asks again */
};

static const an__wait_kind for_reader = { .what = "the generator's reader" };

static void leave(struct an__generator *state)
{
	if (--state->users)
		return;
	an_queue_done(&state->queue);
	free(state);
}

static int run(void *arg)
{
	struct an__generator *state = arg;

	return state->fn(state->handle, state->arg);
}

static void on_done(an__task_watch *watch, an_task *task)
{
	struct an__generator *state = an__container(watch, struct an__generator, watch);

	if (an_task_result(task, &state->result) == 0)
		state->done = true;
	an_queue_close(&state->queue);
}

int an_generator_begin(an_generator *g, an_generator_fn fn, void *arg)
{
	struct an__generator *state = an__calloc(1, sizeof *state);
	int r;

	g->state = NULL;
	if (!state)
		return -ENOMEM;
	state->handle = g;
	state->fn = fn;
	state->arg = arg;
	state->users = 1;
	state->watch.fn = on_done;
	an_queue_init(&state->queue, 0);
	r = an_spawn(run, state, &(an_task_opts){ .name = "generator" }, &state->task);
	if (r < 0) {
		free(state);
		return r;
	}
	an__task_watch_add(state->task, &state->watch);
	g->state = state;
	return 0;
}

int an_generator_yield(an_generator *g, void *item)
{
	struct an__generator *state = g->state;
	an__waiter w = { 0 };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!state)
		return AN_ERR_CLOSED;
	r = an_queue_put(&state->queue, item);
	if (r < 0)
		return r;
	/* The item is the reader's: a cancellation is for the next call to see. */
	if (--state->asking == 0 && !state->ended)
		an_ignore(an__wait(&w, &state->resting, &for_reader));
	return 0;
}

/* The queue is closed. */
static int outcome(struct an__generator *state)
{
	if (state->ended || !state->done || state->result >= 0)
		return AN_ERR_EOF;
	state->told = true;
	return state->result;
}

int an_generator_next(an_generator *g, void **ret_item)
{
	struct an__generator *state = g->state;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!state)
		return AN_ERR_MISUSE;
	state->users++;
	state->asking++;
	an__wake_all(&state->resting, 0);
	r = an_queue_get(&state->queue, ret_item);
	if (r < 0)
		state->asking--;
	if (r == AN_ERR_CLOSED)
		r = outcome(state);
	leave(state);
	return r;
}

/* None of its user's scopes may keep it from its end. */
static int await_end(struct an__generator *state)
{
	an_shield shield;
	int r;

	an_shield_begin(&shield, AN_FOREVER);
	r = an_join(state->task, NULL);
	return an_shield_end(&shield, r);
}

int an_generator_end(an_generator *g)
{
	struct an__generator *state = g->state;
	int r;

	if (!an_current())
		return AN_ERR_NO_TASK;
	if (!state)
		return 0;
	if (state->task == an_current())
		return AN_ERR_MISUSE;
	g->state = NULL;
	state->ended = true;
	an_cancel(state->task);
	an_queue_close(&state->queue);
	an__wake_all(&state->resting, 0); /* whoever took the cancellation back, too */
	r = await_end(state);
	if (r == 0 && !state->told && state->result < 0 && state->result != -ECANCELED &&
	    state->result != AN_ERR_CLOSED)
		r = state->result;
	leave(state);
	return r;
}
