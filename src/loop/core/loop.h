/* What the layers above may know of the loop. L1. The struct itself is in loop-private.h,
 * for core's own files.
 *
 * Above core, use libevent's events on an_loop_base() for descriptors; their callbacks
 * run on the loop's own stack, must not suspend, and hand results to tasks with
 * an__wake().
 */
#ifndef AN_LOOP_CORE_LOOP_H
#define AN_LOOP_CORE_LOOP_H

#include "loop/base/list.h"
#include "loop/base/wheel.h"

#include <asyncnet/loop.h>

/* ---- end of turn ------------------------------------------------------------------- */

/* Runs once, after the ready tasks have had their turn and before the loop looks for
 * events: where what was gathered during a turn leaves. The owner keeps the memory and
 * may remove the node (an__list_remove) to call it off; an initialised node that is on no
 * list is empty. */
typedef struct an__turn_hook {
	an__list node;
	void (*fn)(struct an__turn_hook *hook);
} an__turn_hook;

static inline void an__turn_hook_init(an__turn_hook *h, void (*fn)(an__turn_hook *))
{
	an__list_init(&h->node);
	h->fn = fn;
}

/* No effect when the hook waits already. */
void an__loop_at_turn_end(an_loop *loop, an__turn_hook *hook);

/* ---- the end of a task ------------------------------------------------------------- */

/* Who wants to know of a task's end. Told once, when the task has its result and before
 * its joiner runs; the watch is off its task by then. fn must not suspend, and may free
 * the watch. The owner keeps the memory until then or takes the watch off. */
typedef struct an__task_watch {
	struct an__task_watch *next, **link; /* link NULL: on no task */
	void (*fn)(struct an__task_watch *watch, an_task *task);
} an__task_watch;

/* `task` has not ended; watch->fn is set. */
void an__task_watch_add(an_task *task, an__task_watch *watch);

/* No effect on one that is on no task. */
void an__task_watch_remove(an__task_watch *watch);

/* What an_join() does with a handle while it waits, for others that wait and then consume
 * it: while a task is claimed nobody else can join it, and to detach it has no effect, so
 * it is there when it has ended. A detached task counts as claimed. */
bool an__task_claimed(const an_task *task);
void an__task_claim(an_task *task);   /* is not claimed, and not the current task */
void an__task_unclaim(an_task *task); /* the handle is its owner's again */
void an__task_consume(an_task *task); /* a claimed one that has ended: gone */

/* ---- timers that are not a task's -------------------------------------------------- */

typedef struct an__timer {
	an__wheel_node node;
	an_loop *loop;
	void (*fn)(struct an__timer *timer); /* on the loop's stack; must not suspend */
} an__timer;

/* Room in the loop's wheel is reserved here, so that arming cannot fail. Returns 0;
 * -ENOMEM. */
int an__timer_init(an__timer *t, an_loop *loop, void (*fn)(an__timer *));

/* Fires once at `deadline`, equal ones in the order of arming; moves it when it is
 * armed. */
void an__timer_arm(an__timer *t, an_duration deadline);
void an__timer_disarm(an__timer *t);

/* Gives the room back. */
void an__timer_done(an__timer *t);

/* ---- other threads ----------------------------------------------------------------- */

/* A message to the loop's thread in the sender's own memory. */
typedef struct an__post_node {
	struct an__post_node *next;
	void (*fn)(
		struct an__post_node *node); /* on the loop's stack; must not suspend */
} an__post_node;

/* From any thread; never fails. The loop must be alive: hold it with an__loop_hold(). */
void an__loop_post(an_loop *loop, an__post_node *node);

/* Held on the loop's thread for as long as another thread will post to it: the end of the
 * loop waits for all of them to be released, turning meanwhile. */
void an__loop_hold(an_loop *loop);
void an__loop_release(an_loop *loop);

/* For a task that waits for what another thread may do some time, or never: as long as
 * one is expecting, the run is not stuck; but neither its end nor a virtual clock that
 * has somewhere to jump waits for that. On the loop's thread. */
void an__loop_expect(an_loop *loop);
void an__loop_expect_no_more(an_loop *loop);

/* ---- fork() ------------------------------------------------------------------------ */

/* For what a layer keeps for the whole process: `forked` runs in every child, before
 * fork() returns there. Other threads are gone, and may have held a lock or been in the
 * middle of something; the parent must not notice anything. */
typedef struct an__fork_hook {
	void (*forked)(void);
	struct an__fork_hook *next;
	bool added;
} an__fork_hook;

/* Once is enough, more do nothing; the hook is static. From any thread with a loop. */
void an__fork_hook_add(an__fork_hook *hook);

/* ---- what the layers above keep for each loop -------------------------------------- */

enum an__loop_local {
	AN__LOCAL_OFFLOAD,
	AN__LOCAL_URING,
	AN__LOCAL_STREAM,
	AN__LOCAL_DNS,
	AN__LOCAL_SIGNAL,
	AN__LOCAL_PROCESS,
	AN__LOCAL_LOG,
	AN__LOCAL_HTTP,
	AN__LOCAL_WS,
	AN__LOCAL_DB,
	AN__LOCAL_COUNT,
};

void *an__loop_local(an_loop *loop, enum an__loop_local slot);

/* `destroy` is called when the loop ends, after its last task; slots in falling order. */
void an__loop_set_local(an_loop *loop, enum an__loop_local slot, void *value,
			void (*destroy)(void *value));

const an_loop_opts *an__loop_opts(const an_loop *loop);

/* Whether the loop answers SIGINT itself (an_run() without no_signals). A watch of SIGINT
 * takes that over for as long as it lives. Returns whether the loop did so before. */
bool an__loop_handle_interrupt(an_loop *loop, bool handle);

#endif
