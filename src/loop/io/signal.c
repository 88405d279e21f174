/* Signals for tasks. L3.
 *
 * A handler of our own counts the signal and writes to the eventfd of its watch; an event
 * on that wakes the tasks. libevent's signal events are not used: they serve one base of
 * a process.
 *
 * `slots` is the process's. A slot's watch_fd is set before the handler is installed, and
 * taken away after that was undone and before it is closed; `in_handler` then says
 * whether some thread may still write to it.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/signal.h>
#include <asyncnet/sync.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const an__wait_kind for_signal = { .what = "a signal" };

struct slot {
	_Atomic(unsigned) arrived; /* and not yet seen by the loop */
	_Atomic(int) watch_fd;	   /* valid while `taken`; -1 after that */
	bool taken;		   /* under slots_lock */
	bool installed;		   /* our handler, in the place of: */
	struct sigaction former;
};

static struct slot slots[NSIG];
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(unsigned) in_handler;

struct watched {
	int number;
	unsigned pending; /* seen by the loop, and not yet waited for */
};

struct an_signal_watch {
	an_loop *loop;
	struct event event;
	int fd;
	an__waiters waiters;
	bool has_interrupt, loop_had_interrupt;
	size_t count;
	struct watched set[];
};

/* ---- the handler ----------------------------------------------------------------- */

static void on_signal(int number)
{
	struct slot *slot = &slots[number];
	int saved = errno;
	uint64_t one = 1;

	atomic_fetch_add(&in_handler, 1);
	atomic_fetch_add(&slot->arrived, 1);
	/* The counter of an eventfd is full after 2^64 - 1: this cannot fail but for
	 * EINTR. */
	while (write(atomic_load(&slot->watch_fd), &one, sizeof one) < 0 &&
	       errno == EINTR)
		;
	atomic_fetch_sub(&in_handler, 1);
	errno = saved;
}

/* ---- on the loop ----------------------------------------------------------------- */

/* One signal that has been told of, or 0. */
static int take_pending(an_signal_watch *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct watched *s = &w->set[i];

		if (s->pending) {
			s->pending--;
			return s->number;
		}
	}
	return 0;
}

static void on_arrival(evutil_socket_t fd, short events, void *arg)
{
	an_signal_watch *w = arg;
	an__waiter *first;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof count) < 0)
		return;
	for (size_t i = 0; i < w->count; i++)
		w->set[i].pending += atomic_exchange(&slots[w->set[i].number].arrived, 0);
	while ((first = an__waiters_first(&w->waiters))) {
		int number = take_pending(w);

		if (!number)
			return;
		an__wake(first, number);
	}
}

int an_signal_wait(an_signal_watch *w)
{
	an__waiter waiter;
	int r = an__wait_check();

	if (r < 0)
		return r;
	r = an__waiters_empty(&w->waiters) ? take_pending(w) : 0;
	return r ? r : an__wait(&waiter, &w->waiters, &for_signal);
}

/* ---- made and closed ------------------------------------------------------------- */

static bool can_be_watched(int number)
{
	switch (number) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
		return false;
	default:
		return number > 0 && number < NSIG;
	}
}

/* Returns the number of signals, or -EINVAL. */
static int check_set(const int *signals)
{
	int n = 0;

	for (; signals && signals[n]; n++) {
		if (!can_be_watched(signals[n]))
			return -EINVAL;
		for (int i = 0; i < n; i++)
			if (signals[i] == signals[n])
				return -EINVAL;
	}
	return n ? n : -EINVAL;
}

/* All or none. */
static int take_slots(an_signal_watch *w)
{
	int r = 0;

	pthread_mutex_lock(&slots_lock);
	for (size_t i = 0; i < w->count; i++)
		if (slots[w->set[i].number].taken)
			r = -EBUSY;
	for (size_t i = 0; r == 0 && i < w->count; i++) {
		struct slot *slot = &slots[w->set[i].number];

		slot->taken = true;
		atomic_store(&slot->arrived, 0);
		atomic_store(&slot->watch_fd, w->fd);
	}
	pthread_mutex_unlock(&slots_lock);
	return r;
}

static int install(an_signal_watch *w)
{
	struct sigaction sa = { .sa_handler = on_signal,
				.sa_flags = SA_RESTART | SA_ONSTACK };

	sigfillset(&sa.sa_mask);
	for (size_t i = 0; i < w->count; i++) {
		int number = w->set[i].number;

		/* glibc keeps two real-time signals to itself. */
		if (sigaction(number, &sa, &slots[number].former) < 0)
			return -errno;
		slots[number].installed = true;
	}
	return 0;
}

static void restore_action(int number)
{
	struct slot *slot = &slots[number];

	if (slot->installed)
		sigaction(number, &slot->former, NULL);
	slot->installed = false;
}

static void uninstall(an_signal_watch *w)
{
	for (size_t i = 0; i < w->count; i++)
		restore_action(w->set[i].number);
	/* Another thread may be in the handler, with the descriptor in its hand, or about
	 * to enter it, and must find none then. */
	for (size_t i = 0; i < w->count; i++)
		atomic_store(&slots[w->set[i].number].watch_fd, -1);
	while (atomic_load(&in_handler))
		sched_yield();
	pthread_mutex_lock(&slots_lock);
	for (size_t i = 0; i < w->count; i++)
		slots[w->set[i].number].taken = false;
	pthread_mutex_unlock(&slots_lock);
}

/* In the child: the watches are the parent's, whose eventfds must not be written to. */
static void forked(void)
{
	pthread_mutex_init(&slots_lock, NULL);
	atomic_store(&in_handler, 0);
	for (int number = 1; number < NSIG; number++) {
		struct slot *slot = &slots[number];

		if (!slot->taken)
			continue;
		atomic_store(&slot->watch_fd, -1);
		restore_action(number);
		slot->taken = false;
	}
}

static an__fork_hook fork_hook = { .forked = forked };

static void stop(an_signal_watch *w)
{
	uninstall(w);
	if (w->has_interrupt)
		an__loop_handle_interrupt(w->loop, w->loop_had_interrupt);
}

/* The loop's own handling of SIGINT steps aside first, to be restored last. */
static int start(an_signal_watch *w)
{
	int r = take_slots(w);

	if (r < 0)
		return r;
	if (w->has_interrupt)
		w->loop_had_interrupt = an__loop_handle_interrupt(w->loop, false);
	r = install(w);
	if (r == 0 && event_add(&w->event, NULL) < 0)
		r = -ENOMEM;
	if (r < 0)
		stop(w);
	return r;
}

int an_signal_watch_new(const int *signals, an_signal_watch **ret)
{
	an_loop *loop = an_loop_current();
	int n = check_set(signals), r;
	an_signal_watch *w;

	if (!loop)
		return AN_ERR_NO_TASK;
	if (n < 0)
		return n;
	an__fork_hook_add(&fork_hook);
	w = an__calloc(1, sizeof *w + (size_t)n * sizeof w->set[0]);
	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->count = (size_t)n;
	for (int i = 0; i < n; i++) {
		w->set[i].number = signals[i];
		w->has_interrupt |= signals[i] == SIGINT;
	}
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = w->fd < 0 ? -errno : 0;
	if (r == 0) {
		event_assign(&w->event, an_loop_base(loop), w->fd, EV_READ | EV_PERSIST,
			     on_arrival, w);
		r = start(w);
	}
	if (r < 0) {
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

an_signal_watch *an_signal_watch_close(an_signal_watch *w)
{
	if (!w)
		return NULL;
	event_del(&w->event);
	stop(w);
	close(w->fd);
	an__wake_all(&w->waiters, AN_ERR_CLOSED);
	free(w);
	return NULL;
}
