/* Each allocation of TLS fails once, OpenSSL's and libevent's among them: an error comes
 * back, nothing leaks, and the same works afterwards. */
#include "config.h"

#include "tests/support/libevent-memory.h"
#include "tests/support/program.h"
#include "tests/support/run.h"
#include "tests/unit/io/tls-ends.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

/* OpenSSL's allocations in the same count, when they are to be. */
static bool with_openssl;

static void *count_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return with_openssl && an_testing_allocation_due() ? NULL : malloc(size);
}

static void *count_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return with_openssl && an_testing_allocation_due() ? NULL : realloc(old, size);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* OpenSSL makes thousands for a context: of them each is made to fail at the beginning,
 * and then about every hundredth part of those before. */
static size_t step_behind(size_t n)
{
	return with_openssl && n > 100 ? n / 50 : 1;
}

/* Runs `attempt` with one allocation failing after the other. An attempt returns 0 when
 * it went well, and CHECK_FAILED when something is wrong. */
static int fail_one_by_one(int (*attempt)(void *arg), void *arg)
{
	size_t n = 1, failures = 0;
	int r;

	CHECK_EQUAL(attempt(arg), 0); /* what is made once is there */
	for (;; n += step_behind(n)) {
		an_testing_fail_allocation(n);
		r = attempt(arg);
		if (!an_testing_allocation_failed())
			break;
		if (r == CHECK_FAILED)
			fprintf(stderr, "allocation %zu\n", n);
		CHECK(r != CHECK_FAILED);
		failures += r < 0;
	}
	CHECK_EQUAL(r, 0);
	CHECK(failures > 0);
	return 0;
}

static int fail_each(int (*attempt)(void *arg), void *arg)
{
	int r = fail_one_by_one(attempt, arg);

	with_openssl = true;
	if (!r)
		r = fail_one_by_one(attempt, arg);
	with_openssl = false;
	return r;
}

static int make_and_free(void *arg)
{
	char error[100] = "";
	an_tls *tls = NULL;
	int r = an_tls_new(arg, error, sizeof error, &tls);

	if (r) {
		CHECK(tls == NULL);
		CHECK(error[0] != '\0' || r == -ENOMEM);
	}
	an_tls_free(tls);
	return r;
}

static void a_context_is_made_or_not(void **state)
{
	const char *const protocols[] = { "h2", NULL };
	const char *const pins[] = { certs.ca_pin, NULL };
	const an_tls_cert more[] = { { certs.two_names, certs.two_names },
				     { certs.chained, NULL },
				     { 0 } };
	an_tls_opts server = { .server = true,
			       .cert_file = certs.server,
			       .more_certs = more,
			       .ca_file = certs.ca,
			       .crl_file = certs.crl,
			       .require_client_cert = true,
			       .alpn = protocols };
	an_tls_opts client = { .ca_file = certs.ca,
			       .cert_file = certs.client,
			       .key_file = certs.client,
			       .pins = pins,
			       .alpn = protocols,
			       .ciphers = "HIGH",
			       .cipher_suites = "TLS_AES_256_GCM_SHA384" };

	(void)state;
	assert_int_equal(fail_each(make_and_free, &server), 0);
	assert_int_equal(fail_each(make_and_free, &client), 0);
}

static int reload(void *arg)
{
	return an_tls_reload(arg, NULL, 0);
}

TASK_TEST(a_reload_that_lacks_memory_changes_nothing)
{
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(fail_each(reload, e.server_tls), 0);
	CHECK_EQUAL(exchange(&e), 0);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- a connection ------------------------------------------------------------------ */

/* The other side must not wait for one that has given up. */
static int accept_and_serve(void *arg)
{
	struct ends *e = arg;
	char byte;

	accept_tls(e);
	if (!e->server_result)
		e->server_result = (int)an_stream_read(e->server, &byte, 1);
	if (e->server_result == 1)
		e->server_result = an_stream_write(e->server, "y", 1);
	if (!e->server_result)
		e->server_result = an_stream_shutdown(e->server);
	e->server = an_stream_close(e->server);
	return 0;
}

static int talk(struct ends *e)
{
	const an_tls_peer *peer;
	char byte;
	int r = an_stream_start_tls(e->client, e->client_tls, e->host);

	if (!r)
		r = an_stream_tls_peer(e->client, &peer);
	if (!r)
		r = an_stream_write(e->client, "x", 1);
	if (!r)
		r = (int)an_stream_read(e->client, &byte, 1);
	if (r == 1)
		r = (int)an_stream_read(e->client, &byte, 1);
	else if (r == 0)
		r = AN_ERR_EOF;
	return r;
}

static int converse(void *arg)
{
	struct ends *e = arg;
	an_task *task;
	int fd[2], r;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	r = an_stream_new(fd[0], NULL, &e->client);
	if (r) {
		close(fd[0]);
		close(fd[1]);
		return r;
	}
	r = an_stream_new(fd[1], NULL, &e->server);
	if (r) {
		close(fd[1]);
		e->client = an_stream_close(e->client);
		return r;
	}
	r = an_spawn(accept_and_serve, e, NULL, &task);
	if (r) {
		close_both(e);
		return r;
	}
	r = talk(e);
	e->client = an_stream_close(e->client);
	an_ignore(an_join(task, NULL));
	return r ? r : e->server_result;
}

TASK_TEST(a_connection_survives_or_fails_cleanly)
{
	an_tls_opts server = { .ca_file = certs.ca, .require_client_cert = true };
	an_tls_opts client = { .cert_file = certs.client };
	struct ends e = { 0 };
	int r;

	CHECK_EQUAL(contexts(&e, &client, &server), 0);
	r = fail_each(converse, &e);
	free_contexts(&e);
	return r;
}

/* Whose certificate is refused is told even without memory for the words. */
static int be_refused(void *arg)
{
	int r = converse(arg);

	CHECK(r < 0);
	return r == AN_ERR_CERT_HOST ? 0 : r;
}

TASK_TEST(a_refusal_needs_no_memory_for_its_words)
{
	struct ends e = { .host = "a.b.example" };
	int r;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	r = fail_each(be_refused, &e);
	free_contexts(&e);
	return r;
}

static int set_up(void **state)
{
	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return -1;
	count_libevent(state);
	return make_certs(state);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_context_is_made_or_not),
	cmocka_unit_test(a_reload_that_lacks_memory_changes_nothing),
	cmocka_unit_test(a_connection_survives_or_fails_cleanly),
	cmocka_unit_test(a_refusal_needs_no_memory_for_its_words),
};
TEST_MAIN_WITH("tls-memory", tests, set_up, remove_certs)
