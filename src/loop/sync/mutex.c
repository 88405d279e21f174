/* The mutex. L2: written on wait.h, where it counts on quick.h.
 *
 * Waiters: tasks in an_mutex_lock(), woken by the unlock that makes them the owner.
 * Invariant: nobody waits while there is no owner.
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/quick.h"
#include "loop/sync/mutex.h"

#include <asyncnet/error.h>

#include <errno.h>

static an_task *owner(const an__waiter *w)
{
	an__waiters *queue = w->queue;

	return queue ? an__container(queue, an_mutex, waiters)->owner : NULL;
}

static const an__wait_kind for_mutex = { "a mutex", owner };

static inline void own(an_mutex *m, an_task *task)
{
	m->owner = task;
	task->locks++;
}

void an_mutex_init(an_mutex *m)
{
	*m = (an_mutex)AN_MUTEX_INIT;
}

int an_mutex_lock(an_mutex *m)
{
	an_task *self = an__quick_check();

	if (!self)
		return an__wait_check();
	if (!m->owner) {
		own(m, self);
		return 0;
	}
	if (m->owner == self)
		return -EDEADLK;
	return an__quick_wait(self, &m->waiters, NULL, &for_mutex);
}

void an__mutex_lock_uncancellable(an_mutex *m)
{
	an__waiter w;

	if (!m->owner)
		own(m, an__quick_current());
	else
		an_ignore(an__wait_uncancellable(&w, &m->waiters, &for_mutex));
}

int an_mutex_trylock(an_mutex *m)
{
	an_task *task = an__quick_current();

	if (!task)
		return AN_ERR_NO_TASK;
	if (m->owner)
		return -EBUSY;
	own(m, task);
	return 0;
}

int an_mutex_unlock(an_mutex *m)
{
	an__waiter *w = an__waiters_first(&m->waiters);

	if (!m->owner || m->owner != an__quick_current())
		return -EPERM;
	m->owner->locks--;
	if (w) {
		own(m, w->task);
		an__quick_wake(w, 0);
	} else {
		m->owner = NULL;
	}
	return 0;
}

bool an_mutex_locked(const an_mutex *m)
{
	return m->owner;
}
