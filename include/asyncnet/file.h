/* Files, read and written without stopping the loop.
 *
 * The system has no readiness for files: each call runs on the loop's offload pool (see
 * offload.h), but for reads of what lies in the page cache, which are done at once. A hop
 * to the pool costs some 10 us. Lines and small reads go through a buffer, so that one
 * hop is for thousands of them; what is written in small pieces can be gathered likewise
 * (an_file_buffer()). All else goes straight to the system: write in pieces of 64 KiB or
 * more.
 *
 * Cancellation. A call in a cancelled scope does nothing. Once a worker has begun it, a
 * call is not cancelled any more but seen through, so that the caller's buffer is never
 * in use after the return; a timeout around it takes effect at the next call. Opening
 * is the exception: it can block for long (a FIFO, a dead file server), owns what it
 * needs, and is left behind.
 *
 * Errors of writing stick: the first error of a write or sync is returned by every later
 * an_file_flush() and an_file_sync(), and by every write that is gathered, until
 * an_file_clear_error(); the system tells of lost data only once. What could not be
 * written stays in the buffer, and none of it is written twice.
 */
#ifndef ASYNCNET_FILE_H
#define ASYNCNET_FILE_H

#include <asyncnet/api.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

AN_BEGIN_DECLS

/* An open file of this loop. Several tasks may use it at once at different offsets. */
typedef struct an_file an_file;

/* Opens `path` with the flags of open(2); O_CLOEXEC is added. `mode`: permissions of a
 * file that is made, less the umask. Suspends; a cancelled call leaves the opening
 * behind and closes what comes of it.
 * Returns 0 and a file that the caller closes; -ENOENT, -EACCES and the like; -ENOMEM;
 * -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_file_open(const char *path, int flags, mode_t mode,
				    an_file **ret);

/* Closes at once; what was written is in the system's hands, not yet on the disk: call
 * an_file_sync() before to know. What is gathered still is written by a worker, which the
 * end of the loop waits for; only trace.h tells of its failure: call an_file_flush()
 * before. Calls of other tasks that are under way are seen through. Accepts NULL, never
 * suspends, returns NULL. */
AN_API an_file *an_file_close(an_file *f);

/* Reads up to `cap` bytes from `offset`; fewer only at the end of the file. Suspends
 * unless all is cached, and now and then to let others run.
 * Returns the count, 0 at the end; -EIO, -EISDIR and the like, also when a part could be
 * read; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS ssize_t an_file_pread(an_file *f, void *buf, size_t cap, off_t offset);

/* Writes all of `data` at `offset`, or at the end if the file was opened with O_APPEND.
 * Suspends.
 * Returns 0; -ENOSPC, -EFBIG, -EDQUOT, -EIO and the like: a part may have been written;
 * -ECANCELED (nothing was written); as an_offload(). */
AN_API AN_SUSPENDS int an_file_pwrite(an_file *f, const void *data, size_t len,
				      off_t offset);

/* Sets the size of the file; what is added reads as zeros. Suspends. Returns 0 or an
 * error as above. */
AN_API AN_SUSPENDS int an_file_truncate(an_file *f, off_t size);

/* Reserves disk space for the first `size` bytes, making the file as large as that, so
 * that a full disk shows now and not later. Suspends.
 * Returns 0; -ENOSPC; -EOPNOTSUPP where the file system cannot; as above. */
AN_API AN_SUSPENDS int an_file_allocate(an_file *f, off_t size);

/* Waits until what was written, gathered or not, is on the disk (fsync(2)). Suspends.
 * Returns 0; the first error of any write or sync of this file; -EBUSY when another task
 * is writing out what was gathered; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_file_sync(an_file *f);

/* The same without what is not needed to read the data again, such as the times
 * (fdatasync(2)): cheaper when a file is overwritten. Suspends. Returns as
 * an_file_sync(). */
AN_API AN_SUSPENDS int an_file_datasync(an_file *f);

/* Forgets the error that sticks, and returns it, or 0. For who has seen it and goes on:
 * after -ENOSPC and room made, the next flush writes what is gathered still. What a
 * failed sync has lost is lost; write it again. Never suspends. */
AN_API int an_file_clear_error(an_file *f);

/* What fstat(2) tells. Suspends. Returns 0 or an error as above. */
AN_API AN_SUSPENDS int an_file_stat(an_file *f, struct stat *ret);

/* As an_path_chmod() (path.h), of the file that is open, whatever its name leads to by
 * now. Suspends. Returns 0; -EPERM, -EROFS and the like; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_file_chmod(an_file *f, mode_t mode);

/* As an_path_chown(), likewise. Suspends. Returns as an_file_chmod(). */
AN_API AN_SUSPENDS int an_file_chown(an_file *f, uid_t owner, gid_t group);

/* As an_path_utimes(), likewise. Suspends. Returns as an_file_chmod(); -EINVAL. */
AN_API AN_SUSPENDS int an_file_utimes(an_file *f, const struct timespec times[2]);

/* The descriptor, borrowed. Never suspends. */
AN_API int an_file_fd(const an_file *f);

/* ---- the file's own position ----------------------------------------------------- */

/* These calls move the position on, and go through the buffers. At most one of them at a
 * time, also of several tasks: -EBUSY. The calls above know neither: an_file_pread() and
 * an_file_stat() see what was gathered when it was flushed. */

/* Reads up to `cap` bytes; fewer at the end of the file, and where an error or a
 * cancellation came in the middle, which the next call tells: 0 alone says that nothing
 * is left. Suspends as an_file_pread(). Of a regular file, less than 16 KiB go through
 * the buffer (below), unless it was opened with O_DIRECT: so what others write there
 * meanwhile may be seen up to 64 KiB late.
 * Returns as an_file_pread(); -ENOMEM; -EBUSY; what an_file_flush() returns, if something
 * is gathered. */
AN_API AN_SUSPENDS ssize_t an_file_read(an_file *f, void *buf, size_t cap);

/* Reads a line, up to and with its "\n", into the file's buffer (64 KiB and more if a
 * line is longer). NUL bytes are bytes like others. Suspends once for what fills the
 * buffer, unless that is cached, and now and then to let others run; of a pipe or a
 * terminal a line is returned as soon as it is there. `limit`: bytes before the newline;
 * 0: 64 KiB. *ret_line and *ret_len give the line, borrowed until the next call here or
 * the close. At the end of the file the rest is a line without "\n".
 *
 *	while ((r = an_file_read_line(f, 0, &line, &len)) == 0)
 *		use(line, len);
 *	return r == AN_ERR_EOF ? 0 : r;
 *
 * Returns 0; AN_ERR_EOF when nothing is left; AN_ERR_LIMIT: the line is longer, and is
 * still there for a call with a larger limit, or for an_file_read(); -ENOMEM; otherwise
 * as an_file_read(). Nothing is consumed on failure. */
AN_API AN_SUSPENDS int an_file_read_line(an_file *f, size_t limit, const char **ret_line,
					 size_t *ret_len);

/* Writes all of `data`, or copies it to what is gathered (an_file_buffer()). Suspends, if
 * it is not gathered or the buffer is full.
 * Returns as an_file_pwrite(); -EBUSY; when writes are gathered, also the error that
 * sticks, and nothing of `data` was taken if it is less than the buffer. */
AN_API AN_SUSPENDS int an_file_write(an_file *f, const void *data, size_t len);

/* From now on writes are gathered in a buffer of `size` bytes, and handed over when it is
 * full, by an_file_flush() and an_file_sync(), before a read or a seek, and at the close.
 * 64 KiB is a good size; with 0 they are not gathered, as in the beginning. Never
 * suspends.
 * Returns 0; -ENOMEM; -EINVAL; -EBUSY while something is gathered, or a call is under
 * way. */
AN_API int an_file_buffer(an_file *f, size_t size);

/* Hands what is gathered over to the system; not yet to the disk. Suspends, if there is
 * something.
 * Returns 0: no write of this file has failed; else the first error; -EBUSY; -ECANCELED;
 * as an_offload(). What was not written stays gathered. */
AN_API AN_SUSPENDS int an_file_flush(an_file *f);

/* Moves the position as lseek(2): SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE.
 * Flushes first. Suspends, if it has to ask the file system or to flush. *ret_position
 * (may be NULL) is the new one: with 0 and SEEK_CUR the present one.
 * Returns 0; -EINVAL; -ESPIPE; -ENXIO; -EOVERFLOW; -EBUSY; what an_file_flush()
 * returns. */
AN_API AN_SUSPENDS int an_file_seek(an_file *f, off_t offset, int whence,
				    off_t *ret_position);

AN_END_DECLS

#endif
