/* Routes: precedence, parameters, methods, and paths that must not reach a handler. */
#include "http/router.h"

#include "tests/support/program.h"

#include <errno.h>
#include <string.h>

static int handler(an_http_exchange *x, void *arg)
{
	(void)x;
	(void)arg;
	return 0;
}

static an__router *make(const char *const (*routes)[2])
{
	static an__router r;

	an__router_init(&r);
	for (; (*routes)[1]; routes++)
		assert_int_equal(an__router_add(&r, (*routes)[0], (*routes)[1], handler,
						(void *)(uintptr_t)(*routes)[1]),
				 0);
	return &r;
}

static char scratch[8192];
static an__route_params params;
static const an__route *found;

/* The pattern that a path leads to, or the status as a string. */
static const char *match(const an__router *r, const char *method, const char *path)
{
	int status =
		an__router_match(r, method, path, strlen(path), scratch, &found, &params);

	return status == 0     ? found->arg
	       : status == 400 ? "400"
	       : status == 404 ? "404"
	       : status == 405 ? "405"
			       : "?";
}

static const char *const tree[][2] = {
	{ "GET", "/" },
	{ "GET", "/notes" },
	{ "POST", "/notes/new" },
	{ "GET", "/notes/{id}" },
	{ "DELETE", "/notes/{note}" },
	{ "GET", "/notes/{id}/lines/{line}" },
	{ "GET", "/files/{path...}" },
	{ "GET", "/files/readme" },
	{ NULL, "/any/{x}" },
	{ "GET", "/{a}/b/c" },
	{ "GET", "/x/{b}/d" },
	{ "HEAD", "/notes" },
	{ NULL, NULL },
};

static void the_more_literal_pattern_wins(void **state)
{
	an__router *r = make(tree);

	(void)state;
	assert_string_equal(match(r, "GET", "/"), "/");
	assert_string_equal(match(r, "GET", "/notes"), "/notes");
	assert_string_equal(match(r, "POST", "/notes/new"), "/notes/new");
	assert_string_equal(match(r, "GET", "/notes/7"), "/notes/{id}");
	assert_string_equal(match(r, "GET", "/files/readme"), "/files/readme");
	assert_string_equal(match(r, "GET", "/files/readme2"), "/files/{path...}");
	assert_string_equal(match(r, "GET", "/files/readme/x"), "/files/{path...}");
	assert_string_equal(match(r, "GET", "/x/b/c"), "/{a}/b/c");
	assert_string_equal(match(r, "GET", "/x/b/d"), "/x/{b}/d");
	assert_string_equal(match(r, "GET", "/nothing"), "404");
	assert_string_equal(match(r, "GET", "/notes/"), "404");
	assert_string_equal(match(r, "GET", "//"), "404");
	assert_string_equal(match(r, "GET", "/notes/7/"), "404");
	an__router_done(r);
}

static void a_more_literal_pattern_without_the_method_does_not_hide_others(void **state)
{
	an__router *r = make(tree);

	(void)state;
	assert_string_equal(match(r, "GET", "/notes/new"), "/notes/{id}");
	assert_int_equal(params.count, 1);
	assert_string_equal(params.value[0], "new");
	assert_string_equal(match(r, "DELETE", "/notes/new"), "/notes/{note}");
	assert_string_equal(match(r, "PUT", "/notes/new"), "405");
	an__router_done(r);
}

static void methods_are_told_apart(void **state)
{
	an__router *r = make(tree);
	char buf[64];

	(void)state;
	assert_string_equal(match(r, "HEAD", "/notes/7"), "/notes/{id}");
	assert_string_equal(match(r, "HEAD", "/notes"), "/notes");
	assert_string_equal(found->method, "HEAD");
	assert_string_equal(match(r, "get", "/notes"), "405");
	assert_string_equal(match(r, "BREW", "/any/1"), "/any/{x}");
	assert_int_equal(an__router_allow(r, "/notes/new", 10, scratch, buf, sizeof(buf)),
			 3);
	assert_non_null(strstr(buf, "POST"));
	assert_non_null(strstr(buf, "GET, HEAD"));
	assert_non_null(strstr(buf, "DELETE"));
	assert_non_null(strstr(buf, "OPTIONS"));
	assert_int_equal(an__router_allow(r, "/no", 3, scratch, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_true(an__router_allow(r, NULL, 0, NULL, buf, sizeof(buf)) >= 10);
	assert_string_equal(buf + strlen(buf) - 7, "OPTIONS");
	an__router_done(r);
}

static void parameters_are_decoded_once(void **state)
{
	an__router *r = make(tree);

	(void)state;
	assert_string_equal(match(r, "GET", "/notes/a%20b+c%2541"), "/notes/{id}");
	assert_string_equal(params.value[0], "a b+c%41");
	assert_string_equal(match(r, "GET", "/n%6ftes/1/lines/%32"),
			    "/notes/{id}/lines/{line}");
	assert_int_equal(params.count, 2);
	assert_string_equal(params.value[0], "1");
	assert_string_equal(params.value[1], "2");
	assert_string_equal(found->names[1], "line");
	assert_string_equal(match(r, "GET", "/notes/a%2Fb"), "/notes/{id}");
	assert_string_equal(params.value[0], "a/b");
	assert_string_equal(match(r, "GET", "/files/"), "/files/{path...}");
	assert_string_equal(params.value[0], "");
	assert_string_equal(match(r, "GET", "/files/a/%62//c"), "/files/{path...}");
	assert_string_equal(params.value[0], "a/b//c");
	assert_string_equal(match(r, "GET", "/files"), "404");
	an__router_done(r);
}

static void paths_that_could_lead_astray_are_refused(void **state)
{
	static const char *const bad[] = {
		"/notes/..",
		"/notes/.",
		"/../notes",
		"/files/a/../b",
		"/files/%2e%2e/b",
		"/files/.%2E",
		"/files/%2e",
		"/notes/%",
		"/notes/%4",
		"/notes/%zz",
		"/notes/%00",
		"/files/a/%0",
		"notes",
		"",
		"*",
		"/files/a/b/..",
		"/./",
	};
	an__router *r = make(tree);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (strcmp(match(r, "GET", bad[i]), "400") != 0)
			fail_msg("not refused: %s", bad[i]);
	}
	assert_string_equal(match(r, "GET", "/files/..."), "/files/{path...}");
	assert_string_equal(match(r, "GET", "/files/..a"), "/files/{path...}");
	an__router_done(r);
}

static void deep_paths_match_only_a_rest(void **state)
{
	an__router *r = make(tree);
	char path[2048] = "/files", expect[2048] = "";

	(void)state;
	for (int i = 0; i < 200; i++)
		strcat(path, "/a");
	for (int i = 0; i < 200; i++)
		strcat(expect, i ? "/a" : "a");
	assert_string_equal(match(r, "GET", path), "/files/{path...}");
	assert_string_equal(params.value[0], expect);
	memcpy(path, "/notes", 6);
	assert_string_equal(match(r, "GET", path), "404");
	an__router_done(r);
}

static void patterns_are_checked(void **state)
{
	static const char *const bad[] = {
		"",	     "notes",  "/{}",	 "/{a",	     "/a}", "/x{a}",  "/{a}x",
		"/{a...}/b", "/{a b}", "/{...}", "/{a}/{a}", "/..", "/a/./b", "/{a.b}",
	};
	an__router r;

	(void)state;
	an__router_init(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (an__router_add(&r, "GET", bad[i], handler, NULL) != -EINVAL)
			fail_msg("not refused: %s", bad[i]);
	}
	assert_int_equal(an__router_add(&r, "G T", "/", handler, NULL), -EINVAL);
	assert_int_equal(an__router_add(&r, "", "/", handler, NULL), -EINVAL);
	assert_int_equal(an__router_add(&r, "GET", "/", NULL, NULL), -EINVAL);
	assert_int_equal(an__router_add(&r, "GET", "/{a}", handler, NULL), 0);
	assert_int_equal(an__router_add(&r, "GET", "/{b}", handler, NULL), -EEXIST);
	assert_int_equal(an__router_add(&r, NULL, "/{b}", handler, NULL), 0);
	assert_int_equal(an__router_add(&r, NULL, "/{b}", handler, NULL), -EEXIST);
	an__router_done(&r);
}

static void a_router_without_routes_finds_nothing(void **state)
{
	an__router r;

	(void)state;
	an__router_init(&r);
	assert_string_equal(match(&r, "GET", "/"), "404");
	an__router_done(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_more_literal_pattern_wins),
	cmocka_unit_test(a_more_literal_pattern_without_the_method_does_not_hide_others),
	cmocka_unit_test(methods_are_told_apart),
	cmocka_unit_test(parameters_are_decoded_once),
	cmocka_unit_test(paths_that_could_lead_astray_are_refused),
	cmocka_unit_test(deep_paths_match_only_a_rest),
	cmocka_unit_test(patterns_are_checked),
	cmocka_unit_test(a_router_without_routes_finds_nothing),
};

TEST_MAIN("router", tests)
