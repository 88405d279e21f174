/* WebSocket over TCP and TLS by the public interface: our client and our server, scripted
 * clients, scripted servers. */
#include "tests/support/certs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/resource.h>

static test_certs certs;

/* ---- a site --------------------------------------------------------------------- */

typedef struct site {
	an_http_server *server;
	an_listener *listener;
	an_tls *tls;
	an_task *task;
	char url[80];
	unsigned port;
} site;

static int talk(an_ws *ws)
{
	an_ws_message m;
	an_shield shield;
	int r;

	while ((r = an_ws_recv(ws, &m)) == 0 &&
	       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
		;
	an_shield_begin(&shield, 5 * AN_SECOND);
	an_ignore(an_shield_end(&shield,
				an_ws_shutdown(ws, r == -ECANCELED ? 1001 : 1000, NULL)));
	an_ws_free(ws);
	return 0;
}

static int echo(an_http_exchange *x, void *arg)
{
	an_ws *ws;
	int r = an_ws_accept(x, arg, &ws);

	return r < 0 ? r : talk(ws);
}

/* Says who asked, in a message of its own. */
static int whoami(an_http_exchange *x, void *arg)
{
	const char *who = an_http_request_header(x, "authorization");
	an_ws *ws;
	int r = an_ws_accept(x, NULL, &ws);

	(void)arg;
	if (r < 0)
		return r;
	who = who ? who : "nobody";
	r = an_ws_send(ws, AN_WS_TEXT, who, strlen(who));
	return r < 0 ? (an_ws_free(ws), r) : talk(ws);
}

static int page(an_http_exchange *x, void *arg)
{
	(void)arg;
	return an_http_respond(x, 200, NULL, "a page\n", 7);
}

static int serve(void *arg)
{
	site *s = arg;

	return an_http_serve(s->server, s->listener);
}

static const char *const protocols[] = { "chat.v2", "chat.v1", NULL };
static const char *const origins[] = { "https://good.example", NULL };
static an_ws_opts chat_opts = {
	.protocols = protocols,
	.origins = origins,
	.headers = (const an_http_header[]){ { "x-served-by", "us" }, { NULL, NULL } },
};

static int start(site *s, bool tls)
{
	an_listen_opts opts = { 0 };

	memset(s, 0, sizeof(*s));
	if (tls)
		CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .server = true,
						       .cert_file = certs.server },
				       NULL, 0, &s->tls),
			    0);
	opts.tls = s->tls;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", &opts, &s->listener), 0);
	s->port = an_listener_port(s->listener);
	snprintf(s->url, sizeof(s->url), "%s://127.0.0.1:%u/echo", tls ? "wss" : "ws",
		 s->port);
	CHECK_EQUAL(an_http_server_new(NULL, &s->server), 0);
	CHECK_EQUAL(an_http_route(s->server, NULL, "/echo", echo, NULL), 0);
	CHECK_EQUAL(an_http_route(s->server, NULL, "/chat", echo, &chat_opts), 0);
	CHECK_EQUAL(an_http_route(s->server, NULL, "/whoami", whoami, NULL), 0);
	CHECK_EQUAL(an_http_route(s->server, "GET", "/page", page, NULL), 0);
	CHECK_EQUAL(an_spawn(serve, s, NULL, &s->task), 0);
	return 0;
}

static int stop(site *s)
{
	int result;

	an_http_server_shutdown(s->server);
	CHECK_EQUAL(an_join(s->task, &result), 0);
	CHECK_EQUAL(result, 0);
	an_http_server_free(s->server);
	an_tls_free(s->tls);
	return 0;
}

/* A test whose task has a running site `s`. */
#define SITE_TEST(name) SITE_TEST_OVER(name, false)
#define SITE_TEST_OVER(name, tls) \
	static int name##_body(site *s); \
	static int name##_task(void *arg) \
	{ \
		site s; \
		int r = start(&s, tls); \
		(void)arg; \
		r = r < 0 ? r : name##_body(&s); \
		return r < 0 ? r : stop(&s); \
	} \
	static void name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(an_run(name##_task, NULL, NULL), 0); \
	} \
	static int name##_body(site *s __attribute__((unused)))

static const char *url_of(const site *s, const char *path)
{
	static char url[100];

	snprintf(url, sizeof(url), "ws://127.0.0.1:%u%s", s->port, path);
	return url;
}

static int connect_raw(unsigned port, an_stream **ret)
{
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	return an_connect("127.0.0.1", service, NULL, ret);
}

/* ---- ours with ours ------------------------------------------------------------- */

static int expect_echo(an_ws *ws, an_ws_kind kind, const char *data, size_t len)
{
	an_ws_message m;

	CHECK_EQUAL(an_ws_send(ws, kind, data, len), 0);
	CHECK_EQUAL(an_ws_recv(ws, &m), 0);
	CHECK_EQUAL(m.kind, kind);
	CHECK_EQUAL(m.len, len);
	CHECK(memcmp(m.data, data, len) == 0);
	return 0;
}

static int talk_and_close(an_ws *ws)
{
	static char data[1 << 20];

	CHECK_EQUAL(expect_echo(ws, AN_WS_TEXT, "gr\xc3\xbc\xc3\x9f dich", 11), 0);
	CHECK_EQUAL(expect_echo(ws, AN_WS_BINARY, data, 0), 0);
	CHECK_EQUAL(expect_echo(ws, AN_WS_BINARY, data, 70000), 0);
	CHECK_EQUAL(expect_echo(ws, AN_WS_BINARY, data, sizeof(data)), 0);
	CHECK_EQUAL(an_ws_shutdown(ws, 1000, "done"), 0);
	CHECK_EQUAL(an_ws_close_code(ws), 1000);
	return 0;
}

SITE_TEST(a_client_and_a_server_talk)
{
	an_ws *ws;

	CHECK_EQUAL(an_ws_connect(s->url, NULL, &ws), 0);
	CHECK(!an_ws_protocol(ws));
	CHECK_EQUAL(talk_and_close(ws), 0);
	an_ws_free(ws);
	return 0;
}

SITE_TEST_OVER(they_talk_over_tls, true)
{
	an_ws_opts opts = { 0 };
	an_ws *ws;

	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .ca_file = certs.ca }, NULL, 0,
			       &opts.connect.tls),
		    0);
	CHECK_EQUAL(an_ws_connect(s->url, &opts, &ws), 0);
	an_tls_free(opts.connect.tls);
	CHECK(an_stream_tls_version(an_ws_stream(ws)));
	CHECK_EQUAL(talk_and_close(ws), 0);
	an_ws_free(ws);
	return 0;
}

SITE_TEST_OVER(the_systems_roots_do_not_vouch_for_a_stranger, true)
{
	char text[200] = "";
	an_ws_opts opts = { .error = text, .error_cap = sizeof(text) };
	an_ws *ws = NULL;

	CHECK_EQUAL(an_ws_connect(s->url, &opts, &ws), AN_ERR_CERT);
	CHECK(!ws && text[0]);
	return 0;
}

SITE_TEST(a_subprotocol_is_agreed_on)
{
	static const char *const offers[] = { "soap", "chat.v1", "chat.v2", NULL };
	static const char *const others[] = { "soap", NULL };
	an_ws_opts opts = { .protocols = offers };
	an_ws *ws;

	CHECK_EQUAL(an_ws_connect(url_of(s, "/chat"), &opts, &ws), 0);
	CHECK(strcmp(an_ws_protocol(ws), "chat.v1") == 0);
	an_ws_free(ws);
	opts.protocols = others;
	CHECK_EQUAL(an_ws_connect(url_of(s, "/chat"), &opts, &ws), 0);
	CHECK(!an_ws_protocol(ws));
	an_ws_free(ws);
	return 0;
}

SITE_TEST(the_applications_fields_go_with_the_request)
{
	an_ws_opts opts = {
		.headers = (an_http_header[]){ { "Authorization", "Basic dTpw" }, { 0 } },
	};
	an_ws_message m;
	an_ws *ws;

	CHECK_EQUAL(an_ws_connect(url_of(s, "/whoami"), &opts, &ws), 0);
	CHECK_EQUAL(an_ws_recv(ws, &m), 0);
	CHECK(m.len == 10 && memcmp(m.data, "Basic dTpw", 10) == 0);
	an_ws_free(ws);
	opts.headers = (an_http_header[]){ { "sec-websocket-key", "x" }, { 0 } };
	CHECK_EQUAL(an_ws_connect(url_of(s, "/whoami"), &opts, &ws), -EINVAL);
	opts.headers = (an_http_header[]){ { "x", "a\r\nb: c" }, { 0 } };
	CHECK_EQUAL(an_ws_connect(url_of(s, "/whoami"), &opts, &ws), -EINVAL);
	return 0;
}

SITE_TEST(a_refusal_is_told_with_its_status)
{
	char text[200];
	int status = 0;
	an_ws_opts opts = { .error = text, .error_cap = sizeof(text), .status = &status };
	an_ws *ws = NULL;

	CHECK_EQUAL(an_ws_connect(url_of(s, "/page"), &opts, &ws), AN_ERR_WS_HANDSHAKE);
	CHECK_EQUAL(status, 200);
	CHECK(strcmp(text, "the server answered 200 OK") == 0);
	CHECK_EQUAL(an_ws_connect(url_of(s, "/nowhere"), &opts, &ws),
		    AN_ERR_WS_HANDSHAKE);
	CHECK_EQUAL(status, 404);
	opts.headers = (an_http_header[]){ { "Origin", "https://evil.example" }, { 0 } };
	CHECK_EQUAL(an_ws_connect(url_of(s, "/chat"), &opts, &ws), AN_ERR_WS_HANDSHAKE);
	CHECK_EQUAL(status, 403);
	CHECK(!ws);
	return 0;
}

SITE_TEST(only_a_ws_url_without_fragment_is_taken)
{
	static const char *const urls[] = { "http://127.0.0.1/", "ws:///x",
					    "ws://127.0.0.1/#f", "127.0.0.1",
					    "ws://u:p@127.0.0.1/" };
	static const char *const twice[] = { "a", "a", NULL };
	an_ws *ws;

	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		CHECK_EQUAL(an_ws_connect(urls[i], NULL, &ws), AN_ERR_URL);
	CHECK_EQUAL(an_ws_connect(s->url, &(an_ws_opts){ .protocols = twice }, &ws),
		    -EINVAL);
	return 0;
}

SITE_TEST(a_server_that_goes_down_says_going_away)
{
	an_ws_message m;
	an_ws *ws;

	CHECK_EQUAL(an_ws_connect(s->url, NULL, &ws), 0);
	CHECK_EQUAL(expect_echo(ws, AN_WS_TEXT, "x", 1), 0);
	an_http_server_shutdown(s->server);
	CHECK_EQUAL(an_ws_recv(ws, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_close_code(ws), 1001);
	an_ws_free(ws);
	return 0;
}

/* ---- cancellation --------------------------------------------------------------- */

static int whole_life(void *arg)
{
	site *s = arg;
	an_ws_message m;
	an_ws *ws;
	int r = an_ws_connect(s->url, NULL, &ws);

	if (r < 0)
		return r;
	r = an_ws_send(ws, AN_WS_TEXT, "hello", 5);
	if (r == 0)
		r = an_ws_recv(ws, &m);
	if (r == 0)
		r = an_ws_shutdown(ws, 1000, NULL);
	an_ws_free(ws);
	return r;
}

SITE_TEST(a_client_can_be_cancelled_at_every_turn)
{
	for (int turns = 0; turns < 1000; turns++) {
		bool finished;
		an_task *task;
		int result;

		CHECK_EQUAL(an_spawn(whole_life, s, NULL, &task), 0);
		for (int i = 0; i < turns; i++)
			CHECK_EQUAL(an_sleep(1), 0); /* a turn of the loop */
		finished = an_done(task);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &result), 0);
		CHECK(result == 0 || (result == -ECANCELED && !finished));
		if (finished)
			return 0;
	}
	return CHECK_FAILED;
}

/* ---- scripted clients ----------------------------------------------------------- */

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define HELLO "\x81\x85\0\0\0\0Hello"

/* Sends a request and reads the answer's head. Returns the status; *head holds all of
 * it. */
static int ask(const site *s, const char *request, char *head, size_t cap)
{
	an_stream *stream;
	const char *data;
	size_t len;
	int r;

	CHECK_EQUAL(connect_raw(s->port, &stream), 0);
	CHECK_EQUAL(an_stream_write(stream, request, strlen(request)), 0);
	r = an_stream_read_until(stream, "\r\n\r\n", 4, &data, &len);
	if (r == 0) {
		snprintf(head, cap, "%.*s", (int)len, data);
		r = atoi(head + 9);
	}
	an_stream_close(stream);
	return r;
}

SITE_TEST(bad_handshakes_get_the_status_that_fits)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY "\r\n", 101 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 426 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY
		  "Sec-WebSocket-Version: 12\r\n\r\n",
		  426 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 "\r\n", 400 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY KEY "\r\n", 400 },
		{ "GET /echo HTTP/1.1\r\n" UPGRADE V13 KEY "\r\n", 400 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n" UPGRADE V13 KEY "\r\n",
		  400 },
		{ "GET /echo HTTP/1.0\r\nHost: a\r\n" UPGRADE V13 KEY "\r\n", 400 },
		{ "POST /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY
		  "Content-Length: 0\r\n\r\n",
		  400 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY
		  "Content-Length: 1\r\n\r\nx",
		  400 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY
		  "Origin: http://b\r\n\r\n",
		  403 },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY
		  "Origin: http://a\r\n\r\n",
		  101 },
		{ "GET /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY
		  "Origin: https://good.example\r\n\r\n",
		  101 },
		{ "GET /echo HTTP/1.1\nHost: a\n" UPGRADE V13 KEY "\n\r\n\r\n", 400 },
	};
	char head[1000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_EQUAL(ask(s, cases[i].request, head, sizeof(head)),
			    cases[i].status);
	CHECK_EQUAL(ask(s, cases[1].request, head, sizeof(head)), 426);
	CHECK(strcasestr(head, "\r\nSec-WebSocket-Version: 13\r\n"));
	CHECK(strcasestr(head, "\r\nUpgrade: websocket\r\n"));
	CHECK_EQUAL(ask(s, cases[12].request, head, sizeof(head)), 101);
	CHECK(strcasestr(head,
			 "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	CHECK(strcasestr(head, "\r\nx-served-by: us\r\n"));
	CHECK(strcasestr(head, "\r\nConnection: upgrade\r\n"));
	return 0;
}

static const char cut_request[] =
	"GET /echo HTTP/1.1\r\nHost: a\r\n" UPGRADE V13 KEY "\r\n" HELLO;

/* The handshake and a message behind it, cut in two at `cut`; both answers must come. */
static int talk_cut(const site *s, size_t cut)
{
	an_stream *stream;
	const char *data;
	size_t len;

	CHECK_EQUAL(connect_raw(s->port, &stream), 0);
	CHECK_EQUAL(an_stream_write(stream, cut_request, cut), 0);
	CHECK_EQUAL(an_stream_drain(stream), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_sleep(1), 0); /* a turn, in which the server reads */
	CHECK_EQUAL(
		an_stream_write(stream, cut_request + cut, sizeof(cut_request) - 1 - cut),
		0);
	CHECK_EQUAL(an_stream_read_until(stream, "Hello", 5, &data, &len), 0);
	CHECK(memcmp(data, "HTTP/1.1 101 ", 13) == 0);
	CHECK(memcmp(data + len - 11, "\r\n\r\n\x81\x05Hello", 11) == 0);
	an_stream_close(stream);
	return 0;
}

SITE_TEST(a_handshake_may_be_cut_anywhere_and_a_frame_may_follow_at_once)
{
	for (size_t cut = 1; cut < sizeof(cut_request) - 1; cut++)
		CHECK_EQUAL(talk_cut(s, cut), 0);
	return 0;
}

SITE_TEST(many_small_messages_at_once_all_come_back)
{
	enum { COUNT = 20000 };
	an_ws *ws;
	an_ws_message m;

	CHECK_EQUAL(an_ws_connect(s->url, NULL, &ws), 0);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < COUNT / 10; i++)
			CHECK_EQUAL(an_ws_send(ws, AN_WS_BINARY, &i, sizeof(i)), 0);
		for (int i = 0; i < COUNT / 10; i++) {
			CHECK_EQUAL(an_ws_recv(ws, &m), 0);
			CHECK(m.len == sizeof(i) && memcmp(m.data, &i, sizeof(i)) == 0);
		}
	}
	CHECK_EQUAL(an_ws_shutdown(ws, 1000, NULL), 0);
	an_ws_free(ws);
	return 0;
}

/* ---- scripted servers ----------------------------------------------------------- */

typedef struct scripted {
	an_listener *listener;
	const char *status_line;
	const char *fields; /* without the accept */
	bool wrong_accept;
	const char *behind; /* bytes in the same segment as the head */
	size_t behind_len;
	char url[60];
} scripted;

static void accept_of(const char *request, char *ret, size_t cap)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	const char *key = strcasestr(request, "\r\nSec-WebSocket-Key: ");
	unsigned char digest[20];
	char text[100];

	snprintf(text, sizeof(text), "%.24s%s", key + 21, guid);
	EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL);
	if (cap > 28)
		EVP_EncodeBlock((unsigned char *)ret, digest, sizeof(digest));
}

static int play(void *arg)
{
	scripted *p = arg;
	an_stream *stream;
	const char *data;
	char accept[60], answer[1000];
	size_t len;
	int n;

	CHECK_EQUAL(an_accept(p->listener, &stream), 0);
	CHECK_EQUAL(an_stream_read_until(stream, "\r\n\r\n", 4, &data, &len), 0);
	accept_of(data, accept, sizeof(accept));
	if (p->wrong_accept)
		accept[0] ^= 1;
	n = snprintf(answer, sizeof(answer), "%s\r\n%sSec-WebSocket-Accept: %s\r\n\r\n",
		     p->status_line, p->fields, accept);
	memcpy(answer + n, p->behind, p->behind_len);
	CHECK_EQUAL(an_stream_write(stream, answer, (size_t)n + p->behind_len), 0);
	CHECK_EQUAL(an_stream_shutdown(stream), 0);
	while (an_stream_read(stream, answer, sizeof(answer)) > 0)
		;
	an_stream_close(stream);
	return 0;
}

static int connect_to(scripted *p, const an_ws_opts *opts, an_ws **ret)
{
	an_task *task;
	int r, result;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &p->listener), 0);
	snprintf(p->url, sizeof(p->url), "ws://127.0.0.1:%u",
		 an_listener_port(p->listener));
	CHECK_EQUAL(an_spawn(play, p, NULL, &task), 0);
	r = an_ws_connect(p->url, opts, ret);
	if (r == 0) {
		an_ws_message m;

		CHECK_EQUAL(an_ws_recv(*ret, &m), 0);
		CHECK(m.len == 5 && memcmp(m.data, "Hello", 5) == 0);
		CHECK_EQUAL(an_ws_recv(*ret, &m), AN_ERR_CLOSED);
		CHECK_EQUAL(an_ws_close_code(*ret), 1000);
		an_ws_free(*ret);
	}
	CHECK_EQUAL(an_join(task, &result), 0);
	an_listener_close(p->listener);
	return result < 0 ? result : r;
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols"
#define BEHIND "\x81\x05Hello\x88\x02\x03\xe8"

static int frame_with_the_answer_task(void *arg)
{
	scripted p = { .status_line = SWITCHING, .fields = UPGRADE };
	an_ws *ws;

	(void)arg;
	p.behind = BEHIND;
	p.behind_len = sizeof(BEHIND) - 1;
	CHECK_EQUAL(connect_to(&p, NULL, &ws), 0);
	p.status_line = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" SWITCHING;
	CHECK_EQUAL(connect_to(&p, NULL, &ws), 0);
	return 0;
}

static void a_frame_may_come_in_the_same_segment_as_the_answer(void **state)
{
	(void)state;
	assert_int_equal(an_run(frame_with_the_answer_task, NULL, NULL), 0);
}

static int bad_answers_task(void *arg)
{
	static const scripted cases[] = {
		{ .status_line = SWITCHING, .fields = UPGRADE, .wrong_accept = true },
		{ .status_line = SWITCHING, .fields = "Upgrade: websocket\r\n" },
		{ .status_line = SWITCHING, .fields = "Connection: Upgrade\r\n" },
		{ .status_line = SWITCHING,
		  .fields = UPGRADE "Sec-WebSocket-Protocol: chat\r\n" },
		{ .status_line = SWITCHING,
		  .fields = UPGRADE "Sec-WebSocket-Extensions: permessage-deflate\r\n" },
		{ .status_line = "HTTP/1.1 200 OK", .fields = UPGRADE },
		{ .status_line = "HTTP/1.1 302 Found", .fields = "Location: /\r\n" },
		{ .status_line = "HTTP/1.1 401 Unauthorized", .fields = "" },
		{ .status_line = "HTTP/1.1 407 Proxy Authentication Required",
		  .fields = "" },
		{ .status_line = "ICY 200 OK", .fields = "" },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scripted p = cases[i];
		char text[200] = "";
		an_ws *ws;

		p.behind = "";
		CHECK_EQUAL(connect_to(&p,
				       &(an_ws_opts){ .error = text,
						      .error_cap = sizeof(text) },
				       &ws),
			    AN_ERR_WS_HANDSHAKE);
		CHECK(text[0]);
	}
	return 0;
}

static void an_answer_that_breaks_the_rules_is_refused(void **state)
{
	(void)state;
	assert_int_equal(an_run(bad_answers_task, NULL, NULL), 0);
}

static int silent_server_task(void *arg)
{
	an_listener *listener;
	char url[60];
	an_ws *ws;

	(void)arg;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", an_listener_port(listener));
	CHECK_EQUAL(
		an_ws_connect(url,
			      &(an_ws_opts){ .handshake_timeout = 20 * AN_MILLISECOND },
			      &ws),
		-ETIMEDOUT);
	an_listener_close(listener);
	return 0;
}

static void a_server_that_never_answers_costs_the_handshakes_limit(void **state)
{
	(void)state;
	assert_int_equal(an_run(silent_server_task, NULL, NULL), 0);
}

/* ---- many ----------------------------------------------------------------------- */

enum { MANY = 1000 };

static bool may_open(rlim_t files)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	if (limit.rlim_cur < files) {
		limit.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return false;
	}
	return limit.rlim_cur >= files;
}

SITE_TEST(a_thousand_idle_connections_stay_and_answer)
{
	an_ws **all = calloc(MANY, sizeof(*all));

	CHECK(all);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(an_ws_connect(s->url, NULL, &all[i]), 0);
	CHECK(an_loop_task_count(an_loop_current()) >= MANY);
	for (int i = 0; i < MANY; i++)
		CHECK_EQUAL(expect_echo(all[i], AN_WS_TEXT, "still here", 10), 0);
	for (int i = 0; i < MANY; i++)
		an_ws_free(all[i]);
	free(all);
	return 0;
}

static void a_thousand_idle_connections(void **state)
{
	if (!may_open(2 * MANY + 100))
		skip();
	a_thousand_idle_connections_stay_and_answer(state);
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
	cmocka_unit_test(a_client_and_a_server_talk),
	cmocka_unit_test(they_talk_over_tls),
	cmocka_unit_test(the_systems_roots_do_not_vouch_for_a_stranger),
	cmocka_unit_test(a_subprotocol_is_agreed_on),
	cmocka_unit_test(the_applications_fields_go_with_the_request),
	cmocka_unit_test(a_refusal_is_told_with_its_status),
	cmocka_unit_test(only_a_ws_url_without_fragment_is_taken),
	cmocka_unit_test(a_server_that_goes_down_says_going_away),
	cmocka_unit_test(a_client_can_be_cancelled_at_every_turn),
	cmocka_unit_test(bad_handshakes_get_the_status_that_fits),
	cmocka_unit_test(a_handshake_may_be_cut_anywhere_and_a_frame_may_follow_at_once),
	cmocka_unit_test(many_small_messages_at_once_all_come_back),
	cmocka_unit_test(a_frame_may_come_in_the_same_segment_as_the_answer),
	cmocka_unit_test(an_answer_that_breaks_the_rules_is_refused),
	cmocka_unit_test(a_server_that_never_answers_costs_the_handshakes_limit),
	cmocka_unit_test(a_thousand_idle_connections),
};

TEST_MAIN_WITH("ws", tests, make_certs, remove_certs)
