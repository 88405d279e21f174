/* What the tours share; see tour.h. Nothing here has to be read to follow them. */
#include "tour.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool virtual_clock, times_hidden;
static an_duration
	began; /* the section, on its loop's clock; AN_FOREVER: at its first line */

/* ---- lines ------------------------------------------------------------------------- */

void tour_say(const char *format, ...)
{
	va_list args;

	if (times_hidden) {
		printf("   ");
	} else if (an_loop_current()) {
		if (began == AN_FOREVER)
			began = an_now();
		printf("%5lld ms  ", (long long)((an_now() - began + AN_MILLISECOND / 2) /
						 AN_MILLISECOND));
	} else {
		printf("%10s", "");
	}
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void tour_hide_times(void)
{
	times_hidden = true;
}

const char *tour_code(int code)
{
	return code < 0 ? an_error_name(code) : "success";
}

static void print_report(void *arg, an_log_level level, const char *text, size_t len)
{
	(void)arg, (void)level, (void)len;
	tour_say("reported: %s", text);
}

void tour_hear_reports(bool on)
{
	an_trace_set_hooks(on ? &(an_trace_hooks){ .message = print_report } : NULL);
}

/* ---- work -------------------------------------------------------------------------- */

int tour_work(void *arg)
{
	const struct tour_work *work = arg;
	int r;

	tour_say("%s begins", work->name);
	r = an_sleep(work->takes);
	if (r) {
		tour_say("%s is cancelled", work->name);
		return r;
	}
	if (work->result < 0)
		tour_say("%s fails: %s", work->name, an_error_name(work->result));
	else
		tour_say("%s ends: %d", work->name, work->result);
	return work->result;
}

int tour_spawn(struct tour_work *works, size_t count, an_task **ret_tasks)
{
	for (size_t i = 0; i < count; i++) {
		int r = an_spawn(tour_work, &works[i],
				 &(an_task_opts){ .name = works[i].name }, &ret_tasks[i]);

		if (r) {
			an_ignore(an_cancel_all(ret_tasks, i));
			return r;
		}
	}
	return 0;
}

/* ---- sections ---------------------------------------------------------------------- */

const an_loop_opts *tour_loop_opts(void)
{
	static an_loop_opts opts;

	began = AN_FOREVER;
	opts.virtual_clock = virtual_clock;
	return &opts;
}

static int run_section(void *arg)
{
	const struct tour_section *section = arg;

	began = an_now();
	return section->task(NULL);
}

static int show_section(const struct tour_section *section)
{
	int r;

	printf("\n-- %s\n", section->heading);
	if (section->by_hand)
		r = section->by_hand();
	else
		r = an_run(run_section, (void *)section, tour_loop_opts());
	if (r < 0)
		printf("** this section failed: %s\n", an_strerror(r));
	fflush(stdout);
	return r;
}

int tour_show(const struct tour_chapter *chapters)
{
	int failed = 0;

	for (; chapters->heading; chapters++) {
		printf("\n== %s ==\n", chapters->heading);
		for (const struct tour_section *s = chapters->sections; s->heading; s++) {
			int r = show_section(s);

			if (r == -ECANCELED) /* by Ctrl-C */
				return 130;
			failed |= r < 0;
		}
	}
	return failed;
}

int tour_main(int argc, char **argv, const struct tour_chapter *chapters)
{
	virtual_clock = argc == 2 && !strcmp(argv[1], "--virtual");
	if (argc > 2 || (argc == 2 && !virtual_clock)) {
		fprintf(stderr, "usage: %s [--virtual]\n", argv[0]);
		return 2;
	}
	return tour_show(chapters);
}
