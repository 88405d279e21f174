/* Contexts whose files are read again while both sides are at work. */
#include "config.h"

#include "tests/support/program.h"
#include "tests/support/run.h"
#include "tests/unit/io/tls-ends.h"

#include "loop/io/tls-private.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- files that change ------------------------------------------------------------- */

static char current[120]; /* the server's file */

static void put(const char *cert)
{
	test_certs_copy(&certs, cert, current);
}

static void put_part(const char *cert, size_t part)
{
	char text[8192];
	FILE *f = fopen(cert, "r");
	size_t n = fread(text, 1, sizeof text, f);

	fclose(f);
	f = fopen(current, "w");
	fwrite(text, 1, part < n ? part : n, f);
	fclose(f);
}

static size_t size_of(const char *file)
{
	FILE *f = fopen(file, "r");
	long n;

	fseek(f, 0, SEEK_END);
	n = ftell(f);
	fclose(f);
	return (size_t)n;
}

/* Who the server is to a client that has no sessions of it. */
static int subject_is(struct ends *e, const char *subject)
{
	const an_tls_peer *peer;

	e->host = "127.0.0.1";
	CHECK_EQUAL(an_tls_reload(e->client_tls, NULL, 0), 0);
	CHECK_EQUAL(exchange(e), 0);
	CHECK(!an_stream_tls_resumed(e->client));
	CHECK_EQUAL(an_stream_tls_peer(e->client, &peer), 0);
	CHECK(strcmp(peer->subject, subject) == 0);
	close_both(e);
	return 0;
}

/* ---- on both sides ----------------------------------------------------------------- */

TASK_TEST(new_handshakes_see_the_new_certificate_and_streams_keep_theirs)
{
	an_tls_opts server = { .cert_file = current };
	struct ends e = { 0 }, old = { 0 };
	const an_tls_peer *peer;
	char byte;

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &server), 0);
	old = e;
	CHECK_EQUAL(exchange(&old), 0);
	put(certs.renewed);
	CHECK_EQUAL(subject_is(&e, "CN=server"), 0);
	CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
	CHECK_EQUAL(subject_is(&e, "CN=renewed server"), 0);

	CHECK_EQUAL(an_stream_tls_peer(old.client, &peer), 0);
	CHECK(strcmp(peer->subject, "CN=server") == 0);
	CHECK_EQUAL(an_stream_write(old.client, "x", 1), 0);
	CHECK_EQUAL(an_stream_read(old.server, &byte, 1), 1);
	close_both(&old);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_handshake_under_way_ends_with_the_files_that_it_began_with)
{
	an_tls_opts server = { .cert_file = current };
	struct ends e = { 0 };
	const an_tls_peer *peer;
	an_task *task;

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &server), 0);
	CHECK_EQUAL(pair(&e), 0);
	CHECK_EQUAL(an_spawn(accept_tls, &e, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	put(certs.renewed);
	CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
	CHECK_EQUAL(an_stream_start_tls(e.client, e.client_tls, e.host), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(an_stream_tls_peer(e.client, &peer), 0);
	CHECK(strcmp(peer->subject, "CN=server") == 0);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_file_that_is_wrong_changes_nothing)
{
	an_tls_opts server = { .cert_file = current };
	size_t whole = size_of(certs.renewed);
	struct ends e = { 0 };
	char error[200];

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &server), 0);
	/* Cut anywhere: the file ends with its key. Only the last line's end is of no
	 * matter. */
	for (size_t part = 0; part + 1 < whole; part += part + 100 < whole ? 37 : 1) {
		put_part(certs.renewed, part);
		error[0] = '\0';
		CHECK_EQUAL(an_tls_reload(e.server_tls, error, sizeof error), AN_ERR_TLS);
		CHECK(strstr(error, current) != NULL);
		CHECK(strlen(error) > strlen(current) + 2);
	}
	CHECK_EQUAL(subject_is(&e, "CN=server"), 0);

	CHECK_EQUAL(unlink(current), 0);
	CHECK_EQUAL(an_tls_reload(e.server_tls, error, sizeof error), -ENOENT);
	CHECK(strstr(error, "No such file") != NULL);
	CHECK_EQUAL(subject_is(&e, "CN=server"), 0);
	put(certs.renewed);
	CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
	CHECK_EQUAL(subject_is(&e, "CN=renewed server"), 0);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_key_of_another_certificate_changes_nothing)
{
	an_tls_opts server = { .cert_file = current, .key_file = certs.server };
	struct ends e = { 0 };
	char error[200];

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &server), 0);
	put(certs.renewed);
	CHECK_EQUAL(an_tls_reload(e.server_tls, error, sizeof error), AN_ERR_TLS);
	CHECK(strstr(error, "server.pem: key values mismatch") != NULL);
	CHECK_EQUAL(subject_is(&e, "CN=server"), 0);
	free_contexts(&e);
	return 0;
}

TASK_TEST(all_files_are_read_again_or_none_counts)
{
	const an_tls_cert more[] = { { .cert_file = current }, { 0 } };
	char revoked[120];
	an_tls_opts server = { .more_certs = more, .cert_file = certs.two_names };
	an_tls_opts client = { .crl_file = revoked };
	struct ends e = { 0 };

	put(certs.revoked);
	snprintf(revoked, sizeof revoked, "%s/current-crl.pem", certs.dir);
	CHECK_EQUAL(test_certs_copy(&certs, certs.old_crl, revoked), 0);
	CHECK_EQUAL(contexts(&e, &client, &server), 0);
	CHECK_EQUAL(shake(&e), 0);
	CHECK(says(e.client, "revocation list has expired"));
	close_both(&e);

	CHECK_EQUAL(test_certs_copy(&certs, certs.crl, revoked), 0);
	CHECK_EQUAL(an_tls_reload(e.client_tls, NULL, 0), 0);
	CHECK_EQUAL(shake(&e), 0);
	CHECK(says(e.client, "certificate was revoked"));
	close_both(&e);

	/* The certificate by name is new and good, the default one is not to be had. */
	put(certs.server);
	CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
	CHECK_EQUAL(exchange(&e), 0);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- sessions ---------------------------------------------------------------------- */

static int resumes(struct ends *e, bool expected)
{
	CHECK_EQUAL(exchange(e), 0);
	CHECK_EQUAL(an_stream_tls_resumed(e->client), expected);
	CHECK_EQUAL(an_stream_tls_resumed(e->server), expected);
	close_both(e);
	return 0;
}

TASK_TEST(a_servers_tickets_stay_good_and_a_clients_sessions_do_not)
{
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(resumes(&e, false), 0);
	CHECK_EQUAL(resumes(&e, true), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
		CHECK_EQUAL(resumes(&e, true), 0);
	}
	CHECK_EQUAL(an_tls_reload(e.client_tls, NULL, 0), 0);
	CHECK_EQUAL(resumes(&e, false), 0);
	CHECK_EQUAL(resumes(&e, true), 0);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_server_that_verifies_its_clients_asks_them_again)
{
	an_tls_opts server = { .require_client_cert = true, .ca_file = certs.ca };
	an_tls_opts client = { .cert_file = certs.client };
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, &client, &server), 0);
	CHECK_EQUAL(resumes(&e, false), 0);
	CHECK_EQUAL(resumes(&e, true), 0);
	CHECK_EQUAL(an_tls_reload(e.server_tls, NULL, 0), 0);
	CHECK_EQUAL(resumes(&e, false), 0);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_session_of_before_is_not_kept_after)
{
	struct ends e = { 0 };
	char byte;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(shake(&e), 0);
	CHECK_EQUAL(an_tls_reload(e.client_tls, NULL, 0), 0);
	/* With this byte come the tickets. */
	CHECK_EQUAL(an_stream_write(e.server, "x", 1), 0);
	CHECK_EQUAL(an_stream_read(e.client, &byte, 1), 1);
	close_both(&e);
	CHECK_EQUAL(resumes(&e, false), 0);
	free_contexts(&e);
	return 0;
}

/* ---- from other threads ------------------------------------------------------------ */

struct reloader {
	an_tls *tls;
	bool renews; /* and puts another file there each time */
	atomic_bool *stop;
	atomic_int done, failed;
};

static void *reload_again_and_again(void *arg)
{
	struct reloader *r = arg;
	char error[100];

	for (unsigned i = 0; !atomic_load(r->stop); i++) {
		if (r->renews)
			put(i % 2 ? certs.renewed : certs.server);
		if (an_tls_reload(r->tls, error, sizeof error))
			atomic_fetch_add(&r->failed, 1);
		atomic_fetch_add(&r->done, 1);
	}
	return NULL;
}

static bool all_have_done(struct reloader *r, int count, int times)
{
	for (int i = 0; i < count; i++)
		if (atomic_load(&r[i].done) < times)
			return false;
	return true;
}

/* OpenSSL is not built for TSan, which so does not see by what its threads agree that the
 * last reference to a session is gone. It looks at our own code alone. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n";
}

TASK_TEST(threads_reload_while_hands_are_shaken)
{
	struct ends e = { 0 };
	struct reloader r[3];
	pthread_t threads[3];
	atomic_bool stop = false;

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &(an_tls_opts){ .cert_file = current }), 0);
	for (int i = 0; i < 3; i++) {
		r[i] = (struct reloader){ .tls = i ? e.client_tls : e.server_tls,
					  .renews = i == 0,
					  .stop = &stop };
		CHECK_EQUAL(
			pthread_create(&threads[i], NULL, reload_again_and_again, &r[i]),
			0);
	}
	for (int i = 0; i < 20 || !all_have_done(r, 3, 20); i++) {
		CHECK_EQUAL(exchange(&e), 0);
		close_both(&e);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
		CHECK_EQUAL(r[i].failed, 0);
	}
	free_contexts(&e);
	return 0;
}

static int reload_it(void *arg)
{
	return an_tls_reload(arg, NULL, 0);
}

TASK_TEST(a_task_reloads_through_offload)
{
	struct ends e = { 0 };

	put(certs.server);
	CHECK_EQUAL(contexts(&e, NULL, &(an_tls_opts){ .cert_file = current }), 0);
	put(certs.renewed);
	CHECK_EQUAL(an_offload(reload_it, e.server_tls, NULL), 0);
	CHECK_EQUAL(subject_is(&e, "CN=renewed server"), 0);
	free_contexts(&e);
	return 0;
}

static int set_up(void **state)
{
	int r = make_certs(state);

	snprintf(current, sizeof current, "%s/current.pem", certs.dir);
	return r;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(new_handshakes_see_the_new_certificate_and_streams_keep_theirs),
	cmocka_unit_test(a_handshake_under_way_ends_with_the_files_that_it_began_with),
	cmocka_unit_test(a_file_that_is_wrong_changes_nothing),
	cmocka_unit_test(a_key_of_another_certificate_changes_nothing),
	cmocka_unit_test(all_files_are_read_again_or_none_counts),
	cmocka_unit_test(a_servers_tickets_stay_good_and_a_clients_sessions_do_not),
	cmocka_unit_test(a_server_that_verifies_its_clients_asks_them_again),
	cmocka_unit_test(a_session_of_before_is_not_kept_after),
	cmocka_unit_test(threads_reload_while_hands_are_shaken),
	cmocka_unit_test(a_task_reloads_through_offload),
};
TEST_MAIN_WITH("tls-reload", tests, set_up, remove_certs)
