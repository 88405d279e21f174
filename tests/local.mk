# cmocka programs; each links the convenience library and so reaches the internals.
TEST_CFLAGS = $(AN_CFLAGS) $(DEPS_CFLAGS) $(CMOCKA_CFLAGS)
TEST_LIBS = libasyncnet-internal.la $(CMOCKA_LIBS)
include tests/unit/http/local.mk
