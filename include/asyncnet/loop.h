/* The loop: what runs the tasks of one thread. Most programs need an_run() alone. */
#ifndef ASYNCNET_LOOP_H
#define ASYNCNET_LOOP_H

#include <asyncnet/api.h>
#include <asyncnet/task.h>

AN_BEGIN_DECLS

struct event_base;

/* The loop of one thread; opaque. */
typedef struct an_loop an_loop;

/* Whether a loop's files use io_uring; see an_loop_opts. */
typedef enum an_io_uring {
	AN_IO_URING_DEFAULT,
	AN_IO_URING_OFF,
	AN_IO_URING_ON,
} an_io_uring;

/* Of an_run(), an_loop_new() and an_loop_attach(). */
typedef struct an_loop_opts {
	/* Bytes of a task's stack; 0: 64 KiB. Address space, not memory. */
	size_t stack_size;
	/* The clock jumps to the next deadline instead of waiting: for tests. */
	bool virtual_clock;
	/* Leave SIGINT alone; otherwise the first cancels the main task and the second
	 * ends the process, be the loop in whatever state, as the default action does.
	 * Only where SIGINT has its default action, and in one loop of a process. */
	bool no_signals;
	unsigned offload_threads; /* workers for blocking calls; 0: 4 */
	unsigned offload_queue;	  /* calls that may wait for a worker; 0: 1024 */
	/* Debug mode, also switched on by AN_DEBUG=1 in the environment: steps that hold
	 * the loop up are reported, misuse that could not be told otherwise ends the
	 * program with an explanation (inspect.h). Costs some 100 ns a switch. */
	bool debug;
	an_duration slow_step; /* what debug mode reports as slow; 0: 100 ms */
	/* Has this signal write the tasks to stderr by an_dump_tasks(): of each loop of
	 * the process that has set it, whatever thread the signal comes to. The former
	 * action is back when the last of those loops ends. 0: none. A signal that cannot
	 * be caught is -EINVAL; the 257th loop of a process at once, -EAGAIN. */
	int dump_signal;
	/* Not 0: which of the tasks that are ready runs next is drawn by lot, and the
	 * seed decides the lots: the same seed, the same order, on every machine
	 * (testing.h). Who is woken first from a wait remains as it was. Costs some 50 ns
	 * a switch. */
	uint64_t seed;
	/* Has files (file.h) use io_uring where a call would keep a worker for as long as
	 * the disk takes: reads that the page cache does not have, O_DIRECT, syncs. That
	 * takes a half of the processor's time, and less for many at once. Off by
	 * default, as there are sandboxes that end a process for trying; AN_IO_URING=1 in
	 * the environment makes on the default, and AN_IO_URING=0 is off whatever this
	 * says. Where the library was built without liburing, or the kernel refuses, as
	 * in most containers, the workers do it all, for good. */
	an_io_uring io_uring;
} an_loop_opts;

/* Makes a loop, runs fn(arg) as its main task, cancels and awaits what is left, frees the
 * loop. `opts` may be NULL. Not to be called from a task.
 *
 * Whatever is left when the main task has ended is cancelled; a failure that comes of it
 * and that nobody joins is reported through trace.h. The end waits for as long as that
 * takes: for a task that took its cancellation back, and for calls on worker threads,
 * which nobody can interrupt (asyncio gives up on those after 300 s). After 5 s it says
 * through trace.h for what it waits. Tasks that nothing can wake any more are named there
 * and given up; their callbacks (an_task_on_done) get AN_ERR_STUCK.
 *
 * Returns the main task's result; -ENOMEM and other errors of the set-up; AN_ERR_MISUSE
 * when the thread has a loop; AN_ERR_STUCK when the main task can never be woken: with a
 * virtual clock always, else where it can be told, which is in a program that has this
 * one thread, when no timer and no descriptor is waited for and SIGINT is not awaited;
 * AN_ERR_NO_TASK in a child that a task forked, when it comes back here. */
AN_API int an_run(an_task_fn fn, void *arg, const an_loop_opts *opts);

/* The loop of this thread, or NULL. Borrowed. */
AN_API an_loop *an_loop_current(void);

/* ---- loops made by hand ------------------------------------------------------------ */

/* Makes a loop and has it be the thread's. For programs that run several pieces of work
 * on one loop with code of their own in between; an_run() is this, one main task, and
 * an_loop_free(). From outside a task, an_spawn(), an_call_soon() and the like work on
 * it. SIGINT is left alone. `opts` may be NULL. Never suspends.
 * Returns 0; AN_ERR_MISUSE when the thread has a loop; -ENOMEM and other errors of the
 * set-up. */
AN_API int an_loop_new(const an_loop_opts *opts, an_loop **ret);

/* Runs the loop until `task` has ended; others that are not done then stay as they are
 * for the next run. Blocks the thread; not to be called from a task or a callback.
 * On 0 the handle is consumed, and *ret_result (may be NULL) is what the task returned.
 * Returns 0; AN_ERR_CLOSED when an_loop_stop() came first; AN_ERR_STUCK when nothing can
 * wake the task any more, where that can be told (an_run()); AN_ERR_MISUSE inside the
 * running loop, or for a loop that is attached or another thread's, or a task of another
 * loop or one that is detached; -EBUSY when another task joins it; AN_ERR_NO_TASK in a
 * forked child. In these cases the handle is still yours. */
AN_API int an_loop_run_until(an_loop *loop, an_task *task, int *ret_result);

/* Runs the loop until an_loop_stop(). Blocks as above. Returns 0; AN_ERR_MISUSE likewise;
 * AN_ERR_STUCK when nothing can happen any more, told as above; AN_ERR_NO_TASK in a
 * forked child. */
AN_API int an_loop_run(an_loop *loop);

/* Has the run end after the current turn; between runs, has the next one look once at
 * its descriptors without waiting and do one turn. From a task or a callback of the loop;
 * an_post() it from other threads. No effect on an_run() and attached loops. Never
 * suspends. */
AN_API void an_loop_stop(an_loop *loop);

/* Cancels and awaits what is left, as an_run() does at its end, and frees the loop. An
 * attached one is detached. Accepts NULL. Returns NULL; `loop`, which lives on, when
 * called from a task or a callback of it or from another thread. */
AN_API an_loop *an_loop_free(an_loop *loop);

/* After fork(), in the child: gives up the parent's loop, without running any of its
 * tasks or freeing what they own, so that the child can an_run() one of its own, on the
 * very stack it is on. A child that calls exec() or _exit() needs none of this: all the
 * loop's descriptors are closed on exec.
 *
 * Already before it is called, the thread has no loop in the child: calls that need one
 * say AN_ERR_NO_TASK, an_run() and its like AN_ERR_MISUSE. Signals that the library had
 * taken over (SIGINT, an_signal_watch_new()) do in the child what they did before. A task
 * or callback that returns in the child ends the parent's run there with AN_ERR_NO_TASK,
 * or the caller's dispatch of an attached base. The parent is not disturbed in any case.
 *
 * What this call closes is the loop's timer and eventfd and the epoll of its base, which
 * libevent replaces by one of the child's (event_reinit()). Sockets and files of the
 * parent's objects stay open until exec() or exit; so do loops of other threads, which do
 * not exist in the child. A base that the parent's loop was attached to still has the
 * events of the parent's streams: do not dispatch it.
 *
 * Never suspends. No effect where no loop was running, nor in the parent. */
AN_API void an_after_fork_child(void);

/* ---- in a loop of somebody else's -------------------------------------------------- */

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
 * task or another thread, or from a callback of the base while tasks still run: it cannot
 * wait for them there. In a callback they are cancelled all the same; try again later. */
AN_API an_loop *an_loop_detach(an_loop *loop);

/* The base under the loop, for libevent code that shares it. Borrowed. */
AN_API struct event_base *an_loop_base(an_loop *loop);

/* Runs fn(arg) on the loop's thread, on the loop's own stack: it must not suspend. May be
 * called from any thread, in the order of the calls. The loop must outlive the call.
 * Returns 0; -ENOMEM; AN_ERR_CLOSED when the loop is ending. */
AN_API int an_post(an_loop *loop, void (*fn)(void *arg), void *arg);

/* ---- calls without a task ---------------------------------------------------------- */

/* A call that is to be made, or that was made; opaque. Belongs to the loop of the thread
 * that asked for it, and is used on that thread alone.
 *
 * What has to wait wants a task. A call is for the moment that needs no stack: a limit
 * that closes something, a flag that is set later. It is made on the loop's own stack, as
 * fn(arg), and must not suspend (a suspending call returns AN_ERR_NO_TASK there). A turn
 * of the loop makes the calls that are due before it runs its tasks: what came by
 * an_call_soon() in the order of the asking, what is for a time by that time, and at
 * equal times in the order of the asking. What a call itself asks for is made in the next
 * turn at the earliest.
 *
 * `arg` must stay valid until the call was made or cancelled, or the loop has ended.
 * While a loop ends, calls that are due are made for as long as its tasks are awaited,
 * and once after; what is left is dropped without being called. */
typedef struct an_call an_call;

/* Has fn(arg) called at the loop's next turn, before any task runs again. Never suspends;
 * from a task or a callback of the thread's loop. With `ret` the caller owns a handle
 * that it must give to an_call_cancel(), also when the call was made, before the loop is
 * freed; with NULL there is none, and the call is freed when it was made.
 * Returns 0; AN_ERR_NO_TASK without a loop; -ENOMEM. */
AN_API int an_call_soon(void (*fn)(void *arg), void *arg, an_call **ret);

/* The same after `delay` nanoseconds of the loop's clock: 0 or less at the next turn that
 * comes to it, in the order of the times; AN_FOREVER never. The handle as above.
 * Returns 0; AN_ERR_NO_TASK without a loop; -ENOMEM. */
AN_API int an_call_later(an_duration delay, void (*fn)(void *arg), void *arg,
			 an_call **ret);

/* The same at a point on the loop's clock, an_now(); one in the past is made at the next
 * turn, AN_FOREVER never. The handle as above.
 * Returns 0; AN_ERR_NO_TASK without a loop; -ENOMEM. */
AN_API int an_call_at(an_duration when, void (*fn)(void *arg), void *arg, an_call **ret);

/* Calls the call off if it was not made yet, and frees the handle. May be called from the
 * call itself and from any other. A handle that outlives its loop is invalid. Accepts
 * NULL. Never suspends. Returns NULL. */
AN_API an_call *an_call_cancel(an_call *call);

/* How many tasks there are, the caller's included. */
AN_API size_t an_loop_task_count(const an_loop *loop);

AN_END_DECLS

#endif
