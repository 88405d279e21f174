EXTRA_DIST += %D%/workers.h
check_PROGRAMS += \
	tests/unit/combine/test-completed \
	tests/unit/combine/test-gather \
	tests/unit/combine/test-select \
	tests/unit/combine/test-wait
tests_unit_combine_test_completed_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_completed_LDADD = $(TEST_LIBS)
tests_unit_combine_test_gather_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_gather_LDADD = $(TEST_LIBS)
tests_unit_combine_test_select_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_select_LDADD = $(TEST_LIBS)
tests_unit_combine_test_wait_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_wait_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/combine/test-generator tests/unit/combine/test-pipeline
tests_unit_combine_test_generator_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_generator_LDADD = $(TEST_LIBS)
tests_unit_combine_test_pipeline_CFLAGS = $(TEST_CFLAGS)
tests_unit_combine_test_pipeline_LDADD = $(TEST_LIBS)
