/* Terminals of children: a pair of ends, of which ours is a stream. L3.
 *
 * That nobody has the other end any more is the stream's end, as it is with a pipe
 * (stream-read.c).
 */
#include "config.h"

#include "loop/io/process-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 80 }; /* what everybody takes it for when nobody says */

int an__terminal_resize(int fd, int rows, int columns)
{
	struct winsize size = { .ws_row = (unsigned short)(rows ? rows : ROWS),
				.ws_col = (unsigned short)(columns ? columns : COLUMNS) };

	if (rows < 0 || columns < 0 || rows > USHRT_MAX || columns > USHRT_MAX)
		return -EINVAL;
	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/* By its name where the kernel (Linux before 4.13) does not give it otherwise. */
static int open_other_end(int fd)
{
	int flags = O_RDWR | O_NOCTTY | O_CLOEXEC, other = -1;
	char name[64];

#ifdef TIOCGPTPEER
	other = ioctl(fd, TIOCGPTPEER, flags);
#endif
	if (other < 0 && ptsname_r(fd, name, sizeof name) == 0)
		other = open(name, flags);
	return other < 0 ? -errno : other;
}

static int open_pair(const an_process_opts *opts, int ret_fds[2])
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (grantpt(fd) < 0 || unlockpt(fd) < 0)
		r = -errno;
	if (r == 0)
		r = an__terminal_resize(fd, opts->terminal_rows, opts->terminal_columns);
	if (r == 0)
		r = open_other_end(fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	ret_fds[0] = fd;
	ret_fds[1] = r;
	return 0;
}

int an__terminal_open(const an_process_opts *opts, an_stream **ret, int *ret_fd)
{
	int fds[2] = { -1, -1 }, r = open_pair(opts, fds);

	if (r < 0)
		return r;
	r = an_stream_new(fds[0], &opts->stream, ret);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	*ret_fd = fds[1];
	return 0;
}
