check_PROGRAMS += \
	tests/unit/base/test-alloc \
	tests/unit/base/test-errors \
	tests/unit/base/test-heap \
	tests/unit/base/test-wheel
tests_unit_base_test_alloc_CFLAGS = $(TEST_CFLAGS)
tests_unit_base_test_alloc_LDADD = $(TEST_LIBS)
tests_unit_base_test_errors_CFLAGS = $(TEST_CFLAGS)
tests_unit_base_test_errors_LDADD = $(TEST_LIBS)
tests_unit_base_test_heap_CFLAGS = $(TEST_CFLAGS)
tests_unit_base_test_heap_LDADD = $(TEST_LIBS)
tests_unit_base_test_wheel_CFLAGS = $(TEST_CFLAGS)
tests_unit_base_test_wheel_LDADD = $(TEST_LIBS)
