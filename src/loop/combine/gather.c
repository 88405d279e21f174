/* Gather: the results of several tasks. Combine.
 *
 * The tasks are claimed for as long as it waits. It has its outcome when the last of them
 * has ended, or the first has failed; from then on a cancellation is too late.
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/combine/several.h"

#include <asyncnet/combine.h>

#include <errno.h>

struct gather {
	an__several several;
	bool return_errors;
	int failure; /* the first, where that is the outcome */
};

static bool complete(const struct gather *g)
{
	return g->failure < 0 || !g->several.running;
}

static void child_ended(an__several *s, struct an__one *one, int result)
{
	struct gather *g = an__container(s, struct gather, several);

	(void)one;
	if (result < 0 && !g->return_errors && !g->failure)
		g->failure = result;
	if (complete(g))
		an__wake(&s->waiter, 0);
}

static void cancel_children(struct gather *g)
{
	for (size_t i = 0; i < g->several.count; i++)
		if (!g->several.ones[i].again)
			an_cancel(g->several.ones[i].task);
}

/* The children are cancelled here and not on the canceller's stack, which gathers within
 * gathers could use up. */
static int await_children(struct gather *g)
{
	int r = an__wait_check();

	if (r == 0) {
		an__several_watch(&g->several);
		if (!complete(g))
			r = an__wait_checked(&g->several.waiter, NULL, &an__for_several);
	}
	if (r == -ECANCELED)
		cancel_children(g);
	return r < 0 ? r : g->failure;
}

/* First all the results are read, then the tasks go: one may stand there twice. */
static void consume(struct gather *g, int *results)
{
	struct an__one *ones = g->several.ones;

	for (size_t i = 0; results && i < g->several.count; i++)
		an_task_result(ones[i].task, &results[i]);
	for (size_t i = 0; i < g->several.count; i++)
		if (!ones[i].again)
			an__task_consume(ones[i].task);
}

int an_gather(an_task *const *tasks, size_t count, bool return_errors, int *results)
{
	struct gather g;
	int r = an__several_begin(&g.several, tasks, count, child_ended);

	if (r < 0)
		return r;
	g.return_errors = return_errors;
	g.failure = 0;
	r = an__several_claim(&g.several);
	if (r == 0) {
		r = await_children(&g);
		if (r == 0)
			consume(&g, results);
		else
			an__several_unclaim(&g.several);
	}
	an__several_end(&g.several);
	return r;
}
