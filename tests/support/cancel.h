/* Cancels a scenario at its 1st, 2nd, ... nth step, and lets the test look at what is
 * left.
 *
 * Each round spawns `body`, lets every ready task run k times, cancels it and joins it;
 * then `check` says whether anything was lost. Rounds go on until the body ended before
 * its cancellation.
 */
#ifndef TESTS_SUPPORT_CANCEL_H
#define TESTS_SUPPORT_CANCEL_H

#include "tests/support/run.h"

/* `prepare` and `check` may be NULL; both return 0 or a failure. From a task. Returns 0,
 * what a failing one returned, or CHECK_FAILED after 1000 rounds. */
static inline int cancel_at_each_step(an_task_fn prepare, an_task_fn body,
				      an_task_fn check, void *arg)
{
	for (int steps = 0; steps < 1000; steps++) {
		bool finished;
		an_task *task;
		int r = prepare ? prepare(arg) : 0;

		if (r < 0)
			return r;
		CHECK_EQUAL(
			an_spawn(body, arg, &(an_task_opts){ .name = "victim" }, &task),
			0);
		for (int i = 0; i < steps; i++)
			CHECK_EQUAL(an_yield(), 0);
		finished = an_done(task);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &r), 0);
		if (r == CHECK_FAILED)
			return r;
		r = check ? check(arg) : 0;
		if (r < 0) {
			fprintf(stderr, "after a cancellation at step %d\n", steps);
			return r;
		}
		if (finished)
			return 0;
	}
	return CHECK_FAILED;
}

#endif
