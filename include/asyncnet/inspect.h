/* Seeing inside a running program: its tasks, what they wait for, how the loop fares.
 *
 * Debug mode (an_loop_opts.debug, or AN_DEBUG=1 in the environment) reports through
 * trace.h:
 *  - a step, which is what a task does between two suspensions, that took 100 ms or
 *    longer (slow_step), with the task's name and where it was spawned: nothing else
 *    could run;
 *  - a run that nothing can wake any more, with what each task waits for;
 * and ends the program, saying which task and scope it was, when a scope is ended out of
 * order or a task returns with one open.
 */
#ifndef ASYNCNET_INSPECT_H
#define ASYNCNET_INSPECT_H

#include <asyncnet/api.h>
#include <asyncnet/loop.h>

AN_BEGIN_DECLS

/* ---- the tasks --------------------------------------------------------------------- */

/* Puts up to `room` of the loop's tasks that have not ended into `tasks`, in the order of
 * their spawning. They are borrowed until the caller suspends. Never suspends. Returns
 * how many there are, which may be more than there was room for. */
AN_API size_t an_loop_tasks(const an_loop *loop, an_task **tasks, size_t room);

/* Writes the tasks of this thread's loop to a descriptor, as text for people: each under
 * the one that spawned it, with its name, its state, what it waits for and for how long,
 * on whom that depends, where it was spawned, and a backtrace of where it is, innermost
 * first, of 32 functions at most.
 *
 *	4 tasks
 *	main  parked 2.1 s: the tasks of its group
 *	    spawned at main+0x19
 *	    at an_group_end+0x8c, app+0x51
 *	 |- worker-1  parked 0.3 s: a mutex, depends on worker-2
 *	 |      spawned at app+0x33
 *	 |      at an_mutex_lock+0x4e, worker+0x1c
 *	 |- worker-2  running
 *	 ...
 *
 * Functions have names when their symbols are exported (link with -rdynamic for those of
 * the program), others are FILE+0xOFFSET, as addr2line takes it; with a glibc older than
 * 2.35, or another C library, all are addresses. Parked tasks have no backtrace in a
 * build with swapcontext, nor with less than 8 KiB of stack left.
 *
 * Async-signal-safe on the loop's thread with glibc 2.35 and later: it neither allocates
 * nor locks, and may be called from a handler, on an alternate stack or not, whatever
 * that has interrupted: a task, the loop, a switch between two. It keeps errno. With
 * other C libraries the unwinder may take a lock. Needs 8 KiB of stack. Never suspends;
 * it blocks when the descriptor does.
 * Returns 0; AN_ERR_NO_TASK where the thread has no loop; -EBUSY in a handler that has
 * interrupted another dump of the same loop; the error of the write. */
AN_API int an_dump_tasks(int fd);

/* How much of its stack a task uses, in bytes. */
typedef struct an_stack_use {
	size_t size; /* usable */
	/* Up to where it is parked, or where the running task calls this; 0 for one that
	 * has ended, and for all others than the running one where swapcontext switches
	 * (--with-context=ucontext). */
	size_t now;
	/* What was ever used, in pages that have memory; those that former tasks on the
	 * same stack left behind are counted, too. */
	size_t peak;
} an_stack_use;

/* Never suspends. Costs a system call for each 2 MiB of the stack. On the loop's own
 * thread. */
AN_API an_stack_use an_task_stack_use(const an_task *task);

/* ---- figures ----------------------------------------------------------------------- */

/* Bucket i counts turns that took at least 2^i microseconds and less than twice that; the
 * first those below 2 us, too, the last all above. */
#define AN_LAG_BUCKETS 24

/* The loop's figures since it was made. */
typedef struct an_loop_metrics {
	size_t tasks; /* that have not ended */
	size_t tasks_peak;
	uint64_t spawned;  /* since the start */
	uint64_t switches; /* resumptions of tasks */
	uint64_t turns;
	size_t ready; /* tasks that could run now, the running one included */
	/* Armed; one of a task that woke early may still be among them. */
	size_t timers;
	size_t stacks_used, stacks_free; /* of the pool; free ones may hold memory */
	/* How long the loop did not look at its descriptors, for each turn: what a new
	 * event has to wait in the worst case. A turn is counted when the loop looks
	 * again. All zero with a virtual clock. */
	uint64_t lag[AN_LAG_BUCKETS];
	an_duration lag_max;
	an_duration busy; /* the sum of all */
} an_loop_metrics;

/* Never suspends. On the loop's own thread. Takes time for each task that is ready. */
AN_API void an_loop_get_metrics(const an_loop *loop, an_loop_metrics *ret);

AN_END_DECLS

#endif
