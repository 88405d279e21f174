check_PROGRAMS += \
	tests/unit/http/test-url

tests_unit_http_test_url_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_url_LDADD = $(TEST_LIBS)
