/* The loop's one timer below its wheel of timers. L1.
 *
 * A timerfd, because libevent's own timers follow the coarse clock, which advances every
 * 4 ms on common kernels: a sleep of 1 ms would take 4. It is armed for the nearest
 * deadline, and only when that is earlier than what it is armed for: limits that are
 * opened and closed around quick calls cost no system call.
 *
 *	OFF ---arm---> a deadline / SOON ---fires---> OFF     (the timerfd is read)
 *	any --activate--> ACTIVE --libevent calls--> OFF      (attached; it is not read)
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <sys/timerfd.h>
#include <unistd.h>

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	an_loop *loop = arg;
	uint64_t count;

	(void)events;
	if (loop->tick_at != AN__TICK_ACTIVE && read(fd, &count, sizeof count) < 0 &&
	    errno != EAGAIN)
		return;
	loop->tick_at = AN__TICK_OFF;
	if (loop->attached && !loop->in_turn)
		an__loop_turn(loop);
}

int an__tick_init(an_loop *loop)
{
	loop->tick_at = AN__TICK_OFF;
	loop->tick_fd = -1;
	if (loop->opts.virtual_clock)
		return 0;
	loop->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->tick_fd < 0)
		return -errno;
	event_assign(&loop->tick, loop->base, loop->tick_fd, EV_READ | EV_PERSIST,
		     on_tick, loop);
	if (event_add(&loop->tick, NULL) < 0) {
		close(loop->tick_fd);
		loop->tick_fd = -1;
		return -ENOMEM;
	}
	loop->own_events++;
	return 0;
}

void an__tick_done(an_loop *loop)
{
	if (loop->tick_fd < 0)
		return;
	event_del(&loop->tick);
	close(loop->tick_fd);
}

/* An absolute time in the past fires at once; zero would disarm. */
static void set(an_loop *loop, an_duration at)
{
	struct itimerspec spec = { 0 };

	if (at < 1)
		at = 1;
	spec.it_value.tv_sec = at / AN_SECOND;
	spec.it_value.tv_nsec = at % AN_SECOND;
	timerfd_settime(loop->tick_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void an__tick_arm(an_loop *loop)
{
	an_duration next;

	if (an__any_ready(loop) || !an__list_empty(&loop->calls.soon)) {
		set(loop, 1);
		loop->tick_at = AN__TICK_SOON;
		return;
	}
	next = an__wheel_next(&loop->timers);
	if (next < loop->tick_at) {
		set(loop, next);
		loop->tick_at = next;
	}
}

void an__tick_activate(an_loop *loop)
{
	loop->tick_at = AN__TICK_ACTIVE;
	event_active(&loop->tick, EV_READ, 0);
}
