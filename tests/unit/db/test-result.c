/* Results: built by hand, read with types. */
#include "tests/support/program.h"

#include "db/param.h"
#include "db/result.h"

#include <asyncnet/testing.h>
#include <errno.h>
#include <math.h>
#include <string.h>

/* One row of one column. */
static an_pg_result *one(uint32_t type, bool binary, const char *data, int length)
{
	an__pg_column column = { .name = "c", .type = type, .binary = binary };
	an_pg_result *r = NULL;

	assert_int_equal(an__pg_result_new(&column, 1, &r), 0);
	assert_int_equal(an__pg_result_add(r, data, length), 0);
	an__pg_result_end_row(r);
	return r;
}

static an_pg_result *text(uint32_t type, const char *value)
{
	return one(type, false, value, (int)strlen(value));
}

static void expect_int(an_pg_result *r, int code, int64_t value)
{
	int64_t v = 77;

	assert_int_equal(an_pg_result_int8(r, 0, 0, &v), code);
	assert_int_equal(v, code ? 77 : value);
	an_pg_result_free(r);
}

static void integers_are_read_from_both_formats(void **state)
{
	(void)state;
	expect_int(text(AN__PG_INT8, "-9223372036854775808"), 0, INT64_MIN);
	expect_int(text(AN__PG_INT4, "12"), 0, 12);
	expect_int(one(AN__PG_INT2, true, "\xff\xfe", 2), 0, -2);
	expect_int(one(AN__PG_INT4, true, "\xff\xff\xff\xfd", 4), 0, -3);
	expect_int(one(AN__PG_INT8, true, "\0\0\0\1\0\0\0\0", 8), 0, INT64_C(1) << 32);
	expect_int(one(AN__PG_OID, true, "\xff\xff\xff\xff", 4), 0, 4294967295);
}

static void what_is_no_integer_is_refused_and_leaves_the_variable(void **state)
{
	(void)state;
	expect_int(text(AN__PG_INT8, "9223372036854775808"), -ERANGE, 0);
	expect_int(text(AN__PG_TEXT, "12x"), -EINVAL, 0);
	expect_int(text(AN__PG_TEXT, ""), -EINVAL, 0);
	expect_int(one(AN__PG_TEXT, false, "1\0", 2), -EINVAL, 0);
	expect_int(one(AN__PG_INT8, false, NULL, -1), -ENODATA, 0);
	expect_int(one(AN__PG_FLOAT8, true, "\0\0\0\0\0\0\0\0", 8), -EINVAL, 0);
	expect_int(one(AN__PG_INT8, true, "\0\0\0\0", 4), -EINVAL, 0);
	expect_int(one(AN__PG_NUMERIC, true, "0123456789", 10), -EINVAL, 0);
}

static void expect_float(an_pg_result *r, int code, double value)
{
	double v = 77;

	assert_int_equal(an_pg_result_float8(r, 0, 0, &v), code);
	assert_true(v == (code ? 77 : value) || (!code && isnan(v) && isnan(value)));
	an_pg_result_free(r);
}

static void floats_are_read_from_both_formats(void **state)
{
	(void)state;
	expect_float(text(AN__PG_FLOAT8, "0.1"), 0, 0.1);
	expect_float(text(AN__PG_NUMERIC, "12.5"), 0, 12.5);
	expect_float(text(AN__PG_FLOAT8, "NaN"), 0, NAN);
	expect_float(text(AN__PG_FLOAT8, "-Infinity"), 0, -INFINITY);
	expect_float(text(AN__PG_NUMERIC, "1e999"), -ERANGE, 0);
	expect_float(text(AN__PG_TEXT, "1.5x"), -EINVAL, 0);
	expect_float(one(AN__PG_FLOAT8, true, "\x3f\xf0\0\0\0\0\0\0", 8), 0, 1.0);
	expect_float(one(AN__PG_FLOAT4, true, "\x3f\x80\0\0", 4), 0, 1.0);
	expect_float(one(AN__PG_INT4, true, "\0\0\0\7", 4), 0, 7.0);
	expect_float(one(AN__PG_TEXT, true, "1234", 4), -EINVAL, 0);
	expect_float(one(AN__PG_FLOAT8, false, NULL, -1), -ENODATA, 0);
}

static void booleans_are_read_from_both_formats(void **state)
{
	an_pg_result *r[] = {
		text(AN__PG_BOOL, "t"),		 text(AN__PG_BOOL, "f"),
		one(AN__PG_BOOL, true, "\1", 1), one(AN__PG_BOOL, true, "\0", 1),
		text(AN__PG_TEXT, "t"),
	};
	bool v = false;

	(void)state;
	assert_int_equal(an_pg_result_bool(r[0], 0, 0, &v), 0);
	assert_true(v);
	assert_int_equal(an_pg_result_bool(r[1], 0, 0, &v), 0);
	assert_false(v);
	assert_int_equal(an_pg_result_bool(r[2], 0, 0, &v), 0);
	assert_true(v);
	assert_int_equal(an_pg_result_bool(r[3], 0, 0, &v), 0);
	assert_false(v);
	assert_int_equal(an_pg_result_bool(r[4], 0, 0, &v), -EINVAL);
	for (size_t i = 0; i < 5; i++)
		an_pg_result_free(r[i]);
}

static void a_bytea_in_hex_is_decoded_once(void **state)
{
	an_pg_result *r = text(AN__PG_BYTEA, "\\x00ff5c78");
	const void *data;
	size_t length;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(an_pg_result_bytea(r, 0, 0, &data, &length), 0);
		assert_int_equal(length, 4);
		assert_memory_equal(data, "\0\xff\\x", 4);
	}
	an_pg_result_free(r);
}

static void a_bytea_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = { "", "x", "\\x0", "\\y00", "\\x0g", "abc" };
	const void *data;
	size_t length;
	an_pg_result *r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = text(AN__PG_BYTEA, bad[i]);
		assert_int_equal(an_pg_result_bytea(r, 0, 0, &data, &length), -EINVAL);
		assert_string_equal(an_pg_result_text(r, 0, 0), bad[i]);
		an_pg_result_free(r);
	}
	r = text(AN__PG_TEXT, "\\x00");
	assert_int_equal(an_pg_result_bytea(r, 0, 0, &data, &length), -EINVAL);
	an_pg_result_free(r);
	r = one(AN__PG_BYTEA, true, "a\0b", 3);
	assert_int_equal(an_pg_result_bytea(r, 0, 0, &data, &length), 0);
	assert_int_equal(length, 3);
	an_pg_result_free(r);
}

static void times_are_counted_from_1970(void **state)
{
	an_pg_result *r = one(AN__PG_TIMESTAMPTZ, true, "\0\0\0\0\0\0\0\1", 8);
	int64_t v = 0;

	(void)state;
	assert_int_equal(an_pg_result_timestamptz(r, 0, 0, &v), 0);
	assert_int_equal(v, INT64_C(946684800000001));
	an_pg_result_free(r);
	r = one(AN__PG_TIMESTAMPTZ, true, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
	assert_int_equal(an_pg_result_timestamptz(r, 0, 0, &v), -ERANGE);
	an_pg_result_free(r);
	r = text(AN__PG_TIMESTAMPTZ, "2000-01-01");
	assert_int_equal(an_pg_result_timestamptz(r, 0, 0, &v), -EINVAL);
	an_pg_result_free(r);
}

static void places_outside_read_as_null(void **state)
{
	an_pg_result *r = text(AN__PG_TEXT, "x");

	(void)state;
	assert_string_equal(an_pg_result_text(r, 0, 0), "x");
	assert_int_equal(an_pg_result_length(r, 0, 0), 1);
	assert_null(an_pg_result_text(r, 1, 0));
	assert_null(an_pg_result_text(r, 0, 1));
	assert_true(an_pg_result_is_null(r, 9, 9));
	assert_int_equal(an_pg_result_length(r, 9, 9), 0);
	assert_null(an_pg_result_column_name(r, 1));
	assert_int_equal(an_pg_result_column_type(r, 1), 0);
	assert_int_equal(an_pg_result_column(r, "c"), 0);
	assert_int_equal(an_pg_result_column(r, "d"), -ENOENT);
	assert_null(an_pg_result_free(r));
	assert_null(an_pg_result_free(NULL));
}

static int build(size_t rows, an_pg_result **ret)
{
	an__pg_column columns[2] = { { .name = "a", .type = 20 },
				     { .name = "b", .type = 25 } };
	an_pg_result *r;
	int e = an__pg_result_new(columns, 2, &r);

	if (e)
		return e;
	for (size_t i = 0; i < rows && !e; i++) {
		e = an__pg_result_add(r, "12345678", (int)(i % 9));
		if (!e)
			e = an__pg_result_add(r, NULL, -1);
		an__pg_result_end_row(r);
	}
	if (e)
		an_pg_result_free(r);
	else
		*ret = r;
	return e;
}

static void many_rows_keep_their_values(void **state)
{
	an_pg_result *r;

	(void)state;
	assert_int_equal(build(5000, &r), 0);
	assert_int_equal(an_pg_result_rows(r), 5000);
	for (size_t i = 0; i < 5000; i++) {
		assert_int_equal(an_pg_result_length(r, i, 0), i % 9);
		assert_memory_equal(an_pg_result_text(r, i, 0), "12345678", i % 9);
		assert_true(an_pg_result_is_null(r, i, 1));
	}
	an_pg_result_free(r);
}

static void a_failing_allocation_is_reported(void **state)
{
	an_pg_result *r;
	size_t n;

	(void)state;
	for (n = 1;; n++) {
		int e;

		an_testing_fail_allocation(n);
		e = build(100, &r);
		if (!an_testing_allocation_failed()) {
			assert_int_equal(e, 0);
			break;
		}
		assert_int_equal(e, -ENOMEM);
	}
	assert_true(n > 3);
	an_pg_result_free(r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(integers_are_read_from_both_formats),
	cmocka_unit_test(what_is_no_integer_is_refused_and_leaves_the_variable),
	cmocka_unit_test(floats_are_read_from_both_formats),
	cmocka_unit_test(booleans_are_read_from_both_formats),
	cmocka_unit_test(a_bytea_in_hex_is_decoded_once),
	cmocka_unit_test(a_bytea_that_is_none_is_refused),
	cmocka_unit_test(times_are_counted_from_1970),
	cmocka_unit_test(places_outside_read_as_null),
	cmocka_unit_test(many_rows_keep_their_values),
	cmocka_unit_test(a_failing_allocation_is_reported),
};
TEST_MAIN("pg-result", tests)
