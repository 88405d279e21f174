/* Debug mode: steps that take too long. L1; see inspect.h.
 *
 * A loop in debug mode is `stepping`: each step of a task begins and ends on main_ctx,
 * where the clock is read around it. Other loops pay nothing.
 */
#include "config.h"

#include "loop/core/loop-private.h"
#include "loop/core/trace.h"

#include <stdlib.h>
#include <string.h>

#define SLOW_STEP (100 * AN_MILLISECOND)

void an__debug_init(an_loop *loop)
{
	const char *wish = getenv("AN_DEBUG");

	if (wish && wish[0] && strcmp(wish, "0") != 0)
		loop->opts.debug = true;
	if (loop->opts.slow_step <= 0)
		loop->opts.slow_step = SLOW_STEP;
}

/* The task may be gone after its step. That of an eager child is its parent's, too. The
 * clock is the real one also where the loop's is not. */
void an__debug_step(an_loop *loop, an_task *task, void (*enter)(an_loop *, an_task *))
{
	const void *site = task->spawned_at;
	char name[sizeof task->name];
	an_duration began, took;

	memcpy(name, an_task_name(task), sizeof name);
	began = an__clock_monotonic();
	enter(loop, task);
	took = an__clock_monotonic() - began;
	if (took >= loop->opts.slow_step)
		an__trace_message(AN_LOG_WARN,
				  "task %s, spawned at %p, held the loop up for %.1f ms",
				  name, site, (double)took / (double)AN_MILLISECOND);
}
