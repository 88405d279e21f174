/* A server that does exactly as it is told, for tests of the HTTP client.
 *
 * A script is what the peer does on one connection, the first script on the first one,
 * and so on:
 *
 *	static const struct step ok[] = { EXPECT, SEND("HTTP/1.1 200 ..."), CLOSE, END };
 *	static const struct step *const scripts[] = { ok, NULL };
 *
 * EXPECT waits for a request's head and keeps it; BODY(n) for so many bytes more. TLS
 * runs the handshake with the peer's context; CUT ends the connection without saying so
 * in TLS. A script that ends without CLOSE or RESET leaves the connection open until the
 * peer is stopped. It runs in tasks of the test's own loop: everything happens in an
 * order that the test decides.
 */
#ifndef TESTS_INTEGRATION_HTTP_PEER_H
#define TESTS_INTEGRATION_HTTP_PEER_H

#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

enum peer_op {
	PEER_END,
	PEER_EXPECT,
	PEER_BODY,
	PEER_SEND,
	PEER_WAIT,
	PEER_CLOSE,
	PEER_RESET,
	PEER_TLS,
	PEER_CUT,
};

struct step {
	enum peer_op op;
	const char *bytes;
	size_t len; /* bytes, or seconds to wait */
};

/* clang-format off */
#define END { PEER_END, NULL, 0 }
#define EXPECT { PEER_EXPECT, NULL, 0 }
#define BODY(n) { PEER_BODY, NULL, (n) }
#define SEND(literal) { PEER_SEND, literal, sizeof(literal) - 1 }
#define WAIT(seconds) { PEER_WAIT, NULL, (seconds) }
#define CLOSE { PEER_CLOSE, NULL, 0 }
#define RESET { PEER_RESET, NULL, 0 }
#define TLS { PEER_TLS, NULL, 0 }
#define CUT { PEER_CUT, NULL, 0 }
/* clang-format on */

/* A whole answer. */
#define OK(body, length) \
	SEND("HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n" body)

enum { PEER_REQUESTS = 64, PEER_HEAD = 2048, PEER_CONNECTIONS = 256 };

struct peer {
	an_listener *listener;
	an_tls *tls; /* for TLS; borrowed */
	const struct step *const *scripts;
	unsigned port;
	size_t connections; /* accepted */
	size_t requests;    /* heads received, on all of them */
	char heads[PEER_REQUESTS][PEER_HEAD];
	char body[PEER_HEAD]; /* of the last request that had one */
	an_stream *open[PEER_CONNECTIONS];
	an_group group;
	char url[64]; /* "http://127.0.0.1:port" */
};

struct peer_connection {
	struct peer *peer;
	size_t index;
};

static int peer_expect(struct peer *p, an_stream *s)
{
	const char *head;
	size_t len;
	int r = an_stream_read_until(s, "\r\n\r\n", 4, &head, &len);

	if (r)
		return r;
	if (len >= PEER_HEAD || p->requests >= PEER_REQUESTS)
		return -ENOBUFS;
	memcpy(p->heads[p->requests], head, len);
	p->heads[p->requests++][len] = 0;
	return 0;
}

static int peer_cut(an_stream *s)
{
	int r = an_stream_drain(s);

	return !r && shutdown(an_stream_fd(s), SHUT_RDWR) ? -errno : r;
}

static int peer_step(struct peer *p, size_t index, const struct step *step)
{
	an_stream *s = p->open[index];

	switch (step->op) {
	case PEER_EXPECT:
		return peer_expect(p, s);
	case PEER_BODY:
		memset(p->body, 0, sizeof(p->body));
		return an_stream_read_exactly(s, p->body, step->len);
	case PEER_SEND:
		return an_stream_write(s, step->bytes, step->len);
	case PEER_WAIT:
		return an_sleep((an_duration)step->len * AN_SECOND);
	case PEER_CLOSE:
		p->open[index] = an_stream_close(s);
		return 0;
	case PEER_RESET:
		p->open[index] = an_stream_abort(s);
		return 0;
	case PEER_TLS:
		return an_stream_start_tls(s, p->tls, NULL);
	case PEER_CUT:
		return peer_cut(s);
	case PEER_END:
		break;
	}
	return 0;
}

/* A client that goes away, or a lack of memory, ends the script and the connection. */
static int peer_connection_task(void *arg)
{
	struct peer_connection c = *(struct peer_connection *)arg;
	const struct step *step = c.peer->scripts[c.index];
	int r = 0;

	free(arg);
	while (!r && step->op != PEER_END && c.peer->open[c.index])
		r = peer_step(c.peer, c.index, step++);
	if (r)
		c.peer->open[c.index] = an_stream_close(c.peer->open[c.index]);
	return 0;
}

static int peer_accept_task(void *arg)
{
	struct peer *p = arg;
	int r;

	while (p->scripts[p->connections]) {
		struct peer_connection *c;

		r = an_accept(p->listener, &p->open[p->connections]);
		if (r)
			return 0;
		c = malloc(sizeof(*c));
		if (c) {
			*c = (struct peer_connection){ p, p->connections };
			r = an_group_spawn(&p->group, peer_connection_task, c);
		}
		if (!c || r) {
			free(c);
			p->open[p->connections] =
				an_stream_close(p->open[p->connections]);
		}
		p->connections++;
	}
	return 0;
}

static int peer_begin(struct peer *p, const struct step *const *scripts)
{
	int r;

	memset(p, 0, sizeof(*p));
	p->scripts = scripts;
	r = an_listen("127.0.0.1", "0", NULL, &p->listener);
	if (r)
		return r;
	p->port = an_listener_port(p->listener);
	snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u", p->port);
	an_group_begin(&p->group);
	return an_group_spawn(&p->group, peer_accept_task, p);
}

static int peer_end(struct peer *p)
{
	int r;

	an_group_cancel(&p->group);
	r = an_group_end(&p->group);
	for (size_t i = 0; i < PEER_CONNECTIONS; i++)
		an_stream_close(p->open[i]);
	an_listener_close(p->listener);
	return r;
}

/* Runs test(peer, arg) beside a peer with these scripts. */
static inline int with_peer(const struct step *const *scripts,
			    int (*test)(struct peer *p, void *arg), void *arg)
{
	struct peer *p = malloc(sizeof(*p));
	int r = peer_begin(p, scripts), ended;

	if (!r)
		r = test(p, arg);
	ended = peer_end(p);
	free(p);
	return r ? r : ended;
}

#define PEER__TEST(name, run, ...) \
	static int name##_body(struct peer *p, void *arg); \
	static int name##_task(void *arg) \
	{ \
		static const struct step *const scripts[] = { __VA_ARGS__, NULL }; \
		return with_peer(scripts, name##_body, arg); \
	} \
	static void name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(run(name##_task, NULL), 0); \
	} \
	static int name##_body(struct peer *p, void *arg __attribute__((unused)))

/* A test named NAME whose body, which follows, is a task beside a peer with these
 * scripts. */
#define PEER_TEST(name, ...) PEER__TEST(name, run_virtual, __VA_ARGS__)

/* The same when it relies on the order in which tasks run. */
#define PEER_TEST_IN_ORDER(name, ...) PEER__TEST(name, run_in_order, __VA_ARGS__)

#endif
