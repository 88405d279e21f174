/* Calls without a task: when they are made, in which order, and who frees what. */
#include "loop/base/alloc.h"
#include "loop/core/loop-private.h"
#include "tests/support/run.h"

#include <asyncnet/inspect.h>

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* What happened, a letter for each. */
static char text[64];

static void start_text(void)
{
	memset(text, 0, sizeof text);
}

static void append(void *arg)
{
	text[strlen(text)] = *(const char *)arg;
}

static int appends(void *arg)
{
	append(arg);
	return 0;
}

/* ---- order ------------------------------------------------------------------------- */

TASK_TEST_IN_ORDER(calls_are_made_in_order_before_any_task_runs_again)
{
	start_text();
	CHECK_EQUAL(an_spawn(appends, "t", NULL, NULL), 0);
	for (const char *c = "abc"; *c; c++)
		CHECK_EQUAL(an_call_soon(append, (void *)c, NULL), 0);
	append("m");
	CHECK_EQUAL(an_yield(), 0);
	CHECK(strcmp(text, "mabct") == 0);
	return 0;
}

static struct {
	int depth, left;
	bool nested;
} chain;

static void follows_itself(void *arg)
{
	chain.nested |= chain.depth++ > 0;
	append(arg);
	if (chain.left-- > 0 && an_call_soon(follows_itself, arg, NULL) < 0)
		append("!");
	chain.depth--;
}

TASK_TEST_IN_ORDER(a_call_that_a_call_asks_for_is_made_in_the_next_turn)
{
	start_text();
	chain.depth = 0;
	chain.left = 2;
	chain.nested = false;
	CHECK_EQUAL(an_call_soon(follows_itself, "f", NULL), 0);
	CHECK_EQUAL(an_call_soon(append, "a", NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(strcmp(text, "fa") == 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(strcmp(text, "faff") == 0);
	CHECK(!chain.nested);
	return 0;
}

/* asyncio semantics 30: equal deadlines fire in order. */
TASK_TEST(calls_at_equal_times_are_made_in_the_order_of_the_asking)
{
	an_duration now = an_now();

	start_text();
	CHECK_EQUAL(an_call_later(2 * AN_SECOND, append, "d", NULL), 0);
	CHECK_EQUAL(an_call_later(AN_SECOND, append, "a", NULL), 0);
	CHECK_EQUAL(an_call_at(now + AN_SECOND, append, "b", NULL), 0);
	CHECK_EQUAL(an_call_later(AN_SECOND, append, "c", NULL), 0);
	CHECK_EQUAL(an_call_at(now + 2 * AN_SECOND, append, "e", NULL), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(strcmp(text, "abc") == 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(strcmp(text, "abcde") == 0);
	CHECK_EQUAL(an_now(), now + 2 * AN_SECOND);
	return 0;
}

TASK_TEST_IN_ORDER(times_that_have_come_are_made_after_soon_and_in_their_order)
{
	start_text();
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(an_call_later(0, append, "b", NULL), 0);
	CHECK_EQUAL(an_call_later(-AN_HOUR, append, "c", NULL), 0);
	CHECK_EQUAL(an_call_at(an_now() - 1, append, "a", NULL), 0);
	CHECK_EQUAL(an_call_at(INT64_MIN, append, "9", NULL), 0);
	CHECK_EQUAL(an_call_soon(append, "s", NULL), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK(strcmp(text, "s9abc") == 0);
	return 0;
}

static bool enough;

static void again_at_once(void *arg)
{
	if (!enough && an_call_later(0, again_at_once, arg, NULL) < 0)
		append("!");
	++*(int *)arg;
}

TASK_TEST(calls_that_follow_each_other_at_once_leave_tasks_their_turns)
{
	int count = 0;

	start_text();
	enough = false;
	CHECK_EQUAL(an_call_later(0, again_at_once, &count, NULL), 0);
	while (count < 3)
		CHECK_EQUAL(an_yield(), 0);
	enough = true;
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(!*text);
	return 0;
}

/* ---- a model ----------------------------------------------------------------------- */

#define MANY 2000

static struct planned {
	an_duration when;
	an_call *call;
	bool off, made;
} planned[MANY];
static struct planned *last_made;
static int made_wrongly;

static void made(void *arg)
{
	struct planned *p = arg;

	if (p->off || p->made || an_now() != p->when)
		made_wrongly++;
	if (last_made && (last_made->when > p->when ||
			  (last_made->when == p->when && last_made > p)))
		made_wrongly++;
	p->made = true;
	last_made = p;
}

static void call_off(int i)
{
	planned[i].call = an_call_cancel(planned[i].call);
	planned[i].off = true;
}

TASK_TEST(random_calls_are_made_when_and_as_planned)
{
	srandom(3);
	last_made = NULL;
	made_wrongly = 0;
	for (int i = 0; i < MANY; i++) {
		planned[i] = (struct planned){ .when = an_now() + 1 + random() % 300 };
		CHECK_EQUAL(an_call_at(planned[i].when, made, &planned[i],
				       &planned[i].call),
			    0);
		if (random() % 3 == 0)
			call_off((int)(random() % (i + 1)));
	}
	CHECK_EQUAL(an_sleep(150), 0);
	for (int i = 0; i < MANY; i += 7)
		if (!planned[i].made)
			call_off(i);
	CHECK_EQUAL(an_sleep(150), 0);
	CHECK_EQUAL(made_wrongly, 0);
	for (int i = 0; i < MANY; i++) {
		CHECK(planned[i].made || planned[i].off);
		an_call_cancel(planned[i].call);
	}
	return 0;
}

/* ---- handles ----------------------------------------------------------------------- */

TASK_TEST(a_call_that_was_called_off_is_not_made)
{
	an_call *soon, *later, *at, *never;

	start_text();
	CHECK_EQUAL(an_call_soon(append, "s", &soon), 0);
	CHECK_EQUAL(an_call_later(1, append, "l", &later), 0);
	CHECK_EQUAL(an_call_at(an_now() + 1, append, "a", &at), 0);
	CHECK_EQUAL(an_call_later(AN_FOREVER, append, "n", &never), 0);
	CHECK(!an_call_cancel(soon));
	CHECK(!an_call_cancel(later));
	CHECK(!an_call_cancel(at));
	CHECK(!an_call_cancel(never));
	CHECK(!an_call_cancel(NULL));
	CHECK_EQUAL(an_sleep(2), 0);
	CHECK(!*text);
	return 0;
}

TASK_TEST(a_handle_is_given_back_after_the_call_was_made)
{
	an_call *soon, *later;

	start_text();
	CHECK_EQUAL(an_call_soon(append, "s", &soon), 0);
	CHECK_EQUAL(an_call_later(1, append, "l", &later), 0);
	CHECK_EQUAL(an_sleep(2), 0);
	CHECK(strcmp(text, "sl") == 0);
	CHECK(!an_call_cancel(soon));
	CHECK(!an_call_cancel(later));
	return 0;
}

static void cancels(void *arg)
{
	an_call **call = arg;

	append("x");
	*call = an_call_cancel(*call);
}

TASK_TEST(a_call_may_be_called_off_from_itself_and_from_others)
{
	an_call *first, *self, *behind, *timed;

	start_text();
	CHECK_EQUAL(an_call_soon(append, "1", &first), 0);
	CHECK_EQUAL(an_call_soon(cancels, &self, &self), 0);
	CHECK_EQUAL(an_call_soon(cancels, &first, NULL), 0);
	CHECK_EQUAL(an_call_soon(cancels, &behind, NULL), 0);
	CHECK_EQUAL(an_call_soon(append, "2", &behind), 0);
	CHECK_EQUAL(an_call_soon(cancels, &timed, NULL), 0);
	CHECK_EQUAL(an_call_later(0, append, "3", &timed), 0);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK(strcmp(text, "1xxxx") == 0);
	CHECK(!first && !self && !behind && !timed);
	return 0;
}

/* ---- what a call may do ------------------------------------------------------------ */

static int slept, yielded;

static void tries_to_wait(void *arg)
{
	slept = an_sleep(AN_SECOND);
	yielded = an_yield();
	an_event_set(arg);
}

TASK_TEST(a_call_cannot_suspend)
{
	an_event event = AN_EVENT_INIT;

	CHECK_EQUAL(an_call_soon(tries_to_wait, &event, NULL), 0);
	CHECK_EQUAL(an_event_wait(&event), 0);
	CHECK_EQUAL(slept, AN_ERR_NO_TASK);
	CHECK_EQUAL(yielded, AN_ERR_NO_TASK);
	return 0;
}

static void spawns(void *arg)
{
	if (an_spawn(appends, arg, NULL, NULL) < 0)
		append("!");
}

TASK_TEST(a_call_may_spawn_a_task)
{
	start_text();
	CHECK_EQUAL(an_call_later(AN_SECOND, spawns, "t", NULL), 0);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK(strcmp(text, "t") == 0);
	return 0;
}

static void never_made(void *arg)
{
	(void)arg;
	abort();
}

static void without_a_loop_no_call_is_taken(void **state)
{
	an_call *call = (an_call *)&call;

	(void)state;
	assert_int_equal(an_call_soon(never_made, NULL, &call), AN_ERR_NO_TASK);
	assert_int_equal(an_call_later(1, never_made, NULL, &call), AN_ERR_NO_TASK);
	assert_int_equal(an_call_at(1, never_made, NULL, NULL), AN_ERR_NO_TASK);
	assert_ptr_equal(call, &call);
}

/* ---- what keeps a loop going ------------------------------------------------------- */

static void sets(void *arg)
{
	an_event_set(arg);
}

TASK_TEST(a_call_on_its_way_keeps_a_virtual_loop_from_being_stuck)
{
	an_event event = AN_EVENT_INIT;

	CHECK_EQUAL(an_call_soon(sets, &event, NULL), 0);
	CHECK_EQUAL(an_event_wait(&event), 0);
	an_event_clear(&event);
	CHECK_EQUAL(an_call_later(AN_HOUR, sets, &event, NULL), 0);
	CHECK_EQUAL(an_event_wait(&event), 0);
	CHECK_EQUAL(an_now(), AN_HOUR);
	return 0;
}

static int waits_for_never(void *arg)
{
	CHECK_EQUAL(an_call_later(AN_FOREVER, never_made, NULL, arg), 0);
	CHECK_EQUAL(an_call_at(AN_FOREVER, never_made, NULL, NULL), 0);
	return an_sleep(AN_FOREVER);
}

static void a_call_for_never_wakes_nobody(void **state)
{
	an_call *call = NULL;

	(void)state;
	assert_int_equal(run_virtual(waits_for_never, &call), AN_ERR_STUCK);
	assert_non_null(call); /* freed with its loop */
}

/* ---- the end ----------------------------------------------------------------------- */

static void asks_in_vain(void *arg)
{
	append(arg);
	if (an_call_soon(never_made, NULL, NULL) < 0 ||
	    an_call_later(0, never_made, NULL, NULL) < 0)
		append("!");
}

static void cancels_late(void *arg)
{
	append("c");
	an_call_cancel(arg);
}

static int leaves_calls(void *arg)
{
	an_call *kept, *made_before;

	(void)arg;
	CHECK_EQUAL(an_call_soon(append, "m", &made_before), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_call_later(AN_HOUR, never_made, NULL, NULL), 0);
	CHECK_EQUAL(an_call_later(AN_HOUR, never_made, NULL, &kept), 0);
	CHECK_EQUAL(an_call_soon(asks_in_vain, "s", NULL), 0);
	an__loop_set_local(an_loop_current(), AN__LOCAL_LOG, kept, cancels_late);
	return 6;
}

/* Leaks are seen by AddressSanitizer and valgrind: of a handle that nobody gave back,
 * too. */
static void what_is_left_at_the_end_is_dropped_and_freed(void **state)
{
	(void)state;
	start_text();
	assert_int_equal(run_virtual(leaves_calls, NULL), 6);
	assert_string_equal(text, "msc");
}

/* ---- memory ------------------------------------------------------------------------ */

static int asks(int how, an_call **ret)
{
	switch (how) {
	case 0:
		return an_call_soon(never_made, NULL, ret);
	case 1:
		return an_call_later(AN_SECOND, never_made, NULL, ret);
	default:
		return an_call_at(an_now() + AN_SECOND, never_made, NULL, ret);
	}
}

/* How many calls are allocated at once. */
#define CHUNK 63

TASK_TEST(every_allocation_of_a_call_may_fail)
{
	static an_call *calls[MANY];
	int failures = 0;

	for (int i = 0; i < MANY; i++) {
		calls[i] = NULL;
		for (size_t n = 1; !calls[i]; n++) {
			int r;

			an__alloc_arm(n);
			r = asks(i % 3, &calls[i]);
			if (!an__alloc_failed) {
				CHECK_EQUAL(r, 0);
				an__alloc_arm(0);
				break;
			}
			CHECK_EQUAL(r, -ENOMEM);
			CHECK(!calls[i]);
			failures++;
		}
	}
	CHECK(failures > MANY / CHUNK); /* the chunks, and the room in the wheel */
	for (int i = 0; i < MANY; i++)
		an_call_cancel(calls[i]);
	return 0;
}

TASK_TEST(a_limit_that_is_lifted_and_set_anew_costs_no_allocation)
{
	an_call *call;

	CHECK_EQUAL(an_call_later(AN_SECOND, never_made, NULL, &call), 0);
	an__alloc_arm(1);
	for (int i = 0; i < 10000; i++) {
		an_call_cancel(call);
		CHECK_EQUAL(an_call_later(AN_SECOND + i, never_made, NULL, &call), 0);
	}
	CHECK(!an__alloc_failed);
	an__alloc_arm(0);
	an_call_cancel(call);
	return 0;
}

static size_t chunks(void)
{
	const an__list *head = &an_loop_current()->calls.chunks, *l;
	size_t n = 0;

	for (l = head->next; l != head; l = l->next)
		n++;
	return n;
}

static void shuffle(an_call **calls, size_t count)
{
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = (size_t)random() % (i + 1);
		an_call *call = calls[i];

		calls[i] = calls[j];
		calls[j] = call;
	}
}

TASK_TEST(a_burst_leaves_no_more_than_the_spare_calls_behind)
{
	static an_call *calls[MANY];

	srandom(5);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MANY; i++)
			CHECK_EQUAL(asks(i % 3, &calls[i]), 0);
		CHECK(chunks() >= MANY / CHUNK);
		if (round > 0)
			shuffle(calls, MANY);
		for (int i = 0; i < MANY; i++)
			an_call_cancel(calls[i]);
		CHECK(an_loop_current()->calls.spare_count <= 256);
		CHECK(chunks() <= (round > 0 ? MANY / CHUNK + 1 : 256 / CHUNK + 2));
	}
	return 0;
}

static size_t timers(void)
{
	an_loop_metrics m;

	an_loop_get_metrics(an_loop_current(), &m);
	return m.timers;
}

static void counts(void *arg)
{
	*(size_t *)arg = timers();
}

TASK_TEST_IN_ORDER(those_for_a_time_are_counted_as_timers_until_it_comes)
{
	size_t before = timers(), seen = 99;
	an_call *soon, *late, *never;

	CHECK_EQUAL(an_call_soon(counts, &seen, &soon), 0);
	CHECK_EQUAL(an_call_soon(append, "-", NULL), 0);
	CHECK_EQUAL(an_call_later(AN_HOUR, never_made, NULL, &late), 0);
	CHECK_EQUAL(an_call_later(AN_FOREVER, never_made, NULL, &never), 0);
	CHECK_EQUAL(timers(), before + 1);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(seen, before + 1);
	an_call_cancel(soon);
	CHECK_EQUAL(an_call_soon(never_made, NULL, &soon), 0);
	an_call_cancel(soon);
	an_call_cancel(never);
	CHECK_EQUAL(timers(), before + 1);
	an_call_cancel(late);
	CHECK_EQUAL(timers(), before);
	return 0;
}

/* ---- an attached loop -------------------------------------------------------------- */

static void breaks(void *arg)
{
	append("k");
	event_base_loopbreak(arg);
}

static void calls_soon(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	if (an_call_soon(append, "s", NULL) < 0 || an_call_soon(breaks, arg, NULL) < 0)
		append("!");
}

static void calls_later(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	if (an_call_later(AN_MILLISECOND, breaks, arg, NULL) < 0 ||
	    an_call_later(0, append, "l", NULL) < 0)
		append("!");
}

static void follows_and_breaks(void *arg)
{
	append("f");
	if (an_call_soon(breaks, arg, NULL) < 0)
		append("!");
}

static void a_call_wakes_an_attached_loop(void **state)
{
	struct event_base *base = event_base_new();
	struct timeval now = { 0, 0 };
	an_loop *loop;

	(void)state;
	start_text();
	assert_int_equal(an_loop_attach(base, NULL, &loop), 0);
	assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, calls_soon, base, &now),
			 0);
	event_base_dispatch(base);
	assert_string_equal(text, "sk");
	assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, calls_later, base, &now),
			 0);
	event_base_dispatch(base);
	assert_string_equal(text, "sklk");
	assert_int_equal(an_call_soon(follows_and_breaks, base, NULL), 0);
	event_base_dispatch(base);
	assert_string_equal(text, "sklkfk");
	assert_int_equal(an_call_later(AN_HOUR, never_made, NULL, NULL), 0);
	assert_null(an_loop_detach(loop));
	event_base_free(base);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(calls_are_made_in_order_before_any_task_runs_again),
	cmocka_unit_test(a_call_that_a_call_asks_for_is_made_in_the_next_turn),
	cmocka_unit_test(calls_at_equal_times_are_made_in_the_order_of_the_asking),
	cmocka_unit_test(times_that_have_come_are_made_after_soon_and_in_their_order),
	cmocka_unit_test(calls_that_follow_each_other_at_once_leave_tasks_their_turns),
	cmocka_unit_test(random_calls_are_made_when_and_as_planned),
	cmocka_unit_test(a_call_that_was_called_off_is_not_made),
	cmocka_unit_test(a_handle_is_given_back_after_the_call_was_made),
	cmocka_unit_test(a_call_may_be_called_off_from_itself_and_from_others),
	cmocka_unit_test(a_call_cannot_suspend),
	cmocka_unit_test(a_call_may_spawn_a_task),
	cmocka_unit_test(without_a_loop_no_call_is_taken),
	cmocka_unit_test(a_call_on_its_way_keeps_a_virtual_loop_from_being_stuck),
	cmocka_unit_test(a_call_for_never_wakes_nobody),
	cmocka_unit_test(what_is_left_at_the_end_is_dropped_and_freed),
	cmocka_unit_test(every_allocation_of_a_call_may_fail),
	cmocka_unit_test(a_limit_that_is_lifted_and_set_anew_costs_no_allocation),
	cmocka_unit_test(a_burst_leaves_no_more_than_the_spare_calls_behind),
	cmocka_unit_test(those_for_a_time_are_counted_as_timers_until_it_comes),
	cmocka_unit_test(a_call_wakes_an_attached_loop),
};
TEST_MAIN("call", tests)
