/* A client's sessions, by host and port, for resumption. L3.
 *
 * A TLS 1.3 ticket is offered once, so that an observer cannot tell connections of one
 * client by it (RFC 8446, C.4); a TLS 1.2 session as often as it is valid. A full table
 * loses its oldest. Sessions belong to the reading of the context's files that they were
 * verified by, and are dropped with it.
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

/* Keeps it if it was made under the files that count now. */
static bool keep(const an__tls_stream *t, SSL_SESSION *session)
{
	an_tls *tls = t->tls;
	an__tls_session *place;
	bool current;

	pthread_mutex_lock(&tls->lock);
	current = t->reading_of == tls->reading;
	if (current) {
		place = oldest(tls);
		SSL_SESSION_free(place->session);
		place->session = session;
		place->serial = ++tls->serial;
		place->port = t->port;
		memcpy(place->host, t->host, sizeof place->host);
	}
	pthread_mutex_unlock(&tls->lock);
	return current;
}

/* OpenSSL: a session can be resumed from now on. 1 keeps the reference that comes with
 * it. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	const an__tls_stream *t = an__tls_stream_of(ssl)->tls;

	return t->host[0] && SSL_SESSION_is_resumable(session) && keep(t, session);
}

int an__tls_sessions_init(an_tls *tls)
{
	tls->sessions = an__calloc(AN__TLS_SESSIONS, sizeof *tls->sessions);
	return tls->sessions ? 0 : -ENOMEM;
}

void an__tls_sessions_watch(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
}

void an__tls_sessions_drop(an_tls *tls)
{
	for (int i = 0; tls->sessions && i < AN__TLS_SESSIONS; i++) {
		SSL_SESSION_free(tls->sessions[i].session);
		tls->sessions[i].session = NULL;
	}
}

static an__tls_session *newest(an_tls *tls, const char *host, unsigned port)
{
	an__tls_session *found = NULL;

	for (int i = 0; i < AN__TLS_SESSIONS; i++) {
		an__tls_session *at = &tls->sessions[i];

		if (at->session && at->port == port && strcmp(at->host, host) == 0 &&
		    (!found || at->serial > found->serial))
			found = at;
	}
	return found;
}

static SSL_SESSION *take_newest(const an__tls_stream *t)
{
	an_tls *tls = t->tls;
	an__tls_session *place = NULL;
	SSL_SESSION *session = NULL;

	pthread_mutex_lock(&tls->lock);
	if (t->reading_of == tls->reading)
		place = newest(tls, t->host, t->port);
	if (place) {
		session = place->session;
		if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
			place->session = NULL;
		else
			SSL_SESSION_up_ref(session);
	}
	pthread_mutex_unlock(&tls->lock);
	return session;
}

void an__tls_session_offer(an__tls_stream *t)
{
	SSL_SESSION *session = take_newest(t);

	if (session)
		SSL_set_session(t->ssl, session);
	SSL_SESSION_free(session);
}
