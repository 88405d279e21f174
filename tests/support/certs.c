/* Makes the certificates of the TLS tests; see certs.h. */
#include "tests/support/certs.h"

#include <dirent.h>
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

#define MANY_NAMES \
	"DNS:n0.example,DNS:n1.example,DNS:n2.example,DNS:n3.example,DNS:n4.example," \
	"DNS:n5.example,DNS:n6.example,DNS:n7.example,DNS:n8.example,DNS:n9.example"

#define CLIENT_NAMES \
	"DNS:client.test,email:alice@client.test,URI:spiffe://client.test/" \
	"alice,IP:10.0.0.1"

enum { DAY = 24 * 60 * 60, LIFE = 10 };

typedef struct identity {
	EVP_PKEY *key;
	X509 *cert;
} identity;

/* Those that issue others come first. */
enum {
	CA,
	OTHER_CA,
	IMPOSTOR,
	MIDDLE,
	SERVER,
	RENEWED,
	EXPIRED,
	NOT_YET,
	STRANGER,
	REVOKED,
	FOR_CLIENTS,
	COMMON_NAME,
	TWO_NAMES,
	MANY,
	WILDCARD,
	ED25519,
	CHAINED,
	CLIENT,
	ODD,
	FOR_SERVERS,
	IDENTITIES,
};

/* `names` NULL: an authority, unless it is a leaf. Days from now. */
static const struct spec {
	const char *name, *names, *usage;
	int issuer; /* itself: self-signed */
	int begin, end;
	int leaf;
} specs[IDENTITIES] = {
	[CA] = { "test root", NULL, NULL, CA, -LIFE, LIFE, 0 },
	[OTHER_CA] = { "other root", NULL, NULL, OTHER_CA, -LIFE, LIFE, 0 },
	[IMPOSTOR] = { "test root", NULL, NULL, IMPOSTOR, -LIFE, LIFE, 0 },
	[MIDDLE] = { "test intermediate", NULL, NULL, CA, -LIFE, LIFE, 0 },
	[SERVER] = { "server", NAMES, NULL, CA, -LIFE, LIFE, 1 },
	[RENEWED] = { "renewed server", NAMES, NULL, CA, -LIFE, LIFE, 1 },
	[EXPIRED] = { "expired server", NAMES, NULL, CA, -LIFE, -1, 1 },
	[NOT_YET] = { "early server", NAMES, NULL, CA, 1, LIFE, 1 },
	[STRANGER] = { "stranger", NAMES, NULL, STRANGER, -LIFE, LIFE, 1 },
	[REVOKED] = { "revoked server", NAMES, NULL, CA, -LIFE, LIFE, 1 },
	[FOR_CLIENTS] = { "not a server", NAMES, "clientAuth", CA, -LIFE, LIFE, 1 },
	[COMMON_NAME] = { "localhost", NULL, NULL, CA, -LIFE, LIFE, 1 },
	[TWO_NAMES] = { "two", "DNS:a.example,DNS:b.example", NULL, CA, -LIFE, LIFE, 1 },
	[MANY] = { "many", MANY_NAMES, NULL, CA, -LIFE, LIFE, 1 },
	[WILDCARD] = { "wildcard", "DNS:*.any.example", NULL, CA, -LIFE, LIFE, 1 },
	[ED25519] = { "ed25519", "DNS:ed.example", NULL, CA, -LIFE, LIFE, 1 },
	[CHAINED] = { "chained", NAMES, NULL, MIDDLE, -LIFE, LIFE, 1 },
	[CLIENT] = { "test client", CLIENT_NAMES, NULL, CA, -LIFE, LIFE, 1 },
	[ODD] = { "a\nb, \xc3\xa9\xe2\x82\xac", "DNS:a\nb", NULL, CA, -LIFE, LIFE, 1 },
	[FOR_SERVERS] = { "not a client", NAMES, "serverAuth", CA, -LIFE, LIFE, 1 },
};

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

static int describe(X509 *cert, const struct spec *s, X509 *issuer, int serial)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	return X509_set_version(cert, X509_VERSION_3) &&
	       ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), (long)s->begin * DAY) &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), (long)s->end * DAY) &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					  (const void *)s->name, -1, -1, 0) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer)) &&
	       extend(cert, issuer, NID_basic_constraints,
		      s->leaf ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
	       (!s->names || extend(cert, issuer, NID_subject_alt_name, s->names)) &&
	       (!s->usage || extend(cert, issuer, NID_ext_key_usage, s->usage));
}

static int issue(identity *all, int i)
{
	identity *id = &all[i], *issuer = &all[specs[i].issuer];

	id->cert = X509_new();
	id->key = i == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
			       : EVP_EC_gen("P-256");
	return id->cert && id->key && X509_set_pubkey(id->cert, id->key) &&
	       describe(id->cert, &specs[i], issuer->cert, i + 1) &&
	       X509_sign(id->cert, issuer->key, EVP_sha256());
}

/* ---- files ------------------------------------------------------------------------ */

static FILE *create(const test_certs *c, const char *name, char *ret_path)
{
	snprintf(ret_path, 96, "%s/%s", c->dir, name);
	return fopen(ret_path, "w");
}

/* `above` may be NULL. */
static int save(const test_certs *c, const char *name, const identity *id,
		const identity *above, char *ret_path)
{
	FILE *f = create(c, name, ret_path);
	int ok = f && PEM_write_X509(f, id->cert) &&
		 (!above || PEM_write_X509(f, above->cert)) &&
		 PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL);

	return f && fclose(f) == 0 && ok;
}

static int save_root(const test_certs *c, const char *name, const identity *id,
		     char *ret_path)
{
	FILE *f = create(c, name, ret_path);
	int ok = f && PEM_write_X509(f, id->cert);

	return f && fclose(f) == 0 && ok;
}

/* An issuer's list, as of `day`. */
static int write_list(FILE *f, const identity *issuer, X509 *revoked, int day)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = X509_gmtime_adj(NULL, (long)day * DAY);
	ASN1_TIME *to = X509_gmtime_adj(NULL, (long)(day + 2) * DAY);
	X509_REVOKED *entry = revoked ? X509_REVOKED_new() : NULL;
	int ok;

	if (entry) {
		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(entry, from);
		X509_CRL_add0_revoked(crl, entry);
	}
	ok = X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert)) &&
	     X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to) &&
	     X509_CRL_sign(crl, issuer->key, EVP_sha256()) && PEM_write_X509_CRL(f, crl);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	X509_CRL_free(crl);
	return ok;
}

static int save_lists(const test_certs *c, const char *name, const identity *all, int day,
		      char *ret_path)
{
	FILE *f = create(c, name, ret_path);
	int ok = f && write_list(f, &all[CA], all[REVOKED].cert, day) &&
		 write_list(f, &all[MIDDLE], NULL, day);

	return f && fclose(f) == 0 && ok;
}

static int save_servers(test_certs *c, const identity *all)
{
	return save(c, "server.pem", &all[SERVER], NULL, c->server) &&
	       save(c, "renewed.pem", &all[RENEWED], NULL, c->renewed) &&
	       save(c, "expired.pem", &all[EXPIRED], NULL, c->expired) &&
	       save(c, "not-yet.pem", &all[NOT_YET], NULL, c->not_yet) &&
	       save(c, "stranger.pem", &all[STRANGER], NULL, c->stranger) &&
	       save(c, "revoked.pem", &all[REVOKED], NULL, c->revoked) &&
	       save(c, "for-clients.pem", &all[FOR_CLIENTS], NULL, c->for_clients) &&
	       save(c, "common-name.pem", &all[COMMON_NAME], NULL, c->common_name) &&
	       save(c, "two-names.pem", &all[TWO_NAMES], NULL, c->two_names) &&
	       save(c, "many-names.pem", &all[MANY], NULL, c->many_names) &&
	       save(c, "wildcard.pem", &all[WILDCARD], NULL, c->wildcard) &&
	       save(c, "ed25519.pem", &all[ED25519], NULL, c->ed25519) &&
	       save(c, "chained.pem", &all[CHAINED], &all[MIDDLE], c->chained) &&
	       save(c, "orphan.pem", &all[CHAINED], NULL, c->orphan);
}

static int save_all(test_certs *c, const identity *all)
{
	return save_root(c, "ca.pem", &all[CA], c->ca) &&
	       save_root(c, "other-ca.pem", &all[OTHER_CA], c->other_ca) &&
	       save_root(c, "impostor.pem", &all[IMPOSTOR], c->impostor) &&
	       save_servers(c, all) &&
	       save(c, "client.pem", &all[CLIENT], NULL, c->client) &&
	       save(c, "odd.pem", &all[ODD], NULL, c->odd) &&
	       save(c, "for-servers.pem", &all[FOR_SERVERS], NULL, c->for_servers) &&
	       save_lists(c, "crl.pem", all, -1, c->crl) &&
	       save_lists(c, "old-crl.pem", all, -9, c->old_crl);
}

/* ---- pins ------------------------------------------------------------------------- */

static void pin(const identity *id, char *ret)
{
	unsigned char *der = NULL, digest[32];
	int len = i2d_PUBKEY(id->key, &der);

	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	EVP_EncodeBlock((unsigned char *)ret, digest, sizeof digest);
	OPENSSL_free(der);
}

static int make_all(test_certs *c)
{
	identity all[IDENTITIES] = { 0 };
	int ok = 1;

	for (int i = 0; i < IDENTITIES && ok; i++)
		ok = issue(all, i);
	ok = ok && save_all(c, all);
	if (ok) {
		pin(&all[SERVER], c->server_pin);
		pin(&all[CA], c->ca_pin);
		pin(&all[OTHER_CA], c->other_pin);
	}
	for (int i = 0; i < IDENTITIES; i++) {
		EVP_PKEY_free(all[i].key);
		X509_free(all[i].cert);
	}
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

int test_certs_copy(const test_certs *c, const char *from, const char *to)
{
	char path[96], buf[8192];
	FILE *in = fopen(from, "r"), *out = create(c, "copy.tmp", path);
	size_t n = in ? fread(buf, 1, sizeof buf, in) : 0;
	int ok = out && n && n < sizeof buf && fwrite(buf, 1, n, out) == n;

	if (in)
		fclose(in);
	if (out && fclose(out))
		ok = 0;
	return ok && rename(path, to) == 0 ? 0 : -1;
}

void test_certs_remove(const test_certs *c)
{
	DIR *d = opendir(c->dir);
	struct dirent *entry;
	char path[400];

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", c->dir, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(c->dir);
}
