/* What listening and connecting share. L3. */
#include "config.h"

#include "loop/io/socket.h"
#include "loop/io/stream-private.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

int an__socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int an__address_unix(const char *path, an_address *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;
	size_t length = path ? strlen(path) : 0;
	bool abstract = length && path[0] == '@';

	if (!length || (abstract && length == 1))
		return -EINVAL;
	if (length >= sizeof un->sun_path)
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof *ret);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length);
	if (abstract)
		un->sun_path[0] = '\0';
	/* An abstract name ends with the length, a path with a zero. */
	ret->length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
	return 0;
}

/* ---- options ----------------------------------------------------------------------- */

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* 0: as it is. */
static int set_unless_zero(int fd, int level, int name, int value)
{
	if (value < 0)
		return -EINVAL;
	return value ? set(fd, level, name, value) : 0;
}

/* Of `unit` nanoseconds each, rounded up: 1 ns must not become "never". */
static int set_duration(int fd, int name, an_duration d, an_duration unit)
{
	an_duration n = d / unit + (d % unit != 0);

	if (d < 0 || n > INT_MAX)
		return -EINVAL;
	return set_unless_zero(fd, IPPROTO_TCP, name, (int)n);
}

static int set_keepalive(int fd, const an_socket_opts *o)
{
	int r = set_duration(fd, TCP_KEEPIDLE, o->keepalive, AN_SECOND);

	if (r == 0)
		r = set_duration(fd, TCP_KEEPINTVL, o->keepalive_interval, AN_SECOND);
	if (r == 0)
		r = set_unless_zero(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count);
	return r ? r : set_unless_zero(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive > 0);
}

/* A socket of IPv6 may talk IPv4 as well. */
static int set_dscp(int fd, int family, int dscp)
{
	int r;

	if (dscp < 0 || dscp > 63)
		return -EINVAL;
	r = set_unless_zero(fd, IPPROTO_IP, IP_TOS, dscp << 2);
	if (family != AF_INET6)
		return r;
	return set_unless_zero(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << 2);
}

static int set_tcp(int fd, int family, const an_socket_opts *o)
{
	int r = set(fd, IPPROTO_TCP, TCP_NODELAY, !o->delay);

	if (r == 0)
		r = set_keepalive(fd, o);
	if (r == 0)
		r = set_duration(fd, TCP_USER_TIMEOUT, o->user_timeout, AN_MILLISECOND);
	return r ? r : set_dscp(fd, family, o->dscp);
}

int an__socket_set_up(int fd, int family, const an_socket_opts *o)
{
	int r = set_unless_zero(fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer);

	if (r == 0)
		r = set_unless_zero(fd, SOL_SOCKET, SO_RCVBUF, o->receive_buffer);
	if (r == 0 && (family == AF_INET || family == AF_INET6))
		r = set_tcp(fd, family, o);
	return r;
}

/* The family if it is TCP or not one of IP's, else 0. Or an error. */
static int family_of(int fd)
{
	int family, protocol;
	socklen_t size = sizeof family;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
		return -errno;
	return protocol == IPPROTO_TCP || protocol == 0 ? family : 0;
}

int an__socket_set_up_any(int fd, const an_socket_opts *o)
{
	int family = family_of(fd);

	return family < 0 ? family : an__socket_set_up(fd, family, o);
}

/* TCP's are copies of the listener, others are made by who connects. */
bool an__socket_each(int fd, const an_socket_opts *o)
{
	int family = family_of(fd);

	return (o->send_buffer || o->receive_buffer) && family != AF_INET &&
	       family != AF_INET6;
}

int an_stream_set_socket(an_stream *s, const an_socket_opts *opts)
{
	static const an_socket_opts defaults;

	if (s->closed)
		return AN_ERR_CLOSED;
	return an__socket_set_up_any(s->fd, opts ? opts : &defaults);
}
