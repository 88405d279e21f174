/* Who the peer is: what its certificate says, in text, made when it is first asked for.
 * L3.
 *
 * Everything lies in one block behind the struct: the pointers to the names, then the
 * texts, which are printed one after the other, each with its final zero.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

/* ---- the texts ------------------------------------------------------------------ */

static bool end_text(BIO *to)
{
	return BIO_write(to, "", 1) == 1;
}

static bool print_sha256(BIO *to, X509 *cert)
{
	unsigned char digest[AN__TLS_DIGEST];

	if (X509_digest(cert, EVP_sha256(), digest, NULL) != 1)
		return false;
	for (size_t i = 0; i < sizeof digest; i++)
		if (BIO_printf(to, "%02x", digest[i]) != 2)
			return false;
	return true;
}

static bool print_pin(BIO *to, X509 *cert)
{
	unsigned char digest[AN__TLS_DIGEST], text[AN__TLS_PIN_TEXT + 1];

	if (!an__tls_pin_of(cert, digest))
		return false;
	EVP_EncodeBlock(text, digest, sizeof digest);
	return BIO_write(to, text, AN__TLS_PIN_TEXT) == AN__TLS_PIN_TEXT;
}

static bool print_fixed(BIO *to, X509 *cert)
{
	return an__tls_print_name(to, X509_get_subject_name(cert)) && end_text(to) &&
	       an__tls_print_name(to, X509_get_issuer_name(cert)) && end_text(to) &&
	       print_sha256(to, cert) && end_text(to) && print_pin(to, cert) &&
	       end_text(to) && PEM_write_bio_X509(to, cert) == 1 && end_text(to);
}

/* Returns how many; -1 when memory is short. */
static int print_names(BIO *to, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int n = names ? sk_GENERAL_NAME_num(names) : 0;
	bool ok = true;

	for (int i = 0; i < n && ok; i++)
		ok = an__tls_print_alt_name(to, sk_GENERAL_NAME_value(names, i), true) &&
		     end_text(to);
	GENERAL_NAMES_free(names);
	return ok ? n : -1;
}

/* ---- the struct ----------------------------------------------------------------- */

static int64_t seconds(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *next_text(const char **at)
{
	const char *text = *at;

	*at += strlen(text) + 1;
	return text;
}

static an_tls_peer *lay_out(const char *texts, size_t len, size_t names)
{
	size_t pointers = (names + 1) * sizeof(char *);
	an_tls_peer *peer = an__malloc(sizeof *peer + pointers + len);
	const char **list, *at;

	if (!peer)
		return NULL;
	list = (const char **)(peer + 1);
	at = memcpy((char *)list + pointers, texts, len);
	*peer = (an_tls_peer){ .names = list };
	peer->subject = next_text(&at);
	peer->issuer = next_text(&at);
	peer->sha256 = next_text(&at);
	peer->pin = next_text(&at);
	peer->pem = next_text(&at);
	for (size_t i = 0; i < names; i++)
		list[i] = next_text(&at);
	list[names] = NULL;
	return peer;
}

static an_tls_peer *describe(X509 *cert)
{
	BIO *to = BIO_new(BIO_s_mem());
	an_tls_peer *peer = NULL;
	char *texts;
	long len;
	int names;

	if (to && print_fixed(to, cert) && (names = print_names(to, cert)) >= 0) {
		len = BIO_get_mem_data(to, &texts);
		peer = lay_out(texts, (size_t)len, (size_t)names);
	}
	BIO_free(to);
	if (peer) {
		peer->not_before = seconds(X509_get0_notBefore(cert));
		peer->not_after = seconds(X509_get0_notAfter(cert));
	}
	return peer;
}

static int look(an__tls_stream *t)
{
	X509 *cert = t->up ? SSL_get0_peer_certificate(t->ssl) : NULL;

	if (!cert)
		return t->up ? -ENOENT : AN_ERR_MISUSE;
	t->peer = describe(cert);
	ERR_clear_error();
	if (!t->peer)
		return -ENOMEM;
	t->peer->verified = !t->tls->opts.no_verify;
	return 0;
}

int an_stream_tls_peer(an_stream *s, const an_tls_peer **ret)
{
	int r = AN_ERR_MISUSE;

	if (s->tls)
		r = s->tls->peer ? 0 : look(s->tls);
	if (!r)
		*ret = s->tls->peer;
	return r;
}
