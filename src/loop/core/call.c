/* Calls without a task: soon, later, at a point in time. L1.
 *
 * A call that is to be made is in one place: on `soon`, or in the loop's wheel of timers.
 * A timer that is due puts its call on `soon`, behind what is there, and a turn makes the
 * calls that it found on it: what they add, also for a time that has come, waits for the
 * next turn, so that calls that follow each other cannot keep the loop from its tasks.
 *
 *	soon  <--due--  wheel       made --> spare, or idle when it has an owner
 *	any   --cancelled--> spare
 *
 * Calls live in chunks of a page, a call to a line of the cache: programs have very many,
 * and come to each of them when it has long been out of the cache. Which chunk a call is
 * of says its address. Only calls that are not kept as spare ones go back to their chunk,
 * so that who moves calls about touches no chunk.
 *
 * Invariants: every call is on `soon`, on `due` while a turn makes them, in the wheel,
 * idle (made but owned, or for never: on no list), on `spare`, or free in its chunk. All
 * but the last have room in the heap that is behind the wheel. All chunks are on
 * `chunks`, those with a free call first, and none is wholly free. The loop's end frees
 * the chunks, and so all calls.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

/* How many are kept: a limit that is lifted and set anew costs no allocation, and what a
 * burst leaves behind is 16 KiB of calls: in 6 chunks mostly, and in a chunk each, 1 MiB,
 * if it leaves in the most unfortunate order. */
#define SPARE 256

/* Short, because programs have very many: its lists go through the link of the timer,
 * which does not need it meanwhile, and whether somebody has the handle is told by the
 * timer's function. */
struct an_call {
	an__timer timer;
	void (*fn)(void *arg);
	void *arg;
};

#define CHUNK_SIZE 4096
#define CHUNK_CALLS 63

struct chunk {
	an_call calls[CHUNK_CALLS];
	an__list link;
	an__list *free; /* by next alone */
	unsigned used;
};

/* A word less than a page, which is libc's own between two blocks: pages then follow each
 * other. */
_Static_assert(sizeof(an_call) == 64 && sizeof(struct chunk) <= CHUNK_SIZE - 8,
	       "a chunk is a page");

static an__list *link_of(an_call *call)
{
	return &call->timer.node.link;
}

static an_call *call_of(an__list *link)
{
	return an__container(link, an_call, timer.node.link);
}

/* ---- chunks ------------------------------------------------------------------------ */

static struct chunk *chunk_of(an_call *call)
{
	char *p = (char *)call;

	return (struct chunk *)(void *)(p - (uintptr_t)p % CHUNK_SIZE);
}

static struct chunk *new_chunk(struct an__calls *calls)
{
	struct chunk *c = an__aligned(CHUNK_SIZE, CHUNK_SIZE - 8);

	if (!c)
		return NULL;
	c->used = 0;
	c->free = NULL;
	for (int i = CHUNK_CALLS - 1; i >= 0; i--) {
		link_of(&c->calls[i])->next = c->free;
		c->free = link_of(&c->calls[i]);
	}
	an__list_push_front(&calls->chunks, &c->link);
	return c;
}

/* A call that was never one, or NULL. */
static an_call *take_from_chunk(struct an__calls *calls)
{
	struct chunk *c = NULL;
	an__list *link;

	if (!an__list_empty(&calls->chunks))
		c = an__container(calls->chunks.next, struct chunk, link);
	if (!c || !c->free)
		c = new_chunk(calls);
	if (!c)
		return NULL;
	link = c->free;
	c->free = link->next;
	c->used++;
	if (!c->free) {
		an__list_remove(&c->link);
		an__list_push(&calls->chunks, &c->link);
	}
	return call_of(link);
}

static void give_to_chunk(struct an__calls *calls, an_call *call)
{
	struct chunk *c = chunk_of(call);

	if (--c->used == 0) {
		an__list_remove(&c->link);
		free(c);
		return;
	}
	if (!c->free) {
		an__list_remove(&c->link);
		an__list_push_front(&calls->chunks, &c->link);
	}
	link_of(call)->next = c->free;
	c->free = link_of(call);
}

/* ---- calls ------------------------------------------------------------------------- */

static void give_back(an_loop *loop, an_call *call)
{
	an__timer_done(&call->timer);
	give_to_chunk(&loop->calls, call);
}

static inline void keep(struct an__calls *calls, an_call *call)
{
	calls->spare_count++;
	link_of(call)->next = calls->spare;
	calls->spare = link_of(call);
}

/* It is on no list. */
static void release(an_loop *loop, an_call *call)
{
	if (loop->calls.spare_count < SPARE)
		keep(&loop->calls, call);
	else
		give_back(loop, call);
}

static void on_time(an__timer *timer)
{
	an_loop *loop = timer->loop;

	an__wheel_hold(&loop->timers, &timer->node, &loop->calls.soon);
}

static void on_time_owned(an__timer *timer)
{
	on_time(timer);
}

static an_call *new_call(an_loop *loop)
{
	an_call *call;

	if (an__wheel_reserve(&loop->timers) < 0)
		return NULL;
	call = take_from_chunk(&loop->calls);
	if (!call) {
		an__wheel_unreserve(&loop->timers);
		return NULL;
	}
	call->timer = (an__timer){ .loop = loop };
	return call;
}

/* `link` is calls->spare, and is not NULL. */
static inline an_call *take_spare(struct an__calls *calls, an__list *link)
{
	calls->spare_count--;
	calls->spare = link->next;
	return call_of(link);
}

static inline void fill(an_call *call, void (*fn)(void *arg), void *arg, an_call **ret)
{
	call->fn = fn;
	call->arg = arg;
	call->timer.fn = ret ? on_time_owned : on_time;
	if (ret)
		*ret = call;
}

static int get_call(void (*fn)(void *arg), void *arg, an_call **ret, an_call **ret_call)
{
	an_loop *loop = an__current_loop;
	an_call *call;

	if (!loop)
		return AN_ERR_NO_TASK;
	if (loop->calls.spare)
		call = take_spare(&loop->calls, loop->calls.spare);
	else
		call = new_call(loop);
	if (!call)
		return -ENOMEM;
	link_of(call)->next = NULL;
	fill(call, fn, arg, ret);
	*ret_call = call;
	return 0;
}

int an_call_soon(void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_call *call;
	an_loop *loop;
	int r = get_call(fn, arg, ret, &call);

	if (r < 0)
		return r;
	loop = call->timer.loop;
	an__wheel_hold(&loop->timers, &call->timer.node, &loop->calls.soon);
	/* The turn ends with the running task's next suspension. Outside of tasks a turn
	 * is to come, and a budget of 0 would tell it that none of the time since the
	 * last was spent waiting. */
	if (loop->current)
		loop->budget = 0;
	an__wake_attached(loop);
	return 0;
}

static __attribute__((noinline)) int call_at_slowly(an_duration when,
						    void (*fn)(void *arg), void *arg,
						    an_call **ret)
{
	an_call *call;
	int r = get_call(fn, arg, ret, &call);

	if (r < 0)
		return r;
	if (when != AN_FOREVER)
		an__timer_arm(&call->timer, when);
	else if (!ret) /* nobody will ever come back to it */
		release(call->timer.loop, call);
	return 0;
}

/* The usual case by itself, so that it needs neither calls nor registers of its caller's:
 * what it writes waits in a short queue behind calls that come from memory. */
int an_call_at(an_duration when, void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_loop *loop = an__current_loop;
	an__list *spare, *list;
	an_call *call;

	if (__builtin_expect(!loop || loop->attached || when == AN_FOREVER, 0))
		return call_at_slowly(when, fn, arg, ret);
	spare = loop->calls.spare;
	list = an__wheel_list(&loop->timers, when);
	if (!spare || !list)
		return call_at_slowly(when, fn, arg, ret);
	call = take_spare(&loop->calls, spare);
	fill(call, fn, arg, ret);
	an__wheel_hang(&loop->timers, list, &call->timer.node, when);
	return 0;
}

int an_call_later(an_duration delay, void (*fn)(void *arg), void *arg, an_call **ret)
{
	an_duration when = AN_FOREVER;

	if (delay != AN_FOREVER)
		when = an__duration_add(an_now(), delay > 0 ? delay : 0);
	return an_call_at(when, fn, arg, ret);
}

static __attribute__((noinline)) an_call *cancel_slowly(an_loop *loop, an_call *call)
{
	an__wheel_remove(&loop->timers, &call->timer.node);
	release(loop, call);
	return NULL;
}

/* In the wheel, or on `soon` or `due`; otherwise idle, or in the heap. */
an_call *an_call_cancel(an_call *call)
{
	/* Not by the call, which has been out of the cache for long: what is done to the
	 * loop need not wait for it. */
	an_loop *loop = an__current_loop;

	if (!call || !loop) /* it was the parent's, before a fork() */
		return NULL;
	if (__builtin_expect(loop->calls.spare_count >= SPARE || !link_of(call)->next, 0))
		return cancel_slowly(loop, call);
	an__wheel_unhang(&loop->timers, &call->timer.node);
	keep(&loop->calls, call);
	return NULL;
}

void an__calls_init(an_loop *loop)
{
	an__list_init(&loop->calls.soon);
	an__list_init(&loop->calls.due);
	an__list_init(&loop->calls.chunks);
}

/* A call may cancel those behind it, which are then no longer on `due`. */
void an__calls_run(an_loop *loop)
{
	struct an__calls *calls = &loop->calls;

	if (__builtin_expect(an__list_empty(&calls->soon), 1))
		return;
	an__list_splice(&calls->due, &calls->soon);
	while (loop == an__current_loop && !an__list_empty(&calls->due)) {
		an_call *call = call_of(calls->due.next);
		void (*fn)(void *arg) = call->fn;
		void *arg = call->arg;

		an__wheel_remove(&loop->timers, &call->timer.node);
		if (call->timer.fn == on_time)
			release(loop, call);
		fn(arg);
	}
}

static size_t length(const an__list *list)
{
	size_t n = 0;

	for (const an__list *l = list->next; l != list; l = l->next)
		n++;
	return n;
}

size_t an__calls_pending(const an_loop *loop)
{
	return length(&loop->calls.soon) + length(&loop->calls.due);
}

void an__calls_done(an_loop *loop)
{
	struct an__calls *calls = &loop->calls;
	an__list *link;
	an__timer *t;

	while ((t = an__first_timer(loop)))
		an__timer_disarm(t);
	while ((link = an__list_pop(&calls->chunks)))
		free(an__container(link, struct chunk, link));
	*calls = (struct an__calls){ 0 };
	an__calls_init(loop);
}
