/* A client's sessions, by host, for resumption. L3.
 *
 * A TLS 1.3 ticket is offered once, so that an observer cannot tell connections of one
 * client by it (RFC 8446, C.4); a TLS 1.2 session as often as it is valid. A full table
 * loses its oldest. Sessions belong to the context, whose rules of verification they
 * were made under.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static an__tls_session *oldest(an_tls *tls)
{
	an__tls_session *place = &tls->sessions[0];

	for (int i = 0; i < AN__TLS_SESSIONS; i++) {
		if (!tls->sessions[i].session)
			return &tls->sessions[i];
		if (tls->sessions[i].serial < place->serial)
			place = &tls->sessions[i];
	}
	return place;
}

/* OpenSSL: a session can be resumed from now on. 1 keeps the reference that comes with
 * it. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	an_stream *s = an__tls_stream_of(ssl);
	an_tls *tls = s->tls->tls;
	an__tls_session *place;

	if (!s->tls->host[0] || !SSL_SESSION_is_resumable(session))
		return 0;
	pthread_mutex_lock(&tls->lock);
	place = oldest(tls);
	SSL_SESSION_free(place->session);
	place->session = session;
	place->serial = ++tls->serial;
	memcpy(place->host, s->tls->host, sizeof place->host);
	pthread_mutex_unlock(&tls->lock);
	return 1;
}

int an__tls_sessions_init(an_tls *tls)
{
	tls->sessions = an__calloc(AN__TLS_SESSIONS, sizeof *tls->sessions);
	if (!tls->sessions)
		return -ENOMEM;
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_CLIENT |
							 SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->ctx, on_new_session);
	return 0;
}

void an__tls_sessions_done(an_tls *tls)
{
	for (int i = 0; tls->sessions && i < AN__TLS_SESSIONS; i++)
		SSL_SESSION_free(tls->sessions[i].session);
	free(tls->sessions);
}

void an__tls_session_offer(an_tls *tls, SSL *ssl, const char *host)
{
	an__tls_session *newest = NULL;
	SSL_SESSION *session = NULL;

	pthread_mutex_lock(&tls->lock);
	for (int i = 0; i < AN__TLS_SESSIONS; i++) {
		an__tls_session *at = &tls->sessions[i];

		if (at->session && strcmp(at->host, host) == 0 &&
		    (!newest || at->serial > newest->serial))
			newest = at;
	}
	if (newest) {
		session = newest->session;
		if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
			newest->session = NULL;
		else
			SSL_SESSION_up_ref(session);
	}
	pthread_mutex_unlock(&tls->lock);
	if (session)
		SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
}
