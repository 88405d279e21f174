/* Task-local variables. L1.
 *
 * A task's bindings are a chain, newest first, that it shares with the tasks it spawned:
 * a child takes a reference to its parent's chain, which costs nothing more however long
 * it is. Binding a variable anew puts a link in front, which the others do not see; a
 * link that nobody else can see is changed in place instead, so that a task that sets one
 * variable again and again does not grow.
 *
 *	parent ---> [user: ann] ---> [request: 7] ---> NULL
 *	child  ---> [user: bob] --------^
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

#include <errno.h>
#include <stdlib.h>

struct an__binding {
	struct an__binding *older;
	size_t users; /* tasks and newer links that point here */
	const an_local *key;
	void *value;
};

struct an__binding *an__locals_share(struct an__binding *newest)
{
	newest->users++;
	return newest;
}

void an__locals_drop(struct an__binding *newest)
{
	while (newest && !--newest->users) {
		struct an__binding *older = newest->older;

		if (newest->key->release && newest->value)
			newest->key->release(newest->value);
		free(newest);
		newest = older;
	}
}

/* Returns the link of `key` when no other task sees it, or NULL. */
static struct an__binding *own_binding(an_task *task, const an_local *key)
{
	struct an__binding *b = task->locals;

	while (b && b->users == 1 && b->key != key)
		b = b->older;
	return b && b->users == 1 ? b : NULL;
}

int an_local_set(const an_local *key, void *value)
{
	an_task *task = an_current();
	struct an__binding *b;
	void *former;

	if (!task)
		return AN_ERR_NO_TASK;
	b = own_binding(task, key);
	if (b) {
		former = b->value;
		b->value = value;
		if (key->release && former)
			key->release(former);
		return 0;
	}
	b = an__malloc(sizeof *b);
	if (!b)
		return -ENOMEM;
	*b = (struct an__binding){ task->locals, 1, key, value };
	task->locals = b;
	return 0;
}

void *an_local_get(const an_local *key)
{
	an_task *task = an_current();

	for (struct an__binding *b = task ? task->locals : NULL; b; b = b->older)
		if (b->key == key)
			return b->value;
	return NULL;
}
