/* What the tests of the HTTP server share: a server on loopback in the same loop, and a
 * client that speaks bytes. Time is virtual: a limit of 30 s is over as soon as nothing
 * else can happen.
 */
#ifndef AN_TESTS_INTEGRATION_HTTP_SERVER_H
#define AN_TESTS_INTEGRATION_HTTP_SERVER_H

#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
	an_http_server *server;
	an_task *task; /* of an_http_serve() */
	char port[8];
	int calls;   /* of handlers */
	an_tls *tls; /* of the listener; NULL: plain */
	an_listener *listener;
};

static int world_serve(void *arg)
{
	struct world *w = arg;

	return an_http_serve(w->server, w->listener);
}

static int world_start(struct world *w)
{
	int r = an_listen("127.0.0.1", "0", &(an_listen_opts){ .tls = w->tls },
			  &w->listener);

	if (r < 0)
		return r;
	snprintf(w->port, sizeof(w->port), "%u", an_listener_port(w->listener));
	return an_spawn(world_serve, w, NULL, &w->task);
}

/* Drains the server and frees it. Returns what an_http_serve() returned. */
static int world_stop(struct world *w)
{
	int result = 0, r;

	an_http_server_shutdown(w->server);
	r = an_join(w->task, &result);
	w->server = an_http_server_free(w->server);
	return r < 0 ? r : result;
}

static inline int world_connect(struct world *w, an_stream **ret)
{
	return an_connect("127.0.0.1", w->port, NULL, ret);
}

static inline int say(an_stream *s, const char *text)
{
	return an_stream_write(s, text, strlen(text));
}

/* Takes the Date fields out, which change. */
static inline void undate(char *text)
{
	char *p;

	while ((p = strstr(text, "date: "))) {
		char *end = strstr(p, "\r\n");

		memmove(p, end + 2, strlen(end + 2) + 1);
	}
}

/* Reads until the end of the stream, or with `stop` until the text ends with it. */
static inline int hear(an_stream *s, const char *stop, char *buf, size_t cap)
{
	size_t len = 0;
	ssize_t n;

	buf[0] = 0;
	for (;;) {
		n = an_stream_read(s, buf + len, cap - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		buf[len] = 0;
		if (stop && len >= strlen(stop) &&
		    !strcmp(buf + len - strlen(stop), stop))
			break;
	}
	undate(buf);
	return (int)n;
}

/* One connection: sends, and reads until the server closes. Returns 0 at a proper end. */
static inline int talk(struct world *w, const char *text, size_t len, char *buf,
		       size_t cap)
{
	an_stream *s;
	int r = world_connect(w, &s);

	if (r < 0)
		return r;
	r = an_stream_write(s, text, len);
	if (r == 0)
		r = hear(s, NULL, buf, cap);
	an_stream_close(s);
	return r;
}

#define CHECK_TEXT(text, expected) \
	do { \
		if (strcmp(text, expected) != 0) { \
			fprintf(stderr, "%s:%d: got:\n%s\ninstead of:\n%s\n", __FILE__, \
				__LINE__, text, expected); \
			return CHECK_FAILED; \
		} \
	} while (0)

#define CHECK_BEGINS(text, expected) \
	do { \
		if (strncmp(text, expected, strlen(expected)) != 0) { \
			fprintf(stderr, "%s:%d: got:\n%s\ninstead of:\n%s\n", __FILE__, \
				__LINE__, text, expected); \
			return CHECK_FAILED; \
		} \
	} while (0)

#endif
