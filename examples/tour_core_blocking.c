/* The tour's fifth chapter: work that blocks a thread, and the mistakes that the guides
 * warn of. */
#include "tour.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

/* ---- blocking work ----------------------------------------------------------------- */

struct job {
	sem_t go; /* a thread's semaphore: to wait for it blocks */
	int answer;
};

/* On a worker thread. It could be a call of a library that knows no tasks, or a long
 * computation. Nothing but the job is touched: the tasks run meanwhile. */
static int block(void *arg)
{
	struct job *job = arg;

	while (sem_wait(&job->go) && errno == EINTR)
		;
	job->answer = 42;
	return 0;
}

static int let_go(void *arg)
{
	struct job *job = arg;

	tour_say("another task runs while the worker blocks, and lets it go on");
	return sem_post(&job->go) ? -errno : 0;
}

static int offload_job(struct job *job)
{
	an_group group;
	int r;

	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, let_go, job));
	r = an_offload(block, job, NULL);
	an_group_fail(&group, r);
	r = an_group_end(&group);
	if (!r)
		tour_say("the worker's answer: %d", job->answer);
	return r;
}

/* await asyncio.to_thread(block): had the task called block() itself, nobody could have
 * let it go. */
static int offload_blocking_work(void *arg)
{
	struct job job = { .answer = 0 };
	int r;

	(void)arg;
	if (sem_init(&job.go, 0, 0))
		return -errno;
	r = offload_job(&job);
	sem_destroy(&job.go);
	return r;
}

/* ---- blocking work that nobody wants any more -------------------------------------- */

struct errand {
	an_loop *loop;
	sem_t go;
	an_event begun, put_away;
};

static void say_begun(void *arg)
{
	struct errand *errand = arg;

	tour_say("the worker has begun");
	an_event_set(&errand->begun);
}

static void say_put_away(void *arg)
{
	struct errand *errand = arg;

	tour_say("the worker has put the errand away");
	an_event_set(&errand->put_away);
}

/* Both on the worker: an_post() is all of the library that it may call. */
static int run_errand(void *arg)
{
	struct errand *errand = arg;
	int r = an_post(errand->loop, say_begun, errand);

	while (!r && sem_wait(&errand->go) && errno == EINTR)
		;
	return 0;
}

static void put_away(void *arg)
{
	struct errand *errand = arg;

	an_post(errand->loop, say_put_away, errand); /* where others call free() */
}

static int send_somebody(void *arg)
{
	return an_offload(run_errand, arg, put_away);
}

static int wait_for_errand(struct errand *errand)
{
	an_task *task;
	int result, r = an_spawn(send_somebody, errand, NULL, &task);

	if (r)
		return r;
	r = an_event_wait(&errand->begun);
	an_cancel(task);
	if (!an_wait_for(task, AN_FOREVER, &result))
		tour_say("the task: %s, while the worker works on", tour_code(result));
	sem_post(&errand->go);
	return r ? r : an_event_wait(&errand->put_away);
}

/* Nobody can interrupt a thread; asyncio's to_thread() forgets it. With a third argument
 * a cancelled task does not wait for its worker either, but leaves the errand to it, and
 * it is put away when the worker is done. So it must not lie on a stack. */
static int leave_work_behind(void *arg)
{
	static struct errand errand;
	int r;

	(void)arg;
	errand = (struct errand){ .loop = an_loop_current() };
	if (sem_init(&errand.go, 0, 0))
		return -errno;
	r = wait_for_errand(&errand);
	if (!r)
		sem_destroy(&errand.go);
	return r;
}

/* ---- "forgot to await" ------------------------------------------------------------- */

/* `asyncio.sleep(1)` without await makes a coroutine that never runs. A call is a call
 * here; what can be forgotten is to look at what it returned. The compiler says so:
 *
 *	an_sleep(AN_SECOND);
 *	warning: ignoring return value of 'an_sleep' declared with attribute
 *	'warn_unused_result'
 *
 * because that may have been -ECANCELED: the sleep did not happen, and the task should be
 * on its way out. Who does not care says that, too. */
static int do_not_forget_the_result(void *arg)
{
	(void)arg;
	an_ignore(an_sleep(10 * AN_MILLISECOND));
	tour_say("this sleep's result was dropped on purpose");
	return an_sleep(10 * AN_MILLISECOND);
}

/* ---- "blocking I/O in a coroutine" ------------------------------------------------- */

static bool named; /* the report names the task */

static void look_for_the_name(void *arg, an_log_level level, const char *text, size_t len)
{
	(void)arg, (void)level, (void)len;
	if (strstr(text, "task blocker") && strstr(text, "held the loop up"))
		named = true;
}

/* time.sleep(0.005) in a coroutine: the whole loop stands still, and no other task, no
 * timer, no connection has its turn. an_sleep() would let them. */
static int hold_the_loop_up(void *arg)
{
	(void)arg;
	nanosleep(&(struct timespec){ .tv_nsec = 5 * AN_MILLISECOND }, NULL);
	return 0;
}

static int spawn_a_blocker(void *arg)
{
	an_task *task;
	int r = an_spawn(hold_the_loop_up, NULL, &(an_task_opts){ .name = "blocker" },
			 &task);

	(void)arg;
	if (r)
		return r;
	return an_wait_for(task, AN_FOREVER, NULL);
}

/* loop.set_debug(True), or PYTHONASYNCIODEBUG=1; here an option, or AN_DEBUG=1 in the
 * environment. It names the task, and where it was spawned. */
static int find_what_blocks(void)
{
	an_loop_opts opts = *tour_loop_opts();
	int r;

	opts.debug = true;
	opts.slow_step = 2 * AN_MILLISECOND; /* 100 ms unless one says otherwise */
	an_trace_set_hooks(&(an_trace_hooks){ .message = look_for_the_name });
	r = an_run(spawn_a_blocker, NULL, &opts);
	an_trace_set_hooks(NULL);
	tour_say("debug mode says who held the loop up: %s", named ? "blocker" : "no");
	return r;
}

/* ---- "no error handling" ----------------------------------------------------------- */

static struct tour_work risky = { "risky", 10 * AN_MILLISECOND, -ECONNREFUSED };

/* A task that fails without anybody who looks is not silent: it is reported, by default
 * on stderr. (asyncio does so when the garbage is collected.) */
static int nobody_looks(void *arg)
{
	int r;

	(void)arg;
	tour_hear_reports(true);
	r = an_spawn(tour_work, &risky, &(an_task_opts){ .name = risky.name }, NULL);
	if (!r)
		r = an_sleep(20 * AN_MILLISECOND);
	tour_hear_reports(false);
	return r;
}

/* try: await risky() except OSError as e: ... The cancellation is not an error of the
 * operation: it goes on upwards, as CancelledError must. */
static int handle_the_error(void *arg)
{
	int r = tour_work(&risky);

	(void)arg;
	if (r == -ECANCELED)
		return r;
	if (r < 0)
		tour_say("the operation failed: %s", an_strerror(r));
	return 0;
}

const struct tour_section tour_core_blocking[] = {
	{ "Blocking work on a thread of its own", .task = offload_blocking_work },
	{ "Blocking work that nobody wants any more", .task = leave_work_behind },
	{ "Mistake: a result that is forgotten", .task = do_not_forget_the_result },
	{ "Mistake: a task that blocks the loop", .by_hand = find_what_blocks },
	{ "Mistake: a failure at which nobody looks", .task = nobody_looks },
	{ "Errors are handled where they are understood", .task = handle_the_error },
	{ 0 },
};
