/* The logger's structs, for the files of this folder alone. L3.
 *
 *	logger.c  the public calls, and records of threads without a loop
 *	lane.c    records of a loop: its ring and the task that sees to its being written
 *	writer.c  from the rings of all sources, merged by time, to the sink
 *	ring.c line.c format.c sink.c   the parts
 *
 * A source is a ring with one producer: a loop's thread, or, for the source `shared`,
 * whoever holds the lock. Whoever sets `writing` is the only consumer of all rings and
 * the only user of batch and sink until it clears it again; it collects under the lock
 * and writes without it.
 *
 * Lock order: trace.c's lock, the list of all loggers, a logger's lock. No lock is held
 * during a write or a sink's call.
 */
#ifndef AN_LOG_PRIVATE_H
#define AN_LOG_PRIVATE_H

#include "log/line.h"
#include "log/ring.h"
#include "log/sink.h"
#include "loop/base/list.h"

#include <pthread.h>

typedef struct an__log_source {
	an__list node; /* in log->sources; under the lock */
	an__log_ring ring;
	an__log_liner liner;
	uint32_t gap;  /* the producer's: dropped since the last one that was taken */
	bool direct;   /* nothing empties the ring any more: the producer writes itself */
	bool orphaned; /* its loop has ended, but not all could be written */
	_Atomic uint64_t records, dropped; /* written by the producer */
} an__log_source;

typedef struct an__log {
	an_logger pub;
	uint64_t id;		/* never used twice, unlike the address */
	_Atomic unsigned users; /* the owner, and each lane */
	an_log_opts opts;	/* with the defaults filled in */
	an__list all;		/* in the list of all loggers */

	pthread_mutex_t lock;
	pthread_cond_t idle; /* `writing` was cleared */
	bool writing;	     /* set by the one thread that uses batch and sink */
	_Atomic bool closed; /* an_log_free() was called; nothing is written any more */
	an__list sources;
	an__log_source *shared; /* of threads without a loop */

	/* The writer's. */
	an__log_batch batch;
	uint32_t batch_records; /* how many lines of the batch count as records */
	an__log_sink sink;
	an__log_liner notices;
	bool report; /* writes failed and work again: say so */
	int error;   /* of the last write; 0: it succeeded */
	uint64_t failures;
	int64_t failing_since;

	/* Metrics, under the lock. */
	uint64_t written, batches, errors;
	uint64_t bytes, reopens, open_errors; /* the sink's, as of the last write */
	uint64_t past_records, past_dropped;  /* of sources that are gone */
	_Atomic uint64_t refused;	      /* logged by the sink itself */
} an__log;

/* ---- logger.c -------------------------------------------------------------------- */

/* Now, in ns since 1970, UTC. */
int64_t an__log_time(void);

/* Gives up one of `users`; the last one frees it. */
void an__log_unref(an__log *log);

static inline an__log *an__log_of(an_logger *logger)
{
	return an__container(logger, an__log, pub);
}

/* ---- writer.c -------------------------------------------------------------------- */

/* A source with a ring of `size` bytes, in the logger's list. Returns 0; -ENOMEM. */
int an__log_source_new(an__log *log, size_t size, an__log_source **ret);

/* Takes the source out of the list and frees it, or leaves it to the logger when
 * unwritten lines are in it. */
void an__log_source_free(an__log *log, an__log_source *source);

/* Frees it as it is; the logger is not in use any more. */
void an__log_source_destroy(an__log_source *source);

/* Puts the line in the source's liner into its ring, and counts it. Without room for it
 * it is not counted at all. */
bool an__log_source_put(an__log_source *source, int64_t time, an_log_level level,
			size_t len, size_t spare);

/* Counts a line as dropped; the next one that is put will tell. */
void an__log_source_drop(an__log_source *source);

/* Puts an empty record that only tells of drops, if there are any to tell of and the
 * ring is empty: with lines in it, that can wait until they are written. */
void an__log_source_put_gap(an__log_source *source);

/* Writes until the source's ring is written up to `target`, and whatever else comes
 * before it in time; blocks. When another thread is writing it waits for it, or, without
 * `wait`, leaves the rest to it. Returns 0; the error of the first write that fails.
 * Takes the lock; the second form is called with it held, and lets go of it in
 * between. */
int an__log_write_to(an__log *log, an__log_source *source, size_t target, bool wait);
int an__log_write_to_locked(an__log *log, an__log_source *source, size_t target,
			    bool wait);

/* Writes everything; otherwise as above. */
int an__log_write_all(an__log *log);

/* Whether this thread is inside the sink of this logger. */
bool an__log_in_sink(const an__log *log);

/* ---- lane.c ---------------------------------------------------------------------- */

typedef struct an__log_lane an__log_lane;

/* The lane of this thread's loop, made and its task spawned if need be. NULL without a
 * loop, without memory, and when the loop is ending. */
an__log_lane *an__log_lane_get(an__log *log);

/* Whether this lane takes records: its task is there. */
bool an__log_lane_open(const an__log_lane *lane);

/* Logs a line on the lane. Without `wait` it is dropped where it would have to wait for
 * the writer. `ap` is copied. */
void an__log_lane_emit(an__log_lane *lane, an__log_place *place, bool wait,
		       const char *format, va_list ap) AN_PRINTF(4, 0);

/* What an_log_flush() and an_log_stop() do on an open lane. Suspend. */
int an__log_lane_flush(an__log_lane *lane);
int an__log_lane_stop(an__log_lane *lane);

/* Puts what this thread's lane, if there is one, has dropped and not yet told of into its
 * ring, which all has been written of. Returns whether there was something. */
bool an__log_lane_tell_gap(an__log *log);

/* Tells the lane of this thread, if there is one, that the logger was closed. */
void an__log_lane_close(an__log *log);

#endif
