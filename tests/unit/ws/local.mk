check_PROGRAMS += \
	tests/unit/ws/test-conn \
	tests/unit/ws/test-frame \
	tests/unit/ws/test-handshake \
	tests/unit/ws/test-session \
	tests/unit/ws/test-utf8

tests_unit_ws_test_conn_CFLAGS = $(TEST_CFLAGS)
tests_unit_ws_test_conn_LDADD = $(TEST_LIBS)

tests_unit_ws_test_frame_CFLAGS = $(TEST_CFLAGS)
tests_unit_ws_test_frame_LDADD = $(TEST_LIBS)

tests_unit_ws_test_handshake_CFLAGS = $(TEST_CFLAGS)
tests_unit_ws_test_handshake_LDADD = $(TEST_LIBS)

tests_unit_ws_test_session_CFLAGS = $(TEST_CFLAGS)
tests_unit_ws_test_session_LDADD = $(TEST_LIBS)

tests_unit_ws_test_utf8_CFLAGS = $(TEST_CFLAGS)
tests_unit_ws_test_utf8_LDADD = $(TEST_LIBS)
