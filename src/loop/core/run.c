/* Ways to run a loop: an_run() from start to end, loops made by hand, and loops attached
 * to a base that the caller dispatches. L1.
 *
 * A run is turns with a poll between them, until a task has ended, an_loop_stop() was
 * called or nothing can happen any more. Between runs a loop keeps all it has. Its end is
 * one more run: everything is cancelled, and what does not end is named.
 *
 *	IDLE ---run, run_until---> RUNNING ---> IDLE
 *	IDLE ---free, detach-----> RUNNING (ending) ---> gone
 *
 * A run that finds itself in the child of a fork() ends at once, without another look at
 * the loop, which is the parent's (fork.c).
 */
#include "config.h"

#include "loop/core/loop-private.h"
#include "loop/core/trace.h"

#include <asyncnet/error.h>

#include <errno.h>

/* How long the end of a loop waits before it says for what. */
#define PATIENCE (5 * AN_SECOND)

/* ---- a run ------------------------------------------------------------------------- */

static bool is_ours(const an_loop *loop)
{
	return loop == an__current_loop;
}

/* Runs until `task` has ended, or with NULL until something else ends the run. */
static int run(an_loop *loop, const an_task *task)
{
	int r = 0;

	loop->running = true;
	if (loop->stopping)
		event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	while (is_ours(loop)) {
		an__loop_turn(loop);
		if (!is_ours(loop) || (task && an_done(task)))
			break;
		if (loop->stopping) {
			r = task ? AN_ERR_CLOSED : 0;
			break;
		}
		if (an__loop_stuck(loop)) {
			an__debug_stuck(loop);
			r = AN_ERR_STUCK;
			break;
		}
		an__loop_poll(loop);
	}
	loop->running = loop->stopping = false;
	return is_ours(loop) ? r : AN_ERR_NO_TASK;
}

static bool can_run(const an_loop *loop)
{
	return is_ours(loop) && !loop->attached && !loop->running && !loop->in_turn;
}

int an_loop_run(an_loop *loop)
{
	return can_run(loop) ? run(loop, NULL) : AN_ERR_MISUSE;
}

int an_loop_run_until(an_loop *loop, an_task *task, int *ret_result)
{
	int r;

	if (!can_run(loop) || task->loop != loop || task->state == AN__TASK_SPARE ||
	    task->detached)
		return AN_ERR_MISUSE;
	if (task->joining)
		return -EBUSY;
	task->joining = true;
	r = run(loop, task);
	task->joining = false;
	if (r < 0)
		return r;
	if (ret_result)
		*ret_result = task->result;
	an__task_free(task);
	return 0;
}

void an_loop_stop(an_loop *loop)
{
	if (is_ours(loop) && !loop->attached && !loop->main_task)
		loop->stopping = true;
}

/* ---- the end ----------------------------------------------------------------------- */

static bool winding_up(an_loop *loop)
{
	return is_ours(loop) && (loop->task_count || loop->holds) &&
	       !an__loop_stuck(loop);
}

/* Returns false when the base cannot be dispatched: it is being dispatched already. */
static bool await_tasks(an_loop *loop)
{
	while (winding_up(loop)) {
		if (loop->attached) {
			if (event_base_loop(loop->base, EVLOOP_ONCE) < 0)
				return false;
			continue;
		}
		an__loop_turn(loop);
		if (winding_up(loop))
			an__loop_poll(loop);
	}
	return true;
}

/* Who swallows a cancellation and goes on, or never looks for one, keeps the loop from
 * its end: it is waited for all the same, but not without a word. */
static void on_patience(an__timer *timer)
{
	an_loop *loop = timer->loop;

	an__tasks_report_left(loop, "was cancelled 5 s ago and has not ended");
	if (!loop->task_count && loop->holds)
		an__trace_message(AN_LOG_WARN,
				  "a loop ends, and has waited 5 s for %zu calls on "
				  "other threads",
				  loop->holds);
}

/* Cancels and awaits what still runs; waits for threads that will still send. Messages
 * that were accepted, and the hooks that they set, are run while the layers above are
 * still there. What nothing can wake any more is given up.
 * Returns false when it must not wait here, or is in the child of a fork(). */
static bool wind_up(an_loop *loop)
{
	bool ended;

	loop->ending = loop->running = true;
	loop->patience.fn = on_patience;
	an__timer_arm(&loop->patience, an__duration_add(an_now(), PATIENCE));
	an__tasks_cancel_all(loop);
	do {
		ended = await_tasks(loop) && is_ours(loop);
		if (!ended)
			break;
		atomic_store(&loop->closed, true);
		an__post_run(loop);
		an__loop_turn(loop);
	} while (winding_up(loop));
	loop->running = false;
	if (!ended || !is_ours(loop))
		return false;
	an__timer_disarm(&loop->patience);
	an__tasks_give_up(loop);
	return true;
}

/* ---- made and freed ---------------------------------------------------------------- */

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int an_loop_new(const an_loop_opts *opts, an_loop **ret)
{
	struct event_base *base;
	int r;

	if (an__current_loop || an__fork_pending())
		return AN_ERR_MISUSE;
	base = new_base();
	if (!base)
		return -ENOMEM;
	r = an__loop_new(base, opts, ret);
	if (r < 0)
		event_base_free(base);
	return r;
}

an_loop *an_loop_free(an_loop *loop)
{
	struct event_base *base;

	if (!loop)
		return NULL;
	if (is_ours(loop) && loop->attached)
		return an_loop_detach(loop);
	if (!can_run(loop))
		return loop;
	base = loop->base;
	if (!wind_up(loop))
		return loop;
	an__loop_free(loop);
	event_base_free(base);
	return NULL;
}

/* ---- an_run() ---------------------------------------------------------------------- */

/* The main task's result is looked at after the end: a run that is stuck cancels it. */
static int run_main(an_loop *loop, an_task_fn fn, void *arg, const void *site)
{
	int r = an__task_new(loop, fn, arg, &(an_task_opts){ .name = "main" }, site,
			     &loop->main_task);

	if (r < 0)
		return r;
	loop->main_task->joining = true; /* by this run, to its end */
	an__task_start(loop->main_task, false);
	if (!loop->opts.no_signals)
		an__loop_handle_interrupt(loop, true);
	r = run(loop, loop->main_task);
	if (is_ours(loop) && !wind_up(loop))
		r = AN_ERR_NO_TASK; /* in the child of a fork() */
	return r < 0 ? r : loop->main_task->result;
}

int an_run(an_task_fn fn, void *arg, const an_loop_opts *opts)
{
	struct event_base *base;
	an_loop *loop;
	int r = an_loop_new(opts, &loop);

	if (r < 0)
		return r;
	base = loop->base;
	r = run_main(loop, fn, arg, __builtin_return_address(0));
	if (!is_ours(loop))
		return r;
	an__loop_free(loop);
	event_base_free(base);
	return r;
}

/* ---- attached ---------------------------------------------------------------------- */

int an_loop_attach(struct event_base *base, const an_loop_opts *opts, an_loop **ret)
{
	an_loop *loop;
	int r;

	if (an__current_loop || an__fork_pending() || (opts && opts->virtual_clock))
		return AN_ERR_MISUSE;
	r = an__loop_new(base, opts, &loop);
	if (r < 0)
		return r;
	loop->attached = true;
	*ret = loop;
	return 0;
}

an_loop *an_loop_detach(an_loop *loop)
{
	if (!loop)
		return NULL;
	if (!is_ours(loop) || !loop->attached || loop->in_turn || !wind_up(loop))
		return loop;
	an__loop_free(loop);
	return NULL;
}
