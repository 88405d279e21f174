/* What is seen of the downloads. See downloader.h.
 *
 * On a terminal, a block of bars at the bottom, one for each file that is under way, is
 * drawn again ten times a second; how a file ended is a line of its own above them.
 * Elsewhere there are only those lines.
 */
#include "downloader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NAME_WIDTH = 24, BAR_MIN = 10, TAIL_WIDTH = 36 };

static unsigned lines_drawn; /* of the block of bars */

static bool on_terminal(const struct download *d)
{
	return !d->options.silent && isatty(STDERR_FILENO);
}

/* "12.3 MiB" */
static const char *human(double bytes, char *buf, size_t cap)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(*units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, cap, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return buf;
}

static double seconds_of(an_duration d)
{
	return d > 0 ? (double)d / (double)AN_SECOND : 1e-9;
}

/* Server and user choose names: what could move the cursor is not printed. */
static void print_name(const char *name, int width)
{
	const char *slash = strrchr(name, '/');
	int n = 0;

	for (name = slash ? slash + 1 : name; *name && n < width; name++, n++)
		fputc((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name, stderr);
	fprintf(stderr, "%*s", width - n, "");
}

static void draw_bar(const struct job *job, int columns)
{
	double share = job->total > 0 ? (double)job->done / (double)job->total : 0;
	double speed =
		(double)(job->done - job->resumed) / seconds_of(an_now() - job->started);
	int width = columns - NAME_WIDTH - TAIL_WIDTH;
	char done[32], rate[32];

	if (width < BAR_MIN)
		width = BAR_MIN;
	print_name(job->path, NAME_WIDTH);
	fputs(" [", stderr);
	for (int i = 0; i < width; i++)
		fputc(i < (int)(share * width) ? '#' : '.', stderr);
	if (job->total > 0)
		fprintf(stderr, "] %3d%%", (int)(share * 100));
	else
		fputs("]     ", stderr);
	fprintf(stderr, " %10s %10s/s\n", human((double)job->done, done, sizeof(done)),
		human(speed, rate, sizeof(rate)));
}

static void erase_bars(void)
{
	if (lines_drawn)
		fprintf(stderr, "\033[%uA\033[J", lines_drawn);
	lines_drawn = 0;
}

static void draw_bars(const struct download *d)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	erase_bars();
	for (size_t i = 0; i < d->next && lines_drawn + 1u < size.ws_row; i++) {
		if (d->jobs[i].state != JOB_ACTIVE)
			continue;
		draw_bar(&d->jobs[i], size.ws_col);
		lines_drawn++;
	}
	fflush(stderr);
}

int progress_task(void *arg)
{
	const struct download *d = arg;
	int r = 0;

	if (!on_terminal(d))
		return 0;
	while (!r) {
		draw_bars(d);
		r = an_sleep(100 * AN_MILLISECOND);
	}
	erase_bars();
	return r;
}

void progress_report(const struct download *d, const struct job *job)
{
	double took = seconds_of(job->ended - job->started);
	char done[32], rate[32];

	if (job->state == JOB_FAILED) {
		erase_bars();
		fprintf(stderr, "downloader: %s: %s\n", job->url, job->error);
		return;
	}
	if (d->options.silent)
		return;
	erase_bars();
	print_name(job->path, NAME_WIDTH);
	fprintf(stderr, " %s in %.1f s (%s/s)%s\n",
		human((double)job->done, done, sizeof(done)), took,
		human((double)(job->done - job->resumed) / took, rate, sizeof(rate)),
		job->resumed ? ", resumed" : "");
}
