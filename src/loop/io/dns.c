/* Names, resolved by getaddrinfo on threads of their own. L3.
 *
 * getaddrinfo knows all that the machine's administrator set up (nsswitch, hosts,
 * search lists) but can block for half a minute and cannot be interrupted: hence its
 * own threads, apart from those that read files, and queries that their askers can
 * leave.
 *
 * For each loop: the queries under way, one for each (family, host, service), and a
 * cache; the threads are the process's. A query belongs to its thread and its loop in
 * common, then to its askers:
 *
 *	ASKED --the thread posts--> POSTED --delivered--> ANSWERED --all left--> freed
 *	ASKED --the loop ends-----> ORPHANED --the thread--> freed
 *	POSTED --the loop ends----> ORPHANED --delivered---> freed
 *	ASKED --the last asker leaves before a thread has begun--> freed
 *
 * `state` changes under process_lock up to POSTED; a thread posts under it, so that no
 * loop ends in between. The loop's thread looks at it when the query is delivered, and at
 * `answered` before. While a query has askers and no answer the loop is held: a
 * virtual clock must not pass over it.
 *
 * One query asks for both families, since only then does getaddrinfo sort them (RFC 6724,
 * gai.conf). It has an answer when the server has answered for both: one that drops
 * questions for AAAA, as some do, makes it wait 15 s by default. So who connects has
 * patience (RFC 8305 section 3) and then asks for each family beside, too: the first of
 * them is enough to begin with.
 */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/net.h>
#include <asyncnet/sync.h>

#include "loop/base/alloc.h"
#include "loop/base/clock.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"
#include "loop/io/dns.h"
#include "loop/io/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const an__wait_kind for_name = { .what = "a host name" };

/* Of the process, started when all others are busy: those that wait for a server that
 * does not answer must not hold up other names. */
#define THREADS 16
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
	QUERY_ANSWERED,
	QUERY_ORPHANED,
};

/* What is asked for; compared byte by byte. */
struct key {
	size_t size;
	const char *data; /* the family's letter, host, 0, service, 0 */
};

struct query {
	an__work work;
	an__post_node delivery;
	an__list node; /* in resolver->queries, until it is answered */
	struct resolver *resolver;
	enum query_state state;
	bool answered; /* for the loop's thread, which shares `state` with the other */
	an__waiters askers;
	size_t asker_count; /* also those that were woken and have not run yet */
	an_duration asked;
	bool outdated; /* an_resolve_flush() came after it: for its askers alone */
	int error;
	an_addresses *found;
	struct key key;
	char text[]; /* the key's */
};

struct cached {
	an__list node; /* in resolver->cache */
	an_duration expires;
	int error;
	an_addresses *found;
	size_t key_size;
	char key[]; /* as struct key's data */
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

static struct cached *look_up(struct resolver *rs, struct key key)
{
	for (an__list *n = rs->cache.next; n != &rs->cache; n = n->next) {
		struct cached *c = an__container(n, struct cached, node);

		if (c->key_size != key.size || memcmp(c->key, key.data, key.size) != 0)
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

	if (q->outdated || (q->error && q->error != AN_ERR_NAME))
		return;
	c = an__malloc(sizeof *c + q->key.size);
	if (!c)
		return;
	*c = (struct cached){ .error = q->error, .key_size = q->key.size };
	if (!q->error && copy_addresses(q->found, &c->found) < 0) {
		free(c);
		return;
	}
	memcpy(c->key, q->key.data, q->key.size);
	c->expires = an_now() + (q->error ? TTL_NOT_FOUND : TTL_FOUND);
	an__list_push_front(&rs->cache, &c->node);
	if (++rs->cache_count > CACHE_MAX)
		forget(rs, an__container(rs->cache.prev, struct cached, node));
}

/* ---- a query, on its thread ------------------------------------------------------ */

static int family_of(char letter)
{
	return letter == '4' ? AF_INET : letter == '6' ? AF_INET6 : AF_UNSPEC;
}

static char letter_of(int family)
{
	return family == AF_INET ? '4' : family == AF_INET6 ? '6' : '-';
}

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
		/* No limit of anybody's here has expired. */
		return errno && errno != ETIMEDOUT ? -errno : AN_ERR_NAME_AGAIN;
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
	const char *host = q->text + 1, *service = host + strlen(host) + 1;
	struct addrinfo *list = NULL;
	bool orphaned;
	int r;

	errno = 0;
	hints.ai_family = family_of(q->text[0]);
	r = an__dns_getaddrinfo(host, service, &hints, &list);
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

/* A task's interest in a query, on its stack. */
struct asker {
	an__waiter waiter;
	struct query *query; /* NULL: it has left */
	an_addresses *found; /* its own copy */
};

/* Returns the result. */
static int take_answer(struct asker *a)
{
	const struct query *q = a->query;

	return q->error ? q->error : copy_addresses(q->found, &a->found);
}

static void answer(struct query *q)
{
	an__waiter *w;

	while ((w = an__waiters_first(&q->askers)))
		an__wake(w, take_answer(an__container(w, struct asker, waiter)));
}

static void deliver(an__post_node *node)
{
	struct query *q = an__container(node, struct query, delivery);
	struct resolver *rs = q->resolver;

	if (q->state == QUERY_POSTED) {
		q->state = QUERY_ANSWERED;
		q->answered = true;
		an__list_remove(&q->node);
		remember(rs, q);
		answer(q);
		if (q->asker_count)
			an__loop_release(rs->loop);
		an_semaphore_release(&rs->room);
	}
	if (!q->asker_count)
		query_free(q);
}

static struct query *find_query(struct resolver *rs, struct key key)
{
	for (an__list *n = rs->queries.next; n != &rs->queries; n = n->next) {
		struct query *q = an__container(n, struct query, node);

		if (!q->outdated && q->key.size == key.size &&
		    !memcmp(q->text, key.data, key.size))
			return q;
	}
	return NULL;
}

/* Starts one; room has been acquired. */
static int new_query(struct resolver *rs, struct key key, struct query **ret)
{
	struct query *q = an__malloc(sizeof *q + key.size);
	int r;

	if (!q)
		return -ENOMEM;
	*q = (struct query){
		.work.run = ask,
		.delivery.fn = deliver,
		.resolver = rs,
		.asked = an_now(),
		.key = { key.size, q->text },
	};
	memcpy(q->text, key.data, key.size);
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

static void join(struct asker *a, struct query *q)
{
	*a = (struct asker){ .query = q };
	if (!q->asker_count++)
		an__loop_hold(q->resolver->loop);
}

/* What a thread has begun goes on for the cache; what none has, nobody wants any more. */
static void leave(struct asker *a)
{
	struct query *q = a->query;

	a->query = NULL;
	if (!q || --q->asker_count)
		return;
	if (q->answered) {
		query_free(q);
		return;
	}
	an__loop_release(q->resolver->loop);
	if (an__workers_recall(&workers, &q->work)) {
		an__list_remove(&q->node);
		an_semaphore_release(&q->resolver->room);
		query_free(q);
	}
}

/* Parks until one of those that have not left is answered. Returns its index; -ETIMEDOUT
 * at the deadline; -ECANCELED. */
static int await_answer(struct asker *askers, size_t count, an_duration deadline)
{
	an__waiter *ws[3];
	size_t n = 0, which[3];
	int r;

	for (size_t i = 0; i < count; i++) {
		struct query *q = askers[i].query;

		if (!q)
			continue;
		/* Maybe in the turn in which another woke this task. */
		if (q->answered) {
			askers[i].waiter.result = take_answer(&askers[i]);
			return (int)i;
		}
		askers[i].waiter = (an__waiter){ .queue = &q->askers };
		which[n] = i;
		ws[n++] = &askers[i].waiter;
	}
	r = an__wait_many(ws, n, deadline, &for_name);
	return r < 0 ? r : (int)which[r];
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
static int find(struct resolver *rs, struct key key, an_addresses **ret,
		struct query **ret_query)
{
	struct cached *c = look_up(rs, key);

	*ret_query = NULL;
	if (c)
		return c->error ? c->error : copy_addresses(c->found, ret);
	*ret_query = find_query(rs, key);
	return 0;
}

/* The same, but when there is no query yet one is started. Without room for it, suspends
 * if it may `wait` in line, else returns -EAGAIN. */
static int find_or_start(struct resolver *rs, struct key key, bool wait,
			 an_addresses **ret, struct query **ret_query)
{
	int r = find(rs, key, ret, ret_query);

	if (r < 0 || *ret || *ret_query)
		return r;
	r = wait ? an_semaphore_acquire(&rs->room) : an_semaphore_tryacquire(&rs->room);
	if (r < 0)
		return r;
	/* Another may have asked the same while this one stood in line. */
	r = find(rs, key, ret, ret_query);
	if (r == 0 && !*ret && !*ret_query) {
		r = new_query(rs, key, ret_query);
		if (r == 0)
			return 0;
	}
	an_semaphore_release(&rs->room);
	return r;
}

/* For an asker whose patience is over: askers[1] and [2] join queries for one family
 * each, unless one's answer is known. What fails here is not missed. */
static void ask_each_family(struct resolver *rs, char *text, size_t size,
			    struct asker *askers, an_addresses **ret)
{
	static const int families[] = { AF_UNSPEC, AF_INET6, AF_INET };

	for (size_t i = 1; i < 3 && !*ret; i++) {
		struct query *q = NULL;

		text[0] = letter_of(families[i]);
		if (find_or_start(rs, (struct key){ size, text }, false, ret, &q) == 0 &&
		    q)
			join(&askers[i], q);
	}
}

/* Until the first has an answer, or one of the others has addresses. */
static int await_first(struct asker *askers, an_addresses **ret, bool *ret_all)
{
	int i;

	while ((i = await_answer(askers, 3, AN_FOREVER)) >= 0) {
		int r = askers[i].waiter.result;

		if (r == 0 || i == 0) {
			*ret = askers[i].found;
			*ret_all = i == 0;
			return r;
		}
		leave(&askers[i]);
	}
	return i;
}

/* `text` is the key's, whose first letter this may change. */
static int ask_for(struct resolver *rs, char *text, size_t size, an_duration patience,
		   an_addresses **ret, bool *ret_all)
{
	struct asker askers[3] = { { .query = NULL } };
	struct query *q;
	int r = find_or_start(rs, (struct key){ size, text }, true, ret, &q);

	*ret_all = true;
	if (r < 0 || *ret)
		return r;
	join(&askers[0], q);
	r = await_answer(askers, 1, an__duration_add(q->asked, patience));
	if (r == 0) {
		r = askers[0].waiter.result;
		*ret = askers[0].found;
	} else if (r == -ETIMEDOUT) {
		ask_each_family(rs, text, size, askers, ret);
		*ret_all = !*ret;
		r = *ret ? 0 : await_first(askers, ret, ret_all);
	}
	for (size_t i = 0; i < 3; i++)
		leave(&askers[i]);
	return r;
}

/* ---- the calls ------------------------------------------------------------------- */

static int keep_family(an_addresses *a, int family)
{
	size_t n = 0;

	for (size_t i = 0; i < a->count; i++)
		if (family == AF_UNSPEC || a->list[i].storage.ss_family == family)
			a->list[n++] = a->list[i];
	a->count = n;
	return n ? 0 : AN_ERR_NAME;
}

int an__resolve_soon(const char *host, const char *service, int family,
		     an_duration patience, an_addresses **ret, bool *ret_all)
{
	an_addresses *found = NULL;
	struct resolver *rs;
	size_t host_size, service_size;
	char *text;
	int r = an__wait_check();

	if (r < 0)
		return r;
	r = an__resolve_inline(host, service, false, &found);
	if (r == -ENOENT) {
		rs = resolver_of(an_loop_current());
		host_size = strlen(host) + 1;
		service_size = strlen(service) + 1;
		text = rs ? an__malloc(1 + host_size + service_size) : NULL;
		if (!text)
			return -ENOMEM;
		text[0] = letter_of(family);
		memcpy(text + 1, host, host_size);
		memcpy(text + 1 + host_size, service, service_size);
		r = ask_for(rs, text, 1 + host_size + service_size,
			    family == AF_UNSPEC ? patience : AN_FOREVER, &found, ret_all);
		free(text);
	} else if (r == 0) {
		*ret_all = true;
		r = keep_family(found, family);
	}
	if (r == 0)
		*ret = found;
	else
		an_addresses_free(found);
	return r;
}

int an_resolve(const char *host, const char *service, an_addresses **ret)
{
	bool all;

	return an__resolve_soon(host, service, AF_UNSPEC, AN_FOREVER, ret, &all);
}

void an_resolve_flush(void)
{
	an_loop *loop = an_loop_current();
	struct resolver *rs = loop ? an__loop_local(loop, AN__LOCAL_DNS) : NULL;

	if (!rs)
		return;
	while (!an__list_empty(&rs->cache))
		forget(rs, an__container(rs->cache.next, struct cached, node));
	for (an__list *n = rs->queries.next; n != &rs->queries; n = n->next)
		an__container(n, struct query, node)->outdated = true;
}
