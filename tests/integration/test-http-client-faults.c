/* The HTTP client beside a peer that misleads, stalls, or is left in the middle of
 * something. */
#include "tests/integration/http-client.h"
#include "tests/support/libevent-memory.h"

/* ---- helpers ----------------------------------------------------------------------- */

/* Sends, reads the body to its end. Returns the status, or the error. */
static int fetch(an_http_client *client, const an_http_request *request)
{
	an_http_response *response;
	const char *data;
	size_t len;
	int r = an_http_send(client, request, &response);

	if (r)
		return r;
	r = an_http_response_read_all(response, 0, &data, &len);
	if (!r)
		r = an_http_response_status(response);
	an_http_response_free(response);
	return r;
}

static int get(an_http_client *client, const char *url)
{
	return fetch(client, &(an_http_request){ .url = url });
}

static const struct step hello[] = { EXPECT, OK("hello", 5), END };

/* ---- redirects --------------------------------------------------------------------- */

#define REDIRECT(status, location) \
	SEND("HTTP/1.1 " status "\r\nLocation: " location \
	     "\r\nContent-Length: 3\r\n\r\nsee")

static const struct step relative[] = { EXPECT, REDIRECT("302 Found", "../x?y"), EXPECT,
					OK("hello", 5), END };

PEER_TEST(a_redirect_is_followed_on_the_same_connection, relative)
{
	an_http_client *client;
	an_http_response *response;
	char url[100], expected[100];

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	snprintf(url, sizeof(url), "%s/a/b/c#f", p->url);
	snprintf(expected, sizeof(expected), "%s/a/x?y#f", p->url);
	CHECK_EQUAL(an_http_get(client, url, &response), 0);
	CHECK(!strcmp(an_http_response_url(response), expected));
	CHECK_EQUAL(an_http_response_redirects(response), 1);
	an_http_response_free(response);
	CHECK_EQUAL(p->connections, 1);
	CHECK(!strncmp(p->heads[1], "GET /a/x?y HTTP/1.1\r\n", 21));
	an_http_client_free(client);
	return 0;
}

static const struct step with_trailers[] = {
	EXPECT,
	SEND("HTTP/1.1 302 Found\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "0\r\nX-Sum: 7\r\n\r\n"),
	EXPECT, OK("hello", 5), END
};

PEER_TEST(a_response_has_nothing_of_the_redirect_before_it, with_trailers)
{
	an_http_client *client;
	an_http_response *response;
	const char *data;
	size_t len;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), 0);
	CHECK(!strcmp(data, "hello"));
	CHECK(!an_http_response_trailers(response));
	CHECK(!an_http_response_header(response, "location"));
	CHECK_EQUAL(p->connections, 1);
	an_http_response_free(response);
	an_http_client_free(client);
	return 0;
}

#define AGAIN EXPECT, REDIRECT("301 Moved Permanently", "/")
static const struct step loop[] = { AGAIN, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN,
				    AGAIN, AGAIN, AGAIN, AGAIN, AGAIN, END };

PEER_TEST(a_loop_of_redirects_ends_with_an_error, loop)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(get(client, p->url), AN_ERR_REDIRECT);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_REDIRECT);
	CHECK_EQUAL(p->requests, 11);
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(redirects_can_be_left_to_the_caller, loop)
{
	an_http_client *client;

	CHECK_EQUAL(
		an_http_client_new(
			&(an_http_client_opts){ .max_redirects = AN_HTTP_NO_REDIRECTS },
			&client),
		0);
	CHECK_EQUAL(get(client, p->url), 301);
	CHECK_EQUAL(p->requests, 1);
	an_http_client_free(client);
	return 0;
}

static const struct step bad_location[] = {
	EXPECT, REDIRECT("302 Found", "file:///etc/passwd"),
	EXPECT, REDIRECT("302 Found", "http://u:p@127.0.0.1/"),
	EXPECT, SEND("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
	END
};

PEER_TEST(a_redirect_to_nowhere_usable_is_refused, bad_location)
{
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(get(client, p->url), AN_ERR_REDIRECT);
	CHECK_EQUAL(get(client, p->url), AN_ERR_REDIRECT);
	CHECK_EQUAL(get(client, p->url), 302); /* without a Location it is an answer */
	an_http_client_free(client);
	return 0;
}

static const struct step answer_three[] = { EXPECT, OK("", 0), EXPECT, OK("", 0),
					    EXPECT, OK("", 0), END };
static const struct step *const answer_scripts[] = { answer_three, NULL };

/* A peer that redirects to another one, whose port is known only now. */
struct crossing {
	struct peer *target;
	struct step steps[5];
	char first[300], second[100];
	const struct step *scripts[2];
};

static void prepare_crossing(struct crossing *c, const char *status)
{
	snprintf(c->first, sizeof(c->first),
		 "HTTP/1.1 %s\r\nLocation: %s/there\r\nContent-Length: 0\r\n\r\n", status,
		 c->target->url);
	c->steps[0] = (struct step)EXPECT;
	c->steps[1] = (struct step){ PEER_SEND, c->first, strlen(c->first) };
	c->steps[2] = (struct step)END;
	c->scripts[0] = c->steps;
	c->scripts[1] = NULL;
}

static int cross_body(struct peer *p, void *arg)
{
	static const an_http_header headers[] = { { "Authorization", "Basic c2VjcmV0" },
						  { "cookie", "a=b" },
						  { "Host", "example.org" },
						  { "X-Kept", "yes" },
						  { NULL, NULL } };
	struct crossing *c = arg;
	an_http_client *client;
	const char *there = c->target->heads[0];
	char host[64];

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(
		fetch(client, &(an_http_request){ .url = p->url, .headers = headers }),
		200);
	an_http_client_free(client);
	CHECK(strstr(p->heads[0], "\r\nHost: example.org\r\n"));
	CHECK(strstr(p->heads[0], "c2VjcmV0"));
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", c->target->port);
	CHECK(strstr(there, host));
	CHECK(!strstr(there, "example.org"));
	CHECK(!strstr(there, "c2VjcmV0"));
	CHECK(!strstr(there, "cookie"));
	CHECK(strstr(there, "\r\nX-Kept: yes\r\n"));
	return 0;
}

static int cross_target_body(struct peer *target, void *arg)
{
	struct crossing c = { .target = target };

	(void)arg;
	prepare_crossing(&c, "302 Found");
	return with_peer(c.scripts, cross_body, &c);
}

TASK_TEST(credentials_do_not_follow_to_another_port)
{
	return with_peer(answer_scripts, cross_target_body, NULL);
}

static const struct step post_redirects[] = { EXPECT,
					      BODY(4),
					      REDIRECT("303 See Other", "/a"),
					      EXPECT,
					      OK("", 0),
					      EXPECT,
					      BODY(4),
					      REDIRECT("307 Temporary Redirect", "/b"),
					      EXPECT,
					      BODY(4),
					      OK("", 0),
					      EXPECT,
					      BODY(4),
					      REDIRECT("308 Permanent Redirect", "/c"),
					      END };

static ssize_t give_four(void *arg, void *buf, size_t cap)
{
	(void)arg;
	(void)cap;
	memcpy(buf, "once", 4);
	return 4;
}

PEER_TEST(a_post_becomes_a_get_or_is_repeated_as_the_status_says, post_redirects)
{
	static const an_http_header headers[] = { { "Content-Type", "text/plain" },
						  { NULL, NULL } };
	an_http_request q = {
		.url = p->url, .body = "body", .body_len = 4, .headers = headers
	};
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(fetch(client, &q), 200);
	CHECK(!strncmp(p->heads[1], "GET /a HTTP/1.1\r\n", 17));
	CHECK(!strstr(p->heads[1], "Content-"));
	CHECK_EQUAL(fetch(client, &q), 200);
	CHECK(!strncmp(p->heads[3], "POST /b HTTP/1.1\r\n", 18));
	CHECK(strstr(p->heads[3], "Content-Type: text/plain\r\n"));
	CHECK(!strcmp(p->body, "body"));
	/* What has been read once cannot be sent again. */
	CHECK_EQUAL(fetch(client, &(an_http_request){ .url = p->url,
						      .read_body = give_four,
						      .read_len = 4 }),
		    AN_ERR_REDIRECT);
	CHECK_EQUAL(p->connections, 1);
	an_http_client_free(client);
	return 0;
}

/* ---- limits on time ---------------------------------------------------------------- */

/* One GET that must run into the limit on `phase` after `seconds`. */
static int expect_timeout(const an_http_client_opts *opts, const char *url,
			  an_http_phase phase, int seconds)
{
	an_duration start = an_now();
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(opts, &client), 0);
	CHECK_EQUAL(get(client, url), -ETIMEDOUT);
	CHECK_EQUAL((an_now() - start) / AN_SECOND, seconds);
	CHECK_EQUAL(an_http_client_error(client)->code, -ETIMEDOUT);
	CHECK_EQUAL(an_http_client_error(client)->phase, phase);
	CHECK(strstr(an_http_client_error(client)->text, "within"));
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	return 0;
}

static const struct step silent[] = { EXPECT, END };
static const struct step half_head[] = { EXPECT, WAIT(50), SEND("HTTP/1.1 200"), END };
static const struct step slow_head[] = {
	EXPECT,	  SEND("HTTP/1.1"), WAIT(50), SEND(" 200"),
	WAIT(50), SEND(" OK\r\n"),  WAIT(50), SEND("A: b\r\n"),
	WAIT(50), SEND("A: b\r\n"), WAIT(50), SEND("A: b\r\n"),
	WAIT(50), SEND("A: b\r\n"), WAIT(50), END
};

PEER_TEST(a_server_that_stalls_runs_into_the_limit_of_the_phase, silent, silent,
	  half_head, slow_head, slow_head)
{
	int r = expect_timeout(NULL, p->url, AN_HTTP_PHASE_FIRST_BYTE, 60);

	if (!r)
		r = expect_timeout(
			&(an_http_client_opts){ .first_byte_timeout = AN_SECOND }, p->url,
			AN_HTTP_PHASE_FIRST_BYTE, 1);
	if (!r)
		r = expect_timeout(NULL, p->url, AN_HTTP_PHASE_HEAD, 110);
	if (!r)
		r = expect_timeout(NULL, p->url, AN_HTTP_PHASE_HEAD, 300);
	if (!r)
		r = expect_timeout(
			&(an_http_client_opts){ .total_timeout = 70 * AN_SECOND }, p->url,
			AN_HTTP_PHASE_HEAD, 70);
	return r;
}

static const struct step half_body[] = {
	EXPECT, SEND("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), WAIT(50),
	SEND("c"), END
};

static int expect_body_timeout(const char *url, const an_http_client_opts *opts,
			       int seconds)
{
	an_duration start = an_now();
	an_http_response *response;
	an_http_client *client;
	const char *data;
	size_t len;

	CHECK_EQUAL(an_http_client_new(opts, &client), 0);
	CHECK_EQUAL(an_http_get(client, url, &response), 0);
	CHECK_EQUAL(an_http_response_read_all(response, 0, &data, &len), -ETIMEDOUT);
	CHECK_EQUAL((an_now() - start) / AN_SECOND, seconds);
	CHECK_EQUAL(an_http_response_error(response)->phase, AN_HTTP_PHASE_BODY);
	CHECK(strstr(an_http_response_error(response)->text, "within"));
	an_http_response_free(response);
	CHECK_EQUAL(stats_of(client).idle, 0);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_body_that_stalls_runs_into_the_idle_or_the_total_limit, half_body, half_body)
{
	int r = expect_body_timeout(p->url, NULL, 110);

	return r ? r
		 : expect_body_timeout(
			   p->url,
			   &(an_http_client_opts){ .total_timeout = 20 * AN_SECOND }, 20);
}

PEER_TEST(waiting_for_a_connection_has_a_limit_of_its_own, half_body, hello)
{
	an_http_client_opts opts = { .max_total = 1, .pool_timeout = 5 * AN_SECOND };
	an_http_response *response;
	an_http_client *client;

	CHECK_EQUAL(an_http_client_new(&opts, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(get(client, p->url), -ETIMEDOUT);
	CHECK_EQUAL(an_http_client_error(client)->phase, AN_HTTP_PHASE_POOL);
	CHECK_EQUAL(stats_of(client).waiting, 0);
	an_http_response_free(response);
	CHECK_EQUAL(get(client, p->url), 200);
	an_http_client_free(client);
	return 0;
}

PEER_TEST(a_time_limit_of_the_caller_holds_too, silent, hello)
{
	an_http_client *client;
	an_timeout limit;
	int r;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	an_timeout_begin(&limit, AN_SECOND);
	r = get(client, p->url);
	CHECK_EQUAL(an_timeout_end(&limit, r), -ETIMEDOUT);
	CHECK_EQUAL(an_http_client_error(client)->code, -ECANCELED);
	CHECK_EQUAL(stats_of(client).lent, 0);
	CHECK_EQUAL(get(client, p->url), 200);
	an_http_client_free(client);
	return 0;
}

/* ---- cancellation ------------------------------------------------------------------ */

/* A dialogue with everything in it, and a pause between any two parts of it. */
static const struct step slow[] = {
	EXPECT,
	WAIT(1),
	SEND("HTTP/1.1 100 Continue\r\n\r\n"),
	WAIT(1),
	SEND("HTTP/1.1 307 Go\r\nContent-Length: 0\r\n"),
	WAIT(1),
	SEND("Location: /x\r\n\r\n"),
	EXPECT,
	WAIT(1),
	SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	WAIT(1),
	SEND("3\r"),
	WAIT(1),
	SEND("\nabc"),
	WAIT(1),
	SEND("\r\n0\r\n"),
	WAIT(1),
	SEND("\r\n"),
	END
};

struct victim {
	an_http_client *client;
	const char *url;
};

static int victim_task(void *arg)
{
	struct victim *v = arg;

	return get(v->client, v->url);
}

/* Cancels after 0.5 s, 1.5 s, ...: once within each pause. */
static int cancel_body(struct peer *p, void *arg)
{
	int seconds = *(int *)arg, result;
	struct victim v = { .url = p->url };
	an_task *task;

	CHECK_EQUAL(an_http_client_new(NULL, &v.client), 0);
	CHECK_EQUAL(an_spawn(victim_task, &v, NULL, &task), 0);
	CHECK_EQUAL(an_sleep(seconds * AN_SECOND + AN_SECOND / 2), 0);
	an_cancel(task);
	CHECK_EQUAL(an_join(task, &result), 0);
	CHECK_EQUAL(result, seconds < 8 ? -ECANCELED : 200);
	CHECK_EQUAL(stats_of(v.client).lent, 0);
	CHECK_EQUAL(stats_of(v.client).waiting, 0);
	CHECK_EQUAL(stats_of(v.client).idle, seconds < 8 ? 0 : 1);
	an_http_client_free(v.client);
	return 0;
}

TASK_TEST(a_request_can_be_cancelled_in_every_pause)
{
	static const struct step *const scripts[] = { slow, NULL };

	for (int seconds = 0; seconds <= 8; seconds++) {
		int r = with_peer(scripts, cancel_body, &seconds);

		if (r) {
			fprintf(stderr, "cancelled after %d.5 s\n", seconds);
			return r;
		}
	}
	return 0;
}

static const struct step steady[] = { EXPECT, OK("a", 1), EXPECT, OK("b", 1),
				      EXPECT, OK("c", 1), EXPECT, OK("d", 1),
				      EXPECT, OK("e", 1), END };

/* The loop looks at descriptors before its clock moves on: a nanosecond is a step of the
 * dialogue. */
static int cancel_steps_body(struct peer *p, void *arg)
{
	struct victim v = { .url = p->url };
	int result = -ECANCELED;

	(void)arg;
	CHECK_EQUAL(an_http_client_new(NULL, &v.client), 0);
	for (int steps = 0; result != 200; steps++) {
		an_task *task;

		CHECK(steps < 200);
		CHECK_EQUAL(an_spawn(victim_task, &v, NULL, &task), 0);
		for (int i = 0; i < steps; i++)
			CHECK_EQUAL(an_sleep(AN_NANOSECOND), 0);
		an_cancel(task);
		CHECK_EQUAL(an_join(task, &result), 0);
		CHECK(result == 200 || result == -ECANCELED);
		CHECK_EQUAL(stats_of(v.client).lent, 0);
		CHECK_EQUAL(stats_of(v.client).waiting, 0);
	}
	CHECK_EQUAL(get(v.client, p->url), 200);
	an_http_client_free(v.client);
	return 0;
}

TASK_TEST(a_request_can_be_cancelled_at_every_step)
{
	const struct step *scripts[PEER_CONNECTIONS + 1] = { NULL };

	for (size_t i = 0; i < PEER_CONNECTIONS; i++)
		scripts[i] = steady;
	return with_peer(scripts, cancel_steps_body, NULL);
}

/* A body's reading is cancelled and goes on afterwards: nothing was lost. */
PEER_TEST(reading_goes_on_after_a_cancellation, half_body)
{
	an_http_response *response;
	an_http_client *client;
	an_timeout limit;
	char buf[9];
	ssize_t n;

	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	CHECK_EQUAL(an_http_get(client, p->url, &response), 0);
	CHECK_EQUAL(an_http_response_read(response, buf, 9), 2);
	an_timeout_begin(&limit, AN_SECOND);
	n = an_http_response_read(response, buf, 9);
	CHECK_EQUAL(an_timeout_end(&limit, (int)n), -ETIMEDOUT);
	CHECK_EQUAL(an_http_response_read(response, buf, 9), 1);
	CHECK_EQUAL(buf[0], 'c');
	an_http_response_free(response);
	an_http_client_free(client);
	return 0;
}

/* ---- no memory --------------------------------------------------------------------- */

static int without_memory_body(struct peer *p, void *arg)
{
	size_t *n = arg;
	an_http_client *client;
	int r;

	/* The peer's own accepting is over by the second request. */
	CHECK_EQUAL(an_http_client_new(NULL, &client), 0);
	an_testing_fail_allocation(*n);
	r = get(client, p->url);
	if (!an_testing_allocation_failed())
		*n = 0;
	CHECK(r == 200 || r == -ENOMEM || r == AN_ERR_EOF || r == -ECONNRESET ||
	      r == AN_ERR_TRUNCATED);
	CHECK_EQUAL(stats_of(client).lent, 0);
	an_http_client_free(client);
	return 0;
}

TASK_TEST(a_request_survives_every_allocation_failure)
{
	static const struct step *const scripts[] = { hello, NULL };

	for (size_t n = 1, tried = n; tried; n++) {
		int r;

		tried = n;
		r = with_peer(scripts, without_memory_body, &tried);
		if (r) {
			fprintf(stderr, "with allocation %zu failing\n", n);
			return r;
		}
	}
	return 0;
}

TASK_TEST(a_client_is_made_whole_or_not_at_all)
{
	an_http_client *client = NULL;
	int r;

	for (size_t n = 1;; n++) {
		an_testing_fail_allocation(n);
		r = an_http_client_new(NULL, &client);
		if (!an_testing_allocation_failed())
			break;
		CHECK_EQUAL(r, -ENOMEM);
		CHECK(!client);
	}
	CHECK_EQUAL(r, 0);
	an_http_client_free(client);
	an_http_client_free(NULL);
	an_http_response_free(NULL);
	return 0;
}

TASK_TEST(options_that_cannot_be_are_refused)
{
	static const an_http_client_opts bad[] = {
		{ .read_timeout = -1 },
		{ .max_redirects = -2 },
		{ .user_agent = "a\r\nb" },
		{ .head_limit = (size_t)1 << 31 },
	};
	an_http_client *client = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQUAL(an_http_client_new(&bad[i], &client), -EINVAL);
	CHECK(!client);
	return 0;
}

static void a_client_needs_a_loop(void **state)
{
	an_http_client *client = NULL;

	(void)state;
	assert_int_equal(an_http_client_new(NULL, &client), AN_ERR_NO_TASK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_redirect_is_followed_on_the_same_connection),
	cmocka_unit_test(a_response_has_nothing_of_the_redirect_before_it),
	cmocka_unit_test(a_loop_of_redirects_ends_with_an_error),
	cmocka_unit_test(redirects_can_be_left_to_the_caller),
	cmocka_unit_test(a_redirect_to_nowhere_usable_is_refused),
	cmocka_unit_test(credentials_do_not_follow_to_another_port),
	cmocka_unit_test(a_post_becomes_a_get_or_is_repeated_as_the_status_says),
	cmocka_unit_test(a_server_that_stalls_runs_into_the_limit_of_the_phase),
	cmocka_unit_test(a_body_that_stalls_runs_into_the_idle_or_the_total_limit),
	cmocka_unit_test(waiting_for_a_connection_has_a_limit_of_its_own),
	cmocka_unit_test(a_time_limit_of_the_caller_holds_too),
	cmocka_unit_test(a_request_can_be_cancelled_in_every_pause),
	cmocka_unit_test(a_request_can_be_cancelled_at_every_step),
	cmocka_unit_test(reading_goes_on_after_a_cancellation),
	cmocka_unit_test(a_request_survives_every_allocation_failure),
	cmocka_unit_test(a_client_is_made_whole_or_not_at_all),
	cmocka_unit_test(options_that_cannot_be_are_refused),
	cmocka_unit_test(a_client_needs_a_loop),
};

int main(void)
{
	alarm(60);
	return cmocka_run_group_tests_name("http client faults", tests, count_libevent,
					   NULL);
}
