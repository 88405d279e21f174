check_PROGRAMS += \
	tests/unit/sync/test-barrier \
	tests/unit/sync/test-condition \
	tests/unit/sync/test-event \
	tests/unit/sync/test-mutex \
	tests/unit/sync/test-queue \
	tests/unit/sync/test-rwlock \
	tests/unit/sync/test-semaphore \
	tests/unit/sync/test-thread-queue \
	tests/unit/sync/test-torture
tests_unit_sync_test_barrier_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_barrier_LDADD = $(TEST_LIBS)
tests_unit_sync_test_condition_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_condition_LDADD = $(TEST_LIBS)
tests_unit_sync_test_event_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_event_LDADD = $(TEST_LIBS)
tests_unit_sync_test_mutex_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_mutex_LDADD = $(TEST_LIBS)
tests_unit_sync_test_queue_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_queue_LDADD = $(TEST_LIBS)
tests_unit_sync_test_rwlock_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_rwlock_LDADD = $(TEST_LIBS)
tests_unit_sync_test_semaphore_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_semaphore_LDADD = $(TEST_LIBS)
tests_unit_sync_test_thread_queue_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_thread_queue_LDADD = $(TEST_LIBS)
tests_unit_sync_test_torture_CFLAGS = $(TEST_CFLAGS)
tests_unit_sync_test_torture_LDADD = $(TEST_LIBS)
