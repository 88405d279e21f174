/* Scopes: the stack of reasons for which a task may be cancelled. L1.
 *
 * Each scope knows, besides its own state, what holds for it together with all scopes
 * outside it up to the nearest shield: `deadline` is the nearest of their deadlines,
 * `seen` whether any is cancelled. A begin takes both over from the scope outside in
 * O(1); a cancellation, which is rare, walks inward to spread `seen`. A suspending call
 * looks at the innermost scope alone, and at that only from the task's `limit` on, which
 * follows every change of either.
 *
 *	root <- timeout <- SHIELD <- timeout <- (innermost)
 *	\______________/   \_________________/
 *	 hidden meanwhile    looked at
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>

static an_task *current_task(void)
{
	return an__current_loop ? an__current_loop->current : NULL;
}

void an__scope_begin(struct an__scope *s, an_task *task, enum an__scope_kind kind,
		     an_duration own)
{
	struct an__scope *outer = task ? task->scope : NULL;

	s->outer = outer;
	s->task = task;
	s->own = s->deadline = own;
	s->kind = (unsigned char)kind;
	s->cancelled = s->seen = s->expired = false;
	if (outer && kind != AN__SCOPE_SHIELD) {
		s->seen = outer->seen;
		if (outer->deadline < own)
			s->deadline = outer->deadline;
	}
	if (task) {
		task->scope = s;
		an__limit_update(task);
	}
}

static bool is_open(const struct an__scope *s)
{
	const struct an__scope *open = s->task->scope;

	while (open && open != s)
		open = open->outer;
	return open;
}

/* A scope that is ended while inner ones are still open takes those with it. Their owner
 * may end them afterwards, which is refused: they must not be freed before their task has
 * left the outer one. */
static bool end_out_of_order(struct an__scope *s)
{
	if (!is_open(s))
		return false;
	an__debug_scopes(s->task, s);
	s->task->scope = s->outer;
	return true;
}

bool an__scope_end(struct an__scope *s)
{
	an_task *task = s->task;

	if (!task || s->kind == AN__SCOPE_CLOSED)
		return false;
	if (__builtin_expect(task->scope == s, 1))
		task->scope = s->outer;
	else if (!end_out_of_order(s))
		return false;
	s->kind = AN__SCOPE_CLOSED;
	an__limit_update(task);
	return true;
}

/* Spreads a cancellation of `s` to the scopes inside it that no shield hides from it. */
static void spread(struct an__scope *s)
{
	struct an__scope *from = s->task->scope, *i;

	for (i = from; i != s; i = i->outer)
		if (i->kind == AN__SCOPE_SHIELD)
			from = i->outer;
	for (i = from; i != s; i = i->outer)
		i->seen = true;
	s->seen = true;
	an__limit_update(s->task);
}

static void wake_if_cancelled(an_task *task)
{
	if (task->state == AN__TASK_PARKED && task->scope->seen &&
	    an__wait_cancellable(task))
		an__wait_cancel(task, -ECANCELED);
}

void an__scope_cancel(struct an__scope *s)
{
	if (s->cancelled)
		return;
	s->cancelled = true;
	if (!is_open(s))
		return;
	spread(s);
	wake_if_cancelled(s->task);
}

void an__scope_uncancel(struct an__scope *s)
{
	struct an__scope *i, *o;

	s->cancelled = false;
	for (i = s->task->scope; i; i = i->outer) {
		i->seen = false;
		for (o = i; o; o = o->kind == AN__SCOPE_SHIELD ? NULL : o->outer)
			i->seen |= o->cancelled;
	}
	an__limit_update(s->task);
}

void an__scope_expire(an_task *task, an_duration now)
{
	struct an__scope *i, *outermost = NULL;

	for (i = task->scope; i; i = i->kind == AN__SCOPE_SHIELD ? NULL : i->outer) {
		if (i->own <= now && !i->cancelled)
			i->cancelled = i->expired = true;
		if (i->cancelled)
			outermost = i;
	}
	if (outermost)
		spread(outermost);
}

/* ---- timeouts and shields ---------------------------------------------------------- */

void an_timeout_begin_at(an_timeout *t, an_duration deadline)
{
	an__scope_begin(&t->scope, current_task(), AN__SCOPE_TIMEOUT, deadline);
}

void an_timeout_begin(an_timeout *t, an_duration limit)
{
	an_timeout_begin_at(t, limit == AN_FOREVER ? AN_FOREVER
						   : an__duration_add(an_now(), limit));
}

/* The deadlines of the scopes inside were taken over when they began: once more. */
static void recompute_deadlines(struct an__scope *changed)
{
	struct an__scope *i, *o;

	for (i = changed->task->scope; i != changed->outer; i = i->outer) {
		i->deadline = i->own;
		for (o = i; o->kind != AN__SCOPE_SHIELD && o->outer;) {
			o = o->outer;
			if (o->own < i->deadline)
				i->deadline = o->own;
		}
	}
	an__limit_update(changed->task);
}

int an_timeout_reschedule(an_timeout *t, an_duration deadline)
{
	an_task *task = t->scope.task;

	if (!task || t->scope.kind != AN__SCOPE_TIMEOUT || t->scope.cancelled ||
	    !is_open(&t->scope))
		return AN_ERR_MISUSE;
	t->scope.own = deadline;
	recompute_deadlines(&t->scope);
	if (task->state == AN__TASK_PARKED)
		an__wait_arm(task);
	return 0;
}

static int end_limited(struct an__scope *s, int result)
{
	an_task *task = s->task;

	if (!task || task != current_task())
		return AN_ERR_MISUSE;
	/* The work may have been cancelled before anybody looked at this deadline. */
	if (result == -ECANCELED)
		an__scope_expire(task, task->loop->now);
	if (!an__scope_end(s))
		return AN_ERR_MISUSE;
	if (result == -ECANCELED && s->expired)
		return -ETIMEDOUT;
	return result;
}

int an_timeout_end(an_timeout *t, int result)
{
	struct an__scope *outer = t->scope.outer;
	int r = end_limited(&t->scope, result);

	return r == -ETIMEDOUT && outer && outer->seen ? result : r;
}

bool an_timeout_expired(const an_timeout *t)
{
	return t->scope.expired;
}

void an_shield_begin(an_shield *s, an_duration grace)
{
	an_duration own =
		grace == AN_FOREVER ? AN_FOREVER : an__duration_add(an_now(), grace);

	an__scope_begin(&s->scope, current_task(), AN__SCOPE_SHIELD, own);
}

int an_shield_end(an_shield *s, int result)
{
	return end_limited(&s->scope, result);
}
