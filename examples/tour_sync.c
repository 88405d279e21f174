/* tour_sync [--virtual]: a tour of what tasks agree by, the second chapter of asyncio's
 * guides, in C. To be read in this order:
 *
 *	tour_sync.c        lock, semaphore, event, condition, barrier, read-write lock
 *	tour_sync_queue.c  queues, and the queue between threads
 *	tour_sync_pool.c   a pool of connections, guarded by a semaphore
 *
 * All of these are for the tasks of one loop, which share one thread: no two of them run
 * at once, and data may change only where a task waits. A lock is for what must stay as
 * it is over such a wait.
 */
#include "tour.h"

#include <errno.h>

/* ---- lock -------------------------------------------------------------------------- */

struct account {
	an_mutex lock;
	int balance;
	bool locked; /* whether those who pay in use the lock */
};

/* Reads, waits, writes: what another task wrote meanwhile would be lost. */
static int add_one(struct account *account)
{
	int balance = account->balance;
	int r = an_sleep(10 * AN_MILLISECOND);

	if (!r)
		account->balance = balance + 1;
	return r;
}

/* async with lock: ... Whatever the work returns, what was locked is unlocked. */
static int pay_in(void *arg)
{
	struct account *account = arg;
	int r;

	if (!account->locked)
		return add_one(account);
	r = an_mutex_lock(&account->lock);
	if (r) /* cancelled while it waited, so there is nothing to unlock */
		return r;
	r = add_one(account);
	an_mutex_unlock(&account->lock);
	return r;
}

static int pay_in_five_times(bool locked)
{
	struct account account = { AN_MUTEX_INIT, 0, locked };
	an_group group;
	int r;

	an_group_begin(&group);
	for (int i = 0; i < 5; i++)
		an_group_fail(&group, an_group_spawn(&group, pay_in, &account));
	r = an_group_end(&group);
	tour_say("%s a lock, after five times: %d", locked ? "with" : "without",
		 account.balance);
	return r;
}

static int lock(void *arg)
{
	int r = pay_in_five_times(false);

	(void)arg;
	return r ? r : pay_in_five_times(true);
}

/* Misuse is an error code, and does no harm. */
static int misuse_a_lock(void *arg)
{
	an_mutex lock = AN_MUTEX_INIT;
	int r;

	(void)arg;
	tour_say("unlock what is not held: %s", tour_code(an_mutex_unlock(&lock)));
	r = an_mutex_lock(&lock);
	if (r)
		return r;
	tour_say("lock it twice: %s", tour_code(an_mutex_lock(&lock)));
	tour_say("locked: %s", an_mutex_locked(&lock) ? "yes" : "no");
	return an_mutex_unlock(&lock);
}

/* ---- semaphore --------------------------------------------------------------------- */

static an_semaphore two = AN_SEMAPHORE_INIT(2, 0);

/* async with semaphore: ... */
static int work_with_a_permit(void *work)
{
	int r = an_semaphore_acquire(&two);

	if (r)
		return r;
	r = tour_work(work);
	an_semaphore_release(&two);
	return r < 0 ? r : 0;
}

/* At most two at once, however many there are: the way to a degree of concurrency that
 * the other side can bear. */
static int semaphore(void *arg)
{
	struct tour_work works[] = {
		{ "one", 20 * AN_MILLISECOND, 1 },
		{ "two", 30 * AN_MILLISECOND, 2 },
		{ "three", 20 * AN_MILLISECOND, 3 },
		{ "four", 20 * AN_MILLISECOND, 4 },
	};
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (size_t i = 0; i < 4; i++)
		an_group_fail(&group,
			      an_group_spawn(&group, work_with_a_permit, &works[i]));
	return an_group_end(&group);
}

/* asyncio.BoundedSemaphore: a permit that is given back twice is a mistake, and seen. */
static int bounded_semaphore(void *arg)
{
	an_semaphore plain, bounded;

	(void)arg;
	an_semaphore_init(&plain, 1, 0);
	an_semaphore_init(&bounded, 1, 1);
	tour_say("without a bound: %s", tour_code(an_semaphore_release(&plain)));
	tour_say("now there are %zu", an_semaphore_value(&plain));
	tour_say("with a bound: %s", tour_code(an_semaphore_release(&bounded)));
	tour_say("still there is %zu", an_semaphore_value(&bounded));
	tour_say("take it: %s", tour_code(an_semaphore_tryacquire(&bounded)));
	tour_say("take another: %s", tour_code(an_semaphore_tryacquire(&bounded)));
	return an_semaphore_release(&bounded);
}

/* ---- event ------------------------------------------------------------------------- */

static int wait_for_the_start(void *arg)
{
	int r = an_event_wait(arg);

	if (!r)
		tour_say("%s runs", an_task_name(an_current()));
	return r;
}

static int fire(void *arg)
{
	int r = an_sleep(10 * AN_MILLISECOND);

	if (r)
		return r;
	tour_say("the start");
	an_event_set(arg);
	an_event_clear(arg); /* those who waited run all the same */
	return 0;
}

/* A flag: set, it lets all through, until it is cleared. */
static int event(void *arg)
{
	static const an_task_opts ann = { .name = "Ann" }, ben = { .name = "Ben" };
	an_event start = AN_EVENT_INIT;
	an_group group;
	int r;

	(void)arg;
	an_group_begin(&group);
	an_group_fail(&group,
		      an_group_spawn_with(&group, wait_for_the_start, &start, &ann));
	an_group_fail(&group,
		      an_group_spawn_with(&group, wait_for_the_start, &start, &ben));
	an_group_fail(&group, an_group_spawn(&group, fire, &start));
	r = an_group_end(&group);
	tour_say("set: %s", an_event_is_set(&start) ? "yes" : "no");
	return r;
}

/* ---- condition --------------------------------------------------------------------- */

struct shop {
	an_mutex lock;
	an_condition baked;
	int loaves;
};

static bool has_a_loaf(void *arg)
{
	struct shop *shop = arg;

	return shop->loaves > 0;
}

/* async with condition: await condition.wait_for(predicate). The predicate is asked anew
 * each time, since one who was quicker may have bought the loaf; the lock is held again
 * whatever an_condition_wait_for() returns. */
static int buy(void *arg)
{
	struct shop *shop = arg;
	int r = an_mutex_lock(&shop->lock);

	if (r)
		return r;
	r = an_condition_wait_for(&shop->baked, &shop->lock, has_a_loaf, shop);
	if (!r)
		tour_say("%s buys, %d left", an_task_name(an_current()), --shop->loaves);
	an_mutex_unlock(&shop->lock);
	return r;
}

static int bake(struct shop *shop, int loaves)
{
	int r = an_sleep(10 * AN_MILLISECOND);

	if (!r)
		r = an_mutex_lock(&shop->lock);
	if (r)
		return r;
	shop->loaves += loaves;
	return 0;
}

/* notify(n) wakes the first n, notify_all() all; both while the lock is held, so that
 * nobody can come in between. */
static int sell(void *arg)
{
	struct shop *shop = arg;
	int r = bake(shop, 1);

	if (r)
		return r;
	tour_say("one loaf: %zu woken", an_condition_notify(&shop->baked, 1));
	an_mutex_unlock(&shop->lock);
	r = bake(shop, 3);
	if (r)
		return r;
	tour_say("three loaves: %zu woken", an_condition_notify_all(&shop->baked));
	an_mutex_unlock(&shop->lock);
	return 0;
}

static int condition(void *arg)
{
	static const char *const names[] = { "Ann", "Ben", "Cyd" };
	struct shop shop = { AN_MUTEX_INIT, AN_CONDITION_INIT, 0 };
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (size_t i = 0; i < 3; i++)
		an_group_fail(&group,
			      an_group_spawn_with(&group, buy, &shop,
						  &(an_task_opts){ .name = names[i] }));
	an_group_fail(&group, an_group_spawn(&group, sell, &shop));
	return an_group_end(&group);
}

/* ---- barrier ----------------------------------------------------------------------- */

static int hike(void *arg)
{
	an_barrier *barrier = arg;
	size_t index;
	int r = an_barrier_wait(barrier, &index);

	if (r)
		tour_say("%s: %s", an_task_name(an_current()), tour_code(r));
	else
		tour_say("%s goes on, index %zu", an_task_name(an_current()), index);
	return r == AN_ERR_BROKEN ? 0 : r;
}

/* `count` hikers set out, and those who wait after 10 ms are disturbed by `disturb`. */
static int hike_together(an_barrier *barrier, size_t count, void (*disturb)(an_barrier *))
{
	static const char *const names[] = { "Ann", "Ben", "Cyd" };
	an_group group;

	an_group_begin(&group);
	for (size_t i = 0; i < count; i++)
		an_group_fail(&group,
			      an_group_spawn_with(&group, hike, barrier,
						  &(an_task_opts){ .name = names[i] }));
	an_group_fail(&group, an_sleep(10 * AN_MILLISECOND));
	if (disturb)
		disturb(barrier);
	return an_group_end(&group);
}

/* Each of the three gets an index of its own, so that one of them, say 0, can do what has
 * to be done once. Who came last goes on first: only the others were parked. */
static int barrier(void *arg)
{
	an_barrier barrier = AN_BARRIER_INIT(3);
	int r = hike_together(&barrier, 3, NULL);

	(void)arg;
	tour_say("and the same barrier once more");
	return r ? r : hike_together(&barrier, 3, NULL);
}

/* abort() is for good, until reset(); reset() sends away those who wait. */
static int broken_barrier(void *arg)
{
	an_barrier barrier = AN_BARRIER_INIT(3);
	int r;

	(void)arg;
	tour_say("two of three have come; abort");
	r = hike_together(&barrier, 2, an_barrier_abort);
	tour_say("broken: %s; who comes now:",
		 an_barrier_broken(&barrier) ? "yes" : "no");
	if (!r)
		r = hike_together(&barrier, 1, an_barrier_reset);
	tour_say("broken after a reset: %s", an_barrier_broken(&barrier) ? "yes" : "no");
	return r ? r : hike_together(&barrier, 3, NULL);
}

/* ---- read-write lock --------------------------------------------------------------- */

static an_rwlock page = AN_RWLOCK_INIT;

static int reader(void *work)
{
	int r = an_rwlock_read(&page);

	if (r)
		return r;
	r = tour_work(work);
	an_rwlock_unlock(&page);
	return r < 0 ? r : 0;
}

static int writer(void *work)
{
	int r = an_rwlock_write(&page);

	if (r)
		return r;
	r = tour_work(work);
	an_rwlock_unlock(&page);
	return r < 0 ? r : 0;
}

/* asyncio has none. Readers read together, a writer is alone, and nobody is overtaken:
 * a reader that comes behind a waiting writer waits, too. */
static int read_write_lock(void *arg)
{
	struct tour_work works[] = {
		{ "reader 1", 20 * AN_MILLISECOND, 0 },
		{ "reader 2", 20 * AN_MILLISECOND, 0 },
		{ "writer", 10 * AN_MILLISECOND, 0 },
		{ "reader 3", 20 * AN_MILLISECOND, 0 },
	};
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (size_t i = 0; i < 4; i++)
		an_group_fail(&group, an_group_spawn(&group, i == 2 ? writer : reader,
						     &works[i]));
	return an_group_end(&group);
}

/* ---- the tour ---------------------------------------------------------------------- */

const struct tour_section tour_sync_locks[] = {
	{ "Lock", .task = lock },
	{ "Lock: misuse", .task = misuse_a_lock },
	{ "Semaphore", .task = semaphore },
	{ "Bounded semaphore", .task = bounded_semaphore },
	{ "Event", .task = event },
	{ "Condition: wait for, notify, notify all", .task = condition },
	{ "Barrier", .task = barrier },
	{ "Barrier: abort and reset", .task = broken_barrier },
	{ "Read-write lock", .task = read_write_lock },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct tour_chapter chapters[] = {
		{ "Locks and signals", tour_sync_locks },
		{ "Queues", tour_sync_queues },
		{ "A pool of connections", tour_sync_pool },
		{ 0 },
	};

	return tour_main(argc, argv, chapters);
}
