/* The third chapter of tour_sync: a pool of connections, guarded by a semaphore, which is
 * where the guides' second chapter leads to.
 *
 * The guides' sample takes the semaphore inside of the function that lends a connection,
 *
 *	async def get_connection(self):
 *		async with self.semaphore:
 *			return self.connections.pop()
 *
 * and so gives the permit back before the connection is used: it guards the pop alone,
 * any number of tasks get past it, and the third one pops from an empty list. Here the
 * permit is held for exactly as long as the connection is: taken in pool_acquire(), given
 * back in pool_release().
 *
 * an_pg_pool (asyncnet/pg.h) is a pool for real connections, made in the same way.
 */
#include "tour.h"

#include <errno.h>

enum { CONNECTIONS = 2, USERS = 5 };

struct connection {
	char name[16];
	unsigned queries;
};

struct pool {
	an_semaphore permits;
	struct connection *idle[CONNECTIONS];
	size_t idle_count;
	size_t used, used_at_most;
};

static void pool_init(struct pool *pool, struct connection *connections)
{
	*pool = (struct pool){ .idle_count = CONNECTIONS };
	an_semaphore_init(&pool->permits, CONNECTIONS, CONNECTIONS);
	for (size_t i = 0; i < CONNECTIONS; i++)
		pool->idle[i] = &connections[CONNECTIONS - 1 - i];
}

/* Lends a connection. Suspends while all are lent; then they go to whoever has waited
 * longest. Who has a permit finds a connection: there are as many of the one as of the
 * other. */
static AN_SUSPENDS int pool_acquire(struct pool *pool, struct connection **ret)
{
	int r = an_semaphore_acquire(&pool->permits);

	if (r)
		return r;
	*ret = pool->idle[--pool->idle_count];
	if (++pool->used > pool->used_at_most)
		pool->used_at_most = pool->used;
	return 0;
}

/* Takes it back: first the connection, then the permit, since the next one may be handed
 * it at once. Does not suspend, so that it can be called on every way out. */
static void pool_release(struct pool *pool, struct connection *connection)
{
	pool->used--;
	pool->idle[pool->idle_count++] = connection;
	an_semaphore_release(&pool->permits);
}

struct user {
	struct pool *pool;
	int number;
};

static int query(struct connection *connection, int number)
{
	int r;

	tour_say("user %d has %s", number, connection->name);
	r = an_sleep(20 * AN_MILLISECOND);
	if (!r)
		connection->queries++;
	return r;
}

static int use_a_connection(void *arg)
{
	struct user *user = arg;
	struct connection *connection;
	int r = pool_acquire(user->pool, &connection);

	if (r) {
		tour_say("user %d has none: %s", user->number, tour_code(r));
		return r;
	}
	r = query(connection, user->number);
	pool_release(user->pool, connection);
	return r;
}

static int use_the_pool(struct pool *pool)
{
	struct user users[USERS];
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < USERS; i++) {
		users[i] = (struct user){ pool, i + 1 };
		an_group_fail(&group,
			      an_group_spawn(&group, use_a_connection, &users[i]));
	}
	return an_group_end(&group);
}

static void say_state(const struct pool *pool)
{
	tour_say("idle: %zu, permits: %zu, lent at once: at most %zu", pool->idle_count,
		 an_semaphore_value(&pool->permits), pool->used_at_most);
}

static int five_users_two_connections(void *arg)
{
	struct connection connections[CONNECTIONS] = { { "first", 0 }, { "second", 0 } };
	struct pool pool;
	int r;

	(void)arg;
	pool_init(&pool, connections);
	r = use_the_pool(&pool);
	say_state(&pool);
	tour_say("queries: %u and %u", connections[0].queries, connections[1].queries);
	return r;
}

/* The time is over for all: some use a connection, some wait for one. What was lent comes
 * back, and nothing is lost on the way to those who waited. */
static int nothing_is_lost(void *arg)
{
	struct connection connections[CONNECTIONS] = { { "first", 0 }, { "second", 0 } };
	struct pool pool;
	an_timeout limit;
	int r;

	(void)arg;
	pool_init(&pool, connections);
	an_timeout_begin(&limit, 30 * AN_MILLISECOND);
	r = an_timeout_end(&limit, use_the_pool(&pool));
	tour_say("all of them: %s", tour_code(r));
	say_state(&pool);
	return r == -ETIMEDOUT ? 0 : r;
}

const struct tour_section tour_sync_pool[] = {
	{ "Five users, two connections", .task = five_users_two_connections },
	{ "A limit on time, and nothing is lost", .task = nothing_is_lost },
	{ 0 },
};
