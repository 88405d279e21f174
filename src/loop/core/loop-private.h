/* The structs of the loop and of the task, for the files of this folder, and for those
 * that quick.h is inlined into. L1.
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
#include <asyncnet/inspect.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>

/* NEW ----> READY ----> DONE
 *           |  ^
 *           v  |
 *          PARKED
 * NEW and READY tasks are on the ready queue, but for the loop's current one, which runs
 * and is READY, too: a switch then has no state to change. A task that is cancelled while
 * it is NEW never runs its body. A SPARE one is nobody's, and waits for the next
 * spawn. */
enum an__task_state {
	AN__TASK_NEW,
	AN__TASK_READY,
	AN__TASK_PARKED,
	AN__TASK_DONE,
	AN__TASK_SPARE,
};

enum an__scope_kind {
	AN__SCOPE_ROOT,
	AN__SCOPE_TIMEOUT,
	AN__SCOPE_GROUP,
	AN__SCOPE_SHIELD,
	AN__SCOPE_CLOSED,
};

struct an__binding; /* local.c: the value of a task-local variable */

/* Lies at the top of its own stack, so that a parked task costs one page. It is laid out
 * by lines of the cache, of which a thousand tasks have more than the first one holds: a
 * switch needs the first, a spawn, a run and a join the first three. */
struct an_task {
	an_task *next_ready;
	an_loop *loop;
	an__ctx ctx;
	unsigned char state; /* enum an__task_state */
	bool detached;	     /* nobody has a handle: freed when it ends */
	bool joining;	     /* its handle is a joiner's, who has not run yet */
	bool retrieved;	     /* somebody has looked at the result */
	bool named;
	bool timed; /* its timer has been armed */
	bool default_stack;
	unsigned char locks; /* mutexes and locks to write that it holds, modulo 256 */
	/* From this point on suspending calls have to look at the scopes: the innermost
	 * one's deadline, or the beginning of time when it is cancelled. */
	an_duration limit;

	struct an__scope *scope; /* the innermost */
	an__waiter *waiter;	 /* what it is parked on */
	an_duration parked_at;
	an_task_fn fn;
	void *arg;
	int result;
	int wait_ended;	    /* an__wait_many() alone: the code that ended it, or 0 */
	an__waiters joiner; /* at most one */

	an__task_watch *watches; /* told when it ends, oldest first */
	an_group *group;	 /* whose child it is */
	struct an__binding *locals;
	an__list all; /* in loop->tasks */
	uint64_t serial;
	const void *spawned_at; /* the return address of the call that spawned it */
	/* Who spawned it. It may be gone, and its memory another task's, whose serial
	 * then is greater than this one's. */
	an_task *parent;

	an__waiter own; /* an__quick_wait()'s */
	struct an__scope root;
	int cancel_requests;
	/* armed at, or lazily before, the deadline that the wait needs */
	an__timer timer;
	an_task *older, *younger; /* its siblings in the group */
	void *fake_stack;	  /* AddressSanitizer's, while it is not running */
	an__stack *stack;
	an_task *dump_child, *dump_sibling; /* dump.c: the tree that it writes */
	char name[32]; /* if `named`; else made of the serial when it is asked for */
} __attribute__((aligned(64)));

#ifndef AN_CONTEXT_UCONTEXT
_Static_assert(offsetof(struct an_task, scope) == 64 &&
		       offsetof(struct an_task, watches) == 128 &&
		       offsetof(struct an_task, own) == 192,
	       "lines of the cache");
_Static_assert(offsetof(struct an_task, own.result) - offsetof(struct an_task, ctx) ==
		       AN__CTX_RESULT,
	       "what an__ctx_leave_to() returns");
#endif

struct an__ready_queue {
	an_task *first, **end; /* where the next one goes */
};

/* Who is drawn from in a seeded loop; see order.c. */
struct an__order {
	an_task **drawn;
	size_t count, room;
	uint64_t state; /* of the generator */
};

struct an__local {
	void *value;
	void (*destroy)(void *value);
};

/* Calls without a task; see call.c. */
struct an__calls {
	an__list *spare; /* by next alone */
	size_t spare_count;
	an__list soon, due, chunks;
};

/* See inspect.h. */
struct an__figures {
	size_t tasks_peak;
	uint64_t switches, turns;
	uint64_t lag[AN_LAG_BUCKETS];
	an_duration lag_max, busy;
	an_duration looked_at; /* when the turn began */
	bool lagging;	       /* the next turn's beginning tells how long it took */
};

/* Gives the memory of idle stacks back; see idle.c. */
struct an__idle {
	an__timer timer;
	uint64_t serial; /* the loop's, when the last round began */
	bool in_round;
};

struct an_loop {
	/* Scheduling. */
	struct an__ready_queue ready;
	an_task *current;   /* NULL: main_ctx runs */
	unsigned budget;    /* resumptions left in this turn */
	unsigned allowance; /* what it began with */
	/* Ended tasks with a stack of the default size, for the next to be spawned: their
	 * memory is still in the cache. Sanitizers want to see stacks come and go. */
	an_task *spare;
	unsigned spare_count, spare_max;
	an_task *dead; /* other ended tasks, to be freed on main_ctx */
	bool stepping; /* every step goes back to main_ctx, which looks at it */
	an_duration turn_began;
	an__ctx main_ctx;
	void *main_fake_stack;
	const void *main_low; /* of the thread's own stack, for AddressSanitizer */
	size_t main_size;
	bool main_known;

	/* Time. */
	an_duration now;
	an__wheel timers;
	struct an__calls calls;

	/* Tasks. */
	an__list tasks;
	size_t task_count; /* not yet done */
	uint64_t task_serial;
	an_task *main_task;
	an__stack_pool *stacks;
	struct an__idle idle;
	an_task *finishing; /* whose end is being told to callbacks, on its stack */
	bool ending;	    /* tasks that are spawned now begin cancelled */
	bool given_up;	    /* none can be spawned, and none is freed before the loop */
	/* run.c: of a loop whose base is its own */
	bool running, stopping;
	an__timer patience; /* while it ends: says what it waits for */

	/* libevent. */
	struct event_base *base;
	bool attached; /* the base is the caller's, who dispatches it */
	bool in_turn;
	struct event tick;	 /* tick.c: the nearest deadline; attached: work, too */
	int tick_fd;		 /* a timerfd; -1 with a virtual clock */
	an_duration tick_at;	 /* what it is armed for, or one of AN__TICK_... */
	struct event post_event; /* the eventfd is readable */
	bool handles_interrupt;	 /* SIGINT */
	int own_events; /* how many of the base's events are the loop's own */

	/* Other threads. */
	int post_fd;
	_Atomic(an__post_node *) posts; /* newest first */
	an__post_node *taken;		/* oldest first: those that are being run */
	atomic_uint senders;		/* that are in an__loop_post() */
	atomic_bool closed;		/* an_post() is refused */
	size_t holds;
	int expecting;

	/* Of tests. */
	/* Stepping: called on main_ctx after each step, with the argument; or NULL. */
	void (*step_hook)(void *arg);
	void *step_hook_arg;
	struct an__order order;
	an__waiters settling; /* woken when a virtual clock would have to jump next */

	an__list turn_hooks;
	struct an__local locals[AN__LOCAL_COUNT];
	struct an__figures figures;
	volatile bool dumping; /* a handler may come between */
	size_t dump_place;     /* in dump-signal.c's table, from 1; 0: none */
	an_loop_opts opts;
};

extern __thread an_loop *an__current_loop __attribute__((tls_model("initial-exec")));

/* loop.c */
int an__loop_new(struct event_base *base, const an_loop_opts *opts, an_loop **ret);
void an__loop_turn(an_loop *loop); /* on main_ctx: runs what is due and ready */
void an__loop_poll(an_loop *loop); /* on main_ctx: looks for events, waits for them */
void an__loop_free(an_loop *loop); /* all tasks have ended */
bool an__loop_stuck(an_loop *loop); /* it can be told that nothing wakes a task */

/* order.c: of a loop with a seed */
void an__order_init(an_loop *loop);
void an__order_done(an_loop *loop);
an_task *an__order_take(an_loop *loop); /* off the ready queue; NULL: none is ready */

/* inspect.c */
void an__count_lag(an_loop *loop, an_duration lag);

/* dump-signal.c */
int an__dump_signal_enter(an_loop *loop); /* when the loop is the thread's */
void an__dump_signal_leave(an_loop *loop);
void an__dump_signal_forked(void); /* in the child */

/* debug.c */
void an__debug_init(an_loop *loop); /* the options of debug mode */
/* One step of `task` by enter(), timed and, if it was slow, reported. */
void an__debug_step(an_loop *loop, an_task *task, void (*enter)(an_loop *, an_task *));
/* In debug mode alone: says what each task waits for. */
void an__debug_stuck(an_loop *loop);
/* In debug mode alone: ends the program. Scopes are open that must not be, inside the one
 * that is ended, or (NULL) at the task's end. */
void an__debug_scopes(const an_task *task, const struct an__scope *ended);

/* tick.c */
#define AN__TICK_OFF AN_FOREVER
#define AN__TICK_ACTIVE INT64_MIN     /* in libevent's hands, without the timerfd */
#define AN__TICK_SOON (INT64_MIN + 1) /* the timerfd fires at once */
int an__tick_init(an_loop *loop);
void an__tick_done(an_loop *loop);
void an__tick_arm(an_loop *loop);	   /* for the nearest deadline */
void an__tick_activate(an_loop *loop);	   /* attached: has a turn run soon */
an__timer *an__first_timer(an_loop *loop); /* or NULL */

/* idle.c */
#define AN__SPARES_KEPT 32 /* spare tasks that stay however idle they are */
int an__idle_init(an_loop *loop);
void an__idle_watch(an_loop *loop); /* more than these are spare, or stacks are warm */
void an__idle_done(an_loop *loop);

/* interrupt.c */
bool an__interrupt_pending(const an_loop *loop); /* came, and was not looked at */
void an__interrupt_look(an_loop *loop);		 /* cancels the main task if so */
void an__interrupt_forked(void);		 /* in the child */

/* overflow.c */
void an__overflow_forked(void);

/* fork.c */
void an__fork_init(void);    /* by every loop that is made */
bool an__fork_pending(void); /* this is a child that has not given the loop up */

/* post.c */
int an__post_init(an_loop *loop);
void an__post_done(an_loop *loop);
void an__post_run(an_loop *loop);

/* call.c */
void an__calls_init(an_loop *loop);
void an__calls_run(an_loop *loop);  /* on main_ctx: makes those that are due */
size_t an__calls_pending(const an_loop *loop); /* the wheel holds, but are no timers */
void an__calls_done(an_loop *loop); /* all tasks have ended */

/* task.c */
/* `site`: the address of the spawning call in the user's code. */
int an__task_new(an_loop *loop, an_task_fn fn, void *arg, const an_task_opts *opts,
		 const void *site, an_task **ret);
void an__task_start(an_task *task, bool eager); /* a new one */
void an__task_free(an_task *task);    /* keeps it for the next spawn if it can */
void an__task_release(an_task *task); /* with its stack; not from that */
void an__task_timer_fired(an__timer *timer);
void an__tasks_cancel_all(an_loop *loop);
void an__tasks_report_left(an_loop *loop, const char *what);
void an__tasks_give_up(an_loop *loop); /* those that can never end */
void an__tasks_free_left(an_loop *loop);
void an__tasks_free_spare(an_loop *loop);

/* local.c */
struct an__binding *an__locals_share(struct an__binding *newest);
void an__locals_drop(struct an__binding *newest);

/* wait.c */
static inline bool an__wait_cancellable(const an_task *task) /* of a parked task */
{
	const an__wait_special *special = task->waiter->special;

	return !special || !special->uncancellable;
}

void an__wait_cancel(an_task *task, int result);    /* of a parked, cancellable task */
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

static inline void an__waiters_push(an__waiters *q, an__waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	w->queue = q;
	if (q->last)
		q->last->next = w;
	else
		q->first = w;
	q->last = w;
}

static inline void an__waiters_remove(an__waiter *w)
{
	an__waiters *q = w->queue;

	if (w->prev)
		w->prev->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->queue = NULL;
}

static inline void an__ready_push(struct an__ready_queue *q, an_task *task)
{
	task->next_ready = NULL;
	*q->end = task;
	q->end = &task->next_ready;
}

/* The queue is not empty. */
static inline an_task *an__ready_pop(struct an__ready_queue *q)
{
	an_task *task = q->first;

	q->first = task->next_ready;
	if (!q->first)
		q->end = &q->first;
	return task;
}

static inline bool an__any_ready(const an_loop *loop)
{
	return loop->ready.first || loop->order.count;
}

/* Forgets them. */
static inline void an__ready_clear(an_loop *loop)
{
	loop->ready = (struct an__ready_queue){ NULL, &loop->ready.first };
	loop->order.count = 0;
}

/* To the tail of the ready queue. */
static inline void an__ready(an_task *task)
{
	task->state = AN__TASK_READY;
	an__ready_push(&task->loop->ready, task);
	an__wake_attached(task->loop);
}

static inline void an__ready_first(an_task *task)
{
	struct an__ready_queue *q = &task->loop->ready;

	task->next_ready = q->first;
	if (!q->first)
		q->end = &task->next_ready;
	q->first = task;
}

static inline size_t an__stack_size(const an__stack *s)
{
	return (size_t)(s->top - s->low);
}

/* The task lies above its stack's usable part. */
static inline an_task *an__task_on(const an__stack *s)
{
	return (an_task *)(void *)(s->top - ((sizeof(an_task) + 63) & ~(size_t)63));
}

/* Whether `task`, which lived at some time, is one of the loop's now. Safe to ask of one
 * whose memory is gone. */
bool an__task_lives(const an_loop *loop, const an_task *task);

/* A task that has ended never comes back to its fake stack. */
static inline void **an__fake_stack_of(an_task *task)
{
	return task->state >= AN__TASK_DONE ? NULL : &task->fake_stack;
}

/* Takes the next ready task, or NULL: none is, or the turn is over. */
static inline an_task *an__next_ready(an_loop *loop)
{
	if (!loop->ready.first || !loop->budget)
		return NULL;
	loop->budget--;
	return an__ready_pop(&loop->ready);
}

/* To `next`, or to main_ctx when that is NULL. */
static inline __attribute__((always_inline)) void an__switch_to(an_loop *loop,
								an_task *self,
								an_task *next)
{
	loop->current = next;
	if (next)
		an__stack_switch_begin(an__fake_stack_of(self), next->stack->low,
				       an__stack_size(next->stack));
	else
		an__stack_switch_begin(an__fake_stack_of(self), loop->main_low,
				       loop->main_size);
	an__ctx_switch(&self->ctx, next ? &next->ctx : &loop->main_ctx);
	an__stack_switch_end(self->fake_stack, NULL, NULL);
}

/* From the current task, which is parked, ready or done, to whatever is next. Inlined
 * into the few that suspend. */
static inline __attribute__((always_inline)) void an__switch_away(an_loop *loop,
								  an_task *self)
{
	an_task *next = an__next_ready(loop);

	if (next != self)
		an__switch_to(loop, self, next);
}

static inline void an__limit_update(an_task *task)
{
	task->limit = task->scope->seen ? INT64_MIN : task->scope->deadline;
}

/* Whether the innermost scope is cancelled, its deadline counted. */
static inline bool an__scope_cancelled(an_task *task)
{
	if (__builtin_expect(task->limit > task->loop->now, 1))
		return false;
	if (task->scope->deadline <= task->loop->now)
		an__scope_expire(task, task->loop->now);
	return task->scope->seen;
}

/* an__wait_check() for the files of this folder, inlined. */
static inline int an__check_current(void)
{
	an_loop *loop = an__current_loop;

	if (__builtin_expect(!loop || !loop->current, 0))
		return AN_ERR_NO_TASK;
	if (__builtin_expect(loop->current->limit > loop->now, 1))
		return 0;
	return an__scope_cancelled(loop->current) ? -ECANCELED : 0;
}

/* group.c */
void an__group_child_done(an_task *child);

#endif
