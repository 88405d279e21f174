/* From rings to sink. See private.h.
 *
 * One step: collect whole lines from all rings, oldest first, until the batch is full;
 * write the batch; give the rings' room back. A batch whose write failed stays and is
 * what the next step goes on with, so a full disk costs no line as long as the rings have
 * room.
 *
 * Invariant: between steps, `writing` is false, and each ring's cursor is its head unless
 * a batch is pending.
 */
#include "config.h"

#include "log/private.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room kept in a batch for one notice. */
#define NOTICE_SIZE (256 + AN__LOG_LINE_EXTRA)

static __thread const an__log *in_sink __attribute__((tls_model("initial-exec")));

bool an__log_in_sink(const an__log *log)
{
	return in_sink == log;
}

/* ---- sources --------------------------------------------------------------------- */

int an__log_source_new(an__log *log, size_t size, an__log_source **ret)
{
	an__log_source *source;

	/* The ring keeps its ends in cache lines of their own. */
	source = an__aligned(64, sizeof *source);
	if (!source)
		return -ENOMEM;
	memset(source, 0, sizeof *source);
	if (an__log_ring_init(&source->ring, size) < 0)
		goto fail;
	if (an__log_liner_init(&source->liner, log->opts.format, log->opts.max_message) <
	    0)
		goto fail_ring;
	pthread_mutex_lock(&log->lock);
	an__list_push(&log->sources, &source->node);
	pthread_mutex_unlock(&log->lock);
	*ret = source;
	return 0;

fail_ring:
	an__log_ring_done(&source->ring);
fail:
	free(source);
	return -ENOMEM;
}

void an__log_source_destroy(an__log_source *source)
{
	an__log_liner_done(&source->liner);
	an__log_ring_done(&source->ring);
	free(source);
}

/* With the lock held, and no batch pending that holds lines of it. */
static void remove_source(an__log *log, an__log_source *source)
{
	an__list_remove(&source->node);
	log->past_records += atomic_load_explicit(&source->records, memory_order_relaxed);
	log->past_dropped += atomic_load_explicit(&source->dropped, memory_order_relaxed);
	an__log_source_destroy(source);
}

void an__log_source_free(an__log *log, an__log_source *source)
{
	pthread_mutex_lock(&log->lock);
	while (log->writing)
		pthread_cond_wait(&log->idle, &log->lock);
	if (!log->closed && an__log_ring_used(&source->ring)) {
		source->orphaned = true;
		pthread_mutex_unlock(&log->lock);
		return;
	}
	remove_source(log, source);
	pthread_mutex_unlock(&log->lock);
}

/* For a counter with one writer: no locked instruction. */
static void count(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

bool an__log_source_put(an__log_source *source, int64_t time, an_log_level level,
			size_t len, size_t spare)
{
	an__log_record record = {
		.time = time,
		.len = (uint32_t)len,
		.level = level,
		.dropped = source->gap,
	};

	if (!an__log_ring_put(&source->ring, &record, source->liner.text, spare))
		return false;
	source->gap = 0;
	count(&source->records);
	return true;
}

void an__log_source_drop(an__log_source *source)
{
	source->gap++;
	count(&source->dropped);
}

void an__log_source_put_gap(an__log_source *source)
{
	an__log_record record = { .time = an__log_time(), .dropped = source->gap };

	if (source->gap && !an__log_ring_used(&source->ring) &&
	    an__log_ring_put(&source->ring, &record, "", 0))
		source->gap = 0;
}

/* ---- collecting ------------------------------------------------------------------ */

static size_t room(const an__log *log)
{
	return AN__LOG_BATCH_SIZE - log->batch.len;
}

static void add_notice(an__log *log, an_log_level level, size_t len)
{
	memcpy(an__log_sink_add(&log->sink, &log->batch, level, len), log->notices.text,
	       len);
}

static void add_gap(an__log *log, const an__log_record *record)
{
	an__log_place place = { .time = record->time, .level = AN_LOG_WARN };

	add_notice(log, place.level,
		   an__log_liner_printf(&log->notices, &place,
					"%u records dropped: the log's ring was full",
					record->dropped));
}

static void add_report(an__log *log)
{
	an__log_place place = { .time = an__log_time(), .level = AN_LOG_ERROR };
	char text[128];

	add_notice(log, place.level,
		   an__log_liner_printf(
			   &log->notices, &place,
			   "writing this log failed %llu times in %lld ms: %s",
			   (unsigned long long)log->failures,
			   (long long)(place.time - log->failing_since) / 1000000,
			   strerror_r(log->error, text, sizeof text)));
	log->report = false;
	log->failures = 0;
	log->error = 0;
}

/* The source whose next record is the oldest. */
static an__log_source *oldest(an__log *log, an__log_record *ret)
{
	an__log_source *found = NULL;

	for (an__list *n = log->sources.next; n != &log->sources; n = n->next) {
		an__log_source *source = an__container(n, an__log_source, node);
		an__log_record record;

		if (!an__log_ring_peek(&source->ring, &record))
			continue;
		if (!found || record.time < ret->time) {
			found = source;
			*ret = record;
		}
	}
	return found;
}

static void take(an__log *log, an__log_source *source, const an__log_record *record)
{
	/* Where there is no line the record only told of drops. */
	char *dst = log->batch.data;

	if (record->len) {
		dst = an__log_sink_add(&log->sink, &log->batch, record->level,
				       record->len);
		log->batch_records++;
	}
	an__log_ring_take(&source->ring, record, dst);
}

/* Returns whether there is anything to write. Under the lock. */
static bool collect(an__log *log)
{
	an__log_source *source;
	an__log_record record;

	if (log->report)
		add_report(log);
	while ((source = oldest(log, &record))) {
		if ((size_t)record.len + NOTICE_SIZE > room(log))
			break;
		if (record.dropped)
			add_gap(log, &record);
		take(log, source, &record);
	}
	return log->batch.len > 0;
}

/* ---- writing --------------------------------------------------------------------- */

static void failed(an__log *log, int r)
{
	if (!log->failures++)
		log->failing_since = an__log_time();
	log->error = -r;
	log->errors++;
}

static void succeeded(an__log *log)
{
	an__list *next;

	for (an__list *n = log->sources.next; n != &log->sources; n = next) {
		an__log_source *source = an__container(n, an__log_source, node);

		next = n->next;
		an__log_ring_release(&source->ring);
		if (source->orphaned && !an__log_ring_used(&source->ring))
			remove_source(log, source);
	}
	log->written += log->batch_records;
	log->batches++;
	log->batch_records = 0;
	log->batch.len = log->batch.off = 0;
	log->report = log->failures > 0;
}

/* One batch. With the lock held and `writing` clear; the lock is open during the write.
 * Returns 1; 0 when there was nothing to write; the write's error. */
static int step(an__log *log)
{
	const an__log *outer = in_sink;
	int r;

	if (log->closed || (!log->batch.len && !collect(log)))
		return 0;
	log->writing = true;
	pthread_mutex_unlock(&log->lock);
	in_sink = log;
	r = an__log_sink_write(&log->sink, &log->batch);
	in_sink = outer;
	pthread_mutex_lock(&log->lock);
	log->bytes = log->sink.bytes;
	log->reopens = log->sink.reopens;
	log->open_errors = log->sink.open_errors;
	if (r < 0)
		failed(log, r);
	else
		succeeded(log);
	log->writing = false;
	pthread_cond_broadcast(&log->idle);
	return r < 0 ? r : 1;
}

int an__log_write_to_locked(an__log *log, an__log_source *source, size_t target,
			    bool wait)
{
	while (!an__log_ring_passed(&source->ring, target)) {
		if (log->writing) {
			if (!wait)
				return 0;
			pthread_cond_wait(&log->idle, &log->lock);
			continue;
		}
		int r = step(log);
		if (r <= 0)
			return r;
	}
	/* The report of a failure must not wait for the next line. */
	if (log->report && !log->writing)
		step(log);
	return 0;
}

int an__log_write_to(an__log *log, an__log_source *source, size_t target, bool wait)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = an__log_write_to_locked(log, source, target, wait);
	pthread_mutex_unlock(&log->lock);
	return r;
}

int an__log_write_all(an__log *log)
{
	int r = 1;

	pthread_mutex_lock(&log->lock);
	while (r > 0) {
		if (log->writing)
			pthread_cond_wait(&log->idle, &log->lock);
		else
			r = step(log);
	}
	pthread_mutex_unlock(&log->lock);
	return r;
}
