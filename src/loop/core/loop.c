/* The loop: sole owner of the event_base and of the run queue. L1.
 *
 * A turn:   clock -> timers that are due -> calls that are due -> ready tasks, at most
 *           BUDGET resumptions -> end-of-turn hooks; then a poll: libevent, waiting
 *           only when nothing is ready
 *
 * Invariants: a READY or NEW task is on the ready queue exactly once, unless it is
 * `current`, which is NULL on main_ctx; libevent's callbacks run on main_ctx, outside a
 * turn's task part.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"
#include "loop/core/frames.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How many resumptions may pass before descriptors are looked at again: at some 10 ns
 * each the look (190 ns) costs a few percent, and a descriptor waits microseconds. Where
 * the tasks compute for longer between their suspensions, a turn gets fewer, so that it
 * takes about TURN. */
#define BUDGET 256
#define FIRST_BUDGET 16
#define TURN AN_MILLISECOND

/* Ended tasks that are kept with their stacks: 1024 cost a page each, 4 MiB. */
#define SPARE_MAX 1024

/* May say no where it has. */
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define PROCESS_HAS_ONE_THREAD (__libc_single_threaded != 0)
#else
#define PROCESS_HAS_ONE_THREAD false
#endif

/* EVLOOP_NONBLOCK alone goes on for as long as a level-triggered event is active, which
 * it is until the woken task has read. */
#define LOOK_ONCE (EVLOOP_ONCE | EVLOOP_NONBLOCK)

__thread an_loop *an__current_loop;

/* ---- scheduling -------------------------------------------------------------------- */

/* Only a turn that used its budget up was followed by the next without a wait, so that
 * the time between the two is the turn's. */
static void set_budget(an_loop *loop)
{
	an_duration took = loop->now - loop->turn_began;

	if (!loop->allowance) {
		loop->allowance = FIRST_BUDGET;
	} else if (!loop->budget && took > TURN) {
		loop->allowance = (unsigned)(loop->allowance * TURN / took);
		if (!loop->allowance)
			loop->allowance = 1;
	} else if (!loop->budget && loop->allowance < BUDGET) {
		loop->allowance *= 2;
		if (loop->allowance > BUDGET)
			loop->allowance = BUDGET;
	}
	loop->budget = loop->allowance;
	loop->turn_began = loop->now;
}

/* From main_ctx into a task, until main_ctx has its turn again. */
static void enter(an_loop *loop, an_task *next)
{
	loop->current = next;
	an__stack_switch_begin(&loop->main_fake_stack, next->stack->low,
			       an__stack_size(next->stack));
	an__ctx_switch(&loop->main_ctx, &next->ctx);
	an__stack_switch_end(loop->main_fake_stack, NULL, NULL);
}

static void free_dead(an_loop *loop)
{
	an_task *task;

	while ((task = loop->dead)) {
		loop->dead = task->next_ready;
		an__task_release(task);
	}
}

static an_task *take_step(an_loop *loop)
{
	if (loop->opts.seed)
		return an__order_take(loop);
	return loop->ready.first ? an__ready_pop(&loop->ready) : NULL;
}

/* A task that suspends with no budget left comes back to main_ctx. (Only an eager child
 * goes straight on to its parent, which brought the budget for that.) */
static void run_steps(an_loop *loop)
{
	unsigned left = loop->budget;
	an_task *next;

	loop->budget = 0;
	while (left && (next = take_step(loop))) {
		left--;
		loop->figures.switches++;
		if (loop->opts.debug)
			an__debug_step(loop, next, enter);
		else
			enter(loop, next);
		if (loop->step_hook)
			loop->step_hook(loop->step_hook_arg);
	}
	loop->budget = left;
}

static void run_ready(an_loop *loop)
{
	an_task *next;

	set_budget(loop);
	if (loop->stepping) {
		run_steps(loop);
	} else {
		while ((next = an__next_ready(loop)))
			enter(loop, next);
		loop->figures.switches += (uint64_t)loop->allowance - loop->budget;
	}
	free_dead(loop);
}

/* ---- time -------------------------------------------------------------------------- */

an_duration an_now(void)
{
	an_loop *loop = an__current_loop;

	if (!loop)
		return an__clock_monotonic();
	/* Callbacks of libevent may come after a long wait. */
	if (!loop->in_turn && !loop->opts.virtual_clock)
		loop->now = an__clock_monotonic();
	return loop->now;
}

an_duration an_now_update(void)
{
	an_loop *loop = an__current_loop;

	if (!loop)
		return an__clock_monotonic();
	if (!loop->opts.virtual_clock)
		loop->now = an__clock_monotonic();
	return loop->now;
}

int an__timer_init(an__timer *t, an_loop *loop, void (*fn)(an__timer *))
{
	t->node = (an__wheel_node){ 0 };
	t->loop = loop;
	t->fn = fn;
	return an__wheel_reserve(&loop->timers);
}

void an__timer_arm(an__timer *t, an_duration deadline)
{
	an__wheel_set(&t->loop->timers, &t->node, deadline);
	an__wake_attached(t->loop);
}

void an__timer_disarm(an__timer *t)
{
	an__wheel_remove(&t->loop->timers, &t->node);
}

void an__timer_done(an__timer *t)
{
	an__timer_disarm(t);
	an__wheel_unreserve(&t->loop->timers);
}

an__timer *an__first_timer(an_loop *loop)
{
	an__wheel_node *n = an__wheel_first(&loop->timers);

	return n ? an__container(n, an__timer, node) : NULL;
}

static void fire_timers(an_loop *loop)
{
	an__wheel_node *n;

	while (loop == an__current_loop &&
	       (n = an__wheel_due(&loop->timers, loop->now))) {
		an__timer *t = an__container(n, an__timer, node);

		an__timer_disarm(t);
		t->fn(t);
	}
}

/* A task's timer may be armed for earlier than the task needs; a clock that jumps must
 * not stop there.
 * Returns whether any timer is left. */
static bool settle_first_timer(an_loop *loop)
{
	an__timer *t;

	while ((t = an__first_timer(loop)) && t->fn == an__task_timer_fired) {
		an_task *task = an__container(t, an_task, timer);
		an_duration wanted = task->state == AN__TASK_PARKED
					     ? an__wait_deadline(task)
					     : AN_FOREVER;

		if (wanted == an__wheel_deadline(&t->node))
			return true;
		an__timer_disarm(t);
		if (wanted != AN_FOREVER)
			an__timer_arm(t, wanted);
	}
	return t != NULL;
}

/* ---- the turn ---------------------------------------------------------------------- */

void an__loop_at_turn_end(an_loop *loop, an__turn_hook *hook)
{
	if (!an__list_empty(&hook->node))
		return;
	an__list_push(&loop->turn_hooks, &hook->node);
	an__wake_attached(loop);
}

static void run_turn_hooks(an_loop *loop)
{
	an__list *node;

	while (loop == an__current_loop && (node = an__list_pop(&loop->turn_hooks))) {
		an__turn_hook *hook = an__container(node, an__turn_hook, node);

		hook->fn(hook);
	}
}

static bool work_pending(const an_loop *loop)
{
	return an__any_ready(loop) || !an__list_empty(&loop->calls.soon) ||
	       !an__list_empty(&loop->turn_hooks);
}

/* What the world outside may wake tasks by, now or later. */
static int foreign_events(const an_loop *loop)
{
	return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ADDED) -
	       loop->own_events + loop->expecting;
}

/* Whether a timer makes something happen: any but the one of run.c that complains. No
 * call waits for the next turn. */
static bool armed(const an_loop *loop)
{
	return an__wheel_count(&loop->timers) > an__wheel_has(&loop->patience.node);
}

/* On the real clock others may still come with something: another thread with an_post(),
 * of which libc knows whether there ever was one, or somebody with a SIGINT. */
static bool alone(const an_loop *loop)
{
	return loop->opts.virtual_clock ||
	       (PROCESS_HAS_ONE_THREAD && !loop->handles_interrupt);
}

bool an__loop_stuck(an_loop *loop)
{
	return !work_pending(loop) && !loop->holds && !armed(loop) && alone(loop) &&
	       an__waiters_empty(&loop->settling) && foreign_events(loop) <= 0 &&
	       !an__interrupt_pending(loop) &&
	       !atomic_load_explicit(&loop->posts, memory_order_relaxed) &&
	       !event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE);
}

static void jump(an_loop *loop, an_duration to)
{
	if (to > loop->now)
		loop->now = to;
}

/* How often descriptors are looked at before the clock jumps, with real pauses between,
 * some 0.6 ms in all: what tasks of this loop send each other may still be on its way in
 * the kernel, or in libevent's hands. Without descriptors one look is enough. */
#define VIRTUAL_LOOKS 5

/* Descriptors first; when they have nothing, work of other threads; then those who wait
 * for just that; then the clock jumps. */
static void poll_virtual(an_loop *loop)
{
	struct timespec pause = { 0, 40 * 1000 };

	for (int looks = 1;; looks++) {
		event_base_loop(loop->base, LOOK_ONCE);
		if (work_pending(loop) || loop != an__current_loop)
			return;
		if (looks == VIRTUAL_LOOKS || foreign_events(loop) <= 0)
			break;
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
	}
	if (loop->holds)
		event_base_loop(loop->base, EVLOOP_ONCE);
	else if (!an__waiters_empty(&loop->settling))
		an__wake_all(&loop->settling, 0);
	else if (settle_first_timer(loop) && armed(loop))
		jump(loop, an__wheel_deadline(&an__first_timer(loop)->node));
	else if (foreign_events(loop) > 0)
		event_base_loop(loop->base, EVLOOP_ONCE);
}

/* After a turn, if descriptors are waited for. When there is work, they are looked at and
 * the next turn follows at once, whose look at the clock is enough. A clock that jumps
 * knows no lag. */
static void end_lag(an_loop *loop)
{
	struct an__figures *f = &loop->figures;

	if (loop->opts.virtual_clock)
		return;
	f->lagging = work_pending(loop);
	if (!f->lagging)
		an__count_lag(loop, an__clock_monotonic() - f->looked_at);
}

static void begin_lag(an_loop *loop)
{
	struct an__figures *f = &loop->figures;

	f->turns++;
	if (f->lagging)
		an__count_lag(loop, loop->now - f->looked_at);
	f->lagging = false;
	f->looked_at = loop->now;
}

void an__loop_poll(an_loop *loop)
{
	end_lag(loop);
	if (work_pending(loop)) {
		event_base_loop(loop->base, LOOK_ONCE);
	} else if (loop->opts.virtual_clock) {
		poll_virtual(loop);
	} else {
		an__tick_arm(loop);
		event_base_loop(loop->base, EVLOOP_ONCE);
	}
}

/* A callback may fork: in the child the loop is not the thread's any more, and each part
 * of the turn leaves off (fork.c). */
void an__loop_turn(an_loop *loop)
{
	if (!loop->opts.virtual_clock)
		loop->now = an__clock_monotonic();
	begin_lag(loop);
	loop->in_turn = true;
	fire_timers(loop);
	an__calls_run(loop);
	if (loop == an__current_loop)
		run_ready(loop);
	run_turn_hooks(loop);
	loop->in_turn = false;
	if (loop->attached && loop == an__current_loop) {
		an__tick_arm(loop);
		end_lag(loop);
	}
}

/* ---- made and freed ---------------------------------------------------------------- */

static size_t describe_overflow(const void *address, char *buf, size_t cap)
{
	static const char intro[] = "libasyncnet: stack overflow in task ";
	an_task *task = an_current();
	const char *name;
	size_t length;

	if (!task || !an__stack_is_guard(task->stack, address))
		return 0;
	name = an_task_name(task);
	length = strlen(name);
	if (sizeof intro + length >= cap)
		return 0;
	memcpy(buf, intro, sizeof intro - 1);
	memcpy(buf + sizeof intro - 1, name, length);
	buf[sizeof intro - 1 + length] = '\n';
	return sizeof intro + length;
}

int an__loop_new(struct event_base *base, const an_loop_opts *opts, an_loop **ret)
{
	an_loop *loop = an__calloc(1, sizeof *loop);
	int r = -ENOMEM;

	if (!loop)
		return -ENOMEM;
	if (opts)
		loop->opts = *opts;
	if (!loop->opts.stack_size)
		loop->opts.stack_size = 64 * 1024;
	an__unwind_init();
	an__debug_init(loop);
	loop->stepping = loop->opts.debug || loop->opts.seed;
	an__order_init(loop);
	loop->base = base;
	loop->spare_max = an__stack_tools_watch() ? 0 : SPARE_MAX;
	loop->ready.end = &loop->ready.first;
	an__list_init(&loop->tasks);
	an__list_init(&loop->turn_hooks);
	an__calls_init(loop);
	loop->now = loop->opts.virtual_clock ? 0 : an__clock_monotonic();
	r = an__stack_pool_new(loop->opts.stack_size, &loop->stacks);
	if (r < 0)
		goto fail;
	r = an__post_init(loop);
	if (r < 0)
		goto fail;
	r = an__tick_init(loop);
	if (r < 0)
		goto fail_post;
	r = an__stack_overflow_enter(describe_overflow);
	if (r < 0)
		goto fail_tick;
	r = an__idle_init(loop);
	if (r < 0)
		goto fail_overflow;
	r = an__timer_init(&loop->patience, loop, NULL);
	if (r < 0)
		goto fail_idle;
	r = an__dump_signal_enter(loop);
	if (r < 0)
		goto fail_patience;
	an__fork_init();
	an__current_loop = loop;
	*ret = loop;
	return 0;

fail_patience:
	an__timer_done(&loop->patience);
fail_idle:
	an__idle_done(loop);
	an__wheel_done(&loop->timers);
fail_overflow:
	an__stack_overflow_leave();
fail_tick:
	an__tick_done(loop);
fail_post:
	an__post_done(loop);
fail:
	an__stack_pool_free(loop->stacks);
	free(loop);
	return r;
}

static void destroy_locals(an_loop *loop)
{
	for (int i = AN__LOCAL_COUNT - 1; i >= 0; i--) {
		struct an__local local = loop->locals[i];

		loop->locals[i] = (struct an__local){ 0 };
		if (local.destroy)
			local.destroy(local.value);
	}
}

void an__loop_free(an_loop *loop)
{
	destroy_locals(loop);
	run_turn_hooks(loop);
	an__tasks_free_left(loop);
	an__tasks_free_spare(loop);
	an__loop_handle_interrupt(loop, false);
	an__post_done(loop);
	an__tick_done(loop);
	an__dump_signal_leave(loop);
	an__stack_overflow_leave();
	an__idle_done(loop);
	an__stack_pool_free(loop->stacks);
	an__calls_done(loop);
	an__timer_done(&loop->patience);
	an__wheel_done(&loop->timers);
	an__order_done(loop);
	an__current_loop = NULL;
	free(loop);
}

/* ---- what others may know ---------------------------------------------------------- */

an_loop *an_loop_current(void)
{
	return an__current_loop;
}

struct event_base *an_loop_base(an_loop *loop)
{
	return loop->base;
}

size_t an_loop_task_count(const an_loop *loop)
{
	return loop->task_count;
}

void *an__loop_local(an_loop *loop, enum an__loop_local slot)
{
	return loop->locals[slot].value;
}

void an__loop_set_local(an_loop *loop, enum an__loop_local slot, void *value,
			void (*destroy)(void *value))
{
	loop->locals[slot] = (struct an__local){ value, destroy };
}

const an_loop_opts *an__loop_opts(const an_loop *loop)
{
	return &loop->opts;
}
