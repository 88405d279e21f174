/* Readiness of descriptors that others read and write. L3.
 *
 * An event for each direction, level-triggered, added at the first wait and kept, so that
 * a wait costs no epoll_ctl. One that fires while nobody waits is deleted: it would fire
 * for ever.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/fd.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/fd.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static const an__wait_kind for_readiness = { .what = "a descriptor to be ready" };

enum { READING, WRITING, DIRECTIONS };

struct direction {
	struct event event;
	an__waiters waiters; /* at most one */
	bool added;
};

struct an_fd_watch {
	struct direction directions[DIRECTIONS];
};

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct direction *d = arg;
	an__waiter *w = an__waiters_first(&d->waiters);

	(void)fd;
	if (w) {
		an__wake(w, what & EV_READ ? AN_FD_READABLE : AN_FD_WRITABLE);
	} else {
		event_del(&d->event);
		d->added = false;
	}
}

int an__fd_try(int fd)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), r;
	struct epoll_event e = { 0 };

	if (epoll < 0)
		return -errno;
	r = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
	close(epoll);
	return r;
}

/* Of what has no readiness libevent would complain in mid-wait. */
static int check(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode) ? 0 : an__fd_try(fd);
}

int an_fd_watch_new(int fd, an_fd_watch **ret)
{
	static const short events[DIRECTIONS] = { EV_READ, EV_WRITE };
	an_loop *loop = an_loop_current();
	an_fd_watch *w;
	int r = check(fd);

	if (!loop)
		return AN_ERR_NO_TASK;
	if (r < 0)
		return r;
	w = an__calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	for (int i = 0; i < DIRECTIONS; i++)
		event_assign(&w->directions[i].event, an_loop_base(loop), fd,
			     (short)(events[i] | EV_PERSIST), on_ready,
			     &w->directions[i]);
	*ret = w;
	return 0;
}

static int add(struct direction *d)
{
	if (!an__waiters_empty(&d->waiters))
		return -EBUSY;
	if (!d->added && event_add(&d->event, NULL) < 0)
		return -ENOMEM;
	d->added = true;
	return 0;
}

static int wait_for_either(an_fd_watch *w)
{
	an__waiter reading = { .queue = &w->directions[READING].waiters };
	an__waiter writing = { .queue = &w->directions[WRITING].waiters };
	an__waiter *both[] = { &reading, &writing };
	int r = an__wait_many(both, 2, AN_FOREVER, &for_readiness);

	return r < 0 ? r : both[r]->result;
}

int an_fd_wait(an_fd_watch *w, int what)
{
	an__waiter waiter;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (what <= 0 || what > (AN_FD_READABLE | AN_FD_WRITABLE))
		return -EINVAL;
	for (int i = 0; r == 0 && i < DIRECTIONS; i++)
		if (what & 1 << i)
			r = add(&w->directions[i]);
	if (r < 0)
		return r;
	if (what == (AN_FD_READABLE | AN_FD_WRITABLE))
		return wait_for_either(w);
	return an__wait(&waiter, &w->directions[what - 1].waiters, &for_readiness);
}

an_fd_watch *an_fd_watch_close(an_fd_watch *w)
{
	if (!w)
		return NULL;
	for (int i = 0; i < DIRECTIONS; i++) {
		event_del(&w->directions[i].event);
		an__wake_all(&w->directions[i].waiters, AN_ERR_CLOSED);
	}
	free(w);
	return NULL;
}
