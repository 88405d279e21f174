/* Messages to the loop's thread from others. L1.
 *
 * A lock-free stack that senders push to and the loop takes whole and turns round, so
 * that messages of one sender arrive in order. An eventfd wakes the loop; only the sender
 * that finds the stack empty writes to it. The loop may have found the message before
 * that, when something else woke it, and come to its end: `senders` counts those whom its
 * memory and its eventfd have to wait for, a moment. `holds` keeps the loop alive while
 * someone will still send; `expecting` counts tasks to which someone may.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct call {
	an__post_node node;
	void (*fn)(void *arg);
	void *arg;
};

static void on_eventfd(evutil_socket_t fd, short events, void *arg)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
		return;
	an__interrupt_look(arg);
	an__post_run(arg);
}

int an__post_init(an_loop *loop)
{
	loop->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->post_fd < 0)
		return -errno;
	event_assign(&loop->post_event, loop->base, loop->post_fd, EV_READ | EV_PERSIST,
		     on_eventfd, loop);
	if (event_add(&loop->post_event, NULL) < 0) {
		close(loop->post_fd);
		return -ENOMEM;
	}
	loop->own_events++;
	return 0;
}

void an__post_done(an_loop *loop)
{
	an__post_run(loop);
	while (atomic_load_explicit(&loop->senders, memory_order_acquire))
		sched_yield();
	event_del(&loop->post_event);
	close(loop->post_fd);
}

/* The counter cannot overflow: it is written once for each time the stack is emptied.
 * pthread_cancel() would end a thread in the write, and nobody would hear of what it
 * sent. */
static void tell_loop(an_loop *loop)
{
	uint64_t one = 1;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (write(loop->post_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
	pthread_setcancelstate(state, NULL);
}

void an__loop_post(an_loop *loop, an__post_node *node)
{
	an__post_node *top = atomic_load_explicit(&loop->posts, memory_order_relaxed);

	/* Before the message, which may be the last that the loop waits for. */
	atomic_fetch_add_explicit(&loop->senders, 1, memory_order_relaxed);
	do
		node->next = top;
	while (!atomic_compare_exchange_weak_explicit(&loop->posts, &top, node,
						      memory_order_release,
						      memory_order_relaxed));
	if (!top)
		tell_loop(loop);
	atomic_fetch_sub_explicit(&loop->senders, 1, memory_order_release);
}

/* Behind those that were taken before and have not run yet. */
static void take(an_loop *loop)
{
	an__post_node *n, *next, *oldest = NULL, **end = &loop->taken;

	n = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire);
	for (; n; n = next) {
		next = n->next;
		n->next = oldest;
		oldest = n;
	}
	while (*end)
		end = &(*end)->next;
	*end = oldest;
}

/* A message may detach the loop, whose end then runs those behind it. */
void an__post_run(an_loop *loop)
{
	an__post_node *n;

	take(loop);
	while (loop == an__current_loop && (n = loop->taken)) {
		loop->taken = n->next;
		n->fn(n);
	}
}

static void run_call(an__post_node *node)
{
	struct call *call = an__container(node, struct call, node);

	call->fn(call->arg);
	free(call);
}

int an_post(an_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call *call;

	if (atomic_load(&loop->closed))
		return AN_ERR_CLOSED;
	call = an__malloc(sizeof *call);
	if (!call)
		return -ENOMEM;
	*call = (struct call){ .node.fn = run_call, .fn = fn, .arg = arg };
	an__loop_post(loop, &call->node);
	return 0;
}

void an__loop_hold(an_loop *loop)
{
	loop->holds++;
}

void an__loop_release(an_loop *loop)
{
	loop->holds--;
}

void an__loop_expect(an_loop *loop)
{
	loop->expecting++;
}

void an__loop_expect_no_more(an_loop *loop)
{
	loop->expecting--;
}
