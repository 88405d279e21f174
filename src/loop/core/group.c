/* Groups: child tasks that none outlives. L1.
 *
 * The group's scope belongs to the task that began it; each child has a root scope of its
 * own, which the group cancels one by one. A child is on the group's list from its spawn
 * to its end.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <string.h>

static const an__wait_kind for_children = { .what = "the tasks of its group" };

void an_group_begin(an_group *g)
{
	an_task *task = an_current();

	*g = (an_group){ 0 };
	an__scope_begin(&g->scope, task, AN__SCOPE_GROUP, AN_FOREVER);
}

static void link_child(an_group *g, an_task *child)
{
	child->group = g;
	child->older = g->children.last;
	child->younger = NULL;
	if (g->children.last)
		g->children.last->younger = child;
	else
		g->children.first = child;
	g->children.last = child;
	g->count++;
}

static void unlink_child(an_group *g, an_task *child)
{
	if (child->older)
		child->older->younger = child->younger;
	else
		g->children.first = child->younger;
	if (child->younger)
		child->younger->older = child->older;
	else
		g->children.last = child->older;
	child->group = NULL;
	g->count--;
}

static int spawn(an_group *g, an_task_fn fn, void *arg, const an_task_opts *opts,
		 const void *site)
{
	an_task *child;
	int r;

	if (!g->scope.task || g->scope.kind != AN__SCOPE_GROUP ||
	    g->scope.task->loop != an__current_loop)
		return AN_ERR_MISUSE;
	if (g->scope.cancelled)
		return -ECANCELED;
	r = an__task_new(g->scope.task->loop, fn, arg, opts, site, &child);
	if (r < 0)
		return r;
	child->detached = true;
	link_child(g, child);
	an__task_start(child, opts && opts->eager);
	return 0;
}

int an_group_spawn_with(an_group *g, an_task_fn fn, void *arg, const an_task_opts *opts)
{
	return spawn(g, fn, arg, opts, __builtin_return_address(0));
}

int an_group_spawn(an_group *g, an_task_fn fn, void *arg)
{
	return spawn(g, fn, arg, NULL, __builtin_return_address(0));
}

void an_group_cancel(an_group *g)
{
	an_task *child;

	if (!g->scope.task || g->scope.kind != AN__SCOPE_GROUP || g->scope.cancelled)
		return;
	an__scope_cancel(&g->scope);
	for (child = g->children.first; child; child = child->younger)
		an_cancel(child);
}

void an_group_collect(an_group *g, an_group_error *errors, size_t room)
{
	g->errors = errors;
	g->error_room = room;
}

size_t an_group_error_count(const an_group *g)
{
	return g->error_count;
}

static void fail(an_group *g, int error, const char *task)
{
	if (error >= 0)
		return;
	if (!g->error)
		g->error = error;
	if (g->error_count < g->error_room) {
		g->errors[g->error_count].code = error;
		strncpy(g->errors[g->error_count].task, task, sizeof g->errors->task - 1);
		g->errors[g->error_count].task[sizeof g->errors->task - 1] = '\0';
	}
	g->error_count++;
	an_group_cancel(g);
}

void an_group_fail(an_group *g, int error)
{
	fail(g, error, "");
}

void an__group_child_done(an_task *child)
{
	an_group *g = child->group;

	unlink_child(g, child);
	if (child->result != -ECANCELED || !child->root.cancelled)
		fail(g, child->result, an_task_name(child));
	if (!g->count && g->waiter)
		an__wake(g->waiter, 0);
}

static bool outer_cancelled(const an_group *g)
{
	an__scope_cancelled(g->scope.task); /* counts the deadlines */
	return g->scope.outer && g->scope.outer->seen;
}

/* Waits for the children; cancelled from outside, it passes that on and waits all the
 * same. A child may still be added when the last one has woken the waiter.
 * Returns 0 or -ECANCELED for that. */
static int await_children(an_group *g)
{
	int r = an__wait_check();
	an__waiter w = { 0 };

	g->waiter = &w;
	while (r == 0 && g->count)
		r = an__wait(&w, NULL, &for_children);
	if (r < 0 && outer_cancelled(g))
		an_group_cancel(g);
	while (g->count)
		an_ignore(an__wait_uncancellable(&w, NULL, &for_children));
	g->waiter = NULL;
	return r < 0 && outer_cancelled(g) ? -ECANCELED : 0;
}

int an_group_end(an_group *g)
{
	int r;

	if (!g->scope.task || g->scope.kind != AN__SCOPE_GROUP ||
	    g->scope.task != an_current())
		return AN_ERR_MISUSE;
	r = await_children(g);
	an__scope_end(&g->scope);
	return g->error ? g->error : r;
}
