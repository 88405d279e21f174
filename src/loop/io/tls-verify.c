/* The verdict on a peer's chain: OpenSSL's and the pins', and why it is what it is, in
 * words, noted on the stream while the certificates are at hand. L3. */
#include "config.h"

#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

enum {
	NAMES_MAX = 5, /* of a certificate for another host: enough to know whose it is */
	TEXT_MAX = 1000,
};

static int verdict(long error)
{
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return AN_ERR_CERT_HOST;
	case X509_V_ERR_OUT_OF_MEM:
		return -ENOMEM;
	default:
		return AN_ERR_CERT;
	}
}

/* ---- in words ------------------------------------------------------------------- */

/* "certificate", "issuer's certificate (CN=x)" */
static void print_which(BIO *to, X509_STORE_CTX *x)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(x);

	if (!cert || X509_STORE_CTX_get_error_depth(x) == 0) {
		BIO_puts(to, "certificate");
		return;
	}
	BIO_puts(to, "issuer's certificate (");
	an__tls_print_name(to, X509_get_subject_name(cert));
	BIO_puts(to, ")");
}

static void print_day(BIO *to, const ASN1_TIME *time)
{
	struct tm tm;

	if (time && ASN1_TIME_to_tm(time, &tm) == 1)
		BIO_printf(to, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
			   tm.tm_mday);
}

static void print_issuer(BIO *to, X509_STORE_CTX *x, const char *before)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(x);

	if (!cert)
		return;
	BIO_puts(to, before);
	an__tls_print_name(to, X509_get_issuer_name(cert));
}

static bool is_host(const GENERAL_NAME *name)
{
	return name->type == GEN_DNS || name->type == GEN_IPADD;
}

static int print_hosts(BIO *to, const GENERAL_NAMES *names)
{
	int n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (!is_host(name))
			continue;
		if (n < NAMES_MAX) {
			BIO_puts(to, n ? ", " : "");
			an__tls_print_alt_name(to, name, false);
		}
		n++;
	}
	if (n > NAMES_MAX)
		BIO_printf(to, " and %d more", n - NAMES_MAX);
	return n;
}

static void print_other_host(BIO *to, X509_STORE_CTX *x, const an__tls_stream *t)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(x);
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

	BIO_puts(to, "certificate is for ");
	if (!print_hosts(to, names))
		BIO_puts(to, "no host (its subjectAltName has none)");
	BIO_printf(to, "; not for %s", t->host);
	GENERAL_NAMES_free(names);
}

static void print_dates(BIO *to, X509_STORE_CTX *x, long error)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(x);

	print_which(to, x);
	if (error == X509_V_ERR_CERT_HAS_EXPIRED) {
		BIO_puts(to, " expired on ");
		print_day(to, cert ? X509_get0_notAfter(cert) : NULL);
	} else {
		BIO_puts(to, " is not valid before ");
		print_day(to, cert ? X509_get0_notBefore(cert) : NULL);
	}
}

static void print_revocation(BIO *to, X509_STORE_CTX *x, long error)
{
	if (error == X509_V_ERR_CERT_REVOKED) {
		print_which(to, x);
		BIO_puts(to, " was revoked");
		print_issuer(to, x, " by ");
	} else if (error == X509_V_ERR_CRL_HAS_EXPIRED) {
		print_issuer(to, x, "revocation list has expired: of ");
	} else {
		print_issuer(to, x, "no revocation list for what was issued by ");
	}
}

static void print_purpose(BIO *to, X509_STORE_CTX *x, const an__tls_stream *t)
{
	print_which(to, x);
	BIO_puts(to, t->tls->opts.server ? " is not for clients" : " is not for servers");
}

static void print_reason(BIO *to, X509_STORE_CTX *x, const an__tls_stream *t)
{
	long error = X509_STORE_CTX_get_error(x);

	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		print_other_host(to, x, t);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		print_dates(to, x, error);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		BIO_puts(to, "certificate is self-signed");
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		print_issuer(to, x, "certificate's root is not trusted: ");
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		print_issuer(to, x, "certificate's issuer is unknown: ");
		break;
	case X509_V_ERR_CERT_REVOKED:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		print_revocation(to, x, error);
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		print_purpose(to, x, t);
		break;
	case X509_V_ERR_APPLICATION_VERIFICATION:
		BIO_puts(to, "no key of the peer's chain is pinned");
		break;
	default:
		print_which(to, x);
		BIO_printf(to, ": %s", X509_verify_cert_error_string(error));
	}
}

static void note(an_stream *s, int r, X509_STORE_CTX *x)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len = 0;

	if (text) {
		print_reason(text, x, s->tls);
		len = BIO_get_mem_data(text, &data);
		if (len > TEXT_MAX)
			len = TEXT_MAX;
		/* The final zero. */
		if (len < 1 || BIO_write(text, "", 1) != 1)
			len = 0;
		BIO_get_mem_data(text, &data);
	}
	if (len > 0)
		data[len] = '\0';
	an__stream_note_error(s, r, len > 0 ? data : NULL);
	BIO_free(text);
}

/* ---- the verdict ---------------------------------------------------------------- */

static bool chain_is_pinned(const an_tls *tls, X509_STORE_CTX *x)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(x);

	for (int i = 0; i < sk_X509_num(chain); i++)
		if (an__tls_pinned(tls, sk_X509_value(chain, i)))
			return true;
	return false;
}

static bool is_trusted(const an_tls *tls, X509_STORE_CTX *x)
{
	bool pinned;

	if (tls->opts.no_verify)
		pinned = !tls->pins || an__tls_pinned(tls, X509_STORE_CTX_get0_cert(x));
	else if (X509_verify_cert(x) != 1)
		return false;
	else
		pinned = !tls->pins || chain_is_pinned(tls, x);
	X509_STORE_CTX_set_error(x, pinned ? X509_V_OK
					   : X509_V_ERR_APPLICATION_VERIFICATION);
	return pinned;
}

int an__tls_verify(X509_STORE_CTX *x, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	an_stream *s = an__tls_stream_of(ssl);

	(void)arg;
	if (is_trusted(s->tls->tls, x))
		return 1;
	s->tls->verdict = verdict(X509_STORE_CTX_get_error(x));
	note(s, s->tls->verdict, x);
	return 0;
}
