/* Watching several tasks at once. Combine; see several.h. */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/combine/several.h"

#include <errno.h>

/* The first in the list that is still to come. */
static an_task *first_running(const an__waiter *w)
{
	const an__several *s = an__container(w, an__several, waiter);

	for (size_t i = 0; i < s->count; i++)
		if (!s->ones[i].ended && !s->ones[i].again)
			return s->ones[i].task;
	return NULL;
}

const an__wait_kind an__for_several = { "several tasks", first_running };

static void note_end(an__task_watch *watch, an_task *task)
{
	struct an__one *one = an__container(watch, struct an__one, watch);
	an__several *s = one->all;
	int result = 0;

	one->ended = true;
	s->running--;
	an_task_result(task, &result);
	s->ended(s, one, result);
}

int an__several_begin(an__several *s, an_task *const *tasks, size_t count,
		      void (*ended)(an__several *s, struct an__one *one, int result))
{
	an_task *self = an_current();

	for (size_t i = 0; i < count; i++)
		if (tasks[i] == self)
			return -EDEADLK;
	s->ones = count <= AN__FEW ? s->few
				   : an__reallocarray(NULL, count, sizeof *s->ones);
	if (!s->ones)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		s->ones[i] = (struct an__one){
			.watch.fn = note_end,
			.all = s,
			.task = tasks[i],
		};
	s->count = s->running = count;
	s->waiter = (an__waiter){ 0 };
	s->ended = ended;
	return 0;
}

int an__several_claim(an__several *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (an__task_claimed(s->ones[i].task))
			return -EBUSY;
	for (size_t i = 0; i < s->count; i++) {
		struct an__one *one = &s->ones[i];

		one->again = an__task_claimed(one->task);
		s->running -= one->again;
		an__task_claim(one->task);
	}
	return 0;
}

void an__several_unclaim(an__several *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->ones[i].task && !s->ones[i].again)
			an__task_unclaim(s->ones[i].task);
}

void an__several_watch(an__several *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct an__one *one = &s->ones[i];

		if (one->again)
			continue;
		if (an_done(one->task))
			note_end(&one->watch, one->task);
		else
			an__task_watch_add(one->task, &one->watch);
	}
}

void an__several_end(an__several *s)
{
	for (size_t i = 0; i < s->count; i++)
		an__task_watch_remove(&s->ones[i].watch);
	if (s->ones != s->few)
		free(s->ones);
}
