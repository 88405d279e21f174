/* The HTTP client's connections: kept, reused, found dead, waited for. */
#include "tests/integration/http-client.h"

static const struct step hello[] = { EXPECT, OK("hello", 5), END };
static const struct step hello_twice[] = { EXPECT, OK("hello", 5), EXPECT, OK("again", 5),
					   END };

PEER_TEST(a_connection_is_kept_and_reused, hello_twice)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(stats_of(client).idle, 1);
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK_EQUAL(expect_body(client, p->url, "again"), 0);
	CHECK_EQUAL(p->connections, 1);
	CHECK_EQUAL(stats_of(client).reuses, 1);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_connection_can_be_kept_for_ever, hello_twice)
{
	an_http_client *client;

	CHECK_EQUAL(
		an_http_client_new(&(an_http_client_opts){ .idle_timeout = AN_FOREVER },
				   &client),
		0);
	CHECK_EQUAL(an_sleep(AN_HOUR), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(an_sleep(24 * AN_HOUR), 0);
	CHECK_EQUAL(expect_body(client, p->url, "again"), 0);
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

/* The connection is back as soon as the body has been read, not when the response is
 * freed. */
PEER_TEST(a_body_read_to_its_end_gives_the_connection_back, hello_twice)
{
	an_http_client *client;
	an_http_response *first;
	const char *data;
	size_t len;

	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .max_total = 1 }, &client),
		    0);
	CHECK_EQUAL(an_http_get(client, p->url, &first), 0);
	CHECK_EQUAL(an_http_response_read_all(first, 0, &data, &len), 0);
	CHECK_EQUAL(expect_body(client, p->url, "again"), 0);
	CHECK(!strcmp(data, "hello"));
	an_http_response_free(first);
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

/* ---- kept connections -------------------------------------------------------------- */

static const struct step hello_and_more[] = { EXPECT,
					      OK("hello"
						 "HTTP/1.1 200 OK",
						 5),
					      END };
static const struct step hello_then_more[] = { EXPECT, OK("hello", 5), WAIT(1),
					       SEND("HTTP/1.1 200 OK\r\n\r\n"), END };
/* The body comes after its head has been read, and more with it: read straight to the
 * caller's memory it leaves that in the kernel. */
static char long_body_and_more[100000 + 64];
static const struct step long_body[] = {
	EXPECT,	 SEND("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
	WAIT(1), { PEER_SEND, long_body_and_more, sizeof(long_body_and_more) },
	END,
};

PEER_TEST(bytes_behind_a_long_body_are_not_the_next_answer, long_body, hello)
{
	static char buf[64 * 1024];
	an_http_client *client;
	an_http_response *response;
	ssize_t n;
	size_t len = 0;

	snprintf(long_body_and_more + 100000, 64,
		 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nwrong", 20);
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	while ((n = an_http_response_read(response, buf, sizeof(buf))) > 0)
		len += (size_t)n;
	CHECK_EQUAL(n, 0);
	CHECK_EQUAL(len, 100000);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	an_http_response_free(response);
	an_http_client_free(client);
	return 0;
}

static const struct step hello_then_close[] = { EXPECT, OK("hello", 5), WAIT(1), CLOSE,
						END };

PEER_TEST(a_connection_with_bytes_nobody_asked_for_is_discarded, hello_and_more,
	  hello_then_more, hello_then_close, hello)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	for (size_t i = 1; i < 4; i++) {
		CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
		CHECK_EQUAL(p->connections, i + 1);
		CHECK_EQUAL(stats_of(client).idle, 1);
		CHECK_EQUAL(stats_of(client).discarded, i - 1);
		CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	}
	CHECK_EQUAL(stats_of(client).reuses, 0);
	CHECK_EQUAL(stats_of(client).retries, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step hello_timeout[] = {
	EXPECT,
	SEND("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: max=9, "
	     "timeout=5\r\n\r\n"),
	END
};
static const struct step hello_10[] = {
	EXPECT, SEND("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), END
};
static const struct step hello_close[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
	END
};

PEER_TEST(a_connection_is_kept_for_as_long_as_both_sides_allow, hello, hello_timeout,
	  hello_10, hello_close)
{
	an_http_client *client;
	char buf[10];
	int status;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(an_sleep(14 * AN_SECOND), 0);
	CHECK_EQUAL(stats_of(client).idle, 1);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	CHECK_EQUAL(get_body(client, p->url, &status, buf, sizeof(buf)), 0);
	CHECK_EQUAL(an_sleep(3 * AN_SECOND), 0);
	CHECK_EQUAL(stats_of(client).idle, 1);
	CHECK_EQUAL(an_sleep(2 * AN_SECOND), 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	for (size_t i = 0; i < 2; i++) {
		CHECK_EQUAL(get_body(client, p->url, &status, buf, sizeof(buf)), 0);
		CHECK_EQUAL(stats_of(client).idle, 0);
	}
	CHECK_EQUAL(p->connections, 4);
	an_http_client_free(client);
	return 0;
}

/* The server closes just as the second request arrives: nothing can be seen before. */
static const struct step hello_then_hang_up[] = { EXPECT, OK("hello", 5), EXPECT, CLOSE,
						  END };
static const struct step hello_then_reset[] = { EXPECT, OK("hello", 5), EXPECT, RESET,
						END };
static const struct step hello_then_half[] = { EXPECT,		 OK("hello", 5), EXPECT,
					       SEND("HTTP/1.1"), CLOSE,		 END };

PEER_TEST(an_idempotent_request_is_sent_again_when_a_kept_connection_is_dead,
	  hello_then_hang_up, hello_then_reset, hello)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	CHECK_EQUAL(stats_of(client).retries, 2);
	CHECK_EQUAL(p->connections, 3);
	an_http_client_free(client);
	return 0;
}

/* One POST on a kept connection that dies under it. */
static int post_on_dead(struct peer *p, const an_http_client_opts *opts,
			const an_http_request *request)
{
	an_http_request q = *request;
	an_http_response *response;
	an_http_client *client;
	int r;

	q.url = p->url;
	CHECK_EQUAL(an_http_client_new(opts, &client), 0);
	CHECK_EQUAL(expect_body(client, p->url, "hello"), 0);
	r = an_http_send(client, &q, &response);
	if (!r)
		an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return r;
}

PEER_TEST(what_might_have_been_done_is_not_sent_again, hello_then_hang_up,
	  hello_then_hang_up, hello, hello_then_half, hello_then_hang_up)
{
	CHECK_EQUAL(
		post_on_dead(p, NULL, &(an_http_request){ .body = "x", .body_len = 1 }),
		AN_ERR_EOF);
	CHECK_EQUAL(
		post_on_dead(
			p, NULL,
			&(an_http_request){
				.body = "x",
				.body_len = 1,
				.headers = (an_http_header[]){ { "Idempotency-Key", "7" },
							       { NULL, NULL } } }),
		0);
	/* An answer had begun. */
	CHECK_EQUAL(post_on_dead(p, NULL, &(an_http_request){ .method = "GET" }),
		    AN_ERR_TRUNCATED);
	CHECK_EQUAL(post_on_dead(p, &(an_http_client_opts){ .no_retry = true },
				 &(an_http_request){ .method = "GET" }),
		    AN_ERR_EOF);
	CHECK_EQUAL(p->connections, 5);
	return 0;
}

static const struct step hang_up[] = { EXPECT, CLOSE, END };

PEER_TEST(a_fresh_connection_that_dies_is_no_reason_to_retry, hang_up, hello)
{
	an_http_client *client;
	an_http_response *response;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), AN_ERR_EOF);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_FIRST_BYTE);
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

/* ---- permits ----------------------------------------------------------------------- */

struct queue_test {
	an_http_client *client;
	const char *url;
	int order[3], next;
};

struct queue_member {
	struct queue_test *test;
	int index;
};

static int queue_member_task(void *arg)
{
	struct queue_member *m = arg;
	int r = expect_body(m->test->client, m->test->url, "again");

	m->test->order[m->test->next++] = m->index;
	return r;
}

static const struct step three[] = { EXPECT,	     OK("again", 5),
				     EXPECT,	     WAIT(1),
				     OK("again", 5), EXPECT,
				     OK("again", 5), END };

PEER_TEST_IN_ORDER(requests_wait_for_a_connection_first_come_first_served, three)
{
	struct queue_test test = { .url = p->url };
	struct queue_member members[3];
	an_group group;

	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .max_per_host = 1 },
				       &test.client),
		    0);
	an_group_begin(&group);
	for (int i = 0; i < 3; i++) {
		members[i] = (struct queue_member){ &test, i };
		an_group_fail(&group,
			      an_group_spawn(&group, queue_member_task, &members[i]));
	}
	CHECK_EQUAL(an_group_end(&group), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(test.order[i], i);
	CHECK_EQUAL(p->connections, 1);
	CHECK_EQUAL(stats_of(test.client).waiting, 0);
	an_http_client_free(test.client);
	return 0;
}

PEER_TEST(no_more_connections_are_kept_than_allowed, hello, hello, hello)
{
	an_http_response *responses[3];
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(&(an_http_client_opts){ .max_idle = 2 }, &client),
		    0);
	for (size_t i = 0; i < 3; i++)
		CHECK_EQUAL(an_http_get(client, p->url, &responses[i]), 0);
	CHECK_EQUAL(stats_of(client).lent, 3);
	for (size_t i = 0; i < 3; i++)
		an_http_response_free(responses[i]);
	CHECK_EQUAL(stats_of(client).idle, 2);
	CHECK_EQUAL(stats_of(client).discarded, 1);
	an_http_client_free(client);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_connection_is_kept_and_reused),
	cmocka_unit_test(a_connection_can_be_kept_for_ever),
	cmocka_unit_test(a_body_read_to_its_end_gives_the_connection_back),
	cmocka_unit_test(a_connection_with_bytes_nobody_asked_for_is_discarded),
	cmocka_unit_test(bytes_behind_a_long_body_are_not_the_next_answer),
	cmocka_unit_test(a_connection_is_kept_for_as_long_as_both_sides_allow),
	cmocka_unit_test(
		an_idempotent_request_is_sent_again_when_a_kept_connection_is_dead),
	cmocka_unit_test(what_might_have_been_done_is_not_sent_again),
	cmocka_unit_test(a_fresh_connection_that_dies_is_no_reason_to_retry),
	cmocka_unit_test(requests_wait_for_a_connection_first_come_first_served),
	cmocka_unit_test(no_more_connections_are_kept_than_allowed),
};

int main(void)
{
	alarm(60);
	return cmocka_run_group_tests_name("http client pool", tests, NULL, NULL);
}
