/* Streams over descriptors that others have, too. L3.
 *
 * O_NONBLOCK belongs to the open file, not to the descriptor: a shell whose terminal a
 * program left non-blocking reads an error where it expects a line. So the file is opened
 * anew, which gives the same terminal or pipe with flags of its own. What cannot be
 * opened anew is on the list of `shared`, once for each file however many streams it has,
 * with the flags that it had.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/io/stream-private.h"

#include <asyncnet/process.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is non-blocking for a while ---------------------------------------------- */

struct shared {
	an__list node;
	dev_t device;
	ino_t inode;
	int fd; /* its own */
	int flags;
	unsigned streams;
};

/* A stream's transport, plain but for its end. */
struct borrowed {
	an__transport transport;
	struct shared *shared;
};

static an__list all = { &all, &all };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* At exit; streams that are still there are not used any more. */
static void restore_all(void)
{
	pthread_mutex_lock(&lock);
	for (an__list *n = all.next; n != &all; n = n->next) {
		const struct shared *shared = an__container(n, struct shared, node);

		fcntl(shared->fd, F_SETFL, shared->flags);
	}
	pthread_mutex_unlock(&lock);
}

static void register_exit(void)
{
	atexit(restore_all);
}

/* Under the lock. */
static struct shared *find(const struct stat *st)
{
	for (an__list *n = all.next; n != &all; n = n->next) {
		struct shared *shared = an__container(n, struct shared, node);

		if (shared->device == st->st_dev && shared->inode == st->st_ino)
			return shared;
	}
	return NULL;
}

/* Under the lock. Returns 0 and a record of no stream yet. */
static int add(int fd, int flags, const struct stat *st, struct shared **ret)
{
	struct shared *shared = an__malloc(sizeof *shared);

	if (!shared)
		return -ENOMEM;
	*shared = (struct shared){ .device = st->st_dev,
				   .inode = st->st_ino,
				   .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3),
				   .flags = flags };
	if (shared->fd < 0) {
		free(shared);
		return -errno;
	}
	an__list_push(&all, &shared->node);
	*ret = shared;
	return 0;
}

static int acquire(int fd, int flags, const struct stat *st, struct shared **ret)
{
	struct shared *shared;
	int r = 0;

	pthread_once(&once, register_exit);
	pthread_mutex_lock(&lock);
	shared = find(st);
	if (!shared)
		r = add(fd, flags, st, &shared);
	if (r == 0) {
		shared->streams++;
		*ret = shared;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static void release(struct shared *shared)
{
	pthread_mutex_lock(&lock);
	if (--shared->streams == 0) {
		an__list_remove(&shared->node);
		fcntl(shared->fd, F_SETFL, shared->flags);
		close(shared->fd);
		free(shared);
	}
	pthread_mutex_unlock(&lock);
}

static void borrowed_free(an_stream *s)
{
	const struct borrowed *b =
		an__container(s->transport, struct borrowed, transport);

	release(b->shared);
	free((void *)b);
}

static int use_shared(int fd, int flags, const struct stat *st,
		      const an_stream_opts *opts, an_stream **ret)
{
	struct borrowed *b = an__malloc(sizeof *b);
	int own = -1, r = b ? acquire(fd, flags, st, &b->shared) : -ENOMEM;

	if (r < 0) {
		free(b);
		return r;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = own < 0 ? -errno : an_stream_new(own, opts, ret);
	if (r < 0) {
		if (own >= 0)
			close(own);
		release(b->shared);
		free(b);
		return r;
	}
	b->transport = an__transport_plain;
	b->transport.free = borrowed_free;
	(*ret)->transport = &b->transport;
	return 0;
}

/* ---- the ways ---------------------------------------------------------------------- */

/* Whether readiness can be waited for. Returns 0, -EPERM if not, or another error. */
static int try_epoll(int fd)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), r;
	struct epoll_event e = { 0 };

	if (epoll < 0)
		return -errno;
	r = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
	close(epoll);
	return r;
}

static int use_file(int fd, const an_stream_opts *opts, an_stream **ret)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int r = own < 0 ? -errno : an__stream_new_file(own, opts, ret);

	if (r < 0 && own >= 0)
		close(own);
	return r;
}

/* Returns a descriptor of its own file, or an error. */
static int open_anew(int fd, int flags)
{
	char name[32];
	int own;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	own = open(name, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

int an_stream_borrow(int fd, const an_stream_opts *opts, an_stream **ret)
{
	int flags = fcntl(fd, F_GETFL), own, r;
	struct stat st;

	if (!an_loop_current())
		return AN_ERR_NO_TASK;
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = try_epoll(fd);
	if (r == -EPERM)
		return use_file(fd, opts, ret);
	if (r < 0)
		return r;
	own = S_ISSOCK(st.st_mode) ? -ENXIO : open_anew(fd, flags);
	if (own == -EMFILE || own == -ENFILE)
		return own;
	if (own < 0)
		return use_shared(fd, flags, &st, opts, ret);
	r = an_stream_new(own, opts, ret);
	if (r < 0)
		close(own);
	return r;
}
