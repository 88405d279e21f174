/* Blocking work that its task can leave behind: see errand.h. L3. */
#include "config.h"

#include <asyncnet/offload.h>

#include "loop/io/errand.h"

/* The result stays in the record: what is returned must say whose that is. */
static int run(void *arg)
{
	an__errand *e = arg;

	e->result = e->fn(e);
	e->done = true;
	return 0;
}

static void abandon(void *arg)
{
	an__errand *e = arg;

	if (e->done && e->result == 0 && e->undo)
		e->undo(e);
	an__errand_drop(e);
}

void an__errand_drop(an__errand *e)
{
	if (atomic_fetch_sub(&e->holders, 1) == 1)
		e->free(e);
}

int an__errand_run(an__errand *e)
{
	int r;

	atomic_init(&e->stop, false);
	atomic_init(&e->holders, 2);
	e->done = false;
	r = an_offload(run, e, abandon);
	if (r < 0) {
		atomic_store_explicit(&e->stop, true, memory_order_relaxed);
		return r;
	}
	r = e->result;
	an__errand_drop(e);
	return r;
}
