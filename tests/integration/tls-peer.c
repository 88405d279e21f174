/* One end of TLS on the command line, for the other end to be somebody else's program.
 *
 *	tls-peer serve OPTION=VALUE...            prints "listening on PORT"
 *	tls-peer connect HOST PORT OPTION=VALUE...
 *
 * Options are those of an_tls_opts: cert, more (one further certificate), ca, crl, pin,
 * request and require (a client certificate), no_verify, min (12 or 13). The server
 * answers each request with a line of what it knows of the connection, reads its files
 * again at SIGHUP ("reloaded" or the reason, on stdout), and ends at SIGTERM. The client
 * prints what it knows, sends a request and prints the answer; on failure the error's
 * text goes to stderr, and the exit code is 1.
 */
#include <asyncnet/asyncnet.h>

#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct app {
	an_tls *tls;
	an_listener *listener;
	const char *host, *port;
};

static const char *or_none(const char *text)
{
	return text ? text : "-";
}

/* "TLSv1.3 resumed=0 name=localhost alpn=- peer=CN=x" */
static void describe(an_stream *s, char *buf, size_t cap)
{
	const an_tls_peer *peer = NULL;

	if (an_stream_tls_peer(s, &peer))
		peer = NULL;
	snprintf(buf, cap, "%s resumed=%d name=%s alpn=%s peer=%s\n",
		 an_stream_tls_version(s), an_stream_tls_resumed(s),
		 or_none(an_stream_tls_server_name(s)), or_none(an_stream_alpn(s)),
		 peer ? peer->subject : "-");
}

/* ---- the server -------------------------------------------------------------------- */

static int answer(void *arg, an_stream *s)
{
	char about[500], text[700];
	const char *head;
	size_t n;
	int r = an_stream_read_until(s, "\r\n\r\n", 4, &head, &n);

	(void)arg;
	if (r)
		return r;
	describe(s, about, sizeof about);
	snprintf(text, sizeof text,
		 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		 strlen(about), about);
	return an_stream_write(s, text, strlen(text));
}

static int reload(void *arg)
{
	char error[300];
	int r = an_tls_reload(arg, error, sizeof error);

	puts(r ? error : "reloaded");
	fflush(stdout);
	return 0;
}

static int watch_signals(void *arg)
{
	struct app *app = arg;
	an_signal_watch *watch;
	int r = an_signal_watch_new((const int[]){ SIGHUP, SIGTERM, 0 }, &watch);

	if (r)
		return r;
	while ((r = an_signal_wait(watch)) == SIGHUP)
		an_ignore(an_offload(reload, app->tls, NULL));
	an_signal_watch_close(watch);
	an_listener_close(app->listener);
	app->listener = NULL;
	return 0;
}

static int serve(void *arg)
{
	struct app *app = arg;
	an_listen_opts opts = { .tls = app->tls };
	an_task *signals;
	int r = an_listen("127.0.0.1", "0", &opts, &app->listener);

	if (r)
		return r;
	r = an_spawn(watch_signals, app, NULL, &signals);
	if (r)
		return r;
	printf("listening on %u\n", an_listener_port(app->listener));
	fflush(stdout);
	r = an_serve(app->listener, answer, NULL, NULL);
	an_ignore(an_join(signals, NULL));
	return r;
}

/* ---- the client -------------------------------------------------------------------- */

static int talk(const struct app *app, an_stream *s)
{
	char buf[4096];
	ssize_t n;
	int r;

	r = an_stream_start_tls(s, app->tls, app->host);
	if (r)
		return r;
	describe(s, buf, sizeof buf);
	fputs(buf, stdout);
	n = snprintf(buf, sizeof buf, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", app->host);
	r = an_stream_write(s, buf, (size_t)n);
	if (r)
		return r;
	while ((n = an_stream_read(s, buf, sizeof buf)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return (int)n;
}

static int ask(void *arg)
{
	struct app *app = arg;
	an_stream *s;
	int r = an_connect("127.0.0.1", app->port, NULL, &s);

	if (r)
		return r;
	r = talk(app, s);
	if (r)
		fprintf(stderr, "%s: %s\n", an_error_name(r), an_stream_error_text(s));
	an_stream_close(s);
	return r;
}

/* ---- the command line -------------------------------------------------------------- */

static const char *value_of(char **args, const char *option)
{
	size_t len = strlen(option);

	for (; *args; args++)
		if (strncmp(*args, option, len) == 0 && (*args)[len] == '=')
			return *args + len + 1;
	return NULL;
}

static int make_context(bool server, char **args, an_tls **ret)
{
	const char *pins[] = { value_of(args, "pin"), NULL };
	const char *min = value_of(args, "min");
	an_tls_cert more[] = { { .cert_file = value_of(args, "more") }, { 0 } };
	an_tls_opts opts = { .server = server,
			     .cert_file = value_of(args, "cert"),
			     .ca_file = value_of(args, "ca"),
			     .crl_file = value_of(args, "crl"),
			     .pins = pins[0] ? pins : NULL,
			     .more_certs = more[0].cert_file ? more : NULL,
			     .no_verify = value_of(args, "no_verify") != NULL,
			     .request_client_cert = value_of(args, "request") != NULL,
			     .require_client_cert = value_of(args, "require") != NULL };
	char error[300];
	int r;

	if (min)
		opts.min_version = atoi(min) == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	r = an_tls_new(&opts, error, sizeof error, ret);
	if (r)
		fprintf(stderr, "%s\n", error);
	return r;
}

int main(int argc, char **argv)
{
	bool server = argc > 1 && strcmp(argv[1], "serve") == 0;
	struct app app = { 0 };
	int r;

	alarm(300); /* for whoever forgets it */
	if (!server && (argc < 4 || strcmp(argv[1], "connect") != 0))
		return 2;
	if (!server) {
		app.host = argv[2];
		app.port = argv[3];
	}
	r = make_context(server, argv + (server ? 2 : 4), &app.tls);
	if (r == 0)
		r = an_run(server ? serve : ask, &app, NULL);
	an_tls_free(app.tls);
	return r < 0;
}
