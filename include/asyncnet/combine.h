/* Several tasks at once: all of them, the first of them, each as it ends; waiting for
 * tasks, queues, events and timers together; tasks that hand items to each other.
 *
 * None of these calls owns the tasks it is given. They have been spawned with a handle,
 * and each handle still goes to an_join() or an_detach(), unless a call says that it
 * consumes it. A failure that one of these calls has seen is not reported as one that
 * nobody joined.
 *
 * For tasks that end together as one piece of work, prefer a group (task.h): it cannot
 * leave one behind.
 *
 * Where a result and a cancellation of the caller meet in one turn, whichever came first
 * is returned: a result that was complete before the cancellation is not thrown away, and
 * the caller's next suspending call returns -ECANCELED. asyncio raises CancelledError
 * there and then, and the results stay behind in their futures.
 */
#ifndef ASYNCNET_COMBINE_H
#define ASYNCNET_COMBINE_H

#include <asyncnet/api.h>
#include <asyncnet/sync.h>
#include <asyncnet/task.h>

AN_BEGIN_DECLS

/* ---- gather ------------------------------------------------------------------------ */

/* Waits for `count` tasks and returns what they returned, in the order of the arguments.
 * Suspends. The same task may be given more than once. `results` has room for `count` of
 * them and may be NULL. `tasks` is not looked at once the call waits. Meanwhile nobody
 * else can join the tasks (-EBUSY), and to detach one has no effect.
 *
 * With `return_errors` a negative result is a result like any other. Without, the first
 * failure ends the call with that code; the other tasks run on. A task that was cancelled
 * by others counts as failed with -ECANCELED, which cancels neither the caller nor the
 * rest.
 *
 * When the caller is cancelled, before the call or in it, all the tasks are cancelled,
 * with `return_errors`, too; the call returns at once, and they end in their own time:
 * join them. After a failure siblings that are no longer wanted are the caller's to
 * cancel.
 *
 * On 0 all handles are consumed; otherwise they are all still the caller's, once each.
 * Returns 0, also for no tasks; the first failure, in time, or in the order of the
 * arguments among those that had ended before the call; -ECANCELED; -EDEADLK when the
 * caller is among the tasks; -EBUSY when one is being joined; -ENOMEM, for which there is
 * no cause up to 16 tasks; AN_ERR_NO_TASK. `results` is untouched unless 0. */
AN_API AN_SUSPENDS int an_gather(an_task *const *tasks, size_t count, bool return_errors,
				 int *results);

/* ---- wait -------------------------------------------------------------------------- */

/* What an_wait() waits for. */
typedef enum an_wait_until {
	AN_ALL_COMPLETED,   /* every task has ended */
	AN_FIRST_COMPLETED, /* at least one has */
	AN_FIRST_EXCEPTION, /* one has failed, or all have ended; to be cancelled is no
			       failure */
} an_wait_until;

/* Waits until that is so, or for `limit` (AN_FOREVER: none; at most 0: only looks).
 * Suspends. Cancels nothing, neither when the time is over nor when the caller is
 * cancelled. Reorders `tasks`: first those that have ended, then those that run on, both
 * in the order they were given in. The same task twice is counted twice. Others may wait
 * for the tasks, too, and their owners may join or detach them meanwhile.
 * Returns how many have ended, also when the time is over; -ECANCELED; -EINVAL when count
 * is 0; -EDEADLK when the caller is among the tasks; -ENOMEM, for which there is no cause
 * up to 16 tasks; AN_ERR_NO_TASK. `tasks` keeps its order on failure. */
AN_API AN_SUSPENDS ssize_t an_wait(an_task **tasks, size_t count, an_wait_until until,
				   an_duration limit);

/* Waits for one task, for at most `limit`; when that is over, or when the caller is
 * cancelled, cancels the task and waits until it has really ended, its cleanup included.
 * Suspends. With a limit of at most 0 a task that has not started never will.
 *
 * Returns 0 when the task has ended by itself, or returned a value in spite of its
 * cancellation: *ret_result (may be NULL) is what it returned, be it an error; that of a
 * task that had ended before the call is returned even to a cancelled caller. -ETIMEDOUT
 * when it ended by being cancelled here as the time was over; -ECANCELED likewise for the
 * caller's cancellation, which outranks the time when both have come. That one is never
 * lost: with 0, too, the next suspending call of the caller sees it. In all these cases
 * the handle is consumed.
 * -EDEADLK and -EBUSY as an_join(), and AN_ERR_NO_TASK: the handle is still yours. */
AN_API AN_SUSPENDS int an_wait_for(an_task *task, an_duration limit, int *ret_result);

/* Cancels tasks and waits until all of them have really ended, for as long as that takes;
 * also when the caller is cancelled, so that what they work on may lie on its stack. What
 * one does after a failed an_gather(), or with those that an_wait() did not see end.
 * Suspends. The same task may be given more than once. The handles are consumed, but for
 * those of tasks that others join, which are awaited all the same.
 * Returns 0; -ECANCELED when the caller was cancelled, after all have ended likewise.
 * -EDEADLK when the caller is among them; -ENOMEM, for which there is no cause up to 16
 * tasks; AN_ERR_NO_TASK: then none was cancelled, and the handles are still yours. */
AN_API AN_SUSPENDS int an_cancel_all(an_task *const *tasks, size_t count);

/* ---- as completed ------------------------------------------------------------------ */

/* An iteration over tasks in the order in which they end. Fields are private. */
typedef struct an_completed {
	struct an__completed *state;
} an_completed;

/* Begins it. From here on nobody can join the tasks (-EBUSY), and to detach one has no
 * effect, until it is returned or the iteration ends; then its handle is its owner's
 * again. A task that is given twice is returned once. Never suspends. The memory is held
 * until an_completed_end(), which on failure is not needed and has no effect.
 * Returns 0; -ENOMEM; -EDEADLK when the caller is among them; -EBUSY when one is being
 * joined. */
AN_API int an_completed_begin(an_completed *c, an_task *const *tasks, size_t count);

/* Waits for the next to end. Suspends. A limit is an an_timeout around the calls: when it
 * is over, the rest of the tasks run on. A task that was assigned to the call before its
 * cancellation is returned. Several tasks may call it at once: first come, first served.
 * Returns 0, the task, still its owner's to be joined, which will not wait, and what it
 * returned, which counts as looked at (ret_result may be NULL: then not); AN_ERR_EOF when
 * all have been returned, or the iteration was ended meanwhile; -ECANCELED (none was
 * taken); AN_ERR_MISUSE when it is not open; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_completed_next(an_completed *c, an_task **ret_task,
					 int *ret_result);

/* Ends it, at any time and as often as you like; the tasks run on. Never suspends. */
AN_API void an_completed_end(an_completed *c);

/* ---- select ------------------------------------------------------------------------ */

/* What one case of a select waits for. */
typedef enum an_select_kind {
	AN_SELECT_GET,	 /* an item from `queue`, put into *ret_item, not NULL */
	AN_SELECT_PUT,	 /* room for `item` in `queue` */
	AN_SELECT_TASK,	 /* the end of `task`, which is not consumed */
	AN_SELECT_EVENT, /* `event` to be set */
	AN_SELECT_TIME,	 /* the point `when` on the loop's clock */
} an_select_kind;

/* One case; written with the macros below. A case whose object is NULL (AN_FOREVER for a
 * time) is never chosen, so that cases can be switched off in a loop. */
typedef struct an_select_case {
	an_select_kind kind;
	an_queue *queue;
	void *item, **ret_item;
	an_task *task;
	an_event *event;
	an_duration when;
} an_select_case;

/* A case of each kind, for an array of them. */
#define AN_ON_GET(q, ret) \
	{ \
		.kind = AN_SELECT_GET, .queue = (q), .ret_item = (ret) \
	}
#define AN_ON_PUT(q, what) \
	{ \
		.kind = AN_SELECT_PUT, .queue = (q), .item = (what) \
	}
#define AN_ON_DONE(t) \
	{ \
		.kind = AN_SELECT_TASK, .task = (t) \
	}
#define AN_ON_EVENT(e) \
	{ \
		.kind = AN_SELECT_EVENT, .event = (e) \
	}
#define AN_ON_TIME(point) \
	{ \
		.kind = AN_SELECT_TIME, .when = (point) \
	}

/* The most cases one select may have: they are kept on the caller's stack. */
#define AN_SELECT_MAX 32

/* Waits until one of the cases can happen, and has exactly that one happen. Suspends
 * unless one can at once. Of several that can, the first in the array is taken, always:
 * rotate the array where all must be served alike. While it waits it stands in each
 * queue's line like anybody else, first come, first served; a select's put meets the get
 * of another select, but never one of its own. An item is written to *ret_item when that
 * case happens, and else nothing is. Once one has happened a cancellation is too late: it
 * is returned, and the next suspending call sees the cancellation.
 *
 * A task's end is seen, so that its failure is not reported, if that is the case that
 * happens. Its owner may join or detach the task meanwhile.
 *
 * Returns the index of the case, 0 and more; its code is in *ret_code (may be NULL): 0,
 * or AN_ERR_CLOSED for a queue that is closed (and, for a get, empty), or -ENOMEM for a
 * put. Otherwise -ECANCELED (nothing happened); -EINVAL for no case, more than
 * AN_SELECT_MAX, or one of an unknown kind; -EDEADLK when the caller is among the tasks
 * or no case can ever be chosen; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_select(const an_select_case *cases, size_t count,
				 int *ret_code);

/* ---- generators -------------------------------------------------------------------- */

/* A task that yields values one after another, to a reader that asks for them:
 *
 *	static int count(an_generator *g, void *arg)
 *	{
 *		int r = 0;
 *		for (int *n = arg; r == 0 && *n; --*n)
 *			r = an_generator_yield(g, n);
 *		return r;
 *	}
 *
 *	an_generator g;
 *	r = an_generator_begin(&g, count, &n);
 *	while (r == 0 && (r = an_generator_next(&g, &item)) == 0)
 *		r = use(item);
 *	end = an_generator_end(&g);
 *
 * Fields are private. The struct is the reader's and must live until the end. */
typedef struct an_generator {
	struct an__generator *state;
} an_generator;

/* What yields. Negative: it failed, which its reader is told of after the last item. */
typedef int (*an_generator_fn)(an_generator *g, void *arg);

/* Spawns a task that runs fn(g, arg) up to its first item, and on to the next one when a
 * reader asks for that: as in Python, an_generator_yield() returns only then, so that the
 * item may lie on fn's stack. `arg` is borrowed until the end.
 * On failure an_generator_end() is not needed and has no effect. Never suspends.
 * Returns 0; -ENOMEM; AN_ERR_NO_TASK without a loop. */
AN_API int an_generator_begin(an_generator *g, an_generator_fn fn, void *arg);

/* To be called by `fn`, or by tasks that it waits for: hands an item to the reader.
 * Suspends until a reader has taken it, and then until one asks for another, or the
 * generator is ended. Returns 0: the item was taken, even if a cancellation came then,
 * which the next call sees; -ECANCELED, AN_ERR_CLOSED when the reader wants no more: the
 * item is still the caller's, and fn should return. */
AN_API AN_SUSPENDS int an_generator_yield(an_generator *g, void *item);

/* Waits for the next item. Suspends. An item that its maker lends is valid until the next
 * call of a reader, or the end. Several tasks may read: first come, first served.
 * Returns 0; AN_ERR_EOF when fn has returned 0 or more, or the generator was ended
 * meanwhile; what fn returned if that is negative, as often as it is asked; -ECANCELED
 * (nothing was taken); AN_ERR_MISUSE when it is not open; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_generator_next(an_generator *g, void **ret_item);

/* Ends it, at any time: cancels the task if it is not done and waits for its end, its
 * cleanup included, also when the caller is cancelled. Suspends. A second call does
 * nothing.
 * Returns 0; what fn failed with, if an_generator_next() has not told it and it is not
 * the outcome of its being ended (-ECANCELED, AN_ERR_CLOSED); AN_ERR_MISUSE by the task
 * itself; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_generator_end(an_generator *g);

/* ---- pipelines --------------------------------------------------------------------- */

/* One stage of a pipeline: takes items from `in`, puts what it makes of them into `out`.
 * The first one has no `in`, the last no `out`: NULL.
 *
 *	static int parse(an_queue *in, an_queue *out, void *arg)
 *	{
 *		void *line;
 *		int r;
 *		while ((r = an_queue_get(in, &line)) == 0) {
 *			struct record *record = parsed(line);
 *			r = an_queue_put(out, record);
 *			if (r < 0) {
 *				free(record);
 *				break;
 *			}
 *		}
 *		return r;
 *	}
 *
 * AN_ERR_CLOSED, from a get when there are no more items or from a put when nobody wants
 * any, is the good end; any other negative code is a failure. */
typedef struct an_stage {
	int (*fn)(an_queue *in, an_queue *out, void *arg);
	void *arg;
	size_t workers;	 /* tasks that run fn side by side; 0: 1 */
	size_t capacity; /* of `out`: then it waits; 0: hands items over directly */
	/* Given `arg` and each item of `out` that no stage has taken; must not suspend.
	 * NULL: items need nothing. */
	void (*drop)(void *arg, void *item);
	const char *name; /* of its tasks; NULL: "stage" */
} an_stage;

/* Runs all stages at once, joined by queues, and waits for all of them. Suspends. When
 * the workers of a stage have all ended, the next stage gets what is left and then its
 * end, and the one before learns that nothing more is wanted: so a stage ends a pipeline
 * from either side by returning. The first failure cancels all, and so does a
 * cancellation of the caller; whatever then lies between the stages is dropped. `stages`
 * is borrowed for the call.
 * Returns 0; the first failure; -ECANCELED; -EINVAL without a stage or a function;
 * -ENOMEM; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_pipeline(const an_stage *stages, size_t count);

AN_END_DECLS

#endif
