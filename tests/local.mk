# The tests: cmocka programs under unit/ and integration/, and the checks of the tree.
# Each program links the convenience library and so reaches the internals.
TEST_CFLAGS = $(AN_CFLAGS) $(DEPS_CFLAGS) $(CMOCKA_CFLAGS) -pthread
TEST_LIBS = libtest-support.la libasyncnet-internal.la $(CMOCKA_LIBS)

dist_check_SCRIPTS += \
	%D%/check-docs.sh \
	%D%/check-layers.sh \
	%D%/check-style.sh \
	%D%/check-symbols.sh
EXTRA_DIST += %D%/check-layers.awk %D%/support/tap.sh

TESTS = $(dist_check_SCRIPTS) $(check_PROGRAMS)
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
if RUN_VALGRIND
under_valgrind = $(SHELL) $(top_srcdir)/tests/support/under-valgrind.sh
endif
# In the environment AN_TEST_RUNNER is what a foreign program is run by:
# scripts/lib/check-aarch64.sh.
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-program.sh $(under_valgrind) \
	$(AN_TEST_RUNNER)

# The layers without I/O of their own: what valgrind and other contexts are wanted for.
check-core:
	tests=`for t in $(check_PROGRAMS); do case $$t in \
		tests/unit/base/*|tests/unit/core/*|tests/unit/sync/*|tests/unit/combine/*) \
		printf '%s ' $$t ;; esac; done` && \
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$$tests" check_PROGRAMS="$$tests"

# What more than one thread touches, for ThreadSanitizer.
check-threads:
	tests=`for t in $(check_PROGRAMS); do case $$t in \
		tests/unit/core/test-loop|tests/unit/core/test-run|tests/unit/log/*| \
		tests/unit/io/test-attached|tests/unit/io/test-offload| \
		tests/unit/io/test-tls-reload| \
		tests/unit/sync/test-thread-queue| \
		tests/unit/io/test-process-end|tests/unit/io/test-pipe| \
		tests/unit/io/test-dns|tests/unit/io/test-file*|tests/unit/io/test-path| \
		tests/unit/io/test-signal) \
		printf '%s ' $$t ;; esac; done` && \
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$$tests" check_PROGRAMS="$$tests"

# Fake stacks (use after return) know nothing of stack switches; everything else is on.
AM_TESTS_ENVIRONMENT = \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	NM='$(NM)'; export NM; AWK='$(AWK)'; export AWK; \
	ASAN_OPTIONS="$${ASAN_OPTIONS-detect_stack_use_after_return=0:detect_leaks=1}"; \
	export ASAN_OPTIONS; \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS-halt_on_error=1:print_stacktrace=1}"; \
	export UBSAN_OPTIONS; \
	TSAN_OPTIONS="$${TSAN_OPTIONS-halt_on_error=1:second_deadlock_stack=1}"; \
	export TSAN_OPTIONS;

include tests/unit/base/local.mk
include tests/unit/core/local.mk
include tests/integration/pg.mk
include tests/unit/db/local.mk
include tests/unit/sync/local.mk
include tests/unit/combine/local.mk
include tests/unit/http/local.mk
include tests/fuzz/local.mk
include tests/unit/log/local.mk
include tests/unit/ws/local.mk
include tests/unit/io/local.mk
include tests/integration/local.mk
