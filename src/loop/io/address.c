/* Addresses that need no resolver: digits, localhost, any. L3. */
#include "config.h"

#include <asyncnet/error.h>

#include "loop/base/alloc.h"
#include "loop/io/dns.h"
#include "loop/io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 254 /* RFC 1035 section 2.3.4: 253 and a dot at the end */

an_addresses *an_addresses_free(an_addresses *a)
{
	free(a);
	return NULL;
}

/* Returns the port; -ENOENT for a name that is not known here; -EINVAL. */
static int parse_port(const char *service)
{
	unsigned port = 0;
	const char *p = service;

	if (!service || !*service)
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		port = port * 10 + (unsigned)(*p - '0');
		if (port > 65535)
			return -EINVAL;
	}
	if (!*p)
		return (int)port;
	if (!strcmp(service, "http"))
		return 80;
	if (!strcmp(service, "https"))
		return 443;
	return p == service ? -ENOENT : -EINVAL;
}

/* A host that could be a name: what it means is for the resolver to say. */
static int check_host(const char *host)
{
	size_t length = strlen(host);

	if (!length || length > HOST_MAX)
		return -EINVAL;
	for (const char *p = host; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/')
			return -EINVAL;
	return 0;
}

static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t length = strlen(host), n = sizeof name - 1;

	if (length && host[length - 1] == '.')
		length--;
	if (length < n || strncasecmp(host + length - n, name, n) != 0)
		return false;
	return length == n || host[length - n - 1] == '.';
}

static void set_ipv4(an_address *a, in_addr_t address, int port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->storage;

	memset(a, 0, sizeof *a);
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	in->sin_addr.s_addr = htonl(address);
	a->length = sizeof *in;
}

static void set_ipv6(an_address *a, const struct in6_addr *address, int port)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&a->storage;

	memset(a, 0, sizeof *a);
	in->sin6_family = AF_INET6;
	in->sin6_port = htons((uint16_t)port);
	in->sin6_addr = *address;
	a->length = sizeof *in;
}

static int make_pair(const struct in6_addr *six, in_addr_t four, int port,
		     an_addresses **ret)
{
	an_addresses *a = an__malloc(sizeof *a + 2 * sizeof a->list[0]);

	if (!a)
		return -ENOMEM;
	a->count = 2;
	set_ipv6(&a->list[0], six, port);
	set_ipv4(&a->list[1], four, port);
	*ret = a;
	return 0;
}

/* Digits. The system knows of scopes ("fe80::1%eth0"), and does not block for this. */
static int from_digits(const char *host, int port, an_addresses **ret)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	an_addresses *a;

	if (getaddrinfo(host, NULL, &hints, &list))
		return -ENOENT;
	a = an__malloc(sizeof *a + sizeof a->list[0]);
	if (!a) {
		freeaddrinfo(list);
		return -ENOMEM;
	}
	a->count = 1;
	memset(&a->list[0], 0, sizeof a->list[0]);
	memcpy(&a->list[0].storage, list->ai_addr, list->ai_addrlen);
	a->list[0].length = list->ai_addrlen;
	if (list->ai_family == AF_INET6)
		((struct sockaddr_in6 *)&a->list[0].storage)->sin6_port =
			htons((uint16_t)port);
	else
		((struct sockaddr_in *)&a->list[0].storage)->sin_port =
			htons((uint16_t)port);
	freeaddrinfo(list);
	*ret = a;
	return 0;
}

int an__resolve_inline(const char *host, const char *service, bool passive,
		       an_addresses **ret)
{
	int port = parse_port(service), r;

	if (passive && (!host || !*host)) {
		if (port < 0)
			return port;
		return make_pair(&in6addr_any, INADDR_ANY, port, ret);
	}
	if (!host || port == -EINVAL)
		return -EINVAL;
	r = check_host(host);
	if (r < 0)
		return r;
	if (port < 0)
		return port;
	if (is_localhost(host))
		return make_pair(&in6addr_loopback, INADDR_LOOPBACK, port, ret);
	return from_digits(host, port, ret);
}

/* ---- single addresses ------------------------------------------------------------- */

int an_address_parse(const char *host, const char *service, an_address *ret)
{
	an_addresses *a;
	int r = an__resolve_inline(host, service, false, &a);

	if (r < 0)
		return r == -ENOENT ? AN_ERR_NAME : r;
	*ret = a->list[a->count - 1];
	an_addresses_free(a);
	return 0;
}

int an_address_format(const an_address *a, char *buf, size_t cap)
{
	return an__address_format(&a->storage, a->length, buf, cap);
}

unsigned an_address_port(const an_address *a)
{
	switch (a->storage.ss_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)&a->storage)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)&a->storage)->sin6_port);
	}
	return 0;
}
