/* Pipes. L3.
 *
 * A pipe is two streams; what makes it one is the kernel's. */
#include "config.h"

#include <asyncnet/process.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int an_pipe(const an_stream_opts *opts, an_stream **ret_reader, an_stream **ret_writer)
{
	an_stream *reader, *writer;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = an_stream_new(fds[0], opts, &reader);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	r = an_stream_new(fds[1], opts, &writer);
	if (r < 0) {
		an_stream_close(reader);
		close(fds[1]);
		return r;
	}
	*ret_reader = reader;
	*ret_writer = writer;
	return 0;
}
