/* The options of a context: what may be asked together, and the context's own copy, from
 * which its files are read again. L3. */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	HANDSHAKE_SECONDS = 10, /* two round trips and a server under load */
	SHUTDOWN_SECONDS = 30,	/* asyncio's */
	ALPN_MAX = 65535,	/* RFC 7301, 3.1 */
};

/* ---- checks --------------------------------------------------------------------- */

static bool is_empty(const char *list)
{
	return list && !*list;
}

static int check_server(const an_tls_opts *o)
{
	if (!o->cert_file || o->no_verify || o->pins)
		return -EINVAL;
	if (an__tls_asks_clients(o) ? !o->ca_file : o->crl_file != NULL)
		return -EINVAL;
	return 0;
}

static int check_client(const an_tls_opts *o)
{
	if (an__tls_asks_clients(o) || o->more_certs || (o->no_verify && o->crl_file))
		return -EINVAL;
	return 0;
}

int an__tls_opts_check(const an_tls_opts *o)
{
	if (o->key_file && !o->cert_file)
		return -EINVAL;
	if (o->min_version && o->min_version != TLS1_2_VERSION &&
	    o->min_version != TLS1_3_VERSION)
		return -EINVAL;
	if (is_empty(o->ciphers) || is_empty(o->cipher_suites))
		return -EINVAL;
	return o->server ? check_server(o) : check_client(o);
}

/* ---- the copy ------------------------------------------------------------------- */

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

/* On failure *text is NULL. */
static bool copy_text(const char **text)
{
	const char *from = *text;

	*text = from ? an__strdup(from) : NULL;
	return *text || !from;
}

/* They are the context's own. */
static void free_text(const char *text)
{
	free((char *)text);
}

static bool copy_cert(an_tls_cert *cert)
{
	const char *key_file = cert->key_file;

	if (copy_text(&cert->cert_file) && copy_text(&key_file)) {
		cert->key_file = key_file;
		return true;
	}
	free_text(cert->cert_file);
	cert->cert_file = NULL;
	return false;
}

static int copy_certs(an_tls *tls, const an_tls_cert *from)
{
	an_tls_cert *to;
	size_t n = 0;

	while (from[n].cert_file)
		n++;
	tls->opts.more_certs = to = an__calloc(n + 1, sizeof *to);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		if (!copy_cert(&to[i]))
			return -ENOMEM;
	}
	return 0;
}

static int copy_texts(an_tls_opts *o)
{
	bool ok = copy_text(&o->cert_file);

	ok &= copy_text(&o->key_file);
	ok &= copy_text(&o->ca_file);
	ok &= copy_text(&o->crl_file);
	ok &= copy_text(&o->ciphers);
	ok &= copy_text(&o->cipher_suites);
	return ok ? 0 : -ENOMEM;
}

int an__tls_opts_copy(an_tls *tls, const an_tls_opts *from)
{
	an_tls_opts *o = &tls->opts;
	int r;

	*o = *from;
	o->alpn = o->pins = NULL;
	o->more_certs = NULL;
	if (o->handshake_timeout <= 0)
		o->handshake_timeout = HANDSHAKE_SECONDS * AN_SECOND;
	if (o->shutdown_timeout <= 0)
		o->shutdown_timeout = SHUTDOWN_SECONDS * AN_SECOND;
	r = copy_texts(o);
	if (!r && from->more_certs)
		r = copy_certs(tls, from->more_certs);
	if (!r && from->alpn)
		r = copy_alpn(tls, from->alpn);
	if (!r && from->pins)
		r = an__tls_pins_copy(tls, from->pins);
	return r;
}

void an__tls_opts_free(an_tls *tls)
{
	an_tls_opts *o = &tls->opts;

	for (const an_tls_cert *c = o->more_certs; c && c->cert_file; c++) {
		free_text(c->cert_file);
		free_text(c->key_file);
	}
	free((an_tls_cert *)o->more_certs);
	free_text(o->cert_file);
	free_text(o->key_file);
	free_text(o->ca_file);
	free_text(o->crl_file);
	free_text(o->ciphers);
	free_text(o->cipher_suites);
	free(tls->alpn);
	free(tls->pins);
}
