/* The condition. L2.
 *
 * Waiters: tasks in an_condition_wait(), woken by a notification, which they keep even
 * when they are cancelled before they run. The mutex is taken again without regard to
 * cancellation: the caller's code after the wait, including its unlock, relies on holding
 * it.
 */
#include "config.h"

#include "loop/core/wait.h"
#include "loop/sync/mutex.h"

#include <errno.h>

static const an__wait_kind for_notification = { .what = "a condition" };

void an_condition_init(an_condition *c)
{
	*c = (an_condition)AN_CONDITION_INIT;
}

int an_condition_wait(an_condition *c, an_mutex *m)
{
	an__waiter w;
	int r;

	if (!m->owner || m->owner != an_current())
		return -EPERM;
	r = an__wait_check();
	if (r < 0)
		return r;
	an_mutex_unlock(m);
	r = an__wait(&w, &c->waiters, &for_notification);
	an__mutex_lock_uncancellable(m);
	return r;
}

int an_condition_wait_for(an_condition *c, an_mutex *m, bool (*predicate)(void *arg),
			  void *arg)
{
	int r;

	if (!m->owner || m->owner != an_current())
		return -EPERM;
	r = an__wait_check();
	while (r == 0 && !predicate(arg))
		r = an_condition_wait(c, m);
	return r;
}

size_t an_condition_notify(an_condition *c, size_t n)
{
	size_t woken = 0;

	for (; woken < n && !an__waiters_empty(&c->waiters); woken++)
		an__wake(an__waiters_first(&c->waiters), 0);
	return woken;
}

size_t an_condition_notify_all(an_condition *c)
{
	return an__wake_all(&c->waiters, 0);
}
