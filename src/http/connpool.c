/* The client's connection pool: see connpool.h. L4.
 *
 * Invariants: pool->kept_count counts pool->kept; host->users is leases + waiters + kept
 * connections of the host, and the host is freed when it drops to 0; the reaper is armed
 * no later than the earliest expiry of a kept connection.
 */
#include "http/connpool.h"
#include "loop/base/alloc.h"

#include "loop/base/clock.h"
#include "loop/io/stream.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TABLE_FIRST = 16 };

/* ---- hosts ------------------------------------------------------------------------- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* FNV-1a over the origin. */
static uint32_t hash_of(const an__url *u)
{
	uint32_t h = 2166136261u ^ u->port ^ (uint32_t)u->tls << 16;

	for (size_t i = 0; i < u->host.len; i++)
		h = (h ^ (unsigned char)lower(u->host.data[i])) * 16777619u;
	return h ^ h >> 15;
}

static bool host_is(const an__http_host *host, const an__url *u, uint32_t hash)
{
	return host->hash == hash && host->port == u->port && host->tls == u->tls &&
	       host->name_len == u->host.len &&
	       !strncasecmp(host->name, u->host.data, host->name_len);
}

static void table_grow(an__http_pool *pool)
{
	size_t size = pool->table_size * 2;
	an__http_host **table = an__calloc(size, sizeof(*table));

	if (!table) /* longer chains are only slower */
		return;
	for (size_t i = 0; i < pool->table_size; i++) {
		an__http_host *next;

		for (an__http_host *h = pool->table[i]; h; h = next) {
			next = h->next;
			h->next = table[h->hash & (size - 1)];
			table[h->hash & (size - 1)] = h;
		}
	}
	free(pool->table);
	pool->table = table;
	pool->table_size = size;
}

/* The fields that begin every request, written once for all of them. */
static int host_write_fields(an__http_host *host, const an__url *u, char *buf, size_t cap)
{
	const char *agent = host->pool->user_agent;
	size_t len, host_len;
	int n;

	memcpy(buf, "Host: ", 6);
	host_len = an__url_host(u, buf + 6, cap - 8);
	if (host_len > cap - 8)
		return -EINVAL;
	len = 6 + host_len;
	memcpy(buf + len, "\r\n", 2);
	len += 2;
	host->host_len = len;
	n = *agent ? snprintf(buf + len, cap - len, "User-Agent: %s\r\n", agent) : 0;
	if (n < 0 || (size_t)n >= cap - len)
		return -EINVAL;
	host->fields = buf;
	host->fields_len = len + (size_t)n;
	return 0;
}

static int host_new(an__http_pool *pool, const an__url *u, uint32_t hash,
		    an__http_host **ret)
{
	/* "Host: [name]:65535 CRLF" and "User-Agent: agent CRLF NUL" */
	size_t fields = u->host.len + strlen(pool->user_agent) + 48;
	an__http_host *host = an__calloc(1, sizeof(*host) + u->host.len + 1 + fields);
	int r;

	if (!host)
		return -ENOMEM;
	host->pool = pool;
	host->hash = hash;
	host->tls = u->tls;
	host->port = u->port;
	snprintf(host->service, sizeof(host->service), "%hu", (unsigned short)u->port);
	host->name_len = u->host.len;
	for (size_t i = 0; i < u->host.len; i++)
		host->name[i] = lower(u->host.data[i]);
	r = host_write_fields(host, u, host->name + host->name_len + 1, fields);
	if (r) {
		free(host);
		return r;
	}
	an__list_init(&host->kept);
	an_semaphore_init(&host->permits, pool->max_per_host, pool->max_per_host);
	if (pool->hosts >= pool->table_size)
		table_grow(pool);
	host->next = pool->table[hash & (pool->table_size - 1)];
	pool->table[hash & (pool->table_size - 1)] = host;
	pool->hosts++;
	*ret = host;
	return 0;
}

static int host_hold(an__http_pool *pool, const an__url *u, an__http_host **ret)
{
	uint32_t hash = hash_of(u);
	an__http_host *host = pool->table[hash & (pool->table_size - 1)];
	int r;

	while (host && !host_is(host, u, hash))
		host = host->next;
	if (!host) {
		r = host_new(pool, u, hash, &host);
		if (r)
			return r;
	}
	host->users++;
	*ret = host;
	return 0;
}

static void host_drop(an__http_host *host)
{
	an__http_pool *pool = host->pool;
	an__http_host **link = &pool->table[host->hash & (pool->table_size - 1)];

	if (--host->users)
		return;
	while (*link != host)
		link = &(*link)->next;
	*link = host->next;
	pool->hosts--;
	free(host);
}

/* ---- leases ------------------------------------------------------------------------ */

static int permits_take(an__http_pool *pool, an__http_host *host)
{
	int r = an_semaphore_acquire(&host->permits);

	if (r)
		return r;
	r = an_semaphore_acquire(&pool->permits);
	if (r)
		an_semaphore_release(&host->permits);
	return r;
}

int an__http_pool_lease(an__http_pool *pool, const an__url *url, an__http_host **ret)
{
	an__http_host *host;
	int r;

	r = host_hold(pool, url, &host);
	if (r)
		return r;
	pool->waiting++;
	r = permits_take(pool, host);
	pool->waiting--;
	if (r) {
		host_drop(host);
		return r;
	}
	pool->lent++;
	*ret = host;
	return 0;
}

void an__http_host_release(an__http_host *host)
{
	an__http_pool *pool = host->pool;

	pool->lent--;
	an_semaphore_release(&pool->permits);
	an_semaphore_release(&host->permits);
	host_drop(host);
}

/* ---- kept connections -------------------------------------------------------------- */

an__http_conn *an__http_conn_close(an__http_conn *conn)
{
	if (conn) {
		an_stream_close(conn->stream);
		free(conn);
	}
	return NULL;
}

an_stream *an__http_conn_detach(an__http_conn *conn)
{
	an_stream *stream = conn->stream;

	free(conn);
	return stream;
}

int an__http_host_adopt(an__http_host *host, an_stream *stream, an__http_conn **ret)
{
	an__http_conn *conn = an__calloc(1, sizeof(*conn));

	if (!conn)
		return -ENOMEM;
	an__list_init(&conn->by_host);
	an__list_init(&conn->by_age);
	conn->host = host;
	conn->stream = stream;
	*ret = conn;
	return 0;
}

static void unlist(an__http_conn *conn)
{
	an__list_remove(&conn->by_host);
	an__list_remove(&conn->by_age);
	conn->host->pool->kept_count--;
}

static void discard(an__http_conn *conn)
{
	an__http_host *host = conn->host;

	unlist(conn);
	host->pool->discarded++;
	an__http_conn_close(conn);
	host_drop(host);
}

/* Whether a kept connection may be lent. Nothing may have come on it, not even its end: a
 * server that closes, and one that sends what nobody asked for, both make it readable. A
 * connection that was put back in this turn of the loop and whose last read got all there
 * was has been found empty just then. */
static bool alive(an__http_conn *conn)
{
	an_duration now = an_now();

	if (now == conn->kept_at && !an__stream_may_have_more(conn->stream))
		return true;
	return now < conn->expires && !an_stream_readable(conn->stream);
}

an__http_conn *an__http_host_take(an__http_host *host)
{
	while (!an__list_empty(&host->kept)) {
		an__http_conn *conn =
			an__container(host->kept.next, an__http_conn, by_host);

		if (!alive(conn)) {
			discard(conn); /* the lease holds the host */
			continue;
		}
		unlist(conn);
		host->users--; /* the lease's is left */
		conn->reused = true;
		return conn;
	}
	return NULL;
}

/* Arming only for an earlier expiry makes a request cost no timer: connections put back
 * later expire later, and the reaper looks for the next when it fires. */
static void reap_by(an__http_pool *pool, an_duration when)
{
	if (when >= pool->reap_at)
		return;
	pool->reap_at = when;
	an__timer_arm(&pool->reaper, when);
}

static void reap(an__timer *timer)
{
	an__http_pool *pool = an__container(timer, an__http_pool, reaper);
	an_duration now = an_now(), next = AN_FOREVER;
	an__list *n, *following;

	for (n = pool->kept.next; n != &pool->kept; n = following) {
		an__http_conn *conn = an__container(n, an__http_conn, by_age);

		following = n->next;
		if (conn->expires <= now)
			discard(conn);
		else if (conn->expires < next)
			next = conn->expires;
	}
	pool->reap_at = AN_FOREVER;
	reap_by(pool, next);
}

void an__http_conn_keep(an__http_conn *conn, an_duration age)
{
	an__http_host *host = conn->host;
	an__http_pool *pool = host->pool;

	if (age > pool->keep_time)
		age = pool->keep_time;
	if (age <= 0 || !pool->max_kept) {
		an__http_conn_close(conn);
		an__http_host_release(host);
		return;
	}
	conn->kept_at = an_now();
	conn->expires = an__duration_add(conn->kept_at, age);
	an__list_push_front(&host->kept, &conn->by_host);
	an__list_push(&pool->kept, &conn->by_age);
	host->users++;
	if (++pool->kept_count > pool->max_kept)
		discard(an__container(pool->kept.next, an__http_conn, by_age));
	reap_by(pool, conn->expires);
	an__http_host_release(host);
}

/* ---- the pool ---------------------------------------------------------------------- */

int an__http_pool_init(an__http_pool *pool, an_loop *loop, size_t max_total)
{
	int r;

	pool->loop = loop;
	pool->table = an__calloc(TABLE_FIRST, sizeof(*pool->table));
	if (!pool->table)
		return -ENOMEM;
	pool->table_size = TABLE_FIRST;
	r = an__timer_init(&pool->reaper, loop, reap);
	if (r) {
		free(pool->table);
		return r;
	}
	pool->reap_at = AN_FOREVER;
	an__list_init(&pool->kept);
	an_semaphore_init(&pool->permits, max_total, max_total);
	return 0;
}

void an__http_pool_drop_kept(an__http_pool *pool)
{
	while (!an__list_empty(&pool->kept))
		discard(an__container(pool->kept.next, an__http_conn, by_age));
}

void an__http_pool_done(an__http_pool *pool)
{
	an__http_pool_drop_kept(pool);
	an__timer_disarm(&pool->reaper);
	an__timer_done(&pool->reaper);
	free(pool->table);
}
