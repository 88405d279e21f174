/* Lines of text and JSON. */
#include "tests/support/program.h"

#include "log/line.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* 2026-11-23T12:36:08.123456789Z */
#define TIME 1795437368123456789

static an__log_liner liner;
static char line[8192];

static const char *build(an_log_format format, const an__log_place *place, size_t max,
			 const char *fmt, ...) AN_PRINTF(4, 5);
static const char *build(an_log_format format, const an__log_place *place, size_t max,
			 const char *fmt, ...)
{
	va_list ap;

	assert_int_equal(an__log_liner_init(&liner, format, max), 0);
	va_start(ap, fmt);
	size_t n = an__log_liner_build(&liner, place, fmt, ap);
	va_end(ap);
	assert_true(n < sizeof line);
	memcpy(line, liner.text, n);
	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = '\0';
	an__log_liner_done(&liner);
	return line;
}

/* The message of a text line. */
static const char *message(const char *fmt, ...) AN_PRINTF(1, 2);
static const char *message(const char *fmt, ...)
{
	an__log_place place = { .time = TIME, .level = AN_LOG_INFO };
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return build(AN_LOG_TEXT, &place, 1024, "%s", text) + 27 + 1 + 6 + 4;
}

static void a_text_line_has_all_parts(void **state)
{
	an__log_place place = { .time = TIME,
				.level = AN_LOG_WARN,
				.task = "task-3",
				.file = "server.c",
				.line = 42 };

	(void)state;
	assert_string_equal(
		build(AN_LOG_TEXT, &place, 100, "port %d", 80),
		"2026-11-23T12:36:08.123456Z WARN  [task-3] server.c:42 port 80");
	place.task = place.file = NULL;
	place.level = AN_LOG_TRACE;
	assert_string_equal(build(AN_LOG_TEXT, &place, 100, "port %d", 80),
			    "2026-11-23T12:36:08.123456Z TRACE [-] port 80");
}

static void the_date_is_that_of_gmtime(void **state)
{
	static const int64_t seconds[] = {
		0,	    -1,		 951782399,    951782400,  951868799,
		951868800,  1709164800,	 1735689599,   4102444799, 4102444800,
		4107542400, -2208988801, 253402300799, 68169600
	};
	(void)state;
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		/* Times are nanoseconds, which end in 2262. */
		if (seconds[i] > INT64_MAX / 1000000000)
			continue;
		an__log_place place = { .time = seconds[i] * 1000000000 + 1000,
					.level = AN_LOG_INFO };
		time_t t = seconds[i];
		struct tm tm;
		char want[64];

		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000001Z", &tm);
		build(AN_LOG_TEXT, &place, 100, "x");
		line[27] = '\0';
		assert_string_equal(line, want);
	}
}

static void control_characters_are_escaped(void **state)
{
	an__log_place place = { .time = TIME, .level = AN_LOG_INFO };

	(void)state;
	assert_string_equal(message("forged\n2026-11-23T12:00:00Z"),
			    "forged\\n2026-11-23T12:00:00Z");
	assert_string_equal(message("\x1b[2Jx\r\a\x7f"), "\\e[2Jx\\r\\x07\\x7f");
	assert_string_equal(message("tab\tstays, \\n and \"too\""),
			    "tab\tstays, \\n and \"too\"");
	assert_string_equal(build(AN_LOG_TEXT, &place, 100, "a%cb", 0) + 38, "a\\x00b");
}

static void each_control_byte_is_found_at_each_place(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		bool plain = (c >= 0x20 && c < 0x7f) || c == '\t';

		for (size_t at = 0; at < 20; at++) {
			char text[32] = "abcdefghijklmnopqrstu";

			text[at] = (char)c;
			if (plain)
				assert_string_equal(message("%s", text), text);
			else
				assert_int_equal(message("%s", text)[at], '\\');
		}
	}
}

static void valid_utf8_stays_and_the_rest_is_escaped(void **state)
{
	(void)state;
	assert_string_equal(message("Gr\xc3\xbc\xc3\x9f"), "Gr\xc3\xbc\xc3\x9f");
	assert_string_equal(message("\xe2\x82\xac \xf0\x9f\x8c\x8d"),
			    "\xe2\x82\xac \xf0\x9f\x8c\x8d");
	assert_string_equal(message("\xff\xfe"), "\\xff\\xfe");
	assert_string_equal(message("\xc3("), "\\xc3(");
	assert_string_equal(message("end\xe2\x82"), "end\\xe2\\x82");
	assert_string_equal(message("\xc0\xaf overlong \xe0\x80\xaf"),
			    "\\xc0\\xaf overlong \\xe0\\x80\\xaf");
	assert_string_equal(message("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	assert_string_equal(message("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
	assert_string_equal(message("\xc2\x9b"
				    "2J"),
			    "\\xc2\\x9b"
			    "2J");
	assert_string_equal(message("\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf"),
			    "\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf");
}

static void long_messages_are_cut_with_a_mark(void **state)
{
	an__log_place place = { .time = TIME, .level = AN_LOG_INFO };
	char text[1001];

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	const char *got = build(AN_LOG_TEXT, &place, 64, "%s", text) + 38;
	assert_memory_equal(got, text, 64);
	assert_string_equal(got + 64, "...[+936 bytes]");
	assert_string_equal(build(AN_LOG_TEXT, &place, 64, "%.64s", text) + 38 + 63, "x");
}

static void a_cut_splits_neither_a_character_nor_an_escape(void **state)
{
	an__log_place place = { .time = TIME, .level = AN_LOG_INFO };

	(void)state;
	for (int lead = 60; lead <= 64; lead++) {
		const char *got = build(AN_LOG_TEXT, &place, 64,
					"%*s\xe2\x82\xac\xe2\x82\xac", lead, "");
		const char *mark = strstr(got, "...[+");

		assert_non_null(mark);
		assert_null(strchr(got, '\\'));
		assert_int_equal((mark - (got + 38) - lead) % 3, 0);
		got = build(AN_LOG_TEXT, &place, 64, "%*s\n\n\n\n", lead, "");
		mark = strstr(got, "...[+");
		assert_non_null(mark);
		assert_int_equal((mark - (got + 38) - lead) % 2, 0);
	}
}

static void the_names_are_escaped_too(void **state)
{
	an__log_place place = { .time = TIME,
				.level = AN_LOG_INFO,
				.task = "a\nb",
				.file = "x\x1b.c",
				.line = -1 };

	(void)state;
	assert_string_equal(build(AN_LOG_TEXT, &place, 100, "m") + 34,
			    "[a\\nb] x\\e.c:-1 m");
}

static void a_line_of_the_worst_kind_fits(void **state)
{
	char file[300], task[300];
	an__log_place place = { .time = TIME,
				.level = AN_LOG_ERROR,
				.task = task,
				.file = file,
				.line = -2147483647 - 1 };

	(void)state;
	memset(file, 1, sizeof file - 1);
	memset(task, 1, sizeof task - 1);
	file[299] = task[299] = '\0';
	for (int format = AN_LOG_TEXT; format <= AN_LOG_JSON; format++) {
		build(format, &place, 64, "%s%s%s", file, file, file);
		assert_true(strlen(line) + 1 <= 64 + AN__LOG_LINE_EXTRA);
	}
}

static void json_lines_parse_and_mean_the_same(void **state)
{
	an__log_place place = { .time = TIME,
				.level = AN_LOG_FATAL,
				.task = "t \"1\"",
				.file = "a\\b.c",
				.line = 7 };
	const char *text = "quote \" slash \\ / tab \t nl \n esc \x1b del \x7f \xc3\xbc";
	const char *got_message, *task, *file, *level, *time;
	int number;

	(void)state;
	build(AN_LOG_JSON, &place, 1000, "%s", text);
	json_t *o = json_loads(line, 0, NULL);
	assert_non_null(o);
	assert_int_equal(json_unpack(o, "{s:s, s:s, s:s, s:s, s:i, s:s}", "time", &time,
				     "level", &level, "task", &task, "file", &file,
				     "line", &number, "message", &got_message),
			 0);
	assert_string_equal(time, "2026-11-23T12:36:08.123456Z");
	assert_string_equal(level, "fatal");
	assert_string_equal(task, place.task);
	assert_string_equal(file, place.file);
	assert_int_equal(number, 7);
	assert_string_equal(got_message, text);
	json_decref(o);

	place.task = place.file = NULL;
	build(AN_LOG_JSON, &place, 1000, "bad \xff");
	o = json_loads(line, 0, NULL);
	assert_non_null(o);
	assert_int_equal(json_object_size(o), 3);
	assert_string_equal(json_string_value(json_object_get(o, "message")),
			    "bad \xef\xbf\xbd");
	json_decref(o);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_text_line_has_all_parts),
	cmocka_unit_test(the_date_is_that_of_gmtime),
	cmocka_unit_test(control_characters_are_escaped),
	cmocka_unit_test(each_control_byte_is_found_at_each_place),
	cmocka_unit_test(valid_utf8_stays_and_the_rest_is_escaped),
	cmocka_unit_test(long_messages_are_cut_with_a_mark),
	cmocka_unit_test(a_cut_splits_neither_a_character_nor_an_escape),
	cmocka_unit_test(the_names_are_escaped_too),
	cmocka_unit_test(a_line_of_the_worst_kind_fits),
	cmocka_unit_test(json_lines_parse_and_mean_the_same),
};
TEST_MAIN("log line", tests)
