check_PROGRAMS += tests/unit/core/test-task
tests_unit_core_test_task_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_task_LDADD = $(TEST_LIBS)
