/* Ways to run a loop: an_run() from start to end, or attached to a base that the caller
 * dispatches. L1.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <signal.h>

/* ---- SIGINT ------------------------------------------------------------------------ */

/* libevent delivers the signals of a process to one base alone. */
static atomic_flag interrupt_taken = ATOMIC_FLAG_INIT;

static void on_interrupt(evutil_socket_t fd, short events, void *arg)
{
	an_loop *loop = arg;

	(void)fd;
	(void)events;
	an__loop_handle_interrupt(loop, false);
	an_cancel(loop->main_task);
}

static bool add_interrupt(an_loop *loop)
{
	struct sigaction old;

	if (sigaction(SIGINT, NULL, &old) < 0 || old.sa_handler != SIG_DFL)
		return false;
	if (atomic_flag_test_and_set(&interrupt_taken))
		return false;
	evsignal_assign(&loop->interrupt, loop->base, SIGINT, on_interrupt, loop);
	if (event_add(&loop->interrupt, NULL) < 0) {
		/* libevent may have left its handler there, which nobody listens to. */
		sigaction(SIGINT, &old, NULL);
		atomic_flag_clear(&interrupt_taken);
		return false;
	}
	loop->own_events++;
	return true;
}

bool an__loop_handle_interrupt(an_loop *loop, bool handle)
{
	bool before = loop->handles_interrupt;

	if (handle && !before) {
		loop->handles_interrupt = add_interrupt(loop);
	} else if (!handle && before) {
		event_del(&loop->interrupt);
		loop->own_events--;
		atomic_flag_clear(&interrupt_taken);
		loop->handles_interrupt = false;
	}
	return before;
}

/* ---- an_run() ---------------------------------------------------------------------- */

static bool winding_up(const an_loop *loop)
{
	return (loop->task_count || loop->holds) && !an__loop_stuck(loop);
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

/* Cancels and awaits what still runs; waits for threads that will still send. Messages
 * that were accepted, and the hooks that they set, are run while the layers above are
 * still there. */
static bool wind_up(an_loop *loop)
{
	loop->ending = true;
	an__tasks_cancel_all(loop);
	do {
		if (!await_tasks(loop))
			return false;
		atomic_store(&loop->closed, true);
		an__post_run(loop);
		an__loop_turn(loop);
	} while (winding_up(loop));
	return true;
}

static int run_main(an_loop *loop, an_task_fn fn, void *arg, const void *site)
{
	int r = an__task_new(loop, fn, arg, &(an_task_opts){ .name = "main" }, site,
			     &loop->main_task);

	if (r < 0)
		return r;
	an__task_start(loop->main_task, false);
	if (!loop->opts.no_signals)
		an__loop_handle_interrupt(loop, true);
	for (an__loop_turn(loop); !an_done(loop->main_task); an__loop_turn(loop)) {
		if (an__loop_stuck(loop)) {
			r = AN_ERR_STUCK;
			break;
		}
		an__loop_poll(loop);
	}
	wind_up(loop);
	return r < 0 ? r : loop->main_task->result;
}

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

int an_run(an_task_fn fn, void *arg, const an_loop_opts *opts)
{
	struct event_base *base;
	an_loop *loop;
	int r;

	if (an__current_loop)
		return AN_ERR_MISUSE;
	base = new_base();
	if (!base)
		return -ENOMEM;
	r = an__loop_new(base, opts, &loop);
	if (r == 0) {
		r = run_main(loop, fn, arg, __builtin_return_address(0));
		an__loop_free(loop);
	}
	event_base_free(base);
	return r;
}

/* ---- attached ---------------------------------------------------------------------- */

int an_loop_attach(struct event_base *base, const an_loop_opts *opts, an_loop **ret)
{
	an_loop *loop;
	int r;

	if (an__current_loop || (opts && opts->virtual_clock))
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
	if (loop->in_turn || !wind_up(loop))
		return loop;
	an__loop_free(loop);
	return NULL;
}
