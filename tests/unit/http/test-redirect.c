/* Redirects: which method, which body, which fields, and what is refused. */
#include "http/redirect.h"

#include <asyncnet/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char text[AN__URL_MAX + 1];

/* Plans with the given facts; the URL is in `text` afterwards. */
static int plan(const char *url, int status, const char *method, bool replayable,
		bool downgrade, const char *location, an__redirect *ret)
{
	const char *why = NULL;
	an__url parts;
	int r;

	assert_int_equal(an__url_parse(url, strlen(url), &parts), 0);
	r = an__redirect_plan(&(an__redirect_from){ .url = url,
						    .url_len = strlen(url),
						    .parts = &parts,
						    .status = status,
						    .head = !strcmp(method, "HEAD"),
						    .post = !strcmp(method, "POST"),
						    .replayable = replayable,
						    .downgrade = downgrade },
			      location, strlen(location), text, sizeof(text), ret, &why);
	assert_int_equal(r < 0, why != NULL);
	return r;
}

static void the_method_changes_as_the_status_says(void **state)
{
	static const struct {
		int status;
		const char *method;
		bool to_get;
	} cases[] = {
		{ 301, "GET", false }, { 301, "HEAD", false }, { 301, "POST", true },
		{ 301, "PUT", false }, { 302, "POST", true },  { 302, "DELETE", false },
		{ 303, "GET", true },  { 303, "HEAD", false }, { 303, "POST", true },
		{ 303, "PUT", true },  { 307, "POST", false }, { 308, "POST", false },
		{ 307, "GET", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		an__redirect to;

		assert_int_equal(plan("http://h/", cases[i].status, cases[i].method, true,
				      false, "/x", &to),
				 0);
		assert_int_equal(to.to_get, cases[i].to_get);
		assert_string_equal(text, "http://h/x");
		assert_false(to.cross_origin);
	}
}

static void a_body_that_cannot_be_replayed_follows_no_307(void **state)
{
	an__redirect to;

	(void)state;
	assert_int_equal(plan("http://h/", 307, "POST", false, false, "/x", &to),
			 AN_ERR_REDIRECT);
	assert_int_equal(plan("http://h/", 302, "PUT", false, false, "/x", &to),
			 AN_ERR_REDIRECT);
	assert_int_equal(plan("http://h/", 303, "POST", false, false, "/x", &to), 0);
}

static void https_leads_to_http_only_when_allowed(void **state)
{
	an__redirect to;

	(void)state;
	assert_int_equal(plan("https://h/", 302, "GET", true, false, "http://h/", &to),
			 AN_ERR_REDIRECT);
	assert_int_equal(plan("https://h/", 302, "GET", true, true, "http://h/", &to), 0);
	assert_true(to.cross_origin);
	assert_int_equal(plan("http://h/", 302, "GET", true, false, "https://h/", &to),
			 0);
	assert_true(to.cross_origin);
}

static void an_unusable_location_is_refused(void **state)
{
	static const char *const bad[] = {
		"file:///etc/passwd",
		"ftp://h/",
		"ws://h/",
		"http://u@h/",
		"http:///",
		"javascript:x()",
		"/%zz",
		"http://h:0/",
		"/\x01",
		"http:g",
	};
	an__redirect to;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (plan("http://h/", 302, "GET", true, true, bad[i], &to) !=
		    AN_ERR_REDIRECT)
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void another_port_is_another_origin(void **state)
{
	an__redirect to;

	(void)state;
	assert_int_equal(plan("http://h/", 302, "GET", true, false, "http://h:81/", &to),
			 0);
	assert_true(to.cross_origin);
	assert_int_equal(plan("http://h/", 302, "GET", true, false, "//H:80/y", &to), 0);
	assert_false(to.cross_origin);
}

static bool keeps(const char *name, bool to_get, bool cross_origin)
{
	return an__redirect_keeps(name, strlen(name), to_get, cross_origin);
}

static void credentials_stay_with_their_origin(void **state)
{
	(void)state;
	assert_true(keeps("Authorization", true, false));
	assert_false(keeps("authorization", false, true));
	assert_false(keeps("COOKIE", false, true));
	assert_false(keeps("Proxy-Authorization", false, true));
	assert_false(keeps("Host", false, true));
	assert_true(keeps("Accept", true, true));
	assert_true(keeps("Authorization-Hint", false, true));
}

static void fields_of_a_dropped_body_stay_behind(void **state)
{
	(void)state;
	assert_false(keeps("Content-Type", true, false));
	assert_false(keeps("content-encoding", true, false));
	assert_true(keeps("Content-Type", false, true));
	assert_true(keeps("Contents", true, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_method_changes_as_the_status_says),
		cmocka_unit_test(a_body_that_cannot_be_replayed_follows_no_307),
		cmocka_unit_test(https_leads_to_http_only_when_allowed),
		cmocka_unit_test(an_unusable_location_is_refused),
		cmocka_unit_test(another_port_is_another_origin),
		cmocka_unit_test(credentials_stay_with_their_origin),
		cmocka_unit_test(fields_of_a_dropped_body_stay_behind),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
