/* An HTTP server that sends each request's body back, as it comes, with the library's
 * defaults.
 *
 *	http_echo --listen 127.0.0.1:8080
 *
 * Any method, any path. The answer is 200 with the request's Content-Type and its body:
 * of the same length where the request announced one, else in chunks. A request without
 * a body gets an empty one. The answer begins when 16 KiB of the body or all of it have
 * come, so that a small body that is malformed gets its 400; from then on it is
 * streamed. Port 0 lets the system choose. When it is ready it prints "listening on
 * HOST:PORT". SIGINT and SIGTERM drain it: requests in flight are finished.
 */
#include <asyncnet/asyncnet.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct app {
	const char *host, *port;
	an_http_server *server;
};

static int echo_body(an_http_exchange *x)
{
	char buf[16 * 1024];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = an_http_body_read(x, buf, sizeof(buf))) != 0)
		r = n < 0 ? (int)n : an_http_write(x, buf, (size_t)n);
	return r < 0 ? r : an_http_respond_end(x);
}

/* Fills `buf`, or comes to the end of the body. Returns the count. */
static ssize_t read_ahead(an_http_exchange *x, char *buf, size_t cap, bool *ret_end)
{
	size_t len = 0;
	ssize_t n = 1;

	while (len < cap && (n = an_http_body_read(x, buf + len, cap - len)) > 0)
		len += (size_t)n;
	*ret_end = n == 0;
	return n < 0 ? n : (ssize_t)len;
}

static int echo(an_http_exchange *x, void *arg)
{
	const char *type = an_http_request_header(x, "content-type");
	const an_http_header headers[] = { { type ? "content-type" : NULL, type },
					   { NULL, NULL } };
	char first[16 * 1024];
	bool end;
	ssize_t n = read_ahead(x, first, sizeof(first), &end);
	int r;

	(void)arg;
	if (n < 0)
		return (int)n;
	if (end)
		return an_http_respond(x, 200, headers, first, (size_t)n);
	r = an_http_respond_begin(x, 200, headers, an_http_request_length(x));
	if (r == 0)
		r = an_http_write(x, first, (size_t)n);
	return r < 0 ? r : echo_body(x);
}

/* Ends the server at the first signal. */
static int drain_on_signal(void *arg)
{
	const int signals[] = { SIGINT, SIGTERM, 0 };
	struct app *app = arg;
	an_signal_watch *watch;
	int r = an_signal_watch_new(signals, &watch);

	if (r < 0)
		return r;
	r = an_signal_wait(watch);
	if (r > 0)
		an_http_server_shutdown(app->server);
	an_signal_watch_close(watch);
	return r < 0 ? r : 0;
}

static int serve(struct app *app)
{
	an_listener *listener;
	char address[128];
	an_task *signals;
	int r = an_listen(app->host, app->port, NULL, &listener);

	if (r < 0)
		return r;
	r = an_spawn(drain_on_signal, app, NULL, &signals);
	if (r < 0) {
		an_listener_close(listener);
		return r;
	}
	an_listener_address(listener, address, sizeof(address));
	printf("listening on %s\n", address);
	fflush(stdout);
	r = an_http_serve(app->server, listener); /* the listener is the server's */
	an_cancel(signals);
	an_ignore(an_join(signals, NULL));
	return r;
}

static int run(void *arg)
{
	struct app *app = arg;
	int r = an_http_server_new(NULL, &app->server);

	if (r == 0)
		r = an_http_route(app->server, NULL, "/{path...}", echo, NULL);
	if (r == 0)
		r = serve(app);
	app->server = an_http_server_free(app->server);
	return r;
}

/* "HOST:PORT", "[::1]:PORT". The text is cut in two. */
static int parse_address(char *text, struct app *app)
{
	char *colon = strrchr(text, ':');
	size_t len;

	if (!colon)
		return -1;
	*colon = 0;
	len = strlen(text);
	if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = 0;
		text++;
	}
	app->host = text;
	app->port = colon + 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct app app = { 0 };
	int r;

	if (argc != 3 || strcmp(argv[1], "--listen") != 0 ||
	    parse_address(argv[2], &app) < 0) {
		fprintf(stderr, "usage: http_echo --listen HOST:PORT\n");
		return 2;
	}
	r = an_run(run, &app, NULL);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], an_strerror(r));
	return r < 0;
}
