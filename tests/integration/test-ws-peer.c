/* WebSocket with a peer that others wrote: Debian's python3-websockets, as server and as
 * client. Skipped where it is not installed. */
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#define PYTHON "/usr/bin/python3"

extern char **environ;

static bool installed;

/* ---- the peer's process --------------------------------------------------------- */

typedef struct peer {
	pid_t pid;
	int in, out; /* our ends of its standard input and output */
} peer;

static int start_peer(peer *p, const char *mode, const char *url)
{
	char script[500];
	const char *top = getenv("top_srcdir");
	const char *argv[] = { PYTHON, script, mode, url, NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2], r;

	snprintf(script, sizeof(script), "%s/tests/support/ws-peer.py", top ? top : ".");
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	r = posix_spawn(&p->pid, PYTHON, &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
	return -r;
}

/* Ends it and returns its exit status. */
static int end_peer(peer *p)
{
	int status = -1;

	close(p->in);
	waitpid(p->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The first line that it says. */
static int hear(peer *p, char *line, size_t cap)
{
	an_stream *out;
	const char *text;
	size_t len;
	int r = an_stream_new(p->out, NULL, &out);

	if (r < 0)
		return r;
	r = an_stream_read_line(out, &text, &len);
	if (r == 0)
		snprintf(line, cap, "%.*s", (int)len, text);
	an_stream_close(out);
	return r;
}

/* ---- our client ----------------------------------------------------------------- */

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

static int converse(const char *url)
{
	static const char *const protocols[] = { "soap", "chat", NULL };
	static char data[1 << 20];
	an_ws_message m;
	an_ws *ws;

	memset(data, 'd', sizeof(data));
	CHECK_EQUAL(an_ws_connect(url, &(an_ws_opts){ .protocols = protocols }, &ws), 0);
	CHECK(strcmp(an_ws_protocol(ws), "chat") == 0);
	for (size_t len = 0; len <= sizeof(data); len = len ? len * 16 : 1) {
		CHECK_EQUAL(expect_echo(ws, AN_WS_TEXT, data, len), 0);
		CHECK_EQUAL(expect_echo(ws, AN_WS_BINARY, data, len), 0);
	}
	CHECK_EQUAL(an_ws_send(ws, AN_WS_TEXT, "goodbye", 7), 0);
	CHECK_EQUAL(an_ws_recv(ws, &m), AN_ERR_CLOSED);
	CHECK_EQUAL(an_ws_close_code(ws), 4001);
	CHECK(strcmp(an_ws_close_reason(ws), "as you wish") == 0);
	CHECK_EQUAL(an_ws_shutdown(ws, 1000, NULL), 0);
	an_ws_free(ws);

	CHECK_EQUAL(an_ws_connect(url, NULL, &ws), 0);
	CHECK_EQUAL(an_ws_shutdown(ws, 1000, "done"), 0);
	CHECK_EQUAL(an_ws_close_code(ws), 1000);
	an_ws_free(ws);
	return 0;
}

static int client_task(void *arg)
{
	char port[16], url[40];
	peer p;
	int r;

	(void)arg;
	CHECK_EQUAL(start_peer(&p, "server", NULL), 0);
	r = hear(&p, port, sizeof(port));
	if (r == 0) {
		snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", atoi(port));
		r = converse(url);
	}
	CHECK_EQUAL(end_peer(&p), 0);
	return r;
}

static void our_client_talks_to_their_server(void **state)
{
	(void)state;
	if (!installed)
		skip();
	assert_int_equal(an_run(client_task, NULL, NULL), 0);
}

/* ---- our server ----------------------------------------------------------------- */

static int echo(an_http_exchange *x, void *arg)
{
	static const char *const protocols[] = { "chat", NULL };
	an_ws_message m;
	an_ws *ws;
	int r = an_ws_accept(x, &(an_ws_opts){ .protocols = protocols }, &ws);

	(void)arg;
	if (r < 0)
		return r;
	while ((r = an_ws_recv(ws, &m)) == 0 &&
	       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
		;
	an_ignore(an_ws_shutdown(ws, 1000, NULL));
	an_ws_free(ws);
	return 0;
}

struct site {
	an_http_server *server;
	an_listener *listener;
};

static int serve(void *arg)
{
	struct site *s = arg;

	return an_http_serve(s->server, s->listener);
}

static int server_task(void *arg)
{
	struct site s;
	an_task *task;
	char url[40], line[16] = "";
	peer p;
	int r;

	(void)arg;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &s.listener), 0);
	snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", an_listener_port(s.listener));
	CHECK_EQUAL(an_http_server_new(NULL, &s.server), 0);
	CHECK_EQUAL(an_http_route(s.server, "GET", "/", echo, NULL), 0);
	CHECK_EQUAL(an_spawn(serve, &s, NULL, &task), 0);
	CHECK_EQUAL(start_peer(&p, "client", url), 0);
	r = hear(&p, line, sizeof(line));
	CHECK_EQUAL(end_peer(&p), 0);
	CHECK_EQUAL(r, 0);
	CHECK(strcmp(line, "ok\n") == 0);
	an_http_server_shutdown(s.server);
	CHECK_EQUAL(an_join(task, &r), 0);
	an_http_server_free(s.server);
	return r;
}

static void their_client_talks_to_our_server(void **state)
{
	(void)state;
	if (!installed)
		skip();
	assert_int_equal(an_run(server_task, NULL, NULL), 0);
}

static int look_for_peer(void **state)
{
	(void)state;
	installed = system(PYTHON " -c 'import websockets' 2>/dev/null") == 0;
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(our_client_talks_to_their_server),
	cmocka_unit_test(their_client_talks_to_our_server),
};

TEST_MAIN_WITH("ws-peer", tests, look_for_peer, NULL)
