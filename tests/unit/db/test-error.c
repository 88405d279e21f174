/* Errors: SQLSTATEs found in texts, cut texts, backoff. */
#include "tests/support/program.h"

#include "db/error.h"
#include "db/pool.h"

#include <asyncnet/error.h>
#include <string.h>

static void the_sqlstate_of_a_refused_connection_is_found_in_its_text(void **state)
{
	an_pg_error e;

	(void)state;
	an__pg_error_from_text(
		&e, AN_ERR_PG_CONNECTION,
		"connection to server on socket \"/tmp/.s\" failed: FATAL:  53300: "
		"sorry, too many clients already\nLOCATION:  x, y.c:1\n",
		"08001");
	assert_string_equal(e.sqlstate, "53300");
	assert_string_equal(e.message, "sorry, too many clients already");
	assert_string_equal(e.severity, "FATAL");
	assert_int_equal(e.sent, AN_PG_SENT_NO);
}

static void a_translated_severity_makes_no_difference(void **state)
{
	an_pg_error e;

	(void)state;
	an__pg_error_from_text(&e, AN_ERR_PG_CONNECTION, "x: FATALE:  28P01: nein",
			       "08001");
	assert_string_equal(e.sqlstate, "28P01");
	assert_string_equal(e.message, "nein");
}

static void a_text_without_one_gets_the_fallback(void **state)
{
	static const char *const texts[] = {
		"connection refused\n",
		"a:  bcdef: g",
		"FATAL:  5330",
		"FATAL:  ",
		"",
		NULL,
	};
	an_pg_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		an__pg_error_from_text(&e, AN_ERR_PG_CONNECTION, texts[i], "08001");
		assert_string_equal(e.sqlstate, "08001");
	}
}

static void a_cut_text_keeps_whole_characters(void **state)
{
	char to[6];

	(void)state;
	an__pg_text_copy(to, sizeof(to), "abcd\xc3\xa9");
	assert_string_equal(to, "abcd");
	an__pg_text_copy(to, sizeof(to), "abc\xc3\xa9");
	assert_string_equal(to, "abc\xc3\xa9");
	an__pg_text_copy(to, sizeof(to), "abcdefgh");
	assert_string_equal(to, "abcde");
	an__pg_text_copy(to, sizeof(to), "ab\n\n");
	assert_string_equal(to, "ab");
	an__pg_text_copy(to, sizeof(to), NULL);
	assert_string_equal(to, "");
}

static void only_serialization_failures_and_deadlocks_are_retryable(void **state)
{
	an_pg_error e;

	(void)state;
	an__pg_error_set(&e, AN_ERR_SQL, AN_PG_SENT_UNKNOWN, "40001", "");
	assert_true(an__pg_error_retryable(&e));
	an__pg_error_set(&e, AN_ERR_SQL, AN_PG_SENT_UNKNOWN, "40P01", "");
	assert_true(an__pg_error_retryable(&e));
	an__pg_error_set(&e, AN_ERR_SQL, AN_PG_SENT_UNKNOWN, "23505", "");
	assert_false(an__pg_error_retryable(&e));
	an__pg_error_set(&e, AN_ERR_PG_CONNECTION, AN_PG_SENT_UNKNOWN, "40001", "");
	assert_false(an__pg_error_retryable(&e));
}

static void the_backoff_doubles_up_to_its_limit(void **state)
{
	(void)state;
	assert_int_equal(an__pg_backoff(1, 100, 1000), 100);
	assert_int_equal(an__pg_backoff(2, 100, 1000), 200);
	assert_int_equal(an__pg_backoff(4, 100, 1000), 800);
	assert_int_equal(an__pg_backoff(5, 100, 1000), 1000);
	assert_int_equal(an__pg_backoff(4000000000u, 100, INT64_MAX), INT64_MAX);
	assert_int_equal(an__pg_backoff(1, 2000, 1000), 1000);
}

static void the_jitter_stays_within_a_half_and_varies(void **state)
{
	int64_t first = an__pg_jitter(1000000), differs = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		int64_t d = an__pg_jitter(1000000);

		assert_in_range(d, 500000, 1500000);
		differs += d != first;
	}
	assert_true(differs > 50);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_sqlstate_of_a_refused_connection_is_found_in_its_text),
	cmocka_unit_test(a_translated_severity_makes_no_difference),
	cmocka_unit_test(a_text_without_one_gets_the_fallback),
	cmocka_unit_test(a_cut_text_keeps_whole_characters),
	cmocka_unit_test(only_serialization_failures_and_deadlocks_are_retryable),
	cmocka_unit_test(the_backoff_doubles_up_to_its_limit),
	cmocka_unit_test(the_jitter_stays_within_a_half_and_varies),
};
TEST_MAIN("pg-error", tests)
