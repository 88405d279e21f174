/* The synchronisation primitives, for tasks of one loop.
 *
 * All are strictly first come, first served; each lies in the caller's memory; a zeroed
 * struct of a mutex, event or condition is ready for use. What one task releases is
 * handed to the first waiter before anyone else can take it, and a hand-over that
 * happened is kept even when the waiter is cancelled in the same turn: it returns 0 and
 * sees the cancellation at its next suspending call. asyncio reports the cancellation
 * instead and gives the grant back; the end state is the same, but nothing can get lost
 * on the way.
 *
 * None may be freed or moved while a task waits on it.
 */
#ifndef ASYNCNET_SYNC_H
#define ASYNCNET_SYNC_H

#include <asyncnet/api.h>
#include <asyncnet/task.h>

AN_BEGIN_DECLS

/* ---- mutex ------------------------------------------------------------------------- */

/* At most one task holds it. Fields are private. */
typedef struct an_mutex {
	an__waiters waiters;
	an_task *owner;
} an_mutex;

/* An unlocked mutex, as a constant and at run time. Never suspends; holds nothing that
 * must be given back, here and in all types below but an_queue. */
#define AN_MUTEX_INIT { { 0, 0 }, 0 }
AN_API void an_mutex_init(an_mutex *m);

/* Takes the mutex, waiting for its turn. Suspends when it is held.
 * Returns 0; -ECANCELED; -EDEADLK when the caller holds it already. */
AN_API AN_SUSPENDS int an_mutex_lock(an_mutex *m);

/* Takes it if that needs no waiting. Returns 0; -EBUSY; AN_ERR_NO_TASK outside a task,
 * where nobody would hold it. Never suspends. */
AN_API int an_mutex_trylock(an_mutex *m);

/* Gives it to the first waiter, or frees it. Never suspends.
 * Returns 0; -EPERM when the caller does not hold it. */
AN_API int an_mutex_unlock(an_mutex *m);

/* Whether some task holds it. */
AN_API bool an_mutex_locked(const an_mutex *m);

/* ---- semaphore --------------------------------------------------------------------- */

/* A number of permits. Fields are private. */
typedef struct an_semaphore {
	an__waiters waiters;
	size_t value, bound;
} an_semaphore;

/* `value` permits are free at first; a release that would make more than `bound` of them
 * free is an error. bound 0: no bound. */
#define AN_SEMAPHORE_INIT(value, bound) { { 0, 0 }, (value), (bound) }
AN_API void an_semaphore_init(an_semaphore *s, size_t value, size_t bound);

/* Takes one permit, waiting for its turn. Returns 0; -ECANCELED. Suspends when none is
 * free or others wait. */
AN_API AN_SUSPENDS int an_semaphore_acquire(an_semaphore *s);

/* Takes one if that needs no waiting. Returns 0; -EAGAIN. Never suspends. */
AN_API int an_semaphore_tryacquire(an_semaphore *s);

/* Gives one permit to the first waiter, or back. May be called by any task or by a
 * callback of the loop. Never suspends. Returns 0; -EOVERFLOW above the bound. */
AN_API int an_semaphore_release(an_semaphore *s);

/* How many permits are free. */
AN_API size_t an_semaphore_value(const an_semaphore *s);

/* ---- event ------------------------------------------------------------------------- */

/* A flag that tasks wait for. Fields are private. */
typedef struct an_event {
	an__waiters waiters;
	bool set;
} an_event;

/* An event that is not set. */
#define AN_EVENT_INIT { { 0, 0 }, false }
AN_API void an_event_init(an_event *e);

/* Waits until the event is set. Returns 0; -ECANCELED. Suspends unless it is set. */
AN_API AN_SUSPENDS int an_event_wait(an_event *e);

/* Sets it and wakes all that wait now, even if it is cleared again in the same turn.
 * Never suspends. */
AN_API void an_event_set(an_event *e);

/* Waits begin to park again. Never suspends. */
AN_API void an_event_clear(an_event *e);

/* Whether it is set. */
AN_API bool an_event_is_set(const an_event *e);

/* ---- condition --------------------------------------------------------------------- */

/* Waiting for a state that a mutex guards. Fields are private. */
typedef struct an_condition {
	an__waiters waiters;
} an_condition;

/* A condition that nobody waits for. */
#define AN_CONDITION_INIT { { 0, 0 } }
AN_API void an_condition_init(an_condition *c);

/* Unlocks `m`, waits to be notified, locks `m` again. Suspends. The mutex is held on
 * return in every case but -EPERM; taking it again is not cancellable.
 * Returns 0; -ECANCELED when cancelled before a notification; -EPERM when the caller does
 * not hold `m`. */
AN_API AN_SUSPENDS int an_condition_wait(an_condition *c, an_mutex *m);

/* Waits until predicate(arg) is true, which is called with the mutex held. Returns as
 * above. */
AN_API AN_SUSPENDS int an_condition_wait_for(an_condition *c, an_mutex *m,
					     bool (*predicate)(void *arg), void *arg);

/* Wakes the first `n` waiters. Never suspends. Returns how many were woken. */
AN_API size_t an_condition_notify(an_condition *c, size_t n);

/* Wakes all that wait now. Never suspends. Returns how many were woken. */
AN_API size_t an_condition_notify_all(an_condition *c);

/* ---- barrier ----------------------------------------------------------------------- */

/* Lets tasks through when enough of them have come, again and again. Fields are
 * private. */
typedef struct an_barrier {
	an__waiters waiters; /* arrived, waiting for the rest */
	size_t parties, arrived;
	bool broken;
} an_barrier;

/* `parties`: how many tasks must arrive; 0 counts as 1. */
#define AN_BARRIER_INIT(parties) { { 0, 0 }, (parties), 0, false }
AN_API void an_barrier_init(an_barrier *b, size_t parties);

/* Waits until `parties` tasks have arrived. Suspends. *ret_index (may be NULL) is unique
 * among them, 0 to parties - 1. A waiter that is cancelled while the barrier fills leaves
 * it; the rest wait on.
 * Returns 0; -ECANCELED; AN_ERR_BROKEN after an abort, or for those whom a reset woke. */
AN_API AN_SUSPENDS int an_barrier_wait(an_barrier *b, size_t *ret_index);

/* Breaks the barrier: all that wait and all that come get AN_ERR_BROKEN until a reset. */
AN_API void an_barrier_abort(an_barrier *b);

/* Those who wait get AN_ERR_BROKEN; the barrier is empty and whole again. */
AN_API void an_barrier_reset(an_barrier *b);

/* Whether it has been aborted and not been reset since. */
AN_API bool an_barrier_broken(const an_barrier *b);

/* ---- queue ------------------------------------------------------------------------- */

/* As a capacity: no limit. */
#define AN_QUEUE_UNBOUNDED SIZE_MAX

/* A queue of pointers. Fields are private. */
typedef struct an_queue {
	an__waiters getters, putters, joiners;
	void **ring;
	size_t room, head, count; /* the ring: allocated, first, used */
	size_t capacity, unfinished;
	bool closed;
} an_queue;

/* Makes an empty queue. `capacity`: how many may lie in it; 0 hands each item from putter
 * to getter directly (a rendezvous); AN_QUEUE_UNBOUNDED has no limit. Never suspends;
 * memory is taken as the queue fills. */
AN_API void an_queue_init(an_queue *q, size_t capacity);

/* Frees the queue's memory. The items in it are not touched: take them out first. No task
 * may be waiting. */
AN_API void an_queue_done(an_queue *q);

/* Puts an item, waiting for room. Returns 0; -ECANCELED (it was not put); AN_ERR_CLOSED;
 * -ENOMEM. */
AN_API AN_SUSPENDS int an_queue_put(an_queue *q, void *item);

/* Puts it if that needs no waiting. Returns 0; -EAGAIN; AN_ERR_CLOSED; -ENOMEM. Never
 * suspends. */
AN_API int an_queue_tryput(an_queue *q, void *item);

/* Takes the oldest item, waiting for one. A closed queue is drained first.
 * Returns 0; -ECANCELED (nothing was taken); AN_ERR_CLOSED when closed and empty. */
AN_API AN_SUSPENDS int an_queue_get(an_queue *q, void **ret_item);

/* Takes one if that needs no waiting. Returns 0; -EAGAIN; AN_ERR_CLOSED. Never
 * suspends. */
AN_API int an_queue_tryget(an_queue *q, void **ret_item);

/* Closes it: puts fail with AN_ERR_CLOSED, waiting putters too; gets drain what is
 * there. */
AN_API void an_queue_close(an_queue *q);

/* One item that was taken has been dealt with. Returns 0; AN_ERR_MISUSE when called more
 * often than items were put. Never suspends. */
AN_API int an_queue_task_done(an_queue *q);

/* Waits until every item that was put has been dealt with. Returns 0; -ECANCELED. */
AN_API AN_SUSPENDS int an_queue_join(an_queue *q);

/* How many items lie in it. */
AN_API size_t an_queue_count(const an_queue *q);

AN_END_DECLS

#endif
