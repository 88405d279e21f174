/* Name resolution: digits, localhost, failures, one query for many, the cache,
 * cancellation. The network is asked for nothing: getaddrinfo is replaced but for one
 * test. */
#include "loop/io/dns.h"
#include "loop/io/stream.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

/* ---- a resolver of our own ------------------------------------------------------- */

static atomic_int asked;
static sem_t begun, go_on;
static bool blocks;
static int outcome; /* EAI_… or 0 */
static int system_error;

static int fake_getaddrinfo(const char *host, const char *service,
			    const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST,
				    .ai_socktype = SOCK_STREAM };

	(void)host;
	atomic_fetch_add(&asked, 1);
	if (!(hints->ai_flags & AI_ADDRCONFIG) || hints->ai_family != AF_UNSPEC)
		return EAI_FAIL;
	if (blocks) {
		sem_post(&begun);
		while (sem_wait(&go_on) < 0)
			;
	}
	errno = system_error;
	if (outcome)
		return outcome;
	return getaddrinfo("192.0.2.7", service, &numeric, ret);
}

static int fake(void **state)
{
	(void)state;
	an__dns_getaddrinfo = fake_getaddrinfo;
	asked = 0;
	blocks = false;
	outcome = 0;
	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	return 0;
}

static int real(void **state)
{
	(void)state;
	an__dns_getaddrinfo = getaddrinfo;
	return 0;
}

static bool is(const an_address *a, const char *text)
{
	char buf[80];

	return an__address_format(&a->storage, a->length, buf, sizeof buf) == 0 &&
	       !strcmp(buf, text);
}

/* ---- without a thread ------------------------------------------------------------ */

TASK_TEST(digits_are_answered_at_once)
{
	static const struct {
		const char *host, *service, *text;
	} cases[] = {
		{ "127.0.0.1", "80", "127.0.0.1:80" },
		{ "::1", "0", "[::1]:0" },
		{ "2001:db8::7", "65535", "[2001:db8::7]:65535" },
		{ "10.0.0.1", "http", "10.0.0.1:80" },
		{ "10.0.0.1", "https", "10.0.0.1:443" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		an_addresses *a;

		CHECK_EQUAL(an_resolve(cases[i].host, cases[i].service, &a), 0);
		CHECK_EQUAL(a->count, 1);
		CHECK(is(&a->list[0], cases[i].text));
		CHECK(!an_addresses_free(a));
	}
	CHECK_EQUAL(asked, 0);
	return 0;
}

TASK_TEST(localhost_is_known_without_asking)
{
	static const char *const names[] = { "localhost", "LocalHost", "localhost.",
					     "a.localhost", "b.localhost." };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		an_addresses *a;

		CHECK_EQUAL(an_resolve(names[i], "8080", &a), 0);
		CHECK_EQUAL(a->count, 2);
		CHECK(is(&a->list[0], "[::1]:8080"));
		CHECK(is(&a->list[1], "127.0.0.1:8080"));
		an_addresses_free(a);
	}
	CHECK_EQUAL(asked, 0);
	return 0;
}

TASK_TEST(what_cannot_be_a_name_or_port_is_refused)
{
	static const char *const hosts[] = { NULL, "", "a b", "a\nb", "a/b", "\x01" };
	static const char *const services[] = { NULL, "", "65536", "99999999999", "80x" };
	char longest[256];
	an_addresses *a = NULL;

	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
		CHECK_EQUAL(an_resolve(hosts[i], "80", &a), -EINVAL);
	for (size_t i = 1; i < sizeof services / sizeof services[0]; i++)
		CHECK_EQUAL(an_resolve("127.0.0.1", services[i], &a), -EINVAL);
	CHECK_EQUAL(an_resolve("127.0.0.1", NULL, &a), -EINVAL);
	memset(longest, 'a', sizeof longest);
	longest[255] = '\0';
	CHECK_EQUAL(an_resolve(longest, "80", &a), -EINVAL);
	CHECK(!a);
	CHECK_EQUAL(asked, 0);
	return 0;
}

static void outside_a_task_it_is_an_error(void **state)
{
	an_addresses *a;

	(void)state;
	assert_int_equal(an_resolve("127.0.0.1", "80", &a), AN_ERR_NO_TASK);
	assert_null(an_addresses_free(NULL));
}

/* ---- with threads ---------------------------------------------------------------- */

TASK_TEST(a_name_is_asked_for_and_kept)
{
	an_addresses *a, *b;

	CHECK_EQUAL(an_resolve("host.test", "80", &a), 0);
	CHECK_EQUAL(a->count, 1);
	CHECK(is(&a->list[0], "192.0.2.7:80"));
	CHECK_EQUAL(an_resolve("host.test", "80", &b), 0);
	CHECK(a != b);
	CHECK(is(&b->list[0], "192.0.2.7:80"));
	CHECK_EQUAL(asked, 1);
	an_addresses_free(a);
	an_addresses_free(b);
	/* another service is another question */
	CHECK_EQUAL(an_resolve("host.test", "81", &a), 0);
	CHECK_EQUAL(asked, 2);
	an_addresses_free(a);
	return 0;
}

TASK_TEST(an_answer_is_kept_for_thirty_seconds)
{
	an_addresses *a;

	CHECK_EQUAL(an_resolve("host.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(an_sleep(30 * AN_SECOND - 1), 0);
	CHECK_EQUAL(an_resolve("host.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 1);
	CHECK_EQUAL(an_sleep(1), 0);
	CHECK_EQUAL(an_resolve("host.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 2);
	return 0;
}

TASK_TEST(a_name_that_does_not_exist_is_remembered_for_ten_seconds)
{
	an_addresses *a;

	outcome = EAI_NONAME;
	CHECK_EQUAL(an_resolve("host.test", "80", &a), AN_ERR_NAME);
	CHECK_EQUAL(an_sleep(10 * AN_SECOND - 1), 0);
	CHECK_EQUAL(an_resolve("host.test", "80", &a), AN_ERR_NAME);
	CHECK_EQUAL(asked, 1);
	CHECK_EQUAL(an_sleep(1), 0);
	outcome = 0;
	CHECK_EQUAL(an_resolve("host.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 2);
	return 0;
}

TASK_TEST(a_passing_failure_is_not_remembered)
{
	an_addresses *a;

	outcome = EAI_AGAIN;
	CHECK_EQUAL(an_resolve("host.test", "80", &a), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(an_resolve("host.test", "80", &a), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(asked, 2);
	outcome = EAI_SERVICE;
	CHECK_EQUAL(an_resolve("host.test", "no-such", &a), -EINVAL);
	outcome = EAI_MEMORY;
	CHECK_EQUAL(an_resolve("host.test", "80", &a), -ENOMEM);
	return 0;
}

TASK_TEST(the_cache_forgets_what_was_not_used_longest)
{
	an_addresses *a;
	char name[32];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof name, "host%d.test", i);
		CHECK_EQUAL(an_resolve(name, "80", &a), 0);
		an_addresses_free(a);
	}
	CHECK_EQUAL(an_resolve("host0.test", "80", &a), 0); /* used again */
	an_addresses_free(a);
	CHECK_EQUAL(asked, 256);
	CHECK_EQUAL(an_resolve("one-more.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 257);
	CHECK_EQUAL(an_resolve("host0.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 257);
	CHECK_EQUAL(an_resolve("host1.test", "80", &a), 0);
	an_addresses_free(a);
	CHECK_EQUAL(asked, 258);
	return 0;
}

static int resolve_host(void *arg)
{
	an_addresses *a;
	int r = an_resolve(arg, "80", &a);

	if (r == 0)
		an_addresses_free(a);
	return r;
}

TASK_TEST(one_query_serves_all_that_ask_the_same)
{
	an_task *t[20];
	int result;

	blocks = true;
	for (int i = 0; i < 20; i++)
		CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t[i]), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	sem_post(&go_on);
	for (int i = 0; i < 20; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, 0);
	}
	CHECK_EQUAL(asked, 1);
	return 0;
}

TASK_TEST(a_cancelled_asker_leaves_the_others_their_query)
{
	an_task *t, *u;
	int result;

	blocks = true;
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t), 0);
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &u), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	sem_post(&go_on);
	CHECK_EQUAL(an_join(u, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(asked, 1);
	return 0;
}

TASK_TEST(a_query_that_all_have_left_still_fills_the_cache)
{
	an_task *t;
	int result;

	blocks = true;
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	/* and a new asker joins it */
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t), 0);
	CHECK_EQUAL(an_yield(), 0);
	sem_post(&go_on);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(asked, 1);
	return 0;
}

static int leave_a_query(void *arg)
{
	an_task *t;
	int result;

	(void)arg;
	blocks = true;
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	return 0;
}

static void the_loop_does_not_wait_for_a_query_nobody_wants(void **state)
{
	int left;

	(void)state;
	assert_int_equal(an_run(leave_a_query, NULL, NULL), 0);
	/* Only now may the thread go on; it finds its loop gone. The next test's go is
	 * not meant for it. */
	sem_post(&go_on);
	do
		sched_yield();
	while (sem_getvalue(&go_on, &left) == 0 && left > 0);
	blocks = false;
	assert_int_equal(run_virtual(resolve_host, "other.test"), 0);
}

TASK_TEST_IN_ORDER(more_names_than_queries_wait_in_line)
{
	char names[100][24];
	an_task *t[100];
	int result;

	blocks = true; /* or some would have had their answer before the cancellation */
	for (int i = 0; i < 100; i++) {
		snprintf(names[i], sizeof names[i], "h%d.test", i);
		CHECK_EQUAL(an_spawn(resolve_host, names[i], NULL, &t[i]), 0);
	}
	CHECK_EQUAL(an_yield(), 0);
	an_cancel(t[99]);
	CHECK_EQUAL(an_join(t[99], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	for (int i = 0; i < 99; i++)
		sem_post(&go_on);
	for (int i = 0; i < 99; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, 0);
	}
	CHECK_EQUAL(asked, 99);
	return 0;
}

/* The process has sixteen threads: the seventeenth query is in line for one. */
TASK_TEST_IN_ORDER(a_query_that_no_thread_has_begun_goes_with_its_last_asker)
{
	char names[17][24];
	an_task *t[17];
	int result;

	blocks = true;
	for (int i = 0; i < 17; i++) {
		snprintf(names[i], sizeof names[i], "line%d.test", i);
		CHECK_EQUAL(an_spawn(resolve_host, names[i], NULL, &t[i]), 0);
	}
	for (int i = 0; i < 16; i++)
		while (sem_trywait(&begun) < 0)
			CHECK_EQUAL(an_yield(), 0);
	an_cancel(t[16]);
	CHECK_EQUAL(an_join(t[16], &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	for (int i = 0; i < 17; i++)
		sem_post(&go_on);
	for (int i = 0; i < 16; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, 0);
	}
	CHECK_EQUAL(asked, 16);
	/* What it took from the line was given back, and it can be asked again. */
	CHECK_EQUAL(resolve_host(names[16]), 0);
	CHECK_EQUAL(asked, 17);
	return 0;
}

TASK_TEST(an_emptied_cache_asks_again)
{
	CHECK_EQUAL(resolve_host("host.test"), 0);
	outcome = EAI_NONAME;
	CHECK_EQUAL(resolve_host("none.test"), AN_ERR_NAME);
	CHECK_EQUAL(asked, 2);
	an_resolve_flush();
	CHECK_EQUAL(resolve_host("host.test"), AN_ERR_NAME);
	outcome = 0;
	CHECK_EQUAL(resolve_host("none.test"), 0);
	CHECK_EQUAL(asked, 4);
	return 0;
}

TASK_TEST(an_answer_from_before_the_emptying_is_its_askers_alone)
{
	an_task *t, *u;
	int result;

	blocks = true;
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &t), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_resolve_flush();
	/* not of the same query */
	CHECK_EQUAL(an_spawn(resolve_host, "host.test", NULL, &u), 0);
	while (sem_trywait(&begun) < 0)
		CHECK_EQUAL(an_yield(), 0);
	an_cancel(u);
	CHECK_EQUAL(an_join(u, &result), 0);
	an_resolve_flush();
	sem_post(&go_on);
	sem_post(&go_on);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, 0);
	blocks = false;
	CHECK_EQUAL(resolve_host("host.test"), 0);
	CHECK_EQUAL(asked, 3);
	return 0;
}

static void without_a_loop_there_is_nothing_to_empty(void **state)
{
	(void)state;
	an_resolve_flush();
}

TASK_TEST(a_system_error_is_told_and_a_limit_of_its_own_is_passing)
{
	outcome = EAI_SYSTEM;
	system_error = EMFILE;
	CHECK_EQUAL(resolve_host("host.test"), -EMFILE);
	system_error = ETIMEDOUT;
	CHECK_EQUAL(resolve_host("host.test"), AN_ERR_NAME_AGAIN);
	system_error = 0;
	CHECK_EQUAL(resolve_host("host.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(asked, 3);
	return 0;
}

/* ---- cancelled at each step ------------------------------------------------------ */

static int forget_all(void *arg)
{
	(void)arg;
	an_resolve_flush();
	return 0;
}

/* The other asker is not harmed. */
static int it_still_resolves(void *arg)
{
	return resolve_host(arg);
}

CANCEL_TEST(a_cancellation_at_each_step_leaves_a_resolver_that_works, forget_all,
	    resolve_host, it_still_resolves, "host.test")

TASK_TEST(the_reserved_name_invalid_is_not_found)
{
	an_addresses *a;
	int r = an_resolve("name.invalid", "80", &a);

	CHECK(r == AN_ERR_NAME || r == AN_ERR_NAME_AGAIN);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(digits_are_answered_at_once, fake),
	cmocka_unit_test_setup(localhost_is_known_without_asking, fake),
	cmocka_unit_test_setup(what_cannot_be_a_name_or_port_is_refused, fake),
	cmocka_unit_test_setup(outside_a_task_it_is_an_error, fake),
	cmocka_unit_test_setup(a_name_is_asked_for_and_kept, fake),
	cmocka_unit_test_setup(an_answer_is_kept_for_thirty_seconds, fake),
	cmocka_unit_test_setup(a_name_that_does_not_exist_is_remembered_for_ten_seconds,
			       fake),
	cmocka_unit_test_setup(a_passing_failure_is_not_remembered, fake),
	cmocka_unit_test_setup(the_cache_forgets_what_was_not_used_longest, fake),
	cmocka_unit_test_setup(one_query_serves_all_that_ask_the_same, fake),
	cmocka_unit_test_setup(a_cancelled_asker_leaves_the_others_their_query, fake),
	cmocka_unit_test_setup(a_query_that_all_have_left_still_fills_the_cache, fake),
	cmocka_unit_test_setup(the_loop_does_not_wait_for_a_query_nobody_wants, fake),
	cmocka_unit_test_setup(more_names_than_queries_wait_in_line, fake),
	cmocka_unit_test_setup(a_query_that_no_thread_has_begun_goes_with_its_last_asker,
			       fake),
	cmocka_unit_test_setup(an_emptied_cache_asks_again, fake),
	cmocka_unit_test_setup(an_answer_from_before_the_emptying_is_its_askers_alone,
			       fake),
	cmocka_unit_test(without_a_loop_there_is_nothing_to_empty),
	cmocka_unit_test_setup(a_system_error_is_told_and_a_limit_of_its_own_is_passing,
			       fake),
	cmocka_unit_test_setup(a_cancellation_at_each_step_leaves_a_resolver_that_works,
			       fake),
	cmocka_unit_test_setup(the_reserved_name_invalid_is_not_found, real),
};

TEST_MAIN("dns", tests)
