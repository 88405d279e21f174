/* A world of its own for a test of names: private user, network and mount namespaces,
 * with one interface (lo: 127.0.0.1, 192.0.2.1 and, where the kernel has IPv6, ::1 and
 * 2001:db8::1), private files in /etc, and a name server at 127.0.0.1, UDP and TCP, which
 * glibc asks like any other.
 *
 * What the server does follows from the name's first label, up to a '-' (so "fail-2.test"
 * is like "fail.test"):
 *
 *	both	 A 192.0.2.1, AAAA 2001:db8::1
 *	four, six, nodata	one of them; neither, but the name exists
 *	none	 no such name
 *	fail	 SERVFAIL
 *	many	 100 addresses of IPv4, which take TCP
 *	shut	 is cut; TCP closes without an answer
 *	stall	 no answer
 *	held	 as `four` when dns_world_release() is called
 *	noaaaa, noa	as `both`, but questions for AAAA, or A, get no answer
 *	junk	 three messages of rubbish, the last of which has the right id
 *	wrongid	 the answer has another id
 *	question another question is answered
 *	other	 the address is another name's
 *	loop	 an alias of an alias of itself
 *	pointer	 a name in the answer points to itself
 *	odd	 an alias of a name with a zero, a space and a slash in it
 *	long	 an alias of a name of 255 bytes, which has an address
 */
#ifndef TESTS_INTEGRATION_DNS_WORLD_H
#define TESTS_INTEGRATION_DNS_WORLD_H

#include <stdbool.h>

/* Only while the process has one thread. Returns NULL, or why it cannot be. */
const char *dns_world_enter(void);

/* Whether its lo has addresses of IPv6. */
bool dns_world_has_ipv6(void);

/* Asks 127.0.0.`last` from now on, with these options of resolv.conf(5); at 127.0.0.2
 * there is UDP alone, at 127.0.0.3 nobody. */
void dns_world_configure(int last, const char *options);

/* How many questions the server has seen that begin with these letters, of type 'A' (A),
 * '6' (AAAA), 'T' (any, by TCP). */
unsigned dns_world_questions(const char *name, char type);

/* Answers what is held now. */
void dns_world_release(void);

#endif
