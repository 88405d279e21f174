# Against a private PostgreSQL cluster, which each program starts and stops.
check_PROGRAMS += \
	tests/integration/test-pg \
	tests/integration/test-pg-alloc \
	tests/integration/test-pg-listen \
	tests/integration/test-pg-net \
	tests/integration/test-pg-pool

EXTRA_DIST += tests/integration/pg-support.h
tests_integration_test_pg_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_pg_LDADD = $(TEST_LIBS)
tests_integration_test_pg_alloc_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_pg_alloc_LDADD = $(TEST_LIBS)
tests_integration_test_pg_listen_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_pg_listen_LDADD = $(TEST_LIBS)
tests_integration_test_pg_net_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_pg_net_LDADD = $(TEST_LIBS)
tests_integration_test_pg_pool_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_pg_pool_LDADD = $(TEST_LIBS)
