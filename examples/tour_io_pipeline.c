/* The seventh chapter of tour_io: a pipeline, in which what one stage makes the next one
 * takes.
 *
 * The guides put an asyncio.Queue between two tasks, and None into it for the end, one
 * for each consumer; when one of the tasks fails, the others wait for ever. Here the
 * queues, the end and the failure are the pipeline's, and a stage is a loop.
 */
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a log is evaluated ------------------------------------------------------------ */

/* An item: made by one stage, freed by the one that takes it last. */
struct request {
	char path[32];
	int status;
};

struct report {
	const char *log; /* a file */
	unsigned lines, failed;
};

/* First stage: async for line in f. A line becomes the next stage's. */
static int read_lines(an_queue *in, an_queue *out, void *arg)
{
	struct report *report = arg;
	const char *line;
	an_file *file;
	size_t len;
	int r = an_file_open(report->log, O_RDONLY, 0, &file);

	(void)in;
	if (r)
		return r;
	while (!(r = an_file_read_line(file, 0, &line, &len))) {
		char *copy = strndup(line, len);

		r = copy ? an_queue_put(out, copy) : -ENOMEM;
		if (r) {
			free(copy); /* it was not taken */
			break;
		}
	}
	an_file_close(file);
	return r == AN_ERR_EOF ? 0 : r;
}

static struct request *parse(const char *line)
{
	struct request *request = malloc(sizeof(*request));

	if (request &&
	    sscanf(line, "GET %31s %d", request->path, &request->status) != 2) {
		free(request);
		return NULL;
	}
	return request;
}

/* Second stage: two workers at a time, so that the order is not kept. */
static int parse_lines(an_queue *in, an_queue *out, void *arg)
{
	void *line;
	int r;

	(void)arg;
	while (!(r = an_queue_get(in, &line))) {
		struct request *request = parse(line);

		free(line);
		r = request ? an_queue_put(out, request) : -EBADMSG;
		if (r) {
			free(request);
			break;
		}
	}
	return r; /* AN_ERR_CLOSED: there are no more */
}

/* Third stage. */
static int evaluate(an_queue *in, an_queue *out, void *arg)
{
	struct report *report = arg;
	void *item;
	int r;

	(void)out;
	while (!(r = an_queue_get(in, &item))) {
		report->lines++;
		report->failed += ((struct request *)item)->status >= 400;
		free(item);
	}
	return r;
}

static void drop(void *arg, void *item)
{
	(void)arg;
	free(item);
}

/* `capacity` bounds what lies between two stages: a fast one waits for the slow one. */
static int evaluate_log(const char *path)
{
	struct report report = { .log = path };
	const an_stage stages[] = {
		{ read_lines, &report, .capacity = 64, .drop = drop, .name = "read" },
		{ parse_lines, NULL, .workers = 2, .drop = drop, .name = "parse" },
		{ evaluate, &report, .name = "evaluate" },
	};
	int r = an_pipeline(stages, 3);

	if (!r)
		tour_say("%u requests, %u of them failed", report.lines, report.failed);
	return r;
}

static int write_log(const char *path, const char *last_line)
{
	char line[64];
	an_file *file;
	int r = an_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &file);

	if (r)
		return r;
	r = an_file_buffer(file, 64 * 1024);
	for (int i = 0; i < 200 && !r; i++) {
		int len = snprintf(line, sizeof(line), "GET /notes/%d %d\n", i,
				   i % 10 ? 200 : 404);

		r = an_file_write(file, line, (size_t)len);
	}
	if (!r)
		r = an_file_write(file, last_line, strlen(last_line));
	if (!r)
		r = an_file_flush(file);
	an_file_close(file);
	return r;
}

static int write_and_evaluate(const char *folder)
{
	char path[TOUR_PATH];
	int r = write_log(tour_path(path, folder, "log"), "GET /end 200\n");

	return r ? r : evaluate_log(path);
}

static int three_stages(void *arg)
{
	(void)arg;
	return tour_in_a_folder(write_and_evaluate);
}

/* ---- one stage fails --------------------------------------------------------------- */

/* The first failure cancels the other stages, what lies between them is dropped, and the
 * caller learns of it. */
static int evaluate_what_is_broken(const char *folder)
{
	char path[TOUR_PATH];
	int r = write_log(tour_path(path, folder, "log"), "who wrote this?\n");

	if (!r)
		r = evaluate_log(path);
	tour_say("the pipeline: %s", tour_code(r));
	return r == -EBADMSG ? 0 : r;
}

static int a_stage_fails(void *arg)
{
	(void)arg;
	return tour_in_a_folder(evaluate_what_is_broken);
}

/* ---- one stage has enough ---------------------------------------------------------- */

/* Numbers without an end: its put says AN_ERR_CLOSED when nobody wants more. */
static int count_up(an_queue *in, an_queue *out, void *arg)
{
	int *number = arg, r;

	(void)in;
	do {
		r = an_queue_put(out, (void *)(intptr_t)++ * number);
	} while (!r);
	return r;
}

static int take_three(an_queue *in, an_queue *out, void *arg)
{
	void *number;
	int r = 0;

	(void)out, (void)arg;
	for (int i = 0; i < 3 && !r; i++) {
		r = an_queue_get(in, &number);
		if (!r)
			tour_say("%d", (int)(intptr_t)number);
	}
	return r;
}

static int enough(void *arg)
{
	int number = 0;
	const an_stage stages[] = { { .fn = count_up, .arg = &number },
				    { .fn = take_three } };

	(void)arg;
	return an_pipeline(stages, 2);
}

const struct tour_section tour_io_pipeline[] = {
	{ "Read, parse, evaluate", .task = three_stages },
	{ "A stage fails", .task = a_stage_fails },
	{ "A stage has enough", .task = enough },
	{ 0 },
};
