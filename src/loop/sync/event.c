/* The event. L2: written on wait.h and quick.h.
 *
 * Waiters: tasks in an_event_wait(), all woken by a set, which clearing in the same turn
 * does not take back.
 */
#include "config.h"

#include "loop/core/quick.h"

#include <asyncnet/sync.h>

static const an__wait_kind for_event = { .what = "an event" };

void an_event_init(an_event *e)
{
	*e = (an_event)AN_EVENT_INIT;
}

int an_event_wait(an_event *e)
{
	an_task *self = an__quick_check();

	if (!self)
		return an__wait_check();
	return e->set ? 0 : an__quick_wait(self, &e->waiters, NULL, &for_event);
}

void an_event_set(an_event *e)
{
	e->set = true;
	an__wake_all(&e->waiters, 0);
}

void an_event_clear(an_event *e)
{
	e->set = false;
}

bool an_event_is_set(const an_event *e)
{
	return e->set;
}
