/* TLS contexts: their life, and the reading of their files that counts. L3.
 *
 * Invariant: of a context nothing changes after an_tls_new() but what its lock is held
 * over: which reading of its files counts, and its sessions. So threads may share it.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- why it cannot be ----------------------------------------------------------- */

static void explain(int r, const char *file, unsigned long code, char *error, size_t cap)
{
	const char *reason = NULL;

	if (!error || !cap)
		return;
	if (r == AN_ERR_TLS || r == -EINVAL)
		reason = an__tls_file_reason(code);
	if (!reason)
		reason = an_strerror(r);
	snprintf(error, cap, "%s%s%s", file ? file : "", file ? ": " : "", reason);
}

/* A reading, or the reason in `error`. */
static int load(an_tls *tls, char *error, size_t cap, an__tls_reading **ret)
{
	const char *file = NULL;
	unsigned long code;
	bool no_memory;
	int r;

	ERR_clear_error();
	r = an__tls_load(tls, &file, ret);
	code = an__tls_take_errors(&no_memory);
	if (r == AN_ERR_TLS && no_memory)
		r = -ENOMEM;
	if (r)
		explain(r, file, code, error, cap);
	return r;
}

/* ---- life ----------------------------------------------------------------------- */

static int make(const an_tls_opts *o, char *error, size_t cap, an_tls **ret)
{
	an_tls *tls = an__calloc(1, sizeof *tls);
	int r;

	if (!tls)
		return -ENOMEM;
	atomic_init(&tls->refs, 1);
	pthread_mutex_init(&tls->lock, NULL);
	pthread_mutex_init(&tls->reloading, NULL);
	r = an__tls_opts_copy(tls, o);
	if (!r && !o->server)
		r = an__tls_sessions_init(tls);
	if (r)
		explain(r, NULL, 0, error, cap);
	else
		r = load(tls, error, cap, &tls->reading);
	if (r)
		an_tls_free(tls);
	else
		*ret = tls;
	return r;
}

int an_tls_new(const an_tls_opts *opts, char *error, size_t error_cap, an_tls **ret)
{
	static const an_tls_opts defaults;
	int r;

	if (!opts)
		opts = &defaults;
	r = an__tls_opts_check(opts);
	if (!r)
		return make(opts, error, error_cap, ret);
	explain(r, NULL, 0, error, error_cap);
	return r;
}

an_tls *an_tls_ref(an_tls *tls)
{
	if (tls)
		atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
	return tls;
}

an_tls *an_tls_free(an_tls *tls)
{
	if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) > 1)
		return NULL;
	an__tls_sessions_drop(tls);
	free(tls->sessions);
	an__tls_reading_release(tls->reading);
	an__tls_opts_free(tls);
	pthread_mutex_destroy(&tls->lock);
	pthread_mutex_destroy(&tls->reloading);
	free(tls);
	return NULL;
}

/* ---- reloading ------------------------------------------------------------------ */

/* Sessions of a server that verifies nobody prove nothing but that its key was known.
 * (Without the keys of before they would be made anew, which costs a handshake.) */
static void keep_tickets(const an_tls *tls, SSL_CTX *to)
{
	unsigned char keys[80];
	long len = SSL_CTX_get_tlsext_ticket_keys(to, NULL, 0);

	if (!tls->opts.server || an__tls_asks_clients(&tls->opts))
		return;
	if (len <= (long)sizeof keys &&
	    SSL_CTX_get_tlsext_ticket_keys(tls->reading->ctx, keys, len) == 1)
		SSL_CTX_set_tlsext_ticket_keys(to, keys, len);
	OPENSSL_cleanse(keys, sizeof keys);
}

static void put(an_tls *tls, an__tls_reading *reading)
{
	an__tls_reading *old = tls->reading;

	pthread_mutex_lock(&tls->lock);
	tls->reading = reading;
	an__tls_sessions_drop(tls);
	pthread_mutex_unlock(&tls->lock);
	an__tls_reading_release(old);
}

int an_tls_reload(an_tls *tls, char *error, size_t error_cap)
{
	an__tls_reading *reading = NULL;
	int r;

	pthread_mutex_lock(&tls->reloading);
	r = load(tls, error, error_cap, &reading);
	if (!r) {
		keep_tickets(tls, reading->ctx);
		put(tls, reading);
	}
	pthread_mutex_unlock(&tls->reloading);
	return r;
}
