/* What listening and connecting share. L3. */
#include "config.h"

#include "loop/io/socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

int an__socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int an__address_unix(const char *path, an_address *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;
	size_t length = path ? strlen(path) : 0;
	bool abstract = length && path[0] == '@';

	if (!length || (abstract && length == 1))
		return -EINVAL;
	if (length >= sizeof un->sun_path)
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof *ret);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length);
	if (abstract)
		un->sun_path[0] = '\0';
	/* An abstract name ends with the length, a path with a zero. */
	ret->length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
	return 0;
}
