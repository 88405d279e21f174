/* The loop: what runs the tasks of one thread. Most programs need an_run() alone. */
#ifndef ASYNCNET_LOOP_H
#define ASYNCNET_LOOP_H

#include <asyncnet/api.h>
#include <asyncnet/task.h>

AN_BEGIN_DECLS

struct event_base;

/* The loop of one thread; opaque. */
typedef struct an_loop an_loop;

/* Of an_run() and an_loop_attach(). */
typedef struct an_loop_opts {
	/* Bytes of a task's stack; 0: 64 KiB. Address space, not memory. */
	size_t stack_size;
	/* The clock jumps to the next deadline instead of waiting: for tests. */
	bool virtual_clock;
	/* Leave SIGINT alone; otherwise the first cancels the main task and the second
	 * ends the process as the default action does. */
	bool no_signals;
	unsigned offload_threads; /* workers for blocking calls; 0: 4 */
	unsigned offload_queue;	  /* calls that may wait for a worker; 0: 1024 */
} an_loop_opts;

/* Makes a loop, runs fn(arg) as its main task, cancels and awaits what is left, frees the
 * loop. `opts` may be NULL. Not to be called from a task.
 * Returns the main task's result; -ENOMEM and other errors of the set-up; AN_ERR_MISUSE
 * inside a running loop; AN_ERR_STUCK when the main task can never be woken. */
AN_API int an_run(an_task_fn fn, void *arg, const an_loop_opts *opts);

/* The loop of this thread, or NULL. Borrowed. */
AN_API an_loop *an_loop_current(void);

/* Attaches a loop to a base that the caller dispatches itself: tasks, timers and streams
 * of this thread then run inside event_base_dispatch(). `base` is borrowed and must
 * outlive the loop; its backend must not be changed. One loop a thread. Never suspends.
 * From outside a task, an_spawn() works on the thread's attached loop. The base does not
 * run out of events while a loop is attached: end its dispatch by event_base_loopbreak().
 * Returns 0; AN_ERR_MISUSE when the thread has a loop; -ENOMEM. */
AN_API int an_loop_attach(struct event_base *base, const an_loop_opts *opts,
			  an_loop **ret);

/* Cancels and awaits what still runs (dispatching the base for it), then detaches and
 * frees the loop. Accepts NULL. Returns NULL; `loop`, which lives on, when called from a
 * task, or from a callback of the base while tasks still run: it cannot wait for them
 * there. In a callback they are cancelled all the same; try again later. */
AN_API an_loop *an_loop_detach(an_loop *loop);

/* The base under the loop, for libevent code that shares it. Borrowed. */
AN_API struct event_base *an_loop_base(an_loop *loop);

/* Runs fn(arg) on the loop's thread, on the loop's own stack: it must not suspend. May be
 * called from any thread, in the order of the calls. The loop must outlive the call.
 * Returns 0; -ENOMEM; AN_ERR_CLOSED when the loop is ending. */
AN_API int an_post(an_loop *loop, void (*fn)(void *arg), void *arg);

/* How many tasks there are, the caller's included. */
AN_API size_t an_loop_task_count(const an_loop *loop);

AN_END_DECLS

#endif
