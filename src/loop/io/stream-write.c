/* The write side of streams. L3.
 *
 * Small writes are appended to the output, which leaves in one system call at the end
 * of the turn or when AN__WRITE_GATHER bytes have come together. Large ones go to the
 * kernel at once from the caller's memory, behind what was gathered. When the kernel
 * refuses, the output is left to the bufferevent; a writer that has more than may be
 * kept parks with its data, and goes on sending from it when the low mark is reached.
 *
 * Invariants: BLOCKED means that the output is not empty and EV_WRITE is enabled. Every
 * byte leaves through the output's front or, when the output is empty, from the current
 * write or file (stream-sendfile.c); so the order is that of the calls. A write that was
 * begun is finished before anything else is appended.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/stream-private.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const an__wait_kind for_drain = { .what = "a stream to take more" };

enum {
	KEPT_PIECES = 16, /* of the output in one system call; 64 KiB is seldom in more */
};

/* ---- states --------------------------------------------------------------------- */

static int set_state(an_stream *s, enum an__write_state state)
{
	if (s->write_state == state || s->write_state == AN__WRITE_FAILED)
		return 0;
	if (state == AN__WRITE_BLOCKED) {
		if (bufferevent_enable(s->bev, EV_WRITE))
			return -ENOMEM;
	} else if (s->write_state == AN__WRITE_BLOCKED) {
		bufferevent_disable(s->bev, EV_WRITE);
	}
	s->write_state = state;
	return 0;
}

void an__stream_output_drain(an_stream *s, size_t n)
{
	/* The bufferevent keeps the front frozen for all but itself. */
	evbuffer_unfreeze(s->out, 1);
	evbuffer_drain(s->out, n);
	evbuffer_freeze(s->out, 1);
}

/* evbuffer_add() makes its next piece as large as the last one, also when that is only
 * referred to: five bytes behind a gigabyte would take another. */
int an__stream_append(an_stream *s, const void *data, size_t len)
{
	struct evbuffer_iovec room;

	if (!s->referring || !evbuffer_get_length(s->out)) {
		s->referring = false;
		return evbuffer_add(s->out, data, len) ? -ENOMEM : 0;
	}
	if (!len)
		return 0;
	if (evbuffer_reserve_space(s->out, (ev_ssize_t)len, &room, 1) < 1)
		return -ENOMEM;
	memcpy(room.iov_base, data, len);
	room.iov_len = len;
	evbuffer_commit_space(s->out, &room, 1);
	s->referring = false;
	return 0;
}

static void wake(an__waiters *queue, int result)
{
	an__waiter *w = an__waiters_first(queue);

	if (w)
		an__wake(w, result);
}

void an__stream_write_failed(an_stream *s, int error)
{
	if (s->write_state == AN__WRITE_FAILED)
		return;
	set_state(s, AN__WRITE_FAILED);
	s->write_error = error;
	an__stream_note_error(s, error, NULL);
	an__list_remove(&s->flush.node);
	an__stream_output_drain(s, evbuffer_get_length(s->out));
	wake(&s->writers, error);
	if (s->in_handshake)
		wake(&s->readers, error);
}

/* The bufferevent: the output has fallen to the low mark, or is empty. */
void an__stream_on_written(struct bufferevent *bev, void *arg)
{
	an_stream *s = arg;

	(void)bev;
	if (!evbuffer_get_length(s->out))
		set_state(s, AN__WRITE_READY);
	wake(&s->writers, 0);
}

void an__stream_on_event(struct bufferevent *bev, short what, void *arg)
{
	an_stream *s = arg;
	int error = errno;

	(void)bev;
	if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF))
		an__stream_write_failed(s, error && error != EAGAIN ? -error : -EPIPE);
}

/* ---- a write under way ---------------------------------------------------------- */

void an__write_advance(an__write *w, size_t n)
{
	w->left -= n;
	while (n) {
		size_t rest = w->iov->iov_len - w->offset;

		if (n < rest) {
			w->offset += n;
			return;
		}
		n -= rest;
		w->iov++;
		w->offset = 0;
	}
	/* Empty pieces would never be done. */
	while (w->left && w->iov->iov_len == 0)
		w->iov++;
}

static int write_vectors(const an__write *w, struct iovec *vec, int max)
{
	const struct iovec *iov = w->iov;
	size_t left = w->left, offset = w->offset;
	int n = 0;

	while (left && n < max) {
		size_t len = iov->iov_len - offset;

		if (len) {
			vec[n].iov_base = (char *)iov->iov_base + offset;
			vec[n++].iov_len = len;
		}
		left -= len;
		offset = 0;
		iov++;
	}
	return n;
}

/* ---- to the kernel -------------------------------------------------------------- */

/* send() costs less than sendmsg(), and one piece is what most offers are. */
static ssize_t send_once(const an_stream *s, struct iovec *vec, int count)
{
	struct msghdr m = { .msg_iov = vec, .msg_iovlen = (size_t)count };

	if (!s->socket)
		return writev(s->fd, vec, count);
	return count == 1 ? send(s->fd, vec->iov_base, vec->iov_len, MSG_NOSIGNAL)
			  : sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

static ssize_t send_vectors(an_stream *s, struct iovec *vec, int count)
{
	ssize_t n;

	do
		n = send_once(s, vec, count);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* The bufferevent watches only a descriptor for which it has something. */
static int block(an_stream *s, an__write *w)
{
	int r = 0;

	if (!evbuffer_get_length(s->out))
		r = s->transport->take(s, w, s->write_low ? s->write_low : 1);
	return r ? r : set_state(s, AN__WRITE_BLOCKED);
}

/* One system call for the output and then *w. Returns whether all that was offered
 * went, or an error. */
static int offer_once(an_stream *s, an__write *w)
{
	struct iovec vec[KEPT_PIECES + AN__WRITE_PIECES];
	size_t kept = evbuffer_get_length(s->out), offered = 0, sent;
	int count = 0;
	ssize_t n;

	/* With a length it tells how many pieces there are, not how many it gave. */
	if (kept)
		count = evbuffer_peek(s->out, (ev_ssize_t)kept, NULL, vec, KEPT_PIECES);
	if (count > KEPT_PIECES)
		count = KEPT_PIECES;
	else if (w)
		count += write_vectors(w, vec + count, AN__WRITE_PIECES);
	for (int i = 0; i < count; i++)
		offered += vec[i].iov_len;
	n = send_vectors(s, vec, count);
	if (n == -EAGAIN)
		return false;
	if (n < 0)
		return (int)n;
	sent = (size_t)n;
	s->write_burst += sent;
	if (kept)
		an__stream_output_drain(s, sent < kept ? sent : kept);
	if (sent > kept)
		an__write_advance(w, sent - kept);
	return sent == offered;
}

int an__stream_offer(an_stream *s, an__write *w)
{
	int r = true;

	if (s->write_state == AN__WRITE_FAILED)
		return s->write_error;
	if (s->transport->offer) {
		r = s->transport->offer(s);
		if (r < 0)
			an__stream_write_failed(s, r);
		return r;
	}
	while (r == true && (evbuffer_get_length(s->out) || (w && w->left)))
		r = offer_once(s, w);
	if (r == true)
		r = set_state(s, AN__WRITE_READY);
	else if (r == false)
		r = block(s, w);
	if (r < 0)
		an__stream_write_failed(s, r);
	return r;
}

void an__stream_on_turn_end(an__turn_hook *hook)
{
	an_stream *s = an__container(hook, an_stream, flush);

	if (s->write_state == AN__WRITE_READY)
		an__stream_offer(s, NULL);
}

void an__stream_flush_later(an_stream *s)
{
	if (s->write_state == AN__WRITE_READY && evbuffer_get_length(s->out))
		an__loop_at_turn_end(s->loop, &s->flush);
}

/* Takes all of *w. A failure in mid-write ends the write side: half a message must not
 * go out. */
static int take_all(an_stream *s, an__write *w)
{
	int r = s->transport->take(s, w, SIZE_MAX);

	if (r && (w->left < w->total || (r != -ENOMEM && r != AN_ERR_MISUSE)))
		an__stream_write_failed(s, r);
	return r;
}

/* ---- waiting -------------------------------------------------------------------- */

int an__stream_write_check(const an_stream *s)
{
	if (s->closed)
		return AN_ERR_CLOSED;
	return s->write_state == AN__WRITE_FAILED ? s->write_error : 0;
}

int an__stream_write_begin(an_stream *s)
{
	int r = an__wait_check();

	if (r)
		return r;
	if (s->closed)
		return AN_ERR_CLOSED;
	an__stream_enter(s);
	if (s->write_burst >= AN__STREAM_BURST) {
		s->write_burst = 0;
		r = an_yield();
	}
	if (s->closed)
		r = AN_ERR_CLOSED;
	else if (!r && s->writing)
		r = -EBUSY;
	else if (!r)
		r = an__stream_write_check(s);
	if (r)
		an__stream_leave(s);
	else
		s->writing = true;
	return r;
}

int an__stream_write_end(an_stream *s, int r)
{
	s->writing = false;
	an__stream_leave(s);
	return r;
}

/* Until the output has fallen to `low`. */
static int wait_written(an_stream *s, an__write *w, size_t low)
{
	an__waiter waiter;
	int r;

	s->write_burst = 0;
	s->parked = w;
	bufferevent_setwatermark(s->bev, EV_WRITE, low, 0);
	r = an__wait(&waiter, &s->writers, &for_drain);
	if (s->closed)
		return AN_ERR_CLOSED;
	s->parked = NULL;
	return s->write_state == AN__WRITE_FAILED ? s->write_error : r;
}

/* ---- the calls ------------------------------------------------------------------ */

/* Whether it may be appended, to leave at the end of the turn or when the kernel takes
 * more. */
static bool may_be_kept(const an_stream *s, const an__write *w)
{
	size_t sum = evbuffer_get_length(s->out) + w->left;

	if (sum > s->write_high)
		return false;
	return s->write_state == AN__WRITE_BLOCKED ||
	       (w->left < AN__WRITE_DIRECT && sum < AN__WRITE_GATHER);
}

/* To the kernel as much as it takes. */
static int push(an_stream *s, an__write *w)
{
	size_t kept = evbuffer_get_length(s->out);
	int r;

	if (s->transport->direct)
		return an__stream_offer(s, w);
	r = s->transport->take(s, w, kept < s->write_high ? s->write_high - kept : 1);
	if (r) {
		an__stream_write_failed(s, r);
		return r;
	}
	return an__stream_offer(s, NULL);
}

int an__stream_write_all(an_stream *s, an__write *w)
{
	while (w->left) {
		int r;

		if (may_be_kept(s, w))
			return take_all(s, w);
		if (s->write_state == AN__WRITE_BLOCKED) {
			r = wait_written(s, w, s->write_low);
			if (r == -ECANCELED && w->left < w->total)
				return take_all(s, w);
			if (r)
				return r;
		}
		r = push(s, w);
		if (r)
			return r;
	}
	return 0;
}

static size_t total_of(const struct iovec *iov, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	return total;
}

static int write_pieces(an_stream *s, const struct iovec *iov, int count)
{
	an__write w = { .iov = iov, .left = total_of(iov, count) };
	int r;

	if (s->shut)
		return AN_ERR_CLOSED;
	w.total = w.left;
	an__write_advance(&w, 0);
	r = an__stream_write_all(s, &w);
	if (!s->closed)
		an__stream_flush_later(s);
	return r;
}

int an_stream_writev(an_stream *s, const struct iovec *iov, int count)
{
	int r;

	if (count < 0 || count > AN__WRITE_PIECES)
		return -EINVAL;
	r = an__stream_write_begin(s);
	return r ? r : an__stream_write_end(s, write_pieces(s, iov, count));
}

int an_stream_write(an_stream *s, const void *data, size_t len)
{
	struct iovec iov = { (void *)data, len };

	return an_stream_writev(s, &iov, 1);
}

/* ---- by reference --------------------------------------------------------------- */

struct reference {
	void (*release)(void *arg);
	void *arg;
};

/* Of the output, when the last byte has gone, or been dropped. */
static void release_reference(const void *data, size_t len, void *arg)
{
	struct reference *ref = arg;

	(void)data;
	(void)len;
	ref->release(ref->arg);
	free(ref);
}

/* Takes *ref over on success. */
static int append_reference(an_stream *s, const struct iovec *iov,
			    const struct reference *ref)
{
	struct reference *copy = NULL;

	if (ref->release) {
		copy = an__malloc(sizeof *copy);
		if (!copy)
			return -ENOMEM;
		*copy = *ref;
	}
	if (evbuffer_add_reference(s->out, iov->iov_base, iov->iov_len,
				   copy ? release_reference : NULL, copy)) {
		free(copy);
		return -ENOMEM;
	}
	s->referring = true;
	return 0;
}

/* Until the data may be kept as well. Nothing of it has been taken. */
static int wait_for_room(an_stream *s, size_t len)
{
	size_t room = len < s->write_high ? s->write_high - len : 0;
	size_t low = room < s->write_low ? room : s->write_low;
	int r = 0;

	while (r == 0 && s->write_state == AN__WRITE_BLOCKED &&
	       evbuffer_get_length(s->out) > room)
		r = wait_written(s, NULL, low);
	return r;
}

/* Sets *ret_taken once the reference is the stream's. */
static int write_ref(an_stream *s, const struct iovec *iov, const struct reference *ref,
		     bool *ret_taken)
{
	int r;

	if (s->shut)
		return AN_ERR_CLOSED;
	if (!s->transport->direct || iov->iov_len < AN__WRITE_REFER)
		return write_pieces(s, iov, 1);
	r = wait_for_room(s, iov->iov_len);
	if (r == 0)
		r = append_reference(s, iov, ref);
	if (r < 0)
		return r;
	*ret_taken = true;
	if (s->write_state == AN__WRITE_READY &&
	    evbuffer_get_length(s->out) >= AN__WRITE_GATHER)
		return an__stream_offer(s, NULL);
	an__stream_flush_later(s);
	return 0;
}

int an_stream_write_ref(an_stream *s, const void *data, size_t len,
			void (*release)(void *arg), void *arg)
{
	const struct iovec iov = { (void *)data, len };
	const struct reference ref = { release, arg };
	bool taken = false;
	int r = an__stream_write_begin(s);

	if (r == 0) {
		r = write_ref(s, &iov, &ref, &taken);
		an__stream_write_end(s, r);
	}
	if (!taken && release)
		release(arg);
	return r;
}

/* ---- without waiting, and to the end -------------------------------------------- */

int an_stream_write_nowait(an_stream *s, const void *data, size_t len)
{
	struct iovec iov = { (void *)data, len };
	an__write w = { .iov = &iov, .left = len, .total = len };
	int r = 0;

	if (s->closed || s->shut)
		return AN_ERR_CLOSED;
	if (s->write_state == AN__WRITE_FAILED)
		return s->write_error;
	if (s->sending_file)
		return -EBUSY;
	/* A parked write of which a part is gone is completed before anything follows. */
	if (s->parked && s->parked->left < s->parked->total)
		r = take_all(s, s->parked);
	if (!r)
		r = take_all(s, &w);
	if (!r && s->write_state == AN__WRITE_READY &&
	    evbuffer_get_length(s->out) >= AN__WRITE_GATHER)
		return an__stream_offer(s, NULL);
	an__stream_flush_later(s);
	return r;
}

size_t an_stream_pending(const an_stream *s)
{
	return evbuffer_get_length(s->out);
}

int an__stream_write_out(an_stream *s)
{
	int r = 0;

	while (r == 0 && evbuffer_get_length(s->out))
		r = s->write_state == AN__WRITE_READY ? an__stream_offer(s, NULL)
						      : wait_written(s, NULL, 0);
	if (r == 0 && s->write_state == AN__WRITE_FAILED)
		r = s->write_error;
	return r;
}

int an_stream_drain(an_stream *s)
{
	int r = an__stream_write_begin(s);

	return r ? r : an__stream_write_end(s, an__stream_write_out(s));
}

static int write_out_in_time(an_stream *s)
{
	an_timeout limit;

	if (!s->shutdown_limit)
		return an__stream_write_out(s);
	an_timeout_begin(&limit, s->shutdown_limit);
	return an_timeout_end(&limit, an__stream_write_out(s));
}

int an_stream_shutdown(an_stream *s)
{
	int r = an__stream_write_begin(s);

	if (r)
		return r;
	if (!s->shut && s->transport->finish)
		s->transport->finish(s);
	s->shut = true;
	r = write_out_in_time(s);
	if (r == 0 && !s->finished && s->transport->direct && s->socket &&
	    shutdown(s->fd, SHUT_WR) < 0)
		r = -errno;
	if (r == 0)
		s->finished = true;
	return an__stream_write_end(s, r);
}
