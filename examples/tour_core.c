/* tour_core [--virtual]: a tour of tasks, the first chapter of asyncio's guides, in C.
 *
 * To be read in this order; each file ends with the list of its sections:
 *
 *	tour_core.c           running: an_run(), loops made by hand, calls without a task
 *	tour_core_tasks.c     tasks: made, named, joined, watched
 *	tour_core_together.c  several at once: gather, wait, as completed, select
 *	tour_core_limits.c    timeouts, cancellation, cleanup, groups
 *	tour_core_blocking.c  blocking work, and the common mistakes
 *
 * tour_sync.c goes on with what tasks agree by.
 */
#include "tour.h"

/* ---- an_run() ---------------------------------------------------------------------- */

/* A task is a function. `await asyncio.sleep(0.01)` is a plain call here: whatever is
 * marked AN_SUSPENDS may let other tasks run before it returns. */
static int greet(void *arg)
{
	const char *name = arg;
	int r;

	tour_say("hello, %s", name);
	r = an_sleep(10 * AN_MILLISECOND);
	if (r) /* cancelled: on the way out there is nothing to put away */
		return r;
	tour_say("goodbye, %s", name);
	return 42;
}

/* asyncio.run(main()): makes a loop, runs the main task, cancels and awaits what is left,
 * frees the loop. What the task returned is what an_run() returns. */
static int run_one_main_task(void)
{
	static char world[] = "world";
	int r = an_run(greet, world, tour_loop_opts());

	tour_say("an_run() returned %d", r);
	return r;
}

/* A sample of the guide calls asyncio.run() in a coroutine, which raises RuntimeError: a
 * loop runs already in this thread. It is an error code here; what is wanted inside is an
 * ordinary call, or a task of its own. */
static int do_not_run_inside(void *arg)
{
	static char inside[] = "inside";
	int r = an_run(greet, inside, NULL);

	(void)arg;
	tour_say("an_run() in a task: %s", tour_code(r));
	return greet(inside);
}

/* What waits is woken with -ECANCELED when the main task has ended, so that it can put
 * its things away; an_run() returns only then. */
static int listen_for_an_hour(void *arg)
{
	int r;

	(void)arg;
	tour_say("background: listening");
	r = an_sleep(AN_HOUR);
	tour_say("background: %s, so it closes its door", tour_code(r));
	return r;
}

static int leave_a_task_behind(void *arg)
{
	int r = an_spawn(listen_for_an_hour, NULL, NULL, NULL);

	(void)arg;
	if (!r)
		r = an_sleep(10 * AN_MILLISECOND);
	tour_say("main: returns, although the background still listens");
	return r;
}

/* ---- loops made by hand ------------------------------------------------------------ */

/* loop.run_until_complete(task) */
static int run_until_greeted(an_loop *loop, char *name)
{
	an_task *task;
	int result, r = an_spawn(greet, name, NULL, &task);

	if (r)
		return r;
	r = an_loop_run_until(loop, task, &result);
	if (r) {
		an_detach(task);
		return r;
	}
	tour_say("the task returned %d", result);
	return 0;
}

/* asyncio.new_event_loop(), run_until_complete() twice, close(): for programs that have
 * something of their own to do between two pieces of work on the same loop. */
static int make_a_loop_by_hand(void)
{
	static char first[] = "first", second[] = "second";
	an_loop *loop;
	int r = an_loop_new(tour_loop_opts(), &loop);

	if (r)
		return r;
	r = run_until_greeted(loop, first);
	tour_say("between the runs no task can move");
	if (!r)
		r = run_until_greeted(loop, second);
	an_loop_free(loop);
	return r;
}

static int tick(void *arg)
{
	int r;

	(void)arg;
	while (!(r = an_sleep(10 * AN_MILLISECOND)))
		tour_say("tick");
	return r;
}

static void stop(void *loop)
{
	tour_say("stop");
	an_loop_stop(loop);
}

/* loop.run_forever() and loop.stop() */
static int run_until_stopped(void)
{
	an_loop *loop;
	int r = an_loop_new(tour_loop_opts(), &loop);

	if (r)
		return r;
	tour_say("the loop is made");
	r = an_spawn(tick, NULL, NULL, NULL);
	if (!r)
		r = an_call_later(35 * AN_MILLISECOND, stop, loop, NULL);
	if (!r)
		r = an_loop_run(loop);
	an_loop_free(loop); /* cancels the ticking */
	return r;
}

/* ---- calls without a task ---------------------------------------------------------- */

static void say(void *text)
{
	tour_say("%s", (char *)text);
}

/* loop.call_soon(), call_later(), call_at(), and handle.cancel(): for the moment that
 * needs no stack. Such a function must not wait. */
static int call_without_a_task(void *arg)
{
	static char soon[] = "soon", later[] = "20 ms later", at[] = "at 10 ms";
	static char never[] = "never";
	an_call *call;
	int r = an_call_later(20 * AN_MILLISECOND, say, later, NULL);

	(void)arg;
	if (!r)
		r = an_call_at(an_now() + 10 * AN_MILLISECOND, say, at, NULL);
	if (!r)
		r = an_call_soon(say, soon, NULL);
	if (r)
		return r;
	r = an_call_later(15 * AN_MILLISECOND, say, never, &call);
	if (r)
		return r;
	call = an_call_cancel(call); /* a call that was kept must be given back here */
	tour_say("asked for");
	return an_sleep(30 * AN_MILLISECOND);
}

struct visit {
	an_loop *loop;
	an_event arrived;
};

static void arrive(void *arg)
{
	struct visit *visit = arg;

	tour_say("on the loop's thread: somebody has come from another one");
	an_event_set(&visit->arrived);
}

static int on_another_thread(void *arg)
{
	struct visit *visit = arg;

	return an_post(visit->loop, arrive, visit);
}

/* loop.call_soon_threadsafe(): the one call that another thread may make. All else in a
 * loop belongs to its thread. */
static int post_from_another_thread(void *arg)
{
	static struct visit visit;
	int r;

	(void)arg;
	visit = (struct visit){ an_loop_current(), AN_EVENT_INIT };
	r = an_offload(on_another_thread, &visit, NULL);
	if (!r)
		r = an_event_wait(&visit.arrived);
	tour_say("the task has heard of it");
	return r;
}

/* ---- the tour ---------------------------------------------------------------------- */

const struct tour_section tour_core_loops[] = {
	{ "A main task and its result", .by_hand = run_one_main_task },
	{ "No run inside a run", .task = do_not_run_inside },
	{ "What is left at the end is cancelled", .task = leave_a_task_behind },
	{ "A loop made by hand", .by_hand = make_a_loop_by_hand },
	{ "A loop that runs until it is stopped", .by_hand = run_until_stopped },
	{ "Calls without a task", .task = call_without_a_task },
	{ "A call from another thread", .task = post_from_another_thread },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct tour_chapter chapters[] = {
		{ "Running", tour_core_loops },
		{ "Tasks", tour_core_tasks },
		{ "Several at once", tour_core_together },
		{ "Limits and cancellation", tour_core_limits },
		{ "Blocking work and common mistakes", tour_core_blocking },
		{ 0 },
	};

	return tour_main(argc, argv, chapters);
}
