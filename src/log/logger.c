/* The public calls of the logger, and records of threads without a loop. See private.h.
 *
 * A thread without a loop may block: it puts its line into the shared ring under the lock
 * and then sees to it that it is written, by itself or by waiting for the thread that is
 * at it. With several such threads one write takes the lines of all.
 */
#include "config.h"

#include "log/private.h"
#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_DEFAULT (1024 * 1024)
#define RING_MAX (1024 * 1024 * 1024)
#define MESSAGE_DEFAULT 4096
#define MESSAGE_MIN 64
#define MESSAGE_MAX (32 * 1024)
#define DELAY_DEFAULT (10 * AN_MILLISECOND)

/* All loggers, for fork and exit. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static an__list all = { &all, &all };
static uint64_t last_id;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

int64_t an__log_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- fork and exit --------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&all_lock);
	for (an__list *n = all.next; n != &all; n = n->next)
		pthread_mutex_lock(&an__container(n, an__log, all)->lock);
}

static void after_fork(void)
{
	for (an__list *n = all.next; n != &all; n = n->next)
		pthread_mutex_unlock(&an__container(n, an__log, all)->lock);
	pthread_mutex_unlock(&all_lock);
}

/* What is in the rings and in the batch is the parent's to write; the threads that would
 * write for us are not here. */
static void forget(an__log *log)
{
	for (an__list *n = log->sources.next; n != &log->sources; n = n->next) {
		an__log_source *source = an__container(n, an__log_source, node);

		an__log_ring_clear(&source->ring);
		source->gap = 0;
		source->direct = true;
		source->records = source->dropped = 0;
	}
	log->batch.len = log->batch.off = 0;
	log->batch_records = 0;
	log->writing = log->report = false;
	log->failures = 0;
	log->written = log->batches = log->errors = 0;
	log->past_records = log->past_dropped = 0;
	log->refused = 0;
	log->sink.bytes = log->sink.reopens = log->sink.open_errors = 0;
	log->bytes = log->reopens = log->open_errors = 0;
	pthread_cond_init(&log->idle, NULL);
}

static void after_fork_in_child(void)
{
	for (an__list *n = all.next; n != &all; n = n->next)
		forget(an__container(n, an__log, all));
	after_fork();
}

static void install_fork_handlers(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* A program that calls exit() in the middle of a task. Other threads may still be there,
 * and one of them may be stuck in a write: then this one gives up after a second. */
__attribute__((destructor)) static void write_at_exit(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (pthread_mutex_timedlock(&all_lock, &until) != 0)
		return;
	for (an__list *n = all.next; n != &all; n = n->next) {
		an__log *log = an__container(n, an__log, all);
		int r = pthread_mutex_timedlock(&log->lock, &until);

		if (r != 0)
			continue;
		while (log->writing && r == 0)
			r = pthread_cond_timedwait(&log->idle, &log->lock, &until);
		pthread_mutex_unlock(&log->lock);
		if (r == 0)
			an__log_write_all(log);
	}
	pthread_mutex_unlock(&all_lock);
}

/* ---- made and freed -------------------------------------------------------------- */

static int fill_in(an_log_opts *o)
{
	if (!o->level)
		o->level = AN_LOG_INFO;
	if (!o->max_message)
		o->max_message = MESSAGE_DEFAULT;
	if (!o->ring_size)
		o->ring_size = RING_DEFAULT;
	if (!o->delay)
		o->delay = DELAY_DEFAULT;
	if (o->level < AN_LOG_TRACE || o->level > AN_LOG_OFF || o->format > AN_LOG_JSON ||
	    o->overflow > AN_LOG_BLOCK || o->max_message < MESSAGE_MIN ||
	    o->max_message > MESSAGE_MAX || o->ring_size > RING_MAX || o->fd < 0 ||
	    o->delay < 0 || o->delay > AN_HOUR)
		return -EINVAL;
	if (o->ring_size < 4 * (o->max_message + AN__LOG_LINE_EXTRA))
		o->ring_size = 4 * (o->max_message + AN__LOG_LINE_EXTRA);
	return 0;
}

static void log_destroy(an__log *log)
{
	while (!an__list_empty(&log->sources)) {
		an__list *n = an__list_pop(&log->sources);

		an__log_source_destroy(an__container(n, an__log_source, node));
	}
	an__log_sink_done(&log->sink);
	an__log_liner_done(&log->notices);
	free(log->batch.data);
	pthread_cond_destroy(&log->idle);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void an__log_unref(an__log *log)
{
	if (atomic_fetch_sub_explicit(&log->users, 1, memory_order_acq_rel) == 1)
		log_destroy(log);
}

static int allocate_parts(an__log *log)
{
	size_t ring = 4 * (log->opts.max_message + AN__LOG_LINE_EXTRA);

	log->batch.data = an__malloc(AN__LOG_BATCH_SIZE);
	if (!log->batch.data)
		return -ENOMEM;
	if (an__log_liner_init(&log->notices, log->opts.format, 256) < 0)
		return -ENOMEM;
	return an__log_source_new(log, ring, &log->shared);
}

int an_log_new(const an_log_opts *opts, an_logger **ret)
{
	an__log *log = an__calloc(1, sizeof *log);
	int r;

	if (!log)
		return -ENOMEM;
	if (opts)
		log->opts = *opts;
	log->users = 1;
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->idle, NULL);
	an__list_init(&log->sources);
	log->sink.fd = -1;
	r = fill_in(&log->opts);
	if (r == 0)
		r = allocate_parts(log);
	if (r == 0)
		r = an__log_sink_init(&log->sink, &log->opts);
	if (r < 0) {
		log_destroy(log);
		return r;
	}
	log->pub.limit = (int)log->opts.level;
	log->opts.path = NULL; /* the sink has its own */
	pthread_once(&fork_once, install_fork_handlers);
	pthread_mutex_lock(&all_lock);
	log->id = ++last_id;
	an__list_push(&all, &log->all);
	pthread_mutex_unlock(&all_lock);
	*ret = &log->pub;
	return 0;
}

/* What could not be written; with the lock held. */
static uint64_t lines_left(an__log *log)
{
	uint64_t n = log->past_records - log->written;

	for (an__list *node = log->sources.next; node != &log->sources; node = node->next)
		n += atomic_load_explicit(
			&an__container(node, an__log_source, node)->records,
			memory_order_relaxed);
	return n;
}

an_logger *an_log_free(an_logger *logger)
{
	an__log *log = logger ? an__log_of(logger) : NULL;
	int r;

	if (!log)
		return NULL;
	an_trace_clear_hooks(log);
	r = an__log_write_all(log);
	if (r == 0 && an__log_lane_tell_gap(log))
		r = an__log_write_all(log);
	pthread_mutex_lock(&all_lock);
	an__list_remove(&log->all);
	pthread_mutex_unlock(&all_lock);
	pthread_mutex_lock(&log->lock);
	while (log->writing)
		pthread_cond_wait(&log->idle, &log->lock);
	log->closed = true;
	if (r < 0)
		fprintf(stderr,
			"libasyncnet: %llu lines of a log could not be written: %s\n",
			(unsigned long long)lines_left(log), an_strerror(r));
	an__log_sink_done(&log->sink);
	pthread_mutex_unlock(&log->lock);
	an__log_lane_close(log);
	an__log_unref(log);
	return NULL;
}

/* ---- logging --------------------------------------------------------------------- */

/* On a thread without a loop, or whose lane has ended. Without `wait`, it is left to a
 * thread that is writing just then. */
static void emit_directly(an__log *log, an__log_place *place, bool wait,
			  const char *format, va_list ap)
{
	an__log_source *shared = log->shared;
	an_task *task = an_current();
	int r = 0, saved = errno;

	place->task = task ? an_task_name(task) : NULL;
	pthread_mutex_lock(&log->lock);
	for (;;) {
		/* Built again after a wait, when others have used the same buffer. */
		errno = saved;
		size_t len = an__log_liner_build(&shared->liner, place, format, ap);
		size_t tail = an__log_ring_tail(&shared->ring);

		if (an__log_source_put(shared, place->time, place->level, len, 0))
			break;
		if (r < 0 || !wait) {
			an__log_source_drop(shared);
			break;
		}
		r = an__log_write_to_locked(log, shared, tail, true);
	}
	if (r == 0)
		an__log_write_to_locked(log, shared, an__log_ring_tail(&shared->ring),
					wait);
	pthread_mutex_unlock(&log->lock);
}

static void emit(an__log *log, an__log_place *place, bool wait, const char *format,
		 va_list ap)
{
	int saved = errno;
	an__log_lane *lane;

	if (an__log_in_sink(log)) {
		atomic_fetch_add_explicit(&log->refused, 1, memory_order_relaxed);
		return;
	}
	place->time = an__log_time();
	lane = an__log_lane_get(log);
	errno = saved; /* %m is the caller's */
	if (lane && an__log_lane_open(lane))
		an__log_lane_emit(lane, place, wait, format, ap);
	else
		emit_directly(log, place, wait, format, ap);
	errno = saved;
}

void an_log_emit(an_logger *logger, an_log_level level, const char *file, int line,
		 const char *format, ...)
{
	an__log_place place = { .level = level, .file = file, .line = line };
	va_list ap;

	va_start(ap, format);
	emit(an__log_of(logger), &place, true, format, ap);
	va_end(ap);
}

/* For the trace hook, which holds a lock that the sink may be after on the writing
 * thread: it must not wait for that. */
static void emit_message(an__log *log, an__log_place *place, const char *format, ...)
	AN_PRINTF(3, 4);
static void emit_message(an__log *log, an__log_place *place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	emit(log, place, false, format, ap);
	va_end(ap);
}

/* ---- the rest -------------------------------------------------------------------- */

/* By this loop's lane; where there is none, or none any more, right here. */
static int get_written(an_logger *logger, int (*by_lane)(an__log_lane *lane))
{
	an__log *log = an__log_of(logger);
	an__log_lane *lane;
	int r = an__wait_check();

	if (r < 0)
		return r;
	lane = an__log_lane_get(log);
	if (lane && an__log_lane_open(lane))
		return by_lane(lane);
	return an__log_write_all(log);
}

int an_log_flush(an_logger *logger)
{
	return get_written(logger, an__log_lane_flush);
}

int an_log_stop(an_logger *logger)
{
	return get_written(logger, an__log_lane_stop);
}

void an_log_reopen(an_logger *logger)
{
	atomic_store_explicit(&an__log_of(logger)->sink.reopen, true,
			      memory_order_relaxed);
}

an_log_level an_log_set_level(an_logger *logger, an_log_level level)
{
	return (an_log_level)__atomic_exchange_n(&logger->limit, (int)level,
						 __ATOMIC_RELAXED);
}

static void on_message(void *arg, an_log_level level, const char *text, size_t len)
{
	an__log *log = arg;
	an__log_place place = { .level = level };

	if (!an_log_enabled(&log->pub, level))
		return;
	emit_message(log, &place, "%.*s", (int)len, text);
}

int an_log_install_trace(an_logger *logger)
{
	return an_trace_set_hooks(
		&(an_trace_hooks){ .message = on_message, .arg = an__log_of(logger) });
}

void an_log_get_stats(an_logger *logger, an_log_stats *ret)
{
	an__log *log = an__log_of(logger);
	an_log_stats m = { 0 };

	pthread_mutex_lock(&log->lock);
	m.records = log->past_records;
	m.dropped = log->past_dropped +
		    atomic_load_explicit(&log->refused, memory_order_relaxed);
	m.written = log->written;
	m.bytes = log->bytes;
	m.batches = log->batches;
	m.errors = log->errors + log->open_errors;
	m.reopens = log->reopens;
	for (an__list *n = log->sources.next; n != &log->sources; n = n->next) {
		an__log_source *source = an__container(n, an__log_source, node);

		m.records += atomic_load_explicit(&source->records, memory_order_relaxed);
		m.dropped += atomic_load_explicit(&source->dropped, memory_order_relaxed);
		m.queued += an__log_ring_used(&source->ring);
	}
	pthread_mutex_unlock(&log->lock);
	*ret = m;
}
