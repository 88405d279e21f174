/* The ring of records. */
#include "tests/support/program.h"

#include "log/ring.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static bool put(an__log_ring *r, const char *text, size_t len, size_t spare)
{
	an__log_record record = { .time = 42, .len = (uint32_t)len, .level = 3 };

	return an__log_ring_put(r, &record, text, spare);
}

static void records_wrap_at_every_offset(void **state)
{
	an__log_ring r;
	char text[40], got[64];

	(void)state;
	assert_int_equal(an__log_ring_init(&r, 64), 0);
	for (size_t round = 0; round < 5000; round++) {
		size_t len = round % sizeof text;
		an__log_record record;

		memset(text, (int)('a' + round % 26), len);
		assert_true(put(&r, text, len, 0));
		assert_true(an__log_ring_peek(&r, &record));
		assert_int_equal(record.len, len);
		assert_int_equal(record.time, 42);
		assert_int_equal(record.level, 3);
		an__log_ring_take(&r, &record, got);
		assert_memory_equal(got, text, len);
		assert_false(an__log_ring_peek(&r, &record));
		an__log_ring_release(&r);
	}
	an__log_ring_done(&r);
}

static void a_full_ring_refuses_and_takes_again_after_release(void **state)
{
	an__log_ring r;
	an__log_record record;
	char got[64];

	(void)state;
	assert_int_equal(an__log_ring_init(&r, 64), 0);
	assert_int_equal(r.size, 64);
	assert_true(put(&r, "0123456789abcdef", 16, 0));
	assert_true(put(&r, "0123456789abcdef", 16, 0)); /* to the last byte */
	assert_false(put(&r, "", 0, 0));
	assert_true(an__log_ring_peek(&r, &record));
	an__log_ring_take(&r, &record, got);
	assert_false(put(&r, "", 0, 0)); /* looked at, not yet given back */
	an__log_ring_release(&r);
	assert_true(put(&r, "", 0, 0));
	an__log_ring_done(&r);
}

static void what_is_spared_stays_free(void **state)
{
	an__log_ring r;

	(void)state;
	assert_int_equal(an__log_ring_init(&r, 128), 0);
	assert_false(put(&r, "0123456789abcdef", 16, 97));
	assert_true(put(&r, "0123456789abcdef", 16, 96));
	assert_false(put(&r, "x", 1, 96));
	assert_true(put(&r, "x", 1, 0));
	an__log_ring_done(&r);
}

static void positions_may_wrap_around(void **state)
{
	an__log_ring r;
	an__log_record record;
	char got[64];

	(void)state;
	assert_int_equal(an__log_ring_init(&r, 64), 0);
	r.tail = r.head = r.cursor = r.head_seen = r.tail_seen = SIZE_MAX - 20;
	assert_true(put(&r, "0123456789abcdef", 16, 0));
	assert_true(put(&r, "0123456789abcdef", 16, 0));
	assert_false(put(&r, "", 0, 0));
	for (int i = 0; i < 2; i++) {
		assert_true(an__log_ring_peek(&r, &record));
		an__log_ring_take(&r, &record, got);
		assert_memory_equal(got, "0123456789abcdef", 16);
	}
	assert_false(an__log_ring_passed(&r, an__log_ring_tail(&r)));
	an__log_ring_release(&r);
	assert_true(an__log_ring_passed(&r, an__log_ring_tail(&r)));
	assert_int_equal(an__log_ring_used(&r), 0);
	an__log_ring_done(&r);
}

#define CROSSING 20000

static void *produce(void *arg)
{
	an__log_ring *r = arg;
	char text[32];

	for (unsigned i = 0; i < CROSSING;) {
		int n = snprintf(text, sizeof text, "%u", i);

		if (put(r, text, (size_t)n, 0))
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void what_one_thread_puts_another_takes_in_order(void **state)
{
	an__log_ring r;
	an__log_record record;
	pthread_t thread;
	char got[32], want[32];

	(void)state;
	assert_int_equal(an__log_ring_init(&r, 256), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
	for (unsigned i = 0; i < CROSSING;) {
		if (!an__log_ring_peek(&r, &record)) {
			sched_yield();
			continue;
		}
		an__log_ring_take(&r, &record, got);
		an__log_ring_release(&r);
		got[record.len] = '\0';
		snprintf(want, sizeof want, "%u", i++);
		assert_string_equal(got, want);
	}
	pthread_join(thread, NULL);
	an__log_ring_done(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(records_wrap_at_every_offset),
	cmocka_unit_test(a_full_ring_refuses_and_takes_again_after_release),
	cmocka_unit_test(what_is_spared_stays_free),
	cmocka_unit_test(positions_may_wrap_around),
	cmocka_unit_test(what_one_thread_puts_another_takes_in_order),
};
TEST_MAIN("log ring", tests)
