/* The tree of tasks, written as text. L1; see inspect.h.
 *
 * May run in a signal handler that has interrupted anything on the loop's thread: it
 * reads what cannot be half-done, writes to nothing but its own fields, and looks for the
 * task that really runs on the stack below it, since a handler may come between the two
 * moments at which a switch changes loop->current and the stack. A task that another one
 * points to may be gone: whether it lives is told before it is looked at.
 */
#include "config.h"

#include "loop/core/loop-private.h"
#include "loop/core/frames.h"

#include <asyncnet/inspect.h>

#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 24 /* of the indentation */
#define CACHED 32    /* names of addresses: tasks are mostly parked at the same places */

struct dump {
	an_loop *loop;
	int fd;
	int error; /* of the first write that failed */
	an_duration now;
	an_task *running; /* whose stack this is on, or came from */
	unsigned depth;
	an__frames here, there;
	struct {
		const void *pc;
		an__symbol symbol;
	} names[CACHED];
	size_t length;
	char text[512];
};

/* ---- text -------------------------------------------------------------------------- */

static void flush(struct dump *d)
{
	const char *p = d->text;

	while (d->length && !d->error) {
		ssize_t n = write(d->fd, p, d->length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			d->error = -errno;
			break;
		}
		p += n;
		d->length -= (size_t)n;
	}
	d->length = 0;
}

static void put(struct dump *d, const char *text)
{
	for (; *text; text++) {
		if (d->length == sizeof d->text)
			flush(d);
		d->text[d->length++] = *text;
	}
}

static void put_number(struct dump *d, uint64_t n, unsigned base)
{
	char digits[24], *p = digits + sizeof digits - 1;

	*p = '\0';
	do
		*--p = "0123456789abcdef"[n % base];
	while (n /= base);
	put(d, p);
}

/* With one digit behind the point. */
static void put_time(struct dump *d, an_duration t)
{
	bool seconds = t >= AN_SECOND;
	an_duration unit = seconds ? AN_SECOND : AN_MILLISECOND;
	uint64_t tenths = t < 0 ? 0 : (uint64_t)(t / (unit / 10));

	put_number(d, tenths / 10, 10);
	put(d, ".");
	put_number(d, tenths % 10, 10);
	put(d, seconds ? " s" : " ms");
}

/* Several loops may write at once: short lines stay whole. */
static void begin_line(struct dump *d)
{
	if (d->length > sizeof d->text / 2)
		flush(d);
	put(d, "\n");
	for (unsigned i = 0; i < d->depth && i < DEPTH_MAX; i++)
		put(d, " |  ");
}

/* ---- places ------------------------------------------------------------------------ */

static const an__symbol *name_of(struct dump *d, const void *pc)
{
	size_t i = ((uintptr_t)pc >> 2) % CACHED;

	if (d->names[i].pc != pc) {
		d->names[i].pc = pc;
		d->names[i].symbol = an__symbol_at(pc);
	}
	return &d->names[i].symbol;
}

static void put_place(struct dump *d, const void *pc)
{
	const an__symbol *s = name_of(d, pc);

	if (s->function || s->file) {
		put(d, s->function ? s->function : s->file);
		put(d, "+0x");
		put_number(d, s->offset, 16);
	} else {
		put(d, "0x");
		put_number(d, (uintptr_t)pc, 16);
	}
}

static void put_frames(struct dump *d, const an__frames *f, size_t first)
{
	if (first >= f->count)
		return;
	begin_line(d);
	put(d, "    at ");
	for (size_t i = first; i < f->count; i++) {
		put(d, i > first ? ", " : "");
		put_place(d, f->at[i].pc);
	}
	put(d, f->more ? ", ..." : "");
}

/* A parked task is in functions of the library that have no name outside it, called by
 * one that has. */
static size_t first_named(struct dump *d, const an__frames *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (name_of(d, f->at[i].pc)->function)
			return i;
	return 0;
}

/* ---- tasks ------------------------------------------------------------------------- */

bool an__task_lives(const an_loop *loop, const an_task *task)
{
	const an__stack *stack = an__stack_at(loop->stacks, task);

	return stack && an__task_on(stack) == task && task->loop == loop &&
	       task->state < AN__TASK_DONE;
}

/* A stack pointer of a task with no stack used yet is at its struct. */
static an_task *task_at(const struct dump *d, const void *sp)
{
	const an__stack *stack = an__stack_at(d->loop->stacks, sp);
	an_task *task = stack ? an__task_on(stack) : NULL;

	return task && task->loop == d->loop ? task : NULL;
}

/* A waiter lies on its task's stack, and is woken before that is used any further. */
static void put_wait(struct dump *d, const an_task *task)
{
	const an__waiter *w = task->waiter;
	const an_task *whom;

	if (!w)
		return;
	put(d, ": ");
	put(d, w->kind->what);
	whom = w->kind->whom ? w->kind->whom(w) : NULL;
	if (!whom)
		return;
	put(d, ", depends on ");
	put(d, an__task_lives(d->loop, whom) ? an_task_name(whom)
					     : "a task that has ended");
}

static void put_state(struct dump *d, const an_task *task)
{
	if (task == d->running) {
		put(d, "running");
	} else if (task->state == AN__TASK_NEW) {
		put(d, "not begun");
	} else if (task->state == AN__TASK_PARKED) {
		put(d, "parked ");
		put_time(d, d->now - task->parked_at);
		put_wait(d, task);
	} else {
		put(d, "ready");
	}
	if (task->scope->seen)
		put(d, " (cancelled)");
}

static void put_backtrace(struct dump *d, const an_task *task)
{
	if (task == d->running) {
		put_frames(d, &d->here, 0);
	} else if (task->state != AN__TASK_NEW) {
		if (an__unwind_parked(&task->ctx, task->stack->low, task, &d->there)) {
			put_frames(d, &d->there, first_named(d, &d->there));
		} else {
			begin_line(d);
			put(d, "    (no backtrace)");
		}
	}
}

static void put_task(struct dump *d, const an_task *task)
{
	if (d->depth) {
		d->depth--;
		begin_line(d);
		d->depth++;
		put(d, " |- ");
	} else {
		begin_line(d);
	}
	put(d, an_task_name(task));
	put(d, "  ");
	put_state(d, task);
	begin_line(d);
	put(d, "    spawned at ");
	put_place(d, task->spawned_at);
	put_backtrace(d, task);
}

/* ---- the tree ---------------------------------------------------------------------- */

/* The parent of a task, or NULL: it is gone, or the task was not spawned by one. A task
 * that has the parent's memory after it is younger than the child. */
static an_task *parent_of(const struct dump *d, const an_task *task)
{
	an_task *parent = task->parent;

	return parent && an__task_lives(d->loop, parent) &&
			       parent->serial < task->serial
		       ? parent
		       : NULL;
}

/* Links each task to its children, oldest first. Returns the first without a parent. */
static an_task *make_tree(struct dump *d)
{
	const an__list *all = &d->loop->tasks;
	an_task *roots = NULL;

	for (an__list *i = all->next; i != all; i = i->next)
		an__container(i, an_task, all)->dump_child = NULL;
	for (an__list *i = all->prev; i != all; i = i->prev) {
		an_task *task = an__container(i, an_task, all);
		an_task *parent = parent_of(d, task);
		an_task **siblings = parent ? &parent->dump_child : &roots;

		if (task->state >= AN__TASK_DONE)
			continue;
		task->dump_sibling = *siblings;
		*siblings = task;
	}
	return roots;
}

/* A deep tree must not need a deep stack. */
static void put_tree(struct dump *d, an_task *task)
{
	while (task) {
		put_task(d, task);
		if (task->dump_child) {
			task = task->dump_child;
			d->depth++;
			continue;
		}
		while (task && !task->dump_sibling) {
			task = parent_of(d, task);
			d->depth -= task != NULL;
		}
		if (task)
			task = task->dump_sibling;
	}
}

static void find_running(struct dump *d)
{
	for (size_t i = 0; i < d->here.count && !d->running; i++)
		d->running = task_at(d, d->here.at[i].sp);
	/* The way there may lead through code that cannot be unwound. */
	if (!d->running)
		d->running = d->loop->current;
}

__attribute__((noinline)) int an_dump_tasks(int fd)
{
	struct dump d = { .loop = an__current_loop, .fd = fd };
	int saved = errno;

	if (!d.loop)
		return AN_ERR_NO_TASK;
	if (d.loop->dumping)
		return -EBUSY;
	d.loop->dumping = true;
	d.now = d.loop->opts.virtual_clock ? d.loop->now : an__clock_monotonic();
	an__unwind_here(__builtin_return_address(0), &d.here);
	find_running(&d);
	put_number(&d, d.loop->task_count, 10);
	put(&d, d.loop->task_count == 1 ? " task" : " tasks");
	if (!d.running || d.running->state >= AN__TASK_DONE)
		put_frames(&d, &d.here, 0);
	put_tree(&d, make_tree(&d));
	put(&d, "\n");
	flush(&d);
	d.loop->dumping = false;
	errno = saved;
	return d.error;
}
