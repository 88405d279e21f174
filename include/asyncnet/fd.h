/* Descriptors of others, waited for by tasks.
 *
 * For what the program or another library reads and writes itself: a timerfd, an inotify,
 * a netlink socket, a client library that gives its descriptor away. Bytes are the
 * business of stream.h, datagrams that of udp.h.
 *
 *	an_fd_watch_new(inotify, &watch);
 *	while ((r = an_fd_wait(watch, AN_FD_READABLE)) > 0)
 *		n = read(inotify, buf, sizeof buf);
 *	an_fd_watch_close(watch);
 */
#ifndef ASYNCNET_FD_H
#define ASYNCNET_FD_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* A descriptor that tasks of this loop wait for. */
typedef struct an_fd_watch an_fd_watch;

/* What is waited for. */
enum {
	AN_FD_READABLE = 1 << 0,
	AN_FD_WRITABLE = 1 << 1,
};

/* Watches a descriptor, which stays the caller's: it is not made non-blocking, and must
 * not be closed before the watch is. Never suspends; needs the thread's loop, not a task.
 * Returns 0; -EBADF; -EPERM for what is always ready: a file or folder (see file.h), a
 * device like /dev/null; -EMFILE, -ENFILE; -ENOMEM; AN_ERR_NO_TASK without a loop. */
AN_API int an_fd_watch_new(int fd, an_fd_watch **ret);

/* Waits until the descriptor is ready for one of `what`, as poll(2) means it: a read or
 * write would not block. An error or a hang-up counts as ready for both; the next call on
 * the descriptor tells of it. One task may wait for each of the two at a time. Registered
 * at the first wait and kept, so that a further one costs no system call of its own.
 * Suspends, also when the descriptor is ready: others run meanwhile.
 * Returns those of `what` that it was found ready for, at least one; -EINVAL for another
 * `what`; -EBUSY when another task waits for the same; -ECANCELED; AN_ERR_CLOSED when the
 * watch was closed meanwhile; -ENOMEM; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_fd_wait(an_fd_watch *w, int what);

/* Ends the watch, not the descriptor; a task parked in an_fd_wait() gets AN_ERR_CLOSED.
 * Accepts NULL, returns NULL. Never suspends. */
AN_API an_fd_watch *an_fd_watch_close(an_fd_watch *w);

AN_END_DECLS

#endif
