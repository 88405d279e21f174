/* URLs: RFC 3986's own table of references, what is refused, what is written. */
#include "http/url.h"

#include <asyncnet/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void references_resolve_as_in_rfc_3986_section_5_4(void **state)
{
	static const char *const cases[][2] = {
		{ "g:h", "g:h" },
		{ "g", "http://a/b/c/g" },
		{ "./g", "http://a/b/c/g" },
		{ "g/", "http://a/b/c/g/" },
		{ "/g", "http://a/g" },
		{ "//g", "http://g" },
		{ "?y", "http://a/b/c/d;p?y" },
		{ "g?y", "http://a/b/c/g?y" },
		{ "#s", "http://a/b/c/d;p?q#s" },
		{ "g#s", "http://a/b/c/g#s" },
		{ "g?y#s", "http://a/b/c/g?y#s" },
		{ ";x", "http://a/b/c/;x" },
		{ "g;x", "http://a/b/c/g;x" },
		{ "g;x?y#s", "http://a/b/c/g;x?y#s" },
		{ "", "http://a/b/c/d;p?q" },
		{ ".", "http://a/b/c/" },
		{ "./", "http://a/b/c/" },
		{ "..", "http://a/b/" },
		{ "../", "http://a/b/" },
		{ "../g", "http://a/b/g" },
		{ "../..", "http://a/" },
		{ "../../", "http://a/" },
		{ "../../g", "http://a/g" },
		/* §5.4.2, abnormal examples */
		{ "../../../g", "http://a/g" },
		{ "../../../../g", "http://a/g" },
		{ "/./g", "http://a/g" },
		{ "/../g", "http://a/g" },
		{ "g.", "http://a/b/c/g." },
		{ ".g", "http://a/b/c/.g" },
		{ "g..", "http://a/b/c/g.." },
		{ "..g", "http://a/b/c/..g" },
		{ "./../g", "http://a/b/g" },
		{ "./g/.", "http://a/b/c/g/" },
		{ "g/./h", "http://a/b/c/g/h" },
		{ "g/../h", "http://a/b/c/h" },
		{ "g;x=1/./y", "http://a/b/c/g;x=1/y" },
		{ "g;x=1/../y", "http://a/b/c/y" },
		{ "g?y/./x", "http://a/b/c/g?y/./x" },
		{ "g?y/../x", "http://a/b/c/g?y/../x" },
		{ "g#s/./x", "http://a/b/c/g#s/./x" },
		{ "g#s/../x", "http://a/b/c/g#s/../x" },
		{ "http:g", "http:g" },
	};
	const char *base = "http://a/b/c/d;p?q";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char buf[64];
		long n = an__url_resolve(base, strlen(base), cases[i][0],
					 strlen(cases[i][0]), buf, sizeof(buf));

		assert_int_equal(n, strlen(cases[i][1]));
		assert_string_equal(buf, cases[i][1]);
	}
}

static void check_resolve(const char *base, const char *ref, const char *expected)
{
	char buf[256];
	long n = an__url_resolve(base, strlen(base), ref, strlen(ref), buf, sizeof(buf));

	assert_int_equal(n, strlen(expected));
	assert_string_equal(buf, expected);
}

static void a_redirect_inherits_the_fragment_unless_it_has_one(void **state)
{
	(void)state;
	check_resolve("http://a/x#f", "/y", "http://a/y#f");
	check_resolve("http://a/x#f", "/y#g", "http://a/y#g");
	check_resolve("http://a/x#f", "/y#", "http://a/y#");
	check_resolve("http://a/x#f", "https://b/", "https://b/#f");
}

static void a_base_without_path_merges_at_the_root(void **state)
{
	(void)state;
	check_resolve("http://a", "g", "http://a/g");
	check_resolve("http://a?q", "g", "http://a/g");
	check_resolve("http://a", "../g", "http://a/g");
	check_resolve("http://a", "?y", "http://a?y");
}

static void a_location_with_spaces_and_raw_bytes_is_encoded(void **state)
{
	(void)state;
	check_resolve("http://a/", "/x y\xc3\xa9", "http://a/x%20y%C3%A9");
	check_resolve("http://a/", "?a b|c", "http://a/?a%20b%7Cc");
}

static void a_result_that_does_not_fit_is_a_limit_error(void **state)
{
	char exact[13];

	(void)state;
	assert_int_equal(an__url_resolve("http://a/", 9, "/abc", 4, exact, 13), 12);
	assert_string_equal(exact, "http://a/abc");
	assert_int_equal(an__url_resolve("http://a/", 9, "/abc", 4, exact, 12),
			 AN_ERR_LIMIT);
	assert_int_equal(an__url_resolve("http://a/", 9, "/abc", 4, exact, 0),
			 AN_ERR_LIMIT);
}

static void part_equal(an__url_part part, const char *expected)
{
	if (!expected) {
		assert_null(part.data);
		return;
	}
	assert_int_equal(part.len, strlen(expected));
	assert_memory_equal(part.data, expected, part.len);
}

static void absolute_urls_are_taken_apart(void **state)
{
	static const struct {
		const char *url, *host, *path, *query, *fragment;
		unsigned port;
		bool tls, ipv6, default_port;
	} cases[] = {
		{ "http://h", "h", "", NULL, NULL, 80, false, false, true },
		{ "http://h/", "h", "/", NULL, NULL, 80, false, false, true },
		{ "HTTP://h:/", "h", "/", NULL, NULL, 80, false, false, true },
		{ "http://h:80/", "h", "/", NULL, NULL, 80, false, false, true },
		{ "https://h:80/", "h", "/", NULL, NULL, 80, true, false, false },
		{ "https://h/p?q#f", "h", "/p", "q", "f", 443, true, false, true },
		{ "http://h?q", "h", "", "q", NULL, 80, false, false, true },
		{ "http://h#f", "h", "", NULL, "f", 80, false, false, true },
		{ "http://h/?#", "h", "/", "", "", 80, false, false, true },
		{ "http://h/a@b:c", "h", "/a@b:c", NULL, NULL, 80, false, false, true },
		{ "http://[::1]:8080/", "::1", "/", NULL, NULL, 8080, false, true,
		  false },
		{ "wss://[2001:db8::1]", "2001:db8::1", "", NULL, NULL, 443, true, true,
		  true },
		{ "http://127.0.0.1:65535", "127.0.0.1", "", NULL, NULL, 65535, false,
		  false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		an__url u;

		assert_int_equal(an__url_parse(cases[i].url, strlen(cases[i].url), &u),
				 0);
		part_equal(u.host, cases[i].host);
		part_equal(u.path, cases[i].path);
		part_equal(u.query, cases[i].query);
		part_equal(u.fragment, cases[i].fragment);
		assert_int_equal(u.port, cases[i].port);
		assert_int_equal(u.tls, cases[i].tls);
		assert_int_equal(u.ipv6, cases[i].ipv6);
		assert_int_equal(u.default_port, cases[i].default_port);
	}
}

static void bad_urls_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"h",
		"/",
		"//h/",
		"http:",
		"http:/h/",
		"http://",
		"http:///p",
		"http://:80/",
		"ftp://h/",
		"file:///etc/passwd",
		"1http://h/",
		" http://h/",
		"http://h/ ",
		"http://h/a b",
		"http://h/a\r\nX: y",
		"http://h/a\tb",
		"http://h/\x7f",
		"http://h\\@g/",
		"http://user@h/",
		"http://user:secret@h/",
		"http://@h/",
		"http://h:0/",
		"http://h:65536/",
		"http://h:99999999999999999999/",
		"http://h:8x/",
		"http://h:-1/",
		"http://h:+1/",
		"http://h: 80/",
		"http://h:80:80/",
		"http://h%41/",
		"http://h\xc3\xa9/",
		"http://h,g/",
		"http://[::1/",
		"http://::1/",
		"http://[::1]x/",
		"http://[::g]/",
		"http://[]/",
		"http://[fe80::1%25eth0]/",
		"http://[v1.x]/",
		"http://[1.2.3.4]/",
		"http://h/%",
		"http://h/%4",
		"http://h/%4g",
		"http://h/?%zz",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		an__url u;

		if (an__url_parse(cases[i], strlen(cases[i]), &u) != AN_ERR_URL)
			fail_msg("accepted: \"%s\"", cases[i]);
	}
}

static void a_nul_byte_is_refused_anywhere(void **state)
{
	static const char text[] = "http://h/abc";
	char url[sizeof(text)];
	an__url u;

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		memcpy(url, text, sizeof(text));
		url[i] = 0;
		assert_int_equal(an__url_parse(url, sizeof(text) - 1, &u), AN_ERR_URL);
	}
}

static void a_url_above_the_limit_is_refused(void **state)
{
	static char url[AN__URL_MAX + 2];
	an__url u;

	(void)state;
	memset(url, 'a', sizeof(url));
	memcpy(url, "http://h/", 9);
	assert_int_equal(an__url_parse(url, AN__URL_MAX, &u), 0);
	assert_int_equal(an__url_parse(url, AN__URL_MAX + 1, &u), AN_ERR_URL);
}

static void targets_and_hosts_are_written_for_the_wire(void **state)
{
	static const char *const cases[][3] = {
		{ "http://Example.COM", "/", "example.com" },
		{ "http://h?q", "/?q", "h" },
		{ "http://h:80/p?q#f", "/p?q", "h" },
		{ "https://h:80/%20?a=[1]", "/%20?a=[1]", "h:80" },
		{ "http://[FE80::1]:81/a|b", "/a%7Cb", "[fe80::1]:81" },
		{ "http://h/\xe2\x82\xac?\"", "/%E2%82%AC?%22", "h" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char buf[64];
		an__url u;

		assert_int_equal(an__url_parse(cases[i][0], strlen(cases[i][0]), &u), 0);
		part_equal((an__url_part){ buf, an__url_target(&u, buf, sizeof(buf)) },
			   cases[i][1]);
		part_equal((an__url_part){ buf, an__url_host(&u, buf, sizeof(buf)) },
			   cases[i][2]);
		assert_int_equal(an__url_target(&u, buf, 0), strlen(cases[i][1]));
	}
}

static void origins_are_compared_by_scheme_host_and_port(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "http://h/x", "http://H:80/y?z", true },
		{ "http://h/", "https://h/", false },
		{ "http://h:443/", "https://h/", false },
		{ "http://h/", "http://h:8080/", false },
		{ "http://h/", "http://h.g/", false },
		{ "http://h/", "http://g/", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		an__url a, b;

		assert_int_equal(an__url_parse(cases[i].a, strlen(cases[i].a), &a), 0);
		assert_int_equal(an__url_parse(cases[i].b, strlen(cases[i].b), &b), 0);
		assert_int_equal(an__url_same_origin(&a, &b), cases[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_resolve_as_in_rfc_3986_section_5_4),
		cmocka_unit_test(a_redirect_inherits_the_fragment_unless_it_has_one),
		cmocka_unit_test(a_base_without_path_merges_at_the_root),
		cmocka_unit_test(a_location_with_spaces_and_raw_bytes_is_encoded),
		cmocka_unit_test(a_result_that_does_not_fit_is_a_limit_error),
		cmocka_unit_test(absolute_urls_are_taken_apart),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(a_nul_byte_is_refused_anywhere),
		cmocka_unit_test(a_url_above_the_limit_is_refused),
		cmocka_unit_test(targets_and_hosts_are_written_for_the_wire),
		cmocka_unit_test(origins_are_compared_by_scheme_host_and_port),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
