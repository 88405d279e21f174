/* Reads, writes and syncs of files by io_uring, where the library was built with it, the
 * loop wants it and the kernel lets it. L3.
 *
 * For what would otherwise hold a worker for as long as the disk takes: reads that the
 * page cache does not have, O_DIRECT, syncs. Not for buffered writes and the like, which
 * the kernel hands to threads of its own.
 *
 * Each call suspends until it has ended. The result is one of
 *
 *	1	the ring has done it: *ret_result is a count or a negated errno
 *	0	it did nothing, now or for good: a worker is to do it
 *	< 0	nothing was done: -ECANCELED, AN_ERR_NO_TASK
 *
 * A call that the kernel has is not cancelled any more but awaited: the buffer is in use
 * until then. `offset` -1 is for what has none, such as a pipe: a file's own position
 * is not moved on by all of the kernel's ways.
 */
#ifndef AN_LOOP_IO_URING_H
#define AN_LOOP_IO_URING_H

#include <asyncnet/loop.h>
#include <sys/types.h>

#ifdef AN_LIBURING

AN_SUSPENDS int an__uring_read(int fd, void *buf, size_t len, off_t offset,
			       ssize_t *ret_result);
AN_SUSPENDS int an__uring_write(int fd, const void *data, size_t len, off_t offset,
				ssize_t *ret_result);
AN_SUSPENDS int an__uring_sync(int fd, bool data_only, ssize_t *ret_result);

/* How many operations the loop's ring has done; -1: it has none, or none any more. */
long an__uring_done(an_loop *loop);

#else

static inline int an__uring_read(int fd, void *buf, size_t len, off_t offset,
				 ssize_t *ret_result)
{
	(void)fd, (void)buf, (void)len, (void)offset, (void)ret_result;
	return 0;
}

static inline int an__uring_write(int fd, const void *data, size_t len, off_t offset,
				  ssize_t *ret_result)
{
	(void)fd, (void)data, (void)len, (void)offset, (void)ret_result;
	return 0;
}

static inline int an__uring_sync(int fd, bool data_only, ssize_t *ret_result)
{
	(void)fd, (void)data_only, (void)ret_result;
	return 0;
}

static inline long an__uring_done(an_loop *loop)
{
	(void)loop;
	return -1;
}

#endif
#endif
