/* Names and addresses, for the files of this folder and for tests. L3. */
#ifndef AN_LOOP_IO_DNS_H
#define AN_LOOP_IO_DNS_H

#include <asyncnet/net.h>

#include <netdb.h>

/* What the worker threads ask; a test may put its own in its place. */
extern int (*an__dns_getaddrinfo)(const char *host, const char *service,
				  const struct addrinfo *hints, struct addrinfo **ret);
extern void (*an__dns_freeaddrinfo)(struct addrinfo *list);

/* Answers what needs no thread: addresses in digits with a port in digits or "http" or
 * "https", and "localhost" (RFC 6761 section 6.3), ::1 first. `passive`: a NULL or
 * empty host is any address, :: first. Never suspends, never blocks.
 * Returns 0; -ENOENT for a name that must be asked for; -EINVAL; AN_ERR_NAME; -ENOMEM. */
int an__resolve_inline(const char *host, const char *service, bool passive,
		       an_addresses **ret);

/* As an_resolve() for those who can begin with a part of the answer: addresses of
 * `family` alone (AF_INET, AF_INET6), or, with AF_UNSPEC, of all families that are known
 * when the patience is over, or of the first that is known after it; *ret_all says
 * whether these are all there will be. */
AN_SUSPENDS int an__resolve_soon(const char *host, const char *service, int family,
				 an_duration patience, an_addresses **ret, bool *ret_all);

#endif
