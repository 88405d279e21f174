/* The heap of deadlines, against a plain sorted order. */
#include "loop/base/heap.h"
#include "tests/support/run.h"

#include <stdlib.h>

#define COUNT 500

static an__heap heap;
static an__heap_node nodes[COUNT];

static int set_up(void **state)
{
	(void)state;
	heap = (an__heap){ 0 };
	for (int i = 0; i < COUNT; i++) {
		nodes[i] = (an__heap_node){ 0 };
		assert_int_equal(an__heap_reserve(&heap), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	an__heap_done(&heap);
	return 0;
}

static int pop(void)
{
	an__heap_node *n = an__heap_first(&heap);

	if (!n)
		return -1;
	an__heap_remove(&heap, n);
	return (int)(n - nodes);
}

static void nodes_leave_by_deadline(void **state)
{
	an_duration last = -1;

	(void)state;
	srandom(1);
	for (int i = 0; i < COUNT; i++)
		an__heap_set(&heap, &nodes[i], random() % 1000);
	for (int i = 0; i < COUNT; i++) {
		int n = pop();

		assert_true(n >= 0 && nodes[n].deadline >= last);
		last = nodes[n].deadline;
	}
	assert_int_equal(pop(), -1);
}

static void equal_deadlines_leave_in_the_order_they_came(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++)
		an__heap_set(&heap, &nodes[i], i % 2 ? 5 : 9);
	for (int i = 1; i < COUNT; i += 2)
		assert_int_equal(pop(), i);
	for (int i = 0; i < COUNT; i += 2)
		assert_int_equal(pop(), i);
}

static void a_moved_node_goes_behind_its_equals(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		an__heap_set(&heap, &nodes[i], 7);
	an__heap_set(&heap, &nodes[0], 7);
	for (int i = 1; i < 5; i++)
		assert_int_equal(pop(), i);
	assert_int_equal(pop(), 0);
}

static void any_node_can_be_removed(void **state)
{
	int left = 0;
	an_duration last = -1;

	(void)state;
	srandom(2);
	for (int i = 0; i < COUNT; i++)
		an__heap_set(&heap, &nodes[i], random() % 100);
	for (int i = 0; i < COUNT; i += 3) {
		an__heap_remove(&heap, &nodes[i]);
		an__heap_remove(&heap, &nodes[i]); /* no effect */
	}
	for (int n; (n = pop()) >= 0; left++) {
		assert_true(n % 3 != 0);
		assert_true(nodes[n].deadline >= last);
		last = nodes[n].deadline;
	}
	assert_int_equal(left, COUNT - (COUNT + 2) / 3);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(nodes_leave_by_deadline, set_up, tear_down),
	cmocka_unit_test_setup_teardown(equal_deadlines_leave_in_the_order_they_came,
					set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_moved_node_goes_behind_its_equals, set_up,
					tear_down),
	cmocka_unit_test_setup_teardown(any_node_can_be_removed, set_up, tear_down),
};
TEST_MAIN("heap", tests)
