/* What workers do with descriptors and names, in the way of system calls: 0 or a count,
 * else a negated errno. L3. All of it blocks. */
#ifndef AN_LOOP_IO_BLOCKING_H
#define AN_LOOP_IO_BLOCKING_H

#include <stdbool.h>
#include <sys/types.h>

int an__blocking_open(const char *path, int flags, mode_t mode);
int an__blocking_write(int fd, const char *data, size_t len);

/* fsync(2), or fdatasync(2), and ftruncate(2). */
int an__blocking_sync(int fd, bool data_only);
int an__blocking_truncate(int fd, off_t size);

/* What a file system has kept back of its errors until now is told. */
int an__blocking_close(int fd);

/* fsync(2) of a folder, or of the one that `path` lies in. */
int an__blocking_sync_folder(const char *folder);
int an__blocking_sync_parent(const char *path);

/* The bytes of `path` before its last component: with the slash, or none. */
size_t an__folder_length(const char *path);

#endif
