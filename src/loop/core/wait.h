/* THE suspend/wake/cancel primitive. L1. Everything that waits is written on this header.
 *
 * A task that must wait puts a waiter, which lies on its own stack, on the queue of the
 * thing that it waits for, and parks:
 *
 *	an__waiter w = { .item = ret_item };
 *	r = an__wait(&w, &q->getters, &an_item); parks; 0: granted, else -ECANCELED
 *
 * Whoever has something to give takes the first waiter and grants it:
 *
 *	*(void **)w->item = item;
 *	an__wake(w, 0);                          off the queue, task ready, result 0
 *
 * A cancellation takes the waiter off its queue at once, so it cannot be granted any
 * more; a grant takes it off, too, so it cannot be cancelled any more. One of the two
 * happens, never both: "grant beats cancel" without a line of code in the primitives. The
 * memory of a waiter is valid until its task runs again, which is never before the waker
 * returned.
 *
 * A waiter's life:
 *
 *	idle --an__wait--> parked --an__wake--> woken    result: the waker's
 *	                   parked --cancel----> woken    result: -ECANCELED
 *	                   parked --deadline--> woken    result: -ETIMEDOUT
 */
#ifndef AN_LOOP_CORE_WAIT_H
#define AN_LOOP_CORE_WAIT_H

#include <asyncnet/task.h>
#include <limits.h>

struct an__waiter;

/* What a waiter waits for, for those who look at a program that hangs. Static. */
typedef struct an__wait_kind {
	const char *what; /* "a mutex" */
	/* The task on whose doing it depends, or NULL where that cannot be said. May be
	 * called from a signal handler, also while the waiter is taken off its queue. */
	an_task *(*whom)(const struct an__waiter *w);
} an__wait_kind;

/* What few waits need. */
typedef struct an__wait_special {
	an_duration deadline; /* of this wait alone; AN_FOREVER: none */
	/* Called, on the canceller's stack, when a cancellation or the deadline ended the
	 * wait and before the task runs; must not suspend. NULL: nothing to do. */
	void (*cancelled)(struct an__waiter *w);
	struct an__waiter *sibling; /* a ring of those of an__wait_many(), else NULL */
	bool uncancellable;
} an__wait_special;

typedef struct an__waiter {
	struct an__waiter *next, *prev;
	an__waiters *queue; /* the queue it is on; NULL: none */
	an_task *task;
	const an__wait_kind *kind;
	const an__wait_special *special; /* NULL: nothing */
	void *item; /* for those who hand something over; kept as it is */
	int result; /* AN__PARKED: neither woken nor cancelled yet */
} an__waiter;

/* No code of anybody's. */
#define AN__PARKED INT_MIN

/* What every suspending function begins with: 0, -ECANCELED in a cancelled scope,
 * AN_ERR_NO_TASK outside a task. */
int an__wait_check(void);

/* Parks the current task at the tail of `queue`, or on none when that is NULL (the waker
 * then knows the waiter). Checks first, as above. All fields of *w are set here;
 * `cancelled` is kept NULL: use an__wait_with() for it. Returns the waker's result;
 * -ECANCELED; AN_ERR_NO_TASK. */
int an__wait(an__waiter *w, an__waiters *queue, const an__wait_kind *kind);

/* The same without looking at the scopes: for who has called an__wait_check() and has not
 * suspended since. */
int an__wait_checked(an__waiter *w, an__waiters *queue, const an__wait_kind *kind);

/* As an__wait(), ending with -ETIMEDOUT at a point on the loop's clock. */
int an__wait_until(an__waiter *w, an__waiters *queue, an_duration deadline,
		   const an__wait_kind *kind);

/* The same with a hook for the end by cancellation or deadline. */
int an__wait_with(an__waiter *w, an__waiters *queue, an_duration deadline,
		  void (*cancelled)(an__waiter *w), const an__wait_kind *kind);

/* Parks for as long as it takes: for waits whose end must be seen, such as a group's. */
int an__wait_uncancellable(an__waiter *w, an__waiters *queue, const an__wait_kind *kind);

/* Parks on several things at once. Each ws[i] has its `queue` set (or NULL); whoever is
 * woken first takes the others off their queues in the same moment, so that only one is
 * ever granted anything. ws[0] to ws[count - 1]; at least one.
 * Returns the index of the one that was woken, whose `result` is the waker's; -ECANCELED;
 * -ETIMEDOUT; AN_ERR_NO_TASK. */
int an__wait_many(an__waiter *const *ws, size_t count, an_duration deadline,
		  const an__wait_kind *kind);

/* Ends the wait with `result` and makes the task ready, behind those that are ready
 * already.
 * Returns false, and does nothing, when the waiter was woken or cancelled before. Only on
 * the loop's own thread, from a task or a callback. */
bool an__wake(an__waiter *w, int result);

/* The oldest waiter, or NULL. */
static inline an__waiter *an__waiters_first(const an__waiters *q)
{
	return q->first;
}

static inline bool an__waiters_empty(const an__waiters *q)
{
	return !q->first;
}

/* Wakes all that are there now. Returns how many. */
size_t an__wake_all(an__waiters *q, int result);

#endif
