/* Makes the certificates of the TLS tests; see certs.h. */
#include "tests/support/certs.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES "DNS:localhost,DNS:*.wild.test,IP:127.0.0.1,IP:::1"

enum { DAY = 24 * 60 * 60 };

typedef struct identity {
	EVP_PKEY *key;
	X509 *cert;
} identity;

static void forget(identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
}

static int extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *e;
	int r;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	r = e && X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
	return r;
}

/* issuer NULL: signed by itself; names NULL: an authority. Valid until `end` seconds
 * from now. */
static int issue(const identity *issuer, const char *name, const char *names, long end,
		 identity *ret)
{
	static long serial = 1;
	X509 *cert = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_NAME *subject;
	int ok;

	if (!cert || !key)
		return 0;
	subject = X509_get_subject_name(cert);
	ok = X509_set_version(cert, X509_VERSION_3) &&
	     ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -10 * DAY) &&
	     X509_gmtime_adj(X509_getm_notAfter(cert), end) &&
	     X509_set_pubkey(cert, key) &&
	     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const void *)name,
					-1, -1, 0) &&
	     X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer->cert)
					       : subject) &&
	     extend(cert, issuer ? issuer->cert : cert, NID_basic_constraints,
		    names ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
	     (!names ||
	      extend(cert, issuer ? issuer->cert : cert, NID_subject_alt_name, names)) &&
	     X509_sign(cert, issuer ? issuer->key : key, EVP_sha256());
	*ret = (identity){ key, cert };
	return ok;
}

static int save(const test_certs *c, const char *name, const identity *id, int with_key,
		char *ret_path)
{
	FILE *f;
	int ok;

	snprintf(ret_path, 96, "%s/%s", c->dir, name);
	f = fopen(ret_path, "w");
	ok = f && PEM_write_X509(f, id->cert) &&
	     (!with_key || PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL));
	if (f && fclose(f))
		ok = 0;
	return ok;
}

static int make_all(test_certs *c)
{
	identity ca = { 0 }, other = { 0 }, impostor = { 0 }, server = { 0 },
		 expired = { 0 }, stranger = { 0 }, client = { 0 };
	int ok = issue(NULL, "test root", NULL, DAY, &ca) &&
		 issue(NULL, "other root", NULL, DAY, &other) &&
		 issue(NULL, "test root", NULL, DAY, &impostor) &&
		 issue(&ca, "server", NAMES, DAY, &server) &&
		 issue(&ca, "expired server", NAMES, -DAY, &expired) &&
		 issue(NULL, "stranger", NAMES, DAY, &stranger) &&
		 issue(&ca, "test client", "DNS:client.test", DAY, &client) &&
		 save(c, "ca.pem", &ca, 0, c->ca) &&
		 save(c, "other-ca.pem", &other, 0, c->other_ca) &&
		 save(c, "impostor.pem", &impostor, 0, c->impostor) &&
		 save(c, "server.pem", &server, 1, c->server) &&
		 save(c, "expired.pem", &expired, 1, c->expired) &&
		 save(c, "stranger.pem", &stranger, 1, c->stranger) &&
		 save(c, "client.pem", &client, 1, c->client);

	forget(&ca);
	forget(&other);
	forget(&impostor);
	forget(&server);
	forget(&expired);
	forget(&stranger);
	forget(&client);
	return ok;
}

int test_certs_make(test_certs *c)
{
	const char *tmp = getenv("TMPDIR");

	memset(c, 0, sizeof *c);
	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(c->dir, sizeof c->dir, "%s/an-certs-XXXXXX", tmp);
	if (!mkdtemp(c->dir)) {
		perror(c->dir);
		return -1;
	}
	if (!make_all(c)) {
		ERR_print_errors_fp(stderr);
		test_certs_remove(c);
		return -1;
	}
	return 0;
}

void test_certs_remove(const test_certs *c)
{
	const char *paths[] = { c->ca,	    c->other_ca, c->server,
				c->expired, c->stranger, c->client };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (paths[i][0])
			unlink(paths[i]);
	rmdir(c->dir);
}
