/* The semaphore. L2: written on wait.h and quick.h.
 *
 * Waiters: tasks in an_semaphore_acquire(), woken by the release whose permit they get.
 * Invariant: nobody waits while a permit is free.
 */
#include "config.h"

#include "loop/core/quick.h"

#include <asyncnet/sync.h>

#include <errno.h>

static const an__wait_kind for_permit = { .what = "a permit" };

void an_semaphore_init(an_semaphore *s, size_t value, size_t bound)
{
	*s = (an_semaphore)AN_SEMAPHORE_INIT(value, bound);
}

int an_semaphore_acquire(an_semaphore *s)
{
	an_task *self = an__quick_check();

	if (!self)
		return an__wait_check();
	if (s->value) {
		s->value--;
		return 0;
	}
	return an__quick_wait(self, &s->waiters, NULL, &for_permit);
}

int an_semaphore_tryacquire(an_semaphore *s)
{
	if (!s->value)
		return -EAGAIN;
	s->value--;
	return 0;
}

int an_semaphore_release(an_semaphore *s)
{
	an__waiter *w = an__waiters_first(&s->waiters);

	if (w) {
		an__quick_wake(w, 0);
		return 0;
	}
	if (s->value == SIZE_MAX || (s->bound && s->value >= s->bound))
		return -EOVERFLOW;
	s->value++;
	return 0;
}

size_t an_semaphore_value(const an_semaphore *s)
{
	return s->value;
}
