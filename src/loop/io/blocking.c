/* What workers do with descriptors and names: see blocking.h. L3. */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* write(2) transfers less than 2 GiB at once. */
#define PIECE_MAX ((size_t)1 << 30)

int an__blocking_open(const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int an__blocking_write(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len < PIECE_MAX ? len : PIECE_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int an__blocking_sync(int fd, bool data_only)
{
	int r;

	do
		r = data_only ? fdatasync(fd) : fsync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int an__blocking_truncate(int fd, off_t size)
{
	int r;

	do
		r = ftruncate(fd, size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int an__blocking_close(int fd)
{
	/* The descriptor is gone even then (close(2)). */
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int an__blocking_sync_folder(const char *folder)
{
	int fd = an__blocking_open(folder, O_RDONLY | O_DIRECTORY, 0), r;

	if (fd < 0)
		return fd;
	r = an__blocking_sync(fd, false);
	close(fd);
	return r;
}

size_t an__folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

int an__blocking_sync_parent(const char *path)
{
	size_t len = an__folder_length(path);
	char *folder;
	int r;

	if (!len)
		return an__blocking_sync_folder(".");
	folder = an__strndup(path, len);
	if (!folder)
		return -ENOMEM;
	r = an__blocking_sync_folder(folder);
	free(folder);
	return r;
}
