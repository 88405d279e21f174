/* The read-write lock. L2: written on wait.h.
 *
 * Waiters: readers and writers in the order they came, woken by whoever makes it possible
 * for the first to come in: the last reader's or the writer's unlock, and the end of a
 * writer's wait by cancellation, which the readers behind it were waiting for.
 * Invariants: `writer` excludes `readers`; the first who waits could not come in now, and
 * nobody comes in before it.
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/quick.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

#include <errno.h>

struct entrant {
	an__waiter waiter;
	an_rwlock *lock;
	bool writes;
};

/* Which of the readers hold it is not known. */
static an_task *writer(const an__waiter *w)
{
	return an__container(w, struct entrant, waiter)->lock->writer;
}

static const an__wait_kind for_reading = { "a lock, to read", writer };
static const an__wait_kind for_writing = { "a lock, to write", writer };

void an_rwlock_init(an_rwlock *l)
{
	*l = (an_rwlock)AN_RWLOCK_INIT;
}

/* ---- coming in --------------------------------------------------------------------- */

static bool open_to(const an_rwlock *l, bool writes)
{
	return !l->writer && !(writes && l->readers);
}

static void let_in(an_rwlock *l, an_task *task, bool writes)
{
	if (writes) {
		l->writer = task;
		task->locks++;
	} else {
		l->readers++;
	}
}

/* All that can come in together now: one writer, or the readers up to the next. */
static void let_in_first(an_rwlock *l)
{
	an__waiter *w;

	while ((w = an__waiters_first(&l->waiters))) {
		bool writes = an__container(w, struct entrant, waiter)->writes;

		if (!open_to(l, writes))
			return;
		let_in(l, w->task, writes);
		an__wake(w, 0);
	}
}

static void gave_up(an__waiter *w)
{
	let_in_first(an__container(w, struct entrant, waiter)->lock);
}

static int enter(an_rwlock *l, bool writes)
{
	struct entrant e = { .lock = l, .writes = writes };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (l->writer && l->writer == an__quick_current())
		return -EDEADLK;
	if (open_to(l, writes) && an__waiters_empty(&l->waiters)) {
		let_in(l, an__quick_current(), writes);
		return 0;
	}
	return an__wait_with(&e.waiter, &l->waiters, AN_FOREVER, gave_up,
			     writes ? &for_writing : &for_reading);
}

static int try_to_enter(an_rwlock *l, bool writes)
{
	an_task *task = an__quick_current();

	if (!task)
		return AN_ERR_NO_TASK;
	if (!open_to(l, writes) || !an__waiters_empty(&l->waiters))
		return -EBUSY;
	let_in(l, task, writes);
	return 0;
}

int an_rwlock_read(an_rwlock *l)
{
	return enter(l, false);
}

int an_rwlock_write(an_rwlock *l)
{
	return enter(l, true);
}

int an_rwlock_tryread(an_rwlock *l)
{
	return try_to_enter(l, false);
}

int an_rwlock_trywrite(an_rwlock *l)
{
	return try_to_enter(l, true);
}

/* ---- going out --------------------------------------------------------------------- */

int an_rwlock_unlock(an_rwlock *l)
{
	if (l->writer) {
		if (l->writer != an__quick_current())
			return -EPERM;
		l->writer->locks--;
		l->writer = NULL;
	} else {
		if (!l->readers)
			return -EPERM;
		l->readers--;
	}
	let_in_first(l);
	return 0;
}
