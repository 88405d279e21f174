# make fuzz: each entry for FUZZ_SECONDS under libFuzzer, with clang.
FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_HTTP = parse fields headers body
EXTRA_DIST += %D%/fuzz-http-parse.c
CLEANFILES += tests/fuzz/fuzz-http-parse

fuzz:
	@$(MKDIR_P) tests/fuzz
	$(FUZZ_CC) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
		-include config.h $(AM_CPPFLAGS) $(DEPS_CFLAGS) -o tests/fuzz/fuzz-http-parse \
		$(top_srcdir)/tests/fuzz/fuzz-http-parse.c \
		$(FUZZ_HTTP:%=$(top_srcdir)/src/http/%.c) \
		$(top_srcdir)/src/loop/base/alloc.c
	tests/fuzz/fuzz-http-parse -max_total_time=$(FUZZ_SECONDS) -max_len=2048

FUZZ_WS = engine frame random session utf8
EXTRA_DIST += %D%/fuzz-ws-session.c
CLEANFILES += tests/fuzz/fuzz-ws-session

fuzz: fuzz-ws
fuzz-ws:
	@$(MKDIR_P) tests/fuzz
	$(FUZZ_CC) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
		-include config.h $(AM_CPPFLAGS) $(DEPS_CFLAGS) -o tests/fuzz/fuzz-ws-session \
		$(top_srcdir)/tests/fuzz/fuzz-ws-session.c \
		$(FUZZ_WS:%=$(top_srcdir)/src/ws/%.c) \
		$(top_srcdir)/src/loop/base/alloc.c $(WSLAY_LIBS) $(DEPS_LIBS)
	tests/fuzz/fuzz-ws-session -max_total_time=$(FUZZ_SECONDS) -max_len=2048

EXTRA_DIST += %D%/fuzz-http-url.c
CLEANFILES += tests/fuzz/fuzz-http-url

fuzz: fuzz-url
fuzz-url:
	@$(MKDIR_P) tests/fuzz
	$(FUZZ_CC) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
		-include config.h $(AM_CPPFLAGS) $(DEPS_CFLAGS) -o tests/fuzz/fuzz-http-url \
		$(top_srcdir)/tests/fuzz/fuzz-http-url.c $(top_srcdir)/src/http/url.c
	tests/fuzz/fuzz-http-url -max_total_time=$(FUZZ_SECONDS) -max_len=512
