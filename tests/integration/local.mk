check_PROGRAMS += tests/integration/test-http-server
tests_integration_test_http_server_SOURCES = \
	%D%/http-server.h \
	%D%/test-http-server.c
tests_integration_test_http_server_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_server_LDADD = $(TEST_LIBS)
