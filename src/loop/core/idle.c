/* The memory of idle stacks goes back to the system. L1.
 *
 * Ended tasks are kept for the next spawn (task.c), and the stacks of others stay warm in
 * the pool up to a mark (stack.c). What of both nobody needs goes here, half of it each
 * second, by a timer that is armed while there is something to give. Not with a virtual
 * clock, where nothing takes time.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#define PERIOD AN_SECOND

/* Between the parts of one round, so that tasks that are ready wait for one part at
 * most. */
#define PAUSE (5 * AN_MILLISECOND)

/* The newest spare task comes first. */
static void release_oldest_spares(an_loop *loop, unsigned count)
{
	an_task **link = &loop->spare, *task;

	for (unsigned keep = loop->spare_count - count; keep; keep--)
		link = &(*link)->next_ready;
	task = *link;
	*link = NULL;
	loop->spare_count -= count;
	while (task) {
		an_task *next = task->next_ready;

		an__task_release(task);
		task = next;
	}
}

/* Each spawn since the last round may have taken another spare one; the others were idle
 * for sure. */
static void trim_spares(an_loop *loop)
{
	uint64_t spawned = loop->task_serial - loop->idle.serial;

	loop->idle.serial = loop->task_serial;
	if (loop->spare_count <= AN__SPARES_KEPT || spawned >= loop->spare_count)
		return;
	release_oldest_spares(loop, (loop->spare_count - (unsigned)spawned + 1) / 2);
}

static void on_timer(an__timer *timer)
{
	an_loop *loop = an__container(timer, an_loop, idle.timer);
	enum an__stack_trim left;

	if (!loop->idle.in_round)
		trim_spares(loop);
	left = an__stack_pool_trim(loop->stacks);
	loop->idle.in_round = left == AN__STACK_TRIM_MORE;
	if (loop->idle.in_round)
		an__timer_arm(timer, loop->now + PAUSE);
	else if (left == AN__STACK_TRIM_LATER || loop->spare_count > AN__SPARES_KEPT)
		an__timer_arm(timer, loop->now + PERIOD);
}

void an__idle_watch(an_loop *loop)
{
	if (loop->opts.virtual_clock || an__wheel_has(&loop->idle.timer.node))
		return;
	loop->idle.serial = loop->task_serial;
	an__timer_arm(&loop->idle.timer, loop->now + PERIOD);
}

static void on_idle(void *arg)
{
	an__idle_watch(arg);
}

int an__idle_init(an_loop *loop)
{
	int r = an__timer_init(&loop->idle.timer, loop, on_timer);

	if (r == 0)
		an__stack_pool_on_idle(loop->stacks, on_idle, loop);
	return r;
}

void an__idle_done(an_loop *loop)
{
	an__stack_pool_on_idle(loop->stacks, NULL, NULL);
	an__timer_done(&loop->idle.timer);
}
