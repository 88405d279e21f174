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

/* At most one task holds it. A task that ends while it holds one, or an an_rwlock to
 * write, is reported through trace.h: nobody else can unlock it. Fields are private. */
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
 * free is an error. bound 0: no bound but SIZE_MAX. A `value` above the bound can only go
 * down. */
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

/* ---- read-write lock --------------------------------------------------------------- */

/* Held by one writer or by any number of readers. Strictly first come, first served: a
 * reader that comes behind a waiting writer waits, so neither side starves. Readers that
 * wait side by side get in together. Fields are private. */
typedef struct an_rwlock {
	an__waiters waiters; /* readers and writers in the order they came */
	an_task *writer;
	size_t readers;
} an_rwlock;

/* One that nobody holds. */
#define AN_RWLOCK_INIT { { 0, 0 }, 0, 0 }
AN_API void an_rwlock_init(an_rwlock *l);

/* Takes it for reading, waiting for its turn. A task may hold it for reading more than
 * once, but must not ask again while a writer may be waiting, nor ask to write: it would
 * wait for itself, for ever.
 * Returns 0; -ECANCELED; -EDEADLK when the caller holds it for writing. */
AN_API AN_SUSPENDS int an_rwlock_read(an_rwlock *l);

/* Takes it for writing, waiting for its turn. When such a wait is cancelled, the readers
 * behind it come in if they can. Returns 0; -ECANCELED; -EDEADLK when the caller holds it
 * for writing. */
AN_API AN_SUSPENDS int an_rwlock_write(an_rwlock *l);

/* The same if that needs no waiting. Return 0; -EBUSY; AN_ERR_NO_TASK. Never suspend. */
AN_API int an_rwlock_tryread(an_rwlock *l);
AN_API int an_rwlock_trywrite(an_rwlock *l);

/* Gives up what the caller holds and lets in whoever is first. Never suspends. Returns 0;
 * -EPERM when nobody holds it, or a writer that is not the caller. */
AN_API int an_rwlock_unlock(an_rwlock *l);

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

/* Wakes the first `n` waiters. The mutex need not be held. Never suspends. Returns how
 * many were woken. */
AN_API size_t an_condition_notify(an_condition *c, size_t n);

/* Wakes all that wait now. Never suspends. Returns how many were woken. */
AN_API size_t an_condition_notify_all(an_condition *c);

/* ---- barrier ----------------------------------------------------------------------- */

/* Lets tasks through when enough of them have come, again and again.
 *
 * A round ends in the moment in which the last one comes: those of the round are through,
 * whatever happens before they run, and who comes next belongs to the next round. asyncio
 * has newcomers wait until all have left, and an abort until then break those, too.
 * Fields are private. */
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

/* As a capacity: no limit, which asyncio writes as maxsize=0. Here 0 is a rendezvous. */
#define AN_QUEUE_UNBOUNDED SIZE_MAX

/* In which order items come out. Waiting getters and putters are served first come, first
 * served in any case. */
typedef enum an_queue_order {
	AN_QUEUE_FIFO, /* the oldest first */
	AN_QUEUE_LIFO, /* the newest first */
	AN_QUEUE_PRIORITY, /* the least first by `compare`; of equal ones the oldest */
} an_queue_order;

/* Of an_queue_init_with(). */
typedef struct an_queue_opts {
	size_t capacity; /* as of an_queue_init() */
	an_queue_order order;
	/* For AN_QUEUE_PRIORITY: less than, equal to, or greater than 0, as qsort()'s, on
	 * the items themselves. Must not suspend nor use the queue. */
	int (*compare)(const void *a, const void *b);
} an_queue_opts;

/* Where the items lie; private. A priority queue has them in a heap, the others in a
 * ring. */
struct an__store {
	union {
		void **ring;
		struct an__store_entry *heap;
	};
	size_t room; /* allocated: 0 or a power of two */
	size_t head; /* of the ring: the oldest; grows, and is taken modulo the room */
	size_t count;
};

/* A queue of pointers. Fields are private. */
typedef struct an_queue {
	an__waiters getters, putters, joiners;
	struct an__store store;
	size_t open; /* how many the store takes at once; 0: look closer */
	size_t capacity, unfinished;
	int (*compare)(const void *a, const void *b);
	uint64_t serial; /* keeps equal priorities in order */
	an_queue_order order;
	bool closed;
} an_queue;

/* Makes an empty queue. `capacity`: how many may lie in it; 0 hands each item from putter
 * to getter directly (a rendezvous); AN_QUEUE_UNBOUNDED has no limit. Never suspends;
 * memory is taken as the queue fills. */
AN_API void an_queue_init(an_queue *q, size_t capacity);

/* The same with an order. A capacity of 0 is a rendezvous in any order, and so is NULL
 * for `opts`. Never suspends.
 * Returns 0; -EINVAL for a priority queue without `compare`, or an unknown order: the
 * queue is untouched then. */
AN_API int an_queue_init_with(an_queue *q, const an_queue_opts *opts);

/* Frees the queue's memory. The items in it are not touched: take them out first. No task
 * may be waiting. */
AN_API void an_queue_done(an_queue *q);

/* Puts an item, waiting for room. Returns 0; -ECANCELED (it was not put); AN_ERR_CLOSED;
 * -ENOMEM. */
AN_API AN_SUSPENDS int an_queue_put(an_queue *q, void *item);

/* Puts it if that needs no waiting. Returns 0; -EAGAIN; AN_ERR_CLOSED; -ENOMEM. Never
 * suspends. */
AN_API int an_queue_tryput(an_queue *q, void *item);

/* Takes the first item, waiting for one. A closed queue is drained first.
 * Returns 0; -ECANCELED (nothing was taken); AN_ERR_CLOSED when closed and empty. */
AN_API AN_SUSPENDS int an_queue_get(an_queue *q, void **ret_item);

/* Takes one if that needs no waiting. Returns 0; -EAGAIN; AN_ERR_CLOSED. Never
 * suspends. */
AN_API int an_queue_tryget(an_queue *q, void **ret_item);

/* Closes it: puts fail with AN_ERR_CLOSED, waiting putters too; gets drain what is
 * there. */
AN_API void an_queue_close(an_queue *q);

/* Closes it and drops what is in it: the first item is given to `drop` (may be NULL) with
 * `arg`, then the next, and each counts as dealt with. Gets fail with AN_ERR_CLOSED at
 * once, and an_queue_join() waits only for items that had been taken. Never suspends;
 * neither must `drop`, nor use the queue. */
AN_API void an_queue_close_now(an_queue *q, void (*drop)(void *arg, void *item),
			       void *arg);

/* One item that was taken has been dealt with. Returns 0; AN_ERR_MISUSE when called more
 * often than items were put. Never suspends. */
AN_API int an_queue_task_done(an_queue *q);

/* Waits until every item that was put has been dealt with. Returns 0; -ECANCELED. */
AN_API AN_SUSPENDS int an_queue_join(an_queue *q);

/* How many items lie in it. */
AN_API size_t an_queue_count(const an_queue *q);

/* ---- thread queue ------------------------------------------------------------------ */

/* A bounded FIFO of pointers between threads: tasks of any loop suspend in it, and
 * threads without a loop block in it. Opaque; counted, since nobody can know who leaves
 * last.
 *
 * A task that waits in it waits for other threads, of which its loop knows nothing: such
 * a run is never stuck (AN_ERR_STUCK), and a virtual clock jumps to the next deadline,
 * if there is one, although some thread might have put an item before. Not for use after
 * a fork in the child. */
typedef struct an_thread_queue an_thread_queue;

/* Makes one. `capacity`: how many items may lie in it, at least 1; AN_QUEUE_UNBOUNDED has
 * no limit. The caller has the only reference. Never suspends. Returns 0; -ENOMEM;
 * -EINVAL for 0. */
AN_API int an_thread_queue_new(size_t capacity, an_thread_queue **ret);

/* Another reference, for another thread. Any thread. Never suspends. Returns q. */
AN_API an_thread_queue *an_thread_queue_ref(an_thread_queue *q);

/* Gives a reference back; the last one frees the queue, not the items in it: take them
 * out first. Accepts NULL. Returns NULL. Any thread. Never suspends. */
AN_API an_thread_queue *an_thread_queue_unref(an_thread_queue *q);

/* Puts an item, waiting for room: in a task it suspends, in a thread without a loop it
 * blocks, which pthread_cancel() does not end. First come, first served over all threads.
 * On a loop's thread outside a task it is AN_ERR_NO_TASK: use an_thread_queue_tryput().
 * Returns 0; -ECANCELED (it was not put; tasks alone); AN_ERR_CLOSED; -ENOMEM. */
AN_API AN_SUSPENDS int an_thread_queue_put(an_thread_queue *q, void *item);

/* Takes the oldest item, waiting for one, as above. A closed queue is drained first. An
 * item that was handed to a task is kept even when the task is cancelled meanwhile.
 * Returns 0; -ECANCELED (nothing was taken); AN_ERR_CLOSED when closed and empty. */
AN_API AN_SUSPENDS int an_thread_queue_get(an_thread_queue *q, void **ret_item);

/* The same if that needs no waiting, from any thread, in a task or not. Never suspend,
 * nor block but for the moment in which another thread moves an item. Return 0; -EAGAIN;
 * AN_ERR_CLOSED; -ENOMEM. */
AN_API int an_thread_queue_tryput(an_thread_queue *q, void *item);
AN_API int an_thread_queue_tryget(an_thread_queue *q, void **ret_item);

/* Closes it for puts: waiting ones fail with AN_ERR_CLOSED; gets drain what is there. Any
 * thread. Never suspends. */
AN_API void an_thread_queue_close(an_thread_queue *q);

AN_END_DECLS

#endif
