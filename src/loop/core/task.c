/* Tasks: made, run, joined, freed. L1.
 *
 * Lifetime: a task lives until it has ended and nobody has a handle to it. Then it waits,
 * with its stack, for the next spawn (`spare`), which a task that ends detached may do
 * while it still stands on that stack: nobody can spawn before it has switched away. What
 * cannot be kept is freed on main_ctx (`dead`).
 */
#include "config.h"

#include "loop/core/quick.h"
#include "loop/core/trace.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- ending ------------------------------------------------------------------------ */

static void report_unjoined(const an_task *task)
{
	if (task->result >= 0 || task->retrieved || an_task_cancelled(task))
		return;
	an__trace_message(AN_LOG_ERROR, "task %s failed and nobody joined it: %s",
			  an_task_name(task), an_strerror(task->result));
}

/* Those of a group on this stack, which is gone before it is ended: they are on their
 * own. */
static void let_children_go(an_task *task)
{
	an__list *all = &task->loop->tasks;
	uintptr_t low = (uintptr_t)task->stack->low, high = (uintptr_t)task;

	for (an__list *i = all->next; i != all; i = i->next) {
		an_task *child = an__container(i, an_task, all);
		uintptr_t group = (uintptr_t)child->group;

		if (group >= low && group < high)
			child->group = NULL;
	}
}

static void close_scopes(an_task *task)
{
	an__debug_scopes(task, NULL);
	an__trace_message(AN_LOG_ERROR,
			  "task %s ended without ending a scope that it began",
			  an_task_name(task));
	let_children_go(task);
	task->scope = &task->root;
	an__limit_update(task);
}

/* Nobody will ever unlock them: whoever waits for one does so for ever. */
static void report_locks(const an_task *task)
{
	an__trace_message(AN_LOG_ERROR, "task %s ended holding a lock",
			  an_task_name(task));
}

/* What releases a value finds no variables any more. */
static void drop_locals(an_task *task)
{
	struct an__binding *newest = task->locals;

	task->locals = NULL;
	an__locals_drop(newest);
}

/* What is called here must not suspend: outside a task, nothing does. It may detach the
 * task, on whose stack it is: an_detach() then leaves it to the end. */
static void call_back(an_task *task)
{
	an_loop *loop = task->loop;
	an_task *self = loop->current;
	an__task_watch *w;

	loop->current = NULL;
	loop->finishing = task;
	if (task->locals)
		drop_locals(task);
	while ((w = task->watches)) {
		an__task_watch_remove(w);
		w->fn(w, task);
	}
	loop->finishing = NULL;
	loop->current = self;
}

static void finish(an_task *task)
{
	an_loop *loop = task->loop;

	if (__builtin_expect(task->scope != &task->root, 0))
		close_scopes(task);
	if (__builtin_expect(task->locks, 0))
		report_locks(task);
	task->state = AN__TASK_DONE;
	if (task->timed)
		an__timer_disarm(&task->timer);
	loop->task_count--;
	if (task->locals || task->watches)
		call_back(task);
	if (task->group)
		an__group_child_done(task);
	else if (task->detached && task != loop->main_task)
		report_unjoined(task);
	if (task->joiner.first)
		an__wake(task->joiner.first, 0);
	if (task->detached)
		an__task_free(task);
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
	task->state = AN__TASK_READY;
	task->result = task->root.cancelled ? -ECANCELED : task->fn(task->arg);
	finish(task);
	an__switch_away(loop, task);
	__builtin_unreachable();
}

/* ---- making and freeing ------------------------------------------------------------ */

/* What stays so for all tasks that get this memory. */
static void init_once(an_task *task, an_loop *loop, an__stack *stack, bool default_stack)
{
	task->loop = loop;
	task->stack = stack;
	task->default_stack = default_stack;
	task->limit = INT64_MIN;
	task->own.task = task;
}

/* A new one has a stack and a timer, and everything else unset. */
static int new_task(an_loop *loop, size_t stack_size, an_task **ret)
{
	an__stack *stack;
	an_task *task;
	int r = an__stack_acquire(loop->stacks, stack_size, &stack);

	if (r < 0)
		return r;
	task = an__task_on(stack);
	r = an__timer_init(&task->timer, loop, an__task_timer_fired);
	if (r < 0) {
		an__stack_release(loop->stacks, stack);
		return r;
	}
	init_once(task, loop, stack, !stack_size);
	*ret = task;
	return 0;
}

static an_task *take_spare(an_loop *loop)
{
	an_task *task = loop->spare;

	loop->spare = task->next_ready;
	loop->spare_count--;
	return task;
}

void an__task_release(an_task *task)
{
	an_loop *loop = task->loop;

	an__timer_done(&task->timer);
	an__stack_release(loop->stacks, task->stack);
}

void an__task_free(an_task *task)
{
	an_loop *loop = task->loop;

	an__list_remove(&task->all);
	if (loop->spare_count < loop->spare_max && task->default_stack) {
		task->state = AN__TASK_SPARE;
		task->next_ready = loop->spare;
		loop->spare = task;
		if (++loop->spare_count == AN__SPARES_KEPT + 1)
			an__idle_watch(loop);
	} else if (task == loop->current) {
		task->next_ready = loop->dead;
		loop->dead = task;
	} else {
		an__task_release(task);
	}
}

static void reset_root(an_task *task, bool cancelled)
{
	task->cancel_requests = 0;
	task->scope = NULL;
	an__scope_begin(&task->root, NULL, AN__SCOPE_ROOT, AN_FOREVER);
	task->root.task = task;
	task->root.cancelled = task->root.seen = cancelled;
	task->scope = &task->root;
	an__limit_update(task);
}

/* The root scope of a spare task is as it was at its end: nearly always not cancelled. */
static inline void reset(an_task *task, an_task_fn fn, void *arg, const void *site)
{
	an_loop *loop = task->loop;
	an_task *parent = loop->current;

	task->state = AN__TASK_NEW;
	task->detached = task->joining = task->retrieved = false;
	task->named = task->timed = false;
	task->locks = 0;
	task->fn = fn;
	task->arg = arg;
	task->joiner = (an__waiters){ 0 };
	task->watches = NULL;
	task->group = NULL;
	task->locals = parent && parent->locals ? an__locals_share(parent->locals) : NULL;
	task->serial = loop->task_serial++;
	task->spawned_at = site;
	task->parent = parent;
	if (__builtin_expect(task->limit != AN_FOREVER || loop->ending, 0))
		reset_root(task, loop->ending);
	an__ctx_make(&task->ctx, task->stack->low, task, task_main, task);
}

static void set_name(an_task *task, const char *name)
{
	strncpy(task->name, name, sizeof task->name - 1);
	task->name[sizeof task->name - 1] = '\0';
	task->named = true;
}

int an__task_new(an_loop *loop, an_task_fn fn, void *arg, const an_task_opts *opts,
		 const void *site, an_task **ret)
{
	size_t stack_size = opts ? opts->stack_size : 0;
	an_task *task;

	if (__builtin_expect(loop->given_up, 0))
		return AN_ERR_NO_TASK;
	if (!stack_size && loop->spare) {
		task = take_spare(loop);
	} else {
		int r = new_task(loop, stack_size, &task);

		if (r < 0)
			return r;
	}
	reset(task, fn, arg, site);
	if (opts && opts->name && opts->name[0])
		set_name(task, opts->name);
	an__list_push(&loop->tasks, &task->all);
	if (++loop->task_count > loop->figures.tasks_peak)
		loop->figures.tasks_peak = loop->task_count;
	*ret = task;
	return 0;
}

/* An eager child runs now, and its parent goes on as soon as it suspends for the first
 * time, before all that are ready: both get a resumption beyond the budget for it, so
 * that nobody runs in between. Outside a task nobody could be resumed like that. */
void an__task_start(an_task *task, bool eager)
{
	an_loop *loop = task->loop;
	an_task *self = loop->current;

	if (!eager || !self) {
		an__ready(task);
		task->state = AN__TASK_NEW;
		return;
	}
	an__ready_first(self);
	an__ready_first(task);
	task->state = AN__TASK_NEW;
	loop->budget += 2;
	loop->figures.switches += 2;
	an__switch_away(loop, self);
}

void an__tasks_free_spare(an_loop *loop)
{
	while (loop->spare)
		an__task_release(take_spare(loop));
}

void an__task_timer_fired(an__timer *timer)
{
	an_task *task = an__container(timer, an_task, timer);
	an_duration now = task->loop->now, deadline;

	if (task->state != AN__TASK_PARKED)
		return;
	if (an__wait_cancellable(task) && an__scope_cancelled(task)) {
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

static const char *waits_for(const an_task *task)
{
	const an__waiter *w = task->state == AN__TASK_PARKED ? task->waiter : NULL;

	return w && w->kind ? w->kind->what : "its turn";
}

void an__tasks_report_left(an_loop *loop, const char *what)
{
	for (an__list *i = loop->tasks.next; i != &loop->tasks; i = i->next) {
		an_task *task = an__container(i, an_task, all);

		if (task->state < AN__TASK_DONE)
			an__trace_message(AN_LOG_WARN, "task %s %s; it waits for %s",
					  an_task_name(task), what, waits_for(task));
	}
}

/* Nothing can wake them: they end here, without running again. All have, before anybody
 * is told, so that none is looked for on a stack that is gone; and those that are
 * detached meanwhile stay on the list. */
void an__tasks_give_up(an_loop *loop)
{
	an__list *i;

	loop->given_up = true;
	if (!loop->task_count)
		return;
	an__tasks_report_left(loop, "was given up: nothing can wake it");
	for (i = loop->tasks.next; i != &loop->tasks; i = i->next) {
		an_task *task = an__container(i, an_task, all);

		if (task->state == AN__TASK_DONE)
			continue;
		if (task->state == AN__TASK_PARKED)
			an__wake(task->waiter, -ECANCELED);
		task->state = AN__TASK_DONE;
		task->result = AN_ERR_STUCK;
		task->retrieved = true;
		an__timer_disarm(&task->timer);
	}
	loop->task_count = 0;
	an__ready_clear(loop);
	for (i = loop->tasks.next; i != &loop->tasks; i = i->next)
		call_back(an__container(i, an_task, all));
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

/* ---- watches ----------------------------------------------------------------------- */

void an__task_watch_add(an_task *task, an__task_watch *w)
{
	w->link = &task->watches;
	while (*w->link)
		w->link = &(*w->link)->next;
	w->next = NULL;
	*w->link = w;
}

void an__task_watch_remove(an__task_watch *w)
{
	if (!w->link)
		return;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	w->link = NULL;
}

/* ---- the public calls -------------------------------------------------------------- */

int an_spawn(an_task_fn fn, void *arg, const an_task_opts *opts, an_task **ret)
{
	an_task *task;
	int r;

	if (!an__current_loop)
		return AN_ERR_NO_TASK;
	r = an__task_new(an__current_loop, fn, arg, opts, __builtin_return_address(0),
			 &task);
	if (r < 0)
		return r;
	task->detached = !ret;
	if (ret)
		*ret = task;
	an__task_start(task, opts && opts->eager);
	return 0;
}

static an_task *joined(const an__waiter *w)
{
	an__waiters *queue = w->queue;

	return queue ? an__container(queue, an_task, joiner) : NULL;
}

static const an__wait_kind for_task = { "a task", joined };

int an_join(an_task *task, int *ret_result)
{
	an_task *self = an_current();
	an__waiter w;
	int r;

	if (!self)
		return AN_ERR_NO_TASK;
	if (task == self)
		return -EDEADLK;
	if (task->loop != self->loop || task->state == AN__TASK_SPARE || task->detached)
		return AN_ERR_MISUSE;
	if (task->joining)
		return -EBUSY;
	/* Until this one runs again: others may run between the task's end and that. */
	task->joining = true;
	r = task->state == AN__TASK_DONE ? an__wait_check()
					 : an__wait(&w, &task->joiner, &for_task);
	task->joining = false;
	if (r < 0)
		return r;
	if (ret_result)
		*ret_result = task->result;
	an__task_free(task);
	return 0;
}

bool an__task_claimed(const an_task *task)
{
	return task->joining || task->detached;
}

void an__task_claim(an_task *task)
{
	task->joining = true;
}

void an__task_unclaim(an_task *task)
{
	task->joining = false;
}

void an__task_consume(an_task *task)
{
	task->joining = false;
	an__task_free(task);
}

int an_task_result(an_task *task, int *ret_result)
{
	if (task->state != AN__TASK_DONE)
		return -EAGAIN;
	task->retrieved = true;
	*ret_result = task->result;
	return 0;
}

bool an_task_cancelled(const an_task *task)
{
	return task->state == AN__TASK_DONE && task->result == -ECANCELED &&
	       task->root.cancelled;
}

/* Cold: nobody would hear of it otherwise. */
static __attribute__((noinline)) bool belongs_to_others(const char *call)
{
	an__trace_message(AN_LOG_ERROR,
			  "%s() of a task that is not of this thread's loop: refused",
			  call);
	return true;
}

static bool is_foreign(const an_task *task, const char *call)
{
	return __builtin_expect(task->loop != an__current_loop, 0) &&
	       belongs_to_others(call);
}

/* It has ended, and somebody else frees it: finish() or the end of the loop. */
static bool is_freed_later(const an_task *task)
{
	return task == task->loop->finishing || task->loop->given_up;
}

an_task *an_detach(an_task *task)
{
	if (!task || is_foreign(task, "an_detach") || task->joining ||
	    task->state == AN__TASK_SPARE)
		return NULL;
	task->detached = true;
	if (task->state == AN__TASK_DONE && !is_freed_later(task)) {
		report_unjoined(task);
		an__task_free(task);
	}
	return NULL;
}

bool an_cancel(an_task *task)
{
	if (!task || is_foreign(task, "an_cancel") || task->state >= AN__TASK_DONE)
		return false;
	task->cancel_requests++;
	an__scope_cancel(&task->root);
	return true;
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
	return task->state >= AN__TASK_DONE;
}

static void make_name(char *name, uint64_t serial)
{
	char digits[20], *p = digits + sizeof digits;
	size_t length;

	do
		*--p = (char)('0' + serial % 10);
	while (serial /= 10);
	length = (size_t)(digits + sizeof digits - p);
	memcpy(name, "task-", 5);
	memcpy(name + 5, p, length);
	name[5 + length] = '\0';
}

/* Most tasks are never asked. A signal handler may ask. */
const char *an_task_name(const an_task *task)
{
	an_task *t = (an_task *)(uintptr_t)task;

	if (!t->named) {
		make_name(t->name, t->serial);
		t->named = true;
	}
	return t->name;
}

/* Within a turn nobody else looks at the clock. */
int an_check(void)
{
	an_task *task = an_current();

	if (task && !task->scope->seen && task->scope->deadline != AN_FOREVER)
		an_now_update();
	return an__wait_check();
}

/* Nobody else is ready, or the turn is over. */
static __attribute__((noinline)) int yield_at_end_of_turn(an_loop *loop, an_task *self)
{
	if (loop->budget == UINT_MAX)
		loop->budget = 0;
	an__ready_push(&loop->ready, self);
	an__switch_away(loop, self);
	return 0;
}

int an_yield(void)
{
	an_task *self = an__quick_check(), *next;
	an_loop *loop;

	if (!self)
		return an__wait_check();
	loop = self->loop;
	next = loop->ready.first;
	if (__builtin_expect(
		    !next || __builtin_sub_overflow(loop->budget, 1, &loop->budget), 0))
		return yield_at_end_of_turn(loop, self);
	an__ready_push(&loop->ready, self);
	/* The queue cannot run empty: this task is on it. */
	loop->ready.first = next->next_ready;
	self->own.result = 0;
	return an__quick_leave(loop, self, next);
}

static const an__wait_kind for_time = { .what = "time to pass" };

int an_sleep(an_duration d)
{
	an__waiter w;
	int r;

	if (d <= 0)
		return an_yield();
	r = an__wait_until(&w, NULL,
			   d == AN_FOREVER ? AN_FOREVER : an__duration_add(an_now(), d),
			   &for_time);
	return r == -ETIMEDOUT ? 0 : r;
}
