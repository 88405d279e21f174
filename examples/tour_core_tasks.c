/* The tour's second chapter: tasks, which asyncio makes by create_task(). Spawned, named,
 * joined, watched; what they inherit, and how all of them are found. */
#include "tour.h"

#include <errno.h>

/* ---- made, named, joined ----------------------------------------------------------- */

/* task = asyncio.create_task(work(), name="query"); result = await task
 *
 * The argument belongs to the caller and must live as long as the task; here it is
 * static. The handle is the caller's, too, until an_join() or an_detach() takes it. */
static int spawn_and_join(void *arg)
{
	static struct tour_work query = { "query", 20 * AN_MILLISECOND, 7 };
	an_task *task;
	int result, r = an_spawn(tour_work, &query, &(an_task_opts){ .name = query.name },
				 &task);

	(void)arg;
	if (r)
		return r;
	tour_say("spawned %s; done: %s", an_task_name(task),
		 an_done(task) ? "yes" : "no");
	r = an_join(task, &result);
	if (r) { /* our own cancellation, not the task's failure: that is `result` */
		an_detach(task);
		return r;
	}
	tour_say("joined: %d", result);
	return 0;
}

/* task.done() and task.result(), which do not wait: -EAGAIN stands for asyncio's
 * InvalidStateError. */
static int look_without_waiting(void *arg)
{
	static struct tour_work query = { "query", 10 * AN_MILLISECOND, 7 };
	an_task *task;
	int result, r = tour_spawn(&query, 1, &task);

	(void)arg;
	if (r)
		return r;
	r = an_task_result(task, &result);
	tour_say("before: %s", tour_code(r));
	r = an_sleep(30 * AN_MILLISECOND);
	if (!r && !an_task_result(task, &result))
		tour_say("after: done, %d; cancelled: %s", result,
			 an_task_cancelled(task) ? "yes" : "no");
	an_detach(task);
	return r;
}

/* asyncio holds its tasks by weak references: one that nobody keeps may be collected in
 * mid-flight, so the guides have you put them into a set. Here a task without a handle
 * simply runs to its end. */
static int fire_and_forget(void *arg)
{
	static struct tour_work mail = { "mail", 10 * AN_MILLISECOND, 0 };
	int r = an_spawn(tour_work, &mail, NULL, NULL);

	(void)arg;
	return r ? r : an_sleep(20 * AN_MILLISECOND);
}

/* ---- watched ----------------------------------------------------------------------- */

static void note(void *who, int result)
{
	tour_say("%s was told: %s", (char *)who, tour_code(result));
}

/* task.add_done_callback() and remove_done_callback(): before the joiner goes on, in the
 * order of the calls. */
static int call_back_when_done(void *arg)
{
	static struct tour_work query = { "query", 10 * AN_MILLISECOND, -EIO };
	static char log[] = "the log", cache[] = "the cache", gauge[] = "the gauge";
	an_task *task;
	int result, r = tour_spawn(&query, 1, &task);

	(void)arg;
	if (r)
		return r;
	r = an_task_on_done(task, note, log);
	if (!r)
		r = an_task_on_done(task, note, cache);
	if (!r)
		r = an_task_on_done(task, note, gauge);
	an_task_off_done(task, note, cache);
	if (!r)
		r = an_join(task, &result);
	if (r) {
		an_detach(task);
		return r;
	}
	tour_say("the joiner: %s", tour_code(result));
	return 0;
}

/* ---- variables of a task ----------------------------------------------------------- */

/* contextvars.ContextVar: the address of the struct is the variable. */
static const an_local request = { .name = "request" };

static void log_line(const char *text)
{
	const char *id = an_local_get(&request);

	tour_say("[%s] %s", id ? id : "-", text);
}

static int load(void *arg)
{
	static char of_the_child[] = "1/load";

	(void)arg;
	log_line("loading, with the request's number inherited");
	return an_local_set(&request, of_the_child); /* which the parent does not see */
}

static int serve(void *id)
{
	an_group group;
	int r = an_local_set(&request, id);

	if (r)
		return r;
	log_line("request accepted");
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, load, NULL));
	r = an_group_end(&group);
	log_line("request answered");
	return r;
}

/* Each task has a value of its own, and its children begin with a copy. */
static int set_variables_of_a_task(void *arg)
{
	static char one[] = "1", two[] = "2";
	an_group group;
	int r;

	(void)arg;
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, serve, one));
	an_group_fail(&group, an_group_spawn(&group, serve, two));
	r = an_group_end(&group);
	log_line("main never set one");
	return r;
}

/* ---- all of them ------------------------------------------------------------------- */

/* asyncio.current_task() and asyncio.all_tasks(). For people there is an_dump_tasks(2):
 * the same as a tree, with what each waits for and a backtrace. */
static int list_all_tasks(void *arg)
{
	static struct tour_work works[] = {
		{ "upload", 10 * AN_MILLISECOND, 0 },
		{ "download", 10 * AN_MILLISECOND, 0 },
	};
	an_task *tasks[2], *all[8];
	size_t count;
	int r = tour_spawn(works, 2, tasks);

	(void)arg;
	if (r)
		return r;
	count = an_loop_tasks(an_loop_current(), all, 8);
	for (size_t i = 0; i < count && i < 8; i++)
		tour_say("%s%s", an_task_name(all[i]),
			 all[i] == an_current() ? ", which is the current one" : "");
	an_ignore(an_cancel_all(tasks, 2));
	tour_say("%zu task is left", an_loop_task_count(an_loop_current()));
	return 0;
}

/* ---- eager start ------------------------------------------------------------------- */

/* asyncio.eager_task_factory: the child runs at once up to its first wait, so that what
 * finds its answer in a cache never goes through the queue of ready tasks. */
static int start_eagerly(void *arg)
{
	static struct tour_work lazy = { "lazy", 10 * AN_MILLISECOND, 0 };
	static struct tour_work eager = { "eager", 10 * AN_MILLISECOND, 0 };
	an_group group;

	(void)arg;
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, tour_work, &lazy));
	tour_say("spawned: the lazy one has yet to begin");
	an_group_fail(&group, an_group_spawn_with(&group, tour_work, &eager,
						  &(an_task_opts){ .eager = true }));
	tour_say("spawned: the eager one waits already");
	return an_group_end(&group);
}

const struct tour_section tour_core_tasks[] = {
	{ "A task is spawned, and joined", .task = spawn_and_join },
	{ "Looking at a task without waiting", .task = look_without_waiting },
	{ "Fire and forget", .task = fire_and_forget },
	{ "Callbacks when a task is done", .task = call_back_when_done },
	{ "Variables of a task, inherited by its children",
	  .task = set_variables_of_a_task },
	{ "All tasks, and the current one", .task = list_all_tasks },
	{ "Eager start", .task = start_eagerly },
	{ 0 },
};
