/* Files, read and written without stopping the loop.
 *
 * The system has no readiness for files: each call runs on the loop's offload pool (see
 * offload.h), but for reads of what lies in the page cache, which are done at once.
 * There is no buffer of the library's own: read and write in pieces of 64 KiB or more.
 *
 * Cancellation. A call in a cancelled scope does nothing. Once a worker has begun it, a
 * call is not cancelled any more but seen through, so that the caller's buffer is never
 * in use after the return; a timeout around it takes effect at the next call. Opening
 * is the exception: it can block for long (a FIFO, a dead file server), owns what it
 * needs, and is left behind.
 *
 * Errors of writing stick: what an_file_pwrite() or an_file_sync() failed with is
 * returned by every later an_file_sync(), since the system tells of lost data only
 * once.
 */
#ifndef ASYNCNET_FILE_H
#define ASYNCNET_FILE_H

#include <asyncnet/api.h>
#include <fcntl.h>
#include <sys/stat.h>

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
 * an_file_sync() before to know. Calls of other tasks that are under way are seen
 * through. Accepts NULL, never suspends, returns NULL. */
AN_API an_file *an_file_close(an_file *f);

/* Reads up to `cap` bytes from `offset`; fewer only at the end of the file. Suspends
 * unless all is cached, and now and then to let others run.
 * Returns the count, 0 at the end; -EIO, -EISDIR and the like; -ECANCELED (before
 * anything was read); as an_offload(). */
AN_API AN_SUSPENDS ssize_t an_file_pread(an_file *f, void *buf, size_t cap, off_t offset);

/* Writes all of `data` at `offset`, or at the end if the file was opened with O_APPEND.
 * Suspends.
 * Returns 0; -ENOSPC, -EFBIG, -EDQUOT, -EIO and the like: a part may have been written;
 * -ECANCELED (nothing was written); as an_offload(). */
AN_API AN_SUSPENDS int an_file_pwrite(an_file *f, const void *data, size_t len,
				      off_t offset);

/* Reads from and writes to the file's own position, which moves on; otherwise as
 * an_file_pread() and an_file_pwrite(). At most one of these calls at a time:
 * -EBUSY. */
AN_API AN_SUSPENDS ssize_t an_file_read(an_file *f, void *buf, size_t cap);
AN_API AN_SUSPENDS int an_file_write(an_file *f, const void *data, size_t len);

/* Sets the size of the file; what is added reads as zeros. Suspends. Returns 0 or an
 * error as above. */
AN_API AN_SUSPENDS int an_file_truncate(an_file *f, off_t size);

/* Reserves disk space for the first `size` bytes, making the file as large as that, so
 * that a full disk shows now and not later. Suspends.
 * Returns 0; -ENOSPC; -EOPNOTSUPP where the file system cannot; as above. */
AN_API AN_SUSPENDS int an_file_allocate(an_file *f, off_t size);

/* Waits until what was written is on the disk (fsync(2)). Suspends.
 * Returns 0; the first error of any write or sync of this file; -ECANCELED; as
 * an_offload(). */
AN_API AN_SUSPENDS int an_file_sync(an_file *f);

/* What fstat(2) tells. Suspends. Returns 0 or an error as above. */
AN_API AN_SUSPENDS int an_file_stat(an_file *f, struct stat *ret);

/* The descriptor, borrowed. Never suspends. */
AN_API int an_file_fd(const an_file *f);

/* ---- by name --------------------------------------------------------------------- */

/* Renames, replacing what has the new name (rename(2)). Suspends. Returns 0; -ENOENT,
 * -EXDEV and the like; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_path_rename(const char *from, const char *to);

/* Removes a file's name (unlink(2)). Suspends. Returns as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_unlink(const char *path);

/* Makes a folder (mkdir(2)). Suspends. Returns as an_path_rename(); -EEXIST. */
AN_API AN_SUSPENDS int an_path_mkdir(const char *path, mode_t mode);

/* What stat(2) tells. Suspends. Returns as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_stat(const char *path, struct stat *ret);

/* Waits until a folder's entries are on the disk: after a rename that must outlast a
 * crash. Suspends. Returns as an_path_rename(); -ENOTDIR. */
AN_API AN_SUSPENDS int an_path_sync(const char *folder);

AN_END_DECLS

#endif
