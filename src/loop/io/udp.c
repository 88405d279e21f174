/* Datagram endpoints. L3.
 *
 * A call tries at once unless others wait already; else it parks, and the callback of the
 * descriptor's event receives into, or sends from, the oldest waiter's memory: what was
 * done is kept even when that task is cancelled in the same turn. The events are
 * level-triggered and stay registered; one is deleted only when it fires while nobody
 * waits, and added again by the next task that has to.
 *
 * Who is on what: each side's `waiters` are tasks that receive, or send; woken by its
 * callback and by an_udp_close(). On `retrying` are those who send from a UNIX socket to
 * one that it is not connected to, whose room the kernel does not tell of; woken by the
 * clock and by an_udp_close().
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/udp.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/dns.h"
#include "loop/io/socket.h"
#include "loop/io/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const an__wait_kind for_datagram = { .what = "a datagram" };
static const an__wait_kind for_room = { .what = "room for a datagram" };

/* So many datagrams in a row without waiting, then other tasks have their turn. */
#define BURST 64

/* So many datagrams in one call at most: more gain nothing. */
#define BATCH 32

/* Where the kernel does not say when there is room. */
#define RETRY_FIRST AN_MILLISECOND
#define RETRY_LAST (64 * AN_MILLISECOND)

/* One call's datagram, or `list` of them. The memory is the caller's, who is in the call
 * or parked in it. */
struct transfer {
	an__waiter waiter;
	void *data;
	size_t len;
	const an_address *to; /* NULL: the peer */
	an_address *from;     /* NULL: not wanted */
	an_datagram *list;    /* NULL: one, with the fields above */
	size_t count;
	ssize_t result;
};

/* Receiving or sending. */
struct side {
	an_udp *udp;
	struct event event;
	bool armed; /* the event is added */
	unsigned burst;
	an__waiters waiters;
	const an__wait_kind *kind;
	/* Returns the count; -EAGAIN; an error. */
	ssize_t (*attempt)(an_udp *u, struct transfer *t);
};

struct an_udp {
	int fd;
	int family;
	unsigned refs; /* tasks in a call, for whom the struct outlives the close */
	bool closed;
	struct side receiving, sending;
	an__waiters retrying;
};

/* ---- IPv4 on a socket of both families ------------------------------------------- */

static void map_address(const an_address *four, an_address *ret)
{
	const struct sockaddr_in *in = (const void *)&four->storage;
	struct sockaddr_in6 *in6 = (void *)&ret->storage;

	memset(ret, 0, sizeof *ret);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = in->sin_port;
	in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6->sin6_addr.s6_addr + 12, &in->sin_addr, 4);
	ret->length = sizeof *in6;
}

static void unmap_address(an_address *a)
{
	const struct sockaddr_in6 in6 = *(const struct sockaddr_in6 *)&a->storage;
	struct sockaddr_in *in = (void *)&a->storage;

	if (in6.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return;
	memset(&a->storage, 0, sizeof a->storage);
	in->sin_family = AF_INET;
	in->sin_port = in6.sin6_port;
	memcpy(&in->sin_addr, in6.sin6_addr.s6_addr + 12, 4);
	a->length = sizeof *in;
}

/* ---- one attempt ----------------------------------------------------------------- */

static ssize_t receive_one(an_udp *u, struct transfer *t)
{
	struct iovec iov = { t->data, t->len };
	an_address from = { .length = 0 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_name = t->from ? &from.storage : NULL,
			    .msg_namelen = t->from ? sizeof from.storage : 0 };
	ssize_t n;

	do
		n = recvmsg(u->fd, &m, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (m.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (t->from) {
		from.length = m.msg_namelen;
		unmap_address(&from);
		*t->from = from;
	}
	return n;
}

/* An error behind the first is the next call's: the kernel keeps it. */
static ssize_t receive_batch(an_udp *u, an_datagram *list, size_t count)
{
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	unsigned wanted = count < BATCH ? (unsigned)count : BATCH;
	int n;

	for (unsigned i = 0; i < wanted; i++) {
		iov[i] = (struct iovec){ list[i].data, list[i].capacity };
		m[i] = (struct mmsghdr){
			.msg_hdr = { .msg_iov = &iov[i],
				     .msg_iovlen = 1,
				     .msg_name = &list[i].from.storage,
				     .msg_namelen = sizeof list[i].from.storage }
		};
	}
	do
		n = recvmmsg(u->fd, m, wanted, MSG_TRUNC, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	for (int i = 0; i < n; i++) {
		list[i].length = m[i].msg_len;
		list[i].from.length = m[i].msg_hdr.msg_namelen;
		/* Who has no name (a socketpair) leaves there what was there before. */
		if (!list[i].from.length)
			memset(&list[i].from, 0, sizeof list[i].from);
		unmap_address(&list[i].from);
	}
	return n;
}

static ssize_t receive_any(an_udp *u, struct transfer *t)
{
	return t->list ? receive_batch(u, t->list, t->count) : receive_one(u, t);
}

static ssize_t send_one(an_udp *u, struct transfer *t)
{
	const an_address *to = t->to;
	an_address mapped;
	ssize_t n;

	if (to && u->family == AF_INET6 && to->storage.ss_family == AF_INET) {
		map_address(to, &mapped);
		to = &mapped;
	}
	do
		n = sendto(u->fd, t->data, t->len, MSG_NOSIGNAL,
			   to ? (const struct sockaddr *)&to->storage : NULL,
			   to ? to->length : 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* ---- waiting --------------------------------------------------------------------- */

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
	struct side *side = arg;
	an__waiter *w = an__waiters_first(&side->waiters);

	(void)fd;
	(void)events;
	if (!w) {
		event_del(&side->event);
		side->armed = false;
		return;
	}
	for (; w; w = an__waiters_first(&side->waiters)) {
		struct transfer *t = an__container(w, struct transfer, waiter);
		ssize_t r = side->attempt(side->udp, t);

		if (r == -EAGAIN)
			return;
		t->result = r;
		an__wake(w, 0);
	}
}

static ssize_t wait_for_turn(struct side *side, struct transfer *t)
{
	int r;

	if (!side->armed && event_add(&side->event, NULL) < 0)
		return -ENOMEM;
	side->armed = true;
	side->burst = 0;
	r = an__wait(&t->waiter, &side->waiters, side->kind);
	return r < 0 ? r : t->result;
}

/* Readiness would be told all the time. */
static bool must_retry(const an_udp *u, const struct transfer *t)
{
	return t->to && u->family == AF_UNIX;
}

static ssize_t retry(an_udp *u, struct transfer *t)
{
	an_duration pause = RETRY_FIRST;

	for (;; pause = pause < RETRY_LAST ? pause * 2 : RETRY_LAST) {
		ssize_t r = an__wait_until(&t->waiter, &u->retrying, an_now() + pause,
					   u->sending.kind);

		if (r == -ETIMEDOUT)
			r = send_one(u, t);
		if (r != -EAGAIN)
			return r;
	}
}

/* After the yield the endpoint may have been closed, by a task that ran in between; what
 * was done for a parked task before is returned all the same. */
static ssize_t perform(struct side *side, struct transfer *t)
{
	ssize_t r = an__wait_check();

	if (r == 0 && ++side->burst > BURST) {
		side->burst = 0;
		r = an_yield();
	}
	if (r < 0)
		return r;
	if (side->udp->closed)
		return AN_ERR_CLOSED;
	/* Those who came before have the first choice. */
	r = an__waiters_empty(&side->waiters) ? side->attempt(side->udp, t) : -EAGAIN;
	if (r != -EAGAIN)
		return r;
	return must_retry(side->udp, t) ? retry(side->udp, t) : wait_for_turn(side, t);
}

static ssize_t transfer(an_udp *u, struct side *side, struct transfer *t)
{
	ssize_t r;

	u->refs++;
	r = perform(side, t);
	if (t->list && r > 1)
		side->burst += (unsigned)r - 1; /* as if by so many calls */
	if (--u->refs == 0 && u->closed)
		free(u);
	return r;
}

int an_udp_send_to(an_udp *u, const void *data, size_t len, const an_address *to)
{
	struct transfer t = { .data = (void *)data, .len = len, .to = to };

	return (int)transfer(u, &u->sending, &t);
}

int an_udp_send(an_udp *u, const void *data, size_t len)
{
	return an_udp_send_to(u, data, len, NULL);
}

ssize_t an_udp_receive(an_udp *u, void *buf, size_t cap, an_address *ret_from)
{
	struct transfer t = { .data = buf, .len = cap, .from = ret_from };

	return transfer(u, &u->receiving, &t);
}

ssize_t an_udp_receive_many(an_udp *u, an_datagram *list, size_t count)
{
	struct transfer t = { .list = list, .count = count };

	return count ? transfer(u, &u->receiving, &t) : an__wait_check();
}

/* ---- made and closed ------------------------------------------------------------- */

static void side_init(struct side *side, an_udp *u, short events)
{
	side->udp = u;
	event_assign(&side->event, an_loop_base(an_loop_current()), u->fd,
		     events | EV_PERSIST, on_ready, side);
}

/* On failure `fd` is still the caller's. */
static int udp_new(int fd, int family, an_udp **ret)
{
	an_udp *u;

	if (!an_loop_current())
		return AN_ERR_NO_TASK;
	u = an__calloc(1, sizeof *u);
	if (!u)
		return -ENOMEM;
	u->fd = fd;
	u->family = family;
	u->receiving.kind = &for_datagram;
	u->receiving.attempt = receive_any;
	u->sending.kind = &for_room;
	u->sending.attempt = send_one;
	side_init(&u->receiving, u, EV_READ);
	side_init(&u->sending, u, EV_WRITE);
	*ret = u;
	return 0;
}

int an_udp_new(int fd, an_udp **ret)
{
	socklen_t size = sizeof(int);
	int type, family, flags;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
		return -errno;
	if (type != SOCK_DGRAM)
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return udp_new(fd, family, ret);
}

an_udp *an_udp_close(an_udp *u)
{
	if (!u || u->closed)
		return NULL;
	u->closed = true;
	if (u->receiving.armed)
		event_del(&u->receiving.event);
	if (u->sending.armed)
		event_del(&u->sending.event);
	close(u->fd);
	u->fd = -1;
	an__wake_all(&u->receiving.waiters, AN_ERR_CLOSED);
	an__wake_all(&u->sending.waiters, AN_ERR_CLOSED);
	an__wake_all(&u->retrying, AN_ERR_CLOSED);
	if (!u->refs)
		free(u);
	return NULL;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_multicast(int fd, int family, const an_udp_opts *opts)
{
	bool six = family == AF_INET6;
	int hops = opts->multicast_hops > 0 ? opts->multicast_hops : 0;
	struct ip_mreqn four = { .imr_ifindex = 0 };
	int r = 0;

	if (opts->multicast_interface) {
		four.imr_ifindex = (int)if_nametoindex(opts->multicast_interface);
		if (!four.imr_ifindex)
			return -ENODEV;
		if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &four, sizeof four) < 0)
			return -errno;
		if (six)
			r = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, four.imr_ifindex);
	}
	if (r == 0 && opts->multicast_hops)
		r = set(fd, IPPROTO_IP, IP_MULTICAST_TTL, hops);
	if (r == 0 && opts->multicast_hops && six)
		r = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops);
	if (r == 0 && opts->no_multicast_loop)
		r = set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	if (r == 0 && opts->no_multicast_loop && six)
		r = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	return r;
}

static int set_options(int fd, int family, const an_udp_opts *opts)
{
	int r = 0;

	if (family == AF_INET6)
		r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, opts->ipv6_only);
	if (r == 0 && opts->reuse_address)
		r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && opts->reuse_port)
		r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && opts->broadcast)
		r = set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	if (r == 0 && opts->receive_buffer)
		r = set(fd, SOL_SOCKET, SO_RCVBUF, opts->receive_buffer);
	if (r == 0 && opts->send_buffer)
		r = set(fd, SOL_SOCKET, SO_SNDBUF, opts->send_buffer);
	return r ? r : set_multicast(fd, family, opts);
}

static int open_at(const an_address *a, const an_udp_opts *opts, an_udp **ret)
{
	const an_address *peer = opts->peer;
	int family = a->storage.ss_family, fd, r;

	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = set_options(fd, family, opts);
	if (r == 0 && (bind(fd, (const struct sockaddr *)&a->storage, a->length) < 0 ||
		       (peer && connect(fd, (const struct sockaddr *)&peer->storage,
					peer->length) < 0)))
		r = -errno;
	if (r == 0)
		r = udp_new(fd, family, ret);
	if (r < 0)
		close(fd);
	return r;
}

static bool fits(const an_address *a, const an_udp_opts *opts)
{
	return !opts->peer || opts->peer->storage.ss_family == a->storage.ss_family;
}

int an_udp_open(const char *host, const char *service, const an_udp_opts *opts,
		an_udp **ret)
{
	static const an_udp_opts defaults;
	bool any = !host || !*host;
	an_addresses *a;
	int r;

	if (!opts)
		opts = &defaults;
	r = an__resolve_inline(host, service ? service : "0", true, &a);
	if (r < 0)
		return r == -ENOENT ? AN_ERR_NAME : r;
	/* Two: any or localhost, as in an_listen(). */
	r = -EAFNOSUPPORT;
	for (size_t i = 0; i < a->count; i++) {
		const an_address *at = &a->list[any ? i : a->count - 1 - i];

		if (!fits(at, opts) ||
		    (at->storage.ss_family == AF_INET && any && opts->ipv6_only))
			continue;
		r = open_at(at, opts, ret);
		if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
			break;
	}
	an_addresses_free(a);
	return r;
}

/* ---- multicast ------------------------------------------------------------------- */

static int change_membership(an_udp *u, const char *group, const char *interface,
			     int option)
{
	struct group_req req = { .gr_interface = 0 };
	an_address a;
	int r = an_address_parse(group, "0", &a);

	if (r < 0)
		return r;
	if (interface) {
		req.gr_interface = if_nametoindex(interface);
		if (!req.gr_interface)
			return -ENODEV;
	}
	memcpy(&req.gr_group, &a.storage, sizeof req.gr_group);
	r = setsockopt(u->fd, a.storage.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
		       option, &req, sizeof req);
	return r < 0 ? -errno : 0;
}

int an_udp_join(an_udp *u, const char *group, const char *interface)
{
	return change_membership(u, group, interface, MCAST_JOIN_GROUP);
}

int an_udp_leave(an_udp *u, const char *group, const char *interface)
{
	return change_membership(u, group, interface, MCAST_LEAVE_GROUP);
}

/* ---- about it -------------------------------------------------------------------- */

static int local_address(const an_udp *u, an_address *ret)
{
	ret->length = sizeof ret->storage;
	return getsockname(u->fd, (struct sockaddr *)&ret->storage, &ret->length) < 0
		       ? -errno
		       : 0;
}

int an_udp_local_address(const an_udp *u, char *buf, size_t cap)
{
	an_address a;
	int r = local_address(u, &a);

	return r < 0 ? r : an_address_format(&a, buf, cap);
}

unsigned an_udp_port(const an_udp *u)
{
	an_address a;

	return local_address(u, &a) < 0 ? 0 : an_address_port(&a);
}

int an_udp_fd(const an_udp *u)
{
	return u->fd;
}
