/* The read side of streams. L3.
 *
 * The descriptor's event is armed at the first wait and stays armed, so that a wait
 * costs no epoll_ctl; it is level-triggered, and deleted only when it fires with nobody
 * reading. A read is tried before parking unless the last one came back short: then the
 * kernel's buffer was empty, and the event tells when it is not.
 *
 * Invariants: `lent` bytes at the front of the input have been handed out as a line and
 * are dropped by the next call that touches the input. An idle stream keeps no input
 * memory.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/stream-private.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const an__wait_kind for_bytes = { .what = "bytes of a stream" };

enum {
	/* A chain of libevent's buffers is a power of two with its header in it, at least
	 * as large as what was asked for: asking for 64 KiB itself would take 128. */
	CHAIN_ROOM = 64,
	FILL_MIN = 4 * 1024 - CHAIN_ROOM,
	FILL_MAX = 64 * 1024 - CHAIN_ROOM,

	/* From here on a read goes straight to the caller's memory. */
	READ_DIRECT = 4 * 1024,

	SEPARATOR_MAX = 1024,
	SEPARATORS = 16, /* each is looked for in turn */

	ALL_LIMIT = 64 * 1024 * 1024,
};

/* ---- one attempt ---------------------------------------------------------------- */

/* The system tells of a lost connection once. When it told the write side, what a read
 * finds behind the last bytes looks like an end that the peer never said. (-EPIPE is told
 * when it had said its end.) */
static ssize_t end_or_loss(const an_stream *s)
{
	switch (s->write_error) {
	case -ECONNRESET:
	case -ECONNABORTED:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return s->write_error;
	default:
		return 0;
	}
}

/* What EIO of a pty's master says is that nobody has the terminal open any more: its end,
 * told by no other sign. */
static ssize_t hang_up_or_error(const an_stream *s)
{
	unsigned number;

	return !s->socket && ioctl(s->fd, TIOCGPTN, &number) == 0 ? 0 : -EIO;
}

static ssize_t plain_read(an_stream *s, void *buf, size_t cap)
{
	ssize_t n;

	do
		n = s->socket ? recv(s->fd, buf, cap, 0) : read(s->fd, buf, cap);
	while (n < 0 && errno == EINTR);
	s->drained = n < (ssize_t)cap;
	if (n >= 0)
		return n ? n : end_or_loss(s);
	if (errno == EIO)
		return hang_up_or_error(s);
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static bool plain_buffered(const an_stream *s)
{
	(void)s;
	return false;
}

static bool plain_readable(an_stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static int plain_take(an_stream *s, an__write *w, size_t max)
{
	while (max && w->left) {
		struct iovec piece = an__write_piece(w);
		size_t n = piece.iov_len < max ? piece.iov_len : max;

		if (an__stream_append(s, piece.iov_base, n))
			return -ENOMEM;
		an__write_advance(w, n);
		max -= n;
	}
	return 0;
}

const an__transport an__transport_plain = {
	.read = plain_read,
	.buffered = plain_buffered,
	.readable = plain_readable,
	.take = plain_take,
	.direct = true,
};

/* The length of the input that the caller has not seen yet. */
static size_t unread(const an_stream *s)
{
	return evbuffer_get_length(s->in) - s->lent;
}

static void drop_lent(an_stream *s)
{
	if (s->lent)
		evbuffer_drain(s->in, s->lent);
	s->lent = 0;
}

static bool worth_trying(an_stream *s)
{
	return !s->drained || s->transport->buffered(s);
}

/* Returns the count, 0 at the end, -EAGAIN when there is nothing now, or what sticks. */
static ssize_t try_read(an_stream *s, void *buf, size_t cap)
{
	ssize_t n;

	if (s->read_end <= 0)
		return s->read_end;
	if (!worth_trying(s))
		return -EAGAIN;
	n = s->transport->read(s, buf, cap);
	if (n > 0) {
		s->read_burst += (size_t)n;
	} else if (n != -EAGAIN) {
		s->read_end = (int)n;
		if (n < 0)
			an__stream_note_error(s, (int)n, NULL);
	}
	return n;
}

/* Frees the empty chain that was reserved for a read that gave nothing: only draining a
 * buffer that holds something frees its chains. The byte fits into that very chain. */
static void give_back_reserved(an_stream *s)
{
	if (evbuffer_get_length(s->in) == 0 && evbuffer_add(s->in, "", 1) == 0)
		evbuffer_drain(s->in, 1);
}

/* The same into the end of the input, at most `max` bytes. */
static ssize_t try_fill(an_stream *s, size_t max)
{
	struct evbuffer_iovec room;
	size_t want = s->read_size < max ? s->read_size : max;
	ssize_t n;

	if (s->read_end <= 0)
		return s->read_end;
	if (!worth_trying(s))
		return -EAGAIN;
	if (evbuffer_reserve_space(s->in, (ev_ssize_t)want, &room, 1) < 1)
		return -ENOMEM;
	if (room.iov_len > want)
		room.iov_len = want;
	n = try_read(s, room.iov_base, room.iov_len);
	if (n <= 0) {
		give_back_reserved(s);
		return n;
	}
	room.iov_len = (size_t)n;
	evbuffer_commit_space(s->in, &room, 1);

	if ((size_t)n == s->read_size && s->read_size < FILL_MAX)
		s->read_size = (s->read_size + CHAIN_ROOM) * 4 - CHAIN_ROOM;
	else if ((size_t)n < s->read_size / 8 && s->read_size > FILL_MIN)
		s->read_size = (s->read_size + CHAIN_ROOM) / 4 - CHAIN_ROOM;
	return n;
}

/* ---- waiting -------------------------------------------------------------------- */

void an__stream_on_readable(evutil_socket_t fd, short what, void *arg)
{
	an_stream *s = arg;
	an__waiter *w = an__waiters_first(&s->readers);

	(void)fd;
	(void)what;
	s->drained = false;
	if (w) {
		an__wake(w, 0);
	} else if (!s->reading) {
		event_del(&s->readable);
		s->armed = false;
	}
}

int an__stream_wait_readable(an_stream *s)
{
	an__waiter w;
	int r;

	if (!s->armed) {
		if (event_add(&s->readable, NULL))
			return -ENOMEM;
		s->armed = true;
	}
	s->read_burst = 0;
	r = an__wait(&w, &s->readers, &for_bytes);
	return s->closed ? AN_ERR_CLOSED : r;
}

/* Every reading call: alone, not cancelled, and now and then behind the others. */
static int begin(an_stream *s)
{
	int r = an__wait_check();

	if (r)
		return r;
	if (s->closed)
		return AN_ERR_CLOSED;
	if (s->reading)
		return -EBUSY;
	s->reading = true;
	an__stream_enter(s);
	drop_lent(s);
	return 0;
}

static int let_others_run(an_stream *s)
{
	int r;

	if (s->read_burst < AN__STREAM_BURST)
		return 0;
	s->read_burst = 0;
	r = an_yield();
	return s->closed ? AN_ERR_CLOSED : r;
}

static ssize_t end(an_stream *s, ssize_t r)
{
	s->reading = false;
	an__stream_leave(s);
	return r;
}

/* Into the caller's memory; the input is empty. */
static ssize_t read_wait(an_stream *s, void *buf, size_t cap)
{
	int r = let_others_run(s);

	while (r == 0) {
		ssize_t n = try_read(s, buf, cap);

		if (n != -EAGAIN)
			return n;
		r = an__stream_wait_readable(s);
	}
	return r;
}

static ssize_t fill_wait(an_stream *s, size_t max)
{
	int r = let_others_run(s);

	while (r == 0) {
		ssize_t n = try_fill(s, max);

		if (n != -EAGAIN)
			return n;
		r = an__stream_wait_readable(s);
	}
	return r;
}

/* ---- the calls ------------------------------------------------------------------ */

static ssize_t read_some(an_stream *s, void *buf, size_t cap)
{
	if (!unread(s)) {
		ssize_t n;

		if (cap >= READ_DIRECT)
			return read_wait(s, buf, cap);
		n = fill_wait(s, FILL_MAX);
		if (n <= 0)
			return n;
	}
	return evbuffer_remove(s->in, buf, cap);
}

ssize_t an_stream_read(an_stream *s, void *buf, size_t cap)
{
	int r = begin(s);

	if (r)
		return r;
	return end(s, cap ? read_some(s, buf, cap) : 0);
}

/* Small pieces are gathered in the input, where a failure leaves them. */
static ssize_t read_exactly_gathered(an_stream *s, void *buf, size_t len)
{
	while (unread(s) < len) {
		ssize_t n = fill_wait(s, FILL_MAX);

		if (n <= 0)
			return n < 0 ? n : AN_ERR_EOF;
	}
	evbuffer_remove(s->in, buf, len);
	return 0;
}

/* Large ones go straight to the caller's memory, and back into the input on a failure. */
static ssize_t read_exactly_direct(an_stream *s, char *buf, size_t len)
{
	int removed = evbuffer_remove(s->in, buf, len);
	size_t got = removed > 0 ? (size_t)removed : 0;

	while (got < len) {
		ssize_t n = read_wait(s, buf + got, len - got);

		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		if (s->closed)
			return n;
		if (got && evbuffer_prepend(s->in, buf, got)) {
			s->read_end = -ENOMEM;
			return -ENOMEM;
		}
		return n < 0 ? n : AN_ERR_EOF;
	}
	return 0;
}

int an_stream_read_exactly(an_stream *s, void *buf, size_t len)
{
	int r = begin(s);

	if (r)
		return r;
	return (int)end(s, len <= FILL_MAX ? read_exactly_gathered(s, buf, len)
					   : read_exactly_direct(s, buf, len));
}

/* Hands out a copy of the whole input. */
static int take_input(an_stream *s, char **ret_data, size_t *ret_len)
{
	size_t len = evbuffer_get_length(s->in);
	char *data = an__malloc(len + 1);

	if (!data)
		return -ENOMEM;
	evbuffer_remove(s->in, data, len);
	data[len] = '\0';
	*ret_data = data;
	*ret_len = len;
	return 0;
}

/* One byte beyond the limit tells that there is more. */
static ssize_t fill_all(an_stream *s, size_t limit)
{
	ssize_t n = 1;

	while (n > 0) {
		size_t have = evbuffer_get_length(s->in);

		if (have > limit)
			return AN_ERR_LIMIT;
		n = fill_wait(s, limit + 1 - have);
	}
	return n;
}

int an_stream_read_all(an_stream *s, size_t limit, char **ret_data, size_t *ret_len)
{
	ssize_t r;

	if (limit > SSIZE_MAX / 2)
		return -EINVAL;
	r = begin(s);
	if (r)
		return (int)r;
	r = fill_all(s, limit ? limit : ALL_LIMIT);
	if (r == 0)
		r = take_input(s, ret_data, ret_len);
	return (int)end(s, r);
}

/* Where the separator begins, from `from` on, or -1. */
static ssize_t find(an_stream *s, const void *sep, size_t sep_len, size_t from)
{
	struct evbuffer_ptr start;

	if (evbuffer_get_length(s->in) < from + sep_len ||
	    evbuffer_ptr_set(s->in, &start, from, EVBUFFER_PTR_SET))
		return -1;
	return evbuffer_search(s->in, sep, sep_len, &start).pos;
}

/* Hands out the first len bytes of the input in one piece. */
static int lend(an_stream *s, size_t len, const char **ret_data, size_t *ret_len)
{
	const char *data = (const char *)evbuffer_pullup(s->in, (ev_ssize_t)len);

	if (!data)
		return -ENOMEM;
	s->lent = len;
	*ret_data = data;
	*ret_len = len;
	return 0;
}

/* What a search has found; end SIZE_MAX: nothing. */
struct match {
	size_t start, end;
	int which;
};

/* The separator that ends first in what has come since `searched` bytes were there. That
 * one does not depend on how the bytes arrive. */
static struct match find_any(an_stream *s, const struct iovec *seps, int count,
			     size_t searched)
{
	struct match first = { 0, SIZE_MAX, 0 };

	for (int i = 0; i < count; i++) {
		size_t len = seps[i].iov_len;
		size_t from = searched >= len ? searched - len + 1 : 0;
		ssize_t at = find(s, seps[i].iov_base, len, from);
		size_t start = (size_t)at, end = start + len;

		if (at >= 0 &&
		    (end < first.end || (end == first.end && start > first.start)))
			first = (struct match){ start, end, i };
	}
	return first;
}

static ssize_t read_until(an_stream *s, const struct iovec *seps, int count,
			  const char **ret_data, size_t *ret_len, int *ret_which)
{
	size_t limit = s->read_limit, searched = 0, longest = 0;

	for (int i = 0; i < count; i++)
		if (seps[i].iov_len > longest)
			longest = seps[i].iov_len;
	for (;;) {
		struct match match = find_any(s, seps, count, searched);
		size_t have = evbuffer_get_length(s->in);
		ssize_t n;

		if (match.end != SIZE_MAX) {
			if (match.start > limit)
				return AN_ERR_LIMIT;
			n = lend(s, match.end, ret_data, ret_len);
			if (n == 0 && ret_which)
				*ret_which = match.which;
			return n;
		}
		/* Even if all but the last byte of a separator were there already. */
		if (have >= limit + longest)
			return AN_ERR_LIMIT;
		searched = have;
		n = fill_wait(s, limit + longest - have);
		if (n <= 0)
			return n < 0 ? n : AN_ERR_EOF;
	}
}

int an_stream_read_until_any(an_stream *s, const struct iovec *seps, int count,
			     const char **ret_data, size_t *ret_len, int *ret_which)
{
	int r;

	if (count < 1 || count > SEPARATORS)
		return -EINVAL;
	for (int i = 0; i < count; i++)
		if (seps[i].iov_len < 1 || seps[i].iov_len > SEPARATOR_MAX)
			return -EINVAL;
	r = begin(s);
	if (r)
		return r;
	return (int)end(s, read_until(s, seps, count, ret_data, ret_len, ret_which));
}

int an_stream_read_until(an_stream *s, const void *sep, size_t sep_len,
			 const char **ret_data, size_t *ret_len)
{
	const struct iovec one = { (void *)sep, sep_len };

	return an_stream_read_until_any(s, &one, 1, ret_data, ret_len, NULL);
}

int an_stream_read_line(an_stream *s, const char **ret_data, size_t *ret_len)
{
	const struct iovec newline = { (void *)"\n", 1 };
	int r = begin(s);
	size_t rest;

	if (r)
		return r;
	r = (int)read_until(s, &newline, 1, ret_data, ret_len, NULL);
	if (r == AN_ERR_EOF) {
		rest = evbuffer_get_length(s->in);
		if (rest)
			r = lend(s, rest, ret_data, ret_len);
	}
	return (int)end(s, r);
}

ssize_t an_stream_fill(an_stream *s, size_t limit)
{
	int r = begin(s);
	size_t have;

	if (r)
		return r;
	have = evbuffer_get_length(s->in);
	return end(s, have < limit ? fill_wait(s, limit - have) : AN_ERR_LIMIT);
}

ssize_t an_stream_peek(an_stream *s, const char **ret_data)
{
	size_t len;
	const char *data;

	drop_lent(s);
	len = evbuffer_get_length(s->in);
	data = len ? (const char *)evbuffer_pullup(s->in, -1) : NULL;
	if (len && !data)
		return -ENOMEM;
	*ret_data = data;
	return (ssize_t)len;
}

void an_stream_consume(an_stream *s, size_t len)
{
	drop_lent(s);
	evbuffer_drain(s->in, len);
}

/* The bytes may be those that were lent, hence the copy. */
int an_stream_unread(an_stream *s, const void *data, size_t len)
{
	struct evbuffer *copy;
	int r = 0;

	if (s->closed)
		return AN_ERR_CLOSED;
	if (s->reading)
		return -EBUSY;
	if (!len)
		return 0;
	copy = evbuffer_new();
	if (!copy)
		return -ENOMEM;
	if (evbuffer_add(copy, data, len)) {
		r = -ENOMEM;
	} else {
		drop_lent(s);
		/* Moves chains, and so cannot fail. */
		evbuffer_prepend_buffer(s->in, copy);
	}
	evbuffer_free(copy);
	return r;
}

bool an_stream_at_eof(const an_stream *s)
{
	return s->read_end == 0 && !unread(s);
}

bool an__stream_may_have_more(an_stream *s)
{
	return worth_trying(s);
}

bool an_stream_readable(an_stream *s)
{
	return unread(s) || s->read_end <= 0 || s->transport->readable(s);
}
