/* Tasks and scopes: the heart of the library.
 *
 * A task is a function with a stack of its own, run by the loop of the thread that
 * spawned it and never moved to another thread. It runs until it calls something marked
 * AN_SUSPENDS that has to wait; then another task runs. Between two such calls nothing
 * else touches the loop's data, so no locks are needed there.
 *
 * Cancellation. A task carries a stack of scopes: its root (an_cancel), and the timeouts,
 * groups and shields that it opened. Once a scope is cancelled it stays so until it ends:
 * every suspending call in it returns -ECANCELED at once and does nothing. What was
 * granted before the cancellation (a mutex handed over, an item delivered) succeeds, and
 * the cancellation is seen at the next suspending call: -ECANCELED always means "it did
 * not happen". Where asyncio's outcome differs for that reason, the call says so.
 *
 * Stacks. Below each lies a guard of four pages (16 KiB): a task that overflows into it
 * ends the process by SIGSEGV, after a line on stderr that names the task. A function
 * whose own variables take more than the guard can step over it, into another task's
 * stack: keep such arrays on the heap, or compile what has them with
 * -fstack-clash-protection, which touches each page of a frame in turn.
 *
 * The struct bodies below are public so that they can lie on the caller's stack; their
 * fields are private.
 */
#ifndef ASYNCNET_TASK_H
#define ASYNCNET_TASK_H

#include <asyncnet/api.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* A task; opaque. Pinned to the loop of the thread that spawned it. */
typedef struct an_task an_task;

struct an__waiter;

/* The tasks that wait on one thing, oldest first. Its fields are private; it is public so
 * that what they wait on can lie in the caller's memory. */
typedef struct an__waiters {
	struct an__waiter *first, *last;
} an__waiters;

/* A task's body. Negative means that it failed, and that value is the task's result. */
typedef int (*an_task_fn)(void *arg);

/* ---- spawning and joining ---------------------------------------------------------- */

/* Of an_spawn() and an_group_spawn_with(). */
typedef struct an_task_opts {
	const char *name;  /* copied, cut at 31 bytes; NULL: "task-N" */
	size_t stack_size; /* bytes, rounded up to a class; 0: the loop's default */
	/* Runs inside the spawning call up to its first wait, and only then does the
	 * caller go on; nobody else runs in between. The child must not need what the
	 * spawning call is yet to return. No effect outside a task. */
	bool eager;
} an_task_opts;

/* Makes a task that will run fn(arg) when the loop next gets to it. Never suspends. `arg`
 * is borrowed until the task ends. With `ret` the caller owns a handle that it must give
 * to an_join() or an_detach(); with NULL the task is detached from the start. A task that
 * is cancelled before its first step never runs fn, so what `arg` owns must be freed by
 * somebody else: the joiner, or the owner of the group.
 * Returns 0; -ENOMEM; -EINVAL for a stack of more than 1 GiB; AN_ERR_NO_TASK outside a
 * loop. */
AN_API int an_spawn(an_task_fn fn, void *arg, const an_task_opts *opts, an_task **ret);

/* Waits until `task` has ended. Suspends. Unlike asyncio's await of a task, it leaves the
 * task alone when the caller is cancelled, as an asyncio.shield() would; a task that uses
 * the caller's stack wants an_wait_for() with AN_FOREVER (combine.h), which passes the
 * cancellation on and waits for the end, or a group.
 * On 0 the handle is consumed, and *ret_result (may be NULL) is what the task returned,
 * or -ECANCELED if it was cancelled before its first step. On failure the handle is still
 * yours.
 * Returns 0; -ECANCELED when the caller was cancelled (the task runs on); -EDEADLK when a
 * task joins itself; -EBUSY when another task joins it already, and for the main task of
 * an an_run(), which joins it; AN_ERR_MISUSE for a task of another thread's loop, for a
 * detached one and, as long as no new task has its place, for a handle that was
 * consumed. */
AN_API AN_SUSPENDS int an_join(an_task *task, int *ret_result);

/* Gives the handle up: the task runs on and is freed when it ends. No effect while
 * another task joins it, nor from another thread, which is reported through trace.h.
 * Accepts NULL. Never suspends. Returns NULL. */
AN_API an_task *an_detach(an_task *task);

/* Asks a task to end: cancels its root scope and counts the request. Never suspends; the
 * task sees it at its next suspending call, or never starts if it has not run yet. A task
 * that returns without having met it keeps its result (asyncio would count it as
 * cancelled, and lose that). Accepts NULL.
 * Returns whether the task was asked: false when it has ended, and from another thread
 * (an_post() it there), which is reported through trace.h. */
AN_API bool an_cancel(an_task *task);

/* How many an_cancel() requests the current task has had, less those taken back. */
AN_API int an_cancelling(void);

/* Takes one request back; at zero the root scope is no longer cancelled. Returns what is
 * left. For a caller that sent the cancellation itself and has handled it. */
AN_API int an_uncancel(void);

/* The running task, or NULL outside one. Borrowed. */
AN_API an_task *an_current(void);

/* Whether the task has ended. */
AN_API bool an_done(const an_task *task);

/* What an ended task returned, without consuming the handle. A failure that was looked at
 * is not reported as one that nobody joined. Never suspends.
 * Returns 0; -EAGAIN while it runs. */
AN_API int an_task_result(an_task *task, int *ret_result);

/* Whether the task has ended with -ECANCELED because it was asked to. */
AN_API bool an_task_cancelled(const an_task *task);

/* The task's name. Borrowed for as long as the task lives. */
AN_API const char *an_task_name(const an_task *task);

/* Has fn(arg, result) called when the task ends: once, before its joiner runs, in the
 * order of the calls; at once when it has ended already. fn must not suspend
 * (AN_ERR_NO_TASK); it may detach the task. Never suspends. Returns 0; -ENOMEM. */
AN_API int an_task_on_done(an_task *task, void (*fn)(void *arg, int result), void *arg);

/* Takes back the oldest an_task_on_done() with this fn and arg. Returns whether there was
 * one: false when it has been called. Never suspends. */
AN_API bool an_task_off_done(an_task *task, void (*fn)(void *arg, int result), void *arg);

/* ---- task-local variables ---------------------------------------------------------- */

/* A variable of which each task has its own value: a request's id, a user, a deadline for
 * the log. A child sees what its parent had when it was spawned; what either sets later
 * the other does not see. The struct is static: its address is the variable. */
typedef struct an_local {
	const char *name; /* for debuggers */
	/* Called, when no task can see a value any more, for values that are not NULL.
	 * Must not suspend (AN_ERR_NO_TASK at the end of a task, where it may detach
	 * that). NULL: values are borrowed, and must outlive all tasks that see them. */
	void (*release)(void *value);
} an_local;

/* Sets the variable for the current task. Never suspends. The value is the library's on
 * success. Returns 0; -ENOMEM; AN_ERR_NO_TASK outside a task. */
AN_API int an_local_set(const an_local *variable, void *value);

/* The current task's value; NULL when neither it nor its ancestors set one, and outside a
 * task. Borrowed until it is set anew. Never suspends. */
AN_API void *an_local_get(const an_local *variable);

/* ---- suspending -------------------------------------------------------------------- */

/* Lets every other ready task run first. Returns 0 or -ECANCELED. */
AN_API AN_SUSPENDS int an_yield(void);

/* Waits for `d`; at most 0 is a yield. AN_FOREVER waits for a cancellation.
 * Returns 0 when the time is over, -ECANCELED before. */
AN_API AN_SUSPENDS int an_sleep(an_duration d);

/* 0, or -ECANCELED when a suspending call made here would return it; under a deadline it
 * reads the clock again. Never suspends itself: for long computations. AN_ERR_NO_TASK
 * outside a task. */
AN_API int an_check(void);

/* ---- scopes ------------------------------------------------------------------------ */

/* Each begin has its end, in the same task and innermost first; a task that returns with
 * a scope open has a mistake, which is reported through trace.h. */

/* What the three scopes below begin with; private. */
struct an__scope {
	struct an__scope *outer;
	an_task *task;
	an_duration own;      /* own deadline, AN_FOREVER: none */
	an_duration deadline; /* nearest of this and the outer ones, up to a shield */
	unsigned char kind;
	bool cancelled; /* this one */
	bool seen;	/* this one or an outer one, up to a shield */
	bool expired;	/* cancelled by its own deadline */
};

/* A limit on the time of all that is called until its end. Nests; the tightest wins. */
typedef struct an_timeout {
	struct an__scope scope;
} an_timeout;

/* Opens the scope; `limit` counts from now; at most 0 has expired already; AN_FOREVER
 * sets none. Never suspends. The struct is the caller's and must live until the end. */
AN_API void an_timeout_begin(an_timeout *t, an_duration limit);

/* The same for a point on the loop's clock: an_timeout_begin_at(&t, an_now() + d). */
AN_API void an_timeout_begin_at(an_timeout *t, an_duration deadline);

/* Moves the deadline of an open timeout; a past one takes effect at the next suspending
 * call.
 * Returns 0; AN_ERR_MISUSE when it has expired or is not open. Never suspends. */
AN_API int an_timeout_reschedule(an_timeout *t, an_duration deadline);

/* Closes the scope. `result` is what the work in it returned.
 * Returns -ETIMEDOUT when result is -ECANCELED, this scope expired, and no outer scope is
 * cancelled; AN_ERR_MISUSE when it is not open in this task; otherwise result, so a value
 * that arrived all the same is kept. Never suspends. */
AN_API int an_timeout_end(an_timeout *t, int result);

/* Whether the deadline has cancelled the scope; valid after the end, too. */
AN_API bool an_timeout_expired(const an_timeout *t);

/* Hides the cancellation of all outer scopes until its end, so that a ROLLBACK or a close
 * handshake can be awaited during cleanup. */
typedef struct an_shield {
	struct an__scope scope;
} an_shield;

/* Opens the shield; `grace` bounds the cleanup, as an_timeout_begin() does. AN_FOREVER is
 * allowed and seldom wise. Never suspends. */
AN_API void an_shield_begin(an_shield *s, an_duration grace);

/* Closes the shield. Returns -ETIMEDOUT when result is -ECANCELED and the grace ran out;
 * AN_ERR_MISUSE as above; otherwise result. A cancellation from outside is seen again
 * from here on. Never suspends. */
AN_API int an_shield_end(an_shield *s, int result);

/* Child tasks that end together: none outlives the group. */
typedef struct an_group {
	struct an__scope scope;
	struct an__task_list {
		struct an_task *first, *last;
	} children;
	size_t count;
	struct an__waiter *waiter; /* of the body, in an_group_end() */
	int error;
	struct an_group_error *errors;
	size_t error_room, error_count;
} an_group;

/* One failure in a group. */
typedef struct an_group_error {
	int code;
	char task[32]; /* the child's name; "" for an_group_fail() */
} an_group_error;

/* Opens the group in the current task. Never suspends. */
AN_API void an_group_begin(an_group *g);

/* Spawns a child of the group. A child that fails (returns a negative code other than the
 * -ECANCELED of its own cancellation) cancels its siblings and the body, and its code
 * becomes the group's. May be called by any task of the group. Never suspends. A child
 * that could not be made is the caller's to deal with: an_group_fail() with the code has
 * it fail the group.
 * Returns 0; -ENOMEM; -ECANCELED when the group is cancelled already; AN_ERR_MISUSE when
 * it is not open, or from another thread. */
AN_API int an_group_spawn(an_group *g, an_task_fn fn, void *arg);

/* The same with a name or a stack size. */
AN_API int an_group_spawn_with(an_group *g, an_task_fn fn, void *arg,
			       const an_task_opts *opts);

/* Has every error of the group written down, in the order in which they came, and not
 * only the first: those of siblings that failed while they were being cancelled, and of
 * the body. `errors` has room for `room` of them, is the caller's and must live until the
 * end. To be called before the first failure. Never suspends. */
AN_API void an_group_collect(an_group *g, an_group_error *errors, size_t room);

/* How many errors there were, which may be more than there was room for; valid after the
 * end, too. */
AN_API size_t an_group_error_count(const an_group *g);

/* Cancels the children and the body. Without an error of a child the group's end returns
 * 0. Never suspends. */
AN_API void an_group_cancel(an_group *g);

/* Reports a failure of the body (or of anything): cancels, and is the group's error if it
 * is the first. Values >= 0 do nothing. Never suspends. */
AN_API void an_group_fail(an_group *g, int error);

/* Waits for all children and closes the group. Suspends; when the caller is cancelled the
 * children are cancelled, and still waited for, so that none outlives `g`.
 * Returns 0; the first error; -ECANCELED when an outer scope was cancelled and no child
 * failed. */
AN_API AN_SUSPENDS int an_group_end(an_group *g);

AN_END_DECLS

#endif
