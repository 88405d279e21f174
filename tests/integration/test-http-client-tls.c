/* The HTTP client over TLS: who is trusted, what ends a body, and what https may lead
 * to. */
#include "tests/integration/http-client.h"
#include "tests/support/certs.h"

static test_certs certs;

/* A test beside a peer that has the server's certificate, with a context that trusts
 * it. */
struct secure {
	an_tls *server, *client;
	char url[64]; /* "https://127.0.0.1:port" */
};

static int secure_begin(struct secure *s, struct peer *p)
{
	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .server = true,
					       .cert_file = certs.server,
					       .key_file = certs.server },
			       NULL, 0, &s->server),
		    0);
	CHECK_EQUAL(
		an_tls_new(&(an_tls_opts){ .ca_file = certs.ca }, NULL, 0, &s->client),
		0);
	p->tls = s->server;
	snprintf(s->url, sizeof(s->url), "https://127.0.0.1:%u", p->port);
	return 0;
}

static int secure_end(struct secure *s, int r)
{
	an_tls_free(s->server);
	an_tls_free(s->client);
	return r;
}

/* Sends, reads the body to its end. Returns the status, or the error. */
static int get(an_http_client *client, const char *url)
{
	an_http_response *response;
	const char *data;
	size_t len;
	int r = an_http_get(client, url, &response);

	if (r)
		return r;
	r = an_http_response_read_all(response, 0, &data, &len);
	if (!r)
		r = an_http_response_status(response);
	an_http_response_free(response);
	return r;
}

/* PEER_TEST with a `struct secure s`; its body ends with `return 0`. */
#define SECURE_TEST(name, ...) \
	static int name##_secure(struct peer *p, struct secure *s); \
	PEER_TEST(name, __VA_ARGS__) \
	{ \
		struct secure s; \
		int r = secure_begin(&s, p); \
\
		return r ? r : secure_end(&s, name##_secure(p, &s)); \
	} \
	static int name##_secure(struct peer *p __attribute__((unused)), struct secure *s)

static const struct step hello_twice[] = { TLS,	   EXPECT,	   OK("hello", 5),
					   EXPECT, OK("again", 5), END };

SECURE_TEST(a_tls_connection_is_kept_and_reused, hello_twice)
{
	an_http_client *client;

	CHECK_EQUAL(
		an_http_client_new(&(an_http_client_opts){ .tls = s->client }, &client),
		0);
	CHECK_EQUAL(get(client, s->url), 200);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(get(client, s->url), 200);
	CHECK_EQUAL(p->connections, 1);
	CHECK_EQUAL(stats_of(client).reuses, 1);
	an_http_client_free(client);
	return 0;
}

static const struct step until_end[] = { TLS, EXPECT, SEND("HTTP/1.1 200 OK\r\n\r\nabc"),
					 CLOSE, END };
static const struct step until_cut[] = { TLS, EXPECT, SEND("HTTP/1.1 200 OK\r\n\r\nabc"),
					 CUT, END };
static const struct step length_cut[] = { TLS, EXPECT, OK("abc", 3), CUT, END };

SECURE_TEST(a_body_until_the_close_needs_the_closing_word, until_end, until_cut,
	    length_cut)
{
	an_http_client *client;

	CHECK_EQUAL(
		an_http_client_new(&(an_http_client_opts){ .tls = s->client }, &client),
		0);
	CHECK_EQUAL(get(client, s->url), 200);
	CHECK_EQUAL(get(client, s->url), AN_ERR_TRUNCATED);
	CHECK_EQUAL(get(client, s->url), 200); /* its length says that it is complete */
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step cut_under_a_request[] = { TLS,	   EXPECT, OK("abc", 3),
						   EXPECT, CUT,	   END };

SECURE_TEST(a_kept_tls_connection_that_is_dead_is_replaced, cut_under_a_request,
	    hello_twice)
{
	an_http_client *client;

	CHECK_EQUAL(
		an_http_client_new(&(an_http_client_opts){ .tls = s->client }, &client),
		0);
	CHECK_EQUAL(get(client, s->url), 200);
	CHECK_EQUAL(get(client, s->url), 200);
	CHECK_EQUAL(stats_of(client).retries, 1);
	an_http_client_free(client);
	return 0;
}

static const struct step handshake[] = { TLS, EXPECT, END };

/* One GET that must fail in the phase of TLS. */
static int expect_refused(an_tls *tls, const char *url, int code)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .tls = tls }, &client), 0);
	CHECK_EQUAL(get(client, url), code);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_TLS);
	CHECK_EQUAL(an_http_client_error(client)->code, code);
	CHECK(*an_http_client_error(client)->text);
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return 0;
}

SECURE_TEST(a_server_is_verified_unless_told_otherwise, handshake, handshake, handshake)
{
	char other[64];
	an_tls *stranger;
	int r;

	/* The system's roots do not know the authority; neither does another. */
	r = expect_refused(NULL, s->url, AN_ERR_CERT);
	if (r)
		return r;
	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .ca_file = certs.other_ca }, NULL, 0,
			       &stranger),
		    0);
	r = expect_refused(stranger, s->url, AN_ERR_CERT);
	an_tls_free(stranger);
	if (r)
		return r;
	/* 127.1 is the same place, but no name in the certificate. */
	snprintf(other, sizeof(other), "https://127.1:%u", p->port);
	return expect_refused(s->client, other, AN_ERR_CERT_HOST);
}

static const struct step silent[] = { END };

SECURE_TEST(a_handshake_that_stalls_runs_into_its_limit, silent)
{
	an_duration start = an_now();
	int r = expect_refused(s->client, s->url, -ETIMEDOUT);

	CHECK_EQUAL((an_now() - start) / AN_SECOND, 10);
	return r;
}

static const struct step plain_hello[] = { EXPECT, OK("hello", 5), END };

/* The peer redirects to itself, without TLS. */
SECURE_TEST(https_leads_to_http_only_when_allowed, NULL)
{
	char answer[200];
	struct step leading[] = { TLS, EXPECT, { PEER_SEND, answer, 0 }, END };
	const struct step *const scripts[] = { leading, leading, plain_hello, NULL };
	struct peer *q = malloc(sizeof(*q));
	an_http_client *client;
	char url[64];

	CHECK(q);
	CHECK_EQUAL(peer_begin(q, scripts), 0);
	q->tls = s->server;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", q->port);
	leading[2].len = (size_t)snprintf(answer, sizeof(answer),
					  "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
					  "Location: %s/\r\n\r\n",
					  q->url);
	CHECK_EQUAL(
		an_http_client_new(&(an_http_client_opts){ .tls = s->client }, &client),
		0);
	CHECK_EQUAL(get(client, url), AN_ERR_REDIRECT);
	an_http_client_free(client);
	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .tls = s->client,
							       .allow_downgrade = true },
				       &client),
		    0);
	CHECK_EQUAL(get(client, url), 200);
	an_http_client_free(client);
	CHECK_EQUAL(q->connections, 3);
	CHECK_EQUAL(peer_end(q), 0);
	free(q);
	return 0;
}

static int make_certs(void **state)
{
	(void)state;
	return test_certs_make(&certs);
}

static int remove_certs(void **state)
{
	(void)state;
	test_certs_remove(&certs);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_tls_connection_is_kept_and_reused),
	cmocka_unit_test(a_body_until_the_close_needs_the_closing_word),
	cmocka_unit_test(a_kept_tls_connection_that_is_dead_is_replaced),
	cmocka_unit_test(a_server_is_verified_unless_told_otherwise),
	cmocka_unit_test(a_handshake_that_stalls_runs_into_its_limit),
	cmocka_unit_test(https_leads_to_http_only_when_allowed),
};

int main(void)
{
	alarm(60);
	return cmocka_run_group_tests_name("http client over TLS", tests, make_certs,
					   remove_certs);
}
