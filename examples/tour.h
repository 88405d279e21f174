/* What the tours share: headings, lines with the loop's time, a piece of work.
 *
 * tour_core shows tasks, tour_sync what tasks agree by, tour_io what they read and write.
 * Each goes through its chapters, and through a chapter's sections one after the other; a
 * section has a loop of its own. The comments name asyncio's counterpart, for those who
 * come from there.
 *
 * With --virtual the loops have a virtual clock: the output is the same each time, which
 * is what the tests compare, and no time passes. tour_io needs none: it prints no times,
 * and says only what comes in one order.
 */
#ifndef EXAMPLES_TOUR_H
#define EXAMPLES_TOUR_H

#include <asyncnet/asyncnet.h>

struct tour_section {
	const char *heading;
	an_task_fn task;      /* the main task of a loop; its argument is NULL; or */
	int (*by_hand)(void); /* called without a loop */
};

struct tour_chapter {
	const char *heading;
	const struct tour_section *sections; /* up to one without a heading */
};

/* Shows the chapters up to one without a heading. Returns the program's exit code: 1 when
 * a section failed, 130 after Ctrl-C. */
int tour_show(const struct tour_chapter *chapters);

/* The whole program: the same, with the option --virtual. */
int tour_main(int argc, char **argv, const struct tour_chapter *chapters);

/* Leaves the times out of all lines. */
void tour_hide_times(void);

/* Prints one line, behind the time on the loop's clock since the section began. */
void tour_say(const char *format, ...) AN_PRINTF(1, 2);

/* The options for a loop made in a section; the lines' time begins anew. */
const an_loop_opts *tour_loop_opts(void);

/* A code as its name; what is no error is "success". */
const char *tour_code(int code);

/* Some work that takes its time, as a request or a query would. */
struct tour_work {
	char name[24];
	an_duration takes;
	int result;
};

/* A task that does a struct tour_work: says when it begins and when it ends, and returns
 * the work's result, or -ECANCELED. */
int tour_work(void *work);

/* Spawns a task of that name for each of `count` works. */
int tour_spawn(struct tour_work *works, size_t count, an_task **ret_tasks);

/* Prints what the library complains of as lines of the tour, until it is called with
 * false; normally that goes to stderr. */
void tour_hear_reports(bool on);

/* The chapters of tour_core, in the files of those names. */
extern const struct tour_section tour_core_loops[], tour_core_tasks[],
	tour_core_together[], tour_core_limits[], tour_core_blocking[];

/* And of tour_sync. */
extern const struct tour_section tour_sync_locks[], tour_sync_queues[], tour_sync_pool[];

/* And of tour_io. */
extern const struct tour_section tour_io_files[], tour_io_http[], tour_io_streams[],
	tour_io_db[], tour_io_no_db[], tour_io_ws[], tour_io_process[],
	tour_io_pipeline[], tour_io_log[], tour_io_download[];

#endif
