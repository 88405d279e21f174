/* Certificates with their keys: the context's own, and a server's further ones, of which
 * each connection takes that of the name which the client has asked for. L3.
 *
 * The SSL_CTX stays the same whatever the name: rules, tickets and trust are those of the
 * one context, and only the certificate is another's.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- loading -------------------------------------------------------------------- */

/* Without this OpenSSL would ask the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int an__tls_cert_load(SSL_CTX *ctx, const an_tls_cert *files, const char **ret_file)
{
	const char *key = files->key_file ? files->key_file : files->cert_file;

	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	*ret_file = files->cert_file;
	if (access(files->cert_file, R_OK) < 0)
		return -errno;
	if (SSL_CTX_use_certificate_chain_file(ctx, files->cert_file) != 1)
		return AN_ERR_TLS;
	*ret_file = key;
	if (access(key, R_OK) < 0)
		return -errno;
	/* This refuses a key of another certificate, too. */
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return AN_ERR_TLS;
	return 0;
}

/* Returns whether there was memory for it. */
static bool take_out(SSL_CTX *ctx, an__tls_cert *cert)
{
	STACK_OF(X509) *chain = NULL;

	cert->leaf = SSL_CTX_get0_certificate(ctx);
	cert->key = SSL_CTX_get0_privatekey(ctx);
	X509_up_ref(cert->leaf);
	EVP_PKEY_up_ref(cert->key);
	SSL_CTX_get0_chain_certs(ctx, &chain);
	if (chain)
		cert->chain = X509_chain_up_ref(chain);
	return cert->chain || !chain;
}

/* By a context of its own, which looks at it as it would at a server's only one. */
static int load_one(an__tls_cert *cert, const an_tls_cert *files, const char **ret_file)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (!ctx)
		return -ENOMEM;
	r = an__tls_cert_load(ctx, files, ret_file);
	if (!r && !take_out(ctx, cert))
		r = -ENOMEM;
	SSL_CTX_free(ctx);
	return r;
}

/* ---- choosing ------------------------------------------------------------------- */

static const an__tls_cert *find(const an__tls_reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->cert_count; i++)
		if (X509_check_host(reading->certs[i].leaf, name, strlen(name),
				    AN__TLS_HOST_FLAGS, NULL) == 1)
			return &reading->certs[i];
	return NULL;
}

/* OpenSSL: the client has said what it wants. Returns 0 for an error. */
static int choose(SSL *ssl, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const an__tls_reading *reading = an__tls_stream_of(ssl)->tls->reading_of;
	const an__tls_cert *cert = name ? find(reading, name) : NULL;

	(void)arg;
	if (!cert)
		return 1;
	/* It would stand beside one with another kind of key, and the client choose. */
	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1) == 1;
}

int an__tls_certs_load(an__tls_reading *reading, const an_tls_cert *files,
		       const char **ret_file)
{
	size_t n = 0;
	int r = 0;

	while (files[n].cert_file)
		n++;
	if (!n)
		return 0;
	reading->certs = an__calloc(n, sizeof *reading->certs);
	if (!reading->certs)
		return -ENOMEM;
	for (; reading->cert_count < n && !r; reading->cert_count++)
		r = load_one(&reading->certs[reading->cert_count],
			     &files[reading->cert_count], ret_file);
	SSL_CTX_set_cert_cb(reading->ctx, choose, NULL);
	return r;
}

void an__tls_certs_free(an__tls_reading *reading)
{
	for (size_t i = 0; i < reading->cert_count; i++) {
		X509_free(reading->certs[i].leaf);
		EVP_PKEY_free(reading->certs[i].key);
		sk_X509_pop_free(reading->certs[i].chain, X509_free);
	}
	free(reading->certs);
}
