/* Tasks: made, run, joined, freed. L1.
 *
 * Lifetime: a task lives until it has ended and nobody has a handle to it. One that ends
 * detached cannot free the stack it stands on, so it leaves itself as the loop's corpse,
 * which the next to run buries; one with a handle waits for its join or detach.
 */
#include "config.h"

#include "loop/core/loop-private.h"
#include "loop/core/trace.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- making and freeing ------------------------------------------------------------ */

static void report_unjoined(const an_task *task)
{
	if (task->result < 0 && !(task->result == -ECANCELED && task->root.cancelled))
		an__trace_message(AN_LOG_ERROR,
				  "task %s failed and nobody joined it: %s", task->name,
				  an_strerror(task->result));
}

/* Children of a group that is never ended would report to a stack that is gone. */
static void report_open_scope(const an_task *task)
{
	if (task->scope != &task->root)
		an__trace_message(AN_LOG_ERROR,
				  "task %s ended without ending a scope that it began",
				  task->name);
}

static void finish(an_task *task)
{
	an_loop *loop = task->loop;

	report_open_scope(task);
	task->state = AN__TASK_DONE;
	task->scope = &task->root;
	an__timer_disarm(&task->timer);
	loop->task_count--;
	if (task->group)
		an__group_child_done(task);
	else if (task->detached && task != loop->main_task)
		report_unjoined(task);
	if (task->joiner.first)
		an__wake(task->joiner.first, 0);
	if (task->detached)
		loop->corpse = task;
}

static void task_main(void *arg)
{
	an_task *task = arg;
	an_loop *loop = task->loop;

	/* The very first task comes from the loop's own stack, and notes where it is. */
	if (loop->main_known)
		an__stack_switch_end(NULL, NULL, NULL);
	else
		an__stack_switch_end(NULL, &loop->main_low, &loop->main_size);
	loop->main_known = true;
	if (loop->corpse) {
		an_task *corpse = loop->corpse;

		loop->corpse = NULL;
		an__task_free(corpse);
	}
	task->result = task->root.cancelled ? -ECANCELED : task->fn(task->arg);
	finish(task);
	an__switch_away(loop);
	__builtin_unreachable();
}

static void set_name(an_task *task, const an_task_opts *opts)
{
	uint64_t serial = task->loop->task_serial++;
	char digits[20], *p = digits + sizeof digits;

	if (opts && opts->name) {
		strncpy(task->name, opts->name, sizeof task->name - 1);
		task->name[sizeof task->name - 1] = '\0';
		return;
	}
	do
		*--p = (char)('0' + serial % 10);
	while (serial /= 10);
	memcpy(task->name, "task-", 5);
	memcpy(task->name + 5, p, (size_t)(digits + sizeof digits - p));
	task->name[5 + (digits + sizeof digits - p)] = '\0';
}

/* The task lies above its stack's usable part. */
static an_task *place(an__stack *stack)
{
	char *at = stack->top - ((sizeof(an_task) + 63) & ~(size_t)63);

	return (an_task *)(void *)at;
}

int an__task_new(an_loop *loop, an_task_fn fn, void *arg, const an_task_opts *opts,
		 an_task **ret)
{
	an__stack *stack;
	an_task *task;
	int r;

	r = an__stack_acquire(loop->stacks, opts ? opts->stack_size : 0, &stack);
	if (r < 0)
		return r;
	task = place(stack);
	memset(task, 0, sizeof *task);
	task->loop = loop;
	task->stack = stack;
	r = an__timer_init(&task->timer, loop, an__task_timer_fired);
	if (r < 0) {
		an__stack_release(loop->stacks, stack);
		return r;
	}
	task->fn = fn;
	task->arg = arg;
	set_name(task, opts);
	an__scope_begin(&task->root, NULL, AN__SCOPE_ROOT, AN_FOREVER);
	task->root.task = task;
	task->root.cancelled = task->root.seen = loop->ending;
	task->scope = &task->root;
	an__ctx_make(&task->ctx, stack->low, task, task_main, task);
	an__list_push(&loop->tasks, &task->all);
	loop->task_count++;
	an__ready(task);
	task->state = AN__TASK_NEW;
	*ret = task;
	return 0;
}

void an__task_free(an_task *task)
{
	an_loop *loop = task->loop;

	an__list_remove(&task->all);
	an__timer_done(&task->timer);
	an__stack_release(loop->stacks, task->stack);
}

void an__task_timer_fired(an__timer *timer)
{
	an_task *task = an__container(timer, an_task, timer);
	an_duration now = task->loop->now, deadline;

	if (task->state != AN__TASK_PARKED)
		return;
	if (!task->waiter->uncancellable && an__scope_cancelled(task)) {
		an__wait_cancel(task, -ECANCELED);
		return;
	}
	deadline = an__wait_deadline(task);
	if (deadline <= now)
		an__wait_cancel(task, -ETIMEDOUT);
	else if (deadline != AN_FOREVER)
		an__timer_arm(timer, deadline);
}

void an__tasks_cancel_all(an_loop *loop)
{
	an__list *i;

	for (i = loop->tasks.next; i != &loop->tasks; i = i->next)
		an_cancel(an__container(i, an_task, all));
}

/* Those that ended and were never joined: their handles die with the loop. */
void an__tasks_free_left(an_loop *loop)
{
	while (!an__list_empty(&loop->tasks)) {
		an_task *task = an__container(loop->tasks.next, an_task, all);

		if (task != loop->main_task)
			report_unjoined(task);
		an__task_free(task);
	}
}

/* ---- the public calls -------------------------------------------------------------- */

int an_spawn(an_task_fn fn, void *arg, const an_task_opts *opts, an_task **ret)
{
	an_task *task;
	int r;

	if (!an__current_loop)
		return AN_ERR_NO_TASK;
	r = an__task_new(an__current_loop, fn, arg, opts, &task);
	if (r < 0)
		return r;
	task->detached = !ret;
	if (ret)
		*ret = task;
	return 0;
}

int an_join(an_task *task, int *ret_result)
{
	an__waiter w;
	int r;

	if (task == an_current())
		return -EDEADLK;
	if (task->joining)
		return -EBUSY;
	/* Until this one runs again: others may run between the task's end and that. */
	task->joining = true;
	r = task->state == AN__TASK_DONE ? an__wait_check() : an__wait(&w, &task->joiner);
	task->joining = false;
	if (r < 0)
		return r;
	if (ret_result)
		*ret_result = task->result;
	an__task_free(task);
	return 0;
}

an_task *an_detach(an_task *task)
{
	if (!task || task->joining)
		return NULL;
	task->detached = true;
	if (task->state == AN__TASK_DONE) {
		report_unjoined(task);
		an__task_free(task);
	}
	return NULL;
}

void an_cancel(an_task *task)
{
	if (!task || task->state == AN__TASK_DONE)
		return;
	task->cancel_requests++;
	an__scope_cancel(&task->root);
}

int an_cancelling(void)
{
	an_task *task = an_current();

	return task ? task->cancel_requests : 0;
}

int an_uncancel(void)
{
	an_task *task = an_current();

	if (!task || !task->cancel_requests)
		return 0;
	if (!--task->cancel_requests)
		an__scope_uncancel(&task->root);
	return task->cancel_requests;
}

an_task *an_current(void)
{
	return an__current_loop ? an__current_loop->current : NULL;
}

bool an_done(const an_task *task)
{
	return task->state == AN__TASK_DONE;
}

const char *an_task_name(const an_task *task)
{
	return task->name;
}

/* Within a turn nobody else looks at the clock. */
int an_check(void)
{
	an_task *task = an_current();

	if (task && !task->scope->seen && task->scope->deadline != AN_FOREVER)
		an_now_update();
	return an__wait_check();
}

int an_yield(void)
{
	int r = an__check_current();
	an_loop *loop = an__current_loop;

	if (r < 0)
		return r;
	an__ready(loop->current);
	an__switch_away(loop);
	return 0;
}

int an_sleep(an_duration d)
{
	an__waiter w;
	int r;

	if (d <= 0)
		return an_yield();
	r = an__wait_until(&w, NULL,
			   d == AN_FOREVER ? AN_FOREVER : an__duration_add(an_now(), d));
	return r == -ETIMEDOUT ? 0 : r;
}
