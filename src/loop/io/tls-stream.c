/* TLS on a stream: the handshake, and the transport that takes the plain one's place.
 * L3.
 *
 * OpenSSL never suspends: its BIO says "later" and the task parks outside. So a close
 * by another task finds no call of OpenSSL under way. What OpenSSL has to say unasked
 * (alerts, tickets, key updates) goes to the stream's output and leaves at the end of
 * the turn.
 *
 * Invariant: `up` is false before the handshake is done and after any fatal failure;
 * only then may the SSL be written to or shut down.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum {
	RECORD = 16 * 1024, /* plain bytes in a record at most (RFC 8446, 5.1) */
};

an_stream *an__tls_stream_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* ---- failures ------------------------------------------------------------------- */

/* Before each call of OpenSSL: what an earlier one left must not be taken for its. */
static void prepare(an__tls_stream *t, bool reading)
{
	ERR_clear_error();
	t->reading = reading;
	t->refills = 0;
}

/* What a call of OpenSSL failed of: -EAGAIN: the peer has to send first; 0: it said the
 * end; else an error that is noted, after which the SSL is of no more use. */
static int failure(an_stream *s)
{
	an__tls_stream *t = s->tls;
	int kind = SSL_get_error(t->ssl, 0);
	int r = AN_ERR_TLS;
	char words[AN__TLS_REASON_MAX];
	bool no_memory;
	unsigned long code;

	if (kind == SSL_ERROR_WANT_READ)
		return -EAGAIN;
	if (kind == SSL_ERROR_ZERO_RETURN)
		return 0;
	t->up = false;
	code = an__tls_take_errors(&no_memory);
	if (t->io_error)
		r = t->io_error < 0 ? t->io_error : AN_ERR_TRUNCATED;
	else if (no_memory)
		r = -ENOMEM;
	else if (t->verdict)
		r = t->verdict; /* noted with its reason */
	else
		an__stream_note_error(s, r, an__tls_reason(t, code, words));
	return r;
}

/* ---- the transport -------------------------------------------------------------- */

static bool tls_buffered(const an_stream *s)
{
	const an__tls_stream *t = s->tls;

	return t->deferred || t->chunk || SSL_pending(t->ssl) > 0;
}

/* A failure behind bytes that were read is kept for the next call. */
static void defer(an__tls_stream *t, int r)
{
	t->deferred = r ? r : 1;
}

/* What lies behind a failure or the end nobody reads. The alert goes out at once: the
 * next write fails, and drops the output. */
static void end_reading(an_stream *s, int r)
{
	an__tls_chunk_release(s);
	if (r < 0 && evbuffer_get_length(s->out))
		an__stream_offer(s, NULL);
}

static ssize_t tls_read(an_stream *s, void *buf, size_t cap)
{
	an__tls_stream *t = s->tls;
	size_t total = 0, n;

	if (t->deferred)
		return t->deferred < 0 ? t->deferred : 0;
	prepare(t, true);
	do {
		if (SSL_read_ex(t->ssl, (char *)buf + total, cap - total, &n) != 1) {
			int r = failure(s);

			if (r != -EAGAIN)
				end_reading(s, r);
			if (!total)
				return r;
			if (r != -EAGAIN)
				defer(t, r);
			break;
		}
		total += n;
	} while (total < cap && (t->chunk || SSL_pending(t->ssl) > 0));
	return (ssize_t)total;
}

/* The descriptor alone does not tell: what lies there may be a ticket. */
static bool tls_readable(an_stream *s)
{
	an__tls_stream *t = s->tls;
	char byte;
	size_t n;
	int r;

	if (t->deferred || SSL_pending(t->ssl) > 0)
		return true;
	prepare(t, true);
	s->drained = false;
	if (SSL_peek_ex(t->ssl, &byte, 1, &n) == 1)
		return true;
	r = failure(s);
	if (r == -EAGAIN)
		return false;
	end_reading(s, r);
	defer(t, r);
	return true;
}

/* Packs small pieces into one record. Returns how many bytes lie in `buf`; *w is not
 * advanced. */
static size_t pack(const an__write *w, char *buf, size_t max)
{
	an__write copy = *w;
	size_t n = 0;

	while (n < max && copy.left) {
		struct iovec piece = an__write_piece(&copy);

		if (piece.iov_len > max - n)
			piece.iov_len = max - n;
		memcpy(buf + n, piece.iov_base, piece.iov_len);
		n += piece.iov_len;
		an__write_advance(&copy, piece.iov_len);
	}
	return n;
}

static int write_record(an_stream *s, an__write *w, size_t max)
{
	struct iovec piece = an__write_piece(w);
	struct an__tls_chunk *scratch = NULL;
	size_t n;
	int r;

	if (max > RECORD)
		max = RECORD;
	if (piece.iov_len < max && piece.iov_len < w->left)
		scratch = an__tls_chunk_acquire(s->loop);
	if (scratch) {
		piece.iov_base = an__tls_chunk_data(scratch);
		piece.iov_len = pack(w, piece.iov_base, max);
	} else if (piece.iov_len > max) {
		piece.iov_len = max;
	}
	r = SSL_write_ex(s->tls->ssl, piece.iov_base, piece.iov_len, &n);
	if (scratch)
		an__tls_chunk_give_back(s->loop, scratch);
	if (r != 1) {
		r = failure(s);
		return r < 0 && r != -EAGAIN ? r : AN_ERR_TLS;
	}
	an__write_advance(w, n);
	return 0;
}

static int tls_take(an_stream *s, an__write *w, size_t max)
{
	an__tls_stream *t = s->tls;

	if (!t->up && s->read_end > 0 && !t->deferred)
		return AN_ERR_MISUSE; /* in mid-handshake */
	prepare(t, false);
	while (w->left && max) {
		size_t before = w->left;
		int r = t->up ? write_record(s, w, max) : AN_ERR_TLS;

		if (r)
			return r;
		max -= before - w->left;
	}
	return 0;
}

static void tls_finish(an_stream *s)
{
	an__tls_stream *t = s->tls;

	if (!t->up || SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
		return;
	prepare(t, false);
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void tls_free(an_stream *s)
{
	an__tls_stream *t = s->tls;

	SSL_free(t->ssl);
	an__tls_chunk_release(s);
	an__tls_reading_release(t->reading_of);
	an_tls_free(t->tls);
	free(t->alpn);
	free(t->peer);
	free(t);
	s->tls = NULL;
}

static const an__transport transport_tls = {
	.read = tls_read,
	.buffered = tls_buffered,
	.readable = tls_readable,
	.take = tls_take,
	.finish = tls_finish,
	.free = tls_free,
};

/* ---- set-up --------------------------------------------------------------------- */

static bool is_address(const char *host)
{
	unsigned char binary[16];

	return inet_pton(AF_INET, host, binary) == 1 ||
	       inet_pton(AF_INET6, host, binary) == 1;
}

/* It goes into an error text, which goes into a log. */
static bool has_controls(const char *host)
{
	for (; *host; host++)
		if ((unsigned char)*host <= ' ' || *host == 0x7f)
			return true;
	return false;
}

/* The name as it is compared: without the dot that ends a full name (RFC 6066, 3), and
 * an address without its zone, which means something on this machine alone (RFC 4007).
 * A dot in front would have OpenSSL take any name below. */
static int copy_host(an__tls_stream *t, const char *host)
{
	size_t len = strlen(host);
	char *zone;

	if (len && host[len - 1] == '.')
		len--;
	if (!len || len > AN__TLS_HOST_MAX || host[0] == '.' || has_controls(host))
		return -EINVAL;
	memcpy(t->host, host, len);
	zone = strchr(t->host, '%');
	if (zone) {
		*zone = '\0';
		if (!is_address(t->host))
			*zone = '%';
	}
	return 0;
}

static int expect_host(an__tls_stream *t)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	bool address = is_address(t->host);

	/* No address in SNI (RFC 6066, 3). */
	if (!address && SSL_set_tlsext_host_name(t->ssl, t->host) != 1)
		return -EINVAL;
	if (t->tls->opts.no_verify)
		return 0;
	X509_VERIFY_PARAM_set_hostflags(param, AN__TLS_HOST_FLAGS);
	if ((address ? X509_VERIFY_PARAM_set1_ip_asc(param, t->host)
		     : X509_VERIFY_PARAM_set1_host(param, t->host, 0)) != 1)
		return -EINVAL;
	return 0;
}

static unsigned peer_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage storage;
	} peer;
	socklen_t len = sizeof peer;

	if (getpeername(fd, &peer.any, &len) < 0)
		return 0;
	if (peer.any.sa_family == AF_INET)
		return ntohs(peer.in.sin_port);
	return peer.any.sa_family == AF_INET6 ? ntohs(peer.in6.sin6_port) : 0;
}

static int set_up_client(an_stream *s, an__tls_stream *t, const char *host)
{
	int r;

	SSL_set_connect_state(t->ssl);
	if (!host)
		return t->tls->opts.no_verify ? 0 : AN_ERR_MISUSE;
	r = copy_host(t, host);
	if (!r)
		r = expect_host(t);
	if (r)
		return r;
	t->port = peer_port(s->fd);
	an__tls_session_offer(t);
	return 0;
}

static int set_up_ssl(an_stream *s, an__tls_stream *t, const char *host)
{
	BIO *bio = NULL;

	t->ssl = SSL_new(t->reading_of->ctx);
	if (t->ssl)
		bio = an__tls_bio_new(s);
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(t->ssl, bio, bio);
	if (SSL_set_app_data(t->ssl, s) != 1)
		return -ENOMEM;
	if (!t->tls->opts.server)
		return set_up_client(s, t, host);
	SSL_set_accept_state(t->ssl);
	return 0;
}

/* On success the stream's transport is TLS. */
static int set_up(an_stream *s, an_tls *tls, const char *host)
{
	an__tls_stream *t = an__calloc(1, sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	t->tls = an_tls_ref(tls);
	t->reading_of = an__tls_reading_acquire(tls);
	s->tls = t;
	r = set_up_ssl(s, t, host);
	if (r) {
		tls_free(s);
		ERR_clear_error();
		return r;
	}
	s->transport = &transport_tls;
	s->shutdown_limit = tls->opts.shutdown_timeout;
	return 0;
}

/* ---- the handshake -------------------------------------------------------------- */

static int shake_hands(an_stream *s)
{
	for (;;) {
		int r;

		prepare(s->tls, false);
		r = SSL_do_handshake(s->tls->ssl);
		if (r == 1)
			return 0;
		r = failure(s);
		if (r == 0)
			return AN_ERR_TRUNCATED;
		if (r == -EAGAIN)
			r = an__stream_wait_readable(s);
		if (r)
			return r;
	}
}

static int note_alpn(an__tls_stream *t)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(t->ssl, &name, &len);
	if (!len)
		return 0;
	t->alpn = an__strndup((const char *)name, len);
	return t->alpn ? 0 : -ENOMEM;
}

/* The alert that says why goes out first. Later calls get the reason, but for those that
 * would be taken for their own. */
static void give_up(an_stream *s, int r)
{
	int later = r == -ECANCELED || r == -ETIMEDOUT ? AN_ERR_TLS : r;

	s->tls->up = false;
	an__stream_note_error(
		s, r,
		r == AN_ERR_TRUNCATED ? "the peer hung up during the TLS handshake"
		: r == -ETIMEDOUT     ? "the TLS handshake took longer than it may"
				      : NULL);
	if (evbuffer_get_length(s->out))
		an__stream_offer(s, NULL);
	s->read_end = later;
	an__stream_write_failed(s, later);
}

static int handshake(an_stream *s)
{
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, s->tls->tls->opts.handshake_timeout);
	s->in_handshake = true;
	r = an_timeout_end(&limit, shake_hands(s));
	s->in_handshake = false;
	if (s->closed)
		return AN_ERR_CLOSED;
	if (!r)
		r = note_alpn(s->tls);
	if (r)
		give_up(s, r);
	else
		s->tls->up = true;
	return r;
}

static int may_start(an_stream *s, const an_tls *tls, const char *host)
{
	int r = an__wait_check();

	if (r)
		return r;
	if (s->closed || s->shut)
		return AN_ERR_CLOSED;
	if (s->reading || s->writing)
		return -EBUSY;
	if (s->write_state == AN__WRITE_FAILED)
		return s->write_error;
	if (s->read_end <= 0)
		return s->read_end ? s->read_end : AN_ERR_TRUNCATED;
	if (s->tls || evbuffer_get_length(s->in) > s->lent)
		return AN_ERR_MISUSE;
	if (tls->opts.server && host)
		return AN_ERR_MISUSE;
	return 0;
}

int an_stream_start_tls(an_stream *s, an_tls *tls, const char *host)
{
	int r = may_start(s, tls, host);

	if (!r)
		r = set_up(s, tls, host);
	if (r)
		return r;
	s->reading = s->writing = true;
	an__stream_enter(s);
	r = handshake(s);
	s->reading = s->writing = false;
	an__stream_leave(s);
	return r;
}

/* ---- about it ------------------------------------------------------------------- */

const char *an_stream_alpn(const an_stream *s)
{
	return s->tls ? s->tls->alpn : NULL;
}

const char *an_stream_tls_version(const an_stream *s)
{
	return s->tls && s->tls->up ? SSL_get_version(s->tls->ssl) : NULL;
}

const char *an_stream_tls_cipher(const an_stream *s)
{
	return s->tls && s->tls->up
		       ? SSL_CIPHER_standard_name(SSL_get_current_cipher(s->tls->ssl))
		       : NULL;
}

const char *an_stream_tls_server_name(const an_stream *s)
{
	return s->tls ? SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

bool an_stream_tls_resumed(const an_stream *s)
{
	return s->tls && SSL_session_reused(s->tls->ssl);
}
