check_PROGRAMS += \
	tests/integration/test-http-server \
	tests/integration/test-http-server-faults \
	tests/integration/test-http-server-limits

tests_integration_test_http_server_SOURCES = \
	%D%/http-server.h \
	%D%/test-http-server.c
tests_integration_test_http_server_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_server_LDADD = $(TEST_LIBS)
tests_integration_test_http_server_faults_SOURCES = \
	%D%/http-server.h \
	%D%/test-http-server-faults.c
tests_integration_test_http_server_faults_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_server_faults_LDADD = $(TEST_LIBS)
tests_integration_test_http_server_limits_SOURCES = \
	%D%/http-server.h \
	%D%/test-http-server-limits.c
tests_integration_test_http_server_limits_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_server_limits_LDADD = $(TEST_LIBS)

check_PROGRAMS += \
	tests/integration/test-http-client \
	tests/integration/test-http-client-faults \
	tests/integration/test-http-client-pool \
	tests/integration/test-http-client-tls

http_client_headers = %D%/http-client.h %D%/http-peer.h
tests_integration_test_http_client_SOURCES = \
	$(http_client_headers) %D%/test-http-client.c
tests_integration_test_http_client_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_client_LDADD = $(TEST_LIBS)
tests_integration_test_http_client_faults_SOURCES = \
	$(http_client_headers) %D%/test-http-client-faults.c
tests_integration_test_http_client_faults_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_client_faults_LDADD = $(TEST_LIBS)
tests_integration_test_http_client_pool_SOURCES = \
	$(http_client_headers) %D%/test-http-client-pool.c
tests_integration_test_http_client_pool_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_client_pool_LDADD = $(TEST_LIBS)
tests_integration_test_http_client_tls_SOURCES = \
	$(http_client_headers) %D%/test-http-client-tls.c
tests_integration_test_http_client_tls_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_http_client_tls_LDADD = $(TEST_LIBS)

# One end of TLS, for tls-peers.sh.
noinst_PROGRAMS += tests/integration/tls-peer
tests_integration_tls_peer_SOURCES = %D%/tls-peer.c
tests_integration_tls_peer_CFLAGS = $(AN_CFLAGS) $(DEPS_CFLAGS)
tests_integration_tls_peer_LDADD = libasyncnet.la
dist_check_SCRIPTS += %D%/tls-peers.sh

# Programs of examples/ beside real servers and clients.
dist_check_SCRIPTS += %D%/http-echo-curl.sh
dist_check_SCRIPTS += %D%/downloader-nginx.sh
EXTRA_DIST += %D%/cutting-server.py

check_PROGRAMS += \
	tests/integration/test-ws \
	tests/integration/test-ws-conformance \
	tests/integration/test-ws-peer
tests_integration_test_ws_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_ws_LDADD = $(TEST_LIBS)
tests_integration_test_ws_peer_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_ws_peer_LDADD = $(TEST_LIBS)
tests_integration_test_ws_conformance_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_ws_conformance_LDADD = $(TEST_LIBS)

if HAVE_JANSSON
noinst_PROGRAMS += tests/integration/notes-load
tests_integration_notes_load_SOURCES = %D%/notes-load.c
tests_integration_notes_load_LDADD = libasyncnet.la
endif
dist_check_SCRIPTS += %D%/microservice.sh
dist_check_SCRIPTS += %D%/tour.sh
check_PROGRAMS += tests/integration/test-tour-io
tests_integration_test_tour_io_SOURCES = \
	%D%/test-tour-io.c \
	examples/tour.h \
	examples/tour_io.h \
	examples/tour_io_db.c \
	examples/tour_io_download.c \
	examples/tour_io_files.c \
	examples/tour_io_http.c \
	examples/tour_io_log.c \
	examples/tour_io_pipeline.c \
	examples/tour_io_process.c \
	examples/tour_io_site.c \
	examples/tour_io_streams.c \
	examples/tour_io_ws.c
tests_integration_test_tour_io_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_tour_io_LDADD = $(TEST_LIBS)
EXTRA_DIST += \
	%D%/tour_core.expected \
	%D%/tour_io.expected \
	%D%/tour_io_db.expected \
	%D%/tour_sync.expected

check_PROGRAMS += tests/integration/test-dns
tests_integration_test_dns_SOURCES = \
	%D%/dns-world.h %D%/dns-world.c %D%/test-dns.c
tests_integration_test_dns_CFLAGS = $(TEST_CFLAGS)
tests_integration_test_dns_LDADD = $(TEST_LIBS)
