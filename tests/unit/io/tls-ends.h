/* Two TLS streams at the ends of a socket pair, for the tests of TLS. */
#ifndef AN_TESTS_UNIT_IO_TLS_ENDS_H
#define AN_TESTS_UNIT_IO_TLS_ENDS_H

#include "tests/support/certs.h"
#include "tests/support/run.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

static test_certs certs;

struct ends {
	an_tls *client_tls, *server_tls;
	an_stream *client, *server;
	const char *host;
	int client_result, server_result;
};

static inline int accept_tls(void *arg)
{
	struct ends *e = arg;

	e->server_result = an_stream_start_tls(e->server, e->server_tls, NULL);
	return 0;
}

static inline int pair(struct ends *e)
{
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &e->client), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &e->server), 0);
	return 0;
}

/* Both handshakes on streams that are there. */
static inline int shake_hands(struct ends *e)
{
	an_task *task;

	CHECK_EQUAL(an_spawn(accept_tls, e, NULL, &task), 0);
	e->client_result = an_stream_start_tls(e->client, e->client_tls, e->host);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

static inline int shake(struct ends *e)
{
	CHECK_EQUAL(pair(e), 0);
	return shake_hands(e);
}

static inline void close_both(struct ends *e)
{
	e->client = an_stream_close(e->client);
	e->server = an_stream_close(e->server);
}

/* What is not said: the client trusts `ca`, the server is `server`. */
static inline int contexts(struct ends *e, const an_tls_opts *client,
			   const an_tls_opts *server)
{
	an_tls_opts c = client ? *client : (an_tls_opts){ 0 };
	an_tls_opts s = server ? *server : (an_tls_opts){ 0 };
	char error[200] = "";

	if (!c.ca_file)
		c.ca_file = certs.ca;
	s.server = true;
	if (!s.cert_file)
		s.cert_file = certs.server;
	if (!e->host)
		e->host = "localhost";
	CHECK_EQUAL(an_tls_new(&c, error, sizeof error, &e->client_tls), 0);
	CHECK_EQUAL(an_tls_new(&s, error, sizeof error, &e->server_tls), 0);
	CHECK(strcmp(error, "") == 0);
	return 0;
}

static inline void free_contexts(struct ends *e)
{
	e->client_tls = an_tls_free(e->client_tls);
	e->server_tls = an_tls_free(e->server_tls);
}

/* A handshake, and a byte, with which a client has the tickets. */
static inline int exchange(struct ends *e)
{
	char byte;

	CHECK_EQUAL(shake(e), 0);
	CHECK_EQUAL(e->client_result, 0);
	CHECK_EQUAL(e->server_result, 0);
	CHECK_EQUAL(an_stream_write(e->server, "x", 1), 0);
	CHECK_EQUAL(an_stream_read(e->client, &byte, 1), 1);
	return 0;
}

/* NULL: nobody asks. */
static inline int says(const an_stream *s, const char *text)
{
	if (!text || strstr(an_stream_error_text(s), text))
		return 1;
	fprintf(stderr, "\"%s\" instead of \"%s\"\n", an_stream_error_text(s), text);
	return 0;
}

/* One handshake that the client finds to end with `expected`, and what the error texts of
 * both sides contain. */
static inline int outcome_of_both(struct ends *e, const an_tls_opts *client,
				  const an_tls_opts *server, int expected,
				  const char *text, const char *server_text)
{
	CHECK_EQUAL(contexts(e, client, server), 0);
	CHECK_EQUAL(shake(e), 0);
	CHECK(says(e->client, text));
	CHECK_EQUAL(e->client_result, expected);
	if (expected) {
		char byte;

		CHECK(e->server_result < 0);
		CHECK(says(e->server, server_text));
		CHECK(strcmp(an_stream_error_text(e->server), "") != 0);
		CHECK_EQUAL(an_stream_read(e->client, &byte, 1), expected);
		CHECK_EQUAL(an_stream_write(e->client, "x", 1), expected);
	} else {
		CHECK_EQUAL(e->server_result, 0);
	}
	close_both(e);
	free_contexts(e);
	return 0;
}

static inline int outcome(struct ends *e, const an_tls_opts *client,
			  const an_tls_opts *server, int expected, const char *text)
{
	return outcome_of_both(e, client, server, expected, text, NULL);
}

static inline int make_certs(void **state)
{
	(void)state;
	return test_certs_make(&certs);
}

static inline int remove_certs(void **state)
{
	(void)state;
	test_certs_remove(&certs);
	return 0;
}

#endif
