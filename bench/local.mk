# Benchmarks, built and run by "make bench" alone: `make bench GAUGES="tasks.yield"`.
bench_binaries = \
	bench/limits/download \
	bench/limits/http_get \
	bench/limits/yield \
	bench/ours/download \
	bench/ours/http_get \
	bench/ours/yield \
	bench/servers/bytes
EXTRA_PROGRAMS += $(bench_binaries)
CLEANFILES += $(bench_binaries)
EXTRA_DIST += \
	bench/README.md \
	bench/run \
	bench/peers/download_curl.c \
	bench/peers/http_get.go \
	bench/peers/http_get_aiohttp.py \
	bench/peers/http_get_curl.c \
	bench/peers/measure.py \
	bench/peers/yield.go \
	bench/peers/yield_asyncio.py \
	bench/peers/yield_st.c

bench_limits_download_SOURCES = \
	bench/limits/download.c bench/limits/connect.h bench/measure.h
bench_limits_http_get_SOURCES = \
	bench/limits/http_get.c bench/limits/connect.h bench/measure.h
bench_limits_yield_SOURCES = bench/limits/yield.c bench/measure.h
bench_ours_download_SOURCES = bench/ours/download.c bench/measure.h
bench_ours_download_LDADD = libasyncnet.la
bench_ours_http_get_SOURCES = bench/ours/http_get.c bench/measure.h
bench_ours_http_get_LDADD = libasyncnet.la
bench_ours_yield_SOURCES = bench/ours/yield.c bench/measure.h
bench_ours_yield_LDADD = libasyncnet.la

bench: $(bench_binaries)
	BENCH_BUILD_DIR='$(abs_top_builddir)' $(top_srcdir)/bench/run $(GAUGES)
.PHONY: bench
