/* Tasks to be combined: each works for a while and can meet a cancellation in several
 * ways. */
#ifndef TESTS_UNIT_COMBINE_WORKERS_H
#define TESTS_UNIT_COMBINE_WORKERS_H

#include "loop/core/loop-private.h"
#include "tests/support/run.h"

#include <asyncnet/testing.h>
#include <errno.h>

struct worker {
	an_duration takes; /* sleeps for that long; 0: */
	int yields;	   /* gives way so many times */
	int result;
	int when_cancelled;  /* what it returns then; 0: -ECANCELED */
	an_duration cleanup; /* how long it is busy before it does */
	bool refuses;	     /* works on to the end all the same */
	/* What has happened: */
	bool started, cancelled, finished;
	an_duration ended_at;
};

static inline int worker_cleans_up(struct worker *w)
{
	an_shield shield;

	w->cancelled = true;
	if (!w->cleanup)
		return 0;
	an_shield_begin(&shield, AN_FOREVER);
	return an_shield_end(&shield, an_sleep(w->cleanup));
}

static inline int worker_waits(const struct worker *w)
{
	int r = w->takes ? an_sleep(w->takes) : 0;

	for (int i = 0; r == 0 && i < w->yields; i++)
		r = an_yield();
	return r;
}

static inline int works(void *arg)
{
	struct worker *w = arg;
	int r;

	w->started = true;
	r = worker_waits(w);
	if (r < 0)
		CHECK_EQUAL(worker_cleans_up(w), 0);
	w->ended_at = an_now();
	w->finished = true;
	if (r == 0 || w->refuses)
		return w->result;
	return w->when_cancelled ? w->when_cancelled : r;
}

static inline int spawn_workers(struct worker *workers, size_t count, an_task **tasks)
{
	for (size_t i = 0; i < count; i++)
		CHECK_EQUAL(an_spawn(works, &workers[i], NULL, &tasks[i]), 0);
	return 0;
}

/* Joins what is not NULL and leaves NULL behind. */
static inline int join_workers(an_task **tasks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = tasks[i] ? an_join(tasks[i], NULL) : 0;

		if (r < 0)
			return r;
		tasks[i] = NULL;
	}
	return 0;
}

/* Whether anybody wants to be told of its end. */
static inline bool is_watched(const an_task *task)
{
	return task->watches;
}

/* Cancels them first. */
static inline int end_workers(an_task **tasks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		an_cancel(tasks[i]);
	return join_workers(tasks, count);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How many complaints the library has made, for instance of failures that nobody saw. */
static int complaints;

static inline void counts_complaint(void *arg, an_log_level level, const char *text,
				    size_t length)
{
	(void)arg, (void)text, (void)length;
	complaints += level >= AN_LOG_WARN;
}

/* Has them counted from here on. */
static inline int listen_to_complaints(void)
{
	complaints = 0;
	return an_trace_set_hooks(&(an_trace_hooks){ .message = counts_complaint });
}

#endif
