/* SIGINT: the first cancels the main task, the second ends the process. L1.
 *
 * A handler of our own, for one loop of the process. The kernel puts the default action
 * back before it calls the handler, so that the second SIGINT ends even a program whose
 * tasks never suspend. The handler writes to the loop's eventfd, and the loop, woken by
 * that, cancels.
 *
 *	free --handle--> taken --SIGINT--> arrived --loop looks--> free
 *	                 taken --give up--> free
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

static atomic_flag taken = ATOMIC_FLAG_INIT;
/* What the handler touches, on whatever thread: `fd` is set before it is installed, and
 * taken away after that was undone; `in_handler` says whether somebody may still write
 * to it. */
static atomic_int fd = -1;
static atomic_bool arrived;
static atomic_uint in_handler;

static void on_interrupt(int number)
{
	int saved = errno, to;
	uint64_t one = 1;

	(void)number;
	atomic_fetch_add(&in_handler, 1);
	atomic_store(&arrived, true);
	to = atomic_load(&fd);
	while (to >= 0 && write(to, &one, sizeof one) < 0 && errno == EINTR)
		;
	atomic_fetch_sub(&in_handler, 1);
	errno = saved;
}

static bool install(an_loop *loop)
{
	struct sigaction old, mine = { .sa_handler = on_interrupt };

	mine.sa_flags = (int)(SA_RESTART | SA_ONSTACK | SA_RESETHAND);
	sigemptyset(&mine.sa_mask);
	if (sigaction(SIGINT, NULL, &old) < 0 || (old.sa_flags & SA_SIGINFO) ||
	    old.sa_handler != SIG_DFL)
		return false;
	if (atomic_flag_test_and_set(&taken))
		return false;
	atomic_store(&arrived, false);
	atomic_store(&fd, loop->post_fd);
	if (sigaction(SIGINT, &mine, NULL) == 0)
		return true;
	atomic_store(&fd, -1);
	atomic_flag_clear(&taken);
	return false;
}

/* Somebody else's handler, put above ours meanwhile, stays. */
static void restore_action(void)
{
	struct sigaction now, none = { .sa_handler = SIG_DFL };

	if (sigaction(SIGINT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
	    now.sa_handler == on_interrupt)
		sigaction(SIGINT, &none, NULL);
}

static void uninstall(void)
{
	restore_action();
	atomic_store(&fd, -1);
	while (atomic_load(&in_handler))
		sched_yield();
	atomic_flag_clear(&taken);
}

bool an__loop_handle_interrupt(an_loop *loop, bool handle)
{
	bool before = loop->handles_interrupt;

	if (handle && !before)
		loop->handles_interrupt = install(loop);
	if (!handle && before) {
		loop->handles_interrupt = false;
		uninstall();
	}
	return before;
}

bool an__interrupt_pending(const an_loop *loop)
{
	return loop->handles_interrupt && atomic_load(&arrived);
}

void an__interrupt_look(an_loop *loop)
{
	if (!an__interrupt_pending(loop))
		return;
	an__loop_handle_interrupt(loop, false);
	an_cancel(loop->main_task);
}

/* The parent's eventfd must not be written to, and SIGINT does in the child what it does
 * without a loop. */
void an__interrupt_forked(void)
{
	atomic_store(&fd, -1);
	atomic_store(&in_handler, 0);
	restore_action();
	atomic_flag_clear(&taken);
}
