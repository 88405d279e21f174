/* Select, and an__wait_many() below it. */
#include "tests/unit/combine/workers.h"

#include "loop/core/wait.h"

#include <string.h>

static void *number(intptr_t n)
{
	return (void *)n;
}

/* A task that selects, on what the test has put there. */
struct selector {
	an_select_case cases[AN_SELECT_MAX];
	size_t count;
	void *items[4]; /* for gets */
	int index, result, after;
};

static int selects(void *arg)
{
	struct selector *s = arg;

	s->index = an_select(s->cases, s->count, &s->result);
	s->after = an_yield();
	return s->index;
}

/* Lets it park. */
static int start(struct selector *s, an_task **ret_task)
{
	s->index = s->result = 12345;
	CHECK_EQUAL(an_spawn(selects, s, NULL, ret_task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK(!an_done(*ret_task));
	return 0;
}

static bool nobody_waits(const an_queue *q)
{
	return an__waiters_empty(&q->getters) && an__waiters_empty(&q->putters);
}

static int gets(void *arg)
{
	void *item;
	int r = an_queue_get(arg, &item);

	return r < 0 ? r : (int)(intptr_t)item;
}

/* ---- at once ----------------------------------------------------------------------- */

TASK_TEST(of_several_the_first_is_taken_always)
{
	void *item = NULL;
	int result = -1;
	an_event event;
	an_queue q;

	an_queue_init(&q, 5);
	an_event_init(&event);
	an_event_set(&event);
	for (intptr_t i = 1; i <= 3; i++) {
		an_select_case cases[] = { AN_ON_PUT(&q, number(i)),
					   AN_ON_EVENT(&event) };

		CHECK_EQUAL(an_select(cases, 2, &result), 0);
		CHECK_EQUAL(result, 0);
		CHECK_EQUAL(an_queue_count(&q), i);
	}
	for (intptr_t i = 1; i <= 3; i++) {
		an_select_case cases[] = { AN_ON_TIME(an_now() + 1), AN_ON_GET(&q, &item),
					   AN_ON_EVENT(&event) };

		CHECK_EQUAL(an_select(cases, 3, NULL), 1);
		CHECK_EQUAL((intptr_t)item, i);
		CHECK_EQUAL(an_queue_task_done(&q), 0);
	}
	CHECK_EQUAL(an_queue_join(&q), 0);
	an_queue_done(&q);
	return 0;
}

TASK_TEST(every_kind_can_happen_at_once)
{
	struct worker worker = { .result = -EIO };
	an_duration began = an_now();
	an_event event;
	an_task *task;
	int result = 5;

	an_event_init(&event);
	an_event_set(&event);
	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_DONE(task), 1, &result), 0);
	CHECK_EQUAL(result, 0); /* the end of the task, not its result */
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_EVENT(&event), 1, &result), 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_TIME(began), 1, &result), 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_TIME(INT64_MIN), 1, NULL), 0);
	CHECK_EQUAL(an_now(), began);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, -EIO);
	return 0;
}

TASK_TEST(cases_without_an_object_are_never_chosen)
{
	void *item = number(9);
	an_select_case cases[] = {
		AN_ON_GET(NULL, &item), AN_ON_PUT(NULL, item),	AN_ON_DONE(NULL),
		AN_ON_EVENT(NULL),	AN_ON_TIME(AN_FOREVER), AN_ON_TIME(0),
	};

	cases[5].when = an_now() + 10;
	CHECK_EQUAL(an_select(cases, 6, NULL), 5);
	CHECK_EQUAL(an_select(cases, 5, NULL), -EDEADLK);
	CHECK_EQUAL((intptr_t)item, 9);
	return 0;
}

TASK_TEST(what_cannot_be_selected_is_refused)
{
	an_select_case cases[AN_SELECT_MAX + 1] = { AN_ON_DONE(an_current()) };

	CHECK_EQUAL(an_select(cases, 0, NULL), -EINVAL);
	CHECK_EQUAL(an_select(cases, 1, NULL), -EDEADLK);
	for (int i = 0; i <= AN_SELECT_MAX; i++)
		cases[i] = (an_select_case)AN_ON_TIME(an_now() + AN_SELECT_MAX - i);
	CHECK_EQUAL(an_select(cases, AN_SELECT_MAX + 1, NULL), -EINVAL);
	CHECK_EQUAL(an_select(cases, AN_SELECT_MAX, NULL), AN_SELECT_MAX - 1);
	cases[0].kind = (an_select_kind)(AN_SELECT_TIME + 1);
	CHECK_EQUAL(an_select(cases, 2, NULL), -EINVAL);
	return 0;
}

/* ---- waiting ----------------------------------------------------------------------- */

/* Both become ready in the same turn; one is granted. */
TASK_TEST_IN_ORDER(one_of_two_items_is_received)
{
	struct selector s = { .count = 2, .items = { number(-1), number(-1) } };
	an_queue a, b;
	an_task *task;
	void *item;

	an_queue_init(&a, 1);
	an_queue_init(&b, 1);
	s.cases[0] = (an_select_case)AN_ON_GET(&a, &s.items[0]);
	s.cases[1] = (an_select_case)AN_ON_GET(&b, &s.items[1]);
	CHECK_EQUAL(start(&s, &task), 0);
	CHECK_EQUAL(an_queue_tryput(&b, number(2)), 0);
	CHECK(nobody_waits(&a) && nobody_waits(&b));
	CHECK_EQUAL(an_queue_tryput(&a, number(1)), 0);
	CHECK_EQUAL(an_queue_count(&a), 1);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, 1);
	CHECK_EQUAL(s.result, 0);
	CHECK_EQUAL((intptr_t)s.items[0], -1);
	CHECK_EQUAL((intptr_t)s.items[1], 2);
	CHECK_EQUAL(an_queue_tryget(&a, &item), 0);
	CHECK_EQUAL((intptr_t)item, 1);
	an_queue_done(&a);
	an_queue_done(&b);
	return 0;
}

TASK_TEST_IN_ORDER(one_of_two_items_is_put)
{
	struct selector s = { .count = 2 };
	an_queue a, b;
	an_task *task;
	void *item;

	an_queue_init(&a, 1);
	an_queue_init(&b, 0);
	CHECK_EQUAL(an_queue_tryput(&a, number(7)), 0);
	s.cases[0] = (an_select_case)AN_ON_PUT(&a, number(1));
	s.cases[1] = (an_select_case)AN_ON_PUT(&b, number(2));
	CHECK_EQUAL(start(&s, &task), 0);
	CHECK_EQUAL(an_queue_tryget(&a, &item), 0);
	CHECK_EQUAL((intptr_t)item, 7);
	CHECK_EQUAL(an_queue_tryget(&b, &item), -EAGAIN);
	CHECK_EQUAL(an_queue_tryget(&a, &item), 0);
	CHECK_EQUAL((intptr_t)item, 1);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, 0);
	CHECK_EQUAL(s.result, 0);
	CHECK_EQUAL(an_queue_task_done(&a), 0);
	CHECK_EQUAL(an_queue_task_done(&a), 0);
	CHECK_EQUAL(an_queue_task_done(&b), AN_ERR_MISUSE);
	an_queue_done(&a);
	an_queue_done(&b);
	return 0;
}

TASK_TEST_IN_ORDER(it_stands_in_line_like_anybody_else)
{
	struct selector s = { .count = 1 };
	an_task *before, *task, *behind;
	an_queue q;
	int r;

	an_queue_init(&q, 4);
	s.cases[0] = (an_select_case)AN_ON_GET(&q, &s.items[0]);
	CHECK_EQUAL(an_spawn(gets, &q, NULL, &before), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(start(&s, &task), 0);
	CHECK_EQUAL(an_spawn(gets, &q, NULL, &behind), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	for (intptr_t i = 1; i <= 3; i++)
		CHECK_EQUAL(an_queue_tryput(&q, number(i)), 0);
	CHECK_EQUAL(an_join(before, &r), 0);
	CHECK_EQUAL(r, 1);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL((intptr_t)s.items[0], 2);
	CHECK_EQUAL(an_join(behind, &r), 0);
	CHECK_EQUAL(r, 3);
	an_queue_done(&q);
	return 0;
}

TASK_TEST(the_end_of_a_task_is_seen_and_consumes_nothing)
{
	struct worker workers[] = { { .takes = 20 }, { .takes = 10, .result = -EIO } };
	an_duration began = an_now();
	an_task *tasks[2];
	int r;

	CHECK_EQUAL(listen_to_complaints(), 0);
	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	{
		an_select_case cases[] = { AN_ON_DONE(tasks[0]), AN_ON_DONE(tasks[1]),
					   AN_ON_DONE(tasks[1]) };

		CHECK_EQUAL(an_select(cases, 3, &r), 1);
	}
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_now() - began, 10);
	CHECK(!is_watched(tasks[0]));
	an_detach(tasks[1]);
	CHECK_EQUAL(complaints, 0); /* its failure was seen */
	CHECK_EQUAL(an_join(tasks[0], NULL), 0);
	return an_trace_set_hooks(NULL);
}

/* Both end before the selector runs: the other one's failure was not seen. */
TASK_TEST_IN_ORDER(of_two_tasks_that_end_together_one_is_seen)
{
	struct worker workers[] = { { .takes = 10, .result = -EIO },
				    { .takes = 10, .result = -EIO } };
	an_task *tasks[2];

	CHECK_EQUAL(listen_to_complaints(), 0);
	CHECK_EQUAL(spawn_workers(workers, 2, tasks), 0);
	{
		an_select_case cases[] = { AN_ON_DONE(tasks[1]), AN_ON_DONE(tasks[0]) };

		CHECK_EQUAL(an_select(cases, 2, NULL), 1);
	}
	CHECK(an_done(tasks[1]));
	an_detach(tasks[0]);
	CHECK_EQUAL(complaints, 0);
	an_detach(tasks[1]);
	CHECK_EQUAL(complaints, 1);
	return an_trace_set_hooks(NULL);
}

static int joins(void *arg)
{
	return an_join(arg, NULL);
}

TASK_TEST(a_task_may_be_joined_while_it_is_selected)
{
	struct worker worker = { .takes = 10 };
	an_task *task, *joiner;

	CHECK_EQUAL(spawn_workers(&worker, 1, &task), 0);
	CHECK_EQUAL(an_spawn(joins, task, NULL, &joiner), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_DONE(task), 1, NULL), 0);
	CHECK_EQUAL(an_join(joiner, NULL), 0);
	CHECK_EQUAL(an_loop_task_count(an_loop_current()), 1);
	return 0;
}

TASK_TEST_IN_ORDER(an_event_that_is_set_and_cleared_wakes_it)
{
	struct selector s = { .count = 2 };
	an_event events[2];
	an_task *task;

	for (int i = 0; i < 2; i++) {
		an_event_init(&events[i]);
		s.cases[i] = (an_select_case)AN_ON_EVENT(&events[i]);
	}
	CHECK_EQUAL(start(&s, &task), 0);
	an_event_set(&events[1]);
	an_event_clear(&events[1]);
	an_event_set(&events[0]);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, 1);
	CHECK(an__waiters_empty(&events[0].waiters));
	return 0;
}

TASK_TEST(the_nearest_time_comes_first)
{
	an_duration began = an_now();
	an_select_case cases[] = { AN_ON_TIME(began + 30), AN_ON_TIME(began + 10),
				   AN_ON_TIME(began + 10), AN_ON_TIME(AN_FOREVER) };

	CHECK_EQUAL(an_select(cases, 4, NULL), 1);
	CHECK_EQUAL(an_now() - began, 10);
	CHECK_EQUAL(an_select(cases, 1, NULL), 0);
	CHECK_EQUAL(an_now() - began, 30);
	return 0;
}

TASK_TEST(closing_a_queue_wakes_both_sides_with_a_code)
{
	struct selector getter = { .count = 1, .items = { number(4) } };
	struct selector putter = { .count = 1 };
	an_task *tasks[2];
	an_queue a, b;
	int result;

	an_queue_init(&a, 0);
	an_queue_init(&b, 0);
	getter.cases[0] = (an_select_case)AN_ON_GET(&a, &getter.items[0]);
	putter.cases[0] = (an_select_case)AN_ON_PUT(&b, number(1));
	CHECK_EQUAL(start(&getter, &tasks[0]), 0);
	CHECK_EQUAL(start(&putter, &tasks[1]), 0);
	an_queue_close(&a);
	an_queue_close(&b);
	CHECK_EQUAL(join_workers(tasks, 2), 0);
	CHECK(getter.index == 0 && getter.result == AN_ERR_CLOSED);
	CHECK(putter.index == 0 && putter.result == AN_ERR_CLOSED);
	CHECK_EQUAL((intptr_t)getter.items[0], 4);
	CHECK_EQUAL(an_select(putter.cases, 1, &result), 0);
	CHECK_EQUAL(result, AN_ERR_CLOSED);
	an_queue_done(&a);
	an_queue_done(&b);
	return 0;
}

static int least(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

TASK_TEST_IN_ORDER(queues_of_all_orders_can_be_selected)
{
	for (int order = AN_QUEUE_FIFO; order <= AN_QUEUE_PRIORITY; order++) {
		struct selector s = { .count = 1 };
		an_task *task;
		an_queue q;
		void *item;

		CHECK_EQUAL(an_queue_init_with(&q, &(an_queue_opts){ .capacity = 1,
								     .order = order,
								     .compare = least }),
			    0);
		CHECK_EQUAL(an_queue_tryput(&q, number(1)), 0);
		s.cases[0] = (an_select_case)AN_ON_PUT(&q, number(2));
		CHECK_EQUAL(start(&s, &task), 0);
		for (intptr_t i = 1; i <= 2; i++) {
			CHECK_EQUAL(an_queue_tryget(&q, &item), 0);
			CHECK_EQUAL((intptr_t)item, i);
		}
		CHECK_EQUAL(an_join(task, NULL), 0);
		an_queue_done(&q);
	}
	return 0;
}

TASK_TEST(a_put_without_memory_has_that_as_its_code)
{
	an_queue q;
	int r, result = 1;

	an_queue_init(&q, 3);
	an_testing_fail_allocation(1);
	r = an_select(&(an_select_case)AN_ON_PUT(&q, number(1)), 1, &result);
	CHECK(an_testing_allocation_failed());
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(result, -ENOMEM);
	CHECK_EQUAL(an_queue_count(&q), 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_PUT(&q, number(1)), 1, &result), 0);
	CHECK_EQUAL(result, 0);
	an_queue_done(&q);
	return 0;
}

/* ---- selects at both ends ---------------------------------------------------------- */

TASK_TEST(the_put_of_a_select_meets_the_get_of_another)
{
	struct selector s = { .count = 2 };
	an_queue a, b;
	an_task *task;
	void *item;

	an_queue_init(&a, 0);
	an_queue_init(&b, 0);
	s.cases[0] = (an_select_case)AN_ON_PUT(&a, number(1));
	s.cases[1] = (an_select_case)AN_ON_GET(&b, &s.items[0]);
	for (int round = 0; round < 2; round++) {
		an_select_case cases[] = { AN_ON_GET(&a, &item),
					   AN_ON_PUT(&b, number(2)) };

		CHECK_EQUAL(start(&s, &task), 0);
		CHECK_EQUAL(an_select(cases + round, 1, NULL), 0);
		CHECK(nobody_waits(&a) && nobody_waits(&b));
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(s.index, round);
	}
	CHECK_EQUAL((intptr_t)item, 1);
	CHECK_EQUAL((intptr_t)s.items[0], 2);
	an_queue_done(&a);
	an_queue_done(&b);
	return 0;
}

/* It would take what it gives itself. */
TASK_TEST(a_select_does_not_meet_itself)
{
	struct selector s = { .count = 3 }, t = { .count = 3 };
	an_task *tasks[2];
	an_queue q;

	an_queue_init(&q, 0);
	s.cases[0] = (an_select_case)AN_ON_PUT(&q, number(1));
	s.cases[1] = (an_select_case)AN_ON_GET(&q, &s.items[0]);
	s.cases[2] = (an_select_case)AN_ON_PUT(&q, number(2));
	CHECK_EQUAL(start(&s, &tasks[0]), 0);
	CHECK_EQUAL(an_sleep(10), 0);
	CHECK(!an_done(tasks[0]));
	t.cases[0] = (an_select_case)AN_ON_GET(&q, &t.items[0]);
	t.cases[1] = (an_select_case)AN_ON_PUT(&q, number(3));
	t.cases[2] = t.cases[0];
	CHECK_EQUAL(an_spawn(selects, &t, NULL, &tasks[1]), 0);
	CHECK_EQUAL(join_workers(tasks, 2), 0);
	CHECK_EQUAL(s.index, 0);
	CHECK_EQUAL(t.index, 0);
	CHECK_EQUAL((intptr_t)t.items[0], 1);
	CHECK(nobody_waits(&q));
	an_queue_done(&q);
	return 0;
}

#define ITEMS 1000
#define PLAYERS 6

static struct game {
	an_queue queues[3];
	char received[ITEMS];
	intptr_t next;
	unsigned seed;
	int puts, gets;
} game;

static unsigned chance(unsigned n)
{
	game.seed = game.seed * 1664525u + 1013904223u;
	return (game.seed >> 16) % n;
}

static void deal(an_select_case *cases, size_t count, intptr_t mine, void **ret_item)
{
	for (size_t i = 0; i < count; i++) {
		an_queue *q = &game.queues[chance(3)];

		if (i & 1 && mine >= 0)
			cases[i] = (an_select_case)AN_ON_PUT(q, number(mine));
		else
			cases[i] = (an_select_case)AN_ON_GET(q, ret_item);
	}
}

/* Puts the next number into some queue or takes one from some, whichever comes first, and
 * gives way. A number that was not put is gone. */
static int play_round(void)
{
	intptr_t mine = game.next < ITEMS ? game.next++ : -1;
	an_select_case cases[4];
	int r, code = -1;
	void *item = NULL;

	deal(cases, 4, mine, &item);
	r = an_select(cases, 4, &code);
	if (r >= 0)
		CHECK_EQUAL(code, 0);
	if (r >= 0 && cases[r].kind == AN_SELECT_PUT) {
		game.puts++;
		return an_yield();
	}
	if (mine >= 0)
		game.received[mine] += 100;
	if (r < 0)
		return r;
	game.received[(intptr_t)item]++;
	game.gets++;
	return an_yield();
}

static int plays(void *arg)
{
	int r;

	(void)arg;
	while ((r = play_round()) == 0)
		continue;
	return r;
}

static int starts_game(void *arg)
{
	unsigned seed = game.seed;

	(void)arg;
	memset(&game, 0, sizeof game);
	game.seed = seed;
	for (int i = 0; i < 3; i++)
		an_queue_init(&game.queues[i], i); /* a rendezvous and two others */
	return 0;
}

/* What was put and not yet received lies in the queues. */
static int ends_game(void *arg)
{
	void *item;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		CHECK(nobody_waits(&game.queues[i]));
		while (an_queue_tryget(&game.queues[i], &item) == 0) {
			game.received[(intptr_t)item]++;
			game.gets++;
		}
		an_queue_done(&game.queues[i]);
	}
	CHECK_EQUAL(game.gets, game.puts);
	for (intptr_t i = 0; i < game.next; i++)
		CHECK(game.received[i] == 1 || game.received[i] == 100);
	return 0;
}

TASK_TEST(selects_at_all_ends_lose_and_double_nothing)
{
	an_task *players[PLAYERS];
	int puts = 0;

	for (unsigned seed = 1; seed <= 50; seed++) {
		game.seed = seed;
		CHECK_EQUAL(starts_game(NULL), 0);
		for (int i = 0; i < PLAYERS; i++)
			CHECK_EQUAL(an_spawn(plays, NULL, NULL, &players[i]), 0);
		for (unsigned i = 0; i < seed; i++)
			CHECK_EQUAL(an_yield(), 0);
		for (int i = 0; i < PLAYERS; i++) {
			int result;

			an_cancel(players[i]);
			if (chance(2))
				CHECK_EQUAL(an_yield(), 0);
			CHECK_EQUAL(an_join(players[i], &result), 0);
			CHECK_EQUAL(result, -ECANCELED);
		}
		CHECK_EQUAL(ends_game(NULL), 0);
		puts += game.puts;
	}
	CHECK(puts > 1000);
	return 0;
}

/* ---- cancellation ------------------------------------------------------------------ */

TASK_TEST_IN_ORDER(a_cancelled_select_leaves_every_line)
{
	struct selector s = { .count = 5 };
	struct worker worker = { .takes = AN_HOUR };
	an_task *task, *inner;
	an_queue a, b;
	an_event event;

	an_queue_init(&a, 0);
	an_queue_init(&b, 0);
	an_event_init(&event);
	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	s.cases[0] = (an_select_case)AN_ON_GET(&a, &s.items[0]);
	s.cases[1] = (an_select_case)AN_ON_PUT(&b, number(1));
	s.cases[2] = (an_select_case)AN_ON_DONE(inner);
	s.cases[3] = (an_select_case)AN_ON_EVENT(&event);
	s.cases[4] = (an_select_case)AN_ON_TIME(an_now() + AN_HOUR);
	CHECK_EQUAL(start(&s, &task), 0);
	an_cancel(task);
	CHECK(nobody_waits(&a) && nobody_waits(&b) && an__waiters_empty(&event.waiters));
	an_event_set(&event); /* too late */
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, -ECANCELED);
	CHECK_EQUAL(s.result, 12345);
	CHECK(!is_watched(inner));
	return end_workers(&inner, 1);
}

/* asyncio semantics 2: what was granted before the cancellation is kept. */
TASK_TEST_IN_ORDER(a_grant_beats_a_cancellation)
{
	struct selector s = { .count = 2 };
	an_event event;
	an_task *task;
	an_queue q;

	an_queue_init(&q, 0);
	an_event_init(&event);
	s.cases[0] = (an_select_case)AN_ON_EVENT(&event);
	s.cases[1] = (an_select_case)AN_ON_GET(&q, &s.items[0]);
	CHECK_EQUAL(start(&s, &task), 0);
	CHECK_EQUAL(an_queue_tryput(&q, number(6)), 0);
	an_cancel(task);
	an_event_set(&event);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, 1);
	CHECK_EQUAL((intptr_t)s.items[0], 6);
	CHECK_EQUAL(s.after, -ECANCELED);
	an_queue_done(&q);
	return 0;
}

/* asyncio semantics 2: the end of a task, too. */
TASK_TEST_IN_ORDER(the_end_of_a_task_beats_a_cancellation)
{
	struct selector s = { .count = 1 };
	struct worker worker = { .takes = 10 };
	an_task *task, *inner;

	CHECK_EQUAL(spawn_workers(&worker, 1, &inner), 0);
	s.cases[0] = (an_select_case)AN_ON_DONE(inner);
	CHECK_EQUAL(start(&s, &task), 0);
	CHECK_EQUAL(an_sleep(10), 0);
	CHECK(worker.finished && !an_done(task));
	an_cancel(task);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(s.index, 0);
	CHECK_EQUAL(s.after, -ECANCELED);
	return an_join(inner, NULL);
}

TASK_TEST(a_cancelled_caller_selects_nothing)
{
	an_timeout over;
	an_queue q;
	void *item;

	an_queue_init(&q, 1);
	CHECK_EQUAL(an_queue_tryput(&q, number(1)), 0);
	an_timeout_begin(&over, 0);
	CHECK_EQUAL(an_select(&(an_select_case)AN_ON_GET(&q, &item), 1, NULL),
		    -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&over, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_queue_count(&q), 1);
	an_queue_done(&q);
	return 0;
}

/* A limit that is over together with a time case: to be cancelled comes first. */
TASK_TEST(a_limit_outranks_a_time_case)
{
	an_duration at = an_now() + 10;
	an_timeout limit;
	int r;

	an_timeout_begin_at(&limit, at);
	r = an_select(&(an_select_case)AN_ON_TIME(at), 1, NULL);
	CHECK_EQUAL(r, -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	an_timeout_begin_at(&limit, at + 20);
	r = an_select(&(an_select_case)AN_ON_TIME(at + 10), 1, NULL);
	CHECK_EQUAL(an_timeout_end(&limit, r), 0);
	CHECK_EQUAL(an_now(), at + 10);
	return 0;
}

/* The victim plays a number of rounds against those who are not cancelled. */
static an_task *opponents[2];

static int begins_duel(void *arg)
{
	CHECK_EQUAL(starts_game(arg), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_spawn(plays, NULL, NULL, &opponents[i]), 0);
	return 0;
}

/* All players may come to wait for each other, as the rules allow: a draw. */
static int duels(void *arg)
{
	(void)arg;
	for (int i = 0; i < 25; i++) {
		an_timeout limit;
		int r;

		an_timeout_begin(&limit, AN_SECOND);
		r = an_timeout_end(&limit, play_round());
		if (r < 0)
			return r == -ETIMEDOUT ? 0 : r;
	}
	return 0;
}

static int ends_duel(void *arg)
{
	CHECK_EQUAL(end_workers(opponents, 2), 0);
	return ends_game(arg);
}

static void cancelled_at_each_step_it_loses_nothing(void **state)
{
	an_testing_scenario s = { begins_duel, duels, ends_duel, NULL };

	(void)state;
	for (unsigned seed = 1; seed <= 10; seed++) {
		game.seed = seed;
		assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
		assert_int_equal(an_testing_cancel_at_each_step(
					 &s, &(an_testing_opts){ .rounds = 2 }),
				 0);
	}
}

/* ---- an__wait_many() --------------------------------------------------------------- */

static const an__wait_kind for_test = { .what = "a test" };

struct many {
	an__waiters lines[3];
	an__waiter waiters[3];
	int index;
};

static int waits_for_many(void *arg)
{
	struct many *m = arg;
	an__waiter *ws[3];

	for (int i = 0; i < 3; i++) {
		ws[i] = &m->waiters[i];
		ws[i]->queue = &m->lines[i];
	}
	m->index = an__wait_many(ws, 3, AN_FOREVER, &for_test);
	return 0;
}

/* The code that the waker gives is its own, even if it looks like a cancellation. */
TASK_TEST_IN_ORDER(a_wakers_code_is_not_taken_for_a_cancellation)
{
	static const int codes[] = { 0, -ECANCELED, -ETIMEDOUT, 5 };

	for (size_t i = 0; i < COUNT(codes); i++) {
		struct many m = { 0 };
		an_task *task;

		CHECK_EQUAL(an_spawn(waits_for_many, &m, NULL, &task), 0);
		CHECK_EQUAL(an_testing_settle(), 0);
		CHECK(an__wake(m.lines[2].first, codes[i]));
		for (int k = 0; k < 3; k++) {
			CHECK(an__waiters_empty(&m.lines[k]));
			CHECK(!an__wake(&m.waiters[k], 0));
		}
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(m.index, 2);
		CHECK_EQUAL(m.waiters[2].result, codes[i]);
	}
	return 0;
}

static int waits_twice(void *arg)
{
	struct many *m = arg;
	an_shield shield;

	waits_for_many(m);
	CHECK_EQUAL(m->index, -ECANCELED);
	an_shield_begin(&shield, AN_FOREVER);
	waits_for_many(m);
	return an_shield_end(&shield, m->index);
}

/* What ended the wait before is forgotten. */
TASK_TEST_IN_ORDER(a_cancelled_wait_for_many_can_be_followed_by_another)
{
	struct many m = { 0 };
	an_task *task;
	int r;

	CHECK_EQUAL(an_spawn(waits_twice, &m, NULL, &task), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_cancel(task);
	for (int i = 0; i < 3; i++)
		CHECK(an__waiters_empty(&m.lines[i]));
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(an__wake_all(&m.lines[1], 0), 1);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 1);
	return 0;
}

static void outside_a_task_it_refuses(void **state)
{
	an_event event = AN_EVENT_INIT;

	(void)state;
	event.set = true;
	assert_int_equal(an_select(&(an_select_case)AN_ON_EVENT(&event), 1, NULL),
			 AN_ERR_NO_TASK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(of_several_the_first_is_taken_always),
	cmocka_unit_test(every_kind_can_happen_at_once),
	cmocka_unit_test(cases_without_an_object_are_never_chosen),
	cmocka_unit_test(what_cannot_be_selected_is_refused),
	cmocka_unit_test(one_of_two_items_is_received),
	cmocka_unit_test(one_of_two_items_is_put),
	cmocka_unit_test(it_stands_in_line_like_anybody_else),
	cmocka_unit_test(the_end_of_a_task_is_seen_and_consumes_nothing),
	cmocka_unit_test(of_two_tasks_that_end_together_one_is_seen),
	cmocka_unit_test(a_task_may_be_joined_while_it_is_selected),
	cmocka_unit_test(an_event_that_is_set_and_cleared_wakes_it),
	cmocka_unit_test(the_nearest_time_comes_first),
	cmocka_unit_test(closing_a_queue_wakes_both_sides_with_a_code),
	cmocka_unit_test(queues_of_all_orders_can_be_selected),
	cmocka_unit_test(a_put_without_memory_has_that_as_its_code),
	cmocka_unit_test(the_put_of_a_select_meets_the_get_of_another),
	cmocka_unit_test(a_select_does_not_meet_itself),
	cmocka_unit_test(selects_at_all_ends_lose_and_double_nothing),
	cmocka_unit_test(a_cancelled_select_leaves_every_line),
	cmocka_unit_test(a_grant_beats_a_cancellation),
	cmocka_unit_test(the_end_of_a_task_beats_a_cancellation),
	cmocka_unit_test(a_cancelled_caller_selects_nothing),
	cmocka_unit_test(a_limit_outranks_a_time_case),
	cmocka_unit_test(cancelled_at_each_step_it_loses_nothing),
	cmocka_unit_test(a_wakers_code_is_not_taken_for_a_cancellation),
	cmocka_unit_test(a_cancelled_wait_for_many_can_be_followed_by_another),
	cmocka_unit_test(outside_a_task_it_refuses),
};

TEST_MAIN("select", tests)
