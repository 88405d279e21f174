/* Ten thousand tasks on all primitives at once, cancelled at random, in orders drawn from
 * a seed.
 *
 * The tasks live in worlds, each with one primitive of each kind. A task does a few
 * things that are drawn by lot: takes and releases, puts and gets, waits, alone, in
 * groups, under limits and shields. Others cancel it meanwhile: the main task anybody,
 * and whoever releases something the one who gets it, just before or just after.
 *
 * Looked at are
 *  - at each step, what a primitive promises (one owner, no more inside than permits);
 *  - whenever all tasks wait, that each is right to do so: nobody waits for what is free.
 *    A wake-up that was lost shows here;
 *  - at the end, when all have been cancelled and joined, that everything is back and
 *    every item was taken once. Items are from malloc(), for the sanitizers' sake;
 *  - that there is an end: a main task that cannot be woken is AN_ERR_STUCK.
 *
 * AN_TORTURE_SECONDS=60 goes on for a minute, with one seed after the other; without it,
 * there are as many rounds as take a second or two. The seed is printed; AN_SEED repeats.
 */
#include "tests/support/run.h"

#include "loop/core/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { WORLDS = 50, PARTIES = 3, PERMITS = 3, QUEUES = 4, TASKS = 10000, DEPTH = 3 };

struct item {
	int rank;
	bool taken;
};

struct world {
	an_mutex mutex;
	int owners;
	an_rwlock rwlock;
	int readers, writers;
	an_semaphore semaphore;
	int inside;
	an_event event;
	an_mutex guard; /* of the tokens */
	an_condition condition;
	long tokens, produced, consumed;
	an_barrier barrier;
	long passed[PARTIES];
	an_queue queues[QUEUES];
	an_thread_queue *crossing;
	long put, got;
};

/* How many kinds of queues are in use: with or without the one between threads. Who waits
 * there may be woken by a thread, for which the clock waits at each jump. */
static unsigned queue_kinds;
static struct world worlds[WORLDS];
static an_task *tasks[TASKS];
static size_t task_count;
static long faults, alive;

/* What has come to pass in all rounds: a torture that nobody feels proves nothing. */
static struct {
	long tasks, items, tokens, meetings, permits, cancelled;
} tally;

/* ---- chance ------------------------------------------------------------------------ */

static uint64_t chance;

static unsigned draw(unsigned n)
{
	uint64_t z = chance += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (unsigned)((z ^ (z >> 31)) % n);
}

/* What is wrong is said at once and counted; the run goes on and fails at its end. */
#define HOLDS(condition) \
	do { \
		if (!(condition) && faults++ < 20) \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, \
				__LINE__, #condition); \
	} while (0)

static bool one_of(int r, int a, int b, int c)
{
	return r == a || r == b || r == c;
}

/* ---- the adversary ----------------------------------------------------------------- */

static an_task *next_of(const an__waiters *q)
{
	const an__waiter *w = an__waiters_first(q);

	return w ? w->task : NULL;
}

/* Around a release: now and then who waits first is cancelled, before it is granted what
 * is released, or right after. */
struct meddling {
	an_task *with;
	unsigned when;
};

static struct meddling meddle(const an__waiters *q)
{
	struct meddling m = { next_of(q), draw(6) };

	if (m.when == 0)
		an_cancel(m.with);
	return m;
}

static void meddle_after(struct meddling m)
{
	if (m.when == 1)
		an_cancel(m.with);
}

/* ---- one thing at a time ----------------------------------------------------------- */

static int pauses(void)
{
	switch (draw(4)) {
	case 0:
		return an_yield();
	case 1:
		return an_sleep(draw(1000) * AN_MICROSECOND);
	case 2:
		return an_check();
	}
	return 0;
}

static int locks(struct world *w)
{
	int r = draw(4) ? an_mutex_lock(&w->mutex) : an_mutex_trylock(&w->mutex);
	struct meddling m;

	if (r < 0) {
		HOLDS(r == -ECANCELED || r == -EBUSY);
		return r;
	}
	HOLDS(w->owners++ == 0);
	HOLDS(an_mutex_lock(&w->mutex) < 0); /* -EDEADLK, or cancelled */
	r = pauses();
	HOLDS(--w->owners == 0);
	m = meddle(&w->mutex.waiters);
	HOLDS(an_mutex_unlock(&w->mutex) == 0);
	meddle_after(m);
	HOLDS(an_mutex_unlock(&w->mutex) == -EPERM);
	return r;
}

static void leaves_rwlock(struct world *w)
{
	struct meddling m = meddle(&w->rwlock.waiters);

	HOLDS(an_rwlock_unlock(&w->rwlock) == 0);
	meddle_after(m);
}

static int reads(struct world *w)
{
	int r = draw(4) ? an_rwlock_read(&w->rwlock) : an_rwlock_tryread(&w->rwlock);

	if (r < 0) {
		HOLDS(r == -ECANCELED || r == -EBUSY);
		return r;
	}
	w->readers++;
	HOLDS(w->writers == 0);
	r = pauses();
	HOLDS(w->writers == 0);
	w->readers--;
	leaves_rwlock(w);
	return r;
}

static int writes(struct world *w)
{
	int r = draw(4) ? an_rwlock_write(&w->rwlock) : an_rwlock_trywrite(&w->rwlock);

	if (r < 0) {
		HOLDS(r == -ECANCELED || r == -EBUSY);
		return r;
	}
	HOLDS(w->writers++ == 0 && w->readers == 0);
	r = pauses();
	HOLDS(--w->writers == 0 && w->readers == 0);
	leaves_rwlock(w);
	return r;
}

static int enters(struct world *w)
{
	int r = an_semaphore_acquire(&w->semaphore);
	struct meddling m;

	if (r < 0) {
		HOLDS(r == -ECANCELED);
		return r;
	}
	HOLDS(++w->inside <= PERMITS);
	tally.permits++;
	r = pauses();
	w->inside--;
	m = meddle(&w->semaphore.waiters);
	HOLDS(an_semaphore_release(&w->semaphore) == 0);
	meddle_after(m);
	return r;
}

static int waits_for_event(struct world *w)
{
	return an_event_wait(&w->event);
}

static int sets_event(struct world *w)
{
	struct meddling m = meddle(&w->event.waiters);

	an_event_set(&w->event);
	meddle_after(m);
	HOLDS(an__waiters_empty(&w->event.waiters));
	if (draw(2))
		an_event_clear(&w->event);
	return 0;
}

static int produces(struct world *w)
{
	int r = an_mutex_lock(&w->guard);
	struct meddling m;

	if (r < 0)
		return r;
	w->tokens++;
	w->produced++;
	m = meddle(&w->condition.waiters);
	an_condition_notify(&w->condition, 1);
	meddle_after(m);
	r = pauses();
	m = meddle(&w->guard.waiters);
	HOLDS(an_mutex_unlock(&w->guard) == 0);
	meddle_after(m);
	return r;
}

static bool has_tokens(void *arg)
{
	return ((struct world *)arg)->tokens > 0;
}

static int consumes(struct world *w)
{
	int r = an_mutex_lock(&w->guard);

	if (r < 0)
		return r;
	r = an_condition_wait_for(&w->condition, &w->guard, has_tokens, w);
	if (r == 0) {
		HOLDS(w->tokens > 0);
		w->tokens--;
		w->consumed++;
	}
	HOLDS(an_mutex_unlock(&w->guard) == 0);
	return r;
}

static int meets(struct world *w)
{
	size_t index = PARTIES;
	int r = an_barrier_wait(&w->barrier, &index);

	if (r == 0) {
		HOLDS(index < PARTIES);
		if (index < PARTIES)
			w->passed[index]++;
	} else {
		HOLDS(r == -ECANCELED && index == PARTIES);
	}
	return r;
}

/* ---- items ------------------------------------------------------------------------- */

static void takes(struct world *w, struct item *item)
{
	HOLDS(!item->taken);
	item->taken = true;
	w->got++;
	free(item);
}

static int puts_to(struct world *w, unsigned which, struct item *item)
{
	an_queue *q = &w->queues[which % QUEUES];
	struct meddling m = meddle(which < QUEUES ? &q->getters : &(an__waiters){ 0 });
	int r;

	if (which == QUEUES)
		r = an_thread_queue_put(w->crossing, item);
	else
		r = draw(4) ? an_queue_put(q, item) : an_queue_tryput(q, item);
	meddle_after((struct meddling){ r < 0 ? NULL : m.with, m.when });
	return r;
}

static int puts_one(struct world *w)
{
	struct item *item = calloc(1, sizeof *item);
	unsigned which = draw(queue_kinds);
	int r;

	item->rank = (int)draw(5);
	r = puts_to(w, which, item);
	if (r == 0) {
		w->put++;
		return 0;
	}
	HOLDS(one_of(r, -ECANCELED, AN_ERR_CLOSED, -EAGAIN) || r == -ENOMEM);
	HOLDS(!item->taken);
	free(item);
	return r;
}

static int gets_one(struct world *w)
{
	unsigned which = draw(queue_kinds);
	an_queue *q = &w->queues[which % QUEUES];
	void *item = NULL;
	int r;

	if (which == QUEUES)
		r = an_thread_queue_get(w->crossing, &item);
	else
		r = draw(4) ? an_queue_get(q, &item) : an_queue_tryget(q, &item);
	if (r < 0) {
		HOLDS(one_of(r, -ECANCELED, AN_ERR_CLOSED, -EAGAIN) && !item);
		return r;
	}
	takes(w, item);
	if (which < QUEUES)
		HOLDS(an_queue_task_done(q) == 0);
	return 0;
}

/* ---- several at once --------------------------------------------------------------- */

static int does_something(struct world *w, int depth);

struct errand {
	struct world *world;
	int depth, result;
	int *alive;
};

static int runs_errand(void *arg)
{
	struct errand *e = arg;
	int r;

	++*e->alive;
	r = does_something(e->world, e->depth + 1);
	--*e->alive;
	if (r == -ECANCELED)
		return r;
	return e->result;
}

static int in_a_group(struct world *w, int depth)
{
	int children = 0, r;
	struct errand good = { w, depth, 0, &children },
		      bad = { w, depth, -EIO, &children };
	an_group group;

	an_group_begin(&group);
	for (unsigned n = 1 + draw(4); n; n--) {
		r = an_group_spawn(&group, runs_errand, draw(8) ? &good : &bad);
		HOLDS(one_of(r, 0, -ECANCELED, -ENOMEM));
	}
	r = draw(2) ? pauses() : 0;
	if (!draw(8))
		an_group_cancel(&group);
	r = an_group_end(&group);
	HOLDS(children == 0);
	HOLDS(one_of(r, 0, -ECANCELED, -EIO));
	return r;
}

static int under_a_limit(struct world *w, int depth)
{
	static const an_duration limits[] = {
		-1, 0, 1, 10 * AN_MICROSECOND, AN_MILLISECOND, 10 * AN_MILLISECOND
	};
	an_timeout limit;
	int inner, r;

	an_timeout_begin(&limit, limits[draw(6)]);
	inner = does_something(w, depth + 1);
	r = an_timeout_end(&limit, inner);
	HOLDS(r == inner || (r == -ETIMEDOUT && inner == -ECANCELED));
	if (r != inner)
		HOLDS(an_timeout_expired(&limit));
	return r;
}

static int behind_a_shield(struct world *w, int depth)
{
	int outside = an_check(), r;
	an_shield shield;

	an_shield_begin(&shield, AN_MILLISECOND);
	HOLDS(an_check() == 0);
	r = does_something(w, depth + 1);
	r = an_shield_end(&shield, r);
	if (outside == -ECANCELED)
		HOLDS(an_check() == -ECANCELED);
	return r;
}

/* What is not consumed is given up, or cancelled and awaited. */
static void let_go(an_task *task)
{
	an_shield shield;

	if (draw(2)) {
		an_detach(task);
		return;
	}
	an_cancel(task);
	an_shield_begin(&shield, AN_FOREVER);
	HOLDS(an_join(task, NULL) == 0);
	HOLDS(an_shield_end(&shield, 0) == 0);
}

/* A detached one may outlive the caller's frame. */
static int wanders(void *arg)
{
	int r;

	alive++;
	r = does_something(arg, DEPTH - 1);
	alive--;
	return r == -ECANCELED ? r : 0;
}

static int joins_one(struct world *w)
{
	an_task_opts opts = { .eager = !draw(4) };
	an_task *task;
	int r = an_spawn(wanders, w, &opts, &task), result = 1;

	if (r < 0) {
		HOLDS(r == -ENOMEM);
		return r;
	}
	if (!draw(4))
		an_cancel(task);
	r = an_join(task, &result);
	if (r < 0)
		let_go(task);
	else
		HOLDS(one_of(result, 0, -ECANCELED, 0));
	return r;
}

static int gathers_some(struct world *w)
{
	an_task *some[3];
	int results[3] = { 1, 1, 1 }, r = 0;
	size_t n = 0;

	while (n < 3 && (r = an_spawn(wanders, w, NULL, &some[n])) == 0)
		n++;
	if (r == 0)
		r = an_gather(some, n, true, results);
	for (size_t i = 0; i < n; i++) {
		if (r < 0)
			let_go(some[i]);
		else
			HOLDS(one_of(results[i], 0, -ECANCELED, 0));
	}
	return r;
}

static int waits_a_while_for_one(struct world *w)
{
	an_duration limit = draw(2000) * AN_MICROSECOND;
	an_task *task;
	int r = an_spawn(wanders, w, NULL, &task);

	if (r < 0)
		return r;
	r = an_wait_for(task, draw(4) ? limit : 0, NULL);
	HOLDS(one_of(r, 0, -ECANCELED, -ETIMEDOUT));
	return r;
}

static int does_something_plain(struct world *w)
{
	static int (*const things[])(struct world *) = {
		locks,	    reads,    writes,	enters,	  waits_for_event,
		sets_event, produces, consumes, meets,	  puts_one,
		gets_one,   puts_one, gets_one, produces, consumes,
	};

	return things[draw(sizeof things / sizeof things[0])](w);
}

static int does_something(struct world *w, int depth)
{
	unsigned what = depth < DEPTH ? draw(16) : 15;

	switch (what) {
	case 0:
		return in_a_group(w, depth);
	case 1:
	case 2:
	case 3:
		return under_a_limit(w, depth);
	case 4:
		return behind_a_shield(w, depth);
	case 5:
		return depth ? pauses() : joins_one(w);
	case 6:
		return depth ? pauses() : gathers_some(w);
	case 7:
		return depth ? pauses() : waits_a_while_for_one(w);
	}
	return does_something_plain(w);
}

static int lives(void *arg)
{
	int r = 0;

	for (unsigned n = 5 + draw(30); n && r != -ECANCELED; n--)
		r = does_something(arg, 0);
	return r == -ECANCELED ? r : 0;
}

/* ---- what must hold ---------------------------------------------------------------- */

static void nobody_waits_for_a_free_item(const an_queue *q)
{
	if (an_queue_count(q) || !an__waiters_empty(&q->putters))
		HOLDS(an__waiters_empty(&q->getters));
	if (an_queue_count(q) < q->capacity)
		HOLDS(an__waiters_empty(&q->putters));
	if (q->closed)
		HOLDS(an__waiters_empty(&q->putters) && an__waiters_empty(&q->getters));
}

/* When every task waits. */
static void nobody_waits_in_vain(const struct world *w)
{
	const an__waiter *first;

	if (!an_mutex_locked(&w->mutex))
		HOLDS(an__waiters_empty(&w->mutex.waiters));
	if (!w->readers && !w->writers)
		HOLDS(an__waiters_empty(&w->rwlock.waiters));
	if (w->readers && (first = an__waiters_first(&w->rwlock.waiters)))
		HOLDS(strstr(first->kind->what, "write"));
	if (an_semaphore_value(&w->semaphore))
		HOLDS(an__waiters_empty(&w->semaphore.waiters));
	HOLDS((long)an_semaphore_value(&w->semaphore) == PERMITS - w->inside);
	if (an_event_is_set(&w->event))
		HOLDS(an__waiters_empty(&w->event.waiters));
	if (!an_mutex_locked(&w->guard)) {
		HOLDS(an__waiters_empty(&w->guard.waiters));
		if (w->tokens)
			HOLDS(an__waiters_empty(&w->condition.waiters));
	}
	HOLDS(w->barrier.arrived < PARTIES);
	for (int i = 1; i < PARTIES; i++)
		HOLDS(w->passed[i] == w->passed[0]);
	for (int i = 0; i < QUEUES; i++)
		nobody_waits_for_a_free_item(&w->queues[i]);
}

/* When every task has ended. */
static void everything_is_back(struct world *w)
{
	long left = 0;
	void *item;

	HOLDS(!an_mutex_locked(&w->mutex) && !an_mutex_locked(&w->guard));
	HOLDS(w->rwlock.readers == 0 && !w->rwlock.writer);
	HOLDS(w->owners == 0 && w->readers == 0 && w->writers == 0 && w->inside == 0);
	HOLDS(an_semaphore_value(&w->semaphore) == PERMITS);
	HOLDS(w->produced - w->consumed == w->tokens);
	HOLDS(w->barrier.arrived == 0);
	nobody_waits_in_vain(w);
	for (int i = 0; i < QUEUES; i++) {
		HOLDS(w->queues[i].unfinished == an_queue_count(&w->queues[i]));
		while (an_queue_tryget(&w->queues[i], &item) == 0) {
			left++;
			free(item);
		}
		an_queue_done(&w->queues[i]);
	}
	while (an_thread_queue_tryget(w->crossing, &item) == 0) {
		left++;
		free(item);
	}
	w->crossing = an_thread_queue_unref(w->crossing);
	HOLDS(w->put == w->got + left);
	tally.items += w->got;
	tally.tokens += w->consumed;
	tally.meetings += w->passed[0];
}

/* ---- a round ----------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
	return ((const struct item *)a)->rank - ((const struct item *)b)->rank;
}

static int make_world(struct world *w)
{
	static const an_queue_opts orders[QUEUES] = {
		{ .capacity = 4 },
		{ .capacity = 0 },
		{ .capacity = AN_QUEUE_UNBOUNDED, .order = AN_QUEUE_LIFO },
		{ .capacity = 3, .order = AN_QUEUE_PRIORITY, .compare = by_rank },
	};

	*w = (struct world){ 0 };
	an_semaphore_init(&w->semaphore, PERMITS, PERMITS);
	an_barrier_init(&w->barrier, PARTIES);
	for (int i = 0; i < QUEUES; i++)
		CHECK_EQUAL(an_queue_init_with(&w->queues[i], &orders[i]), 0);
	return an_thread_queue_new(3, &w->crossing);
}

struct round {
	size_t tasks;
	bool short_of_memory;
};

static int populate(const struct round *round)
{
	for (int i = 0; i < WORLDS; i++)
		CHECK_EQUAL(make_world(&worlds[i]), 0);
	task_count = 0;
	tally.tasks += (long)round->tasks;
	while (task_count < round->tasks) {
		CHECK_EQUAL(an_spawn(lives, &worlds[task_count % WORLDS], NULL,
				     &tasks[task_count]),
			    0);
		task_count++;
	}
	return 0;
}

/* A hundredth of them, then some steps, or all that time allows. */
static int torment(const struct round *round)
{
	int r;

	if (round->short_of_memory)
		an_testing_fail_allocation(1 + draw(100));
	for (size_t n = draw((unsigned)round->tasks / 100); n; n--)
		an_cancel(tasks[draw((unsigned)task_count)]);
	if (draw(3))
		return an_yield();
	r = draw(3) ? an_testing_advance(draw(3000) * AN_MICROSECOND)
		    : an_testing_settle();
	for (int i = 0; i < WORLDS; i++)
		nobody_waits_in_vain(&worlds[i]);
	return r;
}

static void close_queues(void)
{
	for (int i = 0; i < WORLDS; i += 2)
		for (int q = 0; q < QUEUES; q++) {
			an_queue_close(&worlds[i].queues[q]);
			nobody_waits_for_a_free_item(&worlds[i].queues[q]);
		}
}

static int end_all(void)
{
	int result;

	close_queues();
	for (size_t i = 0; i < task_count; i++)
		an_cancel(tasks[draw((unsigned)task_count)]);
	CHECK_EQUAL(an_yield(), 0);
	for (size_t i = 0; i < task_count; i++)
		an_cancel(tasks[i]);
	for (size_t i = 0; i < task_count; i++) {
		CHECK_EQUAL(an_join(tasks[i], &result), 0);
		CHECK(one_of(result, 0, -ECANCELED, 0));
		tally.cancelled += result < 0;
	}
	return 0;
}

/* Those that were detached are on nobody's list but the loop's. */
static int end_strays(void)
{
	static an_task *strays[TASKS];
	size_t n = an_loop_tasks(an_loop_current(), strays, TASKS);

	for (size_t i = 0; i < n; i++)
		if (strays[i] != an_current())
			an_cancel(strays[i]);
	return an_testing_advance(AN_SECOND);
}

static int tortures(void *arg)
{
	const struct round *round = arg;
	int r = populate(round);

	if (r < 0)
		return r;
	for (int i = 0; i < 200; i++)
		CHECK_EQUAL(torment(round), 0);
	an_testing_fail_allocation(0);
	CHECK_EQUAL(end_all(), 0);
	while (an_loop_task_count(an_loop_current()) > 1)
		CHECK_EQUAL(end_strays(), 0);
	CHECK_EQUAL(alive, 0);
	for (int i = 0; i < WORLDS; i++)
		everything_is_back(&worlds[i]);
	return faults ? CHECK_FAILED : 0;
}

/* ---- rounds ------------------------------------------------------------------------ */

static uint64_t first_seed(void)
{
	uint64_t seed = an_testing_seed();
	uint32_t fresh = 0;

	if (seed)
		return seed;
	if (getrandom(&fresh, sizeof fresh, 0) < 0 || !fresh)
		fresh = 1;
	return fresh;
}

static int run_round(uint64_t seed)
{
	bool slow = getenv("AN_TEST_SLOWNESS");
	bool crossing = seed % 8 == 5;
	struct round round = { slow || crossing ? TASKS / 10 : TASKS, seed % 4 == 3 };
	int r;

	queue_kinds = crossing ? QUEUES + 1 : QUEUES;
	chance = seed * 2;
	faults = alive = 0;
	r = an_run(tortures, &round,
		   &(an_loop_opts){ .virtual_clock = true, .seed = seed });
	if (r < 0)
		fprintf(stderr, "torture: %d; seed %ju: run again with AN_SEED=%ju\n", r,
			(uintmax_t)seed, (uintmax_t)seed);
	return r;
}

static time_t seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void nothing_is_lost_and_nobody_waits_in_vain(void **state)
{
	const char *wish = getenv("AN_TORTURE_SECONDS");
	time_t until = seconds_now() + (wish ? atoi(wish) : 0);
	uint64_t seed = first_seed(), rounds = 0;

	(void)state;
	if (wish)
		alarm((unsigned)atoi(wish) * 2 + 120);
	print_message("# torture: seeds from %ju\n", (uintmax_t)seed);
	do
		assert_int_equal(run_round(seed + rounds), 0);
	while (++rounds < 2 || seconds_now() < until);
	print_message(
		"# torture: %ju rounds; of %ld tasks %ld were cancelled; %ld items, "
		"%ld tokens, %ld permits, %ld meetings\n",
		(uintmax_t)rounds, tally.tasks, tally.cancelled, tally.items,
		tally.tokens, tally.permits, tally.meetings);
	assert_true(tally.cancelled > tally.tasks / 10);
	assert_true(tally.cancelled < tally.tasks * 9 / 10);
	assert_true(tally.items > tally.tasks / 10);
	assert_true(tally.tokens > tally.tasks / 10);
	assert_true(tally.permits > tally.tasks / 10);
	assert_true(tally.meetings > tally.tasks / 100);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(nothing_is_lost_and_nobody_waits_in_vain),
};
TEST_MAIN("torture", tests)
