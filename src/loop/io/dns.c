/* Names, resolved by getaddrinfo on threads of their own. L3.
 *
 * getaddrinfo knows all that the machine's administrator set up (nsswitch, hosts,
 * search lists) but can block for half a minute and cannot be interrupted: hence its
 * own threads, apart from those that read files, and queries that their askers can
 * leave.
 *
 * For each loop: the queries under way, one for each (host, service), and a cache; the
 * threads are the process's. A query belongs to its thread and its loop in common:
 *
 *	ASKED --the thread posts--> POSTED --delivered--> freed
 *	ASKED --the loop ends-----> ORPHANED --the thread--> freed
 *	POSTED --the loop ends----> ORPHANED --delivered---> freed
 *
 * `state` changes under process_lock; a thread posts under it, so that no loop ends in
 * between. While a query has askers the loop is held: a virtual clock must not pass
 * over it.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>
#include <asyncnet/sync.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/dns.h"
#include "loop/io/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_name = { .what = "a host name" };

#define THREADS 4	 /* one slow name server must not stop other names at once */
#define QUERIES_MAX 64	 /* of one loop under way; more askers wait in line */
#define CACHE_MAX 256	 /* names; some 40 KiB with a few addresses each */
#define ADDRESSES_MAX 64 /* of one name; more are cut off */
#define TTL_FOUND (30 * AN_SECOND)
#define TTL_NOT_FOUND (10 * AN_SECOND)

int (*an__dns_getaddrinfo)(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **) = getaddrinfo;
void (*an__dns_freeaddrinfo)(struct addrinfo *) = freeaddrinfo;

struct resolver;

enum query_state {
	QUERY_ASKED,
	QUERY_POSTED,
	QUERY_ORPHANED,
};

struct query {
	an__work work;
	an__post_node delivery;
	an__list node; /* in resolver->queries */
	struct resolver *resolver;
	enum query_state state;
	an__waiters askers;
	size_t asker_count;
	int error;
	an_addresses *found;
	const char *service; /* behind the host in `key` */
	size_t key_size;
	char key[]; /* host, 0, service, 0 */
};

struct cached {
	an__list node; /* in resolver->cache */
	an_duration expires;
	int error;
	an_addresses *found;
	size_t key_size;
	char key[];
};

struct resolver {
	an_loop *loop;
	an__list queries;
	an__list cache; /* the front was used last */
	size_t cache_count;
	an_semaphore room;
};

static an__workers workers = AN__WORKERS_INIT(THREADS, "an-resolve");
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned resolvers; /* under the lock: the last one's end stops the threads */

/* In the child: queries and threads are the parent's. */
static void forked(void)
{
	static const an__workers none = AN__WORKERS_INIT(THREADS, "an-resolve");

	workers = none;
	pthread_mutex_init(&process_lock, NULL);
	resolvers = 0;
}

static an__fork_hook fork_hook = { .forked = forked };

/* ---- the cache ------------------------------------------------------------------- */

static void forget(struct resolver *rs, struct cached *c)
{
	an__list_remove(&c->node);
	rs->cache_count--;
	an_addresses_free(c->found);
	free(c);
}

static struct cached *look_up(struct resolver *rs, const char *key, size_t size)
{
	for (an__list *n = rs->cache.next; n != &rs->cache; n = n->next) {
		struct cached *c = an__container(n, struct cached, node);

		if (c->key_size != size || memcmp(c->key, key, size) != 0)
			continue;
		if (c->expires <= an_now()) {
			forget(rs, c);
			return NULL;
		}
		an__list_remove(n);
		an__list_push_front(&rs->cache, n);
		return c;
	}
	return NULL;
}

static int copy_addresses(const an_addresses *from, an_addresses **ret)
{
	size_t size = sizeof *from + from->count * sizeof from->list[0];
	an_addresses *a = an__malloc(size);

	if (!a)
		return -ENOMEM;
	memcpy(a, from, size);
	*ret = a;
	return 0;
}

/* Keeps what a query found; without memory for it, the next asker asks again. Passing
 * failures (no answer, no memory) are not kept. */
static void remember(struct resolver *rs, struct query *q)
{
	struct cached *c;

	if (q->error && q->error != AN_ERR_NAME)
		return;
	c = an__malloc(sizeof *c + q->key_size);
	if (!c)
		return;
	*c = (struct cached){ .error = q->error, .key_size = q->key_size };
	if (!q->error && copy_addresses(q->found, &c->found) < 0) {
		free(c);
		return;
	}
	memcpy(c->key, q->key, q->key_size);
	c->expires = an_now() + (q->error ? TTL_NOT_FOUND : TTL_FOUND);
	an__list_push_front(&rs->cache, &c->node);
	if (++rs->cache_count > CACHE_MAX)
		forget(rs, an__container(rs->cache.prev, struct cached, node));
}

/* ---- a query, on its thread ------------------------------------------------------ */

static int error_of(int code)
{
	switch (code) {
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SERVICE:
		return -EINVAL;
	case EAI_AGAIN:
		return AN_ERR_NAME_AGAIN;
	case EAI_SYSTEM:
		return errno ? -errno : AN_ERR_NAME_AGAIN;
	default:
		return AN_ERR_NAME;
	}
}

static int collect(const struct addrinfo *list, an_addresses **ret)
{
	const struct addrinfo *i;
	an_addresses *a;
	size_t n = 0;

	for (i = list; i && n < ADDRESSES_MAX; i = i->ai_next)
		n += i->ai_addrlen <= sizeof(struct sockaddr_storage);
	if (!n)
		return AN_ERR_NAME;
	a = an__calloc(1, sizeof *a + n * sizeof a->list[0]);
	if (!a)
		return -ENOMEM;
	for (i = list; i && a->count < n; i = i->ai_next) {
		an_address *to = &a->list[a->count];

		if (i->ai_addrlen > sizeof to->storage)
			continue;
		memcpy(&to->storage, i->ai_addr, i->ai_addrlen);
		to->length = i->ai_addrlen;
		a->count++;
	}
	*ret = a;
	return 0;
}

static void query_free(struct query *q)
{
	an_addresses_free(q->found);
	free(q);
}

static void ask(an__work *work)
{
	struct query *q = an__container(work, struct query, work);
	struct addrinfo hints = { .ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	bool orphaned;
	int r;

	errno = 0;
	r = an__dns_getaddrinfo(q->key, q->service, &hints, &list);
	q->error = r ? error_of(r) : collect(list, &q->found);
	if (!r)
		an__dns_freeaddrinfo(list);
	pthread_mutex_lock(&process_lock);
	orphaned = q->state == QUERY_ORPHANED;
	if (!orphaned) {
		q->state = QUERY_POSTED;
		an__loop_post(q->resolver->loop, &q->delivery);
	}
	pthread_mutex_unlock(&process_lock);
	if (orphaned)
		query_free(q);
}

/* ---- a query, on its loop -------------------------------------------------------- */

struct asker {
	an__waiter waiter;
	struct query *query;
	an_addresses *found; /* its own copy */
};

static void answer(struct query *q)
{
	an__waiter *w;

	while ((w = an__waiters_first(&q->askers))) {
		struct asker *a = an__container(w, struct asker, waiter);
		int r = q->error;

		if (!r)
			r = copy_addresses(q->found, &a->found);
		an__wake(w, r);
	}
}

static void deliver(an__post_node *node)
{
	struct query *q = an__container(node, struct query, delivery);
	struct resolver *rs = q->resolver;

	if (q->state == QUERY_POSTED) {
		an__list_remove(&q->node);
		remember(rs, q);
		answer(q);
		if (q->asker_count)
			an__loop_release(rs->loop);
		an_semaphore_release(&rs->room);
	}
	query_free(q);
}

static struct query *find_query(struct resolver *rs, const char *key, size_t size)
{
	for (an__list *n = rs->queries.next; n != &rs->queries; n = n->next) {
		struct query *q = an__container(n, struct query, node);

		if (q->key_size == size && !memcmp(q->key, key, size))
			return q;
	}
	return NULL;
}

/* Starts one; room has been acquired. */
static int new_query(struct resolver *rs, const char *key, size_t size,
		     struct query **ret)
{
	struct query *q = an__malloc(sizeof *q + size);
	int r;

	if (!q)
		return -ENOMEM;
	*q = (struct query){
		.work.run = ask, .delivery.fn = deliver, .resolver = rs, .key_size = size
	};
	memcpy(q->key, key, size);
	q->service = q->key + strlen(q->key) + 1;
	an__list_init(&q->work.node);
	an__list_push(&rs->queries, &q->node);
	r = an__workers_submit(&workers, &q->work);
	if (r < 0) {
		an__list_remove(&q->node);
		free(q);
		return r;
	}
	*ret = q;
	return 0;
}

/* The last one to leave lets the loop go; the query goes on for the cache. */
static void asker_left(an__waiter *w)
{
	struct query *q = an__container(w, struct asker, waiter)->query;

	if (!--q->asker_count)
		an__loop_release(q->resolver->loop);
}

static int join_query(struct query *q, an_addresses **ret)
{
	struct asker me = { .query = q };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!q->asker_count++)
		an__loop_hold(q->resolver->loop);
	r = an__wait_with(&me.waiter, &q->askers, AN_FOREVER, asker_left,
			  &for_name);
	if (r == 0)
		*ret = me.found;
	return r;
}

/* ---- the resolver ---------------------------------------------------------------- */

static void resolver_free(void *value)
{
	struct resolver *rs = value;
	bool last;
	an__list *n;

	pthread_mutex_lock(&process_lock);
	while ((n = an__list_pop(&rs->queries))) {
		struct query *q = an__container(n, struct query, node);

		/* A posted one is still to be delivered, and finds that it has no one. */
		q->state = QUERY_ORPHANED;
		if (an__workers_recall(&workers, &q->work))
			query_free(q);
	}
	last = !--resolvers;
	pthread_mutex_unlock(&process_lock);
	while (!an__list_empty(&rs->cache))
		forget(rs, an__container(rs->cache.next, struct cached, node));
	free(rs);
	if (last)
		an__workers_stop(&workers, false);
}

static struct resolver *resolver_of(an_loop *loop)
{
	struct resolver *rs = an__loop_local(loop, AN__LOCAL_DNS);

	if (rs)
		return rs;
	rs = an__calloc(1, sizeof *rs);
	if (!rs)
		return NULL;
	an__fork_hook_add(&fork_hook);
	rs->loop = loop;
	an__list_init(&rs->queries);
	an__list_init(&rs->cache);
	an_semaphore_init(&rs->room, QUERIES_MAX, 0);
	pthread_mutex_lock(&process_lock);
	resolvers++;
	pthread_mutex_unlock(&process_lock);
	an__loop_set_local(loop, AN__LOCAL_DNS, rs, resolver_free);
	return rs;
}

/* Answers from the cache, or *ret_query is the one to join. */
static int find(struct resolver *rs, const char *key, size_t size, an_addresses **ret,
		struct query **ret_query)
{
	struct cached *c = look_up(rs, key, size);

	*ret_query = NULL;
	if (c)
		return c->error ? c->error : copy_addresses(c->found, ret);
	*ret_query = find_query(rs, key, size);
	return 0;
}

static int ask_for(struct resolver *rs, const char *key, size_t size, an_addresses **ret)
{
	struct query *q;
	int r = find(rs, key, size, ret, &q);

	if (r < 0 || *ret)
		return r;
	if (q)
		return join_query(q, ret);
	r = an_semaphore_acquire(&rs->room);
	if (r < 0)
		return r;
	/* Another may have asked the same while this one stood in line. */
	r = find(rs, key, size, ret, &q);
	if (r == 0 && !*ret && !q) {
		r = new_query(rs, key, size, &q);
		if (r == 0)
			return join_query(q, ret);
	}
	an_semaphore_release(&rs->room);
	if (r == 0 && q)
		r = join_query(q, ret);
	return r;
}

int an_resolve(const char *host, const char *service, an_addresses **ret)
{
	an_addresses *found = NULL;
	struct resolver *rs;
	size_t host_size, service_size;
	char *key;
	int r = an__wait_check();

	if (r < 0)
		return r;
	r = an__resolve_inline(host, service, false, ret);
	if (r != -ENOENT)
		return r;
	rs = resolver_of(an_loop_current());
	host_size = strlen(host) + 1;
	service_size = strlen(service) + 1;
	key = rs ? an__malloc(host_size + service_size) : NULL;
	if (!key)
		return -ENOMEM;
	memcpy(key, host, host_size);
	memcpy(key + host_size, service, service_size);
	r = ask_for(rs, key, host_size + service_size, &found);
	free(key);
	if (r == 0)
		*ret = found;
	return r;
}
