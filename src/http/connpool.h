/* The client's connections: who may have one, which one, and what happens to it
 * afterwards. L4.
 *
 * A lease is the right to have one connection to an origin. It takes one permit of the
 * origin and one of the whole client, in that order and first come, first served, and is
 * held from before the connection is dialled or taken until after it was kept or closed:
 * there are never more lent connections than permits.
 *
 *	lease --> take a kept one --.
 *	   \                         >-- lent --> keep  --> kept --> taken, expired,
 *	    `----> dial, adopt -----'        \--> close         evicted, dead
 *
 * A kept connection is on two lists: its origin's, the newest first, from which it is
 * reused, and the pool's, the oldest first, from which it is evicted.
 */
#ifndef AN_HTTP_CONNPOOL_H
#define AN_HTTP_CONNPOOL_H

#include "http/url.h"
#include "loop/base/list.h"
#include "loop/core/loop.h"

#include <asyncnet/stream.h>
#include <asyncnet/sync.h>

/* An origin. Lives while anyone waits for, has, or left a connection to it. */
typedef struct an__http_host {
	struct an__http_host *next; /* in its chain of the table */
	struct an__http_pool *pool;
	an__list kept; /* an__http_conn.by_host, the newest first */
	an_semaphore permits;
	size_t users; /* leases, those waiting for one, and kept connections */
	uint32_t hash;
	bool tls;
	unsigned port;
	char service[6]; /* the port in digits */
	size_t fields_len;
	const char *fields; /* that every request to it begins with: Host, User-Agent */
	size_t host_len; /* of the Host field in `fields`, which a request may replace */
	size_t name_len;
	char name[]; /* in lower case, without brackets, terminated; then `fields` */
} an__http_host;

typedef struct an__http_conn {
	an__list by_host, by_age;
	an__http_host *host;
	an_stream *stream;
	an_duration kept_at, expires;
	bool reused; /* was kept before it was lent now */
} an__http_conn;

typedef struct an__http_pool {
	an_loop *loop;
	an__http_host **table; /* chains; a power of two of them */
	size_t table_size, hosts;
	an_semaphore permits;
	an__list kept; /* an__http_conn.by_age, the oldest first */
	an__timer reaper;
	an_duration reap_at; /* when it fires; AN_FOREVER: not armed */
	size_t max_per_host, max_kept;
	an_duration keep_time;
	const char *user_agent; /* "": none */
	size_t kept_count, lent, waiting;
	uint64_t discarded;
} an__http_pool;

/* The limits and the user agent are the caller's to set; the latter is borrowed. Returns
 * 0; -ENOMEM. */
int an__http_pool_init(an__http_pool *pool, an_loop *loop, size_t max_total);

/* Closes all kept connections. */
void an__http_pool_drop_kept(an__http_pool *pool);

/* No lease may be out. */
void an__http_pool_done(an__http_pool *pool);

/* Waits for a lease of the URL's origin. Suspends. Returns 0; -ENOMEM; -EINVAL;
 * -ECANCELED. */
AN_SUSPENDS int an__http_pool_lease(an__http_pool *pool, const an__url *url,
				    an__http_host **ret);

/* Gives a lease back that has no connection any more. */
void an__http_host_release(an__http_host *host);

/* For a lease: the newest kept connection that still looks alive, or NULL. */
an__http_conn *an__http_host_take(an__http_host *host);

/* For a lease: makes a connection of a stream, which is then the connection's. Returns 0;
 * -ENOMEM (the stream is the caller's still). */
int an__http_host_adopt(an__http_host *host, an_stream *stream, an__http_conn **ret);

/* Closes the connection; the lease goes on. Accepts NULL, returns NULL. */
an__http_conn *an__http_conn_close(an__http_conn *conn);

/* Takes the stream out and frees the connection; the lease goes on. */
an_stream *an__http_conn_detach(an__http_conn *conn);

/* Keeps the connection for at most `age` (the pool's own limit holds, too) and gives the
 * lease back. */
void an__http_conn_keep(an__http_conn *conn, an_duration age);

#endif
