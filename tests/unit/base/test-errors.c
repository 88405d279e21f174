/* Error codes: distinct, named, with a text. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static void own_codes_count_down_from_the_base(void **state)
{
	(void)state;
	assert_int_equal(AN_ERR_EOF, AN_ERR_BASE - 1);
	assert_int_equal(AN_ERR_LIMIT, AN_ERR_BASE - 2);
	assert_string_equal(an_error_name(AN_ERR_EOF), "AN_ERR_EOF");
	assert_string_equal(an_error_name(AN_ERR_PG_UNKNOWN), "AN_ERR_PG_UNKNOWN");
}

static void every_code_has_a_name_and_a_text(void **state)
{
	(void)state;
	for (int code = AN_ERR_BASE - 1; code > AN__ERR_LAST; code--) {
		assert_true(strncmp(an_error_name(code), "AN_ERR_", 7) == 0);
		assert_true(strlen(an_strerror(code)) > 5);
	}
}

static void errno_values_have_the_systems_text(void **state)
{
	(void)state;
	assert_string_equal(an_strerror(-ENOENT), strerror(ENOENT));
	assert_string_equal(an_error_name(-ECANCELED), "ECANCELED");
}

static void what_is_no_error_is_success_or_unknown(void **state)
{
	(void)state;
	assert_string_equal(an_strerror(0), "success");
	assert_string_equal(an_strerror(17), "success");
	assert_string_equal(an_strerror(AN__ERR_LAST), "unknown error");
	assert_string_equal(an_strerror(AN_ERR_BASE - 4000), "unknown error");
	assert_string_equal(an_error_name(AN_ERR_BASE - 4000), "unknown");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(own_codes_count_down_from_the_base),
	cmocka_unit_test(every_code_has_a_name_and_a_text),
	cmocka_unit_test(errno_values_have_the_systems_text),
	cmocka_unit_test(what_is_no_error_is_success_or_unknown),
};
TEST_MAIN("errors", tests)
