/* Streams over descriptors that others have, too. L3.
 *
 * O_NONBLOCK belongs to the open file, not to the descriptor: a shell whose terminal a
 * program left non-blocking reads an error where it expects a line. So the file is opened
 * anew, which gives the same terminal or pipe with flags of its own. What cannot be
 * opened anew is on the list of `shared`, once for each file however many streams it has,
 * with the flags that it had, and is non-blocking for as long as it is there.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/list.h"
#include "loop/io/fd.h"
#include "loop/io/stream-private.h"

#include <asyncnet/process.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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
static an__list parents = { &parents, &parents }; /* in the child of a fork() */
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

/* In the child, whose exit must not make the parent's files blocking. */
static void forked(void)
{
	pthread_mutex_init(&lock, NULL);
	an__list_splice(&parents, &all);
}

static void register_exit(void)
{
	static an__fork_hook fork_hook = { .forked = forked };

	an__fork_hook_add(&fork_hook);
	atexit(restore_all);
}

/* Under the lock. Several files may have one inode (a terminal that was opened twice, all
 * that have no name); one that is on the list is not blocking. */
static struct shared *find(int flags, const struct stat *st)
{
	if (!(flags & O_NONBLOCK))
		return NULL;
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
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		int r = -errno;

		close(shared->fd);
		free(shared);
		return r;
	}
	an__list_push(&all, &shared->node);
	*ret = shared;
	return 0;
}

static int acquire(int fd, const struct stat *st, struct shared **ret)
{
	struct shared *shared;
	int r = 0, flags;

	pthread_once(&once, register_exit);
	pthread_mutex_lock(&lock);
	flags = fcntl(fd, F_GETFL);
	shared = find(flags, st);
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

static int use_shared(int fd, const struct stat *st, const an_stream_opts *opts,
		      an_stream **ret)
{
	struct borrowed *b = an__malloc(sizeof *b);
	int own = -1, r = b ? acquire(fd, st, &b->shared) : -ENOMEM;

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

/* A pipe, or a terminal. Other devices make something new at each opening, as does the
 * one that is the other end of terminals. */
static bool can_be_opened_anew(int fd, const struct stat *st)
{
	unsigned number;

	if (S_ISFIFO(st->st_mode))
		return true;
	return S_ISCHR(st->st_mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0;
}

int an_stream_borrow(int fd, const an_stream_opts *opts, an_stream **ret)
{
	int flags = fcntl(fd, F_GETFL), own, r;
	struct stat st;

	if (!an_loop_current())
		return AN_ERR_NO_TASK;
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = an__fd_try(fd);
	if (r == -EPERM)
		return use_file(fd, opts, ret);
	if (r < 0)
		return r;
	own = can_be_opened_anew(fd, &st) ? open_anew(fd, flags) : -ENXIO;
	if (own == -EMFILE || own == -ENFILE)
		return own;
	if (own < 0)
		return use_shared(fd, &st, opts, ret);
	r = an_stream_new(own, opts, ret);
	if (r < 0)
		close(own);
	return r;
}
