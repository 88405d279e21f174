/* The first chapter of tour_io: files, written and read while other tasks run.
 *
 * aiofiles hands each call to a thread, each line of a file, too, which makes it some
 * hundred times slower than plain reading. Here what lies in the page cache is read at
 * once, lines come out of a buffer, and a thread is asked only for what can block.
 */
#include "tour_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- whole files ------------------------------------------------------------------- */

/* async with aiofiles.open(path, "w") as f: await f.write(text), and the way back. */
static int write_and_read(const char *folder)
{
	static const char text[] = "Hello, file.\nA second line.\n";
	char path[TOUR_PATH], *data;
	size_t len;
	int r;

	tour_path(path, folder, "hello.txt");
	r = an_path_write(path, text, strlen(text), NULL);
	if (!r)
		r = an_path_read(path, 0, &data, &len);
	if (r)
		return r;
	tour_say("%zu bytes, the same again: %s", len, strcmp(data, text) ? "no" : "yes");
	free(data);
	return 0;
}

static int a_whole_file(void *arg)
{
	(void)arg;
	return tour_in_a_folder(write_and_read);
}

/* What a program cannot lose (its settings, its state) is replaced as a whole, also when
 * the power fails: whoever reads sees the old file or the new one. aiofiles leaves that
 * to you. */
static int replace_settings(const char *folder)
{
	static const char *const versions[] = { "port = 80\n", "port = 8080\n" };
	char path[TOUR_PATH], *data;
	size_t len;
	int r = 0;

	tour_path(path, folder, "settings");
	for (size_t i = 0; i < 2 && !r; i++)
		r = an_path_write(path, versions[i], strlen(versions[i]),
				  &(an_path_write_opts){ .mode = 0600, .atomic = true });
	if (!r)
		r = an_path_read(path, 0, &data, &len);
	if (r)
		return r;
	tour_say("%.*s", (int)strcspn(data, "\n"), data);
	free(data);
	return 0;
}

static int all_or_nothing(void *arg)
{
	(void)arg;
	return tour_in_a_folder(replace_settings);
}

/* ---- lines ------------------------------------------------------------------------- */

enum { LINES = 10000 };

/* Many small writes are gathered, and handed over by 64 KiB. The flush tells whether all
 * went well; a close cannot. */
static int write_numbers(an_file *file)
{
	char line[32];
	int r = an_file_buffer(file, 64 * 1024);

	for (int i = 1; i <= LINES && !r; i++) {
		int len = snprintf(line, sizeof(line), "%d\n", i);

		r = an_file_write(file, line, (size_t)len);
	}
	return r ? r : an_file_flush(file);
}

/* async for line in f. The line is lent until the next call. */
static int add_numbers(an_file *file)
{
	const char *line;
	size_t len;
	long long sum = 0, lines = 0;
	int r = an_file_seek(file, 0, SEEK_SET, NULL);

	while (!r && !(r = an_file_read_line(file, 0, &line, &len))) {
		sum += strtoll(line, NULL, 10);
		lines++;
	}
	if (r != AN_ERR_EOF)
		return r;
	tour_say("%lld lines, their sum is %lld", lines, sum);
	return 0;
}

/* A temporary file without a name is gone when it is closed, or the process ends. */
static int line_by_line(void *arg)
{
	an_file *file;
	int r = an_temp_open(NULL, &file);

	(void)arg;
	if (r)
		return r;
	r = write_numbers(file);
	if (!r)
		r = add_numbers(file);
	an_file_close(file);
	return r;
}

/* ---- several at once --------------------------------------------------------------- */

struct count {
	char path[TOUR_PATH];
	size_t words;
};

static int count_words(void *arg)
{
	struct count *count = arg;
	char *data, *rest;
	size_t len;
	int r = an_path_read(count->path, 0, &data, &len);

	if (r)
		return r;
	for (char *word = strtok_r(data, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest))
		count->words++;
	free(data);
	return 0;
}

/* await asyncio.gather(*(count(path) for path in paths)), in a group: the first failure
 * cancels the others, and none of them outlives `counts`. */
static int count_all(const char *folder)
{
	static const char *const texts[] = { "one", "one two", "one two three" };
	struct count counts[3] = { 0 };
	an_group group;
	int r = 0;

	for (int i = 0; i < 3 && !r; i++) {
		snprintf(counts[i].path, TOUR_PATH, "%s/%d.txt", folder, i);
		r = an_path_write(counts[i].path, texts[i], strlen(texts[i]), NULL);
	}
	an_group_begin(&group);
	an_group_fail(&group, r);
	for (int i = 0; i < 3; i++)
		an_group_fail(&group, an_group_spawn(&group, count_words, &counts[i]));
	r = an_group_end(&group);
	if (!r)
		tour_say("words: %zu %zu %zu", counts[0].words, counts[1].words,
			 counts[2].words);
	return r;
}

static int several_at_once(void *arg)
{
	(void)arg;
	return tour_in_a_folder(count_all);
}

/* ---- folders ----------------------------------------------------------------------- */

/* for entry in os.scandir(path), which blocks in asyncio. */
static int say_entries(const char *path)
{
	unsigned files = 0, folders = 0;
	an_dir_entry entry;
	an_dir *dir;
	int r = an_dir_open(path, &dir);

	if (r)
		return r;
	while (!(r = an_dir_next(dir, &entry))) {
		if (entry.type == DT_DIR)
			folders++;
		else
			files++;
	}
	an_dir_close(dir);
	if (r != AN_ERR_EOF)
		return r;
	tour_say("files: %u, folders: %u", files, folders);
	return 0;
}

/* aiofiles.os: makedirs, rename, remove, stat. */
static int arrange(const char *folder)
{
	char deep[TOUR_PATH], from[TOUR_PATH], to[TOUR_PATH];
	struct stat st;
	int r;

	r = an_path_mkdir_all(tour_path(deep, folder, "2026/11"), 0755);
	if (!r)
		r = an_path_write(tour_path(from, folder, "draft"), "text", 4, NULL);
	if (!r)
		r = an_path_copy(from, tour_path(to, folder, "copy"));
	if (!r)
		r = say_entries(folder);
	if (!r)
		r = an_path_rename(from, tour_path(to, deep, "letter"));
	if (!r)
		r = an_path_unlink(tour_path(from, folder, "copy"));
	if (!r)
		r = an_path_stat(to, &st);
	if (r)
		return r;
	tour_say("2026/11/letter has %lld bytes", (long long)st.st_size);
	return say_entries(folder);
}

static int a_folder(void *arg)
{
	(void)arg;
	return tour_in_a_folder(arrange);
}

/* ---- errors ------------------------------------------------------------------------ */

/* except FileNotFoundError: the error that is understood here is dealt with, all others
 * go on upwards, the cancellation among them. */
static int read_settings(const char *folder)
{
	char path[TOUR_PATH], *data;
	size_t len;
	int r = an_path_read(tour_path(path, folder, "settings"), 64 * 1024, &data, &len);

	if (r == -ENOENT) {
		tour_say("there are no settings: the defaults");
		return 0;
	}
	if (r)
		return r;
	free(data);
	return 0;
}

static int a_file_that_is_missing(void *arg)
{
	(void)arg;
	return tour_in_a_folder(read_settings);
}

/* The system tells of a full disk when the data is handed over, which for what was
 * gathered is later, and it tells it once. So the error sticks: whoever flushes or syncs
 * learns of it, until somebody has said that it was seen. */
static int fill_the_disk(an_file *full)
{
	int r = an_file_buffer(full, 4096);

	if (!r)
		r = an_file_write(full, "important\n", 10);
	tour_say("write: %s", tour_code(r));
	tour_say("flush: %s", tour_code(an_file_flush(full)));
	tour_say("write: %s", tour_code(an_file_write(full, "more\n", 5)));
	tour_say("sync: %s", tour_code(an_file_sync(full)));
	tour_say("seen: %s", tour_code(an_file_clear_error(full)));
	return r;
}

static int use_a_full_disk(void *arg)
{
	an_file *full;
	int r = an_file_open("/dev/full", O_WRONLY, 0, &full);

	(void)arg;
	if (r)
		return r;
	r = fill_the_disk(full);
	an_file_close(full);
	return r;
}

/* /dev/full is a disk without room. What is gathered still at the close is tried once
 * more, until the loop's end at the latest, and its loss is reported. */
static int a_full_disk(void)
{
	int r;

	tour_hear_reports(true);
	r = an_run(use_a_full_disk, NULL, tour_loop_opts());
	tour_hear_reports(false);
	return r;
}

const struct tour_section tour_io_files[] = {
	{ "A whole file, written and read", .task = a_whole_file },
	{ "All or nothing", .task = all_or_nothing },
	{ "Line by line", .task = line_by_line },
	{ "Several files at once", .task = several_at_once },
	{ "Folders", .task = a_folder },
	{ "A file that is missing", .task = a_file_that_is_missing },
	{ "A full disk", .by_hand = a_full_disk },
	{ 0 },
};
