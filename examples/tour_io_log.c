/* The eighth chapter of tour_io: a log. logging.Handler.emit() writes at once and holds
 * the loop up meanwhile, for which the guides put a QueueHandler and a thread in between;
 * an_logger is made of those.
 */

/* Each line says where in the source it comes from, unless this is NULL: what is shown
 * here shall not change with every line of this file. */
#define AN_LOG_FILE NULL
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sink: gets each line whole, mostly on a worker thread. The time in front is left out,
 * since it is another one each time. */
static void say_line(void *arg, an_log_level level, const char *line, size_t len)
{
	static const char time[] = "2026-01-31T12:00:00.123456Z ";

	(void)arg, (void)level;
	tour_say("%.*s", (int)(len - strlen(time)) - 1, line + strlen(time));
}

/* The lines are in the log's memory when the call returns. What has to be on its way
 * before the program goes on waits for it; the end of the loop does so by itself. */
static int log_here(an_log_level level, int (*work)(an_logger *log))
{
	an_logger *log;
	int flushed,
		r = an_log_new(&(an_log_opts){ .sink = say_line, .level = level }, &log);

	if (r)
		return r;
	r = work(log);
	flushed = an_log_flush(log);
	an_log_free(log);
	return r ? r : flushed;
}

/* ---- levels and tasks -------------------------------------------------------------- */

static const char *costly(void)
{
	tour_say("this is called when its line is to be logged, and only then");
	return "costly";
}

/* logger.debug() is one comparison while the level is higher; what its arguments cost is
 * saved with it. */
static int say_levels(an_logger *log)
{
	an_debug(log, "a detail: %s", costly());
	an_info(log, "listening on port %d", 80);
	an_warn(log, "the disk is %d %% full", 91);
	an_error(log, "cannot open %s: %m", (errno = ENOENT, "settings"));
	an_log_set_level(log, AN_LOG_DEBUG);
	an_debug(log, "a detail: %s", costly());
	return 0;
}

static int levels(void *arg)
{
	(void)arg;
	return log_here(AN_LOG_INFO, say_levels);
}

static int do_a_job(void *log)
{
	an_info(log, "begins");
	if (an_sleep(AN_MILLISECOND))
		return -ECANCELED;
	an_info(log, "ends");
	return 0;
}

/* The task's name is in each line; asyncio has it since Python 3.12. */
static int say_tasks(an_logger *log)
{
	static const char *const jobs[] = { "upload", "download" };
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < 2; i++)
		an_group_fail(&group,
			      an_group_spawn_with(&group, do_a_job, log,
						  &(an_task_opts){ .name = jobs[i] }));
	return an_group_end(&group);
}

static int tasks(void *arg)
{
	(void)arg;
	return log_here(AN_LOG_INFO, say_tasks);
}

/* ---- what comes from outside ------------------------------------------------------- */

/* Log injection: whoever can have a name logged can have a line forged, or a terminal
 * steered, with most loggers. */
static int say_what_was_sent(an_logger *log)
{
	an_info(log, "user: %s", "eve\n2026-01-31T12:00:00.123456Z INFO  [main] root in");
	an_info(log, "user: %s", "\033[2J\033[31mmallory");
	return 0;
}

static int nothing_is_forged(void *arg)
{
	(void)arg;
	return log_here(AN_LOG_INFO, say_what_was_sent);
}

/* ---- files ------------------------------------------------------------------------- */

static int say_file(const char *path, const char *from)
{
	const char *line;
	an_file *file;
	size_t len;
	int r = an_file_open(path, O_RDONLY, 0, &file);

	if (r)
		return r;
	while (!(r = an_file_read_line(file, 0, &line, &len))) {
		const char *start = memmem(line, len, from, strlen(from));

		if (start)
			tour_say("%.*s", (int)(line + len - start) - 1, start);
	}
	an_file_close(file);
	return r == AN_ERR_EOF ? 0 : r;
}

/* What logrotate does: the file gets another name, and a new one is made. The log notices
 * by itself, so that no line goes to the old one for long; a program that is told by a
 * signal calls an_log_reopen(). */
static int rotate(an_logger *log, const char *path, const char *old)
{
	int r;

	an_info(log, "before");
	r = an_log_flush(log);
	if (!r)
		r = an_path_rename(path, old);
	an_info(log, "after");
	return r ? r : an_log_flush(log);
}

/* Lines for programs: JSON. */
static int log_to_a_file(const char *folder)
{
	char path[TOUR_PATH], old[TOUR_PATH];
	an_logger *log;
	int r;

	tour_path(path, folder, "service.log");
	tour_path(old, folder, "service.log.1");
	r = an_log_new(&(an_log_opts){ .path = path, .format = AN_LOG_JSON }, &log);
	if (r)
		return r;
	r = rotate(log, path, old);
	an_log_free(log);
	tour_say("service.log.1");
	if (!r)
		r = say_file(old, "\"level\"");
	tour_say("service.log");
	return r ? r : say_file(path, "\"level\"");
}

static int a_file_is_rotated(void *arg)
{
	(void)arg;
	return tour_in_a_folder(log_to_a_file);
}

/* ---- too much ---------------------------------------------------------------------- */

static void count_line(void *lines, an_log_level level, const char *line, size_t len)
{
	(void)level, (void)line, (void)len;
	++*(unsigned *)lines;
}

/* A flood takes neither all memory nor all time: the log drops what does not fit, counts
 * it, and says so in a line of its own. */
static int flood(void *arg)
{
	unsigned lines = 0;
	an_log_stats stats;
	an_logger *log;
	int r = an_log_new(&(an_log_opts){ .sink = count_line,
					   .sink_arg = &lines,
					   .ring_size = 64 * 1024 },
			   &log);

	(void)arg;
	if (r)
		return r;
	for (int i = 0; i < 10000; i++)
		an_info(log, "line %d of very many", i);
	r = an_log_flush(log);
	an_log_get_stats(log, &stats);
	tour_say("lines: 10000, taken or dropped: %d",
		 (int)(stats.records + stats.dropped));
	tour_say("some were dropped: %s", stats.dropped ? "yes" : "no");
	an_log_free(log); /* the sink's `lines` are on this stack */
	tour_say("written, with a line about the rest: %s",
		 lines > stats.records ? "yes" : "no");
	return r;
}

/* ---- what the library itself has to say -------------------------------------------- */

static int fail(void *arg)
{
	(void)arg;
	return -ECONNREFUSED;
}

/* logging.getLogger("asyncio") */
static int fail_unseen(an_logger *log)
{
	int r = an_log_install_trace(log);

	if (!r)
		r = an_spawn(fail, NULL, &(an_task_opts){ .name = "mail" }, NULL);
	return r ? r : an_sleep(AN_MILLISECOND);
}

static int messages_of_the_library(void *arg)
{
	(void)arg;
	return log_here(AN_LOG_INFO, fail_unseen);
}

const struct tour_section tour_io_log[] = {
	{ "Levels", .task = levels },
	{ "Tasks have names", .task = tasks },
	{ "What comes from outside is escaped", .task = nothing_is_forged },
	{ "A file in JSON, and its rotation", .task = a_file_is_rotated },
	{ "A flood is bounded", .task = flood },
	{ "What the library itself has to say", .task = messages_of_the_library },
	{ 0 },
};
