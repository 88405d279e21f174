/* Descriptors that a service manager has opened for the process: sd_listen_fds(3). L3. */
#include "config.h"

#include <asyncnet/net.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST 3 /* behind stdin, stdout and stderr: SD_LISTEN_FDS_START */

/* Returns the number in a variable; -ENOENT when it is not set; -EINVAL. */
static long number_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long value;

	if (!text)
		return -ENOENT;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno || *end || value > INT_MAX - FIRST ? -EINVAL : value;
}

/* Whether the name that begins at `names`, which ends at ':' or with it all, is `name`.
 * One that is not there is "unknown". */
static bool is_named(const char *names, const char *name)
{
	size_t length = names ? strcspn(names, ":") : 0;

	if (!names)
		return !strcmp(name, "unknown");
	return length == strlen(name) && !memcmp(names, name, length);
}

static const char *after(const char *names)
{
	names = names ? strchr(names, ':') : NULL;
	return names ? names + 1 : NULL;
}

int an_activated_fd(const char *name, size_t index)
{
	const char *names = getenv("LISTEN_FDNAMES");
	long pid = number_of("LISTEN_PID"), count = number_of("LISTEN_FDS");

	if (pid == -EINVAL || count == -EINVAL)
		return -EINVAL;
	/* They may have been meant for an ancestor. */
	if (pid != getpid())
		return -ENOENT;
	for (int fd = FIRST; fd < FIRST + count; fd++, names = after(names)) {
		if ((name && !is_named(names, name)) || index--)
			continue;
		return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : fd;
	}
	return -ENOENT;
}
