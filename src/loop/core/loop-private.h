/* The structs of the loop and of the task, for the files of this folder alone. L1.
 *
 * Who runs: the loop's own context (main_ctx) and one context for each task. A task that
 * parks switches straight to the next ready task; only when none is ready, or the turn's
 * budget is used up, does control go back to main_ctx, which looks after timers, messages
 * and libevent.
 */
#ifndef AN_LOOP_CORE_LOOP_PRIVATE_H
#define AN_LOOP_CORE_LOOP_PRIVATE_H

#include "loop/base/clock.h"
#include "loop/core/ctx.h"
#include "loop/core/loop.h"
#include "loop/core/stack.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>

/* NEW ----> READY <----> RUNNING ----> DONE
 *             ^             |
 *             +-- PARKED <--+
 * NEW is READY's first time: a task that is cancelled in it never runs its body. */
enum an__task_state {
	AN__TASK_NEW,
	AN__TASK_READY,
	AN__TASK_RUNNING,
	AN__TASK_PARKED,
	AN__TASK_DONE,
};

enum an__scope_kind {
	AN__SCOPE_ROOT,
	AN__SCOPE_TIMEOUT,
	AN__SCOPE_GROUP,
	AN__SCOPE_SHIELD,
	AN__SCOPE_CLOSED,
};

/* Lies at the top of its own stack, so that a parked task costs one page. */
struct an_task {
	an_task *next_ready;
	an_loop *loop;
	enum an__task_state state;
	bool detached;	/* nobody has a handle: freed when it ends */
	bool joining;	/* its handle is a joiner's, who has not run yet */
	int result;
	an__ctx ctx;
	void *fake_stack;	 /* AddressSanitizer's, while it is not running */
	an__waiter *waiter;	 /* what it is parked on */
	struct an__scope *scope; /* the innermost */
	struct an__scope root;
	/* armed at, or lazily before, the deadline that the wait needs */
	an__timer timer;
	an__waiters joiner;	/* at most one */
	an_group *group;	/* whose child it is */
	an_task *older, *younger; /* its siblings there */
	an__list all;		/* in loop->tasks */
	an__stack *stack;
	an_task_fn fn;
	void *arg;
	int cancel_requests;
	char name[32];
};

struct an__ready_queue {
	an_task *first, *last;
};

struct an__local {
	void *value;
	void (*destroy)(void *value);
};

/* Calls without a task; see call.c. */
struct an__calls {
	an__list soon, idle, spare;
	size_t spare_count;
};

struct an_loop {
	/* Scheduling. */
	struct an__ready_queue ready;
	an_task *current; /* NULL: main_ctx runs */
	an_task *corpse;  /* ended, to be freed by whoever runs next */
	unsigned budget;    /* resumptions left in this turn */
	unsigned allowance; /* what it began with */
	an_duration turn_began;
	an__ctx main_ctx;
	void *main_fake_stack;
	const void *main_low; /* of the thread's own stack, for AddressSanitizer */
	size_t main_size;
	bool main_known;

	/* Time. */
	an_duration now;
	an__heap timers;
	struct an__calls calls;

	/* Tasks. */
	an__list tasks;
	size_t task_count; /* not yet done */
	uint64_t task_serial;
	an_task *main_task;
	an__stack_pool *stacks;
	bool ending; /* tasks that are spawned now begin cancelled */

	/* libevent. */
	struct event_base *base;
	bool attached;	   /* the base is the caller's, who dispatches it */
	bool in_turn;
	struct event tick;   /* tick.c: the nearest deadline; attached: work, too */
	int tick_fd;	     /* a timerfd; -1 with a virtual clock */
	an_duration tick_at; /* what it is armed for, or one of AN__TICK_... */
	struct event post_event; /* the eventfd is readable */
	struct event interrupt;	 /* SIGINT */
	bool handles_interrupt;
	int own_events; /* how many of the base's events are the loop's own */

	/* Other threads. */
	int post_fd;
	_Atomic(an__post_node *) posts; /* newest first */
	atomic_bool closed;		/* an_post() is refused */
	size_t holds;

	an__list turn_hooks;
	struct an__local locals[AN__LOCAL_COUNT];
	an_loop_opts opts;
};

extern __thread an_loop *an__current_loop __attribute__((tls_model("initial-exec")));

/* loop.c */
void an__switch_away(an_loop *loop);	/* from the current task to whatever is next */
int an__loop_new(struct event_base *base, const an_loop_opts *opts, an_loop **ret);
void an__loop_turn(an_loop *loop); /* on main_ctx: runs what is due and ready */
void an__loop_poll(an_loop *loop); /* on main_ctx: looks for events, waits for them */
void an__loop_free(an_loop *loop);	/* all tasks have ended */
bool an__loop_stuck(const an_loop *loop); /* virtual clock: nothing can wake a task */

/* tick.c */
#define AN__TICK_OFF AN_FOREVER
#define AN__TICK_ACTIVE INT64_MIN	/* in libevent's hands, without the timerfd */
#define AN__TICK_SOON (INT64_MIN + 1)	/* the timerfd fires at once */
int an__tick_init(an_loop *loop);
void an__tick_done(an_loop *loop);
void an__tick_arm(an_loop *loop);	/* for the nearest deadline */
void an__tick_activate(an_loop *loop);	/* attached: has a turn run soon */
an__timer *an__first_timer(an_loop *loop); /* or NULL */

/* post.c */
int an__post_init(an_loop *loop);
void an__post_done(an_loop *loop);
void an__post_run(an_loop *loop);

/* call.c */
void an__calls_init(an_loop *loop);
void an__calls_run(an_loop *loop);  /* on main_ctx: makes those that are due */
void an__calls_done(an_loop *loop); /* all tasks have ended */

/* task.c */
int an__task_new(an_loop *loop, an_task_fn fn, void *arg, const an_task_opts *opts,
		 an_task **ret);
void an__task_free(an_task *task);
void an__task_timer_fired(an__timer *timer);
void an__tasks_cancel_all(an_loop *loop);
void an__tasks_free_left(an_loop *loop);

/* wait.c */
void an__wait_cancel(an_task *task, int result); /* of a parked, cancellable task */
an_duration an__wait_deadline(const an_task *task); /* what the parked task waits for */
void an__wait_arm(an_task *task); /* of a parked task, for that deadline */

/* scope.c */
void an__scope_begin(struct an__scope *s, an_task *task, enum an__scope_kind kind,
		     an_duration own);
bool an__scope_end(struct an__scope *s); /* false: it was not open */
void an__scope_cancel(struct an__scope *s);
void an__scope_uncancel(struct an__scope *s);
void an__scope_expire(an_task *task, an_duration now);

/* An attached loop gets its turns from libevent, and must ask for one when work comes
 * up. */
static inline void an__wake_attached(an_loop *loop)
{
	if (__builtin_expect(loop->attached, 0) && !loop->in_turn &&
	    loop->tick_at > AN__TICK_SOON)
		an__tick_activate(loop);
}

/* To the tail of the ready queue. */
static inline void an__ready(an_task *task)
{
	struct an__ready_queue *q = &task->loop->ready;

	task->state = AN__TASK_READY;
	task->next_ready = NULL;
	if (q->last)
		q->last->next_ready = task;
	else
		q->first = task;
	q->last = task;
	an__wake_attached(task->loop);
}

/* Whether the innermost scope is cancelled, its deadline counted. */
static inline bool an__scope_cancelled(an_task *task)
{
	if (__builtin_expect(task->scope->deadline <= task->loop->now, 0))
		an__scope_expire(task, task->loop->now);
	return task->scope->seen;
}

/* an__wait_check() for the files of this folder, inlined. */
static inline int an__check_current(void)
{
	an_loop *loop = an__current_loop;

	if (__builtin_expect(!loop || !loop->current, 0))
		return AN_ERR_NO_TASK;
	return an__scope_cancelled(loop->current) ? -ECANCELED : 0;
}

/* group.c */
void an__group_child_done(an_task *child);

#endif
