/* The cache of prepared statements. */
#include "tests/support/program.h"

#include "db/statements.h"

#include <asyncnet/testing.h>
#include <stdio.h>
#include <string.h>

static an__pg_statement *use(an__pg_statements *s, const char *sql)
{
	return an__pg_statements_use(s, sql, NULL, 0);
}

static void the_second_use_finds_the_first(void **state)
{
	uint32_t int8 = 20, text = 25;
	an__pg_statement *a, *b, *c;
	an__pg_statements s;

	(void)state;
	assert_int_equal(an__pg_statements_init(&s, 4), 0);
	a = an__pg_statements_use(&s, "select $1", &int8, 1);
	assert_false(a->seen);
	b = an__pg_statements_use(&s, "select $1", &int8, 1);
	assert_ptr_equal(a, b);
	assert_true(a->seen);
	c = an__pg_statements_use(&s, "select $1", &text, 1);
	assert_ptr_not_equal(a, c);
	assert_string_not_equal(a->name, c->name);
	an__pg_statements_done(&s);
}

static void the_least_recently_used_leaves_and_waits_for_its_deallocate(void **state)
{
	an__pg_statements s;
	char name[24];

	(void)state;
	assert_int_equal(an__pg_statements_init(&s, 2), 0);
	use(&s, "a")->prepared = true;
	use(&s, "b")->prepared = true;
	strcpy(name, use(&s, "b")->name);
	use(&s, "a");
	assert_null(an__pg_statements_dropped(&s));
	use(&s, "c");
	assert_string_equal(an__pg_statements_dropped(&s), name);
	an__pg_statements_deallocated(&s);
	assert_null(an__pg_statements_dropped(&s));
	assert_true(use(&s, "a")->prepared);
	assert_false(use(&s, "b")->prepared);
	an__pg_statements_done(&s);
}

static void what_was_never_prepared_leaves_without_a_trace(void **state)
{
	an__pg_statements s;
	char sql[32];

	(void)state;
	assert_int_equal(an__pg_statements_init(&s, 3), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(sql, sizeof(sql), "select %d", i);
		assert_non_null(use(&s, sql));
	}
	assert_null(an__pg_statements_dropped(&s));
	assert_int_equal(s.count, 3);
	an__pg_statements_done(&s);
}

static void a_renewed_statement_gets_another_name(void **state)
{
	an__pg_statements s;
	an__pg_statement *a;
	char name[24];

	(void)state;
	assert_int_equal(an__pg_statements_init(&s, 2), 0);
	a = use(&s, "a");
	strcpy(name, a->name);
	a->prepared = true;
	an__pg_statements_renew(&s, a, true);
	assert_false(a->prepared);
	assert_string_not_equal(a->name, name);
	assert_string_equal(an__pg_statements_dropped(&s), name);
	an__pg_statements_deallocated(&s);
	a->prepared = true;
	an__pg_statements_renew(&s, a, false);
	assert_null(an__pg_statements_dropped(&s));
	an__pg_statements_done(&s);
}

static void long_texts_and_an_empty_cache_keep_nothing(void **state)
{
	char *sql = malloc(AN__PG_STATEMENT_MAX + 2);
	an__pg_statements s;

	(void)state;
	assert_non_null(sql);
	memset(sql, 'x', AN__PG_STATEMENT_MAX + 1);
	sql[AN__PG_STATEMENT_MAX + 1] = '\0';
	assert_int_equal(an__pg_statements_init(&s, 2), 0);
	assert_null(use(&s, sql));
	sql[AN__PG_STATEMENT_MAX] = '\0';
	assert_non_null(use(&s, sql));
	an__pg_statements_done(&s);
	assert_int_equal(an__pg_statements_init(&s, 0), 0);
	assert_null(use(&s, "a"));
	an__pg_statements_done(&s);
	free(sql);
}

static void without_memory_a_statement_is_not_kept(void **state)
{
	an__pg_statements s;

	(void)state;
	an_testing_fail_allocation(1);
	assert_int_not_equal(an__pg_statements_init(&s, 2), 0);
	assert_true(an_testing_allocation_failed());
	an__pg_statements_done(&s);
	assert_int_equal(an__pg_statements_init(&s, 2), 0);
	an_testing_fail_allocation(1);
	assert_null(use(&s, "a"));
	assert_true(an_testing_allocation_failed());
	assert_non_null(use(&s, "a"));
	an__pg_statements_done(&s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_second_use_finds_the_first),
	cmocka_unit_test(the_least_recently_used_leaves_and_waits_for_its_deallocate),
	cmocka_unit_test(what_was_never_prepared_leaves_without_a_trace),
	cmocka_unit_test(a_renewed_statement_gets_another_name),
	cmocka_unit_test(long_texts_and_an_empty_cache_keep_nothing),
	cmocka_unit_test(without_memory_a_statement_is_not_kept),
};
TEST_MAIN("pg-statements", tests)
