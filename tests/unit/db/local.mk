check_PROGRAMS += \
	tests/unit/db/test-error \
	tests/unit/db/test-param \
	tests/unit/db/test-result \
	tests/unit/db/test-settings \
	tests/unit/db/test-statements

tests_unit_db_test_error_CFLAGS = $(TEST_CFLAGS)
tests_unit_db_test_error_LDADD = $(TEST_LIBS)
tests_unit_db_test_param_CFLAGS = $(TEST_CFLAGS)
tests_unit_db_test_param_LDADD = $(TEST_LIBS)
tests_unit_db_test_result_CFLAGS = $(TEST_CFLAGS)
tests_unit_db_test_result_LDADD = $(TEST_LIBS)
tests_unit_db_test_settings_CFLAGS = $(TEST_CFLAGS)
tests_unit_db_test_settings_LDADD = $(TEST_LIBS)
tests_unit_db_test_statements_CFLAGS = $(TEST_CFLAGS)
tests_unit_db_test_statements_LDADD = $(TEST_LIBS)
