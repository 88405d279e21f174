/* An echo server for WebSockets: ws_echo --listen HOST:PORT
 *
 * Every message goes back as it came, text as text and binary as binary. Port 0 lets the
 * kernel choose; the address is printed once connections are taken. SIGTERM and SIGINT
 * end it: each peer is told that the server goes away (1001).
 */
#include <asyncnet/asyncnet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says goodbye, even when the server is going down. */
static void leave(an_ws *ws, bool going_away)
{
	an_shield shield;

	an_shield_begin(&shield, 5 * AN_SECOND);
	an_ignore(an_shield_end(&shield,
				an_ws_shutdown(ws, going_away ? 1001 : 1000, NULL)));
	an_ws_free(ws);
}

static int echo(an_http_exchange *x, void *arg)
{
	an_ws_message m;
	an_ws *ws;
	int r = an_ws_accept(x, NULL, &ws);

	(void)arg;
	if (r < 0)
		return r;
	while ((r = an_ws_recv(ws, &m)) == 0 &&
	       (r = an_ws_send(ws, m.kind, m.data, m.len)) == 0)
		;
	leave(ws, r == -ECANCELED);
	return 0;
}

static int stop_on_signal(void *arg)
{
	static const int signals[] = { SIGTERM, SIGINT, 0 };
	an_signal_watch *watch;
	int r = an_signal_watch_new(signals, &watch);

	if (r < 0)
		return r;
	r = an_signal_wait(watch);
	an_signal_watch_close(watch);
	an_http_server_shutdown(arg);
	return r < 0 ? r : 0;
}

/* Splits "host:port" or "[host]:port" in place. Returns the port, or NULL. */
static char *split(char **address)
{
	char *colon = strrchr(*address, ':');

	if (!colon)
		return NULL;
	*colon = '\0';
	if (**address == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		++*address;
	}
	return colon + 1;
}

static int serve(void *arg)
{
	char *host = arg, *port = split(&host), address[64];
	an_http_server *server = NULL;
	an_listener *listener = NULL;
	an_task *stopper;
	int r = port ? an_listen(host, port, NULL, &listener) : -EINVAL;

	if (r == 0)
		r = an_http_server_new(NULL, &server);
	if (r == 0)
		r = an_http_route(server, "GET", "/{path...}", echo, NULL);
	if (r == 0)
		r = an_listener_address(listener, address, sizeof(address));
	if (r == 0)
		r = an_spawn(stop_on_signal, server, NULL, &stopper);
	if (r < 0) {
		an_listener_close(listener);
		an_http_server_free(server);
		return r;
	}
	printf("listening on %s\n", address);
	fflush(stdout);
	r = an_http_serve(server, listener);
	an_cancel(stopper);
	an_ignore(an_join(stopper, NULL));
	an_http_server_free(server);
	return r;
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 3 || strcmp(argv[1], "--listen") != 0) {
		fprintf(stderr, "usage: ws_echo --listen HOST:PORT\n");
		return 2;
	}
	r = an_run(serve, argv[2], NULL);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], an_strerror(r));
	return r < 0;
}
