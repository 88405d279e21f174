/* An open file, for the files of this folder that work on it. L3.
 *
 * Invariants: `calls` are under way on the file; the last of them destroys a file that
 * was closed meanwhile. `error` is the first failure of a write or sync, and stays until
 * it is cleared. At most one call at a time (`sequential`) moves the file's own position
 * and touches the buffers. The system's position is ahead of the caller's by what lies in
 * `in`, and behind it by what lies in `out`.
 */
#ifndef AN_LOOP_IO_FILE_PRIVATE_H
#define AN_LOOP_IO_FILE_PRIVATE_H

#include <asyncnet/file.h>

#define OWN_POSITION ((off_t)-1)

/* What lies between: `len` bytes from `start`. */
struct file_buffer {
	char *data;
	size_t size, start, len;
};

struct an_file {
	int fd;
	unsigned calls;
	bool closed;	 /* by the owner */
	bool sequential; /* a call that moves the position is under way */
	bool uncached;	 /* the file system has no reads without waiting */
	bool ahead;	 /* a regular file: small reads go through the buffer */
	bool direct;	 /* O_DIRECT on a disk: reads and writes pass the page cache by */
	bool stale;	 /* something was written beneath what was read ahead */
	int error;
	size_t burst; /* bytes that were read since others had their turn */
	struct file_buffer in, out;
};

/* Around every public call. The result passes through. */
void an__file_enter(an_file *f);
ssize_t an__file_leave(an_file *f, ssize_t r);

/* Writes what the buffer has, on a worker, and closes. */
void an__file_destroy(an_file *f);

/* At the file's own position, past the buffers. They suspend, check first, and are to be
 * called within a sequential call. `once`: what is there will do. */
AN_SUSPENDS ssize_t an__file_read(an_file *f, void *buf, size_t cap, bool once);

/* *ret_done is set in any case: what was written. */
AN_SUSPENDS int an__file_write(an_file *f, const void *data, size_t len,
			       size_t *ret_done);

#endif
