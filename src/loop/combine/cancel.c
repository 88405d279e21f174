/* Cancelling several tasks and seeing all of them end. Combine.
 *
 * Whom nobody joins is claimed, and consumed when all have ended. A task that somebody
 * else joins is gone as soon as that one has run, so of it no more is wanted than its
 * end, and it is not looked at after that.
 */
#include "config.h"

#include "loop/combine/several.h"

#include <asyncnet/combine.h>
#include <asyncnet/error.h>

static void task_ended(an__several *s, struct an__one *one, int result)
{
	(void)one, (void)result;
	if (!s->running)
		an__wake(&s->waiter, 0);
}

/* A task that is given twice is claimed once. */
static void claim_what_is_free(an__several *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->ones[i].theirs = an__task_claimed(s->ones[i].task);
	for (size_t i = 0; i < s->count; i++) {
		struct an__one *one = &s->ones[i];

		if (one->theirs)
			continue;
		one->again = an__task_claimed(one->task);
		s->running -= one->again;
		an__task_claim(one->task);
	}
}

static void consume_what_was_claimed(an__several *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->ones[i].theirs && !s->ones[i].again)
			an__task_consume(s->ones[i].task);
}

int an_cancel_all(an_task *const *tasks, size_t count)
{
	an__several s;
	int r = an_current() ? an__several_begin(&s, tasks, count, task_ended)
			     : AN_ERR_NO_TASK;

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		an_cancel(tasks[i]);
	claim_what_is_free(&s);
	an__several_watch(&s);
	if (s.running)
		an_ignore(an__wait_uncancellable(&s.waiter, NULL, &an__for_several));
	consume_what_was_claimed(&s);
	an__several_end(&s);
	return an__wait_check();
}
