/* A stream's life: making, closing, and what is known about it. L3.
 *
 * Invariants: the bufferevent, its buffers, the events and the descriptor live until
 * close; the struct lives until the last task that is in a call has left it, which is
 * why every call that may suspend enters and leaves, and looks at `closed` after each
 * wait.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/stream-private.h"
#include "loop/io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	READ_LIMIT = 64 * 1024,
	WRITE_HIGH = 64 * 1024,
	READ_FIRST = 4096 - 64, /* see stream-read.c */
	SINGLE_WRITE =
		256 *
		1024, /* what the bufferevent offers at once; its default is 16 KiB */
};

/* libevent writes without MSG_NOSIGNAL, and pipes have no such flag at all. */
static void ignore_sigpipe(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) || action.sa_handler != SIG_DFL)
		return;
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

static void set_limits(an_stream *s, const an_stream_opts *opts)
{
	static const an_stream_opts defaults;

	if (!opts)
		opts = &defaults;
	s->read_limit = opts->read_limit ? opts->read_limit : READ_LIMIT;
	s->write_high = opts->write_high ? opts->write_high : WRITE_HIGH;
	s->write_low = opts->write_low ? opts->write_low : s->write_high / 4;
	if (s->read_limit > SIZE_MAX / 2)
		s->read_limit = SIZE_MAX / 2;
	if (s->write_low > s->write_high)
		s->write_low = s->write_high;
}

static int make(int fd, bool is_socket, const an_stream_opts *opts, an_stream **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	an_loop *loop = an_loop_current();
	an_stream *s;

	if (!loop)
		return AN_ERR_NO_TASK;
	pthread_once(&once, ignore_sigpipe);
	s = an__calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->bev = bufferevent_socket_new(an_loop_base(loop), fd, 0);
	if (!s->bev)
		goto fail;
	if (bufferevent_set_max_single_write(s->bev, SINGLE_WRITE) ||
	    bufferevent_disable(s->bev, EV_READ | EV_WRITE))
		goto fail;
	s->in = bufferevent_get_input(s->bev);
	s->out = bufferevent_get_output(s->bev);
	/* The end of the input is frozen for all but the bufferevent's own reading, which
	 * never happens here. */
	evbuffer_unfreeze(s->in, 0);
	bufferevent_setcb(s->bev, NULL, an__stream_on_written, an__stream_on_event, s);
	if (event_assign(&s->readable, an_loop_base(loop), fd, EV_READ | EV_PERSIST,
			 an__stream_on_readable, s))
		goto fail;
	an__turn_hook_init(&s->flush, an__stream_on_turn_end);
	s->transport = &an__transport_plain;
	s->loop = loop;
	s->fd = fd;
	s->socket = is_socket;
	s->read_size = READ_FIRST;
	s->read_end = 1;
	set_limits(s, opts);
	*ret = s;
	return 0;
fail:
	if (s->bev)
		bufferevent_free(s->bev);
	free(s);
	return -ENOMEM;
}

int an__stream_new_socket(int fd, const an_stream_opts *opts, an_stream **ret)
{
	return make(fd, true, opts, ret);
}

int an_stream_new(int fd, const an_stream_opts *opts, an_stream **ret)
{
	struct stat st;
	int flags;

	if (fstat(fd, &st) < 0)
		return -errno;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return make(fd, S_ISSOCK(st.st_mode), opts, ret);
}

static void release(an_stream *s)
{
	free(s->error_text);
	free(s);
}

void an__stream_leave(an_stream *s)
{
	if (--s->refs == 0 && s->closed)
		release(s);
}

static an_stream *close_now(an_stream *s)
{
	s->closed = true;
	an__list_remove(&s->flush.node);
	event_del(&s->readable);
	/* The bufferevent goes later; what the output refers to is released now. */
	an__stream_output_drain(s, evbuffer_get_length(s->out));
	bufferevent_free(s->bev);
	close(s->fd);
	if (s->transport->free)
		s->transport->free(s);
	s->fd = -1;
	s->parked = NULL;
	an__wake_all(&s->readers, AN_ERR_CLOSED);
	an__wake_all(&s->writers, AN_ERR_CLOSED);
	if (!s->refs)
		release(s);
	return NULL;
}

an_stream *an_stream_close(an_stream *s)
{
	if (!s || s->closed)
		return NULL;
	/* In mid-write the end must not be said: a part would pass for the whole. */
	if (!s->finished && !s->parked && !s->sending_file && s->transport->finish)
		s->transport->finish(s);
	if (s->write_state != AN__WRITE_FAILED && evbuffer_get_length(s->out))
		an__stream_offer(s, NULL);
	return close_now(s);
}

an_stream *an_stream_abort(an_stream *s)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (!s || s->closed)
		return NULL;
	if (s->socket)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	return close_now(s);
}

/* ---- about the stream ----------------------------------------------------------- */

void an__stream_note_error(an_stream *s, int error, const char *text)
{
	if (s->error)
		return;
	s->error = error;
	s->error_text = text ? an__strdup(text) : NULL;
}

const char *an_stream_error_text(const an_stream *s)
{
	if (s->error_text)
		return s->error_text;
	return s->error ? an_strerror(s->error) : "";
}

int an_stream_fd(const an_stream *s)
{
	return s->fd;
}

static int format_unix(const struct sockaddr_un *un, socklen_t len, char *buf, size_t cap)
{
	size_t n = len > offsetof(struct sockaddr_un, sun_path)
			   ? len - offsetof(struct sockaddr_un, sun_path)
			   : 0;

	if (n && un->sun_path[0] == '\0')
		snprintf(buf, cap, "unix:@%.*s", (int)n - 1, un->sun_path + 1);
	else
		snprintf(buf, cap, "unix:%.*s", (int)n, un->sun_path);
	return 0;
}

int an__address_format(const struct sockaddr_storage *address, socklen_t len, char *buf,
		       size_t cap)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	char digits[INET6_ADDRSTRLEN];

	switch (address->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, digits, sizeof digits);
		snprintf(buf, cap, "%s:%u", digits, ntohs(in->sin_port));
		return 0;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, digits, sizeof digits);
		snprintf(buf, cap, "[%s]:%u", digits, ntohs(in6->sin6_port));
		return 0;
	case AF_UNIX:
		return format_unix((const void *)address, len, buf, cap);
	}
	return -EAFNOSUPPORT;
}

int an_stream_peer_address(const an_stream *s, char *buf, size_t cap)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	if (getpeername(s->fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	return an__address_format(&address, len, buf, cap);
}

int an_stream_local_address(const an_stream *s, char *buf, size_t cap)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	if (getsockname(s->fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	return an__address_format(&address, len, buf, cap);
}
