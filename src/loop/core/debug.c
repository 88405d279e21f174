/* Debug mode: steps that take too long, runs that nothing can wake, scopes that are not
 * ended as they were begun. L1; see inspect.h.
 *
 * A loop in debug mode is `stepping`: each step of a task begins and ends on main_ctx,
 * where the clock is read around it. Other loops pay nothing.
 */
#include "config.h"

#include "loop/core/frames.h"
#include "loop/core/loop-private.h"
#include "loop/core/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_STEP (100 * AN_MILLISECOND)

void an__debug_init(an_loop *loop)
{
	const char *wish = getenv("AN_DEBUG");

	if (wish && wish[0] && strcmp(wish, "0") != 0)
		loop->opts.debug = true;
	if (loop->opts.slow_step <= 0)
		loop->opts.slow_step = SLOW_STEP;
}

/* ---- who --------------------------------------------------------------------------- */

/* "NAME, spawned at FUNCTION+0xOFFSET". */
struct who {
	char text[160];
};

static struct who who(const an_task *task)
{
	an__symbol at = an__symbol_at(task->spawned_at);
	const char *place = at.function ? at.function : at.file;
	struct who w;

	if (place)
		snprintf(w.text, sizeof w.text, "%s, spawned at %.80s+%#zx",
			 an_task_name(task), place, at.offset);
	else
		snprintf(w.text, sizeof w.text, "%s, spawned at %p", an_task_name(task),
			 task->spawned_at);
	return w;
}

/* ---- slow steps -------------------------------------------------------------------- */

/* The task may be gone after its step, and its name, which it may not have needed so far,
 * is made before. The step of an eager child is its parent's, too. The clock is the real
 * one also where the loop's is not. */
void an__debug_step(an_loop *loop, an_task *task, void (*enter)(an_loop *, an_task *))
{
	an_task before = { .spawned_at = task->spawned_at, .named = true };
	an_duration began, took;

	memcpy(before.name, an_task_name(task), sizeof before.name);
	began = an__clock_monotonic();
	enter(loop, task);
	took = an__clock_monotonic() - began;
	if (took >= loop->opts.slow_step)
		an__trace_message(AN_LOG_WARN, "task %s, held the loop up for %.1f ms",
				  who(&before).text,
				  (double)took / (double)AN_MILLISECOND);
}

/* ---- runs that are stuck ----------------------------------------------------------- */

/* Who ended holding a lock is still its owner. */
static const char *name_if_alive(const an_task *task, const an_loop *loop)
{
	return an__task_lives(loop, task) ? an_task_name(task) : "a task that has ended";
}

static void report_stuck(const an_task *task)
{
	const an__waiter *w = task->waiter;
	const an_task *whom = w->kind->whom ? w->kind->whom(w) : NULL;

	an__trace_message(AN_LOG_WARN, "nothing can wake task %s; it waits for %s%s%s",
			  who(task).text, w->kind->what,
			  whom ? ", which depends on " : "",
			  !whom ? "" : name_if_alive(whom, task->loop));
}

void an__debug_stuck(an_loop *loop)
{
	if (!loop->opts.debug)
		return;
	for (an__list *i = loop->tasks.next; i != &loop->tasks; i = i->next) {
		an_task *task = an__container(i, an_task, all);

		if (task->state == AN__TASK_PARKED && task->waiter)
			report_stuck(task);
	}
}

/* ---- scopes ------------------------------------------------------------------------ */

/* Of a task that has returned they lie in frames that are gone, though nothing has been
 * there since: what is not as it must be is not believed. */
static const struct an__scope *believed(const an_task *task, const struct an__scope *s)
{
	bool on_stack = (const char *)s >= task->stack->low &&
			(const char *)s < (const char *)task;

	return on_stack && s->task == task && s->kind <= AN__SCOPE_SHIELD ? s : NULL;
}

static const char *const kinds[] = {
	[AN__SCOPE_ROOT] = "root",   [AN__SCOPE_TIMEOUT] = "timeout",
	[AN__SCOPE_GROUP] = "group", [AN__SCOPE_SHIELD] = "shield",
	[AN__SCOPE_CLOSED] = "?",
};

/* Those that are open inside `outer`, innermost first. */
static void list_scopes(const an_task *task, const struct an__scope *outer, char *text,
			size_t room)
{
	const struct an__scope *s = task->scope;
	size_t length = 0;

	while (s && s != outer && length < room) {
		s = believed(task, s);
		length += (size_t)snprintf(text + length, room - length, "%s%s",
					   length ? ", " : "", s ? kinds[s->kind] : "?");
		s = s ? s->outer : NULL;
	}
}

void an__debug_scopes(const an_task *task, const struct an__scope *ended)
{
	char open[120] = "";

	if (!task->loop->opts.debug)
		return;
	list_scopes(task, ended ? ended : &task->root, open, sizeof open);
	if (ended)
		an__trace_message(AN_LOG_FATAL,
				  "task %s, ends a %s while scopes inside it are open: "
				  "%s",
				  who(task).text, kinds[ended->kind], open);
	else
		an__trace_message(AN_LOG_FATAL,
				  "task %s, returned with scopes open: %s",
				  who(task).text, open);
	abort();
}
