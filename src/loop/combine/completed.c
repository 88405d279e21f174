/* Tasks in the order in which they end. Combine.
 *
 * A task is claimed from the begin until a call of an_completed_next() returns it, and in
 * that time goes
 *
 *	running --> ended, first in first out --> returned
 *	        \--> straight to the oldest waiter --/
 *
 * Invariant: while anybody waits, no ended task lies there, and some are running.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/combine/several.h"

#include <asyncnet/combine.h>
#include <asyncnet/error.h>

#include <errno.h>

struct an__completed {
	an__several several;
	an__waiters waiters;	      /* in an_completed_next(): their item is the task */
	struct an__one *first, **end; /* have ended */
};

static const an__wait_kind for_next = { .what = "the next of several tasks" };

/* From here on the task is no longer the iteration's. */
static an_task *take(struct an__one *one)
{
	an_task *task = one->task;

	one->task = NULL;
	return task;
}

static void child_ended(an__several *s, struct an__one *one, int result)
{
	struct an__completed *state = an__container(s, struct an__completed, several);
	an__waiter *w = an__waiters_first(&state->waiters);

	(void)result;
	if (w) {
		w->item = take(one);
		an__wake(w, 0);
	} else {
		one->next = NULL;
		*state->end = one;
		state->end = &one->next;
	}
	if (!s->running)
		an__wake_all(&state->waiters, AN_ERR_EOF);
}

static int begin(struct an__completed *state, an_task *const *tasks, size_t count)
{
	int r = an__several_begin(&state->several, tasks, count, child_ended);

	if (r < 0)
		return r;
	state->waiters = (an__waiters){ 0 };
	state->first = NULL;
	state->end = &state->first;
	r = an__several_claim(&state->several);
	if (r < 0)
		an__several_end(&state->several);
	else
		an__several_watch(&state->several);
	return r;
}

int an_completed_begin(an_completed *c, an_task *const *tasks, size_t count)
{
	struct an__completed *state = an__malloc(sizeof *state);
	int r = state ? begin(state, tasks, count) : -ENOMEM;

	if (r < 0) {
		free(state);
		state = NULL;
	}
	c->state = state;
	return r;
}

static an_task *take_first(struct an__completed *state)
{
	struct an__one *one = state->first;

	state->first = one->next;
	if (!state->first)
		state->end = &state->first;
	return take(one);
}

int an_completed_next(an_completed *c, an_task **ret_task, int *ret_result)
{
	struct an__completed *state = c->state;
	an__waiter w;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!state)
		return AN_ERR_MISUSE;
	if (state->first) {
		w.item = take_first(state);
	} else if (!state->several.running) {
		return AN_ERR_EOF;
	} else {
		/* The state may be gone when it is over. */
		r = an__wait_checked(&w, &state->waiters, &for_next);
		if (r < 0)
			return r;
	}
	an__task_unclaim(w.item);
	*ret_task = w.item;
	return ret_result ? an_task_result(w.item, ret_result) : 0;
}

void an_completed_end(an_completed *c)
{
	struct an__completed *state = c->state;

	if (!state)
		return;
	c->state = NULL;
	an__wake_all(&state->waiters, AN_ERR_EOF);
	an__several_unclaim(&state->several);
	an__several_end(&state->several);
	free(state);
}
