/* Connecting: Happy Eyeballs over TCP (RFC 8305), and UNIX sockets. L3.
 *
 * One task runs a race: it starts an attempt, parks until one of those under way has an
 * outcome or the next may be started beside them, and so on. Events only mark an
 * attempt and wake the task, so that all decisions and all cleaning up are in one
 * place, which a cancellation passes as well.
 *
 * A name server that answers for one family alone is not waited for longer than an
 * attempt: the race begins with that family, and is run again with all addresses, when
 * they are known, only if it fails.
 *
 * An attempt's life:
 *
 *	IDLE -> UNDER_WAY -> SETTLED (the event fired) -> OVER (closed, or the winner's)
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>

#include "loop/base/alloc.h"
#include "loop/base/clock.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/dns.h"
#include "loop/io/socket.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const an__wait_kind for_connection = { .what = "a connection to be made" };

#define DEFAULT_TIMEOUT (10 * AN_SECOND)
#define DEFAULT_ATTEMPT_DELAY (250 * AN_MILLISECOND) /* RFC 8305 section 8 */

/* A UNIX socket whose queue is full says EAGAIN and cannot be polled for room. */
#define UNIX_RETRY (5 * AN_MILLISECOND)

enum attempt_state {
	ATTEMPT_IDLE,
	ATTEMPT_UNDER_WAY,
	ATTEMPT_SETTLED,
	ATTEMPT_OVER,
};

struct attempt {
	struct race *race;
	const an_address *address;
	struct event event;
	enum attempt_state state;
	int fd;
};

struct race {
	an__waiter waiter;
	struct event_base *base;
	const an_addresses *bind_to; /* NULL: any */
	const an_socket_opts *socket;
	size_t count, started, under_way;
	int winner; /* a descriptor, or -1 */
	int error;  /* to be told when all have failed */
	struct attempt attempts[];
};

/* ---- one attempt ----------------------------------------------------------------- */

static void on_settled(evutil_socket_t fd, short events, void *arg)
{
	struct attempt *a = arg;

	(void)fd;
	(void)events;
	a->state = ATTEMPT_SETTLED;
	an__wake(&a->race->waiter, 0);
}

/* A missing route or address family of this machine says little about the server:
 * another address's error replaces it. */
static bool is_local(int error)
{
	return error == -ENETUNREACH || error == -EADDRNOTAVAIL ||
	       error == -EAFNOSUPPORT || error == -EACCES || error == -EPERM;
}

static void fail(struct race *race, struct attempt *a, int error)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->state = ATTEMPT_OVER;
	if (!race->error || (is_local(race->error) && !is_local(error)))
		race->error = error;
}

/* With a port of the ephemeral range and nobody listening, TCP can connect a socket to
 * itself. */
static bool is_self(int fd, const an_address *to)
{
	struct sockaddr_storage own;
	socklen_t length = sizeof own;
	const struct sockaddr_in *a = (const void *)&own, *b = (const void *)&to->storage;
	const struct sockaddr_in6 *a6 = (const void *)&own,
				  *b6 = (const void *)&to->storage;

	if (getsockname(fd, (struct sockaddr *)&own, &length) < 0)
		return false;
	if (own.ss_family == AF_INET)
		return a->sin_port == b->sin_port &&
		       a->sin_addr.s_addr == b->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port &&
	       !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr);
}

static void win(struct race *race, struct attempt *a)
{
	if (is_self(a->fd, a->address)) {
		fail(race, a, -ECONNREFUSED);
		return;
	}
	race->winner = a->fd;
	a->fd = -1;
	a->state = ATTEMPT_OVER;
}

static int bind_local(const struct race *race, const struct attempt *a)
{
	const an_addresses *b = race->bind_to;

	if (!b)
		return 0;
	for (size_t i = 0; i < b->count; i++) {
		const an_address *from = &b->list[i];

		if (from->storage.ss_family != a->address->storage.ss_family)
			continue;
		return bind(a->fd, (const struct sockaddr *)&from->storage,
			    from->length) < 0
			       ? -errno
			       : 0;
	}
	return -EADDRNOTAVAIL;
}

/* Returns 0 when it is connected; -EINPROGRESS; another error. */
static int open_socket(const struct race *race, struct attempt *a)
{
	const an_address *to = a->address;
	int r;

	a->fd = an__socket(to->storage.ss_family);
	if (a->fd < 0)
		return a->fd;
	r = an__socket_set_up(a->fd, to->storage.ss_family, race->socket);
	if (r == 0)
		r = bind_local(race, a);
	if (r < 0)
		return r;
	do
		r = connect(a->fd, (const struct sockaddr *)&to->storage, to->length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void start(struct race *race)
{
	struct attempt *a = &race->attempts[race->started++];
	int r = open_socket(race, a);

	if (r == 0) {
		win(race, a);
		return;
	}
	if (r != -EINPROGRESS) {
		fail(race, a, r);
		return;
	}
	event_assign(&a->event, race->base, a->fd, EV_WRITE, on_settled, a);
	if (event_add(&a->event, NULL) < 0) {
		fail(race, a, -ENOMEM);
		return;
	}
	a->state = ATTEMPT_UNDER_WAY;
	race->under_way++;
}

/* Looks at those whose event has fired. Returns whether one has failed. */
static bool settle(struct race *race)
{
	bool failed = false;

	for (size_t i = 0; i < race->started && race->winner < 0; i++) {
		struct attempt *a = &race->attempts[i];
		socklen_t size = sizeof(int);
		int error = 0;

		if (a->state != ATTEMPT_SETTLED)
			continue;
		race->under_way--;
		if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
			error = errno;
		if (error)
			fail(race, a, -error);
		else
			win(race, a);
		failed |= race->winner < 0;
	}
	return failed;
}

/* ---- the race -------------------------------------------------------------------- */

/* RFC 8305 section 4: the families alternate, beginning with that of the first address,
 * each in the order of the resolver. */
static struct race *race_new(const an_addresses *list, const an_addresses *bind_to,
			     const an_socket_opts *socket)
{
	struct race *race =
		an__calloc(1, sizeof *race + list->count * sizeof race->attempts[0]);
	int first = list->list[0].storage.ss_family;
	size_t next[2] = { 0, 0 }, n = 0;

	if (!race)
		return NULL;
	race->base = an_loop_base(an_loop_current());
	race->bind_to = bind_to;
	race->socket = socket;
	race->winner = -1;
	race->count = list->count;
	for (int turn = 0; n < list->count; turn ^= 1) {
		size_t *i = &next[turn];

		while (*i < list->count &&
		       (list->list[*i].storage.ss_family == first) == (turn == 1))
			(*i)++;
		if (*i == list->count)
			continue;
		race->attempts[n++] = (struct attempt){ .race = race,
							.address = &list->list[(*i)++],
							.fd = -1 };
	}
	return race;
}

static void race_free(struct race *race)
{
	for (size_t i = 0; i < race->started; i++) {
		struct attempt *a = &race->attempts[i];

		if (a->state == ATTEMPT_UNDER_WAY)
			event_del(&a->event);
		if (a->fd >= 0)
			close(a->fd);
	}
	if (race->winner >= 0)
		close(race->winner);
	free(race);
}

/* Returns 0 with a winner, or the error of the race. */
static int run_race(struct race *race, an_duration delay)
{
	an_duration next = 0; /* when another attempt may be started */
	int r;

	while (race->winner < 0) {
		bool more = race->started < race->count;

		if (more && (!race->under_way || next <= an_now())) {
			start(race);
			next = an__duration_add(an_now(), delay);
			continue;
		}
		if (!more && !race->under_way)
			return race->error;
		r = an__wait_until(&race->waiter, NULL, more ? next : AN_FOREVER,
				   &for_connection);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
		/* After a failure the next does not wait (section 5). */
		if (settle(race))
			next = 0;
	}
	return 0;
}

static an_duration delay_of(const an_connect_opts *opts)
{
	return opts->attempt_delay > 0 ? opts->attempt_delay : DEFAULT_ATTEMPT_DELAY;
}

static int race_to(const an_addresses *list, const an_connect_opts *opts, int *ret_fd)
{
	an_addresses *bind_to = NULL;
	struct race *race;
	int r;

	if (opts->bind_host) {
		r = an__resolve_inline(opts->bind_host, "0", false, &bind_to);
		if (r < 0)
			return r == -ENOENT ? AN_ERR_NAME : r;
	}
	race = race_new(list, bind_to, &opts->socket);
	r = race ? run_race(race, delay_of(opts)) : -ENOMEM;
	if (r == 0) {
		*ret_fd = race->winner;
		race->winner = -1;
	}
	if (race)
		race_free(race);
	an_addresses_free(bind_to);
	return r;
}

/* The addresses that can be had soon, and all of them if none of those is any good. */
static int resolve_and_race(const char *host, const char *service,
			    const an_connect_opts *opts, int *ret_fd)
{
	an_duration patience = delay_of(opts);
	an_addresses *list;
	bool all = false;
	int first = 0, r = 0;

	while (!all) {
		r = an__resolve_soon(host, service, opts->family, patience, &list, &all);
		if (r < 0)
			break;
		r = race_to(list, opts, ret_fd);
		an_addresses_free(list);
		if (r == 0 || r == -ECANCELED)
			return r;
		first = first ? first : r;
		patience = AN_FOREVER;
	}
	return first && r != -ECANCELED ? first : r;
}

static int connect_tcp(const char *host, const char *service, const an_connect_opts *opts,
		       int *ret_fd)
{
	an_timeout limit;

	an_timeout_begin(&limit, opts->timeout > 0 ? opts->timeout : DEFAULT_TIMEOUT);
	return an_timeout_end(&limit, resolve_and_race(host, service, opts, ret_fd));
}

/* ---- UNIX sockets ---------------------------------------------------------------- */

static int connect_path(const char *path, const an_connect_opts *opts, int *ret_fd)
{
	an_timeout limit;
	an_address a;
	int r = an__address_unix(path, &a), fd;

	if (r < 0)
		return r;
	fd = an__socket(AF_UNIX);
	if (fd < 0)
		return fd;
	r = an__socket_set_up(fd, AF_UNIX, &opts->socket);
	if (r < 0) {
		close(fd);
		return r;
	}
	an_timeout_begin(&limit, opts->timeout > 0 ? opts->timeout : DEFAULT_TIMEOUT);
	do {
		r = connect(fd, (struct sockaddr *)&a.storage, a.length) < 0 ? -errno : 0;
		if (r == -EAGAIN && an_sleep(UNIX_RETRY) < 0)
			r = -ECANCELED;
	} while (r == -EAGAIN || r == -EINTR);
	r = an_timeout_end(&limit, r);
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

/* ---- the calls ------------------------------------------------------------------- */

/* There is no stream that could tell afterwards. */
static int explain(const an_connect_opts *opts, int r, const char *reason)
{
	if (opts->error && opts->error_cap)
		snprintf(opts->error, opts->error_cap, "%s", reason);
	return r;
}

/* The stream has a reason once the handshake has begun. */
static const char *tls_reason(const an_stream *s, int r)
{
	const char *text = an_stream_error_text(s);

	return *text ? text : an_strerror(r);
}

/* Takes the descriptor over in every case. */
static int finish(int fd, const char *tls_host, const an_connect_opts *opts,
		  an_stream **ret)
{
	an_stream *s;
	int r = an__stream_new_socket(fd, &opts->stream, &s);

	if (r < 0) {
		close(fd);
		return explain(opts, r, an_strerror(r));
	}
	if (opts->tls) {
		r = an_stream_start_tls(s, opts->tls,
					opts->tls_host ? opts->tls_host : tls_host);
		if (r < 0) {
			explain(opts, r, tls_reason(s, r));
			an_stream_close(s);
			return r;
		}
	}
	*ret = s;
	return 0;
}

int an_connect(const char *host, const char *service, const an_connect_opts *opts,
	       an_stream **ret)
{
	static const an_connect_opts defaults;
	int r = an__wait_check(), fd = -1;

	if (r < 0)
		return r;
	if (!opts)
		opts = &defaults;
	if (opts->family != AF_UNSPEC && opts->family != AF_INET &&
	    opts->family != AF_INET6)
		r = -EAFNOSUPPORT;
	else
		r = connect_tcp(host, service, opts, &fd);
	return r < 0 ? explain(opts, r, an_strerror(r)) : finish(fd, host, opts, ret);
}

int an_connect_unix(const char *path, const an_connect_opts *opts, an_stream **ret)
{
	static const an_connect_opts defaults;
	int r = an__wait_check(), fd = -1;

	if (r < 0)
		return r;
	if (!opts)
		opts = &defaults;
	r = connect_path(path, opts, &fd);
	return r < 0 ? explain(opts, r, an_strerror(r)) : finish(fd, NULL, opts, ret);
}
