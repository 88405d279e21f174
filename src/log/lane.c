/* A loop's records, and the task that sees to it that they are written. See private.h.
 *
 * A lane belongs to one loop and one logger; it is made by the first line and ends with
 * the loop. Its task waits for a line, gathers others for a while, and has a worker of
 * the offload pool write what there is. A flag and not a message ends the task, so a full
 * ring cannot be in the way.
 *
 * Invariant: while the task lives, whatever lies in the ring gets written; once it has
 * ended, the source is `direct` and each line is written by its caller.
 */
#include "config.h"

#include "log/private.h"
#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <asyncnet/offload.h>
#include <asyncnet/task.h>

#include <errno.h>
#include <stdlib.h>

static const an__wait_kind for_lines = { .what = "lines to write" };
static const an__wait_kind for_flush = { .what = "a flush of the log" };
static const an__wait_kind for_stop = { .what = "the end of the log" };

/* After a failed write. */
#define PAUSE_MIN (50 * AN_MILLISECOND)
#define PAUSE_MAX (5 * AN_SECOND)

/*	NEW -> IDLE <-> GATHERING <-> WRITING <-> PAUSED
 *
 *	NEW        the task has not run yet
 *	IDLE       parked until there is a line
 *	GATHERING  parked until `delay` is over, the ring is half full, or it is kicked
 *	WRITING    a worker writes
 *	PAUSED     parked after a failed write, until the pause is over or it is kicked
 *	ENDED      from any state; nothing leaves it
 *
 * IDLE goes straight to WRITING, and PAUSED too, when someone is in a hurry. */
enum lane_state {
	LANE_NEW,
	LANE_IDLE,
	LANE_GATHERING,
	LANE_WRITING,
	LANE_PAUSED,
	LANE_ENDED
};

struct an__log_lane {
	an__log_lane *next; /* in its loop's list */
	an__log *log;
	uint64_t log_id;
	an__log_source *source;
	enum lane_state state;
	an__waiter waiter; /* the task's, in IDLE, GATHERING and PAUSED */
	bool urgent;	   /* do not gather */
	bool stop;	   /* end when all is written */
	an_duration pause; /* the next one; 0: the last write succeeded */
	/* Tasks in flush, each with its target; the lane wakes them after a write. */
	an__waiters flushers;
	an__waiters stoppers; /* tasks in stop; woken by the lane's end */
	size_t target;	      /* the worker's job, and what came of it */
	int result;
};

struct flush {
	an__waiter waiter;
	size_t target; /* position in the ring */
};

/* The loop's list of lanes; its address as the loop's local value means that the list is
 * open. */
struct lane_list {
	an__log_lane *first;
};

/* Stands in the local slot when the loop has taken its lanes down: no new ones. */
static struct lane_list taken_down;

/* The lane used last on this thread. */
static __thread struct {
	uint64_t log_id;
	an__log_lane *lane;
} last __attribute__((tls_model("initial-exec")));

/* Spawning may make the core report something, which may come back here. */
static __thread bool starting;

static void set_state(an__log_lane *lane, enum lane_state state)
{
	lane->state = state;
	if (state == LANE_ENDED)
		lane->source->direct = true;
}

bool an__log_lane_open(const an__log_lane *lane)
{
	return !lane->source->direct;
}

/* ---- the task -------------------------------------------------------------------- */

static bool has_work(an__log_lane *lane)
{
	return an__log_ring_used(&lane->source->ring) || lane->source->gap;
}

/* Whether what is there is to be written without waiting for more. */
static bool in_hurry(an__log_lane *lane)
{
	an__log_ring *ring = &lane->source->ring;

	return lane->urgent || lane->stop || lane->flushers.first ||
	       an__log_ring_used(ring) >= ring->size / 2;
}

/* Wakes the task if it waits for something else than a worker. */
static void kick(an__log_lane *lane)
{
	switch (lane->state) {
	case LANE_IDLE:
	case LANE_GATHERING:
	case LANE_PAUSED:
		an__wake(&lane->waiter, 0);
		break;
	case LANE_NEW:
	case LANE_WRITING:
	case LANE_ENDED:
		break;
	}
}

static int park(an__log_lane *lane, enum lane_state state, an_duration deadline)
{
	int r;

	set_state(lane, state);
	r = an__wait_until(&lane->waiter, NULL, deadline, &for_lines);
	return r == -ETIMEDOUT ? 0 : r;
}

static int write_on_worker(void *arg)
{
	an__log_lane *lane = arg;

	lane->result = an__log_write_to(lane->log, lane->source, lane->target, true);
	return 0;
}

/* Returns 0; -ECANCELED before anything was done; the error of the write. */
static int write_lines(an__log_lane *lane)
{
	int r;

	an__log_source_put_gap(lane->source);
	lane->target = an__log_ring_tail(&lane->source->ring);
	lane->urgent = false;
	set_state(lane, LANE_WRITING);
	r = an_offload(write_on_worker, lane, NULL);
	if (r == -ECANCELED)
		return r;
	/* Without a worker the loop has to stand still for it. */
	if (r < 0)
		write_on_worker(lane);
	return lane->result;
}

static void wake_flushers(an__log_lane *lane, int error)
{
	an__waiter *w;

	while ((w = an__waiters_first(&lane->flushers))) {
		struct flush *f = an__container(w, struct flush, waiter);

		if (an__log_ring_passed(&lane->source->ring, f->target))
			an__wake(w, 0);
		else if (error)
			an__wake(w, error);
		else
			break;
	}
}

static int pause_after(an__log_lane *lane)
{
	lane->pause = lane->pause ? 2 * lane->pause : PAUSE_MIN;
	if (lane->pause > PAUSE_MAX)
		lane->pause = PAUSE_MAX;
	return park(lane, LANE_PAUSED, an_now() + lane->pause);
}

/* Until it is told to stop (0, or the error of the last write), or cancelled by the
 * loop's end. */
static int lane_run(an__log_lane *lane)
{
	for (;;) {
		int r = 0;

		if (lane->log->closed)
			return 0;
		if (!has_work(lane)) {
			if (lane->stop)
				return 0;
			r = park(lane, LANE_IDLE, AN_FOREVER);
			if (r < 0)
				return r;
			continue;
		}
		if (!in_hurry(lane))
			r = park(lane, LANE_GATHERING, an_now() + lane->log->opts.delay);
		if (r == 0)
			r = write_lines(lane);
		if (r == -ECANCELED)
			return r;
		wake_flushers(lane, r);
		if (r < 0 && lane->stop)
			return r;
		if (r == 0)
			lane->pause = 0;
		else if (pause_after(lane) < 0)
			return -ECANCELED;
	}
}

/* Writes what is left on this thread. The gap is told last, when there is room for
 * certain. */
static int settle(an__log_lane *lane)
{
	an__log_source *source = lane->source;
	int r = 0;

	for (int i = 0; r == 0 && i < 2 && has_work(lane); i++) {
		an__log_source_put_gap(source);
		r = an__log_write_to(lane->log, source, an__log_ring_tail(&source->ring),
				     true);
	}
	return r;
}

static int lane_main(void *arg)
{
	an__log_lane *lane = arg;
	int r = lane_run(lane);

	/* From here on lines are written by their callers, so none comes after the last
	 * look. */
	set_state(lane, LANE_ENDED);
	if (r == -ECANCELED)
		r = settle(lane);
	wake_flushers(lane, r < 0 ? r : AN_ERR_CLOSED);
	an__wake_all(&lane->stoppers, r);
	return 0;
}

/* ---- made and freed -------------------------------------------------------------- */

static void lane_free(an__log_lane *lane)
{
	an__log *log = lane->log;

	if (!lane->source->direct)
		set_state(lane, LANE_ENDED);
	settle(lane);
	an__log_source_free(log, lane->source);
	an__log_unref(log);
	free(lane);
}

static void take_down(void *value)
{
	struct lane_list *list = value;
	an__log_lane *lane;

	an__loop_set_local(an_loop_current(), AN__LOCAL_LOG, &taken_down, NULL);
	last.log_id = 0;
	while ((lane = list->first)) {
		list->first = lane->next;
		lane_free(lane);
	}
	free(list);
}

static struct lane_list *lanes_of(an_loop *loop)
{
	struct lane_list *list = an__loop_local(loop, AN__LOCAL_LOG);

	if (list)
		return list;
	list = an__calloc(1, sizeof *list);
	if (list)
		an__loop_set_local(loop, AN__LOCAL_LOG, list, take_down);
	return list;
}

static an__log_lane *lane_new(an__log *log, struct lane_list *list)
{
	an__log_lane *lane = an__calloc(1, sizeof *lane);

	if (!lane)
		return NULL;
	lane->log = log;
	lane->log_id = log->id;
	if (an__log_source_new(log, log->opts.ring_size, &lane->source) < 0)
		goto fail;
	if (an_spawn(lane_main, lane, &(an_task_opts){ .name = "logger" }, NULL) < 0)
		goto fail_source;
	atomic_fetch_add_explicit(&log->users, 1, memory_order_relaxed);
	lane->next = list->first;
	list->first = lane;
	return lane;

fail_source:
	an__log_source_free(log, lane->source);
fail:
	free(lane);
	return NULL;
}

static an__log_lane *find_or_make(an__log *log)
{
	an_loop *loop = an_loop_current();
	struct lane_list *list;
	an__log_lane *lane;

	if (!loop || starting)
		return NULL;
	list = lanes_of(loop);
	if (!list || list == &taken_down)
		return NULL;
	for (lane = list->first; lane; lane = lane->next)
		if (lane->log_id == log->id)
			break;
	if (!lane) {
		starting = true;
		lane = lane_new(log, list);
		starting = false;
	}
	if (lane) {
		last.log_id = log->id;
		last.lane = lane;
	}
	return lane;
}

an__log_lane *an__log_lane_get(an__log *log)
{
	if (__builtin_expect(last.log_id == log->id, 1))
		return last.lane;
	return find_or_make(log);
}

static an__log_lane *find(const an__log *log)
{
	an_loop *loop = an_loop_current();
	struct lane_list *list = loop ? an__loop_local(loop, AN__LOCAL_LOG) : NULL;
	an__log_lane *lane = list ? list->first : NULL;

	while (lane && lane->log != log)
		lane = lane->next;
	return lane;
}

bool an__log_lane_tell_gap(an__log *log)
{
	an__log_lane *lane = find(log);
	bool told = lane && lane->source->gap;

	if (told)
		an__log_source_put_gap(lane->source);
	return told;
}

void an__log_lane_close(an__log *log)
{
	an__log_lane *lane = find(log);

	if (last.log_id == log->id)
		last.log_id = 0;
	if (lane)
		kick(lane);
}

/* ---- what tasks do --------------------------------------------------------------- */

static void lane_wrote_one(an__log_lane *lane, an_log_level level)
{
	if (level >= AN_LOG_WARN)
		lane->urgent = true;
	if (lane->state == LANE_IDLE || (lane->state == LANE_GATHERING && in_hurry(lane)))
		kick(lane);
}

/* The record does not fit. Returns whether it was put all the same. */
static bool make_room(an__log_lane *lane, const an__log_place *place, size_t len)
{
	an__log_source *source = lane->source;
	bool insists =
		place->level == AN_LOG_FATAL ||
		(place->level >= AN_LOG_WARN && lane->log->opts.overflow == AN_LOG_BLOCK);

	return insists &&
	       an__log_write_to(lane->log, source, an__log_ring_tail(&source->ring),
				true) == 0 &&
	       an__log_source_put(source, place->time, place->level, len, 0);
}

void an__log_lane_emit(an__log_lane *lane, an__log_place *place, bool wait,
		       const char *format, va_list ap)
{
	an__log_source *source = lane->source;
	an_task *task = an_current();
	size_t spare = place->level >= AN_LOG_WARN ? 0 : source->ring.size / 8;
	size_t len;

	place->task = task ? an_task_name(task) : NULL;
	len = an__log_liner_build(&source->liner, place, format, ap);
	if (!an__log_source_put(source, place->time, place->level, len, spare) &&
	    !(wait && make_room(lane, place, len)))
		an__log_source_drop(source);
	lane_wrote_one(lane, place->level);
	if (place->level == AN_LOG_FATAL)
		an__log_write_to(lane->log, source, an__log_ring_tail(&source->ring),
				 true);
}

int an__log_lane_flush(an__log_lane *lane)
{
	struct flush f;

	if (!has_work(lane))
		return 0;
	an__log_source_put_gap(lane->source);
	f.target = an__log_ring_tail(&lane->source->ring);
	lane->urgent = true;
	kick(lane);
	return an__wait(&f.waiter, &lane->flushers, &for_flush);
}

int an__log_lane_stop(an__log_lane *lane)
{
	an__waiter waiter;

	lane->stop = true;
	kick(lane);
	return an__wait(&waiter, &lane->stoppers, &for_stop);
}
