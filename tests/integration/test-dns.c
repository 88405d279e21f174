/* Names and connections by way of glibc and a name server that misbehaves; it lives in a
 * world of the test's own (dns-world.h). The clock is the real one, since getaddrinfo
 * knows no other; nothing here is measured by it. */
#include "tests/integration/dns-world.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <asyncnet/file.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const char *no_world; /* why not */

static int enter(void **state)
{
	(void)state;
	no_world = dns_world_enter();
	return 0;
}

/* What answers at all does so within these seconds, however busy the machine; what does
 * not is waited for impatiently. */
#define PATIENT "timeout:10 attempts:1"
#define IMPATIENT "timeout:1 attempts:1"

/* A test in that world, which needs IPv6 there if `six`. */
#define WORLD_TEST_WITH(name, six) \
	static int name##_task(void *arg); \
	static void name(void **state) \
	{ \
		const char *reason = no_world			    ? no_world \
				     : six && !dns_world_has_ipv6() ? "no IPv6 here" \
								    : NULL; \
		(void)state; \
		if (reason) { \
			print_message("# %s: %s\n", #name, reason); \
			skip(); \
		} \
		dns_world_configure(1, PATIENT); \
		assert_int_equal(an_run(name##_task, NULL, NULL), 0); \
	} \
	static int name##_task(void *arg __attribute__((unused)))

#define WORLD_TEST(name) WORLD_TEST_WITH(name, false)
#define WORLD_TEST_IPV6(name) WORLD_TEST_WITH(name, true)

/* No answer in time is out of the question: what waits for one waits for ever. */
#define FOR_EVER "timeout:30 attempts:1"

static int resolve(void *arg)
{
	an_addresses *a;
	int r = an_resolve(arg, "80", &a);

	if (r == 0)
		an_addresses_free(a);
	return r;
}

/* Returns 0 when it resolves to these, in this order; `second` may be NULL. */
static int resolves_to(const char *host, const char *first, const char *second)
{
	an_addresses *a;
	char text[80];

	CHECK_EQUAL(an_resolve(host, "80", &a), 0);
	CHECK_EQUAL(a->count, second ? 2 : 1);
	CHECK_EQUAL(an_address_format(&a->list[0], text, sizeof text), 0);
	CHECK(!strcmp(text, first));
	if (second) {
		CHECK_EQUAL(an_address_format(&a->list[1], text, sizeof text), 0);
		CHECK(!strcmp(text, second));
	}
	an_addresses_free(a);
	return 0;
}

#define FOUR "192.0.2.1:80"
#define SIX "[2001:db8::1]:80"

/* ---- answers --------------------------------------------------------------------- */

WORLD_TEST_IPV6(both_families_are_found_ipv6_first)
{
	CHECK_EQUAL(resolves_to("both.test", SIX, FOUR), 0);
	CHECK_EQUAL(resolves_to("both.test", SIX, FOUR), 0);
	CHECK_EQUAL(dns_world_questions("both.test", 'A'), 1);
	CHECK_EQUAL(dns_world_questions("both.test", '6'), 1);
	return 0;
}

WORLD_TEST(a_name_may_have_addresses_of_ipv4_alone)
{
	return resolves_to("four.test", FOUR, NULL);
}

WORLD_TEST_IPV6(a_name_may_have_addresses_of_ipv6_alone)
{
	return resolves_to("six.test", SIX, NULL);
}

WORLD_TEST(what_does_not_exist_is_asked_for_once)
{
	CHECK_EQUAL(resolve("none.test"), AN_ERR_NAME);
	CHECK_EQUAL(resolve("none.test"), AN_ERR_NAME);
	CHECK_EQUAL(dns_world_questions("none.test", 'A'), 1);
	CHECK_EQUAL(resolve("nodata.test"), AN_ERR_NAME);
	CHECK_EQUAL(resolve("nodata.test"), AN_ERR_NAME);
	CHECK_EQUAL(dns_world_questions("nodata.test", 'A'), 1);
	return 0;
}

WORLD_TEST(a_servers_failure_passes_and_is_not_kept)
{
	CHECK_EQUAL(resolve("fail.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(resolve("fail.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(dns_world_questions("fail.test", 'A'), 2);
	return 0;
}

WORLD_TEST(an_answer_that_was_cut_comes_by_tcp_and_is_cut_at_sixty_four)
{
	an_addresses *a;

	CHECK_EQUAL(an_resolve("many.test", "80", &a), 0);
	CHECK_EQUAL(a->count, 64);
	an_addresses_free(a);
	CHECK(dns_world_questions("many.test", 'T') > 0);
	return 0;
}

WORLD_TEST(without_tcp_a_cut_answer_is_a_passing_failure)
{
	dns_world_configure(1, IMPATIENT);
	CHECK_EQUAL(resolve("shut.test"), AN_ERR_NAME_AGAIN);
	dns_world_configure(2, IMPATIENT);
	CHECK_EQUAL(resolve("many-2.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(dns_world_questions("many-2.test", 'T'), 0);
	CHECK(dns_world_questions("many-2.test", 'A') > 0);
	return 0;
}

WORLD_TEST(no_answer_and_no_server_are_passing_failures)
{
	dns_world_configure(1, IMPATIENT);
	CHECK_EQUAL(resolve("stall.test"), AN_ERR_NAME_AGAIN);
	dns_world_configure(3, IMPATIENT);
	CHECK_EQUAL(resolve("four-nobody.test"), AN_ERR_NAME_AGAIN);
	dns_world_configure(1, PATIENT);
	CHECK_EQUAL(resolve("four-nobody.test"), 0);
	return 0;
}

WORLD_TEST(rubbish_and_forgeries_are_no_answers)
{
	dns_world_configure(1, IMPATIENT);
	CHECK_EQUAL(resolve("junk.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(resolve("wrongid.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(resolve("question.test"), AN_ERR_NAME_AGAIN);
	CHECK_EQUAL(resolve("other.test"), AN_ERR_NAME);
	return 0;
}

WORLD_TEST(aliases_end)
{
	dns_world_configure(1, IMPATIENT);
	CHECK_EQUAL(resolve("loop.test"), AN_ERR_NAME);
	CHECK_EQUAL(resolve("pointer.test"), AN_ERR_NAME);
	/* What an alias is called matters to nobody here. */
	CHECK_EQUAL(resolve("odd.test"), 0);
	CHECK_EQUAL(resolve("long.test"), 0);
	return 0;
}

WORLD_TEST(names_are_as_long_as_dns_can_have_them)
{
	char name[256];

	memset(name, 'a', sizeof name);
	memcpy(name, "four-", 5);
	for (size_t i = 63; i < 253; i += 64)
		name[i] = '.';
	name[253] = '\0';
	CHECK_EQUAL(resolve(name), 0);
	strcpy(name + 253, ".");
	CHECK_EQUAL(resolve(name), 0);
	name[63] = 'a'; /* a label of more than 63 bytes */
	CHECK_EQUAL(resolve(name), AN_ERR_NAME);
	CHECK_EQUAL(dns_world_questions("four-aaa", 'A'), 2);
	return 0;
}

/* ---- servers that take their time ------------------------------------------------ */

static int asked(const char *name)
{
	while (!dns_world_questions(name, 'A') ||
	       (dns_world_has_ipv6() && !dns_world_questions(name, '6')))
		CHECK_EQUAL(an_sleep(AN_MILLISECOND), 0);
	return 0;
}

WORLD_TEST(a_hundred_askers_make_one_question)
{
	an_task *t[100];
	int result;

	dns_world_configure(1, FOR_EVER);
	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(an_spawn(resolve, "held-100.test", NULL, &t[i]), 0);
	CHECK_EQUAL(asked("held-100.test"), 0);
	dns_world_release();
	for (int i = 0; i < 100; i++) {
		CHECK_EQUAL(an_join(t[i], &result), 0);
		CHECK_EQUAL(result, 0);
	}
	CHECK_EQUAL(dns_world_questions("held-100.test", 'A'), 1);
	return 0;
}

WORLD_TEST(an_asker_that_left_has_the_cache_filled)
{
	an_task *t;
	int result;

	dns_world_configure(1, FOR_EVER);
	CHECK_EQUAL(an_spawn(resolve, "held-left.test", NULL, &t), 0);
	/* Before that nobody would ask for one who has left. */
	CHECK_EQUAL(asked("held-left.test"), 0);
	an_cancel(t);
	CHECK_EQUAL(an_join(t, &result), 0);
	CHECK_EQUAL(result, -ECANCELED);
	dns_world_release();
	CHECK_EQUAL(resolve("held-left.test"), 0);
	CHECK_EQUAL(dns_world_questions("held-left.test", 'A'), 1);
	return 0;
}

WORLD_TEST(a_dead_server_holds_up_nothing_else)
{
	static char names[10][16];
	an_task *t[10];
	char byte;
	an_file *f;

	CHECK_EQUAL(resolve("four-known.test"), 0);
	dns_world_configure(1, FOR_EVER);
	for (int i = 0; i < 10; i++) {
		snprintf(names[i], sizeof names[i], "stall-%d.test", i);
		CHECK_EQUAL(an_spawn(resolve, names[i], NULL, &t[i]), 0);
	}
	CHECK_EQUAL(asked("stall-9"), 0);
	CHECK_EQUAL(resolve("four-known.test"), 0);
	CHECK_EQUAL(resolve("192.0.2.3"), 0);
	CHECK_EQUAL(resolve("localhost"), 0);
	CHECK_EQUAL(resolve("written.test"), 0); /* in /etc/hosts */
	CHECK_EQUAL(resolve("four-new.test"), 0);
	CHECK_EQUAL(an_file_open("/etc/hosts", O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_file_read(f, &byte, 1), 1);
	an_file_close(f);
	for (int i = 0; i < 10; i++) {
		CHECK(!an_done(t[i]));
		an_cancel(t[i]);
		CHECK_EQUAL(an_join(t[i], NULL), 0);
	}
	return 0;
}

/* ---- connecting ------------------------------------------------------------------ */

/* A listener whose queue is full: the next connection hangs. */
struct blackhole {
	int fd, fillers[3];
};

static int blackhole_open(int family, const char *port, struct blackhole *b)
{
	an_address a;

	CHECK_EQUAL(an_address_parse(family == AF_INET ? "192.0.2.1" : "2001:db8::1",
				     port, &a),
		    0);
	b->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(b->fd >= 0);
	CHECK_EQUAL(bind(b->fd, (struct sockaddr *)&a.storage, a.length), 0);
	CHECK_EQUAL(listen(b->fd, 0), 0);
	for (int i = 0; i < 3; i++) {
		b->fillers[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		CHECK(b->fillers[i] >= 0);
		an_ignore(
			connect(b->fillers[i], (struct sockaddr *)&a.storage, a.length));
	}
	return 0;
}

static void blackhole_close(struct blackhole *b)
{
	for (int i = 0; i < 3; i++)
		close(b->fillers[i]);
	close(b->fd);
}

static int listen_at(const char *address, char port[8], an_listener **ret)
{
	CHECK_EQUAL(an_listen(address, port, NULL, ret), 0);
	snprintf(port, 8, "%u", an_listener_port(*ret));
	return 0;
}

static int connects_to(const char *host, const char *port, const an_connect_opts *opts,
		       const char *peer)
{
	an_stream *s;
	char text[80];

	CHECK_EQUAL(an_connect(host, port, opts, &s), 0);
	CHECK_EQUAL(an_stream_peer_address(s, text, sizeof text), 0);
	CHECK(!strncmp(text, peer, strlen(peer)));
	an_stream_close(s);
	return 0;
}

WORLD_TEST_IPV6(ipv6_is_tried_first_and_ipv4_when_it_refuses_or_is_silent)
{
	char port[8] = "0";
	an_listener *four, *six;
	struct blackhole hole;
	an_stream *s;

	CHECK_EQUAL(listen_at("192.0.2.1", port, &four), 0);
	CHECK_EQUAL(connects_to("both.test", port, NULL, "192.0.2.1:"), 0);
	CHECK_EQUAL(blackhole_open(AF_INET6, port, &hole), 0);
	CHECK_EQUAL(connects_to("both.test", port, NULL, "192.0.2.1:"), 0);
	blackhole_close(&hole);
	CHECK_EQUAL(listen_at("2001:db8::1", port, &six), 0);
	CHECK_EQUAL(connects_to("both.test", port, NULL, "[2001:db8::1]:"), 0);
	an_listener_close(four);
	an_listener_close(six);
	CHECK_EQUAL(an_connect("both.test", port, NULL, &s), -ECONNREFUSED);
	return 0;
}

WORLD_TEST_IPV6(one_family_alone_can_be_asked_for)
{
	an_connect_opts four = { .family = AF_INET }, six = { .family = AF_INET6 };
	char port[8] = "0";
	an_listener *l;
	an_stream *s;

	CHECK_EQUAL(listen_at(NULL, port, &l), 0);
	CHECK_EQUAL(connects_to("both-4.test", port, &four, "192.0.2.1:"), 0);
	CHECK_EQUAL(dns_world_questions("both-4.test", '6'), 0);
	CHECK_EQUAL(connects_to("both-6.test", port, &six, "[2001:db8::1]:"), 0);
	CHECK_EQUAL(dns_world_questions("both-6.test", 'A'), 0);
	CHECK_EQUAL(an_connect("six.test", port, &four, &s), AN_ERR_NAME);
	CHECK_EQUAL(an_connect("four.test", port, &six, &s), AN_ERR_NAME);
	an_listener_close(l);
	return 0;
}

/* Without an answer for the one the complete answer would not come before the limit of
 * ten seconds. */
WORLD_TEST(a_server_that_drops_questions_for_ipv6_does_not_prevent_connecting)
{
	char port[8] = "0";
	an_listener *l;

	dns_world_configure(1, FOR_EVER);
	CHECK_EQUAL(listen_at("192.0.2.1", port, &l), 0);
	CHECK_EQUAL(connects_to("noaaaa.test", port, NULL, "192.0.2.1:"), 0);
	/* The whole is still being asked for; what is known of IPv4 is used. */
	CHECK_EQUAL(connects_to("noaaaa.test", port, NULL, "192.0.2.1:"), 0);
	CHECK_EQUAL(dns_world_questions("noaaaa.test", 'A'), 2);
	an_listener_close(l);
	return 0;
}

WORLD_TEST_IPV6(a_server_that_drops_questions_for_ipv4_does_not_prevent_connecting)
{
	char port[8] = "0";
	an_listener *l;

	dns_world_configure(1, FOR_EVER);
	CHECK_EQUAL(listen_at("2001:db8::1", port, &l), 0);
	CHECK_EQUAL(connects_to("noa.test", port, NULL, "[2001:db8::1]:"), 0);
	an_listener_close(l);
	return 0;
}

WORLD_TEST(when_the_known_family_refuses_its_error_is_told_in_the_end)
{
	char port[8] = "0";
	an_listener *l;
	an_stream *s;

	dns_world_configure(1, IMPATIENT);
	CHECK_EQUAL(listen_at("192.0.2.1", port, &l), 0);
	an_listener_close(l);
	CHECK_EQUAL(an_connect("noaaaa-refused.test", port, NULL, &s), -ECONNREFUSED);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(both_families_are_found_ipv6_first),
	cmocka_unit_test(a_name_may_have_addresses_of_ipv4_alone),
	cmocka_unit_test(a_name_may_have_addresses_of_ipv6_alone),
	cmocka_unit_test(what_does_not_exist_is_asked_for_once),
	cmocka_unit_test(a_servers_failure_passes_and_is_not_kept),
	cmocka_unit_test(an_answer_that_was_cut_comes_by_tcp_and_is_cut_at_sixty_four),
	cmocka_unit_test(without_tcp_a_cut_answer_is_a_passing_failure),
	cmocka_unit_test(no_answer_and_no_server_are_passing_failures),
	cmocka_unit_test(rubbish_and_forgeries_are_no_answers),
	cmocka_unit_test(aliases_end),
	cmocka_unit_test(names_are_as_long_as_dns_can_have_them),
	cmocka_unit_test(a_hundred_askers_make_one_question),
	cmocka_unit_test(an_asker_that_left_has_the_cache_filled),
	cmocka_unit_test(a_dead_server_holds_up_nothing_else),
	cmocka_unit_test(ipv6_is_tried_first_and_ipv4_when_it_refuses_or_is_silent),
	cmocka_unit_test(one_family_alone_can_be_asked_for),
	cmocka_unit_test(
		a_server_that_drops_questions_for_ipv6_does_not_prevent_connecting),
	cmocka_unit_test(
		a_server_that_drops_questions_for_ipv4_does_not_prevent_connecting),
	cmocka_unit_test(when_the_known_family_refuses_its_error_is_told_in_the_end),
};
TEST_MAIN_WITH("dns", tests, enter, NULL)
