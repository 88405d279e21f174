/* The sections of tour_io, which newcomers copy from, cancelled at each of their steps:
 * what they have opened is closed, and what they have made is removed, whatever the
 * moment.
 *
 * The database is another process, for which the virtual clock does not wait: left out.
 */
#include "examples/tour_io.h"
#include "tests/support/run.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/tour-io-XXXXXX";

/* ---- a frame that is silent -------------------------------------------------------- */

void tour_say(const char *format, ...)
{
	(void)format;
}

const char *tour_code(int code)
{
	return an_error_name(code);
}

void tour_hear_reports(bool on)
{
	(void)on;
}

const an_loop_opts *tour_loop_opts(void)
{
	return NULL;
}

/* ---- the sections ------------------------------------------------------------------ */

static int run_section(void *arg)
{
	const struct tour_section *section = arg;

	return section->task(NULL);
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void cancel_at_each_step(const struct tour_section *sections)
{
	for (const struct tour_section *s = sections; s->heading; s++) {
		const an_testing_scenario scenario = { .body = run_section,
						       .arg = (void *)s };
		int r, descriptors = count_entries("/proc/self/fd");

		if (!s->task)
			continue;
		r = an_testing_cancel_at_each_step(&scenario, NULL);
		if (r < 0)
			print_error("%s: %s\n", s->heading, an_strerror(r));
		assert_int_equal(r, 0);
		assert_int_equal(count_entries("/proc/self/fd"), descriptors);
		assert_int_equal(count_entries(folder), 2);
	}
}

#define CHAPTER_TEST(name) \
	static void name##_can_be_cancelled_anywhere(void **state) \
	{ \
		(void)state; \
		cancel_at_each_step(tour_io_##name); \
	}

CHAPTER_TEST(files)
CHAPTER_TEST(http)
CHAPTER_TEST(streams)
CHAPTER_TEST(ws)
CHAPTER_TEST(process)
CHAPTER_TEST(pipeline)
CHAPTER_TEST(log)
CHAPTER_TEST(download)

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? setenv("TMPDIR", folder, 1) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(files_can_be_cancelled_anywhere),
	cmocka_unit_test(http_can_be_cancelled_anywhere),
	cmocka_unit_test(streams_can_be_cancelled_anywhere),
	cmocka_unit_test(ws_can_be_cancelled_anywhere),
	cmocka_unit_test(process_can_be_cancelled_anywhere),
	cmocka_unit_test(pipeline_can_be_cancelled_anywhere),
	cmocka_unit_test(log_can_be_cancelled_anywhere),
	cmocka_unit_test(download_can_be_cancelled_anywhere),
};

TEST_MAIN_WITH("tour_io", tests, set_up, tear_down)
