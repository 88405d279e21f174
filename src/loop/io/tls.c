/* TLS contexts. L3.
 *
 * Invariant: a context does not change after an_tls_new() but for its sessions, which
 * have a lock; so it may be shared by threads.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HANDSHAKE_SECONDS = 10, /* two round trips and a server under load */
	ALPN_MAX = 65535,	/* RFC 7301, 3.1 */
};

/* ---- options -------------------------------------------------------------------- */

/* For a file's fault OpenSSL has words but no errno. */
static int check_file(const char *path)
{
	return !path || access(path, R_OK) == 0 ? 0 : -errno;
}

static int check_options(const an_tls_opts *o)
{
	int r;

	if (o->server && (!o->cert_file || o->no_verify))
		return -EINVAL;
	if (o->require_client_cert && (!o->server || !o->ca_file))
		return -EINVAL;
	if (o->key_file && !o->cert_file)
		return -EINVAL;
	if (o->min_version && o->min_version != TLS1_2_VERSION &&
	    o->min_version != TLS1_3_VERSION)
		return -EINVAL;
	r = check_file(o->cert_file);
	if (!r)
		r = check_file(o->key_file);
	if (!r)
		r = check_file(o->ca_file);
	return r;
}

/* Without this OpenSSL would ask the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int load_certificate(SSL_CTX *ctx, const an_tls_opts *o)
{
	const char *key = o->key_file ? o->key_file : o->cert_file;

	if (!o->cert_file)
		return 0;
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return AN_ERR_TLS;
	return 0;
}

static int load_trust(SSL_CTX *ctx, const an_tls_opts *o)
{
	int mode = SSL_VERIFY_NONE;

	if (o->server ? o->require_client_cert : !o->no_verify)
		mode = SSL_VERIFY_PEER;
	if (o->require_client_cert)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, NULL);
	if (o->ca_file) {
		if (SSL_CTX_load_verify_file(ctx, o->ca_file) != 1)
			return AN_ERR_TLS;
		/* The names tell a client which of its certificates to send. */
		if (o->require_client_cert)
			SSL_CTX_set_client_CA_list(ctx,
						   SSL_load_client_CA_file(o->ca_file));
	} else if (!o->server && SSL_CTX_set_default_verify_paths(ctx) != 1) {
		return AN_ERR_TLS;
	}
	return 0;
}

/* ---- ALPN ----------------------------------------------------------------------- */

static int copy_alpn(an_tls *tls, const char *const *names)
{
	size_t len = 0;

	for (size_t i = 0; names[i]; i++) {
		size_t n = strlen(names[i]);

		if (n < 1 || n > 255)
			return -EINVAL;
		len += 1 + n;
	}
	if (!len)
		return 0;
	if (len > ALPN_MAX)
		return -EINVAL;
	tls->alpn = an__malloc(len);
	if (!tls->alpn)
		return -ENOMEM;
	for (size_t i = 0; names[i]; i++) {
		size_t n = strlen(names[i]);

		tls->alpn[tls->alpn_len++] = (unsigned char)n;
		memcpy(tls->alpn + tls->alpn_len, names[i], n);
		tls->alpn_len += (unsigned)n;
	}
	return 0;
}

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

static int set_alpn(an_tls *tls, const char *const *names)
{
	int r = names ? copy_alpn(tls, names) : 0;

	if (r || !tls->alpn)
		return r;
	if (tls->server)
		SSL_CTX_set_alpn_select_cb(tls->ctx, select_alpn, tls);
	else if (SSL_CTX_set_alpn_protos(tls->ctx, tls->alpn, tls->alpn_len))
		return -ENOMEM;
	return 0;
}

/* ---- the context ---------------------------------------------------------------- */

static int configure(an_tls *tls, const an_tls_opts *o)
{
	static const unsigned char id[] = "asyncnet";
	int r;

	/* One record a call; the pieces of a write may move between calls; no buffers
	 * while a connection is idle. */
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS |
					   SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(tls->ctx,
			    SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (SSL_CTX_set_min_proto_version(tls->ctx, o->min_version ? o->min_version
								   : TLS1_2_VERSION) != 1)
		return -EINVAL;
	r = load_certificate(tls->ctx, o);
	if (!r)
		r = load_trust(tls->ctx, o);
	if (!r)
		r = set_alpn(tls, o->alpn);
	if (r)
		return r;
	if (!tls->server)
		return an__tls_sessions_init(tls);
	/* Tickets carry the sessions; a cache is memory that any client can fill. */
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_session_id_context(tls->ctx, id, sizeof id - 1) != 1)
		return AN_ERR_TLS;
	return 0;
}

static int make(const an_tls_opts *o, an_tls **ret)
{
	an_tls *tls = an__calloc(1, sizeof *tls);
	int r = -ENOMEM;

	if (!tls)
		return -ENOMEM;
	atomic_init(&tls->refs, 1);
	pthread_mutex_init(&tls->lock, NULL);
	tls->server = o->server;
	tls->no_verify = o->no_verify;
	tls->handshake_timeout = o->handshake_timeout > 0 ? o->handshake_timeout
							  : HANDSHAKE_SECONDS * AN_SECOND;
	tls->ctx = SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
	if (tls->ctx)
		r = configure(tls, o);
	if (r) {
		an_tls_free(tls);
		return r;
	}
	*ret = tls;
	return 0;
}

static void explain(int r, char *error, size_t cap)
{
	unsigned long code = r == AN_ERR_TLS ? ERR_peek_last_error() : 0;
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (error && cap)
		snprintf(error, cap, "%s", reason ? reason : an_strerror(r));
}

int an_tls_new(const an_tls_opts *opts, char *error, size_t error_cap, an_tls **ret)
{
	static const an_tls_opts defaults;
	int r;

	if (!opts)
		opts = &defaults;
	ERR_clear_error();
	r = check_options(opts);
	if (!r)
		r = make(opts, ret);
	if (r)
		explain(r, error, error_cap);
	ERR_clear_error();
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
	an__tls_sessions_done(tls);
	SSL_CTX_free(tls->ctx);
	pthread_mutex_destroy(&tls->lock);
	free(tls->alpn);
	free(tls);
	return NULL;
}
