check_PROGRAMS += \
	tests/unit/io/test-offload

tests_unit_io_test_offload_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_offload_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-dns
tests_unit_io_test_dns_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_dns_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-listener
tests_unit_io_test_listener_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_listener_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-connect
tests_unit_io_test_connect_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_connect_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-stream tests/unit/io/test-tls
tests_unit_io_test_stream_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_stream_LDADD = $(TEST_LIBS)
tests_unit_io_test_tls_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_tls_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-sendfile
tests_unit_io_test_sendfile_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_sendfile_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-socket
tests_unit_io_test_socket_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_socket_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-stream-faults
tests_unit_io_test_stream_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_stream_faults_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-stream-write
tests_unit_io_test_stream_write_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_stream_write_LDADD = $(TEST_LIBS)

EXTRA_DIST += %D%/tls-ends.h
check_PROGRAMS += tests/unit/io/test-tls-trust
tests_unit_io_test_tls_trust_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_tls_trust_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-tls-reload
tests_unit_io_test_tls_reload_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_tls_reload_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-tls-faults
tests_unit_io_test_tls_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_tls_faults_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-tls-memory
tests_unit_io_test_tls_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_tls_memory_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-signal
tests_unit_io_test_signal_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_signal_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-file
tests_unit_io_test_file_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_file_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-file-buffer
tests_unit_io_test_file_buffer_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_file_buffer_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-file-faults
tests_unit_io_test_file_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_file_faults_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-attributes
tests_unit_io_test_attributes_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_attributes_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-syscalls
tests_unit_io_test_syscalls_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_syscalls_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-uring
tests_unit_io_test_uring_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_uring_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-path
tests_unit_io_test_path_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_path_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-net-memory
tests_unit_io_test_net_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_net_memory_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-fork
tests_unit_io_test_fork_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_fork_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-attached
tests_unit_io_test_attached_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_attached_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-pipe
tests_unit_io_test_pipe_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_pipe_LDADD = $(TEST_LIBS)

EXTRA_DIST += %D%/children.h
check_PROGRAMS += tests/unit/io/test-process tests/unit/io/test-process-end \
	tests/unit/io/test-process-odd tests/unit/io/test-process-attributes
tests_unit_io_test_process_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_process_LDADD = $(TEST_LIBS)
tests_unit_io_test_process_end_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_process_end_LDADD = $(TEST_LIBS)
tests_unit_io_test_process_attributes_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_process_attributes_LDADD = $(TEST_LIBS)
tests_unit_io_test_process_odd_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_process_odd_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-udp
tests_unit_io_test_udp_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_udp_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-serve
tests_unit_io_test_serve_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_serve_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-activation
tests_unit_io_test_activation_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_activation_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-separators
tests_unit_io_test_separators_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_separators_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-fd
tests_unit_io_test_fd_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_fd_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/io/test-stream-all
tests_unit_io_test_stream_all_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_stream_all_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/io/test-terminal
tests_unit_io_test_terminal_CFLAGS = $(TEST_CFLAGS)
tests_unit_io_test_terminal_LDADD = $(TEST_LIBS)
