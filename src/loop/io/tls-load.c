/* One reading of a context's files: an SSL_CTX and the certificates by name. L3.
 *
 * Invariant: a reading is complete when others see it, and does not change; so handshakes
 * of several threads may use it without a lock.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- trust ---------------------------------------------------------------------- */

/* Every certificate of a chain needs a list: one that has none cannot be told from one
 * whose list was lost. */
static int load_revoked(SSL_CTX *ctx, const char *file)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

	if (!lookup)
		return -ENOMEM;
	if (X509_load_crl_file(lookup, file, X509_FILETYPE_PEM) < 1)
		return AN_ERR_TLS;
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

/* OpenSSL is content with a file of revocation lists alone. */
static bool has_root(SSL_CTX *ctx)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));
	bool found = sk_X509_num(all) > 0;

	sk_X509_pop_free(all, X509_free);
	return found;
}

static int load_roots(SSL_CTX *ctx, const an_tls_opts *o)
{
	STACK_OF(X509_NAME) * names;

	if (!o->ca_file)
		return o->server || SSL_CTX_set_default_verify_paths(ctx) == 1
			       ? 0
			       : AN_ERR_TLS;
	if (SSL_CTX_load_verify_file(ctx, o->ca_file) != 1)
		return AN_ERR_TLS;
	if (!has_root(ctx)) {
		ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
		return AN_ERR_TLS;
	}
	if (!an__tls_asks_clients(o))
		return 0;
	/* They tell a client which of its certificates to send. */
	names = SSL_load_client_CA_file(o->ca_file);
	SSL_CTX_set_client_CA_list(ctx, names);
	return names ? 0 : AN_ERR_TLS;
}

static int verify_mode(const an_tls *tls)
{
	const an_tls_opts *o = &tls->opts;

	if (o->require_client_cert)
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	if (o->server)
		return o->request_client_cert ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
	return o->no_verify && !tls->pins ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
}

/* For a file's fault OpenSSL has words but no errno. */
static int check_file(const char *path)
{
	return access(path, R_OK) == 0 ? 0 : -errno;
}

static int load_trust(SSL_CTX *ctx, const an_tls *tls, const char **ret_file)
{
	const an_tls_opts *o = &tls->opts;
	int r;

	SSL_CTX_set_verify(ctx, verify_mode(tls), NULL);
	SSL_CTX_set_cert_verify_callback(ctx, an__tls_verify, NULL);
	*ret_file = o->ca_file;
	r = o->ca_file ? check_file(o->ca_file) : 0;
	if (!r)
		r = load_roots(ctx, o);
	if (r || !o->crl_file)
		return r;
	*ret_file = o->crl_file;
	r = check_file(o->crl_file);
	return r ? r : load_revoked(ctx, o->crl_file);
}

/* ---- rules ---------------------------------------------------------------------- */

/* The server's order decides; without a common protocol the handshake ends (RFC 7301,
 * 3.2). */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	an_tls *tls = arg;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)out, out_len, tls->alpn,
				  tls->alpn_len, in, in_len) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int set_alpn(SSL_CTX *ctx, an_tls *tls)
{
	if (!tls->alpn)
		return 0;
	if (tls->opts.server)
		SSL_CTX_set_alpn_select_cb(ctx, select_alpn, tls);
	else if (SSL_CTX_set_alpn_protos(ctx, tls->alpn, tls->alpn_len))
		return -ENOMEM;
	return 0;
}

/* Both lists lie in one stack. */
static bool has_suites(const SSL_CTX *ctx)
{
	const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
		if (SSL_CIPHER_get_kx_nid(sk_SSL_CIPHER_value(all, i)) == NID_kx_any)
			return true;
	return false;
}

/* A list like "ALL" holds ciphers with which nobody shows a certificate, so that none
 * would be asked for: whoever answers would be let in. */
static int set_list(SSL_CTX *ctx, const char *ciphers)
{
	static const char rest[] = ":!aNULL";
	size_t len = strlen(ciphers);
	char *list = an__malloc(len + sizeof rest);
	int r;

	if (!list)
		return -ENOMEM;
	memcpy(list, ciphers, len);
	memcpy(list + len, rest, sizeof rest);
	r = SSL_CTX_set_cipher_list(ctx, list) == 1 ? 0 : -EINVAL;
	free(list);
	return r;
}

/* OpenSSL passes over names that it does not know. */
static int set_ciphers(SSL_CTX *ctx, const an_tls_opts *o)
{
	if (o->cipher_suites &&
	    (SSL_CTX_set_ciphersuites(ctx, o->cipher_suites) != 1 || !has_suites(ctx)))
		return -EINVAL;
	return o->ciphers ? set_list(ctx, o->ciphers) : 0;
}

static int set_rules(SSL_CTX *ctx, an_tls *tls)
{
	const an_tls_opts *o = &tls->opts;
	int version = o->min_version ? o->min_version : TLS1_2_VERSION;
	int r;

	/* One record a call; the pieces of a write may move between calls; no buffers
	 * while a connection is idle. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (SSL_CTX_set_min_proto_version(ctx, version) != 1)
		return -EINVAL;
	r = set_ciphers(ctx, o);
	return r ? r : set_alpn(ctx, tls);
}

/* ---- sessions ------------------------------------------------------------------- */

/* The client's name is in the session and goes on counting only if OpenSSL knows it. */
static int take_name(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK
								  : SSL_TLSEXT_ERR_NOACK;
}

/* Tickets carry the sessions; a cache is memory that any client can fill. */
static int set_tickets(SSL_CTX *ctx)
{
	static const unsigned char id[] = "asyncnet";

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_tlsext_servername_callback(ctx, take_name);
	return SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1) == 1 ? 0
									   : AN_ERR_TLS;
}

/* ---- a reading ------------------------------------------------------------------ */

static int fill(an__tls_reading *reading, an_tls *tls, const char **ret_file)
{
	const an_tls_opts *o = &tls->opts;
	int r = set_rules(reading->ctx, tls);

	if (!r && o->cert_file)
		r = an__tls_cert_load(reading->ctx,
				      &(an_tls_cert){ o->cert_file, o->key_file },
				      ret_file);
	if (!r && o->more_certs)
		r = an__tls_certs_load(reading, o->more_certs, ret_file);
	if (!r)
		r = load_trust(reading->ctx, tls, ret_file);
	if (!r && o->server)
		return set_tickets(reading->ctx);
	if (!r)
		an__tls_sessions_watch(reading->ctx);
	return r;
}

int an__tls_load(an_tls *tls, const char **ret_file, an__tls_reading **ret)
{
	an__tls_reading *reading = an__calloc(1, sizeof *reading);
	int r = -ENOMEM;

	*ret_file = NULL;
	if (!reading)
		return r;
	atomic_init(&reading->refs, 1);
	reading->ctx =
		SSL_CTX_new(tls->opts.server ? TLS_server_method() : TLS_client_method());
	if (reading->ctx)
		r = fill(reading, tls, ret_file);
	if (r)
		an__tls_reading_release(reading);
	else
		*ret = reading;
	return r;
}

an__tls_reading *an__tls_reading_acquire(an_tls *tls)
{
	an__tls_reading *reading;

	pthread_mutex_lock(&tls->lock);
	reading = tls->reading;
	atomic_fetch_add_explicit(&reading->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&tls->lock);
	return reading;
}

void an__tls_reading_release(an__tls_reading *reading)
{
	if (!reading ||
	    atomic_fetch_sub_explicit(&reading->refs, 1, memory_order_acq_rel) > 1)
		return;
	an__tls_certs_free(reading);
	SSL_CTX_free(reading->ctx);
	free(reading);
}
