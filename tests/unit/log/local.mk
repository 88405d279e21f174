check_PROGRAMS += \
	tests/unit/log/test-format \
	tests/unit/log/test-logger \
	tests/unit/log/test-ring \
	tests/unit/log/test-sink \
	tests/unit/log/test-trace

tests_unit_log_test_format_CFLAGS = $(TEST_CFLAGS)
tests_unit_log_test_format_LDADD = $(TEST_LIBS)
tests_unit_log_test_ring_CFLAGS = $(TEST_CFLAGS)
tests_unit_log_test_ring_LDADD = $(TEST_LIBS)
tests_unit_log_test_logger_CFLAGS = $(TEST_CFLAGS)
tests_unit_log_test_logger_LDADD = $(TEST_LIBS)
tests_unit_log_test_sink_CFLAGS = $(TEST_CFLAGS)
tests_unit_log_test_sink_LDADD = $(TEST_LIBS)
tests_unit_log_test_trace_CFLAGS = $(TEST_CFLAGS)
tests_unit_log_test_trace_LDADD = $(TEST_LIBS)
EXTRA_DIST += %D%/log-file.h

# Its lines are read back with a JSON library.
if HAVE_JANSSON
check_PROGRAMS += tests/unit/log/test-line
tests_unit_log_test_line_CFLAGS = $(TEST_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_log_test_line_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
endif
