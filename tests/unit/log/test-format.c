/* The formatter against vsnprintf. */
#include "tests/support/program.h"

#include "log/format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static size_t format(char *dst, size_t cap, const char *fmt, ...) AN_PRINTF(3, 4);
static size_t format(char *dst, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	size_t n = an__log_format(dst, cap, fmt, ap);
	va_end(ap);
	return n;
}

/* Whole, and cut at each length. */
#define SAME(...) \
	do { \
		char want[1024], got[1024]; \
		int n = snprintf(want, sizeof want, __VA_ARGS__); \
		assert_true(n >= 0 && n < 1000); \
		for (size_t cap = 0; cap <= (size_t)n + 1; cap++) { \
			size_t kept = cap < (size_t)n ? cap : (size_t)n; \
			memset(got, '#', sizeof got); \
			assert_int_equal(format(got, cap, __VA_ARGS__), n); \
			assert_memory_equal(got, want, kept); \
			assert_int_equal(got[cap + 1], '#'); \
		} \
	} while (0)

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-zero-length"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat-overflow"
#endif

static void text_without_conversions_is_copied(void **state)
{
	(void)state;
	SAME("");
	SAME("plain");
	SAME("100%%");
	SAME("%%%%x%%");
}

static void integers_are_those_of_printf(void **state)
{
	static const int values[] = { 0,	 1,	  -1,	   9,	     10,
				      99,	 100,	  999,	   1000,     9999,
				      10000,	 99999,	  100000,  12345678, 99999999,
				      123456789, INT_MAX, INT_MIN, -42 };
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		int v = values[i];

		SAME("%d|%i|%u|%x|%X", v, v, v, v, v);
		SAME("%5d|%-5d|%05d|%-05d|%1d", v, v, v, v, v);
		SAME("%12u|%-12u|%012u", v, v, v);
		SAME("%8x|%-8x|%08x|%016X", v, v, v, v);
		SAME("%hd|%hu|%hhd|%hhu|%hhx|%hx", v, v, v, v, v, v);
		SAME("%*d|%-*d|%0*d", 7, v, 7, v, 7, v);
		SAME("%*d|", -7, v);
		SAME("%+d|% d|%#x|%.3d|%8.5d|%o|%#o|%'d", v, v, v, v, v, v, v, v);
	}
}

static void long_integers_are_those_of_printf(void **state)
{
	static const long long values[] = { 0,	       -1,	    LLONG_MAX,
					    LLONG_MIN, 10000000000, 4294967296 };

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		long long v = values[i];

		SAME("%ld|%lu|%lx", (long)v, (long)v, (long)v);
		SAME("%lld|%llu|%llX", v, v, v);
		SAME("%zu|%zd|%zx", (size_t)v, (ssize_t)v, (size_t)v);
		SAME("%jd|%ju", (intmax_t)v, (uintmax_t)v);
		SAME("%td", (ptrdiff_t)v);
		SAME("%25lld|%-25llu|%025lld", v, v, v);
	}
}

static void strings_are_those_of_printf(void **state)
{
	const char *null = NULL;
	char unended[3] = { 'a', 'b', 'c' };

	(void)state;
	SAME("%s", "");
	SAME("<%s> <%s>", "one", "another");
	SAME("%10s|%-10s|%2s", "short", "short", "longer");
	SAME("%.3s|%.0s|%.s|%.10s", "cut here", "gone", "gone", "kept");
	SAME("%.*s|%*s|%-*.*s|", 3, "cut here", 8, "wide", 9, 2, "both");
	SAME("%.*s", -1, "a negative precision is none");
	SAME("%.3s|%.*s", unended, 3, unended);
	SAME("%s|%10s|%-10s|%.3s|%.6s", null, null, null, null, null);
}

static void characters_and_pointers_are_those_of_printf(void **state)
{
	int here;

	(void)state;
	SAME("%c%c|%3c|%-3c|", 'a', '\n', 'b', 'c');
	SAME("a%cb", 0);
	SAME("%p|%p|%20p|%-20p|", (void *)&here, NULL, (void *)&here, (void *)&here);
	SAME("%10p|%-10p|", NULL, NULL);
}

static void what_it_does_not_know_goes_to_vsnprintf_with_all_that_follows(void **state)
{
	(void)state;
	SAME("%f", 1.5);
	SAME("%d %s %.3f %s %d", 1, "before", 2.25, "after", 3);
	SAME("%s took %g s, %5.1f%% of %ld", "it", 0.125, 99.5, 7l);
	SAME("%Lf %a %e", 1.5L, 0.5, 1e300);
	SAME("%2$s %1$s", "second", "first");
	SAME("%d %ls %d", 1, L"wide", 2);
	errno = ENOENT;
	SAME("%d: %m", 4);
	SAME("%010s|", "x");
}

static void a_format_that_ends_too_early_shows_its_end(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(format(buf, 32, "abc%"), 4);
	assert_memory_equal(buf, "abc%", 4);
	assert_int_equal(format(buf, 32, "abc%-"), 5);
	assert_int_equal(format(buf, 32, "abc%5l"), 6);
	assert_memory_equal(buf, "abc%5l", 6);
}

static void huge_widths_are_counted_and_not_written(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(format(buf, 32, "%*d", 100000, 1), 100000);
	assert_int_equal(format(buf, 32, "%-*s|", INT_MAX, "x"), (size_t)INT_MAX + 1);
	assert_int_equal(buf[0], 'x');
	assert_int_equal(buf[31], ' ');
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(text_without_conversions_is_copied),
	cmocka_unit_test(integers_are_those_of_printf),
	cmocka_unit_test(long_integers_are_those_of_printf),
	cmocka_unit_test(strings_are_those_of_printf),
	cmocka_unit_test(characters_and_pointers_are_those_of_printf),
	cmocka_unit_test(what_it_does_not_know_goes_to_vsnprintf_with_all_that_follows),
	cmocka_unit_test(a_format_that_ends_too_early_shows_its_end),
	cmocka_unit_test(huge_widths_are_counted_and_not_written),
};
TEST_MAIN("log format", tests)
