/* A log file in a folder of its own, and what can be asked of it. */
#ifndef TESTS_UNIT_LOG_FILE_H
#define TESTS_UNIT_LOG_FILE_H

#include "tests/support/program.h"
#include "tests/support/run.h"

#include <string.h>
#include <sys/stat.h>

static char log_dir[] = "/tmp/test-log-XXXXXX";
static char log_path[64], log_old_path[64];

static inline int log_file_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(log_dir))
		return -1;
	snprintf(log_path, sizeof log_path, "%s/log", log_dir);
	snprintf(log_old_path, sizeof log_old_path, "%s/log.1", log_dir);
	return 0;
}

static inline int log_file_tear_down(void **state)
{
	(void)state;
	unlink(log_path);
	unlink(log_old_path);
	return rmdir(log_dir);
}

/* Each test begins without files. */
static inline int log_file_clear(void **state)
{
	(void)state;
	unlink(log_path);
	unlink(log_old_path);
	return 0;
}

/* The file's text, to be freed; "" when there is none. */
static inline char *log_read(const char *path)
{
	FILE *f = fopen(path, "r");
	struct stat st;
	char *text;

	if (!f)
		return strdup("");
	if (fstat(fileno(f), &st) < 0)
		abort();
	text = malloc((size_t)st.st_size + 1);
	text[fread(text, 1, (size_t)st.st_size, f)] = '\0';
	fclose(f);
	return text;
}

static inline size_t log_count(const char *path, const char *what)
{
	char *text = log_read(path);
	size_t n = 0;

	for (char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	free(text);
	return n;
}

/* Whether the lines of the file that hold `mark` are `mark`0, `mark`1 and so on up to
 * n - 1, all of them complete. */
static inline bool log_has_sequence(const char *path, const char *mark, unsigned n)
{
	char *text = log_read(path), want[64];
	unsigned found = 0;
	bool good = true;

	for (char *p = text, *end; *p && good; p = end + 1) {
		end = strchr(p, '\n');
		if (!end || p[0] != '2' || end - p < 30) {
			good = false;
			break;
		}
		*end = '\0';
		char *at = strstr(p, mark);
		if (!at)
			continue;
		snprintf(want, sizeof want, "%s%u", mark, found++);
		good = strcmp(at, want) == 0;
	}
	free(text);
	return good && found == n;
}

static inline an_log_stats log_stats(an_logger *log)
{
	an_log_stats m;

	an_log_get_stats(log, &m);
	return m;
}

#endif
