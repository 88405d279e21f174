/* The life of a child: its end, its reaping, signals. L3.
 *
 * A descriptor that becomes readable at the child's end (a pidfd, or a stand-in for one,
 * see process-start.c) is watched by the loop, which reaps the child there and then: a
 * child that has not been reaped has its number to itself, so what is sent to it before
 * cannot hit another. The leader of a group stays a zombie until it is closed: what it
 * has left behind may end at any time, and another group could get its number.
 *
 * Invariants: each child that has not been reaped is on its loop's list and has its
 * descriptor, and as long as it has not ended its event is added; `closed` are those
 * whose owner has left, which free themselves when they have ended and no task is in a
 * call. The end of the loop ends them all, and blocks for it.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/clock.h"
#include "loop/io/process-private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE (5 * AN_SECOND)

static const an__wait_kind for_end = { .what = "a child process to end" };

struct children {
	an__list all;
};

/* ---- its state in the kernel ------------------------------------------------------- */

/* As waitid(2), without blocking. */
static int ask_kernel(const an_process *p, int flags, siginfo_t *ret)
{
	int r = -1;

	flags |= WEXITED | WNOHANG;
	*ret = (siginfo_t){ 0 };
	/* Only Linux 5.3 has pidfds that cannot be waited for. */
	errno = EINVAL;
#ifdef SYS_pidfd_open
	if (p->pidfd)
		r = waitid(P_PIDFD, (id_t)p->watch, ret, flags);
#endif
	if (r < 0 && errno == EINVAL)
		r = waitid(P_PID, (id_t)p->pid, ret, flags);
	return r;
}

/* ---- signals ----------------------------------------------------------------------- */

/* Where others have reaped the leader of a group, its number may be somebody else's. */
static int send_to_group(const an_process *p, int signal)
{
	siginfo_t info;

	if (ask_kernel(p, WNOWAIT, &info) == 0)
		return kill(-p->pid, signal);
	errno = ESRCH;
	return -1;
}

static int send_signal(const an_process *p, int signal)
{
	if (p->own_group)
		return send_to_group(p, signal);
#ifdef SYS_pidfd_send_signal
	if (p->pidfd)
		return (int)syscall(SYS_pidfd_send_signal, p->watch, signal, NULL, 0);
#endif
	return kill(p->pid, signal);
}

int an_process_signal(an_process *p, int signal)
{
	if (p->watch < 0)
		return -ESRCH;
	return send_signal(p, signal) < 0 ? -errno : 0;
}

int an_process_terminate(an_process *p)
{
	return an_process_signal(p, SIGTERM);
}

int an_process_kill(an_process *p)
{
	return an_process_signal(p, SIGKILL);
}

/* ---- the end ----------------------------------------------------------------------- */

static void close_streams(an_process *p)
{
	for (int i = 0; i < 3; i++)
		p->streams[i] = an_stream_close(p->streams[i]);
	p->terminal = an_stream_close(p->terminal);
}

static void free_process(an_process *p)
{
	close_streams(p);
	an__timer_done(&p->deadline);
	free(p->outputs[0].data);
	free(p->outputs[1].data);
	free(p);
}

static void free_if_done(an_process *p)
{
	if (p->closed && p->state == AN__PROCESS_ENDED && !p->calls)
		free_process(p);
}

int an__process_leave(an_process *p, int result)
{
	bool closed = p->closed;

	p->calls--;
	free_if_done(p);
	return closed ? AN_ERR_CLOSED : result;
}

static void note_status(an_process *p, const siginfo_t *info)
{
	bool exited = info->si_code == CLD_EXITED;

	p->status.code = exited ? info->si_status : -1;
	p->status.signal = exited ? 0 : info->si_status;
}

/* Returns whether it has ended, and then it is reaped, but for the leader of a group. */
static bool note_end(an_process *p)
{
	siginfo_t info;
	int r = ask_kernel(p, p->own_group ? WNOWAIT : 0, &info);

	if (r == 0 && !info.si_pid)
		return false;
	p->unknown = r < 0;
	if (r == 0)
		note_status(p, &info);
	return true;
}

/* What is left of a group has nobody else to end it. */
static void let_go(an_process *p)
{
	siginfo_t info;

	if (p->own_group) {
		send_signal(p, SIGKILL);
		ask_kernel(p, 0, &info);
	}
	close(p->watch);
	p->watch = -1;
	an__list_remove(&p->node);
}

/* It is noted. */
static void end(an_process *p)
{
	an__waiter *w;

	event_del(&p->exited);
	an__timer_disarm(&p->deadline);
	p->state = AN__PROCESS_ENDED;
	if (!p->own_group || p->closed)
		let_go(p);
	while ((w = an__waiters_first(&p->waiters))) {
		*(an_process_status *)w->item = p->status;
		an__wake(w, p->unknown ? -ECHILD : 0);
	}
	free_if_done(p);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	an_process *p = arg;

	(void)fd;
	(void)what;
	if (note_end(p))
		end(p);
}

/* ---- waiting ----------------------------------------------------------------------- */

int an_process_poll(const an_process *p, an_process_status *ret_status)
{
	if (p->state != AN__PROCESS_ENDED)
		return -EAGAIN;
	if (p->unknown)
		return -ECHILD;
	if (ret_status)
		*ret_status = p->status;
	return 0;
}

/* The struct may be gone when the wait is over. */
int an_process_wait(an_process *p, an_process_status *ret_status)
{
	an_process_status status;
	an__waiter w = { .item = &status };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (p->closed)
		return AN_ERR_CLOSED;
	r = an_process_poll(p, ret_status);
	if (r != -EAGAIN)
		return r;
	r = an__wait_checked(&w, &p->waiters, &for_end);
	if (r == 0 && ret_status)
		*ret_status = status;
	return r;
}

/* ---- closing ----------------------------------------------------------------------- */

static void on_deadline(an__timer *timer)
{
	an_process *p = an__container(timer, an_process, deadline);

	send_signal(p, SIGKILL);
}

static void ask_to_end(an_process *p)
{
	p->state = AN__PROCESS_ENDS;
	if (p->grace < 0) {
		send_signal(p, SIGKILL);
		return;
	}
	send_signal(p, SIGTERM);
	send_signal(p, SIGCONT); /* one that is stopped would not notice */
	an__timer_arm(&p->deadline, an__duration_add(an_now(), p->grace));
}

an_process *an_process_close(an_process *p)
{
	if (!p || p->closed)
		return NULL;
	p->closed = true;
	close_streams(p);
	an__wake_all(&p->waiters, AN_ERR_CLOSED);
	if (p->state == AN__PROCESS_RUNS)
		ask_to_end(p);
	else if (p->watch >= 0)
		let_go(p);
	free_if_done(p);
	return NULL;
}

/* ---- at the end of the loop -------------------------------------------------------- */

/* On the real clock, whatever the loop's is. */
static bool ends_before(const an_process *p, an_duration deadline)
{
	struct pollfd f = { .fd = p->watch, .events = POLLIN };
	int r;

	do {
		an_duration left = deadline - an__clock_monotonic();
		int ms = left <= 0	  ? 0
			 : left > AN_HOUR ? (int)(AN_HOUR / AN_MILLISECOND)
					  : (int)(left / AN_MILLISECOND) + 1;

		r = poll(&f, 1, ms);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

static void await_end(an_process *p, an_duration since)
{
	struct pollfd f = { .fd = p->watch, .events = POLLIN };

	if (!ends_before(p, an__duration_add(since, p->grace))) {
		send_signal(p, SIGKILL);
		while (poll(&f, 1, -1) < 0 && errno == EINTR)
			;
	}
	note_end(p);
	end(p);
}

static void end_all(void *value)
{
	struct children *c = value;
	an_duration now = an__clock_monotonic();

	for (an__list *n = c->all.next, *next; n != &c->all; n = next) {
		an_process *p = an__container(n, an_process, node);

		next = n->next;
		p->calls = 0; /* of tasks that the loop has given up */
		an_process_close(p);
	}
	while (!an__list_empty(&c->all))
		await_end(an__container(c->all.next, an_process, node), now);
	free(c);
}

int an__processes_ready(an_loop *loop)
{
	struct children *c = an__loop_local(loop, AN__LOCAL_PROCESS);

	if (c)
		return 0;
	c = an__malloc(sizeof *c);
	if (!c)
		return -ENOMEM;
	an__list_init(&c->all);
	an__loop_set_local(loop, AN__LOCAL_PROCESS, c, end_all);
	return 0;
}

/* ---- made -------------------------------------------------------------------------- */

an_process *an__process_new(an_loop *loop)
{
	an_process *p = an__calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->loop = loop;
	an__list_init(&p->node);
	if (an__timer_init(&p->deadline, loop, on_deadline) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

void an__process_discard(an_process *p)
{
	free_process(p);
}

int an__process_adopt(an_process *p, const an__start *start)
{
	struct children *c = an__loop_local(p->loop, AN__LOCAL_PROCESS);

	p->pid = start->pid;
	p->watch = start->watch;
	p->pidfd = start->pidfd;
	if (!p->grace)
		p->grace = GRACE;
	event_assign(&p->exited, an_loop_base(p->loop), p->watch, EV_READ | EV_PERSIST,
		     on_exited, p);
	if (event_add(&p->exited, NULL) < 0) {
		struct pollfd f = { .fd = p->watch, .events = POLLIN };

		send_signal(p, SIGKILL);
		while (poll(&f, 1, -1) < 0 && errno == EINTR)
			;
		note_end(p);
		let_go(p);
		return -ENOMEM;
	}
	an__list_push(&c->all, &p->node);
	return 0;
}

/* ---- about it ---------------------------------------------------------------------- */

pid_t an_process_pid(const an_process *p)
{
	return p->pid;
}

static bool is_terminal(const an_process *p, int fd)
{
	return fd >= 0 && fd < 3 && p->on_terminal[fd];
}

an_stream *an_process_stream(const an_process *p, int fd)
{
	if (is_terminal(p, fd))
		return p->terminal;
	return fd >= 0 && fd < 3 ? p->streams[fd] : NULL;
}

void an_process_stream_close(an_process *p, int fd)
{
	if (is_terminal(p, fd))
		p->terminal = an_stream_close(p->terminal);
	else if (fd >= 0 && fd < 3)
		p->streams[fd] = an_stream_close(p->streams[fd]);
}

int an_process_resize(an_process *p, int rows, int columns)
{
	if (!p->terminal)
		return -ENOTTY;
	return an__terminal_resize(an_stream_fd(p->terminal), rows, columns);
}
