/* The barrier. L2: written on wait.h alone.
 *
 * Waiters: the tasks that arrived in this generation, all woken by the last one, by an
 * abort or by a reset. The generation ends in that moment, so a task that comes round
 * again at once belongs to the next one.
 */
#include "config.h"

#include "loop/base/list.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <asyncnet/sync.h>

static const an__wait_kind for_parties = { .what = "a barrier" };

struct arrival {
	an__waiter waiter;
	an_barrier *barrier;
	size_t index;
};

void an_barrier_init(an_barrier *b, size_t parties)
{
	*b = (an_barrier)AN_BARRIER_INIT(parties);
}

static void left(an__waiter *w)
{
	an__container(w, struct arrival, waiter)->barrier->arrived--;
}

static void release_generation(an_barrier *b)
{
	size_t index = 0;
	an__waiter *w;

	while ((w = an__waiters_first(&b->waiters))) {
		an__container(w, struct arrival, waiter)->index = index++;
		an__wake(w, 0);
	}
	b->arrived = 0;
}

int an_barrier_wait(an_barrier *b, size_t *ret_index)
{
	struct arrival a = { .barrier = b };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (b->broken)
		return AN_ERR_BROKEN;
	if (b->arrived + 1 >= b->parties) {
		a.index = b->arrived;
		release_generation(b);
	} else {
		b->arrived++;
		r = an__wait_with(&a.waiter, &b->waiters, AN_FOREVER, left, &for_parties);
	}
	if (r == 0 && ret_index)
		*ret_index = a.index;
	return r;
}

void an_barrier_abort(an_barrier *b)
{
	b->broken = true;
	b->arrived = 0;
	an__wake_all(&b->waiters, AN_ERR_BROKEN);
}

void an_barrier_reset(an_barrier *b)
{
	b->broken = false;
	b->arrived = 0;
	an__wake_all(&b->waiters, AN_ERR_BROKEN);
}

bool an_barrier_broken(const an_barrier *b)
{
	return b->broken;
}
