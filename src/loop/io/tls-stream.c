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
#include <openssl/err.h>
#include <openssl/x509v3.h>
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

static int certificate_failure(an_stream *s, long verdict)
{
	int r = verdict == X509_V_ERR_HOSTNAME_MISMATCH ||
				verdict == X509_V_ERR_IP_ADDRESS_MISMATCH
			? AN_ERR_CERT_HOST
			: AN_ERR_CERT;

	an__stream_note_error(s, r, X509_verify_cert_error_string(verdict));
	return r;
}

/* Before each call of OpenSSL: what an earlier one left must not be taken for its. */
static void prepare(an__tls_stream *t, bool reading)
{
	ERR_clear_error();
	t->reading = reading;
	t->refills = 0;
}

/* Takes the queue of OpenSSL's errors, the cause first. Returns its code, or 0. */
static unsigned long take_errors(bool *ret_no_memory, bool *ret_certificate)
{
	unsigned long first = ERR_peek_error(), code;

	*ret_no_memory = *ret_certificate = false;
	while ((code = ERR_get_error())) {
		*ret_no_memory |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
		*ret_certificate |=
			ERR_GET_LIB(code) == ERR_LIB_SSL &&
			ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
	}
	return first;
}

/* What a call of OpenSSL failed of: -EAGAIN: the peer has to send first; 0: it said the
 * end; else an error that is noted, after which the SSL is of no more use. */
static int failure(an_stream *s)
{
	an__tls_stream *t = s->tls;
	int kind = SSL_get_error(t->ssl, 0);
	int r = AN_ERR_TLS;
	bool no_memory, certificate;
	unsigned long code;

	if (kind == SSL_ERROR_WANT_READ)
		return -EAGAIN;
	if (kind == SSL_ERROR_ZERO_RETURN)
		return 0;
	t->up = false;
	code = take_errors(&no_memory, &certificate);
	if (t->io_error)
		r = t->io_error < 0 ? t->io_error : AN_ERR_TRUNCATED;
	else if (no_memory)
		r = -ENOMEM;
	else if (certificate)
		r = certificate_failure(s, SSL_get_verify_result(t->ssl));
	else
		an__stream_note_error(s, r, code ? ERR_reason_error_string(code) : NULL);
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

			/* Nobody reads what lies behind the end. */
			if (r != -EAGAIN)
				an__tls_chunk_release(s);
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
	an__tls_chunk_release(s);
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
	an_tls_free(t->tls);
	free(t->alpn);
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

/* The name as it is compared: without the dot that ends a full name (RFC 6066, 3), and
 * an address without its zone, which means something on this machine alone (RFC 4007). */
static int copy_host(an__tls_stream *t, const char *host)
{
	size_t len = strlen(host);
	char *zone;

	if (len && host[len - 1] == '.')
		len--;
	if (!len || len > AN__TLS_HOST_MAX)
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
	if (t->tls->no_verify)
		return 0;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if ((address ? X509_VERIFY_PARAM_set1_ip_asc(param, t->host)
		     : X509_VERIFY_PARAM_set1_host(param, t->host, 0)) != 1)
		return -EINVAL;
	return 0;
}

static int set_up_client(an__tls_stream *t, const char *host)
{
	int r;

	SSL_set_connect_state(t->ssl);
	if (!host)
		return t->tls->no_verify ? 0 : AN_ERR_MISUSE;
	r = copy_host(t, host);
	if (!r)
		r = expect_host(t);
	if (!r)
		an__tls_session_offer(t->tls, t->ssl, t->host);
	return r;
}

/* On success the stream's transport is TLS. */
static int set_up(an_stream *s, an_tls *tls, const char *host)
{
	an__tls_stream *t = an__calloc(1, sizeof *t);
	BIO *bio = NULL;
	int r = -ENOMEM;

	if (!t)
		return r;
	t->tls = an_tls_ref(tls);
	t->ssl = SSL_new(tls->ctx);
	if (t->ssl)
		bio = an__tls_bio_new(s);
	if (!bio)
		goto fail;
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, s);
	if (tls->server) {
		SSL_set_accept_state(t->ssl);
		r = 0;
	} else {
		r = set_up_client(t, host);
	}
	if (r)
		goto fail;
	s->tls = t;
	s->transport = &transport_tls;
	return 0;
fail:
	SSL_free(t->ssl);
	an_tls_free(t->tls);
	free(t);
	ERR_clear_error();
	return r;
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
	an__stream_note_error(s, r, NULL);
	if (evbuffer_get_length(s->out))
		an__stream_offer(s, NULL);
	s->read_end = later;
	an__stream_write_failed(s, later);
}

static int handshake(an_stream *s)
{
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, s->tls->tls->handshake_timeout);
	r = an_timeout_end(&limit, shake_hands(s));
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
	if (tls->server && host)
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

bool an_stream_tls_resumed(const an_stream *s)
{
	return s->tls && SSL_session_reused(s->tls->ssl);
}
