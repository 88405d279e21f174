/* Whom TLS trusts and why not: certificates that were issued for the purpose, pins,
 * revocation lists, what the two sides have in common, who the peer is; and that the
 * error text of each failure says what it was. */
#include "config.h"

#include "loop/io/tls-private.h"
#include "tests/support/program.h"
#include "tests/support/run.h"
#include "tests/unit/io/tls-ends.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

/* ---- certificates ------------------------------------------------------------------ */

static int refused(const char *cert, int expected, const char *text,
		   const char *server_text)
{
	return outcome_of_both(&(struct ends){ 0 }, NULL,
			       &(an_tls_opts){ .cert_file = cert }, expected, text,
			       server_text);
}

TASK_TEST(a_certificate_that_is_not_right_is_refused_with_the_reason)
{
	CHECK_EQUAL(refused(certs.expired, AN_ERR_CERT, "certificate expired on 20",
			    "peer: certificate expired"),
		    0);
	CHECK_EQUAL(refused(certs.not_yet, AN_ERR_CERT,
			    "certificate is not valid before 20",
			    "peer: bad certificate"),
		    0);
	CHECK_EQUAL(refused(certs.stranger, AN_ERR_CERT, "certificate is self-signed",
			    "peer: unknown CA"),
		    0);
	CHECK_EQUAL(refused(certs.orphan, AN_ERR_CERT,
			    "certificate's issuer is unknown: CN=test intermediate",
			    "peer: unknown CA"),
		    0);
	CHECK_EQUAL(refused(certs.for_clients, AN_ERR_CERT,
			    "certificate is not for servers",
			    "peer: unsupported certificate"),
		    0);
	CHECK_EQUAL(refused(certs.chained, 0, NULL, NULL), 0);
	return 0;
}

TASK_TEST(a_name_counts_in_the_subjectaltname_alone)
{
	return refused(certs.common_name, AN_ERR_CERT_HOST,
		       "certificate is for no host (its subjectAltName has none); "
		       "not for localhost",
		       "peer: ");
}

TASK_TEST(the_names_of_a_certificate_for_another_host_are_told)
{
	CHECK_EQUAL(refused(certs.two_names, AN_ERR_CERT_HOST,
			    "certificate is for a.example, b.example; not for localhost",
			    "peer: "),
		    0);
	return refused(certs.many_names, AN_ERR_CERT_HOST,
		       "n3.example, n4.example and 5 more; not for localhost", NULL);
}

TASK_TEST(a_root_that_the_peer_sends_along_is_no_reason_to_trust_it)
{
	char both[120];
	FILE *f;
	int c;

	/* The leaf, its key and its root in one file, for a client with another root. */
	snprintf(both, sizeof both, "%s/with-root.pem", certs.dir);
	CHECK_EQUAL(test_certs_copy(&certs, certs.server, both), 0);
	f = fopen(both, "a");
	CHECK(f != NULL);
	FILE *root = fopen(certs.ca, "r");
	while ((c = fgetc(root)) != EOF)
		fputc(c, f);
	fclose(root);
	fclose(f);
	return outcome(&(struct ends){ 0 }, &(an_tls_opts){ .ca_file = certs.other_ca },
		       &(an_tls_opts){ .cert_file = both }, AN_ERR_CERT,
		       "certificate's root is not trusted: CN=test root");
}

/* ---- pins -------------------------------------------------------------------------- */

static int pinned(const char *a, const char *b, bool no_verify, const char *cert,
		  int expected, const char *text)
{
	const char *const pins[] = { a, b, NULL };
	an_tls_opts client = { .pins = pins, .no_verify = no_verify };

	return outcome(&(struct ends){ 0 }, &client, &(an_tls_opts){ .cert_file = cert },
		       expected, text);
}

TASK_TEST(one_pinned_key_in_the_chain_is_enough)
{
	CHECK_EQUAL(pinned(certs.server_pin, NULL, false, NULL, 0, NULL), 0);
	CHECK_EQUAL(pinned(certs.other_pin, certs.ca_pin, false, NULL, 0, NULL), 0);
	CHECK_EQUAL(pinned(certs.ca_pin, NULL, false, certs.chained, 0, NULL), 0);
	CHECK_EQUAL(pinned(certs.server_pin, certs.other_pin, false, certs.renewed,
			   AN_ERR_CERT, "no key of the peer's chain is pinned"),
		    0);
	/* It is asked for on top of all else. */
	return pinned(certs.ca_pin, NULL, false, certs.expired, AN_ERR_CERT, "expired");
}

TASK_TEST(a_pin_without_verification_trusts_the_leafs_key_alone)
{
	CHECK_EQUAL(pinned(certs.server_pin, NULL, true, NULL, 0, NULL), 0);
	CHECK_EQUAL(pinned(certs.server_pin, NULL, true, certs.stranger, AN_ERR_CERT,
			   "pinned"),
		    0);
	return pinned(certs.ca_pin, NULL, true, NULL, AN_ERR_CERT, "pinned");
}

TASK_TEST(pinned_sessions_are_resumed)
{
	const char *const pins[] = { certs.server_pin, NULL };
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .pins = pins }, NULL), 0);
	CHECK_EQUAL(exchange(&e), 0);
	close_both(&e);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK(an_stream_tls_resumed(e.client));
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- revocation -------------------------------------------------------------------- */

static int listed(const char *crl, const char *cert, int expected, const char *text)
{
	return outcome_of_both(&(struct ends){ 0 }, &(an_tls_opts){ .crl_file = crl },
			       &(an_tls_opts){ .cert_file = cert }, expected, text,
			       expected ? "peer: " : NULL);
}

TASK_TEST(what_was_revoked_or_is_in_no_list_is_refused)
{
	CHECK_EQUAL(listed(certs.crl, certs.server, 0, NULL), 0);
	CHECK_EQUAL(listed(certs.crl, certs.chained, 0, NULL), 0);
	CHECK_EQUAL(listed(certs.crl, certs.revoked, AN_ERR_CERT,
			   "certificate was revoked by CN=test root"),
		    0);
	CHECK_EQUAL(listed(NULL, certs.revoked, 0, NULL), 0);
	CHECK_EQUAL(listed(certs.old_crl, certs.server, AN_ERR_CERT,
			   "revocation list has expired: of CN=test root"),
		    0);
	/* The list of another issuer says nothing. */
	return outcome(&(struct ends){ 0 },
		       &(an_tls_opts){ .crl_file = certs.crl, .ca_file = certs.impostor },
		       NULL, AN_ERR_CERT, NULL);
}

/* One of the two lists of `crl`, in `path`: that of the root or of the intermediate. */
static int split_lists(bool intermediate, char path[120])
{
	static const char end[] = "-----END X509 CRL-----\n";
	char text[8192], *second;
	FILE *f = fopen(certs.crl, "r");
	size_t n = fread(text, 1, sizeof text - 1, f);

	fclose(f);
	text[n] = '\0';
	second = strstr(text, end);
	CHECK(second != NULL);
	second += strlen(end);
	snprintf(path, 120, "%s/one-list.pem", certs.dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	if (intermediate)
		fputs(second, f);
	else
		fwrite(text, 1, (size_t)(second - text), f);
	return fclose(f);
}

TASK_TEST(every_certificate_of_a_chain_needs_a_list)
{
	char path[120];

	CHECK_EQUAL(split_lists(false, path), 0);
	CHECK_EQUAL(listed(path, certs.server, 0, NULL), 0);
	CHECK_EQUAL(
		listed(path, certs.chained, AN_ERR_CERT,
		       "no revocation list for what was issued by CN=test intermediate"),
		0);
	CHECK_EQUAL(split_lists(true, path), 0);
	return listed(path, certs.chained, AN_ERR_CERT,
		      "no revocation list for what was issued by CN=test root");
}

/* ---- clients ----------------------------------------------------------------------- */

/* In TLS 1.3 the client learns it by its first read. */
static int client_refused(const an_tls_opts *client, const an_tls_opts *server, int code,
			  const char *server_text, const char *client_text)
{
	struct ends e = { 0 };
	char byte;

	CHECK_EQUAL(contexts(&e, client, server), 0);
	CHECK_EQUAL(shake(&e), 0);
	CHECK_EQUAL(e.server_result, code);
	CHECK(says(e.server, server_text));
	CHECK_EQUAL(an_stream_read(e.client, &byte, 1), AN_ERR_TLS);
	CHECK(says(e.client, client_text));
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_client_that_is_not_right_learns_why)
{
	an_tls_opts demand = { .require_client_cert = true,
			       .ca_file = certs.ca,
			       .crl_file = certs.crl };
	an_tls_opts ask = { .request_client_cert = true, .ca_file = certs.ca };

	CHECK_EQUAL(client_refused(NULL, &demand, AN_ERR_TLS,
				   "the peer sent no certificate",
				   "peer: certificate required"),
		    0);
	CHECK_EQUAL(client_refused(&(an_tls_opts){ .cert_file = certs.stranger }, &demand,
				   AN_ERR_CERT, "certificate is self-signed",
				   "peer: unknown CA"),
		    0);
	CHECK_EQUAL(client_refused(&(an_tls_opts){ .cert_file = certs.for_servers },
				   &demand, AN_ERR_CERT, "certificate is not for clients",
				   "peer: unsupported certificate"),
		    0);
	CHECK_EQUAL(client_refused(&(an_tls_opts){ .cert_file = certs.revoked }, &demand,
				   AN_ERR_CERT, "certificate was revoked",
				   "peer: certificate revoked"),
		    0);
	return client_refused(&(an_tls_opts){ .cert_file = certs.expired }, &ask,
			      AN_ERR_CERT, "certificate expired on",
			      "peer: certificate expired");
}

static int ask_who(const an_tls_opts *client, const an_tls_peer **ret, struct ends *e)
{
	an_tls_opts ask = { .request_client_cert = true, .ca_file = certs.ca };

	CHECK_EQUAL(contexts(e, client, &ask), 0);
	CHECK_EQUAL(exchange(e), 0);
	return an_stream_tls_peer(e->server, ret);
}

TASK_TEST(a_certificate_that_is_asked_for_may_be_missing)
{
	const an_tls_peer *peer = NULL;
	struct ends e = { 0 };

	CHECK_EQUAL(ask_who(NULL, &peer, &e), -ENOENT);
	CHECK(peer == NULL);
	/* The other side always has one. */
	CHECK_EQUAL(an_stream_tls_peer(e.client, &peer), 0);
	CHECK(strcmp(peer->subject, "CN=server") == 0);
	CHECK(strcmp(peer->pin, certs.server_pin) == 0);
	CHECK(strcmp(peer->names[0], "DNS:localhost") == 0);
	CHECK(strcmp(peer->names[3], "IP:::1") == 0);
	CHECK(peer->names[4] == NULL);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(the_peer_is_who_its_certificate_says_also_when_resumed)
{
	const an_tls_peer *peer = NULL, *again = NULL;
	struct ends e = { 0 };

	CHECK_EQUAL(ask_who(&(an_tls_opts){ .cert_file = certs.client }, &peer, &e), 0);
	CHECK(strcmp(peer->subject, "CN=test client") == 0);
	CHECK(strcmp(peer->issuer, "CN=test root") == 0);
	CHECK(strcmp(peer->names[0], "DNS:client.test") == 0);
	CHECK(strcmp(peer->names[1], "email:alice@client.test") == 0);
	CHECK(strcmp(peer->names[2], "URI:spiffe://client.test/alice") == 0);
	CHECK(strcmp(peer->names[3], "IP:10.0.0.1") == 0);
	CHECK(peer->names[4] == NULL);
	CHECK_EQUAL(strlen(peer->sha256), 64);
	CHECK_EQUAL(strlen(peer->pin), 44);
	CHECK(strncmp(peer->pem, "-----BEGIN CERTIFICATE-----\n", 28) == 0);
	CHECK_EQUAL(peer->not_after - peer->not_before, 20 * 24 * 60 * 60);
	CHECK(peer->verified);
	CHECK_EQUAL(an_stream_tls_peer(e.server, &again), 0);
	CHECK(again == peer);
	close_both(&e);

	CHECK_EQUAL(exchange(&e), 0);
	CHECK(an_stream_tls_resumed(e.server));
	CHECK_EQUAL(an_stream_tls_peer(e.server, &peer), 0);
	CHECK(strcmp(peer->subject, "CN=test client") == 0);
	CHECK(peer->verified);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(names_that_are_odd_are_escaped)
{
	const an_tls_peer *peer = NULL;
	struct ends e = { 0 };

	CHECK_EQUAL(ask_who(&(an_tls_opts){ .cert_file = certs.odd }, &peer, &e), 0);
	CHECK(strcmp(peer->subject, "CN=a\\0Ab\\, \xc3\xa9\xe2\x82\xac") == 0);
	CHECK(strcmp(peer->names[0], "DNS:a\\0Ab") == 0);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(who_the_peer_is_needs_tls)
{
	const an_tls_peer *peer = NULL;
	struct ends e = { 0 };

	CHECK_EQUAL(pair(&e), 0);
	CHECK_EQUAL(an_stream_tls_peer(e.client, &peer), AN_ERR_MISUSE);
	CHECK(an_stream_tls_cipher(e.client) == NULL);
	CHECK(an_stream_tls_server_name(e.client) == NULL);
	close_both(&e);

	CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .no_verify = true }, NULL), 0);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK_EQUAL(an_stream_tls_peer(e.client, &peer), 0);
	CHECK(!peer->verified);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- what both have ---------------------------------------------------------------- */

TASK_TEST(nothing_in_common_is_told_by_both)
{
	const char *const mail[] = { "smtp", NULL }, *const web[] = { "h2", NULL };
	an_tls_opts new_only = { .min_version = TLS1_3_VERSION };
	/* A list for TLS 1.3 that the other does not have, and one for 1.2. */
	an_tls_opts a = { .cipher_suites = "TLS_AES_128_GCM_SHA256",
			  .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" };
	an_tls_opts b = { .cipher_suites = "TLS_AES_256_GCM_SHA384",
			  .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" };

	CHECK_EQUAL(outcome_of_both(&(struct ends){ 0 }, &(an_tls_opts){ .alpn = mail },
				    &(an_tls_opts){ .alpn = web }, AN_ERR_TLS,
				    "peer: no application protocol",
				    "no application protocol in common with the peer"),
		    0);
	CHECK_EQUAL(outcome_of_both(&(struct ends){ 0 }, &a, &b, AN_ERR_TLS,
				    "peer: handshake failure",
				    "no cipher in common with the peer"),
		    0);
	CHECK_EQUAL(outcome(&(struct ends){ 0 }, &new_only, &a, 0, NULL), 0);
	return 0;
}

TASK_TEST(cipher_lists_choose)
{
	an_tls_opts one = { .cipher_suites = "TLS_CHACHA20_POLY1305_SHA256" };
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, NULL, &one), 0);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK(strcmp(an_stream_tls_cipher(e.client), "TLS_CHACHA20_POLY1305_SHA256") ==
	      0);
	CHECK(strcmp(an_stream_tls_cipher(e.server), "TLS_CHACHA20_POLY1305_SHA256") ==
	      0);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- a server's names -------------------------------------------------------------- */

/* `host` is asked for; the certificate with that subject is shown. */
static int shown(an_tls *server, const char *host, const char *subject, const char *name)
{
	struct ends e = { .host = host, .server_tls = server };
	const an_tls_peer *peer;

	CHECK_EQUAL(
		an_tls_new(&(an_tls_opts){ .no_verify = true }, NULL, 0, &e.client_tls),
		0);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK_EQUAL(an_stream_tls_peer(e.client, &peer), 0);
	if (strcmp(peer->subject, subject) != 0)
		fprintf(stderr, "%s for %s\n", peer->subject, host);
	CHECK(strcmp(peer->subject, subject) == 0);
	if (name) {
		CHECK(strcmp(an_stream_tls_server_name(e.server), name) == 0);
		CHECK(strcmp(an_stream_tls_server_name(e.client), name) == 0);
	} else {
		CHECK(an_stream_tls_server_name(e.server) == NULL);
		CHECK(an_stream_tls_server_name(e.client) == NULL);
	}
	close_both(&e);
	an_tls_free(e.client_tls);
	return 0;
}

TASK_TEST(a_server_shows_the_certificate_of_the_name_that_is_asked_for)
{
	const an_tls_cert more[] = { { .cert_file = certs.two_names },
				     { .cert_file = certs.wildcard },
				     { .cert_file = certs.common_name },
				     { 0 } };
	an_tls_opts opts = { .server = true,
			     .cert_file = certs.many_names,
			     .more_certs = more };
	an_tls *server;

	CHECK_EQUAL(an_tls_new(&opts, NULL, 0, &server), 0);
	CHECK_EQUAL(shown(server, "b.example", "CN=two", "b.example"), 0);
	CHECK_EQUAL(shown(server, "B.Example", "CN=two", "B.Example"), 0);
	CHECK_EQUAL(shown(server, "c.any.example", "CN=wildcard", "c.any.example"), 0);
	CHECK_EQUAL(shown(server, "c.c.any.example", "CN=many", "c.c.any.example"), 0);
	CHECK_EQUAL(shown(server, "localhost", "CN=many", "localhost"), 0);
	CHECK_EQUAL(shown(server, "127.0.0.1", "CN=many", NULL), 0);
	CHECK_EQUAL(shown(server, NULL, "CN=many", NULL), 0);
	an_tls_free(server);
	return 0;
}

/* Which of two keys of different kinds a client prefers does not count. */
TASK_TEST(a_certificate_by_name_is_shown_also_when_its_key_is_of_another_kind)
{
	const an_tls_cert ed[] = { { .cert_file = certs.ed25519 }, { 0 } };
	const an_tls_cert ec[] = { { .cert_file = certs.two_names }, { 0 } };
	an_tls_opts opts = { .server = true,
			     .cert_file = certs.many_names,
			     .more_certs = ed };
	an_tls *server;

	CHECK_EQUAL(an_tls_new(&opts, NULL, 0, &server), 0);
	CHECK_EQUAL(shown(server, "ed.example", "CN=ed25519", "ed.example"), 0);
	CHECK_EQUAL(shown(server, "n0.example", "CN=many", "n0.example"), 0);
	an_tls_free(server);
	opts.cert_file = certs.ed25519;
	opts.more_certs = ec;
	CHECK_EQUAL(an_tls_new(&opts, NULL, 0, &server), 0);
	CHECK_EQUAL(shown(server, "a.example", "CN=two", "a.example"), 0);
	CHECK_EQUAL(shown(server, "ed.example", "CN=ed25519", "ed.example"), 0);
	an_tls_free(server);
	return 0;
}

/* The rules are those of the one context. */
TASK_TEST(a_certificate_by_name_changes_nothing_else)
{
	const char *const web[] = { "h2", NULL };
	const an_tls_cert more[] = { { .cert_file = certs.two_names }, { 0 } };
	an_tls_opts server = { .more_certs = more,
			       .alpn = web,
			       .ca_file = certs.ca,
			       .require_client_cert = true };
	struct ends e = { .host = "a.example" };

	CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .alpn = web }, &server), 0);
	CHECK_EQUAL(shake(&e), 0);
	CHECK_EQUAL(e.client_result, 0);
	CHECK_EQUAL(e.server_result, AN_ERR_TLS);
	CHECK(strcmp(an_stream_alpn(e.client), "h2") == 0);
	close_both(&e);
	free_contexts(&e);

	CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .cert_file = certs.client }, &server),
		    0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(exchange(&e), 0);
		CHECK_EQUAL(an_stream_tls_resumed(e.client), i);
		CHECK(strcmp(an_stream_tls_server_name(e.server), "a.example") == 0);
		close_both(&e);
	}
	free_contexts(&e);
	return 0;
}

/* ---- options ----------------------------------------------------------------------- */

static void refuse(const an_tls_opts *opts, int expected, const char *text)
{
	char error[200] = "";
	an_tls *tls = NULL;

	assert_int_equal(an_tls_new(opts, error, sizeof error, &tls), expected);
	assert_null(tls);
	if (!strstr(error, text))
		fail_msg("\"%s\" instead of \"%s\"", error, text);
}

static void options_that_mean_nothing_are_refused(void **state)
{
	const char *const none[] = { NULL }, *const wrong[] = { "x", NULL };
	const char *const too_free[] = { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
					 NULL };
	const an_tls_cert more[] = { { .cert_file = "/nonexistent" }, { 0 } };
	const char *server = certs.server, *ca = certs.ca;

	(void)state;
	refuse(&(an_tls_opts){ .pins = none }, -EINVAL, "Invalid");
	refuse(&(an_tls_opts){ .pins = wrong }, -EINVAL, "Invalid");
	refuse(&(an_tls_opts){ .pins = too_free }, -EINVAL, "Invalid");
	refuse(&(an_tls_opts){ .ciphers = "" }, -EINVAL, "Invalid");
	refuse(&(an_tls_opts){ .ciphers = "NONE-SUCH" }, -EINVAL, "no cipher match");
	refuse(&(an_tls_opts){ .cipher_suites = "" }, -EINVAL, "Invalid");
	refuse(&(an_tls_opts){ .cipher_suites = "NONE-SUCH" }, -EINVAL, "");
	refuse(&(an_tls_opts){ .more_certs = more }, -EINVAL, "");
	refuse(&(an_tls_opts){ .request_client_cert = true }, -EINVAL, "");
	refuse(&(an_tls_opts){ .no_verify = true, .crl_file = certs.crl }, -EINVAL, "");
	refuse(&(an_tls_opts){ .server = true, .cert_file = server, .crl_file = ca },
	       -EINVAL, "");
	refuse(&(an_tls_opts){ .server = true, .cert_file = server, .pins = wrong },
	       -EINVAL, "");
	refuse(&(an_tls_opts){ .server = true, .cert_file = server, .more_certs = more },
	       -ENOENT, "/nonexistent: No such file");
	refuse(&(an_tls_opts){ .crl_file = "/nonexistent" }, -ENOENT, "/nonexistent: ");
	refuse(&(an_tls_opts){ .crl_file = certs.ca }, AN_ERR_TLS, certs.ca);
	refuse(&(an_tls_opts){ .ca_file = certs.crl }, AN_ERR_TLS,
	       "/crl.pem: it holds no PEM block of the kind");
	refuse(&(an_tls_opts){ .ca_file = "/dev/null" }, AN_ERR_TLS, "/dev/null: ");
	refuse(&(an_tls_opts){ .server = true, .cert_file = certs.ca }, AN_ERR_TLS,
	       "ca.pem: it holds no PEM block of the kind that is needed");
	refuse(&(an_tls_opts){ .cert_file = certs.client, .key_file = server },
	       AN_ERR_TLS, "server.pem: key values mismatch");
}

/* OpenSSL would ask the terminal for the words. */
static void a_key_that_is_encrypted_is_refused(void **state)
{
	char path[120];
	FILE *from = fopen(certs.server, "r"), *to;
	EVP_PKEY *key;

	(void)state;
	snprintf(path, sizeof path, "%s/encrypted.pem", certs.dir);
	key = PEM_read_PrivateKey(from, NULL, NULL, NULL);
	to = fopen(path, "w");
	assert_true(key && to);
	assert_int_equal(PEM_write_PrivateKey(to, key, EVP_aes_128_cbc(),
					      (const unsigned char *)"words", 5, NULL,
					      NULL),
			 1);
	EVP_PKEY_free(key);
	fclose(from);
	fclose(to);
	refuse(&(an_tls_opts){ .cert_file = certs.server, .key_file = path }, AN_ERR_TLS,
	       "encrypted.pem: the key is encrypted");
}

static void shows(int type, const char *organization, const char *expected)
{
	X509_NAME *name = X509_NAME_new();
	BIO *to = BIO_new(BIO_s_mem());
	char *text;
	long len;

	assert_true(name && to);
	assert_true(X509_NAME_add_entry_by_NID(
		name, NID_organizationName, type,
		(const unsigned char *)organization, -1, -1, 0));
	assert_true(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
					       (const unsigned char *)"a", 1, -1, 0));
	assert_true(an__tls_print_name(to, name));
	len = BIO_get_mem_data(to, &text);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, (size_t)len);
	BIO_free(to);
	X509_NAME_free(name);
}

/* A name may say that it is UTF-8, and begin a terminal's command. */
static void bytes_of_a_name_that_are_no_text_are_escaped(void **state)
{
	(void)state;
	shows(V_ASN1_UTF8STRING, "\xc3\xa4", "CN=a,O=\xc3\xa4");
	shows(V_ASN1_UTF8STRING, "\xff", "CN=a,O=\\FF");
	shows(V_ASN1_UTF8STRING, "\xc2\x9b", "CN=a,O=\\C2\\9B");
	shows(V_ASN1_UTF8STRING, "\x1b", "CN=a,O=\\1B");
	/* Half of a pair. */
	shows(V_ASN1_BMPSTRING, "\xd8\x01", "CN=#0C0161,O=#1E02D801");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_certificate_that_is_not_right_is_refused_with_the_reason),
	cmocka_unit_test(a_name_counts_in_the_subjectaltname_alone),
	cmocka_unit_test(the_names_of_a_certificate_for_another_host_are_told),
	cmocka_unit_test(a_root_that_the_peer_sends_along_is_no_reason_to_trust_it),
	cmocka_unit_test(one_pinned_key_in_the_chain_is_enough),
	cmocka_unit_test(a_pin_without_verification_trusts_the_leafs_key_alone),
	cmocka_unit_test(pinned_sessions_are_resumed),
	cmocka_unit_test(what_was_revoked_or_is_in_no_list_is_refused),
	cmocka_unit_test(every_certificate_of_a_chain_needs_a_list),
	cmocka_unit_test(a_client_that_is_not_right_learns_why),
	cmocka_unit_test(a_certificate_that_is_asked_for_may_be_missing),
	cmocka_unit_test(the_peer_is_who_its_certificate_says_also_when_resumed),
	cmocka_unit_test(names_that_are_odd_are_escaped),
	cmocka_unit_test(who_the_peer_is_needs_tls),
	cmocka_unit_test(nothing_in_common_is_told_by_both),
	cmocka_unit_test(cipher_lists_choose),
	cmocka_unit_test(a_server_shows_the_certificate_of_the_name_that_is_asked_for),
	cmocka_unit_test(
		a_certificate_by_name_is_shown_also_when_its_key_is_of_another_kind),
	cmocka_unit_test(a_certificate_by_name_changes_nothing_else),
	cmocka_unit_test(options_that_mean_nothing_are_refused),
	cmocka_unit_test(a_key_that_is_encrypted_is_refused),
	cmocka_unit_test(bytes_of_a_name_that_are_no_text_are_escaped),
};
TEST_MAIN_WITH("tls-trust", tests, make_certs, remove_certs)
