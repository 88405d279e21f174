/* Sockets that listen. L3.
 *
 * Connections are accepted by the task if one is there, else by the callback of a read
 * event, which hands each to the oldest waiting task: what was handed over is kept even
 * when that task is cancelled in the same turn. The event stays registered and is
 * level-triggered; it is deleted only when it fires while nobody waits, and added again
 * by the next task that has to.
 *
 * Who is on what: `acceptors` wait for a connection and are woken by the callback;
 * `stalled` are out of descriptors or memory and wake by their own deadline, or wait in
 * an an_serve() that is full and are woken by the end of a connection.
 * an_listener_close() wakes both.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>
#include <asyncnet/sync.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/dns.h"
#include "loop/io/listener.h"
#include "loop/io/socket.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const an__wait_kind for_connection = { .what = "a connection" };
static const an__wait_kind for_descriptors = { .what = "free descriptors" };

#define DEFAULT_BACKLOG 1024
#define STALL (100 * AN_MILLISECOND)

/* So many accepts in a row without waiting, then other tasks have their turn. */
#define BURST 64

struct an_listener {
	int fd;
	unsigned refs; /* tasks in a call, for whom the struct outlives the close */
	bool closed;
	bool armed; /* the event is added */
	bool each;  /* what is accepted has not inherited opts.socket */
	unsigned burst;
	struct event event;
	an__waiters acceptors, stalled;
	an_listen_opts opts;
	char *unix_path; /* to be unlinked; NULL: none */
	dev_t unix_dev;	 /* the file that was made, and no other that took its name */
	ino_t unix_ino;
};

struct acceptor {
	an__waiter waiter;
	int fd;
};

/* ---- accepting ------------------------------------------------------------------- */

/* accept(2) reports errors of the connection that waits in the queue as its own: the
 * next one may be well. */
static bool concerns_the_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM: /* a firewall rule */
		return true;
	default:
		return false;
	}
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* So many bad ones in a row are not the connections' fault (a filter of system calls says
 * EPERM to all): a shortage, which does not take up the loop. */
static int accept_one(const an_listener *l)
{
	for (int i = 0; i < BURST; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (!concerns_the_connection(errno))
			return -errno;
	}
	return -ENOBUFS;
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	an_listener *l = arg;
	an__waiter *w = an__waiters_first(&l->acceptors);

	(void)fd;
	(void)events;
	if (!w) {
		event_del(&l->event);
		l->armed = false;
		return;
	}
	for (; w; w = an__waiters_first(&l->acceptors)) {
		struct acceptor *a = an__container(w, struct acceptor, waiter);
		int r = accept_one(l);

		if (r == -EAGAIN)
			return;
		a->fd = r;
		an__wake(w, r < 0 ? r : 0);
	}
}

/* Parks until the callback hands a connection over. Returns the descriptor or -errno. */
static int wait_for_one(an_listener *l)
{
	struct acceptor a = { .fd = -1 };
	int r;

	if (!l->armed && event_add(&l->event, NULL) < 0)
		return -ENOMEM;
	l->armed = true;
	l->burst = 0;
	r = an__wait(&a.waiter, &l->acceptors, &for_connection);
	return r < 0 ? r : a.fd;
}

static int stall(an_listener *l)
{
	an__waiter w;
	int r = an__wait_until(&w, &l->stalled, an_now() + STALL, &for_descriptors);

	return r == -ETIMEDOUT ? 0 : r;
}

/* After each wait the listener may have been closed, by a task that ran in between; a
 * connection that was handed over before is returned all the same. */
static int accept_fd(an_listener *l)
{
	int r = an__wait_check();

	if (r == 0 && ++l->burst > BURST) {
		l->burst = 0;
		r = an_yield();
	}
	while (r >= 0) {
		if (l->closed)
			return AN_ERR_CLOSED;
		/* Those who came before have the first choice. */
		r = an__waiters_empty(&l->acceptors) ? accept_one(l) : -EAGAIN;
		if (r == -EAGAIN)
			r = wait_for_one(l);
		if (!is_shortage(r))
			break;
		r = l->closed ? AN_ERR_CLOSED : stall(l);
	}
	return r;
}

void an__listener_hold(an_listener *l)
{
	l->refs++;
}

/* The context is needed by who serves the last connections. */
void an__listener_release(an_listener *l)
{
	if (--l->refs == 0 && l->closed) {
		an_tls_free(l->opts.tls);
		free(l);
	}
}

int an__listener_wait(an_listener *l, an__waiter *w, const an__wait_kind *kind)
{
	return l->closed ? AN_ERR_CLOSED : an__wait(w, &l->stalled, kind);
}

int an_accept(an_listener *l, an_stream **ret)
{
	an_stream_opts opts = l->opts.stream;
	an_socket_opts socket = l->opts.socket;
	bool each = l->each;
	int fd, r = 0;

	an__listener_hold(l);
	fd = accept_fd(l);
	an__listener_release(l);
	if (fd < 0)
		return fd;
	if (each)
		r = an__socket_set_up(fd, AF_UNIX, &socket);
	if (r == 0)
		r = an__stream_new_socket(fd, &opts, ret);
	if (r < 0)
		close(fd);
	return r;
}

/* ---- made and closed ------------------------------------------------------------- */

/* On failure `fd` is still the caller's. */
static int listener_new(int fd, const an_listen_opts *opts, an_listener **ret)
{
	an_loop *loop = an_loop_current();
	an_listener *l;

	if (!loop)
		return AN_ERR_NO_TASK;
	l = an__calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->fd = fd;
	l->opts = *opts;
	l->each = an__socket_each(fd, &opts->socket);
	an_tls_ref(l->opts.tls);
	event_assign(&l->event, an_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable,
		     l);
	*ret = l;
	return 0;
}

an_listener *an_listener_close(an_listener *l)
{
	struct stat st;

	if (!l || l->closed)
		return NULL;
	l->closed = true;
	if (l->armed)
		event_del(&l->event);
	close(l->fd);
	if (l->unix_path && lstat(l->unix_path, &st) == 0 && st.st_dev == l->unix_dev &&
	    st.st_ino == l->unix_ino)
		unlink(l->unix_path);
	an__wake_all(&l->acceptors, AN_ERR_CLOSED);
	an__wake_all(&l->stalled, AN_ERR_CLOSED);
	free(l->unix_path);
	l->unix_path = NULL;
	an__listener_hold(l);
	an__listener_release(l);
	return NULL;
}

static int set_options(int fd, const an_address *a, const an_listen_opts *opts)
{
	int on = 1, only = opts->ipv6_only;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -errno;
	if (opts->reuse_port &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
		return -errno;
	if (a->storage.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0)
		return -errno;
	/* Accepted sockets inherit them. */
	return an__socket_set_up(fd, a->storage.ss_family, &opts->socket);
}

static int backlog_of(const an_listen_opts *opts)
{
	return opts->backlog > 0 ? opts->backlog : DEFAULT_BACKLOG;
}

static int listen_on(const an_address *a, const an_listen_opts *opts, an_listener **ret)
{
	int fd = an__socket(a->storage.ss_family), r;

	if (fd < 0)
		return fd;
	r = set_options(fd, a, opts);
	if (r == 0 && (bind(fd, (const struct sockaddr *)&a->storage, a->length) < 0 ||
		       listen(fd, backlog_of(opts)) < 0))
		r = -errno;
	if (r == 0)
		r = listener_new(fd, opts, ret);
	if (r < 0)
		close(fd);
	return r;
}

int an_listen(const char *host, const char *service, const an_listen_opts *opts,
	      an_listener **ret)
{
	static const an_listen_opts defaults;
	bool any = !host || !*host;
	an_addresses *a;
	int r;

	if (!opts)
		opts = &defaults;
	r = an__resolve_inline(host, service, true, &a);
	if (r < 0)
		return r == -ENOENT ? AN_ERR_NAME : r;
	/* Two: any, whose IPv6 form takes IPv4 in as well, or localhost, which most
	 * clients mean as 127.0.0.1. The other is for machines without the first. */
	r = listen_on(&a->list[any ? 0 : a->count - 1], opts, ret);
	if ((r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) && a->count == 2 &&
	    !(any && opts->ipv6_only))
		r = listen_on(&a->list[any ? 1 : 0], opts, ret);
	an_addresses_free(a);
	return r;
}

int an_listen_fd(int fd, const an_listen_opts *opts, an_listener **ret)
{
	static const an_listen_opts defaults;
	socklen_t size = sizeof(int);
	int listening, flags, r;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
		return -errno;
	if (!listening)
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (!opts)
		opts = &defaults;
	r = an__socket_set_up_any(fd, &opts->socket);
	return r < 0 ? r : listener_new(fd, opts, ret);
}

/* ---- UNIX sockets ---------------------------------------------------------------- */

/* Whether the name is that of a socket to which nobody listens any more. */
static bool is_stale(const char *path, const an_address *a)
{
	struct stat st;
	int fd;
	bool refused;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = an__socket(AF_UNIX);
	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)&a->storage, a->length) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_unix(int fd, const char *path, const an_address *a)
{
	if (bind(fd, (const struct sockaddr *)&a->storage, a->length) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (path[0] == '@' || !is_stale(path, a))
		return -EADDRINUSE;
	if (unlink(path) < 0 ||
	    bind(fd, (const struct sockaddr *)&a->storage, a->length) < 0)
		return -errno;
	return 0;
}

/* Nobody can connect before the permissions are set: it does not listen yet. */
static int open_unix(int fd, const char *path, const an_listen_opts *opts)
{
	int r = an__socket_set_up(fd, AF_UNIX, &opts->socket);

	if (r < 0)
		return r;
	if (path[0] != '@' && opts->unix_mode && chmod(path, opts->unix_mode) < 0)
		return -errno;
	return listen(fd, backlog_of(opts)) < 0 ? -errno : 0;
}

static int own_path(an_listener *l, const char *path)
{
	struct stat st;

	if (path[0] == '@')
		return 0;
	if (lstat(path, &st) < 0)
		return -errno;
	l->unix_path = an__strdup(path);
	if (!l->unix_path)
		return -ENOMEM;
	l->unix_dev = st.st_dev;
	l->unix_ino = st.st_ino;
	return 0;
}

int an_listen_unix(const char *path, const an_listen_opts *opts, an_listener **ret)
{
	static const an_listen_opts defaults;
	an_listener *l = NULL;
	an_address a;
	int r = an__address_unix(path, &a), fd;

	if (r < 0)
		return r;
	if (!opts)
		opts = &defaults;
	fd = an__socket(AF_UNIX);
	if (fd < 0)
		return fd;
	r = bind_unix(fd, path, &a);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = open_unix(fd, path, opts);
	if (r == 0)
		r = listener_new(fd, opts, &l);
	if (r == 0)
		r = own_path(l, path);
	if (r < 0) {
		if (path[0] != '@')
			unlink(path);
		if (l)
			an_listener_close(l);
		else
			close(fd);
		return r;
	}
	*ret = l;
	return 0;
}

/* ---- about it -------------------------------------------------------------------- */

an_tls *an_listener_tls(const an_listener *l)
{
	return l->opts.tls;
}

static int local_address(const an_listener *l, an_address *ret)
{
	ret->length = sizeof ret->storage;
	return getsockname(l->fd, (struct sockaddr *)&ret->storage, &ret->length) < 0
		       ? -errno
		       : 0;
}

int an_listener_address(const an_listener *l, char *buf, size_t cap)
{
	an_address a;
	int r = local_address(l, &a);

	return r < 0 ? r : an_address_format(&a, buf, cap);
}

unsigned an_listener_port(const an_listener *l)
{
	an_address a;

	return local_address(l, &a) < 0 ? 0 : an_address_port(&a);
}
