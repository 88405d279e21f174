/* What becomes of a loop in the child of a fork(). L1.
 *
 * The child has the parent's memory, and shares its descriptors: an epoll, a timerfd and
 * an eventfd that both would arm, read and take from. So the thread that forked has no
 * loop any more in the child, by a handler that libc calls there; nothing of the parent's
 * loop is run. Wherever the child returns to, be it from a task or from a callback, it
 * comes out of an_run() or of the caller's dispatch without having touched anything.
 *
 * What the parent's tasks own is left alone, as is the heap: the child may stand on the
 * stack of one of them.
 *
 *	parent's loop --fork()--> orphan --an_after_fork_child()--> closed, forgotten
 */
#include "config.h"

#include "loop/core/loop-private.h"
#include "loop/core/trace.h"

#include <pthread.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list's head */
static an__fork_hook *hooks;
static an_loop *orphan; /* of the one thread that the child began with */

/* Nothing of it is ready, due or to be done at the end of a turn; the task that forked
 * ends, if it returns, without anybody's hearing of it. */
static void disown(an_loop *loop)
{
	an_task *task = loop->current ? loop->current : loop->finishing;

	an__ready_clear(loop);
	loop->budget = 0;
	an__list_init(&loop->turn_hooks);
	event_base_loopbreak(loop->base);
	if (!task)
		return;
	task->watches = NULL;
	task->group = NULL;
	task->locals = NULL;
	task->joiner = (an__waiters){ 0 };
	task->scope = &task->root;
	task->detached = false;
}

static void forked(void)
{
	pthread_mutex_init(&lock, NULL);
	an__trace_forked();
	an__interrupt_forked();
	an__overflow_forked();
	an__dump_signal_forked();
	for (an__fork_hook *h = hooks; h; h = h->next)
		h->forked();
	if (!an__current_loop)
		return;
	disown(an__current_loop);
	orphan = an__current_loop;
	an__current_loop = NULL;
}

static void init(void)
{
	pthread_atfork(NULL, NULL, forked);
}

void an__fork_init(void)
{
	pthread_once(&once, init);
}

void an__fork_hook_add(an__fork_hook *hook)
{
	pthread_mutex_lock(&lock);
	if (!hook->added) {
		hook->added = true;
		hook->next = hooks;
		hooks = hook;
	}
	pthread_mutex_unlock(&lock);
}

bool an__fork_pending(void)
{
	return orphan;
}

/* First the base gets an epoll of the child's own, which libevent puts into the place of
 * the shared one without a word to that; only then may events leave the base. A base in
 * whose dispatch the child stands cannot be freed, one of the caller's is not ours. */
void an_after_fork_child(void)
{
	an_loop *loop = orphan;

	if (!loop)
		return;
	orphan = NULL;
	event_reinit(loop->base);
	event_del(&loop->post_event);
	close(loop->post_fd);
	loop->post_fd = -1;
	an__tick_done(loop);
	loop->tick_fd = -1;
	an__stack_overflow_leave();
	if (!loop->attached && !loop->running)
		event_base_free(loop->base);
}
