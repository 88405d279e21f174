/* Task-local variables. L1.
 *
 * A task's bindings are a chain that it shares with the tasks it spawned: a child takes a
 * reference to its parent's chain, which costs nothing more however long it is. What a
 * task binds anew the others must not see: it gets a link of its own in front, and those
 * links that lay before the former one are copied, so that this one falls out of the
 * chain. No chain is longer than there are variables, however often one is set while
 * children live. A link that nobody else can see is changed in place.
 *
 *	parent ---> [user: ann] ---> [request: 7] ---> NULL
 *	child  ---> [user: bob] --------^
 *
 * Copies of a link share its value, which is released with the last of them.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

#include <errno.h>
#include <stdlib.h>

struct cell {
	size_t users; /* bindings */
	void *value;
};

struct an__binding {
	struct an__binding *older;
	size_t users; /* tasks and newer links that point here */
	const an_local *key;
	struct cell *cell;
};

struct an__binding *an__locals_share(struct an__binding *newest)
{
	newest->users++;
	return newest;
}

static void drop_cell(struct cell *cell, const an_local *key)
{
	void *value = cell->value;

	if (--cell->users)
		return;
	free(cell);
	if (key->release && value)
		key->release(value);
}

void an__locals_drop(struct an__binding *newest)
{
	while (newest && !--newest->users) {
		struct an__binding *older = newest->older;

		drop_cell(newest->cell, newest->key);
		free(newest);
		newest = older;
	}
}

/* ---- binding ----------------------------------------------------------------------- */

static struct an__binding *find(struct an__binding *b, const an_local *key)
{
	while (b && b->key != key)
		b = b->older;
	return b;
}

/* Where the part of the chain begins that others see, too. */
static struct an__binding **shared_part(an_task *task)
{
	struct an__binding **link = &task->locals;

	while (*link && (*link)->users == 1)
		link = &(*link)->older;
	return link;
}

static struct an__binding *new_binding(const an_local *key, struct cell *cell)
{
	struct an__binding *b = an__malloc(sizeof *b);

	if (b) {
		*b = (struct an__binding){ .users = 1, .key = key, .cell = cell };
		cell->users++;
	}
	return b;
}

/* Copies the links from `from` up to `to`, and goes on with what comes after that; with
 * `to` NULL there is nothing to copy. */
static int copy_without(struct an__binding *from, struct an__binding *to,
			struct an__binding **ret)
{
	struct an__binding *first = NULL, **end = &first;

	for (; to && from != to; from = from->older) {
		*end = new_binding(from->key, from->cell);
		if (!*end) {
			an__locals_drop(first);
			return -ENOMEM;
		}
		end = &(*end)->older;
	}
	if (to)
		from = to->older;
	*end = from ? an__locals_share(from) : NULL;
	*ret = first;
	return 0;
}

/* In front of all, in place of `former`, which others see, or of none. */
static int bind_new(an_task *task, const an_local *key, struct cell *cell,
		    struct an__binding *former)
{
	struct an__binding **shared = shared_part(task), *before = *shared, *rest;
	struct an__binding *b = new_binding(key, cell);

	if (!b || copy_without(before, former, &rest) < 0) {
		if (b)
			cell->users--;
		free(b);
		return -ENOMEM;
	}
	*shared = rest;
	b->older = task->locals;
	task->locals = b;
	an__locals_drop(before);
	return 0;
}

/* Of a link that is this task's alone. */
static int bind_in_place(struct an__binding *b, void *value)
{
	struct cell *cell = b->cell, *fresh;
	void *former = cell->value;

	if (cell->users == 1) {
		cell->value = value;
		if (b->key->release && former)
			b->key->release(former);
		return 0;
	}
	fresh = an__malloc(sizeof *fresh);
	if (!fresh)
		return -ENOMEM;
	*fresh = (struct cell){ 1, value };
	b->cell = fresh;
	drop_cell(cell, b->key);
	return 0;
}

static bool is_own(an_task *task, const struct an__binding *b)
{
	struct an__binding *i = task->locals;

	while (i != b && i->users == 1)
		i = i->older;
	return i == b && b->users == 1;
}

int an_local_set(const an_local *key, void *value)
{
	an_task *task = an_current();
	struct an__binding *b;
	struct cell *cell;
	int r;

	if (!task)
		return AN_ERR_NO_TASK;
	b = find(task->locals, key);
	if (b && is_own(task, b))
		return bind_in_place(b, value);
	cell = an__malloc(sizeof *cell);
	if (!cell)
		return -ENOMEM;
	*cell = (struct cell){ 0, value };
	r = bind_new(task, key, cell, b);
	if (r < 0)
		free(cell);
	return r;
}

void *an_local_get(const an_local *key)
{
	an_task *task = an_current();
	struct an__binding *b = task ? find(task->locals, key) : NULL;

	return b ? b->cell->value : NULL;
}
