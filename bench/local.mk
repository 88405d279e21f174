# Benchmarks, built and run by "make bench" alone: `make bench GAUGES="tasks.yield"`.
bench_binaries = \
	bench/limits/download \
	bench/limits/download_tls \
	bench/limits/http_get \
	bench/limits/idle \
	bench/limits/lines \
	bench/limits/mutex \
	bench/limits/pingpong \
	bench/limits/queue \
	bench/limits/read4k \
	bench/limits/scope \
	bench/limits/send \
	bench/limits/send_file \
	bench/limits/sleep \
	bench/limits/spawn_join \
	bench/limits/timer \
	bench/limits/yield \
	bench/ours/download \
	bench/ours/http_get \
	bench/ours/idle \
	bench/ours/lines \
	bench/ours/mutex \
	bench/ours/pingpong \
	bench/ours/queue \
	bench/ours/read4k \
	bench/ours/scope \
	bench/ours/send \
	bench/ours/send_file \
	bench/ours/sleep \
	bench/ours/spawn_join \
	bench/ours/timer \
	bench/ours/yield \
	bench/servers/bytes \
	bench/servers/bytes_tls \
	bench/servers/echo \
	bench/servers/echo_tls \
	bench/servers/sink
EXTRA_PROGRAMS += $(bench_binaries)
CLEANFILES += $(bench_binaries)
EXTRA_DIST += \
	bench/README.md \
	bench/run \
	bench/peers/download_curl.c \
	bench/peers/files.go \
	bench/peers/files_python.py \
	bench/peers/http_get.go \
	bench/peers/http_get_aiohttp.py \
	bench/peers/http_get_curl.c \
	bench/peers/measure.py \
	bench/peers/Cargo.toml \
	bench/peers/streams.go \
	bench/peers/streams.rs \
	bench/peers/streams_libevent.c \
	bench/peers/streams_python.py \
	bench/peers/tasks.go \
	bench/peers/tasks.rs \
	bench/peers/tasks_asyncio.py \
	bench/peers/tasks_st.c

bench_limits_download_SOURCES = \
	bench/limits/download.c bench/limits/connect.h bench/measure.h
bench_limits_download_tls_SOURCES = \
	bench/limits/download_tls.c bench/limits/connect.h bench/measure.h
bench_limits_download_tls_CFLAGS = $(DEPS_CFLAGS)
bench_limits_download_tls_LDADD = $(DEPS_LIBS)
bench_limits_http_get_SOURCES = \
	bench/limits/http_get.c bench/limits/connect.h bench/measure.h
bench_limits_idle_SOURCES = \
	bench/limits/idle.c bench/limits/connect.h bench/measure.h
bench_limits_idle_CFLAGS = $(DEPS_CFLAGS)
bench_limits_idle_LDADD = $(DEPS_LIBS)
bench_limits_lines_SOURCES = bench/limits/lines.c bench/measure.h
bench_limits_mutex_SOURCES = \
	bench/limits/mutex.c bench/limits/fiber.h bench/measure.h
bench_limits_pingpong_SOURCES = \
	bench/limits/pingpong.c bench/limits/connect.h bench/measure.h
bench_limits_queue_SOURCES = \
	bench/limits/queue.c bench/limits/fiber.h bench/measure.h
bench_limits_read4k_SOURCES = bench/limits/read4k.c bench/measure.h
bench_limits_scope_SOURCES = bench/limits/scope.c bench/measure.h
bench_limits_send_SOURCES = \
	bench/limits/send.c bench/limits/connect.h bench/measure.h
bench_limits_send_file_SOURCES = \
	bench/limits/send_file.c bench/limits/connect.h bench/measure.h
bench_limits_sleep_SOURCES = \
	bench/limits/sleep.c bench/limits/fiber.h bench/measure.h
bench_limits_spawn_join_SOURCES = \
	bench/limits/spawn_join.c bench/limits/fiber.h bench/measure.h
bench_limits_timer_SOURCES = bench/limits/timer.c bench/measure.h
bench_limits_yield_SOURCES = \
	bench/limits/yield.c bench/limits/fiber.h bench/measure.h
bench_ours_download_SOURCES = bench/ours/download.c bench/measure.h
bench_ours_download_LDADD = libasyncnet.la
bench_ours_http_get_SOURCES = bench/ours/http_get.c bench/measure.h
bench_ours_http_get_LDADD = libasyncnet.la
bench_ours_idle_SOURCES = bench/ours/idle.c bench/measure.h
bench_ours_idle_LDADD = libasyncnet.la
bench_ours_lines_SOURCES = bench/ours/lines.c bench/measure.h
bench_ours_lines_LDADD = libasyncnet.la
bench_ours_mutex_SOURCES = bench/ours/mutex.c bench/measure.h
bench_ours_mutex_LDADD = libasyncnet.la
bench_ours_pingpong_SOURCES = bench/ours/pingpong.c bench/measure.h
bench_ours_pingpong_LDADD = libasyncnet.la
bench_ours_queue_SOURCES = bench/ours/queue.c bench/measure.h
bench_ours_queue_LDADD = libasyncnet.la
bench_ours_read4k_SOURCES = bench/ours/read4k.c bench/measure.h
bench_ours_read4k_LDADD = libasyncnet.la
bench_ours_scope_SOURCES = bench/ours/scope.c bench/measure.h
bench_ours_scope_LDADD = libasyncnet.la
bench_ours_send_SOURCES = bench/ours/send.c bench/measure.h
bench_ours_send_LDADD = libasyncnet.la
bench_ours_send_file_SOURCES = bench/ours/send_file.c bench/measure.h
bench_ours_send_file_LDADD = libasyncnet.la
bench_ours_sleep_SOURCES = bench/ours/sleep.c bench/measure.h
bench_ours_sleep_LDADD = libasyncnet.la
bench_ours_spawn_join_SOURCES = bench/ours/spawn_join.c bench/measure.h
bench_ours_spawn_join_LDADD = libasyncnet.la
bench_ours_timer_SOURCES = bench/ours/timer.c bench/measure.h
bench_ours_timer_LDADD = libasyncnet.la
bench_ours_yield_SOURCES = bench/ours/yield.c bench/measure.h
bench_ours_yield_LDADD = libasyncnet.la
bench_servers_bytes_SOURCES = bench/servers/bytes.c bench/servers/listen.h
bench_servers_bytes_tls_SOURCES = \
	bench/servers/bytes_tls.c bench/servers/listen.h bench/servers/tls.h
bench_servers_bytes_tls_CFLAGS = $(DEPS_CFLAGS)
bench_servers_bytes_tls_LDADD = $(DEPS_LIBS)
bench_servers_echo_SOURCES = \
	bench/servers/echo.c bench/servers/listen.h bench/measure.h
bench_servers_echo_tls_SOURCES = bench/servers/echo_tls.c bench/servers/listen.h \
	bench/servers/tls.h bench/measure.h
bench_servers_echo_tls_CFLAGS = $(DEPS_CFLAGS)
bench_servers_echo_tls_LDADD = $(DEPS_LIBS)
bench_servers_sink_SOURCES = bench/servers/sink.c bench/servers/listen.h

bench: $(bench_binaries)
	BENCH_BUILD_DIR='$(abs_top_builddir)' $(top_srcdir)/bench/run $(GAUGES)
.PHONY: bench

# What bench/run builds of the peers.
clean-local: clean-bench
clean-bench:
	rm -rf bench/cache
.PHONY: clean-bench
