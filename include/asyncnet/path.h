/* Names in the file system: files as wholes, folders, temporary files.
 *
 * All of it is done by the loop's offload pool (offload.h), each call by one hop to a
 * worker. A call in a cancelled scope does nothing. Once a worker has begun it, a short
 * call is seen through, so that its arguments stay in use until the return. Those that
 * can take long (an_path_read(), an_path_copy(), an_path_remove_all(), an_dir_open() and
 * an_temp_...()) copy their arguments and can be cancelled at any time: they are left
 * behind, the worker soon ends them, and what they have made is removed.
 *
 * "As open(2)" and the like: every errno of that call, negated.
 */
#ifndef ASYNCNET_PATH_H
#define ASYNCNET_PATH_H

#include <asyncnet/api.h>
#include <asyncnet/file.h>
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

AN_BEGIN_DECLS

/* ---- names ----------------------------------------------------------------------- */

/* Renames, replacing what has the new name (rename(2)). Suspends. Returns 0; -ENOENT,
 * -EXDEV and the like; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_path_rename(const char *from, const char *to);

/* Removes a file's name (unlink(2)). Suspends. Returns as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_unlink(const char *path);

/* What stat(2) tells, of what a link leads to. Suspends. Returns as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_stat(const char *path, struct stat *ret);

/* What lstat(2) tells, of the link itself. Suspends. Returns as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_lstat(const char *path, struct stat *ret);

/* Whether this process may do what `mode` says, R_OK, W_OK, X_OK or F_OK, as its real
 * user (access(2)). The answer may be outdated when it comes: to open a file, open it.
 * Suspends. Returns 0: it may; -EACCES, -EROFS; -EINVAL; else as an_path_rename(). */
AN_API AN_SUSPENDS int an_path_access(const char *path, int mode);

/* ---- links ----------------------------------------------------------------------- */

/* Gives a file another name (link(2)); of a symbolic link, itself. Suspends. Returns as
 * an_path_rename(); -EEXIST; -EPERM for a folder. */
AN_API AN_SUSPENDS int an_path_link(const char *path, const char *other);

/* Makes `link` a symbolic link with the text `target`, which need not lead anywhere
 * (symlink(2)). Suspends. Returns as an_path_rename(); -EEXIST. */
AN_API AN_SUSPENDS int an_path_symlink(const char *target, const char *link);

/* The text of a symbolic link (readlink(2)), to be freed by free(). Suspends.
 * Returns as an_path_rename(); -EINVAL for what is none; -ENAMETOOLONG; -ENOMEM. */
AN_API AN_SUSPENDS int an_path_readlink(const char *path, char **ret_target);

/* The name from the root, without links, "." and ".." (realpath(3)), to be freed by
 * free(). What it names must be there. Suspends.
 * Returns as an_path_rename(); -ELOOP; -ENAMETOOLONG; -ENOMEM. */
AN_API AN_SUSPENDS int an_path_realpath(const char *path, char **ret_path);

/* ---- attributes ------------------------------------------------------------------ */

/* All of them follow links; for open files see an_file_chmod() and the like. */

/* Sets the permissions (chmod(2)); the umask has no say. Suspends. Returns as
 * an_path_rename(); -EPERM. */
AN_API AN_SUSPENDS int an_path_chmod(const char *path, mode_t mode);

/* Sets the owner and the group (chown(2)); (uid_t)-1 and (gid_t)-1 leave them. Suspends.
 * Returns as an_path_rename(); -EPERM. */
AN_API AN_SUSPENDS int an_path_chown(const char *path, uid_t owner, gid_t group);

/* Sets when it was read and when it was written (utimensat(2)): times[0] and times[1],
 * whose tv_nsec may be UTIME_NOW or UTIME_OMIT; NULL: both are now. Suspends. Returns as
 * an_path_rename(); -EPERM; -EINVAL. */
AN_API AN_SUSPENDS int an_path_utimes(const char *path, const struct timespec times[2]);

/* ---- whole files ----------------------------------------------------------------- */

/* Reads a whole file, from the start to the end, into memory that the caller frees with
 * free(). A NUL follows the data, which *ret_len does not count. Files without a size
 * (/proc, a FIFO) are read, too. Suspends; can be cancelled at any time. `limit`: bytes;
 * 0: 64 MiB.
 * Returns 0; AN_ERR_LIMIT when the file is larger; -EINVAL for a limit beyond SSIZE_MAX;
 * -ENOENT, -EISDIR and the like; -ENOMEM; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_path_read(const char *path, size_t limit, char **ret_data,
				    size_t *ret_len);

/* Of an_path_write(). */
typedef struct an_path_write_opts {
	/* Permissions of a file that is made, less the umask; 0: 0666. One that is there
	 * keeps its own. */
	mode_t mode;
	/* All or nothing, also when the power fails: the data goes to a file of another
	 * name (".an-..." and 16 digits) in the same folder, which is synced, and takes
	 * the place of the old one; then the folder is synced. Readers see the old file
	 * or the new one. What a link leads to is replaced; a link that leads nowhere
	 * itself. Needs the right to make files in the folder; other hard links of the
	 * old file keep the old data. */
	bool atomic;
	bool append; /* at the end of what is there; not with `atomic` */
	bool sync;   /* on the disk when the call returns; `atomic` is so in any case */
} an_path_write_opts;

/* Writes a whole file, made if need be, in place of what it had. `data` is borrowed for
 * the call. Suspends; seen through once a worker has begun.
 * Returns 0; -ENOSPC, -EDQUOT, -EIO and the like: the old file with `atomic` (unless it
 * was the folder that could not be synced, after the rename), else what could be written;
 * -EACCES, -EISDIR and the like; -EINVAL for both `atomic` and `append`, and for `atomic`
 * on what is no regular file; -ENOMEM; -ECANCELED (nothing was done); as an_offload(). */
AN_API AN_SUSPENDS int an_path_write(const char *path, const void *data, size_t len,
				     const an_path_write_opts *opts);

/* Copies a file's data to another file, which is made with the permissions of the first,
 * less the umask, or overwritten. Inside the kernel (copy_file_range(2)) where it can.
 * Suspends; can be cancelled at any time. After a failure a target that was not there
 * before is gone again; one that was has part of the data.
 * Returns 0; -EINVAL when both are the same file; -EISDIR; -ENOENT, -ENOSPC and the like;
 * -ENOMEM; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_path_copy(const char *from, const char *to);

/* ---- folders --------------------------------------------------------------------- */

/* Makes a folder (mkdir(2)). Suspends. Returns as an_path_rename(); -EEXIST. */
AN_API AN_SUSPENDS int an_path_mkdir(const char *path, mode_t mode);

/* Makes a folder and those above it that are missing (mkdir -p). That it is there already
 * is no error, and leaves its mode as it is. Suspends.
 * Returns as an_path_rename(); -EEXIST or -ENOTDIR when something else has one of the
 * names; -ENOMEM. */
AN_API AN_SUSPENDS int an_path_mkdir_all(const char *path, mode_t mode);

/* Removes an empty folder (rmdir(2)). Suspends. Returns as an_path_rename();
 * -ENOTEMPTY. */
AN_API AN_SUSPENDS int an_path_rmdir(const char *path);

/* Removes a file, or a folder with all that is in it. Links are removed, not followed,
 * also when somebody puts one there meanwhile. Suspends; can be cancelled at any time,
 * and what is left then is left. The first entry that cannot be removed ends it. One
 * descriptor is used for each level of folders.
 * Returns 0; -ENOENT, -EACCES, -EMFILE and the like; -ENOMEM; -ECANCELED; as
 * an_offload(). */
AN_API AN_SUSPENDS int an_path_remove_all(const char *path);

/* Waits until a folder's entries are on the disk: after a rename that must outlast a
 * crash. Suspends. Returns as an_path_rename(); -ENOTDIR. */
AN_API AN_SUSPENDS int an_path_sync(const char *folder);

/* A folder whose entries are read; of this loop. One task at a time may use it. */
typedef struct an_dir an_dir;

/* An entry of a folder. */
typedef struct an_dir_entry {
	const char *name;   /* the last component alone; borrowed, see an_dir_next() */
	unsigned char type; /* DT_REG, DT_DIR, DT_LNK ...; DT_UNKNOWN: ask by lstat */
	uint64_t inode;
} an_dir_entry;

/* Opens a folder, and reads the first of its entries with it. Suspends; can be cancelled
 * at any time.
 * Returns 0 and what the caller closes; -ENOENT, -ENOTDIR and the like; -ENOMEM;
 * -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_dir_open(const char *path, an_dir **ret);

/* The next entry, in no order; "." and ".." are left out. An entry that is made or
 * removed meanwhile may be there or not. Suspends once for 32 KiB of entries, which is
 * about a thousand. `ret->name` is borrowed until the next call or the close.
 *
 *	while ((r = an_dir_next(dir, &entry)) == 0)
 *		puts(entry.name);
 *	return r == AN_ERR_EOF ? 0 : r;
 *
 * Returns 0; AN_ERR_EOF when there are no more; -EBUSY while another task is in this
 * call; AN_ERR_CLOSED when it was closed meanwhile; -EIO, -ENOENT (the folder was
 * removed) and the like; -ECANCELED, and no entry is lost; as an_offload(). */
AN_API AN_SUSPENDS int an_dir_next(an_dir *d, an_dir_entry *ret);

/* Closes at once. Accepts NULL, never suspends, returns NULL. */
AN_API an_dir *an_dir_close(an_dir *d);

/* ---- temporary ------------------------------------------------------------------- */

/* `folder`: where it is made; NULL: the environment's TMPDIR, or /tmp. Only the user has
 * access. A prefix is put before six characters that are drawn; NULL: "an-". */

/* Makes a file without a name, for reading and writing: it is gone when it is closed, or
 * the process ends. Suspends; can be cancelled at any time.
 * Returns 0 and a file that the caller closes; -ENOENT, -EACCES, -ENOSPC and the like;
 * -ENOMEM; -ECANCELED; as an_offload(). */
AN_API AN_SUSPENDS int an_temp_open(const char *folder, an_file **ret);

/* Makes a file with a name, for reading and writing. Removing it is up to the caller, and
 * so is *ret_path, by free(). Suspends; can be cancelled at any time, and leaves no file
 * then. Returns as an_temp_open(); -EINVAL for a prefix with a slash. */
AN_API AN_SUSPENDS int an_temp_file(const char *folder, const char *prefix,
				    char **ret_path, an_file **ret);

/* Makes a folder, to be removed by the caller: an_path_remove_all(). *ret_path is to be
 * freed by free(). Suspends; can be cancelled at any time, and leaves no folder then.
 * Returns as an_temp_file(). */
AN_API AN_SUSPENDS int an_temp_folder(const char *folder, const char *prefix,
				      char **ret_path);

AN_END_DECLS

#endif
