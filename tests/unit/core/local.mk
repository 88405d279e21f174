check_PROGRAMS += \
	tests/unit/core/test-call \
	tests/unit/core/test-core-memory \
	tests/unit/core/test-debug \
	tests/unit/core/test-dump \
	tests/unit/core/test-dump-signal \
	tests/unit/core/test-group \
	tests/unit/core/test-inspect \
	tests/unit/core/test-loop \
	tests/unit/core/test-scope \
	tests/unit/core/test-task \
	tests/unit/core/test-testing
tests_unit_core_test_call_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_call_LDADD = $(TEST_LIBS)
tests_unit_core_test_core_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_core_memory_LDADD = $(TEST_LIBS)
tests_unit_core_test_debug_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_debug_LDADD = $(TEST_LIBS)
tests_unit_core_test_dump_signal_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_dump_signal_LDADD = $(TEST_LIBS)
tests_unit_core_test_dump_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_dump_LDFLAGS = -export-dynamic
tests_unit_core_test_dump_LDADD = $(TEST_LIBS)
tests_unit_core_test_group_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_group_LDADD = $(TEST_LIBS)
tests_unit_core_test_inspect_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_inspect_LDADD = $(TEST_LIBS)
tests_unit_core_test_loop_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_loop_LDADD = $(TEST_LIBS)
tests_unit_core_test_scope_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_scope_LDADD = $(TEST_LIBS)
tests_unit_core_test_task_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_task_LDADD = $(TEST_LIBS)
tests_unit_core_test_testing_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_testing_LDADD = $(TEST_LIBS)
check_PROGRAMS += \
	tests/unit/core/test-ctx \
	tests/unit/core/test-overflow \
	tests/unit/core/test-stack \
	tests/unit/core/test-stack-many \
	tests/unit/core/test-idle

tests_unit_core_test_ctx_CFLAGS = $(TEST_CFLAGS) -frounding-math
tests_unit_core_test_ctx_LDADD = $(TEST_LIBS) -lm
tests_unit_core_test_stack_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_stack_LDADD = $(TEST_LIBS)
tests_unit_core_test_stack_many_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_stack_many_LDADD = $(TEST_LIBS)
tests_unit_core_test_idle_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_idle_LDADD = $(TEST_LIBS)
tests_unit_core_test_overflow_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_overflow_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/core/test-run
tests_unit_core_test_run_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_run_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/core/test-eager
tests_unit_core_test_eager_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_eager_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/core/test-local
tests_unit_core_test_local_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_local_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/core/test-done
tests_unit_core_test_done_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_done_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/core/test-cancel
tests_unit_core_test_cancel_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_cancel_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/core/test-post
tests_unit_core_test_post_CFLAGS = $(TEST_CFLAGS)
tests_unit_core_test_post_LDADD = $(TEST_LIBS)
