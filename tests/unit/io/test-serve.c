/* A task for each connection: the limit, the graceful stop, cancellation, failures. */
#include "loop/io/serve.h"
#include "tests/support/certs.h"
#include "tests/support/libevent-memory.h"
#include "tests/support/messages.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static an_listener *listener;
static an_serve_opts opts;
static int running, most, ended;
static an_event go_on; /* held back until it is set */

static int serve_task(void *arg)
{
	return an_serve(listener, (an_serve_handler)arg, &running, &opts);
}

static void reset(void)
{
	running = most = ended = 0;
	opts = (an_serve_opts){ .drain_timeout = 0 };
	an_event_init(&go_on);
}

static int begin(an_serve_handler handler, an_task **ret)
{
	reset();
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	return an_spawn(serve_task, (void *)handler, NULL, ret);
}

static int dial(an_stream **ret)
{
	char port[8];

	snprintf(port, sizeof port, "%u", an_listener_port(listener));
	return an_connect("127.0.0.1", port, NULL, ret);
}

static int ends_with(an_task *server, int expected)
{
	int result;

	CHECK_EQUAL(an_join(server, &result), 0);
	CHECK_EQUAL(result, expected);
	CHECK_EQUAL(running, 0);
	return 0;
}

/* Says "hi" when it may, and then what it reads until the peer's end. */
static int say_hi(void *arg, an_stream *s)
{
	char c;
	ssize_t n;
	int r;

	if (arg != &running)
		return -EINVAL;
	running++;
	most = running > most ? running : most;
	r = an_event_wait(&go_on);
	if (r == 0)
		r = an_stream_write(s, "hi", 2);
	while (r == 0 && (n = an_stream_read(s, &c, 1)) != 0)
		r = n < 0 ? (int)n : an_stream_write(s, &c, 1);
	running--;
	ended += r == 0;
	return r;
}

static int hear(an_stream *s, const char *expected)
{
	char buf[8];
	size_t len = strlen(expected);

	CHECK_EQUAL(an_stream_read_exactly(s, buf, len), 0);
	CHECK(!memcmp(buf, expected, len));
	return 0;
}

TASK_TEST(each_connection_has_a_task_and_its_end_is_said)
{
	an_stream *s[3];
	an_task *server;
	char c;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(dial(&s[i]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(running, 3);
	an_event_set(&go_on);
	for (int i = 2; i >= 0; i--) {
		CHECK_EQUAL(hear(s[i], "hi"), 0);
		CHECK_EQUAL(an_stream_write(s[i], "x", 1), 0);
		CHECK_EQUAL(an_stream_shutdown(s[i]), 0);
		CHECK_EQUAL(hear(s[i], "x"), 0);
		CHECK_EQUAL(an_stream_read(s[i], &c, 1), 0);
		an_stream_close(s[i]);
	}
	CHECK_EQUAL(ended, 3);
	listener = an_listener_close(listener);
	return ends_with(server, 0);
}

TASK_TEST(no_more_than_the_limit_run_at_a_time)
{
	an_stream *s[5];
	an_task *server;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	opts.max_connections = 2;
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(dial(&s[i]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(running, 2);
	an_event_set(&go_on);
	for (int i = 0; i < 5; i++) {
		CHECK_EQUAL(hear(s[i], "hi"), 0);
		an_stream_close(s[i]);
	}
	listener = an_listener_close(listener);
	CHECK_EQUAL(ends_with(server, 0), 0);
	CHECK_EQUAL(most, 2);
	CHECK_EQUAL(ended, 5);
	return 0;
}

TASK_TEST(a_stop_waits_for_handlers_that_run)
{
	an_stream *s, *late;
	an_task *server;
	char port[8];

	CHECK_EQUAL(begin(say_hi, &server), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(listener));
	CHECK_EQUAL(dial(&s), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_listener_close(listener);
	CHECK_EQUAL(an_testing_advance(29 * AN_SECOND), 0);
	CHECK(!an_done(server));
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &late), -ECONNREFUSED);
	an_event_set(&go_on);
	CHECK_EQUAL(hear(s, "hi"), 0);
	an_stream_close(s);
	CHECK_EQUAL(ends_with(server, 0), 0);
	CHECK_EQUAL(ended, 1);
	return 0;
}

TASK_TEST(a_stop_cancels_what_takes_too_long)
{
	an_stream *s;
	an_task *server;
	char c;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	opts.drain_timeout = 5 * AN_SECOND;
	CHECK_EQUAL(dial(&s), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_listener_close(listener);
	CHECK_EQUAL(an_testing_advance(4 * AN_SECOND), 0);
	CHECK(!an_done(server));
	CHECK_EQUAL(running, 1);
	CHECK_EQUAL(ends_with(server, -ETIMEDOUT), 0);
	CHECK_EQUAL(an_now(), 5 * AN_SECOND);
	CHECK_EQUAL(an_stream_read(s, &c, 1), -ECONNRESET);
	an_stream_close(s);
	CHECK_EQUAL(ended, 0);
	return 0;
}

TASK_TEST(a_full_server_can_be_stopped)
{
	an_stream *s[2];
	an_task *server;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	opts.max_connections = 1;
	CHECK_EQUAL(dial(&s[0]), 0);
	CHECK_EQUAL(dial(&s[1]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_listener_close(listener);
	an_event_set(&go_on);
	CHECK_EQUAL(hear(s[0], "hi"), 0);
	an_stream_close(s[0]);
	CHECK_EQUAL(ends_with(server, 0), 0);
	CHECK_EQUAL(ended, 1);
	an_stream_close(s[1]);
	return 0;
}

TASK_TEST(a_cancellation_ends_all_at_once)
{
	an_stream *s[2];
	an_task *server;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	CHECK_EQUAL(dial(&s[0]), 0);
	CHECK_EQUAL(dial(&s[1]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(running, 2);
	an_cancel(server);
	CHECK_EQUAL(ends_with(server, -ECANCELED), 0);
	CHECK_EQUAL(an_now(), 0);
	/* It was the caller's all the while. */
	listener = an_listener_close(listener);
	an_stream_close(s[0]);
	an_stream_close(s[1]);
	return 0;
}

static int fail_as_told(void *arg, an_stream *s)
{
	char c;
	int r = an_stream_read_exactly(s, &c, 1);

	(void)arg;
	return r < 0 ? r : c == 'f' ? -EDOM : 0;
}

TASK_TEST(a_failure_ends_one_connection_and_is_reported)
{
	an_stream *bad, *gone, *good;
	an_task *server;
	char c;

	messages_begin();
	CHECK_EQUAL(begin(fail_as_told, &server), 0);
	CHECK_EQUAL(dial(&bad), 0);
	CHECK_EQUAL(dial(&gone), 0);
	CHECK_EQUAL(dial(&good), 0);
	CHECK_EQUAL(an_stream_write(bad, "f", 1), 0);
	/* An end would say that this was all. */
	CHECK_EQUAL(an_stream_read(bad, &c, 1), -ECONNRESET);
	CHECK_EQUAL(messages_with("connection of 127.0.0.1:"), 1);
	an_stream_close(gone);
	CHECK_EQUAL(an_stream_write(good, "g", 1), 0);
	CHECK_EQUAL(an_stream_read(good, &c, 1), 0);
	CHECK_EQUAL(messages_with(""), 1);
	messages_end();
	an_stream_close(bad);
	an_stream_close(good);
	an_listener_close(listener);
	return ends_with(server, 0);
}

TASK_TEST(a_stalled_handshake_holds_nobody_up)
{
	an_stream *stalled, *s;
	an_tls *tls, *client;
	an_task *server;
	test_certs certs;
	char port[8];
	an_connect_opts with = { .tls_host = "localhost" };

	CHECK_EQUAL(test_certs_make(&certs), 0);
	CHECK_EQUAL(
		an_tls_new(&(an_tls_opts){ .server = true, .cert_file = certs.server },
			   NULL, 0, &tls),
		0);
	CHECK_EQUAL(an_tls_new(&(an_tls_opts){ .ca_file = certs.ca }, NULL, 0, &client),
		    0);
	test_certs_remove(&certs);
	reset();
	CHECK_EQUAL(
		an_listen("127.0.0.1", "0", &(an_listen_opts){ .tls = tls }, &listener),
		0);
	tls = an_tls_free(tls);
	CHECK_EQUAL(an_spawn(serve_task, (void *)say_hi, NULL, &server), 0);
	CHECK_EQUAL(dial(&stalled), 0);
	with.tls = client;
	snprintf(port, sizeof port, "%u", an_listener_port(listener));
	CHECK_EQUAL(an_connect("127.0.0.1", port, &with, &s), 0);
	an_listener_close(listener);
	an_event_set(&go_on);
	CHECK_EQUAL(hear(s, "hi"), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	an_stream_close(s);
	/* The stalled one has the ten seconds of a handshake. */
	CHECK_EQUAL(ends_with(server, 0), 0);
	CHECK(an_now() >= 10 * AN_SECOND);
	an_stream_close(stalled);
	an_tls_free(client);
	return 0;
}

static char heard[256];

static void listen_in(void *arg, an_log_level level, const char *text, size_t len)
{
	(void)arg;
	(void)level;
	(void)len;
	snprintf(heard, sizeof heard, "%s", text);
}

TASK_TEST(a_failed_handshake_is_reported_with_its_reason)
{
	an_tls_opts opts = { .server = true };
	an_listen_opts listens = { 0 };
	an_stream *s;
	an_task *server;
	test_certs certs;

	CHECK_EQUAL(test_certs_make(&certs), 0);
	opts.cert_file = certs.server;
	CHECK_EQUAL(an_tls_new(&opts, NULL, 0, &listens.tls), 0);
	test_certs_remove(&certs);
	reset();
	CHECK_EQUAL(an_listen("127.0.0.1", "0", &listens, &listener), 0);
	an_tls_free(listens.tls);
	CHECK_EQUAL(an_spawn(serve_task, (void *)say_hi, NULL, &server), 0);
	an_trace_set_hooks(&(an_trace_hooks){ .message = listen_in });
	CHECK_EQUAL(dial(&s), 0);
	CHECK_EQUAL(an_stream_write(s, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	an_listener_close(listener);
	CHECK_EQUAL(ends_with(server, 0), 0);
	an_trace_set_hooks(NULL);
	CHECK(strstr(heard, "the peer does not speak TLS"));
	an_stream_close(s);
	return 0;
}

TASK_TEST(without_memory_a_connection_is_lost_and_no_other)
{
	an_stream *first, *s;
	an_task *server;
	char c;
	ssize_t n;
	bool failed;

	CHECK_EQUAL(begin(say_hi, &server), 0);
	CHECK_EQUAL(dial(&first), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	an_event_set(&go_on);
	for (size_t nth = 1;; nth++) {
		CHECK(nth < 100);
		if (dial(&s) < 0)
			return CHECK_FAILED;
		an_testing_fail_allocation(nth);
		n = an_stream_read(s, &c, 1);
		failed = an_testing_allocation_failed();
		an_stream_close(s);
		if (!failed)
			break;
	}
	CHECK_EQUAL(n, 1);
	CHECK_EQUAL(hear(first, "hi"), 0);
	an_stream_close(first);
	an_listener_close(listener);
	return ends_with(server, 0);
}

/* ---- several listeners ------------------------------------------------------------- */

/* A service with a limit of one connection, which ends when its peer says so. */
struct visitor {
	an__served served;
	an_stream *stream;
};

static an__served *make_visitor(an__service *s, an_stream *stream)
{
	struct visitor *v = calloc(1, sizeof *v);

	(void)s;
	if (!v)
		return NULL;
	v->stream = stream;
	return &v->served;
}

static int run_visitor(void *arg)
{
	struct visitor *v = arg;
	char c;

	running++;
	most = running > most ? running : most;
	an_ignore(an_stream_read(v->stream, &c, 1));
	running--;
	return 0;
}

static void unmake_visitor(an__served *served)
{
	struct visitor *v = (struct visitor *)served;

	an_stream_close(v->stream);
	free(v);
	ended++;
}

static an__service service;

static int serve_service(void *arg)
{
	return an__serve(&service, arg);
}

TASK_TEST(listeners_of_one_service_share_its_limit)
{
	an_listener *l[2];
	an_task *t[2];
	an_stream *s[4];

	reset();
	opts.max_connections = 1;
	an__service_init(&service, &opts);
	service.make = make_visitor;
	service.run = run_visitor;
	service.unmake = unmake_visitor;
	service.owns_listener = true;
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l[i]), 0);
		CHECK_EQUAL(an_spawn(serve_service, l[i], NULL, &t[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		listener = l[i % 2];
		CHECK_EQUAL(dial(&s[i]), 0);
	}
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(running, 1);
	CHECK_EQUAL(service.count, 1);
	/* Each end lets one of either in. Which, is nobody's promise. */
	for (int i = 0; i < 4; i++)
		an_stream_close(s[i]);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(ended, 4);
	CHECK_EQUAL(most, 1);
	an_listener_close(l[0]);
	CHECK_EQUAL(ends_with(t[0], 0), 0);
	/* The other goes on, and closes its listener by itself. */
	listener = l[1];
	CHECK_EQUAL(dial(&s[0]), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(running, 1);
	an_cancel(t[1]);
	CHECK_EQUAL(ends_with(t[1], -ECANCELED), 0);
	CHECK_EQUAL(service.count, 0);
	CHECK(an__list_empty(&service.servings));
	an_stream_close(s[0]);
	return 0;
}

static void listeners_share_it_when_both_accept_at_once(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 8; seed++)
		assert_int_equal(an_run(listeners_of_one_service_share_its_limit_task,
					NULL,
					&(an_loop_opts){ .virtual_clock = true,
							 .seed = seed }),
				 0);
}

/* ---- cancelled at each step -------------------------------------------------------- */

static int two_clients(void *arg)
{
	an_stream *s;
	char c;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		if (!listener || dial(&s) < 0)
			return 0;
		an_ignore(an_stream_read(s, &c, 1));
		an_stream_close(s);
	}
	listener = an_listener_close(listener);
	return 0;
}

static int prepare(void *arg)
{
	(void)arg;
	reset();
	opts.max_connections = 1;
	an_event_set(&go_on);
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &listener), 0);
	return an_spawn(two_clients, NULL, NULL, NULL);
}

static int serve_them(void *arg)
{
	(void)arg;
	return serve_task((void *)say_hi);
}

static int nothing_runs(void *arg)
{
	(void)arg;
	CHECK_EQUAL(running, 0);
	listener = an_listener_close(listener);
	return 0;
}

CANCEL_TEST(a_serving_cancelled_at_each_step_leaves_nothing_running, prepare, serve_them,
	    nothing_runs, NULL)

/* ---- a peer that goes on sending --------------------------------------------------- */

/* Has read nothing of what was sent. */
static int say_bye(void *arg, an_stream *s)
{
	int r = an_event_wait(&go_on);

	(void)arg;
	running++;
	if (r == 0)
		r = an_stream_write(s, "bye", 3);
	running--;
	ended += r == 0;
	return r;
}

static int stop(an_task *server)
{
	listener = an_listener_close(listener);
	return ends_with(server, 0);
}

TASK_TEST(a_peer_that_goes_on_sending_gets_the_last_answer_and_no_reset)
{
	static char much[100000];
	an_stream *s;
	an_task *server;
	char c;

	CHECK_EQUAL(begin(say_bye, &server), 0);
	CHECK_EQUAL(dial(&s), 0);
	CHECK_EQUAL(an_stream_write(s, much, sizeof much), 0);
	an_event_set(&go_on);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(ended, 1);
	CHECK_EQUAL(an_stream_write(s, much, sizeof much), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(hear(s, "bye"), 0);
	CHECK_EQUAL(an_stream_read(s, &c, 1), 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	an_stream_close(s);
	CHECK_EQUAL(stop(server), 0);
	CHECK_EQUAL(an_now(), 0); /* nobody waited longer than for the peer's end */
	return 0;
}

TASK_TEST(a_peer_that_does_not_end_is_waited_for_two_seconds)
{
	an_stream *s;
	an_task *server;

	CHECK_EQUAL(begin(say_bye, &server), 0);
	CHECK_EQUAL(dial(&s), 0);
	an_event_set(&go_on);
	CHECK_EQUAL(stop(server), 0);
	CHECK_EQUAL(an_now(), 2 * AN_SECOND);
	CHECK_EQUAL(hear(s, "bye"), 0);
	an_stream_close(s);
	return 0;
}

TASK_TEST(a_peer_that_sends_without_end_is_cut_off)
{
	static char much[100000];
	an_stream *s;
	an_task *server;
	int r = 0;

	CHECK_EQUAL(begin(say_bye, &server), 0);
	CHECK_EQUAL(dial(&s), 0);
	an_event_set(&go_on);
	for (int i = 0; i < 1000 && r == 0; i++)
		r = an_stream_write(s, much, sizeof much);
	CHECK(r == -ECONNRESET || r == -EPIPE);
	an_stream_close(s);
	return stop(server);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_peer_that_goes_on_sending_gets_the_last_answer_and_no_reset),
	cmocka_unit_test(a_peer_that_does_not_end_is_waited_for_two_seconds),
	cmocka_unit_test(a_peer_that_sends_without_end_is_cut_off),
	cmocka_unit_test(each_connection_has_a_task_and_its_end_is_said),
	cmocka_unit_test(no_more_than_the_limit_run_at_a_time),
	cmocka_unit_test(a_stop_waits_for_handlers_that_run),
	cmocka_unit_test(a_stop_cancels_what_takes_too_long),
	cmocka_unit_test(a_full_server_can_be_stopped),
	cmocka_unit_test(a_cancellation_ends_all_at_once),
	cmocka_unit_test(a_failure_ends_one_connection_and_is_reported),
	cmocka_unit_test(a_stalled_handshake_holds_nobody_up),
	cmocka_unit_test(a_failed_handshake_is_reported_with_its_reason),
	cmocka_unit_test(without_memory_a_connection_is_lost_and_no_other),
	cmocka_unit_test(listeners_of_one_service_share_its_limit),
	cmocka_unit_test(listeners_share_it_when_both_accept_at_once),
	cmocka_unit_test(a_serving_cancelled_at_each_step_leaves_nothing_running),
};
TEST_MAIN_WITH("serve", tests, count_libevent, NULL)
