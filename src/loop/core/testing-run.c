/* Runs for tests of programs: with a seed, with a clock moved by hand, with a
 * cancellation at each step. Core, L1.
 *
 * The seeded order is order.c's, the virtual clock loop.c's. A cancellation at a certain
 * step is made by the loop's step hook, on main_ctx, between that step and the next.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- seeds ------------------------------------------------------------------------- */

uint64_t an_testing_seed(void)
{
	const char *wish = getenv("AN_SEED");

	return wish ? strtoull(wish, NULL, 10) : 0;
}

/* Short enough to be typed. */
static uint64_t fresh_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
		seed = (uint32_t)an__clock_monotonic();
	return seed ? seed : 1;
}

struct seeds {
	uint64_t first;
	unsigned count;
	bool given; /* by the options: the environment has no say */
};

static struct seeds choose_seeds(const an_testing_opts *opts)
{
	struct seeds s = { .count = 1 };

	if (opts && opts->rounds)
		s.count = opts->rounds;
	s.given = opts && opts->seed;
	s.first = s.given ? opts->seed : an_testing_seed();
	return s;
}

/* 0, which would be no seed, is left out. */
static uint64_t nth_seed(const struct seeds *s, unsigned n)
{
	uint64_t seed = s->first + n;

	return seed < s->first ? seed + 1 : seed;
}

static void tell_seed(const struct seeds *s, uint64_t seed)
{
	fprintf(stderr, "seed %ju: run again with %s=%ju\n", (uintmax_t)seed,
		s->given ? "an_testing_opts.seed" : "AN_SEED", (uintmax_t)seed);
}

static int run_with_seed(an_task_fn fn, void *arg, const an_testing_opts *opts,
			 uint64_t seed)
{
	an_loop_opts loop = { 0 };

	if (opts && opts->loop)
		loop = *opts->loop;
	loop.virtual_clock = true;
	loop.seed = seed;
	return an_run(fn, arg, &loop);
}

int an_testing_run(an_task_fn fn, void *arg, const an_testing_opts *opts)
{
	struct seeds seeds = choose_seeds(opts);
	uint64_t seed = 0;
	int r = 0;

	if (an__current_loop)
		return AN_ERR_MISUSE;
	if (!seeds.first)
		seeds.first = fresh_seed();
	for (unsigned i = 0; i < seeds.count && r >= 0; i++) {
		seed = nth_seed(&seeds, i);
		r = run_with_seed(fn, arg, opts, seed);
	}
	if (r < 0)
		tell_seed(&seeds, seed);
	return r;
}

/* ---- the virtual clock ------------------------------------------------------------- */

static const an__wait_kind for_rest = { .what = "all other tasks to wait" };

int an_testing_settle(void)
{
	int r = an__wait_check();
	an__waiter w;

	if (r < 0)
		return r;
	if (!an__current_loop->opts.virtual_clock)
		return AN_ERR_MISUSE;
	return an__wait(&w, &an__current_loop->settling, &for_rest);
}

int an_testing_advance(an_duration d)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!an__current_loop->opts.virtual_clock)
		return AN_ERR_MISUSE;
	if (d > 0)
		r = an_sleep(d);
	return r < 0 ? r : an_testing_settle();
}

/* ---- cancelled at each step -------------------------------------------------------- */

struct cancelled_run {
	const an_testing_scenario *scenario;
	an_task *victim;
	size_t at, steps;  /* to be cancelled after, so far */
	bool asked;	   /* it was cancelled */
	bool waited;	   /* for `state`, at that moment */
	const char *state; /* NULL: it did not come to that */
};

static const char *state_of(const an_task *task)
{
	switch ((enum an__task_state)task->state) {
	case AN__TASK_NEW:
		return "before it began";
	case AN__TASK_READY:
		return "ready to go on";
	case AN__TASK_PARKED:
		return task->waiter->kind->what;
	case AN__TASK_DONE:
	case AN__TASK_SPARE:
		break;
	}
	return "ended";
}

static void cancel_when_due(void *arg)
{
	struct cancelled_run *c = arg;

	if (c->victim->loop->ending || c->steps++ != c->at)
		return;
	c->waited = c->victim->state == AN__TASK_PARKED;
	c->state = state_of(c->victim);
	c->asked = an_cancel(c->victim);
}

/* From the next switch on each step comes back to main_ctx. */
static void hook_steps(an_loop *loop, struct cancelled_run *c)
{
	loop->stepping = true;
	loop->budget = 0;
	loop->step_hook = cancel_when_due;
	loop->step_hook_arg = c;
}

static int judge(const struct cancelled_run *c, int result)
{
	if (result >= 0 || (result == -ECANCELED && c->asked))
		return 0;
	return result;
}

static int run_cancelled(void *arg)
{
	struct cancelled_run *c = arg;
	const an_testing_scenario *s = c->scenario;
	an_loop *loop = an_loop_current();
	int r = s->prepare ? s->prepare(s->arg) : 0, result;

	if (r < 0)
		return r;
	r = an_spawn(s->body, s->arg, &(an_task_opts){ .name = "victim" }, &c->victim);
	if (r < 0)
		return r;
	hook_steps(loop, c);
	r = an_join(c->victim, &result);
	loop->step_hook = NULL;
	if (r == 0)
		r = judge(c, result);
	if (r == 0 && s->check)
		r = s->check(s->arg);
	return r < 0 ? r : 0;
}

static void tell_failure(const struct cancelled_run *c, int failure)
{
	if (!c->state)
		fprintf(stderr, "not cancelled: %d\n", failure);
	else
		fprintf(stderr, "cancelled after step %zu, %s%s: %d\n", c->at,
			c->waited ? "waiting for " : "", c->state, failure);
}

static int cancel_at_each_step(const an_testing_scenario *scenario,
			       const an_testing_opts *opts, uint64_t seed)
{
	struct cancelled_run c = { .asked = true };
	int r = 0;

	for (size_t at = 0; r == 0 && c.asked; at++) {
		c = (struct cancelled_run){ .scenario = scenario, .at = at };
		r = run_with_seed(run_cancelled, &c, opts, seed);
	}
	if (r < 0)
		tell_failure(&c, r);
	return r;
}

int an_testing_cancel_at_each_step(const an_testing_scenario *scenario,
				   const an_testing_opts *opts)
{
	struct seeds seeds = choose_seeds(opts);
	uint64_t seed = 0;
	int r = 0;

	if (!scenario->body)
		return -EINVAL;
	if (an__current_loop)
		return AN_ERR_MISUSE;
	if (!seeds.first && !(opts && opts->rounds))
		return cancel_at_each_step(scenario, opts, 0);
	if (!seeds.first)
		seeds.first = fresh_seed();
	for (unsigned i = 0; i < seeds.count && r == 0; i++) {
		seed = nth_seed(&seeds, i);
		r = cancel_at_each_step(scenario, opts, seed);
	}
	if (r < 0)
		tell_seed(&seeds, seed);
	return r;
}
