/* The wheel of deadlines, against a plain table. */
#include "loop/base/alloc.h"
#include "loop/base/wheel.h"
#include "tests/support/run.h"

#include <stdlib.h>

#define COUNT 400

static an__wheel wheel;
static an__wheel_node *nodes[COUNT];

/* What is in the wheel, as the table has it. */
static struct {
	an_duration deadline;
	uint64_t seq;
	bool in;
} table[COUNT];
static uint64_t next_seq;

static int set_up(void **state)
{
	(void)state;
	wheel = (an__wheel){ 0 };
	for (int i = 0; i < COUNT; i++) {
		nodes[i] = calloc(1, sizeof *nodes[i]);
		table[i].in = false;
		assert_int_equal(an__wheel_reserve(&wheel), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		an__wheel_remove(&wheel, nodes[i]);
		an__wheel_unreserve(&wheel);
		free(nodes[i]);
	}
	assert_int_equal(an__wheel_count(&wheel), 0);
	assert_null(an__wheel_first(&wheel));
	an__wheel_done(&wheel);
	return 0;
}

static void set(int i, an_duration deadline)
{
	an__wheel_set(&wheel, nodes[i], deadline);
	table[i].deadline = deadline;
	table[i].seq = next_seq++;
	table[i].in = true;
}

/* Gives the memory back, too, and takes new. */
static void removed(int i)
{
	an__wheel_remove(&wheel, nodes[i]);
	assert_false(an__wheel_has(nodes[i]));
	free(nodes[i]);
	nodes[i] = calloc(1, sizeof *nodes[i]);
	table[i].in = false;
}

static size_t count_of_table(void)
{
	size_t count = 0;

	for (int i = 0; i < COUNT; i++)
		count += table[i].in;
	return count;
}

static int first_of_table(void)
{
	int best = -1;

	for (int i = 0; i < COUNT; i++)
		if (table[i].in &&
		    (best < 0 || table[i].deadline < table[best].deadline ||
		     (table[i].deadline == table[best].deadline &&
		      table[i].seq < table[best].seq)))
			best = i;
	return best;
}

/* Some equal, some of one tick, some of every level. */
static an_duration some_deadline(an_duration now)
{
	an_duration span = (an_duration)1 << (random() % 62);

	switch (random() % 4) {
	case 0:
		return now / 1000000 * 1000000 + random() % 40 * 1000000;
	case 1:
		return now - 2000 + random() % 4000000;
	default:
		return now > INT64_MAX - span ? AN_FOREVER : now + random() % span;
	}
}

static void fire_all_due(an_duration now)
{
	for (;;) {
		int i = first_of_table();
		an__wheel_node *n = an__wheel_due(&wheel, now);

		if (i < 0 || table[i].deadline > now) {
			assert_null(n);
			return;
		}
		assert_ptr_equal(n, nodes[i]);
		assert_int_equal(an__wheel_deadline(n), table[i].deadline);
		if (random() % 4)
			removed(i);
		else
			set(i, some_deadline(now));
	}
}

static void change_some(an_duration now)
{
	for (int k = 0; k < 60; k++) {
		int i = (int)(random() % COUNT);

		if (random() % 3)
			set(i, some_deadline(now));
		else
			removed(i);
	}
}

/* Where the clock goes: by itself, to what an__wheel_next() says, or to the first. */
static an_duration go_on(an_duration now)
{
	int i = first_of_table();
	an_duration next = an__wheel_next(&wheel), to;

	if (i < 0)
		assert_int_equal(next, AN_FOREVER);
	else
		assert_true(next <= table[i].deadline);
	switch (random() % 3) {
	case 0:
		to = now + random() % 3000000;
		break;
	case 1:
		assert_ptr_equal(an__wheel_first(&wheel), i < 0 ? NULL : nodes[i]);
		to = i < 0 || table[i].deadline > now + AN_HOUR ? now
								 : table[i].deadline;
		break;
	default:
		to = next > now + AN_HOUR ? now : next;
	}
	return to > now ? to : now;
}

static void any_sequence_leaves_as_a_table_would(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		an_duration now = seed % 2 ? 0 : 5 * AN_HOUR;

		set_up(NULL);
		srandom(seed);
		for (int round = 0; round < 60; round++) {
			change_some(now);
			assert_int_equal(an__wheel_count(&wheel), count_of_table());
			now = go_on(now);
			fire_all_due(now);
		}
		tear_down(NULL);
	}
}

static void equal_deadlines_leave_in_the_order_they_came(void **state)
{
	an_duration now = AN_SECOND, then = AN_MINUTE;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		set(i, then);
		if (i % 50 == 0) {
			assert_null(an__wheel_due(&wheel, now));
			now += AN_SECOND;
		}
		if (i % 70 == 0)
			assert_true(an__wheel_next(&wheel) <= then);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_ptr_equal(an__wheel_due(&wheel, then), nodes[i]);
		removed(i);
	}
	assert_null(an__wheel_due(&wheel, then));
}

static void one_that_is_far_is_known_exactly(void **state)
{
	(void)state;
	set(0, 3 * AN_HOUR + 1);
	assert_int_equal(an__wheel_next(&wheel), 3 * AN_HOUR + 1);
	set(1, AN_HOUR + 2);
	assert_int_equal(an__wheel_next(&wheel), AN_HOUR + 2);
	removed(1);
	assert_null(an__wheel_due(&wheel, 3 * AN_HOUR));
	assert_ptr_equal(an__wheel_due(&wheel, 3 * AN_HOUR + 1), nodes[0]);
}

/* Each look goes down a level, so that a loop that trusts it wakes eight times at
 * most. */
static void many_that_are_far_are_looked_for_a_few_times(void **state)
{
	an_duration now = 0;
	int looks = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		set(i, 3 * AN_HOUR + i);
	while (!an__wheel_due(&wheel, now)) {
		now = an__wheel_next(&wheel);
		looks++;
	}
	assert_int_equal(now, 3 * AN_HOUR);
	assert_true(looks <= AN__WHEEL_LEVELS + 1);
}

static void deadlines_at_the_ends_of_the_range_are_kept(void **state)
{
	(void)state;
	set(0, AN_FOREVER);
	set(1, INT64_MIN);
	set(2, -1);
	set(3, AN_FOREVER - 1);
	for (int i = 1; i < 3; i++) {
		assert_ptr_equal(an__wheel_due(&wheel, 0), nodes[i]);
		removed(i);
	}
	assert_null(an__wheel_due(&wheel, 0));
	assert_null(an__wheel_due(&wheel, AN_FOREVER - 2));
	assert_ptr_equal(an__wheel_first(&wheel), nodes[3]);
	assert_ptr_equal(an__wheel_due(&wheel, AN_FOREVER - 1), nodes[3]);
	removed(3);
	assert_ptr_equal(an__wheel_first(&wheel), nodes[0]);
}

/* A slot that has lost its last is not waited for, and the heap's first is not behind
 * it. */
static void what_was_called_off_is_not_waited_for(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++)
		set(i, AN_SECOND * (i + 1));
	for (int i = 0; i < COUNT - 1; i++)
		removed(i);
	assert_int_equal(an__wheel_count(&wheel), 1);
	assert_int_equal(an__wheel_next(&wheel), AN_SECOND * COUNT);
	assert_int_equal(wheel.horizon, 0);
	removed(COUNT - 1);
	assert_int_equal(an__wheel_count(&wheel), 0);
	assert_int_equal(an__wheel_next(&wheel), AN_FOREVER);
	assert_null(an__wheel_first(&wheel));
	set(0, AN_SECOND);
	assert_null(an__wheel_due(&wheel, AN_SECOND - 1));
	assert_ptr_equal(an__wheel_due(&wheel, AN_SECOND), nodes[0]);
}

static void what_is_held_is_counted_but_never_due(void **state)
{
	an__list list;

	(void)state;
	an__list_init(&list);
	an__wheel_hold(&wheel, nodes[0], &list);
	an__wheel_hold(&wheel, nodes[1], &list);
	set(2, 5);
	assert_int_equal(an__wheel_count(&wheel), 3);
	assert_ptr_equal(an__wheel_due(&wheel, AN_HOUR), nodes[2]);
	removed(2);
	assert_null(an__wheel_due(&wheel, 2 * AN_HOUR));
	assert_int_equal(an__wheel_next(&wheel), AN_FOREVER);
	an__wheel_remove(&wheel, nodes[0]);
	set(1, 3 * AN_HOUR);
	assert_true(an__list_empty(&list));
	assert_int_equal(an__wheel_count(&wheel), 1);
	assert_ptr_equal(an__wheel_due(&wheel, 3 * AN_HOUR), nodes[1]);
}

static void what_has_room_needs_no_memory(void **state)
{
	(void)state;
	an__alloc_arm(1);
	srandom(7);
	for (int i = 0; i < 20000; i++)
		set((int)(random() % COUNT), some_deadline(0));
	for (int i = 0; i < COUNT; i++)
		set(i, 5);
	assert_int_equal(wheel.near.used, COUNT);
	assert_false(an__alloc_failed);
	an__alloc_arm(0);
}

static void room_without_memory_is_refused(void **state)
{
	an__wheel w = { 0 };

	(void)state;
	an__alloc_arm(1);
	assert_true(an__wheel_reserve(&w) < 0);
	an__alloc_arm(0);
	assert_int_equal(an__wheel_reserve(&w), 0);
	an__wheel_unreserve(&w);
	an__wheel_done(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(any_sequence_leaves_as_a_table_would),
	cmocka_unit_test_setup_teardown(equal_deadlines_leave_in_the_order_they_came,
					set_up, tear_down),
	cmocka_unit_test_setup_teardown(one_that_is_far_is_known_exactly, set_up,
					tear_down),
	cmocka_unit_test_setup_teardown(many_that_are_far_are_looked_for_a_few_times,
					set_up, tear_down),
	cmocka_unit_test_setup_teardown(deadlines_at_the_ends_of_the_range_are_kept,
					set_up, tear_down),
	cmocka_unit_test_setup_teardown(what_was_called_off_is_not_waited_for, set_up,
					tear_down),
	cmocka_unit_test_setup_teardown(what_is_held_is_counted_but_never_due, set_up,
					tear_down),
	cmocka_unit_test_setup_teardown(what_has_room_needs_no_memory, set_up, tear_down),
	cmocka_unit_test(room_without_memory_is_refused),
};
TEST_MAIN("wheel", tests)
