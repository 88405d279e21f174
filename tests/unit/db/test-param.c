/* Parameters and their binary forms. */
#include "tests/support/program.h"

#include "db/param.h"

#include <errno.h>
#include <string.h>

static void numbers_are_sent_big_endian_with_their_type(void **state)
{
	const an_pg_params *params = AN_PG_PARAMS(
		an_pg_int8(-2), an_pg_int4(258), an_pg_bool(true), an_pg_float8(1.0),
		an_pg_timestamptz(INT64_C(946684800000001)));
	an__pg_args a;

	(void)state;
	assert_int_equal(an__pg_args_init(&a, params), 0);
	assert_int_equal(a.count, 5);
	assert_int_equal(a.types[0], 20);
	assert_int_equal(a.lengths[0], 8);
	assert_int_equal(a.formats[0], 1);
	assert_memory_equal(a.values[0], "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
	assert_int_equal(a.types[1], 23);
	assert_memory_equal(a.values[1], "\0\0\1\2", 4);
	assert_int_equal(a.types[2], 16);
	assert_memory_equal(a.values[2], "\1", 1);
	assert_int_equal(a.types[3], 701);
	assert_memory_equal(a.values[3], "\x3f\xf0\0\0\0\0\0\0", 8);
	assert_int_equal(a.types[4], 1184);
	assert_memory_equal(a.values[4], "\0\0\0\0\0\0\0\1", 8);
	an__pg_args_done(&a);
}

static void text_leaves_the_type_to_the_server(void **state)
{
	an__pg_args a;

	(void)state;
	assert_int_equal(
		an__pg_args_init(&a, AN_PG_PARAMS(an_pg_text("x"), an_pg_text(NULL),
						  an_pg_null(), an_pg_textn("yz", 1))),
		0);
	assert_int_equal(a.types[0], 0);
	assert_int_equal(a.formats[0], 0);
	assert_string_equal(a.values[0], "x");
	assert_null(a.values[1]);
	assert_null(a.values[2]);
	assert_int_equal(a.types[3], 25);
	assert_int_equal(a.formats[3], 1);
	assert_int_equal(a.lengths[3], 1);
	an__pg_args_done(&a);
}

static void empty_bytes_are_not_null(void **state)
{
	an__pg_args a;

	(void)state;
	assert_int_equal(an__pg_args_init(&a, AN_PG_PARAMS(an_pg_bytea(NULL, 0))), 0);
	assert_non_null(a.values[0]);
	assert_int_equal(a.lengths[0], 0);
	assert_int_equal(a.formats[0], 1);
	an__pg_args_done(&a);
}

static void a_value_of_a_gibibyte_is_refused(void **state)
{
	an__pg_args a;

	(void)state;
	assert_int_equal(
		an__pg_args_init(&a, AN_PG_PARAMS(an_pg_bytea("", (size_t)1 << 30))),
		-EINVAL);
}

static void more_parameters_than_the_protocol_counts_are_refused(void **state)
{
	an_pg_param *list = calloc(65536, sizeof(*list));
	an_pg_params params = { .list = list, .count = 65536 };
	an__pg_args a;

	(void)state;
	assert_non_null(list);
	assert_int_equal(an__pg_args_init(&a, &params), -EINVAL);
	params.count = 65535;
	assert_int_equal(an__pg_args_init(&a, &params), 0);
	assert_int_equal(a.count, 65535);
	an__pg_args_done(&a);
	free(list);
}

static void no_parameters_are_fine(void **state)
{
	an__pg_args a;

	(void)state;
	assert_int_equal(an__pg_args_init(&a, NULL), 0);
	assert_int_equal(a.count, 0);
	an__pg_args_done(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(numbers_are_sent_big_endian_with_their_type),
	cmocka_unit_test(text_leaves_the_type_to_the_server),
	cmocka_unit_test(empty_bytes_are_not_null),
	cmocka_unit_test(a_value_of_a_gibibyte_is_refused),
	cmocka_unit_test(more_parameters_than_the_protocol_counts_are_refused),
	cmocka_unit_test(no_parameters_are_fine),
};
TEST_MAIN("pg-param", tests)
