check_PROGRAMS += \
	tests/unit/http/test-body \
	tests/unit/http/test-parse \
	tests/unit/http/test-redirect \
	tests/unit/http/test-router \
	tests/unit/http/test-url

tests_unit_http_test_body_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_body_LDADD = $(TEST_LIBS)
tests_unit_http_test_parse_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_parse_LDADD = $(TEST_LIBS)
tests_unit_http_test_redirect_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_redirect_LDADD = $(TEST_LIBS)
tests_unit_http_test_router_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_router_LDADD = $(TEST_LIBS)
tests_unit_http_test_url_CFLAGS = $(TEST_CFLAGS)
tests_unit_http_test_url_LDADD = $(TEST_LIBS)
