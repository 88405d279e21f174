/* What a program may know of its loop: the tasks, and figures. L1.
 *
 * The figures cost the scheduler nothing for each switch: resumptions are what a turn
 * used of its budget, and the clock is read once more only before the loop waits.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/inspect.h>

#include <sys/mman.h>
#include <unistd.h>

/* ---- tasks ------------------------------------------------------------------------- */

size_t an_loop_tasks(const an_loop *loop, an_task **tasks, size_t room)
{
	size_t n = 0;

	for (const an__list *i = loop->tasks.next; i != &loop->tasks; i = i->next) {
		an_task *task = an__container(i, an_task, all);

		if (task->state >= AN__TASK_DONE)
			continue;
		if (n < room)
			tasks[n] = task;
		n++;
	}
	return n;
}

/* Pages asked for in one system call. */
#define PAGES 512

/* The lowest page between `low` and `high` that has memory; `high` where none has. */
static const char *lowest_page(const char *low, const char *high)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char has[PAGES];

	while (low < high) {
		size_t left = (size_t)(high - low), n = (left + page - 1) / page;

		if (n > PAGES)
			n = PAGES;
		if (mincore((void *)(uintptr_t)low, n * page, has) < 0)
			return high;
		for (size_t i = 0; i < n; i++)
			if (has[i] & 1)
				return low + i * page;
		low += n * page;
	}
	return high;
}

an_stack_use an_task_stack_use(const an_task *task)
{
	const char *low = task->stack->low, *high = (const char *)task, *sp;
	const char *touched = lowest_page(low, high);
	an_stack_use use = { .size = (size_t)(high - low) };

	use.peak = touched < high ? (size_t)(high - touched) : 0;
	if (task == an_current())
		sp = __builtin_frame_address(0);
	else
		sp = task->state >= AN__TASK_DONE ? NULL : an__ctx_sp(&task->ctx);
	if (sp)
		use.now = (size_t)(high - sp);
	return use;
}

/* ---- figures ----------------------------------------------------------------------- */

void an__count_lag(an_loop *loop, an_duration lag)
{
	struct an__figures *f = &loop->figures;
	uint64_t us = (uint64_t)lag / AN_MICROSECOND;
	unsigned i = us < 2 ? 0 : 63 - (unsigned)__builtin_clzll(us);

	f->lag[i < AN_LAG_BUCKETS ? i : AN_LAG_BUCKETS - 1]++;
	f->busy += lag;
	if (lag > f->lag_max)
		f->lag_max = lag;
}

static size_t count_ready(const an_loop *loop)
{
	size_t n = (loop->current != NULL) + loop->order.count;

	for (const an_task *task = loop->ready.first; task; task = task->next_ready)
		n++;
	return n;
}

void an_loop_get_metrics(const an_loop *loop, an_loop_metrics *ret)
{
	const struct an__figures *f = &loop->figures;
	an__stack_stats stacks = an__stack_pool_stats(loop->stacks);

	*ret = (an_loop_metrics){
		.tasks = loop->task_count,
		.tasks_peak = f->tasks_peak,
		.spawned = loop->task_serial,
		.switches = f->switches,
		.turns = f->turns,
		.ready = count_ready(loop),
		.timers = an__wheel_count(&loop->timers) - an__calls_pending(loop),
		.stacks_used = stacks.in_use - loop->spare_count,
		.stacks_free = stacks.warm + stacks.cold + loop->spare_count,
		.lag_max = f->lag_max,
		.busy = f->busy,
	};
	/* Those of the turn that runs now. Inside eager children the budget may be more
	 * than the turn began with: theirs were counted when they were spawned. */
	if (loop->current && !loop->stepping)
		ret->switches += (uint64_t)loop->allowance - loop->budget;
	for (size_t i = 0; i < AN_LAG_BUCKETS; i++)
		ret->lag[i] = f->lag[i];
}
