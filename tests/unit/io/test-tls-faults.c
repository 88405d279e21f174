/* TLS with peers that stop, lie, flood or know no manners. Some are bytes written beneath
 * a stream, some are cut by a relay between the two ends, some are OpenSSL used directly,
 * which can be told to do what the library would not. */
#include "config.h"

#include "tests/support/program.h"
#include "tests/support/run.h"
#include "tests/unit/io/tls-ends.h"

#include "loop/io/tls-private.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <unistd.h>

/* ---- cut in mid-handshake ---------------------------------------------------------- */

enum { TO_SERVER, TO_CLIENT };

/* Passes on what travels; of one direction no more than `limit` bytes, and then the
 * end. */
struct relay {
	int end[2]; /* at the client's side, at the server's */
	size_t limit[2], passed[2];
	bool over[2], stop;
};

static void pass(struct relay *r, int direction)
{
	size_t left = r->limit[direction] - r->passed[direction];
	char buf[4096];
	ssize_t n = 0;

	if (left)
		n = recv(r->end[direction], buf, left < sizeof buf ? left : sizeof buf,
			 MSG_DONTWAIT);
	if (n > 0 && send(r->end[!direction], buf, (size_t)n, MSG_NOSIGNAL) == n)
		r->passed[direction] += (size_t)n;
	if (n == 0 && !r->over[direction]) {
		r->over[direction] = true;
		shutdown(r->end[!direction], SHUT_WR);
	}
}

static int run_relay(void *arg)
{
	struct relay *r = arg;

	while (!r->stop) {
		pass(r, TO_SERVER);
		pass(r, TO_CLIENT);
		CHECK_EQUAL(an_yield(), 0);
	}
	close(r->end[0]);
	close(r->end[1]);
	return 0;
}

/* A peer hangs up when its handshake has failed. */
static int accept_or_hang_up(void *arg)
{
	struct ends *e = arg;

	accept_tls(e);
	if (e->server_result) {
		CHECK(strcmp(an_stream_error_text(e->server), "") != 0);
		e->server = an_stream_close(e->server);
	}
	return 0;
}

static int shake_through(struct ends *e, struct relay *r)
{
	int c[2], s[2], result;
	an_task *server, *between;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, c), 0);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	CHECK_EQUAL(an_stream_new(c[0], NULL, &e->client), 0);
	CHECK_EQUAL(an_stream_new(s[0], NULL, &e->server), 0);
	r->end[0] = c[1];
	r->end[1] = s[1];
	CHECK_EQUAL(an_spawn(run_relay, r, NULL, &between), 0);
	CHECK_EQUAL(an_spawn(accept_or_hang_up, e, NULL, &server), 0);
	e->client_result = an_stream_start_tls(e->client, e->client_tls, e->host);
	if (e->client_result)
		CHECK(strcmp(an_stream_error_text(e->client), "") != 0);
	else if (r->limit[TO_CLIENT] < SIZE_MAX)
		CHECK(r->passed[TO_CLIENT] > 500);
	e->client = e->client_result ? an_stream_close(e->client) : e->client;
	CHECK_EQUAL(an_join(server, &result), 0);
	CHECK_EQUAL(result, 0);
	r->stop = true;
	CHECK_EQUAL(an_join(between, &result), 0);
	CHECK_EQUAL(result, 0);
	return 0;
}

/* Signatures differ in length by a few bytes from run to run. */
enum { SLACK = 8 };

/* Cuts one direction at each byte; fewer in the middle, where all is certificate. */
static size_t next_cut(size_t cut, size_t whole)
{
	return cut + (cut > 300 && cut + 300 < whole ? 7 : 1);
}

static int cut_everywhere(int direction, const an_tls_opts *server)
{
	an_tls_opts client = { .cert_file = certs.client, .no_verify = true };
	struct relay whole = { .limit = { SIZE_MAX, SIZE_MAX } };
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, &client, server), 0);
	e.host = NULL; /* nothing is resumed */
	CHECK_EQUAL(shake_through(&e, &whole), 0);
	CHECK_EQUAL(e.client_result, 0);
	CHECK_EQUAL(e.server_result, 0);
	close_both(&e);
	for (size_t cut = 0; cut < whole.passed[direction] + SLACK;
	     cut = next_cut(cut, whole.passed[direction])) {
		struct relay r = { .limit = { SIZE_MAX, SIZE_MAX } };
		int *result =
			direction == TO_SERVER ? &e.server_result : &e.client_result;

		r.limit[direction] = cut;
		CHECK_EQUAL(shake_through(&e, &r), 0);
		/* Behind the handshake there are a client's nothing and a server's
		 * tickets, which are not waited for. */
		if (*result != AN_ERR_TRUNCATED)
			CHECK_EQUAL(*result, 0);
		if (cut < 500)
			CHECK_EQUAL(*result, AN_ERR_TRUNCATED);
		close_both(&e);
	}
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_client_that_is_cut_at_any_byte_of_its_handshake_hung_up)
{
	an_tls_opts demand = { .require_client_cert = true, .ca_file = certs.ca };

	return cut_everywhere(TO_SERVER, &demand);
}

TASK_TEST(a_server_that_is_cut_at_any_byte_of_its_handshake_hung_up)
{
	return cut_everywhere(TO_CLIENT, NULL);
}

/* ---- OpenSSL alone ----------------------------------------------------------------- */

/* A peer that is no stream. */
struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd, result;
};

static int raw_new(struct raw *raw, int fd, bool server)
{
	raw->fd = fd;
	raw->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	CHECK(raw->ctx != NULL);
	SSL_CTX_set_security_level(raw->ctx, 0);
	if (server) {
		CHECK_EQUAL(SSL_CTX_use_certificate_chain_file(raw->ctx, certs.server),
			    1);
		CHECK_EQUAL(SSL_CTX_use_PrivateKey_file(raw->ctx, certs.server,
							SSL_FILETYPE_PEM),
			    1);
	}
	CHECK_EQUAL(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return 0;
}

static int raw_begin(struct raw *raw, bool server)
{
	raw->ssl = SSL_new(raw->ctx);
	CHECK(raw->ssl && SSL_set_fd(raw->ssl, raw->fd) == 1);
	if (server)
		SSL_set_accept_state(raw->ssl);
	else
		SSL_set_connect_state(raw->ssl);
	return 0;
}

static void raw_free(struct raw *raw)
{
	SSL_free(raw->ssl);
	SSL_CTX_free(raw->ctx);
	close(raw->fd);
}

/* Until it is done or has failed; returns what SSL_get_error() says of it. */
static int raw_handshake(void *arg)
{
	struct raw *raw = arg;
	int r;

	do {
		CHECK_EQUAL(an_yield(), 0);
		ERR_clear_error();
		r = SSL_do_handshake(raw->ssl);
		raw->result = SSL_get_error(raw->ssl, r);
	} while (r != 1 && raw->result == SSL_ERROR_WANT_READ);
	ERR_clear_error();
	return 0;
}

/* The client is raw and the server a stream, or the other way round. */
static int meet(struct ends *e, struct raw *raw, bool raw_server)
{
	an_task *task;

	CHECK_EQUAL(raw_begin(raw, raw_server), 0);
	CHECK_EQUAL(an_spawn(raw_handshake, raw, NULL, &task), 0);
	if (raw_server)
		e->client_result = an_stream_start_tls(e->client, e->client_tls, e->host);
	else
		accept_tls(e);
	CHECK_EQUAL(an_join(task, NULL), 0);
	return 0;
}

static int raw_pair(struct raw *raw, bool raw_server, an_stream **ret)
{
	int fd[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, ret), 0);
	return raw_new(raw, fd[1], raw_server);
}

TASK_TEST(peers_of_old_versions_are_refused_by_name)
{
	struct ends e = { 0 };
	struct raw raw = { 0 };

	CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .min_version = TLS1_3_VERSION }, NULL),
		    0);
	CHECK_EQUAL(raw_pair(&raw, false, &e.server), 0);
	CHECK_EQUAL(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_1_VERSION), 1);
	CHECK_EQUAL(meet(&e, &raw, false), 0);
	CHECK_EQUAL(e.server_result, AN_ERR_TLS);
	CHECK(says(e.server, "no version of TLS in common with the peer"));
	CHECK_EQUAL(raw.result, SSL_ERROR_SSL);
	raw_free(&raw);
	close_both(&e);

	CHECK_EQUAL(raw_pair(&raw, true, &e.client), 0);
	CHECK_EQUAL(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION), 1);
	CHECK_EQUAL(meet(&e, &raw, true), 0);
	CHECK_EQUAL(e.client_result, AN_ERR_TLS);
	CHECK(says(e.client, "peer: protocol version"));
	raw_free(&raw);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* A list for old peers, as many know it, lets in those that have no certificate. */
TASK_TEST(a_cipher_list_leaves_no_peer_unknown)
{
	static const char all[] = "ALL:@SECLEVEL=0";
	an_tls_opts demand = { .ca_file = certs.ca,
			       .require_client_cert = true,
			       .ciphers = all };

	for (int server = 0; server < 2; server++) {
		struct ends e = { 0 };
		struct raw raw = { 0 };
		an_stream **end = server ? &e.client : &e.server;

		CHECK_EQUAL(contexts(&e, &(an_tls_opts){ .ciphers = all }, &demand), 0);
		CHECK_EQUAL(raw_pair(&raw, server, end), 0);
		CHECK_EQUAL(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION), 1);
		CHECK_EQUAL(SSL_CTX_set_cipher_list(raw.ctx, "aNULL:@SECLEVEL=0"), 1);
		SSL_CTX_set_dh_auto(raw.ctx, 1);
		CHECK_EQUAL(meet(&e, &raw, server), 0);
		CHECK_EQUAL(server ? e.client_result : e.server_result, AN_ERR_TLS);
		raw_free(&raw);
		close_both(&e);
		free_contexts(&e);
	}
	return 0;
}

TASK_TEST(a_server_that_answers_in_an_old_version_is_refused)
{
	/* A ServerHello of TLS 1.1: 32 bytes of random, no session, a suite. */
	static const unsigned char old[] = { 22, 3, 2, 0,	 42,   2,    0, 0,
					     38, 3, 2, [43] = 0, 0xc0, 0x13, 0 };
	struct ends e = { 0 };

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(pair(&e), 0);
	CHECK_EQUAL(an_stream_write(e.server, old, sizeof old), 0);
	CHECK_EQUAL(an_stream_start_tls(e.client, e.client_tls, e.host), AN_ERR_TLS);
	CHECK(says(e.client, "no version of TLS in common with the peer"));
	close_both(&e);
	free_contexts(&e);
	return 0;
}

static int read_all(void *arg)
{
	char buf[100];
	ssize_t n;

	do
		n = an_stream_read(arg, buf, sizeof buf);
	while (n > 0);
	return (int)n;
}

TASK_TEST(a_client_that_wants_to_renegotiate_is_refused_without_harm)
{
	struct ends e = { 0 };
	struct raw raw = { 0 };
	an_task *reader, *other;
	char buf[10];
	int r;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(raw_pair(&raw, false, &e.server), 0);
	CHECK_EQUAL(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION), 1);
	CHECK_EQUAL(meet(&e, &raw, false), 0);
	CHECK_EQUAL(e.server_result, 0);
	CHECK(strcmp(an_stream_tls_version(e.server), "TLSv1.2") == 0);

	CHECK_EQUAL(an_spawn(read_all, e.server, NULL, &reader), 0);
	CHECK_EQUAL(SSL_renegotiate(raw.ssl), 1);
	CHECK_EQUAL(an_spawn(raw_handshake, &raw, NULL, &other), 0);
	CHECK_EQUAL(an_join(other, NULL), 0);
	/* It is told so by a warning, which OpenSSL's client takes to heart. */
	CHECK_EQUAL(raw.result, SSL_ERROR_SSL);
	CHECK(!an_done(reader));
	CHECK_EQUAL(an_stream_write(e.server, "x", 1), 0);
	raw_free(&raw);
	CHECK_EQUAL(an_join(reader, &r), 0);
	CHECK(r == AN_ERR_TRUNCATED || r == AN_ERR_TLS || r == -ECONNRESET);
	e.server = an_stream_close(e.server);

	/* The context is as good as before. */
	CHECK_EQUAL(exchange(&e), 0);
	CHECK_EQUAL(an_stream_write(e.client, "x", 1), 0);
	CHECK_EQUAL(an_stream_read(e.server, buf, sizeof buf), 1);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(a_server_that_wants_to_renegotiate_is_refused_too)
{
	struct ends e = { 0 };
	struct raw raw = { 0 };
	an_task *reader, *other;
	int r;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(raw_pair(&raw, true, &e.client), 0);
	CHECK_EQUAL(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION), 1);
	CHECK_EQUAL(meet(&e, &raw, true), 0);
	CHECK_EQUAL(e.client_result, 0);

	CHECK_EQUAL(an_spawn(read_all, e.client, NULL, &reader), 0);
	CHECK_EQUAL(SSL_renegotiate(raw.ssl), 1);
	CHECK_EQUAL(an_spawn(raw_handshake, &raw, NULL, &other), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(other);
	CHECK_EQUAL(an_join(other, NULL), 0);
	raw_free(&raw);
	CHECK_EQUAL(an_join(reader, &r), 0);
	CHECK(r == AN_ERR_TRUNCATED || r == AN_ERR_TLS || r == -ECONNRESET);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- what is no TLS ---------------------------------------------------------------- */

/* After the handshake a peer says these bytes beneath TLS. */
static int says_beneath(const void *bytes, size_t len, const char *text)
{
	struct ends e = { 0 };
	char byte;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK_EQUAL(send(an_stream_fd(e.server), bytes, len, 0), (ssize_t)len);
	CHECK_EQUAL(an_stream_read(e.client, &byte, 1), AN_ERR_TLS);
	CHECK(says(e.client, text));
	CHECK_EQUAL(an_stream_read(e.client, &byte, 1), AN_ERR_TLS);
	CHECK_EQUAL(an_stream_write(e.client, "x", 1), AN_ERR_TLS);
	/* Which the peer is told. */
	CHECK_EQUAL(an_stream_read(e.server, &byte, 1), AN_ERR_TLS);
	CHECK(says(e.server, "peer: "));
	close_both(&e);
	free_contexts(&e);
	return 0;
}

TASK_TEST(garbage_behind_the_handshake_is_told)
{
	static const unsigned char forged[30] = { 23, 3, 3, 0, 25, 'x' };

	CHECK_EQUAL(says_beneath(forged, sizeof forged, "bad record mac"), 0);
	CHECK_EQUAL(says_beneath("HTTP/1.1 200 OK\r\n\r\n", 19, ""), 0);
	return 0;
}

TASK_TEST(a_record_that_is_longer_than_allowed_is_told)
{
	static const unsigned char longest[5] = { 23, 3, 3, 0xff, 0xff };
	/* A byte above what RFC 8446, 5.2 allows. */
	static const unsigned char longer[5] = { 23, 3, 3, 0x41, 0x01 };

	CHECK_EQUAL(says_beneath(longest, sizeof longest, "length too long"), 0);
	CHECK_EQUAL(says_beneath(longer, sizeof longer, "length too long"), 0);
	return 0;
}

TASK_TEST(a_first_record_that_is_too_long_takes_no_memory)
{
	static const unsigned char hello[9] = {
		22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff
	};
	/* Within a record's bounds, of a message of 16 MiB. */
	static const unsigned char huge[9] = { 22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff };
	const unsigned char *const both[] = { hello, huge };

	for (int i = 0; i < 2; i++) {
		struct ends e = { 0 };
		char more[16384] = { 0 };

		CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
		CHECK_EQUAL(pair(&e), 0);
		CHECK_EQUAL(an_stream_write(e.client, both[i], 9), 0);
		CHECK_EQUAL(an_stream_write(e.client, more, sizeof more), 0);
		CHECK_EQUAL(an_stream_start_tls(e.server, e.server_tls, NULL),
			    AN_ERR_TLS);
		CHECK(says(e.server, i ? "excessive message size" : "length too long"));
		close_both(&e);
		free_contexts(&e);
	}
	return 0;
}

TASK_TEST(whatever_comes_instead_of_tls_is_no_tls)
{
	static const struct iovec greetings[] = {
		{ "SSH-2.0-x\r\n", 11 },
		{ "220 mail ESMTP\r\n", 16 },
		{ "\x80\x2e\x01\x03\x01", 5 },
		{ "\0\0\0\x08\x04\xd2\x16\x2f", 8 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24 },
	};

	for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		struct ends e = { 0 };

		CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
		CHECK_EQUAL(pair(&e), 0);
		CHECK_EQUAL(an_stream_writev(e.server, &greetings[i], 1), 0);
		CHECK_EQUAL(an_stream_start_tls(e.client, e.client_tls, e.host),
			    AN_ERR_TLS);
		CHECK(says(e.client, "the peer does not speak TLS"));
		close_both(&e);
		free_contexts(&e);
	}
	return 0;
}

/* ---- floods ------------------------------------------------------------------------ */

TASK_TEST(a_flood_of_tickets_fills_no_more_than_the_table)
{
	struct ends e = { 0 };
	char byte;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(shake(&e), 0);
	for (int i = 0; i < 500; i++) {
		CHECK_EQUAL(SSL_new_session_ticket(e.server->tls->ssl), 1);
		CHECK_EQUAL(an_stream_write(e.server, "x", 1), 0);
		CHECK_EQUAL(an_stream_read(e.client, &byte, 1), 1);
	}
	for (int i = 0; i < AN__TLS_SESSIONS; i++)
		CHECK(e.client_tls->sessions[i].session != NULL);
	close_both(&e);
	CHECK_EQUAL(exchange(&e), 0);
	CHECK(an_stream_tls_resumed(e.client));
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- reading and writing at once --------------------------------------------------- */

enum { BULK = 2 << 20, PIECE = 100000 };

struct bulk {
	an_stream *s;
	int result;
	bool done;
};

static char pattern(size_t at)
{
	return (char)((at * 2654435761u) >> 13);
}

static int send_bulk(void *arg)
{
	struct bulk *b = arg;
	char *data = malloc(PIECE);

	b->result = data ? 0 : -ENOMEM;
	for (size_t at = 0; at < BULK && !b->result; at += PIECE) {
		size_t n = BULK - at < PIECE ? BULK - at : PIECE;

		for (size_t i = 0; i < n; i++)
			data[i] = pattern(at + i);
		b->result = an_stream_write(b->s, data, n);
	}
	if (!b->result)
		b->result = an_stream_drain(b->s);
	free(data);
	b->done = true;
	return 0;
}

static int receive_bulk(void *arg)
{
	struct bulk *b = arg;
	char buf[5000];
	size_t at = 0;

	b->result = 0;
	while (at < BULK && !b->result) {
		ssize_t n = an_stream_read(b->s, buf, sizeof buf);

		if (n <= 0)
			b->result = n < 0 ? (int)n : AN_ERR_EOF;
		for (ssize_t i = 0; i < n && !b->result; i++)
			if (buf[i] != pattern(at++))
				b->result = -EBADMSG;
	}
	b->done = true;
	return 0;
}

/* Both sides ask for new keys while writers are parked in the middle of a write. */
TASK_TEST(keys_change_while_both_sides_read_and_write)
{
	struct ends e = { 0 };
	struct bulk b[4] = { 0 };
	an_task *task[4];
	int updates = 0, turns = 0;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(exchange(&e), 0);
	for (int i = 0; i < 4; i++) {
		b[i].s = i & 1 ? e.client : e.server;
		CHECK_EQUAL(
			an_spawn(i < 2 ? send_bulk : receive_bulk, &b[i], NULL, &task[i]),
			0);
	}
	while (!b[0].done || !b[1].done) {
		SSL *ssl = turns++ & 1 ? e.client->tls->ssl : e.server->tls->ssl;

		/* Refused while the last one has not been written. */
		updates += SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
		ERR_clear_error();
		for (int i = 0; i < 3; i++)
			CHECK_EQUAL(an_yield(), 0);
	}
	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(an_join(task[i], NULL), 0);
		CHECK_EQUAL(b[i].result, 0);
	}
	CHECK(updates > 4);
	close_both(&e);
	free_contexts(&e);
	return 0;
}

/* ---- ends -------------------------------------------------------------------------- */

TASK_TEST(a_shutdown_does_not_wait_for_ever_for_a_peer_that_does_not_read)
{
	static const an_duration limits[] = { 0, 2 * AN_SECOND };

	for (int i = 0; i < 2; i++) {
		an_tls_opts client = { .shutdown_timeout = limits[i] };
		struct ends e = { 0 };
		an_duration before;
		char piece[8192] = { 0 };

		CHECK_EQUAL(contexts(&e, &client, NULL), 0);
		CHECK_EQUAL(exchange(&e), 0);
		do {
			CHECK_EQUAL(an_stream_write_nowait(e.client, piece, sizeof piece),
				    0);
			CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0); /* it is sent */
		} while (!an_stream_pending(e.client));
		before = an_now();
		CHECK_EQUAL(an_stream_shutdown(e.client), -ETIMEDOUT);
		CHECK_EQUAL(an_now() - before, limits[i] ? limits[i] : 30 * AN_SECOND);
		CHECK_EQUAL(an_stream_write(e.client, "x", 1), AN_ERR_CLOSED);
		close_both(&e);
		free_contexts(&e);
	}
	return 0;
}

/* The side that accepts a connection may be TLS's client, and both may talk before. */
TASK_TEST(either_side_may_be_the_client_after_some_talk)
{
	struct ends e = { 0 }, turned;
	const char *line;
	size_t n;

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(pair(&e), 0);
		CHECK_EQUAL(an_stream_write(e.client, "STARTTLS\n", 9), 0);
		CHECK_EQUAL(an_stream_read_line(e.server, &line, &n), 0);
		CHECK_EQUAL(an_stream_write(e.server, "OK\n", 3), 0);
		CHECK_EQUAL(an_stream_read_line(e.client, &line, &n), 0);
		turned = e;
		turned.client = i ? e.server : e.client;
		turned.server = i ? e.client : e.server;
		CHECK_EQUAL(shake_hands(&turned), 0);
		CHECK_EQUAL(turned.client_result, 0);
		CHECK_EQUAL(turned.server_result, 0);
		CHECK_EQUAL(an_stream_write(e.client, "over TLS\n", 9), 0);
		CHECK_EQUAL(an_stream_read_line(e.server, &line, &n), 0);
		CHECK_EQUAL(n, 9);
		close_both(&e);
	}
	free_contexts(&e);
	return 0;
}

/* ---- by port ----------------------------------------------------------------------- */

static int serve_byte(void *arg, an_stream *s)
{
	(void)arg;
	return an_stream_write(s, "x", 1);
}

static int serve_until_closed(void *arg)
{
	return an_serve(arg, serve_byte, NULL, NULL);
}

static int connect_to(an_listener *l, an_tls *tls, bool resumed)
{
	an_stream *s;
	char port[8], byte;

	snprintf(port, sizeof port, "%u", an_listener_port(l));
	CHECK_EQUAL(an_connect("127.0.0.1", port, &(an_connect_opts){ .tls = tls }, &s),
		    0);
	CHECK_EQUAL(an_stream_read(s, &byte, 1), 1);
	CHECK_EQUAL(an_stream_tls_resumed(s), resumed);
	an_stream_close(s);
	return 0;
}

TASK_TEST(sessions_of_another_port_are_not_offered)
{
	struct ends e = { 0 };
	an_listener *l[2];
	an_task *task[2];

	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_listen("127.0.0.1", "0",
				      &(an_listen_opts){ .tls = e.server_tls }, &l[i]),
			    0);
		CHECK_EQUAL(an_spawn(serve_until_closed, l[i], NULL, &task[i]), 0);
	}
	CHECK_EQUAL(connect_to(l[0], e.client_tls, false), 0);
	CHECK_EQUAL(connect_to(l[0], e.client_tls, true), 0);
	CHECK_EQUAL(connect_to(l[1], e.client_tls, false), 0);
	CHECK_EQUAL(connect_to(l[1], e.client_tls, true), 0);
	CHECK_EQUAL(connect_to(l[0], e.client_tls, true), 0);
	for (int i = 0; i < 2; i++) {
		an_listener_close(l[i]);
		CHECK_EQUAL(an_join(task[i], NULL), 0);
	}
	free_contexts(&e);
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static struct ends scene;
static an_task *peer;

static int open_scene(void *arg)
{
	(void)arg;
	scene = (struct ends){ 0 };
	CHECK_EQUAL(contexts(&scene, NULL, NULL), 0);
	CHECK_EQUAL(pair(&scene), 0);
	return an_spawn(accept_tls, &scene, NULL, &peer);
}

static int shake_as_client(void *arg)
{
	int r = an_stream_start_tls(scene.client, scene.client_tls, scene.host);

	(void)arg;
	if (r) {
		char byte;

		CHECK_EQUAL(an_stream_write_nowait(scene.client, "x", 1), AN_ERR_TLS);
		CHECK(r != -ECANCELED ||
		      an_stream_read(scene.client, &byte, 1) == -ECANCELED);
	}
	return r;
}

static int close_scene(void *arg)
{
	(void)arg;
	scene.client = an_stream_close(scene.client);
	CHECK_EQUAL(an_join(peer, NULL), 0);
	scene.server = an_stream_close(scene.server);
	free_contexts(&scene);
	return 0;
}

CANCEL_TEST(a_clients_handshake_is_cancelled_at_each_step, open_scene, shake_as_client,
	    close_scene, NULL)

static int start_client(void *arg)
{
	struct ends *e = arg;

	e->client_result = an_stream_start_tls(e->client, e->client_tls, e->host);
	return 0;
}

static int open_with_client(void *arg)
{
	(void)arg;
	scene = (struct ends){ 0 };
	CHECK_EQUAL(contexts(&scene, NULL, NULL), 0);
	CHECK_EQUAL(pair(&scene), 0);
	return an_spawn(start_client, &scene, NULL, &peer);
}

static int shake_as_server(void *arg)
{
	(void)arg;
	return an_stream_start_tls(scene.server, scene.server_tls, NULL);
}

static int close_server_first(void *arg)
{
	(void)arg;
	scene.server = an_stream_close(scene.server);
	CHECK_EQUAL(an_join(peer, NULL), 0);
	scene.client = an_stream_close(scene.client);
	free_contexts(&scene);
	return 0;
}

CANCEL_TEST(a_servers_handshake_is_cancelled_at_each_step, open_with_client,
	    shake_as_server, close_server_first, NULL)

static int answer(void *arg)
{
	char buf[1000];
	ssize_t n;

	(void)arg;
	do
		n = an_stream_read(scene.server, buf, sizeof buf);
	while (n > 0 && an_stream_write(scene.server, buf, (size_t)n) == 0);
	return n == 0 ? an_stream_shutdown(scene.server) : (int)n;
}

static int open_answering(void *arg)
{
	(void)arg;
	scene = (struct ends){ 0 };
	CHECK_EQUAL(contexts(&scene, NULL, NULL), 0);
	CHECK_EQUAL(shake(&scene), 0);
	CHECK_EQUAL(scene.client_result, 0);
	return an_spawn(answer, NULL, NULL, &peer);
}

static int talk(void *arg)
{
	static char data[40000], buf[40000];
	int r;

	(void)arg;
	r = an_stream_write(scene.client, data, sizeof data);
	if (!r)
		r = an_stream_read_exactly(scene.client, buf, sizeof buf);
	if (!r)
		r = an_stream_shutdown(scene.client);
	if (!r)
		r = (int)an_stream_read(scene.client, buf, sizeof buf);
	return r;
}

CANCEL_TEST(a_conversation_is_cancelled_at_each_step, open_answering, talk, close_scene,
	    NULL)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_client_that_is_cut_at_any_byte_of_its_handshake_hung_up),
	cmocka_unit_test(a_server_that_is_cut_at_any_byte_of_its_handshake_hung_up),
	cmocka_unit_test(peers_of_old_versions_are_refused_by_name),
	cmocka_unit_test(a_cipher_list_leaves_no_peer_unknown),
	cmocka_unit_test(a_server_that_answers_in_an_old_version_is_refused),
	cmocka_unit_test(a_client_that_wants_to_renegotiate_is_refused_without_harm),
	cmocka_unit_test(a_server_that_wants_to_renegotiate_is_refused_too),
	cmocka_unit_test(garbage_behind_the_handshake_is_told),
	cmocka_unit_test(a_record_that_is_longer_than_allowed_is_told),
	cmocka_unit_test(a_first_record_that_is_too_long_takes_no_memory),
	cmocka_unit_test(whatever_comes_instead_of_tls_is_no_tls),
	cmocka_unit_test(a_flood_of_tickets_fills_no_more_than_the_table),
	cmocka_unit_test(keys_change_while_both_sides_read_and_write),
	cmocka_unit_test(a_shutdown_does_not_wait_for_ever_for_a_peer_that_does_not_read),
	cmocka_unit_test(either_side_may_be_the_client_after_some_talk),
	cmocka_unit_test(sessions_of_another_port_are_not_offered),
	cmocka_unit_test(a_clients_handshake_is_cancelled_at_each_step),
	cmocka_unit_test(a_servers_handshake_is_cancelled_at_each_step),
	cmocka_unit_test(a_conversation_is_cancelled_at_each_step),
};
TEST_MAIN_WITH("tls-faults", tests, make_certs, remove_certs)
